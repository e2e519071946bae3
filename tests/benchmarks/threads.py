"""Where a second BLAS thread helps: matrix products and factorisations by size, and training.

``python tests/benchmarks/threads.py [--size 32 64 ...] [--bond 30 100] [--threads 2]`` prints one
JSON line a case: the wall seconds with one thread and with several, the median of interleaved
rounds, and the load of the machine. Do not set OMP_NUM_THREADS: it bounds what can be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

import tnkit
from born_machine.sweeper import likelihood_problem
from born_machine.update import StepRule


def kernels(n: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """Return a product, an eigendecomposition, an SVD and a QR of n x n matrices."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
    square = a @ a.T
    return {
        "matmul": lambda: a @ b,
        "eigh": lambda: np.linalg.eigh(square),
        "svd": lambda: np.linalg.svd(a),
        "qr": lambda: np.linalg.qr(a),
    }


def training(bond: int, samples: int) -> Callable[[], Any]:
    """Return ten bond steps in the middle of a chain of that bond."""
    rng = np.random.default_rng(0)
    data = (np.cumsum(rng.standard_normal((samples, 64)), axis=1) > 0).astype(np.uint8)
    psi = tnkit.random_mps(64, bond_dim=bond, dtype="float32", seed=0)
    problem = likelihood_problem(data, (2,) * 64, psi.arrays[0], StepRule(learning_rate=0.05))
    step = tnkit.two_site(problem, tnkit.Truncation(max_bond=bond), method="gram")
    zipper = tnkit.open_zipper(psi, problem, 27)
    moves = [tnkit.Move(bond, True) for bond in range(27, 37)]
    return lambda: [info for _, info in tnkit.sweep(zipper, step, moves)]


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [32, 64, 128, 200, 256, 400, 512, 800, 1024]
    parser.add_argument("--size", nargs="*", type=int, default=sizes)
    parser.add_argument("--bond", nargs="*", type=int, default=[30, 100, 200])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--dtype", nargs="*", default=["float64"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cases = {
        f"{name} {n} {dtype}": run
        for dtype in options.dtype
        for n in options.size
        for name, run in kernels(n, dtype).items()
    }
    cases |= {
        f"training bond {bond}, {options.samples} samples": training(bond, options.samples)
        for bond in options.bond
    }
    blas = ThreadpoolController()
    for name, run in cases.items():
        began = time.perf_counter()
        run()
        repeats = max(1, round(0.01 / (time.perf_counter() - began)))
        times: dict[int, list[float]] = {1: [], options.threads: []}
        for _ in range(options.rounds):
            for count, found in times.items():
                with blas.limit(limits=count, user_api="blas"):
                    began = time.perf_counter()
                    for _ in range(repeats):
                        run()
                    found.append((time.perf_counter() - began) / repeats)
        one, several = (statistics.median(found) for found in times.values())
        line: dict[str, Any] = {"work": "threads", "name": name, "seconds_one": float(f"{one:.3g}")}
        line |= {f"seconds_{options.threads}": float(f"{several:.3g}")}
        line |= {"ratio": round(several / one, 2), "load": round(os.getloadavg()[0], 1)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
