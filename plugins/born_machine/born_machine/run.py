"""A training run in a folder: settings, checkpoint, model, pictures, summary; and resuming it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from born_machine.checkpoint import AnyCheckpoint, SweepRecord, load_checkpoint, save_checkpoint
from born_machine.data import Dataset, Samples, load_dataset, take_rows
from born_machine.estimator import BornMachine
from born_machine.likelihood import independent_nll, standard_error
from born_machine.plots import completion_sheet, nll_curve, sample_sheet, save_figure
from tnkit import ArgumentError, FormatError, StepInfo, atomic_file

__all__ = ["DataSource", "Run", "find_model", "half_mask", "open_run", "resume_run", "start_run"]

MODEL, CHECKPOINT, SETTINGS = "model.npz", "checkpoint.npz", "settings.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where samples come from, as written into a run: enough to load them again.

    rows: "A:B" of the file or built-in set; empty for all.
    """

    source: str
    key: str | None = None
    threshold: float | None = None
    image_shape: tuple[int, int] | None = None
    rows: str = ""

    def load(self) -> Dataset:
        """Return the data set; raises what `load_dataset` raises."""
        dataset = load_dataset(
            self.source, key=self.key, threshold=self.threshold, image_shape=self.image_shape
        )
        return take_rows(dataset, parse_rows(self.rows)) if self.rows else dataset


def parse_rows(text: str) -> slice:
    """Return the slice that "A:B", "A:" or ":B" stands for; `ArgumentError` otherwise."""
    start, colon, stop = text.partition(":")
    if colon and all(part == "" or part.isdigit() for part in (start, stop)):
        return slice(int(start) if start else None, int(stop) if stop else None)
    raise ArgumentError(f"rows must look like 0:1000, got {text!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run folder and what it was started with."""

    folder: Path
    machine: BornMachine
    train: DataSource
    test: DataSource | None


def start_run(
    folder: Path,
    machine: BornMachine,
    train: DataSource,
    test: DataSource | None,
    *,
    overwrite: bool = False,
    on_step: Callable[[int, StepInfo], None] | None = None,
    on_sweep: Callable[[AnyCheckpoint], None] | None = None,
) -> str:
    """Train in a new folder and return the summary.

    Data, parameters and folder are checked before training starts; a folder that holds a run is
    refused unless `overwrite`. A checkpoint is written after every sweep.
    """
    for name in (MODEL, CHECKPOINT, SETTINGS):
        if (folder / name).exists() and not overwrite:
            raise ArgumentError(
                f"{folder} already holds a run; choose another folder, pass --overwrite, "
                f"or go on with: born-machine resume {folder}"
            )
    dataset, test_set = train.load(), None if test is None else test.load()
    if test is None and dataset.standard_rows is not None:  # the set comes with a split
        cut = dataset.standard_rows
        train = _with_rows(train, f"0:{cut}")
        test = _with_rows(train, f"{cut}:{len(dataset.samples)}")
        test_set = take_rows(dataset, slice(cut, None))
        dataset = take_rows(dataset, slice(0, cut))
    machine = machine.set_params(image_shape=dataset.image_shape)
    run = Run(folder, machine, train, test)
    return _train(run, dataset, test_set, None, on_step, on_sweep)


def _with_rows(source: DataSource, rows: str) -> DataSource:
    return DataSource(source.source, source.key, source.threshold, source.image_shape, rows)


def resume_run(
    folder: Path,
    *,
    on_step: Callable[[int, StepInfo], None] | None = None,
    on_sweep: Callable[[AnyCheckpoint], None] | None = None,
) -> str:
    """Go on with an interrupted run exactly from its last checkpoint; return the summary."""
    if (folder / MODEL).exists() and not (folder / CHECKPOINT).exists():
        raise ArgumentError(f"{folder} is a finished run; there is nothing to resume")
    run = open_run(folder)
    checkpoint, about = load_checkpoint(folder / CHECKPOINT)
    dataset = run.train.load()
    if about.get("data_sha256") != _fingerprint(dataset.samples):
        raise FormatError(
            f"{run.train.source} no longer holds the samples this run was started with; "
            "restore the file, or start a new run"
        )
    test_set = None if run.test is None else run.test.load()
    return _train(run, dataset, test_set, checkpoint, on_step, on_sweep)


def open_run(folder: Path) -> Run:
    """Read what a run was started with. Raises `FormatError` or OSError."""
    path = folder / SETTINGS
    if not folder.is_dir() or not path.exists():
        raise FileNotFoundError(f"{folder} is not a run folder (no {SETTINGS} in it)")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if settings["version"] != _VERSION:
            raise ValueError(f"version {settings['version']}, this one reads {_VERSION}")
        parameters = _with_tuples(settings["parameters"])
        machine = BornMachine(**parameters)
        train = DataSource(**_with_tuples(settings["train"]))
        test = settings["test"] and DataSource(**_with_tuples(settings["test"]))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a run's settings ({error})") from None
    return Run(folder, machine, train, test or None)


def _with_tuples(mapping: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in mapping.items()}


def _fingerprint(samples: Samples) -> str:
    return hashlib.sha256(repr(samples.shape).encode() + samples.tobytes()).hexdigest()


def _train(
    run: Run,
    dataset: Dataset,
    test_set: Dataset | None,
    resume: AnyCheckpoint | None,
    on_step: Callable[[int, StepInfo], None] | None,
    on_sweep: Callable[[AnyCheckpoint], None] | None,
) -> str:
    about = {"data_sha256": _fingerprint(dataset.samples)}

    def keep(checkpoint: AnyCheckpoint) -> None:
        if len(checkpoint.history) == 1:  # everything has been checked, nothing trained yet
            run.folder.mkdir(parents=True, exist_ok=True)
            # an older run's checkpoint must never meet the new settings
            (run.folder / CHECKPOINT).unlink(missing_ok=True)
            _write_settings(run)
            (run.folder / MODEL).unlink(missing_ok=True)
        save_checkpoint(run.folder / CHECKPOINT, checkpoint, about)
        if on_sweep is not None:
            on_sweep(checkpoint)

    if test_set is not None and test_set.samples.shape[1] != dataset.samples.shape[1]:
        raise ArgumentError(
            f"the test samples have {test_set.samples.shape[1]} features, "
            f"the training samples {dataset.samples.shape[1]}"
        )
    machine = run.machine.fit(dataset.samples, resume=resume, on_step=on_step, on_sweep=keep)
    machine.save(run.folder / MODEL)
    _write_history(run.folder, machine.history_)
    text = _report(run, machine, dataset, test_set)
    (run.folder / CHECKPOINT).unlink(missing_ok=True)
    for path in run.folder.glob(".*~"):  # what writes cut short by a kill have left
        path.unlink()
    return text


def _write_settings(run: Run) -> None:
    settings = {
        "version": _VERSION,
        "train": asdict(run.train),
        "test": None if run.test is None else asdict(run.test),
        "parameters": run.machine.get_params(),
        "versions": {name: version(name) for name in ("tnkit", "tnkit-born-machine", "numpy")},
        "python": platform.python_version(),
    }
    with atomic_file(run.folder / SETTINGS) as file:
        file.write(json.dumps(settings, indent=1).encode())


def _write_history(folder: Path, history: tuple[SweepRecord, ...]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    names = [field.name for field in fields(SweepRecord)]
    writer.writerow(names)
    writer.writerows([getattr(record, name) for name in names] for record in history)
    with atomic_file(folder / "history.csv") as file:
        file.write(text.getvalue().encode())


def half_mask(image_shape: tuple[int, int] | None, features: int, erase: str) -> Any:
    """Return the boolean mask (feature,) of what stays known when one half is erased.

    erase: "bottom", "top", "left" or "right" of an image; of flat samples "right" and "bottom"
    erase the second half of the features, the others the first.
    """
    height, width = image_shape or (1, features)
    known = np.ones((height, width), dtype=bool)
    if image_shape is None:
        erase = {"bottom": "right", "top": "left"}.get(erase, erase)
    half = {
        "bottom": np.s_[height // 2 :, :],
        "top": np.s_[: (height + 1) // 2, :],
        "left": np.s_[:, : (width + 1) // 2],
        "right": np.s_[:, width // 2 :],
    }
    if erase not in half:
        raise ArgumentError(f"erase must be one of {', '.join(half)}, got {erase!r}")
    known[half[erase]] = False
    return known.ravel()


def _report(run: Run, machine: BornMachine, dataset: Dataset, test_set: Dataset | None) -> str:
    """Write the pictures and the summary; return the summary."""
    folder, shape = run.folder, dataset.image_shape
    training = np.delete(dataset.samples, machine.validation_rows_, axis=0)
    parts = {"train": training}
    if len(machine.validation_rows_):
        parts["validation"] = dataset.samples[machine.validation_rows_]
    if test_set is not None:
        parts["test"] = test_set.samples
    scores = {name: machine.score_samples(samples) for name, samples in parts.items()}
    unseen = parts.get("test", parts.get("validation", training))
    last = list(parts)[-1]
    baseline = independent_nll(training, unseen, machine.model_.dims)
    floor = _empirical_entropy(training)

    save_figure(sample_sheet({"data": dataset.samples[:100]}, shape), folder / "data.png")
    drawn = machine.sample(50)
    generated = {"real": unseen[:50], "drawn by the model": drawn}
    save_figure(sample_sheet(generated, shape), folder / "generated.png")
    original = unseen[:10]
    known = np.broadcast_to(half_mask(shape, original.shape[1], "bottom"), original.shape)
    draws = [machine.complete(original, known, random_state=seed) for seed in range(3)]
    save_figure(completion_sheet(original, known, draws, shape), folder / "completed.png")
    lines = {f"independent features ({last})": baseline}
    if floor > 0.5 * min(record.nll_train for record in machine.history_):
        lines["floor of train"] = floor
    curve = nll_curve(
        machine.history_,
        best_sweep=machine.best_sweep_,
        lines=lines,
        test=-scores["test"].mean() if "test" in scores else None,
    )
    save_figure(curve, folder / "nll.png")
    text = _summary(run, machine, dataset, scores, {last: baseline}, floor)
    with atomic_file(folder / "summary.md") as file:
        file.write(text.encode())
    return text


def _empirical_entropy(samples: Samples) -> float:
    """Return the entropy of the samples' own frequencies: no model's train NLL is lower."""
    _, counts = np.unique(samples, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _summary(
    run: Run,
    machine: BornMachine,
    dataset: Dataset,
    scores: dict[str, Any],
    baseline: dict[str, float],
    floor: float,
) -> str:
    kept = machine.history_[machine.best_sweep_]
    sweeps = len(machine.history_) - 1
    bonds = machine.model_.bond_dims
    shape = dataset.image_shape
    what = f"{shape[0]} x {shape[1]} images" if shape else f"{dataset.samples.shape[1]} features"
    order = machine.order_name_ + (" (auto)" if machine.order == "auto" else "")
    shifts = f"shifts by up to {machine.shift_reach_} pixels" if machine.shift_reach_ else "none"
    seconds = sum(record.seconds for record in machine.history_)
    rows = [
        f"| {name} | {len(s)} | {-s.mean():.3f} | {standard_error(s):.3f} | "
        + (f"{baseline[name]:.3f} |" if name in baseline else " |")
        for name, s in scores.items()
    ]
    watched = "validation" if "validation" in scores else "train"
    settings = (
        f"max_bond {machine.max_bond}, value_cutoff {machine.value_cutoff:g}, learning rate "
        f"{machine.learning_rate:g}, {machine.dtype}, seed {machine.random_state}"
    )
    return "\n".join(
        [
            f"# Born machine on {dataset.name}",
            "",
            f"- data: {run.train.source} {run.train.rows or 'all rows'}, {what}, {dataset.note}",
            f"- site order: {order}; augmentation: {shifts}; device: {machine.device_}",
            f"- training: {sweeps} sweeps in {seconds:.1f} s ({settings});",
            f"  the state after sweep {kept.sweep} is kept (best {watched} NLL)",
            f"- model: bonds up to {max(bonds, default=1)}, {np.mean(bonds or [1]):.1f} on "
            f"average, {machine.model_.parameters:,} numbers",
            "",
            "NLL in nats per sample (lower is better), exact, on the samples as given:",
            "",
            "| samples | number | NLL | standard error | independent features |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"No model's train NLL is below {floor:.3f} (the entropy of the training samples).",
            "",
            f"Files: `{MODEL}` (the model), `nll.png` and `history.csv` (NLL and bonds by sweep),",
            "`data.png`, `generated.png` (drawn beside real), `completed.png` (half redrawn),",
            f"`{SETTINGS}` (how to repeat this).",
            "",
        ]
    )


def find_model(path: Path) -> Path:
    """Return the model file of a run folder, or `path` itself where it is a file."""
    if path.is_dir():
        if not (path / MODEL).exists():
            hint = (
                f"; go on with: born-machine resume {path}" if (path / CHECKPOINT).exists() else ""
            )
            raise FileNotFoundError(f"{path} holds no {MODEL}{hint}")
        return path / MODEL
    if not path.exists():
        raise FileNotFoundError(f"no run folder or model file {os.fspath(path)}")
    return path
