"""What every model answers, whatever it is made of; and answers that follow from those."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from born_machine.completion import refuse_impossible
from born_machine.data import Samples
from born_machine.observables import MostProbable, PairTables
from tnkit import ArgumentError, ArgumentTypeError, MemoryLimitError, Truncation

__all__ = ["Model", "configurations", "expectation", "joint_marginal", "log_conditional"]

_LARGEST = 2**31  # bytes of a table
_ROWS = 4096  # configurations looked at at a time


class Model(Protocol):
    """An exact distribution over integer features; all in the features' own order, in nats.

    A new kind of model is one file in this folder with a class of these members, and one row in
    `born_machine.models.storage`; scoring, sampling, completion, saving and the estimator's
    questions then work for it; what is out of its reach raises `ArgumentError`. samples: (sample,
    feature) integers, checked by the caller; known: boolean of that shape, True = given.
    """

    @property
    def dims(self) -> tuple[int, ...]:
        """Values each feature takes."""

    @property
    def features(self) -> int:
        """Number of features."""

    @property
    def parameters(self) -> int:
        """Number of stored numbers."""

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """All bond dimensions, for reports."""

    def log_likelihood(
        self, samples: Samples, place: Callable[[Any], Any] = np.asarray
    ) -> npt.NDArray[np.float64]:
        """Return ln p(x) of every sample; -inf where p(x) = 0."""

    def log_marginal(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return ln p(known part) of every sample, all else summed over."""

    def sample(
        self, n: int, rng: np.random.Generator, place: Callable[[Any], Any] = ...
    ) -> Samples:
        """Draw `n` independent samples."""

    def complete(
        self, samples: Samples, known: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        """Draw the unknown features of every sample given its known ones."""

    def conditional_marginals(
        self, samples: Samples, known: npt.NDArray[np.bool_]
    ) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f | known part) of every feature: arrays (sample, values of f)."""

    def most_probable(
        self, samples: Samples, known: npt.NDArray[np.bool_], beam: int
    ) -> MostProbable:
        """Search the most probable completion of every sample, with a bound."""

    def marginals(self) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f) of every feature."""

    def pair_marginals(self) -> PairTables:
        """Return p(x_f, x_g) of every pair f < g: tables (f, g)."""

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy -ln sum p^2, exactly, or raise where that is out of reach."""

    def compressed(self, truncation: Truncation) -> Self:
        """Return the model with its bonds truncated, normalised again."""

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a file holds: JSON values, and arrays by name."""


def configurations(dims: Sequence[int]) -> Iterator[Samples]:
    """Yield all configurations (some, feature) of features that take so many values, in order.

    The last feature changes fastest; at most 2^63 configurations, 4,096 at a time.
    """
    number = math.prod(dims)
    periods = np.cumprod((1, *dims[:0:-1]))[::-1]
    for start in range(0, number, _ROWS):
        rows = np.arange(start, min(start + _ROWS, number))[:, None]
        yield rows // periods % np.array(dims, dtype=np.int64)


def joint_marginal(model: Model, features: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return p(x_f, x_g, ...) of a few features as an array (values of f, values of g, ...).

    Exact. Raises `ArgumentError` for a feature that is not there or named twice,
    `ArgumentTypeError` for what is no whole number, and `MemoryLimitError` before the array would
    take more than 2 GiB. Cost: one `log_marginal` for each of the entries.
    """
    try:
        chosen = [operator.index(f) for f in features]
    except TypeError:
        raise ArgumentTypeError(f"features must be whole numbers, got {list(features)}") from None
    wrong = [f for f in chosen if not 0 <= f < model.features]
    if wrong or len(set(chosen)) != len(chosen):
        raise ArgumentError(
            f"features must be different numbers from 0 to {model.features - 1}, "
            f"got {list(features)}"
        )
    shape = tuple(model.dims[f] for f in chosen)
    if 8 * math.prod(shape) > _LARGEST:
        raise MemoryLimitError(
            f"the joint marginal of {len(chosen)} features has {math.prod(shape):,} entries, more "
            f"than {_LARGEST} bytes; ask for fewer features, or estimate from samples"
        )
    logs = []
    for values in configurations(shape):
        samples = np.zeros((len(values), model.features), dtype=np.int64)
        samples[:, chosen] = values
        known = np.zeros(samples.shape, dtype=bool)
        known[:, chosen] = True
        logs.append(model.log_marginal(samples, known))
    return np.exp(np.concatenate(logs)).reshape(shape)


def log_conditional(
    model: Model,
    samples: Samples,
    wanted: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Return ln p(wanted part | known part) of every sample, all else summed over, exactly.

    `ArgumentError` names the samples whose known part is impossible.
    """
    evidence = model.log_marginal(samples, known)
    refuse_impossible(evidence > -np.inf)
    return model.log_marginal(samples, wanted | known) - evidence


def expectation(model: Model, functions: Mapping[tuple[int, ...], Any]) -> float:
    """Return the mean of a sum of local functions under p, exactly.

    functions: for each tuple of features (f, g, ...) a table (values of f, values of g, ...).
    """
    total = 0.0
    for features, table in functions.items():
        joint = joint_marginal(model, features)
        values = np.asarray(table, dtype=np.float64)
        if values.shape != joint.shape:
            raise ArgumentError(
                f"the function of features {features} must be a table of shape {joint.shape}, "
                f"got {values.shape}"
            )
        total += float((joint * values).sum())
    return total
