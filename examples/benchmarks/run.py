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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from records import HERE, IMAGES, RESULTS, write_record
from redraw import Redrawn, fit_neighbourhoods
from sets import Split, load_set

from born_machine import BornMachine, correlate, recipe
from born_machine.augment import ImageShifts
from born_machine.checkpoint import load_checkpoint, record_to_json, save_checkpoint
from born_machine.curves import shifts_round_the_edge
from born_machine.fitting import chains_of
from born_machine.likelihood import standard_error
from born_machine.mixing import mixture_weights
from born_machine.models.mixture import MixtureModel, log_mean
from born_machine.models.mps import MPSModel, model_from_state
from born_machine.models.protocol import Model
from born_machine.models.storage import load_model, save_model
from born_machine.plots import sample_sheet, save_figure
from born_machine.train import Augment
from tnkit import MPS

PARTS = ("train", "validation", "test")
DRAWN = 50  # digits in a picture, beside as many of the test set
MOST = 10_000  # training samples that are scored at the end, the first of them
BUILT = ("of", "reversed", "correlators", "shifts", "redraw", "average_shifts", "mixture_weights")
"""Settings of a row built of others: how machines are trained says nothing of it."""
FEW = 2_000  # the same of a model built of others


def read_rows() -> dict[str, dict[str, Any]]:
    """Return every row, the recipe and the settings of its table filled in."""
    with (HERE / "rows.toml").open("rb") as file:
        tables = tomllib.load(file)
    rows = {}
    for table, about in tables.items():
        base = recipe(about["recipe"]) if "recipe" in about else {}
        for name, row in about["rows"].items():
            settings = base | about.get("settings", {}) | row.get("settings", {})
            if "of" in settings:
                settings = {k: v for k, v in settings.items() if k in BUILT}
            rows[name] = {"table": table, "data": row["data"], "settings": settings}
    return rows


def machine_of(settings: dict[str, Any], data: Split, seed: int) -> BornMachine:
    """Return the machine of a row, for its data.

    "shifts" says how images are shifted anew every sweep, "redraw" the chance of a pixel to be
    drawn anew from its neighbourhood before (`redraw.py`).
    """
    settings = dict(settings)
    augment = augment_of(settings.pop("shifts", None), settings.pop("redraw", None), data, seed)
    if augment is not None:
        settings["augment"] = augment
    knots = settings.pop("learning_rates", None)  # (sweep, rate); geometric in between
    if knots is not None:
        at, rates = zip(*knots, strict=True)
        logs = np.interp(range(1, settings["sweeps"] + 1), at, np.log(rates))
        settings["learning_rate"] = list(np.exp(logs))
    return BornMachine(image_shape=data.image_shape, random_state=seed, **settings)


def augment_of(
    shifts: dict[str, Any] | None, share: float | None, data: Split, seed: int
) -> Augment | None:
    """Return how images are shifted anew, pixels drawn anew before; None where neither is."""
    augment: Augment | None = None
    if shifts is not None:
        augment = ImageShifts(data.image_shape, **shifts)
    if share is not None:
        if augment is None or data.validation is None:  # which the network may not see
            raise SystemExit(
                "redraw needs shifts, and a set that brings its own validation samples"
            )
        augment = Redrawn(fit_neighbourhoods(data.train, data.image_shape, seed), share, augment)
    return augment


def run_row(name: str, seed: int, picture: bool) -> dict[str, Any]:
    """Train and score a row, draw from it if asked for; return what its JSON holds."""
    rows = read_rows()
    row = rows[name]
    data = load_set(row["data"])
    if picture and data.image_shape is None:
        raise SystemExit(f"--picture needs a set of images, {row['data']} holds none")
    if "of" in row["settings"]:
        found, model = built_row(name, row, data, seed)
    else:
        found, model = trained_row(name, row, data, seed)
    if picture:
        draw(model, data, seed, IMAGES / f"{name}.png")
    if any(name == part for other in rows.values() for part, _ in parts_of(other, seed)):
        save_model(model_file(name, seed), model, {"settings": row["settings"]})
    write_record(RESULTS / f"{name}-seed{seed}.json", {"row": name, "seed": seed, **row, **found})
    for path in RESULTS.glob(f".{name}-seed{seed}.*checkpoint.npz"):
        path.unlink()
    return found


def trained_row(
    name: str, row: dict[str, Any], data: Split, seed: int
) -> tuple[dict[str, Any], Model]:
    """Train the machine of a row; return what its JSON holds, and the model."""
    training = {k: v for k, v in row["settings"].items() if k != "average_shifts"}  # comes after
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
    nll = scored(machine.model_, parts)
    chains = chains_of(machine.model_)
    if machine.average_shifts:  # the same machines with images where they are
        equal = (1 / len(chains),) * len(chains)
        unmoved = {"nll_unmoved": scored(MixtureModel(chains, equal), parts)}
    else:
        unmoved = {}
    found = {
        "order": machine.order_name_,
        "nll": nll,
        **unmoved,
        "weights": list(getattr(machine.model_, "weights", ())),
        "seconds": round(seconds, 1),
        "sweeps": len(machine.history_) - 1,
        "best_sweep": machine.best_sweep_,
        "history": [record_to_json(record) for record in machine.history_],
    }
    return found, machine.model_


def model_file(name: str, seed: int) -> Path:
    """Return where the model of a row that others are built of is kept."""
    return RESULTS / f".{name}-seed{seed}.model.npz"


def parts_of(row: dict[str, Any], seed: int) -> list[tuple[str, int]]:
    """Return the rows, with their seeds, that a row is built of: those of its own seed unless said.

    "of": a row, or a list of (row, seed).
    """
    of = row["settings"].get("of", [])
    return [(of, seed)] if isinstance(of, str) else [(part, own) for part, own in of]


def built_row(
    name: str, row: dict[str, Any], data: Split, seed: int
) -> tuple[dict[str, Any], Model]:
    """Build a model of those of other rows, which are run where they are not kept.

    "correlators": how their chains are mended by correlators, images shifted and drawn anew every
    epoch as "shifts" and "redraw" say; "reversed": along the order from its end. "average_shifts"
    and "mixture_weights" as of a BornMachine, over all.
    """
    settings = row["settings"]
    if data.validation is None:
        raise SystemExit(f"{name} needs a set that brings its own validation samples")
    chains: list[Any] = []
    for part, own in parts_of(row, seed):
        if not model_file(part, own).exists():
            run_row(part, own, False)
        model = kept(model_file(part, own), read_rows()[part]["settings"])[0]
        firsts: dict[int, Any] = {}  # of those that share their state, the one not moved
        for component in getattr(model, "components", (model,)):
            firsts.setdefault(id(component.state), component)
        chains += firsts.values()
    if settings.get("reversed"):
        chains = [backwards(chain) for chain in chains]
    seconds, history = 0.0, []
    for number, chain in enumerate(chains):
        if "correlators" not in settings:
            continue
        path = RESULTS / f".{name}-seed{seed}.{number}.checkpoint.npz"
        if path.exists():
            chains[number], about = kept(path, settings)
        else:
            chains[number], about = mended(chain, settings, data, seed, number)
            save_model(path, chains[number], about | {"settings": settings})
        seconds += about["seconds"]
        history += about["history"]
    views: Sequence[Any] = [np.arange(chains[0].features)]
    if "average_shifts" in settings:
        views = shifts_round_the_edge(*data.image_shape, settings["average_shifts"])
    moved = [replace(c, order=view[c.order]) for c in chains for view in views]
    parts = dict(zip(PARTS, (data.train[:FEW], data.validation, data.test), strict=True))
    logs = scores_of_parts(row, seed) if "correlators" not in settings else None
    if logs is None or len(logs["test"]) != len(moved):
        logs = {k: [c.log_likelihood(samples) for c in moved] for k, samples in parts.items()}
    np.savez(model_file(name, seed).with_suffix(".scores.npz"), **logs)
    weights = mixture_weights(settings.get("mixture_weights", "uniform"), logs["validation"])
    found: dict[str, Any] = {
        "nll": {k: told(-log_mean(logs[k], weights)) for k in parts},
        "weights": list(weights),
        "seconds": round(seconds, 1),
        "history": history,
    }
    if len(views) > 1:  # the same machines with images where they are
        equal = (1 / len(chains),) * len(chains)
        found["nll_unmoved"] = {k: told(-log_mean(logs[k][:: len(views)], equal)) for k in parts}
    return found, MixtureModel(tuple(moved), weights)


def scores_of_parts(row: dict[str, Any], seed: int) -> dict[str, list[Any]] | None:
    """Return ln p of the components of a row's parts, where all of them keep theirs."""
    paths = [model_file(*part).with_suffix(".scores.npz") for part in parts_of(row, seed)]
    if not all(path.exists() for path in paths):
        return None
    kept = [np.load(path) for path in paths]
    return {k: [logs for file in kept for logs in file[k]] for k in PARTS}


def backwards(chain: MPSModel) -> MPSModel:
    """Return the same distribution, its first site last."""
    arrays = [array.transpose(2, 1, 0) for array in reversed(chain.state.arrays)]
    return model_from_state(MPS.from_arrays(arrays), chain.order[::-1], chain.dims)


def kept(path: Path, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the model of a file and what lies beside it; refuse one of other settings."""
    model, about = load_model(path)
    if about["settings"] != settings:
        raise SystemExit(f"{path} was made with other settings; remove it to start anew")
    return model, about


def mended(
    chain: Any, settings: dict[str, Any], data: Split, seed: int, number: int
) -> tuple[Model, dict[str, Any]]:
    """Return a chain mended by correlators, and its seconds and history."""
    began, history = time.perf_counter(), []

    def keep(machine: int, epoch: int, train: float, validation: float | None) -> None:
        record = {"machine": number, "epoch": epoch, "nll_train": train}
        history.append(record | {"nll_validation": validation})
        seconds = time.perf_counter() - began
        print(f"machine {number} epoch {epoch:3d}  NLL {train:.3f} / {validation:.3f}  "
              f"{seconds:.0f} s", flush=True)  # fmt: skip

    augment = augment_of(settings.get("shifts"), settings.get("redraw"), data, seed)
    better = correlate(
        chain,
        data.train,
        data.validation,
        image_shape=data.image_shape,
        augment=augment,
        random_state=seed + number,
        on_epoch=keep,
        **settings["correlators"],
    )
    return better, {"seconds": time.perf_counter() - began, "history": history}


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
            nll[part] = told(-model.log_likelihood(samples))
    return nll


def told(scores: Any) -> dict[str, Any]:
    """Return the mean of the NLL of samples and its standard error; None where it is infinite."""
    found: dict[str, Any] = {"nll": None, "error": None, "samples": len(scores)}
    impossible = int(np.isinf(scores).sum())
    if impossible:
        return found | {"impossible": impossible}
    return found | {"nll": float(scores.mean()), "error": standard_error(scores)}


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
