"""The Born machine of a single matrix product state."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from born_machine.completion import complete_chain
from born_machine.curves import Order
from born_machine.data import Samples
from born_machine.likelihood import log_likelihood
from born_machine.observables import (
    MostProbable,
    log_marginals,
    most_probable_chain,
    pair_marginals,
    renyi2_entropy,
    site_marginals,
)
from born_machine.ordering import site_order
from tnkit import (
    MPS,
    FormatError,
    Gauge,
    Truncation,
    canonicalize,
    compress,
    entropy,
    normalize,
    read_archive,
    sample,
    verify,
    write_archive,
)

__all__ = ["KIND", "MPSModel", "load_model", "model_from_state", "save_model"]

KIND = "born-machine"


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

    def log_likelihood(
        self, samples: Samples, place: Callable[[Any], Any] = np.asarray
    ) -> npt.NDArray[np.float64]:
        """Return ln p(x) of checked samples (sample, feature), in nats; -inf where p(x) = 0.

        place: puts an array where the work shall be done (a device).
        """
        sites = place(np.ascontiguousarray(samples[:, self.order]).astype(np.int64))
        state = MPS(tuple(map(place, self.state.arrays)), self.state.sites, self.state.gauge)
        logs = log_likelihood(state, sites)
        return np.asarray(logs if isinstance(logs, np.ndarray) else logs.cpu(), dtype=np.float64)

    def sample(self, n: int, rng: np.random.Generator) -> Samples:
        """Draw `n` samples (sample, feature), all at once."""
        return self._to_features(sample(self.state, n, seed=rng))

    def complete(
        self, samples: Samples, known: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        """Draw the unknown features of every sample given its known ones."""
        drawn = complete_chain(self.state.arrays, samples[:, self.order], known[:, self.order], rng)
        return self._to_features(drawn)

    def log_marginal(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return ln p(known part) of every sample, in nats; everything else is summed over."""
        return log_marginals(self.state.arrays, samples[:, self.order], known[:, self.order])

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

    def mutual_information(self) -> npt.NDArray[np.float64]:
        """Return I(f; g) in nats between all pairs of features; H(f) on the diagonal."""
        single = self.marginals()
        result = np.zeros((self.features, self.features))
        for feature, p in enumerate(single):
            result[feature, feature] = -(p[p > 0] * np.log(p[p > 0])).sum()
        for (i, j), joint in pair_marginals(self.state.arrays).items():
            f, g = self.order[i], self.order[j]
            there = joint > 1e-300
            ratio = joint[there] / np.outer(single[f], single[g])[there]
            result[f, g] = result[g, f] = max(0.0, float((joint[there] * np.log(ratio)).sum()))
        return result

    def entanglement(self) -> npt.NDArray[np.float64]:
        """Return the von Neumann entropy across each of the L - 1 bonds, in nats."""
        psi = self.state
        values = []
        for bond in range(len(psi) - 1):  # the centre walks along: one QR and one SVD a bond
            psi = canonicalize(psi, bond)
            values.append(entropy(psi, bond))
        return np.array(values)

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy of p in nats: -ln sum p^2."""
        return renyi2_entropy(self.state.arrays)

    def compressed(self, truncation: Truncation) -> MPSModel:
        """Return the model with its bonds truncated and its norm restored."""
        small = compress(self.state, truncation).state
        return model_from_state(small, self.order, self.dims)

    def _to_features(self, sites: Samples) -> Samples:
        features = np.empty_like(sites)
        features[:, self.order] = sites
        return features


def model_from_state(state: MPS, order: Order, dims: tuple[int, ...]) -> MPSModel:
    """Return the model of a trained state: in double precision, canonical afresh, norm one.

    Single-precision isometries are good to 1e-6 only; canonicalising again makes ln Z exact.
    """
    kind = np.result_type(state.arrays[0].dtype, np.float64)
    exact = MPS.from_arrays([array.astype(kind) for array in state.arrays], sites=state.sites)
    return MPSModel(normalize(canonicalize(exact, 0)), order, dims)


def save_model(path: str | os.PathLike[str], model: MPSModel, metadata: Mapping[str, Any]) -> None:
    """Write the model and JSON `metadata` as one archive, atomically."""
    arrays = {f"site_{k}": array for k, array in enumerate(model.state.arrays)}
    about = {"order": model.order.tolist(), "dims": list(model.dims), **metadata}
    write_archive(path, KIND, about, arrays)


def load_model(path: str | os.PathLike[str]) -> tuple[MPSModel, dict[str, Any]]:
    """Return the model and metadata of a file; raise `FormatError` where it is not one."""
    metadata, arrays = read_archive(path, KIND)
    try:
        state = MPS.from_arrays([arrays[f"site_{k}"] for k in range(len(arrays))])
        order = site_order(np.asarray(metadata.pop("order")), len(state), None)
        dims = tuple(int(d) for d in metadata.pop("dims"))
        if tuple(dims[feature] for feature in order) != state.site_dims:
            raise ValueError("its value counts do not fit its arrays")
        state = MPS(state.arrays, state.sites, Gauge(0, len(state) - 1))
        verify(state)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FormatError(f"{os.fspath(path)}: not a Born machine ({error})") from None
    return MPSModel(state, order, dims), metadata
