"""Cutting, joining and reordering chains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tnkit.arrays import (
    Array,
    as_array,
    astype,
    device,
    eps,
    is_complex,
    like,
    namespace,
    promote,
    rescale,
    reshape,
    to_numpy,
)
from tnkit.checking import checked
from tnkit.errors import ArgumentError, IndexNameError, SizeError
from tnkit.factorisation import svd
from tnkit.mps.compression import error_from
from tnkit.mps.gauge import canonicalize
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import log_norm
from tnkit.mps.report import Compressed
from tnkit.mps.sites import find_site, find_sites, short
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = [
    "apply_local",
    "insert_site",
    "join",
    "permute_sites",
    "project",
    "remove_site",
    "reverse",
    "split_chain",
    "swap_sites",
]

Chain = TypeVar("Chain", MPS, MPO)


@checked
def reverse(chain: Chain) -> Chain:
    """Return the chain read from the other end, site names and gauge mirrored with it.

    >>> from tnkit.mps.create import random_mps
    >>> reverse(random_mps(3, bond_dim=2, seed=0)).sites
    ('s2', 's1', 's0')
    """
    xp = namespace(chain.arrays[0])
    if isinstance(chain, MPS):
        arrays = tuple(xp.permute_dims(a, (2, 1, 0)) for a in chain.arrays[::-1])
        gauge = Gauge(chain.gauge.right, chain.gauge.left)
        return MPS(arrays, chain.sites[::-1], gauge, chain.log_scale)
    arrays = tuple(xp.permute_dims(a, (3, 1, 2, 0)) for a in chain.arrays[::-1])
    return MPO(arrays, chain.sites[::-1], chain.log_scale)


@checked
def join(a: Chain, b: Chain, *, sites: Sequence[str] | None = None) -> Chain:
    """Return the tensor product of two chains, `b` to the right of `a` (a bond of size 1).

    sites: new names for all sites; by default those of both, which must differ. Raises
    `IndexNameError` where names repeat, `ArgumentTypeError` for a state and an operator.

    >>> from tnkit.mps.create import basis_mps
    >>> join(basis_mps([0]), basis_mps([1]), sites=["a", "b"])
    MPS(2 sites, site_dim 2, bond_dim 1, float64, centre 1)
    """
    if sites is None:
        repeated = sorted(set(a.sites) & set(b.sites))
        if repeated:
            raise IndexNameError(
                f"both chains have a site {repeated[0]!r}; give new names: join(a, b, sites=[...])"
            )
        sites = (*a.sites, *b.sites)
    flat = promote(*a.arrays, *b.arrays)
    log_scale = a.log_scale + b.log_scale
    if isinstance(a, MPS) and isinstance(b, MPS):
        whole = MPS.from_arrays(flat, sites=sites)
        p, q = (
            psi.gauge if eps(flat[0]) == eps(psi.arrays[0]) else Gauge() for psi in (a, b)
        )  # what is orthonormal in single precision is not so in double
        left = p.left + (q.left if p.left == len(a) else 0)
        right = q.right + (p.right if q.right == len(b) else 0)
        return MPS(whole.arrays, whole.sites, Gauge(left, right), log_scale)
    operator: Any = MPO.from_arrays(flat, sites=sites)
    return MPO(operator.arrays, operator.sites, log_scale)


@checked
def split_chain(psi: MPS, bond: int) -> tuple[MPS, MPS]:
    """Return the two halves of a state that is a product across `bond`: psi = join(left, right).

    The norm stays with the right half. Raises `ArgumentError` where the halves are entangled.

    >>> from tnkit.mps.create import basis_mps
    >>> split_chain(basis_mps([0, 1, 1]), 0)[1].sites
    ('s1', 's2')
    """
    if not 0 <= bond < len(psi) - 1:
        raise ArgumentError(f"bond {bond} is outside the chain's bonds 0 to {len(psi) - 2}")
    psi = canonicalize(psi, int(bond))
    l, d, r = psi.arrays[bond].shape
    u, s, vh = svd(reshape(psi.arrays[bond], (l * d, r)))
    _check_product(s, psi, f"the halves at bond {bond}")
    xp = namespace(u)
    left = MPS((*psi.arrays[:bond], reshape(u[:, :1], (l, d, 1))), psi.sites[: bond + 1])
    left = MPS(left.arrays, left.sites, Gauge(len(left), 0))
    first = psi.arrays[bond + 1]
    row = xp.astype(s[:1, None], u.dtype) * vh[:1, :]
    opened = reshape(row @ reshape(first, (r, -1)), (1, *first.shape[1:]))
    right = MPS((opened, *psi.arrays[bond + 2 :]), psi.sites[bond + 1 :])
    return left, MPS(right.arrays, right.sites, Gauge(0, len(right) - 1), psi.log_scale)


def _check_product(values: Array, psi: MPS, what: str) -> None:
    found = to_numpy(values).astype(np.float64)
    noise = 100 * eps(psi.arrays[0]) * math.sqrt(max(psi.bond_dims, default=1))
    if len(found) > 1 and found[1] > noise * found[0]:
        raise ArgumentError(
            f"{what} are entangled (second Schmidt value {found[1] / found[0]:.3g} of the first); "
            "project, or take a reduced density matrix"
        )


@checked
def insert_site(psi: MPS, position: int, vector: Any, name: str) -> MPS:
    """Return the state with one more site in the product state `vector` at `position`.

    position: 0 to the number of sites; the sites from there on move up by one. vector: (site,).
    The norm is multiplied by that of the vector; it sits in a bond of the size already there.

    >>> from tnkit.mps.create import basis_mps
    >>> insert_site(basis_mps([0, 1]), 1, [1.0, 0.0, 0.0], "new").site_dims
    (2, 3, 2)
    """
    if not 0 <= position <= len(psi):
        raise ArgumentError(f"position {position} is outside 0 to {len(psi)}")
    xp = namespace(psi.arrays[0])
    row = _vector(vector, psi, name)
    size = 1 if position == len(psi) else psi.arrays[position].shape[0]
    eye = like(np.eye(size), psi.arrays[0])
    new = eye[:, None, :] * row[None, :, None]
    arrays = promote(*psi.arrays[:position], new, *psi.arrays[position:])
    sites = (*psi.sites[:position], name, *psi.sites[position:])
    unit = abs(float(xp.linalg.vector_norm(row)) - 1.0) < 4 * eps(row)
    left, right = min(psi.gauge.left, position), min(psi.gauge.right, len(psi) - position)
    if unit and left == position:
        left = psi.gauge.left + 1
    if unit and right == len(psi) - position:
        right = psi.gauge.right + 1
    gauge = Gauge(left, right)
    whole = MPS.from_arrays(arrays, sites=sites)
    return MPS(whole.arrays, whole.sites, gauge, psi.log_scale)


def _vector(vector: Any, psi: MPS, name: str) -> Array:
    """Return a vector as an array of the library of `psi`, in a dtype that holds both."""
    array = as_array(vector)
    if len(array.shape) != 1 or 0 in tuple(array.shape):
        raise SizeError(f"site {name!r}: expected a vector, got shape {tuple(array.shape)}")
    return _adapted(array, psi)


def _adapted(array: Array, psi: MPS) -> Array:
    """Return `array` in the library and precision of `psi`, complex only where it has to be."""
    model = psi.arrays[0]
    xp = namespace(model)
    dtype = model.dtype
    if is_complex(array) and not is_complex(model):
        dtype = xp.complex128 if eps(model) < 1e-10 else xp.complex64
    if isinstance(array, np.ndarray) and not isinstance(model, np.ndarray):
        return xp.asarray(array, dtype=dtype, device=device(model))
    return astype(array, dtype)


@checked
def remove_site(psi: MPS, site: int | str) -> MPS:
    """Return the state of the other sites, where `site` is in a product state with them.

    psi is the result times a vector of norm one at `site` whose largest entry is positive (or
    real positive). Raises `ArgumentError` where the site is entangled, or is the only one.

    >>> from tnkit.mps.create import basis_mps
    >>> remove_site(basis_mps([0, 1, 1]), "s1").sites
    ('s0', 's2')
    """
    at = find_site(psi.sites, site)
    if len(psi) == 1:
        raise ArgumentError("the last site cannot be removed")
    psi = canonicalize(psi, at)
    xp = namespace(psi.arrays[0])
    l, d, r = psi.arrays[at].shape
    matrix = reshape(xp.permute_dims(psi.arrays[at], (1, 0, 2)), (d, l * r))
    u, s, vh = svd(matrix)
    _check_product(s, psi, f"site {psi.sites[at]!r} and the rest")
    vector = to_numpy(u[:, 0])
    phase = vector[np.abs(vector).argmax()]
    phase = phase / abs(phase)
    factor = complex(phase) if is_complex(vh) else float(phase)
    middle = reshape(vh[0, :] * xp.astype(s[0], vh.dtype) * factor, (l, r))
    arrays = list(psi.arrays)
    if at > 0:
        arrays[at - 1] = _on_right(arrays[at - 1], middle)
        gauge = Gauge(at - 1, len(psi) - 1 - at)
    else:
        arrays[1] = _on_left(middle, arrays[1])
        gauge = Gauge(0, len(psi) - 2)
    del arrays[at]
    sites = (*psi.sites[:at], *psi.sites[at + 1 :])
    return MPS(tuple(arrays), sites, gauge, psi.log_scale)


def _on_right(array: Array, matrix: Array) -> Array:
    l, d, r = array.shape
    return reshape(reshape(array, (l * d, r)) @ matrix, (l, d, -1))


def _on_left(matrix: Array, array: Array) -> Array:
    l, d, r = array.shape
    return reshape(matrix @ reshape(array, (l, d * r)), (-1, d, r))


@checked
def project(psi: MPS, known: Mapping[int | str, Any]) -> MPS:
    """Return <known|psi>, the unnormalised state of the sites that are left.

    known: {site: value}, a whole number, or {site: vector}, which is conjugated. At least one site
    must be left. The squared norm of the result over that of `psi` is the probability of what is
    known. Raises `ArgumentError`, `SizeError`, `IndexNameError`. Cost O(L bond^3).

    >>> from tnkit.mps.create import ghz_mps
    >>> from tnkit.mps.overlap import norm
    >>> round(norm(project(ghz_mps(5), {"s3": 1})) ** 2, 12)
    0.5
    """
    find_sites(psi.sites, known.keys())
    chosen = {find_site(psi.sites, site): value for site, value in known.items()}
    if len(chosen) == len(psi):
        raise ArgumentError("every site is known; use inner with a basis state for the amplitude")
    if not chosen:
        return psi
    xp = namespace(psi.arrays[0])
    for k, value in chosen.items():
        if not isinstance(value, int | np.integer):
            chosen[k] = _vector(value, psi, psi.sites[k])
            psi = psi.astype(promote(psi.arrays[0], chosen[k])[0].dtype)
    log_scale = psi.log_scale
    arrays: list[Array] = []
    sites: list[str] = []
    carry: Array | None = None
    for k, array in enumerate(psi.arrays):
        if k not in chosen:
            if carry is not None:
                array, step = rescale(_on_left(carry, array))
                log_scale += step
                carry = None
            arrays.append(array)
            sites.append(psi.sites[k])
            continue
        matrix = _slice(array, chosen[k], psi, k, xp)
        matrix, step = rescale(matrix if carry is None else carry @ matrix)
        log_scale += step
        carry = matrix
    if carry is not None:
        arrays[-1] = _on_right(arrays[-1], carry)
    first, last = min(chosen), max(chosen)
    gauge = Gauge(min(psi.gauge.left, first), max(0, min(psi.gauge.right, len(psi) - 2 - last)))
    if last == len(psi) - 1:  # the tail was absorbed into the last site that is left
        gauge = Gauge(min(gauge.left, len(sites) - 1), 0)
    return MPS(promote(*arrays), tuple(sites), gauge, log_scale)


def _slice(array: Array, value: Any, psi: MPS, k: int, xp: Any) -> Array:
    """Return the matrix (left, right) of one site fixed to a value or closed with a vector."""
    d = array.shape[1]
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not 0 <= value < d:
            raise ArgumentError(f"site {psi.sites[k]!r} takes values 0 to {d - 1}, got {value}")
        return array[:, int(value), :]
    vector = value
    if vector.shape[0] != d:
        raise SizeError(f"site {psi.sites[k]!r} has {d} values, the vector {vector.shape[0]}")
    if is_complex(vector):
        vector = xp.conj(vector)
    array, vector = promote(array, vector)
    l, _, r = array.shape
    moved = reshape(xp.permute_dims(array, (1, 0, 2)), (d, l * r))
    return reshape(reshape(vector, (1, d)) @ moved, (l, r))


@checked
def apply_local(psi: MPS, matrices: Mapping[int | str, Any]) -> MPS:
    """Return the state with a matrix (out, in) applied to each of some sites.

    The way to change the basis of a measurement: {site: U} with the new basis as rows of U,
    conjugated. The gauge is kept where every matrix is unitary to rounding, and given up beyond
    the sites concerned where not. Raises `SizeError`, `IndexNameError`. Cost O(L site^2 bond^2).

    >>> from tnkit.mps.create import ghz_mps
    >>> flip = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> apply_local(ghz_mps(3), {0: flip}).centre
    0
    """
    find_sites(psi.sites, matrices.keys())
    arrays = list(psi.arrays)
    left, right = psi.gauge.left, psi.gauge.right
    for site, value in matrices.items():
        k = find_site(psi.sites, site)
        matrix = _adapted(as_array(value), psi)
        d = arrays[k].shape[1]
        if len(matrix.shape) != 2 or matrix.shape[1] != d:
            raise SizeError(
                f"site {psi.sites[k]!r} has {d} values, the matrix has shape {tuple(matrix.shape)}"
            )
        host = to_numpy(matrix)
        defect = np.abs(host.conj().T @ host - np.eye(d)).max()
        if defect > 10 * eps(matrix):
            left, right = min(left, k), min(right, len(psi) - 1 - k)
        matrix, array = promote(matrix, arrays[k])
        xp = namespace(array)
        arrays[k] = xp.matmul(matrix[None, :, :], array)
    return MPS(promote(*arrays), psi.sites, Gauge(left, right), psi.log_scale)


@checked
def swap_sites(
    psi: MPS, a: int | str, b: int | str, truncation: Truncation = EXACT
) -> Compressed[MPS]:
    """Return the state with two sites exchanged, names and all; see `permute_sites`."""
    i, j = find_site(psi.sites, a), find_site(psi.sites, b)
    order = list(range(len(psi)))
    order[i], order[j] = order[j], order[i]
    return permute_sites(psi, order, truncation)


@checked
def permute_sites(
    psi: MPS, order: Iterable[int | str], truncation: Truncation = EXACT
) -> Compressed[MPS]:
    """Return the state with its sites in a new order, by swaps of neighbours.

    order: every site once, by name or position. Each swap is one SVD, cut by `truncation`; the
    default is exact, and bonds grow as the entanglement asks. discarded_weights holds, for each
    bond, the sum over its swaps. Cost O(swaps site^3 bond^3).

    >>> from tnkit.mps.create import random_mps
    >>> permute_sites(random_mps(3, bond_dim=2, seed=0), ["s2", "s0", "s1"]).state.sites
    ('s2', 's0', 's1')
    """
    wanted = find_sites(psi.sites, order)
    if len(wanted) != len(psi):
        missing = tuple(psi.sites[k] for k in range(len(psi)) if k not in wanted)
        raise IndexNameError(f"the order leaves out {short(missing)}; name every site once")
    weights = [0.0] * (len(psi) - 1)
    rank = {psi.sites[k]: place for place, k in enumerate(wanted)}
    present, lost = 1.0, 0.0  # share of the squared norm; sum of the norms cut off
    total = None
    for stop in range(len(psi)):  # bring the site that belongs at `stop` there from the right
        at = next(k for k, name in enumerate(psi.sites) if rank[name] == stop)
        for bond in range(at - 1, stop - 1, -1):
            if total is None:
                psi = canonicalize(psi, bond)
                total = log_norm(psi)
            psi, weight = _swap(psi, bond, truncation)
            weights[bond] += weight
            lost += math.sqrt(present * weight)  # projections are not nested: norms add
            present *= 1.0 - weight
    bound = 0.0 if total is None else error_from(total, lost * lost)
    return Compressed(psi, tuple(weights), bound)


def _swap(psi: MPS, bond: int, truncation: Truncation) -> tuple[MPS, float]:
    psi = canonicalize(psi, bond)
    xp = namespace(psi.arrays[0])
    a, b = psi.arrays[bond], psi.arrays[bond + 1]
    l, p, m = a.shape
    _, q, r = b.shape
    block = reshape(reshape(a, (l * p, m)) @ reshape(b, (m, q * r)), (l, p, q, r))
    block = reshape(xp.permute_dims(block, (0, 2, 1, 3)), (l * q, p * r))
    split = split_matrix(block, truncation, absorb="left")
    arrays = list(psi.arrays)
    arrays[bond] = reshape(split.left, (l, q, -1))
    arrays[bond + 1] = reshape(split.right, (-1, p, r))
    sites = list(psi.sites)
    sites[bond], sites[bond + 1] = sites[bond + 1], sites[bond]
    gauge = Gauge(bond, len(psi) - 1 - bond)
    return MPS(tuple(arrays), tuple(sites), gauge, psi.log_scale), split.discarded_weight
