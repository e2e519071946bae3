"""The state of a training run between two sweeps, saved so that it resumes exactly."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tnkit import MPS, FormatError, Gauge, SizeError, read_archive, write_archive

__all__ = [
    "Checkpoint",
    "SweepRecord",
    "load_checkpoint",
    "record_from_json",
    "record_to_json",
    "save_checkpoint",
]

_KIND = "born-machine-checkpoint"


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """What one sweep reached.

    nll_train, nll_validation: nats a sample on the samples as given (no augmentation), after the
    sweep; validation is None where none is held out. discarded_weight: largest at any bond.
    seconds: wall time of the sweep.
    """

    sweep: int
    nll_train: float
    nll_validation: float | None
    max_bond: int
    mean_bond: float
    discarded_weight: float
    seconds: float

    @property
    def watched(self) -> float:
        """The figure training stops by: validation where there is one, else train."""
        return self.nll_train if self.nll_validation is None else self.nll_validation


def record_to_json(record: SweepRecord) -> dict[str, Any]:
    """Return a record as JSON values; JSON has no infinity, so that is written as a word."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(record).items()
    }


def record_from_json(values: Mapping[str, Any]) -> SweepRecord:
    """Return the record that `record_to_json` wrote; raise ValueError, TypeError or KeyError."""
    whole: dict[str, Any] = {n: float(v) if isinstance(v, str) else v for n, v in values.items()}
    return SweepRecord(**whole)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything the next sweep depends on: states as trained, and the record so far."""

    state: MPS
    best: MPS
    best_sweep: int
    history: tuple[SweepRecord, ...]


def save_checkpoint(
    path: str | os.PathLike[str], checkpoint: Checkpoint, metadata: Mapping[str, Any]
) -> None:
    """Write a checkpoint atomically: a crash leaves the last one whole."""
    arrays: dict[str, Any] = {}
    for name, state in (("state", checkpoint.state), ("best", checkpoint.best)):
        arrays |= {f"{name}_{k}": array for k, array in enumerate(state.arrays)}
    about = {
        "gauges": [[s.gauge.left, s.gauge.right] for s in (checkpoint.state, checkpoint.best)],
        "best_sweep": checkpoint.best_sweep,
        "history": [record_to_json(record) for record in checkpoint.history],
        "user": dict(metadata),
    }
    write_archive(path, _KIND, about, arrays)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Checkpoint, dict[str, Any]]:
    """Return the checkpoint of a file and its metadata; `FormatError` where it is not one."""
    about, arrays = read_archive(path, _KIND)
    try:
        length = len(arrays) // 2
        states = []
        for name, (left, right) in zip(("state", "best"), about["gauges"], strict=True):
            psi = MPS.from_arrays([arrays[f"{name}_{k}"] for k in range(length)])
            if not (0 <= left <= length and 0 <= right <= length):
                raise SizeError(f"gauge {left}, {right}")
            states.append(MPS(psi.arrays, psi.sites, Gauge(left, right)))
        history = tuple(map(record_from_json, about["history"]))
        state, best = states
        return Checkpoint(state, best, int(about["best_sweep"]), history), about["user"]
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(f"{os.fspath(path)}: not a checkpoint ({error})") from None
