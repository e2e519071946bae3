"""Matrix product states from nothing: product, random, and from a dense array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tnkit.arrays import Array, as_array, namespace, numpy_float, reshape
from tnkit.checking import check_memory, checked, random_generator
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS, Gauge, site_names
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = [
    "aklt_mps",
    "basis_mps",
    "ghz_mps",
    "mps_from_dense",
    "product_mps",
    "random_mps",
    "site_sizes",
    "w_mps",
]

_MOST_BYTES = 2**36  # no machine in mind: what is asked for by mistake is far beyond


@checked
def random_mps(
    sites: int | Sequence[str],
    site_dim: int | Sequence[int] = 2,
    *,
    bond_dim: int,
    dtype: Any = "float64",
    seed: int | np.random.Generator | None = None,
) -> MPS:
    """Return a random state of norm one, right-canonical with its centre at site 0.

    sites: a number or names. site_dim: one size or one a site. bond_dim: largest bond; bonds
    near the ends are as small as the sites allow. dtype: float32, float64, complex64 or
    complex128 (NumPy arrays). The same seed gives the same state.

    >>> random_mps(5, bond_dim=3, seed=0)
    MPS(5 sites, site_dim 2, bond_dim 3, float64, centre 0)
    """
    names = site_names(sites)
    length = len(names)
    dims = site_sizes(site_dim, length)
    if bond_dim < 1:
        raise ArgumentError(f"bond_dim must be at least 1, got {bond_dim}")
    kind = numpy_float(dtype)
    rng = random_generator(seed)
    bonds = [1] * (length + 1)
    for k in range(1, length):  # a bond larger than either side allows would be redundant
        bonds[k] = min(int(bond_dim), bonds[k - 1] * dims[k - 1])
    for k in range(length - 1, 0, -1):
        bonds[k] = min(bonds[k], bonds[k + 1] * dims[k])
    elements = sum(bonds[k] * dims[k] * bonds[k + 1] for k in range(length))
    check_memory(4 * kind.itemsize * elements, _MOST_BYTES, "such a state")
    arrays = []
    for k in range(length):
        shape = (bonds[k], dims[k], bonds[k + 1])
        array = rng.standard_normal(shape)
        if kind.kind == "c":
            array = array + 1j * rng.standard_normal(shape)
        arrays.append((array / math.sqrt(shape[0] * shape[1])).astype(kind))
    return _unit(MPS(tuple(arrays), names))


@checked
def product_mps(vectors: Sequence[Any], *, sites: Sequence[str] | None = None) -> MPS:
    """Return the product state of one vector a site (bond dimension 1).

    vectors: arrays of shape (site,), not normalised. The gauge is left open.

    >>> product_mps([[1.0, 0.0], [0.6, 0.8]]).bond_dims
    (1,)
    """
    arrays = [as_array(vector) for vector in vectors]
    for k, vector in enumerate(arrays):
        if len(vector.shape) != 1:
            raise SizeError(f"site {k}: expected a vector, got shape {tuple(vector.shape)}")
    return MPS.from_arrays([vector[None, :, None] for vector in arrays], sites=sites)


@checked
def basis_mps(
    values: Sequence[int],
    site_dim: int | Sequence[int] = 2,
    *,
    sites: Sequence[str] | None = None,
    dtype: Any = "float64",
) -> MPS:
    """Return the basis state |values>, one whole number a site (NumPy arrays).

    Every array is left- and right-orthonormal. Raises `ArgumentError` for a value that the site
    does not take.

    >>> basis_mps([0, 1, 1])
    MPS(3 sites, site_dim 2, bond_dim 1, float64, centre 2)
    """
    values = tuple(values)
    dims = site_sizes(site_dim, len(values))
    dtype = numpy_float(dtype)
    check_memory(16 * sum(dims), _MOST_BYTES, "such a state")
    arrays = []
    for k, (value, d) in enumerate(zip(values, dims, strict=True)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not 0 <= value < d:
            raise ArgumentError(f"site {k} takes whole numbers from 0 to {d - 1}, got {value!r}")
        arrays.append(np.zeros((1, d, 1), dtype=dtype))
        arrays[-1][0, value, 0] = 1.0
    psi = MPS.from_arrays(arrays, sites=sites)
    return MPS(psi.arrays, psi.sites, Gauge(len(psi), len(psi)))


@checked
def ghz_mps(sites: int | Sequence[str], site_dim: int = 2, *, dtype: Any = "float64") -> MPS:
    """Return the GHZ state, sum_v |v v ... v> / sqrt(site_dim); its centre is at site 0.

    Source: Greenberger, Horne, Zeilinger (1989).

    >>> ghz_mps(4).bond_dims
    (2, 2, 2)
    """
    names = site_names(sites)
    (d,) = site_sizes(site_dim, 1)
    dtype = numpy_float(dtype)
    check_memory(16 * d**3, _MOST_BYTES, "such a state")
    copy = np.zeros((d, d, d), dtype=dtype)
    copy[range(d), range(d), range(d)] = 1.0
    first, last = np.eye(d, dtype=dtype)[None] / math.sqrt(d), np.eye(d, dtype=dtype)[:, :, None]
    if len(names) == 1:
        return MPS((np.full((1, d, 1), 1 / math.sqrt(d), dtype=dtype),), names, Gauge(0, 0))
    arrays = (first, *[copy] * (len(names) - 2), last)
    return MPS(arrays, names, Gauge(0, len(names) - 1))


@checked
def w_mps(sites: int | Sequence[str], *, dtype: Any = "float64") -> MPS:
    """Return the W state, one excitation spread evenly over the sites; its centre is at site 0.

    Source: Duer, Vidal, Cirac, Phys. Rev. A 62, 062314 (2000).

    >>> w_mps(3).bond_dims
    (2, 2)
    """
    names, dtype = site_names(sites), numpy_float(dtype)
    bulk = np.zeros((2, 2, 2), dtype=dtype)  # bond: 0 while the excitation is still to come
    bulk[0, 0, 0] = bulk[1, 0, 1] = bulk[0, 1, 1] = 1.0
    arrays = [bulk] * len(names)
    arrays[0] = arrays[0][:1]
    arrays[-1] = arrays[-1][:, :, 1:]
    return _unit(MPS(tuple(arrays), names))


@checked
def aklt_mps(
    sites: int | Sequence[str], *, edges: tuple[int, int] = (0, 0), dtype: Any = "float64"
) -> MPS:
    """Return the AKLT ground state of a spin-1 chain; its centre is at site 0.

    Site values 0, 1, 2 are Sz = +1, 0, -1. edges: the states (0 up, 1 down) of the free spins one
    half at the left and the right end.
    Source: Affleck, Kennedy, Lieb, Tasaki, Phys. Rev. Lett. 59, 799 (1987).

    >>> aklt_mps(5)
    MPS(5 sites, site_dim 3, bond_dim 2, float64, centre 0)
    """
    names, dtype, ends = site_names(sites), numpy_float(dtype), tuple(edges)
    if len(ends) != 2 or any(type(e) is not int or e not in (0, 1) for e in ends):
        raise ArgumentError(f"edges must be two of 0 (up) and 1 (down), got {edges!r}")
    bulk = np.zeros((2, 3, 2), dtype=dtype)
    bulk[0, 0, 1] = math.sqrt(2 / 3)
    bulk[0, 1, 0], bulk[1, 1, 1] = -math.sqrt(1 / 3), math.sqrt(1 / 3)
    bulk[1, 2, 0] = -math.sqrt(2 / 3)
    arrays = [bulk] * len(names)
    arrays[0] = arrays[0][ends[0] : ends[0] + 1]
    arrays[-1] = arrays[-1][:, :, ends[1] : ends[1] + 1]
    return _unit(MPS(tuple(arrays), names))


def _unit(psi: MPS) -> MPS:
    """Return a NumPy state of norm one with its centre at site 0."""
    psi = canonicalize(psi, 0)
    centre = psi.arrays[0] / np.linalg.norm(psi.arrays[0])
    return MPS((centre, *psi.arrays[1:]), psi.sites, psi.gauge)


@checked
def mps_from_dense(
    array: Any, truncation: Truncation = EXACT, *, sites: Sequence[str] | None = None
) -> MPS:
    """Return a dense array with an axis a site as an MPS, its centre at the last site.

    truncation: applied at every bond; the default is exact. Cost O(size^1.5).

    >>> import numpy as np
    >>> ghz = np.zeros((2, 2, 2)); ghz[0, 0, 0] = ghz[1, 1, 1] = 1.0
    >>> mps_from_dense(ghz).bond_dims
    (2, 2)
    """
    dense = as_array(array)
    shape = tuple(dense.shape)
    if not shape or 0 in shape:
        raise SizeError(f"expected an array with an axis a site and no empty axis, got {shape}")
    xp = namespace(dense)
    if not xp.isdtype(dense.dtype, ("real floating", "complex floating")):
        raise ArgumentTypeError(f"expected a floating dtype, got {dense.dtype}")
    names = site_names(len(shape)) if sites is None else site_names(sites)
    if len(names) != len(shape):
        raise SizeError(f"{len(shape)} axes but {len(names)} site names")
    arrays: list[Array] = []
    rest, bond = dense, 1
    for d in shape[:-1]:
        split = split_matrix(reshape(rest, (bond * d, -1)), truncation)
        arrays.append(reshape(split.left, (bond, d, -1)))
        rest, bond = split.right, split.right.shape[0]
    arrays.append(reshape(rest, (bond, shape[-1], 1)))
    return MPS(tuple(arrays), names, Gauge(len(shape) - 1, 0))


def site_sizes(site_dim: int | Sequence[int], length: int) -> tuple[int, ...]:
    """Return one size a site; raise `SizeError` or `ArgumentError` where they do not fit."""
    if isinstance(site_dim, int | np.integer):
        dims: tuple[Any, ...] = (site_dim,) * length
    else:
        dims = tuple(site_dim)
    if len(dims) != length:
        raise SizeError(f"{length} sites but {len(dims)} site dimensions")
    for d in dims:
        if isinstance(d, bool) or not isinstance(d, int | np.integer) or d < 1:
            raise ArgumentError(f"a site dimension must be a whole number from 1 up, got {d!r}")
    return tuple(int(d) for d in dims)
