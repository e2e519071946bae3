"""Matrix factorisations that are safe under every array library.

LAPACK never sees a NaN, an Inf or a badly scaled matrix, and a slower driver steps in when the
fast one fails.
"""

from __future__ import annotations

import numpy as np

from tnkit import derivatives
from tnkit.arrays import (
    Array,
    adjoint,
    device,
    eps,
    largest_magnitude,
    namespace,
    near_one,
    to_numpy,
)
from tnkit.errors import ConvergenceError, NonFiniteError, ScaleError

__all__ = ["eigh", "qr", "safe_scale", "scaled_back", "svd"]


def safe_scale(matrix: Array, routine: str) -> float:
    """Return a power of two that brings `matrix` near one, or 1.0 where it is near enough.

    Raises `NonFiniteError`, naming `routine`, where the matrix holds NaN or Inf.
    """
    if near_one(matrix, 2.0**40):
        return 1.0
    largest = largest_magnitude(matrix)
    if not np.isfinite(largest):
        raise NonFiniteError(
            f"{routine} of a {matrix.shape[0]} x {matrix.shape[1]} matrix that holds NaN or Inf; "
            "look for the step that produced it (a division by zero, a log of zero, an overflow)"
        )
    limit = 1e12 if eps(matrix) > 1e-10 else 1e100
    if largest == 0.0 or 1 / limit < largest < limit:
        return 1.0
    # not below 2^-1000: dividing complex numbers by a denormal one overflows
    return float(2.0 ** max(-1000.0, np.floor(np.log2(largest))))


def scaled_back(array: Array, scale: float, routine: str) -> Array:
    """Return array * scale, or raise `ScaleError`, naming `routine`, where it overflows."""
    if scale > 1.0 and not np.isfinite(largest_magnitude(array) * scale):
        raise ScaleError(
            f"the {routine} of this matrix has values beyond the largest {array.dtype}; "
            "divide the matrix by its largest element first and keep the factor as a logarithm"
        )
    return array * scale


def qr(matrix: Array) -> tuple[Array, Array]:
    """Return Q (m, k) with orthonormal columns and upper-triangular R (k, n), k = min(m, n).

    Raises `NonFiniteError` where the matrix holds NaN or Inf. Cost O(m n k). Gradients under torch
    follow the convention of `tnkit.derivatives`, as those of `eigh` and `svd` do.
    """
    scale = safe_scale(matrix, "QR")
    if derivatives.needs_gradient(matrix):
        q, r = derivatives.qr(matrix / scale, _bare_qr)
        return q, r * scale
    xp = namespace(matrix)
    if scale == 1.0:
        q, r = xp.linalg.qr(matrix)
        return q, r
    q, r = xp.linalg.qr(matrix / scale)
    return q, scaled_back(r, scale, "QR")


def eigh(matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues (ascending) and eigenvectors (columns) of a Hermitian matrix.

    Raises `NonFiniteError` where the matrix holds NaN or Inf. Cost O(n^3).
    """
    scale = safe_scale(matrix, "eigh")
    if derivatives.needs_gradient(matrix):
        values, vectors = derivatives.eigh(matrix / scale, _bare_eigh)
        return values * scale, vectors
    xp = namespace(matrix)
    if scale == 1.0:
        values, vectors = xp.linalg.eigh(matrix)
        return values, vectors
    values, vectors = xp.linalg.eigh(matrix / scale)
    return scaled_back(values, scale, "eigh"), vectors


def _bare_qr(matrix: Array) -> tuple[Array, Array]:
    q, r = namespace(matrix).linalg.qr(matrix)
    return q, r


def _bare_eigh(matrix: Array) -> tuple[Array, Array]:
    values, vectors = namespace(matrix).linalg.eigh(matrix)
    return values, vectors


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Return U (m, k), values s (k,) in descending order and V^H (k, n), k = min(m, n).

    Finiteness and scale are checked first: LAPACK's SVD of a matrix that holds an Inf may never
    return. Where the divide-and-conquer driver does not converge, the conjugate transpose, the
    triangular factor of a QR decomposition and LAPACK's gesvd (where SciPy is installed) are
    tried in turn. Raises `NonFiniteError` or `ConvergenceError`. Cost O(m n k).
    """
    scale = safe_scale(matrix, "SVD")
    if derivatives.needs_gradient(matrix):
        u, s, vh = derivatives.svd(matrix / scale, _svd_with_fallbacks)
        return u, s * scale, vh
    if scale != 1.0:
        u, s, vh = _svd_with_fallbacks(matrix / scale)
        return u, scaled_back(s, scale, "SVD"), vh
    return _svd_with_fallbacks(matrix)


def _svd_direct(matrix: Array) -> tuple[Array, Array, Array]:
    u, s, vh = namespace(matrix).linalg.svd(matrix, full_matrices=False)
    if not np.isfinite(largest_magnitude(s)):
        raise ArithmeticError("the SVD driver returned non-finite singular values")
    return u, s, vh


def _svd_of_adjoint(matrix: Array) -> tuple[Array, Array, Array]:
    u, s, vh = _svd_direct(adjoint(matrix))
    return adjoint(vh), s, adjoint(u)


def _svd_of_triangle(matrix: Array) -> tuple[Array, Array, Array]:
    q, r = namespace(matrix).linalg.qr(matrix)
    u, s, vh = _svd_direct(r)
    return q @ u, s, vh


def _svd_gesvd(matrix: Array) -> tuple[Array, Array, Array]:
    from scipy.linalg import svd as scipy_svd

    xp = namespace(matrix)
    factors = scipy_svd(to_numpy(matrix), full_matrices=False, lapack_driver="gesvd")
    u, s, vh = (xp.asarray(f, device=device(matrix)) for f in factors)
    return u, s, vh


def _svd_with_fallbacks(matrix: Array) -> tuple[Array, Array, Array]:
    failures = []
    for attempt in (_svd_direct, _svd_of_adjoint, _svd_of_triangle, _svd_gesvd):
        try:
            return attempt(matrix)
        except (np.linalg.LinAlgError, ArithmeticError, RuntimeError, ImportError) as error:
            failures.append(f"{attempt.__name__.removeprefix('_svd_')}: {error}")
    raise ConvergenceError(
        f"no SVD driver converged for a {matrix.shape[0]} x {matrix.shape[1]} matrix "
        f"({'; '.join(failures)}); install scipy for the slow driver, or use method='qr'"
    )
