"""States of bit strings with even parity: the smallest plugin of tnkit. Copy it and rename."""

from __future__ import annotations

import numpy as np

import tnkit

__all__ = ["NearestParity", "even_parity_mps"]


def even_parity_mps(sites: int) -> tnkit.MPS:
    """Return the even superposition of all bit strings with an even number of ones.

    The bond carries the parity so far, so its size is 2. Normalised; NumPy arrays. Raises
    `tnkit.ArgumentError` for fewer than two sites.

    >>> even_parity_mps(4)
    MPS(4 sites, site_dim 2, bond_dim 2, float64, centre 0)
    """
    if isinstance(sites, bool) or not isinstance(sites, int) or sites < 2:
        raise tnkit.ArgumentError(f"sites must be a whole number from 2 up, got {sites!r}")
    step = np.zeros((2, 2, 2))
    for before in range(2):
        for bit in range(2):
            step[before, bit, before ^ bit] = 1.0
    arrays = [step[:1], *[step] * (sites - 2), step[:, :, :1]]
    return tnkit.normalize(tnkit.canonicalize(tnkit.MPS.from_arrays(arrays), 0))


class NearestParity:
    """A `tnkit.Problem`: the state of small bonds nearest to another, found by tnkit's sweep.

    The overlap with the target is its environment, one matrix to either side. It shows that an
    algorithm needs no more than public names: hand it to `open_zipper` and `two_site`.
    """

    def __init__(self, target: tnkit.MPS) -> None:
        """Keep the target."""
        self.target = target

    def left_edge(self) -> np.ndarray:
        """Return the environment left of site 0."""
        return np.ones((1, 1))

    right_edge = left_edge

    def grow_left(self, environment: np.ndarray, array: np.ndarray, site: int) -> np.ndarray:
        """Return the environment one site further to the right."""
        aim = self.target.arrays[site]
        return np.einsum("lm,lsr,msn->rn", environment, array.conj(), aim)

    def grow_right(self, environment: np.ndarray, array: np.ndarray, site: int) -> np.ndarray:
        """Return the environment one site further to the left."""
        aim = self.target.arrays[site]
        return np.einsum("rn,lsr,msn->lm", environment, array.conj(), aim)

    def solve(
        self, left: np.ndarray, block: np.ndarray, right: np.ndarray, bond: int
    ) -> tuple[np.ndarray, float]:
        """Return the best pair of sites and the loss, minus the squared overlap."""
        first, second = self.target.arrays[bond : bond + 2]
        best = np.einsum("lm,mpa,aqn,rn->lpqr", left, first, second, right)
        return best, -float(np.vdot(best, best).real)
