"""The command line as users type it: files written, lines printed, bad input refused."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes, chow_liu, independent, load_dataset
from born_machine.cli import main
from born_machine.config import settings_text
from born_machine.inputs import value_counts
from born_machine.progress import Progress

FILES = {
    "model.npz",
    "settings.toml",
    "results.json",
    "history.csv",
    "summary.md",
    "nll.png",
    "data.png",
    "generated.png",
    "progress.png",
    "completed.png",
    "chain.png",
    "information.png",
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
    chosen, *lines = captured.err.splitlines()
    assert chosen == "device cpu (as asked), 1 process, 1 BLAS thread (the rule of tnkit.threads)"
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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "settings",
    [{}, {"method": "one-site"}, {"method": "all-site", "batch_size": 2}, {"n_machines": 2}],
    ids=["two-site", "one-site", "all-site", "mixture"],
)
def test_the_bar_tells_the_share_of_all_sweeps_on_resume_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("born_machine.progress.time.monotonic", lambda: float(next(ticks)))
    machine = BornMachine(sweeps=4, patience=0, random_state=0, max_bond=4, **settings)
    checkpoints: list[Any] = []

    def shares(resume: Any) -> list[int]:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress(4, False, tmp_path, machines=machine.n_machines) as progress:

            def on_sweep(checkpoint: Any) -> None:
                checkpoints.append(checkpoint)
                progress.sweep(checkpoint)

            hooks: dict[str, Any] = {"on_step": progress.step, "on_sweep": on_sweep}
            machine.fit(bars_and_stripes(2, 3), resume=resume, **hooks)
        found = [int(share) for share in re.findall(r"(\d+)%", terminal.getvalue())]
        assert found == sorted(found)
        assert found[-1] == 100
        return found

    whole = shares(None)
    assert {25, 50, 75} < set(whole)
    assert len({share for share in whole if 50 < share < 75}) > 2
    assert "all-site" in settings.values() or any(0 < share < 25 for share in whole)
    assert min(filter(None, shares(checkpoints[2]))) >= 50


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


def test_complete_refuses_a_transposed_mask(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "known.npy", np.zeros((64, 1797), dtype=bool))
    masked = ["--known", str(tmp_path / "known.npy"), "--out", str(tmp_path / "out.npz")]
    assert main(["complete", str(run), "digits", *masked]) == 2
    assert "known has shape (64, 1797)" in capsys.readouterr().err


def test_a_model_of_a_device_that_is_not_here_answers_and_says_where(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BornMachine.load(run / "model.npz").set_params(device="cuda:99").save(tmp_path / "model.npz")
    assert main(["score", str(tmp_path / "model.npz"), "digits"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("using device='auto'")


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


def test_an_overwritten_run_leaves_nothing_of_the_first_where_the_second_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    train = ["train", "bars-and-stripes", "--sweeps", "1", "--out", str(folder), "--overwrite"]
    assert main(train) == 0

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("born_machine.run.measure", fail)
    assert main([*train, "--seed", "1"]) == 2
    left = {path.name for path in folder.iterdir()}
    assert left == {"settings.toml", "model.npz", "checkpoint.npz", "history.csv"}


def test_a_run_removes_what_a_killed_write_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".model.npz.a1b2c3d4~").touch()
    (tmp_path / ".bashrc~").touch()
    train = ["train", "bars-and-stripes", "--sweeps", "1", "--out", str(tmp_path)]
    assert main(train) == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES | {".bashrc~"}


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
    settings = tomllib.loads((run / "settings.toml").read_text())
    assert settings["max_bond"] == 10
    assert (settings["data"], settings["rows"]) == ("digits", "0:1500")
    assert (settings["test"], settings["test_rows"]) == ("digits", "1500:1797")
    assert settings["made_with"]["numpy"] == np.__version__


def test_a_runs_settings_repeat_it(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["train", "--config", str(run / "settings.toml"), "--out", str(again)]) == 0
    assert (again / "settings.toml").read_bytes() == (run / "settings.toml").read_bytes()
    first, second = (BornMachine.load(folder / "model.npz") for folder in (run, again))
    for a, b in zip(first.model_.state.arrays, second.model_.state.arrays, strict=True):
        assert np.array_equal(a, b)


def test_score_and_complete_cut_images_as_training_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 17, (30, 2, 2))
    images[0, 0, 0] = 16
    dark = images[images.max(axis=(1, 2)) < 16][:2] // 2
    np.save(tmp_path / "all.npy", np.concatenate([images, dark]))
    np.save(tmp_path / "dark.npy", dark)
    folder, out = tmp_path / "run", tmp_path / "done.npz"
    train = ["train", str(tmp_path / "all.npy"), "--test", str(tmp_path / "dark.npy")]
    assert main([*train, "--sweeps", "1", "--out", str(folder), "--json"]) == 0
    test = json.loads(capsys.readouterr().out)["nll"]["test"]["mean"]
    assert tomllib.loads((folder / "settings.toml").read_text())["threshold"] == 8
    assert main(["score", str(folder), str(tmp_path / "dark.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nll"] == test
    machine = BornMachine.load(folder / "model.npz")
    assert test == pytest.approx(-machine.score(dark.reshape(2, 4) > 8))
    assert main(["complete", str(folder), str(tmp_path / "dark.npy"), "--out", str(out)]) == 0
    assert (np.load(out)["samples"][:, :2] == 0).all()
    np.savez(out, samples=machine.sample(5, random_state=0))  # zeros and ones need no cut
    assert main(["score", str(folder), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["nll"] == pytest.approx(
        -machine.score(np.load(out)["samples"])
    )


def test_a_run_that_kept_no_threshold_still_scores_images(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.npz").write_bytes((run / "model.npz").read_bytes())
    settings = (run / "settings.toml").read_text()
    (tmp_path / "settings.toml").write_text(settings.replace("threshold = 8.0\n", ""))
    for folder in (run, tmp_path):
        assert main(["score", str(folder), "digits"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_test_values_that_training_never_saw_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).integers(0, 3, (20, 3))
    rows[0] = 2
    np.save(tmp_path / "train.npy", rows)
    np.save(tmp_path / "test.npy", np.array([[0, 1, 5]]))
    folder = tmp_path / "run"
    data = ["train", str(tmp_path / "train.npy"), "--test", str(tmp_path / "test.npy")]
    assert main([*data, "--sweeps", "1", "--out", str(folder)]) == 2
    assert "sample 0, feature 2: 5 is out of range" in capsys.readouterr().err
    assert not folder.exists()
    assert main([*data, "--sweeps", "1", "--levels", "6", "--out", str(folder)]) == 0


def test_gaps_are_trained_on_scored_and_filled_where_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).integers(0, 3, (40, 4)).astype(float)
    rows[::3, 1] = np.nan
    np.save(tmp_path / "a.npy", rows)
    folder, out = tmp_path / "run", tmp_path / "done.npz"
    arguments = ["train", str(tmp_path / "a.npy"), "--sweeps", "1", "--out", str(folder)]
    assert main(arguments) == 2
    assert "NaN" in capsys.readouterr().err
    test = ["--test-rows", "0:6"]
    assert main([*arguments, *test, "--missing", "marginalise", "--json"]) == 0
    test_nll = json.loads(capsys.readouterr().out)["nll"]["test"]["mean"]
    machine = BornMachine.load(folder / "model.npz")
    assert test_nll == pytest.approx(-machine.score(rows[:6]))
    data = [str(folder), str(tmp_path / "a.npy"), "--rows", "0:6"]
    assert main(["score", *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nll"] == test_nll
    assert main(["complete", *data, "--out", str(out)]) == 0
    with np.load(out) as filled:
        assert not filled["known"][::3, 1].any()
        assert (filled["samples"] >= 0).all()


def test_flags_win_over_the_settings_file(tmp_path: Path) -> None:
    file, folder = tmp_path / "my.toml", tmp_path / "run"
    file.write_text(
        'data = "digits"\nmax-bond = [3, 4]\nsweeps = 1\nrows = "0:40"\nimage_shape = [8, 8]\n'
        "seed = 5\nquiet = true\nlearning_rate = 1e-2\n"
    )
    assert main(["train", "bars-and-stripes", "--config", str(file), "--out", str(folder)]) == 2
    arguments = ["train", "--config", str(file), "--sweeps", "2", "--out", str(folder)]
    assert main(arguments) == 0
    machine = BornMachine.load(folder / "model.npz")
    assert (machine.max_bond, machine.sweeps, machine.random_state) == ([3, 4], 2, 5)
    assert machine.learning_rate == 0.01
    assert machine.model_.state.bond_dims
    results = json.loads((folder / "results.json").read_text())
    assert results["nll"]["train"]["samples"] == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'data = "digits"\nmax_bnod = 3',
            "unknown setting 'max_bnod'; the nearest one is 'max_bond'",
        ),
        ("data = 3", "data must be a name or a path, got 3"),
        ('data = "digits"\nsweeps = 1.5', "argument --sweeps: invalid int value: '1.5'"),
        ('data = "digits"\nsweeps = true', "argument --sweeps: invalid int value: 'True'"),
        ('data = "digits"\n[max_bond]\nx = 1', "'max_bond' must be a value, not a table"),
        ("sweeps = 1", "DATA is required"),
        ("sweeps =", "not a TOML file"),
        ("\0", "not a TOML file"),
    ],
)
def test_a_wrong_settings_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    try:
        status: Any = main(["train", "--config", str(file), "--out", str(tmp_path / "new")])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.one_of(
            st.text(st.characters(codec="utf-8")),
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.lists(st.integers(0, 9)),
            st.none(),
        ),
    )
)
def test_settings_read_back_as_written(values: dict[str, Any]) -> None:
    text = settings_text(values, {"made_with": {"a-b": "1"}})
    read = tomllib.loads(text)
    assert read.pop("made_with") == {"a-b": "1"}
    assert read == {name: value for name, value in values.items() if value is not None}


def test_settings_of_numpys_types_read_back_as_pythons() -> None:
    values = {"a": np.int64(4), "b": np.float32(0.5), "c": np.arange(2), "d": [np.int64(1)]}
    read = tomllib.loads(settings_text(values | {"e": np.bool_(True)}, {}))
    assert read == {"a": 4, "b": 0.5, "c": [0, 1], "d": [1], "e": True}


def test_every_command_speaks_json(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def facts(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--json"]) == 0
        out: dict[str, Any] = json.loads(capsys.readouterr().out)  # one object, nothing else
        return out

    machine = BornMachine.load(run / "model.npz")
    test = load_dataset("digits").samples[1500:]
    trained = facts("train", "bars-and-stripes", "--sweeps", "1", "--out", str(tmp_path / "run"))
    assert trained == json.loads((tmp_path / "run" / "results.json").read_text())
    assert trained["floor"] == pytest.approx(np.log(30))
    scored = facts("score", str(run), "digits", "--rows", "1500:")
    assert scored["nll"] == pytest.approx(-machine.score(test))
    looked = facts("inspect", str(run))
    assert looked["chains"][0]["bond_dims"] == list(machine.model_.state.bond_dims)
    assert looked["chains"][0]["entanglement"] == pytest.approx(machine.entanglement().tolist())
    (row,) = facts("compare", str(run))["runs"]
    assert row["test"] == pytest.approx(-machine.score(test))
    drawn = facts("sample", str(run), "-n", "3", "--out", str(tmp_path / "s.npz"))
    assert drawn == {"samples": 3, "features": 64, "out": str(tmp_path / "s.npz")}
    rows = ["digits", "--rows", "0:2", "--out", str(tmp_path / "c.npz")]
    assert facts("complete", str(run), *rows)["known"] == 64


def test_results_hold_the_baselines(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    samples = load_dataset("digits").samples
    rows = BornMachine.load(run / "model.npz").validation_rows_
    training = np.delete(samples[:1500], rows, axis=0)
    for title, fit in (("independent", independent), ("chow_liu", chow_liu)):
        nll = -fit(training, (2,) * 64).log_likelihood(samples[1500:]).mean()
        assert results["baselines"][title]["test"] == pytest.approx(nll)
    assert f"| {results['baselines']['chow_liu']['test']:.3f} |" in (run / "summary.md").read_text()


def test_quiet_says_nothing_while_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "bars-and-stripes", "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("sweep", [None, 0])
def test_ctrl_c_names_resume_only_where_there_is_something_to_resume(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sweep: int | None,
) -> None:
    fit = BornMachine.fit

    def interrupted(self: BornMachine, *arguments: Any, **options: Any) -> Any:
        if sweep is None:
            raise KeyboardInterrupt

        def on_step(*_: object) -> None:
            raise KeyboardInterrupt

        return fit(self, *arguments, **{**options, "on_step": on_step})

    monkeypatch.setattr(BornMachine, "fit", interrupted)
    folder = tmp_path / "run"
    assert main(["train", "bars-and-stripes", "--out", str(folder)]) == 130
    error = capsys.readouterr().err
    assert ("resume" in error) == (sweep is not None) == (folder / "checkpoint.npz").exists()


def test_levels_beyond_memory_are_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = ["train", "bars-and-stripes", "--levels", "65536", "--out", str(folder)]
    assert main(arguments) == 2
    assert "two features of 65536 and 65536 values need" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("levels", [65_537, [2] * 15 + [2**31]], ids=["all", "one"])
def test_more_levels_than_65536_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], levels: int | list[int]
) -> None:
    samples = load_dataset("bars-and-stripes").samples
    with pytest.raises(tnkit.ArgumentError, match="levels must be at most 65536, got "):
        BornMachine(levels=levels).fit(samples)
    assert value_counts(65_536, samples) == (65_536,) * 16
    if isinstance(levels, int):
        arguments = ["train", "bars-and-stripes", "--levels", str(levels)]
        assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "levels must be at most 65536, got 65537" in line
        assert not (tmp_path / "run").exists()
