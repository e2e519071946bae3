"""Repeat the expressivity study of Glasser et al. (NeurIPS 32, 2019): train NLL by bond dimension.

Six small sets of categorical data, all samples used for training, as there: how well can a Born
state of bond dimension D, real or complex, learn a set by heart? The floor is the entropy of the
set itself. Features stand as given, the comparison with theirs, or along the Chow-Liu tree.

    python examples/benchmarks/glasser2019.py [--set lymphography] [--bond 2 4]
    python examples/benchmarks/glasser2019.py --draw

Of `SEEDS` random starts the one of lowest train NLL is reported, and all are kept in the JSONs in
docs/results/glasser2019; runs that are there already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

from records import IMAGES, RESULTS, write_record
from sets import GLASSER as SETS
from sets import load_set

from born_machine import BornMachine
from born_machine.baselines import empirical_entropy
from tnkit import atomic_file

FOLDER = RESULTS / "glasser2019"
PICTURE = IMAGES / "glasser2019.png"
BONDS = (2, 3, 4, 6, 8)
DTYPES = {"real": "float64", "complex": "complex128"}
ORDERS = ("given", "chow-liu")
SEEDS = (0, 1, 2)
SETTINGS = {"sweeps": 60, "value_cutoff": 0.0, "patience": 0, "validation_fraction": 0.0}


def main() -> None:
    """Train what is not there yet, then draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--bond", nargs="*", type=int, default=list(BONDS))
    parser.add_argument("--draw", action="store_true", help="only draw the results there are")
    options = parser.parse_args()
    for name in [] if options.draw else options.set:
        train_set(name, options.bond)
    draw()


def train_set(name: str, bonds: list[int]) -> None:
    """Train all variants of a set that its JSON lacks, writing it after each."""
    samples = load_set(name).train
    path = FOLDER / f"{name}.json"
    about: dict[str, Any] = {
        "command": f"python examples/benchmarks/glasser2019.py --set {name}",
        "samples": len(samples),
        "features": samples.shape[1],
        "floor": round(empirical_entropy(samples), 5),
        "settings": SETTINGS,
    }
    runs: list[dict[str, Any]] = []
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["settings"] != SETTINGS:
            raise SystemExit(f"{path} was made with other settings; remove it to start anew")
        runs = found["runs"]
    known = {(r["bond"], r["state"], r["order"], r["seed"]) for r in runs}
    for bond in bonds:
        for state, dtype in DTYPES.items():
            for order in ORDERS:
                for seed in SEEDS:
                    if (bond, state, order, seed) in known:
                        continue
                    began = time.perf_counter()
                    machine = BornMachine(
                        max_bond=bond, dtype=dtype, order=order, random_state=seed, **SETTINGS
                    ).fit(samples)
                    logs = machine.score_samples(samples)
                    run = {"bond": bond, "state": state, "order": order, "seed": seed}
                    run["nll"] = round(-float(logs.mean()), 5)
                    run["sweep"] = machine.best_sweep_
                    run["seconds"] = round(time.perf_counter() - began, 2)
                    runs.append(run)
                    print(name, *(f"{k} {v}" for k, v in run.items()), flush=True)
                    write_record(path, about | {"runs": runs})


def best(runs: list[dict[str, Any]], state: str, order: str) -> dict[int, float]:
    """Return the lowest train NLL over the seeds, by bond dimension."""
    found: dict[int, float] = {}
    for run in runs:
        if run["state"] == state and run["order"] == order:
            found[run["bond"]] = min(run["nll"], found.get(run["bond"], math.inf))
    return dict(sorted(found.items()))


def draw() -> None:
    """Draw a panel a set: train NLL against bond dimension, and the floor."""
    from matplotlib.figure import Figure

    paths = sorted(FOLDER.glob("*.json"))
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True).ravel()
    for axes, path in zip(panels, paths, strict=False):
        about = json.loads(path.read_text(encoding="utf-8"))
        for state, color in zip(DTYPES, ("C0", "C3"), strict=True):
            for order, line in zip(ORDERS, ("-o", "--s"), strict=True):
                curve = best(about["runs"], state, order)
                label = f"{state}, {'as given' if order == 'given' else 'Chow-Liu order'}"
                axes.plot(*zip(*curve.items(), strict=True), line, color=color, ms=4, label=label)
        axes.axhline(about["floor"], color="0.4", lw=1, ls=":")
        axes.set_title(f"{path.stem}: {about['samples']} x {about['features']}", fontsize=10)
        axes.grid(alpha=0.25)
    panels[0].legend(fontsize=8)
    for axes in panels[3:]:
        axes.set_xlabel("bond dimension")
    for axes in panels[::3]:
        axes.set_ylabel("train NLL, nats a sample")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(PICTURE) as file:
        figure.savefig(file, format="png", dpi=130)


if __name__ == "__main__":
    main()
