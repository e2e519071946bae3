"""Train one row of a table: ``python examples/benchmarks/run.py ROW [--seed 0]``.

A row of `rows.toml` names a data set and the parameters of a `BornMachine`. Training sees the
training set, stopping and every choice the validation set (held out of the training set where a
set brings none); the test set is scored once, at the end. A checkpoint after every sweep lets an
interrupted row go on where it stopped. The result is one JSON in docs/results: settings, seed,
versions, seconds, NLL in nats a sample with its standard error, and the history; with --picture
also docs/images/ROW.png, images of the test set beside as many that the model draws.
"""

from __future__ import annotations

import argparse
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from records import HERE, IMAGES, RESULTS, write_record
from redraw import Redrawn, fit_neighbourhoods
from sets import Split, load_set

from born_machine import BornMachine, recipe
from born_machine.augment import ImageShifts
from born_machine.checkpoint import load_checkpoint, record_to_json, save_checkpoint
from born_machine.fitting import chains_of
from born_machine.likelihood import standard_error
from born_machine.models.mixture import MixtureModel
from born_machine.models.protocol import Model
from born_machine.plots import sample_sheet, save_figure

PARTS = ("train", "validation", "test")
DRAWN = 50  # digits in a picture, beside as many of the test set
MOST = 10_000  # training samples that are scored at the end, the first of them


def read_rows() -> dict[str, dict[str, Any]]:
    """Return every row, the recipe and the settings of its table filled in."""
    with (HERE / "rows.toml").open("rb") as file:
        tables = tomllib.load(file)
    rows = {}
    for table, about in tables.items():
        base = recipe(about["recipe"]) if "recipe" in about else {}
        for name, row in about["rows"].items():
            settings = base | about.get("settings", {}) | row.get("settings", {})
            rows[name] = {"table": table, "data": row["data"], "settings": settings}
    return rows


def machine_of(settings: dict[str, Any], data: Split, seed: int) -> BornMachine:
    """Return the machine of a row, for its data.

    "shifts" says how images are shifted anew every sweep, "redraw" the chance of a pixel to be
    drawn anew from its neighbourhood before (`redraw.py`).
    """
    settings, image_shape = dict(settings), data.image_shape
    shifts = settings.pop("shifts", None)
    if shifts is not None:
        settings["augment"] = ImageShifts(image_shape, **shifts)
    share = settings.pop("redraw", None)
    if share is not None:
        if shifts is None or data.validation is None:  # which the network may not see
            raise SystemExit(
                "redraw needs shifts, and a set that brings its own validation samples"
            )
        net = fit_neighbourhoods(data.train, image_shape, seed)
        settings["augment"] = Redrawn(net, share, settings["augment"])
    knots = settings.pop("learning_rates", None)  # (sweep, rate); geometric in between
    if knots is not None:
        at, rates = zip(*knots, strict=True)
        logs = np.interp(range(1, settings["sweeps"] + 1), at, np.log(rates))
        settings["learning_rate"] = list(np.exp(logs))
    return BornMachine(image_shape=image_shape, random_state=seed, **settings)


def run_row(name: str, seed: int, picture: bool) -> dict[str, Any]:
    """Train and score a row, draw from it if asked for; return what its JSON holds."""
    row = read_rows()[name]
    training = {k: v for k, v in row["settings"].items() if k != "average_shifts"}  # comes after
    data = load_set(row["data"])
    if picture and data.image_shape is None:
        raise SystemExit(f"--picture needs a set of images, {row['data']} holds none")
    began = time.perf_counter()
    machine = machine_of(row["settings"], data, seed)
    checkpoint = RESULTS / f".{name}-seed{seed}.checkpoint.npz"
    resume, before = None, 0.0
    if checkpoint.exists():
        resume, about = load_checkpoint(checkpoint)
        if about["settings"] != training:
            raise SystemExit(f"{checkpoint} was made with other settings; remove it to start anew")
        before = about["seconds"]

    def keep(state: Any) -> None:
        seconds = before + time.perf_counter() - began
        save_checkpoint(checkpoint, state, {"settings": training, "seconds": seconds})
        record = state.history[-1]
        validation = "" if record.nll_validation is None else f" / {record.nll_validation:.3f}"
        print(
            f"sweep {record.sweep:3d}  NLL {record.nll_train:.3f}{validation}  bond "
            f"{record.max_bond} (mean {record.mean_bond:.1f})  {seconds:.0f} s",
            flush=True,
        )

    machine.fit(data.train, validation=data.validation, resume=resume, on_sweep=keep)
    seconds = before + time.perf_counter() - began
    train, validation = data.train, data.validation
    if len(machine.validation_rows_):
        validation = train[machine.validation_rows_]
        train = np.delete(train, machine.validation_rows_, axis=0)
    parts = dict(zip(PARTS, (train[:MOST], validation, data.test), strict=True))
    if picture:
        draw(machine.model_, data, seed, IMAGES / f"{name}.png")
    nll = scored(machine.model_, parts)
    chains = chains_of(machine.model_)
    if machine.average_shifts:  # the same machines with images where they are
        equal = (1 / len(chains),) * len(chains)
        unmoved = {"nll_unmoved": scored(MixtureModel(chains, equal), parts)}
    else:
        unmoved = {}
    found = {
        "row": name,
        "seed": seed,
        **row,
        "order": machine.order_name_,
        "nll": nll,
        **unmoved,
        "weights": list(getattr(machine.model_, "weights", ())),
        "seconds": round(seconds, 1),
        "sweeps": len(machine.history_) - 1,
        "best_sweep": machine.best_sweep_,
        "history": [record_to_json(record) for record in machine.history_],
    }
    write_record(RESULTS / f"{name}-seed{seed}.json", found)
    checkpoint.unlink(missing_ok=True)
    return found


def draw(model: Model, data: Split, seed: int, path: Path) -> None:
    """Draw images of the test set beside samples of the model, neither chosen."""
    rng = np.random.default_rng(seed)
    real = data.test[rng.choice(len(data.test), DRAWN, replace=False)]
    groups = {"test set": real, "drawn by the model": model.sample(DRAWN, rng)}
    save_figure(sample_sheet(groups, data.image_shape), path)


def scored(model: Model, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the NLL of each part there is, with its standard error; None where it is infinite."""
    nll = {}
    for part, samples in parts.items():
        if samples is not None:
            scores = -model.log_likelihood(samples)
            nll[part] = {"nll": None, "error": None, "samples": len(scores)}
            impossible = int(np.isinf(scores).sum())
            if impossible:
                nll[part]["impossible"] = impossible
            else:
                nll[part] |= {"nll": float(scores.mean()), "error": standard_error(scores)}
    return nll


def main() -> None:
    """Run the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", nargs="*", help="rows of rows.toml; none lists them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", action="store_true", help="draw images too")
    options = parser.parse_args()
    rows = read_rows()
    if not options.row:
        for name, row in rows.items():
            print(f"{name:32} {row['table']:16} {row['data']}")
        return
    for name in options.row:
        if name not in rows:
            raise SystemExit(f"no row {name!r}; run without arguments for the list")
    RESULTS.mkdir(exist_ok=True)
    for name in options.row:
        found = run_row(name, options.seed, options.picture)
        for part, value in found["nll"].items():
            told = f"impossible for {value.get('impossible')}"
            if value["nll"] is not None:
                told = f"{value['nll']:.3f} +- {value['error']:.3f} nats a sample"
            print(f"{name} {part}: {told}")


if __name__ == "__main__":
    main()
