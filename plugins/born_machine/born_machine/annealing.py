"""Lay features in line so that pairs of large weight lie close: simulated annealing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from born_machine.curves import Order

__all__ = ["arrangement"]

_STEPS, _STEPS_A_SITE = 20_000, 200  # at most
_PAIRS_A_SITE = 20
_HOT, _COLD = 0.3, 1e-3  # temperatures, of the mean cost a site


def arrangement(weights: npt.NDArray[np.float64], start: Order, seed: int = 0) -> Order:
    """Return an order in which the sum over pairs of weight times root of distance is small.

    weights: (feature, feature), symmetric, from 0 up; only the heaviest 20 pairs a feature are
    looked at, whose sum the result has no larger than `start`. Simulated annealing (Kirkpatrick,
    Gelatt and Vecchi, Science 220, 671, 1983): at each of at most 20,000 steps the line falls into
    windows of one length; in each, two parts change places and may be reversed, if the cost allows;
    the best order met is returned. Moves in neighbouring windows see each other's old places. seed:
    of the moves; the same arguments give the same order. Cost O(features + pairs) a step: seconds
    for 784 pixels.

    >>> chain = np.diag(np.ones(5), 1)  # 0 1 2 3 4 5 in line
    >>> arrangement(chain + chain.T, np.array([3, 0, 5, 1, 4, 2])).tolist()
    [5, 4, 3, 2, 1, 0]
    """
    count = len(start)
    if count < 3 or not weights.any():
        return start
    rng = np.random.default_rng(seed)
    a, b = np.nonzero(np.triu(weights, 1))
    if len(a) > _PAIRS_A_SITE * count:
        heaviest = np.argpartition(weights[a, b], -_PAIRS_A_SITE * count)[-_PAIRS_A_SITE * count :]
        a, b = a[heaviest], b[heaviest]
    weight = weights[a, b]
    root = np.sqrt(np.arange(count))
    place = np.argsort(start)
    cost = weight * root[np.abs(place[a] - place[b])]
    best, least = place, cost.sum()
    steps = min(_STEPS, _STEPS_A_SITE * count)
    temperatures = least / count * np.geomspace(_HOT, _COLD, steps)
    longest = max(count / 4, min(count, 8))
    lengths = 2 * (longest / 2) ** rng.random(steps)
    for temperature, length in zip(temperatures, lengths.astype(int), strict=True):
        offset = int(rng.integers(min(length, count - length + 1)))
        windows = (count - offset) // length
        window, at = np.divmod(place - offset, length)  # -1 before the first window
        cut = rng.integers(length, size=windows + 2)[window]
        turned = rng.random((2, windows + 2)) < 0.5
        moved = np.where(
            at < cut,
            length - cut + np.where(turned[0, window], cut - 1 - at, at),
            np.where(turned[1, window], length - 1 - at, at - cut),
        )
        moved += place - at
        moved = np.where((window >= 0) & (window < windows), moved, place)
        one, other = window[a], window[b]
        same = one == other
        for_one = weight * root[np.abs(moved[a] - np.where(same, moved[b], place[b]))] - cost
        for_other = np.where(same, 0.0, weight * root[np.abs(place[a] - moved[b])] - cost)
        change = np.bincount(one + 1, for_one, windows + 2)
        change += np.bincount(other + 1, for_other, windows + 2)
        taken = change <= temperature * rng.exponential(size=windows + 2)
        place = np.where(taken[window + 1], moved, place)
        cost = weight * root[np.abs(place[a] - place[b])]
        if cost.sum() < least:
            best, least = place, cost.sum()
    order: Order = np.argsort(best).astype(np.intp)
    return order
