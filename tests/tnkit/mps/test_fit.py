"""Variational fitting against the exact sum, and against the optimal truncation."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tnkit
from tnkit.mps.fit import FitTarget

ROOM = tnkit.Truncation(max_bond=64)


@st.composite
def targets(draw: Any) -> tuple[list[FitTarget], np.ndarray]:
    """Terms with and without operators, and the dense vector they sum to."""
    length = draw(st.integers(2, 5))
    dims = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    terms, total = [], np.zeros(dims, dtype=complex)
    for _ in range(draw(st.integers(1, 3))):
        dtype = draw(st.sampled_from(["float64", "complex128"]))
        psi = tnkit.random_mps(length, dims, bond_dim=3, dtype=dtype, seed=rng)
        coefficient = draw(st.sampled_from([1.0, -2.0, 0.5 + 1.5j]))
        vector = np.asarray(tnkit.to_dense(psi))
        operator = None
        if draw(st.booleans()):
            matrices = [rng.standard_normal((d, d)) for d in dims]
            others = [rng.standard_normal((d, d)) for d in dims]
            operator = tnkit.add(tnkit.product_mpo(matrices), tnkit.product_mpo(others))
            vector = sum(apply_dense(part, vector) for part in (matrices, others))
        terms.append(FitTarget(coefficient, psi, operator))
        total = total + coefficient * vector
    return terms, total


def apply_dense(matrices: list[np.ndarray], vector: np.ndarray) -> np.ndarray:
    for axis, matrix in enumerate(matrices):
        vector = np.moveaxis(np.tensordot(matrix, vector, axes=(1, axis)), 0, axis)
    return vector


@settings(max_examples=40)
@given(targets(), st.integers(0, 2**32 - 1))
def test_with_room_enough_the_fit_is_the_sum(case: Any, seed: int) -> None:
    terms, exact = case
    start = tnkit.random_mps(exact.ndim, exact.shape, bond_dim=4, dtype="complex128", seed=seed)
    found = tnkit.fit(terms, start, ROOM, sweeps=20)
    norm = np.linalg.norm(exact)
    gap = np.linalg.norm(np.asarray(tnkit.to_dense(found.state)) - exact)
    assert gap <= 1e-6 * max(norm, 1.0)
    assert gap <= found.error_bound * (1 + 1e-6) + 1e-12
    tnkit.verify(found.state)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_fit_is_as_near_as_the_optimal_truncation(seed: int, bond: int) -> None:
    psi = tnkit.random_mps(6, bond_dim=8, seed=seed)
    cut = tnkit.compress(psi, tnkit.Truncation(max_bond=bond))
    found = tnkit.fit(psi, cut.state, tnkit.Truncation(max_bond=bond), sweeps=20)
    assert max(found.state.bond_dims) <= bond
    gap = tnkit.distance(psi, found.state)
    assert gap <= cut.error_bound * (1 + 1e-9) + 1e-12
    assert found.error_bound == pytest.approx(gap, abs=1e-6)


def test_a_schedule_limits_every_sweep_and_each_bond_is_told_of() -> None:
    psi = tnkit.random_mps(8, bond_dim=8, seed=0)
    states: list[tnkit.SweepState] = []
    rules = [tnkit.Truncation(max_bond=bond) for bond in (2, 3, 5)]
    start = tnkit.random_mps(8, bond_dim=2, seed=1)
    tnkit.fit(psi, start, rules, sweeps=30, tolerance=1e-4, on_step=states.append)
    assert len(rules) < len(states[-1].history) < 30
    assert [record.max_bond for record in states[-1].history[:3]] == [2, 3, 5]
    losses = [state.info.loss for state in states if state.info]
    assert len(states) == len(states[-1].history) * len(tnkit.round_trip(8))
    assert losses[-1] < losses[0] < 0.0


def test_real_targets_stay_real() -> None:
    psi = tnkit.random_mps(5, bond_dim=3, seed=0)
    found = tnkit.fit([FitTarget(2.0, psi), FitTarget(-1.0, psi)], psi, ROOM)
    assert found.state.dtype == np.float64
    assert tnkit.distance(found.state, psi) < 1e-7


def test_huge_norms_are_carried_as_logarithms() -> None:
    psi = tnkit.random_mps(5, bond_dim=3, seed=0)
    huge = tnkit.MPS(psi.arrays, psi.sites, psi.gauge, 5000.0)
    found = tnkit.fit(huge, tnkit.random_mps(5, bond_dim=2, seed=1), ROOM)
    assert tnkit.log_norm(found.state) == pytest.approx(5000.0, abs=1e-6)


def test_what_cannot_be_fitted_is_refused() -> None:
    psi = tnkit.random_mps(4, bond_dim=2, seed=0)
    with pytest.raises(tnkit.SizeError):
        tnkit.fit(psi, tnkit.random_mps(5, bond_dim=2, seed=0), ROOM)
    with pytest.raises(tnkit.ArgumentTypeError, match="targets must be"):
        tnkit.fit([], psi, ROOM)
    zero = tnkit.product_mps([[0.0, 0.0]] * 4)
    with pytest.raises(tnkit.ArgumentError, match="zero state"):
        tnkit.fit(zero, psi, ROOM)


def test_a_start_orthogonal_to_the_target_still_finds_it() -> None:
    for length in (2, 3, 4, 6):
        up, down = (tnkit.product_mps([v] * length) for v in ([1.0, 0.0], [0.0, 1.0]))
        assert tnkit.distance(up, tnkit.fit(up, down, ROOM).state) < 1e-9
