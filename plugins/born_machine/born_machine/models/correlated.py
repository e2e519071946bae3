"""A chain whose conditionals are mended by correlators: exact likelihoods and draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from born_machine.correlators import (
    Correlators,
    Plaquette,
    draw_on,
    log_conditionals,
    no_correlators,
)
from born_machine.curves import Order
from born_machine.data import Samples
from born_machine.models.mps import MPSModel
from born_machine.observables import MostProbable, PairTables
from tnkit import MPS, ArgumentError, SizeError, Truncation

__all__ = ["CorrelatedModel"]

_CHUNK = 1024  # samples at a time
_TOLD = ("places", "starts", "table")  # of a plaquette, in a file


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CorrelatedModel:
    """p(x) = prod_k p_k(x_k | x_<k) along a site order: a chain's conditionals and correlators.

    state, order, dims: as of `MPSModel`; correlators: of the sites, see `born_machine.correlators`.
    What is known must be the first sites of the order, or nothing, or all: anything else is summed
    over no longer, and questions that need it raise `ArgumentError`. The chain alone,
    `model.chain`, answers them all. What is impossible under the chain is only unlikely here: its
    conditionals are taken at 1e-12 at least. Made by `born_machine.correlate`.
    """

    state: MPS
    order: Order
    dims: tuple[int, ...]
    correlators: Correlators

    @property
    def chain(self) -> MPSModel:
        """The chain that the correlators mend."""
        return MPSModel(self.state, self.order, self.dims)

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.order)

    @property
    def parameters(self) -> int:
        """Number of stored numbers."""
        return self.chain.parameters + self.correlators.parameters

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """The bond dimensions along the chain."""
        return self.state.bond_dims

    def log_likelihood(
        self, samples: Samples, place: Callable[[Any], Any] = np.asarray
    ) -> npt.NDArray[np.float64]:
        """Return ln p(x) of checked samples (sample, feature), in nats."""
        logs: npt.NDArray[np.float64] = self._log_conditionals(samples, place).sum(axis=1)
        return logs

    def log_marginal(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return ln p(known part) of every sample whose known features are the first sites."""
        first = self._first_sites(known)
        logs = self._log_conditionals(np.where(known, samples, 0), np.asarray)
        logs[np.arange(self.features) >= first[:, None]] = 0.0
        total: npt.NDArray[np.float64] = logs.sum(axis=1)
        return total

    def sample(
        self, n: int, rng: np.random.Generator, place: Callable[[Any], Any] = np.asarray
    ) -> Samples:
        """Draw `n` samples (sample, feature), site after site."""
        if n < 0:
            raise ArgumentError(f"n must be 0 or more, got {n}")
        kind = np.uint8 if max(self.dims) <= 256 else np.int64
        nothing = np.zeros((n, self.features), dtype=kind)
        return self._drawn(nothing, np.zeros(n, dtype=np.int64), rng, place)

    def complete(
        self, samples: Samples, known: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        """Draw the unknown features of every sample whose known ones are the first sites."""
        return self._drawn(samples, self._first_sites(known), rng, np.asarray)

    def compressed(self, truncation: Truncation) -> CorrelatedModel:
        """Return the model with the chain's bonds truncated, the correlators as they are."""
        return replace(self, state=self.chain.compressed(truncation).state)

    def conditional_marginals(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> list[npt.NDArray[np.float64]]:
        """Raise `ArgumentError`: out of reach."""
        _out_of_reach("conditional marginals")

    def most_probable(
        self, samples: Samples, known: npt.NDArray[np.bool_], beam: int
    ) -> MostProbable:
        """Raise `ArgumentError`: out of reach."""
        _out_of_reach("the most probable completion")

    def marginals(self) -> list[npt.NDArray[np.float64]]:
        """Raise `ArgumentError`: out of reach."""
        _out_of_reach("marginals")

    def pair_marginals(self) -> PairTables:
        """Raise `ArgumentError`: out of reach."""
        _out_of_reach("marginals of pairs")

    def renyi2(self) -> float:
        """Raise `ArgumentError`: out of reach."""
        _out_of_reach("the Renyi-2 entropy")

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a file holds: JSON values, and arrays by name."""
        about, arrays = self.chain.parts()
        about |= {"model": "correlated", "plaquettes": len(self.correlators.plaquettes)}
        for name in ("scale", "bias", "pairs"):
            arrays[name] = getattr(self.correlators, name)
        for number, plaquette in enumerate(self.correlators.plaquettes):
            arrays |= {f"{name}_{number}": getattr(plaquette, name) for name in _TOLD}
        return about, arrays

    @classmethod
    def from_parts(
        cls, about: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> CorrelatedModel:
        """Take what `parts` gave out of `about` and return the model; raise ValueError or so."""
        numbers = range(about.pop("plaquettes"))
        plaquettes = [Plaquette(*(arrays[f"{name}_{n}"] for name in _TOLD)) for n in numbers]
        sites = {name: array for name, array in arrays.items() if name.startswith("site_")}
        chain = MPSModel.from_parts(about, sites)
        like = no_correlators(chain.state.site_dims, plaquettes)
        scale, bias, pairs = (arrays[name] for name in ("scale", "bias", "pairs"))
        wanted = (like.scale, like.bias, like.pairs)
        for was, now in zip(wanted, (scale, bias, pairs), strict=True):
            if was.shape != now.shape or not np.isfinite(now).all():
                raise SizeError(f"expected finite correlators {was.shape}, got {now.shape}")
        owner = np.repeat(np.arange(chain.features), like.bias.shape[1])
        if pairs[owner[:, None] <= owner].any():
            raise ArgumentError("a correlator reads a site that does not come before its own")
        for plaquette in plaquettes:
            _check_plaquette(plaquette, chain.features, max(chain.dims))
        found = replace(like, scale=scale, bias=bias, pairs=pairs)
        return cls(chain.state, chain.order, chain.dims, found)

    def _log_conditionals(
        self, samples: Samples, place: Callable[[Any], Any]
    ) -> npt.NDArray[np.float64]:
        arrays, correlators = [place(a) for a in self.state.arrays], self.correlators.placed(place)
        logs = np.empty(samples.shape)
        for start in range(0, len(samples), _CHUNK):
            rows = place(samples[start : start + _CHUNK, self.order])
            logs[start : start + _CHUNK] = _on_host(log_conditionals(arrays, correlators, rows))
        return logs

    def _drawn(
        self,
        samples: Samples,
        first: npt.NDArray[np.int64],
        rng: np.random.Generator,
        place: Callable[[Any], Any],
    ) -> Samples:
        arrays, correlators = [place(a) for a in self.state.arrays], self.correlators.placed(place)
        whole = np.empty_like(samples)
        for start in range(0, len(samples), _CHUNK):
            rows = slice(start, start + _CHUNK)
            given = samples[rows][:, self.order]
            uniform = rng.random(given.shape)
            sites = draw_on(arrays, correlators, place(given), place(first[rows]), place(uniform))
            whole[rows, self.order] = _on_host(sites)
        return whole

    def _first_sites(self, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return how many sites each sample knows, which must be the first."""
        along = known[:, self.order]
        first: npt.NDArray[np.int64] = along.sum(axis=1)
        scattered = (along != (np.arange(self.features) < first[:, None])).any(axis=1)
        if scattered.any():
            raise ArgumentError(
                f"sample {int(scattered.argmax())} has known features that are not the first of "
                "the site order; a model with correlators knows no other conditionals, its chain "
                "(model.chain) does"
            )
        return first


def _check_plaquette(plaquette: Plaquette, sites: int, most: int) -> None:
    """Raise where a plaquette reads what comes later, or outside of its table."""
    places, starts, table = plaquette.places, plaquette.starts, plaquette.table
    fits = len(places) == sites and starts.shape == (sites,)
    if not fits or table.shape[1:] not in ((most - 1,), (most,)):
        raise SizeError(
            f"expected plaquettes of {sites} sites with {most} values, got places {places.shape}, "
            f"starts {starts.shape}, a table {table.shape}"
        )
    if places.dtype.kind not in "iu" or starts.dtype.kind not in "iu":
        raise ArgumentError(f"expected whole numbers, got {places.dtype} and {starts.dtype}")
    missing = places == sites
    if ((places >= np.arange(sites)[:, None]) & ~missing | (places < 0)).any():
        raise ArgumentError("a correlator reads a site that does not come before its own")
    highest = np.where(missing, 0, most - 1) @ most ** np.arange(places.shape[1])
    if (starts < 0).any() or (starts + highest >= len(table)).any():
        raise ArgumentError("a correlator reads outside of its table")
    if not np.isfinite(table).all():
        raise ArgumentError("a correlator is not finite")


def _on_host(array: Any) -> npt.NDArray[Any]:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _out_of_reach(what: str) -> NoReturn:
    raise ArgumentError(
        f"{what} of a model with correlators: out of reach, as it sums over nothing but draws; ask "
        "its chain (model.chain), or average over draws"
    )
