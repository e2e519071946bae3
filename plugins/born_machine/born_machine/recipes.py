"""Settings that are known to do well on one kind of data, by name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tnkit import ArgumentError

__all__ = ["RECIPES", "recipe"]

# fmt: off
_TABLE = {
    "order": "coupling",
    "start": "chow-liu",
    "max_bond": 64,
    "sweeps": 24,
    "value_cutoff": [
        0.02, 0.017, 0.015, 0.012, 0.011, 0.009, 0.0076, 0.0065,
        0.0055, 0.0047, 0.004, 0.0034, 0.0029, 0.0025, 0.0021, 0.0018,
        0.0015, 0.0013, 0.0011, 0.00095, 0.00081, 0.00069, 0.00059, 0.0005,
    ],
    "patience": 0,
}
# fmt: on
_ALL: dict[str, dict[str, Any]] = {"table": _TABLE}
RECIPES = tuple(_ALL)


def recipe(name: str) -> dict[str, Any]:
    """Return parameters of a `BornMachine`, a new dictionary.

    ``BornMachine(**recipe("table"))``, or with something else in it
    ``BornMachine(**recipe("table") | {"n_machines": 4})``.

    "table": for discrete features that are no image: words, tags, baskets, answers, genes. What
    depends on each other when all else is known lies close; training starts as the Chow-Liu tree,
    which wide tables of few samples hardly leave; the value cutoff falls from coarse to fine, which
    keeps bonds small until the data ask for them; of 24 sweeps the best by the validation NLL is
    kept. Below 500 samples nothing is held out by itself and the last sweep over-fits: give
    validation samples to `fit`, or ``validation_fraction=0.1``. What it reaches is in
    docs/results.md under density-estimation. Raises `ArgumentError` for a name that is none of
    `RECIPES`.

    >>> settings = recipe("table")
    >>> settings["order"], settings["start"], settings["sweeps"]
    ('coupling', 'chow-liu', 24)
    """
    if name not in RECIPES:
        raise ArgumentError(f"recipe {name!r} is unknown; use one of {', '.join(RECIPES)}")
    return deepcopy(_ALL[name])
