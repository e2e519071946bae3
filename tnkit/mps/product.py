"""Operators among themselves: products, adjoints, traces, and what they do to a state exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tnkit.arrays import is_complex, namespace, promote, rescale, reshape, to_numpy
from tnkit.checking import checked
from tnkit.errors import ArgumentError, SizeError
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import check_operator, expectation, log_norm
from tnkit.mps.sites import same_chain
from tnkit.mps.state import MPS
from tnkit.scaled import Scaled

__all__ = ["adjoint_mpo", "apply_exactly", "multiply", "trace", "variance"]


@checked
def adjoint_mpo(mpo: MPO) -> MPO:
    """Return the conjugate transpose of an operator.

    >>> from tnkit.mps.create_mpo import identity_mpo
    >>> adjoint_mpo(identity_mpo(3))
    MPO(3 sites, site_dim 2, bond_dim 1, float64)
    """
    xp = namespace(mpo.arrays[0])
    arrays = tuple(xp.permute_dims(array, (0, 2, 1, 3)) for array in mpo.arrays)
    if is_complex(arrays[0]):
        arrays = tuple(xp.conj(array) for array in arrays)
    return MPO(arrays, mpo.sites, mpo.log_scale)


@checked
def multiply(a: MPO, b: MPO) -> MPO:
    """Return the operator product a b (b acts first), exactly: bonds multiply.

    Raises `SizeError` where sites differ or the columns of `a` do not fit the rows of `b`.
    Cost O(L site^3 bond^4).

    >>> from tnkit.mps.create_mpo import identity_mpo
    >>> multiply(identity_mpo(3), identity_mpo(3)).bond_dims
    (1, 1)
    """
    same_chain(a.sites, a.in_dims, b.sites, b.out_dims, "the operators")
    flat = promote(*a.arrays, *b.arrays)
    xp = namespace(*flat)
    arrays = []
    for x, y in zip(flat[: len(a)], flat[len(a) :], strict=True):
        (l, out, mid, r), (m, _, into, s) = x.shape, y.shape
        left = reshape(xp.permute_dims(x, (0, 1, 3, 2)), (l * out * r, mid))
        right = reshape(xp.permute_dims(y, (1, 0, 2, 3)), (mid, m * into * s))
        both = reshape(left @ right, (l, out, r, m, into, s))
        both = xp.permute_dims(both, (0, 3, 1, 4, 2, 5))
        arrays.append(reshape(both, (l * m, out, into, r * s)))
    return MPO(tuple(arrays), a.sites, a.log_scale + b.log_scale)


def apply_exactly(mpo: MPO, psi: MPS) -> MPS:
    """Return mpo |psi> without truncation: bonds multiply.

    Cost O(L site^2 operator^2 bond^2), and that much memory; see `tnkit.apply`.
    """
    check_operator(mpo, None, psi)
    flat = promote(*mpo.arrays, *psi.arrays)
    xp = namespace(*flat)
    arrays = []
    for w, a in zip(flat[: len(mpo)], flat[len(mpo) :], strict=True):
        (m, out, into, n), (l, _, r) = w.shape, a.shape
        left = reshape(xp.permute_dims(w, (0, 1, 3, 2)), (m * out * n, into))
        right = reshape(xp.permute_dims(a, (1, 0, 2)), (into, l * r))
        both = xp.permute_dims(reshape(left @ right, (m, out, n, l, r)), (0, 3, 1, 2, 4))
        arrays.append(reshape(both, (m * l, out, n * r)))
    return MPS(tuple(arrays), psi.sites, log_scale=mpo.log_scale + psi.log_scale)


@checked
def trace(mpo: MPO) -> Scaled:
    """Return the trace of an operator, of any magnitude: float(...), `.log_abs`, `.phase`.

    Raises `SizeError` where rows and columns differ. Cost O(L site bond^2).

    >>> from tnkit.mps.create_mpo import identity_mpo
    >>> round(float(trace(identity_mpo(2000)).log_abs), 3)  # 2000 ln 2
    1386.294
    """
    if mpo.out_dims != mpo.in_dims:
        raise SizeError(f"no trace: rows {mpo.out_dims} and columns {mpo.in_dims} differ")
    row: Any = None
    log = mpo.log_scale
    for array in mpo.arrays:
        near, step = rescale(array)
        diagonal = sum(near[:, s, s, :] for s in range(near.shape[1]))
        row, more = rescale(diagonal if row is None else row @ diagonal)
        log += step + more
    value = to_numpy(row)[0, 0]
    return Scaled(np.asarray(value), log if value else 0.0)


@checked
def variance(psi: MPS, mpo: MPO) -> float:
    """Return <(O - o)^H (O - o)> for o = <O>, divided by <psi|psi>: zero for an eigenstate.

    Computed as |O psi|^2 - |o|^2, so it resolves eps(dtype) |O psi|^2 and may come out negative
    by that much. Raises `ArgumentError` for the zero state. Cost O(L site operator^2 bond^3).

    >>> from tnkit.mps.create import random_mps
    >>> from tnkit.mps.create_mpo import identity_mpo
    >>> abs(variance(random_mps(5, bond_dim=3, seed=0), identity_mpo(5))) < 1e-12
    True
    """
    if not math.isfinite(log_norm(psi)):
        raise ArgumentError("the zero state has no variance")
    mean = expectation(psi, mpo)
    square = expectation(psi, multiply(adjoint_mpo(mpo), mpo))
    return complex(square).real - abs(mean) ** 2
