"""Blocks of an overlap: everything to one side of a bond contracted into a small array."""

from __future__ import annotations

import numpy as np

from tnkit.arrays import Array, adjoint, is_complex, namespace, reshape

__all__ = [
    "extend_left_overlap",
    "extend_left_sandwich",
    "extend_right_overlap",
    "extend_right_sandwich",
]


def extend_left_overlap(block: Array, bra: Array, ket: Array) -> Array:
    """Absorb one site into the left block of <bra|ket>.

    block: (bra_left, ket_left); bra, ket: (left, site, right), bra not yet conjugated. Returns
    (bra_right, ket_right). Two matrix products, O(site x bond^3).
    """
    l, d, r = ket.shape
    if type(ket) is np.ndarray and type(bra) is np.ndarray:  # the hot path, spelt out
        half = block.dot(ket.reshape(l, d * r)).reshape(-1, r)
        closing = bra.reshape(-1, bra.shape[2]).T
        return (closing.conj() if bra.dtype.kind == "c" else closing).dot(half)
    half = reshape(block @ reshape(ket, (l, d * r)), (-1, r))
    return adjoint(reshape(bra, (-1, bra.shape[2]))) @ half


def extend_right_overlap(block: Array, bra: Array, ket: Array) -> Array:
    """Absorb one site into the right block of <bra|ket>.

    block: (ket_right, bra_right); returns (ket_left, bra_left).
    """
    l, d, r = ket.shape
    half = reshape(reshape(ket, (l * d, r)) @ block, (l, -1))
    return half @ adjoint(reshape(bra, (bra.shape[0], -1)))


def extend_left_sandwich(block: Array, bra: Array, operator: Array, ket: Array) -> Array:
    """Absorb one site into the left block of <bra|operator|ket>.

    block: (operator_left, bra_left, ket_left); operator: (left, out, in, right); bra, ket: (left,
    site, right), bra not yet conjugated. Returns (operator_right, bra_right, ket_right). Matrix
    products only, laid out so that no array of the size of an intermediate is ever permuted:
    O(site x operator x bond^3 + site^2 x operator^2 x bond^2).
    """
    xp = namespace(ket)
    w, out, into, w_next = operator.shape
    b = bra.shape[0]
    k, _, k_next = ket.shape
    half = xp.matmul(reshape(block, (1, w * b, k)), xp.permute_dims(ket, (1, 0, 2)))
    matrix = reshape(xp.permute_dims(operator, (3, 1, 2, 0)), (w_next * out, into * w))
    acted = reshape(matrix @ reshape(half, (into * w, b * k_next)), (w_next, out * b, k_next))
    closing = reshape(xp.permute_dims(bra, (2, 1, 0)), (-1, out * b))
    return xp.matmul(xp.conj(closing) if is_complex(closing) else closing, acted)


def extend_right_sandwich(block: Array, bra: Array, operator: Array, ket: Array) -> Array:
    """Absorb one site into the right block of <bra|operator|ket>.

    block: (operator_right, bra_right, ket_right); returns (operator_left, bra_left, ket_left).
    The mirror image of `extend_left_sandwich`.
    """
    xp = namespace(ket)
    return extend_left_sandwich(
        block,
        xp.permute_dims(bra, (2, 1, 0)),
        xp.permute_dims(operator, (3, 1, 2, 0)),
        xp.permute_dims(ket, (2, 1, 0)),
    )
