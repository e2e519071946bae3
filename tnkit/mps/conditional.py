"""Marginals, conditionals and measurements that collapse the state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.arrays import device, is_complex, namespace, reshape, to_numpy
from tnkit.checking import check_memory, checked, random_generator
from tnkit.errors import ArgumentError
from tnkit.mps.chain import project
from tnkit.mps.environments import extend_left_overlap
from tnkit.mps.gauge import canonicalize
from tnkit.mps.overlap import log_norm, normalize
from tnkit.mps.sites import find_sites
from tnkit.mps.state import MPS

__all__ = ["Measured", "condition", "marginal_probabilities", "measure", "site_probabilities"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Measured:
    """One measurement: the values found, their probability, and the state afterwards.

    values: {site name: value}. log_probability: nats. state: normalised, on all sites, the
    measured ones in the basis states found.
    """

    values: Mapping[str, int]
    log_probability: float
    state: MPS


@checked
def condition(psi: MPS, known: Mapping[int | str, int]) -> MPS:
    """Return the normalised state of the other sites, given the values of some.

    Sampling it is sampling the conditional distribution. Raises `ArgumentError` where what is
    known is impossible; otherwise as `project`.

    >>> from tnkit.mps.create import ghz_mps
    >>> from tnkit.mps.sampling import sample
    >>> sample(condition(ghz_mps(4), {"s2": 1}), 2, seed=0).tolist()
    [[1, 1, 1], [1, 1, 1]]
    """
    left = project(psi, known)
    if not math.isfinite(log_norm(left)):
        raise ArgumentError(f"what is known, {dict(known)}, has probability zero")
    return normalize(left)


@checked
def site_probabilities(
    psi: MPS, known: Mapping[int | str, int] | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the distribution of every site that is not known, given those that are.

    {site name: probabilities (site,)}, float64 on the host, each summing to one; one pass.
    Raises as `condition`. Cost O(L site bond^3).

    >>> from tnkit.mps.create import ghz_mps
    >>> site_probabilities(ghz_mps(3), {0: 1})["s2"].round(12)
    array([0., 1.])
    """
    left = normalize(canonicalize(condition(psi, known) if known else psi, 0))
    xp = namespace(left.arrays[0])
    block = xp.ones_like(left.arrays[0][:, 0, :1])
    found = {}
    for name, array in zip(left.sites, left.arrays, strict=True):
        l, d, r = array.shape
        half = reshape(block @ reshape(array, (l, d * r)), (l, d, r))
        bra = xp.conj(array) if is_complex(array) else array
        weights = to_numpy(xp.sum(xp.sum(bra * half, axis=2), axis=0)).real.astype(np.float64)
        weights = np.maximum(weights, 0.0)
        found[name] = weights / weights.sum()
        block = extend_left_overlap(block, array, array)
    return found


@checked
def marginal_probabilities(
    psi: MPS, sites: int | str | Iterable[int | str], *, memory_limit: float | None = 4 * 2**30
) -> np.ndarray[Any, Any]:
    """Return the joint distribution of some sites, all others summed out.

    Returns probabilities with an axis a site in the order given, float64 on the host, summing to
    one. `MemoryLimitError` before more bytes than memory_limit are needed; `ArgumentError` for
    the zero state. Cost O(span site bond^3 x size of the table).

    >>> from tnkit.mps.create import ghz_mps
    >>> marginal_probabilities(ghz_mps(5), [0, 4]).round(12)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    chosen = find_sites(psi.sites, sites)
    if not chosen:
        raise ArgumentError("a marginal needs at least one site")
    ordered = sorted(chosen)
    first, last = ordered[0], ordered[-1]
    dims = psi.site_dims
    bond = max((1, *psi.bond_dims[max(first - 1, 0) : last + 1]))
    table = math.prod(dims[k] for k in chosen)
    check_memory(48 * table * bond**2, memory_limit, f"a marginal of {len(chosen)} sites")
    psi = normalize(canonicalize(psi, first))
    block = None  # (values, bra, ket)
    for k in range(first, last + 1):
        array = to_numpy(psi.arrays[k])
        l, _, r = array.shape
        if block is None:
            block = np.eye(l, dtype=array.dtype)[None]
        half = np.einsum("vbk,kdr->vdbr", block, array, optimize=True)
        if k in chosen:
            block = np.einsum("vdbr,bdq->vdqr", half, array.conj(), optimize=True)
            block = block.reshape(-1, r, r)
        else:
            block = np.einsum("vdbr,bdq->vqr", half, array.conj(), optimize=True)
    weights = np.trace(np.asarray(block), axis1=1, axis2=2).real.astype(np.float64)
    weights = np.maximum(weights, 0.0)
    weights = (weights / weights.sum()).reshape([dims[k] for k in ordered])
    result: np.ndarray[Any, Any] = weights.transpose([ordered.index(k) for k in chosen])
    return result


@checked
def measure(
    psi: MPS,
    sites: int | str | Iterable[int | str],
    *,
    seed: int | np.random.Generator | None = None,
) -> Measured:
    """Measure some sites one after the other in their basis and collapse the state.

    Another basis: `tnkit.apply_local` first, and its adjoint after. The same seed gives the same
    outcome. Raises `ArgumentError` for the zero state. Cost O(len(sites) L site bond^3).

    >>> from tnkit.mps.create import ghz_mps
    >>> found = measure(ghz_mps(3), ["s1"], seed=0)
    >>> value = found.values["s1"]
    >>> bool(abs(found.state[2].array[..., value].max()) > 0.99)
    True
    """
    rng = random_generator(seed)
    psi = normalize(psi)
    values: dict[str, int] = {}
    log = 0.0
    for site in find_sites(psi.sites, sites):
        psi = canonicalize(psi, site)
        array = psi.arrays[site]
        xp = namespace(array)
        squares = xp.abs(array) ** 2
        weights = to_numpy(xp.sum(xp.sum(squares, axis=2), axis=0)).astype(np.float64)
        weights = weights / weights.sum()
        value = int(rng.choice(len(weights), p=weights))
        mask = np.zeros((1, len(weights), 1))
        mask[0, value, 0] = 1.0 / math.sqrt(weights[value])
        keep = xp.asarray(mask, dtype=array.dtype, device=device(array))
        arrays = (*psi.arrays[:site], array * keep, *psi.arrays[site + 1 :])
        psi = normalize(MPS(arrays, psi.sites, psi.gauge, psi.log_scale))
        values[psi.sites[site]] = value
        log += math.log(weights[value])
    return Measured(values, log, psi)
