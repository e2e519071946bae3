"""Saving and loading values: one table of kinds over the archives of `tnkit.io`.

A kind says how a value becomes metadata and named arrays, and how it is made of them again; the
format of each is written down in docs/files.md. Add a kind by adding a line to the table.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tnkit.checking import checked
from tnkit.errors import ArgumentTypeError, FormatError
from tnkit.io import read_archive_of, write_archive
from tnkit.mps.operator import MPO
from tnkit.mps.run import Paused, SweepRecord
from tnkit.mps.state import MPS, Gauge
from tnkit.network import TensorNetwork
from tnkit.planning import Plan
from tnkit.tensor import Tensor

__all__ = ["load", "save", "unpacked"]

Metadata = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]


class _Kind(NamedTuple):
    """One line of the table. unpack: value -> (metadata, arrays); make: the other way."""

    type: type
    unpack: Callable[[Any], tuple[Metadata, dict[str, Any]]]
    make: Callable[[Metadata, Arrays], Any]


@checked
def save(
    path: str | os.PathLike[str], value: Tensor | TensorNetwork | Plan | MPS | MPO | Paused
) -> None:
    """Save a tensor, network, plan, state, operator or paused run: atomically, without pickle.

    Names, tags, gauge, scale and a run's history come back with the arrays. Arrays of any library
    are stored bit for bit. Raises `ArgumentTypeError` for anything else.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from tnkit.mps.create import random_mps
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "psi.npz", random_mps(4, bond_dim=2, seed=0))
    ...     load(Path(folder) / "psi.npz")
    MPS(4 sites, site_dim 2, bond_dim 2, float64, centre 0)
    """
    write_archive(path, *unpacked(value))


def unpacked(value: Any) -> tuple[str, Metadata, dict[str, Any]]:
    """Return (kind, metadata, arrays by name) of a value; `ArgumentTypeError` where none fits."""
    if isinstance(value, Paused):
        return "mps", *_unpack_run(value)
    for kind, about in _KINDS.items():
        if isinstance(value, about.type):
            return kind, *about.unpack(value)
    raise ArgumentTypeError(f"no format for a {type(value).__name__}")


@checked
def load(path: str | os.PathLike[str]) -> Any:
    """Load what `save` wrote; arrays are NumPy's.

    Raises `FormatError` where the file is no such value or damaged, OSError where unreadable.
    """
    kind, metadata, arrays = read_archive_of(path, tuple(_KINDS))
    try:
        return _KINDS[kind].make(metadata, arrays)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: not a {kind} ({error})") from None


# ---- chains


def _unpack_chain(value: MPS | MPO) -> tuple[Metadata, dict[str, Any]]:
    metadata: Metadata = {"sites": list(value.sites), "log_scale": value.log_scale}
    if isinstance(value, MPS):
        metadata["gauge"] = [value.gauge.left, value.gauge.right]
    return metadata, {f"site_{k}": array for k, array in enumerate(value.arrays)}


def _unpack_run(value: Paused) -> tuple[Metadata, dict[str, Any]]:
    metadata, arrays = _unpack_chain(value.state)
    return metadata | {"run": [_plain(r) for r in (value.record, *value.history)]}, arrays


def _ordered(metadata: Metadata, arrays: Arrays) -> tuple[list[Any], float]:
    scale = float(metadata["log_scale"])
    if not math.isfinite(scale):
        raise ValueError(f"log_scale {scale} is impossible")
    return [arrays[f"site_{k}"] for k in range(len(arrays))], scale


def _make_mpo(metadata: Metadata, arrays: Arrays) -> MPO:
    ordered, scale = _ordered(metadata, arrays)
    mpo = MPO.from_arrays(ordered, sites=metadata["sites"])
    return MPO(mpo.arrays, mpo.sites, scale)


def _make_mps(metadata: Metadata, arrays: Arrays) -> MPS | Paused:
    ordered, scale = _ordered(metadata, arrays)
    psi = MPS.from_arrays(ordered, sites=metadata["sites"])
    left, right = metadata["gauge"]
    gauge = Gauge(int(left), int(right))
    if not (0 <= gauge.left <= len(psi) and 0 <= gauge.right <= len(psi)):
        raise ValueError(f"gauge {metadata['gauge']} is impossible")
    psi = MPS(psi.arrays, psi.sites, gauge, scale)
    if "run" not in metadata:  # a run is a state with its history
        return psi
    record, *history = (_record(plain) for plain in metadata["run"])
    return Paused(psi, record, tuple(history))


def _plain(record: SweepRecord) -> list[Any]:
    return [None if record.loss is None else float(record.loss), *record[1:]]


def _record(plain: Any) -> SweepRecord:
    loss, max_bond, discarded_weight, seconds, moves, variance = plain
    numbers = [value for value in (loss, variance) if value is not None]
    if not all(isinstance(value, float) for value in (*numbers, discarded_weight, seconds)):
        raise ValueError(f"sweep record {plain} is impossible")
    if not all(isinstance(value, int) and value >= 0 for value in (max_bond, moves)):
        raise ValueError(f"sweep record {plain} is impossible")
    return SweepRecord(loss, max_bond, discarded_weight, seconds, moves, variance)


# ---- tensors, networks, plans


def _unpack_tensor(value: Tensor) -> tuple[Metadata, dict[str, Any]]:
    return {"names": list(value.names), "tags": sorted(value.tags)}, {"array": value.array}


def _make_tensor(metadata: Metadata, arrays: Arrays) -> Tensor:
    return Tensor(arrays["array"], _strings(metadata["names"]), _strings(metadata["tags"]))


def _unpack_network(value: TensorNetwork) -> tuple[Metadata, dict[str, Any]]:
    tensors = [_unpack_tensor(tensor)[0] for tensor in value.tensors]
    arrays = {f"tensor_{k}": tensor.array for k, tensor in enumerate(value.tensors)}
    return {"tensors": tensors, "output": list(value.output)}, arrays


def _make_network(metadata: Metadata, arrays: Arrays) -> TensorNetwork:
    tensors = [
        _make_tensor(about, {"array": arrays[f"tensor_{k}"]})
        for k, about in enumerate(metadata["tensors"])
    ]
    return TensorNetwork(tensors, _strings(metadata["output"]))


def _unpack_plan(value: Plan) -> tuple[Metadata, dict[str, Any]]:
    return json.loads(value.to_json()), {}


def _make_plan(metadata: Metadata, arrays: Arrays) -> Plan:
    return Plan.from_json(json.dumps(metadata))


def _strings(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"names must be a list of strings, got {values!r}")
    return values


_KINDS = {
    "mps": _Kind(MPS, _unpack_chain, _make_mps),
    "mpo": _Kind(MPO, _unpack_chain, _make_mpo),
    "tensor": _Kind(Tensor, _unpack_tensor, _make_tensor),
    "network": _Kind(TensorNetwork, _unpack_network, _make_network),
    "plan": _Kind(Plan, _unpack_plan, _make_plan),
}
