"""Every question to a model, against enumeration of all configurations."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.models.mps import MPSModel, model_from_state


@st.composite
def models(draw: Any) -> MPSModel:
    length = draw(st.integers(1, 5))
    dims = tuple(draw(st.lists(st.integers(1, 3), min_size=length, max_size=length)))
    order = np.array(draw(st.permutations(range(length))), dtype=np.intp)
    psi = tnkit.random_mps(
        length,
        [dims[feature] for feature in order],
        bond_dim=draw(st.integers(1, 4)),
        dtype=draw(st.sampled_from(["float64", "complex128"])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    return model_from_state(psi, order, dims)


def table(model: MPSModel) -> np.ndarray:
    """All probabilities as one array with an axis a feature."""
    support = np.stack(np.meshgrid(*map(np.arange, model.dims), indexing="ij"), axis=-1)
    flat = support.reshape(-1, model.features).astype(np.uint8)
    return np.exp(model.log_likelihood(flat)).reshape(model.dims)


@st.composite
def partly_known(draw: Any) -> tuple[MPSModel, np.ndarray, np.ndarray]:
    model = draw(models())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples = np.stack([rng.integers(0, d, 6) for d in model.dims], axis=1).astype(np.uint8)
    return model, samples, rng.random(samples.shape) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))


def agreeing(p: np.ndarray, sample: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The probabilities of all configurations that agree with what is known, others zero."""
    masked = np.zeros_like(p)
    where = tuple(int(v) if k else slice(None) for v, k in zip(sample, known, strict=True))
    masked[where] = p[where]
    return masked


@given(partly_known())
def test_log_marginals_sum_over_what_is_not_known(case: Any) -> None:
    model, samples, known = case
    p = table(model)
    expected = [agreeing(p, s, k).sum() for s, k in zip(samples, known, strict=True)]
    np.testing.assert_allclose(np.exp(model.log_marginal(samples, known)), expected, atol=1e-13)


@given(partly_known())
def test_knowing_everything_is_the_likelihood_and_nothing_is_certainty(case: Any) -> None:
    model, samples, _ = case
    everything = np.ones(samples.shape, dtype=bool)
    np.testing.assert_allclose(
        np.exp(model.log_marginal(samples, everything)),
        np.exp(model.log_likelihood(samples)),
        atol=1e-13,
    )
    assert model.log_marginal(samples, ~everything) == pytest.approx(0.0, abs=1e-12)


@given(models())
def test_marginals_and_mutual_information(model: MPSModel) -> None:
    p = table(model)
    information = model.mutual_information()
    for f, marginal in enumerate(model.marginals()):
        others = tuple(a for a in range(p.ndim) if a != f)
        np.testing.assert_allclose(marginal, p.sum(axis=others), atol=1e-13)
        for g in range(p.ndim):
            if g == f:
                continue
            joint = p.sum(axis=tuple(a for a in range(p.ndim) if a not in (f, g)))
            joint = joint if f < g else joint.T
            product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            there = joint > 1e-14
            exact = (joint[there] * np.log(joint[there] / product[there])).sum()
            assert information[f, g] == pytest.approx(exact, abs=1e-10)


@given(models())
def test_the_renyi_entropy_is_that_of_the_table(model: MPSModel) -> None:
    assert model.renyi2() == pytest.approx(-np.log((table(model) ** 2).sum()), abs=1e-10)


@given(partly_known(), st.integers(1, 4))
def test_the_most_probable_completion_is_found_or_bounded(case: Any, beam: int) -> None:
    model, samples, known = case
    p = table(model)
    for sample, mask in zip(samples, known, strict=True):
        allowed = agreeing(p, sample, mask)
        if allowed.max() < 1e-12:
            continue
        best = np.log(allowed.max())
        found = model.most_probable(sample[None], mask[None], beam)
        assert (found.samples[0, mask] == sample[mask]).all()
        assert found.log_probability[0] == pytest.approx(
            model.log_likelihood(found.samples)[0], abs=1e-9
        )
        assert found.log_probability[0] <= best + 1e-9 <= found.log_bound[0] + 2e-9
        if found.exact[0]:
            assert found.log_probability[0] == pytest.approx(best, abs=1e-9)
        wide = model.most_probable(sample[None], mask[None], 3**5)
        assert wide.exact[0]


@given(models())
def test_entanglement_is_the_entropy_at_each_bond(model: MPSModel) -> None:
    found = model.entanglement()
    dense = tnkit.to_dense(model.state)
    for bond, value in enumerate(found):
        rows = int(np.prod(dense.shape[: bond + 1]))
        weights = np.linalg.svd(dense.reshape(rows, -1), compute_uv=False) ** 2
        weights = weights[weights > 1e-15]
        assert value == pytest.approx(-(weights * np.log(weights)).sum(), abs=1e-9)


def test_a_compressed_machine_reports_its_own_nll() -> None:
    patterns = bars_and_stripes()
    machine = BornMachine(image_shape=(4, 4), random_state=0).fit(patterns)
    same = machine.compressed(tnkit.Truncation())
    assert same.score(patterns) == pytest.approx(machine.score(patterns), abs=1e-12)
    small = machine.compressed(tnkit.Truncation(max_bond=4))
    assert max(small.model_.state.bond_dims) == 4
    support = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    assert np.exp(small.score_samples(support)).sum() == pytest.approx(1.0, abs=1e-12)
    assert small.score(patterns) < machine.score(patterns)
    assert max(machine.model_.state.bond_dims) > 4  # the original is untouched


def test_the_estimated_entropy_is_within_its_error() -> None:
    patterns = bars_and_stripes()
    machine = BornMachine(image_shape=(4, 4), random_state=0).fit(patterns)
    entropy, error = machine.entropy(2000, random_state=1)
    assert abs(entropy - np.log(30)) < max(5 * error, 0.02)


def test_the_renyi_entropy_of_a_large_bond_is_refused_before_work() -> None:
    psi = tnkit.random_mps(20, bond_dim=200, seed=0)
    with pytest.raises(tnkit.MemoryLimitError, match="bond 200"):
        model_from_state(psi, np.arange(20), (2,) * 20).renyi2()
