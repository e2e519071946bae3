"""What each part of the density-estimation recipe brings: one thing changed at a time.

    python examples/benchmarks/ablation.py [--set plants dna] [--seed 0 1 2]

The recipe is that of rows.toml; every variant trains for the same sweeps. A run records the NLL
of the sweep of the best validation NLL, which is the one that counts, and of the last sweep, which
is what there would be without early stopping. Runs that are in docs/results/ablation already are
not repeated. The table of the results page is drawn by tables.py; the validation NLL decides there.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from records import RESULTS, write_record
from run import machine_of, read_rows
from sets import Split, load_set

from born_machine.checkpoint import AnyCheckpoint, members_of
from born_machine.fitting import with_states
from born_machine.models.protocol import Model

FOLDER = RESULTS / "ablation"
SETS = ("nltcs", "plants", "accidents", "dna", "msnbc", "baudio", "bnetflix")
RECIPE = "as it is"
LAST = "no early stopping: the last sweep"  # of the same runs
VARIANTS: dict[str, dict[str, Any]] = {
    RECIPE: {},
    "order as given": {"order": "given"},
    "order: chow-liu": {"order": "chow-liu"},
    "order: path": {"order": "path"},
    "order: linkage": {"order": "linkage"},
    "start: random": {"start": "random"},
    "start: marginals": {"start": "marginals"},
    "value cutoff 0.0005 throughout": {"value_cutoff": 0.0005},
    "value cutoff 0.01 throughout": {"value_cutoff": 0.01},
    "bond penalty 0.01": {"bond_penalty": 0.01},
    "entropy bonus 0.01": {"entropy_bonus": 0.01},
    "noise 0.01": {"noise": 0.01},
    "batches of 1,000 a bond": {"batch_size": 1000, "batch_per": "bond"},
    "batches of 1,000 a sweep": {"batch_size": 1000, "batch_per": "sweep"},
    "four machines": {"n_machines": 4},
}
ADDED = (  # the others take a part of the recipe away
    "bond penalty 0.01",
    "entropy bonus 0.01",
    "noise 0.01",
    "batches of 1,000 a bond",
    "batches of 1,000 a sweep",
    "four machines",
)


def main() -> None:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--seed", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    for seed in options.seed:
        for name in options.set:
            train_set(name, seed)


def train_set(name: str, seed: int) -> None:
    """Train the variants of a set and seed that its JSON lacks, writing it after each."""
    path = FOLDER / f"{name}.json"
    recipe = read_rows()[name]["settings"]
    runs: list[dict[str, Any]] = []
    if path.exists():
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["recipe"] != recipe:
            raise SystemExit(f"{path} was made with another recipe; remove it to start anew")
        runs = about["runs"]
    known = {(run["variant"], run["seed"]) for run in runs}
    data = load_set(name)
    for variant, change in VARIANTS.items():
        if (variant, seed) in known:
            continue
        run = {"variant": variant, "change": change, "seed": seed}
        run |= trained(data, recipe | change, seed)
        runs.append(run)
        best = run["best"]["validation"]
        print(f"{name} {seed} {variant}: {best:.3f}  {run['seconds']} s", flush=True)
        command = f"python examples/benchmarks/ablation.py --set {name}"
        write_record(path, {"command": command, "recipe": recipe, "runs": runs})


def trained(data: Split, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once; return the NLLs of the best and of the last sweep, bonds and seconds."""
    last: list[AnyCheckpoint] = []

    def keep(state: AnyCheckpoint) -> None:
        last[:] = [state]

    began = time.perf_counter()
    machine = machine_of(settings, data, seed)
    machine.fit(data.train, validation=data.validation, on_sweep=keep)
    seconds = round(time.perf_counter() - began, 1)
    final = with_states(machine.model_, [member.state for member in members_of(last[0])])
    return {
        "best": nlls(machine.model_, data),
        "last": nlls(final, data),
        "best_sweep": machine.best_sweep_,
        "max_bond": max(machine.model_.bond_dims),
        "mean_bond": round(float(np.mean(machine.model_.bond_dims)), 1),
        "seconds": seconds,
    }


def nlls(model: Model, data: Split) -> dict[str, float]:
    """Return the NLL of each part, nats a sample."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        part: round(-float(model.log_likelihood(samples).mean()), 4)
        for part, samples in parts.items()
        if samples is not None
    }


if __name__ == "__main__":
    main()
