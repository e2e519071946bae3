"""Starting from a tree of pairs: the state is the tree exactly, within the bonds there may be."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine
from born_machine.baselines import Forest, chow_liu, forest_of
from born_machine.models.mps import log_likelihoods
from born_machine.ordering import tree_order
from born_machine.pairs import pair_information
from born_machine.tree_start import forest_state, narrow_tree, tree_state


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    """A forest over sites in any arrangement, with any tables."""
    dims = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = rng.permutation(len(dims))
    parents = np.full(len(dims), -1, dtype=np.intp)
    for k in range(1, len(dims)):
        parents[names[k]] = names[draw(st.integers(0, k - 1))] if draw(st.integers(0, 4)) else -1
    tables = tuple(
        rng.dirichlet(np.ones(d), 1 if parent < 0 else dims[parent])
        for d, parent in zip(dims, parents, strict=True)
    )
    return Forest(parents, tables)


def dependent(sites: int, rng: np.random.Generator, rows: int = 200) -> Any:
    """Samples each of whose features repeats an earlier one most of the time."""
    samples = rng.integers(0, 2, (rows, sites))
    for site in range(1, sites):
        kept = rng.random(rows) < 0.8
        samples[kept, site] = samples[kept, rng.integers(0, site)]
    return samples[:, rng.permutation(sites)]


def everything(dims: tuple[int, ...]) -> Any:
    return np.array(list(itertools.product(*map(range, dims))))


@given(forests())
def test_the_square_of_psi_is_the_forest(forest: Forest) -> None:
    psi = forest_state(forest)
    dims = tuple(table.shape[1] for table in forest.tables)
    amplitudes = tnkit.to_dense(psi).reshape(-1)
    p = np.exp(forest.log_likelihood(everything(dims)))
    assert amplitudes == pytest.approx(np.sqrt(p), abs=1e-10)


@given(forests(), st.integers(1, 9))
def test_a_narrow_tree_fits_its_bonds(forest: Forest, largest: int) -> None:
    dims = tuple(table.shape[1] for table in forest.tables)
    rng = np.random.default_rng(0)
    information = rng.random((len(dims), len(dims)))
    information = information + information.T
    parents = narrow_tree(information, dims, largest)
    for site in range(len(dims)):  # every way up ends
        seen = set()
        while site >= 0:
            assert site not in seen
            seen.add(site)
            site = int(parents[site])
    samples = rng.integers(0, dims, (20, len(dims)))
    psi = forest_state(forest_of(samples, dims, parents))
    assert max(psi.bond_dims, default=1) <= largest


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_tree_is_that_of_chow_and_liu_where_bonds_are_large(sites: int, seed: int) -> None:
    samples = dependent(sites, np.random.default_rng(seed))
    information = pair_information(samples)
    parents = narrow_tree(information, (2,) * sites, 2**sites)
    best = chow_liu(samples, (2,) * sites).parents

    def total(parents: Any) -> float:
        return sum(information[site, p] for site, p in enumerate(parents) if p >= 0)

    assert total(parents) == pytest.approx(total(best))


def test_sites_without_relatives_are_roots() -> None:
    pairs = everything((2, 2, 2))  # independent, each value as often as the others
    assert narrow_tree(pair_information(pairs), (2, 2, 2), 8).tolist() == [-1, -1, -1]


def test_pairs_too_wide_for_the_bonds_are_passed_over_for_the_next_best() -> None:
    information = np.zeros((4, 4))
    for a, b, value in ((0, 3, 0.5), (2, 3, 0.4), (1, 2, 0.3), (1, 3, 0.2)):
        information[a, b] = information[b, a] = value
    # site 3 is carried over all bonds; beside it there is room for site 2 in bonds of 4 only
    assert narrow_tree(information, (2,) * 4, 4).tolist() == [3, 2, 3, -1]
    assert narrow_tree(information, (2,) * 4, 2).tolist() == [3, 3, 3, -1]
    assert narrow_tree(information, (2,) * 4, 1).tolist() == [-1, -1, -1, -1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_starts_as_the_tree(dtype: str) -> None:
    samples = dependent(12, np.random.default_rng(0))
    tree = chow_liu(samples, (2,) * 12)
    machine = BornMachine(
        start="chow-liu", order="chow-liu", sweeps=0, dtype=dtype, random_state=0, levels=2
    ).fit(samples, validation=samples[:20])
    rtol = 1e-5 if dtype == "float32" else 1e-10
    found = machine.score_samples(everything((2,) * 12))
    # the root differs, and with it what the halves that are added to all counts do
    assert found == pytest.approx(tree.log_likelihood(everything((2,) * 12)), abs=0.1)
    own = forest_of(samples, (2,) * 12, _rooted_like(machine, samples))
    assert found == pytest.approx(own.log_likelihood(everything((2,) * 12)), rel=rtol, abs=rtol)


def _rooted_like(machine: BornMachine, samples: Any) -> Any:
    """Return the parents by feature, as the machine's chain finds them by site."""
    order = np.asarray(machine.model_.order)
    by_site = narrow_tree(pair_information(samples[:, order]), (2,) * len(order), 50)
    parents = np.full(len(order), -1, dtype=np.intp)
    for site, parent in enumerate(by_site):
        parents[order[site]] = order[parent] if parent >= 0 else -1
    return parents


def test_the_best_sweep_is_no_worse_than_the_tree() -> None:
    """Even where every sweep spoils what is not in the samples."""
    rng = np.random.default_rng(1)
    samples, held_out = dependent(16, rng, 30), dependent(16, np.random.default_rng(1), 400)
    machine = BornMachine(
        start="chow-liu", order="chow-liu", sweeps=3, learning_rate=0.5, random_state=0, levels=2
    ).fit(samples, validation=held_out)
    tree = forest_of(samples, (2,) * 16, _rooted_like(machine, samples))
    assert machine.score(held_out) >= tree.log_likelihood(held_out).mean() - 1e-6


def test_gaps_count_for_nothing() -> None:
    samples = dependent(6, np.random.default_rng(2)).astype(int)
    more = np.concatenate([samples, np.full((50, 6), -1)])
    ours, theirs = (tree_state(one, (2,) * 6, 8) for one in (samples, more))
    assert tnkit.fidelity(ours, theirs) == pytest.approx(1.0)
    gapped = np.where(np.random.default_rng(3).random(samples.shape) < 0.3, -1, samples)
    forest = forest_of(gapped, (2,) * 6, np.array([-1, 0, 1, 2, 3, 4]))
    for child in range(1, 6):
        both = gapped[(gapped[:, child] >= 0) & (gapped[:, child - 1] >= 0)]
        for value in (0, 1):
            under = both[both[:, child - 1] == value][:, child]
            expected = (under.sum() + 0.5) / (len(under) + 1)
            assert forest.tables[child][value, 1] == pytest.approx(expected)


def test_a_wide_start_stays_small() -> None:
    """Six hundred sites: the order of the tree keeps its bonds small, and the tree whole."""
    samples = dependent(600, np.random.default_rng(3), 500)
    samples = samples[:, tree_order(samples)]
    psi = tree_state(samples, (2,) * 600, 64)
    tree = chow_liu(samples, (2,) * 600)
    found = log_likelihoods(psi, samples, np.asarray)
    assert found == pytest.approx(tree.log_likelihood(samples), abs=0.5)
    assert max(psi.bond_dims) <= 64
    assert np.mean(psi.bond_dims) < 12
