"""Entanglement: Schmidt values, entropies, reduced density matrices, mutual information."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tnkit.arrays import (
    Array,
    device,
    dtype_name,
    is_complex,
    namespace,
    rescale,
    reshape,
    to_numpy,
)
from tnkit.checking import check_memory, checked
from tnkit.errors import ArgumentError
from tnkit.factorisation import eigh, svd
from tnkit.mps.gauge import canonicalize
from tnkit.mps.sites import find_sites
from tnkit.mps.state import MPS

__all__ = [
    "entanglement_spectra",
    "entropies",
    "entropy",
    "mutual_information",
    "reduced_density_matrix",
    "schmidt_values",
    "spectrum_entropy",
]


@checked
def schmidt_values(psi: MPS, bond: int) -> np.ndarray[Any, Any]:
    """Return the Schmidt coefficients across `bond`, descending, normalised: sum s^2 = 1.

    Bond k joins sites k and k + 1. The state need not be normalised or canonical; where it is
    canonical beside the bond the cost is one SVD. Host float64. Raises `ArgumentError` for a bond
    outside the chain or the zero state.

    >>> from tnkit.mps.create import ghz_mps
    >>> schmidt_values(ghz_mps(3), 0).round(4)
    array([0.7071, 0.7071])
    """
    if not 0 <= bond < len(psi) - 1:
        raise ArgumentError(f"bond {bond} is outside the chain's bonds 0 to {len(psi) - 2}")
    centre = bond + 1 if psi.centre is not None and psi.centre > bond else bond
    return _values(canonicalize(psi, centre).arrays[centre], on_right=centre == bond)


def _values(array: Array, *, on_right: bool) -> np.ndarray[Any, Any]:
    l, d, r = array.shape
    matrix = reshape(array, (l * d, r) if on_right else (l, d * r))
    values = to_numpy(svd(matrix)[1]).astype(np.float64)
    if values[0] == 0.0:
        raise ArgumentError("the zero state has no Schmidt decomposition")
    values = values / values[0]
    normalised: np.ndarray[Any, Any] = values / math.sqrt(float(values @ values))
    return normalised


@checked
def entanglement_spectra(psi: MPS) -> tuple[np.ndarray[Any, Any], ...]:
    """Return the Schmidt values of every bond, in one pass of the centre over the chain.

    Each as `schmidt_values` returns it. Cost O(L site bond^3).

    >>> from tnkit.mps.create import ghz_mps
    >>> [values.round(4).tolist() for values in entanglement_spectra(ghz_mps(3))]
    [[0.7071, 0.7071], [0.7071, 0.7071]]
    """
    spectra = []
    for bond in range(len(psi) - 1):
        psi = canonicalize(psi, bond)
        spectra.append(_values(psi.arrays[bond], on_right=True))
    return tuple(spectra)


def spectrum_entropy(weights: np.ndarray[Any, Any], order: float = 1.0) -> float:
    """Return the entropy in nats of probabilities, von Neumann (order 1) or Renyi.

    Renyi of order a: ln(sum p^a) / (1 - a); order 0 counts weights above rounding (1e-15), order
    inf is -ln max p. Raises `ArgumentError` for a negative order.
    """
    if not order >= 0.0:
        raise ArgumentError(f"the order of an entropy must be 0 or more, got {order!r}")
    weights = np.asarray(weights, dtype=np.float64)
    weights = weights[weights > 1e-15 if order == 0.0 else weights > 0.0]
    if order == 1.0:
        return float(-(weights * np.log(weights)).sum()) + 0.0
    if math.isinf(order):
        return float(-math.log(weights.max())) + 0.0
    top = weights.max()  # powers of what is below one vanish: those of its share of it do not
    log = math.log(((weights / top) ** order).sum()) + order * math.log(top)
    return float(log / (1.0 - order)) + 0.0


@checked
def entropy(psi: MPS, bond: int, *, order: float = 1.0) -> float:
    """Return the entanglement entropy across `bond` in nats: -sum s^2 ln s^2, or Renyi's.

    order: 1 for von Neumann, any other number from 0 to inf for Renyi, ln(sum s^2a) / (1 - a).

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> round(entropy(bell, 0), 6), round(entropy(bell, 0, order=2), 6)  # ln 2
    (0.693147, 0.693147)
    """
    return spectrum_entropy(schmidt_values(psi, bond) ** 2, order)


@checked
def entropies(psi: MPS, *, order: float = 1.0) -> np.ndarray[Any, Any]:
    """Return the entropy of every bond in nats, in one pass; see `entropy`.

    >>> from tnkit.mps.create import ghz_mps
    >>> entropies(ghz_mps(4)).round(6)
    array([0.693147, 0.693147, 0.693147])
    """
    found = [spectrum_entropy(values**2, order) for values in entanglement_spectra(psi)]
    return np.array(found, dtype=np.float64)


@checked
def reduced_density_matrix(
    psi: MPS, sites: int | str | Iterable[int | str], *, memory_limit: float | None = 4 * 2**30
) -> Array:
    """Return the reduced density matrix (rows, columns) of any subset of sites, of trace one.

    sites: names or positions; the first varies slowest in rows and columns. Rows belong to the
    ket: rho = tr |psi><psi|. Library and device are those of the state. memory_limit: bytes;
    `MemoryLimitError` before anything larger is allocated. Raises `ArgumentError` for the zero
    state. Cost O(span site bond^3 D^2), D being the product of the sizes of the sites.

    >>> from tnkit.mps.create import ghz_mps
    >>> reduced_density_matrix(ghz_mps(4), [0, 3]).round(3).diagonal()
    array([0.5, 0. , 0. , 0.5])
    """
    chosen = find_sites(psi.sites, sites)
    if not chosen:
        raise ArgumentError("a reduced density matrix needs at least one site")
    ordered = sorted(chosen)
    first, last = ordered[0], ordered[-1]
    dims = psi.site_dims
    bond = max((*psi.bond_dims[first:last], 1)) if last > first else 1
    size = math.prod(dims[k] for k in chosen) ** 2 * bond**2
    itemsize = np.dtype(dtype_name(psi.dtype)).itemsize
    check_memory(3 * itemsize * size, memory_limit, f"a density matrix of {len(chosen)} sites")
    psi = canonicalize(psi, first)
    xp = namespace(psi.arrays[0])
    block: Any = None  # (kets, bras, ket bond, bra bond)
    for k in range(first, last + 1):
        ket, _ = rescale(psi.arrays[k])
        l, d, r = ket.shape
        bra = xp.conj(ket) if is_complex(ket) else ket
        if block is None:  # everything left of the centre is the identity
            moved = reshape(xp.permute_dims(ket, (1, 2, 0)), (d * r, l))
            pair = moved @ reshape(xp.permute_dims(bra, (0, 1, 2)), (l, d * r))
            pair = xp.permute_dims(reshape(pair, (d, r, d, r)), (0, 2, 1, 3))
            block = pair
            continue
        kets, bras = block.shape[:2]
        block, _ = rescale(block)
        half = reshape(xp.permute_dims(block, (0, 1, 3, 2)), (-1, l)) @ reshape(ket, (l, d * r))
        half = reshape(half, (kets, bras, l, d, r))  # bra bond third
        if k in chosen:
            half = reshape(xp.permute_dims(half, (0, 3, 4, 1, 2)), (-1, l))
            full = reshape(half @ reshape(bra, (l, d * r)), (kets * d, r, bras * d, r))
            block = xp.permute_dims(full, (0, 2, 1, 3))
        else:
            half = reshape(xp.permute_dims(half, (0, 1, 4, 2, 3)), (-1, l * d))
            block = reshape(half @ reshape(bra, (l * d, r)), (kets, bras, r, r))
    kets, bras, r, _ = block.shape
    eye = reshape(xp.eye(r, dtype=block.dtype, device=device(block)), (r * r, 1))
    rho = reshape(reshape(block, (kets * bras, r * r)) @ eye, (kets, bras))
    total = float(np.trace(to_numpy(rho)).real)
    if total == 0.0:
        raise ArgumentError("the zero state has no density matrix")
    rho = rho / total
    if chosen == tuple(ordered):
        return rho
    shape = tuple(dims[k] for k in ordered)
    places = [ordered.index(k) for k in chosen]
    n = len(chosen)
    rho = xp.permute_dims(reshape(rho, (*shape, *shape)), (*places, *(n + p for p in places)))
    return reshape(rho, (kets, bras))


@checked
def mutual_information(
    psi: MPS,
    a: int | str | Iterable[int | str],
    b: int | str | Iterable[int | str],
    *,
    order: float = 1.0,
    memory_limit: float | None = 4 * 2**30,
) -> float:
    """Return S(a) + S(b) - S(a and b) in nats, for two disjoint sets of sites.

    order: of the entropies; only order 1 is never negative. Cost that of the density matrix of
    both sets, and of its eigenvalues.

    >>> from tnkit.mps.create import ghz_mps
    >>> round(mutual_information(ghz_mps(4), 0, [3]), 6)  # ln 2
    0.693147
    """
    one, two = find_sites(psi.sites, a), find_sites(psi.sites, b)
    if set(one) & set(two):
        shared = psi.sites[min(set(one) & set(two))]
        raise ArgumentError(f"site {shared!r} is in both sets; give disjoint ones")

    def of(sites: tuple[int, ...]) -> float:
        rho = reduced_density_matrix(psi, sites, memory_limit=memory_limit)
        return spectrum_entropy(np.maximum(to_numpy(eigh(rho)[0]), 0.0), order)

    return of(one) + of(two) - of((*one, *two))
