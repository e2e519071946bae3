"""The knobs of training: schedules, batches, hooks, step rules; each resumes bit for bit."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.augment import ImageShifts, along_order
from born_machine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from born_machine.data import shifted_images
from born_machine.problem import LikelihoodProblem, edge_sum, grow_sum, penalties
from born_machine.settings import Settings, at_sweep, plain_schedule
from born_machine.train import start_state, train
from born_machine.update import StepRule, bond_entropy, improve

PATTERNS = bars_and_stripes(3, 3)
DIMS = (2,) * 9


def run(settings: Settings, *, samples: np.ndarray = PATTERNS, **more: Any) -> Checkpoint:
    more.setdefault("start", start_state(samples, DIMS, settings, np.random.default_rng(0)))
    return train(samples, None, DIMS, settings, **more)


def flip_some(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(samples.shape) < 0.05, 1 - samples, samples)


WILD: dict[str, Any] = {"learning_rate": 3.0, "max_bond": 4, "value_cutoff": 0.1}
RUNS: list[tuple[dict[str, Any], Any]] = [
    ({"batch_size": 5}, None),
    ({"batch_size": 5, "batch_per": "bond"}, None),
    ({"batch_size": 5}, flip_some),
    ({}, flip_some),
    ({"noise": 0.05}, None),
    ({"noise": [0.1, 0.0, 0.02], "dtype": "complex64"}, None),
    ({"learning_rate": lambda k: 0.1 / k, "max_bond": [2, 3, 8]}, None),
    ({"rollback": 0.3} | WILD, None),
    ({"backtracks": 2, "learning_rate": 0.9}, None),
    ({"bond_penalty": 0.1, "entropy_bonus": 0.1}, None),
    ({"method": "one-site"}, None),
    ({"method": "one-site", "batch_size": 5, "batch_per": "bond", "expand": 2}, None),
]


@pytest.mark.parametrize(("knobs", "hook"), RUNS)
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_every_knob_resumes_bit_for_bit(
    knobs: dict[str, Any], hook: Any, stop: int, tmp_path: Any
) -> None:
    settings = Settings(**({"sweeps": 5, "patience": 0, "seed": 3} | knobs))
    seen: list[Checkpoint] = []
    whole = run(settings, augment=hook, on_sweep=seen.append)
    save_checkpoint(tmp_path / "checkpoint.npz", seen[stop], {})
    loaded, _ = load_checkpoint(tmp_path / "checkpoint.npz")
    assert isinstance(loaded, Checkpoint)
    again = run(settings, augment=hook, start=loaded)
    for a, b in ((whole.state, again.state), (whole.best, again.best)):
        assert all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))
    assert [r.nll_train for r in again.history] == [r.nll_train for r in whole.history]


@pytest.mark.parametrize(("knobs", "hook"), RUNS)
def test_every_knob_changes_something_and_its_seed_is_used(knobs: Any, hook: Any) -> None:
    base: dict[str, Any] = {"sweeps": 6, "patience": 0}
    if "rollback" in knobs or "backtracks" in knobs:
        base["learning_rate"] = knobs["learning_rate"]
    if "rollback" in knobs:
        base |= WILD
    plain = run(Settings(**base))
    with_knob = run(Settings(**(base | knobs)), augment=hook)
    assert with_knob.history[-1].nll_train != plain.history[-1].nll_train
    if "batch_size" in knobs or "noise" in knobs or hook is not None:
        other = run(Settings(**(base | knobs), seed=1), augment=hook)
        assert other.history[-1].nll_train != with_knob.history[-1].nll_train


def test_schedules_take_a_number_a_sequence_or_a_function() -> None:
    settings = Settings(
        max_bond=[2, 4], learning_rate=lambda k: 0.1 / k, value_cutoff=(0.1, 0.01, 0.0), sweeps=4
    )
    values = [settings.at(k) for k in range(1, 5)]
    assert [v.truncation.max_bond for v in values] == [2, 4, 4, 4]
    assert [v.truncation.value_cutoff for v in values] == [0.1, 0.01, 0.0, 0.0]
    assert [v.learning_rate for v in values] == [0.1, 0.05, pytest.approx(0.1 / 3), 0.025]
    assert settings.largest_bond == 4
    bonds = [record.max_bond for record in run(settings).history]
    assert max(bonds[:2]) <= 2
    assert max(bonds) > 2


@given(
    st.one_of(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=4)),
    st.integers(1, 6),
)
def test_a_plain_schedule_takes_the_same_values(schedule: Any, sweeps: int) -> None:
    for given_as in (schedule, lambda k: at_sweep("noise", schedule, k)):
        plain = plain_schedule("noise", given_as, sweeps)
        for k in range(1, sweeps + 1):
            assert at_sweep("noise", plain, k) == at_sweep("noise", schedule, k)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"learning_rate": []}, "learning_rate is an empty sequence"),
        ({"learning_rate": [0.1, -0.1]}, "learning_rate must be a number from 0 up, got -0.1"),
        ({"learning_rate": lambda k: "x"}, "learning_rate must be a number"),
        ({"max_bond": [10, 0]}, "max_bond must be at least 1, got 0"),
        ({"noise": math.nan}, "noise must be a number"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1 up"),
        ({"batch_per": "epoch"}, "batch_per must be one of sweep, bond"),
        ({"rollback": 0.0}, r"rollback must be None or in \(0, 1\]"),
        ({"rollback": 1.5}, r"rollback must be None or in \(0, 1\]"),
        ({"backtracks": -1}, "backtracks must be a whole number from 0 up"),
        ({"bond_penalty": -1.0}, "bond_penalty must be a number from 0 up"),
        ({"entropy_bonus": "much"}, "entropy_bonus must be a number from 0 up"),
        ({"method": "three-site"}, "method must be one of two-site, one-site, all-site"),
        ({"expand": -1}, "expand must be a whole number from 0 up"),
    ],
)
def test_a_wrong_knob_is_named(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        Settings(**knobs)


def test_schedules_are_read_once_before_the_sweeps() -> None:
    asked: list[int] = []

    def bond(sweep: int) -> int:
        asked.append(sweep)
        return 2

    settings = Settings(max_bond=bond, sweeps=4, patience=0, batch_size=5)
    assert asked == [1, 2, 3, 4]
    run(settings)
    assert asked[4:] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("max_bond", "largest"), [(7, 7), ([2, 9, 4], 9), ([2, 3, 4, 9, 99], 9), (lambda k: 2 * k, 8)]
)
def test_the_largest_bond_is_that_of_the_sweeps_there_are(max_bond: Any, largest: int) -> None:
    assert Settings(max_bond=max_bond, sweeps=4).largest_bond == largest


def test_a_sweep_that_raises_the_nll_is_taken_back() -> None:
    """At a wild learning rate: the accepted NLL never rises, the rate shrinks, training goes on."""
    wild = Settings(sweeps=12, patience=0, **WILD)
    free = [r.nll_train for r in run(wild).history]
    assert any(b > a for a, b in pairwise(free))
    seen: list[Checkpoint] = []
    tame = Settings(sweeps=12, patience=0, rollback=0.3, **WILD)
    run(tame, on_sweep=seen.append)
    for before, after in pairwise(seen):
        reached = min(r.nll_train for r in before.history)
        if after.history[-1].nll_train > reached:
            assert after.state is before.state
        else:
            assert after.state is not before.state
    assert seen[-1].history[seen[-1].best_sweep].nll_train < min(free)


def problem_case(dtype: str, rule: StepRule) -> tuple[np.ndarray, Any, Any, LikelihoodProblem]:
    rng = np.random.default_rng(1)
    psi = tnkit.canonicalize(tnkit.random_mps(4, 2, bond_dim=3, dtype=dtype, seed=1), 1)
    samples = rng.integers(0, 2, (20, 4)).astype(np.uint8)
    from born_machine.amplitude import bond_orders

    orders = bond_orders(samples, (2,) * 4, psi.arrays[0])
    problem = LikelihoodProblem(orders, psi.arrays[0], 20, rule)
    left = problem.grow_left(problem.left_edge(), psi.arrays[0], 0)
    right = problem.grow_right(problem.right_edge(), psi.arrays[3], 3)
    block = np.einsum("lpm,mqr->lpqr", psi.arrays[1], psi.arrays[2])
    return block / np.linalg.norm(block), left, right, problem


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_backtracking_never_raises_the_nll(dtype: str) -> None:
    for rate in (0.1, 3.0, 100.0):
        rule = StepRule(rate, steps=3, backtracks=5, longest=100.0)
        block, left, right, problem = problem_case(dtype, rule)
        after, before = problem.solve(left, block, right, 1)
        _, reached = problem.solve(left, after, right, 1)
        assert reached <= before
    # a step far too long is halved until it helps, not only refused
    block, left, right, problem = problem_case(dtype, StepRule(100.0, backtracks=20, longest=100.0))
    after, before = problem.solve(left, block, right, 1)
    assert problem.solve(left, after, right, 1)[1] < before - 1e-3


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_penalties_and_their_gradients_are_autograds(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rule = StepRule(0.0, bond_penalty=0.7, entropy_bonus=0.3)
    block, left, right, _ = problem_case(dtype, rule)
    variable = torch.tensor(block, requires_grad=True)
    unit = variable / torch.linalg.vector_norm(variable)
    s = torch.linalg.svdvals(unit.reshape(block.shape[0] * 2, -1))
    entropy = -torch.log((s**4).sum())
    whole = torch.einsum("l,lpqr,r->", torch.tensor(left.total), unit, torch.tensor(right.total))
    bonus = 2.0 * torch.log(torch.abs(whole))
    for (weight, penalty), value, sign in zip(
        penalties(rule, left.total, right.total), (entropy, bonus), (1.0, -1.0), strict=True
    ):
        variable.grad = None
        value.backward(retain_graph=True)
        found, fall = penalty(block)
        assert weight in (0.7, 0.3)
        assert float(found) == pytest.approx(sign * float(value.detach()), abs=1e-10)
        np.testing.assert_allclose(fall, -sign * variable.grad.numpy(), atol=1e-10)


def test_the_sums_over_all_configurations_are_those_of_the_dense_state() -> None:
    """2 ln |sum_x psi(x)| is, for positive psi of norm one, the Renyi-1/2 entropy of p."""
    rng = np.random.default_rng(0)
    psi = tnkit.MPS.from_arrays([rng.random(s) for s in [(1, 2, 3), (3, 2, 3), (3, 2, 1)]])
    psi = tnkit.normalize(tnkit.canonicalize(psi, 1))
    rule = StepRule(0.0, entropy_bonus=1.0)
    left = edge_sum(rule, psi.arrays[0])
    left = grow_sum(left, psi.arrays[0], rightwards=True)
    right = edge_sum(rule, psi.arrays[0])
    block = np.einsum("lpm,mqr->lpqr", psi.arrays[1], psi.arrays[2])
    assert left is not None
    exact = tnkit.to_dense(psi).sum()
    scale = np.linalg.norm(psi.arrays[0].sum(axis=1))  # what grow_sum divided out
    ((_, bonus),) = penalties(rule, left, right)
    assert -float(bonus(block)[0]) == pytest.approx(2.0 * np.log(exact / scale), abs=1e-12)
    p = tnkit.to_dense(psi) ** 2
    assert 2.0 * np.log(exact) == pytest.approx(2.0 * np.log(np.sqrt(p).sum()), abs=1e-12)


def test_penalties_do_what_they_are_for() -> None:
    """Each weight moves its own quantity in its own direction, at the price of the train NLL."""
    base = {"sweeps": 15, "patience": 0, "dtype": "float64"}

    def reached(**more: float) -> tuple[float, float, float]:
        state = run(Settings(**(base | more))).state  # type: ignore[arg-type]
        p = np.abs(tnkit.to_dense(state)) ** 2
        p = p / p.sum()
        purity = sum(-math.log((v**4).sum()) for v in tnkit.entanglement_spectra(state))
        nll = -np.log(p[tuple(PATTERNS.T.astype(int))]).mean()
        return purity, 2.0 * math.log(np.sqrt(p).sum()), nll

    plain, penalised, spread = reached(), reached(bond_penalty=0.3), reached(entropy_bonus=0.3)
    assert penalised[0] < plain[0]
    assert spread[1] > plain[1]
    assert min(penalised[2], spread[2]) > plain[2]


def test_noise_has_its_length() -> None:
    block = np.zeros((2, 2, 2, 2))
    block[0, 0, 0, 0] = 1.0
    flat = lambda b: (np.float64(0.0), np.zeros_like(b))  # noqa: E731
    after, _ = improve(block, flat, StepRule(0.0, noise=0.1, rng=np.random.default_rng(0)))
    assert np.linalg.norm(after) == pytest.approx(1.0)
    # the tangent of the angle that a step of length 0.1 turns the block by is 0.1 at most
    assert 0.0 < np.arccos(after[0, 0, 0, 0]) <= np.arctan2(0.1, 0.99) + 1e-9


def test_the_entropy_of_a_product_block_is_zero() -> None:
    block = np.einsum("a,b,c,d->abcd", *[np.array([0.6, 0.8])] * 4)
    value, fall = bond_entropy(block)
    assert float(value) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(fall, 0.0, atol=1e-12)


def test_shifts_are_those_of_the_whole_set_and_drawn_alike() -> None:
    image = np.arange(1, 13).reshape(1, 12)
    every = {tuple(row) for row in shifted_images(image, (3, 4), 2).tolist()}
    hook = ImageShifts((3, 4), reach=2, unshifted=0.0)
    drawn = hook(np.repeat(image, 4000, axis=0), np.random.default_rng(0))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert {tuple(row) for row in found.tolist()} == every - {tuple(image[0].tolist())}
    assert counts.min() > 4000 / 12 * 0.7
    same = ImageShifts((3, 4), reach=2, unshifted=1.0)
    assert np.array_equal(same(image, np.random.default_rng(0)), image)
    assert np.array_equal(ImageShifts((3, 4), reach=0)(image, np.random.default_rng(0)), image)


@given(st.permutations(range(12)), st.integers(0, 99))
def test_a_hook_along_an_order_sees_features(order: list[int], seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 2, (5, 12))
    hook = ImageShifts((3, 4))
    along = along_order(hook, np.array(order))
    expected = hook(images, np.random.default_rng(seed))[:, order]
    assert np.array_equal(along(images[:, order], np.random.default_rng(seed)), expected)


def test_a_hook_is_called_before_every_sweep_with_the_batch_and_may_not_return_nonsense() -> None:
    shapes = []

    def hook(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shapes.append(samples.shape)
        return samples

    BornMachine(sweeps=3, batch_size=4, augment=hook, random_state=0, patience=0).fit(PATTERNS)
    assert shapes == [(4, 9)] * 3
    for bad in (lambda s, r: s[:, :4], lambda s, r: s + 0.5, lambda s, r: None):
        with pytest.raises(tnkit.ArgumentError, match="hook must return integers"):
            BornMachine(sweeps=1, augment=bad, random_state=0).fit(PATTERNS)


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize(
    ("hook", "missing", "message"),
    [
        (lambda s, r: s + 1, "raise", "got 1 to 2 for a feature that takes 0 to 1; give levels"),
        (lambda s, r: s[:0], "raise", "must return samples, got none"),
        (lambda s, r: s.astype(int) - 1, "raise", "values from 0 up, got -1; missing='marginal"),
        (lambda s, r: s.astype(int) - 2, "marginalise", "got -2 to -1 for a feature"),
    ],
)
def test_a_hook_that_returns_no_samples_of_these_features_is_named(
    machines: int, hook: Any, missing: str, message: str
) -> None:
    machine = BornMachine(
        n_machines=machines, sweeps=1, augment=hook, missing=missing, order="given", random_state=0
    )
    with pytest.raises(tnkit.ArgumentError, match=f"the augmentation hook .*{message}"):
        machine.fit(PATTERNS)


def test_a_hook_may_hide_values_where_gaps_are_summed_over() -> None:
    def hide(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random(samples.shape) < 0.1, -1, samples.astype(int))

    machine = BornMachine(sweeps=2, augment=hide, missing="marginalise", random_state=0)
    assert machine.fit(PATTERNS).history_[-1].nll_train < machine.history_[0].nll_train


def test_a_batch_a_bond_is_of_the_size_asked_for(monkeypatch: Any) -> None:
    import born_machine.problem as problem

    sizes = set()
    original = problem.two_site_gradient

    def spy(block: Any, left: Any, *more: Any, **named: Any) -> Any:
        sizes.add(len(left))
        return original(block, left, *more, **named)

    monkeypatch.setattr(problem, "two_site_gradient", spy)
    run(Settings(sweeps=1, batch_size=4, batch_per="bond"))
    assert sizes == {4}


def test_random_shifts_of_the_estimator_are_kept_in_the_file(tmp_path: Any) -> None:
    machine = BornMachine(
        sweeps=2,
        augment="random-shifts",
        image_shape=(3, 3),
        random_state=0,
        learning_rate=lambda k: 0.05 / k,
    ).fit(PATTERNS)
    assert machine.shift_reach_ == 1
    machine.save(tmp_path / "m.npz")
    loaded = BornMachine.load(tmp_path / "m.npz")
    assert loaded.augment == "random-shifts"
    assert list(loaded.learning_rate) == [0.05, 0.025]
    again = loaded.fit(PATTERNS)
    assert np.array_equal(again.score_samples(PATTERNS), machine.score_samples(PATTERNS))
    machine.set_params(augment=flip_some).fit(PATTERNS).save(tmp_path / "m.npz")
    with pytest.raises(tnkit.ArgumentError, match="augment must be one of"):
        BornMachine.load(tmp_path / "m.npz").fit(PATTERNS)


@pytest.mark.parametrize("noise", [1e30, [0.0, 1e7]])
def test_noise_that_drowns_the_state_is_refused_before_training(noise: Any) -> None:
    samples = np.eye(4, dtype=int)
    with pytest.raises(tnkit.ArgumentError, match=r"noise must be at most 1e\+06, got 1e\+"):
        BornMachine(noise=noise, sweeps=3).fit(samples, on_sweep=lambda _: pytest.fail("it began"))
    BornMachine(noise=1e6, sweeps=1, max_bond=2, random_state=0).fit(samples)
