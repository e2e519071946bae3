"""One matrix or tensor into two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, Literal

import numpy as np

from tnkit import resident
from tnkit.arrays import Array, adjoint, device, eps, is_complex, like, movers, namespace, to_numpy
from tnkit.checking import checked, random_generator, shown
from tnkit.derivatives import needs_gradient
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError
from tnkit.factorisation import eigh, qr, safe_scale, scaled_back, svd
from tnkit.index import check_name, fresh_name
from tnkit.tensor import Tensor
from tnkit.truncation import EXACT, Truncation

__all__ = ["METHODS", "Absorb", "MatrixSplit", "Split", "split", "split_matrix", "split_method"]

Absorb = Literal["left", "right", "both", "none"]

_GRAM_FROM = 64  # rows; measured by tests/benchmarks/w8_truncation.py, see docs/truncation.md
_SEEN_BY_GRAM = 1e-6  # of the largest value, in double precision: with four digits and more
_WEIGHT_SEEN_BY_GRAM = 1e-10
_DTYPES = ("float32", "float64", "complex64", "complex128")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MatrixSplit:
    """left (m, k) @ right (k, n) is the matrix, up to the discarded weight.

    values: (k,) the kept singular values, None for qr, lq and subspace. discarded_weight: sum of
    the dropped squared singular values over the sum of all, 0.0 where nothing was dropped; a 0-d
    array where nothing is to wait for a device (see `split_matrix`). method: what factored it,
    "svd" or "gram" where "auto" was asked for.
    """

    left: Array
    right: Array
    values: Array | None
    discarded_weight: Any
    method: str = ""


@checked
def split_method(
    rows: int, columns: int, dtype: str, truncation: Truncation = EXACT, absorb: Absorb = "right"
) -> str:
    """Return what "auto" does with a matrix (rows, columns): "svd" or "gram", from sizes alone.

    dtype: by name, such as "float32". "gram" from 64 rows up, where it is faster by measurement,
    and only where it is exact for what is kept: in single precision always, since it works in
    double; in double precision only where `truncation` drops all values that it cannot see (a
    value_cutoff from 1e-6 or a cutoff from 1e-10). Never where the longer side would be squared.
    See docs/truncation.md for the measured table.

    >>> split_method(200, 200, "float32"), split_method(200, 200, "float64")
    ('gram', 'svd')
    """
    for name, value in (("rows", rows), ("columns", columns)):
        if value < 0:
            raise ArgumentError(f"{name} must be a whole number from 0 up, got {value!r}")
    if dtype not in _DTYPES:
        raise ArgumentError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    return _faster(rows, columns, dtype, truncation, _side(absorb))


def _faster(rows: int, columns: int, dtype: str, truncation: Truncation, absorb: Absorb) -> str:
    if absorb not in ("left", "right") or min(rows, columns) < _GRAM_FROM:
        return "svd"
    if (rows if absorb == "right" else columns) > min(rows, columns):
        return "svd"
    coarse = truncation.value_cutoff >= _SEEN_BY_GRAM or truncation.cutoff >= _WEIGHT_SEEN_BY_GRAM
    return "gram" if coarse or dtype in ("float32", "complex64") else "svd"


@checked
def split_matrix(
    matrix: Array,
    truncation: Truncation = EXACT,
    *,
    method: str = "svd",
    absorb: Absorb = "right",
) -> MatrixSplit:
    """Factor a bare matrix (m, n) into left (m, k) and right (k, n).

    method
        "auto": "svd" or "gram" by `split_method`; the result says which. "svd": LAPACK's singular
        values, exact to rounding. "gram": eigenvectors of the smaller
        needed Gram matrix, computed in float64; two to three times faster, the isometry is
        accurate to rounding, but values below 1e-8 s_0 (1e-4 of the weight's square root) are
        noise: exact for float32 matrices, a fast approximation for float64 ones.
        "subspace": orthogonal iteration, products and QR only, for a device that shall not be asked
        anything; needs a static `truncation`, which it keeps to near the best weight, and gives no
        values. "qr" and "lq": no truncation.
    absorb
        Which side takes the singular values. "right" leaves `left` an isometry, "left" leaves
        `right` one, "both" takes square roots, "none" returns both isometries. qr needs "right",
        lq "left", gram and subspace "left" or "right".

    Arrays on a device stay there: "gram" takes one transfer, of the rank and weight, and none where
    `truncation` is static; the discarded weight is then a 0-d array that float() reads, NaN where
    the matrix held one, as it is for "subspace" in any library.

    Raises `NonFiniteError`, `ConvergenceError`, `ArgumentError`. Cost O(m n min(m, n)).

    >>> s = split_matrix(np.diag([3.0, 4.0]), Truncation(max_bond=1))
    >>> s.values, round(s.discarded_weight, 2)
    (array([4.]), 0.36)
    """
    _side(absorb)
    numbers = not isinstance(matrix, np.ndarray) or matrix.dtype.kind in "fc"
    if len(getattr(matrix, "shape", ())) != 2 or not numbers:
        raise ArgumentTypeError(f"expected a matrix of floats, two axes, got {shown(matrix)}")
    if method == "auto":
        method = "svd" if needs_gradient(matrix) else _chosen(matrix, truncation, absorb)
    if method in ("gram", "subspace"):
        if absorb not in ("left", "right"):
            raise ArgumentError(f"method={method!r} needs absorb='left' or 'right', got {absorb!r}")
        if method == "subspace":
            return MatrixSplit(*resident.subspace(matrix, truncation, absorb), method)
        if isinstance(matrix, np.ndarray) or needs_gradient(matrix):
            return _gram(matrix, truncation, absorb)
        return MatrixSplit(*resident.gram(matrix, truncation, absorb), method)
    if method == "svd":
        u, s, vh = svd(matrix)
        kept, weight = _kept(s, truncation, eps(matrix))
        u, s, vh = u[:, :kept], s[:kept], vh[:kept, :]
        if absorb != "none" and needs_gradient(matrix):
            # the side with the values as a product with the matrix: its derivative stays right
            # where values are equal and the basis of their space is arbitrary
            right, left = adjoint(u) @ matrix, matrix @ adjoint(vh)
            if absorb == "right":
                return MatrixSplit(u, right, s, weight, "svd")
            if absorb == "left":
                return MatrixSplit(left, vh, s, weight, "svd")
            xp = namespace(s)
            safe = s > 1e2 * eps(matrix) * float(to_numpy(s).max(initial=0.0))
            root = xp.where(safe, 1.0 / xp.sqrt(xp.where(safe, s, 1.0)), 0.0)
            return MatrixSplit(left * root[None, :], root[:, None] * right, s, weight, "svd")
        if absorb == "right":
            vh = s[:, None] * vh
        elif absorb == "left":
            u = u * s[None, :]
        elif absorb == "both":
            root = namespace(s).sqrt(s)
            u, vh = u * root[None, :], root[:, None] * vh
        return MatrixSplit(u, vh, s, weight, "svd")
    if method == "qr" and absorb == "right":
        q, r = qr(matrix)
        return MatrixSplit(q, r, None, 0.0, "qr")
    if method == "lq" and absorb == "left":
        q, r = qr(adjoint(matrix))
        return MatrixSplit(adjoint(r), adjoint(q), None, 0.0, "lq")
    raise ArgumentError(
        f"method={method!r} with absorb={absorb!r} is not offered; "
        "use auto or svd with any, gram or subspace with left or right, qr with right, lq with left"
    )


def _chosen(matrix: Array, truncation: Truncation, absorb: Absorb) -> str:
    rows, columns = matrix.shape
    if min(rows, columns) < _GRAM_FROM:
        return "svd"
    name = str(matrix.dtype).rpartition(".")[2]  # torch.float32 is float32
    return _faster(rows, columns, name, truncation, absorb)


def _kept(values: Array, truncation: Truncation, noise: float) -> tuple[int, float]:
    return truncation.keep(to_numpy(values), eps=noise)


def _gram(matrix: Array, truncation: Truncation, absorb: Absorb) -> MatrixSplit:
    xp = namespace(matrix)
    scale = 1.0
    if eps(matrix) > 1e-10:  # squares of a single-precision spectrum need double precision
        wide = xp.astype(matrix, xp.complex128 if is_complex(matrix) else xp.float64)
    else:
        scale = safe_scale(matrix, "Gram factorisation")
        wide = matrix if scale == 1.0 else matrix / scale
    with np.errstate(invalid="ignore", over="ignore"):  # eigh refuses what is not finite
        gram = wide @ adjoint(wide) if absorb == "right" else adjoint(wide) @ wide
    squares, vectors = eigh(gram)
    values = np.sqrt(np.maximum(to_numpy(squares)[::-1][: min(matrix.shape)], 0.0))
    blind = sqrt(gram.shape[0] * 2.3e-16)  # of the largest: rounding of the squares
    kept, weight = truncation.keep(values, eps=max(eps(matrix), blind))
    first = vectors.shape[1] - kept
    basis = xp.astype(xp.flip(vectors[:, first:], axis=1), matrix.dtype)
    kept_values = like(scaled_back(values[:kept], scale, "SVD"), matrix, real=True)
    if absorb == "right":
        return MatrixSplit(basis, adjoint(basis) @ matrix, kept_values, weight, "gram")
    return MatrixSplit(matrix @ basis, adjoint(basis), kept_values, weight, "gram")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Split:
    """Two tensors that share one new index: left @ right is the tensor, up to the weight.

    bond: the name of the new index, last on `left`, first on `right`. values: (bond,) singular
    values, or eigenvalues of eigh; None for qr, lq, rq and polar. discarded_weight: sum of the
    dropped squares over the sum of all. method: what factored it; where "auto" was asked for,
    what it chose.
    """

    left: Tensor
    right: Tensor
    values: Array | None
    discarded_weight: float
    bond: str
    method: str = ""


@checked
def split(
    tensor: Tensor,
    left_names: Iterable[str],
    method: str = "svd",
    truncation: Truncation = EXACT,
    absorb: Absorb | None = None,
    bond: str | None = None,
    *,
    seed: int = 0,
) -> Split:
    """Split a tensor into two, joined by one new index.

    left_names: the indices of `left`, in the order they get there; the others go to `right`.
    method
        "auto": "svd" or "gram", whichever is faster of those that are exact for what is kept (see
        `split_method`). "svd": exact to rounding. "gram": faster, blind to values below 1e-8 of the
        largest (see `split_matrix`). "rsvd": randomised (Halko, Martinsson and Tropp, SIAM Rev. 53,
        217, 2011), for a max_bond far below the full rank; its discarded weight is measured, not
        estimated. "subspace": the same by products and QR alone, a fixed number of values kept and
        none read back from a device.
        "eigh": of a Hermitian matrix, the values largest in magnitude kept. "qr": left an isometry,
        right upper triangular. "lq": left lower triangular, right an isometry. "rq": the same with
        an upper triangle. "polar": an isometry and a positive matrix, the bond as large as the
        side of the positive one. "qr", "lq", "rq" and "polar" truncate nothing.
    absorb
        Which side takes the values: "right" (the default but for lq and rq) leaves `left` an
        isometry, "left" leaves `right` one; "both" takes roots and "none" takes none of them.
    bond
        Name of the new index; "bond", numbered if taken, by default.
    seed
        Of the random directions of "rsvd".

    Finiteness and scale are checked first, and a slower driver steps in where the fast one does
    not converge: `NonFiniteError`, `ConvergenceError`. Wrong names and combinations raise
    `IndexNameError` and `ArgumentError`. Gradients under torch are finite on degenerate and
    rank-deficient input; the convention is that of `tnkit.derivatives`. Cost O(m n min(m, n)),
    O(m n max_bond) for "rsvd".

    >>> t = Tensor(np.arange(24.0).reshape(2, 3, 4), ["a", "b", "c"])
    >>> s = split(t, ["b"])
    >>> s.left, s.right
    (Tensor(b: 3, bond: 2; float64, numpy), Tensor(bond: 2, a: 2, c: 4; float64, numpy))
    >>> (s.left @ s.right).transpose("a", "b", "c").allclose(t)
    True
    """
    if method not in METHODS:
        offered = ", ".join(map(repr, METHODS))
        raise ArgumentError(f"method={method!r} is not offered; use {offered}")
    left = tuple(map(check_name, left_names))
    right = tuple(name for name in tensor.names if name not in left)
    if bond is None:
        bond = fresh_name("bond", tensor.names)
    elif check_name(bond) in tensor.names:
        raise IndexNameError(f"bond {bond!r} is an index of the tensor already; choose another")
    if absorb is None:
        absorb = "left" if method in ("lq", "rq") else "right"
    side = _side(absorb)
    moved = tensor.transpose(*left, *right)
    shape = moved.shape
    rows, columns = shape[: len(left)], shape[len(left) :]
    array = moved.array
    xp = namespace(array)
    if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
        array = xp.astype(array, xp.float64)
    reshape = movers(array).reshape
    matrix = reshape(array, (prod(rows), prod(columns)))
    if 0 in matrix.shape:
        found = _empty(matrix)
    elif method in ("auto", "svd", "gram", "subspace", "qr", "lq"):
        _no_truncation(method, truncation)
        found = split_matrix(matrix, truncation, method=method, absorb=side)
    else:
        found = _MORE[method](matrix, truncation, side, seed)
    inner = found.left.shape[1]
    return Split(
        Tensor(reshape(found.left, (*rows, inner)), (*left, bond), tensor.tags),
        Tensor(reshape(found.right, (inner, *columns)), (bond, *right), tensor.tags),
        found.values,
        found.discarded_weight,
        bond,
        found.method or method,
    )


def _side(absorb: Absorb) -> Absorb:
    if not isinstance(absorb, str) or absorb not in ("right", "left", "both", "none"):
        raise ArgumentError(f"absorb must be right, left, both or none, got {absorb!r}")
    return absorb


def _no_truncation(method: str, truncation: Truncation) -> None:
    if method in ("qr", "lq", "rq", "polar") and truncation != EXACT:
        raise ArgumentError(f"method={method!r} cannot truncate; use 'svd', or leave it out")


def _empty(matrix: Array) -> MatrixSplit:
    xp = namespace(matrix)
    m, n = matrix.shape
    left = xp.zeros((m, 0), dtype=matrix.dtype)
    return MatrixSplit(left, xp.zeros((0, n), dtype=matrix.dtype), None, 0.0)


def _rq(matrix: Array, truncation: Truncation, absorb: Absorb, seed: int) -> MatrixSplit:
    _no_truncation("rq", truncation)
    if absorb != "left":
        raise ArgumentError(f"method='rq' needs absorb='left', got {absorb!r}")
    xp = namespace(matrix)
    # the QR of the rows turned upside down, turned back
    q, r = qr(adjoint(xp.flip(matrix, axis=0)))
    upper = xp.flip(xp.flip(adjoint(r), axis=0), axis=1)
    return MatrixSplit(upper, xp.flip(adjoint(q), axis=0), None, 0.0)


def _polar(matrix: Array, truncation: Truncation, absorb: Absorb, seed: int) -> MatrixSplit:
    _no_truncation("polar", truncation)
    if absorb not in ("left", "right"):
        raise ArgumentError(f"method='polar' needs absorb='left' or 'right', got {absorb!r}")
    u, s, vh = svd(matrix)
    isometry = u @ vh
    if needs_gradient(matrix):
        if absorb == "right":
            return MatrixSplit(isometry, adjoint(isometry) @ matrix, None, 0.0)
        return MatrixSplit(matrix @ adjoint(isometry), isometry, None, 0.0)
    if absorb == "right":
        return MatrixSplit(isometry, (adjoint(vh) * s[None, :]) @ vh, None, 0.0)
    return MatrixSplit((u * s[None, :]) @ adjoint(u), isometry, None, 0.0)


def _eigh(matrix: Array, truncation: Truncation, absorb: Absorb, seed: int) -> MatrixSplit:
    m, n = matrix.shape
    if m != n:
        raise ArgumentError(f"method='eigh' needs a square matrix, got {m} x {n}; use 'svd'")
    host = to_numpy(matrix)
    safe_scale(matrix, "eigh")
    gap = float(np.abs(host - host.conj().T).max())
    if gap > 1e3 * eps(matrix) * float(np.abs(host).max()):
        raise ArgumentError(
            f"method='eigh' needs a Hermitian matrix; this differs from its adjoint by {gap:.3g}"
        )
    values, vectors = eigh(matrix)
    magnitudes = np.abs(to_numpy(values)).astype(np.float64)
    order = np.argsort(-magnitudes, kind="stable")
    kept, weight = truncation.keep(magnitudes[order], eps=eps(matrix))
    xp = namespace(matrix)
    chosen = xp.asarray([int(at) for at in order[:kept]], device=device(matrix))
    values, vectors = xp.take(values, chosen, axis=0), xp.take(vectors, chosen, axis=1)
    left, right = vectors, adjoint(vectors)
    recorded = needs_gradient(matrix)
    if absorb == "right":
        right = right @ matrix if recorded else values[:, None] * right
    elif absorb == "left":
        left = matrix @ left if recorded else left * values[None, :]
    elif absorb == "both":
        if kept and float(to_numpy(values).min()) < 0.0:
            raise ArgumentError("absorb='both' takes roots, but an eigenvalue is negative")
        root = xp.sqrt(values)
        left, right = left * root[None, :], root[:, None] * right
    return MatrixSplit(left, right, values, weight)


def _rsvd(matrix: Array, truncation: Truncation, absorb: Absorb, seed: int) -> MatrixSplit:
    rank = min(matrix.shape)
    if truncation.max_bond is None:
        raise ArgumentError("method='rsvd' needs a Truncation with max_bond; use 'svd' without one")
    width = min(rank, truncation.max_bond + 10)
    scale = safe_scale(matrix, "randomised SVD")
    scaled = matrix if scale == 1.0 else matrix / scale
    rng = random_generator(seed)
    directions = like(rng.standard_normal((matrix.shape[1], width)), matrix)
    basis = qr(scaled @ directions)[0]
    for _ in range(2):  # power iterations sharpen a slowly falling spectrum
        basis = qr(scaled @ qr(adjoint(scaled) @ basis)[0])[0]
    small = split_matrix(adjoint(basis) @ scaled, truncation, absorb=absorb)
    host = to_numpy(scaled)
    total = float(np.sum(np.abs(host).astype(np.float64) ** 2))
    values = to_numpy(small.values).astype(np.float64)
    lost = max(0.0, 1.0 - float(np.sum(values**2)) / total) if total else 0.0
    left, right, kept = basis @ small.left, small.right, small.values
    if scale != 1.0:
        share = scale**0.5 if absorb == "both" else scale
        left = left * share if absorb in ("left", "both") else left
        right = right * share if absorb in ("right", "both") else right
        kept = kept * scale  # type: ignore[operator]
    if lost < 8 * eps(matrix):  # rounding of the sum, not weight
        lost = small.discarded_weight
    return MatrixSplit(left, right, kept, lost)


_MORE: dict[str, Callable[[Array, Truncation, Absorb, int], MatrixSplit]] = {
    "rq": _rq,
    "polar": _polar,
    "eigh": _eigh,
    "rsvd": _rsvd,
}
METHODS = ("auto", "svd", "gram", "rsvd", "subspace", "eigh", "qr", "lq", "rq", "polar")
