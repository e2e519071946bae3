"""Ground states by DMRG: the energy as a problem for the sweep driver."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tnkit.algorithms.davidson import lowest_vector
from tnkit.arrays import Array, adjoint, eps, is_complex, like, namespace, reshape
from tnkit.blas import threads
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from tnkit.mps.arithmetic import add, chain_of, distance, scale
from tnkit.mps.compression import compress
from tnkit.mps.environments import (
    extend_left_overlap,
    extend_left_sandwich,
    extend_right_overlap,
    extend_right_sandwich,
)
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import check_operator, expectation, log_norm, normalize
from tnkit.mps.product import adjoint_mpo, apply_exactly, variance
from tnkit.mps.run import Paused, SweepRecord, SweepState, run_sweep, schedule
from tnkit.mps.state import MPS
from tnkit.mps.sweep import Move, close_zipper, one_site, open_zipper, round_trip, two_site
from tnkit.truncation import Truncation

__all__ = ["DMRGResult", "EnergyProblem", "SweepEnergy", "dmrg"]


# Residual of a local solution over that of its start. On the Heisenberg chain of 64 sites at bond
# 128, Lanczos vectors, seconds to 1e-8 above the best energy: always 4 products 7.7; to a tenth,
# at most 5 2.4, at most 8 3.6; to a fifth, at most 6 3.2. At bond 64: 1.7, 1.2, 1.4.
_GAIN = 0.1
_METHODS = {"two-site": 2, "one-site": 1}  # sites a step


class SweepEnergy(NamedTuple):
    """What one sweep reached: the last energy, its variance if it was asked for, the largest bond
    and weight lost, and seconds.
    """

    energy: float
    variance: float | None
    max_bond: int
    discarded_weight: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DMRGResult:
    """A state of low energy.

    energy: <H> of `state`. variance: <H^2> - <H>^2, zero for an eigenstate. history: one record a
    sweep. converged: the energy moved by less than the tolerance in the last sweep, and the
    variance is below its own where one was given.
    """

    energy: float
    state: MPS
    variance: float
    history: tuple[SweepEnergy, ...]
    converged: bool

    def __repr__(self) -> str:
        """Describe the result in one line."""
        state = "converged" if self.converged else "not converged"
        return (
            f"DMRGResult(energy {self.energy:.12g}, variance {self.variance:.3g}, "
            f"{len(self.history)} sweeps, {state})"
        )


@checked
def dmrg(
    mpo: MPO,
    psi: MPS | Paused,
    *,
    truncation: Truncation | Sequence[Truncation],
    method: str = "two-site",
    expand: int | None = None,
    sweeps: int = 20,
    tolerance: float = 1e-12,
    variance_tolerance: float | None = None,
    krylov: int = 6,
    orthogonal_to: Sequence[MPS] = (),
    on_step: Callable[[SweepState], None] | None = None,
) -> DMRGResult:
    """Return the lowest state of a Hermitian operator, by sweeps from `psi`.

    truncation: of every bond, one value or one a sweep (the last goes on): a ramp of max_bond
    saves time. method: "two-site", or "one-site" with bonds expanded ahead of the centre by
    `expand` directions (a quarter of max_bond by default): faster for large sites and bonds, and
    nothing is cut from the state it ends in. sweeps: at most, one there and back; it stops where
    a sweep of the last truncation changes the energy by less than tolerance * max(1, |energy|)
    (or less than the weight that was cut, up to 1e-10 of it) and, if given, the variance
    <H^2> - <H>^2 is at most variance_tolerance (measured after every sweep, which costs a third
    of it). krylov: largest depth of the local solver, which stops where the residual is a tenth
    of what it was.
    orthogonal_to: states that are projected out, for excited states.

    on_step: called with the `SweepState` of every bond: `tnkit.progress` shows it, and any of them
    can be kept (O(1)) and laid down with `tnkit.pause`, also after Ctrl-C or an error. Given in
    place of psi, with the same settings, a `Paused` run goes on as if never stopped, bit for bit
    on the CPU.

    A start of small bonds gets a little of H psi mixed in, so that a product state is no trap
    however far the operator reaches; what H conserves stays conserved. An eigenstate stays where
    it is: start from a random state where you know nothing better. Raises `ArgumentError` for an
    operator that is not Hermitian, `SizeError` where sites differ, `NonFiniteError` at the bond
    where a number breaks; ``tnkit.pause(error.last_good)`` is the run before it. Cost a bond
    O(krylov site^2 operator bond^3), site times less for one site. BLAS is held to the threads
    that help at the largest bond (`tnkit.threads`).
    Source: White, Phys. Rev. Lett. 69, 2863 (1992); Schollwoeck, Ann. Phys. 326, 96 (2011), 6;
    for one site, see `one_site`.

    >>> from tnkit.mps.create import random_mps
    >>> from tnkit.mps.opsum import OpSum
    >>> pair = OpSum()
    >>> for name in ("Sx", "Sy", "Sz"):
    ...     pair.add(1.0, (name, 0), (name, 1))
    >>> start = random_mps(2, bond_dim=2, seed=0)
    >>> round(dmrg(pair.to_mpo(2), start, truncation=Truncation(max_bond=2)).energy, 12)
    -0.75
    """
    rules = schedule(truncation)
    for name, value in (("sweeps", sweeps), ("krylov", krylov)):
        if value < 1:
            raise ArgumentError(f"{name} must be a whole number from 1 up, got {value!r}")
    if method not in _METHODS:
        raise ArgumentError(f"method={method!r} is not offered; use {' or '.join(_METHODS)}")
    if math.isnan(tolerance) or math.isnan(variance_tolerance or 0.0):
        raise ArgumentError(
            f"tolerance and variance_tolerance must be numbers, got {tolerance!r} and "
            f"{variance_tolerance!r}"
        )
    given = psi if isinstance(psi, MPS) else psi.state
    check_operator(mpo, given, given)
    if len(given) < 2:
        raise ArgumentError("DMRG needs at least two sites; diagonalise a single one")
    _check_hermitian(mpo)
    dtype = _common_dtype(given, mpo)
    if isinstance(psi, MPS):
        psi = Paused(_prepared(psi if expand == 0 else _stirred(psi, mpo), dtype))
    elif psi.state.dtype != dtype:
        raise ArgumentTypeError(f"a run paused in {psi.state.dtype} cannot go on in {dtype}")
    state = psi.state
    others = tuple(_like(other, state) for other in orthogonal_to)
    problem = EnergyProblem(_cast(mpo, state.dtype), krylov, others)
    tolerance = max(tolerance, 8 * eps(state.arrays[0]))
    begun = psi.history or psi.record.moves
    zipper = open_zipper(state, problem, state.centre if begun and state.centre is not None else -1)
    run = SweepState(zipper, None, psi.record, psi.history)
    moves = round_trip(len(state), width=_METHODS[method])
    with threads(_largest_matrix(rules, state)):
        while True:
            history = run.history
            if variance_tolerance is not None and history and history[-1].variance is None:
                measured = history[-1]._replace(variance=variance(close_zipper(run.zipper), mpo))
                history = (*history[:-1], measured)
                run = SweepState(run.zipper, run.info, run.record, history)
            converged = len(history) > len(rules) and _settled(
                history, tolerance, variance_tolerance
            )
            if converged or len(history) >= sweeps:
                break
            rule = rules[min(len(history), len(rules) - 1)]
            if method == "two-site":
                step = two_site(problem, rule)
            else:
                step = one_site(problem, rule, expand=_growth(rule) if expand is None else expand)
            for after in run_sweep(run, step, moves):
                _check_finite(after, run)
                run = after
                if on_step is not None:
                    on_step(after)
    final = close_zipper(run.zipper)
    return DMRGResult(
        complex(expectation(final, mpo)).real,
        final,
        variance(final, mpo),
        tuple(
            SweepEnergy(r.loss, r.variance, r.max_bond, r.discarded_weight, r.seconds)
            for r in history
        ),
        converged,
    )


def _largest_matrix(rules: Sequence[Truncation], state: MPS) -> int:
    """Return how many rows the matrices of the sweeps have at most, as far as the rules say."""
    bonds = [rule.max_bond for rule in rules]
    if None in bonds:
        return 2**31
    widest: int = max(array.shape[1] for array in state.arrays)
    return widest * max(bond or 1 for bond in bonds)


def _check_finite(state: SweepState, before: SweepState) -> None:
    info = state.info
    if info is not None and not math.isfinite(info.loss):
        error = NonFiniteError(
            f"the energy is {info.loss} at bond {info.bond} of sweep {len(before.history) + 1}; "
            "is every entry of the operator finite?"
        )
        error.last_good = before
        raise error


def _settled(
    history: tuple[SweepRecord, ...], tolerance: float, variance_tolerance: float | None
) -> bool:
    before, last = history[-2:]
    least = max(tolerance, min(1e-10, last.discarded_weight))  # what is cut shakes the energy
    if not abs(last.loss - before.loss) < least * max(1.0, abs(last.loss)):
        return False
    return variance_tolerance is None or (last.variance or 0.0) <= variance_tolerance


@dataclass(frozen=True, slots=True, eq=False)
class EnergyProblem:
    """<psi|H|psi> as a problem for the sweep.

    An environment is the sandwich block (operator, bra, ket) and one overlap block a state that is
    projected out. operators: (left, out, in, right) arrays.
    """

    operators: tuple[Array, ...]
    krylov: int
    orthogonal_to: tuple[MPS, ...] = ()

    def left_edge(self) -> Any:
        """Return the block left of site 0."""
        one = self.operators[0][:1, 0, 0, :1] * 0 + 1
        return reshape(one, (1, 1, 1)), (one,) * len(self.orthogonal_to)

    def right_edge(self) -> Any:
        """Return the block right of the last site."""
        return self.left_edge()

    def grow_left(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the left."""
        block, overlaps = environment
        return extend_left_sandwich(block, array, self.operators[site], array), tuple(
            extend_left_overlap(overlap, other.arrays[site], array)
            for overlap, other in zip(overlaps, self.orthogonal_to, strict=True)
        )

    def grow_right(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the right."""
        block, overlaps = environment
        return extend_right_sandwich(block, array, self.operators[site], array), tuple(
            extend_right_overlap(overlap, other.arrays[site], array)
            for overlap, other in zip(overlaps, self.orthogonal_to, strict=True)
        )

    def solve(self, left: Any, block: Array, right: Any, bond: int) -> tuple[Array, float]:
        """Return the lowest vector of the effective operator on two sites, and its energy."""
        l, p, q, r = block.shape
        operator = _joined(self.operators[bond], self.operators[bond + 1])
        others = [_pair(o.arrays[bond], o.arrays[bond + 1]) for o in self.orthogonal_to]
        solved, energy = self._lowest(left, reshape(block, (l, p * q, r)), right, operator, others)
        return reshape(solved, (l, p, q, r)), energy

    def solve_site(self, left: Any, array: Array, right: Any, site: int) -> tuple[Array, float]:
        """Return the lowest vector of the effective operator on one site, and its energy."""
        others = [other.arrays[site] for other in self.orthogonal_to]
        return self._lowest(left, array, right, self.operators[site], others)

    def _lowest(
        self, left: Any, array: Array, right: Any, operator: Array, others: list[Array]
    ) -> tuple[Array, float]:
        xp = namespace(array)
        (before, overlaps_left), (after, overlaps_right) = left, right
        act = _effective_operator(before, operator, after)
        # the site in front: the layout in which the product needs no permutation
        start = xp.permute_dims(array, (1, 0, 2))
        away = [
            _projected(a, other, b)
            for a, b, other in zip(overlaps_left, overlaps_right, others, strict=True)
        ]
        flat = reshape(start, (-1,))
        diagonal = _diagonal(before, operator, after)
        energy, vector = lowest_vector(act, flat, self.krylov, away, diagonal=diagonal, gain=_GAIN)
        return xp.permute_dims(reshape(vector, start.shape), (1, 0, 2)), energy

    def directions(
        self, left: Any, first: Array, second: Array, right: Any, move: Move, count: int
    ) -> Array:
        """Return where the operator takes the pair, summed over random vectors of the site left.

        A sketch of the residual of the two-site problem at the cost of one site.
        """
        if not move.rightwards:
            mirror = [_turned(a) for a in (second, first)]
            operators = [_turned(self.operators[move.bond + k]) for k in (1, 0)]
            return _turned(_reached(right[0], mirror, operators, left[0], move.bond, count))
        operators = [self.operators[move.bond + k] for k in (0, 1)]
        return _reached(left[0], [first, second], operators, right[0], move.bond, count)


def _norm(array: Array) -> float:
    return float(namespace(array).linalg.vector_norm(reshape(array, (-1,))))


def _turned(array: Array) -> Array:
    """Return a site array, of a state or an operator, seen from the other end of the chain."""
    order = (2, 1, 0) if len(array.shape) == 3 else (3, 1, 2, 0)
    return namespace(array).permute_dims(array, order)


def _reached(
    before: Array,
    pair: list[Array],
    operators: list[Array],
    after: Array,
    seed: int,
    count: int,
) -> Array:
    """Return (count + 2, site, right) random mixtures of the rows of H |pair>."""
    xp = namespace(before)
    first, second = pair
    width = count + 2
    shape = (before.shape[1], operators[0].shape[1], width)
    rng = np.random.default_rng(seed)
    mixture = like(rng.standard_normal(shape), first)
    block = extend_left_sandwich(before, mixture, operators[0], first)
    # a little of everything: the same mixtures in every sweep would never show some directions
    stir = like(rng.standard_normal(block.shape), block)
    block = block + stir * (0.01 * _norm(block) / _norm(stir))
    act = _effective_operator(block, operators[1], after)
    image = act(reshape(xp.permute_dims(second, (1, 0, 2)), (-1,)))
    image = reshape(image, (second.shape[1], width, after.shape[1]))
    return xp.permute_dims(image, (1, 0, 2))


def _joined(first: Array, second: Array) -> Array:
    """Return two sites of an operator as one: (left, out, in, right)."""
    xp = namespace(first)
    w, p, _, m = first.shape
    q, x = second.shape[1], second.shape[3]
    six = reshape(reshape(first, (-1, m)) @ reshape(second, (m, -1)), (w, p, p, q, q, x))
    return reshape(xp.permute_dims(six, (0, 1, 3, 2, 4, 5)), (w, p * q, p * q, x))


def _pair(first: Array, second: Array) -> Array:
    """Return two sites of a state as one: (left, site, right)."""
    l, p, m = first.shape
    q, r = second.shape[1:]
    return reshape(reshape(first, (l * p, m)) @ reshape(second, (m, q * r)), (l, p * q, r))


def _effective_operator(before: Array, operator: Array, after: Array) -> Callable[[Array], Array]:
    """Return H_eff as a function of vectors laid out (site, left, right), flattened."""
    xp = namespace(before)
    w, b, k = before.shape
    x, _, r_ket = after.shape
    site = operator.shape[1]
    matrix = reshape(xp.permute_dims(operator, (3, 1, 2, 0)), (x * site, site * w))
    rows = reshape(before, (1, w * b, k))
    columns = xp.permute_dims(after, (0, 2, 1))

    def act(vector: Array) -> Array:
        half = xp.matmul(rows, reshape(vector, (site, k, r_ket)))
        acted = matrix @ reshape(half, (site * w, b * r_ket))
        closed = xp.matmul(reshape(acted, (x, site * b, r_ket)), columns)
        return reshape(xp.sum(closed, axis=0), (-1,))

    return act


def _diagonal(before: Array, operator: Array, after: Array) -> Array:
    """Return the diagonal of H_eff, real, laid out as the vectors are."""
    xp = namespace(before)
    rows, columns = (xp.linalg.diagonal(block) for block in (before, after))
    own = xp.linalg.diagonal(xp.permute_dims(operator, (0, 3, 1, 2)))
    w, x, s = own.shape
    half = reshape(rows.T @ reshape(own, (w, x * s)), (-1, x, s))
    half = reshape(xp.permute_dims(half, (2, 0, 1)), (-1, x))
    full = reshape(half @ columns, (-1,))
    return xp.real(full) if is_complex(full) else full


def _projected(left: Array, array: Array, right: Array) -> Array:
    """Return a state to project out, seen from the open site, laid out as the vectors are."""
    xp = namespace(left)
    # left: (bra, ket) with the other state as bra, conjugated already; right: (ket, bra)
    # adjoint(left): (ket, bra), so that the ket index of the state being solved is open
    seen = xp.matmul(adjoint(left)[None], xp.permute_dims(array, (1, 0, 2)))
    return reshape(xp.matmul(seen, adjoint(right)[None]), (-1,))


def _check_hermitian(mpo: MPO) -> None:
    norm = log_norm(chain_of(mpo))
    if norm == -math.inf:
        raise ArgumentError("the operator is zero; every state has energy 0")
    unit = MPO(mpo.arrays, mpo.sites, mpo.log_scale - norm)
    gap = distance(unit, adjoint_mpo(unit))
    if gap > 1e-6:
        raise ArgumentError(
            f"the operator is not Hermitian: |H - H^dagger| is {gap:.3g} of |H|; "
            "add the missing adjoint terms"
        )


def _common_dtype(psi: MPS, mpo: MPO) -> Any:
    xp = namespace(psi.arrays[0], mpo.arrays[0])
    return xp.result_type(psi.arrays[0], mpo.arrays[0])


def _prepared(psi: MPS, dtype: Any) -> MPS:
    xp = namespace(psi.arrays[0])
    return normalize(MPS(tuple(xp.astype(a, dtype) for a in psi.arrays), psi.sites))


def _cast(mpo: MPO, dtype: Any) -> tuple[Array, ...]:
    """Return the operator's arrays in `dtype`, its scale multiplied in."""
    xp = namespace(mpo.arrays[0])
    share = math.exp(mpo.log_scale / len(mpo))
    return tuple(xp.astype(a * share if mpo.log_scale else a, dtype) for a in mpo.arrays)


def _growth(rule: Truncation) -> int:
    """Return how many directions to add: measured to reach two-site energies in as many sweeps."""
    return 16 if rule.max_bond is None else max(8, rule.max_bond // 4)


def _stirred(psi: MPS, mpo: MPO) -> MPS:
    """Return psi - 0.01 (H - E) psi / sigma, where bonds are small enough for that to be cheap.

    From a product state, two sites at a time see only what the operator does to neighbours.
    """
    size = max(psi.bond_dims) * max(mpo.bond_dims)
    if size > 64 or not math.isfinite(log_norm(psi)):
        return psi
    unit = normalize(psi)
    spread = variance(unit, mpo)
    mean = complex(expectation(unit, mpo)).real
    if spread <= 1e-12 * mean * mean:
        return psi
    share = 0.01 / math.sqrt(spread)
    moved = scale(apply_exactly(mpo, unit), -share)
    return compress(add(scale(unit, 1.0 + share * mean), moved)).state


def _like(other: MPS, state: MPS) -> MPS:
    if not isinstance(other, MPS):
        raise ArgumentTypeError(f"orthogonal_to must hold MPS states, got {shown(other)}")
    if other.sites != state.sites or other.site_dims != state.site_dims:
        raise ArgumentError("a state in orthogonal_to has other sites than psi")
    xp = namespace(other.arrays[0])
    return normalize(MPS(tuple(xp.astype(a, state.dtype) for a in other.arrays), other.sites))
