"""The command line as users type it: files written, lines printed, bad input refused."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tnkit
from born_machine import BornMachine, load_dataset
from born_machine.cli import main

FILES = {
    "model.npz",
    "settings.json",
    "history.csv",
    "summary.md",
    "nll.png",
    "data.png",
    "generated.png",
    "completed.png",
}
TRAIN = ["train", "digits", "--sweeps", "2", "--max-bond", "10", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main([*TRAIN, "--out", str(folder)]) == 0
    return folder


def test_train_writes_the_whole_run(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == FILES
    for name in FILES:
        assert (run / name).stat().st_size > 100
        if name.endswith(".png"):
            assert (run / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_summary_tells_exact_figures(run: Path) -> None:
    text = (run / "summary.md").read_text()
    test = load_dataset("digits").samples[1500:]
    nll = -BornMachine.load(run / "model.npz").score(test)
    assert f"| test | 297 | {nll:.3f} |" in text
    assert "binarised: a value is 1 above 8, else 0" in text


def test_train_shows_progress_by_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--out", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert [line.split()[1] for line in lines] == ["0", "1", "2"]
    assert all("NLL train" in line and "validation" in line and "bond" in line for line in lines)
    assert captured.out.startswith("# Born machine on digits")
    assert main([*TRAIN, "--out", str(tmp_path / "quiet"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_the_bar_on_a_terminal_tells_sweep_nll_bond_and_time_left(tmp_path: Path) -> None:
    """A live bar needs a terminal: give the command one, and time enough to draw it."""
    pty, fcntl, termios = (
        pytest.importorskip(name, reason="no pseudo-terminals on this system")
        for name in ("pty", "fcntl", "termios")
    )
    data = np.random.default_rng(0).integers(0, 2, (5000, 100))
    np.save(tmp_path / "noise.npy", data)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = [sys.executable, "-m", "born_machine.cli", "train", str(tmp_path / "noise.npy")]
    options = ["--sweeps", "4", "--value-cutoff", "0", "--max-bond", "60", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, *options, "--out", str(tmp_path / "run")],
        stdin=follower,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(timeout=60) == 0
    bars = re.findall(
        r"sweep \d/4 \|.{24}\| +\d+%, NLL train \d+\.\d+, validation \d+\.\d+, bond \d+ "
        r"\[\d+:\d+, [\d:?]+ left\]",
        shown.decode(),
    )
    assert len(bars) > 1


def test_score_agrees_with_the_estimator(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.parent / "scores.npz"
    assert main(["score", str(run), "digits", "--rows", "1500:", "--out", str(out)]) == 0
    logs = BornMachine.load(run / "model.npz").score_samples(load_dataset("digits").samples[1500:])
    assert f"NLL {-logs.mean():.4f} +-" in capsys.readouterr().out
    assert np.array_equal(np.load(out)["log_likelihood"], logs)


def test_sample_writes_samples_that_can_be_scored_again(run: Path) -> None:
    out = run.parent / "drawn.npz"
    assert main(["sample", str(run), "-n", "25", "--seed", "3", "--out", str(out)]) == 0
    samples = np.load(out)["samples"]
    machine = BornMachine.load(run / "model.npz")
    assert samples.shape == (25, 64)
    assert np.array_equal(samples, machine.sample(25, random_state=3))
    assert main(["score", str(run), str(out)]) == 0
    sheet = run.parent / "drawn.png"
    assert main(["sample", str(run), "-n", "25", "--out", str(sheet)]) == 0
    assert sheet.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("erase", ["bottom", "top", "left", "right"])
def test_complete_redraws_the_erased_half_only(run: Path, erase: str) -> None:
    out = run.parent / "completed.npz"
    rows = ["--rows", "0:5", "--erase", erase, "--out", str(out)]
    assert main(["complete", str(run), "digits", *rows]) == 0
    with np.load(out) as result:
        samples, known = result["samples"], result["known"]
    original = load_dataset("digits").samples[:5]
    assert (samples[known] == original[known]).all()
    assert known.sum() == 5 * 32


def test_complete_takes_any_mask(run: Path) -> None:
    mask, out = run.parent / "mask.npy", run.parent / "completed.npz"
    np.save(mask, np.arange(64).reshape(8, 8) % 3 == 0)
    arguments = ["complete", str(run), "digits", "--rows", "0:2", "--known", str(mask)]
    assert main([*arguments, "--out", str(out)]) == 0
    assert np.load(out)["known"].sum() == 2 * 22
    assert main([*arguments, "--out", str(out.with_suffix(".png"))]) == 0


def test_inspect_tells_bonds_and_entropies(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = run.parent / "inspect.png"
    assert main(["inspect", str(run), "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    machine = BornMachine.load(run / "model.npz")
    assert f"bond dimension  {max(machine.model_.state.bond_dims)} at bond" in text
    assert f"entanglement    {machine.entanglement().max():.3f} nats" in text
    assert "entropy of p" in text
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_compare_lists_runs_in_one_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = run.parent / "compare.png"
    assert main(["compare", str(run), str(run / "model.npz"), "--out", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    kept = BornMachine.load(run / "model.npz").history_[-1]
    assert len(lines) == 3
    assert all(f"{kept.nll_validation:.3f}" in line for line in lines[1:])
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_second_run_never_overwrites_the_first(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main([*TRAIN, "--out", str(run)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL in mid-training; the resumed model equals that of an undisturbed run."""
    arguments = [
        "train",
        "digits",
        "--sweeps",
        "8",
        "--patience",
        "0",
        "--value-cutoff",
        "0",
        "--dtype",
        "float64",
        "--device",
        "cpu",
        "--out",
    ]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "born_machine.cli", *arguments, str(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:  # wait for the third sweep, then strike within the fourth
        if line.startswith("sweep   3"):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (killed / "model.npz").exists()
    assert main(["resume", str(killed)]) == 0
    assert not (killed / "checkpoint.npz").exists()
    whole, resumed = (BornMachine.load(f / "model.npz") for f in (tmp_path / "whole", killed))
    for a, b in zip(whole.model_.state.arrays, resumed.model_.state.arrays, strict=True):
        assert np.array_equal(a, b)
    assert main(["resume", str(killed)]) == 2  # finished: nothing to resume


def test_resume_refuses_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "data.npy", tmp_path / "run"
    rng = np.random.default_rng(0)
    np.save(data, rng.integers(0, 2, (40, 6)))
    assert main(["train", str(data), "--sweeps", "1", "--out", str(folder)]) == 0
    state = BornMachine.load(folder / "model.npz").model_.state
    from born_machine.checkpoint import Checkpoint, SweepRecord, save_checkpoint

    (folder / "model.npz").unlink()
    record = SweepRecord(0, 1.0, None, 1, 1.0, 0.0, 0.0)
    checkpoint = Checkpoint(tnkit.canonicalize(state, -1), state, 0, (record,))
    save_checkpoint(folder / "checkpoint.npz", checkpoint, {"data_sha256": "other"})
    assert main(["resume", str(folder)]) == 2
    assert "no longer holds the samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digits", "--out", "{new}", "--max-bond", "0"], "max_bond must be at least 1"),
        (["train", "digits", "--out", "{new}", "--device", "tpu"], "device must be auto, cpu"),
        (["train", "nothing.npz", "--out", "{new}"], "no file nothing.npz"),
        (["train", "digits", "--out", "{new}", "--rows", "5"], "rows must look like 0:1000"),
        (["train", "digits", "--out", "{new}", "--rows", "9999:"], "are empty"),
        (["train", "digits", "--out", "{new}", "--order", "spiral"], "invalid choice"),
        (["train", "digits", "--out", "{new}", "--learning-rate", "nan"], "learning_rate must"),
        (["train", "digits", "--out", "{new}", "--sweeps", "many"], "invalid int value"),
        (["train", "digits", "--out", "{new}", "--seed", "-1"], "random_state must be a whole"),
        (["train", "digits", "--out", "{new}", "--threshold", "nan"], "threshold must be a finite"),
        (["sample", "{run}", "--seed", "-1", "--out", "{new}.npz"], "random_state must be a whole"),
        (["train", "digits", "--out", "{new}", "--image-shape", "9x9"], r"images (8, 8), not"),
        (["train", "digits", "--out", "{new}", "--test", "bars-and-stripes"], "16 features"),
        (["train", "digits", "--out", "/dev/null/x"], "Not a directory"),
        (["train", "digits"], "--out"),
        (["score", "{new}", "digits"], "no run folder or model file"),
        (["score", "{run}", "bars-and-stripes"], "16 features, but BornMachine is expecting 64"),
        (["inspect", "{run}", "--out", "{new}.svg"], "must end in .png"),
        (["compare", "{run}", "{new}"], "no run folder or model file"),
        (["score", "{run}/nll.png", "digits"], "not a readable tnkit archive"),
        (["sample", "{run}", "-n", "0", "--out", "{new}.npz"], "-n must be at least 1"),
        (["sample", "{run}", "--out", "{new}.txt"], "must end in .npz or .png"),
        (["sample", "{run}", "--out", "{new}/a.npz"], "does not exist"),
        (["complete", "{run}", "digits", "--known", "{run}/nll.png", "--out", "{new}.npz"], "mask"),
        (["resume", "{run}"], "nothing to resume"),
        (["resume", "{new}"], "not a run folder"),
        (["melt"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    filled = [text.format(run=run, new=tmp_path / "new") for text in arguments]
    before = {path: path.read_bytes() for path in run.iterdir()}
    try:
        status: Any = main(filled)
    except SystemExit as stop:  # argparse's own refusals
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("born-machine")
    assert message in captured.err
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert not list(tmp_path.iterdir())


def test_settings_of_a_run_are_readable(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    assert settings["parameters"]["max_bond"] == 10
    assert settings["train"]["rows"] == "0:1500"
    assert settings["test"]["rows"] == "1500:1797"
