"""W8: cutting an m x m matrix to half its rank; tnkit's split methods beside LAPACK alone.

``python tests/benchmarks/w8_truncation.py [--size 60 200 400] [--rounds 9]`` prints one JSON line
a contender: CPU seconds of one thread, the error over the best possible one, how far the kept
basis is from orthonormal, and the worst relative error of a kept singular value.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from chains import race

import tnkit
from tnkit.splitting import split_matrix


def matrix(m: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix whose singular values fall from 1 to 1e-7, and those values."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(2))
    values = np.exp(-16 * np.arange(m) / m)
    return ((left * values) @ right).astype(dtype), values


def w8(m: int, dtype: str, rounds: int) -> None:
    """Race every method on one size and dtype."""
    given, values = matrix(m, dtype)
    kept = m // 2
    rule = tnkit.Truncation(max_bond=kept)

    def lapack() -> Any:
        u, s, vh = np.linalg.svd(given, full_matrices=False)
        return u[:, :kept], s[:kept], s[:kept, None] * vh[:kept]

    def ours(method: str) -> Callable[[], Any]:
        def run() -> Any:
            found = split_matrix(given, rule, method=method)
            return found.left, found.values, found.right

        return run

    tensor = tnkit.Tensor(given, ["i", "j"])

    def randomised() -> Any:
        found = tnkit.split(tensor, ["i"], "rsvd", truncation=rule)
        return found.left.array, found.values, found.right.array

    contenders = {
        "LAPACK gesdd": lapack,
        "tnkit auto": ours("auto"),
        "tnkit svd": ours("svd"),
        "tnkit gram": ours("gram"),
        "tnkit rsvd": randomised,
    }
    found = race(contenders, rounds)
    base = found["LAPACK gesdd"][0]
    best = float(np.sqrt(np.sum(values[kept:] ** 2)))
    for name, (seconds, (left, kept_values, right)) in found.items():
        wide = left.astype(np.float64)
        rest = np.linalg.norm(given.astype(np.float64) - wide @ right.astype(np.float64))
        line = {
            "work": "W8",
            "size": f"{m} to {kept} {dtype}",
            "name": name,
            "seconds": round(seconds, 6),
            "over_limit": round(seconds / base, 3),
            "error_over_best": float(f"{rest / best:.6g}"),
            "isometry": float(f"{np.abs(wide.T @ wide - np.eye(kept)).max():.2g}"),
            "values": float(f"{np.max(np.abs(kept_values / values[:kept] - 1)):.2g}"),
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="*", type=int, default=[60, 200, 400])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for dtype in ("float32", "float64"):
        for m in options.size:
            w8(m, dtype, options.rounds)


if __name__ == "__main__":
    main()
