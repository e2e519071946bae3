"""Numbers at the edge: long chains, extreme norms, equal values, failing drivers, NaN in mid-run.

Elsewhere: a product past the smallest float, the zero state (`tests/tnkit/mps/test_laws.py`), Inf
before LAPACK and the last fallbacks (`tests/tnkit/test_splitting.py`), impossible samples
(`tests/born_machine/test_estimator.py`), one and two sites (`tests/born_machine/test_train.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import born_machine.train
import born_machine.update
import tnkit
import tnkit.algorithms.dmrg
from born_machine import BornMachine, Checkpoint
from tnkit.testing import assert_canonical

LONG = 10_000


def transfer_log_norm(array: np.ndarray[Any, Any], sites: int) -> float:
    """Return the log of the norm of a chain of equal arrays, ends closed by the first basis vector.

    By squaring of the transfer matrix: another way to the number than a pass over the chain.
    """
    bond = array.shape[0]
    power = np.einsum("lsr,LsR->lLrR", array, array).reshape(bond**2, bond**2)
    total, log, scale = np.eye(bond**2), 0.0, 0.0
    while sites:
        size = np.abs(power).max()
        power, scale = power / size, scale + math.log(size)
        if sites & 1:
            total, log = total @ power, log + scale
            size = np.abs(total).max()
            total, log = total / size, log + math.log(size)
        power, scale, sites = power @ power, 2 * scale, sites >> 1
    return 0.5 * (log + math.log(total[0, 0]))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-11), ("float32", 2e-5)])
def test_ten_thousand_sites_in_every_verb(dtype: str, rounding: float) -> None:
    array = np.random.default_rng(3).standard_normal((2, 2, 2)).astype(dtype)
    arrays = [array[:1], *[array] * (LONG - 2), array[:, :, :1]]
    psi = tnkit.MPS.from_arrays(arrays)
    expected = transfer_log_norm(array.astype(np.float64), LONG)
    assert tnkit.log_norm(psi) == pytest.approx(expected, rel=rounding)
    assert tnkit.log_inner(psi, psi).log_abs == pytest.approx(2 * expected, rel=rounding)
    assert tnkit.log_inner(psi, tnkit.identity_mpo(LONG, dtype=dtype), psi).log_abs == (
        pytest.approx(2 * expected, rel=rounding)
    )
    moved = tnkit.canonicalize(psi, LONG // 2)
    assert moved.centre == LONG // 2
    assert tnkit.log_norm(moved) == pytest.approx(expected, rel=rounding)
    unit = tnkit.normalize(moved)
    assert tnkit.fidelity(unit, psi) == pytest.approx(
        1.0, abs=LONG * 10 * float(np.finfo(dtype).eps)
    )
    # the exact sum with itself has twice the bond, and comes back to it without loss
    doubled = tnkit.compress(tnkit.add(unit, unit), tnkit.Truncation(cutoff=1e-13))
    assert max(doubled.state.bond_dims) <= 2
    assert tnkit.log_norm(doubled.state) == pytest.approx(math.log(2), abs=LONG * rounding)
    drawn = tnkit.sample(unit, 3, seed=0)
    assert drawn.shape == (3, LONG)
    logs = tnkit.log_probability(unit, drawn)
    assert np.isfinite(logs).all()
    assert tnkit.log_probability(psi, drawn) == pytest.approx(logs, rel=10 * rounding)
    assert tnkit.random_mps(LONG, bond_dim=2, dtype=dtype, seed=0).centre == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("log", [math.log(1e-300), 10_000 * math.log(2.0)])
def test_no_verb_depends_on_the_norm(dtype: str, log: float) -> None:
    """Norms of 1e-300 and 2^10000, spread over the arrays of a chain of 400 sites."""
    unit = tnkit.random_mps(400, bond_dim=4, dtype=dtype, seed=1)
    share = np.asarray(math.exp(log / 400), dtype=dtype)
    psi = tnkit.MPS.from_arrays([array * share for array in unit.arrays], sites=unit.sites)
    # 400 steps, each of which rounds a logarithm of up to 14,000
    close = 400 * 14_000 * np.finfo(np.float64).eps if dtype == "float64" else 1e-3
    assert tnkit.log_norm(psi) == pytest.approx(log, abs=400 * max(close, 1e-8))
    assert tnkit.fidelity(psi, unit) == pytest.approx(1.0, abs=close)
    assert tnkit.entropy(psi, 200) == pytest.approx(tnkit.entropy(unit, 200), abs=close)
    cut = tnkit.Truncation(max_bond=3)
    found, expected = tnkit.compress(psi, cut), tnkit.compress(unit, cut)
    # weights of float32 are sums of 400 roundings
    assert np.allclose(found.discarded_weights, expected.discarded_weights, rtol=1e-3, atol=close)
    assert tnkit.fidelity(found.state, expected.state) == pytest.approx(1.0, abs=10 * close)
    if dtype == "float64":
        assert np.array_equal(tnkit.sample(psi, 20, seed=0), tnkit.sample(unit, 20, seed=0))


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.sampled_from([1.0, 0.5, 1e-9, 0.0]), min_size=1, max_size=8),
    dtype=st.sampled_from(["float32", "float64", "complex128"]),
    seed=st.integers(0, 2**16),
)
def test_equal_singular_values_split_exactly(values: list[float], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(values)
    u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    matrix = ((u * values) @ v).astype(dtype)
    for method in ("svd", "gram"):
        found = tnkit.split_matrix(matrix, method=method)
        noise = 30 * n * float(np.finfo(dtype).eps)
        # the Gram matrix of a double does not see values below 1e-8 of the largest
        noise = max(noise, 1e-8 if method == "gram" else 0.0) * max(values)
        assert np.abs(found.left @ found.right - matrix).max() <= noise
        kept = found.left.shape[1]
        assert np.abs(found.left.conj().T @ found.left - np.eye(kept)).max() <= 1e-4


@settings(max_examples=10, deadline=None)
@given(pair=st.integers(2, 4), limit=st.integers(1, 4))
def test_a_multiplet_is_whole_or_cut_by_the_hard_limit_only(pair: int, limit: int) -> None:
    ghz = tnkit.ghz_mps(4, pair)  # all Schmidt values equal
    assert tnkit.compress(ghz, tnkit.Truncation(cutoff=0.4)).state.bond_dims == (pair,) * 3
    cut = tnkit.compress(ghz, tnkit.Truncation(max_bond=limit))
    kept = min(pair, limit)
    assert cut.state.bond_dims == (kept,) * 3
    assert tnkit.fidelity(cut.state, ghz) == pytest.approx(kept / pair, abs=1e-12)


# ---- drivers that fail, numbers that break


@pytest.fixture
def failing_svd(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Make the first `count` SVDs fail to converge; return the list of the failures."""

    def arrange(count: int) -> list[int]:
        real, failed = np.linalg.svd, []

        def svd(matrix: Any, *arguments: Any, **options: Any) -> Any:
            if len(failed) < count:
                failed.append(matrix.shape[0])
                raise np.linalg.LinAlgError("SVD did not converge")
            return real(matrix, *arguments, **options)

        monkeypatch.setattr(np.linalg, "svd", svd)
        return failed

    return arrange


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_svd_that_does_not_converge_changes_no_answer(
    failing_svd: Callable[[int], list[int]], count: int
) -> None:
    if count == 3:
        pytest.importorskip("scipy")
    psi = tnkit.random_mps(6, bond_dim=6, seed=2)
    cut = tnkit.Truncation(max_bond=3)
    expected = tnkit.compress(psi, cut)
    failed = failing_svd(count)
    found = tnkit.compress(psi, cut)
    assert len(failed) == count
    assert found.discarded_weights == pytest.approx(expected.discarded_weights, rel=1e-9)
    assert tnkit.fidelity(found.state, expected.state) == pytest.approx(1.0, abs=1e-12)
    assert_canonical(found.state)


def broken(function: Callable[..., Any], at: int, bad: float) -> Callable[..., Any]:
    """Return a function whose result number `at` holds `bad`; the first of a tuple stays."""
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        result = function(*arguments, **options)
        if calls != at:
            return result
        if isinstance(result, tuple):
            return (result[0], result[1] * bad)
        return result * bad

    return call


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_training_stops_at_the_bond_where_a_number_breaks(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """Ten sites: 16 bonds a sweep. The 37th bond is the fifth of sweep 3."""
    samples = np.random.default_rng(0).integers(0, 2, (60, 10))
    machine = BornMachine(max_bond=4, sweeps=5, patience=0, order="given", random_state=0)
    whole: list[Checkpoint] = []
    machine.fit(samples, on_sweep=whole.append)
    step = born_machine.update.gradient_step
    monkeypatch.setattr(born_machine.update, "gradient_step", broken(step, 37, bad))
    steps: list[int] = []
    kept: list[Checkpoint] = []
    where = r"^sweep 3, bond 4 \(sites 's4', 's5'\): \S"
    with pytest.raises(tnkit.NonFiniteError, match=where) as caught:
        machine.fit(samples, on_step=lambda sweep, _: steps.append(sweep), on_sweep=kept.append)
    assert len(steps) == 36
    assert [c.history[-1].sweep for c in kept] == [0, 1, 2]
    assert caught.value.last_good is kept[-1]
    for a, b in zip(kept[-1].state.arrays, whole[2].state.arrays, strict=True):
        assert np.array_equal(a, b)
    monkeypatch.undo()  # and from the last good state it goes on to where it would have come
    resumed: list[Checkpoint] = []
    machine.fit(samples, resume=kept[-1], on_sweep=resumed.append)
    for a, b in zip(resumed[-1].state.arrays, whole[-1].state.arrays, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_dmrg_stops_at_the_bond_where_a_number_breaks(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    ising = tnkit.OpSum()
    for k in range(5):
        ising.add(-1.0, ("Z", k), ("Z", k + 1))
        ising.add(-0.7, ("X", k))
    psi = tnkit.random_mps(6, bond_dim=3, seed=0)
    before = [array.copy() for array in psi.arrays]
    lowest = tnkit.algorithms.dmrg.lowest_vector
    monkeypatch.setattr(tnkit.algorithms.dmrg, "lowest_vector", broken(lowest, 11, bad))
    steps: list[tnkit.SweepState] = []
    mpo, cut = ising.to_mpo(6), tnkit.Truncation(max_bond=6)
    where = r"^sweep 2, bond 2 \(sites 's2', 's3'\): \S"
    with pytest.raises(tnkit.NonFiniteError, match=where) as caught:
        tnkit.dmrg(mpo, psi, truncation=cut, on_step=steps.append)
    assert len(steps) == 10
    assert caught.value.last_good is steps[-1]
    assert all(np.array_equal(a, b) for a, b in zip(psi.arrays, before, strict=True))
    monkeypatch.undo()  # and from the last good state it goes on to where it would have come
    resumed = tnkit.dmrg(mpo, tnkit.pause(caught.value.last_good), truncation=cut)
    whole = tnkit.dmrg(mpo, psi, truncation=cut)
    for a, b in zip(resumed.state.arrays, whole.state.arrays, strict=True):
        assert np.array_equal(a, b)


# ---- data at the edge

rows = st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, 2, (12, 5)))
SMALL = BornMachine(
    max_bond=4, sweeps=3, order="given", dtype="float64", random_state=0, augment="none"
)


def fitted(samples: np.ndarray[Any, Any], **changes: Any) -> BornMachine:
    """Return a small machine trained on samples."""
    return BornMachine(**{**SMALL.get_params(), **changes}).fit(samples)


@settings(max_examples=8, deadline=None)
@given(samples=rows, times=st.integers(2, 4))
def test_duplicates_weigh_what_they_should(samples: np.ndarray[Any, Any], times: int) -> None:
    """The mean over samples is the same when each stands there several times."""
    how = born_machine.train.Settings(max_bond=4, sweeps=2, patience=0, dtype="float64")
    begin = born_machine.train.start_state(samples, (2,) * 5, how, np.random.default_rng(0))
    once, often = (
        born_machine.train.train(part, None, (2,) * 5, how, start=begin).state
        for part in (samples, np.repeat(samples, times, axis=0))
    )
    assert tnkit.fidelity(once, often) == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=8, deadline=None)
@given(samples=rows, column=st.integers(0, 4), value=st.integers(0, 1))
def test_a_constant_column_is_learnt_and_drawn(
    samples: np.ndarray[Any, Any], column: int, value: int
) -> None:
    samples = samples.copy()
    samples[:, column] = value
    machine = fitted(samples, sweeps=30, patience=0)
    assert np.isfinite(machine.score_samples(samples)).all()
    assert machine.marginals()[column][value] > 0.98
    assert (machine.sample(100, random_state=0)[:, column] == value).mean() > 0.9


@pytest.mark.parametrize("copies", [1, 7])
def test_one_sample_is_learnt_by_heart(copies: int) -> None:
    only = np.array([[0, 1, 1, 0, 1, 2]])
    machine = fitted(np.repeat(only, copies, axis=0), sweeps=60, patience=0)
    assert machine.score(only) > -0.05
    assert (machine.sample(20, random_state=0) == only).mean() > 0.95


def test_one_site_in_every_verb() -> None:
    psi = tnkit.MPS.from_arrays([np.array([3.0, 4.0]).reshape(1, 2, 1)])
    assert tnkit.norm(psi) == pytest.approx(5.0)
    assert tnkit.inner(psi, psi) == pytest.approx(25.0)
    assert tnkit.compress(psi, tnkit.Truncation(max_bond=1)).error_bound == 0.0
    assert tnkit.entropies(psi).shape == (0,)
    assert tnkit.sample(psi, 4, seed=0).shape == (4, 1)
    assert np.exp(tnkit.log_probability(psi, [[0], [1]])) == pytest.approx([0.36, 0.64])
    assert tnkit.canonicalize(psi, 0).centre == 0
    assert tnkit.reverse(psi).bond_dims == ()


def test_samples_of_probability_zero_are_minus_infinity_and_never_drawn() -> None:
    psi = tnkit.ghz_mps(200)
    mixed = np.tile([0, 1], 100)[None]
    assert tnkit.log_probability(psi, mixed)[0] == -math.inf
    found = tnkit.log_probability(psi, np.vstack([mixed, np.ones((1, 200), int), mixed]))
    assert found == pytest.approx([-math.inf, -math.log(2), -math.inf])
    assert {tuple(row) for row in tnkit.sample(psi, 50, seed=0)} <= {(0,) * 200, (1,) * 200}
