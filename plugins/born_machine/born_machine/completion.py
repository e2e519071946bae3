"""The unknown features given any set of known ones: exact draws, and exact means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tnkit import ArgumentError

__all__ = [
    "agreement",
    "agreement_steps",
    "complete_chain",
    "conditional_marginals",
    "refuse_impossible",
]

_Floats: TypeAlias = npt.NDArray[Any]
_ROUNDING = 64 * np.finfo(np.float64).eps


def complete_chain(
    arrays: Sequence[_Floats],
    samples: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    memory: int = 2**30,
) -> npt.NDArray[np.integer[Any]]:
    """Draw the unknown sites of every sample from p(unknown | known), exactly.

    arrays: (left, site, right), right-orthonormal but for site 0. samples: (sample, site), read
    where `known` (sample, site) is True; other entries may hold anything. Each sample may have a
    mask of its own. First, from the last known site to the first, the matrices that sum the
    probability of everything to the right that agrees with the sample; then one pass of direct
    sampling from the left against them. Done in batches of at most `memory` bytes of matrices.
    Raises `ArgumentError` naming samples whose known part has probability zero.
    Cost O(samples sites site_dim bond^3). Method: Ferris and Vidal, Phys. Rev. B 85, 165146
    (2012), with evidence.
    """
    done = np.array(samples)
    bytes_a_sample = sum(a.shape[0] ** 2 * a.itemsize for a in arrays)
    batch = max(1, min(len(done), memory // bytes_a_sample))
    for start in range(0, len(done), batch):
        rows = slice(start, start + batch)
        done[rows] = _complete_batch(arrays, done[rows], known[rows], rng, start)
    return done


def _complete_batch(
    arrays: Sequence[_Floats],
    samples: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    offset: int,
) -> npt.NDArray[np.integer[Any]]:
    agree, scales = agreement(arrays, samples, known)
    refuse_impossible(scales.min(axis=0) > 0.0, offset)
    out = np.array(samples)
    n = len(out)
    vectors = np.ones((n, 1), dtype=arrays[0].dtype)
    rows = np.arange(n)
    for k, array in enumerate(arrays):
        l, d, r = array.shape
        branches = (vectors @ array.reshape(l, d * r)).reshape(n, d, r)
        rest = agree[k + 1]
        weighted = branches if rest is None else branches @ rest
        weights = np.einsum("ndr,ndr->nd", weighted, branches.conj()).real
        given = known[:, k]
        if given.any():  # only the known value counts
            allowed = np.zeros_like(weights, dtype=bool)
            allowed[rows, out[:, k]] = True
            weights = np.where(given[:, None] & ~allowed, 0.0, weights)
        cumulative = np.cumsum(np.maximum(weights, 0.0), axis=1)
        total = cumulative[:, -1]
        refuse_impossible(total > 0.0, offset)
        threshold = rng.random(n) * total
        values = np.minimum((cumulative <= threshold[:, None]).sum(axis=1), d - 1)
        out[:, k] = values  # a known site's only possible value is its own
        chosen = branches[rows, out[:, k]]
        vectors = chosen / np.linalg.norm(chosen, axis=1)[:, None]
    return out


def conditional_marginals(
    arrays: Sequence[_Floats],
    samples: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
    *,
    memory: int = 2**30,
) -> list[npt.NDArray[np.float64]]:
    """Return p(x_k = v | known sites) for every site k: arrays (sample, values), rows summing to 1.

    Arguments, errors and cost as for `complete_chain`; what many of its draws would average to.
    """
    bytes_a_sample = 2 * sum(a.shape[0] ** 2 * a.itemsize for a in arrays)
    batch = max(1, min(len(samples), memory // bytes_a_sample))
    tables = [np.empty((len(samples), array.shape[1])) for array in arrays]
    for start in range(0, len(samples), batch):
        rows = slice(start, start + batch)
        given, values = known[rows], samples[rows]
        agree, scales = agreement(arrays, values, given)
        refuse_impossible(scales.min(axis=0) > 0.0, start)
        left = np.ones((len(values), 1, 1), dtype=arrays[0].dtype)
        for k, array in enumerate(arrays):
            l, d, r = array.shape
            weights = np.zeros((len(values), d))
            total = np.zeros((len(values), r, r), dtype=array.dtype)
            rest = agree[k + 1]
            for value in range(d):
                allowed = np.flatnonzero(~given[:, k] | (values[:, k] == value))
                matrix = array[:, value, :]
                half = left[allowed].reshape(-1, l) @ matrix  # (sample l, r)
                half = half.reshape(-1, l, r).transpose(0, 2, 1).reshape(-1, l)
                part = (half @ matrix.conj()).reshape(-1, r, r)  # transposed, and Hermitian
                total[allowed] += part.transpose(0, 2, 1)
                if rest is None:
                    weights[allowed, value] = np.einsum("nrr->n", part).real
                else:
                    weights[allowed, value] = np.einsum("nrs,nrs->n", part, rest[allowed]).real
            weights = np.maximum(weights, 0.0)
            refuse_impossible(weights.sum(axis=1) > 0.0, start)
            tables[k][rows] = weights / weights.sum(axis=1, keepdims=True)
            left = total / np.einsum("nrr->n", total).real[:, None, None]
    return tables


def refuse_impossible(possible: npt.NDArray[np.bool_], offset: int = 0) -> None:
    """Raise `ArgumentError` naming, from `offset` on, the samples (sample,) that are not."""
    if not possible.all():
        numbers = ", ".join(str(offset + i) for i in np.flatnonzero(~possible)[:5])
        raise ArgumentError(
            f"the known part of sample {numbers} has probability zero under the model; "
            "nothing can be said given it"
        )


def agreement(
    arrays: Sequence[_Floats],
    samples: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
) -> tuple[list[_Floats | None], _Floats]:
    """Return, for every bond, the matrices of all that follows and agrees with the known values.

    Entry k, of shape (sample, left, left), covers the sites from k on, divided by scales[k]
    (sample,) to trace one; None stands for the identity, where no known site follows. The scales
    of a sample multiply to the probability of its known part; one of them is 0 where nothing
    agrees (see `agreement_steps`).
    """
    matrices: list[_Floats | None] = [None] * (len(arrays) + 1)
    scales = np.ones((len(arrays) + 1, len(samples)))
    for k, total, scale in agreement_steps(arrays, samples, known, stop=0):
        matrices[k], scales[k] = total, scale
    return matrices, scales


def agreement_steps(
    arrays: Sequence[_Floats],
    samples: npt.NDArray[np.integer[Any]],
    known: npt.NDArray[np.bool_],
    *,
    stop: int,
) -> Iterator[tuple[int, _Floats, _Floats]]:
    """Yield (site, matrices, scales) of `agreement` from the last known site down to `stop`.

    Matrices and scale are 0 where a site leaves at most 64 eps = 1.4e-14 (of what its arrays leave,
    where that is less than one): rounding, of either sign, is all that such a number may be.
    Larger ones stand. What rounding left of an impossible part can grow again where the sites
    further left make it likelier than the possible one by orders of magnitude; it is not seen then.
    """
    sites = np.flatnonzero(known.any(axis=0))
    rest: _Floats | None = None
    for k in range(int(sites[-1]) if len(sites) else -1, stop - 1, -1):
        array = arrays[k]
        l, d, r = array.shape
        total = np.zeros((len(samples), l, l), dtype=array.dtype)
        floor = np.zeros(len(samples))
        for value in range(d):
            wanted = np.flatnonzero(~known[:, k] | (samples[:, k] == value))
            if not len(wanted):
                continue
            matrix = array[:, value, :]
            floor[wanted] += _ROUNDING * min(1.0, float(np.linalg.norm(matrix)) ** 2)
            if rest is None:
                total[wanted] += matrix @ matrix.conj().T
                continue
            half = rest[wanted].reshape(-1, r) @ matrix.conj().T  # (sample r, l)
            half = half.reshape(-1, r, l).transpose(0, 2, 1).reshape(-1, r)
            whole = (half @ matrix.T).reshape(-1, l, l)  # transposed, and Hermitian
            total[wanted] += whole.transpose(0, 2, 1)
        trace = np.einsum("nll->n", total).real
        trace = np.where(trace <= floor, 0.0, trace)  # NaN stays NaN
        rest = total / np.where(trace == 0.0, np.inf, trace)[:, None, None]
        yield k, rest, trace
