"""Sweep after sweep: what was reached, where a run stands, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from tnkit.mps.state import MPS
from tnkit.mps.sweep import Move, Step, StepInfo, Zipper, close_zipper, sweep
from tnkit.truncation import Truncation

__all__ = ["Paused", "SweepRecord", "SweepState", "pause", "run_sweep", "schedule"]


class SweepRecord(NamedTuple):
    """What one sweep did, up to the last of `moves` moves.

    loss: the last one seen. max_bond and discarded_weight: the largest of any bond. variance: of
    the loss, by algorithms that measure it after a sweep.
    """

    loss: Any = None
    max_bond: int = 0
    discarded_weight: float = 0.0
    seconds: float = 0.0
    moves: int = 0
    variance: float | None = None

    def after(self, info: StepInfo) -> SweepRecord:
        """Return the record with one more step in it."""
        return SweepRecord(
            info.loss,
            max(self.max_bond, info.kept),
            max(self.discarded_weight, float(info.discarded_weight)),
            self.seconds + info.seconds,
            self.moves + 1,
        )


_NOTHING = SweepRecord()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SweepState:
    """Where a run stands after a step: cheap to keep, at every bond, and any of them goes on.

    info: of the step, None before the first. record: the sweep under way, without moves between
    two sweeps. history: the sweeps that are complete.
    """

    zipper: Zipper
    info: StepInfo | None = None
    record: SweepRecord = _NOTHING
    history: tuple[SweepRecord, ...] = ()

    def __repr__(self) -> str:
        """Describe where the run stands in one line."""
        return _where("SweepState", len(self.history), self.record, len(self.zipper))


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Paused:
    """A run laid down at any bond: its state, centre included, and what it has done so far.

    A value for `tnkit.save` and `tnkit.load`; the algorithm that made it takes it in place of a
    start, and with the same settings ends, on the CPU, bit for bit where it would have ended.
    """

    state: MPS
    record: SweepRecord = _NOTHING
    history: tuple[SweepRecord, ...] = ()

    def __repr__(self) -> str:
        """Describe where the run stands in one line."""
        return _where("Paused", len(self.history), self.record, len(self.state))


def _where(name: str, sweeps: int, record: SweepRecord, length: int) -> str:
    return f"{name}({length} sites, {sweeps} sweeps and {record.moves} moves done)"


@checked
def pause(state: SweepState) -> Paused:
    """Return a run as a value that can be saved; the environments are left behind."""
    return Paused(close_zipper(state.zipper), state.record, state.history)


@checked
def run_sweep(state: SweepState, step: Step, moves: Sequence[Move]) -> Iterator[SweepState]:
    """Yield where the run stands after every move that is left of the sweep under way.

    moves: those of a whole sweep; the ones already in `state.record` are left out. The last state
    has the sweep in its history. Raises `ArgumentError` where the record has more moves already,
    `NonFiniteError` with sweep, bond, sites and, as `last_good`, the state before.
    """
    moves = tuple(moves)
    if state.record.moves >= max(len(moves), 1):
        raise ArgumentError(
            f"{state.record.moves} moves of a sweep are done, but it has {len(moves)}; "
            "go on with the settings the run began with"
        )
    try:
        for zipper, info in sweep(state.zipper, step, moves[state.record.moves :]):
            record, history = state.record.after(info), state.history
            if record.moves == len(moves):
                record, history = SweepRecord(), (*history, record)
            state = SweepState(zipper, info, record, history)
            yield state
    except NonFiniteError as error:
        named = NonFiniteError(f"sweep {len(state.history) + 1}, {error}")
        named.last_good = state
        raise named from error


@checked
def schedule(truncation: Truncation | Sequence[Truncation]) -> tuple[Truncation, ...]:
    """Return what to truncate by in the first sweeps; the last value goes on.

    Raises `ArgumentTypeError` for anything but one `Truncation` or several.
    """
    rules = (truncation,) if isinstance(truncation, Truncation) else tuple(truncation)
    if not rules or not all(isinstance(rule, Truncation) for rule in rules):
        raise ArgumentTypeError(
            f"truncation must be one Truncation or several, got {shown(truncation)}"
        )
    return rules
