"""One-site sweeps: the step, the directions in which bonds grow, and where training gets."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.sweeper import likelihood_problem
from born_machine.train import Scorer, Settings, start_state, train
from born_machine.update import StepRule


@st.composite
def cases(draw: Any) -> tuple[tnkit.MPS, np.ndarray]:
    """A chain of norm one, real or complex, and samples it gives, with gaps or without."""
    length = draw(st.integers(2, 5))
    dims = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    seed = draw(st.integers(0, 2**32 - 1))
    dtype = draw(st.sampled_from(["float64", "complex128"]))
    psi = tnkit.random_mps(length, dims, bond_dim=draw(st.integers(1, 4)), dtype=dtype, seed=seed)
    samples = np.asarray(tnkit.sample(psi, 12, seed=seed)).astype(np.int16)
    rng = np.random.default_rng(seed)
    samples[rng.random(samples.shape) < draw(st.sampled_from([0.0, 0.3]))] = -1
    return tnkit.normalize(tnkit.canonicalize(psi, -1)), samples


def environments(problem: Any, arrays: list[Any]) -> tuple[list[Any], list[Any]]:
    """What lies left of every site, and what lies right of it."""
    lefts, rights = [problem.left_edge()], [problem.right_edge()]
    for k in range(len(arrays) - 1):
        lefts.append(problem.grow_left(lefts[-1], arrays[k], k))
    for k in range(len(arrays) - 1, 0, -1):
        rights.append(problem.grow_right(rights[-1], arrays[k], k))
    return lefts, rights[::-1]


@given(cases())
def test_at_every_site_the_loss_is_the_nll_and_a_small_step_lowers_it(
    library: Any, case: Any
) -> None:
    psi, samples = case
    nll = -Scorer(samples, None)(psi)[0].mean()
    for site in range(len(psi)):
        state = tnkit.canonicalize(psi, site)
        arrays = [library.asarray(array) for array in state.arrays]
        rule = StepRule(1e-6, floor=0.0, rng=np.random.default_rng(0))
        problem = likelihood_problem(samples, psi.site_dims, arrays[0], rule)
        lefts, rights = environments(problem, arrays)
        array, loss = problem.solve_site(lefts[site], arrays[site], rights[site], site)
        assert float(loss) == pytest.approx(nll, abs=1e-9)
        assert array.shape == arrays[site].shape
        _, after = problem.solve_site(lefts[site], array, rights[site], site)
        assert float(after) <= float(loss) + 1e-12


@given(cases())
def test_bonds_grow_where_the_two_site_gradient_points(case: Any) -> None:
    """The directions span what the gradient of the pair has outside the bond's own space."""
    psi, samples = case
    for bond in range(len(psi) - 1):
        for rightwards in (True, False):
            state = tnkit.canonicalize(psi, bond if rightwards else bond + 1)
            arrays = list(state.arrays)
            rule = StepRule(0.0, floor=1e-3, rng=np.random.default_rng(1))
            problem = likelihood_problem(samples, psi.site_dims, arrays[0], rule)
            lefts, rights = environments(problem, arrays)
            left, right = lefts[bond], rights[bond + 1]
            a, b = arrays[bond], arrays[bond + 1]
            block = np.einsum("lpm,mqr->lpqr", a, b)
            whole = getattr(problem, "nll", None)
            if whole is None:
                continue  # with gaps the directions are the gradient itself
            _, gradient = whole(left, right, bond)(block)
            l, p, q, r = block.shape
            move = tnkit.Move(bond, rightwards)
            found = problem.directions(left, a, b, right, move, 40)
            if rightwards:
                known, rows = b.reshape(-1, q * r), found.reshape(-1, q * r)
                matrix = gradient.reshape(l * p, q * r)
            else:
                known, rows = a.reshape(l * p, -1).T, found.reshape(l * p, -1).T
                matrix = gradient.reshape(l * p, q * r).T
            # both without what the bond already has
            outside = [m - m @ known.conj().T @ known for m in (rows, matrix)]
            # 40 random combinations of at most 12 rows have the row space of the gradient itself
            _, s, v = np.linalg.svd(outside[0])
            v = v[: (s > 1e-9 * max(s.max(), 1e-9)).sum()]
            rest = outside[1] - outside[1] @ v.conj().T @ v
            assert np.abs(rest).max() < 1e-6 * max(1.0, np.abs(gradient).max())


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_one_site_sweeps_with_expansion_reach_the_floor(dtype: str) -> None:
    patterns = bars_and_stripes()
    machine = BornMachine(
        method="one-site",
        max_bond=16,
        sweeps=25,
        patience=0,
        dtype=dtype,
        random_state=0,
        image_shape=(4, 4),
        learning_rate=0.1,
    ).fit(patterns)
    assert 0.0 <= -machine.score(patterns) - math.log(30) < 0.01


def test_without_expansion_bonds_stay_and_with_it_they_respect_the_limit() -> None:
    patterns = bars_and_stripes(3, 3)
    bonds = {}
    for expand in (0, 1, 5):
        settings = Settings(method="one-site", expand=expand, max_bond=6, sweeps=4, patience=0)
        start = start_state(patterns, (2,) * 9, settings, np.random.default_rng(0))
        result = train(patterns, None, (2,) * 9, settings, start=start)
        bonds[expand] = max(result.state.bond_dims)
    assert bonds == {0: 2, 1: 6, 5: 6}


def test_gaps_train_by_one_site_too() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 2, (300, 5))
    whole[:, 4] = whole[:, :4].sum(axis=1) % 2
    gapped = np.where(rng.random(whole.shape) < 0.1, -1, whole)
    machine = BornMachine(
        method="one-site",
        random_state=0,
        missing="marginalise",
        sweeps=60,
        dtype="float64",
        order="given",
    ).fit(gapped)
    assert -machine.score(whole) == pytest.approx(4 * np.log(2), abs=0.1)
