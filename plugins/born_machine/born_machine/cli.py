"""The command line: born-machine train | resume | score | sample | complete | inspect | compare."""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from born_machine import BornMachine
from born_machine.checkpoint import Checkpoint
from born_machine.data import BUILT_IN, Dataset
from born_machine.likelihood import standard_error
from born_machine.ordering import ORDERS
from born_machine.run import (
    DataSource,
    find_model,
    half_mask,
    open_run,
    resume_run,
    start_run,
)
from tnkit import ArgumentError, StepInfo, TnkitError, atomic_file

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (TnkitError, OSError, MemoryError) as error:
        print(f"born-machine: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("born-machine: stopped", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


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
    _add_data(train, what="train on")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder to write")
    train.add_argument("--test", metavar="DATA", help="test set: a name or a path")
    train.add_argument("--test-key", metavar="KEY", help="array of the test npz")
    train.add_argument("--test-rows", default="", metavar="A:B", help="rows to test on")
    train.add_argument("--overwrite", action="store_true", help="replace a run in the folder")
    _add_parameters(train)
    _add_quiet(train)
    train.set_defaults(command=_train)

    resume = commands.add_parser("resume", help="go on with an interrupted run")
    resume.add_argument("run", type=Path, metavar="RUN", help="its folder")
    _add_quiet(resume)
    resume.set_defaults(command=_resume)

    score = commands.add_parser("score", help="print the NLL of a data set under a model")
    _add_run(score)
    _add_data(score, what="score")
    score.add_argument("--out", type=Path, metavar="FILE", help="write every log-likelihood (.npz)")
    score.set_defaults(command=_score)

    sample = commands.add_parser("sample", help="draw new samples")
    _add_run(sample)
    sample.add_argument("-n", type=int, default=100, metavar="N", help="how many (100)")
    sample.add_argument("--seed", type=int, metavar="SEED", help="of the draw")
    sample.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".npz with `samples`, or .png"
    )
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
    complete.set_defaults(command=_complete)

    look = commands.add_parser("inspect", help="tell the bonds and entropies of a model")
    _add_run(look)
    look.add_argument("--out", type=Path, metavar="FILE", help="draw them (.png)")
    look.set_defaults(command=_inspect)

    compare = commands.add_parser("compare", help="several runs in one table")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    compare.add_argument("--out", type=Path, metavar="FILE", help="draw their NLL by time (.png)")
    compare.set_defaults(command=_compare)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or model file")


def _add_data(parser: argparse.ArgumentParser, *, what: str) -> None:
    names = ", ".join(BUILT_IN)
    parser.add_argument("data", metavar="DATA", help=f"to {what}: {names}, or a .npy / .npz path")
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

    add("max_bond", int, "largest bond dimension", metavar="D")
    add("sweeps", int, "at most this many sweeps there and back", metavar="N")
    add("learning_rate", float, "of the gradient step at a bond", metavar="R")
    add("value_cutoff", float, "drop singular values below this times the largest", metavar="C")
    add("cutoff", float, "largest weight discarded at a split", metavar="W")
    add("steps", int, "gradient steps at a bond", metavar="N")
    add("patience", int, "stop after so many sweeps without a better NLL", metavar="N")
    add("tolerance", float, "share of the NLL that counts as better", metavar="T")
    add("start", str, "first state", choices=["random", "marginals"])
    add("dtype", str, "of training", choices=["float32", "float64", "complex64", "complex128"])
    add("order", str, "site order", choices=ORDERS)
    add("augment", str, "train on shifted images too", choices=["auto", "none", "shifts"])
    add("validation_fraction", _fraction, "share held out", metavar="F")
    add("levels", int, "values a feature takes, if more than the data shows", metavar="D")
    add("device", str, "auto, cpu, cuda or cuda:N", metavar="DEV")
    group.add_argument(
        "--seed", type=int, default=0, dest="random_state", metavar="SEED", help="of everything (0)"
    )


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


def _train(options: argparse.Namespace) -> int:
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
        text = start_run(
            options.out,
            machine,
            train,
            test,
            overwrite=options.overwrite,
            on_step=progress.step,
            on_sweep=progress.sweep,
        )
    print(text + f"\nWritten to {options.out}")
    return 0


def _resume(options: argparse.Namespace) -> int:
    sweeps = open_run(options.run).machine.sweeps
    with _Progress(sweeps, options.quiet, options.run) as progress:
        text = resume_run(options.run, on_step=progress.step, on_sweep=progress.sweep)
    print(text + f"\nWritten to {options.run}")
    return 0


def _score(options: argparse.Namespace) -> int:
    machine, dataset = _model_and_data(options)
    logs = machine.score_samples(dataset.samples)
    impossible = int(np.isneginf(logs).sum())
    error = standard_error(logs)
    print(
        f"NLL {-logs.mean():.4f} +- {error:.4f} nats per sample over {len(logs)} samples"
        + (f" ({impossible} of them impossible under the model)" if impossible else "")
    )
    if options.out is not None:
        _write_arrays(options.out, {"log_likelihood": logs})
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
    print(f"{options.n} samples written to {options.out}")
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
    print(f"{len(samples)} completed samples written to {options.out}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    machine = BornMachine.load(find_model(options.run))
    _check_picture(options.out)
    model = machine.model_
    bonds, entanglement = model.state.bond_dims, machine.entanglement()
    entropy, error = machine.entropy()
    dims = sorted(set(model.dims))
    print(f"features        {model.features}, values {', '.join(map(str, dims))}")
    print(f"site order      {machine.order_name_}")
    print(f"numbers         {model.parameters:,}")
    if bonds:
        place, strongest = int(np.argmax(bonds)), int(np.argmax(entanglement))
        print(f"bond dimension  {max(bonds)} at bond {place}, {np.mean(bonds):.1f} on average")
        print(f"entanglement    {entanglement.max():.3f} nats at bond {strongest}")
    print(f"entropy of p    {entropy:.3f} +- {error:.3f} nats, from 1,000 draws")
    kept = machine.history_[machine.best_sweep_]
    held_out = f", validation {kept.nll_validation:.3f}" if kept.nll_validation is not None else ""
    print(f"NLL             train {kept.nll_train:.3f}{held_out} nats, sweep {kept.sweep}")
    if options.out is not None:
        from born_machine.plots import chain_profile, save_figure

        figure = chain_profile(bonds, entanglement, model.order, machine.image_shape_)
        save_figure(figure, options.out)
    return 0


def _compare(options: argparse.Namespace) -> int:
    names = [str(run) for run in options.runs]
    machines = [BornMachine.load(find_model(run)) for run in options.runs]
    _check_picture(options.out)
    width = max(map(len, names))
    print(
        f"{'run':{width}}  {'train':>9}  {'validation':>10}  bond  {'numbers':>11}  sweeps  seconds"
    )
    for name, machine in zip(names, machines, strict=True):
        kept, history = machine.history_[machine.best_sweep_], machine.history_
        held_out = "-" if kept.nll_validation is None else f"{kept.nll_validation:.3f}"
        seconds = sum(record.seconds for record in history)
        print(
            f"{name:{width}}  {kept.nll_train:9.3f}  {held_out:>10}  {kept.max_bond:4d}  "
            f"{machine.model_.parameters:11,}  {len(history) - 1:6d}  {seconds:7.1f}"
        )
    if options.out is not None:
        from born_machine.plots import nll_comparison, save_figure

        histories = {n: m.history_ for n, m in zip(names, machines, strict=True)}
        save_figure(nll_comparison(histories), options.out)
    return 0


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

    def __init__(self, sweeps: int, quiet: bool, folder: Path) -> None:
        from tqdm import tqdm

        self._sweeps = sweeps
        self._quiet = quiet
        self._folder = folder
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
        if kind is KeyboardInterrupt:
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

    def sweep(self, checkpoint: Checkpoint) -> None:
        record = checkpoint.history[-1]
        if record.sweep == 0:
            moves = max(2 * len(checkpoint.state) - 4, 1)
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
