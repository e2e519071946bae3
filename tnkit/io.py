"""Files that survive: written whole or not at all, checked when read, never pickled.

An archive is an uncompressed npz (a zip of .npy members, readable with `numpy.load`) plus a
`manifest.json` that holds the kind, the format version, the metadata, and for every array its
dtype, shape and SHA-256; the manifest carries its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import tempfile
import tokenize
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tnkit.arrays import as_array, to_numpy
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, FormatError
from tnkit.sealed import seal, unseal

__all__ = ["atomic_file", "read_archive", "read_archive_of", "write_archive"]

_VERSION = 1
_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 64 * 2**20


@checked
@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under `path` only when the block ends without error.

    The bytes go to a temporary file in the same folder, are synced to disk and renamed, so a
    crash at any instant leaves either the old file or the new one. The folder must exist.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(Path(folder) / "note.txt") as file:
    ...         _ = file.write(b"whole")
    ...     (Path(folder) / "note.txt").read_bytes()
    b'whole'
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix="~")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # some systems cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@checked
def write_archive(
    path: str | os.PathLike[str],
    kind: str,
    metadata: Mapping[str, Any],
    arrays: Mapping[str, Any],
) -> None:
    """Write named arrays and JSON metadata as one archive, atomically.

    kind: what the file holds ("mps", ...), checked when reading. Arrays of any library are
    stored from the host, bit for bit. Raises `ArgumentTypeError` for arrays that hold no numbers.
    """
    members: dict[str, bytes] = {}
    entries: dict[str, Any] = {}
    for name, array in arrays.items():
        array = as_array(array)
        host = np.ascontiguousarray(to_numpy(array)).reshape(tuple(array.shape))
        if host.dtype.kind not in "biufc":
            raise ArgumentTypeError(f"array {name!r} has dtype {host.dtype}; numbers expected")
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, host, allow_pickle=False)
        members[name] = buffer.getvalue()
        entries[name] = {
            "dtype": host.dtype.str,
            "shape": list(host.shape),
            "sha256": hashlib.sha256(members[name]).hexdigest(),
        }
    manifest = {
        "format": "tnkit",
        "version": _VERSION,
        "kind": kind,
        "metadata": dict(metadata),
        "arrays": entries,
    }
    if not all(isinstance(key, str) for key in (*metadata, *arrays)):
        raise ArgumentTypeError(f"names must be strings, got {shown([*metadata, *arrays])}")
    try:
        text = seal(manifest).encode()
    except (TypeError, ValueError) as error:
        kind_of = ArgumentTypeError if isinstance(error, TypeError) else ArgumentError
        raise kind_of(f"metadata must be what JSON holds: {error}") from None
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_MANIFEST, text)
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


@checked
def read_archive(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return (metadata, arrays) of an archive of this `kind`.

    Sizes are checked against the file before anything is allocated, and every checksum is
    verified. Raises `FormatError` that says what is wrong; OSError where the file cannot be read.
    """
    return read_archive_of(path, (kind,))[1:]


def read_archive_of(
    path: str | os.PathLike[str], kinds: Collection[str]
) -> tuple[str, dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return (kind, metadata, arrays) of an archive of one of `kinds`, as `read_archive`."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive, kinds)
            arrays = {
                name: _read_array(archive, name, entry)
                for name, entry in manifest["arrays"].items()
            }
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (
        zipfile.BadZipFile,
        SyntaxError,  # both of NumPy's header reader
        tokenize.TokenError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        expected = " or ".join(map(repr, kinds))
        raise FormatError(
            f"{path}: not a readable tnkit archive of kind {expected} ({error})"
        ) from None
    return manifest["kind"], manifest["metadata"], arrays


def _read_manifest(archive: zipfile.ZipFile, kinds: Collection[str]) -> dict[str, Any]:
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise FormatError(f"member {info.filename!r} is compressed; archives are not")
    if archive.getinfo(_MANIFEST).file_size > _LARGEST_MANIFEST:
        raise FormatError("the manifest is larger than 64 MiB")
    manifest = unseal(archive.read(_MANIFEST))
    if manifest.get("format") != "tnkit":
        raise FormatError("the manifest is not tnkit's")
    if manifest["version"] != _VERSION:
        raise FormatError(
            f"format version {manifest['version']}, this tnkit reads {_VERSION}; update tnkit"
        )
    if manifest["kind"] not in kinds:
        raise FormatError(
            f"holds a {manifest['kind']!r}, expected a {' or '.join(map(repr, kinds))}"
        )
    if not isinstance(manifest["metadata"], dict) or not isinstance(manifest["arrays"], dict):
        raise FormatError("the manifest is damaged")
    return manifest


def _read_array(archive: zipfile.ZipFile, name: str, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    content = archive.read(f"{name}.npy")
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise FormatError(f"array {name!r} is damaged (its checksum does not match)")
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise FormatError(f"array {name!r} has an unknown npy version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biufc" or fortran:
        raise FormatError(f"array {name!r} has dtype {dtype}; plain C-ordered numbers expected")
    if [*shape] != entry["shape"] or dtype.str != entry["dtype"]:
        raise FormatError(f"array {name!r} differs from the manifest")
    offset = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(content) - offset:
        raise FormatError(f"array {name!r} has {len(content) - offset} bytes, shape {shape}")
    return np.frombuffer(content, dtype=dtype, offset=offset).reshape(shape).copy()
