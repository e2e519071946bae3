"""The sweep driver with problems simple enough to know the answer."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

import tnkit
from tnkit.mps.fit import FitProblem, FitTarget
from tnkit.mps.window import Windowed


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

    def solve_site(self, left: Any, array: Any, right: Any, site: int) -> tuple[Any, float]:
        assert left == tuple(range(site))
        assert right[0] == site + 1 if right else True
        return array, float(site)


class Wander(Leave):
    """A problem that expands in random directions and moves a little along them."""

    def __init__(self, offered: int = 3, pull: float = 0.0) -> None:
        self.offered, self.pull = offered, pull
        self.rng = np.random.default_rng(0)

    def directions(
        self, left: Any, first: Any, second: Any, right: Any, move: tnkit.Move, count: int
    ) -> Any:
        assert left == tuple(range(move.bond))
        assert right[0] == move.bond + 2 if right else True
        assert first.shape[2] == second.shape[0]
        (l, p, _), (_, q, r) = first.shape, second.shape
        shape = (self.offered, q, r) if move.rightwards else (l, p, self.offered)
        return self.rng.standard_normal(shape).astype(first.dtype)

    def solve_site(self, left: Any, array: Any, right: Any, site: int) -> tuple[Any, float]:
        return array + self.pull * self.rng.standard_normal(array.shape), 0.0


states = st.builds(
    tnkit.random_mps,
    st.integers(2, 7),
    st.integers(1, 3),
    bond_dim=st.integers(1, 5),
    dtype=st.sampled_from(["float64", "complex128"]),
    seed=st.integers(0, 2**32 - 1),
)
METHODS = ["svd", "gram"]
TWO_SITE = [*METHODS, "retraction"]


@pytest.mark.parametrize("method", TWO_SITE)
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
@pytest.mark.parametrize("method", TWO_SITE)
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


@pytest.mark.parametrize("method", METHODS)
@example(psi=tnkit.random_mps(4, bond_dim=2, seed=5), from_right=False, expand=1)
@given(psi=states, from_right=st.booleans(), expand=st.integers(0, 4))
def test_one_site_steps_that_improve_nothing_change_nothing(
    method: str, psi: tnkit.MPS, from_right: bool, expand: int
) -> None:
    """Nor does expansion: its directions enter with amplitude zero and leave no bond behind."""
    step = tnkit.one_site(Wander(), tnkit.Truncation(), expand=expand, method=method)
    zipper = tnkit.open_zipper(psi, Leave(), -1 if from_right else 0)
    moves = tnkit.round_trip(len(psi), from_right=from_right, width=1)
    for after, info in tnkit.sweep(zipper, step, moves):
        zipper = after
        assert info.discarded_weight < 1e-14
    state = tnkit.close_zipper(zipper)
    tnkit.verify(state)
    assert all(a <= b for a, b in zip(state.bond_dims, psi.bond_dims, strict=True))
    np.testing.assert_allclose(tnkit.to_dense(state), tnkit.to_dense(psi), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [1, 2])
def test_arrays_are_laid_out_as_a_file_gives_them_back(width: int, method: str) -> None:
    """BLAS rounds a view with strides differently, and a resumed run would drift."""
    psi = tnkit.random_mps(6, bond_dim=4, dtype="complex128", seed=0)
    rule = tnkit.Truncation(max_bond=3)
    step = tnkit.two_site(Leave(), rule, method=method)
    if width == 1:
        step = tnkit.one_site(Wander(), rule, expand=2, method=method)
    start = tnkit.open_zipper(psi, Leave(), -1)
    for zipper, _ in tnkit.sweep(start, step, tnkit.round_trip(6, width=width)):
        for array in tnkit.close_zipper(zipper).arrays:
            assert array.flags.c_contiguous


class Known(Wander):
    """A problem whose directions the bond has already."""

    def directions(
        self, left: Any, first: Any, second: Any, right: Any, move: tnkit.Move, count: int
    ) -> Any:
        return second if move.rightwards else first


@given(psi=states)
def test_directions_that_a_bond_has_already_add_nothing(psi: tnkit.MPS) -> None:
    step = tnkit.one_site(Known(pull=0.3), tnkit.Truncation(), expand=3)
    start = tnkit.open_zipper(psi, Leave(), -1)
    for _, info in tnkit.sweep(start, step, tnkit.round_trip(len(psi), width=1)):
        assert info.kept <= psi.bond_dims[info.bond]


@given(length=st.integers(2, 9), from_right=st.booleans())
def test_a_one_site_round_trip_crosses_every_bond_twice_and_ends_where_it_began(
    length: int, from_right: bool
) -> None:
    moves = tnkit.round_trip(length, from_right=from_right, width=1)
    centre = length - 1 if from_right else 0
    visited = []
    for move in moves:
        assert centre == (move.bond if move.rightwards else move.bond + 1)
        visited.append(centre)
        centre += 1 if move.rightwards else -1
    assert centre == (length - 1 if from_right else 0)
    assert set(visited) == set(range(length))
    assert sorted(move.bond for move in moves) == sorted([*range(length - 1)] * 2)


@given(psi=states, expand=st.integers(1, 4), most=st.integers(1, 6))
def test_expanded_bonds_grow_step_by_step_and_never_beyond_the_truncation(
    psi: tnkit.MPS, expand: int, most: int
) -> None:
    step = tnkit.one_site(Wander(pull=0.3), tnkit.Truncation(max_bond=most), expand=expand)
    start = tnkit.open_zipper(psi, Leave(), -1)
    bonds = list(psi.bond_dims)
    for zipper, info in tnkit.sweep(start, step, tnkit.round_trip(len(psi), width=1)):
        assert info.kept <= min(bonds[info.bond] + min(expand, 3), most)
        bonds[info.bond] = info.kept
        tnkit.verify(tnkit.close_zipper(zipper))
    assert max(bonds) <= most


def test_one_site_steps_that_make_no_sense_are_refused() -> None:
    psi = tnkit.random_mps(5, bond_dim=2, seed=0)
    step = tnkit.one_site(Leave(), tnkit.Truncation())
    zipper = tnkit.open_zipper(psi, Leave(), 0)
    with pytest.raises(tnkit.ArgumentError, match="left over bond 0 does not start at the centre"):
        step(zipper, tnkit.Move(0, False))
    with pytest.raises(tnkit.SizeError, match="bond 4 is outside a chain of 5 sites"):
        step(tnkit.open_zipper(psi, Leave(), 4), tnkit.Move(4, True))
    with pytest.raises(tnkit.ArgumentTypeError, match="Leave offers no directions"):
        tnkit.one_site(Leave(), tnkit.Truncation(), expand=1)  # type: ignore[arg-type]
    with pytest.raises(tnkit.ArgumentError, match="expand must be"):
        tnkit.one_site(Wander(), tnkit.Truncation(), expand=-1)
    with pytest.raises(tnkit.ArgumentError, match="width 3"):
        tnkit.round_trip(5, width=3)


@given(psi=states, every=st.integers(1, 4))
def test_environments_made_again_change_no_bit(psi: tnkit.MPS, every: int) -> None:
    target = tnkit.random_mps(psi.sites, psi.site_dims, bond_dim=3, dtype=psi.dtype, seed=1)
    ends = []
    for problem in (plain := FitProblem((FitTarget(1.0, target),)), Windowed(plain, every)):
        zipper = tnkit.open_zipper(psi, problem)
        step = tnkit.two_site(problem, tnkit.Truncation(max_bond=4))
        for _ in range(2):
            for after, _info in tnkit.sweep(zipper, step, tnkit.round_trip(len(psi))):
                zipper = after
        ends.append(tnkit.close_zipper(zipper))
    for a, b in zip(ends[0].arrays, ends[1].arrays, strict=True):
        assert np.array_equal(a, b)


@given(psi=states, every=st.integers(1, 4))
def test_one_site_steps_find_every_environment_behind_a_window(psi: tnkit.MPS, every: int) -> None:
    problem = Windowed(Wander(pull=0.1), every)  # Wander asserts which sites it is given
    zipper = tnkit.open_zipper(psi, problem)
    step = tnkit.one_site(problem, tnkit.Truncation(max_bond=4), expand=2)
    for after, _ in tnkit.sweep(zipper, step, tnkit.round_trip(len(psi), width=1)):
        zipper = after


class Weighty(Leave):
    """A problem that counts how many of its environments are alive."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Weight] = weakref.WeakSet()
        self.most = 0

    def edge(self) -> Weight:
        weight = Weight()
        self.alive.add(weight)
        self.most = max(self.most, len(self.alive))
        return weight

    left_edge = right_edge = edge

    def grow_left(self, environment: Any, array: Any, site: int) -> Any:
        return self.edge()

    grow_right = grow_left

    def solve(self, left: Any, block: Any, right: Any, bond: int) -> tuple[Any, float]:
        assert isinstance(left, Weight)
        assert isinstance(right, Weight)
        return block, 0.0


class Weight:
    """An environment."""


def test_a_window_bounds_how_many_environments_are_alive() -> None:
    length, every = 100, 10
    problem = Weighty()
    windowed = Windowed(problem, every)
    zipper = tnkit.open_zipper(tnkit.random_mps(length, bond_dim=1, seed=0), windowed)
    for _ in range(2):
        step = tnkit.two_site(windowed, tnkit.Truncation())
        for after, _info in tnkit.sweep(zipper, step, tnkit.round_trip(length)):
            zipper = after
    assert length // every + every < problem.most <= length // every + 2 * every + 4
