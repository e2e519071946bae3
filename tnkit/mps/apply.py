"""An operator on a state, or on another operator: exactly, or by any method of the menu."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from tnkit.arrays import Array, eps, namespace, promote, rescale, reshape
from tnkit.checking import checked
from tnkit.errors import ArgumentError
from tnkit.mps.arithmetic import chain_of, like_chain
from tnkit.mps.compression import METHODS, budget_for, compress, refine
from tnkit.mps.fit import FitTarget
from tnkit.mps.gauge import canonicalize
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import log_inner, log_norm
from tnkit.mps.product import adjoint_mpo, apply_exactly, multiply
from tnkit.mps.report import Compressed
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = ["apply"]

Chain = TypeVar("Chain", MPS, MPO)


@checked
def apply(
    mpo: MPO,
    target: Chain,
    truncation: Truncation = EXACT,
    *,
    method: str = "svd",
    error_budget: float | None = None,
    fidelity: bool = False,
    seed: int | np.random.Generator | None = None,
) -> Compressed[Chain]:
    """Return mpo |target>, or the operator product, with its bonds cut by `truncation`.

    method
        "exact": nothing is cut, bonds multiply. "svd", "density", "randomised": the exact product,
        then `tnkit.compress` by that method. "zipup": the product is cut while it is formed, bond
        by bond from the first site (a state only); it never holds the whole product, but its cuts
        are not optimal, and error_bound is found afterwards from norms and an overlap, which
        resolves sqrt(eps) |mpo psi| at best. "fit" on a state: "zipup", then sweeps that bring it
        nearer to the product, which is never formed (`tnkit.fit`).

    The other arguments, the report and the errors are those of `tnkit.compress`; `SizeError` where
    sites differ. With the default truncation nothing but rounding noise is dropped.
    Source of zip-up: Stoudenmire, White, New J. Phys. 12, 055026 (2010).

    >>> from tnkit.mps.create import random_mps
    >>> from tnkit.mps.create_mpo import identity_mpo
    >>> apply(identity_mpo(4), random_mps(4, bond_dim=2, seed=0)).state.bond_dims
    (2, 2, 2)
    """
    if method in ("zipup", "fit") and isinstance(target, MPS):
        zipped: Any = _zip_up(mpo, target, truncation, error_budget, fidelity)
        if method == "fit":
            budget = None if error_budget is None else error_budget**2
            zipped = refine(zipped, FitTarget(1.0, target, mpo), truncation, budget)
            true = _distance(mpo, target, zipped.state)[1] if fidelity else None
            zipped = replace(zipped, fidelity=true, method="fit")
        return zipped  # type: ignore[no-any-return]
    if method not in ("exact", *METHODS):
        raise ArgumentError(
            f"method {method!r} is not offered; use exact, {', '.join(METHODS)}, or zipup on states"
        )
    product: Any = apply_exactly(mpo, target) if isinstance(target, MPS) else multiply(mpo, target)
    if method == "exact":
        nothing = (0.0,) * (len(product) - 1)
        whole: Any = Compressed(product, nothing, 0.0, 1.0 if fidelity else None, method)
        return whole  # type: ignore[no-any-return]
    cut: Any = compress(
        product,
        truncation,
        method=method,
        error_budget=error_budget,
        fidelity=fidelity,
        seed=seed,
    )
    return cut  # type: ignore[no-any-return]


def _zip_up(
    mpo: MPO, psi: MPS, truncation: Truncation, error_budget: float | None, fidelity: bool
) -> Compressed[MPS]:
    exact = (mpo, psi)
    # both right-canonical: the cuts at a bond then see something close to the true environment
    balanced = like_chain(canonicalize(chain_of(mpo), 0), mpo)
    psi = canonicalize(psi, 0)
    flat = promote(*balanced.arrays, *psi.arrays)
    xp = namespace(*flat)
    n = len(psi)
    log_scale = balanced.log_scale + psi.log_scale
    carry = xp.ones_like(flat[0][:, :1, 0, :1])  # (kept, operator, state)
    arrays: list[Array] = []
    weights: list[float] = []
    budget = None if error_budget is None else error_budget**2
    present, lost = 1.0, 0.0
    for k in range(n):
        joined = _absorb(carry, flat[k], flat[n + k])
        joined, step = rescale(joined)
        log_scale += step
        kept, out, w, r = joined.shape
        if k == n - 1:
            arrays.append(reshape(joined, (kept, out, 1)))
            break
        rule = budget_for(truncation, None if budget is None else budget - lost, present, n - 1 - k)
        split = split_matrix(reshape(joined, (kept * out, w * r)), rule)
        arrays.append(reshape(split.left, (kept, out, -1)))
        carry = reshape(split.right, (-1, w, r))
        weights.append(split.discarded_weight)
        lost += present * split.discarded_weight
        present *= 1.0 - split.discarded_weight
    state = canonicalize(MPS(tuple(arrays), psi.sites, Gauge(n - 1, 0), log_scale), 0)
    bound, true = _distance(*exact, state)
    return Compressed(state, tuple(weights), bound, true if fidelity else None, "zipup")


def _absorb(carry: Array, operator: Array, array: Array) -> Array:
    """Return (kept, out, operator right, state right) of one site zipped onto the carry."""
    xp = namespace(array)
    kept, w, l = carry.shape
    _, into, r = array.shape
    _, out, _, v = operator.shape
    half = reshape(
        reshape(carry, (kept * w, l)) @ reshape(array, (l, into * r)), (kept, w * into, r)
    )
    matrix = reshape(xp.permute_dims(operator, (1, 3, 0, 2)), (1, out * v, w * into))
    return reshape(xp.matmul(matrix, half), (kept, out, v, r))


def _distance(mpo: MPO, psi: MPS, state: MPS) -> tuple[float, float]:
    """Return a bound on |mpo psi - state| and the fidelity, from norms and an overlap."""
    square = log_inner(psi, multiply(adjoint_mpo(mpo), mpo), psi)
    top = float(square.log_abs)
    if not math.isfinite(top):
        return 0.0, 1.0
    cross = log_inner(state, mpo, psi)
    own = 2 * log_norm(state)
    overlap = math.exp(float(cross.log_abs) - top) * complex(cross.phase).real
    relative = 1.0 - 2.0 * overlap + math.exp(own - top)
    floor = 4.0 * eps(psi.arrays[0]) * len(psi)
    log = 0.5 * (top + math.log(max(relative, 0.0) + floor))
    fidelity = math.exp(2 * float(cross.log_abs) - top - own) if math.isfinite(own) else 0.0
    return (math.exp(log) if log < 709.0 else math.inf), fidelity
