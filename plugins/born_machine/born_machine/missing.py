"""Maximum likelihood of samples with gaps: p(seen) = the sum of |psi|^2 over what is missing.

A sample with gaps has on either side of a bond no vector but a matrix: the sum over its missing
values of the vectors' outer products. Samples without gaps keep their vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.amplitude import at_least, bond_orders
from born_machine.problem import Environment, LikelihoodProblem, edge_sum, grow_sum, penalties
from born_machine.update import Evaluate, StepRule, improve
from tnkit import Move, namespace

__all__ = ["GapProblem", "gap_problem", "marginal_gradient"]

Array: TypeAlias = Any
_BATCH = 2**22  # numbers held at a time


class GapEnvironment(NamedTuple):
    """One side of the chain: for samples with gaps, for those without, and summed.

    matrices: (sample, bond, bond), Hermitian, each of trace one; logs: (sample,) float64, ln of
    what was divided out. whole: None where every sample has gaps.
    """

    matrices: Array
    logs: Array
    whole: Environment | None
    total: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class GapProblem:
    """Maximum likelihood of `gapped` samples and of those behind `whole`, for the sweep driver.

    gapped: (sample, site) integers, negative where missing. Environments cost O(bond^2) memory and
    O(bond^3) time a gapped sample and site.
    """

    gapped: npt.NDArray[np.integer[Any]]
    whole: LikelihoodProblem | None
    like: Array
    rule: StepRule

    def with_rule(self, rule: StepRule) -> GapProblem:
        """Return the problem with other steps; a batch a bond is shared out between the parts."""
        complete = 0 if self.whole is None else self.whole.samples
        every = len(self.gapped) + complete

        def part(count: int) -> StepRule:
            if rule.batch_size is None:
                return rule
            return replace(rule, batch_size=max(1, round(rule.batch_size * count / every)))

        whole = None if self.whole is None else self.whole.with_rule(part(complete))
        return replace(self, whole=whole, rule=part(len(self.gapped)))

    def left_edge(self) -> GapEnvironment:
        """Return the matrices before site 0: ones."""
        xp = namespace(self.like)
        n, where = len(self.gapped), self.like.device
        return GapEnvironment(
            xp.ones((n, 1, 1), dtype=self.like.dtype, device=where),
            xp.zeros(n, dtype=xp.float64, device=where),
            None if self.whole is None else self.whole.left_edge(),
            edge_sum(self.rule, self.like),
        )

    def right_edge(self) -> GapEnvironment:
        """Return the matrices after the last site: ones."""
        return self.left_edge()

    def grow_left(self, environment: GapEnvironment, array: Array, site: int) -> GapEnvironment:
        """Carry the matrices over `site`: L -> sum_v A_v^T L conj(A_v) over the allowed v."""
        whole = None
        if self.whole is not None and environment.whole is not None:
            whole = self.whole.grow_left(environment.whole, array, site)
        return self._grown(environment, array, site, whole, rightwards=True)

    def grow_right(self, environment: GapEnvironment, array: Array, site: int) -> GapEnvironment:
        """Carry the matrices back over `site`: R -> sum_v A_v R A_v^+ over the allowed v."""
        whole = None
        if self.whole is not None and environment.whole is not None:
            whole = self.whole.grow_right(environment.whole, array, site)
        return self._grown(environment, array, site, whole, rightwards=False)

    def _grown(
        self,
        environment: GapEnvironment,
        array: Array,
        site: int,
        whole: Environment | None,
        *,
        rightwards: bool,
    ) -> GapEnvironment:
        xp = namespace(array)
        width = array.shape[2 if rightwards else 0]
        matrices = environment.matrices
        out = xp.zeros((len(self.gapped), width, width), dtype=array.dtype, device=array.device)
        column = self.gapped[:, site]
        for value in range(array.shape[1]):
            rows = self._rows((column == value) | (column < 0))
            turn = array[:, value, :].T if rightwards else array[:, value, :]
            out[rows] += turn @ matrices[rows] @ turn.conj().T
        traces = at_least(xp.real(xp.linalg.trace(out)), 1e-37)
        return GapEnvironment(
            out / traces[:, None, None],
            environment.logs + xp.log(xp.astype(traces, xp.float64)),
            whole,
            grow_sum(environment.total, array, rightwards=rightwards),
        )

    def _rows(self, mask: npt.NDArray[np.bool_]) -> Array:
        rows = np.flatnonzero(mask)
        return namespace(self.like).asarray(rows, device=self.like.device)

    def solve(
        self, left: GapEnvironment, block: Array, right: GapEnvironment, bond: int
    ) -> tuple[Array, Any]:
        """Take the steps of one bond; the loss is the mean NLL of what was seen, before them."""
        other = None
        if self.whole is not None and left.whole is not None and right.whole is not None:
            other = self.whole.nll(left.whole, right.whole, bond)
        nll = self._nll(left, right, self.gapped[:, bond : bond + 2], other)
        return improve(block, nll, self.rule, penalties(self.rule, left.total, right.total))

    def solve_site(
        self, left: GapEnvironment, array: Array, right: GapEnvironment, site: int
    ) -> tuple[Array, Any]:
        """Take the steps of one site (left, site, right); the loss is as in `solve`."""
        other = None
        if self.whole is not None and left.whole is not None and right.whole is not None:
            other = self.whole.site_nll(left.whole, right.whole, site)
        column = self.gapped[:, site]
        nll = self._nll(left, right, np.stack((column, np.zeros_like(column)), axis=1), other)
        terms = penalties(self.rule, left.total, right.total)
        block, loss = improve(array[:, :, None, :], nll, self.rule, terms)
        return block[:, :, 0, :], loss

    def directions(
        self,
        left: GapEnvironment,
        first: Array,
        second: Array,
        right: GapEnvironment,
        move: Move,
        count: int,
    ) -> Array:
        """Return the whole gradient of the pair, from which the driver takes what is new."""
        l, p, m = first.shape
        q, r = second.shape[1:]
        block = (first.reshape(l * p, m) @ second.reshape(m, q * r)).reshape(l, p, q, r)
        everything = self.with_rule(replace(self.rule, batch_size=None))
        other = None
        if everything.whole is not None and left.whole is not None and right.whole is not None:
            other = everything.whole.nll(left.whole, right.whole, move.bond)
        values = self.gapped[:, move.bond : move.bond + 2]
        _, gradient = everything._nll(left, right, values, other)(block)
        (gradient,) = self.rule.pooled(gradient)
        return gradient.reshape((l * p, q, r) if move.rightwards else (l, p, q * r))

    def _nll(
        self,
        left: GapEnvironment,
        right: GapEnvironment,
        values: npt.NDArray[np.integer[Any]],
        other: Evaluate | None,
    ) -> Evaluate:
        """Return the mean NLL as a function of the block at `values`, with that of the rest."""
        n = len(self.gapped)
        if not n and other is not None:
            return other
        chosen = np.arange(n)
        batch = self.rule.batch_size
        if batch is not None and batch < n:
            assert self.rule.rng is not None
            chosen = np.sort(self.rule.rng.choice(n, batch, replace=False))
        rows = namespace(self.like).asarray(chosen, device=self.like.device)
        lefts, rights = left.matrices[rows], right.matrices[rows]
        logs = left.logs[rows] + right.logs[rows]
        share = 1.0 if self.whole is None else n / (n + self.whole.samples)

        def nll(candidate: Array) -> tuple[Array, Array]:
            xp = namespace(candidate)
            p, gradient = marginal_gradient(
                candidate, lefts, rights, values[chosen], floor=self.rule.floor
            )
            wide = xp.astype(at_least(p, 1e-37), xp.float64)
            loss = -xp.mean(xp.log(wide) + logs)
            if other is None:
                return loss, gradient
            more, more_gradient = other(candidate)
            loss = share * loss + (1.0 - share) * more
            return loss, gradient * share + more_gradient * (1.0 - share)

        return nll


def gap_problem(
    samples: npt.NDArray[np.integer[Any]], dims: tuple[int, ...], like: Array, rule: StepRule
) -> GapProblem:
    """Return the problem of samples (sample, site), some of whose entries are negative: missing."""
    gaps = (samples < 0).any(axis=1)
    complete = samples[~gaps]
    whole = None
    if len(complete):
        whole = LikelihoodProblem(bond_orders(complete, dims, like), like, len(complete), rule)
    return GapProblem(samples[gaps], whole, like, rule).with_rule(rule)


def marginal_gradient(
    block: Array,
    left: Array,
    right: Array,
    values: npt.NDArray[np.integer[Any]],
    *,
    floor: float = 0.0,
) -> tuple[Array, Array]:
    """Return p of what was seen of every sample, and the ascent direction of its mean logarithm.

    block: (left, first, second, right) of norm one. left: (sample, left, left) and right:
    (sample, right, right), L = sum l l^+ and R = sum r r^+ over what is missing there. values:
    (sample, 2) at the block's sites, negative where missing. With T = L^T M_vw R for the allowed v
    and w, p = sum_vw <M_vw, T_vw> and

        G = (2 / N) sum_n T_vw / p - 2 M,

    which is `two_site_gradient` where nothing is missing. floor: p is taken for at least floor^2.
    Cost O(samples bond^3) for every allowed pair of values.
    """
    xp = namespace(block)
    l, first, second, r = block.shape
    n = len(values)
    found = xp.zeros(n, dtype=xp.real(block[:0]).dtype, device=block.device)
    gradient = block * -2.0
    batch = max(1, _BATCH // (first * second * l * r))
    for start in range(0, n, batch):
        stop = min(start + batch, n)
        parts = []
        for v in range(first):
            for w in range(second):
                seen = values[start:stop]
                allowed = ((seen[:, 0] == v) | (seen[:, 0] < 0)) & (
                    (seen[:, 1] == w) | (seen[:, 1] < 0)
                )
                if not allowed.any():
                    continue
                rows = xp.asarray(start + np.flatnonzero(allowed), device=block.device)
                matrix = block[:, v, w, :]
                pull = xp.matrix_transpose(left[rows]) @ matrix @ right[rows]
                found[rows] += xp.real(xp.sum(pull * matrix.conj(), axis=(1, 2)))
                parts.append((v, w, rows, pull))
        for v, w, rows, pull in parts:
            weight = (2.0 / n) / at_least(found[rows], max(floor * floor, 1e-37))
            gradient[:, v, w, :] += xp.sum(pull * weight[:, None, None], axis=0)
    return found, gradient
