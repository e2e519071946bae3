# ruff: noqa: E402  (threads are set before NumPy is imported)
"""W1: what a contraction costs beside its matrix products; tnkit beside whichever peers are here.

python tests/benchmarks/w1_overhead.py    (one thread, CPU seconds, interleaved rounds)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import importlib.util
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tnkit
from tnkit import tensor as tensor_module

Entry = Callable[[], Any]
Case = tuple[str, list[Any], Entry]


def matmul() -> Case:
    """Return two 8 x 8 matrices."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((8, 8)), rng.standard_normal((8, 8))
    return "ab,bc->ac", [a, b], lambda: a @ b


def ring(count: int = 10, size: int = 4) -> Case:
    """Return a closed ring of small matrices."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((size, size)) / 2 for _ in range(count)]
    spec = ",".join(chr(97 + at) + chr(97 + (at + 1) % count) for at in range(count)) + "->"

    def direct() -> Any:
        x = arrays[0]
        for array in arrays[1:-1]:
            x = x @ array
        return np.sum(x * arrays[-1].T)

    return spec, arrays, direct


def overlap(length: int = 100, bond: int = 16, size: int = 2) -> Case:
    """Return the overlap of two matrix product states."""
    rng = np.random.default_rng(0)

    def state() -> list[Any]:
        ends = (0, length - 1)
        return [
            rng.standard_normal((1 if k == 0 else bond, size, 1 if k == ends[1] else bond))
            / np.sqrt(size * bond)
            * 1.2
            for k in range(length)
        ]

    ket, bra = state(), state()
    terms, arrays = [], []
    for k in range(length):
        for start, tensors in ((200, ket), (400, bra)):
            names = chr(start + k) + chr(700 + k) + chr(start + k + 1)
            array = tensors[k]
            if k == 0:
                names, array = names[1:], array[0]
            if k == length - 1:
                names, array = names[:-1], array[..., 0]
            terms.append(names)
            arrays.append(array)

    def direct() -> Any:
        e = np.ones((1, 1))
        for a, b in zip(ket, bra, strict=True):
            t = (e.T @ a.reshape(a.shape[0], -1)).reshape(-1, a.shape[2])
            e = t.T @ b.reshape(-1, b.shape[2])
        return e[0, 0]

    return ",".join(terms) + "->", arrays, direct


def entries(spec: str, arrays: list[Any], direct: Entry) -> dict[str, Entry]:
    """Return every way to compute it that is installed."""
    shapes = [array.shape for array in arrays]
    made = tnkit.plan(spec, shapes=shapes)
    found: dict[str, Entry] = {"numpy by hand": direct, "tnkit plan": lambda: made(*arrays)}
    if len(arrays) == 2:
        a, b = tnkit.Tensor(arrays[0], ["a", "b"]), tnkit.Tensor(arrays[1], ["b", "c"])

        def uncached() -> Any:
            tensor_module._pair.cache_clear()
            return (a @ b).array

        found["tnkit a @ b"] = lambda: (a @ b).array
        found["tnkit a @ b, uncached"] = uncached
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        there = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        found["tnkit plan, torch"] = lambda: made(*there)
    how = "greedy" if len(arrays) > 12 else "auto"
    if importlib.util.find_spec("opt_einsum"):
        import opt_einsum

        compiled = opt_einsum.contract_expression(spec, *shapes, optimize=how)
        found["opt_einsum expression"] = lambda: compiled(*arrays)
    if importlib.util.find_spec("cotengra"):
        import cotengra

        expression = cotengra.einsum_expression(spec, *shapes, optimize="greedy")
        found["cotengra expression"] = lambda: expression(*arrays)
    return found


def medians(found: dict[str, Entry], rounds: int = 9) -> dict[str, float]:
    """Return the median CPU seconds of one call, rounds interleaved."""
    times: dict[str, list[float]] = {name: [] for name in found}
    repeats = {}
    for name, entry in found.items():
        entry()
        start = time.perf_counter()
        entry()
        repeats[name] = max(1, int(0.02 / max(1e-9, time.perf_counter() - start)))
    for _ in range(rounds):
        for name, entry in found.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                entry()
            times[name].append((time.process_time() - start) / repeats[name])
    return {name: sorted(values)[rounds // 2] for name, values in times.items()}


def main() -> None:
    """Print one JSON line per workload and entry; wrong answers stop it."""
    for case in (matmul, ring, overlap):
        spec, arrays, direct = case()
        found = entries(spec, arrays, direct)
        expected = np.asarray(direct())
        for name, entry in found.items():
            assert np.allclose(np.asarray(entry()), expected, rtol=1e-10), name
        result = medians(found)
        for name, seconds in result.items():
            line = {
                "workload": case.__name__,
                "entry": name,
                "microseconds": round(1e6 * seconds, 2),
                "of_hand": round(seconds / result["numpy by hand"], 2),
                "microseconds_a_step": round(1e6 * seconds / max(1, len(arrays) - 1), 2),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
