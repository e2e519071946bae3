"""The questions a trained machine answers, whatever its model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from born_machine.data import Samples, as_array
from born_machine.inputs import generator, read_samples, resolve_device
from born_machine.likelihood import standard_error
from born_machine.models.mps import MPSModel
from born_machine.models.protocol import Model, expectation, joint_marginal, log_conditional
from born_machine.observables import MostProbable, mutual_information
from tnkit import ArgumentError, ArgumentTypeError, SizeError, Truncation

__all__ = ["Answers"]


class Answers:
    """Exact answers of `model_`, a trained model, about samples in the features' own order."""

    model_: Model
    device: str
    missing: str
    random_state: int | None

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """Return ln p(x) of every sample, in nats, in double precision; -inf where p(x) = 0.

        `SizeError` for a wrong number of features, `ArgumentError` for values the model does not
        know. With missing="marginalise", NaN and -1 are summed over, exactly, and no error. Cost
        O(samples sites bond^2), with gaps O(samples sites bond^3).
        """
        model = self._fitted()
        samples = read_samples(X, self.missing, features=model.features, dims=model.dims)
        if np.ndim(X) == 2:
            validate_data(self, X, skip_check_array=True, reset=False)
        known = samples >= 0
        if not known.all():
            return model.log_marginal(np.where(known, samples, 0), known)
        return model.log_likelihood(samples, resolve_device(self.device)[1])

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood in nats a sample (minus the NLL); y is ignored."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> Samples:
        """Draw `n_samples` independent samples (sample, feature) from p, exactly."""
        _, place = resolve_device(self.device)
        return self._fitted().sample(n_samples, self._rng(random_state), place)

    def log_marginal(self, X: Any, known: Any) -> npt.NDArray[np.float64]:
        """Return ln p(known features) of every row, in nats; all others are summed over exactly.

        X, known: as for `complete`. -inf where the known part is impossible. The conditional
        ln p(a | b) is log_marginal(X, a or b) - log_marginal(X, b).
        """
        samples, mask = self._masked(X, known)
        return self._fitted().log_marginal(samples, mask)

    def log_conditional(self, X: Any, wanted: Any, known: Any) -> npt.NDArray[np.float64]:
        """Return ln p(wanted features | known features) of every row, in nats, exactly.

        X, known: as for `complete`; wanted: a mask likewise, whose features are read from X too.
        `ArgumentError` names rows whose known part is impossible.
        """
        _, asked = self._masked(X, wanted)
        _, given = self._masked(X, known)
        samples, _ = self._masked(X, asked | given)
        return log_conditional(self._fitted(), samples, asked, given)

    def joint_marginal(self, features: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return p(x_f, x_g, ...) of a few features: an array with an axis of values for each."""
        return joint_marginal(self._fitted(), features)

    def expectation(self, functions: Mapping[tuple[int, ...], Any]) -> float:
        """Return the mean under p of a sum of local functions, exactly.

        functions: for each tuple of features (f, g, ...) a table (values of f, values of g, ...).
        """
        return expectation(self._fitted(), functions)

    def most_probable(self, X: Any, known: Any, *, beam: int = 64) -> MostProbable:
        """Return the most probable completion of every row found by a beam search, with a bound.

        X, known: as for `complete`. Where `.exact` holds the completion is proved best; a wider
        `beam` proves more. With nothing known it is the mode of the distribution.
        """
        samples, mask = self._masked(X, known)
        return self._fitted().most_probable(samples, mask, beam)

    def marginals(self) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f) of every feature, one array of its values each."""
        return self._fitted().marginals()

    def mutual_information(self) -> npt.NDArray[np.float64]:
        """Return the mutual information of all pairs of features under p, in nats.

        The diagonal holds the entropies. Cost O(features^2 levels^2 bond^3).
        """
        model = self._fitted()
        return mutual_information(model.marginals(), model.pair_marginals())

    def entanglement(self) -> npt.NDArray[np.float64]:
        """Return the von Neumann entropy of |psi> across every bond of the chain, in nats."""
        return self._chain().entanglement()

    def spectra(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the Schmidt values of psi across every bond of the chain, falling, sum s^2 = 1."""
        return self._chain().spectra()

    def _chain(self) -> MPSModel:
        model = self._fitted()
        if not isinstance(model, MPSModel):
            raise ArgumentError(
                "a mixture has no one chain, and one mended by correlators is not all there is to "
                "its model; ask each: [c.entanglement() for c in machine.model_.components], "
                "machine.model_.chain.entanglement()"
            )
        return model

    def entropy(
        self, n_samples: int = 1000, random_state: int | None = None
    ) -> tuple[float, float]:
        """Return the Shannon entropy of p in nats, estimated from draws, and its standard error."""
        logs = self._logs_of_draws(n_samples, random_state)
        return -float(logs.mean()), standard_error(logs)

    def anomaly_score(
        self, X: Any, n_samples: int = 1000, random_state: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Return how far each row's -ln p(x) lies above that of the model's own draws.

        In standard deviations of -ln p over `n_samples` draws: about 0 for what the model would
        draw itself, large for what it would not, inf for the impossible. A plain -ln p is
        `-score_samples(X)`.
        """
        own = -self._logs_of_draws(n_samples, random_state)
        scores: npt.NDArray[np.float64] = -self.score_samples(X) - own.mean()
        return scores / max(float(own.std()), 1e-12)

    def _logs_of_draws(self, n_samples: int, random_state: int | None) -> npt.NDArray[np.float64]:
        """Return ln p of draws of the model's own; `ArgumentError` where there are none."""
        model = self._fitted()
        samples = model.sample(n_samples, self._rng(random_state))
        if not len(samples):
            raise ArgumentError(f"n_samples must be at least 1, got {n_samples}")
        return model.log_likelihood(samples)

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy -ln sum p^2 in nats, exactly; bond^5 work, bond^4 memory.

        `MemoryLimitError` where that is too much, and for a mixture of more than 2^20
        configurations.
        """
        return self._fitted().renyi2()

    def compressed(self, truncation: Truncation) -> Self:
        """Return this machine with its bonds truncated, normalised again.

        What that does to the NLL is `other.score(X) - self.score(X)`, exact on both sides.
        """
        other = copy(self)
        other.model_ = self._fitted().compressed(truncation)
        return other

    def complete(self, X: Any, known: Any, random_state: int | None = None) -> Samples:
        """Draw the unknown features of every row from p(unknown | known), exactly.

        X: samples, read where `known` is True (other entries may hold any whole number). known:
        boolean, one mask (feature,) or (height, width) for all rows or one a row, any pattern.
        Returns whole samples (sample, feature). Raises `ArgumentError` where the known part of a
        row has probability zero.
        """
        samples, mask = self._masked(X, known)
        return self._fitted().complete(samples, mask, self._rng(random_state))

    def conditional_marginals(self, X: Any, known: Any) -> list[npt.NDArray[np.float64]]:
        """Return p(x_f | known features) of every feature and row, exactly: what draws average to.

        X, known and errors: as for `complete`. One array (row, values of f) a feature, rows summing
        to one; a known feature has its own value with certainty. For binary features
        `np.stack([table[:, 1] for table in tables], axis=1)` is the mean completion.
        """
        samples, mask = self._masked(X, known)
        return self._fitted().conditional_marginals(samples, mask)

    def _masked(self, X: Any, known: Any) -> tuple[Samples, npt.NDArray[np.bool_]]:
        model = self._fitted()
        values = as_array(X)
        sides = values.shape[1:]
        values = values.reshape(len(values), -1) if values.ndim == 3 else values
        if values.ndim != 2 or values.shape[1] != model.features:
            raise SizeError(f"expected samples (sample, {model.features}), got shape {np.shape(X)}")
        mask = as_array(known)
        if mask.dtype != np.bool_:
            raise ArgumentTypeError(f"known must be boolean (True = given), got {mask.dtype}")
        each = mask.shape[:1] == values.shape[:1] and _one_sample(mask.shape[1:], sides)
        if not each and not _one_sample(mask.shape, sides):
            raise SizeError(
                f"known has shape {mask.shape}; expected one mask of {model.features} features, "
                f"(feature,) or (height, width), or one for each of {len(values)} samples"
            )
        mask = np.broadcast_to(mask.reshape(-1, model.features), values.shape)
        samples = read_samples(np.where(mask, values, 0), self.missing, dims=model.dims)
        mask = mask & (samples >= 0)  # a gap is not known
        samples = np.where(mask, samples, 0)
        kind = np.uint8 if max(model.dims) <= 256 else np.int64  # answers are written into it
        return samples.astype(kind, copy=False), mask

    def _fitted(self) -> Model:
        if not hasattr(self, "model_"):
            raise NotFittedError("this BornMachine is not trained yet; call fit first")
        return self.model_

    def _rng(self, random_state: int | None) -> np.random.Generator:
        return generator(self.random_state if random_state is None else random_state)


def _one_sample(shape: tuple[int, ...], sides: tuple[int, ...]) -> bool:
    """Say whether a mask of this shape fits a sample of shape (feature,) or (height, width)."""
    if len(shape) == len(sides):
        return shape == sides
    return len(shape) in (1, 2) and math.prod(shape) == math.prod(sides)
