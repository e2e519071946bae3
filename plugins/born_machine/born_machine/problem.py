"""Maximum likelihood as a problem for tnkit's sweep driver: vectors a sample, and the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from born_machine.amplitude import BondOrder, SampleVectors, absorb_site, chosen_pairs
from born_machine.gradient import two_site_gradient
from born_machine.update import StepRule, improve
from tnkit import namespace

__all__ = ["LikelihoodProblem"]

Array: TypeAlias = Any


class _Environment(NamedTuple):
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

    def left_edge(self) -> _Environment:
        """Return the vectors before site 0: ones."""
        xp = namespace(self.like)
        where = self.like.device

        def ones(*shape: int) -> Array:
            return xp.ones(shape, dtype=self.like.dtype, device=where)

        vectors = SampleVectors(
            ones(self.samples, 1), xp.zeros(self.samples, dtype=xp.float64, device=where)
        )
        return _Environment(vectors, ones(1) if self.rule.entropy_bonus > 0.0 else None)

    def right_edge(self) -> _Environment:
        """Return the vectors after the last site: ones."""
        return self.left_edge()

    def grow_left(self, environment: _Environment, array: Array, site: int) -> _Environment:
        """Carry the vectors over `site`, in the order of its bond."""
        vectors = absorb_site(environment.samples, array, self.orders[site], rightwards=True)
        return _Environment(vectors, _summed(environment.total, array, rightwards=True))

    def grow_right(self, environment: _Environment, array: Array, site: int) -> _Environment:
        """Carry the vectors back over `site`, in the order of the bond before it."""
        vectors = absorb_site(environment.samples, array, self.orders[site - 1], rightwards=False)
        return _Environment(vectors, _summed(environment.total, array, rightwards=False))

    def solve(
        self, left: _Environment, block: Array, right: _Environment, bond: int
    ) -> tuple[Array, Any]:
        """Take the steps of one bond; the loss is the mean NLL before them, in nats a sample.

        The loss stays on the device (a 0-d array): reading it would wait for the device. Penalties
        are not part of it. With a batch a bond it is the batch's.
        """
        xp = namespace(block)
        rule, pairs = self.rule, self.orders[bond].pairs
        (before, before_logs), (after, after_logs) = left.samples, right.samples
        if rule.batch_size is not None and rule.batch_size < self.samples:
            assert rule.rng is not None
            rows = np.sort(rule.rng.choice(self.samples, rule.batch_size, replace=False))
            pairs = chosen_pairs(pairs, rows)
            gather = xp.asarray(rows, device=block.device)
            before, before_logs = before[gather], before_logs[gather]
            after, after_logs = after[gather], after_logs[gather]
        logs = before_logs + after_logs
        losses = []

        def evaluate(candidate: Array) -> tuple[Array, Array]:
            magnitude, gradient = two_site_gradient(
                candidate, before, after, pairs, floor=rule.floor
            )
            loss = -2.0 * xp.mean(xp.log(xp.maximum(magnitude, 1e-37)) + logs, dtype=xp.float64)
            losses.append(loss)
            if rule.entropy_bonus > 0.0:
                bonus, rise = _log_sum(candidate, left.total, right.total)
                loss = loss - rule.entropy_bonus * bonus
                gradient = gradient + rise * rule.entropy_bonus
            return loss, gradient

        block, _ = improve(block, evaluate, rule)
        return block, losses[0]


def _summed(total: Array | None, array: Array, *, rightwards: bool) -> Array | None:
    if total is None:
        return None
    xp = namespace(array)
    matrix = xp.sum(array, axis=1)
    out = total @ matrix if rightwards else matrix @ total
    return out / xp.maximum(xp.linalg.vector_norm(out), 1e-37)


def _log_sum(block: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Return 2 ln |sum_x psi(x)| up to a constant, and its gradient, for a block of norm one."""
    xp = namespace(block)
    outer = left[:, None, None, None].conj() * right.conj()
    whole = xp.broadcast_to(outer, block.shape)
    z = xp.sum(whole.conj() * block)
    square = xp.maximum(xp.abs(z) ** 2, 1e-16)
    return xp.log(square), whole * (2.0 * z / square) - block * 2.0
