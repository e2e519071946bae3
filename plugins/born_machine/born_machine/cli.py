"""The command line: train | resume | mend | score | sample | complete | inspect | compare."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from born_machine import BornMachine
from born_machine.data import Dataset
from born_machine.fitting import chains_of
from born_machine.inputs import what_was_chosen
from born_machine.launch import LOST, launch, launched, processes_to_start
from born_machine.likelihood import standard_error
from born_machine.mending import without_correlators
from born_machine.options import MENDING, PARAMETERS, parse
from born_machine.progress import Progress
from born_machine.ranks import RankLostError, Ranks, joined
from born_machine.report import half_mask, model_facts, plain, read_results
from born_machine.run import (
    CHECKPOINT,
    SUMMARY,
    DataSource,
    find_model,
    open_run,
    resume_run,
    start_run,
)
from tnkit import ArgumentError, TnkitError, atomic_file

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0; 2 for bad input; 3 where another process of the same training was lost; 130 for Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    follows = launched()
    folder: Path | None = None
    try:
        options = parse(arguments)
        if options.command in ("train", "resume"):
            folder = options.out if options.command == "train" else options.run
            count = processes_to_start(options.processes)
            if count:
                return launch("born_machine.cli", arguments, count)
        command: Callable[[argparse.Namespace], int] = _COMMANDS[options.command]
        return command(options)
    except RankLostError as error:
        if not follows:  # else the one that started this one says it
            go_on = ""
            if folder is not None and (folder / CHECKPOINT).exists():
                go_on = f"; go on with: born-machine resume {folder}"
            print(f"born-machine: {error}{go_on}", file=sys.stderr)
        return LOST
    except (TnkitError, OSError, MemoryError) as error:
        print(f"born-machine: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("born-machine: stopped", file=sys.stderr)
        return 130


def _tell(options: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    """Print what was found: as JSON where asked for, else in words."""
    print(json.dumps(facts, allow_nan=False) if options.json else text)


def _source(options: argparse.Namespace) -> DataSource:
    return DataSource(
        options.data, options.key, options.threshold, options.image_shape, options.rows
    )


def _train(options: argparse.Namespace) -> int:
    for name, value in (("DATA", options.data), ("--out RUN", options.out)):
        if value is None:
            raise ArgumentError(f"train: {name} is required; see born-machine train --help")
    train = _source(options)
    test = None
    if options.test is not None or options.test_rows:
        test = DataSource(
            options.test or options.data,
            options.test_key or (options.key if options.test is None else None),
            options.threshold,
            options.image_shape,
            options.test_rows,
        )
    elif options.test_key is not None:
        raise ArgumentError("--test-key needs --test or --test-rows")
    names = set(PARAMETERS) - {"image_shape"}
    machine = BornMachine(**{name: getattr(options, name) for name in names})
    with joined() as ranks, _progress(options, machine, options.out, ranks) as progress:
        figures = start_run(
            options.out,
            machine,
            train,
            test,
            overwrite=options.overwrite,
            ranks=ranks,
            on_step=progress.step,
            on_sweep=progress.sweep,
            on_trial=progress.trial,
        )
    if ranks.rank == 0:
        _tell_run(options, options.out, figures)
    return 0


def _progress(
    options: argparse.Namespace, machine: BornMachine, folder: Path, ranks: Ranks
) -> Progress:
    starter = "torchrun" if options.processes is None else "--processes"
    bonds: Any = machine.max_bond  # a number or several: the command line knows no functions
    size = 2 * int(np.max(bonds))  # of matrices, with two values a site
    about = what_was_chosen(machine.device, size, ranks, starter)
    quiet = options.quiet or ranks.rank > 0
    saved = options.command == "resume" and ranks.rank == 0
    machines = machine.n_machines
    return Progress(machine.sweeps, quiet, folder, machines=machines, about=about, saved=saved)


def _resume(options: argparse.Namespace) -> int:
    with joined() as ranks:
        machine = ranks.first(lambda: open_run(options.run)).machine
        with _progress(options, machine, options.run, ranks) as progress:
            figures = resume_run(
                options.run,
                ranks=ranks,
                on_step=progress.step,
                on_sweep=progress.sweep,
                on_trial=progress.trial,
            )
    if ranks.rank == 0:
        _tell_run(options, options.run, figures)
    return 0


def _tell_run(options: argparse.Namespace, folder: Path, figures: dict[str, Any]) -> None:
    text = (folder / SUMMARY).read_text(encoding="utf-8")
    _tell(options, figures, f"{text}\nWritten to {folder}")


def _score(options: argparse.Namespace) -> int:
    machine, dataset = _model_and_data(options)
    logs = machine.score_samples(dataset.samples)
    impossible = int(np.isneginf(logs).sum())
    nll, error = -float(logs.mean()), standard_error(logs)
    if options.out is not None:
        _write_arrays(options.out, {"log_likelihood": logs})
    _tell(
        options,
        {
            "nll": plain(nll),
            "standard_error": plain(error),
            "samples": len(logs),
            "impossible": impossible,
        },
        f"NLL {nll:.4f} +- {error:.4f} nats per sample over {len(logs)} samples"
        + (f" ({impossible} of them impossible under the model)" if impossible else ""),
    )
    return 0


def _sample(options: argparse.Namespace) -> int:
    machine = _loaded(options.run)
    if options.n < 1:
        raise ArgumentError(f"-n must be at least 1, got {options.n}")
    _check_out(options.out)
    samples = machine.sample(options.n, random_state=options.seed)
    if options.out.suffix == ".png":
        from born_machine.plots import sample_sheet, save_figure

        sheet = sample_sheet({"drawn by the model": samples}, machine.image_shape_)
        save_figure(sheet, options.out)
    else:
        _write_arrays(options.out, {"samples": samples})
    facts = {"samples": options.n, "features": samples.shape[1], "out": str(options.out)}
    _tell(options, facts, f"{options.n} samples written to {options.out}")
    return 0


def _complete(options: argparse.Namespace) -> int:
    machine, dataset = _model_and_data(options)
    _check_out(options.out)
    if options.known is None:
        known = half_mask(machine.image_shape_, machine.n_features_in_, options.erase)
    else:
        try:
            known = np.load(options.known, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ArgumentError(f"{options.known}: not a readable .npy mask ({error})") from None
    samples = machine.complete(dataset.samples, known, random_state=options.seed)
    mask = known.reshape(-1, samples.shape[1]) & (dataset.samples >= 0)
    if options.out.suffix == ".png":
        from born_machine.plots import completion_sheet, save_figure

        shown = slice(0, 20)
        sheet = completion_sheet(
            dataset.samples[shown], mask[shown], [samples[shown]], machine.image_shape_
        )
        save_figure(sheet, options.out)
    else:
        _write_arrays(options.out, {"samples": samples, "known": mask})
    facts = {"samples": len(samples), "known": int(mask.sum()), "out": str(options.out)}
    _tell(options, facts, f"{len(samples)} completed samples written to {options.out}")
    return 0


def _mend(options: argparse.Namespace) -> int:
    machine, dataset = _model_and_data(options)
    if options.out.suffix != ".npz":
        raise ArgumentError(f"--out must end in .npz, got {options.out}")
    _check_out(options.out)
    validation = None
    if options.validation is not None or options.validation_rows:
        held_out = argparse.Namespace(**vars(options))
        held_out.data = options.validation or options.data
        held_out.key = options.key if options.validation is None else None
        held_out.rows = options.validation_rows
        validation = _model_and_data(held_out)[1].samples

    def tell(number: int, epoch: int, train: float, held: float | None) -> None:
        if not options.quiet:
            after = "" if held is None else f", validation {held:.3f}"
            line = f"machine {number + 1}  epoch {epoch:>3}  NLL train {train:.3f}{after} nats"
            print(line, file=sys.stderr)

    how = {name: getattr(options, name) for name in MENDING}
    better = machine.correlated(
        dataset.samples, validation=validation, random_state=options.seed, on_epoch=tell, **how
    )
    better.save(options.out)
    samples = dataset.samples if validation is None else validation
    before, after = -machine.score(samples), -better.score(samples)
    part = "train" if validation is None else "validation"
    facts = {"part": part, "nll_before": plain(before), "nll": plain(after)}
    facts |= {"samples": len(samples), "out": str(options.out)}
    text = f"NLL {part} {after:.4f} nats per sample, before {before:.4f}; written to {options.out}"
    _tell(options, facts, text)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    machine = _loaded(options.run)
    _check_picture(options.out)
    plain_model = without_correlators(machine.model_)
    chains = chains_of(plain_model)
    entropy, error = machine.entropy(random_state=0)
    kept = machine.history_[machine.best_sweep_]
    facts = model_facts(machine) | {
        "entropy": entropy,
        "entropy_standard_error": error,
        "nll_train": plain(kept.nll_train),
        "nll_validation": None if kept.nll_validation is None else plain(kept.nll_validation),
        "kept_sweep": kept.sweep,
        "chains": [
            {
                "bond_dims": list(chain.bond_dims),
                "entanglement": chain.entanglement().tolist(),
                "order": chain.order.tolist(),
            }
            for chain in chains
        ],
    }
    lines = [
        f"features        {facts['features']}, values {', '.join(map(str, facts['values']))}",
        f"site order      {facts['order']}",
        f"numbers         {facts['numbers']:,}",
    ]
    for number, chain in enumerate(facts["chains"]):
        if len(chains) > 1:
            lines.append(f"machine         {number + 1} of {len(chains)}")
        bonds, entanglement = chain["bond_dims"], np.array(chain["entanglement"])
        if bonds:
            place, strongest = int(np.argmax(bonds)), int(np.argmax(entanglement))
            lines += [
                f"bond dimension  {max(bonds)} at bond {place}, {np.mean(bonds):.1f} on average",
                f"entanglement    {entanglement.max():.3f} nats at bond {strongest}",
            ]
    held_out = f", validation {kept.nll_validation:.3f}" if kept.nll_validation is not None else ""
    then = "" if plain_model is machine.model_ else ", before correlators"
    lines += [
        f"entropy of p    {entropy:.3f} +- {error:.3f} nats, from 1,000 draws",
        f"NLL             train {kept.nll_train:.3f}{held_out} nats, sweep {kept.sweep}{then}",
    ]
    if options.out is not None:
        from born_machine.plots import chain_profile, save_figure

        bonds, entanglement = chains[0].bond_dims, np.array(facts["chains"][0]["entanglement"])
        save_figure(
            chain_profile(bonds, entanglement, chains[0].order, machine.image_shape_), options.out
        )
    _tell(options, facts, "\n".join(lines))
    return 0


def _compare(options: argparse.Namespace) -> int:
    names = [str(run) for run in options.runs]
    machines = [_loaded(run) for run in options.runs]
    _check_picture(options.out)
    rows = []
    for path, name, machine in zip(options.runs, names, machines, strict=True):
        kept, history = machine.history_[machine.best_sweep_], machine.history_
        results = read_results(path)
        rows.append(
            {
                "run": name,
                "train": plain(kept.nll_train),
                "validation": None if kept.nll_validation is None else plain(kept.nll_validation),
                "test": results.get("nll", {}).get("test", {}).get("mean"),
                "test_chow_liu": results.get("baselines", {}).get("chow_liu", {}).get("test"),
                "max_bond": kept.max_bond,
                "numbers": machine.model_.parameters,
                "sweeps": len(history) - 1,
                "seconds": sum(record.seconds for record in history),
            }
        )
    if options.out is not None:
        from born_machine.plots import nll_comparison, save_figure

        histories = {n: m.history_ for n, m in zip(names, machines, strict=True)}
        tests = {row["run"]: row["test"] for row in rows if row["test"] is not None}
        save_figure(nll_comparison(histories, tests), options.out)
    _tell(options, {"runs": rows}, _table(rows))
    return 0


def _table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text in columns, NLLs in nats per sample."""
    cells = [["run", "train", "validation", "test", "Chow-Liu", "bond", "numbers", "sweeps", "s"]]
    for row in rows:
        nlls = [row[name] for name in ("train", "validation", "test", "test_chow_liu")]
        cells.append(
            [
                row["run"],
                *("-" if value is None else f"{value:.3f}" for value in nlls),
                str(row["max_bond"]),
                f"{row['numbers']:,}",
                str(row["sweeps"]),
                f"{row['seconds']:.1f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, *others in cells:
        columns = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join((name.ljust(widths[0]), *columns)))
    return "\n".join(lines)


def _check_picture(path: Path | None) -> None:
    if path is not None and path.suffix != ".png":
        raise ArgumentError(f"--out must end in .png, got {path}")


def _loaded(run: Path) -> BornMachine:
    """Load the model of a run, a line on stderr for what it warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        machine = BornMachine.load(find_model(run))
    for warning in told:
        print(f"born-machine: {warning.message}", file=sys.stderr)
    return machine


def _model_and_data(options: argparse.Namespace) -> tuple[BornMachine, Dataset]:
    """Load the model, and the data in the way the run's own training data was loaded."""
    machine = _loaded(options.run)
    threshold = options.threshold
    if options.run.is_dir() and threshold is None:
        threshold = open_run(options.run).train.threshold
    source = DataSource(options.data, options.key, threshold, options.image_shape, options.rows)
    return machine, source.load(machine.missing)


def _check_out(path: Path) -> None:
    if path.suffix not in (".npz", ".png"):
        raise ArgumentError(f"--out must end in .npz or .png, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_file(path) as file:
        np.savez(file, **arrays)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": _train,
    "resume": _resume,
    "mend": _mend,
    "score": _score,
    "sample": _sample,
    "complete": _complete,
    "inspect": _inspect,
    "compare": _compare,
}


if __name__ == "__main__":
    sys.exit(main())
