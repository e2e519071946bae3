"""A machine averaged over shifts of the image: exact, stored once, trained on as one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from born_machine import BornMachine, bars_and_stripes, load_dataset
from born_machine.cli import main
from born_machine.curves import shifts_round_the_edge, shifts_within
from born_machine.fitting import chains_of
from born_machine.models.storage import KIND, load_model
from tnkit import ArgumentError, FormatError, Truncation, write_archive

PATTERNS = bars_and_stripes(3, 3)
SETTINGS: dict[str, Any] = {
    "max_bond": 6,
    "sweeps": 3,
    "image_shape": (3, 3),
    "random_state": 0,
    "device": "cpu",
}
EVERY = (np.arange(2**9)[:, None] >> np.arange(9)) & 1


def moved(samples: np.ndarray[Any, Any], move: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.roll(samples.reshape(-1, 3, 3), move, axis=(1, 2)).reshape(-1, 9)


@pytest.fixture(scope="module", params=[1, 2])
def averaged(request: pytest.FixtureRequest) -> tuple[BornMachine, BornMachine]:
    """The same training with and without the average, of one machine and of two."""
    plain = BornMachine(n_machines=request.param, **SETTINGS).fit(PATTERNS)
    return plain, BornMachine(n_machines=request.param, average_shifts=1, **SETTINGS).fit(PATTERNS)


def test_p_is_the_mean_of_p_of_the_image_moved(
    averaged: tuple[BornMachine, BornMachine],
) -> None:
    plain, mean = averaged
    moves = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    right = np.mean([np.exp(plain.score_samples(moved(EVERY, move))) for move in moves], axis=0)
    found = np.exp(mean.score_samples(EVERY))
    np.testing.assert_allclose(found, right, atol=1e-14)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.ptp(right / np.exp(plain.score_samples(EVERY))) > 0.1  # the average does something
    assert [r.nll_train for r in mean.history_] == [r.nll_train for r in plain.history_]


def test_its_draws_and_completions_follow_it(averaged: tuple[BornMachine, BornMachine]) -> None:
    mean = averaged[1]
    p = np.exp(mean.score_samples(EVERY))
    drawn = mean.sample(20_000, random_state=1) @ (1 << np.arange(9))
    found = np.bincount(drawn, minlength=512) / 20_000
    assert abs(found - p).max() < 5 * np.sqrt(p.max() / 20_000)
    known = np.arange(9) < 6
    done = mean.complete(np.repeat(PATTERNS[3:4], 5000, axis=0), known, random_state=2)
    fits = (EVERY[:, known] == PATTERNS[3, known]).all(axis=1)
    found = np.bincount(done @ (1 << np.arange(9)), minlength=512) / 5000
    np.testing.assert_allclose(found, np.where(fits, p, 0) / p[fits].sum(), atol=0.03)


def test_a_state_is_stored_once(averaged: tuple[BornMachine, BornMachine], tmp_path: Path) -> None:
    plain, mean = averaged
    for name, machine in (("plain", plain), ("mean", mean)):
        machine.save(tmp_path / f"{name}.npz")
    again = BornMachine.load(tmp_path / "mean.npz")
    assert np.array_equal(again.score_samples(EVERY), mean.score_samples(EVERY))
    machines = plain.n_machines
    assert len(chains_of(again.model_)) == len(chains_of(mean.model_)) == machines
    extra = 5 * machines + (1 if machines == 1 else 0) - machines  # weights; one state has none
    assert mean.model_.parameters - plain.model_.parameters <= extra
    assert again.model_.parameters == mean.model_.parameters
    small = again.model_.compressed(Truncation(max_bond=2))
    assert max(small.bond_dims) == 2
    assert len(chains_of(small)) == machines
    assert np.exp(small.log_likelihood(EVERY)).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shared", [7, 1, -1, "x", None])
def test_a_file_that_shares_what_is_not_there_is_refused(shared: Any, tmp_path: Path) -> None:
    machine = BornMachine(average_shifts=1, **SETTINGS).fit(PATTERNS)
    about, arrays = machine.model_.parts()
    about["components"][1]["state_of"] = shared
    write_archive(tmp_path / "m.npz", KIND, about, arrays)
    with pytest.raises(FormatError, match="not a Born machine"):
        load_model(tmp_path / "m.npz")


def test_partial_fit_goes_on_with_the_machines_there_are(
    averaged: tuple[BornMachine, BornMachine], tmp_path: Path
) -> None:
    plain, mean = averaged
    went_on = []
    for number, machine in enumerate((plain, mean)):
        machine.save(tmp_path / f"{number}.npz")
        went_on.append(BornMachine.load(tmp_path / f"{number}.npz").partial_fit(PATTERNS))
    after, both = went_on
    assert both.history_[-1].nll_train == after.history_[-1].nll_train
    moves = shifts_within(1)
    right = np.mean([np.exp(after.score_samples(moved(EVERY, move))) for move in moves], axis=0)
    np.testing.assert_allclose(np.exp(both.score_samples(EVERY)), right, atol=1e-14)
    assert len(both.model_.components) == 5 * plain.n_machines


def test_fitted_weights_are_of_the_validation_samples() -> None:
    machine = BornMachine(average_shifts=1, mixture_weights="fitted", **SETTINGS)
    machine.fit(PATTERNS, validation=PATTERNS[:6])
    weights = machine.model_.weights
    assert len(weights) == 5
    even = BornMachine(average_shifts=1, **SETTINGS).fit(PATTERNS, validation=PATTERNS[:6])
    assert machine.score(PATTERNS[:6]) >= even.score(PATTERNS[:6])
    assert np.ptp(weights) > 0.01


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2))
def test_shifts_round_the_edge_move_pixels(height: int, width: int, reach: int) -> None:
    image = np.arange(height * width) ** 2
    moves = shifts_within(reach)
    assert len(moves) == 1 + 2 * reach * (reach + 1) == len(set(moves))
    for move, order in zip(moves, shifts_round_the_edge(height, width, reach), strict=True):
        right = np.roll(image.reshape(height, width), move, axis=(0, 1)).ravel()
        assert np.array_equal(image[order], right)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"average_shifts": -1}, "must be a whole number from 0 up, got -1"),
        ({"average_shifts": 2}, "below half the side of the image, got 2 for 3 x 3"),
        ({"average_shifts": 1, "image_shape": None}, "needs images; give image_shape"),
        ({"average_shifts": 1, "levels": (3, *(2,) * 8)}, "needs as many values in every pixel"),
        ({"average_shifts": 1, "mixture_weights": "fitted"}, "needs validation samples, got none"),
    ],
)
def test_what_cannot_be_averaged_is_refused_before_work(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        BornMachine(**SETTINGS | change).fit(PATTERNS, on_sweep=lambda _: pytest.fail("it began"))


def test_digits_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained on shifts and averaged over them: better on digits held out than without."""
    train = ["train", "digits", "--rows", "0:600", "--test-rows", "600:1000", "--test", "digits"]
    train += ["--augment", "shifts", "--sweeps", "4", "--max-bond", "16", "--quiet"]
    assert main([*train, "--out", str(tmp_path / "plain")]) == 0
    assert main([*train, "--out", str(tmp_path / "mean"), "--average-shifts", "1"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "mean"), "--json"]) == 0
    assert '"chains": [{' in capsys.readouterr().out
    test = load_dataset("digits").samples[600:1000]
    plain, mean = (
        BornMachine.load(tmp_path / run / "model.npz").score(test) for run in ("plain", "mean")
    )
    assert mean > plain + 0.1
