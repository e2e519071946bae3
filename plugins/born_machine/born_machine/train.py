"""The training loop: sweep, score, remember the best, stop; and resuming it exactly."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.checkpoint import Checkpoint, Inputs, SweepRecord
from born_machine.data import Samples
from born_machine.devices import float32_products
from born_machine.models.mps import log_likelihoods
from born_machine.observables import log_marginals
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from born_machine.start import start_state
from born_machine.sweeper import BondSweeper, OnStep, Place, Sweeper
from tnkit import (
    MPS,
    ArgumentError,
    NonFiniteError,
    StepInfo,
    canonicalize,
    normalize,
    out_of_memory,
)

__all__ = ["Augment", "Scorer", "Settings", "SweepFuel", "checkpoints", "start_state", "train"]

Augment: TypeAlias = Callable[[Samples, np.random.Generator], Samples]
"""A hook that redraws the training samples before every sweep: (sample, site) in and out."""
Logs: TypeAlias = npt.NDArray[np.float64]


def train(
    samples: Samples,
    validation: Samples | None,
    dims: tuple[int, ...],
    settings: Settings,
    *,
    start: MPS | Checkpoint,
    fuel: Samples | None = None,
    augment: Augment | None = None,
    place: Place = np.asarray,
    ranks: Ranks = ALONE,
    inputs: Inputs | None = None,
    on_step: OnStep | None = None,
    on_sweep: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Sweep until `settings` says stop; return the last and the best state, and the history.

    samples, validation: (sample, site) in site order, negative where missing (summed over,
    exactly). Without validation the best state is that of lowest train NLL. fuel: what the
    gradients see instead of `samples`. augment: redraws it (or the batch of it) before every
    sweep. start: a state of norm one with its centre anywhere, or the checkpoint of an earlier
    run, from which training goes on exactly as if never stopped. place: puts a NumPy array where
    the work shall be done. ranks: the processes that do this call together, each with the same
    arguments; all return the same. inputs: kept in every checkpoint. on_step and on_sweep: called
    after every bond (sweep number, info), and with the start and after every sweep. Raises
    `NonFiniteError` naming the sweep where the NLL stops being a number, or bond and sites where
    the state does; its `last_good` is the last checkpoint before.
    """
    scorer = Scorer(scored_samples(samples, settings), validation, place, ranks)
    source = SweepFuel(samples if fuel is None else fuel, dims, settings, augment)
    sweeper = make_sweeper(source, dims, settings, place=place, ranks=ranks)
    checkpoint = start if isinstance(start, Checkpoint) else None
    steps = checkpoints(start, scorer, sweeper, settings, inputs=inputs, on_step=on_step)
    for checkpoint in steps:
        if on_sweep is not None:
            on_sweep(checkpoint)
    assert checkpoint is not None
    return checkpoint


def make_sweeper(
    fuel: SweepFuel,
    dims: tuple[int, ...],
    settings: Settings,
    *,
    place: Place = np.asarray,
    keep_open: bool = True,
    ranks: Ranks = ALONE,
    jobs: int = 1,
) -> Sweeper:
    """Return the sweeper that `settings.method` names; see `BondSweeper`."""
    if settings.method == "all-site":
        from born_machine.allsites import AllSiteSweeper  # torch takes its time

        return AllSiteSweeper(fuel, settings, place=place, ranks=ranks)
    return BondSweeper(
        fuel, dims, settings, place=place, keep_open=keep_open, ranks=ranks, jobs=jobs
    )


def checkpoints(
    start: MPS | Checkpoint,
    scorer: Scorer,
    sweeper: Sweeper,
    settings: Settings,
    *,
    inputs: Inputs | None = None,
    on_step: OnStep | None = None,
) -> Iterator[Checkpoint]:
    """Yield the checkpoint of the start where it is new, then one after every sweep, to the end."""
    if isinstance(start, Checkpoint):
        checkpoint = start
    else:
        with _limits(scorer, settings, "scoring"):
            first = _record(start, scorer, 0, [], 0.0)
        checkpoint = Checkpoint(start, start, 0, (first,), inputs=inputs)
        yield checkpoint
    while not finished(checkpoint, settings):
        number = len(checkpoint.history)
        rises, reached = _rises(checkpoint.history)
        scale = 1.0 if settings.rollback is None else settings.rollback**rises
        began = time.perf_counter()
        try:
            with _limits(scorer, settings, f"sweep {number}"):
                state, memory, infos = sweeper(
                    checkpoint.state, checkpoint.memory, number, scale, on_step
                )
                record = _record(state, scorer, number, infos, time.perf_counter() - began)
        except NonFiniteError as error:
            error.last_good = checkpoint
            raise
        best, best_sweep = checkpoint.best, checkpoint.best_sweep
        if record.watched < checkpoint.history[best_sweep].watched:
            best, best_sweep = state, number
        if settings.rollback is not None and record.nll_train > reached:
            state, memory = checkpoint.state, checkpoint.memory
        history = (*checkpoint.history, record)
        checkpoint = Checkpoint(state, best, best_sweep, history, memory, inputs)
        yield checkpoint


@contextlib.contextmanager
def _limits(scorer: Scorer, settings: Settings, what: str) -> Iterator[None]:
    """Hold float32 products to what was asked for, and say what to change where memory is short."""
    like = scorer.place(np.zeros(1))
    advice = "lower max_bond, give a batch_size, train in dtype='float32', or use another device"
    n = len(scorer.samples)
    with (
        out_of_memory(f"{what} of {n:,} samples at bonds up to {settings.largest_bond}", advice),
        float32_products(like, tf32=bool(settings.tf32)),
    ):
        yield


def _rises(history: tuple[SweepRecord, ...]) -> tuple[int, float]:
    """Return how many sweeps raised the train NLL, and the lowest it reached."""
    rises, reached = 0, history[0].nll_train
    for record in history[1:]:
        rises += record.nll_train > reached
        reached = min(reached, record.nll_train)
    return rises, reached


def finished(checkpoint: Checkpoint, settings: Settings) -> bool:
    """Say whether the record so far ends the training: a function of the record alone."""
    history = checkpoint.history
    if len(history) - 1 >= settings.sweeps or not checkpoint.state.bond_dims:
        return True
    if settings.patience == 0:
        return False
    best, since = history[0].watched, 0
    for record in history[1:]:
        since += 1
        margin = settings.tolerance * abs(best) if math.isfinite(best) else 0.0
        if record.watched < best - margin:
            best, since = record.watched, 0
    return since >= settings.patience


def scored_samples(samples: Samples, settings: Settings) -> Samples:
    """Return those of the training samples whose NLL is recorded after every sweep."""
    if settings.scored is None or settings.scored >= len(samples):
        return samples
    rng = np.random.default_rng((settings.seed, 0, 2))
    return samples[np.sort(rng.choice(len(samples), settings.scored, replace=False))]


class SweepFuel:
    """What a sweep trains on: a batch drawn for it, augmented for it, or all samples each time.

    dims: how many values each site takes. Sweep k's draw depends on the seed and k alone. Raises
    `ArgumentError` where the hook returns what are no samples of these sites.
    """

    def __init__(
        self,
        samples: Samples,
        dims: tuple[int, ...],
        settings: Settings,
        augment: Augment | None = None,
    ) -> None:
        self._samples = samples
        self._dims = dims
        self._augment = augment
        self._seed = settings.seed
        small = settings.batch_size is not None and settings.batch_size < len(samples)
        per_sweep = settings.batch_per == "sweep" and settings.method != "all-site"
        self._batch = settings.batch_size if small and per_sweep else None

    def __call__(self, number: int) -> Samples:
        """Return the samples (sample, site) of sweep `number`; the same object where unchanged."""
        samples = self._samples
        rng = np.random.default_rng((self._seed, number, 0))
        if self._batch is not None:
            samples = samples[np.sort(rng.choice(len(samples), self._batch, replace=False))]
        if self._augment is None:
            return samples
        drawn = np.asarray(self._augment(samples, rng))
        sites = len(self._dims)
        if drawn.ndim != 2 or drawn.shape[1] != sites or drawn.dtype.kind not in "iu":
            raise ArgumentError(
                f"the augmentation hook must return integers (sample, {sites}), "
                f"got shape {drawn.shape} of {drawn.dtype}"
            )
        if not len(drawn):
            raise ArgumentError("the augmentation hook must return samples, got none")
        wrong = np.flatnonzero((drawn.min(axis=0) < -1) | (drawn.max(axis=0) >= self._dims))
        if len(wrong):
            site = int(wrong[0])
            raise ArgumentError(
                "the augmentation hook must return values that its samples take, got "
                f"{drawn[:, site].min()} to {drawn[:, site].max()} for a feature that takes 0 to "
                f"{self._dims[site] - 1}; give levels for larger ones"
            )
        return drawn


@dataclass(slots=True)
class Scorer:
    """Exact log-likelihoods of a state on the samples and the held-out ones, in double precision.

    The last state's are remembered. Each of several processes scores its rows, all get all.
    """

    samples: Samples
    validation: Samples | None
    place: Place = np.asarray
    ranks: Ranks = ALONE
    _last: tuple[MPS, tuple[Logs, Logs | None]] | None = field(default=None, init=False)

    def __call__(self, state: MPS) -> tuple[Logs, Logs | None]:
        """Return ln p of every sample and of every validation sample (None without any)."""
        if self._last is None or self._last[0] is not state:
            held_out = None if self.validation is None else self._all_logs(state, self.validation)
            self._last = state, (self._all_logs(state, self.samples), held_out)
        return self._last[1]

    def _all_logs(self, state: MPS, samples: Samples) -> Logs:
        own = samples[self.ranks.rows(len(samples))]
        logs = self._logs(state, own) if len(own) else np.zeros(0)
        return self.ranks.whole(logs, len(samples))

    def _logs(self, state: MPS, samples: Samples) -> Logs:
        wide: Any = np.complex128 if np.iscomplexobj(state.arrays[0]) else np.float64
        exact = MPS(tuple(a.astype(wide) for a in state.arrays), state.sites, state.gauge)
        gaps = (samples < 0).any(axis=1)
        if not gaps.any():
            return log_likelihoods(exact, samples, self.place)
        logs = np.empty(len(samples))
        if not gaps.all():
            logs[~gaps] = log_likelihoods(exact, samples[~gaps], self.place)
        canonical = normalize(canonicalize(MPS.from_arrays(exact.arrays), 0))
        logs[gaps] = log_marginals(canonical.arrays, samples[gaps], samples[gaps] >= 0)
        return logs


def _record(
    state: MPS, scorer: Scorer, number: int, infos: list[StepInfo], seconds: float
) -> SweepRecord:
    train_logs, validation_logs = scorer(state)

    def nll(logs: Logs) -> float:
        value = -float(logs.mean())
        if math.isnan(value):
            raise NonFiniteError(
                f"the NLL is not a number after sweep {number}; lower the learning rate "
                "or use dtype='float64'"
            )
        return value

    return scorer.ranks.first(  # what training stops by must be the same bits everywhere
        lambda: SweepRecord(
            sweep=number,
            nll_train=nll(train_logs),
            nll_validation=None if validation_logs is None else nll(validation_logs),
            max_bond=max(state.bond_dims, default=1),
            mean_bond=float(np.mean(state.bond_dims)) if state.bond_dims else 1.0,
            discarded_weight=max((info.discarded_weight for info in infos), default=0.0),
            seconds=seconds,
        )
    )
