"""Maximum likelihood as a problem for tnkit's sweep driver: vectors a sample, and the step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from born_machine.amplitude import (
    BondOrder,
    PairSlice,
    SampleVectors,
    absorb_site,
    at_least,
    chosen_pairs,
)
from born_machine.gradient import two_site_gradient
from born_machine.update import Evaluate, StepRule, bond_entropy, improve
from tnkit import Move, namespace

__all__ = ["Environment", "LikelihoodProblem", "edge_sum", "grow_sum", "penalties"]

Array: TypeAlias = Any


class Environment(NamedTuple):
    """One side of the chain: contracted with every sample, and summed over all configurations.

    total: (bond,) of norm one, None where nothing asks for it.
    """

    samples: SampleVectors
    total: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class LikelihoodProblem:
    """Maximum likelihood of the samples behind `orders`.

    like: an array whose library, device and dtype the vectors take. samples: how many.
    """

    orders: tuple[BondOrder, ...]
    like: Array
    samples: int
    rule: StepRule

    def with_rule(self, rule: StepRule) -> LikelihoodProblem:
        """Return the problem with other steps; environments stay valid."""
        return replace(self, rule=rule)

    def left_edge(self) -> Environment:
        """Return the vectors before site 0: ones."""
        xp = namespace(self.like)
        where = self.like.device
        vectors = SampleVectors(
            xp.ones((self.samples, 1), dtype=self.like.dtype, device=where),
            xp.zeros(self.samples, dtype=xp.float64, device=where),
        )
        return Environment(vectors, edge_sum(self.rule, self.like))

    def right_edge(self) -> Environment:
        """Return the vectors after the last site: ones."""
        return self.left_edge()

    def grow_left(self, environment: Environment, array: Array, site: int) -> Environment:
        """Carry the vectors over `site`, in the order of its bond."""
        vectors = absorb_site(environment.samples, array, self.orders[site], rightwards=True)
        return Environment(vectors, grow_sum(environment.total, array, rightwards=True))

    def grow_right(self, environment: Environment, array: Array, site: int) -> Environment:
        """Carry the vectors back over `site`, in the order of the bond before it."""
        vectors = absorb_site(environment.samples, array, self.orders[site - 1], rightwards=False)
        return Environment(vectors, grow_sum(environment.total, array, rightwards=False))

    def solve(
        self, left: Environment, block: Array, right: Environment, bond: int
    ) -> tuple[Array, Any]:
        """Take the steps of one bond; the loss is the mean NLL before them, in nats a sample.

        The loss stays on the device (a 0-d array): reading it would wait for the device. Penalties
        are not part of it. With a batch a bond it is the batch's.
        """
        nll = self.nll(left, right, bond)
        return improve(block, nll, self.rule, penalties(self.rule, left.total, right.total))

    def solve_site(
        self, left: Environment, array: Array, right: Environment, site: int
    ) -> tuple[Array, Any]:
        """Take the steps of one site (left, site, right); the loss is as in `solve`.

        A bond penalty is on the bond to its right.
        """
        nll = self.site_nll(left, right, site)
        terms = penalties(self.rule, left.total, right.total)
        block, loss = improve(array[:, :, None, :], nll, self.rule, terms)
        return block[:, :, 0, :], loss

    def directions(
        self,
        left: Environment,
        first: Array,
        second: Array,
        right: Environment,
        move: Move,
        count: int,
    ) -> Array:
        """Return where the gradient of the pair points, for random vectors of the site left.

        A sketch of the two-site gradient at the cost of one site: O(samples bond (bond + count)).
        """
        assert self.rule.rng is not None
        xp = namespace(first)
        before, after = left.samples.vectors, right.samples.vectors
        pairs = self.orders[move.bond].pairs
        near, far = (first, second) if move.rightwards else (second, first)
        kept = near.shape[0 if move.rightwards else 2]
        sketch = self.rule.rng.standard_normal((near.shape[1], kept, count))
        mixed = xp.asarray(sketch, dtype=first.dtype, device=first.device)
        width = far.shape[2 if move.rightwards else 0]
        out = xp.zeros((count, far.shape[1], width), dtype=first.dtype, device=first.device)
        for p, q, start, stop in pairs:
            l, r = before[start:stop], after[start:stop]
            psi = xp.sum(((l @ first[:, p, :]) @ second[:, q, :]) * r, axis=1)
            square = at_least(xp.abs(psi) ** 2, self.rule.floor**2)
            pull = (psi / square)[:, None]
            if move.rightwards:
                out[:, q, :] += (l.conj() @ mixed[p, ...]).T @ (r.conj() * pull)
            else:
                out[:, p, :] += (r.conj() @ mixed[q, ...]).T @ (l.conj() * pull)
        (out,) = self.rule.ranks.total(out)
        return out if move.rightwards else xp.permute_dims(out, (2, 1, 0))

    def nll(self, left: Environment, right: Environment, bond: int) -> Evaluate:
        """Return the mean NLL as a function of the block of `bond`."""
        return self._evaluator(left.samples, right.samples, self.orders[bond].pairs)

    def site_nll(self, left: Environment, right: Environment, site: int) -> Evaluate:
        """Return the mean NLL as a function of (left, site, 1, right), the array of `site`."""
        before, after = left.samples, right.samples
        if site == len(self.orders):  # the last site: sorted by it within its left neighbour
            slices = tuple(
                PairSlice(second, 0, start, stop)
                for _, second, start, stop in self.orders[site - 1].pairs
            )
            return self._evaluator(before, after, slices)
        if site > 0:  # the right side stands in the order of the bond before
            gather = self.orders[site - 1].to_next
            xp = namespace(after.vectors)
            after = SampleVectors(*(xp.take(part, gather, axis=0) for part in after))
        firsts = self.orders[site].firsts
        return self._evaluator(before, after, tuple(one._replace(second=0) for one in firsts))

    def _evaluator(
        self, left: SampleVectors, right: SampleVectors, pairs: tuple[PairSlice, ...]
    ) -> Evaluate:
        rule = self.rule
        (before, before_logs), (after, after_logs) = left, right
        if rule.batch_size is not None and rule.batch_size < self.samples:
            assert rule.rng is not None
            rows = np.sort(rule.rng.choice(self.samples, rule.batch_size, replace=False))
            pairs = chosen_pairs(pairs, rows)
            gather = namespace(before).asarray(rows, device=before.device)
            before, before_logs = before[gather], before_logs[gather]
            after, after_logs = after[gather], after_logs[gather]

        def evaluate(block: Array) -> tuple[Array, Array]:
            xp = namespace(block)
            magnitude, gradient = two_site_gradient(block, before, after, pairs, floor=rule.floor)
            logs = xp.log(at_least(magnitude, 1e-37)) + before_logs + after_logs
            return -2.0 * xp.mean(logs, dtype=xp.float64), gradient

        return evaluate


def penalties(rule: StepRule, left: Array | None, right: Array | None) -> list[Any]:
    """Return the penalties that `rule` asks for: (weight, function of the block).

    left, right: the sums over all configurations to either side of the block.
    """
    found: list[tuple[float, Evaluate]] = []
    if rule.bond_penalty > 0.0:
        found.append((rule.bond_penalty, bond_entropy))
    if rule.entropy_bonus > 0.0:
        found.append((rule.entropy_bonus, lambda block: _minus_log_sum(block, left, right)))
    return found


def edge_sum(rule: StepRule, like: Array) -> Array | None:
    """Return the sum over no site: one; None where no penalty asks for sums."""
    if rule.entropy_bonus == 0.0:
        return None
    return namespace(like).ones(1, dtype=like.dtype, device=like.device)


def grow_sum(total: Array | None, array: Array, *, rightwards: bool) -> Array | None:
    """Carry the sum over all configurations over a site, norm one again; None stays None."""
    if total is None:
        return None
    xp = namespace(array)
    matrix = xp.sum(array, axis=1)
    out = total @ matrix if rightwards else matrix @ total
    return out / at_least(xp.linalg.vector_norm(out), 1e-37)


def _minus_log_sum(block: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Return -2 ln |sum_x psi(x)| up to a constant, and how it falls, for a block of norm one."""
    xp = namespace(block)
    outer = left[:, None, None, None].conj() * right.conj()
    whole = xp.broadcast_to(outer, block.shape)
    z = xp.sum(whole.conj() * block)
    square = at_least(xp.abs(z) ** 2, 1e-16)
    return -xp.log(square), whole * (2.0 * z / square) - block * 2.0
