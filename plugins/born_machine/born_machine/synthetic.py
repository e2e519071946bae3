"""Samples of distributions that are known exactly: bars and stripes, parity, the Ising model."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tnkit import ArgumentError, MemoryLimitError

__all__ = ["CRITICAL_BETA", "bars_and_stripes", "ising_samples", "parity_samples"]

Samples: TypeAlias = npt.NDArray[np.integer[Any]]

CRITICAL_BETA = math.log(1 + math.sqrt(2)) / 2
"""Inverse temperature of the square lattice's transition (Onsager, Phys. Rev. 65, 117, 1944)."""

_WIDEST = 13  # 2^13 states a row: a transfer matrix of half a gigabyte


def bars_and_stripes(height: int = 4, width: int = 4) -> Samples:
    """Return every image made of whole rows or of whole columns, once each (sample, pixel).

    There are 2^height + 2^width - 2 of them: 30 for 4 x 4.
    """
    rows = (np.arange(2**height)[:, None] >> np.arange(height)) & 1
    columns = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
    stripes = np.repeat(rows[:, :, None], width, axis=2).reshape(-1, height * width)
    bars = np.repeat(columns[:, None, :], height, axis=1).reshape(-1, height * width)
    return np.unique(np.concatenate((stripes, bars)), axis=0).astype(np.uint8)


def parity_samples(n: int, features: int = 20, *, seed: int = 0) -> tuple[Samples, Samples]:
    """Draw bit strings of even parity over a random half of the bits; return them and that half.

    Uniform over the 2^(features - 1) strings whose bits in the half (a boolean (feature,)) sum to
    an even number: the entropy is (features - 1) ln 2, and no correlation of fewer bits shows
    anything. A matrix product state of bond 2 holds it exactly. samples: (sample, feature).

    >>> samples, half = parity_samples(100, 6, seed=1)
    >>> bool((samples[:, half].sum(axis=1) % 2 == 0).all())
    True
    """
    if n < 1 or features < 2:
        raise ArgumentError(f"expected n >= 1 samples of features >= 2, got {n} of {features}")
    rng = np.random.default_rng(seed)
    half = np.zeros(features, dtype=bool)
    half[rng.choice(features, features // 2, replace=False)] = True
    samples = rng.integers(0, 2, (n, features), dtype=np.uint8)
    last = int(np.flatnonzero(half)[-1])
    samples[:, last] ^= samples[:, half].sum(axis=1).astype(np.uint8) & 1
    return samples, half


def ising_samples(
    n: int, height: int = 8, width: int = 8, *, beta: float = CRITICAL_BETA, seed: int = 0
) -> Samples:
    """Draw independent configurations of the Ising model, exactly: (sample, site) of 0 and 1.

    p(s) ~ exp(beta sum s_i s_j) over neighbours on a height x width square lattice with open
    edges, 1 for spin up. Rows form a Markov chain: each is drawn given the one above, weighted by
    the transfer matrix summed over all rows below. No burn-in, no autocorrelation. Cost
    O((height + n) 4^width); `MemoryLimitError` for a width above 13, `ArgumentError` for sizes
    that are no lattice.
    """
    if n < 1 or height < 1 or width < 1 or not math.isfinite(beta):
        raise ArgumentError(
            f"expected n, height, width >= 1 and a finite beta, got {n}, {height}, {width}, {beta}"
        )
    if width > _WIDEST:
        raise MemoryLimitError(
            f"a row of {width} spins has 2^{width} states; at most {_WIDEST} spins a row "
            "(swap height and width where that is smaller)"
        )
    rng = np.random.default_rng(seed)
    rows = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
    spins = 2.0 * rows - 1.0
    within = np.exp(beta * (spins[:, 1:] * spins[:, :-1]).sum(axis=1))
    between = np.exp(beta * (spins @ spins.T - width))
    below = [np.ones(2**width)]  # of each row, from the last: the weight of all that follows it
    for _ in range(height - 1):
        weight = between @ (within * below[-1])
        below.append(weight / weight.max())
    state = _draw(np.broadcast_to(within * below.pop(), (n, 2**width)), rng)
    drawn = [state]
    while below:
        following = within * below.pop()
        state = _draw(between[state] * following, rng)
        drawn.append(state)
    samples: Samples = rows[np.stack(drawn, axis=1)].reshape(n, height * width).astype(np.uint8)
    return samples


def _draw(weights: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw one state a row of unnormalised weights (row, state)."""
    cumulative = np.cumsum(weights, axis=1)
    threshold = rng.random(len(weights)) * cumulative[:, -1]
    drawn = (cumulative <= threshold[:, None]).sum(axis=1)
    last: npt.NDArray[np.intp] = np.minimum(drawn, weights.shape[1] - 1)  # rounding at the top
    return last
