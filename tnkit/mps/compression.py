"""Compressing a matrix product state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnkit.arrays import reshape
from tnkit.errors import ArgumentError
from tnkit.mps.arithmetic import log_norm
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = ["Compressed", "compress"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Compressed:
    """A compressed state and what it cost.

    discarded_weights: one a bond, relative to the weight present when that bond was cut.
    error_bound: bound on the 2-norm distance between the given and the compressed state.
    """

    state: MPS
    discarded_weights: tuple[float, ...]
    error_bound: float


def compress(psi: MPS, truncation: Truncation = EXACT, *, method: str = "svd") -> Compressed:
    """Return `psi` with smaller bonds, and how much was discarded at each.

    method: "svd" (exact canonical form, then singular values from the last bond to the first).
    The default truncation drops rounding noise only. The result is not renormalised; its centre
    is at site 0. Cost O(L site bond^3). Source: Schollwoeck, Ann. Phys. 326, 96 (2011), 4.5.1.

    >>> from tnkit.mps.create import random_mps
    >>> small = compress(random_mps(8, bond_dim=8, seed=1), Truncation(max_bond=2))
    >>> max(small.state.bond_dims), small.error_bound > 0
    (2, True)
    """
    if method != "svd":
        raise ArgumentError(f"compression method {method!r} is not offered; use 'svd'")
    psi = canonicalize(psi, -1)
    total = log_norm(psi)
    arrays = list(psi.arrays)
    weights = []
    kept_weight = 1.0  # share of the squared norm that is still there
    lost = 0.0
    for k in range(len(arrays) - 1, 0, -1):
        l, d, r = arrays[k].shape
        split = split_matrix(reshape(arrays[k], (l, d * r)), truncation, absorb="left")
        arrays[k] = reshape(split.right, (-1, d, r))
        before, e, middle = arrays[k - 1].shape
        arrays[k - 1] = reshape(
            reshape(arrays[k - 1], (before * e, middle)) @ split.left, (before, e, -1)
        )
        weights.append(split.discarded_weight)
        lost += kept_weight * split.discarded_weight
        kept_weight *= 1.0 - split.discarded_weight
    state = MPS(tuple(arrays), psi.sites, Gauge(0, len(arrays) - 1), psi.log_scale)
    bound = 0.0 if lost == 0.0 else math.exp(min(total, 700.0)) * math.sqrt(lost)
    return Compressed(state, tuple(reversed(weights)), bound)
