"""What a user hands in, checked: value counts, image shape, seed, device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from born_machine.data import MISSING, Samples, as_array, read_samples
from born_machine.ranks import ALONE, Ranks, cores
from tnkit import ArgumentError, SizeError, thread_count

__all__ = [
    "MISSING",
    "generator",
    "image_shape_of",
    "read_samples",
    "resolve_device",
    "thread_limit",
    "value_counts",
    "what_was_chosen",
]

_MOST_LEVELS = 65_536


def value_counts(levels: int | Sequence[int] | None, samples: Samples) -> tuple[int, ...]:
    """Return how many values each feature takes: as given, or as found but at least 2.

    Raises `ArgumentError` for more than 65,536 of them, and where samples hold more than given.
    """
    found = samples.max(axis=0).astype(int) + 1
    if levels is None:
        if found.max() > _MOST_LEVELS:
            feature = int(found.argmax())
            raise ArgumentError(
                f"feature {feature} holds the value {found[feature] - 1}, and at most "
                f"{_MOST_LEVELS} values count from 0; merge values into fewer levels"
            )
        return tuple(int(d) for d in np.maximum(found, 2))
    dims = as_array(levels)
    if dims.dtype.kind not in "iu" or dims.ndim > 1 or (dims.ndim and len(dims) != len(found)):
        raise ArgumentError(
            f"levels must be a whole number or one for each of {len(found)} features, "
            f"got {levels!r}"
        )
    if dims.size and dims.min() < 1:
        raise ArgumentError(f"levels must be at least 1, got {levels!r}")
    if dims.size and dims.max() > _MOST_LEVELS:
        raise ArgumentError(f"levels must be at most {_MOST_LEVELS}, got {levels!r}")
    dims = np.broadcast_to(dims, found.shape)
    if (dims < found).any():
        feature = int(np.flatnonzero(dims < found)[0])
        raise ArgumentError(
            f"feature {feature} holds the value {found[feature] - 1}, but levels allows "
            f"0 to {int(dims[feature]) - 1}"
        )
    return tuple(int(d) for d in dims)


def image_shape_of(
    given: tuple[int, int] | None, shape: tuple[int, ...], features: int
) -> tuple[int, int] | None:
    """Return (height, width) of what the data says it is, None where it is no image."""
    found = (shape[1], shape[2]) if len(shape) == 3 else None
    if given is None:
        return found
    sides = tuple(given) if isinstance(given, Sequence) else ()
    if len(sides) != 2 or not all(isinstance(s, int | np.integer) and s > 0 for s in sides):
        raise ArgumentError(f"image_shape must be (height, width), got {given!r}")
    if found is not None and found != sides:
        raise SizeError(f"the images are {found[0]} x {found[1]}, image_shape says {given}")
    if sides[0] * sides[1] != features:
        raise SizeError(
            f"image_shape {given} has {sides[0] * sides[1]} pixels, the data {features} features"
        )
    return (int(sides[0]), int(sides[1]))


def generator(random_state: int | None) -> np.random.Generator:
    """Return a generator of the seed; `ArgumentError` for what is no seed."""
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if random_state is not None and not (whole and random_state >= 0):
        raise ArgumentError(f"random_state must be a whole number from 0 up, got {random_state!r}")
    return np.random.default_rng(random_state)


def thread_limit(size: int, ranks: Ranks = ALONE) -> int | None:
    """Return the threads that processes on one machine take for matrices of `size` rows.

    None leaves it to `tnkit.threads`; several processes share the cores out.
    """
    if ranks.size == 1 or thread_count(size) is not None:
        return None
    return max(1, cores() // ranks.local_size)


def resolve_device(device: str, ranks: Ranks = ALONE) -> tuple[str, Callable[[Any], Any]]:
    """Return the device's name and what puts a NumPy array there (NumPy itself on the CPU).

    Of several processes on one machine each takes a CUDA device of its own: `ArgumentError` where
    there are too few, or where all are given the same one.
    """
    if device == "cpu":
        return "cpu", np.asarray
    if not isinstance(device, str) or not (device == "auto" or device.split(":")[0] == "cuda"):
        raise ArgumentError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and count < ranks.local_size:
        return "cpu", np.asarray
    number = device.partition(":")[2] if device != "auto" else ""
    if ranks.size > 1 and number:
        raise ArgumentError(
            f"device {device!r} is one device for {ranks.size} processes; "
            "give 'cuda', and each takes its own"
        )
    if (number and not number.isdigit()) or int(number or 0) >= count or count < ranks.local_size:
        wanted = f" for {ranks.local_size} processes" if ranks.local_size > 1 else ""
        raise ArgumentError(
            f"device {device!r} is not here: this machine has {count} CUDA devices{wanted}"
        )
    name = "cuda" if device == "auto" else device
    name = f"cuda:{ranks.local_rank}" if ranks.size > 1 else name
    return name, lambda array: torch.as_tensor(np.ascontiguousarray(array), device=name)


def what_was_chosen(device: str, size: int, ranks: Ranks, starter: str) -> str:
    """Return in one line on what training runs, and why; raises as `resolve_device`.

    size: rows of the largest matrices. starter: what started several processes.
    """
    name, _ = resolve_device(device, ranks)
    why = "as asked"
    if device == "auto":
        why = "found" if name != "cpu" else "no CUDA device here"
        if name == "cpu" and ranks.local_size > 1 and resolve_device(device)[0] != "cpu":
            why = f"fewer CUDA devices than the {ranks.local_size} processes here"
    count = "1 process"
    if ranks.size > 1:
        here = f", {ranks.local_size} here" if ranks.local_size < ranks.size else ""
        count = f"{ranks.size} processes{here} ({starter})"
    rule = thread_count(size)
    number = rule or thread_limit(size, ranks) or cores()
    because = f"of {cores()} cores" if rule is None else "the rule of tnkit.threads"
    each = "s" * (number > 1) + " each" * (ranks.size > 1)
    return f"device {name} ({why}), {count}, {number} BLAS thread{each} ({because})"
