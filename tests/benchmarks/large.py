"""Two-site sweeps over the 50,000 static binarised MNIST digits, in the memory allowed.

``python tests/benchmarks/large.py [--bond 10 25 50 50] [--memory 2e9] [--samples 50000]`` prints
the memory that is stated beforehand, and one JSON line a sweep: CPU seconds of one thread, wall
seconds, bonds, NLL, and the largest resident size of the process so far. --bond gives the largest
bond of each sweep. The digits come from TNKIT_SHARED/data or ../shared/data.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from born_machine import BornMachine
from tnkit import StepInfo


def static_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Return the training and validation digits (sample, pixel)."""
    shared = Path(os.environ.get("TNKIT_SHARED", Path(__file__).parents[3] / "shared"))
    with np.load(shared / "data" / "binarized_mnist_static.npz") as archive:
        train, valid = (np.unpackbits(archive[name], axis=1) for name in ("train", "valid"))
    return train[:, :784], valid[:, :784]


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bond", nargs="*", type=int, default=[10, 25, 50, 50])
    parser.add_argument("--memory", type=float, default=2e9)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--value-cutoff", type=float, default=1e-3)
    parser.add_argument("--order", default="hilbert")
    parser.add_argument("--save", help="file for the trained machine")
    options = parser.parse_args()
    train, valid = static_mnist()
    machine = BornMachine(
        max_bond=options.bond,
        sweeps=len(options.bond),
        value_cutoff=options.value_cutoff,
        memory_limit=int(options.memory),
        order=options.order,
        augment="none",
        image_shape=(28, 28),
        patience=0,
        device="cpu",
        random_state=0,
    )
    marks: dict[int, list[float]] = {}

    def on_step(sweep: int, info: StepInfo) -> None:
        marks.setdefault(sweep, []).append(time.process_time())

    def on_sweep(checkpoint: Any) -> None:
        record = checkpoint.history[-1]
        line: dict[str, Any] = {"sweep": record.sweep}
        if record.sweep in marks:
            line["cpu_seconds"] = round(marks[record.sweep][-1] - marks[record.sweep][0], 1)
        line |= {"wall_seconds": round(record.seconds, 1), "max_bond": record.max_bond}
        line |= {"mean_bond": round(record.mean_bond, 1), "nll_train": round(record.nll_train, 3)}
        line["nll_validation"] = round(record.nll_validation or 0.0, 3)
        line["peak_rss_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(line), flush=True)

    machine.fit(train[: options.samples], validation=valid, on_step=on_step, on_sweep=on_sweep)
    print(machine.footprint_)
    if options.save:
        machine.save(options.save)


if __name__ == "__main__":
    main()
