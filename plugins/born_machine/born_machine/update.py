"""Step rules: from a block and a direction to the next block."""

from __future__ import annotations

from typing import Any, TypeAlias

from tnkit import namespace

__all__ = ["gradient_step"]

Array: TypeAlias = Any


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
