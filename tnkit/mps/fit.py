"""Variational fitting: the nearest state of small bonds to a sum, never formed."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.arrays import Array, namespace, reshape
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.mps.environments import (
    extend_left_overlap,
    extend_left_sandwich,
    extend_right_overlap,
    extend_right_sandwich,
)
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import check_operator, log_inner, log_norm, normalize
from tnkit.mps.product import adjoint_mpo, multiply
from tnkit.mps.report import Compressed
from tnkit.mps.run import SweepState, run_sweep, schedule
from tnkit.mps.sites import same_chain
from tnkit.mps.state import MPS
from tnkit.mps.sweep import close_zipper, open_zipper, round_trip, two_site
from tnkit.truncation import Truncation

__all__ = ["FitProblem", "FitTarget", "fit"]


@dataclass(frozen=True, slots=True, eq=False)
class FitTarget:
    """One term of what is fitted: coefficient * operator |state>; without operator, the state."""

    coefficient: complex
    state: MPS
    operator: MPO | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        _check_target(self.coefficient, self.state, self.operator)


@checked
def _check_target(coefficient: complex, state: MPS, operator: MPO | None) -> None:
    if not cmath.isfinite(coefficient):
        raise ArgumentError(f"coefficient must be a finite number, got {coefficient!r}")


@checked
def fit(
    targets: MPS | Sequence[FitTarget],
    start: MPS,
    truncation: Truncation | Sequence[Truncation],
    *,
    sweeps: int = 10,
    tolerance: float = 1e-12,
    on_step: Callable[[SweepState], None] | None = None,
) -> Compressed[MPS]:
    """Return the state nearest to `targets` that sweeps reach from `start`, bonds cut as told.

    targets: a state, or several `FitTarget` terms: sums of states and of operators on states are
    fitted without ever being formed. start: the first guess; bonds grow from it. truncation: one
    value or one a sweep (the last goes on). sweeps: at most, there and back; it stops where a sweep
    of the last truncation raises the squared overlap by less than `tolerance` of itself. on_step:
    called with the `SweepState` of every bond, whose loss is minus the squared overlap: see
    `tnkit.progress`.

    Returns the report of `tnkit.compress`: error_bound is found afterwards from norms and
    overlaps, which resolve sqrt(eps L) of the norm at best. Raises `SizeError` where sites differ,
    `ArgumentError` where no overlap is found. Cost a bond O(terms site^2 operator bond^3), without
    the bond cubed of the exact sum.
    Source: Verstraete and Cirac, arXiv:cond-mat/0407066 (2004); Schollwoeck (2011), 4.5.2.

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(8, bond_dim=8, seed=1)
    >>> small = fit(psi, random_mps(8, bond_dim=2, seed=2), Truncation(max_bond=4))
    >>> max(small.state.bond_dims), small.method
    (4, 'fit')
    """
    terms = (FitTarget(1.0, targets),) if isinstance(targets, MPS) else tuple(targets)
    if not terms or not all(isinstance(term, FitTarget) for term in terms):
        raise ArgumentTypeError(f"targets must be a state or FitTarget terms, got {shown(targets)}")
    if sweeps < 1:
        raise ArgumentError(f"sweeps must be a whole number from 1 up, got {sweeps!r}")
    if math.isnan(tolerance):
        raise ArgumentError("tolerance must be a number, got NaN")
    for term in terms:
        if term.operator is None:
            same_chain(term.state.sites, term.state.site_dims, start.sites, start.site_dims)
        else:
            check_operator(term.operator, start, term.state)
    if len(start) < 2:
        raise ArgumentError("fitting needs at least two sites; a single one is its own sum")
    guess, terms, log_scale = _prepared(start, terms)
    problem = FitProblem(terms)
    rules = schedule(truncation)
    moves = round_trip(len(start))
    weights = [0.0] * (len(start) - 1)
    run = SweepState(open_zipper(guess, problem, -1))
    while len(run.history) < sweeps:
        rule = rules[min(len(run.history), len(rules) - 1)]
        step = two_site(problem, rule, normalize=False)
        for after in run_sweep(run, step, moves):
            run = after
            if run.info is not None:
                weights[run.info.bond] = run.info.discarded_weight
            if on_step is not None:
                on_step(run)
        overlaps = [-record.loss for record in run.history[-2:]]
        if overlaps[-1] == 0.0:
            raise ArgumentError("the start is orthogonal to the target; begin elsewhere")
        settled = len(run.history) > len(rules)
        if settled and overlaps[1] - overlaps[0] <= tolerance * overlaps[1]:
            break
    found = close_zipper(run.zipper)
    state = MPS(found.arrays, start.sites, found.gauge, log_scale)
    return Compressed(state, tuple(weights), _distance(terms, found, log_scale), None, "fit")


@dataclass(frozen=True, slots=True, eq=False)
class FitProblem:
    """<guess|targets> as a problem for the sweep; an environment is one block a term."""

    terms: tuple[FitTarget, ...]

    def left_edge(self) -> Any:
        """Return the blocks left of site 0: ones."""
        edges = []
        for term in self.terms:
            one = term.state.arrays[0][:1, 0, :1] * 0 + 1
            edges.append(one if term.operator is None else reshape(one, (1, 1, 1)))
        return tuple(edges)

    def right_edge(self) -> Any:
        """Return the blocks right of the last site: ones."""
        return self.left_edge()

    def grow_left(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the left."""
        self._check_site(array, site)
        return tuple(
            extend_left_overlap(block, array, term.state.arrays[site])
            if term.operator is None
            else extend_left_sandwich(
                block, array, term.operator.arrays[site], term.state.arrays[site]
            )
            for block, term in zip(environment, self.terms, strict=True)
        )

    def grow_right(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the right."""
        self._check_site(array, site)
        return tuple(
            extend_right_overlap(block, array, term.state.arrays[site])
            if term.operator is None
            else extend_right_sandwich(
                block, array, term.operator.arrays[site], term.state.arrays[site]
            )
            for block, term in zip(environment, self.terms, strict=True)
        )

    def _check_site(self, array: Array, site: int) -> None:
        for term in self.terms:
            arrays = (term.operator or term.state).arrays
            namespace(array, arrays[0])  # or raise: of one library
            expected = arrays[site].shape[1] if site < len(arrays) else None
            if array.shape[1] != expected:
                raise SizeError(
                    f"site {site} takes {array.shape[1]} values in the guess; expected "
                    + (f"{expected}" if expected else f"{len(arrays)} sites only")
                    + ", as in the targets"
                )

    def solve(self, left: Any, block: Array, right: Any, bond: int) -> tuple[Array, float]:
        """Return the projection of the targets onto the open bond; the loss is -|projection|^2."""
        total: Any = None
        for before, after, term in zip(left, right, self.terms, strict=True):
            part = _projection(before, after, term, bond) * term.coefficient
            total = part if total is None else total + part
        xp = namespace(total)
        length = float(xp.linalg.vector_norm(reshape(total, (-1,))))
        return total, -length * length


def _projection(before: Array, after: Array, term: FitTarget, bond: int) -> Array:
    """Return one term seen from the open bond: (left, site, site + 1, right) of the guess."""
    xp = namespace(before)
    first, second = term.state.arrays[bond], term.state.arrays[bond + 1]
    l, p, m = first.shape
    q, r = second.shape[1:]
    if term.operator is None:  # before: (guess, state), after: (state, guess)
        one = reshape(before @ reshape(first, (l, p * m)), (-1, m))
        two = reshape(reshape(second, (m * q, r)) @ after, (m, -1))
        return reshape(one @ two, (before.shape[0], p, q, after.shape[1]))
    # before: (operator, guess, state), after: (operator, guess, state)
    w, b, _ = before.shape
    upper, lower = term.operator.arrays[bond], term.operator.arrays[bond + 1]
    x, out_p, _, v = upper.shape
    half = reshape(reshape(before, (w * b, l)) @ reshape(first, (l, p * m)), (w, b, p, m))
    half = reshape(xp.permute_dims(half, (1, 3, 0, 2)), (b * m, w * p))
    matrix = reshape(xp.permute_dims(upper, (0, 2, 1, 3)), (x * p, out_p * v))
    one = reshape(half @ matrix, (b, m, out_p, v))
    y, c, _ = after.shape
    out_q = lower.shape[1]
    rest = reshape(reshape(second, (m * q, r)) @ reshape(after, (y * c, r)).T, (m, q, y, c))
    rest = reshape(xp.permute_dims(rest, (0, 3, 1, 2)), (m * c, q * y))
    matrix = reshape(xp.permute_dims(lower, (2, 3, 1, 0)), (q * y, out_q * v))
    two = reshape(rest @ matrix, (m, c, out_q, v))
    one = reshape(xp.permute_dims(one, (0, 2, 1, 3)), (b * out_p, m * v))
    two = reshape(xp.permute_dims(two, (0, 3, 2, 1)), (m * v, out_q * c))
    return reshape(one @ two, (b, out_p, out_q, c))


def _prepared(start: MPS, terms: tuple[FitTarget, ...]) -> tuple[MPS, tuple[FitTarget, ...], float]:
    """Return all arrays in one dtype, every state of norm one, and the logarithm taken out.

    The norms go into the coefficients, relative to the largest term.
    """
    parts: list[MPS | MPO] = [
        start,
        *(t.state for t in terms),
        *(t.operator for t in terms if t.operator),
    ]
    flat = [part.arrays[0] for part in parts]
    xp = namespace(*flat)
    dtype = xp.result_type(*flat)
    if any(complex(term.coefficient).imag for term in terms):
        dtype = xp.result_type(dtype, xp.complex64)

    def cast(chain: Any) -> tuple[Array, ...]:
        return tuple(xp.astype(array, dtype) for array in chain.arrays)

    logs = [
        log_norm(term.state) + (term.operator.log_scale if term.operator else 0.0) for term in terms
    ]
    top = max(logs)
    if not math.isfinite(top):
        raise ArgumentError("every target is the zero state; there is nothing to fit")
    ready = []
    for term, log in zip(terms, logs, strict=True):
        if log == -math.inf:
            continue
        weight = term.coefficient * math.exp(log - top)
        operator = term.operator and MPO(cast(term.operator), term.operator.sites)
        state = normalize(MPS(cast(term.state), term.state.sites, log_scale=term.state.log_scale))
        # a real number stays real, so that real arrays do
        number = weight.real if isinstance(weight, complex) and not weight.imag else weight
        ready.append(FitTarget(number, state, operator))
    guess = normalize(MPS(cast(start), start.sites, log_scale=start.log_scale))
    return guess, tuple(ready), top


def _distance(terms: tuple[FitTarget, ...], found: MPS, log_scale: float) -> float:
    """Return |sum of terms - found| from overlaps, with the floor that they can resolve."""
    own = math.exp(2 * log_norm(found))
    square = 0.0 + 0.0j
    for a in terms:
        for b in terms:
            pair = _pair(a, b)
            square += np.conj(a.coefficient) * b.coefficient * pair
    cross = sum(term.coefficient * _overlap(found, term) for term in terms)
    gap = square.real - 2.0 * complex(cross).real + own
    floor = 4.0 * float(np.finfo(np.float64).eps) * len(found) * max(square.real, own)
    log = 0.5 * math.log(max(gap, 0.0) + floor) + log_scale
    return math.exp(log) if log < 709.0 else math.inf


def _overlap(bra: MPS, term: FitTarget) -> complex:
    if term.operator is None:
        value = log_inner(bra, term.state)
    else:
        value = log_inner(bra, term.operator, term.state)
    return complex(value.phase) * math.exp(float(value.log_abs))


def _pair(a: FitTarget, b: FitTarget) -> complex:
    """Return <a|b> without the coefficients; two operators are applied one on each side."""
    if a.operator is None:
        return _overlap(a.state, b)
    lowered = adjoint_mpo(a.operator)
    joined = lowered if b.operator is None else multiply(lowered, b.operator)
    return _overlap(a.state, FitTarget(1.0, b.state, joined))
