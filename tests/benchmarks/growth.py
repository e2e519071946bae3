"""How cost grows: exponents fitted in bond, sites and samples, against theory.

``python tests/benchmarks/growth.py [--quick] [--out docs/images/growth.png] [--json FILE]`` times
training, sampling, compression, overlap and planned contraction while one size grows, fits the
slope of log time against log size (least squares, with its standard error, over the upper half of
the sizes), and draws the points, the fit and the slope of theory. One thread; process CPU seconds,
the least of interleaved rounds. Where kernels are small, overhead and caches flatten a slope: it
reaches theory's only where matrix products dominate. Chains are long enough for the bond to be as
large as it says nearly everywhere: near an end it cannot exceed the states beyond.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tnkit
from born_machine.sweeper import likelihood_problem
from born_machine.update import StepRule

Make = Callable[[int], Callable[[], Any]]


class Law(NamedTuple):
    """One work and one size that grows: theory's exponent, the sizes, what makes the work."""

    work: str
    size: str
    theory: float
    sizes: Sequence[int]
    make: Make


def training(bond: int, sites: int, samples: int) -> Callable[[], Any]:
    """Return a sweep from the left to the right over a chain with that bond everywhere."""
    rng = np.random.default_rng(0)
    data = (np.cumsum(rng.standard_normal((samples, sites)), axis=1) > 0).astype(np.uint8)
    psi = tnkit.normalize(
        tnkit.canonicalize(tnkit.random_mps(sites, bond_dim=bond, dtype="float32", seed=0), 0)
    )
    problem = likelihood_problem(data, (2,) * sites, psi.arrays[0], StepRule(learning_rate=0.05))
    rule = tnkit.Truncation(max_bond=bond, static=True)
    step = tnkit.two_site(problem, rule, method="gram")
    zipper = tnkit.open_zipper(psi, problem, 0)
    moves = [tnkit.Move(bond, True) for bond in range(sites - 1)]
    return lambda: [info for _, info in tnkit.sweep(zipper, step, moves)]


def sampling(bond: int, sites: int, samples: int) -> Callable[[], Any]:
    """Return the drawing of samples in one batch."""
    psi = tnkit.normalize(tnkit.canonicalize(tnkit.random_mps(sites, bond_dim=bond, seed=0), 0))
    return lambda: tnkit.sample(psi, samples, seed=0)


def compression(bond: int, sites: int) -> Callable[[], Any]:
    """Return the exact compression of a state without a gauge to half its bond."""
    psi = tnkit.MPS.from_arrays(tnkit.random_mps(sites, bond_dim=bond, seed=0).arrays)
    rule = tnkit.Truncation(max_bond=bond // 2)
    return lambda: tnkit.compress(psi, rule)


def overlap(bond: int, sites: int) -> Callable[[], Any]:
    """Return the inner product of two states."""
    one, two = (tnkit.random_mps(sites, bond_dim=bond, seed=seed) for seed in (0, 1))
    return lambda: tnkit.inner(one, two)


def lattice(bond: int, side: int) -> tuple[tnkit.Plan, list[np.ndarray]]:
    """Return the plan of a square lattice of tensors with that bond, and the tensors."""
    rng = np.random.default_rng(0)
    tensors = []
    for x in range(side):
        for y in range(side):
            names = [f"h{x}.{y}", f"h{x + 1}.{y}", f"v{x}.{y}", f"v{x}.{y + 1}"]
            inside = [x > 0, x < side - 1, y > 0, y < side - 1]
            names = [name for name, kept in zip(names, inside, strict=True) if kept]
            tensors.append(tnkit.Tensor(rng.random((bond,) * len(names)) / bond**2, names))
    planned = tnkit.plan(tnkit.TensorNetwork(tensors))
    return planned, [tensor.array for tensor in tensors]


def contraction(bond: int) -> Callable[[], Any]:
    """Return the contraction of the lattice, its plan made beforehand."""
    planned, arrays = lattice(bond, 4)
    return lambda: planned(*arrays)


def counted(sizes: Sequence[int]) -> float:
    """Return the exponent of the multiplications that the plans of the lattice count."""
    return slope(sizes, [lattice(size, 4)[0].cost.multiplications for size in sizes])[0]


def laws(quick: bool) -> list[Law]:
    """Return what is measured; `quick` takes small sizes, to see that it runs."""

    def sizes(*all_of_them: int) -> Sequence[int]:
        return all_of_them[:4] if quick else all_of_them

    bonds = sizes(16, 24, 32, 48, 64, 96, 128, 192, 256)
    chains = sizes(16, 32, 64, 128, 256, 512)
    counts = sizes(500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
    lattices = sizes(4, 6, 8, 10, 12, 14, 16, 20)
    return [
        Law("training", "bond", 2, bonds, lambda d: training(d, 40, 4000)),
        Law("training", "sites", 1, chains, lambda n: training(24, n, 1000)),
        Law("training", "samples", 1, counts, lambda n: training(16, 24, n)),
        Law("sampling", "bond", 2, bonds, lambda d: sampling(d, 48, 2000)),
        Law("sampling", "sites", 1, chains, lambda n: sampling(32, n, 500)),
        Law("sampling", "samples", 1, counts, lambda n: sampling(32, 24, n)),
        Law("compression", "bond", 3, bonds, lambda d: compression(d, 40)),
        Law("compression", "sites", 1, chains, lambda n: compression(24, n)),
        Law("overlap", "bond", 3, bonds, lambda d: overlap(d, 48)),
        Law("overlap", "sites", 1, chains, lambda n: overlap(32, n)),
        Law("lattice 4 x 4, planned", "bond", round(counted(lattices), 2), lattices, contraction),
    ]


def seconds(runs: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the least CPU seconds of each, run in turns; short runs are repeated."""
    repeats = []
    for run in runs:
        run()
        began = time.process_time()
        run()
        repeats.append(max(1, round(0.02 / max(time.process_time() - began, 1e-6))))
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for k, (run, count) in enumerate(zip(runs, repeats, strict=True)):
            began = time.process_time()
            for _ in range(count):
                run()
            best[k] = min(best[k], (time.process_time() - began) / count)
    return best


def slope(sizes: Sequence[int], times: Sequence[float]) -> tuple[float, float, float]:
    """Return slope, its standard error and the offset of log time against log size."""
    upper = len(sizes) // 2 - (len(sizes) < 6)
    x, y = np.log(np.asarray(sizes[upper:])), np.log(np.asarray(times[upper:]))
    (found, offset), residuals, *_ = np.polyfit(x, y, 1, full=True)
    rest = float(residuals[0]) if len(residuals) else 0.0
    error = np.sqrt(rest / max(len(x) - 2, 1) / np.sum((x - x.mean()) ** 2))
    return float(found), float(error), float(offset)


def measure(law: Law, rounds: int) -> dict[str, Any]:
    """Return the times of one law and its fit, as JSON values."""
    times = seconds([law.make(size) for size in law.sizes], rounds)
    found, error, offset = slope(law.sizes, times)
    return {
        "work": law.work,
        "size": law.size,
        "theory": law.theory,
        "exponent": round(found, 3),
        "standard_error": round(error, 3),
        "offset": round(offset, 4),
        "sizes": list(law.sizes),
        "seconds": [float(f"{t:.4g}") for t in times],
    }


def draw(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw every law: points, the fit, the slope of theory."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    columns = 4
    rows = -(-len(found) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(13, 3.1 * rows), squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    for axis, law in zip(axes.flat, found, strict=False):
        x, y = np.array(law["sizes"], dtype=float), np.array(law["seconds"])
        axis.loglog(x, y, "o", color="C0", markersize=4)
        fit = np.exp(law["offset"]) * x ** law["exponent"]
        label = f"{law['exponent']:.2f} ± {law['standard_error']:.2f}"
        axis.loglog(x, fit, "-", color="C0", linewidth=1, label=label)
        theory = y[-1] * (x / x[-1]) ** law["theory"]
        axis.loglog(x, theory, "--", color="C1", linewidth=1, label=f"theory {law['theory']:g}")
        axis.set_title(f"{law['work']}, by {law['size']}", fontsize=9)
        axis.set_xlabel(law["size"], fontsize=8)
        axis.set_ylabel("CPU seconds", fontsize=8)
        axis.xaxis.set_minor_locator(NullLocator())
        shown = [law["sizes"][k] for k in (0, len(x) // 3, 2 * len(x) // 3, -1)]
        axis.set_xticks(shown, [f"{size:,}" for size in shown])
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the name of the work")
    parser.add_argument("--out", type=Path, help="picture")
    parser.add_argument("--json", type=Path, help="figures")
    parser.add_argument("--given", type=Path, help="draw the figures of this file, measure nothing")
    options = parser.parse_args()
    if options.given:
        return draw(json.loads(options.given.read_text())["laws"], options.out)
    found = []
    for law in laws(options.quick):
        if options.only in law.work:
            found.append(measure(law, options.rounds))
            line = {k: v for k, v in found[-1].items() if k not in ("offset", "sizes", "seconds")}
            print(json.dumps(line), flush=True)
    if options.out:
        draw(found, options.out)
    if options.json:
        about = {"python": platform.python_version(), "numpy": np.__version__, "threads": 1}
        about["load"] = round(os.getloadavg()[0], 1)
        options.json.write_text(json.dumps({"about": about, "laws": found}, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
