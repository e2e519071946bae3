"""Correlators: tables of few sites that mend the conditionals of a chain, one site after the other.

A chain knows of the sites before a site what its bond carries. The mended distribution is
p(x) = prod_k p_k(x_k | x_<k) with

    ln p_k(v | x_<k) = scale_k ln q_k(v | x_<k) + bias_k[v] + sum_j pairs_kj[v, x_j]
                       + sum_P T_kP[v, x_P] + const

where q_k are the conditionals of the chain, j runs over all sites before k and P over plaquettes of
a few of them. Without q these are the factors of a correlator product state (Changlani, Kinder,
Umrigar and Chan, Phys. Rev. B 80, 245116, 2009), here normalised site by site, as in autoregressive
tensor networks (Liu, Li, Zhang and Zhang, Phys. Rev. E 107, L012103, 2023): likelihoods and draws
stay exact. The first value of a site is what the others are measured from: its factors are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tnkit import namespace

__all__ = [
    "Correlators",
    "chain_logs",
    "draw_on",
    "log_conditionals",
    "mended",
    "no_correlators",
    "plaquette_places",
]

Array: TypeAlias = Any

_TINY = 1e-12  # the least probability of a value that a chain is taken at
_SMALLEST = 1e-30  # of a norm squared: below lies what single precision cannot tell from zero


@dataclass(frozen=True, slots=True, eq=False)
class Correlators:
    """The factors, arrays of one library; d: most values a site takes, sites of fewer are padded.

    scale (site,), bias (site, d - 1), pairs (site (d - 1), site (d - 1)): zero where the second
    site does not stand before the first. places: of each plaquette an integer array (site, member)
    of earlier sites; the number of sites where a member is missing, which reads as value 0. tables:
    of each plaquette (site d^member, d - 1), the first member counting fastest. absent: (site, d),
    -inf for values that a site does not take, else 0.
    """

    scale: Array
    bias: Array
    pairs: Array
    places: tuple[Array, ...]
    tables: tuple[Array, ...]
    absent: Array

    @property
    def parameters(self) -> int:
        """Number of stored factors that can differ from one."""
        sites, free = self.bias.shape
        pairs = sites * (sites - 1) // 2 * free**2
        tables = sum(int(t.shape[0] * t.shape[1]) for t in self.tables)
        return int(sites * (1 + free) + pairs) + tables

    def placed(self, place: Callable[[Array], Array]) -> Correlators:
        """Return the same factors where `place` puts an array."""
        return Correlators(
            place(self.scale),
            place(self.bias),
            place(self.pairs),
            tuple(map(place, self.places)),
            tuple(map(place, self.tables)),
            place(self.absent),
        )


def no_correlators(dims: Sequence[int], places: Sequence[npt.NDArray[np.intp]] = ()) -> Correlators:
    """Return the factors that change nothing, over plaquettes at `places`, in NumPy's float64."""
    sites, most = len(dims), max(dims)
    free = most - 1
    return Correlators(
        np.ones(sites),
        np.zeros((sites, free)),
        np.zeros((sites * free, sites * free)),
        tuple(places),
        tuple(np.zeros((sites * most ** where.shape[1], free)) for where in places),
        np.where(np.arange(most) < np.array(dims)[:, None], 0.0, -np.inf),
    )


def plaquette_places(
    closeness: npt.NDArray[np.float64], plaquettes: int, width: int
) -> tuple[npt.NDArray[np.intp], ...]:
    """Return which earlier sites each plaquette of each site holds, by how close they are.

    closeness: (site, site), larger is closer; of equal ones the later site is closer. The first
    plaquette holds the `width` closest, each further one the closest two and the next width - 2.
    """
    sites = len(closeness)
    kept = min(2, width - 1)
    ranks = [list(range(width))]
    for number in range(1, plaquettes):
        first = width + (number - 1) * (width - kept)
        ranks.append([*range(kept), *range(first, first + width - kept)])
    needed = max(ranks[-1]) + 1
    nearest = np.full((sites, needed), sites, dtype=np.intp)
    for site in range(1, sites):
        back = np.arange(site)[::-1]
        found = back[np.argsort(-closeness[site, back], kind="stable")][:needed]
        nearest[site, : len(found)] = found
    return tuple(nearest[:, members] for members in ranks[:plaquettes])


def chain_logs(arrays: Sequence[Array], samples: Array) -> Array:
    """Return ln q_k(v | x_<k) of a chain, (sample, site, value), at least ln 1e-12.

    arrays: (left, value, right), all but the first right-orthonormal. samples: (sample, site)
    integers of the same library. Values a site does not take are padded. Cost O(samples sites
    bond^2 values).
    """
    xp = namespace(samples)
    samples = xp.astype(samples, xp.int64)
    count, most = samples.shape[0], max(array.shape[1] for array in arrays)
    rows = xp.arange(count, device=samples.device)
    vectors = xp.ones((count, 1), dtype=arrays[0].dtype, device=samples.device)
    weights = []
    for site, array in enumerate(arrays):
        branches, weight = _branches(xp, array, vectors, most)
        vectors = _along(branches, weight, rows, samples[:, site])
        weights.append(weight)
    return _logs(xp, xp.stack(weights, axis=1))


def _branches(xp: Any, array: Array, vectors: Array, most: int) -> tuple[Array, Array]:
    """Return the vectors with a site added, (sample, value, right), and their squares summed."""
    left, values, right = array.shape
    branches = xp.reshape(
        vectors @ xp.reshape(array, (left, values * right)), (len(vectors), values, right)
    )
    weights = xp.sum(xp.abs(branches) ** 2, axis=2)
    if values < most:
        shape = (len(vectors), most - values)
        none = xp.zeros(shape, dtype=weights.dtype, device=weights.device)
        weights = xp.concat([weights, none], axis=1)
    return branches, weights


def _along(branches: Array, weights: Array, rows: Array, values: Array) -> Array:
    """Return the branch of each sample's value, of norm one; what is all but zero stays so."""
    return branches[rows, values] / (weights[rows, values, None] + _SMALLEST) ** 0.5


def _logs(xp: Any, weights: Array) -> Array:
    """Return ln q of values with these weights, (..., value)."""
    shares = weights / (xp.sum(weights, axis=-1, keepdims=True) + _SMALLEST)
    return xp.log(xp.where(shares > _TINY, shares, xp.full_like(shares, _TINY)))


def mended(
    correlators: Correlators, logs: Array, samples: Array, sites: slice = slice(None)
) -> Array:
    """Return ln p_k(v | x_<k) at some sites, (sample, site, value), from the chain's logs there.

    samples: (sample, site) integers, of which those before k count. Works on arrays that record
    gradients. Cost O(samples sites^2 values^2).
    """
    xp = namespace(samples)
    count, length = samples.shape
    most = logs.shape[2]
    free = most - 1
    bias = correlators.bias[sites]
    some = bias.shape[0]
    hot = xp.stack([xp.astype(samples == v, logs.dtype) for v in range(1, most)], axis=2)
    first = range(length)[sites][0]
    pairs = correlators.pairs[first * free : (first + some) * free]
    moved = xp.reshape(xp.reshape(hot, (count, -1)) @ pairs.T, (count, some, free)) + bias
    if correlators.places:
        moved = moved + _looked_up(xp, correlators, samples, sites, first, most)
    scaled = logs * correlators.scale[sites, None]
    mixed = xp.concat([scaled[:, :, :1], scaled[:, :, 1:] + moved], axis=2)
    mixed = mixed + correlators.absent[sites]
    highest = xp.max(mixed, axis=2, keepdims=True)
    return mixed - highest - xp.log(xp.sum(xp.exp(mixed - highest), axis=2, keepdims=True))


def _looked_up(
    xp: Any, correlators: Correlators, samples: Array, sites: slice, first: int, most: int
) -> Array:
    """Return the sum of the plaquettes' entries at some sites, (sample, site, value but 0)."""
    by_site = xp.astype(samples.T, xp.int32)  # so that a site's values are copied in one piece
    by_site = xp.concat([by_site, xp.zeros_like(by_site[:1])], axis=0)
    total = 0.0
    for places, table in zip(correlators.places, correlators.tables, strict=True):
        here = places[sites]
        some, members = here.shape
        entry = xp.arange(first, first + some, dtype=xp.int32, device=samples.device)[:, None]
        entry = entry * most**members
        for member in range(members):
            entry = entry + by_site[here[:, member]] * most**member
        entry = xp.astype(xp.reshape(entry, (-1,)), xp.int64)  # torch's take is slow in others
        values = xp.take(table, entry, axis=0)
        total = total + xp.reshape(values, (some, len(samples), most - 1))
    return xp.permute_dims(total, (1, 0, 2))


def log_conditionals(arrays: Sequence[Array], correlators: Correlators, samples: Array) -> Array:
    """Return ln p_k(x_k | x_<k) of every sample at every site, (sample, site)."""
    xp = namespace(samples)
    logs = mended(correlators, chain_logs(arrays, samples), samples)
    index = xp.astype(samples, xp.int64)[:, :, None]
    return xp.take_along_axis(logs, index, axis=2)[:, :, 0]


def draw_on(
    arrays: Sequence[Array],
    correlators: Correlators,
    samples: Array,
    known: Array,
    uniform: Array,
) -> Array:
    """Draw the sites after the first known[s] of every sample s, exactly; return whole samples.

    samples: (sample, site), read at the known sites. known: (sample,) integers. uniform: (sample,
    site) numbers drawn from [0, 1). Cost O(samples (sites bond^2 values + sites^2 values^2)).
    """
    xp = namespace(samples)
    count, most = samples.shape[0], correlators.absent.shape[1]
    rows = xp.arange(count, device=samples.device)
    given, drawn = xp.astype(samples, xp.int64), xp.zeros_like(samples)
    vectors = xp.ones((count, 1), dtype=arrays[0].dtype, device=samples.device)
    for site, array in enumerate(arrays):
        branches, weights = _branches(xp, array, vectors, most)
        logs = _logs(xp, weights)[:, None, :]
        shares = xp.exp(mended(correlators, logs, drawn, slice(site, site + 1))[:, 0, :])
        below = xp.cumulative_sum(shares, axis=1)
        threshold = uniform[:, site] * below[:, -1]
        values = xp.sum(xp.astype(below[:, :-1] <= threshold[:, None], xp.int64), axis=1)
        values = xp.where(known > site, given[:, site], values)
        drawn[:, site] = xp.astype(values, drawn.dtype)
        vectors = _along(branches, weights, rows, values)
    return drawn
