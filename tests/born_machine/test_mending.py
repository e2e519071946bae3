"""Fitting correlators: the NLL falls, the best epoch is kept, bad input is refused before work."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from born_machine import BornMachine, MPSModel, bars_and_stripes, correlate
from born_machine.cli import main
from born_machine.mending import without_correlators
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import model_from_state
from born_machine.models.storage import load_model, save_model
from tnkit import MPS, ArgumentError, MemoryLimitError, SizeError

sys.path.insert(0, str(Path(__file__).parent))

from correlator_cases import chain_of, correlated, everything


def parity_of_three(number: int, seed: int) -> Any:
    """Return samples of which every third feature is the parity of the two before it."""
    bits = np.random.default_rng(seed).integers(0, 2, (number, 9))
    bits[:, 2::3] = bits[:, 0::3] ^ bits[:, 1::3]
    return bits


def test_plaquettes_learn_what_pairs_and_the_chain_cannot() -> None:
    train, test = parity_of_three(1000, 0), parity_of_three(500, 1)
    machine = BornMachine(max_bond=1, sweeps=2, order="given", random_state=0).fit(train)
    nll = {}
    for plaquettes in (0, 1):
        mended = correlate(
            machine.model_, train, image_shape=(1, 9), plaquettes=plaquettes, width=2, epochs=50,
            shared=0, batch_size=50, penalty=0.1, random_state=0,
        )  # fmt: skip
        nll[plaquettes] = -mended.log_likelihood(test).mean()
    exact = 6 * np.log(2)
    assert nll[0] > 8.9 * np.log(2)  # two features of each three say nothing of one another
    assert nll[1] == pytest.approx(exact, abs=0.2)


def test_shared_windows_learn_a_rule_that_holds_everywhere_from_few_samples() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (320, 4, 6))
    for y, x in itertools.product(range(1, 4), range(1, 6)):  # the parity of the three before it
        bits[:, y, x] = bits[:, y - 1, x] ^ bits[:, y, x - 1] ^ bits[:, y - 1, x - 1]
    train, test = bits[:40], bits[40:].reshape(280, 24)
    chain = model_from_state(MPS.from_arrays([np.ones((1, 2, 1))] * 24), range(24), (2,) * 24)
    nll = {}
    for shared in (0, 1):
        mended = correlate(
            chain, train, plaquettes=1, width=4, shared=shared, shared_width=8, epochs=200,
            batch_size=20, penalty=0.1, random_state=0,
        )  # fmt: skip
        nll[shared] = -mended.log_likelihood(test).mean() / np.log(2)
    assert 9 < nll[1] < nll[0] - 2.5 < 24 - 2.5  # bits; nine of 24 are free


def test_validation_keeps_the_best_epoch_the_chain_among_them() -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(max_bond=16, image_shape=(3, 3), random_state=0).fit(X)
    noise = np.random.default_rng(0).integers(0, 2, (30, 9))
    told: list[tuple[int, int, float, float | None]] = []
    kept = correlate(
        machine.model_, noise[:10], X, epochs=5, random_state=0, on_epoch=lambda *e: told.append(e)
    )
    assert [(m, e) for m, e, _, _ in told] == [(0, epoch) for epoch in range(1, 6)]
    assert min(held for *_, held in told) > -machine.score(X)  # every epoch was worse
    np.testing.assert_allclose(kept.log_likelihood(X), machine.score_samples(X), atol=1e-5)
    last = correlate(machine.model_, noise[:10], epochs=5, random_state=0)
    assert last.log_likelihood(X).mean() == pytest.approx(-told[-1][3], abs=1e-4)


def test_a_mixture_over_shifts_is_mended_chain_by_chain_and_saved(tmp_path: Path) -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(
        max_bond=2, image_shape=(3, 3), n_machines=2, average_shifts=1, random_state=0
    ).fit(X)
    mended = correlate(machine.model_, X, image_shape=(3, 3), epochs=3, random_state=0)
    assert isinstance(mended, MixtureModel)
    assert isinstance(machine.model_, MixtureModel)
    assert mended.weights == machine.model_.weights
    pairs = zip(mended.components, machine.model_.components, strict=True)
    assert all((new.order == old.order).all() for new, old in pairs)
    assert len({id(c.correlators) for c in mended.components}) == 2
    save_model(tmp_path / "model.npz", mended, {})
    loaded, _ = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_likelihood(X), mended.log_likelihood(X))
    assert len({id(c.correlators) for c in loaded.components}) == 2
    rng = [np.random.default_rng(0) for _ in range(2)]
    np.testing.assert_array_equal(loaded.sample(20, rng[0]), mended.sample(20, rng[1]))
    assert loaded.parameters == mended.parameters


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    X = bars_and_stripes(3, 3)
    chain = chain_of(0, (2,) * 9)
    runs = [
        correlate(chain, X, image_shape=(3, 3), epochs=2, batch_size=5, random_state=seed)
        for seed in (0, 0, 1)
    ]
    tables = [run.correlators.plaquettes[0].table for run in runs]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert (tables[0] != tables[2]).any()


def test_plaquettes_follow_the_order_of_the_chain() -> None:
    chain = chain_of(4, (2,) * 9)
    mended = correlate(chain, bars_and_stripes(3, 3), image_shape=(1, 9), epochs=1, width=2)
    for site in range(2, 9):
        feature, members = chain.order[site], mended.correlators.plaquettes[0].places[site]
        far = sorted(abs(feature - chain.order[earlier]) for earlier in range(site))
        assert [abs(feature - chain.order[m]) for m in members] == far[:2]


def test_the_hook_sees_and_returns_features() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    seen: list[Any] = []

    def hook(samples: Any, rng: np.random.Generator) -> Any:
        seen.append(samples)
        return samples

    runs = [
        correlate(chain, X, epochs=2, batch_size=5, augment=augment, random_state=0)
        for augment in (None, hook)
    ]
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], X)
    np.testing.assert_array_equal(*(run.log_likelihood(X) for run in runs))


def test_the_penalty_holds_the_entries_down() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    sizes = []
    for penalty in (0.0, 3.0, 300.0):
        mended = correlate(chain, X, epochs=100, batch_size=14, penalty=penalty, random_state=0)
        sizes.append(sum((p.table**2).sum() for p in mended.correlators.plaquettes))
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2]


def test_the_first_step_is_as_long_as_said() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    for step in (0.001, 0.02):
        how: dict[str, Any] = {"image_shape": (3, 3), "epochs": 1, "batch_size": 14}
        mended = correlate(chain, X, learning_rate=step, **how).correlators
        near, *_, shared = mended.plaquettes
        assert (near.table.shape[1], shared.table.shape[1]) == (1, 2)  # a window moves scales too
        for moved, length in (
            (mended.bias, step), (mended.pairs, step), (near.table, 0.01), (shared.table, 0.01)
        ):  # fmt: skip
            assert abs(moved).max() == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"epochs": 0}, ArgumentError, "epochs must be a whole number from 1 up, got 0"),
        ({"plaquettes": -1}, ArgumentError, "plaquettes must be a whole number from 0 up"),
        ({"width": 0}, ArgumentError, "width must be a whole number from 1 up"),
        ({"width": 13}, ArgumentError, "8,192 entries a site, at most 4,096"),
        ({"shared": 1}, ArgumentError, "shared windows need images"),
        ({"shared": -1, "image_shape": (3, 3)}, ArgumentError, "shared must be a whole number"),
        ({"shared_width": 0}, ArgumentError, "shared_width must be a whole number from 1 up"),
        ({"shared_width": 17, "image_shape": (3, 3)}, ArgumentError, "131,072 .* lower shared"),
        ({"batch_size": 0}, ArgumentError, "batch_size must be a whole number from 1 up"),
        ({"learning_rate": 0.0}, ArgumentError, "learning_rate must be above 0"),
        ({"penalty": -1.0}, ArgumentError, "penalty must be 0 or more"),
        ({"image_shape": (2, 3)}, SizeError, "6 pixels, the data 9 features"),
        ({"samples": np.full((3, 9), 2)}, ArgumentError, "2"),
        ({"samples": np.zeros((3, 8), dtype=int)}, SizeError, "8"),
        ({"samples": np.full((3, 9), -1)}, ArgumentError, "-1"),
        ({"validation": np.zeros((3, 8), dtype=int)}, SizeError, "8"),
        ({"device": "tpu"}, ArgumentError, "device must be"),
        ({"augment": lambda samples, rng: samples[:, :5]}, SizeError, "5"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    change: dict[str, Any], error: type[Exception], told: str
) -> None:
    call = {"model": chain_of(0, (2,) * 9), "samples": bars_and_stripes(3, 3), **change}
    with pytest.raises(error, match=told):
        correlate(call.pop("model"), call.pop("samples"), call.pop("validation", None), **call)


def test_tables_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("born_machine.mending.device_memory", lambda device: 10_000)
    with pytest.raises(MemoryLimitError, match="9 features with up to 2 values have 9"):
        correlate(chain_of(0, (2,) * 9), bars_and_stripes(3, 3))
    constant = model_from_state(MPS.from_arrays([np.ones((1, 1, 1))] * 3), range(3), (1, 1, 1))
    with pytest.raises(ArgumentError, match="nothing to mend"):
        correlate(constant, np.zeros((2, 3), dtype=int))


def test_a_mended_model_is_not_mended_again() -> None:
    with pytest.raises(ArgumentError, match="correlators already"):
        correlate(correlated(0, chain_of(0, (2, 2))), np.zeros((4, 2), dtype=int))


def test_a_machine_gains_correlators_and_keeps_the_rest(tmp_path: Path) -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(max_bond=2, image_shape=(3, 3), random_state=0).fit(X)
    better = machine.correlated(X.reshape(-1, 3, 3), validation=X, epochs=100, batch_size=14)
    same = correlate(
        machine.model_, X, X, image_shape=(3, 3), epochs=100, batch_size=14, random_state=0
    )
    assert better.score(X) > machine.score(X) + 0.1
    np.testing.assert_array_equal(better.score_samples(X), same.log_likelihood(X))
    assert np.exp(better.score_samples(everything((2,) * 9))).sum() == pytest.approx(1.0, abs=1e-9)
    assert isinstance(machine.model_, MPSModel)
    better.save(tmp_path / "better.npz")
    loaded = BornMachine.load(tmp_path / "better.npz")
    np.testing.assert_array_equal(loaded.sample(5), better.sample(5))
    np.testing.assert_array_equal(loaded.score_samples(X), better.score_samples(X))
    with pytest.raises(ArgumentError, match="chain"):
        loaded.entanglement()
    with pytest.raises(ArgumentError, match="model of CorrelatedModel, only from chains"):
        loaded.partial_fit(X)


def test_without_correlators_is_what_was_mended() -> None:
    X = bars_and_stripes(3, 3)
    parameters: dict[str, Any] = {"max_bond": 2, "image_shape": (3, 3), "random_state": 0}
    for more in ({}, {"n_machines": 2, "average_shifts": 1}):
        machine = BornMachine(**parameters, **more).fit(X)
        mended = machine.correlated(X, epochs=1)
        back = without_correlators(mended.model_).log_likelihood(X)
        np.testing.assert_array_equal(back, machine.score_samples(X))
        assert (mended.score_samples(X) != back).all()
        assert without_correlators(machine.model_) is machine.model_


def test_the_command_line_mends_scores_samples_and_inspects(tmp_path: Path, capsys: Any) -> None:
    run, mended = str(tmp_path / "run"), str(tmp_path / "mended.npz")
    train = ["train", "bars-and-stripes", "--max-bond", "2", "--sweeps", "2", "--quiet"]
    assert main([*train, "--out", run]) == 0
    mend = ["mend", run, "bars-and-stripes", "--out", mended, "--epochs", "20"]
    more = ["--shared", "2", "--shared-width", "6", "--learning-rate", "0.01"]
    assert main([*mend, *more, "--validation-rows", "0:20", "--batch-size", "10"]) == 0
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 20
    assert "NLL validation" in told.out
    before, after = BornMachine.load(f"{run}/model.npz"), BornMachine.load(mended)
    X = bars_and_stripes()
    assert len(after.model_.correlators.plaquettes) == 4 + 2
    assert after.score(X[:20]) > before.score(X[:20]) + 0.1
    assert main(["score", mended, "bars-and-stripes"]) == 0
    assert f"NLL {-after.score(X):.4f}" in capsys.readouterr().out
    assert main(["sample", mended, "-n", "3", "--out", str(tmp_path / "s.npz")]) == 0
    assert main(["inspect", mended]) == 0
    assert "before correlators" in capsys.readouterr().out
    assert main([*mend, "--width", "0"]) == 2
    assert capsys.readouterr().err.startswith("born-machine: width must be")
    assert main([*mend, "--shared", "-1"]) == 2
    assert capsys.readouterr().err.startswith("born-machine: shared must be")
    complete = ["complete", mended, "bars-and-stripes", "--out", str(tmp_path / "c.npz")]
    assert main(complete) == 0  # the upper half comes first, row by row
    assert main([*complete, "--erase", "top"]) == 2
    assert "not the first of the site order" in capsys.readouterr().err
    assert main([*mend[:4], str(tmp_path / "x.png")]) == 2
