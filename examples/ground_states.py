"""Ground states by DMRG: the three pictures and the table of docs/ground-states.md.

``python examples/ground_states.py --out docs/images`` draws: energy and variance by sweep, entropy
along a critical chain beside Calabrese and Cardy's formula, and energies of infinite chains as
extrapolations with error bars. About a minute on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import tnkit

KNOWN = -4.0 / np.pi, 0.25 - np.log(2.0)  # energies a site: critical Ising, Heisenberg


def ising(length: int) -> tnkit.MPO:
    """Return -sum Z Z - sum X, critical."""
    terms = tnkit.OpSum()
    for k in range(length):
        terms.add(-1.0, ("X", k))
        if k + 1 < length:
            terms.add(-1.0, ("Z", k), ("Z", k + 1))
    return terms.to_mpo(length)


def heisenberg(length: int, levels: int = 2) -> tnkit.MPO:
    """Return sum S . S for spins of so many levels."""
    terms = tnkit.OpSum(tnkit.site_operators("spin", levels))
    for k in range(length - 1):
        terms.add(0.5, ("Sp", k), ("Sm", k + 1))
        terms.add(0.5, ("Sm", k), ("Sp", k + 1))
        terms.add(1.0, ("Sz", k), ("Sz", k + 1))
    return terms.to_mpo(length)


def spin_one(length: int) -> tnkit.MPO:
    """Return the Heisenberg chain of spin 1."""
    return heisenberg(length, 3)


def ground(mpo: tnkit.MPO, bond: int, method: str = "one-site", **settings: Any) -> Any:
    """Return the result at one bond dimension, from a random state."""
    start = tnkit.random_mps(len(mpo), mpo.in_dims, bond_dim=4, seed=0)
    rule = tnkit.Truncation(max_bond=bond, cutoff=1e-13)
    return tnkit.dmrg(mpo, start, truncation=rule, method=method, tolerance=1e-11, **settings)


def by_sweep(out: Path) -> None:
    """Energy and variance after every sweep, two sites and one, three bonds."""
    mpo = heisenberg(32)
    exact = ground(mpo, 100).energy
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for bond, colour in ((16, "C0"), (32, "C1"), (64, "C2")):
        for method, style in (("two-site", "o-"), ("one-site", "s--")):
            history = ground(mpo, bond, method, sweeps=4, variance_tolerance=0.0).history
            sweeps = np.arange(1, len(history) + 1)
            label = f"bond {bond}, {method}"
            gaps = [max(record.energy - exact, 1e-13) for record in history]
            spreads = [max(record.variance or 0.0, 1e-13) for record in history]
            left.semilogy(sweeps, gaps, style, color=colour, label=label, markersize=4)
            right.semilogy(sweeps, spreads, style, color=colour, markersize=4)
    left.set(xlabel="sweep", ylabel="energy above bond 100", title="Heisenberg chain, 32 sites")
    right.set(xlabel="sweep", ylabel="variance of the energy")
    for axes in (left, right):
        axes.set_xticks(range(1, 5))
    figure.legend(*left.get_legend_handles_labels(), fontsize=7, loc="outside right center")
    figure.savefig(out / "dmrg-sweeps.png", dpi=130)


def along_the_chain(out: Path) -> dict[str, float]:
    """Entropy at every bond of the critical Ising chain, and the central charge fitted to it."""
    length = 100
    state = ground(ising(length), 40).state
    bonds = np.arange(1, length)
    entropies = np.array([tnkit.entropy(state, k - 1) for k in bonds])
    # open ends: S = (c / 6) log(2 L / pi sin(pi k / L)) + constant (Calabrese and Cardy, 2004)
    chord = np.log(2 * length / np.pi * np.sin(np.pi * bonds / length))
    middle = slice(length // 5, -length // 5)
    slope, constant = np.polyfit(chord[middle], entropies[middle], 1)
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.plot(bonds, entropies, ".", label="DMRG, bond 40")
    axes.plot(bonds, slope * chord + constant, label=f"c = {6 * slope:.4f}, fitted (exact 1/2)")
    axes.set(xlabel="bond", ylabel="entropy (nats)", title="Critical Ising chain, 100 sites")
    axes.legend()
    figure.savefig(out / "dmrg-entropy.png", dpi=130)
    return {"central charge": 6 * slope}


Correction = Callable[[np.ndarray], np.ndarray]


def to_infinity(
    lengths: list[int], energies: list[float], corrections: list[Correction]
) -> tuple[float, float]:
    """Return energy a site of the infinite chain and its error.

    Differences of energies over differences of lengths have no end energies left; they are fitted
    by a constant and the corrections. The error is how far the constant moves when the shortest
    chain is left out, or that and the last correction, whichever is more.
    """
    x, y = differences(lengths, energies)

    def constant(first: int, used: list[Correction]) -> float:
        columns = np.stack([x**0.0, *(correction(x) for correction in used)], axis=1)
        return float(np.linalg.lstsq(columns[first:], y[first:], rcond=None)[0][0])

    best = constant(0, corrections)
    others = constant(1, corrections), constant(1, corrections[:-1])
    return best, max(abs(best - other) for other in others)


def differences(lengths: list[int], energies: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths between neighbours of the list, and the energy a site between them."""
    sizes = np.array(lengths, dtype=float)
    return (sizes[1:] + sizes[:-1]) / 2, np.diff(energies) / np.diff(sizes)


def infinite(out: Path) -> dict[str, list[float]]:
    """Energies a site of infinite chains, three models; (value, error, known)."""
    critical: list[Correction] = [lambda x: x**-2, lambda x: x**-3]
    gapped: list[Correction] = [lambda x: np.exp(-x / 6.03)]  # correlation length: White, Huse
    long = [16, 24, 32, 40, 48, 64]
    cases = {
        "Ising, critical": (ising, long, 40, critical, KNOWN[0]),
        "Heisenberg, spin 1/2": (heisenberg, long, 64, critical, KNOWN[1]),
        "Heisenberg, spin 1": (spin_one, [20, 28, 36, 44], 60, gapped, -1.401484038971),
    }
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    table = {}
    for axes, (name, case) in zip(panels, cases.items(), strict=True):
        model, lengths, bond, corrections, known = case
        energies = [ground(model(n), bond, sweeps=30).energy for n in lengths]
        value, error = to_infinity(lengths, energies, corrections)
        table[name] = [value, error, known]
        x, y = differences(lengths, energies)
        axes.plot(corrections[0](x), y, "o", label="DMRG")
        axes.errorbar([0], [value], [error], fmt="s", capsize=4, label=f"limit {value:.6f}")
        axes.axhline(known, color="grey", linewidth=0.8, label=f"known {known:.6f}")
        axes.set(xlabel="exp(-L / 6.03)" if corrections is gapped else "1 / L squared", title=name)
        axes.ticklabel_format(useOffset=False, axis="y")
        axes.legend(fontsize=7)
    panels[0].set_ylabel("energy a site")
    figure.savefig(out / "dmrg-infinite.png", dpi=130)
    return table


def main() -> None:
    """Draw everything and print the figures of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path())
    out = parser.parse_args().out
    by_sweep(out)
    print(json.dumps(along_the_chain(out) | infinite(out), indent=1))


if __name__ == "__main__":
    main()
