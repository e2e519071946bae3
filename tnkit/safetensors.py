"""Export to safetensors, for programs that read nothing else. Needs the package, imported late."""

from __future__ import annotations

import json
import os

import numpy as np

from tnkit.arrays import to_numpy
from tnkit.checking import checked
from tnkit.errors import ArgumentTypeError
from tnkit.files import unpacked
from tnkit.io import atomic_file
from tnkit.mps.operator import MPO
from tnkit.mps.state import MPS
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["save_safetensors"]


@checked
def save_safetensors(
    path: str | os.PathLike[str], value: Tensor | TensorNetwork | MPS | MPO
) -> None:
    """Write the arrays of a value, names and metadata as `save` has them; atomically.

    Arrays are made contiguous first: the format's writer stores wrong numbers for others. The
    metadata is JSON under the key "tnkit". safetensors has no complex128: raises
    `ArgumentTypeError`, as for other values; ImportError where safetensors is not installed.
    """
    from safetensors.numpy import save

    kind, metadata, arrays = unpacked(value)
    plain = {name: np.ascontiguousarray(to_numpy(array)) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype == np.complex128:
            raise ArgumentTypeError(
                f"array {name!r} is complex128, which safetensors lacks; use astype('complex64')"
            )
    text = json.dumps({"kind": kind, **metadata})
    with atomic_file(path) as file:
        file.write(save(plain, metadata={"tnkit": text}))
