"""Inner products, norms and dense forms of matrix product states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tnkit.arrays import Array, eps, largest_magnitude, namespace, rescale, reshape, to_numpy
from tnkit.errors import ArgumentError, MemoryLimitError, ScaleError, SizeError
from tnkit.mps.environments import extend_left_overlap
from tnkit.mps.state import MPS

__all__ = ["inner", "log_norm", "norm", "normalize", "to_dense"]

_LARGEST_LOG = math.log(np.finfo(np.float64).max)


def _check_same_sites(a: MPS, b: MPS) -> None:
    if a.sites != b.sites:
        raise SizeError(f"the states have different sites: {_short(a.sites)} and {_short(b.sites)}")
    if a.site_dims != b.site_dims:
        k = next(k for k, (p, q) in enumerate(zip(a.site_dims, b.site_dims, strict=True)) if p != q)
        raise SizeError(
            f"site {a.sites[k]!r} has size {a.site_dims[k]} in the first state and "
            f"{b.site_dims[k]} in the second"
        )


def _short(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"({shown}; {len(names)} sites)"


def _scaled_inner(a: MPS, b: MPS) -> tuple[Any, float]:
    """Return <a|b> as mantissa (0-d host number) and natural logarithm of a scale."""
    _check_same_sites(a, b)
    xp = namespace(a.arrays[0], b.arrays[0])
    block = xp.ones_like(a.arrays[0][:, 0, :1])
    log = a.log_scale + b.log_scale
    for bra, ket in zip(a.arrays, b.arrays, strict=True):
        block, step = rescale(extend_left_overlap(block, bra, ket))
        log += step
    return to_numpy(block)[0, 0].item(), log


def inner(a: MPS, b: MPS) -> complex | float:
    """Return <a|b>, with `a` conjugated: a Python float, complex where an array is complex.

    Both states need the same site names and sizes, else `SizeError` shows both. Raises
    `ScaleError` where the value does not fit a float. Cost O(L site bond^3).

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> inner(bell, bell)
    2.0
    """
    mantissa, log = _scaled_inner(a, b)
    magnitude = abs(mantissa)
    if magnitude and log + math.log(magnitude) > _LARGEST_LOG:
        raise ScaleError(
            f"the inner product is about exp({log + math.log(magnitude):.6g}), beyond a float; "
            "scale the states by their log_norm first"
        )
    root = math.exp(log / 2)  # the scale alone may overflow where the product does not
    value: complex | float = mantissa * root * root
    return value


def log_norm(psi: MPS) -> float:
    """Return the natural logarithm of the 2-norm of `psi`; -inf for the zero state.

    O(site bond^2) where the gauge has a centre, one overlap otherwise.

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> round(log_norm(bell), 6)  # ln(2) / 2
    0.346574
    """
    if psi.centre is not None:
        centre = psi.arrays[psi.centre]
        largest = largest_magnitude(centre)
        if largest == 0.0:
            return -math.inf
        xp = namespace(centre)
        length = float(xp.linalg.vector_norm(centre / largest))
        return psi.log_scale + math.log(largest) + math.log(length)
    mantissa, log = _scaled_inner(psi, psi)
    magnitude = abs(mantissa)
    return 0.5 * (log + math.log(magnitude)) if magnitude else -math.inf


def norm(psi: MPS) -> float:
    """Return the 2-norm of `psi`; raises `ScaleError` (an OverflowError) beyond a float."""
    log = log_norm(psi)
    if log > _LARGEST_LOG:
        raise ScaleError(f"the norm is exp({log:.6g}), beyond a float; use tnkit.log_norm")
    return math.exp(log)


def normalize(psi: MPS) -> MPS:
    """Return psi / |psi|: the centre (or the first array) is scaled, the gauge is kept.

    Raises `ArgumentError` for the zero state.
    """
    log = log_norm(psi)
    if not math.isfinite(log):
        raise ArgumentError(f"cannot normalise a state of log norm {log}")
    k = 0 if psi.centre is None else psi.centre
    arrays = list(psi.arrays)
    shift = log - psi.log_scale
    if psi.centre is None and abs(shift) > (30.0 if eps(arrays[k]) > 1e-10 else 300.0):
        return MPS(psi.arrays, psi.sites, psi.gauge, psi.log_scale - log)
    for _ in range(2):  # two half steps: exp(-shift) alone may overflow where the product fits
        arrays[k] = arrays[k] * math.exp(-shift / 2)
    return MPS(tuple(arrays), psi.sites, psi.gauge, 0.0)


def to_dense(psi: MPS, *, memory_limit: int | None = 4 * 2**30) -> Array:
    """Return the state as one array with an axis a site, in the library of its arrays.

    memory_limit: bytes; `MemoryLimitError` is raised before allocating more (4 GiB by default,
    None for no limit). Raises `ScaleError` where log_scale leaves the float range.
    """
    itemsize = np.dtype(str(psi.dtype).removeprefix("torch.").rpartition(".")[2]).itemsize
    size = itemsize * math.prod(psi.site_dims)
    if memory_limit is not None and 2 * size > memory_limit:
        raise MemoryLimitError(
            f"a dense state of {len(psi)} sites needs about {2 * size:.3g} bytes, over the limit "
            f"of {memory_limit}; ask for amplitudes or marginals instead, or raise memory_limit"
        )
    dense = psi.arrays[0]
    for array in psi.arrays[1:]:
        l, d, r = array.shape
        dense = reshape(dense, (-1, l)) @ reshape(array, (l, d * r))
    if abs(psi.log_scale) > _LARGEST_LOG:
        raise ScaleError(f"the state is scaled by exp({psi.log_scale:.6g}), beyond a float")
    if psi.log_scale:
        dense = dense * math.exp(psi.log_scale)
    return reshape(dense, psi.site_dims)
