"""What is built is the same twice and whole; a stranger's plugin needs nothing but the contract."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed")

ROOT = Path(__file__).parents[1]
FOLDERS = {"tnkit": ROOT, "tnkit_born_machine": ROOT / "plugins" / "born_machine"}
TEMPLATE = ROOT / "examples" / "plugin_template"


def build(folder: Path, out: Path) -> dict[str, str]:
    """Build sdist and wheel; return their SHA-256 by name."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out)],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
    )
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.iterdir()}


@pytest.mark.parametrize("name", FOLDERS)
def test_builds_are_the_same_bytes_twice_and_whole(name: str, tmp_path: Path) -> None:
    found = build(FOLDERS[name], tmp_path / "one")
    assert found == build(FOLDERS[name], tmp_path / "two")
    (wheel,) = (tmp_path / "one").glob("*.whl")
    (sdist,) = (tmp_path / "one").glob("*.tar.gz")
    package = name.removeprefix("tnkit_")
    sources = {
        f"{package}/{file.relative_to(FOLDERS[name] / package).as_posix()}"
        for file in (FOLDERS[name] / package).rglob("*.py")
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert sources | {f"{package}/py.typed"} <= names
    assert {part.split("/")[0] for part in names} == {
        package,
        wheel.name.split("-py3")[0] + ".dist-info",
    }
    with tarfile.open(sdist) as archive:
        packed = {member.split("/", 1)[1] for member in archive.getnames()}
    assert sources | {"pyproject.toml", "README.md"} <= packed
    assert not any(part.startswith((".", "site/", "runs/")) for part in packed - {".gitignore"})


def test_the_template_works_for_a_stranger(tmp_path: Path) -> None:
    """Installed into a folder of its own, it is found, listed and passes its own tests."""
    shutil.copytree(TEMPLATE, tmp_path / "source")
    installed = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--no-index", "--target", str(installed), str(tmp_path / "source")],
        check=True,
        capture_output=True,
    )
    path = os.pathsep.join([str(installed), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    report = subprocess.run(
        [sys.executable, "-m", "tnkit"], check=True, capture_output=True, text=True, env=environment
    )
    assert "parity (tnkit-parity 0.0.1)" in report.stdout
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path / "source",
        capture_output=True,
        text=True,
        env=environment,
    )
    assert tests.returncode == 0, tests.stdout
    assert "6 passed" in tests.stdout
