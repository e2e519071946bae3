"""Compressing a chain: one signature, one menu of methods, comparable reports."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tnkit.arrays import (
    Array,
    adjoint,
    eps,
    is_complex,
    like,
    namespace,
    rescale,
    reshape,
    to_numpy,
)
from tnkit.checking import checked, random_generator
from tnkit.errors import ArgumentError
from tnkit.factorisation import eigh, qr
from tnkit.mps.arithmetic import chain_of, like_chain
from tnkit.mps.environments import extend_left_overlap
from tnkit.mps.fit import FitTarget, fit
from tnkit.mps.gauge import canonicalize
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import fidelity as fidelity_of
from tnkit.mps.overlap import log_norm
from tnkit.mps.report import Compressed
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = ["METHODS", "Compressed", "budget_for", "compress", "error_from", "refine"]

Chain = TypeVar("Chain", MPS, MPO)
METHODS = ("svd", "density", "randomised", "fit")


@checked
def compress(
    chain: Chain,
    truncation: Truncation = EXACT,
    *,
    method: str = "svd",
    error_budget: float | None = None,
    fidelity: bool = False,
    seed: int | np.random.Generator | None = None,
) -> Compressed[Chain]:
    """Return a state or operator with smaller bonds, and how much was discarded at each.

    method
        "svd": exact canonical form, then singular values from the last bond to the first; exact
        to rounding, and the default. "density": eigenvectors of reduced density matrices, matrix
        products instead of QR and SVD; about twice as fast, but squares the spectrum, so Schmidt
        values below sqrt(eps) s_0 are noise. "randomised": a random sketch in place of the
        eigenvectors, for bonds far smaller than those given; needs truncation.max_bond, and the
        sketch is 10 wider than that before it is cut. "fit": "svd", then sweeps that bring all
        bonds together nearer to the chain given (`tnkit.fit`); the slowest and the most accurate
        for the same bonds, and never further away than "svd".
    truncation
        By bond, by weight or by value, at every bond. The default drops rounding noise only.
    error_budget
        Largest relative 2-norm error of the whole chain: bonds take their share from the first
        cut on, what one leaves unused goes to the next. `truncation` limits hold as well.
    fidelity
        Also compute the true fidelity with the chain given (one overlap more).
    seed
        For "randomised"; the same seed gives the same result.

    The result is not renormalised; its centre is at site 0. error_bound is the exact 2-norm error
    up to rounding for "svd"; the others add the floor sqrt(eps L) |psi| that squared norms
    cannot resolve. Raises `ArgumentError`, `NonFiniteError`. Cost O(L site bond^3).
    Sources: Schollwoeck, Ann. Phys. 326, 96 (2011), 4.5.1; McCulloch, J. Stat. Mech. P10014
    (2007); Camano, Epperly, Tropp, arXiv:2504.06475 (2025).

    >>> from tnkit.mps.create import random_mps
    >>> small = compress(random_mps(8, bond_dim=8, seed=1), Truncation(max_bond=2))
    >>> max(small.state.bond_dims), small.error_bound > 0
    (2, True)
    """
    if error_budget is not None and not 0.0 <= error_budget < 1.0:
        raise ArgumentError(f"error_budget must lie in [0, 1), got {error_budget!r}")
    psi = chain_of(chain)
    budget = None if error_budget is None else error_budget**2
    if method == "svd":
        state, weights, bound = _by_svd(psi, truncation, budget)
    elif method == "density":
        state, weights, bound = _by_density(psi, truncation, budget, None)
    elif method == "randomised":
        if truncation.max_bond is None:
            raise ArgumentError("method='randomised' needs a Truncation with max_bond")
        state, weights, bound = _by_density(psi, truncation, budget, random_generator(seed))
    elif method == "fit":
        state, weights, bound = _by_svd(psi, truncation, budget)
        report = Compressed(state, weights, bound)
        found = refine(report, FitTarget(1.0, psi), truncation, budget)
        state, weights, bound = found.state, found.discarded_weights, found.error_bound
    else:
        raise ArgumentError(
            f"compression method {method!r} is not offered; use one of {', '.join(METHODS)}"
        )
    true = fidelity_of(psi, state) if fidelity else None
    return Compressed(like_chain(state, chain), weights, bound, true, method)


def refine(
    start: Compressed[MPS], target: FitTarget, truncation: Truncation, budget: float | None
) -> Compressed[MPS]:
    """Return the fit of `target` that sweeps reach from `start`, or `start` where that is nearer.

    Bonds stay below the largest of `start`; budget: largest relative squared error, or None.
    The centre is at site 0.
    """
    cuts = len(start.state) - 1
    if cuts == 0 or start.error_bound == 0.0 or log_norm(start.state) == -math.inf:
        return start
    rule = replace(truncation, max_bond=max(start.state.bond_dims))
    if budget is not None:
        rule = budget_for(rule, budget, 1.0, cuts)
    found = fit((target,), start.state, rule)
    if found.error_bound >= start.error_bound:
        return start
    return replace(found, state=canonicalize(found.state, 0))


def budget_for(truncation: Truncation, budget: float | None, left: float, cuts: int) -> Truncation:
    """Return the rule for the next cut: its share of the squared error that may still be made.

    budget: what remains, relative to the whole squared norm; left: share of it still present;
    cuts: bonds still to be cut, this one included.
    """
    if budget is None or left <= 0.0:
        return truncation
    cutoff = max(0.0, budget) / cuts / left
    if truncation.cutoff:
        cutoff = min(cutoff, truncation.cutoff)
    return Truncation(
        truncation.max_bond,
        min(cutoff, 1.0 - 2.0**-50),
        value_cutoff=truncation.value_cutoff,
        min_bond=truncation.min_bond,
        static=truncation.static,
    )


def error_from(log_total: float, lost: float) -> float:
    """Return exp(log_total) sqrt(lost), inf beyond a float."""
    if lost <= 0.0:
        return 0.0
    log = log_total + 0.5 * math.log(lost)
    return math.exp(log) if log < 709.0 else math.inf


def _by_svd(
    psi: MPS, truncation: Truncation, budget: float | None
) -> tuple[MPS, tuple[float, ...], float]:
    psi = canonicalize(psi, -1)
    arrays = list(psi.arrays)
    weights = []
    present, lost = 1.0, 0.0  # shares of the squared norm
    for k in range(len(arrays) - 1, 0, -1):
        l, d, r = arrays[k].shape
        rule = budget_for(truncation, None if budget is None else budget - lost, present, k)
        split = split_matrix(reshape(arrays[k], (l, d * r)), rule, absorb="left")
        arrays[k] = reshape(split.right, (-1, d, r))
        before, e, middle = arrays[k - 1].shape
        arrays[k - 1] = reshape(
            reshape(arrays[k - 1], (before * e, middle)) @ split.left, (before, e, -1)
        )
        weights.append(split.discarded_weight)
        lost += present * split.discarded_weight
        present *= 1.0 - split.discarded_weight
    state = MPS(tuple(arrays), psi.sites, Gauge(0, len(arrays) - 1), psi.log_scale)
    return state, tuple(reversed(weights)), error_from(log_norm(psi), lost)


def _by_density(
    psi: MPS, truncation: Truncation, budget: float | None, rng: np.random.Generator | None
) -> tuple[MPS, tuple[float, ...], float]:
    """Cut from the last bond to the first with projections onto part of each site's space.

    With `rng` the space is first narrowed to a random sketch. Projections are nested and
    orthogonal, so the squared errors add up exactly.
    """
    length = len(psi)
    xp = namespace(*psi.arrays)
    near = [rescale(array) for array in psi.arrays]
    arrays = [array for array, _ in near]
    log_scale = psi.log_scale + sum(step for _, step in near)
    blocks, sketches = [xp.ones_like(arrays[0][:, 0, :1])], [xp.ones_like(arrays[0][:, 0, :1])]
    for array in arrays[:-1]:
        blocks.append(rescale(extend_left_overlap(blocks[-1], array, array), 2.0)[0])
        if rng is not None:
            width = (truncation.max_bond or 0) + 10
            sketches.append(_sketch(sketches[-1], array, width, rng))
    centre = reshape(arrays[-1], (arrays[-1].shape[0], -1))  # (left, site x kept)
    weights: list[float] = []
    noise = eps(arrays[0])
    present, lost = 1.0, 0.0
    done: list[Array] = []
    for k in range(length - 1, 0, -1):
        d = arrays[k].shape[1]
        rule = budget_for(truncation, None if budget is None else budget - lost, present, k)
        basis, weight = _basis(centre, blocks[k], sketches[k] if rng else None, rule, noise)
        done.append(reshape(adjoint(basis), (-1, d, basis.shape[0] // d)))
        l, e, r = arrays[k - 1].shape
        product = reshape(arrays[k - 1], (l * e, r)) @ (centre @ basis)
        product, step = rescale(product)
        log_scale += step
        centre = reshape(product, (l, -1))
        weights.append(weight)
        lost += present * weight
        present *= 1.0 - weight
    first = reshape(centre, (1, arrays[0].shape[1], -1))
    state = MPS((first, *reversed(done)), psi.sites, Gauge(0, length - 1), log_scale)
    # |psi|^2 = |state|^2 / present: what remains after all cuts
    total = log_norm(state) - 0.5 * math.log(present) if present > 0.0 else log_norm(psi)
    floor = 0.0 if length == 1 else noise * length
    bound = error_from(total, lost + floor) if math.isfinite(total) else 0.0
    return state, tuple(reversed(weights)), bound


def _basis(
    centre: Array, block: Array, sketch: Array | None, rule: Truncation, noise: float
) -> tuple[Array, float]:
    """Return orthonormal columns that span what is kept, and the weight outside them."""
    half = block @ centre
    if sketch is None:
        density = adjoint(centre) @ half
        squares, vectors = eigh((density + adjoint(density)) * 0.5)
        values = np.sqrt(np.maximum(to_numpy(squares)[::-1].astype(np.float64), 0.0))
        values = values[: max(1, min(centre.shape))]
        kept, weight = rule.keep(values, eps=math.sqrt(noise))
        return _leading(vectors, kept), weight
    total = _trace_product(centre, half)
    wide, _ = qr(adjoint(adjoint(sketch) @ centre))  # (site x kept, width)
    small = centre @ wide
    density = adjoint(small) @ (block @ small)
    squares, vectors = eigh((density + adjoint(density)) * 0.5)
    values = np.sqrt(np.maximum(to_numpy(squares)[::-1].astype(np.float64), 0.0))
    rest = max(0.0, total - float(values @ values))
    if rest <= 8 * noise * total:
        rest = 0.0  # beneath what squared norms resolve
    kept, weight = rule.keep(values, eps=math.sqrt(noise))
    inside = float(values @ values)
    if rest and inside:
        weight = (weight * inside + rest) / (inside + rest)
    return wide @ _leading(vectors, kept), weight


def _leading(vectors: Array, kept: int) -> Array:
    return namespace(vectors).flip(vectors[:, vectors.shape[1] - kept :], axis=1)


def _trace_product(a: Array, b: Array) -> float:
    """Return tr(a^H b), real."""
    xp = namespace(a)
    product = xp.conj(a) * b if is_complex(a) else a * b
    total = xp.sum(product)
    return float(xp.real(total) if is_complex(product) else total)


def _sketch(before: Array, array: Array, width: int, rng: np.random.Generator) -> Array:
    """Return random combinations (right, width) of everything to the left of a bond."""
    l, d, _ = array.shape
    # each column goes on with its own random vector on the site; the first site opens them all
    site = like(rng.standard_normal((d, width)), array)
    rows = namespace(array).broadcast_to(before, (l, width))
    total = None
    for s in range(d):
        part = array[:, s, :].T @ (rows * site[s, :][None, :])
        total = part if total is None else total + part
    return rescale(total, 2.0)[0]
