"""The Born machine of a single matrix product state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from born_machine.completion import complete_chain, conditional_marginals
from born_machine.curves import Order
from born_machine.data import Samples
from born_machine.likelihood import log_likelihood
from born_machine.observables import (
    MostProbable,
    PairTables,
    log_marginals,
    most_probable_chain,
    pair_marginals,
    renyi2_entropy,
    site_marginals,
)
from born_machine.ordering import site_order
from tnkit import (
    MPS,
    Gauge,
    SizeError,
    Truncation,
    canonicalize,
    compress,
    entanglement_spectra,
    entropies,
    normalize,
    sample,
    verify,
)

__all__ = ["MPSModel", "log_likelihoods", "model_from_state"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MPSModel:
    """p(x) = |psi(x)|^2 / Z over features that stand at the sites in a stored order.

    state: double precision, norm one, centre at site 0. order: site k holds feature order[k].
    dims: values each feature takes, in feature order. Callers speak of features only.
    """

    state: MPS
    order: Order
    dims: tuple[int, ...]

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.order)

    @property
    def parameters(self) -> int:
        """Number of stored numbers."""
        return sum(int(np.prod(array.shape)) for array in self.state.arrays)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """The bond dimensions along the chain."""
        return self.state.bond_dims

    def log_likelihood(
        self, samples: Samples, place: Callable[[Any], Any] = np.asarray
    ) -> npt.NDArray[np.float64]:
        """Return ln p(x) of checked samples (sample, feature), in nats; -inf where p(x) = 0.

        place: puts an array where the work shall be done (a device).
        """
        return log_likelihoods(self.state, samples[:, self.order], place)

    def sample(
        self, n: int, rng: np.random.Generator, place: Callable[[Any], Any] = np.asarray
    ) -> Samples:
        """Draw `n` samples (sample, feature), all at once; place as in `log_likelihood`."""
        return self._to_features(sample(_placed(self.state, place), n, seed=rng))

    def complete(
        self, samples: Samples, known: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        """Draw the unknown features of every sample given its known ones."""
        drawn = complete_chain(self.state.arrays, samples[:, self.order], known[:, self.order], rng)
        return self._to_features(drawn)

    def conditional_marginals(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f | known part) of every feature: arrays (sample, values)."""
        tables = conditional_marginals(
            self.state.arrays, samples[:, self.order], known[:, self.order]
        )
        return [tables[site] for site in np.argsort(self.order)]

    def log_marginal(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return ln p(known part) of every sample, in nats; everything else is summed over.

        A sample that is known throughout costs O(bond^2) a site, one with gaps O(bond^3).
        """
        gaps = ~known.all(axis=1)
        logs = np.empty(len(samples))
        logs[~gaps] = self.log_likelihood(samples[~gaps])
        placed = samples[gaps][:, self.order], known[gaps][:, self.order]
        logs[gaps] = log_marginals(self.state.arrays, *placed)
        return logs

    def most_probable(
        self, samples: Samples, known: npt.NDArray[np.bool_], beam: int
    ) -> MostProbable:
        """Search the most probable completion of every sample, with a bound."""
        found = most_probable_chain(
            self.state.arrays, samples[:, self.order], known[:, self.order], beam=beam
        )
        return replace(found, samples=self._to_features(found.samples))

    def marginals(self) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f) of every feature."""
        tables = site_marginals(self.state.arrays)
        return [tables[site] for site in np.argsort(self.order)]

    def pair_marginals(self) -> PairTables:
        """Return p(x_f, x_g) of every pair f < g: tables (f, g)."""
        pairs = {}
        for (i, j), joint in pair_marginals(self.state.arrays).items():
            f, g = int(self.order[i]), int(self.order[j])
            pairs[min(f, g), max(f, g)] = joint if f < g else joint.T
        return pairs

    def entanglement(self) -> npt.NDArray[np.float64]:
        """Return the von Neumann entropy across each of the L - 1 bonds, in nats."""
        return np.asarray(entropies(self.state), dtype=np.float64)

    def spectra(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the Schmidt values across each of the L - 1 bonds, falling, sum s^2 = 1."""
        return entanglement_spectra(self.state)

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy of p in nats: -ln sum p^2."""
        return renyi2_entropy(self.state.arrays)

    def compressed(self, truncation: Truncation) -> MPSModel:
        """Return the model with its bonds truncated and its norm restored."""
        small = compress(self.state, truncation).state
        return model_from_state(small, self.order, self.dims)

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a file holds: JSON values, and arrays by name."""
        arrays = {f"site_{k}": array for k, array in enumerate(self.state.arrays)}
        return {"order": self.order.tolist(), "dims": list(self.dims)}, arrays

    @classmethod
    def from_parts(cls, about: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> MPSModel:
        """Take what `parts` gave out of `about` and return the model; raise ValueError or so."""
        state = MPS.from_arrays([arrays[f"site_{k}"] for k in range(len(arrays))])
        state = MPS(state.arrays, state.sites, Gauge(0, len(state) - 1))
        model = cls.in_order(state, about)
        verify(state)
        return model

    @classmethod
    def in_order(cls, state: MPS, about: dict[str, Any]) -> MPSModel:
        """Take order and dims out of `about` and return the model of `state`; raise as above."""
        return cls(state, *_features(state, np.asarray(about.pop("order")), about.pop("dims")))

    def _to_features(self, sites: Samples) -> Samples:
        features = np.empty_like(sites)
        features[:, self.order] = sites
        return features


def log_likelihoods(
    state: MPS, samples: Samples, place: Callable[[Any], Any]
) -> npt.NDArray[np.float64]:
    """Return ln p of samples (sample, site) under a state on the host, computed where `place` says.

    Bytes stay what they are, an eighth of the memory.
    """
    if samples.dtype.itemsize > 1:
        samples = samples.astype(np.int64)
    logs = log_likelihood(_placed(state, place), place(samples))
    return np.asarray(logs if isinstance(logs, np.ndarray) else logs.cpu(), dtype=np.float64)


def _placed(state: MPS, place: Callable[[Any], Any]) -> MPS:
    return MPS(tuple(map(place, state.arrays)), state.sites, state.gauge)


def model_from_state(state: MPS, order: Sequence[int] | Order, dims: Sequence[int]) -> MPSModel:
    """Return the model of a trained state: in double precision, canonical afresh, norm one.

    order: site k holds feature order[k]. dims: values each feature takes, in feature order.
    Raises as `site_order` and, where dims do not fit the sites, `SizeError`. Single-precision
    isometries are good to 1e-6 only; canonicalising again makes ln Z exact.
    """
    order, dims = _features(state, order, dims)
    kind = np.result_type(state.arrays[0].dtype, np.float64)
    exact = MPS.from_arrays([array.astype(kind) for array in state.arrays], sites=state.sites)
    return MPSModel(normalize(canonicalize(exact, 0)), order, dims)


def _features(
    state: MPS, order: Sequence[int] | Order, dims: Sequence[int]
) -> tuple[Order, tuple[int, ...]]:
    """Return order and dims as a model holds them; raise where they do not fit the state."""
    order, dims = site_order(order, len(state), None), tuple(int(d) for d in dims)
    if len(dims) != len(order):
        raise SizeError(f"the state has {len(order)} sites, dims name {len(dims)} features")
    for site, (feature, values) in enumerate(zip(order, state.site_dims, strict=True)):
        if dims[feature] != values:
            raise SizeError(
                f"site {site} of the state takes {values} values, "
                f"its feature {feature} takes {dims[feature]} by dims"
            )
    return order, dims
