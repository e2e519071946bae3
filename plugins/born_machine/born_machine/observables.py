"""Exact answers of a trained chain: marginals, correlations, most probable completions, entropies.

Every function takes `arrays`, (left, site, right) NumPy arrays of norm one, right-orthonormal but
for site 0, and speaks of sites in chain order.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.completion import agreement, agreement_steps, refuse_impossible
from tnkit import ArgumentError, MemoryLimitError

__all__ = [
    "MostProbable",
    "PairTables",
    "check_beam",
    "log_marginals",
    "most_probable_chain",
    "mutual_information",
    "pair_marginals",
    "renyi2_entropy",
    "site_marginals",
]

_Floats: TypeAlias = npt.NDArray[Any]
_Integers: TypeAlias = npt.NDArray[np.integer[Any]]
PairTables: TypeAlias = dict[tuple[int, int], npt.NDArray[np.float64]]
"""p(x_a, x_b) of pairs a < b: arrays (values of a, values of b)."""


@dataclass(frozen=True, slots=True, eq=False)
class MostProbable:
    """The best completions found, and what is known about better ones.

    samples: (sample, feature). log_probability: ln p of each whole sample, nats. log_bound: no
    completion of the sample has ln p above it. Where the two are equal the answer is proved exact.
    """

    samples: _Integers
    log_probability: npt.NDArray[np.float64]
    log_bound: npt.NDArray[np.float64]

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Say for each sample whether its completion is proved to be the most probable."""
        return self.log_bound <= self.log_probability + 1e-9


def log_marginals(
    arrays: Sequence[_Floats],
    samples: _Integers,
    known: npt.NDArray[np.bool_],
    *,
    memory: int = 2**28,
) -> npt.NDArray[np.float64]:
    """Return ln p(known part) of every sample, all else summed over exactly; -inf if impossible.

    samples, known: (sample, site). A conditional is the difference of two of these. What counts as
    impossible in double precision: see `agreement_steps`.
    Cost O(samples sites site_dim bond^3); at most about `memory` bytes at a time.
    """
    widest = max(array.shape[0] ** 2 * array.itemsize for array in arrays)
    batch = max(1, memory // (8 * widest))
    logs = np.empty(len(samples))
    for start in range(0, len(samples), batch):
        rows = slice(start, start + batch)
        total = np.zeros(len(samples[rows]))
        for _, matrices, scales in agreement_steps(arrays, samples[rows], known[rows], stop=0):
            with np.errstate(divide="ignore"):
                total = total + np.log(scales)
            del matrices
        logs[rows] = total
    return logs


def site_marginals(arrays: Sequence[_Floats]) -> list[npt.NDArray[np.float64]]:
    """Return p(x_k) of every site: arrays (site,) that sum to one. One pass, O(sites bond^3)."""
    density = np.ones((1, 1), dtype=arrays[0].dtype)
    marginals = []
    for array in arrays:
        branches = _through(density[None], array)[0]
        weights = np.einsum("drr->d", branches).real
        marginals.append(weights / weights.sum())
        density = branches.sum(axis=0)
    return marginals


def _through(densities: _Floats, array: _Floats) -> _Floats:
    """Carry matrices (m, left, left) over a site, one branch a value: (m, site, right, right)."""
    m, (l, d, r) = len(densities), array.shape
    half = densities.reshape(m * l, l) @ array.reshape(l, d * r)  # bra row, (value, ket right)
    half = half.reshape(m, l, d, r).transpose(0, 2, 1, 3)
    bra: _Floats = array.conj().transpose(1, 2, 0)[None] @ half
    return bra


def pair_marginals(arrays: Sequence[_Floats]) -> PairTables:
    """Return p(x_i, x_j) of every pair of sites i < j: arrays (site_i, site_j).

    One pass that carries the matrices of all earlier sites along: O(sites^2 site_dim^2 bond^3)
    time, O(sites site_dim bond^2) memory.
    """
    pairs: PairTables = {}
    density = np.ones((1, 1, 1), dtype=arrays[0].dtype)
    owners: list[tuple[int, int]] = []  # (site, value) of every carried matrix
    carried = np.zeros((0, 1, 1), dtype=arrays[0].dtype)
    for k, array in enumerate(arrays):
        d = array.shape[1]
        branches = _through(density, array)
        if len(carried):
            weights = np.empty((len(carried), d))
            moved = np.empty((len(carried), array.shape[2], array.shape[2]), dtype=carried.dtype)
            for rows in np.array_split(np.arange(len(carried)), d):
                through = _through(carried[rows], array)
                weights[rows] = np.einsum("mdrr->md", through).real
                moved[rows] = through.sum(axis=1)
            for (site, value), row in zip(owners, weights, strict=True):
                table = pairs.setdefault((site, k), np.zeros((arrays[site].shape[1], d)))
                table[value] = row
            carried = np.concatenate((moved, branches[0]))
        else:
            carried = branches[0]
        owners += [(k, value) for value in range(d)]
        density = branches.sum(axis=1)
    return {key: table / table.sum() for key, table in pairs.items()}


def mutual_information(
    single: Sequence[npt.NDArray[np.float64]], pairs: PairTables
) -> npt.NDArray[np.float64]:
    """Return I(a; b) in nats of all pairs from their marginals, entropies on the diagonal."""
    result = np.zeros((len(single), len(single)))
    for a, p in enumerate(single):
        result[a, a] = -(p[p > 0] * np.log(p[p > 0])).sum()
    for (a, b), joint in pairs.items():
        there = joint > 1e-300
        ratio = joint[there] / np.outer(single[a], single[b])[there]
        result[a, b] = result[b, a] = max(0.0, float((joint[there] * np.log(ratio)).sum()))
    return result


def renyi2_entropy(arrays: Sequence[_Floats], *, memory_limit: int = 2**31) -> float:
    """Return the Renyi-2 entropy -ln sum_x p(x)^2 in nats, exactly.

    Four copies of the chain are contracted: O(sites site_dim bond^5) time, bond^4 numbers.
    `MemoryLimitError` before more than `memory_limit` bytes would be needed.
    """
    widest = max(max(array.shape[0], array.shape[2]) for array in arrays)
    needed = 3 * widest**4 * arrays[0].itemsize
    if needed > memory_limit:
        raise MemoryLimitError(
            f"four copies at bond {widest} need about {needed:.3g} bytes, the limit is "
            f"{memory_limit}; compress the model first, or estimate from samples"
        )
    block: _Floats = np.ones((1, 1, 1, 1), dtype=arrays[0].dtype)
    log = 0.0
    for array in arrays:
        total: _Floats = np.zeros((array.shape[2],) * 4, dtype=array.dtype)
        for value in range(array.shape[1]):
            a = array[:, value, :]
            part = block
            for factor in (a, a.conj(), a, a.conj()):  # each takes the first axis to the back
                part = np.tensordot(part, factor, axes=(0, 0))
            total = total + part
        scale = float(np.abs(total).max())
        block = total / scale
        log += math.log(scale)
    return -(log + math.log(float(block.ravel()[0].real)))


def most_probable_chain(
    arrays: Sequence[_Floats],
    samples: _Integers,
    known: npt.NDArray[np.bool_],
    *,
    beam: int,
) -> MostProbable:
    """Search the most probable completion of every sample, site by site from the left.

    At each site at most `beam` partial completions are kept, those whose marginal probability,
    all later sites summed over, is largest. That marginal bounds the probability of every whole
    sample it leads to, so what is dropped gives a bound on what was missed: log_bound. Raises
    `ArgumentError` where a known part is impossible. Cost O(samples sites beam site_dim bond^2)
    beside that of `log_marginals`.
    """
    check_beam(beam)
    best = np.array(samples)
    logs, bounds = np.empty(len(samples)), np.empty(len(samples))
    for i in range(len(samples)):
        row = slice(i, i + 1)
        matrices, scales = agreement(arrays, samples[row], known[row])
        refuse_impossible(scales.min(axis=0) > 0.0, i)
        best[i], logs[i], missed = _beam(
            arrays, matrices, np.log(scales[:, 0]), samples[i], known[i], beam, i
        )
        bounds[i] = max(logs[i], missed)
    return MostProbable(best, logs, bounds)


def check_beam(beam: int) -> None:
    """Raise `ArgumentError` for what is no width of a beam."""
    if isinstance(beam, bool) or not isinstance(beam, int | np.integer) or beam < 1:
        raise ArgumentError(f"beam must be a whole number from 1 up, got {beam!r}")


def _beam(
    arrays: Sequence[_Floats],
    matrices: list[_Floats | None],
    scales: _Floats,
    sample: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
    beam: int,
    number: int,
) -> tuple[_Integers, float, float]:
    """Return the best completion, its ln p, and the largest marginal of anything dropped."""
    vectors = np.ones((1, 1), dtype=arrays[0].dtype)
    logs = np.zeros(1)  # ln of what was divided out of each vector, squared
    prefixes = np.zeros((1, 0), dtype=np.int64)
    dropped: list[float] = [-math.inf]
    rest_logs = np.append(np.cumsum(scales[::-1])[::-1], 0.0)
    for k, array in enumerate(arrays):
        l, d, r = array.shape
        branches = (vectors @ array.reshape(l, d * r)).reshape(len(vectors), d, r)
        rest = matrices[k + 1]
        weighted = branches if rest is None else branches @ rest[0]
        weights = np.einsum("bdr,bdr->bd", weighted, branches.conj()).real
        if known[k]:
            weights = np.where(np.arange(d) == sample[k], weights, 0.0)
        with np.errstate(divide="ignore"):
            marginals = np.log(np.maximum(weights, 0.0)) + logs[:, None] + rest_logs[k + 1]
        flat = marginals.ravel()
        order = np.argsort(-flat, kind="stable")
        order = order[np.isfinite(flat[order])]
        if not len(order):
            raise ArgumentError(f"the known part of sample {number} has probability zero")
        kept, lost = order[:beam], order[beam:]
        if len(lost):
            dropped = heapq.nlargest(1, [*dropped, float(flat[lost[0]])])
        parents, values = np.divmod(kept, d)
        vectors = branches[parents, values]
        norms = np.linalg.norm(vectors, axis=1)
        vectors = vectors / norms[:, None]
        logs = logs[parents] + 2.0 * np.log(norms)
        prefixes = np.concatenate((prefixes[parents], values[:, None]), axis=1)
    return prefixes[0], float(logs[0]), dropped[0]
