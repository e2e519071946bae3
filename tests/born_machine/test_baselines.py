"""Baselines are normalised, fitted by counting, and the tree is the best of all trees."""

from __future__ import annotations

import itertools
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine.baselines import Forest, chow_liu, empirical_entropy, independent


@st.composite
def tables(draw: st.DrawFn, most: int = 5) -> tuple[np.ndarray, tuple[int, ...]]:
    """Samples whose features depend on one another, and the values each may take."""
    dims = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=most)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples = rng.integers(0, dims, (draw(st.integers(1, 30)), len(dims)))
    copied = rng.random(samples.shape) < 0.5
    samples = np.where(copied, np.minimum(samples[:, :1], np.array(dims) - 1), samples)
    return samples.astype(np.uint8), dims


@given(tables(), st.sampled_from([independent, chow_liu]))
def test_probabilities_sum_to_one_and_nothing_is_impossible(table, fit) -> None:  # type: ignore[no-untyped-def]
    samples, dims = table
    everything = np.array(list(itertools.product(*map(range, dims))))
    logs = fit(samples, dims).log_likelihood(everything)
    assert np.isfinite(logs).all()
    assert np.exp(logs).sum() == pytest.approx(1.0)


@given(tables())
def test_the_forest_multiplies_smoothed_frequencies(table) -> None:  # type: ignore[no-untyped-def]
    samples, dims = table
    for forest in (independent(samples, dims), chow_liu(samples, dims)):
        expected = np.zeros(len(samples))
        for row, sample in enumerate(samples):
            for feature, value in enumerate(sample):
                alike = samples
                if forest.parents[feature] >= 0:
                    parent = forest.parents[feature]
                    alike = samples[samples[:, parent] == sample[parent]]
                hits = (alike[:, feature] == value).sum() + 0.5
                expected[row] += np.log(hits / (len(alike) + 0.5 * dims[feature]))
        assert np.allclose(forest.log_likelihood(samples), expected)


def trees(count: int) -> list[list[tuple[int, int]]]:
    """Return every tree over `count` vertices, from its Pruefer sequence."""
    found = []
    for code in itertools.product(range(count), repeat=max(count - 2, 0)):
        degree = [1 + code.count(v) for v in range(count)]
        edges = []
        for vertex in code:
            leaf = degree.index(1)
            edges.append((leaf, vertex))
            degree[leaf] -= 1
            degree[vertex] -= 1
        ends = [v for v in range(count) if degree[v] == 1]
        found.append([*edges, (ends[0], ends[1])])
    return found


@given(tables())
def test_no_other_tree_makes_the_samples_more_probable(table) -> None:  # type: ignore[no-untyped-def]
    samples, dims = table
    if len(dims) < 2:
        return

    def gain(edges: list[tuple[int, int]]) -> float:
        """How much a tree gains in ln p: that of its maximum-likelihood fit over independence."""
        return sum(
            empirical_entropy(samples[:, [a]])
            + empirical_entropy(samples[:, [b]])
            - empirical_entropy(samples[:, [a, b]])
            for a, b in edges
        )

    parents = chow_liu(samples, dims).parents
    found = [(int(parents[v]), v) for v in range(1, len(dims))]
    assert parents[0] == -1
    assert gain(found) >= max(map(gain, trees(len(dims)))) - 1e-6


def test_the_floor_is_the_entropy_of_the_samples() -> None:
    assert empirical_entropy(np.arange(6).reshape(6, 1)) == pytest.approx(np.log(6))
    assert empirical_entropy(np.array([[0], [0], [1], [1]])) == pytest.approx(np.log(2))


def test_samples_that_do_not_fit_are_refused() -> None:
    forest = independent(np.array([[0, 1]]), (2, 2))
    with pytest.raises(tnkit.SizeError, match=r"shape \(1, 3\), the forest 2 features"):
        forest.log_likelihood(np.zeros((1, 3), dtype=int))
    with pytest.raises(tnkit.SizeError, match="feature 1 holds values from -1 to -1"):
        forest.log_likelihood(np.array([[0, -1]]))
    assert isinstance(forest, Forest)
    table = np.full((2, 2), 0.5)
    child_first = Forest(np.array([1, -1]), (table, table[:1]))
    with pytest.raises(tnkit.SizeError, match="feature 1 holds values from 5 to 5"):
        child_first.log_likelihood(np.array([[0, 5]]))


@pytest.mark.data
@pytest.mark.parametrize("name", ["nltcs", "plants", "accidents", "dna"])
def test_published_figures_are_met(shared: Path, name: str) -> None:
    """The test log-likelihoods of debd_baselines.csv, whose smoothing differs a little."""
    path = shared / "data" / "debd" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path}")
    with np.load(path) as archive:
        width = int(archive["n_features"])
        train, test = (np.unpackbits(archive[k], axis=1)[:, :width] for k in ("train", "test"))
    rows = np.genfromtxt(
        shared / "data" / "debd_baselines.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    (row,) = (r for r in rows if r["dataset"] == name)
    dims = (2,) * width
    assert independent(train, dims).log_likelihood(test).mean() == pytest.approx(
        row["indep"], abs=0.002
    )
    assert chow_liu(train, dims).log_likelihood(test).mean() == pytest.approx(
        row["chow_liu"], abs=0.04
    )
