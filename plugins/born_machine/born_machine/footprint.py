"""How much memory sweeps need, and how often an environment is kept so that they fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from born_machine.amplitude import place_dtype
from born_machine.data import Samples
from born_machine.devices import device_memory
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from tnkit import MemoryLimitError

__all__ = ["Footprint", "footprint", "needed", "readable"]

_PLACES = 2  # of a sample at a bond: in the next order and in the previous
_VECTORS = 6  # as large as one environment's, alive at once within a step
_LOGS = 8


@dataclass(frozen=True, slots=True)
class Footprint:
    """What sweeps hold at once, in bytes; the samples themselves are not counted.

    every: of the environments behind the centre, every such one is kept and the others are made
    again when the centre comes back (`tnkit.Windowed`); 1 keeps all. environments, orders (where
    each sample stands at each bond), step (the vectors that one step works on), fixed (the state
    and the blocks of a step, whatever the samples): the parts of `total`. limit: what was allowed.
    """

    samples: int
    bond: int
    every: int
    environments: int
    orders: int
    step: int
    fixed: int
    limit: int

    @property
    def total(self) -> int:
        """The sum of the parts: an upper bound, reached where every bond is as large as allowed."""
        return self.environments + self.orders + self.step + self.fixed

    def __str__(self) -> str:
        """Say what is held, in one line."""
        kept = "all environments" if self.every == 1 else f"one environment in {self.every}"
        return (
            f"{self.samples:,} samples at bond {self.bond} hold at most {readable(self.total)} "
            f"of {readable(self.limit)}, {kept} kept"
        )


def needed(
    samples: Samples,
    dims: Sequence[int],
    settings: Settings,
    device: str = "cpu",
    *,
    ranks: Ranks = ALONE,
    jobs: int = 1,
) -> Footprint:
    """Return the footprint of sweeps over these samples (sample, site), negative where missing.

    ranks, jobs: the processes that train together, and the sweeps at a time of each. Raises as
    `footprint`; the limit is `settings.memory_limit`, else the share of one sweep in half
    of the memory of the device, which is held against what grows with the samples alone: bonds
    rarely get as large as allowed. On CUDA each process has a device of its own.
    """
    limit = settings.memory_limit
    sharing = jobs * (1 if device.startswith("cuda") else ranks.local_size)
    return footprint(
        len(samples),
        dims,
        settings,
        gapped=int((samples < 0).any(axis=1).sum()) if samples.dtype.kind == "i" else 0,
        limit=device_memory(device) // (2 * sharing) if limit is None else limit,
        strict=limit is not None,
    )


def footprint(
    samples: int,
    dims: Sequence[int],
    settings: Settings,
    *,
    limit: int,
    gapped: int = 0,
    strict: bool = True,
) -> Footprint:
    """Return what sweeps over `samples` samples need, `gapped` of which have missing values.

    The environments are kept as densely as the limit, in bytes, allows. A sample with gaps has
    matrices, bond^2 numbers, where others have vectors. Growing an environment again costs what
    growing it once did; a sweep then takes up to a third longer, and ends the same bit for bit.
    Raises `MemoryLimitError` with the figures where even the sparsest does not fit; not strict:
    the state and the blocks of a step may exceed the limit.

    >>> print(footprint(50_000, (2,) * 784, Settings(max_bond=100), limit=3 * 10**9))
    50,000 samples at bond 100 hold at most 2.85 GB of 3 GB, one environment in 9 kept
    """
    bond = settings.largest_bond
    widths = _widths(dims, bond)
    number = np.dtype(settings.dtype).itemsize

    def rows(width: int) -> int:
        whole = (samples - gapped) * (width * number + _LOGS)
        return whole + gapped * (width * width * number + _LOGS)

    length, widest = len(dims), rows(max(widths))
    everything = sum(map(rows, widths))
    place = np.dtype(place_dtype(samples - gapped, np.empty(0))).itemsize
    places = (samples - gapped) * (length - 1) * place
    scored = _VECTORS * min(samples, 4096) * 2 * number * max(widths)  # in double precision
    step = max(_VECTORS * widest, scored)
    blocks = max((p * q for p, q in pairwise(dims)), default=max(dims)) * max(widths) ** 2
    # the state that moves, the last and the best one; single precision is split in double
    state = sum(l * d * r for l, d, r in zip(widths, dims, widths[1:], strict=False))
    fixed = 4 * number * state + (4 * number + 6 * 8) * blocks

    def kept(every: int) -> int:
        at_once = math.ceil(length / every) + 2 * every  # for good, and both stretches at hand
        held = everything if every == 1 else min(everything, at_once * widest)
        return max(held, places)  # a third place is kept while the orders are made

    sparsest = max(1, round(math.sqrt(length / 2)))
    for every in range(1, sparsest + 1):
        found = Footprint(samples, bond, every, kept(every), _PLACES * places, step, fixed, limit)
        if found.total - (0 if strict else fixed) <= limit:
            return found
    raise MemoryLimitError(
        f"training on {samples:,} samples of {length:,} sites at bond {bond} needs "
        f"{readable(found.total)} (environments {readable(found.environments)} with one in "
        f"{sparsest} kept, orders {readable(found.orders)}, a step {readable(step)}, the state and "
        f"blocks {readable(fixed)}), and memory_limit is {readable(limit)}; lower max_bond, set "
        "batch_size, or raise memory_limit"
    )


def _widths(dims: Sequence[int], bond: int) -> list[int]:
    """Return the largest size each bond can have, the edges of size one included."""
    before, after = [1], [1]
    for left, right in zip(dims, reversed(dims), strict=True):
        before.append(min(bond, before[-1] * left))
        after.append(min(bond, after[-1] * right))
    return [min(pair) for pair in zip(before, reversed(after), strict=True)]


def readable(size: int) -> str:
    """Return a number of bytes for people, 10^9 of them a GB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return (
                f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:,.0f} {name}"
            )
    return f"{size} bytes"
