"""Onsager's free energy from boundary matrix product states: python examples/onsager.py [picture].

ln Z of open blocks n x n, n x (n + 1) and (n + 1) x (n + 1) of the square-lattice Ising model, by
boundary contraction. Their second difference is free of corners and edges: it is ln Z a site of
the infinite lattice, up to what the block is too small for. Onsager, Phys. Rev. 65, 117 (1944).
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np

import tnkit

SIDE = 24
BETAS = (0.3, 0.4, math.log(1 + math.sqrt(2)) / 2, 0.5)  # the third is critical
BONDS = (1, 2, 4, 8, 16)


def onsager(beta: float, points: int = 2000) -> float:
    """Return ln Z a site of the infinite lattice by Onsager's integral."""
    k = 2 * math.sinh(2 * beta) / math.cosh(2 * beta) ** 2
    # midpoints: the integrand is periodic and smooth but at the critical point
    angles = (np.arange(points) + 0.5) * math.pi / points
    root = np.sqrt(np.maximum(1 - (k * np.sin(angles)) ** 2, 0.0))
    return math.log(2 * math.cosh(2 * beta)) + float(np.mean(np.log((1 + root) / 2))) / 2


def bulk(beta: float, bond: int, side: int) -> tuple[float, float]:
    """Return ln Z a site from three blocks, and the error their reports add up to."""
    total, error = 0.0, 0.0
    for rows, columns, sign in ((side, side, 1), (side, side + 1, -2), (side + 1, side + 1, 1)):
        block = tnkit.ising_network(tnkit.lattice("square", rows, columns), beta)
        found = tnkit.boundary_contract(block, tnkit.Truncation(max_bond=bond))
        total += sign * float(found.value.log_abs)
        error += abs(sign) * found.error
    return total, error


def main(path: str) -> None:
    """Print the table and draw the picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.add_subplot()
    print(f"blocks of side {SIDE} and {SIDE + 1}; |ln Z a site - Onsager|, seconds in all")
    for number, beta in enumerate(BETAS):
        start = time.perf_counter()
        exact = onsager(beta)
        found = [bulk(beta, bond, SIDE) for bond in BONDS]
        errors = [max(abs(value - exact), 1e-16) for value, _ in found]
        row = "  ".join(f"{bond}: {error:.1e}" for bond, error in zip(BONDS, errors, strict=True))
        print(f"beta {beta:.4f}  {row}  ({time.perf_counter() - start:.0f} s)")
        label = f"beta = {beta:.4f}" + (" (critical)" if number == 2 else "")
        ax.semilogy(BONDS, errors, "o-", color=f"C{number}", label=label)
    ax.set_xlabel("bond dimension of the boundary")
    ax.set_ylabel("|ln Z per site - Onsager|")
    ax.set_xscale("log", base=2)
    ax.set_xticks(BONDS, [str(bond) for bond in BONDS])
    ax.legend(frameon=False)
    ax.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "onsager.png")
