"""BornMachine as scikit-learn's users meet it, and what it refuses."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import tnkit
from born_machine import BornMachine, bars_and_stripes


@pytest.fixture(scope="module")
def machine() -> BornMachine:
    return BornMachine(max_bond=8, random_state=0, image_shape=(3, 3)).fit(bars_and_stripes(3, 3))


def test_the_same_seed_gives_the_same_machine(machine: BornMachine) -> None:
    again = clone(machine).fit(bars_and_stripes(3, 3))
    patterns = bars_and_stripes(3, 3)
    assert np.array_equal(again.score_samples(patterns), machine.score_samples(patterns))
    assert np.array_equal(again.sample(9, random_state=4), machine.sample(9, random_state=4))
    assert not np.array_equal(machine.sample(9, random_state=4), machine.sample(9, random_state=5))


def test_score_is_the_mean_of_score_samples(machine: BornMachine) -> None:
    patterns = bars_and_stripes(3, 3)
    logs = machine.score_samples(patterns)
    assert logs.shape == (14,)
    assert logs.dtype == np.float64
    assert machine.score(patterns) == logs.mean()


def test_images_and_flat_rows_are_the_same_data() -> None:
    flat = bars_and_stripes(3, 3)
    images = BornMachine(max_bond=8, random_state=0).fit(flat.reshape(-1, 3, 3))
    assert images.image_shape_ == (3, 3)
    rows = BornMachine(max_bond=8, random_state=0, image_shape=(3, 3)).fit(flat)
    assert np.array_equal(images.score_samples(flat), rows.score_samples(flat))


def test_the_order_is_invisible() -> None:
    """With the features permuted and the order permuted alike, every answer is permuted alike."""
    rng = np.random.default_rng(0)
    flat = bars_and_stripes(3, 3)
    permutation = rng.permutation(9)
    plain = BornMachine(max_bond=8, random_state=0, order=list(range(9))).fit(flat)
    places = np.argsort(permutation)  # feature f of `flat` is column places[f] of the permuted rows
    moved = BornMachine(max_bond=8, random_state=0, order=places.tolist())
    moved.fit(flat[:, permutation])
    assert np.array_equal(plain.score_samples(flat), moved.score_samples(flat[:, permutation]))
    assert np.array_equal(
        plain.sample(20, random_state=1)[:, permutation], moved.sample(20, random_state=1)
    )


def test_save_and_load(machine: BornMachine, tmp_path: Any) -> None:
    machine.save(tmp_path / "machine.npz")
    loaded = BornMachine.load(tmp_path / "machine.npz")
    patterns = bars_and_stripes(3, 3)
    assert np.array_equal(loaded.score_samples(patterns), machine.score_samples(patterns))
    assert np.array_equal(loaded.sample(5, random_state=2), machine.sample(5, random_state=2))
    assert loaded.get_params() == machine.get_params()
    assert loaded.history_ == machine.history_


def test_what_fit_takes_from_numpy_is_saved(tmp_path: Any) -> None:
    parameters: dict[str, Any] = {
        "max_bond": np.int64(4),
        "learning_rate": np.array([0.1, 0.05]),
        "noise": (np.float32(0.0), 0.0),
        "random_state": np.int64(0),
        "levels": np.array([2, 3, 2, 2]),
        "image_shape": (np.int64(2), np.int64(2)),
        "order": [np.int64(site) for site in (3, 1, 0, 2)],
    }
    BornMachine(sweeps=1, **parameters).fit(GOOD).save(tmp_path / "m.npz")
    again = BornMachine.load(tmp_path / "m.npz").get_params()
    for name, value in parameters.items():
        assert np.array_equal(again[name], value)


def test_a_schedule_is_saved_whole(tmp_path: Any) -> None:
    """Later partial_fit calls take what `sweeps` did not reach."""
    machine = BornMachine(max_bond=[2, 3, 4, 5], sweeps=2, random_state=0).fit(GOOD)
    machine.save(tmp_path / "m.npz")
    assert BornMachine.load(tmp_path / "m.npz").max_bond == [2, 3, 4, 5]


def test_a_loaded_machine_answers_where_its_cuda_device_is_not(
    machine: BornMachine, tmp_path: Any
) -> None:
    elsewhere = copy(machine).set_params(device="cuda:99")
    elsewhere.save(tmp_path / "m.npz")
    with pytest.warns(UserWarning, match=r"cuda:99' is not here: .*; using device='auto'"):
        loaded = BornMachine.load(tmp_path / "m.npz")
    assert loaded.score(bars_and_stripes(3, 3)) == pytest.approx(
        machine.score(bars_and_stripes(3, 3)), abs=1e-6
    )


def test_a_refused_refit_leaves_the_machine_as_it_was(machine: BornMachine) -> None:
    again = copy(machine)
    for wrong in (bars_and_stripes(2, 2), bars_and_stripes(2, 2).reshape(-1, 2, 2)):
        with pytest.raises(tnkit.SizeError):
            again.fit(wrong)
        assert again.score(bars_and_stripes(3, 3)) == machine.score(bars_and_stripes(3, 3))


def test_saving_over_a_model_never_leaves_half_a_file(machine: BornMachine, tmp_path: Any) -> None:
    path = tmp_path / "machine.npz"
    machine.save(path)
    before = path.read_bytes()
    machine.set_params(levels=object())
    try:
        with pytest.raises(TypeError):
            machine.save(path)
    finally:
        machine.set_params(levels=None)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["machine.npz"]


@pytest.mark.parametrize("shape", ["flat", "image", "one each"])
def test_completion_keeps_what_is_known(machine: BornMachine, shape: str) -> None:
    patterns = bars_and_stripes(3, 3)
    known = np.zeros((3, 3), dtype=bool)
    known[0] = True
    mask = {"flat": known.ravel(), "image": known, "one each": np.tile(known.ravel(), (14, 1))}
    garbage = np.where(known.ravel(), patterns, 77)  # what is not known may hold anything
    completed = machine.complete(garbage, mask[shape], random_state=0)
    assert (completed[:, known.ravel()] == patterns[:, known.ravel()]).all()
    assert set(np.unique(completed)) <= {0, 1}
    # a mixed first row can only be bars; the model has learned to within 0.01 nat
    mixed = (patterns[:, :3].min(axis=1) == 0) & (patterns[:, :3].max(axis=1) == 1)
    assert (completed[mixed] == np.tile(patterns[mixed, :3], 3)).all()


def test_validation_is_held_out_from_500_samples() -> None:
    samples = np.random.default_rng(0).integers(0, 2, (500, 4))
    fitted = BornMachine(sweeps=1, random_state=0).fit(samples)
    assert len(fitted.validation_rows_) == 50
    assert fitted.history_[-1].nll_validation is not None
    small = BornMachine(sweeps=1, random_state=0).fit(samples[:499])
    assert len(small.validation_rows_) == 0
    assert small.history_[-1].nll_validation is None


def test_an_impossible_sample_scores_minus_infinity() -> None:
    always_zero = np.zeros((4, 1), dtype=int)
    fitted = BornMachine().fit(always_zero)
    assert fitted.score_samples([[0], [1]]).tolist() == [0.0, -np.inf]


GOOD = bars_and_stripes(2, 2)
BAD_DATA = [
    (GOOD + 0.5, "not a whole number"),
    (np.where(GOOD == 1, np.nan, 0.0), "sample 1, feature .*NaN or infinite"),
    (GOOD.astype(int) - 1, "negative"),
    (GOOD[:0], "no data"),
    (GOOD[:, :0], "no data"),
    (GOOD[0], r"\(sample, feature\).*got shape \(4,\)"),
    (GOOD.astype(str), "whole numbers"),
    (np.array([["a", "b"]], dtype=object), "whole numbers"),
    (np.full((2, 2), 1e12), "too large"),
    (np.array([[0, 2**64 - 1]], np.uint64), "18446744073709551615 is too large"),
    (np.array([[0, 2**40]], np.uint64), "1099511627776 is too large"),
    (np.array([[0, 0], [1, 2**31 - 1]]), "feature 1 holds the value 2147483647, and at most 65536"),
]


@pytest.mark.parametrize(("data", "message"), BAD_DATA)
def test_fit_refuses_bad_data(data: Any, message: str) -> None:
    machine = BornMachine()
    with pytest.raises(tnkit.TnkitError, match=message):
        machine.fit(data)
    assert not hasattr(machine, "model_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_bond": 0}, "max_bond must be at least 1, got 0"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "cuda:99"}, "cuda:99' is not here"),
        ({"order": "hilbert"}, "needs images"),
        ({"image_shape": (3, 3)}, "9 pixels, the data 4 features"),
        ({"image_shape": 4}, "image_shape must be"),
        ({"augment": "flips"}, "augment must be"),
        ({"augment": "shifts"}, "needs images"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie"),
        ({"validation_fraction": "some"}, "validation_fraction must lie"),
        ({"levels": 1}, "holds the value 1, but levels allows 0 to 0"),
        ({"levels": [2, 2]}, "one for each of 4 features"),
    ],
)
def test_fit_refuses_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        BornMachine(**parameters).fit(GOOD)


def test_questions_refuse_what_the_model_cannot_answer(machine: BornMachine) -> None:
    patterns = bars_and_stripes(3, 3)
    with pytest.raises(tnkit.SizeError, match="X has 8 features, but BornMachine is expecting 9"):
        machine.score_samples(patterns[:, :8])
    with pytest.raises(tnkit.ArgumentError, match="sample 0, feature 0: 2 is out of range"):
        machine.score_samples(patterns + 2)
    with pytest.raises(tnkit.ArgumentError, match="n must be"):
        machine.sample(-1)
    with pytest.raises(tnkit.ArgumentTypeError, match="boolean"):
        machine.complete(patterns, np.ones(9))
    with pytest.raises(tnkit.SizeError, match="one mask of 9 features"):
        machine.complete(patterns, np.ones(8, dtype=bool))
    with pytest.raises(NotFittedError, match="not trained"):
        BornMachine().sample()


def test_validation_samples_of_ones_own_stop_the_training() -> None:
    rng = np.random.default_rng(0)
    X, other = rng.integers(0, 2, (600, 5)), rng.integers(0, 2, (50, 5))
    machine = BornMachine(max_bond=4, sweeps=3, random_state=0).fit(X, validation=other)
    assert len(machine.validation_rows_) == 0  # all of X is trained on
    record = machine.history_[machine.best_sweep_]
    assert record.nll_validation == pytest.approx(-machine.score(other), rel=1e-6)
    assert record.nll_train == pytest.approx(-machine.score(X), rel=1e-6)
    with pytest.raises(tnkit.ArgumentError, match="leave that at 'auto'"):
        BornMachine(validation_fraction=0.2).fit(X, validation=other)
    with pytest.raises(tnkit.ArgumentError, match="out of range"):
        BornMachine().fit(X, validation=other + 1)
    with pytest.raises(tnkit.SizeError, match="4 features"):
        BornMachine().fit(X, validation=other[:, :4])


@pytest.mark.parametrize("augment", ["shifts", "random-shifts"])
def test_every_pixel_of_shifted_images_takes_the_values_of_any(augment: str) -> None:
    images = np.zeros((8, 3, 3), dtype=int)
    images[:, 1, 1] = np.arange(8) % 4
    machine = BornMachine(max_bond=4, sweeps=2, augment=augment, random_state=0)
    assert machine.fit(images).model_.dims == (4,) * 9
    assert clone(machine).set_params(augment="none").fit(images).model_.dims.count(4) == 1
    machine.set_params(levels=[2, 2, 2, 2, 4, 2, 2, 2, 2])
    with pytest.raises(tnkit.ArgumentError, match=r"as many values in every pixel, got \[2, 4\]"):
        machine.fit(images)


@pytest.mark.parametrize(
    ("samples", "parameters", "message"),
    [
        (GOOD, {"levels": 5}, "brings its value counts, levels=5 says others; leave levels=None"),
        (GOOD[:, :3], {}, "X has 3 features, but BornMachine is expecting 4"),
        (2 * GOOD, {}, "2 is out of range"),
    ],
)
def test_a_model_to_start_from_says_what_it_takes(
    samples: Any, parameters: dict[str, Any], message: str
) -> None:
    first = BornMachine(sweeps=1, random_state=0).fit(GOOD)
    machine = BornMachine(sweeps=1, start=first.model_, random_state=0, **parameters)
    with pytest.raises(tnkit.TnkitError, match=message):
        machine.fit(samples)
    assert machine.set_params(levels=2).fit(GOOD).model_.dims == (2,) * 4


def test_feature_names_are_saved_and_forgotten_with_the_table(tmp_path: Any) -> None:
    machine = BornMachine(sweeps=1, random_state=0).fit(GOOD)
    machine.feature_names_in_ = np.array(list("abcd"), dtype=object)  # as a table brings them
    machine.save(tmp_path / "m.npz")
    assert BornMachine.load(tmp_path / "m.npz").feature_names_in_.tolist() == list("abcd")
    assert not hasattr(machine.fit(GOOD.reshape(-1, 2, 2)), "feature_names_in_")
