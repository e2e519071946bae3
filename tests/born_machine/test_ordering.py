"""Site orders are permutations that keep neighbours near."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import pairs
from born_machine.curves import hilbert, raster, snake
from born_machine.ordering import path_order, site_order, tree_arrangement
from born_machine.pairs import joint_counts, mutual_information

sides = st.integers(1, 40)


@given(sides, sides)
def test_every_curve_visits_every_pixel_once(height: int, width: int) -> None:
    for curve in (raster, snake, hilbert):
        assert np.array_equal(np.sort(curve(height, width)), np.arange(height * width))


@given(sides, sides)
def test_the_hilbert_curve_steps_to_neighbours(height: int, width: int) -> None:
    rows, columns = np.divmod(hilbert(height, width), width)
    down, right = abs(np.diff(rows)), abs(np.diff(columns))
    assert (np.maximum(down, right) == 1).all()
    assert (down + right == 2).sum() <= 1, "more than one diagonal step"


def test_the_hilbert_curve_keeps_the_square_together() -> None:
    """Pixels k steps apart lie within a distance that grows as the square root of k."""
    rows, columns = np.divmod(hilbert(32, 32), 32)
    for k in (4, 16, 64, 256):
        distance = np.hypot(rows[k:] - rows[:-k], columns[k:] - columns[:-k])
        assert distance.max() <= 3 * np.sqrt(k)


def test_auto_follows_the_geometry() -> None:
    assert np.array_equal(site_order("auto", 784, (28, 28)), hilbert(28, 28))
    assert np.array_equal(site_order("auto", 64, (8, 8)), raster(8, 8))
    assert np.array_equal(site_order("auto", 64, None), np.arange(64))
    assert np.array_equal(site_order([2, 0, 1], 3, None), [2, 0, 1])


@pytest.mark.parametrize(
    ("order", "features", "shape", "message"),
    [
        ("spiral", 4, (2, 2), "'spiral' is unknown; use one of auto, raster"),
        ("hilbert", 4, None, "needs images"),
        ("auto", 5, (2, 2), "has 4 pixels, the data has 5 features"),
        ([0, 0, 1], 3, None, "each of 0 to 2 once"),
        ([0.0, 1.0], 2, None, "feature numbers"),
    ],
)
def test_a_wrong_order_is_refused(order, features, shape, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(tnkit.TnkitError, match=message):
        site_order(order, features, shape)


@given(st.integers(2, 6), st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_mutual_information_is_that_of_the_frequencies(features: int, n: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(0, 3, (n, features)).astype(np.uint8)
    found = mutual_information(samples)
    for a in range(features):
        for b in range(features):
            joint = np.zeros((3, 3))
            np.add.at(joint, (samples[:, a], samples[:, b]), 1 / n)
            rows, columns = joint.sum(axis=1), joint.sum(axis=0)
            there = joint > 0
            information = (joint * np.log(np.where(there, joint, 1)))[there].sum() - sum(
                (p[p > 0] * np.log(p[p > 0])).sum() for p in (rows, columns)
            )
            scale = np.prod([-(p[p > 0] * np.log(p[p > 0])).sum() for p in (rows, columns)]) ** 0.5
            assert found[a, b] == pytest.approx(information / scale if scale else 0.0, abs=1e-6)


@pytest.mark.parametrize("order", ["linkage", "path", "chow-liu", "coupling"])
def test_a_shuffled_chain_is_put_in_line_again(order: str) -> None:
    """Each feature copies the one before it with a few flips; the order recovers the line."""
    rng = np.random.default_rng(0)
    chain = np.empty((4000, 20), dtype=np.uint8)
    chain[:, 0] = rng.integers(0, 2, 4000)
    for k in range(1, 20):
        chain[:, k] = chain[:, k - 1] ^ (rng.random(4000) < 0.1)
    shuffle = rng.permutation(20)
    found = shuffle[site_order(order, 20, None, chain[:, shuffle])]
    assert (np.abs(np.diff(found)) == 1).all()


def test_two_opt_never_makes_a_path_longer_than_the_greedy_one() -> None:
    samples = np.random.default_rng(3).integers(0, 2, (50, 30)).astype(np.uint8)
    distance = 1.0 - mutual_information(samples)
    path = path_order(samples)
    length = distance[path[:-1], path[1:]].sum()
    for i in range(-1, 28):
        for j in range(i + 2, 30):
            other = np.concatenate((path[: i + 1], path[i + 1 : j + 1][::-1], path[j + 1 :]))
            assert distance[other[:-1], other[1:]].sum() >= length - 1e-9


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_no_planar_walk_through_a_tree_is_shorter(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parents = np.array([-1, *(int(rng.integers(0, v)) for v in range(1, count))], dtype=np.intp)
    edges = [(v, int(parents[v])) for v in range(1, count)]

    def length(order: tuple[int, ...]) -> int | None:
        """The sum of the edge lengths; None where two edges cross."""
        place = {vertex: site for site, vertex in enumerate(order)}
        arcs = [tuple(sorted((place[a], place[b]))) for a, b in edges]
        crossed = any(a < c < b < d for a, b in arcs for c, d in arcs)
        return None if crossed else sum(b - a for a, b in arcs)

    found = tuple(map(int, tree_arrangement(parents)))
    assert sorted(found) == list(range(count))
    lengths = (length(order) for order in itertools.permutations(range(count)))
    assert length(found) == min(value for value in lengths if value is not None)


def test_auto_finds_the_order_of_features_that_are_no_image() -> None:
    from born_machine import BornMachine

    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, (800, 10))
    samples = np.concatenate((half, half ^ (rng.random(half.shape) < 0.05)), axis=1)
    machine = BornMachine(max_bond=8, random_state=0, sweeps=4).fit(samples)
    assert machine.order_name_ in ("linkage", "path", "chow-liu", "coupling")
    places = np.argsort(machine.model_.order)
    assert (np.abs(places[:10] - places[10:]) == 1).all()  # each copy beside its original
    as_given = BornMachine(max_bond=8, random_state=0, sweeps=4, order="given").fit(samples)
    assert machine.score(samples) > as_given.score(samples) + 1.0


def test_joint_frequencies_beyond_memory_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = np.array([[0, 999], [1, 0]])
    monkeypatch.setattr(pairs, "device_memory", lambda: 6 * 8 * 1002**2 - 1)
    with pytest.raises(tnkit.MemoryLimitError, match=r"1,002 values.*need 4\.8e\+07 bytes"):
        joint_counts(samples)
    monkeypatch.setattr(pairs, "device_memory", lambda: 6 * 8 * 1002**2)
    assert joint_counts(samples)[0].shape == (1002, 1002)
