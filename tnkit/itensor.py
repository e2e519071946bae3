"""States and operators in the HDF5 files of ITensor (Julia and C++), without quantum numbers.

The layout is ITensorMPS's: a group of type "MPS" or "MPO" with one "ITensor" a site, each a list
of indices and a column-major "Dense" storage (github.com/ITensor). Needs h5py, imported late.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from typing import Any

import numpy as np

from tnkit.arrays import Array, to_numpy
from tnkit.checking import checked
from tnkit.errors import ArgumentError, ArgumentTypeError, FormatError
from tnkit.io import atomic_file
from tnkit.mps.exchange import absorb_scale
from tnkit.mps.operator import MPO
from tnkit.mps.state import MPS, Gauge

__all__ = ["load_itensor", "save_itensor"]

_ELEMENTS = {"float64": "Float64", "float32": "Float32", "complex128": "ComplexF64"}


@checked
def save_itensor(path: str | os.PathLike[str], chain: MPS | MPO, name: str = "psi") -> None:
    """Write a state or operator for ITensor: ``read(h5open(path), "psi", MPS)`` in Julia.

    name: of the group. Site indices carry the tags "Site,n=1", ... and an identity made from the
    site's name and size, so a state and an operator on the same sites fit together there. The
    gauge becomes ITensor's orthogonality limits, exp(log_scale) goes into the centre. The file is
    written whole or not at all. Raises `ScaleError` for a scale beyond a float, `ArgumentTypeError`
    for another value or dtype, `ArgumentError` for a name that HDF5 does not take, ImportError
    where h5py is not installed.
    """
    import h5py

    if name in ("", ".") or "/" in name or "\0" in name:
        raise ArgumentError(f"name must be that of one HDF5 group, without '/', got {name!r}")

    if not isinstance(chain, MPS | MPO):
        raise ArgumentTypeError(f"expected an MPS or an MPO, got a {type(chain).__name__}")
    arrays = [to_numpy(array) for array in absorb_scale(chain)]
    if arrays[0].dtype.name not in _ELEMENTS:
        raise ArgumentTypeError(
            f"ITensor files hold {', '.join(_ELEMENTS)}, not {arrays[0].dtype}; use astype first"
        )
    kind, length = type(chain).__name__, len(chain)
    content = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = _typed(file, name, kind)
        group["length"] = length
        gauge = chain.gauge if isinstance(chain, MPS) else Gauge()
        group["llim"], group["rlim"] = gauge.left, length - gauge.right + 1
        for k, array in enumerate(arrays):
            site = [  # the row of an operator is primed
                (f"{chain.sites[k]}:{size}", size, f"Site,n={k + 1}", array.ndim - 3 - axis)
                for axis, size in enumerate(array.shape[1:-1])
            ]
            links = [
                (f"{content}:{k + side}", array.shape[-side], f"Link,l={k + side}", 0)
                for side in (0, 1)
            ]
            indices = [*links[:1], *site, *links[1:]]
            first, last = int(k == 0), len(indices) - int(k == length - 1)
            _write_tensor(
                group,
                f"{kind}[{k + 1}]",
                array.reshape(array.shape[first:last]),
                indices[first:last],
            )
    with atomic_file(path) as target:
        target.write(buffer.getvalue())


def _typed(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["type"], group.attrs["version"] = kind, 1
    return group


def _write_tensor(parent: Any, name: str, array: Array, indices: list[Any]) -> None:
    group = _typed(parent, name, "ITensor")
    listed = _typed(group, "inds", "IndexSet")
    listed["length"] = len(indices)
    for n, (identity, size, tags, prime) in enumerate(indices, start=1):
        index = _typed(listed, f"index_{n}", "Index")
        digest = hashlib.sha256(identity.encode()).digest()
        index["id"] = np.uint64(int.from_bytes(digest[:8], "little"))
        index["dim"], index["dir"], index["plev"] = size, 0, prime
        index.attrs["space_type"] = "Int"
        _typed(index, "tags", "TagSet")["tags"] = tags
    storage = _typed(group, "storage", f"Dense{{{_ELEMENTS[array.dtype.name]}}}")
    storage["data"] = array.ravel(order="F")


@checked
def load_itensor(path: str | os.PathLike[str], name: str | None = None) -> MPS | MPO:
    """Return the state or operator in an ITensor file, of NumPy arrays.

    name: of the group; may be left out where the file holds one. Site names are ours. Sizes are
    checked against the file before anything is read. Raises `FormatError` for other files, tensors
    with quantum numbers among them (`dense(psi)` in Julia first); OSError where the file cannot be
    read; ImportError where h5py is not installed.
    """
    import h5py

    with open(path, "rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            raise FormatError(f"{path}: not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            return _read_chain(file, name)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise FormatError(f"{path}: not a readable ITensor file ({error})") from None


def _read_chain(file: Any, name: str | None) -> MPS | MPO:
    chains = [key for key, group in file.items() if _kind(group) in ("MPS", "MPO")]
    if name is None and len(chains) != 1:
        raise FormatError(f"holds {len(chains)} states and operators ({chains}); say which by name")
    key = chains[0] if name is None else name
    if key not in chains:
        raise FormatError(f"no state or operator {key!r}; there is {chains}")
    group, kind = file[key], _kind(file[key])
    length = int(group["length"][()])
    if not 1 <= length <= len(group):
        raise FormatError(f"length {length} is impossible")
    tensors = [_read_tensor(group[f"{kind}[{k}]"]) for k in range(1, length + 1)]
    arrays = []
    for k, (array, indices) in enumerate(tensors):
        left = _shared(indices, tensors[k - 1][1]) if k else None
        right = _shared(indices, tensors[k + 1][1]) if k < length - 1 else None
        site = [n for n in range(len(indices)) if n not in (left, right)]
        site.sort(key=lambda n: -indices[n][1])  # the primed index is the row
        if len(site) != (2 if kind == "MPO" else 1):
            raise FormatError(f"tensor {k + 1} has {len(site)} site indices")
        order = [n for n in (left, *site, right) if n is not None]
        moved = array.transpose(order)
        shape = moved.shape
        arrays.append(moved.reshape((1,) * (left is None) + shape + (1,) * (right is None)))
    if kind == "MPO":
        return MPO.from_arrays(arrays)
    psi = MPS.from_arrays(arrays)
    gauge = Gauge(int(group["llim"][()]), length + 1 - int(group["rlim"][()]))
    if not (0 <= gauge.left <= length and 0 <= gauge.right <= length):
        return psi  # limits beyond the chain claim nothing
    return MPS(psi.arrays, psi.sites, gauge)


def _kind(group: Any) -> str:
    kind = getattr(group, "attrs", {}).get("type", "")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _shared(indices: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
    common = [n for n, index in enumerate(indices) if index in others]
    if len(common) != 1:
        raise FormatError(f"neighbours share {len(common)} indices, expected one link")
    return common[0]


def _read_tensor(group: Any) -> tuple[Array, list[tuple[int, int]]]:
    """Return the array and for each axis (identity, prime level)."""
    listed, storage = group["inds"], group["storage"]
    kind = _kind(storage)
    if kind not in {f"Dense{{{element}}}" for element in _ELEMENTS.values()}:
        raise FormatError(f"storage {kind!r} is not dense; take dense(...) of it in ITensor first")
    count = int(listed["length"][()])
    if not 0 <= count <= 4:
        raise FormatError(f"a tensor with {count} indices is no part of a chain")
    entries = [listed[f"index_{n}"] for n in range(1, count + 1)]
    shape = tuple(int(entry["dim"][()]) for entry in entries)
    data = storage["data"]
    if data.shape != (math.prod(shape),) or data.id.get_storage_size() < data.nbytes:
        raise FormatError(f"storage of shape {data.shape} for sizes {shape}")
    if any(size < 1 for size in shape) or data.dtype.name not in _ELEMENTS:
        raise FormatError(f"sizes {shape} or dtype {data.dtype} are impossible")
    names = [(int(entry["id"][()]), int(entry["plev"][()])) for entry in entries]
    return np.asarray(data[()]).reshape(shape, order="F"), names
