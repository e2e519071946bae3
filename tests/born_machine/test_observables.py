"""Every question to a model, against enumeration of all configurations."""

from __future__ import annotations

import tracemalloc
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.completion import conditional_marginals
from born_machine.models.mixture import MixtureModel, fitted_weights, log_mean
from born_machine.models.mps import MPSModel, model_from_state
from born_machine.models.protocol import (
    Model,
    expectation,
    joint_marginal,
    log_conditional,
)
from born_machine.observables import mutual_information


@st.composite
def chains(draw: Any, dims: tuple[int, ...]) -> MPSModel:
    order = np.array(draw(st.permutations(range(len(dims)))), dtype=np.intp)
    psi = tnkit.random_mps(
        len(dims),
        [dims[feature] for feature in order],
        bond_dim=draw(st.integers(1, 4)),
        dtype=draw(st.sampled_from(["float64", "complex128"])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    return model_from_state(psi, order, dims)


@st.composite
def models(draw: Any, *, most_components: int = 3) -> Any:
    """A chain in any order, or a mixture of chains in different orders."""
    dims = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=5)))
    count = draw(st.integers(1, most_components))
    components = tuple(draw(chains(dims)) for _ in range(count))
    if count == 1 and draw(st.booleans()):
        return components[0]
    parts = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    return MixtureModel(components, tuple(part / sum(parts) for part in parts))


def table(model: Model) -> np.ndarray:
    """All probabilities as one array with an axis a feature."""
    support = np.stack(np.meshgrid(*map(np.arange, model.dims), indexing="ij"), axis=-1)
    flat = support.reshape(-1, model.features).astype(np.uint8)
    return np.exp(model.log_likelihood(flat)).reshape(model.dims)


@st.composite
def partly_known(draw: Any) -> tuple[Model, np.ndarray, np.ndarray]:
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
    mixed = everything.copy()
    mixed[::2] = False  # each sample by its own way
    logs = model.log_marginal(samples, mixed)
    assert logs[::2] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(logs[1::2], model.log_likelihood(samples[1::2]))
    assert model.log_marginal(samples[:0], mixed[:0]).shape == (0,)


@given(partly_known(), st.integers(0, 2**32 - 1))
def test_conditional_marginals_are_those_of_what_agrees(case: Any, seed: int) -> None:
    model, _, known = case
    samples = model.sample(len(known), np.random.default_rng(seed))  # possible, all of them
    tables = model.conditional_marginals(samples, known)
    p = table(model)
    for row, (sample, given_mask) in enumerate(zip(samples, known, strict=True)):
        rest = agreeing(p, sample, given_mask)
        for feature, found in enumerate(tables):
            others = tuple(a for a in range(p.ndim) if a != feature)
            exact = rest.sum(axis=others) / rest.sum()
            np.testing.assert_allclose(found[row], exact, atol=1e-9)


def test_what_one_component_finds_impossible_the_others_complete() -> None:
    zeros, ones = (
        model_from_state(tnkit.product_mps([pair, [0.6, 0.8]]), np.arange(2), (2, 2))
        for pair in ([1.0, 0.0], [0.0, 1.0])
    )
    mixture = MixtureModel((zeros, ones), (0.25, 0.75))
    samples, known = np.array([[0, 0], [1, 0]]), np.array([[True, False]] * 2)
    first, second = mixture.conditional_marginals(samples, known)
    np.testing.assert_allclose(first, [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(second, [[0.36, 0.64]] * 2)
    assert mixture.conditional_marginals(samples, ~known)[0] == pytest.approx(
        np.array([[0.25, 0.75]] * 2)
    )


def test_conditional_marginals_in_small_batches_are_the_same() -> None:
    psi = tnkit.random_mps(6, bond_dim=4, seed=3)
    samples = tnkit.sample(psi, 7, seed=0)
    known = np.random.default_rng(0).random((7, 6)) < 0.5
    whole = conditional_marginals(psi.arrays, samples, known)
    parts = conditional_marginals(psi.arrays, samples, known, memory=1)
    np.testing.assert_allclose(parts, whole, atol=1e-13)


@given(models())
def test_marginals_and_mutual_information(model: Model) -> None:
    p = table(model)
    information = mutual_information(model.marginals(), model.pair_marginals())
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


@given(models(), st.data())
def test_joint_marginals_and_means_of_local_functions(model: Model, data: Any) -> None:
    p = table(model)
    features = data.draw(st.permutations(range(model.features)))
    features = features[: data.draw(st.integers(0, model.features))]
    others = tuple(a for a in range(p.ndim) if a not in features)
    kept = sorted(features)
    exact = p.sum(axis=others).transpose([kept.index(f) for f in features])
    np.testing.assert_allclose(joint_marginal(model, features), exact, atol=1e-13)
    weights = np.arange(exact.size, dtype=float).reshape(exact.shape)
    functions = {(0,): np.ones(model.dims[0])} | {tuple(features): weights}
    one = float(tuple(features) != (0,))
    assert expectation(model, functions) == pytest.approx((weights * exact).sum() + one, abs=1e-10)


@given(partly_known(), st.integers(0, 2**32 - 1))
def test_conditionals_are_ratios_of_sums(case: Any, seed: int) -> None:
    model, _, known = case
    samples = model.sample(len(known), np.random.default_rng(seed))
    wanted = np.random.default_rng(seed).random(known.shape) < 0.5
    p = table(model)
    logs = log_conditional(model, samples, wanted, known)
    for sample, want, given_mask, found in zip(samples, wanted, known, logs, strict=True):
        evidence = agreeing(p, sample, given_mask).sum()
        both = agreeing(p, sample, want | given_mask).sum()
        assert np.exp(found) == pytest.approx(both / evidence, abs=1e-9)


def test_questions_about_features_that_are_not_there_are_refused() -> None:
    model = model_from_state(tnkit.random_mps(3, bond_dim=2, seed=0), np.arange(3), (2, 2, 2))
    for features in ([3], [-1], [1, 1]):
        with pytest.raises(tnkit.ArgumentError, match="different numbers from 0 to 2"):
            joint_marginal(model, features)
    with pytest.raises(tnkit.ArgumentError, match=r"table of shape \(2, 2\), got \(2,\)"):
        expectation(model, {(0, 1): [1.0, 2.0]})
    with pytest.raises(tnkit.ArgumentTypeError, match=r"whole numbers, got \[0.9, 2.7\]"):
        joint_marginal(model, [0.9, 2.7])


def test_a_joint_marginal_too_large_to_hold_is_refused_before_work() -> None:
    model = model_from_state(tnkit.random_mps(40, bond_dim=2, seed=0), np.arange(40), (2,) * 40)
    with pytest.raises(tnkit.MemoryLimitError, match="fewer features"):
        joint_marginal(model, range(30))
    table = joint_marginal(model, range(13))  # more than are looked at at a time
    np.testing.assert_allclose(table.sum(axis=12), joint_marginal(model, range(12)), atol=1e-14)


def test_a_condition_that_cannot_be_is_refused_by_name() -> None:
    model = model_from_state(tnkit.product_mps([[1.0, 0.0], [0.6, 0.8]]), np.arange(2), (2, 2))
    mixture = MixtureModel((model, model), (0.5, 0.5))
    known = np.array([[True, False]] * 2)
    samples = np.array([[0, 0], [1, 0]])
    for each in (model, mixture):
        with pytest.raises(tnkit.ArgumentError, match="sample 1 has probability zero"):
            log_conditional(each, samples, ~known, known)
        with pytest.raises(tnkit.ArgumentError, match="sample 1 has probability zero"):
            each.complete(samples, known, np.random.default_rng(0))


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_fitted_weights_are_the_best_there_are(count: int, seed: int) -> None:
    """Stationary: the mean share of every component is its weight, and no tilt scores better."""
    rng = np.random.default_rng(seed)
    logs = list(rng.normal(size=(count, 50)))
    weights = np.array(fitted_weights(logs, steps=3000))
    score = log_mean(logs, weights).mean()
    for other in rng.dirichlet(np.ones(count), 20):
        tilted = 0.99 * weights + 0.01 * other
        assert log_mean(logs, tilted).mean() <= score + 1e-4
    assert weights.sum() == pytest.approx(1.0)


def test_a_mixture_says_where_its_renyi_entropy_is_out_of_reach() -> None:
    parts = tuple(
        model_from_state(tnkit.random_mps(30, bond_dim=2, seed=s), np.arange(30), (2,) * 30)
        for s in range(2)
    )
    with pytest.raises(tnkit.MemoryLimitError, match="estimate"):
        MixtureModel(parts, (0.5, 0.5)).renyi2()


@pytest.mark.parametrize(
    ("components", "weights", "message"),
    [
        (0, (), "one weight for each"),
        (2, (1.0,), "one weight for each"),
        (2, (0.5, 0.6), "sum to one"),
        (2, (1.5, -0.5), "positive"),
    ],
)
def test_a_mixture_refuses_bad_weights(components: int, weights: Any, message: str) -> None:
    part = model_from_state(tnkit.random_mps(3, bond_dim=2, seed=0), np.arange(3), (2, 2, 2))
    with pytest.raises(tnkit.TnkitError, match=message):
        MixtureModel((part,) * components, weights)


def test_a_mixture_refuses_components_of_other_features() -> None:
    parts = [
        model_from_state(tnkit.random_mps(n, bond_dim=2, seed=0), np.arange(n), (2,) * n)
        for n in (3, 4)
    ]
    with pytest.raises(tnkit.SizeError, match="component 1 has value counts"):
        MixtureModel(tuple(parts), (0.5, 0.5))


@given(models())
def test_the_renyi_entropy_is_that_of_the_table(model: Model) -> None:
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


@given(chains((2, 3, 2, 2)))
def test_entanglement_is_the_entropy_at_each_bond(model: MPSModel) -> None:
    found = model.entanglement()
    dense = tnkit.to_dense(model.state)
    for bond, value in enumerate(found):
        rows = int(np.prod(dense.shape[: bond + 1]))
        weights = np.linalg.svd(dense.reshape(rows, -1), compute_uv=False) ** 2
        weights = weights[weights > 1e-15]
        assert value == pytest.approx(-(weights * np.log(weights)).sum(), abs=1e-9)
        spectrum = model.spectra()[bond] ** 2
        spectrum = spectrum[spectrum > 1e-15]
        np.testing.assert_allclose(spectrum, weights, atol=1e-12)


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


def asked(model: Model) -> BornMachine:
    machine = BornMachine()
    machine.model_ = model
    return machine


def test_unknown_features_of_more_than_256_values_come_back_whole() -> None:
    """x_0 = 0 forces x_1 = 299, and x_0 = 1 forces x_1 = 7."""
    first, second = np.zeros((1, 2, 2)), np.zeros((2, 300, 1))
    first[0, 0, 0] = first[0, 1, 1] = np.sqrt(0.5)
    second[0, 299, 0] = second[1, 7, 0] = 1.0
    chain = model_from_state(tnkit.MPS.from_arrays([first, second]), np.arange(2), (2, 300))
    expected, known = [[0, 299], [1, 7]], [True, False]
    for model in (chain, MixtureModel((chain, chain), (0.5, 0.5))):
        machine = asked(model)
        assert machine.complete([[0, 0], [1, 0]], known).tolist() == expected
        for beam in (1, 400):
            found = machine.most_probable([[0, 0], [1, 0]], known, beam=beam)
            assert found.samples.tolist() == expected


def two_words(length: int, weight: float, seed: int, dtype: str) -> MPSModel:
    """p(00..0) = 1 - weight, p(11..1) = weight, in a basis of every bond drawn at random."""
    rng = np.random.default_rng(seed)
    copies = np.zeros((2, 2, 2), dtype=dtype)
    copies[0, 0, 0] = copies[1, 1, 1] = 1.0
    arrays = [np.array([[1.0 - weight, weight]]) ** 0.5 @ copies.reshape(2, 4)]
    arrays = [arrays[0].reshape(1, 2, 2), *[copies] * (length - 2), copies.sum(2)[:, :, None]]
    for k in range(length - 1):
        turn = np.linalg.qr(rng.standard_normal(8).view(dtype)[:4].reshape(2, 2))
        arrays[k] = arrays[k] @ turn.Q
        arrays[k + 1] = np.tensordot(turn.Q.conj().T, arrays[k + 1], axes=1)
    return model_from_state(tnkit.MPS.from_arrays(arrays), np.arange(length), (2,) * length)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("seed", range(10))
def test_an_impossible_known_part_is_never_taken_for_rounding(seed: int, dtype: str) -> None:
    """A zero and a one are known, other values not."""
    model = two_words(6, 0.5, seed, dtype)
    rng = np.random.default_rng(seed)
    samples, known = np.tile([0, 1, 0, 1, 0, 1], (20, 1)), rng.random((20, 6)) < 0.5
    known[np.arange(20), 2 * rng.integers(0, 3, 20)] = True
    known[np.arange(20), 2 * rng.integers(0, 3, 20) + 1] = True
    known[known.all(axis=1), 0] = False
    assert np.isneginf(model.log_marginal(samples, known)).all()
    machine = asked(model).set_params(missing="marginalise")
    assert machine.score(np.where(known, samples, -1)) == -np.inf
    for question in (
        lambda row: log_conditional(model, samples[row], ~known[row], known[row]),
        lambda row: model.complete(samples[row], known[row], rng),
        lambda row: model.most_probable(samples[row], known[row], 4),
        lambda row: model.conditional_marginals(samples[row], known[row]),
    ):
        for i in range(20):
            with pytest.raises(tnkit.ArgumentError, match="sample 0 has probability zero"):
                question(slice(i, i + 1))


@pytest.mark.parametrize("seed", range(10))
def test_a_small_probability_is_no_impossibility(seed: int) -> None:
    model = two_words(6, 1e-12, seed, "float64")
    for site in range(6):
        known = np.arange(6)[None] == site
        ones = np.ones((1, 6), dtype=int)
        assert model.log_marginal(ones, known) == pytest.approx(np.log(1e-12), abs=0.01)
        assert model.complete(ones, known, np.random.default_rng(0)).tolist() == [[1] * 6]
    alone = model_from_state(tnkit.product_mps([[1.0, 1e-20], [0.6, 0.8]]), np.arange(2), (2, 2))
    marginal = alone.log_marginal(np.array([[1, 0]]), np.array([[True, False]]))
    assert marginal == pytest.approx(2 * np.log(1e-20))


def test_a_component_that_finds_the_known_part_impossible_is_not_asked() -> None:
    """Zeros for x_0 = 0, and for x_0 = 1 the rest leaning to zero."""
    zeros = tnkit.product_mps([[1.0, 0.0]] * 4)
    ones = tnkit.product_mps([[0.0, 1.0], *[[0.8, 0.6]] * 3])
    parts = tuple(model_from_state(psi, np.arange(4), (2,) * 4) for psi in (zeros, ones))
    mixture = MixtureModel(parts, (0.5, 0.5))
    samples = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
    known = np.array([[True, False, False, False]] * 3)
    for beam in (1, 8):
        found = mixture.most_probable(samples[:2], known[:2], beam)
        np.testing.assert_array_equal(found.samples, samples[:2])
        np.testing.assert_allclose(np.exp(found.log_probability), [0.5, 0.5 * 0.64**3])
        assert found.exact.tolist() == [True, beam == 8]
        with pytest.raises(tnkit.ArgumentError, match="sample 2 has probability zero"):
            mixture.most_probable(samples, known | (samples == 1), beam)
    with pytest.raises(tnkit.ArgumentError, match="beam must be"):
        mixture.most_probable(samples, known, 0)


MASKS = [
    ((3, 6), (6,), True),
    ((3, 6), (2, 3), True),
    ((3, 6), (3, 6), True),
    ((3, 6), (3, 2, 3), True),
    ((3, 2, 3), (6,), True),
    ((3, 2, 3), (2, 3), True),
    ((3, 2, 3), (3, 6), True),
    ((3, 2, 3), (3, 2, 3), True),
    ((3, 6), (6, 3), False),
    ((3, 6), (18,), False),
    ((3, 6), (2, 3, 3), False),
    ((3, 6), (1, 2, 3), False),
    ((3, 6), (), False),
    ((3, 2, 3), (3, 2), False),
    ((3, 2, 3), (3, 3, 2), False),
    ((3, 2, 3), (2, 3, 3), False),
]


@pytest.mark.parametrize(("samples", "mask", "fits"), MASKS)
def test_a_mask_has_the_shape_of_a_sample_or_of_all(
    samples: tuple[int, ...], mask: tuple[int, ...], fits: bool
) -> None:
    machine = asked(model_from_state(tnkit.product_mps([[1.0, 0.0]] * 6), np.arange(6), (2,) * 6))
    X, known = np.zeros(samples, dtype=int), np.ones(mask, dtype=bool)
    if fits:
        assert not machine.complete(X, known).any()
    else:
        with pytest.raises(tnkit.SizeError, match=r"known has shape .* mask of 6 features"):
            machine.complete(X, known)


@pytest.mark.parametrize("components", [1, 2])
def test_what_is_estimated_from_draws_needs_at_least_one(components: int) -> None:
    chain = model_from_state(tnkit.random_mps(3, bond_dim=2, seed=0), np.arange(3), (2, 2, 2))
    mixture = MixtureModel((chain,) * components, (1.0 / components,) * components)
    machine = asked(mixture if components > 1 else chain)
    assert machine.sample(0).shape == (0, 3)
    for question in (machine.entropy, lambda n: machine.anomaly_score([[0, 0, 0]], n)):
        with pytest.raises(tnkit.ArgumentError, match="n_samples must be at least 1, got 0"):
            question(0)
    for question in (machine.sample, machine.entropy):
        with pytest.raises(tnkit.ArgumentError, match="n must be 0 or more, got -1"):
            question(-1)


def test_a_mixture_may_have_more_features_than_an_array_axes() -> None:
    dims = (1,) * 70 + (2, 3)
    parts = [
        model_from_state(tnkit.random_mps(72, dims, bond_dim=2, seed=s), np.arange(72), dims)
        for s in range(2)
    ]
    mixture = MixtureModel(tuple(parts), (0.5, 0.5))
    joint = mixture.pair_marginals()[70, 71]
    assert mixture.renyi2() == pytest.approx(-np.log((joint**2).sum()))


def test_pair_marginals_hold_one_matrix_a_value_and_site() -> None:
    psi = tnkit.random_mps(6, 32, bond_dim=24, seed=0)
    model = model_from_state(psi, np.arange(6), (32,) * 6)
    tracemalloc.start()
    model.pair_marginals()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * (5 * 32 * 24**2 * 8)
