"""Archives are whole or refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tnkit
from tnkit.sealed import seal, unseal


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.npz"
    tnkit.write_archive(path, "thing", {"note": [1, 2]}, {"x": np.arange(6.0).reshape(2, 3)})
    return path


def rewrite(path: Path, change: Any) -> None:
    """Rewrite the zip with members changed: every checksum of the zip itself stays right."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, content in members.items():
            new.writestr(name, content)


def test_arrays_and_metadata_come_back_bit_for_bit(archive: Path) -> None:
    metadata, arrays = tnkit.read_archive(archive, "thing")
    assert metadata == {"note": [1, 2]}
    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.load(archive)["x"].shape == (2, 3)  # plain NumPy reads it too


def flip_a_number(members: dict[str, bytes]) -> None:
    members["x.npy"] = members["x.npy"][:-1] + b"\x41"


def drop_the_array(members: dict[str, bytes]) -> None:
    del members["x.npy"]


def edit_manifest(**fields: Any) -> Any:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = seal(unseal(members["manifest.json"]) | fields).encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_number, "'x' is damaged"),
        (drop_the_array, "not a readable tnkit archive"),
        (edit_manifest(kind="other"), "holds a 'other', expected a 'thing'"),
        (edit_manifest(version=99), "version 99, this tnkit reads 1"),
        (edit_manifest(format="zip"), "not tnkit's"),
        (edit_manifest(arrays=[]), "manifest is damaged"),
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(
    archive: Path, change: Any, message: str
) -> None:
    rewrite(archive, change)
    with pytest.raises(tnkit.FormatError, match=message):
        tnkit.read_archive(archive, "thing")


def write_half(path: Path) -> None:
    with tnkit.atomic_file(path) as file:
        file.write(b"half")
        raise RuntimeError


def test_a_write_that_fails_leaves_the_old_file(archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(tnkit.ArgumentTypeError, match="what JSON holds"):
        tnkit.write_archive(archive, "thing", {"bad": object()}, {})
    with pytest.raises(RuntimeError):
        write_half(archive)
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]
