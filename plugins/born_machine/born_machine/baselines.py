"""Simple models to measure a Born machine against: independent features, and the Chow-Liu tree.

Both are forests of conditional distributions, p(x) = prod_f p(x_f | x_parent(f)), fitted in closed
form by counting. A Born machine worth its cost lies below both in NLL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from born_machine.data import Samples
from born_machine.ordering import dependence_tree
from tnkit import SizeError

__all__ = ["Forest", "chow_liu", "empirical_entropy", "forest_of", "independent"]

_SMOOTHING = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """p(x) = prod_f p(x_f | x_parent(f)), exact and normalised.

    parents: (feature,) numbers of features, -1 where a feature has none. tables: one array
    (values of the parent, values of the feature) a feature, rows summing to one; a single row
    where there is no parent.
    """

    parents: npt.NDArray[np.intp]
    tables: tuple[npt.NDArray[np.float64], ...]

    def log_likelihood(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Return ln p(x) of every sample (sample, feature), in nats. Cost O(samples features).

        `SizeError` for another number of features or for values the tables do not know.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.parents):
            raise SizeError(
                f"samples have shape {samples.shape}, the forest {len(self.parents)} features"
            )
        for feature, table in enumerate(self.tables):
            values = samples[:, feature]
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < table.shape[1]:
                raise SizeError(
                    f"feature {feature} holds values from {values.min()} to {values.max()}, "
                    f"the forest knows 0 to {table.shape[1] - 1}"
                )
        total = np.zeros(len(samples))
        for feature, (parent, table) in enumerate(zip(self.parents, self.tables, strict=True)):
            before = samples[:, parent] if parent >= 0 else 0
            total += np.log(table[before, samples[:, feature]])
        return total


def independent(samples: Samples, dims: Sequence[int]) -> Forest:
    """Return the model of independent features with the frequencies of `samples`.

    samples: (sample, feature) integers from 0, none missing; dims: values a feature takes. Every
    count is raised by one half (Krichevsky and Trofimov, 1981), so that nothing is impossible.

    >>> X = np.array([[0, 0], [1, 1], [1, 1]])
    >>> independent(X, (2, 2)).tables[0].round(3).tolist()
    [[0.375, 0.625]]
    """
    return forest_of(samples, dims, np.full(len(dims), -1, dtype=np.intp))


def chow_liu(samples: Samples, dims: Sequence[int]) -> Forest:
    """Return the tree of pair distributions that makes `samples` most probable.

    The exact maximum over all trees: a spanning tree of the largest mutual information (Chow and
    Liu, IEEE Trans. Inf. Theory 14, 462, 1968), directed away from feature 0; then every count is
    raised by one half. samples: (sample, feature) integers from 0, none missing; dims: values a
    feature takes. Cost O(samples (features levels)^2) time, O((features levels)^2) memory.

    >>> X = np.array([[0, 1, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0]])
    >>> chow_liu(X, (2, 2, 2)).parents[[0, 2]].tolist()  # features 0 and 2 are equal
    [-1, 0]
    """
    parents = np.full(len(dims), -1, dtype=np.intp)
    parents[1:] = dependence_tree(samples)[1:]
    return forest_of(samples, dims, parents)


def forest_of(samples: Samples, dims: Sequence[int], parents: npt.NDArray[np.intp]) -> Forest:
    """Return the forest of these parents with the frequencies of `samples`, raised by one half.

    samples: (sample, feature) integers from 0; negative ones (missing) count for nothing. parents:
    (feature,), -1 where a feature has none.
    """
    tables = []
    for feature, parent in enumerate(parents.tolist()):
        key = samples[:, feature].astype(np.int64)
        known = key >= 0
        if parent >= 0:
            above = samples[:, parent].astype(np.int64)
            known &= above >= 0
            key += dims[feature] * above
        before = 1 if parent < 0 else dims[parent]
        counts = np.bincount(key[known], minlength=before * dims[feature])
        tables.append(_conditional(counts.reshape(before, dims[feature])))
    return Forest(parents, tuple(tables))


def empirical_entropy(samples: Samples) -> float:
    """Return the entropy of the samples' own frequencies, in nats: the floor of every train NLL.

    ln m where m samples are all different; samples (sample, feature).

    >>> round(empirical_entropy(np.array([[0, 1], [1, 0]])), 4)  # ln 2
    0.6931
    """
    _, counts = np.unique(samples, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _conditional(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    smoothed = counts + _SMOOTHING
    table: npt.NDArray[np.float64] = smoothed / smoothed.sum(axis=1, keepdims=True)
    return table
