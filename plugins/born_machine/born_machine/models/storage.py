"""Models in files: one archive, the kind of model named in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from born_machine.models.correlated import CorrelatedModel
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import MPSModel
from born_machine.models.protocol import Model
from tnkit import FormatError, read_archive, write_archive

__all__ = ["KIND", "load_model", "save_model"]

KIND = "born-machine"

Arrays = Mapping[str, npt.NDArray[Any]]


def save_model(path: str | os.PathLike[str], model: Model, metadata: Mapping[str, Any]) -> None:
    """Write the model and JSON `metadata` as one archive, atomically."""
    about, arrays = model.parts()
    write_archive(path, KIND, {**about, **metadata}, arrays)


def load_model(path: str | os.PathLike[str]) -> tuple[Model, dict[str, Any]]:
    """Return the model and metadata of a file; raise `FormatError` where it is not one."""
    metadata, arrays = read_archive(path, KIND)
    try:
        return _read(metadata, arrays), metadata
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)}: not a Born machine ({error})") from None


def _read(about: dict[str, Any], arrays: Arrays) -> Model:
    """Take the model's own entries out of `about` and return the model."""
    kind = about.pop("model", "mps")  # files written before there were others name none
    if kind not in _READERS:
        raise ValueError(f"a model of kind {kind!r}; this version reads {', '.join(_READERS)}")
    return _READERS[kind](about, arrays)


def _read_mixture(about: dict[str, Any], arrays: Arrays) -> MixtureModel:
    components: list[Any] = []
    for number, own in enumerate(about.pop("components")):
        first = own.pop("state_of", None)
        if first is not None:
            if not 0 <= first < number:
                raise ValueError(f"component {number} shares the state of component {first}")
            chain = MPSModel.in_order(components[first].state, own)
            components.append(replace(components[first], order=chain.order, dims=chain.dims))
            continue
        prefix = f"c{number}_"
        part = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        components.append(_read(own, part))
    return MixtureModel(tuple(components), tuple(float(w) for w in about.pop("weights")))


_READERS: dict[str, Callable[[dict[str, Any], Arrays], Model]] = {
    "mps": MPSModel.from_parts,
    "correlated": CorrelatedModel.from_parts,
    "mixture": _read_mixture,
}
