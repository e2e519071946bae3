"""A mixture of models: p(x) = sum_c w_c p_c(x), each component with a site order of its own.

A chain sees some neighbourhoods of the data well and others badly; chains in different orders err
in different places, and their mean is better than any of them. Every answer stays exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from born_machine.completion import refuse_impossible
from born_machine.data import Samples
from born_machine.models.protocol import Model, configurations
from born_machine.observables import MostProbable, PairTables, check_beam
from tnkit import ArgumentError, MemoryLimitError, SizeError, Truncation

__all__ = ["MixtureModel", "fitted_weights", "log_mean"]

_MOST_CONFIGURATIONS = 2**20


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MixtureModel:
    """The weighted mean of the probabilities of several models of the same features.

    components: at least one, of equal `dims`; chains that differ in their order alone share one
    state, which is stored once. weights: positive, summing to one.
    """

    components: tuple[Model, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the components speak of the same features and the weights are weights."""
        if not self.components or len(self.components) != len(self.weights):
            raise SizeError(
                f"a mixture needs one weight for each component, got {len(self.components)} "
                f"components and {len(self.weights)} weights"
            )
        for number, component in enumerate(self.components):
            if component.dims != self.components[0].dims:
                raise SizeError(
                    f"component {number} has value counts {component.dims}, "
                    f"component 0 has {self.components[0].dims}"
                )
        if not all(w > 0.0 for w in self.weights) or abs(sum(self.weights) - 1.0) > 1e-9:
            raise ArgumentError(f"weights must be positive and sum to one, got {self.weights}")

    @property
    def dims(self) -> tuple[int, ...]:
        """Values each feature takes."""
        return self.components[0].dims

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.dims)

    @property
    def parameters(self) -> int:
        """Number of stored numbers: the components' and the weights."""
        own = {first: self.components[first].parameters for first in self._firsts()}
        return sum(own.values()) + len(self.weights)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """The bond dimensions of all components, one chain after the other."""
        return tuple(itertools.chain.from_iterable(c.bond_dims for c in self.components))

    def log_likelihood(
        self, samples: Samples, place: Callable[[Any], Any] = np.asarray
    ) -> npt.NDArray[np.float64]:
        """Return ln p(x) of every sample, in nats; -inf where every component has p(x) = 0."""
        return log_mean([c.log_likelihood(samples, place) for c in self.components], self.weights)

    def log_marginal(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return ln p(known part) of every sample: the components' marginals, averaged."""
        return log_mean([c.log_marginal(samples, known) for c in self.components], self.weights)

    def sample(
        self, n: int, rng: np.random.Generator, place: Callable[[Any], Any] = np.asarray
    ) -> Samples:
        """Draw `n` samples, each from a component drawn by its weight, in random order."""
        if n < 0:
            raise ArgumentError(f"n must be 0 or more, got {n}")
        counts = rng.multinomial(n, self.weights)
        drawn = [c.sample(int(k), rng, place) for c, k in zip(self.components, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def complete(
        self, samples: Samples, known: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        """Draw the unknown features of every sample given its known ones.

        Exact: the component is drawn from its posterior given the known part, then completes.
        """
        cumulative = np.cumsum(self._posterior(samples, known), axis=1)
        threshold = rng.random(len(samples)) * cumulative[:, -1]
        owner = (cumulative <= threshold[:, None]).sum(axis=1)
        done = np.array(samples)
        for number, component in enumerate(self.components):
            (rows,) = np.nonzero(owner == number)
            if len(rows):
                done[rows] = component.complete(samples[rows], known[rows], rng)
        return done

    def conditional_marginals(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f | known part): the components' own, by their posterior weights."""
        posterior = self._posterior(samples, known)
        total = [np.zeros((len(samples), d)) for d in self.dims]
        for component, shares in zip(self.components, posterior.T, strict=True):
            (rows,) = np.nonzero(shares)
            tables = component.conditional_marginals(samples[rows], known[rows])
            for whole, table in zip(total, tables, strict=True):
                whole[rows] += shares[rows, None] * table
        return total

    def _posterior(self, samples: Samples, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return p(component | known part) of every sample: (sample, component), rows sum to 1."""
        logs = np.stack([c.log_marginal(samples, known) for c in self.components], axis=1)
        logs += np.log(self.weights)
        refuse_impossible(logs.max(axis=1) > -np.inf)
        shares: npt.NDArray[np.float64] = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def most_probable(
        self, samples: Samples, known: npt.NDArray[np.bool_], beam: int
    ) -> MostProbable:
        """Search the most probable completion of every sample, with a bound.

        Every component proposes its own, and the best under the mixture is taken. No completion
        is more probable than the weighted mean of the components' own bounds: sum_c w_c max p_c.
        Where the unknown features have at most `beam` configurations all are tried: exact.
        Components that find a known part impossible are not asked; `ArgumentError` where all do.
        """
        check_beam(beam)
        evidence = np.stack([c.log_marginal(samples, known) for c in self.components])
        refuse_impossible(evidence.max(axis=0) > -np.inf)
        chosen, logs = np.array(samples), np.full(len(samples), -np.inf)
        bounds = np.full(evidence.shape, -np.inf)
        free = [itertools.compress(self.dims, ~row) for row in known]
        few = np.array([math.prod(dims) <= beam for dims in free], dtype=bool)
        for i in np.flatnonzero(few):
            whole = _completions(self.dims, samples[i], known[i])
            scores = self.log_likelihood(whole)
            chosen[i], logs[i] = whole[scores.argmax()], scores.max()
        for number, component in enumerate(self.components):
            rows = np.flatnonzero(~few & (evidence[number] > -np.inf))
            found = component.most_probable(samples[rows], known[rows], beam)
            bounds[number, rows] = found.log_bound
            scores = self.log_likelihood(found.samples)
            better = scores > logs[rows]
            chosen[rows[better]], logs[rows[better]] = found.samples[better], scores[better]
        return MostProbable(chosen, logs, np.maximum(log_mean(list(bounds), self.weights), logs))

    def marginals(self) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f) of every feature."""
        single = [c.marginals() for c in self.components]
        return [self._mean(tables) for tables in zip(*single, strict=True)]

    def pair_marginals(self) -> PairTables:
        """Return p(x_f, x_g) of every pair f < g: tables (f, g)."""
        pairs = [c.pair_marginals() for c in self.components]
        return {key: self._mean([p[key] for p in pairs]) for key in pairs[0]}

    def _mean(self, tables: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        total = np.zeros_like(tables[0])
        for weight, table in zip(self.weights, tables, strict=True):
            total += weight * table
        return total

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy of p in nats, by summing over every configuration.

        The overlap of two squared chains in different orders is no chain, so beyond 2^20
        configurations the exact value is out of reach: `MemoryLimitError`. A mixture of one
        component is as its component.
        """
        if len(self.components) == 1:
            return self.components[0].renyi2()
        number = math.prod(self.dims)
        if number > _MOST_CONFIGURATIONS:
            raise MemoryLimitError(
                f"the exact Renyi-2 entropy of a mixture over site orders sums over all "
                f"configurations, here about 1e{math.log10(number):.0f}, the limit is "
                f"{_MOST_CONFIGURATIONS}; estimate -ln of the mean of p(x) over draws, or ask "
                "each component"
            )
        squares = [
            np.exp(2.0 * self.log_likelihood(rows)).sum() for rows in configurations(self.dims)
        ]
        return -math.log(math.fsum(squares))

    def compressed(self, truncation: Truncation) -> MixtureModel:
        """Return the mixture with every component's bonds truncated."""
        small: list[Any] = []
        for first, component in zip(self._firsts(), self.components, strict=True):
            if first == len(small):
                small.append(component.compressed(truncation))
            else:
                small.append(replace(small[first], order=component.order))  # type: ignore[attr-defined]
        return replace(self, components=tuple(small))

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a file holds: JSON values, and arrays by name."""
        about: dict[str, Any] = {"model": "mixture", "weights": list(self.weights)}
        about["components"] = []
        arrays: dict[str, npt.NDArray[Any]] = {}
        for number, (first, component) in enumerate(
            zip(self._firsts(), self.components, strict=True)
        ):
            own, own_arrays = component.parts()
            if first != number:
                own, own_arrays = own | {"state_of": first}, {}
            about["components"].append(own)
            arrays |= {f"c{number}_{name}": array for name, array in own_arrays.items()}
        return about, arrays

    def _firsts(self) -> list[int]:
        """Return for each component the first that holds the same state, itself where none does."""
        seen: dict[int, int] = {}
        return [
            seen.setdefault(id(getattr(component, "state", component)), number)
            for number, component in enumerate(self.components)
        ]


def log_mean(
    logs: Sequence[npt.NDArray[np.float64]], weights: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return ln sum_c w_c exp(logs_c), elementwise and without overflow; -inf where all are."""
    stacked = np.stack(logs) + np.log(np.asarray(weights)).reshape(-1, *(1,) * logs[0].ndim)
    highest = stacked.max(axis=0)
    scale = np.where(np.isneginf(highest), 0.0, highest)
    with np.errstate(divide="ignore"):
        result: npt.NDArray[np.float64] = np.log(np.exp(stacked - scale).sum(axis=0)) + scale
    return result


def fitted_weights(
    logs: Sequence[npt.NDArray[np.float64]], *, steps: int = 500
) -> tuple[float, ...]:
    """Return the weights that maximise the mean log-likelihood of a mixture on held-out samples.

    logs: one array (sample,) of ln p_c(x) a component. Expectation maximisation (Dempster, Laird
    and Rubin, 1977) from equal weights; the problem is concave. Weights stay at least 1e-4, so
    that no component is lost to a small validation set. Samples impossible everywhere are left
    out.
    """
    stacked = np.stack(logs, axis=1)
    stacked = stacked[np.isfinite(stacked).any(axis=1)]
    weights = np.full(stacked.shape[1], 1.0 / stacked.shape[1])
    if len(stacked):
        likelihoods = np.exp(stacked - stacked.max(axis=1, keepdims=True))
        for _ in range(steps):
            shares = likelihoods * weights
            weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    weights = np.maximum(weights, 1e-4)
    return tuple(float(w) for w in weights / weights.sum())


def _completions(
    dims: tuple[int, ...], sample: npt.NDArray[Any], known: npt.NDArray[np.bool_]
) -> Samples:
    """Return every completion of one sample."""
    (free,) = np.nonzero(~known)
    values = np.concatenate(list(configurations([dims[f] for f in free])))
    whole = np.repeat(sample[None], len(values), axis=0)
    whole[:, free] = values
    return whole
