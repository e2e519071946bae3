"""Machines side by side, training that goes on from a model, and partial_fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.checkpoint import MixtureCheckpoint, load_checkpoint, save_checkpoint
from born_machine.curves import hilbert, orientations, raster, snake, variations
from born_machine.mixing import mixture_orders
from born_machine.models.mixture import MixtureModel

PATTERNS = bars_and_stripes(3, 3)
SETTINGS: dict[str, Any] = {"max_bond": 8, "random_state": 0, "device": "cpu"}


def test_a_mixture_goes_through_the_command_line(tmp_path: Any, capsys: Any) -> None:
    """Trained, interrupted, resumed, scored, sampled, completed and inspected; as uninterrupted."""
    from born_machine.cli import main

    train = ["train", "bars-and-stripes", "--n-machines", "2", "--sweeps", "3", "--quiet"]
    assert main([*train, "--out", str(tmp_path / "whole")]) == 0

    class StopHereError(Exception):
        pass

    def stop(checkpoint: Any) -> None:
        if len(checkpoint.history) == 2:
            raise StopHereError

    from born_machine.run import DataSource, start_run

    machine = BornMachine(n_machines=2, sweeps=3, random_state=0)
    with pytest.raises(StopHereError):
        start_run(tmp_path / "cut", machine, DataSource("bars-and-stripes"), None, on_sweep=stop)
    assert main(["resume", str(tmp_path / "cut"), "--quiet"]) == 0
    whole, cut = (BornMachine.load(tmp_path / run / "model.npz") for run in ("whole", "cut"))
    patterns = bars_and_stripes()
    assert np.array_equal(whole.score_samples(patterns), cut.score_samples(patterns))
    run = str(tmp_path / "cut")
    assert main(["score", run, "bars-and-stripes"]) == 0
    assert main(["sample", run, "-n", "5", "--out", str(tmp_path / "s.npz")]) == 0
    assert main(["complete", run, "bars-and-stripes", "--out", str(tmp_path / "c.npz")]) == 0
    capsys.readouterr()
    assert main(["inspect", run, "--out", str(tmp_path / "i.png")]) == 0
    assert "machine         2 of 2" in capsys.readouterr().out


def digits(n: int) -> np.ndarray:
    from born_machine import load_dataset

    return load_dataset("digits").samples[:n]


@pytest.fixture(scope="module")
def mixture() -> BornMachine:
    return BornMachine(n_machines=3, image_shape=(3, 3), **SETTINGS).fit(PATTERNS)


def support() -> np.ndarray:
    return (np.arange(2**9)[:, None] >> np.arange(9)) & 1


def test_a_mixture_is_the_mean_of_machines_in_different_orders(mixture: BornMachine) -> None:
    parts = mixture.model_.components
    assert len({tuple(part.order.tolist()) for part in parts}) == 3
    mean = np.mean([np.exp(part.log_likelihood(support())) for part in parts], axis=0)
    found = np.exp(mixture.score_samples(support()))
    np.testing.assert_allclose(found, mean, atol=1e-14)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert -mixture.score(PATTERNS) == pytest.approx(
        mixture.history_[mixture.best_sweep_].nll_train, abs=1e-5
    )


def test_a_mixture_is_no_worse_than_its_members_on_average(mixture: BornMachine) -> None:
    parts = mixture.model_.components
    mean = np.mean([-part.log_likelihood(PATTERNS).mean() for part in parts])
    assert -mixture.score(PATTERNS) <= mean


def test_every_question_is_answered_by_a_mixture(mixture: BornMachine) -> None:
    known = np.zeros(9, dtype=bool)
    known[:3] = True
    assert mixture.sample(7, random_state=0).shape == (7, 9)
    completed = mixture.complete(PATTERNS, known, random_state=1)
    assert (completed[:, :3] == PATTERNS[:, :3]).all()
    assert mixture.most_probable(PATTERNS, known).exact.all()  # 2^6 completions: all are tried
    assert mixture.mutual_information().shape == (9, 9)
    joint = mixture.joint_marginal([0, 1, 2])
    p = np.exp(mixture.score_samples(support())).reshape((2,) * 9)
    np.testing.assert_allclose(joint, p.transpose().sum(axis=tuple(range(3, 9))), atol=1e-12)
    assert mixture.renyi2() == pytest.approx(-np.log((p**2).sum()))
    entropy, error = mixture.entropy(2000)
    exact = -(p[p > 0] * np.log(p[p > 0])).sum()
    assert abs(entropy - exact) < max(5 * error, 0.02)
    far = mixture.anomaly_score(1 - np.eye(9, dtype=int))
    near = mixture.anomaly_score(PATTERNS)
    assert near.max() < 10.0 < far.min()
    small = mixture.compressed(tnkit.Truncation(max_bond=2))
    assert max(small.model_.bond_dims) == 2
    assert np.exp(small.score_samples(support())).sum() == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(tnkit.ArgumentError, match="ask each"):
        mixture.entanglement()


def test_a_mixture_is_saved_and_loaded_bit_for_bit(mixture: BornMachine, tmp_path: Any) -> None:
    mixture.save(tmp_path / "m.npz")
    loaded = BornMachine.load(tmp_path / "m.npz")
    assert isinstance(loaded.model_, MixtureModel)
    assert np.array_equal(loaded.score_samples(support()), mixture.score_samples(support()))
    assert np.array_equal(loaded.sample(9, random_state=2), mixture.sample(9, random_state=2))
    assert loaded.get_params() == mixture.get_params()
    assert loaded.history_ == mixture.history_


@pytest.mark.parametrize("stop", [0, 2])
@pytest.mark.parametrize(
    "knobs", [{}, {"batch_size": 40, "noise": 0.01}, {"augment": "random-shifts"}]
)
def test_a_mixture_resumes_bit_for_bit(knobs: Any, stop: int, tmp_path: Any) -> None:
    machine = BornMachine(
        n_machines=2, sweeps=4, image_shape=(8, 8), validation_fraction=0.2, **SETTINGS, **knobs
    )
    samples = digits(100)
    seen: list[Any] = []
    whole = clone(machine).fit(samples, on_sweep=seen.append)
    save_checkpoint(tmp_path / "c.npz", seen[stop], {"kept": 1})
    loaded, about = load_checkpoint(tmp_path / "c.npz")
    assert isinstance(loaded, MixtureCheckpoint)
    assert about == {"kept": 1}
    again = clone(machine).fit(samples, resume=loaded)
    assert np.array_equal(again.score_samples(samples), whole.score_samples(samples))
    assert [r.nll_validation for r in again.history_] == [r.nll_validation for r in whole.history_]


def test_each_machine_stops_on_its_own_and_keeps_its_best() -> None:
    samples = digits(200)
    last: list[Any] = []
    machine = BornMachine(
        n_machines=3,
        sweeps=12,
        patience=1,
        image_shape=(8, 8),
        validation_fraction=0.3,
        learning_rate=0.2,
        **SETTINGS,
    ).fit(samples, on_sweep=last.append)
    members = last[-1].members
    assert {len(m.history) for m in members} != {13}
    for member, part in zip(members, machine.model_.components, strict=True):
        best = member.history[member.best_sweep].nll_validation
        assert best == min(record.nll_validation for record in member.history)
        held_out = samples[machine.validation_rows_]
        assert -part.log_likelihood(held_out).mean() == pytest.approx(best, abs=1e-4)


def test_fitted_weights_score_no_worse_on_validation() -> None:
    samples = digits(150)
    common: dict[str, Any] = dict(
        sweeps=2,
        image_shape=(8, 8),
        order=["raster", "given"],
        validation_fraction=0.3,
        n_machines=2,
        **SETTINGS,
    )
    # a bad second machine: the pixels in a random order
    common["order"] = ["raster", np.random.default_rng(0).permutation(64).tolist()]
    even = BornMachine(**common).fit(samples)
    fitted = BornMachine(mixture_weights="fitted", **common).fit(samples)
    held_out = samples[even.validation_rows_]
    assert fitted.score(held_out) >= even.score(held_out)
    assert fitted.model_.weights != even.model_.weights
    assert fitted.order_name_ == "list"
    with pytest.raises(tnkit.ArgumentError, match="needs validation samples"):
        BornMachine(mixture_weights="fitted", **(common | {"validation_fraction": 0.0})).fit(
            samples
        )


def test_a_curve_has_eight_orientations_all_of_them_permutations() -> None:
    for curve in (raster, snake, hilbert):
        for height, width in ((4, 4), (3, 5)):
            found = orientations(curve, height, width)
            assert np.array_equal(found[0], curve(height, width))
            # a Hilbert curve runs along the longer side, however the image is turned
            assert len(found) == (4 if curve is hilbert and height != width else 8)
            assert len({tuple(order.tolist()) for order in found}) == len(found)
            for order in found:
                assert sorted(order.tolist()) == list(range(height * width))
    # a turned curve still steps from pixel to pixel
    for order in orientations(hilbert, 8, 8):
        rows, columns = np.divmod(order, 8)
        assert (np.abs(np.diff(rows)) + np.abs(np.diff(columns)) == 1).all()
    chains = {min(tuple(o), tuple(o[::-1])) for o in orientations(hilbert, 8, 8)[:4]}
    assert len(chains) == 4


def test_variations_of_a_curve_are_all_different_and_as_many_as_asked_for() -> None:
    for height, width in ((28, 28), (8, 8), (5, 9)):
        found = variations(hilbert, height, width, 16)
        assert np.array_equal(found[0], hilbert(height, width))
        assert len({tuple(order.tolist()) for order in found}) == len(found) == 16
        for order in found:
            assert sorted(order.tolist()) == list(range(height * width))
            # cut from a curve: nearly every step goes to a neighbour
            rows, columns = np.divmod(order, width)
            near = np.abs(np.diff(rows)) + np.abs(np.diff(columns)) <= 2
            assert near.mean() > 0.8
    assert len(variations(raster, 4, 4, 99)) == 8


def test_orders_learned_from_resamples_differ_and_are_seeded() -> None:
    samples = digits(100)
    first = list(mixture_orders("linkage", 3, None, samples, seed=1))
    again = list(mixture_orders("linkage", 3, None, samples, seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({tuple(order.tolist()) for order in first}) == 3
    assert len({tuple(o.tolist()) for o in mixture_orders("given", 2, None, samples, 1)}) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_machines": 0}, "n_machines must be a whole number from 1 up"),
        ({"n_machines": True}, "n_machines must be a whole number from 1 up"),
        (
            {"n_machines": 9, "order": "raster"},
            "raster has 8 variations",
        ),
        ({"n_machines": 2, "order": ["given"]}, "1 orders were given, n_machines is 2"),
        ({"mixture_weights": "best"}, "mixture_weights must be one of uniform, fitted"),
        ({"start": 3}, "start must be one of random, marginals, chow-liu or a model"),
    ],
)
def test_bad_mixtures_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(tnkit.ArgumentError, match=message):
        BornMachine(image_shape=(3, 3), **parameters).fit(PATTERNS)


@pytest.mark.parametrize("machines", [1, 2])
def test_training_goes_on_from_a_model_to_a_larger_bond(machines: int) -> None:
    common: dict[str, Any] = {"image_shape": (3, 3), "n_machines": machines, "random_state": 0}
    small = BornMachine(max_bond=3, sweeps=10, **common).fit(PATTERNS)
    large = BornMachine(max_bond=8, sweeps=10, start=small.model_, **common)
    assert clone(large).start.features == 9  # scikit-learn can copy it
    large.fit(PATTERNS)
    assert large.history_[0].nll_train == pytest.approx(-small.score(PATTERNS), abs=0.2)
    assert large.score(PATTERNS) > small.score(PATTERNS)
    assert max(small.model_.bond_dims) == 3 < max(large.model_.bond_dims)
    assert large.order_name_ == "as in start"
    with pytest.raises(tnkit.ArgumentError, match="leave order='auto'"):
        large.set_params(order="raster").fit(PATTERNS)
    with pytest.raises(tnkit.ArgumentError, match="n_machines is 3"):
        large.set_params(order="auto", n_machines=3).fit(PATTERNS)


@pytest.mark.parametrize("machines", [1, 2])
def test_partial_fit_goes_on_where_fit_would(machines: int) -> None:
    common: dict[str, Any] = {"image_shape": (3, 3), "n_machines": machines, "dtype": "float64"}
    whole = BornMachine(sweeps=5, patience=0, **common, **SETTINGS).fit(PATTERNS)
    parts = BornMachine(**common, **SETTINGS)
    for _ in range(5):
        assert parts.partial_fit(PATTERNS) is parts
    assert [r.sweep for r in parts.history_] == list(range(6))
    expected = [r.nll_train for r in whole.history_]
    assert [r.nll_train for r in parts.history_] == pytest.approx(expected, abs=1e-6)
    assert parts.score(PATTERNS) == pytest.approx(-expected[-1], abs=1e-6)


def test_partial_fit_learns_from_data_that_comes_in_parts() -> None:
    samples = digits(300)
    machine = BornMachine(image_shape=(8, 8), levels=2, **SETTINGS)
    before = []
    for part in np.split(samples, 6):
        machine.partial_fit(part)
        before.append(machine.score(samples))
    assert before[-1] > before[0] + 3
    with pytest.raises(tnkit.ArgumentError, match="out of range"):
        machine.partial_fit(samples + 1)
    with pytest.raises(tnkit.SizeError, match="expecting 64 features"):
        machine.partial_fit(samples[:, :9])


WILD: dict[str, Any] = SETTINGS | {"learning_rate": 3.0, "max_bond": 3, "value_cutoff": 0.1}


@pytest.mark.parametrize("machines", [1, 2])
def test_partial_fit_keeps_the_latest_state_and_records_it_even_where_it_is_worse(
    machines: int,
) -> None:
    parts = np.random.default_rng(0).integers(0, 2, (6, 30, 5))
    machine = BornMachine(n_machines=machines, dtype="float64", order="given", **WILD)
    for X in parts:
        machine.partial_fit(X)
        assert machine.history_[-1].nll_train == pytest.approx(-machine.score(X), abs=1e-6)
    records = [record.nll_train for record in machine.history_]
    assert records != sorted(records, reverse=True)
    assert machine.best_sweep_ == len(records) - 1


def test_a_first_partial_fit_leaves_its_start() -> None:
    good = BornMachine(max_bond=8, random_state=0, order="given").fit(PATTERNS)
    machine = BornMachine(start=good.model_, max_bond=1, random_state=0).partial_fit(PATTERNS)
    assert max(machine.model_.bond_dims) == 1
    assert machine.history_[-1].nll_train == pytest.approx(-machine.score(PATTERNS), abs=1e-3)


def test_partial_fit_goes_on_with_fitted_weights() -> None:
    common: dict[str, Any] = SETTINGS | {"n_machines": 2, "order": ["given", [4, 2, 0, 1, 3]]}
    X = np.random.default_rng(0).integers(0, 2, (40, 5))
    X[:, 1] = X[:, 0]
    machine = BornMachine(mixture_weights="fitted", sweeps=2, dtype="float64", **common)
    weights = machine.fit(X, validation=X[:9]).model_.weights
    assert machine.partial_fit(X).model_.weights == weights != (0.5, 0.5)
    assert machine.history_[-1].nll_train == pytest.approx(-machine.score(X), abs=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rollback": 0.5}, "rollback=0.5 compares sweeps over the same samples"),
        ({"n_machines": 2, "mixture_weights": "fitted"}, "partial_fit holds none out"),
    ],
)
def test_partial_fit_refuses_what_other_samples_would_belie(
    parameters: dict[str, Any], message: str
) -> None:
    machine = BornMachine(**parameters)
    with pytest.raises(tnkit.ArgumentError, match=message):
        machine.partial_fit(PATTERNS)
    assert not hasattr(machine, "model_")


def test_a_loaded_machine_that_started_from_a_model_goes_on(tmp_path: Any) -> None:
    first = BornMachine(sweeps=1, order="given", **SETTINGS).fit(PATTERNS)
    BornMachine(sweeps=1, start=first.model_, **SETTINGS).fit(PATTERNS).save(tmp_path / "m.npz")
    loaded = BornMachine.load(tmp_path / "m.npz").partial_fit(PATTERNS)
    assert loaded.history_[-1].nll_train < loaded.history_[-2].nll_train


def test_machines_that_sweep_at_a_time_end_where_they_end_in_turn() -> None:
    X = bars_and_stripes(3, 3)
    machines = [
        BornMachine(
            n_machines=3, n_jobs=jobs, max_bond=4, sweeps=3, image_shape=(3, 3), random_state=0
        ).fit(X)
        for jobs in (1, 2)
    ]
    one, two = ([chain.state.arrays for chain in m.model_.components] for m in machines)
    assert all(
        np.array_equal(a, b)
        for first, second in zip(one, two, strict=True)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("machines", [1, 2])
def test_a_share_of_the_training_samples_can_be_scored(machines: int) -> None:
    """It changes what is recorded, and nothing that is trained."""
    X = np.random.default_rng(0).integers(0, 2, (300, 6))
    options = {"max_bond": 3, "sweeps": 2, "patience": 0, "random_state": 0, "order": "given"}
    whole = BornMachine(n_machines=machines, validation_fraction=0.2, **options).fit(X)
    some = BornMachine(n_machines=machines, validation_fraction=0.2, scored=20, **options).fit(X)
    assert [r.nll_validation for r in some.history_] == [r.nll_validation for r in whole.history_]
    assert some.history_[-1].nll_train != whole.history_[-1].nll_train
    assert some.history_[-1].nll_train == pytest.approx(whole.history_[-1].nll_train, abs=0.5)
    assert some.score(X) == whole.score(X)
