"""Matrix product operators from nothing: identity, products, local terms, a dense matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tnkit.arrays import Array, as_array, namespace, numpy_float, reshape, to_numpy
from tnkit.checking import check_memory, checked
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.mps.arithmetic import like_chain
from tnkit.mps.create import mps_from_dense, site_sizes
from tnkit.mps.operator import MPO
from tnkit.mps.sites import find_site, site_names
from tnkit.truncation import EXACT, Truncation

__all__ = ["identity_mpo", "mpo_from_dense", "mpo_from_terms", "product_mpo"]

Term: TypeAlias = Mapping[int | str, Any]


@checked
def identity_mpo(
    sites: int | Sequence[str], site_dim: int | Sequence[int] = 2, *, dtype: Any = "float64"
) -> MPO:
    """Return the identity (bond dimension 1, NumPy arrays).

    >>> identity_mpo(4, 3)
    MPO(4 sites, site_dim 3, bond_dim 1, float64)
    """
    names = site_names(sites)
    dims, dtype = site_sizes(site_dim, len(names)), numpy_float(dtype)
    check_memory(16 * sum(d**2 for d in dims), 2**36, "such an operator")
    return product_mpo([np.eye(d, dtype=dtype) for d in dims], sites=names)


@checked
def product_mpo(matrices: Sequence[Any], *, sites: Sequence[str] | None = None) -> MPO:
    """Return the tensor product of one matrix (out, in) a site (bond dimension 1).

    >>> product_mpo([np.eye(2), np.ones((2, 3))]).in_dims
    (2, 3)
    """
    arrays = [as_array(matrix) for matrix in matrices]
    for k, matrix in enumerate(arrays):
        if len(matrix.shape) != 2:
            raise SizeError(f"site {k}: expected a matrix, got shape {tuple(matrix.shape)}")
    return MPO.from_arrays([matrix[None, :, :, None] for matrix in arrays], sites=sites)


@checked
def mpo_from_dense(
    matrix: Any,
    site_dims: int | Sequence[int] = 2,
    truncation: Truncation = EXACT,
    *,
    sites: Sequence[str] | None = None,
) -> MPO:
    """Return a square matrix over all sites as an MPO; site 0 varies slowest in rows and columns.

    site_dims: one size a site, or one for all. truncation: applied at every bond (relative to the
    Frobenius norm); the default is exact. Cost O(size^3).

    >>> mpo_from_dense(np.eye(8)).bond_dims
    (1, 1)
    """
    dense = as_array(matrix)
    shape = tuple(dense.shape)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise SizeError(f"expected a square matrix, got shape {shape}")
    if not shape[0]:
        raise SizeError(f"expected a square matrix that is not empty, got shape {shape}")
    if isinstance(site_dims, int | np.integer):
        count = round(math.log(shape[0]) / math.log(site_dims)) if site_dims > 1 else 1
        dims = (int(site_dims),) * max(count, 1)
    else:
        dims = site_sizes(site_dims, len(tuple(site_dims)))
    if math.prod(dims) != shape[0]:
        raise SizeError(f"a matrix of size {shape[0]} does not fit sites of sizes {dims}")
    xp = namespace(dense)
    n = len(dims)
    paired = tuple(axis for k in range(n) for axis in (k, n + k))
    split = xp.permute_dims(reshape(dense, (*dims, *dims)), paired)
    psi = mps_from_dense(reshape(split, tuple(d * d for d in dims)), truncation, sites=sites)
    model = MPO(tuple(np.ones((1, d, d, 1)) for d in dims), psi.sites)
    return like_chain(psi, model)


@checked
def mpo_from_terms(
    terms: Sequence[Term | tuple[complex | float, Term]],
    sites: int | Sequence[str],
    site_dim: int | Sequence[int] = 2,
    *,
    dtype: Any = None,
) -> MPO:
    """Return a sum of products of single-site operators.

    terms: each a mapping {site: matrix}, or (coefficient, mapping); sites by name or position,
    matrices (site, site) as anything NumPy reads. Sites left out carry the identity; an empty
    mapping is a multiple of the identity. Every term that is open at a bond takes one value of
    it, so the bond is 2 plus the number of terms that span it (terms that start alike are
    shared); `tnkit.compress` makes it minimal. dtype: by default float64, or complex128 where a
    term is complex. Raises `ArgumentError`, `SizeError`, `IndexNameError`.

    >>> z = np.diag([1.0, -1.0])
    >>> ising = mpo_from_terms([{k: z, k + 1: z} for k in range(9)], 10)
    >>> ising.bond_dims
    (2, 3, 3, 3, 3, 3, 3, 3, 2)
    """
    names = site_names(sites)
    length = len(names)
    dims = site_sizes(site_dim, length)
    parsed = [_parse(term, names, dims, number) for number, term in enumerate(terms)]
    if not parsed:
        raise ArgumentError("a sum needs at least one term; for zero use scale(identity, 0.0)")
    if dtype is None:
        parts = [m for _, factors in parsed for m in factors.values()]
        whole = any(np.iscomplexobj(m) for m in parts) or any(
            isinstance(c, complex) and c.imag for c, _ in parsed
        )
        dtype = "complex128" if whole else "float64"
    dtype = numpy_float(dtype)
    # states of the automaton at each bond: "wait" (nothing yet), "done", or an open beginning
    states: list[dict[Any, int]] = [{"wait": 0}] + [{} for _ in range(length - 1)] + [{"done": 0}]
    entries: list[dict[tuple[Any, Any], np.ndarray]] = [{} for _ in range(length)]

    def put(k: int, start: Any, stop: Any, matrix: np.ndarray) -> None:
        states[k].setdefault(start, len(states[k]))
        states[k + 1].setdefault(stop, len(states[k + 1]))
        known = entries[k].get((start, stop))
        entries[k][start, stop] = matrix if known is None else known + matrix

    for coefficient, factors in parsed:
        first = min(factors, default=0)
        last = max(factors, default=0)
        number = coefficient.real if np.dtype(dtype).kind == "f" else coefficient
        if np.dtype(dtype).kind == "f" and complex(coefficient).imag:
            raise ArgumentTypeError(f"coefficient {coefficient} is complex, dtype {dtype} is real")
        begun: Any = "wait"
        for k in range(first, last + 1):
            matrix = factors.get(k, np.eye(dims[k]))
            after: Any = "done" if k == last else _open(begun, k, matrix)
            scaled = number * matrix if k == last else matrix
            if after == "done" or (begun, after) not in entries[k]:
                put(k, begun, after, scaled)
            begun = after
        for k in range(first):
            entries[k].setdefault(("wait", "wait"), np.eye(dims[k]))
            states[k + 1].setdefault("wait", len(states[k + 1]))
        for k in range(last + 1, length):
            entries[k].setdefault(("done", "done"), np.eye(dims[k]))
            states[k].setdefault("done", len(states[k]))
    arrays = []
    for k in range(length):
        array = np.zeros((len(states[k]), dims[k], dims[k], len(states[k + 1])), dtype=dtype)
        for (start, stop), matrix in entries[k].items():
            array[states[k][start], :, :, states[k + 1][stop]] = matrix
        arrays.append(array)
    return MPO.from_arrays(arrays, sites=names)


def _open(begun: Any, k: int, matrix: np.ndarray) -> tuple[Any, ...]:
    """Return the state of a term begun with these factors, the same for terms that begin alike."""
    return (begun, k, matrix.dtype.str, matrix.tobytes())


def _parse(
    term: Any, names: tuple[str, ...], dims: tuple[int, ...], number: int
) -> tuple[complex | float, dict[int, np.ndarray]]:
    coefficient: complex | float = 1.0
    if isinstance(term, tuple) and len(term) == 2:
        coefficient, term = term
    if not isinstance(term, Mapping) or not isinstance(coefficient, int | float | complex):
        raise ArgumentTypeError(
            f"term {number}: expected {{site: matrix}} or (coefficient, {{site: matrix}}), "
            f"got {type(term).__name__}"
        )
    factors: dict[int, Array] = {}
    for site, value in term.items():
        k = find_site(names, site)
        matrix = np.ascontiguousarray(to_numpy(as_array(value)))
        if matrix.shape != (dims[k], dims[k]):
            raise SizeError(
                f"term {number}: the matrix at site {names[k]!r} has shape {matrix.shape}, "
                f"expected {(dims[k], dims[k])}"
            )
        if not np.isfinite(matrix).all():
            raise ArgumentError(f"term {number}: the matrix at site {names[k]!r} is not finite")
        if k in factors:
            raise ArgumentError(f"term {number}: site {names[k]!r} is given twice")
        factors[k] = matrix
    return coefficient, factors
