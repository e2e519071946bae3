"""Several processes train what one trains; one that dies stops the others, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from born_machine import BornMachine, load_checkpoint, load_dataset
from born_machine.cli import main
from born_machine.inputs import what_was_chosen
from born_machine.launch import LOST, launch
from born_machine.ranks import ALONE, Ranks, joined, ranks_given
from born_machine.run import open_run
from tnkit import ArgumentError

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

from rank_cases import CASES, MISTAKES, trained


@pytest.fixture(scope="module", params=["memory", "messages"])
def two(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What each of two processes found in every case, exchanging by memory or by messages."""
    out = tmp_path_factory.mktemp("ranks") / "of"
    cases = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([cases, *sys.path]))
        assert launch("rank_cases", [str(out), request.param], 2) == 0
    return [json.loads(Path(f"{out}{rank}").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_what_one_trains(case: str, two: list[dict[str, Any]]) -> None:
    """In double precision to 1e-8 nats a sample on average and 1e-5 in each, two sweeps on."""
    one, (first, second) = trained(case), (found[case] for found in two)
    assert first == second
    for ours, theirs in zip(first["history"], one["history"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-8)
    np.testing.assert_allclose(first["logs"], one["logs"], atol=1e-5)
    assert one["history"][-1][0] < one["history"][0][0] - 1.0  # it has learned


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_several_processes_cannot_do_is_said_by_each(
    mistake: str, two: list[dict[str, Any]]
) -> None:
    for found in two:
        assert MISTAKES[mistake][2] in found["mistakes"][mistake]


def test_no_thread_of_the_exchange_outlives_it(two: list[dict[str, Any]]) -> None:
    if not two[0]["threads"]:
        pytest.skip("threads are listed in /proc/self/task, which is not here")
    for found in two:  # one that does may abort the process as it ends
        assert not [name for name in found["threads"] if name.startswith(("gloo", "pt_"))]


def test_a_loss_keeps_its_digits_beside_narrow_gradients(two: list[dict[str, Any]]) -> None:
    assert [found["sum"] for found in two] == [pytest.approx(2 * 127.123456789, abs=1e-9)] * 2


@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_row_is_of_one_process(size: int) -> None:
    for count in range(2 * size):
        rows = [range(count)[Ranks(rank, size).rows(count)] for rank in range(size)]
        assert [row for part in rows for row in part] == list(range(count))
        assert max(map(len, rows)) - min(map(len, rows)) <= 1


def started(*command: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that one has started, first come first."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not tasks.exists():
        pytest.skip("this system does not tell the children of a process")
    return [int(child) for child in tasks.read_text().split()]


def test_one_that_dies_stops_the_others_and_fewer_go_on(tmp_path: Path) -> None:
    """In one line and at once, not after a silence; one process then ends the run."""
    folder = tmp_path / "run"
    train = ["train", "digits", "--rows", "0:200", "--start", "marginals", "--dtype", "float64"]
    train += ["--max-bond", "8", "--patience", "0", "--sweeps", "400", "--device", "cpu"]
    train += ["--out", str(folder), "--processes", "2"]
    lines = []
    with started("-m", "born_machine.cli", *train) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.strip())
            if line.startswith("sweep   2"):
                break
        began = time.monotonic()
        os.kill(children(process)[1], signal.SIGKILL)
        lines += process.stderr.read().splitlines()
        assert process.wait() == LOST
        assert time.monotonic() - began < 30
    first, *said = [line for line in lines if not line.startswith("sweep")]
    assert "2 processes (--processes)" in first
    assert said == [
        "born-machine: process 1 of 2 was ended by SIGKILL; the other was stopped; "
        f"go on with: born-machine resume {folder}"
    ]

    checkpoint, _ = load_checkpoint(folder / "checkpoint.npz")
    kept = len(checkpoint.history)
    assert kept >= 3
    machine = open_run(folder).machine.set_params(sweeps=kept + 1)
    samples = load_dataset("digits").samples[:200]
    alone = BornMachine(**{**machine.get_params(), "sweeps": 2}).fit(samples)
    machine.fit(samples, resume=checkpoint)
    assert len(machine.history_) == kept + 2
    for ours, theirs in zip(machine.history_, alone.history_, strict=False):
        assert ours.nll_train == pytest.approx(theirs.nll_train, abs=1e-7)


def test_none_outlives_the_one_that_started_it() -> None:
    with started("-c", "from born_machine.launch import launch; launch('idle', [], 2)") as process:
        assert process.stdin is None
        while len(ranks := children(process)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{rank}").exists() for rank in ranks):
        assert time.monotonic() < deadline, "a process outlived the one that started it"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "no process of a training: RANK=2, WORLD_SIZE=2"),
        ({"RANK": "0"}, "no process of a training: RANK=0; use torchrun"),
        ({"WORLD_SIZE": "four", "RANK": "0"}, "no process of a training"),
        ({"WORLD_SIZE": "4", "RANK": "0", "LOCAL_WORLD_SIZE": "8"}, "no process of a training"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ranks_given(environment)


def test_a_place_to_meet_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks_given({}) == ALONE
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ArgumentError, match="MASTER_ADDR and MASTER_PORT must say"), joined():
        pass


@pytest.mark.parametrize("count", ["0", "-2", "257", "two"])
def test_bad_numbers_of_processes_are_one_line(
    count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["train", "digits", "--out", str(tmp_path / "r"), "--processes", count])
    except SystemExit as left:
        status = int(str(left.code))
    assert status == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_another_number_than_torchrun_started_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "digits", "--out", "r", "--processes", "3"]) == 2
    assert "--processes 3 was asked for, 2 are running" in capsys.readouterr().err


def test_what_was_chosen_is_one_line_with_reasons() -> None:
    assert what_was_chosen("cpu", 50, ALONE, "").startswith("device cpu (as asked), 1 process, 1")
    far = what_was_chosen("cpu", 1000, Ranks(5, 8, 1, 4), "torchrun")
    assert "8 processes, 4 here (torchrun)" in far
    assert " each (of " in far
    assert far.endswith(" cores)")
