"""The kernels against dense arrays, autograd and finite differences."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine.amplitude import absorb_site, bond_orders, log_amplitudes
from born_machine.gradient import two_site_gradient
from born_machine.likelihood import log_likelihood
from born_machine.problem import LikelihoodProblem
from born_machine.update import StepRule, gradient_step


@st.composite
def chains(draw: Any, *, least: int = 2) -> tuple[tnkit.MPS, np.ndarray]:
    """A random state, real or complex, with mixed site dimensions, and samples of its sites."""
    length = draw(st.integers(least, 6))
    dims = draw(st.lists(st.integers(1, 4), min_size=length, max_size=length))
    dtype = draw(st.sampled_from(["float64", "complex128"]))
    seed = draw(st.integers(0, 2**32 - 1))
    psi = tnkit.random_mps(length, dims, bond_dim=draw(st.integers(1, 5)), dtype=dtype, seed=seed)
    psi = tnkit.canonicalize(psi, draw(st.integers(0, length - 1)))
    rng = np.random.default_rng(seed)
    count = draw(st.integers(1, 12))
    samples = np.stack([rng.integers(0, d, count) for d in dims], axis=1).astype(np.uint8)
    return psi, samples


def dense_amplitudes(psi: tnkit.MPS, samples: np.ndarray) -> np.ndarray:
    return tnkit.to_dense(psi)[tuple(samples.T.astype(int))]


@given(chains(least=1))
def test_log_amplitudes_are_those_of_the_dense_state(library: Any, case: Any) -> None:
    psi, samples = case
    arrays = [library.asarray(array) for array in psi.arrays]
    logs = log_amplitudes(arrays, library.asarray(samples.astype(np.int64)))
    np.testing.assert_allclose(
        np.exp(np.asarray(logs.tolist())), np.abs(dense_amplitudes(psi, samples)), atol=1e-13
    )


def test_an_impossible_sample_has_log_amplitude_minus_infinity(library: Any) -> None:
    psi = tnkit.product_mps([[1.0, 0.0], [0.6, 0.8]])
    arrays = [library.asarray(array) for array in psi.arrays]
    logs = log_amplitudes(arrays, library.asarray(np.array([[1, 0], [0, 1], [1, 1]])))
    assert logs.tolist() == [-np.inf, pytest.approx(np.log(0.8)), -np.inf]


@given(chains())
def test_scores_do_not_depend_on_the_company(library: Any, case: Any) -> None:
    psi, samples = case
    arrays = [library.asarray(array) for array in psi.arrays]
    together = log_amplitudes(arrays, library.asarray(samples.astype(np.int64)))
    alone = [
        log_amplitudes(arrays, library.asarray(row[None].astype(np.int64)))[0].item()
        for row in samples
    ]
    np.testing.assert_allclose(together.tolist(), alone, rtol=1e-12)


@given(chains())
def test_sorted_vectors_from_both_sides_give_psi_at_every_bond(library: Any, case: Any) -> None:
    """Left vector times merged tensor times right vector, at each bond, is |psi| of each sample."""
    psi, samples = case
    like = library.asarray(psi.arrays[0])
    orders = bond_orders(samples, psi.site_dims, like)
    problem = LikelihoodProblem(orders, like, len(samples), StepRule(0.0))
    arrays = [library.asarray(array) for array in psi.arrays]
    lefts, rights = [problem.left_edge().samples], [problem.right_edge().samples]
    for k in range(len(psi) - 1):
        lefts.append(absorb_site(lefts[-1], arrays[k], orders[k], rightwards=True))
    for k in range(len(psi) - 1, 0, -1):
        rights.append(absorb_site(rights[-1], arrays[k], orders[k - 1], rightwards=False))
    expected = np.sort(np.abs(dense_amplitudes(psi, samples)))
    for bond in range(len(psi) - 1):
        left, right = lefts[bond], rights[len(psi) - 2 - bond]
        a, b = psi.arrays[bond], psi.arrays[bond + 1]
        block = library.asarray(np.einsum("lpm,mqr->lpqr", a, b))
        magnitude, _ = two_site_gradient(block, left.vectors, right.vectors, orders[bond].pairs)
        logs = np.log(np.asarray(magnitude.tolist()))
        found = np.exp(logs + np.asarray(left.logs.tolist()) + np.asarray(right.logs.tolist()))
        np.testing.assert_allclose(np.sort(found), expected, rtol=1e-9, atol=1e-30)


def block_case(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any, np.ndarray]:
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape)
        return values + 1j * rng.standard_normal(shape) if dtype == "complex128" else values

    samples = rng.integers(0, [2, 3], (11, 2)).astype(np.uint8)
    block = draw(3, 2, 3, 4)
    block /= np.linalg.norm(block)
    order = bond_orders(samples, (2, 3), block)[0]
    pairs = np.concatenate([[(p, q)] * (b - a) for p, q, a, b in order.pairs])
    return block, draw(11, 3), draw(11, 4), order.pairs, pairs


def local_nll(block: Any, left: Any, right: Any, pairs: np.ndarray, xp: Any) -> Any:
    psi = xp.einsum(
        "nl,nlr,nr->n", left, block[:, pairs[:, 0], pairs[:, 1], :].swapaxes(0, 1), right
    )
    norm = (xp.abs(block) ** 2).sum()
    return -2.0 * xp.log(xp.abs(psi)).mean() + xp.log(norm)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_gradient_is_autograds(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    block, left, right, slices, pairs = block_case(dtype)
    _, gradient = two_site_gradient(block, left, right, slices)
    variable = torch.tensor(block, requires_grad=True)
    loss = local_nll(variable, torch.tensor(left), torch.tensor(right), pairs, torch)
    loss.backward()
    np.testing.assert_allclose(gradient, -variable.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_gradient_is_that_of_finite_differences(dtype: str) -> None:
    block, left, right, slices, pairs = block_case(dtype)
    _, gradient = two_site_gradient(block, left, right, slices)
    step = 1e-6
    units = [1.0, 1.0j] if dtype == "complex128" else [1.0]
    for where in itertools.islice(np.ndindex(block.shape), 0, None, 5):
        for unit in units:
            shift = np.zeros_like(block)
            shift[where] = unit * step
            rise = local_nll(block + shift, left, right, pairs, np)
            fall = local_nll(block - shift, left, right, pairs, np)
            expected = -(rise - fall) / (2 * step)
            found = (gradient[where] * np.conj(unit)).real
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_every_library_gives_the_same_gradient(library: Any, dtype: str) -> None:
    block, left, right, slices, _ = block_case(dtype)
    expected = two_site_gradient(block, left, right, slices, floor=1e-4)
    arrays = [library.asarray(array) for array in (block, left, right)]
    found = two_site_gradient(*arrays, slices, floor=1e-4)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a.tolist()), b, atol=1e-13)


def test_the_floor_bounds_the_pull_of_an_impossible_sample() -> None:
    block = np.zeros((1, 2, 2, 1))
    block[0, 0, 0, 0] = 1.0
    ones = np.ones((2, 1))
    samples = np.array([[0, 0], [1, 1]], dtype=np.uint8)
    pairs = bond_orders(samples, (2, 2), block)[0].pairs
    magnitude, gradient = two_site_gradient(block, ones, ones, pairs, floor=1e-4)
    assert magnitude.tolist() == [1.0, 0.0]
    assert np.isfinite(gradient).all()


def test_a_short_step_follows_the_gradient_at_the_learning_rate() -> None:
    block = np.array([0.6, 0.8]).reshape(1, 2, 1, 1)
    gradient = np.array([0.5, -1.0]).reshape(block.shape)
    moved = block + 0.05 * gradient
    after = gradient_step(block, gradient, 0.05)
    np.testing.assert_allclose(after, moved / np.linalg.norm(moved), rtol=1e-14)


def test_a_step_has_norm_one_and_its_length_is_bounded() -> None:
    rng = np.random.default_rng(0)
    block = rng.standard_normal((2, 2, 2, 2))
    block /= np.linalg.norm(block)
    for size in (1e-3, 1.0, 1e9):
        after = gradient_step(block, rng.standard_normal(block.shape) * size, 0.05)
        assert np.linalg.norm(after) == pytest.approx(1.0)
        # a step of length at most one cannot turn a unit vector by more than a right angle
        assert np.vdot(after, block) > -1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_step_leaves_no_subnormal_number_and_loses_no_other(library: Any, dtype: str) -> None:
    smallest = float(np.finfo(dtype).smallest_normal)
    sizes = np.array([1.0, 1e-25, smallest * 2.0**28, smallest * 2.0**26, smallest / 8, np.nan])
    block = library.asarray(sizes[:-1].reshape(1, 5, 1, 1).astype(dtype))
    after = np.asarray(gradient_step(block, block * 0.0, 0.05).tolist()).ravel()
    np.testing.assert_allclose(after, [1.0, 1e-25, smallest * 2.0**28, 0.0, 0.0], rtol=1e-6)
    broken = library.asarray(sizes.reshape(1, 6, 1, 1).astype(dtype))
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.asarray(gradient_step(broken, broken, 0.05).tolist())).all()


@given(chains())
def test_log_likelihood_is_normalised_by_any_state(library: Any, case: Any) -> None:
    """Norm, gauge and scale of the state drop out: ln p is that of the normalised state."""
    psi, samples = case
    scaled = tnkit.MPS(
        tuple(library.asarray(3.0 * array) for array in psi.arrays), psi.sites, log_scale=0.7
    )
    logs = log_likelihood(scaled, library.asarray(samples.astype(np.int64)))
    exact = np.abs(dense_amplitudes(psi, samples)) ** 2 / np.linalg.norm(tnkit.to_dense(psi)) ** 2
    np.testing.assert_allclose(np.exp(np.asarray(logs.tolist())), exact, atol=1e-13)
