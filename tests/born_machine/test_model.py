"""What a model says, against enumeration of every configuration."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given

import tnkit
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import MPSModel, model_from_state
from born_machine.models.protocol import Model
from born_machine.models.storage import load_model, save_model


def configurations(dims: tuple[int, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, dims))), dtype=np.uint8)


@st.composite
def chains(draw: Any, dims: tuple[int, ...]) -> MPSModel:
    """A random chain: real or complex, any site order, any centre."""
    length = len(dims)
    order = np.array(draw(st.permutations(range(length))), dtype=np.intp)
    dtype = draw(st.sampled_from(["float32", "float64", "complex64", "complex128"]))
    psi = tnkit.random_mps(
        length,
        [dims[feature] for feature in order],
        bond_dim=draw(st.integers(1, 4)),
        dtype=dtype,
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    return model_from_state(tnkit.canonicalize(psi, draw(st.integers(0, length - 1))), order, dims)


def value_counts(longest: int) -> Any:
    return st.lists(st.integers(1, 3), min_size=1, max_size=longest).map(tuple)


@st.composite
def models(draw: Any, *, longest: int = 6) -> Model:
    """A chain, or a mixture of up to three in different orders; mixed value counts."""
    dims = draw(value_counts(longest))
    components = tuple(draw(chains(dims)) for _ in range(draw(st.integers(1, 3))))
    if len(components) == 1:
        return components[0]
    parts = draw(st.lists(st.integers(1, 9), min_size=len(components), max_size=len(components)))
    return MixtureModel(components, tuple(part / sum(parts) for part in parts))


@given(models())
def test_probabilities_sum_to_one(model: Model) -> None:
    logs = model.log_likelihood(configurations(model.dims))
    assert np.exp(logs).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("centre", [0, 5, 11])
def test_probabilities_of_all_4096_strings_sum_to_one(dtype: str, centre: int) -> None:
    psi = tnkit.random_mps(12, bond_dim=7, dtype=dtype, seed=1)
    model = model_from_state(tnkit.canonicalize(psi, centre), np.arange(12), (2,) * 12)
    total = np.exp(model.log_likelihood(configurations(model.dims))).sum()
    assert total == pytest.approx(1.0, abs=1e-12)


@given(value_counts(6).flatmap(chains))
def test_probabilities_are_those_of_the_dense_state(model: MPSModel) -> None:
    samples = configurations(model.dims)
    dense = np.abs(tnkit.to_dense(model.state)) ** 2
    exact = dense[tuple(samples[:, model.order].T.astype(int))]
    np.testing.assert_allclose(np.exp(model.log_likelihood(samples)), exact, atol=1e-13)


@given(models(longest=4), st.integers(0, 2**32 - 1))
def test_sample_frequencies_are_the_probabilities(model: Model, seed: int) -> None:
    drawn = model.sample(4000, np.random.default_rng(seed))
    assert chi_square(drawn, configurations(model.dims), model) > 1e-6


def chi_square(drawn: np.ndarray, support: np.ndarray, model: Model) -> float:
    """p-value of the counts of every configuration against the exact probabilities."""
    exact = np.exp(model.log_likelihood(support))
    return p_value(drawn, support, exact)


def p_value(drawn: np.ndarray, support: np.ndarray, exact: np.ndarray) -> float:
    keys = {tuple(row): i for i, row in enumerate(support.tolist())}
    counts = np.bincount([keys[tuple(row)] for row in drawn.tolist()], minlength=len(support))
    assert counts[exact < 1e-14].sum() == 0, "an impossible configuration was drawn"
    rare = exact * len(drawn) < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(exact[~rare], exact[rare].sum()) * len(drawn)
    keep = expected > 1e-9
    if keep.sum() < 2:
        return 1.0
    observed, expected = observed[keep], expected[keep]
    return float(scipy.stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


@given(models(longest=5), st.data())
def test_completion_draws_from_the_conditional(model: Model, data: Any) -> None:
    """Any set of known features; frequencies of whole samples match brute-force conditionals."""
    n = 3000
    known = np.array(
        data.draw(st.lists(st.booleans(), min_size=model.features, max_size=model.features))
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    given_row = model.sample(1, rng)
    drawn = model.complete(
        np.repeat(given_row, n, axis=0), np.broadcast_to(known, (n, model.features)), rng
    )
    assert (drawn[:, known] == given_row[:, known]).all()
    support = configurations(model.dims)
    agrees = (support[:, known] == given_row[:, known]).all(axis=1)
    joint = np.where(agrees, np.exp(model.log_likelihood(support)), 0.0)
    assert p_value(drawn, support, joint / joint.sum()) > 1e-6


@given(models(longest=5), st.integers(0, 2**32 - 1))
def test_every_row_may_have_a_mask_of_its_own(model: Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = model.sample(20, rng)
    known = rng.random(samples.shape) < 0.5
    drawn = model.complete(samples, known, rng)
    assert (drawn[known] == samples[known]).all()
    assert np.isfinite(model.log_likelihood(drawn)).all()


def test_completion_in_small_batches_respects_the_memory_limit() -> None:
    from born_machine.completion import complete_chain

    psi = tnkit.random_mps(6, bond_dim=4, seed=3)
    samples = tnkit.sample(psi, 7, seed=0)
    known = np.zeros((7, 6), dtype=bool)
    known[:, 4] = True
    drawn = complete_chain(psi.arrays, samples, known, np.random.default_rng(0), memory=1)
    assert drawn.shape == (7, 6)
    assert (drawn[:, 4] == samples[:, 4]).all()


def test_completing_an_impossible_sample_names_it() -> None:
    psi = tnkit.product_mps([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    model = model_from_state(psi, np.arange(3), (2, 2, 2))
    known = np.array([[False, True, False], [True, False, False]])
    with pytest.raises(tnkit.ArgumentError, match="sample 1 has probability zero"):
        model.complete(np.array([[0, 1, 0], [1, 0, 0]]), known, np.random.default_rng(0))


@given(models())
def test_a_saved_model_answers_bit_for_bit(tmp_path_factory: Any, model: Model) -> None:
    path = tmp_path_factory.mktemp("model") / "model.npz"
    save_model(path, model, {"note": "kept"})
    loaded, metadata = load_model(path)
    samples = configurations(model.dims)
    assert metadata == {"note": "kept"}
    assert (loaded.log_likelihood(samples) == model.log_likelihood(samples)).all()


def test_a_model_takes_order_and_dims_as_sequences(tmp_path: Any) -> None:
    psi = tnkit.random_mps(2, bond_dim=2, seed=0)
    model = model_from_state(psi, (1, 0), [2, 2])
    save_model(tmp_path / "model.npz", model, {})
    loaded, _ = load_model(tmp_path / "model.npz")
    samples = configurations((2, 2))
    assert (loaded.log_likelihood(samples) == model.log_likelihood(samples)).all()


@pytest.mark.parametrize(
    ("order", "dims", "names"),
    [
        ((0, 0), (2, 2), "each of 0 to 1 once"),
        ((0, 1), (2, 2, 2), "2 sites, dims name 3"),
        ((1, 0), (2, 3), "site 0 of the state takes 2 values, its feature 1 takes 3"),
    ],
)
def test_a_model_refuses_what_does_not_fit_its_state(order: Any, dims: Any, names: str) -> None:
    psi = tnkit.random_mps(2, bond_dim=2, seed=0)
    with pytest.raises(tnkit.TnkitError, match=names):
        model_from_state(psi, order, dims)


@pytest.mark.parametrize("position", [0, 100, 1500, -1])
def test_a_damaged_model_file_is_refused(tmp_path: Any, position: int) -> None:
    psi = tnkit.random_mps(6, bond_dim=4, seed=3)
    path = tmp_path / "model.npz"
    save_model(path, model_from_state(psi, np.arange(6), (2,) * 6), {})
    content = bytearray(path.read_bytes())
    if position == -1:
        content = content[: len(content) // 2]
    else:
        content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(tnkit.FormatError):
        load_model(path)


def test_scoring_bytes_takes_no_more_than_their_copy_in_site_order() -> None:
    model = model_from_state(
        tnkit.random_mps(50, bond_dim=2, seed=0), np.arange(50)[::-1], [2] * 50
    )
    samples = np.random.default_rng(0).integers(0, 2, (60_000, 50), dtype=np.uint8)
    tracemalloc.start()
    model.log_likelihood(samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * samples.nbytes
