# ruff: noqa: E402  (threads are set before NumPy is imported)
"""W2: path quality at equal search time, and what executing a good path costs.

python tests/benchmarks/w2_paths.py [SECONDS]    (one thread; cotengra beside where it is installed)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import importlib.util
import json
import math
import sys
import time
from typing import Any

import networkx
import numpy as np

import tnkit


def on_graph(graph: Any) -> tnkit.TensorNetwork:
    """Return random tensors on a graph, every bond of size two."""
    rng = np.random.default_rng(0)
    return tnkit.from_networkx(graph, lambda node, shape: rng.standard_normal(shape))


def circuit(side: int = 7, depth: int = 10) -> tnkit.TensorNetwork:
    """Return an amplitude of a random circuit: couplers ABCDCDAB on a square of qubits."""
    inputs: list[list[str]] = []
    count = 0

    def new() -> str:
        nonlocal count
        count += 1
        return f"q{count}"

    now = [new() for _ in range(side * side)]
    inputs += [[name] for name in now]
    couplers: dict[str, list[tuple[int, int]]] = {"A": [], "B": [], "C": [], "D": []}
    for r in range(side):
        for c in range(side):
            if c + 1 < side:
                couplers["AB"[(r + c) % 2]].append((r * side + c, r * side + c + 1))
            if r + 1 < side:
                couplers["CD"[(r + c) % 2]].append((r * side + c, (r + 1) * side + c))
    for layer in range(depth):
        for u, v in couplers["ABCDCDAB"[layer % 8]]:
            out = (new(), new())
            inputs.append([now[u], now[v], *out])
            now[u], now[v] = out
    inputs += [[name] for name in now]
    rng = np.random.default_rng(0)
    return tnkit.TensorNetwork(
        [tnkit.Tensor(rng.standard_normal((2,) * len(names)), names) for names in inputs], []
    )


NETWORKS = {
    "3-regular 100": lambda: on_graph(networkx.random_regular_graph(3, 100, seed=0)),
    "3-regular 200": lambda: on_graph(networkx.random_regular_graph(3, 200, seed=0)),
    "lattice 12x12": lambda: on_graph(networkx.grid_2d_graph(12, 12)),
    "circuit 7x7 depth 10": circuit,
}


def main() -> None:
    """Print one JSON line per network and search."""
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    searches = [("auto", None), ("auto", budget)]
    if importlib.util.find_spec("cotengra"):
        searches.append(("cotengra", budget))
    for name, make in NETWORKS.items():
        network = make()
        values: list[float] = []
        for optimizer, seconds in searches:
            start = time.perf_counter()
            made = tnkit.plan(network, optimizer=optimizer, time_budget=seconds)
            line: dict[str, Any] = {
                "network": name,
                "search": optimizer,
                "budget": seconds,
                "seconds": round(time.perf_counter() - start, 2),
                "log10_multiplications": round(math.log10(made.cost.multiplications), 2),
                "log2_largest": round(math.log2(made.cost.largest_bytes / 8), 1),
            }
            if made.cost.multiplications < 1e7:
                arrays = network.arrays
                times = []
                values.append(float(made(*arrays)))
                assert math.isclose(values[-1], values[0], rel_tol=1e-8), (name, optimizer, values)
                for _ in range(21):
                    start = time.process_time()
                    made(*arrays)
                    times.append(time.process_time() - start)
                line["execution_ms"] = round(1e3 * sorted(times)[10], 3)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
