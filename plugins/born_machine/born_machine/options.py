"""The flags of the command line, and the settings file that stands for flags."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from born_machine import BornMachine, correlate
from born_machine.config import read_settings
from born_machine.data import AS_THEY_ARE, BUILT_IN, MISSING
from born_machine.estimator import AUGMENT
from born_machine.mixing import WEIGHTS
from born_machine.ordering import ORDERS
from born_machine.recipes import RECIPES, recipe
from born_machine.run import MADE_WITH, SOURCE
from born_machine.settings import METHODS, SPLIT_METHODS, STARTS
from tnkit import ArgumentError

__all__ = ["PARAMETERS", "parse"]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, `command` among them; leave with status 2 and one line for bad flags.

    A recipe and a settings file are flags that stand before those of the command line: what comes
    later wins. Raises what `read_settings` raises.
    """
    options = _parser().parse_args(arguments)
    name, path = getattr(options, "recipe", None), getattr(options, "config", None)
    if name is not None or path is not None:
        read = {} if path is None else _read_config(path)
        known = read.pop("recipe", None)
        name = known if name is None else name
        settings = ({} if name is None else recipe(name)) | read
        options = _parser().parse_args([arguments[0], *_flags(settings), *arguments[1:]])
        options.data = options.data or settings.get("data")
    return options


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
    _add_data(train, what="train on", optional=True)
    train.add_argument("--out", type=Path, metavar="RUN", help="run folder to write")
    train.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file of these flags by name, such as a run's settings.toml; flags win",
    )
    train.add_argument(
        "--recipe",
        choices=RECIPES,
        help="settings that do well on one kind of data (table: features that are no image; below "
        "500 samples add --validation-fraction 0.1); --config and flags win",
    )
    train.add_argument("--test", metavar="DATA", help="test set: a name or a path")
    train.add_argument("--test-key", metavar="KEY", help="array of the test npz")
    train.add_argument("--test-rows", default="", metavar="A:B", help="rows to test on")
    train.add_argument("--overwrite", action="store_true", help="replace a run in the folder")
    _add_parameters(train)
    _add_processes(train)
    _add_quiet(train)
    _add_json(train)
    train.set_defaults(command="train")

    resume = commands.add_parser("resume", help="go on with an interrupted run")
    resume.add_argument("run", type=Path, metavar="RUN", help="its folder")
    _add_processes(resume)
    _add_quiet(resume)
    _add_json(resume)
    resume.set_defaults(command="resume")

    score = commands.add_parser("score", help="print the NLL of a data set under a model")
    _add_run(score)
    _add_data(score, what="score")
    score.add_argument("--out", type=Path, metavar="FILE", help="write every log-likelihood (.npz)")
    _add_json(score)
    score.set_defaults(command="score")

    sample = commands.add_parser("sample", help="draw new samples")
    _add_run(sample)
    sample.add_argument("-n", type=int, default=100, metavar="N", help="how many (100)")
    sample.add_argument("--seed", type=int, metavar="SEED", help="of the draw")
    sample.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".npz with `samples`, or .png"
    )
    _add_json(sample)
    sample.set_defaults(command="sample")

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
    complete.set_defaults(command="complete")

    mend = commands.add_parser(
        "mend",
        help="lower a model's NLL by correlators",
        description="Fit correlators to DATA, usually what the model was trained on, and write the "
        "mended model. It scores and samples as exactly; it completes only what comes after the "
        "first sites of its order.",
    )
    _add_run(mend)
    _add_data(mend, what="fit to")
    mend.add_argument("--validation", metavar="DATA", help="samples to choose the epoch by")
    mend.add_argument(
        "--validation-rows", default="", metavar="A:B", help="rows of them, or of DATA"
    )
    mend.add_argument("--out", type=Path, required=True, metavar="FILE", help="model file (.npz)")
    for name, (default, text) in MENDING.items():
        flag = "--" + name.replace("_", "-")
        kind = int if default is None else type(default)
        told = text if default is None else f"{text} ({default})"
        mend.add_argument(flag, type=kind, default=default, help=told)
    mend.add_argument("--seed", type=int, default=0, metavar="SEED", help="of the batches (0)")
    _add_quiet(mend)
    _add_json(mend)
    mend.set_defaults(command="mend")

    look = commands.add_parser("inspect", help="tell the bonds and entropies of a model")
    _add_run(look)
    look.add_argument("--out", type=Path, metavar="FILE", help="draw them (.png)")
    _add_json(look)
    look.set_defaults(command="inspect")

    compare = commands.add_parser("compare", help="several runs in one table")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    compare.add_argument("--out", type=Path, metavar="FILE", help="draw their NLL by time (.png)")
    _add_json(compare)
    compare.set_defaults(command="compare")
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
        type=_threshold,
        metavar="T",
        help="values above T become 1, others 0; none: as they are (by default as in training, "
        "there images at half of their largest value and flat rows as they are)",
    )
    parser.add_argument(
        "--image-shape", type=_shape, metavar="HxW", help="flat rows are images of this shape"
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="share the samples out to N processes on this machine (1; torchrun brings its own)",
    )


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress display")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object and no words")


PARAMETERS = {
    name: parameter.default for name, parameter in inspect.signature(BornMachine).parameters.items()
}
"""BornMachine's parameters and their defaults."""


_TOLD = {
    "epochs": "passes over the samples",
    "plaquettes": "sets of close sites that get a table, beside all pairs",
    "width": "sites of each",
    "shared": "windows of pixels with one table for all sites (6 on images, else 0)",
    "shared_width": "pixels of each",
    "penalty": "of the entries squared, on the log-likelihood of all samples",
    "batch_size": "samples a step",
    "learning_rate": "first step of scales, biases and pairs",
}
MENDING = {
    name: (inspect.signature(correlate).parameters[name].default, text)
    for name, text in _TOLD.items()
}
"""Numbers that `correlate` takes: their defaults, and what they are."""


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training (the defaults are BornMachine's)")

    def add(name: str, kind: Callable[[str], Any], text: str, **more: Any) -> None:
        default = PARAMETERS[name]
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
    add("start", str, "first state", choices=STARTS)
    add("dtype", str, "of training", choices=["float32", "float64", "complex64", "complex128"])
    add("order", str, "site order", choices=ORDERS)
    add(
        "order_trials",
        int,
        "take the best of N variations of the order, tried in short runs",
        metavar="N",
    )
    add("augment", str, "train on shifted images too", choices=AUGMENT)
    add("n_machines", int, "machines in different orders, mixed", metavar="N")
    add("n_jobs", int, "machines of a mixture that train at a time", metavar="N")
    add("average_shifts", int, "mean over the image moved by up to N pixels", metavar="N")
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
    add("longest", float, "gradient steps are cut to this length", metavar="L")
    add("static", _truth, "keep the smallest values too: bonds of full size", metavar="TRUE")
    add("split", str, "how a block is split; auto goes by the device", choices=SPLIT_METHODS)
    add("tf32", _truth, "let CUDA round float32 products to 10 bits", metavar="TRUE")
    add("memory_limit", _bytes, "bytes that sweeps may hold, such as 4e9; half of all", metavar="B")
    add("scored", int, "training samples scored after a sweep; all", metavar="N")
    add("missing", str, "take NaN and -1 for gaps, or refuse them", choices=MISSING)
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


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text.lower() == "true"


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 28x28, got {text!r}")
    return int(height), int(width)


def _threshold(text: str) -> float | str:
    try:
        return text if text == AS_THEY_ARE else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number or {AS_THEY_ARE}, got {text!r}"
        ) from None


def _bytes(text: str) -> int:
    size = float(text)
    if not size.is_integer():
        raise argparse.ArgumentTypeError(f"expected a number of bytes such as 4e9, got {text!r}")
    return int(size)


def _fraction(text: str) -> float | str:
    return text if text == "auto" else float(text)


_SWITCHES = ("overwrite", "quiet", "json")


def _read_config(path: Path) -> dict[str, Any]:
    parameters = set(PARAMETERS) - {"random_state"}
    known = {*SOURCE, "seed", "out", "recipe", "processes", *_SWITCHES, *parameters}
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
