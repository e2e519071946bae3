"""Inner products, norms and dense forms of states, and expectation values of operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from tnkit.arrays import (
    Array,
    dtype_name,
    eps,
    largest_magnitude,
    namespace,
    promote,
    rescale,
    reshape,
    to_numpy,
)
from tnkit.checking import check_memory, checked
from tnkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    NonFiniteError,
    ScaleError,
    SizeError,
)
from tnkit.mps.environments import extend_left_overlap, extend_left_sandwich
from tnkit.mps.operator import MPO
from tnkit.mps.sites import same_chain, short
from tnkit.mps.state import MPS
from tnkit.scaled import Scaled

__all__ = [
    "check_operator",
    "expectation",
    "fidelity",
    "inner",
    "log_inner",
    "log_norm",
    "norm",
    "normalize",
    "to_dense",
]

_LARGEST_LOG = math.log(np.finfo(np.float64).max)


def check_operator(mpo: MPO, bra: MPS | None, ket: MPS) -> None:
    """Raise `SizeError`, showing both sides, where an operator does not fit between two states."""
    for state, dims, side in ((bra, mpo.out_dims, "rows"), (ket, mpo.in_dims, "columns")):
        if state is None:
            continue
        if state.sites != mpo.sites:
            raise SizeError(
                f"the operator and the state have different sites: {short(mpo.sites)} and "
                f"{short(state.sites)}"
            )
        if state.site_dims != dims:
            k = next(k for k, p in enumerate(dims) if p != state.site_dims[k])
            raise SizeError(
                f"at site {mpo.sites[k]!r} the operator has {dims[k]} {side}, the state has "
                f"{state.site_dims[k]} values"
            )


def _scaled_inner(a: MPS, b: MPS) -> tuple[Any, float]:
    """Return <a|b> as mantissa (host number) and natural logarithm of a scale."""
    same_chain(a.sites, a.site_dims, b.sites, b.site_dims)
    bras, kets = a.arrays, b.arrays
    if a.dtype != b.dtype:
        both = promote(*bras, *kets)
        bras, kets = both[: len(bras)], both[len(bras) :]
    start = namespace(bras[0], kets[0]).ones_like(bras[0][:, 0, :1])
    block, log = _chain(extend_left_overlap, start, (bras, kets))
    return to_numpy(block)[0, 0].item(), a.log_scale + b.log_scale + log


def _scaled_sandwich(a: MPS, mpo: MPO, b: MPS) -> tuple[Any, float]:
    """Return <a|mpo|b> as mantissa (host number) and natural logarithm of a scale."""
    if not isinstance(mpo, MPO) or not isinstance(b, MPS):
        raise ArgumentTypeError(
            f"expected inner(state, operator, state), got a {type(mpo).__name__} and a "
            f"{type(b).__name__} after the first state"
        )
    check_operator(mpo, a, b)
    n = len(a)
    flat = promote(*a.arrays, *mpo.arrays, *b.arrays)
    start = namespace(*flat).ones_like(flat[0][:, :1, :1])
    layers = (flat[:n], flat[n : 2 * n], flat[2 * n :])
    block, log = _chain(extend_left_sandwich, start, layers)
    return to_numpy(block)[0, 0, 0].item(), a.log_scale + mpo.log_scale + b.log_scale + log


def _chain(
    extend: Callable[..., Array], start: Array, layers: tuple[tuple[Array, ...], ...]
) -> tuple[Array, float]:
    """Return the block of a whole chain, near one, and the logarithm of what was taken out."""
    narrow = eps(start) > 1e-10
    block, log = start, 0.0
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            for column in zip(*layers, strict=True):
                block, step = rescale(extend(block, *column))
                log += step
                if step < (-40.0 if narrow else -400.0):
                    break  # products near the smallest float have lost digits
            else:
                if largest_magnitude(block):
                    return block, log
    except NonFiniteError:
        pass
    # entries near the ends of the float range: bring every array near one first
    block, log = start, 0.0
    for column in zip(*layers, strict=True):
        near = [rescale(array, window=1.0) for array in column]
        block, step = rescale(extend(block, *(array for array, _ in near)), window=1.0)
        log += step + sum(part for _, part in near)
    return block, log


def _unscaled(mantissa: Any, log: float, what: str) -> complex | float:
    magnitude = abs(mantissa)
    if magnitude and log + math.log(magnitude) > _LARGEST_LOG:
        raise ScaleError(
            f"{what} is about exp({log + math.log(magnitude):.6g}), beyond a float; "
            "use tnkit.log_inner"
        )
    for _ in range(2):  # the scale alone may leave the range where the product does not
        mantissa = mantissa * math.exp(max(min(log / 2, 700.0), -1000.0))
    value: complex | float = mantissa
    return value


@overload
def inner(a: MPS, b: MPS, /) -> complex | float: ...
@overload
def inner(a: MPS, mpo: MPO, b: MPS, /) -> complex | float: ...
@checked
def inner(a: MPS, *rest: Any) -> complex | float:
    """Return <a|b>, or <a|mpo|b>, with `a` conjugated: a float, complex where an array is complex.

    inner(a, b) and inner(a, mpo, b): both states, and the operator between them, need the same
    site names and sizes, else `SizeError` shows both. Neither state needs a gauge or a norm.
    Raises `ScaleError` where the value does not fit a float (see `log_inner`).
    Cost O(L site bond^3), times the bond of the operator.

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> z = np.diag([1.0, -1.0])[None, :, :, None]
    >>> inner(bell, bell), inner(bell, MPO.from_arrays([z, z]), bell)
    (2.0, 2.0)
    """
    return _unscaled(*_product(a, *rest), "the inner product")


def _product(a: MPS, *rest: Any) -> tuple[Any, float]:
    if len(rest) not in (1, 2):
        raise ArgumentTypeError(
            f"expected two states, or a state, an operator and a state; got a state "
            f"and {len(rest)} more"
        )
    if len(rest) == 2:
        return _scaled_sandwich(a, rest[0], rest[1])
    if not isinstance(rest[0], MPS):
        raise ArgumentTypeError(f"expected a state, got a {type(rest[0]).__name__}")
    return _scaled_inner(a, rest[0])


@overload
def log_inner(a: MPS, b: MPS, /) -> Scaled: ...
@overload
def log_inner(a: MPS, mpo: MPO, b: MPS, /) -> Scaled: ...
@checked
def log_inner(a: MPS, *rest: Any) -> Scaled:
    """Return <a|b>, or <a|mpo|b>, of any magnitude: `.log_abs` and `.phase`.

    The arguments and errors are those of `inner`.

    >>> import numpy as np
    >>> big = MPS.from_arrays([np.full((1, 2, 1), 1e200)] * 3)
    >>> round(float(log_inner(big, big).log_abs), 3)  # 3 ln(2e400)
    2765.182
    """
    mantissa, log = _product(a, *rest)
    return Scaled(np.asarray(mantissa), log if abs(mantissa) else 0.0)


@checked
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


@checked
def norm(psi: MPS) -> float:
    """Return the 2-norm of `psi`; raises `ScaleError` (an OverflowError) beyond a float.

    >>> import numpy as np
    >>> norm(MPS.from_arrays([np.full((1, 4, 1), 0.5)]))
    1.0
    """
    log = log_norm(psi)
    if log > _LARGEST_LOG:
        raise ScaleError(f"the norm is exp({log:.6g}), beyond a float; use tnkit.log_norm")
    return math.exp(log)


@checked
def normalize(psi: MPS) -> MPS:
    """Return psi / |psi|; the gauge is kept.

    Scaled is the centre, or without one the first array not known to be left-orthonormal.

    Raises `ArgumentError` for the zero state.

    >>> import numpy as np
    >>> norm(normalize(MPS.from_arrays([np.full((1, 2, 1), 5.0)])))
    1.0
    """
    log = log_norm(psi)
    if not math.isfinite(log):
        raise ArgumentError(f"cannot normalise a state of log norm {log}")
    k = min(psi.gauge.left, len(psi) - 1)
    arrays = list(psi.arrays)
    shift = log - psi.log_scale
    if psi.centre is None and abs(shift) > (30.0 if eps(arrays[k]) > 1e-10 else 300.0):
        return MPS(psi.arrays, psi.sites, psi.gauge, psi.log_scale - log)
    for _ in range(2):  # two half steps: exp(-shift) alone may overflow where the product fits
        arrays[k] = arrays[k] * math.exp(-shift / 2)
    return MPS(tuple(arrays), psi.sites, psi.gauge.touching(k, len(psi)), 0.0)


@checked
def fidelity(a: MPS, b: MPS) -> float:
    """Return |<a|b>|^2 / (<a|a> <b|b>), between 0 and 1 up to rounding.

    Raises `ArgumentError` for the zero state, `SizeError` where sites differ.

    >>> import numpy as np
    >>> up, plus = (MPS.from_arrays([np.reshape(v, (1, 2, 1))]) for v in ([1.0, 0.0], [3.0, 3.0]))
    >>> round(fidelity(up, plus), 12)
    0.5
    """
    logs = log_norm(a) + log_norm(b)
    if not math.isfinite(logs):
        raise ArgumentError("fidelity with the zero state is not defined")
    mantissa, log = _scaled_inner(a, b)
    magnitude = abs(mantissa)
    return math.exp(2 * (math.log(magnitude) + log - logs)) if magnitude else 0.0


@checked
def expectation(psi: MPS, mpo: MPO) -> complex | float:
    """Return <psi|mpo|psi> / <psi|psi>; a float, complex where an array is complex.

    An imaginary part is never dropped. Raises `ArgumentError` for the zero state, `SizeError`
    where sites differ. Cost O(L site operator bond^3).

    >>> import numpy as np
    >>> up = MPS.from_arrays([np.array([2.0, 0.0]).reshape(1, 2, 1)])
    >>> expectation(up, MPO.from_arrays([np.diag([0.5, -0.5])[None, :, :, None]]))
    0.5
    """
    log = log_norm(psi)
    if not math.isfinite(log):
        raise ArgumentError("the zero state has no expectation values")
    mantissa, scale = _scaled_sandwich(psi, mpo, psi)
    return _unscaled(mantissa, scale - 2 * log, "the expectation value")


@checked
def to_dense(chain: MPS | MPO, *, memory_limit: float | None = 4 * 2**30) -> Array:
    """Return a state as one array with an axis a site, or an operator as one matrix.

    An operator gives (rows, columns), site 0 varying slowest in both. The array is of the library
    of the chain. memory_limit: bytes; `MemoryLimitError` is raised before allocating more (4 GiB
    by default, None for no limit). Raises `ScaleError` where log_scale leaves the float range.

    >>> import numpy as np
    >>> to_dense(MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]]))
    array([[1., 0.],
           [0., 1.]])
    """
    itemsize = np.dtype(dtype_name(chain.dtype)).itemsize
    count = math.prod(math.prod(array.shape[1:-1]) for array in chain.arrays)
    check_memory(2 * itemsize * count, memory_limit, f"a dense form of {len(chain)} sites")
    dense = chain.arrays[0]
    for array in chain.arrays[1:]:
        l = array.shape[0]
        dense = reshape(dense, (-1, l)) @ reshape(array, (l, -1))
    if chain.log_scale:
        dense = Scaled(dense, chain.log_scale).value
    if isinstance(chain, MPS):
        return reshape(dense, chain.site_dims)
    pairs = [d for pair in zip(chain.out_dims, chain.in_dims, strict=True) for d in pair]
    order = (*range(0, len(pairs), 2), *range(1, len(pairs), 2))
    dense = namespace(dense).permute_dims(reshape(dense, tuple(pairs)), order)
    return reshape(dense, (math.prod(chain.out_dims), math.prod(chain.in_dims)))
