"""The command line: born-machine train | resume | score | sample | complete | inspect | compare."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from born_machine import BornMachine
from born_machine.checkpoint import AnyCheckpoint, members_of
from born_machine.config import read_settings
from born_machine.data import BUILT_IN, Dataset
from born_machine.estimator import AUGMENT
from born_machine.fitting import chains_of
from born_machine.inputs import MISSING
from born_machine.likelihood import standard_error
from born_machine.mixing import WEIGHTS
from born_machine.ordering import ORDERS
from born_machine.report import half_mask, model_facts, plain, read_results
from born_machine.run import (
    MADE_WITH,
    SOURCE,
    SUMMARY,
    DataSource,
    find_model,
    open_run,
    resume_run,
    start_run,
)
from born_machine.settings import METHODS
from tnkit import ArgumentError, StepInfo, TnkitError, atomic_file

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    try:
        if getattr(options, "config", None) is not None:
            settings = _read_config(options.config)
            # a file is flags that stand before those of the command line, which then win
            options = _parser().parse_args([given[0], *_flags(settings), *given[1:]])
            options.data = options.data or settings.get("data")
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except (TnkitError, OSError, MemoryError) as error:
        print(f"born-machine: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("born-machine: stopped", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="born-machine",
        description="Learn a distribution of discrete data as a Born machine, and use it.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train on a data set and write a run folder",
        description="Train on DATA and write model, NLL curve, sheets and summary into a folder.",
    )
    _add_data(train, what="train on", optional=True)
    train.add_argument("--out", type=Path, metavar="RUN", help="run folder to write")
    train.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file of these flags by name, such as a run's settings.toml; flags win",
    )
    train.add_argument("--test", metavar="DATA", help="test set: a name or a path")
    train.add_argument("--test-key", metavar="KEY", help="array of the test npz")
    train.add_argument("--test-rows", default="", metavar="A:B", help="rows to test on")
    train.add_argument("--overwrite", action="store_true", help="replace a run in the folder")
    _add_parameters(train)
    _add_quiet(train)
    _add_json(train)
    train.set_defaults(command=_train)

    resume = commands.add_parser("resume", help="go on with an interrupted run")
    resume.add_argument("run", type=Path, metavar="RUN", help="its folder")
    _add_quiet(resume)
    _add_json(resume)
    resume.set_defaults(command=_resume)

    score = commands.add_parser("score", help="print the NLL of a data set under a model")
    _add_run(score)
    _add_data(score, what="score")
    score.add_argument("--out", type=Path, metavar="FILE", help="write every log-likelihood (.npz)")
    _add_json(score)
    score.set_defaults(command=_score)

    sample = commands.add_parser("sample", help="draw new samples")
    _add_run(sample)
    sample.add_argument("-n", type=int, default=100, metavar="N", help="how many (100)")
    sample.add_argument("--seed", type=int, metavar="SEED", help="of the draw")
    sample.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".npz with `samples`, or .png"
    )
    _add_json(sample)
    sample.set_defaults(command=_sample)

    complete = commands.add_parser("complete", help="redraw erased parts given the rest")
    _add_run(complete)
    _add_data(complete, what="complete")
    known = complete.add_mutually_exclusive_group()
    known.add_argument(
        "--erase",
        default="bottom",
        choices=["bottom", "top", "left", "right"],
        help="half of every image to redraw (bottom)",
    )
    known.add_argument("--known", type=Path, metavar="FILE", help=".npy boolean mask, True = given")
    complete.add_argument("--seed", type=int, metavar="SEED", help="of the draw")
    complete.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=".npz with `samples` and `known`, or .png",
    )
    _add_json(complete)
    complete.set_defaults(command=_complete)

    look = commands.add_parser("inspect", help="tell the bonds and entropies of a model")
    _add_run(look)
    look.add_argument("--out", type=Path, metavar="FILE", help="draw them (.png)")
    _add_json(look)
    look.set_defaults(command=_inspect)

    compare = commands.add_parser("compare", help="several runs in one table")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    compare.add_argument("--out", type=Path, metavar="FILE", help="draw their NLL by time (.png)")
    _add_json(compare)
    compare.set_defaults(command=_compare)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or model file")


def _add_data(parser: argparse.ArgumentParser, *, what: str, optional: bool = False) -> None:
    names = ", ".join(BUILT_IN)
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?" if optional else None,
        help=f"to {what}: {names}, openml:NAME, or a path (.npy .npz .csv .amat .txt -ubyte)",
    )
    parser.add_argument("--key", metavar="KEY", help="array of an .npz with several")
    parser.add_argument("--rows", default="", metavar="A:B", help="rows to use (all)")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="values above T become 1, others 0 (images: half their range, 127 for 8 bits)",
    )
    parser.add_argument(
        "--image-shape", type=_shape, metavar="HxW", help="flat rows are images of this shape"
    )


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress display")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object and no words")


def _tell(options: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    """Print what was found: as JSON where asked for, else in words."""
    print(json.dumps(facts, allow_nan=False) if options.json else text)


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(BornMachine.__init__).parameters.items()
}


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training (the defaults are BornMachine's)")

    def add(name: str, kind: Callable[[str], Any], text: str, **more: Any) -> None:
        default = _DEFAULTS[name]
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=kind, default=default, help=f"{text} ({default})", **more)

    several = "; several with commas: one a sweep"
    add("max_bond", _schedule(int), "largest bond dimension" + several, metavar="D")
    add("sweeps", int, "at most this many sweeps there and back", metavar="N")
    add("learning_rate", _schedule(float), "of the gradient step" + several, metavar="R")
    add(
        "value_cutoff",
        _schedule(float),
        "drop singular values below this times the largest" + several,
        metavar="C",
    )
    add("cutoff", _schedule(float), "largest weight discarded at a split" + several, metavar="W")
    add("steps", int, "gradient steps at a bond", metavar="N")
    add("patience", int, "stop after so many sweeps without a better NLL", metavar="N")
    add("tolerance", float, "share of the NLL that counts as better", metavar="T")
    add("start", str, "first state", choices=["random", "marginals"])
    add("dtype", str, "of training", choices=["float32", "float64", "complex64", "complex128"])
    add("order", str, "site order", choices=ORDERS)
    add("augment", str, "train on shifted images too", choices=AUGMENT)
    add("n_machines", int, "machines in different orders, mixed", metavar="N")
    add("mixture_weights", str, "of the mixture", choices=WEIGHTS)
    add("method", str, "of training", choices=METHODS)
    add("expand", int, "directions a bond gains before a one-site step", metavar="N")
    add("optimizer", str, "torch.optim class for all-site", metavar="NAME")
    add("batch_size", int, "samples a step, all without it", metavar="N")
    add("batch_per", str, "draw a batch for each", choices=["sweep", "bond"])
    add("backtracks", int, "halve a step that raises the NLL so often", metavar="N")
    add("rollback", float, "take a worse sweep back, learning rate times this", metavar="F")
    add("bond_penalty", float, "weight of the entanglement at a bond", metavar="W")
    add("entropy_bonus", float, "weight of the entropy of p", metavar="W")
    add("noise", _schedule(float), "random step at each bond" + several, metavar="S")
    add("missing", str, "NaN and -1", choices=MISSING)
    add("validation_fraction", _fraction, "share held out", metavar="F")
    add("levels", int, "values a feature takes, if more than the data shows", metavar="D")
    add("device", str, "auto, cpu, cuda or cuda:N", metavar="DEV")
    group.add_argument(
        "--seed", type=int, default=0, dest="random_state", metavar="SEED", help="of everything (0)"
    )


def _schedule(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what reads a number, or several separated by commas, one a sweep."""

    def read(text: str) -> Any:
        values = [kind(part) for part in text.split(",")]
        return values if len(values) > 1 else values[0]

    read.__name__ = kind.__name__  # named in argparse's messages
    return read


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 28x28, got {text!r}")
    return int(height), int(width)


def _fraction(text: str) -> float | str:
    return text if text == "auto" else float(text)


def _source(options: argparse.Namespace) -> DataSource:
    return DataSource(
        options.data, options.key, options.threshold, options.image_shape, options.rows
    )


_SWITCHES = ("overwrite", "quiet", "json")


def _read_config(path: Path) -> dict[str, Any]:
    parameters = set(_DEFAULTS) - {"self", "random_state"}
    known = {*SOURCE, "seed", "out", *_SWITCHES, *parameters}
    return read_settings(path, known, ignored=MADE_WITH)


def _flags(settings: dict[str, Any]) -> list[str]:
    """Return settings as the flags that say the same, but for DATA, which is no flag."""
    flags = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "data":
            if not isinstance(value, str):
                raise ArgumentError(f"data must be a name or a path, got {value!r}")
        elif name in _SWITCHES and isinstance(value, bool):
            flags += [flag] * value
        elif isinstance(value, list):
            flags.append(f"{flag}={('x' if name == 'image_shape' else ',').join(map(str, value))}")
        else:
            flags.append(f"{flag}={value}")
    return flags


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
    names = set(_DEFAULTS) - {"self", "image_shape"}
    machine = BornMachine(**{name: getattr(options, name) for name in names})
    with _Progress(options.sweeps, options.quiet, options.out) as progress:
        figures = start_run(
            options.out,
            machine,
            train,
            test,
            overwrite=options.overwrite,
            on_step=progress.step,
            on_sweep=progress.sweep,
        )
    _tell_run(options, options.out, figures)
    return 0


def _resume(options: argparse.Namespace) -> int:
    sweeps = open_run(options.run).machine.sweeps
    with _Progress(sweeps, options.quiet, options.run, saved=True) as progress:
        figures = resume_run(options.run, on_step=progress.step, on_sweep=progress.sweep)
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
    machine = BornMachine.load(find_model(options.run))
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
    mask = np.broadcast_to(np.asarray(known).reshape(-1, samples.shape[1]), samples.shape)
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


def _inspect(options: argparse.Namespace) -> int:
    machine = BornMachine.load(find_model(options.run))
    _check_picture(options.out)
    chains = chains_of(machine.model_)
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
    lines += [
        f"entropy of p    {entropy:.3f} +- {error:.3f} nats, from 1,000 draws",
        f"NLL             train {kept.nll_train:.3f}{held_out} nats, sweep {kept.sweep}",
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
    machines = [BornMachine.load(find_model(run)) for run in options.runs]
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


def _model_and_data(options: argparse.Namespace) -> tuple[BornMachine, Dataset]:
    """Load the model, and the data in the way the run's own training data was loaded."""
    machine = BornMachine.load(find_model(options.run))
    threshold = options.threshold
    if options.run.is_dir() and threshold is None:
        threshold = open_run(options.run).train.threshold
    source = DataSource(options.data, options.key, threshold, options.image_shape, options.rows)
    return machine, source.load()


def _check_out(path: Path) -> None:
    if path.suffix not in (".npz", ".png"):
        raise ArgumentError(f"--out must end in .npz or .png, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_file(path) as file:
        np.savez(file, **arrays)


_BAR = "{desc} |{bar:24}| {percentage:3.0f}%{postfix} [{elapsed}, {remaining} left]"


class _Progress:
    """A live bar on a terminal, one line a sweep everywhere."""

    def __init__(self, sweeps: int, quiet: bool, folder: Path, *, saved: bool = False) -> None:
        from tqdm import tqdm

        self._sweeps = sweeps
        self._quiet = quiet
        self._folder = folder
        self._saved = saved  # whether there is a checkpoint to go on from
        self._validation = ""
        self._shown = 0.0
        self._bar = tqdm(
            total=1,
            disable=quiet or not sys.stderr.isatty(),
            bar_format=_BAR,
            leave=False,
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.close()
        if kind is KeyboardInterrupt and self._saved:
            print(f"go on with: born-machine resume {self._folder}", file=sys.stderr)

    def step(self, sweep: int, info: StepInfo) -> None:
        self._bar.update()
        now = time.monotonic()
        if now - self._shown > 0.5:  # reading the loss waits for the device: not at every bond
            self._shown = now
            self._bar.set_description_str(f"sweep {sweep}/{self._sweeps}", refresh=False)
            self._bar.set_postfix_str(
                f"NLL train {float(info.loss):.2f}{self._validation}, bond {info.kept}"
            )

    def sweep(self, checkpoint: AnyCheckpoint) -> None:
        self._saved = True
        record = checkpoint.history[-1]
        if record.sweep == 0:
            members = members_of(checkpoint)
            moves = len(members) * max(2 * len(members[0].state) - 4, 1)
            self._bar.reset(total=self._sweeps * moves)
        if record.nll_validation is not None:
            self._validation = f", validation {record.nll_validation:.2f}"
        if not self._quiet:
            validation = self._validation and self._validation + " nats"
            train = f"NLL train {record.nll_train:.3f}" + ("" if validation else " nats")
            line = (
                f"sweep {record.sweep:>3}  {train}{validation}, bond {record.max_bond} "
                f"(mean {record.mean_bond:.1f}), {record.seconds:.1f} s"
            )
            self._bar.write(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
