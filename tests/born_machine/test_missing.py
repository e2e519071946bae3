"""Samples with gaps: what was not seen is summed over, exactly, in training and in scoring."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine
from born_machine.amplitude import bond_orders
from born_machine.gradient import two_site_gradient
from born_machine.missing import gap_problem, marginal_gradient
from born_machine.settings import STARTS
from born_machine.train import Scorer, Settings, start_state, train
from born_machine.update import StepRule


@st.composite
def cases(draw: Any) -> tuple[tnkit.MPS, np.ndarray]:
    """A chain of norm one, and samples of which some values are missing (-1)."""
    length = draw(st.integers(2, 5))
    dims = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    seed = draw(st.integers(0, 2**32 - 1))
    psi = tnkit.random_mps(
        length,
        dims,
        bond_dim=draw(st.integers(1, 4)),
        dtype=draw(st.sampled_from(["float64", "complex128"])),
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    samples = np.stack([rng.integers(0, d, 8) for d in dims], axis=1)
    samples[rng.random(samples.shape) < draw(st.sampled_from([0.1, 0.5, 1.0]))] = -1
    samples[0, 0] = -1
    return tnkit.normalize(tnkit.canonicalize(psi, -1)), samples


def seen_probabilities(psi: tnkit.MPS, samples: np.ndarray) -> np.ndarray:
    dense = np.abs(tnkit.to_dense(psi)) ** 2
    where = [tuple(slice(None) if v < 0 else int(v) for v in row) for row in samples]
    return np.array([dense[index].sum() for index in where])


@given(cases())
def test_matrices_from_both_sides_give_the_probability_of_what_was_seen(
    library: Any, case: Any
) -> None:
    """At every bond, for samples with gaps and without, the loss is that of the enumeration."""
    psi, samples = case
    arrays = [library.asarray(array) for array in psi.arrays]
    problem = gap_problem(samples, psi.site_dims, arrays[0], StepRule(0.0, floor=0.0))
    lefts, rights = [problem.left_edge()], [problem.right_edge()]
    for k in range(len(psi) - 1):
        lefts.append(problem.grow_left(lefts[-1], arrays[k], k))
    for k in range(len(psi) - 1, 0, -1):
        rights.append(problem.grow_right(rights[-1], arrays[k], k))
    expected = seen_probabilities(psi, samples)
    if expected.min() < 1e-12:
        return
    for bond in range(len(psi) - 1):
        block = np.einsum("lpm,mqr->lpqr", psi.arrays[bond], psi.arrays[bond + 1])
        _, loss = problem.solve(
            lefts[bond], library.asarray(block), rights[len(psi) - 2 - bond], bond
        )
        assert float(loss) == pytest.approx(-np.log(expected).mean(), abs=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_gradient_with_gaps_is_autograds(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape)
        return values + 1j * rng.standard_normal(shape) if dtype == "complex128" else values

    n, dims = 9, (2, 3)
    block = draw(3, *dims, 4)
    block /= np.linalg.norm(block)
    left, right = draw(n, 3, 3), draw(n, 4, 4)
    left, right = left @ left.conj().swapaxes(1, 2), right @ right.conj().swapaxes(1, 2)
    values = np.stack([rng.integers(-1, d, n) for d in dims], axis=1)
    p, gradient = marginal_gradient(block, left, right, values)

    variable = torch.tensor(block, requires_grad=True)
    total = 0.0
    for i in range(n):
        seen = 0.0
        for v, w in itertools.product(range(dims[0]), range(dims[1])):
            if values[i, 0] in (v, -1) and values[i, 1] in (w, -1):
                m = variable[:, v, w, :]
                seen = seen + torch.einsum(
                    "ab,ac,bd,cd->", torch.tensor(left[i]), m, m.conj(), torch.tensor(right[i])
                )
        assert p[i] == pytest.approx(float(seen.real.detach()))
        total = total - torch.log(seen.real) / n
    (total + torch.log((variable.abs() ** 2).sum())).backward()
    np.testing.assert_allclose(gradient, -variable.grad.numpy(), atol=1e-10)


def test_without_gaps_it_is_the_gradient_of_the_vectors() -> None:
    rng = np.random.default_rng(0)
    block = rng.standard_normal((3, 2, 2, 4))
    block /= np.linalg.norm(block)
    samples = rng.integers(0, 2, (10, 2))
    order = np.lexsort(samples.T[::-1])
    samples = samples[order]
    left, right = rng.standard_normal((10, 3)), rng.standard_normal((10, 4))
    pairs = bond_orders(samples, (2, 2), block)[0].pairs
    magnitude, expected = two_site_gradient(block, left, right, pairs, floor=0.1)
    p, found = marginal_gradient(
        block,
        left[:, :, None] * left[:, None],
        right[:, :, None] * right[:, None],
        samples,
        floor=0.1,
    )
    np.testing.assert_allclose(p, magnitude**2, atol=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(cases())
def test_the_nll_with_gaps_is_that_of_enumeration(case: Any) -> None:
    psi, samples = case
    expected = seen_probabilities(psi, samples)
    logs, _ = Scorer(samples, None)(psi)
    np.testing.assert_allclose(np.exp(logs), expected, atol=1e-12)


@given(cases())
def test_samples_without_gaps_score_as_if_there_were_no_others(case: Any) -> None:
    psi, samples = case
    samples[::2] = np.maximum(samples[::2], 0)
    samples[1::2, 0] = -1
    logs, whole = Scorer(samples, samples[::2])(psi)
    np.testing.assert_array_equal(logs[::2], whole)


def parity(n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Even strings of five bits, and the same with gaps."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 2, (n, 5))
    whole[:, 4] = whole[:, :4].sum(axis=1) % 2
    return whole, np.where(rng.random(whole.shape) < share, -1, whole)


def test_training_with_gaps_learns_what_is_hidden_in_none_of_the_samples() -> None:
    """A tenth of the values missing: the law is learned, and the NLL of what was seen falls."""
    whole, gapped = parity(300, 0.1)
    machine = BornMachine(
        random_state=0, missing="marginalise", sweeps=60, dtype="float64", order="given"
    )
    machine.fit(gapped)
    assert -machine.score(whole) == pytest.approx(4 * np.log(2), abs=0.1)
    falls = [record.nll_train for record in machine.history_]
    assert falls[-1] < falls[0]
    # what the history says is the exact likelihood of what was seen
    best = machine.history_[machine.best_sweep_].nll_train
    assert -machine.score(gapped) == pytest.approx(best, abs=1e-6)


def test_nan_and_minus_one_are_the_same_gap_and_score_by_enumeration() -> None:
    whole, gapped = parity(200, 0.3)
    machine = BornMachine(random_state=0, missing="marginalise", sweeps=5, order="given")
    machine.fit(whole)
    logs = machine.score_samples(gapped)
    support = np.array(list(itertools.product((0, 1), repeat=5)))
    p = np.exp(machine.score_samples(support))
    for row, value in zip(gapped, logs, strict=True):
        agrees = ((row < 0) | (support == row)).all(axis=1)
        assert np.exp(value) == pytest.approx(p[agrees].sum(), abs=1e-12)
    with_nan = np.where(gapped < 0, np.nan, gapped.astype(float))
    assert np.array_equal(machine.score_samples(with_nan), logs)


@pytest.mark.parametrize("start", STARTS)
def test_a_feature_nobody_saw_stays_uniform(start: str) -> None:
    samples = np.array([[0, -1, 1], [1, -1, 0]] * 10)
    machine = BornMachine(
        random_state=0, missing="marginalise", sweeps=30, start=start, levels=2
    ).fit(samples)
    assert machine.marginals()[1] == pytest.approx([0.5, 0.5], abs=0.2)
    assert -machine.score(samples) < np.log(2) + 0.05


def test_gaps_are_errors_unless_asked_for() -> None:
    _, gapped = parity(50, 0.2)
    for data in (gapped, np.where(gapped < 0, np.nan, gapped.astype(float))):
        with pytest.raises(tnkit.ArgumentError, match=r"negative|NaN"):
            BornMachine().fit(data)
    with pytest.raises(tnkit.ArgumentError, match="missing must be one of raise, marginalise"):
        BornMachine(missing="drop").fit(gapped)
    with pytest.raises(tnkit.ArgumentError, match="-2 is negative"):
        BornMachine(missing="marginalise").fit(gapped - 1)


@pytest.mark.parametrize("per", ["sweep", "bond"])
def test_batches_of_samples_with_gaps_resume_bit_for_bit(per: str) -> None:
    _, gapped = parity(60, 0.2)
    settings = Settings(sweeps=4, patience=0, batch_size=20, batch_per=per, seed=5)
    start = start_state(gapped, (2,) * 5, settings, np.random.default_rng(0))
    seen: list[Any] = []
    whole = train(gapped, None, (2,) * 5, settings, start=start, on_sweep=seen.append)
    again = train(gapped, None, (2,) * 5, settings, start=seen[2])
    for a, b in zip(whole.state.arrays, again.state.arrays, strict=True):
        assert np.array_equal(a, b)
