"""A tree of pair distributions as a state, exactly: where training may start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from born_machine.baselines import Forest, forest_of
from born_machine.data import Samples
from born_machine.pairs import pair_information
from tnkit import MPS, Truncation, compress

__all__ = ["forest_state", "narrow_tree", "tree_state"]

_INDEPENDENT = 1e-12  # nats of mutual information
_ROUNDING = 1e-7  # of the largest Schmidt value: float32 knows no smaller ones


def tree_state(samples: Samples, dims: tuple[int, ...], largest_bond: int) -> MPS:
    """Return the state with |psi(x)|^2 = p(x) of the Chow-Liu tree, or what bonds hold of it.

    samples: (sample, site) in site order, negative where missing; dims: values a site takes. The
    tree is that of Chow and Liu (1968) where `largest_bond` is large enough for it in this order,
    see `narrow_tree`, its counts raised by one half (seen from another root, or where pairs tie, a
    little differently than by `chow_liu`). Schmidt values below 1e-7 of the largest, less
    than float32 tells from zero, are left out. Cost O(samples (sites levels)^2) for the
    pairs, O(sites bond^3) for the state. psi is positive and in double precision.
    """
    parents = narrow_tree(pair_information(samples), dims, largest_bond)
    exact = forest_state(forest_of(samples, dims, parents))
    return compress(exact, Truncation(value_cutoff=_ROUNDING)).state


def narrow_tree(
    information: npt.NDArray[np.float64], dims: tuple[int, ...], largest_bond: int
) -> npt.NDArray[np.intp]:
    """Return the parent of every site, -1 for a root, in a tree of large mutual information.

    information: (site, site), in nats. A bond carries the value of each site that has
    relatives (itself or children) on both sides, so it is as large as the product of their dims.
    The tree grows by the pair of largest information at a time (Prim, Bell Syst. Tech. J. 36, 1389,
    1957), which gives the tree of largest sum, but a pair that would make some bond larger than
    `largest_bond` is passed over; what then finds no parent is a root too. Cost O(sites^2), and
    O(sites) for every pair passed over.

    >>> pairs = np.array([[0.0, 0.1, 0.5], [0.1, 0.0, 0.4], [0.5, 0.4, 0.0]])
    >>> narrow_tree(pairs, (2, 2, 2), 4).tolist()
    [2, 2, -1]
    >>> narrow_tree(pairs, (2, 2, 2), 1).tolist()
    [-1, -1, -1]
    """
    count = len(dims)
    gain = (information + information.T) / 2  # its halves differ by rounding
    np.fill_diagonal(gain, 0.0)
    size = np.log2(dims)
    most = np.log2(largest_bond) + 1e-9
    load = np.zeros(count)  # of the bond after each site
    first, last = np.arange(count), np.arange(count)  # from where to where a site is carried
    parents = np.full(count, -1, dtype=np.intp)
    outside = np.ones(count, dtype=bool)
    best, value = parents.copy(), gain.sum(axis=0)  # the first root has the most to say
    while outside.any():
        site = int(np.where(outside, value, -1.0).argmax())
        parent = int(best[site])
        if parent >= 0:
            low, high = min(first[parent], site), max(last[parent], site)
            added = np.r_[low : first[parent], last[parent] : high]
            if (load[added] + size[parent]).max(initial=0.0) > most:
                gain[site, parent] = 0.0
                inside = np.where(outside, 0.0, gain[site])
                value[site] = inside.max()
                best[site] = inside.argmax() if value[site] > _INDEPENDENT else -1
                continue
            load[added] += size[parent]
            first[parent], last[parent] = low, high
            parents[site] = parent
        elif outside.all():
            value[:] = _INDEPENDENT
        outside[site] = False
        nearer = gain[:, site] > value
        best[nearer], value[nearer] = site, gain[nearer, site]
    return parents


def forest_state(forest: Forest) -> MPS:
    """Return the state psi(x) = sqrt(p(x)) of a forest over the sites, exact and not canonical.

    A bond carries the values of the sites that have relatives on both sides: its size is at most
    the product of their dims. Cost O(sites bond^3).

    >>> forest = forest_of(np.array([[0, 0], [1, 1]]), (2, 2), np.array([-1, 0]))
    >>> psi = forest_state(forest)
    >>> psi_11 = psi.arrays[0][:, 1] @ psi.arrays[1][:, 1]
    >>> round(psi_11.item() ** 2, 9)  # 1/2 times 3/4
    0.375
    """
    parents = forest.parents.tolist()
    dims = [table.shape[1] for table in forest.tables]
    last = list(range(len(parents)))
    for site, parent in enumerate(parents):
        if parent >= 0:
            last[parent] = max(last[parent], site)
    carried: list[int] = []  # sites whose values the axes of `rest` from 1 on stand for
    rest: npt.NDArray[np.float64] = np.ones(1)
    arrays = []
    for site, (parent, table) in enumerate(zip(parents, forest.tables, strict=True)):
        for other in (parent, site):
            if other >= 0 and other not in carried:
                rest = np.repeat(rest[..., None], dims[other], axis=-1)
                carried.append(other)
        asked = [site] if parent < 0 else [parent, site]
        root = np.sqrt(table[0] if parent < 0 else table)
        rest = rest * _spread(root, [1 + carried.index(one) for one in asked], rest.ndim)
        # the value becomes the index of the site, its axis stays for relatives that are to come
        rest = np.moveaxis(rest, 1 + carried.index(site), 1)
        carried.remove(site)
        if last[site] > site:
            rest = rest[:, :, None] * _spread(np.eye(dims[site]), [1, 2], rest.ndim + 1)
            carried.insert(0, site)
        if parent >= 0 and last[parent] == site:
            rest = rest.sum(axis=2 + carried.index(parent))
            carried.remove(parent)
        left, here = rest.shape[:2]
        q, r = np.linalg.qr(rest.reshape(left * here, -1))
        arrays.append(q.reshape(left, here, -1))
        rest = r.reshape(-1, *rest.shape[2:])
    arrays[-1] = arrays[-1] * rest.item()
    return MPS.from_arrays(arrays)


def _spread(
    array: npt.NDArray[np.float64], axes: Sequence[int], ndim: int
) -> npt.NDArray[np.float64]:
    """Return the array with its axes in these places among `ndim`, the others of length one."""
    shape = [1] * ndim
    for axis, length in zip(axes, array.shape, strict=True):
        shape[axis] = length
    return array.transpose(np.argsort(axes)).reshape(shape)
