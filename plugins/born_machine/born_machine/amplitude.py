"""psi(x) of a whole batch at once, with a log scale a sample; left and right vectors for training.

The kernels take bare arrays, NumPy's or PyTorch's. They work on samples sorted by the values at a
bond, so that every product is one matrix product over a contiguous slice, and one gather carries
the vectors from one bond's order to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tnkit import namespace

__all__ = [
    "BondOrder",
    "PairSlice",
    "SampleVectors",
    "absorb_site",
    "at_least",
    "bond_orders",
    "chosen_pairs",
    "log_amplitudes",
    "place_dtype",
]

Array: TypeAlias = Any
Samples: TypeAlias = npt.NDArray[np.integer[Any]]

_CHUNK = 4096
_SMALLEST = 1e-37  # near the smallest normal float32


class PairSlice(NamedTuple):
    """Samples start:stop of a bond's order have value `first` at its left site, `second` right."""

    first: int
    second: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class BondOrder:
    """The samples sorted by their values at the two sites of a bond.

    pairs: the slices that hold a pair of values, in order; pairs that no sample has are absent.
    firsts: the coarser slices with one value at the left site (`second` is -1).
    to_next, to_previous: (sample,) gathers from this order to that of the neighbouring bond; None
    at the ends of the chain, where the order stays.
    """

    pairs: tuple[PairSlice, ...]
    firsts: tuple[PairSlice, ...]
    to_next: Array | None
    to_previous: Array | None


class SampleVectors(NamedTuple):
    """One side of the chain contracted with every sample.

    vectors: (sample, bond), each row of norm one; logs: (sample,) float64 logarithms of what was
    divided out. Rows stand in the order of the bond at which they will be used next.
    """

    vectors: Array
    logs: Array


def bond_orders(samples: Samples, dims: Sequence[int], like: Array) -> tuple[BondOrder, ...]:
    """Return the order of every bond of a chain for `samples` (sample, site).

    dims: values a site. like: an array of the library and device on which the gathers shall live.
    Cost O(samples sites), memory two integers of `place_dtype` a sample and bond, one more while
    they are made.
    """
    length = samples.shape[1]
    places = place_dtype(len(samples), like)
    permutations, pairs = [], []
    for k in range(length - 1):
        key = samples[:, k].astype(np.int64) * dims[k + 1] + samples[:, k + 1]
        key = key.astype(np.min_scalar_type(dims[k] * dims[k + 1] - 1))  # short ones sort by radix
        permutation = np.argsort(key, kind="stable")
        values, starts = np.unique(key[permutation], return_index=True)
        stops = np.append(starts[1:], len(key))
        permutations.append(permutation.astype(places, copy=False))
        pairs.append(
            tuple(
                PairSlice(int(v) // dims[k + 1], int(v) % dims[k + 1], int(a), int(b))
                for v, a, b in zip(values, starts, stops, strict=True)
            )
        )

    def gather(here: int, there: int) -> Array | None:
        if not 0 <= there < length - 1:
            return None
        inverse = np.empty_like(permutations[here])
        inverse[permutations[here]] = np.arange(len(inverse), dtype=places)
        return _on_device(inverse[permutations[there]], like)

    return tuple(
        BondOrder(pairs[k], _merged(pairs[k]), gather(k, k + 1), gather(k, k - 1))
        for k in range(length - 1)
    )


def place_dtype(samples: int, like: Array) -> type[np.integer[Any]]:
    """Return the integers that say where a sample stands: short ones where there are many."""
    # below the bound, widening them at every gather would cost more than the memory is worth
    many = 2**14 <= samples < 2**31 and isinstance(like, np.ndarray)
    return np.int32 if many else np.intp


def chosen_pairs(
    pairs: Sequence[PairSlice], rows: npt.NDArray[np.integer[Any]]
) -> tuple[PairSlice, ...]:
    """Return the slices of a bond's order that remain when only `rows`, rising, are kept."""
    starts = np.searchsorted(rows, [pair.start for pair in pairs])
    stops = np.searchsorted(rows, [pair.stop for pair in pairs])
    return tuple(
        PairSlice(pair.first, pair.second, int(start), int(stop))
        for pair, start, stop in zip(pairs, starts, stops, strict=True)
        if start < stop
    )


def _merged(pairs: tuple[PairSlice, ...]) -> tuple[PairSlice, ...]:
    merged: list[PairSlice] = []
    for first, _, start, stop in pairs:
        if merged and merged[-1].first == first:
            merged[-1] = merged[-1]._replace(stop=stop)
        else:
            merged.append(PairSlice(first, -1, start, stop))
    return tuple(merged)


def _on_device(values: np.ndarray, like: Array) -> Array:
    if isinstance(like, np.ndarray):
        return values
    return namespace(like).asarray(values, device=like.device)


def absorb_site(
    environment: SampleVectors, array: Array, order: BondOrder, *, rightwards: bool
) -> SampleVectors:
    """Carry every sample's vector over one site.

    rightwards: `array` (left, site, right) is the left site of the bond of `order` and the vectors
    of the sites before it become those up to it, in the order of the next bond. Otherwise it is
    the right site, and the vectors of the sites after it become those from it on, in the order of
    the previous bond. Cost O(samples left right).
    """
    vectors, logs = environment
    xp = namespace(vectors)
    width = array.shape[2 if rightwards else 0]
    out = xp.empty((vectors.shape[0], width), dtype=vectors.dtype, device=vectors.device)
    if rightwards:
        for value, _, start, stop in order.firsts:
            xp.matmul(vectors[start:stop], array[:, value, :], out=out[start:stop])
    else:
        for _, value, start, stop in order.pairs:
            xp.matmul(vectors[start:stop], array[:, value, :].T, out=out[start:stop])
    # a vector that is exactly zero stays zero with a very small log instead of giving NaN
    norms = at_least(row_norms(out), _SMALLEST)
    out /= norms[:, None]
    logs = logs + xp.log(norms)
    gather = order.to_next if rightwards else order.to_previous
    if gather is None:
        return SampleVectors(out, logs)
    return SampleVectors(xp.take(out, gather, axis=0), xp.take(logs, gather, axis=0))


def at_least(array: Array, least: float) -> Array:
    """Return max(array, least) of each element; the number travels with the call to a device.

    A maximum would make it an array there first, a transfer at every call.
    """
    if isinstance(array, np.ndarray | np.generic):
        return np.maximum(array, least)
    return namespace(array).clip(array, least, None)


def row_norms(rows: Array) -> Array:
    """Return the 2-norm of each row of a matrix (sample, bond), real."""
    xp = namespace(rows)
    if rows.dtype in (xp.float32, xp.float64):
        return xp.sqrt(xp.einsum("ij,ij->i", rows, rows))
    return xp.linalg.vector_norm(rows, axis=1)


def log_amplitudes(arrays: Sequence[Array], samples: Array) -> Array:
    """Return ln |psi(x)| of every sample, -inf where psi(x) = 0.

    arrays: (left, site, right) of one library, float64 or complex128 where subsets must score
    alike; samples: (sample, site) integers of the same library and device. Cost
    O(samples sites bond^2), memory O(4096 bond).
    """
    xp = namespace(arrays[0])
    parts = [
        _log_amplitudes(arrays, samples[start : start + _CHUNK])
        for start in range(0, max(1, samples.shape[0]), _CHUNK)  # none: an empty part
    ]
    return parts[0] if len(parts) == 1 else xp.concat(parts)


def _log_amplitudes(arrays: Sequence[Array], samples: Array) -> Array:
    xp = namespace(arrays[0])
    where = arrays[0].device
    count = samples.shape[0]
    vectors = xp.ones((count, 1), dtype=arrays[0].dtype, device=where)
    logs = xp.zeros(count, dtype=xp.float64, device=where)
    for k, array in enumerate(arrays):
        out = xp.empty((count, array.shape[2]), dtype=vectors.dtype, device=where)
        for value in range(array.shape[1]):
            (rows,) = xp.nonzero(samples[:, k] == value)
            if rows.shape[0]:
                out[rows] = vectors[rows] @ array[:, value, :]
        norms = row_norms(out)
        possible = norms != 0  # NaN stays NaN: it is an error, not an impossible sample
        logs = xp.where(possible, logs + xp.log(xp.where(possible, norms, 1.0)), -xp.inf)
        vectors = out / xp.where(possible, norms, 1.0)[:, None]
    return logs
