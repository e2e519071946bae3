"""Training: what it reaches, how bonds adapt, and that stopping loses nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.checkpoint import (
    Checkpoint,
    SweepRecord,
    load_checkpoint,
    members_of,
    record_from_json,
    record_to_json,
    save_checkpoint,
)
from born_machine.settings import STARTS
from born_machine.train import Settings, start_state, train


def digits(n: int = 300) -> np.ndarray:
    from born_machine import load_dataset

    return load_dataset("digits").samples[:n]


def run(samples: np.ndarray, settings: Settings, **more: Any) -> Checkpoint:
    dims = tuple(int(d) for d in np.maximum(samples.max(axis=0) + 1, 2))
    start = start_state(samples, dims, settings, np.random.default_rng(0))
    return train(samples, None, dims, settings, start=start, **more)


def test_bars_and_stripes_train_to_the_floor() -> None:
    """30 patterns of 4 x 4: within 0.01 nat of ln 30, no sample scored better than possible."""
    patterns = bars_and_stripes()
    assert len(patterns) == 30
    machine = BornMachine(random_state=0, image_shape=(4, 4)).fit(patterns)
    assert 0.0 <= -machine.score(patterns) - math.log(30) < 0.01
    # and so nearly every draw is a pattern
    drawn = {tuple(row) for row in machine.sample(1000, random_state=1).tolist()}
    assert len(drawn & {tuple(row) for row in patterns.tolist()}) == 30


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float64"])
def test_every_dtype_trains_to_the_floor(dtype: str) -> None:
    patterns = bars_and_stripes(3, 3)
    machine = BornMachine(dtype=dtype, random_state=0, sweeps=40).fit(patterns)
    assert 0.0 <= -machine.score(patterns) - math.log(len(patterns)) < 0.01


def test_values_may_be_more_than_two_and_differ_by_site() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 5, 400)
    samples = np.stack([first, first % 3, (first + 1) % 2, np.zeros(400, int)], axis=1)
    machine = BornMachine(random_state=0, validation_fraction=0.0, sweeps=40).fit(samples)
    _, counts = np.unique(first, return_counts=True)
    entropy = -(counts / 400 * np.log(counts / 400)).sum()
    assert machine.model_.dims == (5, 3, 2, 2)
    assert -machine.score(samples) == pytest.approx(entropy, abs=0.02)


def test_bonds_grow_where_needed_and_shrink_where_not() -> None:
    patterns = bars_and_stripes()
    settings = Settings(sweeps=12, patience=0)
    grown = run(patterns, settings)
    bonds = [record.max_bond for record in grown.history]
    assert bonds[0] == 2
    assert max(bonds) >= 15  # bars and stripes need sixteen across the middle
    # trained further on one pattern only, the same state falls back to a product
    single = np.repeat(patterns[3:4], 30, axis=0)
    start = tnkit.canonicalize(tnkit.MPS.from_arrays(grown.state.arrays), -1)
    shrunk = train(single, None, (2,) * 16, Settings(sweeps=12, patience=0), start=start)
    assert shrunk.state.bond_dims == (1,) * 15
    assert shrunk.history[-1].discarded_weight < 1e-3


def test_no_bond_exceeds_the_maximum_and_the_centre_is_canonical() -> None:
    result = run(digits(), Settings(max_bond=7, sweeps=2, value_cutoff=0.0))
    assert max(result.state.bond_dims) == 7
    tnkit.verify(result.state, tolerance=1e-5)
    assert tnkit.norm(result.state) == pytest.approx(1.0, abs=1e-5)


def test_training_lowers_the_nll_and_keeps_the_best_sweep() -> None:
    result = run(digits(), Settings(sweeps=4))
    watched = [record.watched for record in result.history]
    assert watched[-1] < watched[0]
    assert watched[result.best_sweep] == min(watched)


def test_training_stops_when_patience_is_over() -> None:
    """No sweep lowers the NLL by nine tenths, so patience ends it; 0 goes on."""
    for patience, sweeps in ((1, 1), (3, 3), (0, 6)):
        result = run(digits(100), Settings(sweeps=6, patience=patience, tolerance=0.9))
        assert len(result.history) - 1 == sweeps


def test_every_library_trains_alike(library: Any) -> None:
    """The same sweeps on another library: equal to rounding in double precision."""
    settings = Settings(sweeps=3, dtype="float64", max_bond=8)
    expected = run(digits(100), settings)
    found = run(digits(100), settings, place=library.asarray)
    for a, b in zip(found.history, expected.history, strict=True):
        assert a.nll_train == pytest.approx(b.nll_train, abs=1e-8)
        assert a.max_bond == b.max_bond


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_run_resumes_bit_for_bit(stop: int, tmp_path: Any) -> None:
    """Stopped after any sweep and read back from the file, it ends where the whole run ends."""
    samples, settings = digits(200), Settings(sweeps=5, patience=0)
    whole = run(samples, settings)

    class StopHereError(Exception):
        pass

    def interrupt(checkpoint: Checkpoint) -> None:
        save_checkpoint(tmp_path / "checkpoint.npz", checkpoint, {"kept": True})
        if len(checkpoint.history) - 1 == stop:
            raise StopHereError

    with pytest.raises(StopHereError):
        run(samples, settings, on_sweep=interrupt)
    checkpoint, about = load_checkpoint(tmp_path / "checkpoint.npz")
    assert about == {"kept": True}
    assert checkpoint.best_sweep == stop  # every sweep improves here
    resumed = train(samples, None, (2,) * 64, settings, start=checkpoint)
    for a, b in zip(resumed.state.arrays, whole.state.arrays, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(resumed.best.arrays, whole.best.arrays, strict=True):
        assert np.array_equal(a, b)
    assert [r.nll_train for r in resumed.history] == [r.nll_train for r in whole.history]


@pytest.mark.parametrize("centre", [0, 3, 6, 7, 8, None])
@pytest.mark.parametrize("method", ["two-site", "one-site"])
def test_a_start_has_its_centre_anywhere(method: str, centre: int | None) -> None:
    patterns = bars_and_stripes(3, 3)
    settings = Settings(sweeps=2, dtype="float64", method=method, max_bond=4)
    state = start_state(patterns, (2,) * 9, settings, np.random.default_rng(0))
    expected = train(patterns, None, (2,) * 9, settings, start=state).history
    moved = tnkit.canonicalize(state, 0 if centre is None else centre)
    if centre is None:
        moved = tnkit.MPS.from_arrays(moved.arrays)
    found = train(patterns, None, (2,) * 9, settings, start=moved).history
    for a, b in zip(found, expected, strict=True):
        assert a.nll_train == pytest.approx(b.nll_train, abs=1e-3)


def test_sweeps_go_on_from_an_all_site_checkpoint() -> None:
    patterns = bars_and_stripes(3, 3)
    first = run(patterns, Settings(method="all-site", sweeps=1, max_bond=4))
    again = train(patterns, None, (2,) * 9, Settings(sweeps=3, max_bond=8), start=first)
    assert again.history[-1].nll_train < first.history[-1].nll_train


def test_a_chain_of_one_site_is_its_marginal() -> None:
    samples = np.array([[0], [2], [2], [1]])
    machine = BornMachine().fit(samples)
    np.testing.assert_allclose(np.exp(machine.score_samples([[0], [1], [2]])), [0.25, 0.25, 0.5])


def test_a_chain_of_two_sites_trains() -> None:
    samples = np.array([[0, 0], [1, 1]] * 5)
    machine = BornMachine(random_state=0, sweeps=60).fit(samples)
    assert -machine.score(samples) == pytest.approx(math.log(2), abs=0.01)


def test_nan_in_the_state_is_caught_at_the_sweep() -> None:
    settings = Settings(sweeps=2)
    samples = digits(50)
    start = start_state(samples, (2,) * 64, settings, np.random.default_rng(0))
    broken = (*start.arrays[:5], start.arrays[5] * np.nan, *start.arrays[6:])
    with pytest.raises(tnkit.NonFiniteError, match="after sweep 0"):
        train(
            samples,
            None,
            (2,) * 64,
            settings,
            start=tnkit.MPS(broken, start.sites, start.gauge),
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_bond", 0),
        ("max_bond", 2.5),
        ("sweeps", -1),
        ("steps", 0),
        ("learning_rate", math.nan),
        ("learning_rate", -0.1),
        ("value_cutoff", 1.0),
        ("cutoff", -1.0),
        ("start", "zeros"),
        ("dtype", "float16"),
        ("patience", True),
        ("tolerance", math.inf),
    ],
)
def test_settings_name_the_field_at_fault(field: str, value: object) -> None:
    with pytest.raises(tnkit.TnkitError, match=field):
        Settings(**{field: value})  # type: ignore[arg-type]


def test_an_impossible_validation_sample_neither_stops_nor_spoils_the_run(tmp_path: Any) -> None:
    """Where the model rules a held-out sample out its NLL is infinite: kept, saved, and read."""
    samples = np.zeros((40, 6), dtype=int)
    settings: dict[str, Any] = {"validation_fraction": 0.25, "random_state": 0, "cutoff": 0.1}
    row = BornMachine(sweeps=1, **settings).fit(samples).validation_rows_[0]
    samples[row] = 1
    machine = BornMachine(sweeps=6, start="marginals", learning_rate=5.0, **settings).fit(samples)
    machine.save(tmp_path / "machine.npz")
    assert BornMachine.load(tmp_path / "machine.npz").history_ == machine.history_
    infinite = SweepRecord(3, 1.0, math.inf, 2, 1.5, 0.0, 0.1)
    assert record_from_json(record_to_json(infinite)) == infinite
    state = machine.model_.state
    checkpoint = Checkpoint(state, state, 0, (infinite,))
    save_checkpoint(tmp_path / "checkpoint.npz", checkpoint, {})
    assert load_checkpoint(tmp_path / "checkpoint.npz")[0].history == (infinite,)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("method", ["two-site", "all-site"])
def test_a_complex_machine_leaves_the_real_ones_behind(start: str, method: str) -> None:
    """A real state has a real gradient on any data: the start must be complex already."""
    samples = np.random.default_rng(0).integers(0, 3, (60, 6))
    settings = Settings(max_bond=2, sweeps=3, dtype="complex128", start=start, method=method)
    begun = start_state(samples, (3,) * 6, settings, np.random.default_rng(0))
    assert max(abs(array.imag).max() for array in begun.arrays) > 0.01
    tnkit.verify(begun)
    ended = train(samples, None, (3,) * 6, settings, start=begun).state
    overlap = tnkit.fidelity(ended, tnkit.conj(ended))
    assert overlap < 1 - 1e-3  # a real state is its own conjugate, up to a phase


def test_complex_machines_learn_more_by_heart_at_the_same_bond() -> None:
    samples = np.random.default_rng(0).integers(0, 3, (80, 8))
    ends = {}
    for dtype in ("float64", "complex128"):
        settings = Settings(max_bond=3, sweeps=25, patience=0, value_cutoff=0.0, dtype=dtype)
        start = start_state(samples, (3,) * 8, settings, np.random.default_rng(0))
        ends[dtype] = train(samples, None, (3,) * 8, settings, start=start).history[-1].nll_train
    assert ends["complex128"] < ends["float64"] - 0.02


RESUMED: dict[str, Any] = {
    "max_bond": 3,
    "sweeps": 3,
    "validation_fraction": 0.2,
    "order": "given",
    "random_state": 0,
}


def kept(**changes: Any) -> list[Any]:
    found: list[Any] = []
    BornMachine(**RESUMED | changes).fit(digits(60)[:, 18:30], on_sweep=found.append)
    return found


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": [*range(10), 11, 10]}, "feature 10 at site 10 of machine 0, .* has feature 11"),
        ({"dtype": "float64"}, "resume is of dtype float32, this run is of float64"),
        ({"levels": 3}, "resume takes 2 values at site 0 of machine 0, .* there takes 3"),
        ({"random_state": 1}, r"resume held out 12 rows \(2, 4, 8, ...\), .* out 12 rows \(3, 6,"),
        ({"random_state": None}, "resume needs the random_state"),
        ({"validation_fraction": 0.0}, "resume had some validation samples, this run has no"),
        ({"n_machines": 3}, "resume is of . machines, n_machines is 3"),
        ({"features": 11}, "resume is of 12 features, the samples have 11"),
        ({"features": 13}, "resume is of 12 features, the samples have 13"),
    ],
)
def test_resuming_with_other_inputs_is_refused_before_any_work(
    machines: int, changes: dict[str, Any], message: str, tmp_path: Any
) -> None:
    save_checkpoint(tmp_path / "c.npz", kept(n_machines=machines)[1], {})
    checkpoint, _ = load_checkpoint(tmp_path / "c.npz")
    features = changes.get("features", 12)
    changes = {"n_machines": machines} | {k: v for k, v in changes.items() if k != "features"}
    machine = BornMachine(**RESUMED | changes)
    X = digits(60)[:, 18 : 18 + features]
    with pytest.raises(tnkit.TnkitError, match=message):
        machine.fit(X, resume=checkpoint, on_sweep=lambda _: pytest.fail("it began"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_machines": 2},
        {"method": "one-site", "dtype": "complex64"},
        {"method": "all-site"},
        {"dtype": "float64", "split": "gram"},
        {"static": True},
        {"start": "marginals", "rollback": 0.5},
    ],
)
def test_a_checkpoint_without_its_inputs_resumes_bit_for_bit(
    changes: dict[str, Any], tmp_path: Any
) -> None:
    """As files did before they kept them."""
    seen = kept(**changes)
    save_checkpoint(tmp_path / "c.npz", replace(seen[1], inputs=None), {})
    old, _ = load_checkpoint(tmp_path / "c.npz")
    assert old.inputs is None
    again: list[Any] = []
    machine = BornMachine(**RESUMED | changes)
    machine.fit(digits(60)[:, 18:30], resume=old, on_sweep=again.append)
    for whole, resumed in zip(members_of(seen[-1]), members_of(again[-1]), strict=True):
        for a, b in zip(whole.state.arrays, resumed.state.arrays, strict=True):
            assert np.array_equal(a, b)
    assert again[-1].inputs is not None
