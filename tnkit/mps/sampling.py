"""Exact direct sampling from |psi(x)|^2, and the probability of given configurations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tnkit.arrays import (
    Array,
    as_array,
    device,
    is_complex,
    largest_magnitude,
    library,
    namespace,
    rescale,
    reshape,
    to_numpy,
)
from tnkit.checking import check_memory, checked, random_generator
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.overlap import log_norm
from tnkit.mps.state import MPS

__all__ = ["log_probability", "sample"]


@checked
def sample(
    psi: MPS, n: int, *, seed: int | np.random.Generator | None = None
) -> np.ndarray[Any, Any]:
    """Draw `n` independent configurations with probability |psi(x)|^2 / <psi|psi>.

    Returns integers (n, sites) on the host, uint8 where every site has at most 256 values. All
    samples are drawn together, one site at a time; with the centre at the last site the pass runs
    right to left, otherwise left to right from site 0 (the state is canonicalised where neither
    holds). On the CPU a value's branch is computed only for the samples that are still undecided
    when its turn comes; on a device all branches are, and only what was drawn comes back. The
    same seed gives the same samples. Raises `ArgumentError` for the zero state.
    Cost O(n sites site_dim bond^2). Source: Ferris and Vidal, Phys. Rev. B 85, 165146 (2012).

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> bool((np.diff(sample(bell, 5, seed=0), axis=1) == 0).all())
    True
    """
    if n < 0:
        raise ArgumentError(f"n must be 0 or more, got {n}")
    check_memory(n * (len(psi) + 32 * max((1, *psi.bond_dims))), 2**36, f"{n} samples")
    rng = random_generator(seed)
    backwards = psi.centre is not None and psi.centre >= len(psi) / 2
    psi = canonicalize(psi, -1 if backwards else 0)
    arrays = psi.arrays
    if backwards:  # the same pass over the mirrored chain
        xp = namespace(arrays[0])
        arrays = tuple(xp.permute_dims(array, (2, 1, 0)) for array in arrays[::-1])
    scale = largest_magnitude(arrays[0])
    if scale == 0.0:
        raise ArgumentError("cannot sample from the zero state")
    first = arrays[0] / scale  # squares of the centre must not overflow
    size = float(namespace(first).linalg.vector_norm(reshape(first, (-1,))))
    arrays = (first / size, *arrays[1:])
    dims = [array.shape[1] for array in arrays]
    kind = np.uint8 if max(dims) <= 256 else np.int64
    if _on_host(arrays[0]):
        drawn = _draw(tuple(map(to_numpy, arrays)), int(n), rng, kind)
    else:
        drawn = _draw_on_device(arrays, int(n), rng, kind)
    return np.ascontiguousarray((drawn[::-1] if backwards else drawn).T)


def _on_host(array: Array) -> bool:
    return library(array) in ("numpy", "array_api_strict") or str(device(array)) == "cpu"


def _draw(
    arrays: tuple[np.ndarray[Any, Any], ...], n: int, rng: np.random.Generator, kind: Any
) -> np.ndarray[Any, Any]:
    """Return values (sites, n); `arrays` right-orthonormal, the whole of norm one."""
    drawn = np.empty((len(arrays), n), dtype=kind)
    vectors = np.ones((n, 1), dtype=arrays[0].dtype)
    for k, array in enumerate(arrays):
        vectors = _draw_site(vectors, array, rng.random(n), drawn[k])
    return drawn


def _draw_site(
    vectors: np.ndarray[Any, Any],
    array: np.ndarray[Any, Any],
    uniform: np.ndarray[Any, Any],
    drawn: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Draw one site for every sample into `drawn`; return the conditioned vectors, of norm one.

    vectors: (n, left), of norm one; array: (left, site, right), right-orthonormal, so that the
    weights of all values add up to one and that of the last need not be computed.
    """
    n, (_, d, r) = len(vectors), array.shape
    if d == 1:
        branch = vectors @ array[:, 0, :]
        drawn[:] = 0
        return _unit_rows(branch, _weights(branch))
    chosen = np.empty((n, r), dtype=vectors.dtype)
    weights = np.empty(n)
    left = uniform  # what of the uniform number the values so far have not used up
    rows: np.ndarray[Any, Any] | None = None  # the samples still undecided, None for all
    for value in range(d):
        branch = (vectors if rows is None else vectors[rows]) @ np.ascontiguousarray(
            array[:, value, :]
        )
        weight = _weights(branch)
        here = np.ones(len(branch), dtype=bool) if value == d - 1 else left < weight
        if rows is None:
            chosen, weights = branch, weight
            drawn[:] = 0
            rows = np.flatnonzero(~here)
            left = (left - weight)[rows]
            continue
        taken = rows[here]
        chosen[taken] = branch[here]
        weights[taken] = weight[here]
        drawn[taken] = value
        rows, left = rows[~here], (left - weight)[~here]
        if not len(rows):
            break
    for row in np.flatnonzero(weights <= 1e-30):  # rounding ran past the last possible value
        branches = np.einsum("l,ldr->dr", vectors[row], array)
        every = _weights(branches)
        drawn[row] = every.argmax()
        chosen[row], weights[row] = branches[drawn[row]], every.max()
    return _unit_rows(chosen, weights)


def _weights(branch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the squared norm of every row, in double precision."""
    if branch.dtype.kind == "c":
        found = np.einsum("nr,nr->n", branch.real, branch.real)
        found += np.einsum("nr,nr->n", branch.imag, branch.imag)
    else:
        found = np.einsum("nr,nr->n", branch, branch)
    wide: np.ndarray[Any, Any] = found.astype(np.float64, copy=False)
    return wide


def _unit_rows(branch: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    factors = 1.0 / np.sqrt(np.maximum(weights, 1e-300))
    branch *= factors[:, None].astype(branch.real.dtype)  # made in this step, shared with no one
    return branch


def _draw_on_device(
    arrays: tuple[Array, ...], n: int, rng: np.random.Generator, kind: Any
) -> np.ndarray[Any, Any]:
    """Return values (sites, n) without a transfer before the last site is drawn."""
    xp = namespace(arrays[0])
    where = device(arrays[0])
    uniforms = xp.asarray(rng.random((len(arrays), n)), device=where)
    vectors = xp.ones((n, 1), dtype=arrays[0].dtype, device=where)
    rows = xp.arange(n, device=where)
    drawn = []
    for k, array in enumerate(arrays):
        l, d, r = array.shape
        branches = reshape(vectors @ reshape(array, (l, d * r)), (n * d, r))
        squares = xp.abs(branches) ** 2
        weights = reshape(xp.sum(xp.astype(squares, uniforms.dtype), axis=1), (n, d))
        cumulative = xp.cumulative_sum(weights, axis=1)
        threshold = uniforms[k, :] * cumulative[:, -1]
        passed = xp.astype(cumulative <= threshold[:, None], xp.int64)
        values = xp.clip(xp.sum(passed, axis=1), 0, d - 1)
        picked = xp.take(reshape(weights, (n * d,)), rows * d + values, axis=0)
        values = xp.where(picked > 0, values, xp.argmax(weights, axis=1))
        places = rows * d + values
        picked = xp.take(reshape(weights, (n * d,)), places, axis=0)
        factors = xp.astype(1.0 / xp.sqrt(picked), squares.dtype)
        vectors = xp.take(branches, places, axis=0) * factors[:, None]
        drawn.append(values)
    found: np.ndarray[Any, Any] = to_numpy(xp.stack(drawn)).astype(kind)
    return found


@checked
def log_probability(psi: MPS, samples: Any) -> np.ndarray[Any, Any]:
    """Return ln(|psi(x)|^2 / <psi|psi>) of each configuration, in nats, float64 on the host.

    samples: integers (n, sites). An impossible configuration gives -inf. Raises `SizeError` and
    `ArgumentError` for samples that do not fit, and for the zero state.
    Cost O(n sites bond^2).

    >>> from tnkit.mps.create import ghz_mps
    >>> log_probability(ghz_mps(3), [[0, 0, 0], [0, 1, 0]]).round(6)  # ln(1/2), impossible
    array([-0.693147,      -inf])
    """
    values = to_numpy(as_array(samples))
    if values.ndim != 2 or values.shape[1] != len(psi):
        raise SizeError(f"expected samples (n, {len(psi)}), got shape {values.shape}")
    if values.dtype.kind not in "iub":
        raise ArgumentTypeError(f"expected whole numbers, got dtype {values.dtype}")
    for k, d in enumerate(psi.site_dims):
        column = values[:, k]
        if len(column) and (column.min() < 0 or column.max() >= d):
            raise ArgumentError(
                f"site {psi.sites[k]!r} takes values 0 to {d - 1}, a sample has "
                f"{column.min()} or {column.max()}"
            )
    total = log_norm(psi)
    if not math.isfinite(total):
        raise ArgumentError("the zero state has no probabilities")
    logs = np.full(len(values), 2 * (psi.log_scale - total))
    wide = np.complex128 if is_complex(psi.arrays[0]) else np.float64
    vectors = np.ones((len(values), 1), dtype=wide)
    for k, array in enumerate(psi.arrays):
        near, step = rescale(to_numpy(array).astype(wide))
        logs += 2 * step
        new = np.empty((len(values), near.shape[2]), dtype=wide)
        for value in range(near.shape[1]):
            rows = np.flatnonzero(values[:, k] == value)
            if len(rows):
                new[rows] = vectors[rows] @ near[:, value, :]
        sizes = np.abs(new).max(axis=1, initial=0.0)
        alive = sizes > 0.0
        logs[alive] += 2 * np.log(sizes[alive])
        logs[~alive] = -np.inf
        vectors = new / np.where(alive, sizes, 1.0)[:, None]
    return logs
