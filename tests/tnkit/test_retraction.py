"""Back to the rank of before: an isometry, a measured weight, never worse than the old space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Truncation, retract_matrix, split_matrix
from tnkit.arrays import to_numpy

SHAPES = st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9)).map(
    lambda t: (t[0], t[1], min(t))
)
SIDES = ("left", "right")


def low_rank(m: int, n: int, k: int, seed: int, *, cplx: bool) -> tuple[Any, Any, Any]:
    """Return a matrix of rank k with values from 1 to 1/4, and both of its spaces as isometries."""
    rng = np.random.default_rng(seed)

    def orthonormal(size: int) -> Any:
        gauss = rng.standard_normal((size, k))
        return np.linalg.qr(gauss + 1j * rng.standard_normal((size, k)) if cplx else gauss)[0]

    left, right = orthonormal(m), orthonormal(n)
    return left * np.geomspace(1.0, 0.25, k) @ right.conj().T, left, right.conj().T


def noise(shape: tuple[int, ...], seed: int, *, cplx: bool) -> Any:
    rng = np.random.default_rng(seed + 1)
    change = rng.standard_normal(shape)
    return change + 1j * rng.standard_normal(shape) if cplx else change


def of(space: tuple[Any, Any], side: Any) -> Any:
    return space[1] if side == "right" else space[0]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("cplx", [False, True])
@pytest.mark.parametrize("change", [0.0, 1e-3, 0.1])
def test_an_isometry_and_what_it_keeps(backend: Any, side: Any, cplx: bool, change: float) -> None:
    for m, n, k in [(6, 5, 3), (4, 8, 4), (7, 2, 1)]:
        old, *space = low_rank(m, n, k, 0, cplx=cplx)
        matrix = old + change * noise((m, n), 0, cplx=cplx)
        found = retract_matrix(
            backend.asarray(matrix),
            backend.asarray(of(space, side)),
            Truncation(max_bond=k),
            absorb=side,
        )
        assert found.values is None  # not decided by eigenvalues
        left, right = to_numpy(found.left), to_numpy(found.right)
        isometry = left if side == "right" else right.conj().T
        np.testing.assert_allclose(isometry.conj().T @ isometry, np.eye(k), atol=1e-13)
        rest = np.linalg.norm(matrix - left @ right) ** 2
        assert found.discarded_weight == pytest.approx(
            rest / np.linalg.norm(matrix) ** 2, abs=1e-14
        )
        if change == 0.0:
            np.testing.assert_allclose(left @ right, matrix, atol=1e-14)


@given(shape=SHAPES, side=st.sampled_from(SIDES), cplx=st.booleans(), seed=st.integers(0, 99))
def test_no_worse_than_the_space_of_before_no_better_than_the_best(
    shape: tuple[int, int, int], side: Any, cplx: bool, seed: int
) -> None:
    m, n, k = shape
    old, *space = low_rank(m, n, k, seed, cplx=cplx)
    matrix = old + 0.05 * noise((m, n), seed, cplx=cplx)
    found = retract_matrix(matrix, of(space, side), Truncation(max_bond=k), absorb=side)
    known = of(space, side)
    kept = matrix @ known.conj().T @ known if side == "right" else known @ known.conj().T @ matrix
    before = (np.linalg.norm(matrix - kept) / np.linalg.norm(matrix)) ** 2
    best = split_matrix(matrix, Truncation(max_bond=k)).discarded_weight
    assert best - 1e-14 <= found.discarded_weight <= before + 1e-14


def test_visits_from_both_sides_in_turn_find_the_best_space() -> None:
    old, *space = low_rank(8, 9, 3, 0, cplx=False)
    matrix = old + 0.05 * noise((8, 9), 0, cplx=False)
    rule = Truncation(max_bond=3)
    best = split_matrix(matrix, rule).discarded_weight
    rows, gaps = space[1], []
    for _ in range(6):
        there = retract_matrix(matrix, rows, rule, absorb="right")
        back = retract_matrix(matrix, there.left, rule, absorb="left")
        rows = back.right
        gaps.append(back.discarded_weight / best - 1.0)
    assert gaps[0] > 1e-6  # one visit is not the end
    assert gaps[-1] < 1e-6


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "why", ["not full", "near the cutoff", "near the weight", "dependent", "zero"]
)
def test_where_it_cannot_tell_the_eigenvalues_decide(side: Any, why: str) -> None:
    old, *space = low_rank(6, 6, 3, 0, cplx=False)
    matrix = old + 1e-3 * noise((6, 6), 0, cplx=False)
    rule = Truncation(max_bond=3)
    if why == "not full":
        rule = Truncation(max_bond=4)
    if why == "near the cutoff":
        rule = Truncation(max_bond=3, value_cutoff=0.24)
    if why == "near the weight":  # 1/16 of 1 + 1/4 + 1/16
        rule = Truncation(max_bond=3, cutoff=0.05)
    if why == "dependent":  # of rank one
        matrix = np.outer(np.ones(6), np.ones(6))
    if why == "zero":
        matrix = np.zeros((6, 6))
    found = retract_matrix(matrix, of(space, side), rule, absorb=side)
    expected = split_matrix(matrix, rule, method="gram", absorb=side)
    np.testing.assert_array_equal(found.left, expected.left)
    np.testing.assert_array_equal(found.right, expected.right)
    assert found.discarded_weight == expected.discarded_weight


def test_single_precision_stays_orthonormal_to_its_rounding() -> None:
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((200, 100)))[0] for _ in range(2))
    matrix = (left * np.geomspace(1.0, 1e-3, 100) @ right.T).astype("f4")
    matrix += rng.standard_normal((200, 200)).astype("f4") * 1e-5
    found = retract_matrix(matrix, right.T.astype("f4"), Truncation(max_bond=100))
    assert found.values is None
    assert np.abs(found.left.T @ found.left - np.eye(100)).max() < 1e-6


def test_what_does_not_fit_is_refused() -> None:
    rule = Truncation(max_bond=2)
    with pytest.raises(tnkit.SizeError, match=r"space \(2, 5\) does not fit a matrix \(4, 6\)"):
        retract_matrix(np.ones((4, 6)), np.ones((2, 5)), rule)
    with pytest.raises(tnkit.ArgumentError, match="absorb='left' or 'right', got 'both'"):
        retract_matrix(np.ones((4, 6)), np.ones((2, 6)), rule, absorb="both")
    with pytest.raises(tnkit.NonFiniteError):
        retract_matrix(np.full((4, 6), np.nan), np.eye(6)[:2], rule)
