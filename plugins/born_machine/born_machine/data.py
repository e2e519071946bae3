"""Data sets as validated (sample, feature) integers, from files or built in."""

from __future__ import annotations

import gzip
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.curves import shifts_within
from born_machine.synthetic import bars_and_stripes, ising_samples, parity_samples
from tnkit import ArgumentError, ArgumentTypeError, FormatError, SizeError

__all__ = [
    "AS_THEY_ARE",
    "BUILT_IN",
    "MISSING",
    "Dataset",
    "Samples",
    "check_samples",
    "load_dataset",
    "read_samples",
    "shift_reach",
    "shifted_images",
    "take_rows",
]

Samples: TypeAlias = npt.NDArray[np.integer[Any]]

MISSING = ("raise", "marginalise")
AS_THEY_ARE = "none"
"""The threshold of values that are not cut."""
MOST_LEVELS = 64
"""More values than this at one feature are taken for grey levels that want a threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples ready for training, and where they come from.

    samples: (sample, feature) integers from 0, -1 where missing. image_shape: (height, width)
    where a sample is an image. note: one sentence on how values became integers. threshold: what
    `load_dataset` must be told to make other values of the same kind integers in the same way.
    standard_rows: how many leading rows are meant for training (the rest for testing), None where
    the set has no such split.
    """

    name: str
    samples: Samples
    image_shape: tuple[int, int] | None
    note: str
    threshold: float | str
    standard_rows: int | None = None


_MOST_SHIFTED = 20_000
_MOST_DEFLATED = 1032
"""Bytes that one byte of deflated data can stand for, at most."""


def as_array(values: Any) -> npt.NDArray[Any]:
    """Return values as an array; raises `ArgumentTypeError` for rows of different lengths."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a table of numbers: {error}") from None


def check_samples(
    X: Any, *, features: int | None = None, dims: tuple[int, ...] | None = None
) -> Samples:
    """Return `X` as a contiguous (sample, feature) integer array, or raise saying what is wrong.

    Accepts integers, booleans and floats that hold whole numbers; 3-dimensional input is taken as
    images and flattened. features: how many are expected. dims: how many values each feature may
    take. Raises `SizeError`, `ArgumentTypeError`, `ArgumentError`, naming the first bad entry.
    """
    if hasattr(X, "tocsr"):
        raise ArgumentTypeError("sparse samples are not supported; pass X.toarray()")
    array = as_array(X)
    if array.dtype.kind == "c":
        raise ArgumentError("Complex data not supported: samples must be whole numbers")
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(
                f"samples must be whole numbers, got objects ({error})"
            ) from None
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"samples must be whole numbers, got dtype {array.dtype}")
    if array.ndim == 3:
        array = array.reshape(len(array), -1)
    if array.ndim != 2:
        raise SizeError(
            f"samples must be (sample, feature) or images (sample, height, width), got shape "
            f"{array.shape}. Reshape your data: a single sample with x[None]"
        )
    if features is not None and array.shape[1] != features:
        raise SizeError(
            f"X has {array.shape[1]} features, but BornMachine is expecting {features} features "
            "as input"
        )
    for count, what in zip(array.shape, ("sample(s)", "feature(s)"), strict=True):
        if count == 0:
            raise SizeError(
                f"no data: 0 {what} (shape={array.shape}) while a minimum of 1 is required."
            )
    if array.dtype.kind == "f":
        _refuse(
            ~np.isfinite(array), array, "is NaN or infinite", "remove or fill missing values first"
        )
        _refuse(
            array != np.floor(array), array, "is not a whole number", "binarise with a threshold"
        )
    if array.dtype.kind in "iuf":
        _refuse(array < 0, array, "is negative", "values count from 0 (Negative values in data)")
        _refuse(array > 2**31 - 1, array, "is too large", "values must stay below 2^31")
    largest = int(array.max())
    if dims is not None:
        _refuse(
            array >= np.asarray(dims),
            array,
            "is out of range",
            "the model knows " + (f"0 to {dims[0] - 1}" if len(set(dims)) == 1 else "fewer values"),
        )
    return np.ascontiguousarray(array, dtype=np.uint8 if largest < 256 else np.int64)


def read_samples(
    X: Any, missing: str, *, features: int | None = None, dims: tuple[int, ...] | None = None
) -> Samples:
    """Return `X` as (sample, feature) integers, -1 where missing; raises as `check_samples`.

    missing: "raise" takes NaN and negative numbers for errors, "marginalise" takes NaN and -1 for
    gaps.
    """
    if missing not in MISSING:
        raise ArgumentError(f"missing must be one of {', '.join(MISSING)}, got {missing!r}")
    if missing == "raise" or hasattr(X, "tocsr"):
        return check_samples(X, features=features, dims=dims)
    values = as_array(X)
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            return check_samples(X, features=features, dims=dims)  # says what is wrong
    gaps = _gaps(values)
    if not gaps.any():
        return check_samples(values, features=features, dims=dims)
    samples = check_samples(np.where(gaps, 0, values), features=features, dims=dims)
    signed: Samples = samples.astype(np.int16 if samples.dtype == np.uint8 else np.int64)
    signed[gaps.reshape(samples.shape)] = -1
    return signed


def _gaps(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind not in "if":
        return np.zeros(values.shape, dtype=bool)
    gaps: npt.NDArray[np.bool_] = (values == -1) | np.isnan(values)
    return gaps


def _refuse(bad: npt.NDArray[np.bool_], array: npt.NDArray[Any], what: str, hint: str) -> None:
    if bad.any():
        row, column = map(int, np.argwhere(bad)[0])
        raise ArgumentError(
            f"sample {row}, feature {column}: {array[row, column].item()!r} {what}; {hint}"
        )


def shift_reach(image_shape: tuple[int, int] | None, samples: int) -> int:
    """Return by how many pixels images of this shape may be shifted and stay what they are.

    A fourteenth of the shorter side: 2 for 28 x 28 pixels, 0 (no shifts) below 14. Reduced where
    the shifted images would number more than 20,000, since training holds them all in memory.
    """
    reach = 0 if image_shape is None else min(image_shape) // 14
    while reach and samples * (2 * reach * (reach + 1) + 1) > _MOST_SHIFTED:
        reach -= 1
    return reach


def shifted_images(samples: Samples, image_shape: tuple[int, int], reach: int) -> Samples:
    """Return the images and all their shifts by up to `reach` pixels, background 0 moving in.

    samples: (sample, pixel), the originals first in the result. A shift by a rows and b columns
    counts as |a| + |b| pixels: reach 1 makes five images of one, reach 2 thirteen.
    """
    height, width = image_shape
    images = samples.reshape(-1, height, width)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    windows = [
        padded[:, reach - down : reach - down + height, reach - right : reach - right + width]
        for down, right in shifts_within(reach)
    ]
    return np.concatenate(windows).reshape(-1, height * width)


def load_dataset(
    source: str | os.PathLike[str],
    *,
    key: str | None = None,
    threshold: float | str | None = None,
    image_shape: tuple[int, int] | None = None,
    missing: str = "raise",
) -> Dataset:
    """Load a built-in data set by name, or a `.npy` or `.npz` file, and make it discrete.

    source: "digits" (scikit-learn's 1,797 handwritten digits of 8 x 8 pixels), "bars-and-stripes",
    "parity" (2,000 strings of 20 bits, even over a random half), "ising" (3,000 configurations of
    8 x 8 spins at the critical temperature), "mnist" (70,000 images by OpenML, needs a network),
    "openml:NAME" or "openml:NAME@VERSION", or a path: .npy, .npz, .csv (commas), .amat or .txt
    (blanks), or an idx file of MNIST's (-ubyte, also .gz). key: the array of an npz; not
    needed where there is one only, or one called x_train. threshold: values above it become 1,
    others 0, and a set of zeros and ones stays what it is; "none" takes all values as they are.
    None goes by the set: flat rows are taken as they are, and images (three axes) with more than
    two values are cut at half of the largest, rounded down: at 8 for digits of 16 grey levels, at
    127 for 8-bit pixels if any is above 127, at 0.5 for real numbers up to 1. `Dataset.threshold`
    is what was taken: hand it in with the next file, whose largest value may be another.
    image_shape: says that flat rows are images. missing: as for `read_samples`; gaps stay gaps
    under any threshold. Raises `FormatError`, `ArgumentError`, `SizeError` or OSError.
    """
    number = isinstance(threshold, int | float) and math.isfinite(threshold)
    if not (number or threshold in (None, AS_THEY_ARE)):
        raise ArgumentError(
            f"threshold must be a finite number or {AS_THEY_ARE!r}, got {threshold!r}"
        )
    name = os.fspath(source)
    if name in BUILT_IN:
        if key is not None:
            raise ArgumentError(f"key {key!r} was given, but {name} is a built-in data set")
        values, split = BUILT_IN[name]()
    elif name.startswith(_OPENML):
        if key is not None:
            raise ArgumentError(f"key {key!r} was given, but {name} holds one table")
        values, split = _openml(name.removeprefix(_OPENML)), None
    else:
        values, split = _read_file(Path(name), key), None
    if values.dtype.kind not in "biuf":
        raise FormatError(f"{name}: expected an array of numbers, got dtype {values.dtype}")
    found: float | str = AS_THEY_ARE
    gaps = _gaps(values) & (missing != MISSING[0])
    seen = values[~gaps]
    if values.ndim == 3:
        if image_shape is not None and image_shape != values.shape[1:]:
            raise SizeError(f"{name} holds images {values.shape[1:]}, not {image_shape}")
        image_shape = (values.shape[1], values.shape[2])
        found = _half_range(seen)
    threshold = found if threshold is None else threshold
    note = "values taken as they are"
    if not isinstance(threshold, str) and not ((seen == 0) | (seen == 1)).all():
        if not np.isfinite(seen).all():
            raise ArgumentError(f"{name}: holds NaN or Inf; remove or fill missing values first")
        values = np.where(gaps, np.int8(-1), values > threshold)
        note = f"binarised: a value is 1 above {threshold:g}, else 0"
    samples = read_samples(values, missing)
    if int(samples.max()) >= MOST_LEVELS:
        raise ArgumentError(
            f"{name}: values reach {int(samples.max())}; pass a threshold to binarise grey levels "
            f"(at most {MOST_LEVELS} values a feature are taken as they are)"
        )
    if image_shape is not None and image_shape[0] * image_shape[1] != samples.shape[1]:
        raise SizeError(
            f"{name}: {samples.shape[1]} features are not images of "
            f"{image_shape[0]} x {image_shape[1]}"
        )
    named = name in BUILT_IN or name.startswith(_OPENML)
    title = name if named else Path(name).stem
    return Dataset(title, samples, image_shape, note, threshold, split)


def _half_range(values: npt.NDArray[Any]) -> float | str:
    largest = float(values.max()) if values.size else 0.0
    if values.dtype.kind == "b" or (largest <= 1.0 and values.dtype.kind != "f"):
        return AS_THEY_ARE
    if largest <= 1.0:
        return 0.5
    return 127.0 if values.dtype == np.uint8 and largest > 127 else float(np.floor(largest / 2))


def _read_file(path: Path, key: str | None) -> npt.NDArray[Any]:
    if not path.exists():
        raise FileNotFoundError(
            f"no file {path} and no built-in data set of that name; built in: "
            f"{', '.join(BUILT_IN)}; others by {_OPENML}NAME"
        )
    if path.suffix in _TEXT:
        return _read_text(path, key)
    if path.name.removesuffix(".gz").endswith("-ubyte"):
        return _read_idx(path, key)
    if path.suffix not in (".npy", ".npz"):
        raise FormatError(
            f"{path}: expected .npy, .npz, .csv, .amat, .txt or an idx -ubyte file, "
            f"got {path.suffix or 'no ending'}"
        )
    try:
        return _read_npy(path, key) if path.suffix == ".npy" else _read_npz(path, key)
    except FormatError:
        raise
    except (
        zipfile.BadZipFile,
        SyntaxError,  # both of NumPy's header reader
        tokenize.TokenError,
        zlib.error,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise FormatError(f"{path}: not a readable {path.suffix} file ({error})") from None


def _read_npy(path: Path, key: str | None) -> npt.NDArray[Any]:
    if key is not None:
        raise FormatError(f"{path}: key {key!r} was given, but a .npy holds one array")
    with path.open("rb") as file:
        return _read_array(file, path.stat().st_size)


def _read_npz(path: Path, key: str | None) -> npt.NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        member = archive.getinfo(f"{_pick_key(path, names, key)}.npy")
        if member.file_size > _MOST_DEFLATED * member.compress_size + 2**16:
            raise ValueError("a member says it is larger than its compressed bytes can be")
        with archive.open(member) as file:
            return _read_array(file, member.file_size)


def _read_array(file: Any, size: int) -> npt.NDArray[Any]:
    """Read one .npy of `size` bytes; nothing is allocated for more than that."""
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        raise ValueError("a .npy header that no table of numbers needs")
    if dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers, got dtype {dtype}")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"its header says {dtype} of shape {shape}, its {size} bytes do not fit")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


_TEXT = {".csv": ",", ".amat": None, ".txt": None}


def _read_text(path: Path, key: str | None) -> npt.NDArray[Any]:
    """Read a table of numbers; a first line that holds no numbers is taken for a heading."""
    if key is not None:
        raise FormatError(f"{path}: key {key!r} was given, but a text file holds one table")
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline().replace(",", " ").split()
        heading = int(any(not _is_number(cell) for cell in first))
        return np.loadtxt(path, delimiter=_TEXT[path.suffix], skiprows=heading, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a table of numbers ({error})") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_idx(path: Path, key: str | None) -> npt.NDArray[Any]:
    """Read MNIST's idx format (unsigned bytes): magic 0 0 8 n, n big-endian sizes, the values."""
    if key is not None:
        raise FormatError(f"{path}: key {key!r} was given, but an idx file holds one array")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic[:3] != b"\0\0\x08":
                raise ValueError("it does not begin as unsigned bytes do")
            shape = tuple(map(int, np.frombuffer(file.read(4 * magic[3]), ">u4")))
            count = math.prod(shape)
            if count > _MOST_DEFLATED * path.stat().st_size + 2**16:
                raise ValueError(f"its header says {shape}, more than the file can hold")
            content = file.read(count + 1)
        if len(content) != count:
            raise ValueError(f"its header says {shape}, the file does not fit")
        return np.frombuffer(content, np.uint8).reshape(shape)
    except (ValueError, IndexError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path}: not a readable idx file ({error})") from None


def _pick_key(path: Path, names: list[str], key: str | None) -> str:
    if key is None:
        if len(names) == 1:
            return names[0]
        key = "x_train" if "x_train" in names else None
    if key not in names:
        asked = "more than one array" if key is None else f"no array {key!r}"
        raise FormatError(f"{path}: {asked}; choose a key of {', '.join(names) or 'none'}")
    return key


def take_rows(dataset: Dataset, rows: slice) -> Dataset:
    """Return the data set with these rows only; `SizeError` where none is left."""
    chosen = dataset.samples[rows]
    if not len(chosen):
        raise SizeError(
            f"{dataset.name}: rows {rows.start}:{rows.stop} are empty, "
            f"it has {len(dataset.samples)} rows"
        )
    return replace(dataset, samples=chosen, standard_rows=None)


def _digits() -> tuple[npt.NDArray[Any], int | None]:
    from sklearn.datasets import load_digits

    return load_digits().images, 1500


def _bars_and_stripes() -> tuple[npt.NDArray[Any], int | None]:
    return bars_and_stripes().reshape(-1, 4, 4), None


def _parity() -> tuple[npt.NDArray[Any], int | None]:
    return parity_samples(2000)[0], 1000


def _ising() -> tuple[npt.NDArray[Any], int | None]:
    return ising_samples(3000).reshape(-1, 8, 8), 2000


def _mnist() -> tuple[npt.NDArray[Any], int | None]:
    pixels = _openml("mnist_784@1")
    return pixels.reshape(-1, 28, 28).astype(np.uint8), 60000


def _openml(name: str) -> npt.NDArray[Any]:
    """Return the features of an OpenML data set NAME or NAME@VERSION, categories as integers."""
    from sklearn.datasets import fetch_openml

    title, at, version = name.partition("@")
    if not title or (at and not version.isdigit()):
        raise ArgumentError(f"expected {_OPENML}NAME or {_OPENML}NAME@VERSION, got {name!r}")
    wanted: int | str = int(version) if version else "active"
    try:
        data = fetch_openml(title, version=wanted, as_frame=False, parser="liac-arff").data
        return np.asarray(data.toarray() if hasattr(data, "toarray") else data)
    except Exception as error:
        raise FormatError(
            f"{name} could not be fetched from OpenML ({error}); this needs a network the first "
            f"time, a name known at openml.org, and categorical or numeric features. With a local "
            f"copy (idx, npz, npy, csv), give its path instead"
        ) from None


_OPENML = "openml:"
BUILT_IN: dict[str, Callable[[], tuple[npt.NDArray[Any], int | None]]] = {
    "digits": _digits,
    "bars-and-stripes": _bars_and_stripes,
    "parity": _parity,
    "ising": _ising,
    "mnist": _mnist,
}
