"""Entanglement of a matrix product state."""

from __future__ import annotations

import math

import numpy as np

from tnkit.arrays import reshape, svd, to_numpy
from tnkit.errors import ArgumentError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS

__all__ = ["entropy", "schmidt_values"]


def schmidt_values(psi: MPS, bond: int) -> np.ndarray:
    """Return the Schmidt coefficients across `bond`, descending, normalised: sum s^2 = 1.

    Bond k joins sites k and k + 1. The state need not be normalised or canonical; where it is
    canonical beside the bond the cost is one SVD. Raises `ArgumentError` for a bond outside
    the chain or the zero state.
    """
    if isinstance(bond, bool) or not isinstance(bond, int | np.integer):
        raise ArgumentError(f"bond must be a whole number, got {bond!r}")
    if not 0 <= bond < len(psi) - 1:
        raise ArgumentError(f"bond {bond} is outside the chain's bonds 0 to {len(psi) - 2}")
    centre = bond + 1 if psi.centre is not None and psi.centre > bond else bond
    array = canonicalize(psi, centre).arrays[centre]
    l, d, r = array.shape
    matrix = reshape(array, (l * d, r) if centre == bond else (l, d * r))
    values = to_numpy(svd(matrix)[1]).astype(np.float64)
    if values[0] == 0.0:
        raise ArgumentError("the zero state has no Schmidt decomposition")
    values = values / values[0]
    normalised: np.ndarray = values / math.sqrt(float(values @ values))
    return normalised


def entropy(psi: MPS, bond: int) -> float:
    """Return the von Neumann entropy across `bond` in nats, -sum s^2 ln s^2.

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> round(entropy(bell, 0), 6)  # ln 2
    0.693147
    """
    weights = schmidt_values(psi, bond) ** 2
    weights = weights[weights > 0.0]
    return float(-(weights * np.log(weights)).sum()) + 0.0
