"""Repeat Figure 6 of Han et al. (Phys. Rev. X 8, 031012, 2018): train NLL against loops, by bond.

Their 1,000 binary digits, pixels read row by row, all samples in every step, one gradient step a
bond; one loop goes through the chain there and back. What differs from theirs: the step's length
is bounded instead of normalised, and a split keeps every direction that `max_bond` allows, also
those of singular value zero, so that the gradient can fill them. Another --order, of the pixels or
learned from the training digits, is a row of its own.

    python examples/benchmarks/han2018_capacity.py [DATA] --bond 20 --loops 148
    python examples/benchmarks/han2018_capacity.py --bond 20 --order linkage
    python examples/benchmarks/han2018_capacity.py --draw

DATA is the folder of han2018_samples.npz and han2018_capacity_curves.csv (the logs that the
authors publish in github.com/congzlwag/UnsupGenModbyMPS, MNIST/capacity). A stopped run goes on
where it stopped, bit for bit; the results land in docs/results/han2018, the picture in docs/images.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from records import IMAGES, RESULTS, ROOT, write_record
from sets import folder, found
from threadpoolctl import threadpool_limits

from born_machine.amplitude import bond_orders
from born_machine.likelihood import log_likelihood
from born_machine.ordering import ORDERS, site_order
from born_machine.problem import LikelihoodProblem
from born_machine.settings import Settings
from born_machine.start import start_state
from born_machine.update import StepRule
from tnkit import (
    MPS,
    Gauge,
    Truncation,
    atomic_file,
    close_zipper,
    open_zipper,
    read_archive,
    round_trip,
    sweep,
    two_site,
    write_archive,
)

FOLDER = RESULTS / "han2018"
PICTURE = IMAGES / "han2018_capacity.png"
STATES = ROOT / "runs" / "han2018"
KIND = "han2018-capacity-state"
LOOPS = {20: 148, 50: 87, 100: 100, 200: 54}  # as many as theirs

PLAIN = ((0.3, 0.2),)
# bonds at their largest from loop 3 on: three loops of steps of full length, then plain ones
FULL = (*PLAIN * 3, *((1e6, 0.14),) * 3, (0.6, 0.14))
STEPS = {  # (learning rate, longest step) of each loop, the last staying
    20: PLAIN,
    50: PLAIN,
    100: FULL,
    200: FULL,  # as chosen at 100
}
SPLITS = {200: "retraction"}  # the others by eigenvalues, "gram"
AFTER_RISE = 0.5  # learning rate and bound are multiplied by this after a loop that raised the NLL
SEED = 0


def main() -> None:
    """Train what is asked for, or draw what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA", nargs="?", default=folder())
    parser.add_argument("--bond", type=int, choices=LOOPS, nargs="*", default=list(LOOPS))
    parser.add_argument("--order", choices=ORDERS, default="raster", help="of the pixels")
    parser.add_argument("--loops", type=int, help="at most this many (as many as theirs)")
    parser.add_argument("--draw", action="store_true", help="only draw the results there are")
    options = parser.parse_args()
    if not options.draw:
        for bond in options.bond:
            train(bond, options.order, options.loops or LOOPS[bond], options.data)
    draw(options.data)


def digits(data: Path, name: str) -> np.ndarray[Any, Any]:
    """Return the images `name` as (sample, pixel) bits, row by row."""
    with np.load(found(data / "han2018_samples.npz")) as packed:
        return np.unpackbits(packed[name], axis=1)[:, :784]


def run_name(bond: int, order: str) -> str:
    """Return the name of a run's files."""
    return f"D{bond}" if order == "raster" else f"D{bond}-{order}"


def train(bond: int, order: str, loops: int, data: Path) -> None:
    """Train at `bond` up to loop `loops`, writing state and results after every loop."""
    training, test = digits(data, "cap_train"), digits(data, "cap_test")
    along = site_order(order, training.shape[1], (28, 28), training)
    training, test = training[:, along], test[:, along]
    dims = (2,) * training.shape[1]
    saved = STATES / f"{run_name(bond, order)}.npz"
    if saved.exists():
        about, arrays = read_archive(saved, KIND)
        if about["settings"] != settings_of(bond, order):
            raise SystemExit(f"{saved} was made with other settings; remove it to start anew")
        chain = tuple(arrays[f"site_{k}"] for k in range(len(dims)))
        psi = MPS(chain, tuple(range(len(dims))), Gauge(*about["gauge"]))
        history, scale = about["history"], about["scale"]
    else:
        settings = Settings(max_bond=bond)
        psi = start_state(training, dims, settings, np.random.default_rng(SEED))
        history, scale = [record(psi, training, test, 0, 0.0)], 1.0
    split = SPLITS.get(bond, "gram")
    orders = bond_orders(training, dims, psi.arrays[0])
    for loop in range(len(history), loops + 1):
        rate, longest = STEPS[bond][min(loop, len(STEPS[bond])) - 1]
        rule = StepRule(learning_rate=scale * rate, longest=scale * longest)
        problem = LikelihoodProblem(orders, psi.arrays[0], len(training), rule)
        step = two_site(problem, Truncation(max_bond=bond, static=True), method=split)
        began = time.perf_counter()
        with threadpool_limits(limits=1, user_api="blas"):
            zipper = open_zipper(psi, problem, psi.centre or 0)
            for zipper, _ in sweep(zipper, step, round_trip(len(dims))):  # noqa: B007, B020
                pass
            psi = close_zipper(zipper)
        history.append(record(psi, training, test, loop, time.perf_counter() - began))
        if history[-1]["nll_train"] > history[-2]["nll_train"]:
            scale *= AFTER_RISE
        saved.parent.mkdir(parents=True, exist_ok=True)
        write_archive(
            saved,
            KIND,
            {
                "gauge": [psi.gauge.left, psi.gauge.right],
                "history": history,
                "scale": scale,
                "settings": settings_of(bond, order),
            },
            {f"site_{k}": array for k, array in enumerate(psi.arrays)},
        )
        write_results(bond, order, history)
        print(
            f"D = {bond:4d}  " + "  ".join(f"{k} {v}" for k, v in history[-1].items()), flush=True
        )


def record(
    psi: MPS,
    training: np.ndarray[Any, Any],
    test: np.ndarray[Any, Any],
    loop: int,
    seconds: float,
) -> dict[str, Any]:
    """Return one line of the log; the NLLs in double precision, nats a digit.

    nll_test is null where a digit has a pixel that no training digit has, and then is impossible.
    """
    exact = MPS(tuple(array.astype(np.float64) for array in psi.arrays), psi.sites, psi.gauge)
    logs = log_likelihood(exact, test.astype(np.int64))
    possible = np.isfinite(logs)
    return {
        "loop": loop,
        "nll_train": round(-float(log_likelihood(exact, training.astype(np.int64)).mean()), 4),
        "nll_test": round(-float(logs.mean()), 4) if possible.all() else None,
        "impossible_test_digits": int((~possible).sum()),
        "max_bond": max(psi.bond_dims),
        "mean_bond": round(float(np.mean(psi.bond_dims)), 2),
        "seconds": round(seconds, 2),
    }


def settings_of(bond: int, order: str) -> dict[str, Any]:
    """Return what a run trains with, as JSON holds it."""
    return {
        "max_bond": bond,
        "learning_rate_and_longest_step_by_loop": [list(step) for step in STEPS[bond]],
        "after_rise": AFTER_RISE,
        "static": True,
        "split": SPLITS.get(bond, "gram"),
        "dtype": "float32",
        "order": order,
        "blas_threads": 1,
    }


def write_results(bond: int, order: str, history: list[dict[str, Any]]) -> None:
    """Write the log with everything needed to repeat it."""
    command = f"python examples/benchmarks/han2018_capacity.py --bond {bond}"
    about = {
        "command": command + (f" --order {order}" if order != "raster" else ""),
        "settings": settings_of(bond, order),
        "seed": SEED,
        "history": history,
    }
    write_record(FOLDER / f"{run_name(bond, order)}.json", about)


def draw(data: Path) -> None:
    """Draw theirs and ours in one figure, the difference, and our test NLL."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 4.6), layout="constrained")
    both, difference, test = figure.subplots(1, 3)
    difference.axhspan(-0.2, 0.2, color="0.92", zorder=0)
    difference.axhline(0.0, color="0.5", lw=1)
    for number, bond in enumerate(LOOPS):
        path = FOLDER / f"D{bond}.json"
        if not path.exists():
            continue
        history = json.loads(path.read_text(encoding="utf-8"))["history"][1:]
        loops = [row["loop"] for row in history]
        ours = [row["nll_train"] for row in history]
        theirs = published(data, bond)
        color = f"C{number}"
        both.plot(list(theirs), list(theirs.values()), "--", color=color, lw=1.4)
        both.plot(loops, ours, "-", color=color, lw=1.6, label=f"D = {bond}")
        gaps = [nll - theirs[loop] for loop, nll in zip(loops, ours, strict=True)]
        difference.plot(loops, gaps, "-", color=color)
        seen = [(row["loop"], row["nll_test"]) for row in history if row["nll_test"] is not None]
        test.plot(*zip(*seen, strict=True), "-", color=color)
    both.plot([], [], "k--", label="Han et al.")
    both.plot([], [], "k-", label="tnkit")
    both.set_title("train NLL, 1,000 digits", fontsize=11)
    both.set_ylim(20, 130)
    both.legend(fontsize=9)
    difference.set_title("ours less theirs (grey: 0.2)", fontsize=11)
    difference.set_ylim(-2.0, 1.3)
    test.set_title("our test NLL, 1,000 other digits", fontsize=11)
    for axes in (both, difference, test):
        axes.set_xscale("log")
        axes.set_xlabel("loop (there and back)")
        axes.set_ylabel("nats per digit")
        axes.grid(alpha=0.25, which="both")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(PICTURE) as file:
        figure.savefig(file, format="png", dpi=130)


def published(data: Path, bond: int) -> dict[int, float]:
    """Return their train NLL by loop, without the start."""
    with found(data / "han2018_capacity_curves.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Dmax"] == str(bond)]
    return {int(row["loop"]): float(row["nll_train"]) for row in rows if row["loop"] != "0"}


if __name__ == "__main__":
    main()
