"""Step rules: from a block of two sites and the gradient of its NLL to the next block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tnkit import namespace

__all__ = ["StepRule", "bond_entropy", "gradient_step", "improve"]

Array: TypeAlias = Any


@dataclass(frozen=True, slots=True, eq=False)
class StepRule:
    """What a gradient step at a bond is made of; the fields of `Settings` at one sweep.

    floor and longest bound the step: see `two_site_gradient` and `gradient_step`.
    rng: draws noise and batches; it is made afresh for each sweep.
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


Evaluate: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""A block's objective (0-d, up to a constant), and the ascent direction that lowers it."""


def improve(block: Array, evaluate: Evaluate, rule: StepRule) -> tuple[Array, Array]:
    """Return the block after the steps of `rule`, and the objective before them.

    block: (left, first, second, right) of norm one, and so is the result. evaluate is called once
    a step, and once more for every step looked back on. With `backtracks`, a step that raises the
    objective is halved that often, then left out.
    """
    value, gradient = _penalised(block, evaluate, rule)
    before = value
    for step in range(rule.steps):
        rate = rule.learning_rate
        after = gradient_step(block, gradient, rate, longest=rule.longest)
        if step + 1 < rule.steps or rule.backtracks:
            new_value, new_gradient = _penalised(after, evaluate, rule)
            for _ in range(rule.backtracks):
                if new_value <= value:
                    break
                rate = 0.5 * rate
                after = gradient_step(block, gradient, rate, longest=rule.longest)
                new_value, new_gradient = _penalised(after, evaluate, rule)
            if rule.backtracks and not new_value <= value:
                break
            value, gradient = new_value, new_gradient
        block = after
    if rule.noise > 0.0:
        block = _shaken(block, rule)
    return block, before


def _penalised(block: Array, evaluate: Evaluate, rule: StepRule) -> tuple[Array, Array]:
    value, gradient = evaluate(block)
    if rule.bond_penalty > 0.0:
        entropy, rise = bond_entropy(block)
        value = value + rule.bond_penalty * entropy
        gradient = gradient - rise * rule.bond_penalty
    return value, gradient


def bond_entropy(block: Array) -> tuple[Array, Array]:
    """Return the Renyi-2 entanglement entropy of a block of norm one, and its gradient.

    S = -ln sum s^4 over the singular values s of the (left first, second right) matrix M, with
    sum s^2 = 1, and dS/dM = 4 M - 4 M M^+ M / sum s^4. Cost O(bond^3), no decomposition.
    """
    xp = namespace(block)
    l, p, q, r = block.shape
    matrix = block.reshape(l * p, q * r)
    density = matrix @ matrix.conj().T
    purity = xp.linalg.vector_norm(density.reshape(-1)) ** 2
    cubed = density @ matrix
    return -xp.log(purity), (matrix * 4.0 - cubed * (4.0 / purity)).reshape(block.shape)


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
    the block away.
    """
    length = learning_rate * _length(gradient)
    # no host transfer: the comparison stays on the device
    stepped = block + gradient * (
        learning_rate * longest / namespace(block).maximum(length, longest)
    )
    return stepped / _length(stepped)


def _length(array: Array) -> Array:
    return namespace(array).linalg.vector_norm(array.reshape(-1))
