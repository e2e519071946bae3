"""The gradient of the log-likelihood with respect to the block of two sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from born_machine.amplitude import PairSlice, at_least
from tnkit import namespace

__all__ = ["two_site_gradient"]

Array: TypeAlias = Any


def two_site_gradient(
    block: Array, left: Array, right: Array, pairs: Sequence[PairSlice], *, floor: float = 0.0
) -> tuple[Array, Array]:
    """Return |psi| of every sample and the ascent direction of the mean log-likelihood.

    block: (left, first, second, right), the merged tensor M of two sites, of norm one, all other
    sites orthonormal towards it. left: (sample, left) and right: (sample, right) vectors, sorted
    by `pairs`. With psi = l . M[x_k, x_{k+1}] . r the direction is

        G = (2 / N) sum_x conj(l (x) r / psi) - 2 M  =  -dNLL/dRe M - i dNLL/dIm M

    at |M| = 1 (Han et al. 2018, Eq. 7; the complex case is torch's convention for gradients).
    floor: 1 / psi is replaced by conj(psi) / max(|psi|^2, floor^2), which bounds the pull of a
    sample that is all but impossible. Shapes: |psi| (sample,), G as block.
    Cost O(samples left right).
    """
    xp = namespace(block)
    half = xp.empty(right.shape, dtype=block.dtype, device=block.device)
    for first, second, start, stop in pairs:
        xp.matmul(left[start:stop], block[:, first, second, :], out=half[start:stop])
    psi = xp.einsum("ij,ij->i", half, right)
    magnitude = xp.abs(psi)
    square = magnitude * magnitude
    if floor > 0.0:
        square = at_least(square, floor * floor)
    pull = psi * (2.0 / left.shape[0]) / square  # the conjugate of 2 / (N psi)
    weighted = right.conj() * pull[:, None]
    gradient = block * -2.0
    for first, second, start, stop in pairs:
        gradient[:, first, second, :] += left[start:stop].conj().T @ weighted[start:stop]
    return magnitude, gradient
