"""How to train: every knob in one frozen value, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tnkit import ArgumentError, Truncation

__all__ = [
    "METHODS",
    "SCHEDULES",
    "SPLIT_METHODS",
    "STARTS",
    "Schedule",
    "Settings",
    "SweepSettings",
    "at_sweep",
    "plain_schedule",
]

Schedule: TypeAlias = float | Sequence[float] | Callable[[int], float]
"""A number; or one a sweep, the last staying; or a function of the sweep, counted from 1."""

STARTS = ("random", "marginals", "chow-liu")
METHODS = ("two-site", "one-site", "all-site")
SPLIT_METHODS = ("auto", "retraction", "gram", "svd", "subspace")
SCHEDULES = ("max_bond", "value_cutoff", "cutoff", "learning_rate", "noise")
_OF_BONDS = ("backtracks", "bond_penalty", "entropy_bonus")
_MOST_NOISE = 1e6  # beyond, float32 forgets the block
DTYPES = ("float32", "float64", "complex64", "complex128")


class SweepSettings(NamedTuple):
    """The values of the schedules at one sweep."""

    truncation: Truncation
    learning_rate: float
    noise: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. Checked when made; raises `ArgumentError` naming the field.

    A schedule is a number, a sequence with one value a sweep (the last stays), or a function of
    the sweep counted from 1; all values are checked at once.

    max_bond, value_cutoff, cutoff: schedules, of the split after every step (singular values kept
    while s >= value_cutoff s_0, at most max_bond, discarded weight at most cutoff).
    learning_rate: schedule, of the gradient step M + learning_rate G on the merged tensor; steps:
    such steps a bond. sweeps: at most this many; one goes there and back (all-site: one pass over
    the samples). patience: stop after this many sweeps in a row without a better watched NLL; 0
    never stops. tolerance: share of the NLL by which it must fall to count as better.
    start: "random" (positive entries, bond 2), "marginals" (product of the feature marginals) or
    "chow-liu" (the Chow-Liu tree, or what max_bond can hold of it).
    dtype: of the training arithmetic, float32, float64, complex64 or complex128.

    method: "two-site" sweeps; "one-site" sweeps, cheaper, where each bond is first given up to
    `expand` new directions, those its gradient asks for (0: bonds never grow); or "all-site":
    `steps` passes a sweep over the samples in batches, all arrays moved at once by `optimizer`,
    the name of a class in torch.optim; bonds stay as the start has them (random: max_bond).
    batch_size: samples a step, None for all. batch_per: "sweep" draws a batch for each sweep,
    "bond" draws one at each bond (all-site passes always go through all batches once).
    backtracks: how often a step that raises the NLL is halved before it is not taken; 0 takes
    every step. rollback: None, or the factor by which the learning rate falls for good after a
    sweep that raised the train NLL, which is then taken back.
    bond_penalty: weight of the Renyi-2 entanglement entropy at the bond, added to the NLL.
    entropy_bonus: weight of 2 ln |sum_x psi(x)|, the Renyi-1/2 entropy of p where psi is
    positive, taken off the NLL. noise: schedule, length of a random vector added to the block of
    norm one after each step. longest: a gradient step on the block of norm one is shortened to this
    length where it is longer.
    static: keep min(site bond, max_bond) values at every split, the smallest included, whatever the
    cutoffs say: bonds start at their full size, and on a device nothing is read back at a bond.
    split: "auto" takes `born_machine.devices.SPLITS`; or "retraction", "gram", "svd",
    "subspace" (static only). tf32: let CUDA multiply float32 matrices with 10 bits of mantissa.
    memory_limit: bytes that a sweep over bonds may hold beside the samples, None for half of the
    device's memory, shared out among the sweeps that run on it at a time (processes, n_jobs); see
    `born_machine.footprint` for how they stay under it. scored: record the
    train NLL of so many samples, drawn once, after a sweep; None for all.
    seed: of batches, noise and augmentation; sweep k depends on the seed and k alone.
    largest_bond: the largest that any sweep allows, found once, when the settings are made.
    """

    max_bond: Schedule = 50
    value_cutoff: Schedule = 1e-3
    cutoff: Schedule = 0.0
    learning_rate: Schedule = 0.05
    steps: int = 1
    sweeps: int = 15
    patience: int = 3
    tolerance: float = 1e-3
    start: str = "random"
    dtype: str = "float32"
    method: str = "two-site"
    expand: int = 4
    optimizer: str = "Adam"
    batch_size: int | None = None
    batch_per: str = "sweep"
    backtracks: int = 0
    rollback: float | None = None
    bond_penalty: float = 0.0
    entropy_bonus: float = 0.0
    noise: Schedule = 0.0
    longest: float = 1.0
    static: bool = False
    split: str = "auto"
    tf32: bool = False
    memory_limit: int | None = None
    scored: int | None = None
    seed: int = 0
    largest_bond: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every field."""
        for name, least in (
            ("sweeps", 0),
            ("patience", 0),
            ("steps", 1),
            ("backtracks", 0),
            ("expand", 0),
        ):
            _whole(name, getattr(self, name), least)
        if self.batch_size is not None:
            _whole("batch_size", self.batch_size, 1)
        for name in ("memory_limit", "scored"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        for name in ("tolerance", "bond_penalty", "entropy_bonus"):
            _number(name, getattr(self, name))
        if self.rollback is not None:
            _number("rollback", self.rollback)
            if not 0.0 < self.rollback <= 1.0:
                raise ArgumentError(f"rollback must be None or in (0, 1], got {self.rollback!r}")
        for name, known in (
            ("start", STARTS),
            ("dtype", DTYPES),
            ("method", METHODS),
            ("batch_per", ("sweep", "bond")),
            ("split", SPLIT_METHODS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ArgumentError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        for name in ("static", "tf32"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ArgumentError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if not _number("longest", self.longest) > 0.0:
            raise ArgumentError(f"longest must be above 0, got {self.longest!r}")
        if self.split == "subspace" and not self.static:
            raise ArgumentError("split='subspace' keeps a fixed number of values; add static=True")
        stay = max(_length(getattr(self, name), self.sweeps) for name in SCHEDULES)
        values = [self.at(sweep) for sweep in range(1, max(stay, 1) + 1)]
        bonds = [one.truncation.max_bond or 1 for one in values]
        object.__setattr__(self, "largest_bond", max(bonds))
        if self.method == "all-site":
            knobs = {name: getattr(self, name) for name in _OF_BONDS}
            knobs["noise"] = max(one.noise for one in values)
            wrong = [name for name, value in knobs.items() if value]
            if wrong:
                raise ArgumentError(
                    f"{', '.join(wrong)} act at a bond and have no meaning for "
                    "method='all-site'; leave them 0"
                )

    def at(self, sweep: int) -> SweepSettings:
        """Return the values that the schedules take at a sweep, counted from 1."""
        rate = _number("learning_rate", at_sweep("learning_rate", self.learning_rate, sweep))
        noise = _number("noise", at_sweep("noise", self.noise, sweep))
        if noise > _MOST_NOISE:
            raise ArgumentError(
                f"noise must be at most {_MOST_NOISE:g}, got {noise:g}; the block it is added to "
                "has norm one"
            )
        bond = at_sweep("max_bond", self.max_bond, sweep)
        if bond is None:
            raise ArgumentError("max_bond must be a whole number from 1 up, got None")
        truncation = Truncation(
            max_bond=bond,
            cutoff=at_sweep("cutoff", self.cutoff, sweep),
            value_cutoff=at_sweep("value_cutoff", self.value_cutoff, sweep),
            static=bool(self.static),
        )
        return SweepSettings(truncation, rate, noise)


def at_sweep(name: str, schedule: Schedule, sweep: int) -> Any:
    """Return the value of a schedule at a sweep, counted from 1; checking it is the caller's."""
    if callable(schedule):
        return schedule(sweep)
    if isinstance(schedule, Sequence | np.ndarray):
        if not len(schedule):
            raise ArgumentError(f"{name} is an empty sequence; give one value a sweep")
        return schedule[min(max(sweep, 1), len(schedule)) - 1]
    return schedule


def _length(schedule: Schedule, sweeps: int) -> int:
    """Return after how many of so many sweeps a schedule stays as it is."""
    if callable(schedule):
        return sweeps
    return min(sweeps, len(schedule)) if isinstance(schedule, Sequence | np.ndarray) else 1


def plain_schedule(name: str, schedule: Schedule, sweeps: int) -> Any:
    """Return what a file can hold: a function becomes a list, equal for the sweeps there are."""
    if not callable(schedule):
        return schedule
    return [at_sweep(name, schedule, k) for k in range(1, max(sweeps, 1) + 1)]


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name} must be a whole number from {least} up, got {value!r}")


def _number(name: str, value: Any) -> float:
    real = isinstance(value, int | float | np.floating | np.integer)
    if not real or isinstance(value, bool) or not 0.0 <= value < math.inf:
        raise ArgumentError(f"{name} must be a number from 0 up, got {value!r}")
    return float(value)
