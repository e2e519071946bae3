"""A training run in a folder: settings, checkpoint, model, pictures, summary; and resuming it."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from born_machine.checkpoint import (
    AnyCheckpoint,
    SweepRecord,
    load_checkpoint,
    members_of,
    save_checkpoint,
)
from born_machine.config import read_settings, settings_text
from born_machine.data import Dataset, Samples, check_samples, load_dataset, take_rows
from born_machine.devices import device_memory
from born_machine.estimator import BornMachine
from born_machine.fitting import chains_of
from born_machine.inputs import value_counts
from born_machine.ranks import ALONE, Ranks
from born_machine.report import RESULTS, measure, summary, write_report
from born_machine.trials import OnTrial
from tnkit import (
    MPS,
    ArgumentError,
    FormatError,
    MemoryLimitError,
    StepInfo,
    atomic_file,
    sample,
)

__all__ = [
    "CHECKPOINT",
    "MADE_WITH",
    "MODEL",
    "SOURCE",
    "SUMMARY",
    "DataSource",
    "Run",
    "find_model",
    "open_run",
    "resume_run",
    "start_run",
]

MODEL, CHECKPOINT, SETTINGS, SUMMARY = "model.npz", "checkpoint.npz", "settings.toml", "summary.md"
HISTORY = "history.csv"
_PICTURES = ("nll", "data", "generated", "progress", "completed", "chain", "information")
_OUTPUTS = (CHECKPOINT, MODEL, RESULTS, SUMMARY, HISTORY, *(f"{name}.png" for name in _PICTURES))
MADE_WITH = "made_with"
_STRIP = 10  # samples drawn at a moment of training


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where samples come from, as written into a run: enough to load them again.

    threshold: as `load_dataset` takes it; None, where it goes by the values, in none that a run
    has written. rows: "A:B" of the file or built-in set; empty for all.
    """

    source: str
    key: str | None = None
    threshold: float | str | None = None
    image_shape: tuple[int, int] | None = None
    rows: str = ""

    def load(self, missing: str = "raise") -> Dataset:
        """Return the data set; raises what `load_dataset` raises."""
        dataset = load_dataset(
            self.source,
            key=self.key,
            threshold=self.threshold,
            image_shape=self.image_shape,
            missing=missing,
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
    ranks: Ranks = ALONE,
    on_step: Callable[[int, StepInfo], None] | None = None,
    on_sweep: Callable[[AnyCheckpoint], None] | None = None,
    on_trial: OnTrial | None = None,
) -> dict[str, Any]:
    """Train in a new folder and return the figures it reached, as `measure` gives them.

    Data, parameters and folder are checked before training starts; a folder that holds a run is
    refused unless `overwrite`. The threshold found for the training samples is kept with the run,
    and cuts the test samples too. A checkpoint is written after every sweep. ranks: the processes
    that make this call together; process 0 alone reads and writes the folder and returns figures.
    """

    def check() -> None:
        for name in (MODEL, CHECKPOINT, SETTINGS):
            if (folder / name).exists() and not overwrite:
                raise ArgumentError(
                    f"{folder} already holds a run; choose another folder, pass --overwrite, "
                    f"or go on with: born-machine resume {folder}"
                )

    ranks.first(check)
    dataset = train.load(machine.missing)
    train = replace(train, threshold=dataset.threshold)
    test_set = _load_test(test, dataset, machine.missing)
    if test is None and dataset.standard_rows is not None:  # the set comes with a split
        cut = dataset.standard_rows
        test = replace(train, rows=f"{cut}:{len(dataset.samples)}")
        train = replace(train, rows=f"0:{cut}")
        test_set = take_rows(dataset, slice(cut, None))
        dataset = take_rows(dataset, slice(0, cut))
    machine = machine.set_params(image_shape=dataset.image_shape)
    run = Run(folder, machine, train, test)
    return _train(run, dataset, test_set, None, {}, ranks, on_step, on_sweep, on_trial)


def _load_test(test: DataSource | None, train: Dataset, missing: str) -> Dataset | None:
    """Return the test set, made integers as the training set was."""
    if test is None:
        return None
    return replace(test, threshold=train.threshold).load(missing)


def resume_run(
    folder: Path,
    *,
    ranks: Ranks = ALONE,
    on_step: Callable[[int, StepInfo], None] | None = None,
    on_sweep: Callable[[AnyCheckpoint], None] | None = None,
    on_trial: OnTrial | None = None,
) -> dict[str, Any]:
    """Go on with an interrupted run exactly from its last checkpoint; return the figures.

    ranks: as in `start_run`; on another number of processes sums round differently.
    """

    def find() -> tuple[Run, AnyCheckpoint, dict[str, Any]]:
        if (folder / MODEL).exists() and not (folder / CHECKPOINT).exists():
            raise ArgumentError(f"{folder} is a finished run; there is nothing to resume")
        return open_run(folder), *load_checkpoint(folder / CHECKPOINT)

    run, checkpoint, about = ranks.first(find)
    dataset = run.train.load(run.machine.missing)
    if about.get("data_sha256") != _fingerprint(dataset.samples):
        raise FormatError(
            f"{run.train.source} no longer holds the samples this run was started with; "
            "restore the file, or start a new run"
        )
    test_set = _load_test(run.test, dataset, run.machine.missing)
    strip = {int(sweep): np.asarray(drawn) for sweep, drawn in about.get("strip", {}).items()}
    return _train(run, dataset, test_set, checkpoint, strip, ranks, on_step, on_sweep, on_trial)


def open_run(folder: Path) -> Run:
    """Read what a run was started with. Raises `FormatError` or OSError."""
    path = folder / SETTINGS
    if not folder.is_dir() or not path.exists():
        raise FileNotFoundError(f"{folder} is not a run folder (no {SETTINGS} in it)")
    defaults = BornMachine().get_params()
    try:
        values = read_settings(path, {*SOURCE, "seed", *defaults}, ignored=MADE_WITH)
        parameters = {name: values[name] for name in defaults if name in values}
        for name in ("image_shape", "levels"):
            if isinstance(parameters.get(name), list):
                parameters[name] = tuple(parameters[name])
        machine = BornMachine(**parameters).set_params(random_state=values.get("seed"))
        shared = (values.get("threshold"), machine.image_shape)
        train = DataSource(values["data"], values.get("key"), *shared, values.get("rows", ""))
        test = None
        if "test" in values:
            rows = values.get("test_rows", "")
            test = DataSource(values["test"], values.get("test_key"), *shared, rows)
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a run's settings ({error})") from None
    return Run(folder, machine, train, test)


SOURCE = ("data", "key", "rows", "threshold", "test", "test_key", "test_rows")
"""The settings that say where samples come from; the others are BornMachine's parameters."""


def source_settings(train: DataSource, test: DataSource | None) -> dict[str, Any]:
    """Return a run's sources as settings; what is not needed is None."""
    settings = {
        "data": train.source,
        "key": train.key,
        "rows": train.rows or None,
        "threshold": train.threshold,
    }
    if test is not None:
        settings |= {"test": test.source, "test_key": test.key, "test_rows": test.rows or None}
    return settings


def _fingerprint(samples: Samples) -> str:
    return hashlib.sha256(repr(samples.shape).encode() + samples.tobytes()).hexdigest()


def _train(
    run: Run,
    dataset: Dataset,
    test_set: Dataset | None,
    resume: AnyCheckpoint | None,
    strip: dict[int, Samples],
    ranks: Ranks,
    on_step: Callable[[int, StepInfo], None] | None,
    on_sweep: Callable[[AnyCheckpoint], None] | None,
    on_trial: OnTrial | None,
) -> dict[str, Any]:
    fingerprint = _fingerprint(dataset.samples)
    if ranks.first(lambda: fingerprint) != fingerprint:
        raise ArgumentError(
            f"process {ranks.rank} found other samples in {run.train.source} than process 0; "
            "every machine needs the same file"
        )

    dims = value_counts(run.machine.levels, dataset.samples)
    if test_set is not None:
        _check_test(test_set, dims)

    def keep(checkpoint: AnyCheckpoint) -> None:
        sweep = len(checkpoint.history) - 1
        state = members_of(checkpoint)[0].state
        if sweep == 0:  # everything has been checked, nothing trained yet
            _refuse_too_large(dims, state)
            run.folder.mkdir(parents=True, exist_ok=True)
            for name in _OUTPUTS:  # an older run's must never meet the new settings
                (run.folder / name).unlink(missing_ok=True)
            _write_settings(run)
        elif sweep & (sweep - 1) == 0:  # sweeps 1, 2, 4, 8, ...: the picture of progress
            strip[sweep] = sample(state, _STRIP, seed=sweep)
        about = {
            "data_sha256": fingerprint,
            "strip": {str(number): drawn.tolist() for number, drawn in strip.items()},
        }
        save_checkpoint(run.folder / CHECKPOINT, checkpoint, about)
        if on_sweep is not None:
            on_sweep(checkpoint)

    machine = run.machine.fit(
        dataset.samples,
        resume=resume,
        ranks=ranks,
        on_step=on_step,
        on_sweep=keep if ranks.rank == 0 else None,
        on_trial=on_trial,
    )
    if ranks.rank > 0:
        return {}
    machine.save(run.folder / MODEL)
    _write_history(run.folder, machine.history_)
    site = np.argsort(chains_of(machine.model_)[0].order)  # of each feature
    rows = {number: drawn[:, site] for number, drawn in strip.items()}
    figures = _report(run, machine, dataset, test_set, rows)
    (run.folder / CHECKPOINT).unlink(missing_ok=True)
    for name in (SETTINGS, *_OUTPUTS):
        for path in run.folder.glob(
            f".{name}.*~"
        ):  # left by `atomic_file` where a kill cut it short
            path.unlink()
    return figures


def _check_test(test_set: Dataset, dims: tuple[int, ...]) -> None:
    if test_set.samples.shape[1] != len(dims):
        raise ArgumentError(
            f"the test samples have {test_set.samples.shape[1]} features, "
            f"the training samples {len(dims)}"
        )
    try:
        check_samples(np.maximum(test_set.samples, 0), dims=dims)
    except ArgumentError as error:
        raise ArgumentError(
            f"the test samples hold what no training sample does ({error}); allow more values "
            "with levels, or test on others"
        ) from None


def _refuse_too_large(dims: tuple[int, ...], state: MPS) -> None:
    """Raise `MemoryLimitError` where even the first step needs more memory than there is."""
    pairs = sorted(dims)[-2:]
    inner = min(2, max(state.bond_dims, default=1))
    needed = 2 * state.arrays[0].itemsize * math.prod(pairs) * inner**2  # a block, its gradient
    there = device_memory()
    if needed > there:
        raise MemoryLimitError(
            f"two features of {' and '.join(map(str, pairs))} values need {needed:.2g} bytes "
            f"at bond {inner}, this machine has {there:.2g}; merge values into fewer levels"
        )


def _write_settings(run: Run) -> None:
    values = source_settings(run.train, run.test) | run.machine.get_params()
    values["seed"] = values.pop("random_state")
    packages = ("tnkit", "tnkit-born-machine", "numpy")
    made_with = {"python": platform.python_version()} | {name: version(name) for name in packages}
    with atomic_file(run.folder / SETTINGS) as file:
        file.write(settings_text(values, {MADE_WITH: made_with}).encode())


def _write_history(folder: Path, history: tuple[SweepRecord, ...]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    names = [field.name for field in fields(SweepRecord)]
    writer.writerow(names)
    writer.writerows([getattr(record, name) for name in names] for record in history)
    with atomic_file(folder / HISTORY) as file:
        file.write(text.getvalue().encode())


def _report(
    run: Run,
    machine: BornMachine,
    dataset: Dataset,
    test_set: Dataset | None,
    strip: Mapping[int, Samples],
) -> dict[str, Any]:
    """Write the pictures, the figures and the summary; return the figures."""
    folder, shape = run.folder, dataset.image_shape
    parts = {"train": np.delete(dataset.samples, machine.validation_rows_, axis=0)}
    if len(machine.validation_rows_):
        parts["validation"] = dataset.samples[machine.validation_rows_]
    if test_set is not None:
        parts["test"] = test_set.samples
    figures = {"run": str(folder), "data": dataset.name} | measure(machine, parts)
    write_report(folder, machine, parts, figures, strip)
    what = f"{shape[0]} x {shape[1]} images" if shape else f"{dataset.samples.shape[1]} features"
    data = f"{run.train.source} {run.train.rows or 'all rows'}, {what}, {dataset.note}"
    title = f"# Born machine on {dataset.name}\n\n"
    text = title + summary(machine, figures, data, _FILES)
    with atomic_file(folder / SUMMARY) as file:
        file.write(text.encode())
    return figures


_FILES = (
    f"`{MODEL}` (the model)",
    f"`{RESULTS}` (these figures)",
    f"`nll.png` and `{HISTORY}` (NLL and bonds by sweep)",
    "`data.png`",
    "`generated.png` (drawn beside real)",
    "`progress.png` (drawn during training)",
    "`completed.png` (half redrawn)",
    "`chain.png` (bonds and entanglement)",
    "`information.png` (mutual information, model beside data)",
    f"`{SETTINGS}` (repeat this: `born-machine train --config {SETTINGS} --out NEW`)",
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
