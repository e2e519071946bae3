"""Correlators: tables of few sites that mend the conditionals of a chain, one site after the other.

A chain knows of the sites before a site what its bond carries. The mended distribution is
p(x) = prod_k p_k(x_k | x_<k) with

    ln p_k(v | x_<k) = (scale_k + sum_P S_kP[x_P]) ln q_k(v | x_<k)
                       + bias_k[v] + sum_j pairs_kj[v, x_j] + sum_P T_kP[v, x_P] + const

where q_k are the conditionals of the chain, j runs over all sites before k and P over plaquettes of
a few of them. A table of a plaquette belongs to one site, with S = 0, or to all sites that see the
same neighbours before them. Without q these are the factors of a correlator product state
(Changlani, Kinder, Umrigar and Chan, Phys. Rev. B 80, 245116, 2009), here normalised site by site,
as in autoregressive tensor networks (Liu, Li, Zhang and Zhang, Phys. Rev. E 107, L012103, 2023):
likelihoods and draws stay exact. The first value of a site is what the others are measured from:
its factors are one.
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
    "Plaquette",
    "chain_logs",
    "draw_on",
    "log_conditionals",
    "mended",
    "near_plaquettes",
    "no_correlators",
    "shared_plaquettes",
]

Array: TypeAlias = Any

_TINY = 1e-12  # the least probability of a value that a chain is taken at
_SMALLEST = 1e-30  # of a norm squared: below lies what single precision cannot tell from zero


@dataclass(frozen=True, slots=True, eq=False)
class Plaquette:
    """A table over a few sites before each site, arrays of one library.

    places: (site, member), integers: the earlier sites that a site's entries depend on; the number
    of sites where a member is missing, which reads as value 0. starts: (site,) integers, the row of
    the table where the entries of a site begin; sites with the same start share them. table:
    (entry, d - 1), the first member counting fastest: what is added to ln p of every value but the
    first; of (entry, d) the first column is added to the scale.
    """

    places: Array
    starts: Array
    table: Array


@dataclass(frozen=True, slots=True, eq=False)
class Correlators:
    """The factors, arrays of one library; d: most values a site takes, sites of fewer are padded.

    scale (site,), bias (site, d - 1), pairs (site (d - 1), site (d - 1)): zero where the second
    site does not stand before the first. absent: (site, d), -inf for values that a site does not
    take, else 0.
    """

    scale: Array
    bias: Array
    pairs: Array
    plaquettes: tuple[Plaquette, ...]
    absent: Array

    @property
    def parameters(self) -> int:
        """Number of stored factors that can differ from one."""
        sites, free = self.bias.shape
        pairs = sites * (sites - 1) // 2 * free**2
        tables = sum(int(p.table.shape[0] * p.table.shape[1]) for p in self.plaquettes)
        return int(sites * (1 + free) + pairs) + tables

    def placed(self, place: Callable[[Array], Array]) -> Correlators:
        """Return the same factors where `place` puts an array."""
        return Correlators(
            place(self.scale),
            place(self.bias),
            place(self.pairs),
            tuple(
                Plaquette(place(p.places), place(p.starts), place(p.table)) for p in self.plaquettes
            ),
            place(self.absent),
        )


def no_correlators(dims: Sequence[int], plaquettes: Sequence[Plaquette] = ()) -> Correlators:
    """Return the factors that change nothing, beside these plaquettes, in NumPy's float64."""
    sites, most = len(dims), max(dims)
    free = most - 1
    return Correlators(
        np.ones(sites),
        np.zeros((sites, free)),
        np.zeros((sites * free, sites * free)),
        tuple(plaquettes),
        np.where(np.arange(most) < np.array(dims)[:, None], 0.0, -np.inf),
    )


def near_plaquettes(
    closeness: npt.NDArray[np.float64], most: int, plaquettes: int, width: int
) -> tuple[Plaquette, ...]:
    """Return plaquettes of each site's closest earlier sites, a table of zeros of each site's own.

    closeness: (site, site), larger is closer; of equal ones the later site is closer. most: values
    a site takes. The first plaquette holds the `width` closest, each further one the closest two
    and the next width - 2.
    """
    sites = len(closeness)
    ranks = _ranks(plaquettes, width, min(2, width - 1))
    needed = max(map(max, ranks), default=0) + 1
    nearest = np.full((sites, needed), sites, dtype=np.intp)
    for site in range(1, sites):
        back = np.arange(site)[::-1]
        found = back[np.argsort(-closeness[site, back], kind="stable")][:needed]
        nearest[site, : len(found)] = found
    starts = np.arange(sites) * most**width
    table = np.zeros((sites * most**width, most - 1))
    return tuple(Plaquette(nearest[:, members], starts, table.copy()) for members in ranks)


def shared_plaquettes(
    order: npt.NDArray[np.intp],
    image_shape: tuple[int, int],
    most: int,
    plaquettes: int,
    width: int,
) -> tuple[Plaquette, ...]:
    """Return plaquettes of the pixels around each, one table of zeros for all of an image.

    order: (site,), the pixel of each site. The first plaquette is a window of the `width` closest
    pixels, each further one of the closest four and the next width - 4. Of a window a site sees the
    pixels that come before its own, and those beyond the edge, as value 0: sites that see the same
    part of it share their entries. Windows that reach beyond any image of this shape are left out.
    """
    sites, extents = len(order), np.array(image_shape)
    steps = [np.arange(1 - extent, extent) for extent in image_shape]
    reach = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
    closest = reach[np.argsort((reach**2).sum(axis=1), kind="stable")][1:]
    at = np.stack(np.divmod(order, image_shape[1]), axis=1)
    site_of = np.argsort(order)
    found = []
    for ranks in _ranks(plaquettes, width, min(4, width - 1)):
        if ranks[-1] >= len(closest):
            break
        spots = at[:, None] + closest[ranks]
        inside = np.logical_and.reduce((spots >= 0) & (spots < extents), axis=2)
        pixels = np.where(inside[..., None], spots, 0) @ (image_shape[1], 1)
        places = np.where(inside, site_of[pixels], sites)
        seen = ~inside | (places < np.arange(sites)[:, None])
        parts, kind = np.unique(seen, axis=0, return_inverse=True)
        ends = np.cumsum(most ** parts.sum(axis=1))
        first = np.argsort(~seen, axis=1, kind="stable")
        places = np.take_along_axis(np.where(seen, places, sites), first, axis=1)
        starts = np.concatenate([[0], ends[:-1]])[kind.reshape(-1)]
        found.append(Plaquette(places, starts, np.zeros((ends[-1], most))))
    return tuple(found)


def _ranks(plaquettes: int, width: int, kept: int) -> list[list[int]]:
    """Return by their rank the `width` closest, then the closest few with the next ones."""
    ranks = [list(range(width))]
    for number in range(1, plaquettes):
        first = width + (number - 1) * (width - kept)
        ranks.append([*range(kept), *range(first, first + width - kept)])
    return ranks[:plaquettes]


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
    scale = correlators.scale[sites, None]
    if correlators.plaquettes:
        more, steps = _looked_up(xp, correlators.plaquettes, samples, sites, most)
        scale, moved = scale + more, moved + steps
    scaled = logs * scale
    mixed = xp.concat([scaled[:, :, :1], scaled[:, :, 1:] + moved], axis=2)
    mixed = mixed + correlators.absent[sites]
    highest = xp.max(mixed, axis=2, keepdims=True)
    return mixed - highest - xp.log(xp.sum(xp.exp(mixed - highest), axis=2, keepdims=True))


def _looked_up(
    xp: Any, plaquettes: Sequence[Plaquette], samples: Array, sites: slice, most: int
) -> tuple[Array | float, Array]:
    """Return what plaquettes add at some sites to scales, (sample, site, 1), and to values."""
    by_site = xp.astype(samples.T, xp.int32)  # so that a site's values are copied in one piece
    by_site = xp.concat([by_site, xp.zeros_like(by_site[:1])], axis=0)
    scale, moved = 0.0, 0.0
    for plaquette in plaquettes:
        places = plaquette.places[sites]
        some, members = places.shape
        entry = xp.astype(plaquette.starts[sites], xp.int32)[:, None]
        for member in range(members):
            entry = entry + by_site[places[:, member]] * most**member
        entry = xp.astype(xp.reshape(entry, (-1,)), xp.int64)  # torch's take is slow in others
        values = xp.take(plaquette.table, entry, axis=0)
        values = xp.permute_dims(xp.reshape(values, (some, len(samples), -1)), (1, 0, 2))
        if values.shape[2] == most:
            scale = scale + values[:, :, :1]
        moved = moved + values[:, :, 1 - most :]
    return scale, moved


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
