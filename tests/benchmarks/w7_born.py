"""W7: two-site training of a Born machine on 1,000 MNIST digits, a sweep at a time.

``python tests/benchmarks/w7_born.py [--bond 30 100] [--data DATA_FOLDER] [--peers PEERS_FOLDER]``
prints one JSON line a contender and sweep: CPU seconds of one thread, NLL of the training digits
and of the next 1,000. The settings are those of Han et al.'s code: start at bond 2, full batch,
learning rate 0.05, one step a bond, singular values kept down to 1e-3 of the largest (1e-4 at bond
100). Beside tnkit runs the hand-written NumPy loop `w7_np.py`, where its folder is given; the two
take turns, sweep by sweep.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools

import numpy as np

import tnkit
from born_machine.likelihood import negative_log_likelihood
from born_machine.sweeper import likelihood_problem
from born_machine.update import StepRule

SWEEPS = {30: 5, 100: 4}
CUTOFF = {30: 1e-3, 100: 1e-4}
Score = Callable[[], tuple[float, float]]


def ours(train: np.ndarray, test: np.ndarray, bond: int) -> Iterator[Score]:
    """Yield after every sweep; what is yielded gives both NLLs."""
    rng = np.random.RandomState(1)
    bonds = [1, *(2,) * (train.shape[1] - 1), 1]
    start = tnkit.MPS.from_arrays(
        [rng.rand(l, 2, r).astype("f4") for l, r in itertools.pairwise(bonds)]
    )
    start = tnkit.normalize(tnkit.canonicalize(start, -1))
    dims = (2,) * train.shape[1]
    problem = likelihood_problem(train, dims, start.arrays[0], StepRule(learning_rate=0.05))
    rule = tnkit.Truncation(max_bond=bond, value_cutoff=CUTOFF[bond])
    step = tnkit.two_site(problem, rule, method="retraction")
    zipper = tnkit.open_zipper(start, problem)
    while True:
        for after, _ in tnkit.sweep(zipper, step, tnkit.round_trip(len(dims))):
            zipper = after
        closed = tnkit.close_zipper(zipper).astype("float64")
        yield lambda psi=closed: (  # type: ignore[misc]
            negative_log_likelihood(psi, train.astype(np.int64)),
            negative_log_likelihood(psi, test.astype(np.int64)),
        )


def by_hand(loop: Any, train: np.ndarray, test: np.ndarray, bond: int) -> Iterator[Score]:
    """Yield after every sweep of the hand-written loop."""
    machine = loop.BornNp(
        train.astype(np.int8), chi_max=bond, cutoff=CUTOFF[bond], dtype="float32", svd="gram"
    )
    while True:
        machine.sweep()
        yield lambda: (machine.nll(), machine.nll(test.astype(np.int8)))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("TNKIT_SHARED", Path(__file__).parents[3] / "shared"))
    parser.add_argument("--bond", nargs="*", type=int, default=[30, 100], choices=SWEEPS)
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--peers", type=Path, default=shared / "peers")
    options = parser.parse_args()
    with np.load(options.data / "mnist.npz") as archive:
        images = (archive["x_train"][:2000] > 127).reshape(-1, 784).astype(np.uint8)
    train, test = images[:1000], images[1000:]
    for bond in options.bond:
        contenders = {"tnkit": ours(train, test, bond)}
        if (options.peers / "w7_np.py").exists():
            sys.path.insert(0, str(options.peers))
            contenders["numpy by hand"] = by_hand(__import__("w7_np"), train, test, bond)
        for sweep in range(1, SWEEPS[bond] + 1):
            for name, run in contenders.items():
                began = time.process_time()
                score = next(run)
                seconds = time.process_time() - began
                nll = [round(value, 3) for value in score()]
                line = {"work": "W7", "size": f"bond {bond} sweep {sweep}", "name": name}
                line |= {"seconds": round(seconds, 3), "nll_train": nll[0], "nll_test": nll[1]}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
