"""The coupling order: what pairs say when all else is known, and how it is laid in line."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from born_machine import BornMachine, annealing, ordering
from born_machine.annealing import arrangement
from born_machine.curves import hilbert, raster, variations
from born_machine.mixing import mixture_orders
from born_machine.ordering import coupling_order, dependence_tree, tree_order
from born_machine.pairs import partial_information

PRIOR = 0.01


def indicators(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One column for every value but the first of each feature, and whose it is."""
    columns, owner = [], []
    for feature in range(samples.shape[1]):
        for value in range(1, samples[:, feature].max() + 1):
            columns.append(samples[:, feature] == value)
            owner.append(feature)
    return np.array(columns, dtype=float).T, np.array(owner, dtype=int)


def cost(weights: np.ndarray, order: np.ndarray) -> float:
    place = np.argsort(order)
    return float((np.triu(weights, 1) * np.sqrt(np.abs(place[:, None] - place))).sum())


@given(st.integers(2, 5), st.integers(4, 60), st.integers(0, 2**32 - 1))
def test_partial_information_is_that_of_the_conditional_covariance(
    features: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, rng.integers(1, 4, features), (n, features)).astype(np.uint8)
    hot, owner = indicators(samples)
    off = hot - hot.mean(axis=0) if len(owner) else hot.reshape(n, 0)
    covariance = off.T @ off / n + PRIOR * np.eye(len(owner))
    found, _ = partial_information(samples)
    assert np.array_equal(np.diagonal(found), np.zeros(features))
    for a, b in itertools.combinations(range(features), 2):
        pair = np.flatnonzero((owner == a) | (owner == b))
        rest = np.flatnonzero((owner != a) & (owner != b))
        given_rest = covariance[np.ix_(pair, pair)] - covariance[np.ix_(pair, rest)] @ (
            np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[np.ix_(rest, pair)])
        )
        one, other = owner[pair] == a, owner[pair] == b
        whole = given_rest[np.ix_(one, other)]
        if whole.size:
            left = np.linalg.solve(given_rest[np.ix_(one, one)], whole)
            right = np.linalg.solve(given_rest[np.ix_(other, other)], whole.T)
            terms = min(whole.shape)
            squares = np.clip(np.linalg.eigvals(left @ right).real, 0.0, 1.0)
            exact = -np.log1p(-squares).sum() / 2  # what normal variables have
            mean = np.trace(left @ right) / terms
            assert found[a, b] <= exact + 1e-9
            assert found[a, b] == pytest.approx(-terms * np.log1p(-mean) / 2, rel=1e-6, abs=1e-9)
        else:
            assert found[a, b] == pytest.approx(0.0, abs=1e-9)


def test_many_values_say_more_the_more_they_agree() -> None:
    """Ten values, copied with a rising chance: no two strengths look the same."""
    rng = np.random.default_rng(0)
    found = []
    for chance in (0.3, 0.5, 0.7, 0.9):
        first, other = rng.integers(0, 10, (2, 5000))
        samples = np.stack([first, np.where(rng.random(5000) < chance, first, other)], axis=1)
        found.append(partial_information(samples)[0][0, 1])
    assert (np.diff(found) > 0.3).all()
    assert found[-1] < 9 / 2 * np.log(10)


def test_independent_features_pass_chance_once_in_so_many_pairs() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(40):
        information, chance = partial_information(rng.integers(0, 2, (2000, 30)))
        passed += int((np.triu(information) > chance).sum())
    expected = 40 * (30 * 29 / 2) / 30**2  # 19
    assert 0.4 * expected < passed < 1.8 * expected


def test_a_gap_counts_as_the_mean() -> None:
    """The mean moves no covariance: gaps weaken a pair by the share of samples that lack it."""
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, 4000)
    samples = np.stack([first, first ^ (rng.random(4000) < 0.2)], axis=1)
    whole = partial_information(samples)[0][0, 1]
    half, none = samples.copy(), samples.copy()
    half[::2, 1] = -1
    none[:, 1] = -1
    found = partial_information(half)[0][0, 1]
    # r of a half-known pair is half of the covariance over the root of a variance and a half
    assert 1 - np.exp(-2 * found) == pytest.approx((1 - np.exp(-2 * whole)) / 2, rel=0.1)
    assert np.array_equal(partial_information(none)[0], np.zeros((2, 2)))


@given(st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_an_arrangement_never_costs_more_than_its_start(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((count, count)) * (rng.random((count, count)) < 0.3)
    weights = weights + weights.T
    start = rng.permutation(count)
    found = arrangement(weights, start)
    assert np.array_equal(np.sort(found), np.arange(count))
    assert cost(weights, found) <= cost(weights, start) + 1e-9
    assert np.array_equal(found, arrangement(weights, start)), "the same every time"
    assert cost(weights, arrangement(weights, found)) <= cost(weights, found) + 1e-9


@given(st.integers(3, 6), st.integers(0, 2**32 - 1))
def test_a_small_arrangement_is_the_best_there_is(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((count, count))
    weights = weights + weights.T
    orders = (np.array(order) for order in itertools.permutations(range(count)))
    least = min(cost(weights, order) for order in orders)
    assert cost(weights, arrangement(weights, rng.permutation(count))) <= 1.02 * least


def test_the_random_state_is_that_of_the_annealing() -> None:
    samples = np.random.default_rng(0).integers(0, 2, (200, 30))
    samples[:, 1:] ^= samples[:, :-1] & np.random.default_rng(1).integers(0, 2, (200, 29))

    def order_of(random_state: int, machines: int) -> list[list[int]]:
        machine = BornMachine(
            order="coupling", sweeps=0, random_state=random_state, n_machines=machines
        ).fit(samples, validation=samples[:10])
        parts = getattr(machine.model_, "components", (machine.model_,))
        return [part.order.tolist() for part in parts]

    for machines in (1, 2):
        first = order_of(1, machines)
        assert first == order_of(1, machines)
        assert all(one != two for one, two in zip(first, order_of(2, machines), strict=True))


def ladder(rng: np.random.Generator, n: int, rungs: int) -> np.ndarray:
    """Feature k is feature k - 1 or feature k - 2, some of them flipped."""
    samples = rng.integers(0, 2, (n, rungs))
    for k in range(2, rungs):
        copied = np.where(rng.random(n) < 0.5, samples[:, k - 1], samples[:, k - 2])
        samples[:, k] = copied ^ (rng.random(n) < 0.05)
    return samples


@pytest.mark.parametrize("seed", range(3))
def test_what_a_tree_cannot_hold_lies_closer(seed: int) -> None:
    """A tree holds one edge to each feature of a ladder, the other is as strong."""
    rng = np.random.default_rng(seed)
    samples = ladder(rng, 20_000, 24)
    shuffle = rng.permutation(24)

    def lengths(order: np.ndarray) -> np.ndarray:
        place = np.argsort(shuffle[order])
        return np.concatenate([np.abs(place[far:] - place[:-far]) for far in (1, 2)])

    found, by_tree = (lengths(f(samples[:, shuffle])) for f in (coupling_order, tree_order))
    assert found.mean() < 1.8 < 2.1 < by_tree.mean()  # in line: 1.5
    assert found.max() <= 4 < by_tree.max()


@pytest.mark.parametrize("image_shape", [None, (3, 4), (12, 12)])
def test_weights_are_beyond_chance_and_hold_the_tree_or_the_grid(
    monkeypatch: pytest.MonkeyPatch, image_shape: tuple[int, int] | None
) -> None:
    seen = []
    monkeypatch.setattr(ordering, "arrangement", lambda *given: seen.append(given))
    height, width = image_shape or (3, 4)
    count = height * width
    samples = np.random.default_rng(4).integers(0, 3, (300, count))
    samples[:, 6] = np.minimum(samples[:, 1], samples[:, 6])  # no neighbours on the grid
    coupling_order(samples, image_shape)
    information, chance = partial_information(samples)
    held = np.zeros((count, count), dtype=bool)
    if image_shape is None:
        held[np.arange(1, count), dependence_tree(samples)[1:]] = True
        held |= held.T
        begun = tree_order(samples)
    else:
        rows, columns = np.divmod(np.arange(count), width)
        held = np.abs(rows[:, None] - rows) + np.abs(columns[:, None] - columns) == 1
        begun = raster(3, 4) if count == 12 else hilbert(12, 12)
    ((weights, start, _),) = seen
    beyond = np.where(information > chance, information, 0.0)
    expected = np.where(held, np.maximum(information, chance), beyond)
    assert np.allclose(weights, expected, rtol=1e-9, atol=0.0)
    assert weights[1, 6] > 0.0
    assert (weights == chance)[held].any()
    assert np.array_equal(start, begun)


def test_machines_of_a_mixture_are_annealed_from_curves_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "arrangement", lambda weights, start, seed: start)
    samples = np.random.default_rng(3).integers(0, 2, (50, 144))
    found = list(mixture_orders("coupling", 3, (12, 12), samples, seed=5))
    for order, curve in zip(found, variations(hilbert, 12, 12, 3), strict=True):
        assert np.array_equal(order, curve)
    few = samples[:, :12]
    assert len(list(mixture_orders("coupling", 60, (3, 4), few, seed=5))) == 60  # of 8 curves


def test_machines_of_a_mixture_see_samples_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        ordering, "partial_information", lambda x: seen.append(x) or partial_information(x)
    )
    samples = np.random.default_rng(3).integers(0, 2, (50, 12))
    list(mixture_orders("coupling", 2, (3, 4), samples, seed=5))
    drawn = samples[np.random.default_rng((5, 1)).integers(0, 50, 50)]
    assert np.array_equal(seen[0], samples)
    assert np.array_equal(seen[1], drawn)


def test_the_heaviest_pairs_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.full((30, 30), 1e-3)
    line = np.random.default_rng(6).permutation(30)
    weights[line[1:], line[:-1]] = weights[line[:-1], line[1:]] = 1.0
    monkeypatch.setattr(annealing, "_PAIRS_A_SITE", 1)
    found = arrangement(weights, np.arange(30))
    assert cost(weights, found) < 1.3 * cost(weights, line)


def test_no_weight_leaves_the_start() -> None:
    start = np.array([2, 0, 3, 1])
    assert np.array_equal(arrangement(np.zeros((4, 4)), start), start)
