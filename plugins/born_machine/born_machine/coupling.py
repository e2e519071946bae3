"""A site order by annealing: what depends on each other when all else is known lies close."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.curves import Order
from born_machine.data import Samples

__all__ = ["arrangement", "partial_information"]

Matrix: TypeAlias = npt.NDArray[np.float64]

_CHUNK = 8192
_PRIOR = 0.01  # variance added to every value: keeps values that hardly occur from counting much
_STEPS, _STEPS_A_SITE = 20_000, 200  # at most, of annealing
_HOT, _COLD = 0.3, 1e-3  # temperatures, of the mean cost a site


def partial_information(samples: Samples) -> tuple[Matrix, Matrix]:
    """Return what each two features say of each other when all others are known, and by chance.

    samples: (sample, feature) integers, negative where missing (taken for the mean). Both
    (feature, feature), in nats: the conditional mutual information -1/2 ln(1 - r^2) of normal
    variables with the covariance of the values' indicators, raised by .01 on the diagonal, r the
    partial correlation (for more than two values the norm of the block of them, at most one); and
    what independent features would exceed in one of features^2 pairs, from the chi-squared
    distribution. Cost O(samples values^2 + values^3).
    """
    from scipy.linalg import block_diag
    from scipy.stats import chi2

    count = samples.shape[1]
    free = samples.max(axis=0, initial=0).astype(int)  # the first value is what is left
    owner = np.repeat(np.arange(count), free)
    values = np.concatenate([np.arange(1, most + 1) for most in free])
    present = np.maximum((samples >= 0).sum(axis=0), 1)
    mean = np.array([(samples[:, f] == v).sum() for f, v in zip(owner, values, strict=True)])
    mean = mean / present[owner]
    covariance = np.zeros((len(values), len(values)))
    for first in range(0, len(samples), _CHUNK):
        taken = samples[first : first + _CHUNK, owner]
        off = np.where(taken >= 0, (taken == values) - mean, 0.0)
        covariance += off.T @ off
    precision = np.linalg.inv(covariance / len(samples) + _PRIOR * np.eye(len(values)))
    ends = np.cumsum(free)
    blocks = [precision[e - m : e, e - m : e] for e, m in zip(ends, free, strict=True) if m]
    white = block_diag(*(np.linalg.inv(np.linalg.cholesky(block)) for block in blocks))
    correlation = white @ precision @ white.T if blocks else precision
    member = (owner[:, None] == np.arange(count)).astype(float)
    squared = np.minimum(member.T @ correlation**2 @ member, 1.0 - 1e-9)
    information = -np.log1p(-squared) / 2
    np.fill_diagonal(information, 0.0)
    freedom = np.maximum(np.outer(free, free), 1)
    chance = chi2.isf(1.0 / max(count, 2) ** 2, freedom) / (2 * max(len(samples), 1))
    return information, chance


def arrangement(weights: Matrix, start: Order, seed: int = 0) -> Order:
    """Return an order in which the sum over pairs of weight times root of distance is small.

    weights: (feature, feature), symmetric, from 0 up; start: the order to begin with, which the
    result never exceeds. Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 671,
    1983): at each of at most 20,000 steps the line falls into windows of one length; in each, two
    parts change places and may be reversed, if the cost allows; the best order met is returned.
    Moves in neighbouring windows see each other's old places. Cost O(sites + pairs of weight) a
    step.

    >>> chain = np.diag(np.ones(5), 1)  # 0 1 2 3 4 5 in line
    >>> arrangement(chain + chain.T, np.array([3, 0, 5, 1, 4, 2])).tolist()
    [5, 4, 3, 2, 1, 0]
    """
    count = len(start)
    if count < 3:
        return start
    rng = np.random.default_rng(seed)
    a, b = np.nonzero(np.triu(weights, 1))
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
