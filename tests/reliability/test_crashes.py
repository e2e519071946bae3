"""A run that is killed, or that cannot write, loses nothing: short parts of `kills.py` and more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tnkit
from born_machine import BornMachine

sys.path.insert(0, str(Path(__file__).parent))

from kills import TRAIN, kill_runs, start, wait

LONG = [*TRAIN[:-1], "200"]


def training(folder: Path, log: Path) -> int:
    """Start a long run, wait for its second sweep, and return the process."""
    process = start(["train", *LONG, "--out", str(folder)], log)
    while not log.exists() or "\nsweep   2" not in log.read_text():
        time.sleep(0.02)
    return process


def test_killed_at_random_instants_it_ends_at_the_same_bits() -> None:
    found = kill_runs(10, seed=5)
    assert found["failures"] == []
    assert found["kills"] == 10


def test_a_disk_that_fills_up_is_one_line_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    folder, whole, log = tmp_path / "run", tmp_path / "whole", tmp_path / "log"
    # bonds grow sweep by sweep: the first checkpoints fit under the limit, later ones do not
    assert wait(start(["train", *TRAIN, "--out", str(folder), "--quiet"], log, 60_000)) == 2
    assert len(log.read_text().strip().splitlines()) == 1
    assert "too large" in log.read_text()
    assert not (folder / "model.npz").exists()
    assert not list(folder.glob(".*~"))
    assert wait(start(["resume", str(folder)])) == 0
    assert wait(start(["train", *TRAIN, "--out", str(whole)])) == 0
    for a, b in zip(
        *(BornMachine.load(f / "model.npz").model_.state.arrays for f in (folder, whole)),
        strict=True,
    ):
        assert np.array_equal(a, b)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, all its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root (mount -t tmpfs)")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_real_disk_that_fills_up_is_one_line_and_the_last_checkpoint_stays(
    small_disk: Path, tmp_path: Path
) -> None:
    folder, whole, log = small_disk / "run", tmp_path / "whole", tmp_path / "log"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20 - 130_000))
    # bonds grow sweep by sweep: some checkpoints fit beside the one before, later ones do not
    assert wait(start(["train", *TRAIN, "--out", str(folder), "--quiet"], log)) == 2
    (line,) = log.read_text().strip().splitlines()
    assert line.startswith("born-machine: ")
    assert "No space left on device" in line
    assert (folder / "checkpoint.npz").exists()
    assert not (folder / "model.npz").exists()
    assert not list(folder.glob(".*~"))
    kept = (folder / "checkpoint.npz").read_bytes()
    with pytest.raises(OSError, match="No space left on device"):  # any other file, likewise
        tnkit.save(folder / "checkpoint.npz", tnkit.random_mps(40, bond_dim=20, seed=0))
    assert (folder / "checkpoint.npz").read_bytes() == kept
    assert not list(folder.glob(".*~"))
    ballast.unlink()
    assert wait(start(["resume", str(folder)])) == 0
    assert wait(start(["train", *TRAIN, "--out", str(whole)])) == 0
    for a, b in zip(
        *(BornMachine.load(f / "model.npz").model_.state.arrays for f in (folder, whole)),
        strict=True,
    ):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, out: str) -> None:
    log = tmp_path / "log"
    assert wait(start(["train", *TRAIN, "--out", out, "--quiet"], log)) == 2
    assert len(log.read_text().strip().splitlines()) == 1


def test_a_folder_that_vanishes_is_one_line(tmp_path: Path) -> None:
    folder, away, log = tmp_path / "run", tmp_path / "away", tmp_path / "log"
    process = training(folder, log)
    folder.rename(away)
    assert wait(process) == 2
    last = log.read_text().splitlines()[-1]
    assert last.startswith("born-machine: ")
    assert "No such file or directory" in last
    assert not folder.exists()
    assert (away / "checkpoint.npz").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"
    process = training(folder, log)
    os.kill(process, signal.SIGINT)
    assert wait(process) == 130
    assert f"resume {folder}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert (folder / "checkpoint.npz").exists()
