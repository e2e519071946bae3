"""A run that is killed, or that cannot write, loses nothing: short parts of `kills.py` and more."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

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
