"""A changed matrix back to the rank it had: the cheap split of a bond that is full."""

from __future__ import annotations

import numpy as np

from tnkit.arrays import Array, adjoint, eps, is_complex, namespace, to_numpy
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.factorisation import safe_scale
from tnkit.splitting import Absorb, MatrixSplit, split_matrix
from tnkit.truncation import Truncation

__all__ = ["retract_matrix"]

_NEAR = 1.2  # row norms this near a cutoff leave the decision to the eigenvalues
_DEPENDENT = 1e-6  # of Cholesky's diagonal: columns that say the same
_ONCE = 1e-3  # above it one Cholesky factor gives columns orthonormal to rounding


@checked
def retract_matrix(
    matrix: Array, space: Array, truncation: Truncation, *, absorb: Absorb = "right"
) -> MatrixSplit:
    """Factor a bare matrix (m, n), a small change away from one whose space is known.

    space: orthonormal, (k, n) rows for absorb="right", (m, k) columns for absorb="left": those of
    the matrix before the change. With k = max_bond the isometry becomes an orthonormal basis of
    matrix @ space^H (mirrored for "left"), and the other side what it leaves of the matrix: two
    products and a Cholesky factor in float64, a quarter of the time of `split_matrix`'s "gram".
    To first order in the change the result is the matrix projected onto the tangent space of the
    matrices of rank k; one visit more, from the other side, is the next half step of a subspace
    iteration towards the best space. Where the space is smaller than max_bond, a row norm comes
    near a cutoff of `truncation`, or the columns are nearly dependent, "gram" decides.

    values is None unless "gram" decided; discarded_weight is measured, 1 - |kept|^2 / |matrix|^2.
    Raises `SizeError`, `ArgumentError` and what `split_matrix` raises. Cost O(m n k).
    Source: orthographic retractions, Absil and Oseledets, Comput. Optim. Appl. 62, 5 (2015);
    Cholesky QR, Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA 44, 306 (2015).

    >>> old = np.outer([1.0, 2.0], [0.6, 0.8])
    >>> found = retract_matrix(old + 1e-3, np.array([[0.6, 0.8]]), Truncation(max_bond=1))
    >>> found.left.shape, found.discarded_weight < 1e-7
    ((2, 1), True)
    """
    for name, value in (("matrix", matrix), ("space", space)):
        numbers = not isinstance(value, np.ndarray) or value.dtype.kind in "fc"
        if len(getattr(value, "shape", ())) != 2 or not numbers:
            raise ArgumentTypeError(f"{name} must be a matrix of floats, got {shown(value)}")
    if not isinstance(absorb, str) or absorb not in ("left", "right"):
        raise ArgumentError(f"a retraction needs absorb='left' or 'right', got {absorb!r}")
    axis = 1 if absorb == "right" else 0
    if space.shape[axis] != matrix.shape[axis]:
        raise SizeError(
            f"a space {tuple(space.shape)} does not fit a matrix {tuple(matrix.shape)} with "
            f"absorb={absorb!r}: their axis {axis} must be of one size"
        )
    rows = space if absorb == "right" else adjoint(space)
    found = None
    scale = safe_scale(matrix, "retraction")
    if scale == 1.0 and rows.shape[0] == truncation.max_bond and rows.shape[0] <= min(matrix.shape):
        found = _retracted(matrix if absorb == "right" else adjoint(matrix), rows, truncation)
    if found is None:
        return split_matrix(matrix, truncation, method="gram", absorb=absorb)
    basis, rest, weight = found
    if absorb == "right":
        return MatrixSplit(basis, rest, None, weight)
    return MatrixSplit(adjoint(rest), adjoint(basis), None, weight)


def _retracted(
    matrix: Array, rows: Array, truncation: Truncation
) -> tuple[Array, Array, float] | None:
    """Return an orthonormal basis of matrix @ rows^H, what it keeps, and the weight of the rest."""
    xp = namespace(matrix)
    wide = xp.complex128 if is_complex(matrix) else xp.float64
    columns = xp.astype(matrix @ adjoint(rows), wide)
    lengths = _column_lengths(columns)
    columns = columns / xp.where(lengths > 0.0, lengths, 1.0)
    for _ in range(2):
        basis, least = _cholesky_qr(columns)
        if not least > _DEPENDENT:  # NaN too
            return None
        columns = basis
        if least > _ONCE:
            break
    basis = xp.astype(columns, matrix.dtype)
    kept = adjoint(basis) @ matrix
    squares = to_numpy(_column_lengths(adjoint(kept))).astype(np.float64) ** 2
    smallest = _NEAR * max(truncation.value_cutoff, eps(matrix))
    if not squares.min() > smallest**2 * squares.max():
        return None
    whole = float(xp.sum(xp.astype(xp.abs(matrix), xp.float64) ** 2))
    weight = max(0.0, 1.0 - float(squares.sum()) / whole)
    if truncation.cutoff and weight + squares.min() / whole <= _NEAR**2 * truncation.cutoff:
        return None  # the rule might keep fewer
    return basis, kept, weight


def _column_lengths(matrix: Array) -> Array:
    xp = namespace(matrix)
    if is_complex(matrix):
        return xp.linalg.vector_norm(matrix, axis=0)
    return xp.sqrt(xp.sum(matrix * matrix, axis=0))


def _cholesky_qr(columns: Array) -> tuple[Array, float]:
    """Return the columns made orthonormal, and the least diagonal entry of their factor."""
    xp = namespace(columns)
    try:
        lower = xp.linalg.cholesky(adjoint(columns) @ columns)
    except (np.linalg.LinAlgError, RuntimeError) as error:  # of NumPy and of torch
        if "LinAlgError" not in type(error).__name__:
            raise
        return columns, 0.0  # not positive: the columns are dependent
    least = to_numpy(xp.linalg.diagonal(lower)).real.min()
    return columns @ adjoint(xp.linalg.inv(lower)), float(least)
