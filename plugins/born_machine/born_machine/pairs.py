"""What two features say of each other: joint frequencies, mutual and partial information."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.data import Samples
from born_machine.devices import device_memory
from tnkit import MemoryLimitError

__all__ = ["joint_counts", "mutual_information", "pair_information", "partial_information"]

Matrix: TypeAlias = npt.NDArray[np.float64]

_CHUNK = 8192
_MATRICES = 6  # (value, value) of float64, alive at once
_PRIOR = 0.01  # variance added to every value: keeps values that hardly occur from counting much


def joint_counts(samples: Samples) -> tuple[Matrix, npt.NDArray[np.intp]]:
    """Return how often each two values occur together, and where each feature's values begin.

    samples: (sample, feature) integers; negative ones (missing) count for nothing. The first is
    (value, value) over the values of all features in turn; the second (feature,). Cost
    O(samples values^2), memory O(values^2) and for 8,192 samples at a time: `MemoryLimitError`
    where what is made of the counts would not fit into this machine.
    """
    levels = _levels(samples)
    starts = np.concatenate(([0], np.cumsum(levels)))
    values = np.concatenate([np.arange(d) for d in levels])
    owner = np.repeat(np.arange(len(levels)), levels)
    joint = np.zeros((len(values), len(values)))
    for first in range(0, len(samples), _CHUNK):
        hot = (samples[first : first + _CHUNK, owner] == values).astype(np.float32)
        joint += hot.T @ hot  # whole numbers below 2^24: exact in float32
    return joint, starts[:-1]


def pair_information(samples: Samples) -> Matrix:
    """Return the mutual information of every pair of features in nats, entropies on the diagonal.

    samples: (sample, feature); of the empirical frequencies. Cost as `joint_counts`.
    """
    counts, starts = joint_counts(samples)
    joint = counts / len(samples)
    single = np.diagonal(joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint * np.log(joint / np.outer(single, single)), 0.0)
    sums: Matrix = np.add.reduceat(np.add.reduceat(terms, starts, axis=0), starts, axis=1)
    return sums


def mutual_information(samples: Samples) -> Matrix:
    """Return the normalised mutual information of every pair of features, in [0, 1].

    samples: (sample, feature); I(a, b) / sqrt(H(a) H(b)) of the empirical frequencies, 0 where a
    feature is constant. Cost O(samples (features levels)^2).
    """
    sums = pair_information(samples)
    entropies = np.diagonal(sums)
    scale = np.sqrt(np.outer(entropies, entropies))
    normalised = np.where(scale > 1e-12, sums / np.where(scale > 1e-12, scale, 1.0), 0.0)
    return np.minimum(np.maximum(normalised, 0.0), 1.0)


def partial_information(samples: Samples) -> tuple[Matrix, Matrix]:
    """Return what each two features say of each other when all others are known, and by chance.

    samples: (sample, feature) integers, negative where missing (taken for the mean). Both
    (feature, feature), in nats: the conditional mutual information -1/2 ln(1 - r^2) of normal
    variables with the covariance of the values' indicators, raised by .01 on the diagonal, r the
    partial correlation (for more than two values m such terms, r^2 the mean of the m partial
    canonical correlations squared, which is at most what normal variables have); and what
    independent features would exceed in one of features^2 pairs, from the chi-squared distribution:
    for many more samples than values, with fewer more pairs exceed it. Cost
    O(samples values^2 + values^3), `MemoryLimitError` as `joint_counts`.
    """
    from scipy.linalg import block_diag
    from scipy.stats import chi2

    count = samples.shape[1]
    free = _levels(samples) - 1  # the first value is what is left
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
    terms = np.maximum(np.minimum.outer(free, free), 1)
    squared = member.T @ correlation**2 @ member / terms
    information = -terms * np.log1p(-np.minimum(squared, 1.0 - 1e-9)) / 2
    np.fill_diagonal(information, 0.0)
    freedom = np.maximum(np.outer(free, free), 1)
    chance = chi2.isf(1.0 / max(count, 2) ** 2, freedom) / (2 * max(len(samples), 1))
    return information, chance


def _levels(samples: Samples) -> npt.NDArray[np.intp]:
    """Return how many values each feature takes; refuse what a matrix over them has no room for."""
    levels: npt.NDArray[np.intp] = samples.max(axis=0, initial=0).astype(np.intp) + 1
    size, there = _MATRICES * 8 * int(levels.sum()) ** 2, device_memory()
    if size > there:
        raise MemoryLimitError(
            f"the joint frequencies of {levels.sum():,} values, those of all features together, "
            f"need {size:.2g} bytes, this machine has {there:.2g}; merge values into fewer levels, "
            "or say order='given' and start='random'"
        )
    return levels
