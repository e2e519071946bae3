"""Step rules: from a block of two sites and the gradient of its NLL to the next block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from born_machine.amplitude import at_least
from born_machine.ranks import ALONE, Ranks
from tnkit import namespace

__all__ = ["Evaluate", "StepRule", "bond_entropy", "gradient_step", "improve"]

Array: TypeAlias = Any

_NOTHING = 2.0**27  # times the smallest normal number


@dataclass(frozen=True, slots=True, eq=False)
class StepRule:
    """What a gradient step at a bond is made of; the fields of `Settings` at one sweep.

    floor and longest bound the step: see `two_site_gradient` and `gradient_step`.
    rng: draws noise and batches; it is made afresh for each sweep. ranks: the processes that the
    samples are shared out to; share: how many of all are this one's.
    """

    learning_rate: float
    steps: int = 1
    backtracks: int = 0
    bond_penalty: float = 0.0
    entropy_bonus: float = 0.0
    noise: float = 0.0
    batch_size: int | None = None
    rng: np.random.Generator | None = None
    floor: float = 1e-4
    longest: float = 1.0
    ranks: Ranks = ALONE
    share: float = 1.0

    def pooled(self, *means: Array) -> tuple[Array, ...]:
        """Return means over this process's samples as means over all."""
        if self.ranks.size == 1:
            return means
        return self.ranks.total(*(mean * self.share for mean in means))


Evaluate: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""From a block of norm one to a function's value (0-d) and the direction in which it falls."""


def improve(
    block: Array, nll: Evaluate, rule: StepRule, penalties: Sequence[tuple[float, Evaluate]] = ()
) -> tuple[Array, Array]:
    """Return the block after the steps of `rule` down nll + penalties, and the NLL before them.

    block: (left, first, second, right) of norm one, and so is the result. nll is evaluated once a
    step, and once more for every step looked back on. With `backtracks`, a step that raises the
    sum is halved that often, then left out. penalties: (weight, function).
    """

    def total(candidate: Array) -> tuple[Array, Array, Array]:
        loss, gradient = nll(candidate)
        value = loss
        for weight, penalty in penalties:
            more, fall = penalty(candidate)
            value = value + weight * more
            gradient = gradient + fall * weight
        loss, value, gradient = rule.pooled(loss, value, gradient)
        return loss, value, gradient

    before, value, gradient = total(block)
    for step in range(rule.steps):
        rate = rule.learning_rate
        after = gradient_step(block, gradient, rate, longest=rule.longest)
        if step + 1 < rule.steps or rule.backtracks:
            _, new_value, new_gradient = total(after)
            for _ in range(rule.backtracks):
                if new_value <= value:
                    break
                rate = 0.5 * rate
                after = gradient_step(block, gradient, rate, longest=rule.longest)
                _, new_value, new_gradient = total(after)
            if rule.backtracks and not new_value <= value:
                break
            value, gradient = new_value, new_gradient
        block = after
    if rule.noise > 0.0:
        block = _shaken(block, rule)
    return block, before


def bond_entropy(block: Array) -> tuple[Array, Array]:
    """Return the Renyi-2 entanglement entropy of a block of norm one, and how it falls.

    S = -ln sum s^4 over the singular values s of the (left first, second right) matrix M, with
    sum s^2 = 1, and dS/dM = 4 M - 4 M M^+ M / sum s^4. Cost O(bond^3), no decomposition.
    """
    xp = namespace(block)
    l, p, q, r = block.shape
    matrix = block.reshape(l * p, q * r)
    density = matrix @ matrix.conj().T
    purity = xp.linalg.vector_norm(density.reshape(-1)) ** 2
    cubed = density @ matrix
    return -xp.log(purity), (cubed * (4.0 / purity) - matrix * 4.0).reshape(block.shape)


def _shaken(block: Array, rule: StepRule) -> Array:
    """Return the block after a random step of length `noise`, of norm one again."""
    assert rule.rng is not None
    xp = namespace(block)
    kick = rule.rng.standard_normal(block.shape)
    if xp.isdtype(block.dtype, "complex floating"):
        kick = kick + 1j * rule.rng.standard_normal(block.shape)
    kick *= rule.noise / np.linalg.norm(kick)
    shaken = block + xp.asarray(kick, dtype=block.dtype, device=block.device)
    return shaken / _length(shaken)


def gradient_step(
    block: Array, gradient: Array, learning_rate: float, *, longest: float = 1.0
) -> Array:
    """Return block + learning_rate * gradient, rescaled to norm one.

    block: of norm one. longest: the step learning_rate * |gradient| is shortened to this length
    where it is longer; far from an optimum single samples with a tiny psi would otherwise throw
    the block away. Elements within 2^27 of the smallest normal number, below 1.6e-30 in float32,
    become zero: directions that no sample takes decay into subnormal numbers, on which a processor
    multiplies several times slower.
    """
    length = learning_rate * _length(gradient)
    # no host transfer: the comparison stays on the device
    stepped = block + gradient * (learning_rate * longest / at_least(length, longest))
    after = stepped / _length(stepped)
    if str(after.device).partition(":")[0] == "cuda":  # as fast there with subnormal numbers
        return after
    xp = namespace(after)
    return xp.where(xp.abs(after) < _NOTHING * xp.finfo(after.dtype).smallest_normal, 0.0, after)


def _length(array: Array) -> Array:
    xp = namespace(array)
    flat = array.reshape(-1)
    square = xp.vecdot(flat, flat)
    return xp.sqrt(xp.real(square) if xp.isdtype(array.dtype, "complex floating") else square)
