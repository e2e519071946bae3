"""The best of several site orders, tried in short runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tnkit
from born_machine import BornMachine, load_dataset
from born_machine.checkpoint import load_checkpoint, save_checkpoint
from born_machine.cli import main
from born_machine.mixing import mixture_orders

DIGITS = load_dataset("digits").samples[:200]
TRAIN, VALIDATION = DIGITS[:120], DIGITS[120:]
SHAPE = (8, 8)
# the Chow-Liu tree as start leaves nothing to chance
KNOBS: dict[str, Any] = {
    "image_shape": SHAPE,
    "start": "chow-liu",
    "augment": "none",
    "random_state": 3,
    "device": "cpu",
}


def orders_of(machine: BornMachine) -> list[list[int]]:
    parts = getattr(machine.model_, "components", (machine.model_,))
    return [part.order.tolist() for part in parts]


@pytest.mark.parametrize(("order", "machines"), [("hilbert", 1), ("coupling", 3)])
def test_machines_take_the_orders_that_are_best_in_short_runs(order: str, machines: int) -> None:
    trials = list(mixture_orders(order, 5, SHAPE, TRAIN, KNOBS["random_state"]))
    p = []
    for one in trials:  # by hand
        short = BornMachine(order=one.tolist(), max_bond=32, sweeps=2, patience=0, **KNOBS)
        p.append(np.exp(short.fit(TRAIN, validation=VALIDATION).score_samples(VALIDATION)))
    taken: list[int] = []
    for _ in range(machines):
        nll = {
            k: -np.log(np.mean([p[j] for j in (*taken, k)], axis=0)).mean()
            for k in set(range(5)) - set(taken)
        }
        taken.append(min(nll, key=lambda k: nll[k]))
    found = BornMachine(
        order=order, order_trials=5, n_machines=machines, max_bond=40, sweeps=1, **KNOBS
    )
    found.fit(TRAIN, validation=VALIDATION)
    assert orders_of(found) == [trials[one].tolist() for one in taken]
    assert orders_of(found) != [one.tolist() for one in trials[:machines]]
    assert found.order_name_ == order


def test_as_many_trials_as_machines_try_nothing() -> None:
    alone, tried = (
        BornMachine(order="hilbert", n_machines=3, order_trials=trials, sweeps=1, **KNOBS)
        for trials in (1, 3)
    )
    assert orders_of(alone.fit(TRAIN)) == orders_of(tried.fit(TRAIN))


def test_a_run_with_trials_goes_on_where_it_stopped(tmp_path: Any) -> None:
    knobs = KNOBS | {"order": "hilbert", "order_trials": 4, "max_bond": 8, "sweeps": 3}
    kept: list[Any] = []
    whole = BornMachine(**knobs).fit(TRAIN, on_sweep=kept.append)
    save_checkpoint(tmp_path / "first", kept[0], {})
    first, _ = load_checkpoint(tmp_path / "first")
    resumed = BornMachine(**knobs).fit(TRAIN, resume=first)
    assert np.array_equal(whole.score_samples(DIGITS), resumed.score_samples(DIGITS))
    with pytest.raises(tnkit.ArgumentError, match="give order, samples and random_state"):
        BornMachine(**(knobs | {"order": "snake"})).fit(TRAIN, resume=first)


def test_trials_are_told_as_they_come(tmp_path: Any, capsys: Any) -> None:
    told: list[tuple[str, int, int, float]] = []
    machine = BornMachine(order="hilbert", order_trials=3, sweeps=1, **KNOBS)
    machine.fit(TRAIN, validation=VALIDATION, on_trial=lambda *about: told.append(about))
    assert [about[:3] for about in told] == [("hilbert", number, 3) for number in (1, 2, 3)]
    best = min(told, key=lambda about: about[3])
    short = BornMachine(order=machine.model_.order.tolist(), max_bond=32, sweeps=2, **KNOBS)
    short.fit(TRAIN, validation=VALIDATION)
    assert best[3] == pytest.approx(short.score(VALIDATION) * -1, rel=1e-6)

    command = ["train", "bars-and-stripes", "--order", "snake", "--order-trials", "2"]
    assert main([*command, "--sweeps", "1", "--out", str(tmp_path / "run")]) == 0
    assert "order   2 of 2  snake, NLL " in capsys.readouterr().err


@pytest.mark.parametrize("knobs", [{"order": "hilbert", "order_trials": 3}, {"image_shape": None}])
def test_trials_sum_over_gaps_and_see_no_average_over_shifts(knobs: dict[str, Any]) -> None:
    """Of trials along a curve, and of the candidates of "auto"."""
    holes = DIGITS.astype(np.int16)
    holes[np.random.default_rng(0).random(DIGITS.shape) < 0.1] = -1
    averaged = {"average_shifts": 1} if "order" in knobs else {}
    told: list[tuple[str, int, int, float]] = []
    machine = BornMachine(missing="marginalise", sweeps=1, **(KNOBS | knobs | averaged))
    machine.fit(holes[:120], validation=holes[120:], on_trial=lambda *about: told.append(about))
    name, _, _, nll = min(told, key=lambda about: about[3])
    chain = getattr(machine.model_, "components", (machine.model_,))[0]
    length = {"sweeps": 2, "max_bond": 32} if averaged else {"sweeps": 3, "max_bond": 8}
    short = BornMachine(missing="marginalise", **(KNOBS | {"order": chain.order.tolist()} | length))
    short.fit(holes[:120], validation=holes[120:])
    assert machine.order_name_ == name
    assert nll == pytest.approx(-short.score(holes[120:]), rel=1e-6)
    assert len({about[3] for about in told}) == len(told)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"order": "given"}, "needs an order that has variations.*this one is given"),
        ({"order": list(range(64))}, "this one is permutation"),
        ({"order": ["hilbert", "raster"], "n_machines": 2}, "this one is list"),
        ({"order": "coupling", "n_machines": 5}, "order_trials=4 for n_machines=5; try at least"),
        ({"image_shape": None, "order": "auto"}, "this one is auto"),
        ({"order": "hilbert", "order_trials": 999}, "variations on this image, 999 are asked for"),
        ({"order_trials": 0}, "order_trials must be a whole number from 1 up, got 0"),
        ({"order_trials": 2.5}, "order_trials must be a whole number from 1 up, got 2.5"),
    ],
)
def test_trials_that_cannot_be_are_refused_before_training(
    knobs: dict[str, Any], message: str
) -> None:
    machine = BornMachine(**(KNOBS | {"order_trials": 4, "sweeps": 3} | knobs))
    with pytest.raises(tnkit.ArgumentError, match=message):
        machine.fit(TRAIN, on_sweep=lambda _: pytest.fail("it began"))


def test_a_model_brings_its_order_and_tries_none() -> None:
    first = BornMachine(order="hilbert", sweeps=1, max_bond=4, **KNOBS).fit(TRAIN)
    knobs = {name: value for name, value in KNOBS.items() if name != "start"}
    on = BornMachine(start=first.model_, order_trials=2, sweeps=1, **knobs)
    with pytest.raises(tnkit.ArgumentError, match="leave order_trials=1"):
        on.fit(TRAIN)
