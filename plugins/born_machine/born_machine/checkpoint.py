"""The state of a training run between two sweeps, saved so that it resumes exactly."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.curves import Order
from tnkit import MPS, FormatError, Gauge, SizeError, read_archive, write_archive

__all__ = [
    "AnyCheckpoint",
    "Checkpoint",
    "Inputs",
    "MixtureCheckpoint",
    "SweepRecord",
    "load_checkpoint",
    "members_of",
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
class Inputs:
    """What a run was of, and a resumed one must be of too.

    orders: the features by site, (feature,) a machine. held_out: rows of the samples, rising.
    """

    orders: tuple[Order, ...]
    held_out: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything the next sweep depends on: states as trained, and the record so far.

    memory: arrays by name that an optimiser carries along; empty for sweeps over the bonds.
    inputs: None in files of before they were kept, and for a machine of a mixture.
    """

    state: MPS
    best: MPS
    best_sweep: int
    history: tuple[SweepRecord, ...]
    memory: dict[str, Any] = field(default_factory=dict)
    inputs: Inputs | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MixtureCheckpoint:
    """The same for machines trained side by side.

    members: one checkpoint a machine. history: of the mixture of their best states so far.
    """

    members: tuple[Checkpoint, ...]
    history: tuple[SweepRecord, ...]
    inputs: Inputs | None = None

    @property
    def best_sweep(self) -> int:
        """The mixture is of every machine's best, so its last record is the one kept."""
        return len(self.history) - 1


AnyCheckpoint: TypeAlias = Checkpoint | MixtureCheckpoint


def members_of(checkpoint: AnyCheckpoint) -> tuple[Checkpoint, ...]:
    """Return the checkpoint of every machine."""
    return checkpoint.members if isinstance(checkpoint, MixtureCheckpoint) else (checkpoint,)


def save_checkpoint(
    path: str | os.PathLike[str], checkpoint: AnyCheckpoint, metadata: Mapping[str, Any]
) -> None:
    """Write a checkpoint atomically: a crash leaves the last one whole."""
    about: dict[str, Any]
    arrays: dict[str, Any]
    if isinstance(checkpoint, Checkpoint):
        about, arrays = _parts(checkpoint)
    else:
        about = {"history": [record_to_json(record) for record in checkpoint.history]}
        about["members"], arrays = [], {}
        for number, member in enumerate(checkpoint.members):
            own, own_arrays = _parts(member)
            about["members"].append(own)
            arrays |= {f"m{number}_{name}": array for name, array in own_arrays.items()}
    if checkpoint.inputs is not None:
        arrays["orders"] = np.stack(checkpoint.inputs.orders)
        arrays["held_out"] = checkpoint.inputs.held_out
    write_archive(path, _KIND, {**about, "user": dict(metadata)}, arrays)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[AnyCheckpoint, dict[str, Any]]:
    """Return the checkpoint of a file and its metadata; `FormatError` where it is not one."""
    about, arrays = read_archive(path, _KIND)
    try:
        if "members" not in about:
            alone = _from_parts(about, arrays)
            return replace(alone, inputs=_inputs(arrays, [alone])), about["user"]
        members = []
        for number, own in enumerate(about["members"]):
            members.append(_from_parts(own, _with_prefix(arrays, f"m{number}_")))
        history = tuple(map(record_from_json, about["history"]))
        inputs = _inputs(arrays, members)
        return MixtureCheckpoint(tuple(members), history, inputs), about["user"]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)}: not a checkpoint ({error})") from None


def _parts(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays = {f"memory_{name}": array for name, array in checkpoint.memory.items()}
    for name, state in (("state", checkpoint.state), ("best", checkpoint.best)):
        arrays |= {f"{name}_{k}": array for k, array in enumerate(state.arrays)}
    about = {
        "gauges": [[s.gauge.left, s.gauge.right] for s in (checkpoint.state, checkpoint.best)],
        "best_sweep": checkpoint.best_sweep,
        "history": [record_to_json(record) for record in checkpoint.history],
    }
    return about, arrays


def _from_parts(about: Mapping[str, Any], arrays: Mapping[str, Any]) -> Checkpoint:
    states = []
    for name, (left, right) in zip(("state", "best"), about["gauges"], strict=True):
        own = _with_prefix(arrays, f"{name}_")
        psi = MPS.from_arrays([own[str(k)] for k in range(len(own))])
        if not (0 <= left <= len(psi) and 0 <= right <= len(psi)):
            raise SizeError(f"gauge {left}, {right}")
        states.append(MPS(psi.arrays, psi.sites, Gauge(left, right)))
    history = tuple(map(record_from_json, about["history"]))
    best_sweep = int(about["best_sweep"])
    if not 0 <= best_sweep < len(history):
        raise SizeError(f"best sweep {best_sweep} of {len(history)} records")
    state, best = states
    return Checkpoint(state, best, best_sweep, history, _with_prefix(arrays, "memory_"))


def _inputs(arrays: Mapping[str, Any], members: Sequence[Checkpoint]) -> Inputs | None:
    """Return what the run was of; None where the file is of before that was kept."""
    if "orders" not in arrays:
        return None
    orders, held_out = (arrays[name].astype(np.intp) for name in ("orders", "held_out"))
    if orders.shape != (len(members), len(members[0].state)) or held_out.ndim != 1:
        raise SizeError(f"orders {orders.shape}, held-out rows {held_out.shape}")
    return Inputs(tuple(orders), held_out)


def _with_prefix(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
