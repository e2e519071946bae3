"""Blocks of an overlap: everything to one side of a bond contracted into a small matrix."""

from __future__ import annotations

from tnkit.arrays import Array, adjoint, reshape

__all__ = ["extend_left_overlap", "extend_right_overlap"]


def extend_left_overlap(block: Array, bra: Array, ket: Array) -> Array:
    """Absorb one site into the left block of <bra|ket>.

    block: (bra_left, ket_left); bra, ket: (left, site, right), bra not yet conjugated. Returns
    (bra_right, ket_right). Two matrix products, O(site x bond^3).
    """
    l, d, r = ket.shape
    half = reshape(block @ reshape(ket, (l, d * r)), (-1, r))
    return adjoint(reshape(bra, (-1, bra.shape[2]))) @ half


def extend_right_overlap(block: Array, bra: Array, ket: Array) -> Array:
    """Absorb one site into the right block of <bra|ket>.

    block: (ket_right, bra_right); returns (ket_left, bra_left).
    """
    l, d, r = ket.shape
    half = reshape(reshape(ket, (l * d, r)) @ block, (l, -1))
    return half @ adjoint(reshape(bra, (bra.shape[0], -1)))
