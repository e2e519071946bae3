"""Matrix product states from nothing: product, random, and from a dense array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tnkit.arrays import Array, as_array, namespace, reshape
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS, Gauge, site_names
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = ["mps_from_dense", "product_mps", "random_mps"]


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
    dims = _sizes(site_dim, length)
    if isinstance(bond_dim, bool) or not isinstance(bond_dim, int | np.integer) or bond_dim < 1:
        raise ArgumentError(f"bond_dim must be a whole number from 1 up, got {bond_dim!r}")
    kind = np.dtype(dtype)
    if kind.kind not in "fc":
        raise ArgumentTypeError(f"dtype must be a real or complex float, got {kind}")
    rng = np.random.default_rng(seed)
    bonds = [1] * (length + 1)
    for k in range(1, length):  # a bond larger than either side allows would be redundant
        bonds[k] = min(int(bond_dim), bonds[k - 1] * dims[k - 1])
    for k in range(length - 1, 0, -1):
        bonds[k] = min(bonds[k], bonds[k + 1] * dims[k])
    arrays = []
    for k in range(length):
        shape = (bonds[k], dims[k], bonds[k + 1])
        array = rng.standard_normal(shape)
        if kind.kind == "c":
            array = array + 1j * rng.standard_normal(shape)
        arrays.append((array / math.sqrt(shape[0] * shape[1])).astype(kind))
    psi = canonicalize(MPS(tuple(arrays), names), 0)
    centre = psi.arrays[0] / np.linalg.norm(psi.arrays[0])
    return MPS((centre, *psi.arrays[1:]), names, psi.gauge)


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


def _sizes(site_dim: int | Sequence[int], length: int) -> tuple[int, ...]:
    if isinstance(site_dim, int | np.integer):
        dims = (int(site_dim),) * length
    else:
        dims = tuple(int(d) for d in site_dim)
    if len(dims) != length:
        raise SizeError(f"{length} sites but {len(dims)} site dimensions")
    if min(dims) < 1:
        raise ArgumentError(f"site dimensions must be at least 1, got {min(dims)}")
    return dims
