"""The sweep driver with problems simple enough to know the answer."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit


class Leave:
    """A problem that improves nothing; its environments are the sites they cover."""

    def left_edge(self) -> tuple[int, ...]:
        return ()

    def right_edge(self) -> tuple[int, ...]:
        return ()

    def grow_left(self, environment: tuple[int, ...], array: Any, site: int) -> tuple[int, ...]:
        left, site_dim, right = array.shape
        matrix = array.reshape(left * site_dim, right)
        np.testing.assert_allclose(matrix.conj().T @ matrix, np.eye(right), atol=1e-12)
        return (*environment, site)

    def grow_right(self, environment: tuple[int, ...], array: Any, site: int) -> tuple[int, ...]:
        left, site_dim, right = array.shape
        matrix = array.reshape(left, site_dim * right)
        np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(left), atol=1e-12)
        return (site, *environment)

    def solve(self, left: Any, block: Any, right: Any, bond: int) -> tuple[Any, float]:
        assert left == tuple(range(bond))
        assert right[0] == bond + 2 if right else True
        return block, float(bond)


states = st.builds(
    tnkit.random_mps,
    st.integers(2, 7),
    st.integers(1, 3),
    bond_dim=st.integers(1, 5),
    dtype=st.sampled_from(["float64", "complex128"]),
    seed=st.integers(0, 2**32 - 1),
)
METHODS = ["svd", "gram"]


@pytest.mark.parametrize("method", METHODS)
@given(psi=states, from_right=st.booleans())
def test_a_sweep_that_improves_nothing_changes_nothing(
    method: str, psi: tnkit.MPS, from_right: bool
) -> None:
    step = tnkit.two_site(Leave(), tnkit.Truncation(), method=method)
    zipper = tnkit.open_zipper(psi, Leave(), -1 if from_right else 0)
    for after, info in tnkit.sweep(zipper, step, tnkit.round_trip(len(psi), from_right=from_right)):
        zipper = after
        assert info.loss == info.bond
        assert info.discarded_weight < 1e-14
    state = tnkit.close_zipper(zipper)
    tnkit.verify(state)
    np.testing.assert_allclose(tnkit.to_dense(state), tnkit.to_dense(psi), atol=1e-12)


@given(length=st.integers(2, 9), from_right=st.booleans())
def test_a_round_trip_visits_every_bond_and_can_follow_itself(
    length: int, from_right: bool
) -> None:
    moves = tnkit.round_trip(length, from_right=from_right)
    assert {move.bond for move in moves} == set(range(length - 1))
    assert len(moves) == max(2 * length - 4, 1)
    twice = moves + moves
    assert all(abs(a.bond - b.bond) <= 1 for a, b in itertools.pairwise(twice))


@given(psi=states, stop=st.integers(0, 12))
def test_a_sweep_stopped_at_any_bond_goes_on_to_the_same_end(psi: tnkit.MPS, stop: int) -> None:
    step = tnkit.two_site(Leave(), tnkit.Truncation(max_bond=2))
    moves = tnkit.round_trip(len(psi))
    start = tnkit.open_zipper(psi, Leave(), -1)
    whole = [zipper for zipper, _ in tnkit.sweep(start, step, moves)][-1]
    first = itertools.islice(tnkit.sweep(start, step, moves), stop)
    middle = [start, *(zipper for zipper, _ in first)][-1]
    end = [middle, *(zipper for zipper, _ in tnkit.sweep(middle, step, moves[stop:]))][-1]
    for a, b in zip(tnkit.close_zipper(end).arrays, tnkit.close_zipper(whole).arrays, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("from_right", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_what_truncation_removes_is_reported_and_does_not_shrink_the_state(
    method: str, from_right: bool
) -> None:
    psi = tnkit.random_mps(8, bond_dim=8, seed=0)
    step = tnkit.two_site(Leave(), tnkit.Truncation(max_bond=3), method=method)
    weights = []
    start = tnkit.open_zipper(psi, Leave(), -1 if from_right else 0)
    for zipper, info in tnkit.sweep(start, step, tnkit.round_trip(8, from_right=from_right)):
        weights.append(info.discarded_weight)
        assert np.linalg.norm(zipper.centre) == pytest.approx(1.0)
        assert info.kept <= 3
    assert max(weights) > 1e-3


def test_a_move_away_from_the_centre_is_refused() -> None:
    psi = tnkit.random_mps(5, bond_dim=2, seed=0)
    step = tnkit.two_site(Leave(), tnkit.Truncation())
    zipper = tnkit.open_zipper(psi, Leave(), 0)
    with pytest.raises(tnkit.ArgumentError, match="bond 3 is not beside the centre at site 0"):
        step(zipper, tnkit.Move(3, True))
