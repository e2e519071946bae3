"""Expectation values of local operators: one site, and all pairs of sites in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tnkit.arrays import (
    Array,
    as_array,
    astype,
    device,
    eps,
    is_complex,
    namespace,
    promote,
    reshape,
    to_numpy,
)
from tnkit.checking import checked
from tnkit.errors import ArgumentError, SizeError
from tnkit.mps.environments import extend_left_overlap
from tnkit.mps.gauge import canonicalize
from tnkit.mps.overlap import normalize
from tnkit.mps.state import MPS

__all__ = ["correlation_length", "local_expectations", "two_point"]


def _matrices(psi: MPS, operator: Any, what: str) -> list[Array]:
    """Return one matrix a site: `operator` for every site, or one of a list for each."""
    listed = isinstance(operator, Sequence) and len(operator) == len(psi)
    if listed and np.ndim(operator[0]) == 2:
        given = [as_array(matrix) for matrix in operator]
    else:
        given = [as_array(operator)] * len(psi)
    model = psi.arrays[0]
    xp = namespace(model)
    found = []
    for name, d, matrix in zip(psi.sites, psi.site_dims, given, strict=True):
        if tuple(matrix.shape) != (d, d):
            raise SizeError(
                f"{what} at site {name!r} has shape {tuple(matrix.shape)}, expected {(d, d)}"
            )
        host = to_numpy(matrix)
        dtype = model.dtype
        if np.iscomplexobj(host) and not is_complex(model):
            dtype = xp.complex128 if eps(model) < 1e-10 else xp.complex64
        if isinstance(model, np.ndarray):
            found.append(host.astype(dtype))
        else:
            found.append(xp.asarray(host, dtype=dtype, device=device(model)))
    return found


def _act(matrix: Array, array: Array) -> Array:
    return namespace(array).matmul(matrix[None, :, :], array)


def _prepared(psi: MPS, matrices: list[list[Array]]) -> MPS:
    psi = normalize(canonicalize(psi, 0))
    flat = promote(psi.arrays[0], *(matrix for group in matrices for matrix in group))
    psi = psi.astype(flat[0].dtype)
    for group in matrices:
        group[:] = [astype(matrix, psi.dtype) for matrix in group]
    return psi


@checked
def local_expectations(psi: MPS, operator: Any) -> np.ndarray[Any, Any]:
    """Return <operator at site k> / <psi|psi> for every site k, in one pass.

    operator: a matrix (site, site), or a list of one a site. Returns (sites,) on the host, real
    where state and operator are. Raises `SizeError`, `ArgumentError` for the zero state.
    Cost O(L site bond^3).

    >>> from tnkit.mps.create import basis_mps
    >>> local_expectations(basis_mps([0, 1]), np.diag([1.0, -1.0]))
    array([ 1., -1.])
    """
    matrices = [_matrices(psi, operator, "the operator")]
    psi = _prepared(psi, matrices)
    xp = namespace(psi.arrays[0])
    block = xp.ones_like(psi.arrays[0][:, 0, :1])
    values = []
    for matrix, array in zip(matrices[0], psi.arrays, strict=True):
        inserted = extend_left_overlap(block, array, _act(matrix, array))
        values.append(np.trace(to_numpy(inserted)))  # all to the right is the identity
        block = extend_left_overlap(block, array, array)
    return np.array(values)


@checked
def two_point(psi: MPS, a: Any, b: Any = None) -> np.ndarray[Any, Any]:
    """Return <a_i b_j> / <psi|psi> for all pairs of sites, in one pass over the chain.

    a, b: matrices (site, site), or lists of one a site; b is a by default. Returns (sites, sites)
    on the host, entry (i, j) with a at site i and b at site j; on the diagonal the operator is
    the product a b. All blocks that hold an operator already are carried on together as one
    batch. Raises as `local_expectations`. Cost O(L^2 site bond^3).

    >>> from tnkit.mps.create import ghz_mps
    >>> two_point(ghz_mps(3), np.diag([1.0, -1.0])).round(12)
    array([[1., 1., 1.],
           [1., 1., 1.],
           [1., 1., 1.]])
    """
    first = _matrices(psi, a, "the first operator")
    second = list(first) if b is None else _matrices(psi, b, "the second operator")
    groups = [first, second]
    psi = _prepared(psi, groups)
    first, second = groups
    xp = namespace(psi.arrays[0])
    length = len(psi)
    kind = np.complex128 if is_complex(psi.arrays[0]) else np.float64
    result = np.zeros((length, length), dtype=kind)
    block = xp.ones_like(psi.arrays[0][:, 0, :1])
    open_a: Array | None = None  # (i, bra bond, ket bond): a at site i < k
    open_b: Array | None = None
    for k, array in enumerate(psi.arrays):
        with_a, with_b = _act(first[k], array), _act(second[k], array)
        both = extend_left_overlap(block, array, _act(first[k], with_b))
        result[k, k] = np.trace(to_numpy(both))
        if open_a is not None and open_b is not None:
            closed = to_numpy(_extend_batch(open_a, array, with_b))
            result[:k, k] = np.trace(closed, axis1=1, axis2=2)
            closed = to_numpy(_extend_batch(open_b, array, with_a))
            result[k, :k] = np.trace(closed, axis1=1, axis2=2)
        new_a = extend_left_overlap(block, array, with_a)[None, :, :]
        new_b = extend_left_overlap(block, array, with_b)[None, :, :]
        if open_a is None or open_b is None:
            open_a, open_b = new_a, new_b
        else:
            open_a = xp.concat([_extend_batch(open_a, array, array), new_a], axis=0)
            open_b = xp.concat([_extend_batch(open_b, array, array), new_b], axis=0)
        block = extend_left_overlap(block, array, array)
    return result


def _extend_batch(blocks: Array, bra: Array, ket: Array) -> Array:
    """Absorb one site into many left blocks (batch, bra, ket) at once."""
    xp = namespace(ket)
    n = blocks.shape[0]
    l, d, r = ket.shape
    half = reshape(reshape(blocks, (-1, l)) @ reshape(ket, (l, d * r)), (n, -1, r))
    closing = reshape(xp.permute_dims(bra, (2, 0, 1)), (1, bra.shape[2], -1))
    return xp.matmul(xp.conj(closing) if is_complex(closing) else closing, half)


@checked
def correlation_length(psi: MPS, a: Any, b: Any = None, *, site: int | None = None) -> float:
    """Return xi of the decay exp(-|i - j| / xi) of connected correlations <a_i b_j> - <a_i><b_j>.

    A least-squares line through the logarithms of the correlations between `site` (one quarter
    of the chain by default) and all sites from there to three quarters, those above 1e-12 of the
    largest. 0.0 where nothing is correlated. Raises `ArgumentError` for fewer than eight sites.

    >>> from tnkit.mps.create import aklt_mps
    >>> xi = correlation_length(aklt_mps(40), np.diag([1.0, 0.0, -1.0]))
    >>> round(1 / xi, 6)  # ln 3
    1.098612
    """
    length = len(psi)
    if length < 8:
        raise ArgumentError(f"a correlation length needs at least 8 sites, got {length}")
    start = length // 4 if site is None else int(site)
    stop = max(start + 4, 3 * length // 4)
    if not start >= 0 or stop > length:
        raise ArgumentError(f"site {start} leaves no 4 sites to its right in a chain of {length}")
    connected = (
        two_point(psi, a, b)[start, start + 1 : stop]
        - (local_expectations(psi, a)[start] * local_expectations(psi, a if b is None else b))[
            start + 1 : stop
        ]
    )
    sizes = np.abs(connected)
    use = sizes > 1e-12 * max(float(sizes.max()), 1e-3)
    if use.sum() < 2:
        return 0.0
    distances = np.arange(1, len(sizes) + 1)[use]
    slope = float(np.polyfit(distances, np.log(sizes[use]), 1)[0])
    return math.inf if slope >= 0.0 else -1.0 / slope
