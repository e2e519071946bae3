"""Small trainings, each done by one process or by several that share the samples out.

``python rank_cases.py FILE memory|messages`` does all of them as the process that the environment
names (see `born_machine.ranks`) and writes what they reached; `test_ranks.py` compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tnkit
from born_machine import BornMachine, load_dataset
from born_machine.ranks import ALONE, Ranks, joined

CASES: dict[str, dict[str, Any]] = {
    "two-site": {"validation_fraction": 0.2},
    "two-site, complex, backtracking": {
        "dtype": "complex128",
        "steps": 2,
        "backtracks": 2,
        "bond_penalty": 0.01,
        "noise": 1e-3,
    },
    "one-site": {"method": "one-site", "expand": 0, "start": "random", "entropy_bonus": 0.1},
    "one-site, bonds growing": {"method": "one-site", "sweeps": 1},
    "all-site": {"method": "all-site", "batch_size": 37, "max_bond": 4, "start": "random"},
    "mixture, batches, shifts": {
        "n_machines": 2,
        "order": "snake",
        "batch_size": 150,
        "augment": "random-shifts",
    },
    "gaps": {"missing": "marginalise"},
}
COMMON = {"max_bond": 6, "sweeps": 2, "order": "raster", "start": "marginals", "dtype": "float64"}


def samples(case: str) -> np.ndarray[Any, Any]:
    """Return 101 digits, cut to 5 x 5 pixels; for gaps, some of the first have them."""
    digits = load_dataset("digits").samples[:101].reshape(-1, 8, 8)[:, 1:6, 1:6]
    found = digits.reshape(-1, 25).astype(int)
    if case == "gaps":
        found[:3, ::5] = -1  # all of them rows of process 0
    return found


def trained(case: str, ranks: Ranks = ALONE) -> dict[str, Any]:
    """Return what a case reaches: NLLs by sweep, bonds, and the state entry by entry."""
    machine = BornMachine(
        **COMMON | CASES[case], image_shape=(5, 5), random_state=3, device="cpu"
    ).fit(samples(case), ranks=ranks)
    records = [(r.nll_train, r.nll_validation, r.max_bond) for r in machine.history_]
    logs = machine.score_samples(np.maximum(samples(case), 0))
    return {"history": records, "logs": logs.tolist()}


MISTAKES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no seed": ({"random_state": None}, 9, "several processes need one random_state"),
    "batches by bond": ({"batch_size": 4, "batch_per": "bond"}, 9, "works on one process"),
    "trials of orders": ({"order_trials": 3}, 9, "order_trials=3 work on one process"),
    "one sample": ({}, 1, "1 samples a sweep cannot be shared out to 2 processes"),
    "several on one device": ({"device": "cuda:0"}, 9, "one device for 2 processes"),
    "NaN": ({"learning_rate": 1e300, "dtype": "float32"}, 9, "sweep 1, bond 23"),
}


def said(mistake: str, ranks: Ranks) -> str:
    """Return what is said to what several processes cannot do."""
    change, rows, _ = MISTAKES[mistake]
    settings = COMMON | {"random_state": 3, "device": "cpu", "image_shape": (5, 5)} | change
    try:
        BornMachine(**settings).fit(samples("")[:rows], ranks=ranks)
    except tnkit.TnkitError as error:
        return str(error)
    return "nothing"


def main(out: Path, memory: bool) -> None:
    """Do every case and every mistake."""
    with joined(silence=60.0, shared_memory=memory) as ranks:
        assert memory or ranks.board is None
        found: dict[str, Any] = {case: trained(case, ranks) for case in CASES}
        found["mistakes"] = {mistake: said(mistake, ranks) for mistake in MISTAKES}
        found["sum"] = ranks.total(np.float64(127.123456789), np.ones(3, np.float32))[0].item()
    found["threads"] = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    Path(f"{out}{ranks.rank}").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "memory")
