"""BornMachine: the scikit-learn face of the model."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from born_machine.checkpoint import Checkpoint, record_from_json, record_to_json
from born_machine.data import Samples, as_array, check_samples, shift_reach, shifted_images
from born_machine.likelihood import standard_error
from born_machine.models.mps import MPSModel, load_model, model_from_state, save_model
from born_machine.observables import MostProbable
from born_machine.ordering import CANDIDATES, image_order, site_order
from born_machine.train import Settings, start_state, train
from tnkit import ArgumentError, ArgumentTypeError, SizeError, StepInfo, Truncation

__all__ = ["BornMachine"]

_SMALLEST_SPLIT = 500  # below this many samples, holding some out costs more than it tells


class BornMachine(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Generative model p(x) = |psi(x)|^2 / Z with psi a matrix product state.

    Trained by two-site sweeps with adaptive bond dimensions (Han et al., Phys. Rev. X 8, 031012,
    2018); likelihoods, samples and completions are exact. Features are integers from 0.

    Parameters
    ----------
    max_bond, sweeps, learning_rate, value_cutoff, cutoff, steps, patience, tolerance, start, dtype
        How to train: see `born_machine.train.Settings`. With validation data, training stops by
        the validation NLL and the best sweep's state is kept; else by the training NLL.
    image_shape : (height, width) or None
        Says that a flat row is an image. Three-dimensional input says so by itself.
    order : str or permutation
        Site order: "raster", "snake", "hilbert" on images; "given" (as the features come),
        "linkage", "path" (by mutual information) on any data; or a permutation. "auto" takes a
        curve on images (Hilbert, row by row on small ones) and elsewhere the best of the last
        three in a short run. Stored with the model; callers speak of features in their own order.
    augment : "auto", "none" or "shifts"
        "auto" trains on each image and its shifts by up to a fourteenth of its side (two pixels
        for 28 x 28, none for 8 x 8), fewer where that would make more than 20,000 images;
        "shifts" shifts by at least one pixel. Reported NLLs are always of the images as given.
    validation_fraction : float or "auto"
        Share held out at random; "auto" is 0.1 from 500 samples up and none below.
    levels : int, sequence or None
        Values a feature takes (one number or one a feature); None infers them from the data,
        at least 2.
    device : str
        "auto" (CUDA where there is a device, else CPU), "cpu", "cuda" or "cuda:N".
    random_state : int or None
        Seed of start, split and, by default, sampling. The same seed gives the same result on
        the same device.

    Attributes
    ----------
    model_ : the trained `MPSModel`. history_ : tuple of `SweepRecord`, entry 0 before training.
    best_sweep_ : which of them `model_` is. validation_rows_ : rows held out.
    n_features_in_, image_shape_, device_ : what was found in the data and on the machine.
    order_name_ : the site order used.
    shift_reach_ : pixels by which training images were shifted, 0 for not at all.

    Examples
    --------
    >>> from born_machine import BornMachine, bars_and_stripes
    >>> X = bars_and_stripes(3, 3)
    >>> machine = BornMachine(max_bond=8, image_shape=(3, 3), random_state=0).fit(X)
    >>> round(machine.score(X), 1), machine.sample(2).shape  # -ln 14 is -2.6
    (-2.6, (2, 9))
    """

    def __init__(
        self,
        max_bond: int = 50,
        sweeps: int = 15,
        *,
        learning_rate: float = 0.05,
        value_cutoff: float = 1e-3,
        cutoff: float = 0.0,
        steps: int = 1,
        patience: int = 3,
        tolerance: float = 1e-3,
        start: str = "random",
        dtype: str = "float32",
        image_shape: tuple[int, int] | None = None,
        order: str | Sequence[int] = "auto",
        augment: str = "auto",
        validation_fraction: float | str = "auto",
        levels: int | Sequence[int] | None = None,
        device: str = "auto",
        random_state: int | None = None,
    ) -> None:
        self.max_bond = max_bond
        self.sweeps = sweeps
        self.learning_rate = learning_rate
        self.value_cutoff = value_cutoff
        self.cutoff = cutoff
        self.steps = steps
        self.patience = patience
        self.tolerance = tolerance
        self.start = start
        self.dtype = dtype
        self.image_shape = image_shape
        self.order = order
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.levels = levels
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that inputs are counts from 0, without gaps."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        resume: Checkpoint | None = None,
        on_step: Callable[[int, StepInfo], None] | None = None,
        on_sweep: Callable[[Checkpoint], None] | None = None,
    ) -> Self:
        """Train on `X`: (sample, feature) integers or (sample, height, width) images.

        y is ignored. resume: a checkpoint of a run with the same data and parameters, which goes
        on exactly where it stopped. on_step, on_sweep: called after every bond and sweep. All is
        checked before any work is done: `ArgumentError`, `SizeError`, `ArgumentTypeError`.
        """
        _check_types(self)
        for name, call in (("on_step", on_step), ("on_sweep", on_sweep)):
            if call is not None and not callable(call):
                raise ArgumentTypeError(f"{name} must be a function, got {call!r}")
        if resume is not None and not isinstance(resume, Checkpoint):
            raise ArgumentTypeError(f"resume must be a Checkpoint, got {resume!r}")
        settings = self._settings()
        samples = check_samples(X)
        shape = np.shape(X)
        if len(shape) == 2:
            validate_data(self, X, skip_check_array=True)  # feature names, as scikit-learn keeps
        image_shape = _image_shape(self.image_shape, shape, samples.shape[1])
        site_order(self.order, samples.shape[1], image_shape, samples[:1])  # refuses a wrong one
        dims = _dims(self.levels, samples)
        device, place = _resolve_device(self.device)
        rng = _generator(self.random_state)
        held_out = _held_out(self.validation_fraction, len(samples), rng)

        kept = np.setdiff1d(np.arange(len(samples)), held_out)
        training = samples[kept]
        reach = self._shift_reach(image_shape, len(training))
        fuel = shifted_images(training, image_shape, reach) if image_shape else training
        with threadpool_limits(limits=_threads(settings.max_bond), user_api="blas"):
            self.order_name_, order = self._choose_order(
                training, samples[held_out], dims, settings, image_shape
            )
        site_dims = tuple(dims[feature] for feature in order)
        with threadpool_limits(limits=_threads(settings.max_bond), user_api="blas"):
            result = train(
                training[:, order],
                samples[held_out][:, order] if len(held_out) else None,
                site_dims,
                settings,
                start=resume or start_state(fuel[:, order], site_dims, settings, rng),
                augmented=fuel[:, order] if reach else None,
                place=place,
                on_step=on_step,
                on_sweep=on_sweep,
            )
            self.model_ = model_from_state(result.best, order, dims)
        self.history_ = result.history
        self.best_sweep_ = result.best_sweep
        self.validation_rows_ = held_out
        self.n_features_in_ = samples.shape[1]
        self.image_shape_ = image_shape
        self.shift_reach_ = reach
        self.device_ = device
        return self

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """Return ln p(x) of every sample, in nats, in double precision; -inf where p(x) = 0.

        `SizeError` for a wrong number of features, `ArgumentError` for values the model does not
        know. Cost O(samples sites bond^2).
        """
        model = self._fitted()
        samples = check_samples(X, features=model.features, dims=model.dims)
        if np.ndim(X) == 2:
            validate_data(self, X, skip_check_array=True, reset=False)
        return model.log_likelihood(samples, _resolve_device(self.device)[1])

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood in nats a sample (minus the NLL); y is ignored."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> Samples:
        """Draw `n_samples` independent samples (sample, feature) from p, exactly."""
        return self._fitted().sample(n_samples, self._rng(random_state))

    def log_marginal(self, X: Any, known: Any) -> npt.NDArray[np.float64]:
        """Return ln p(known features) of every row, in nats; all others are summed over exactly.

        X, known: as for `complete`. -inf where the known part is impossible. The conditional
        ln p(a | b) is log_marginal(X, a or b) - log_marginal(X, b).
        """
        samples, mask = self._masked(X, known)
        return self._fitted().log_marginal(samples, mask)

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

        The diagonal holds the entropies. Cost O(features^2 levels bond^3).
        """
        return self._fitted().mutual_information()

    def entanglement(self) -> npt.NDArray[np.float64]:
        """Return the von Neumann entropy of |psi> across every bond of the chain, in nats."""
        return self._fitted().entanglement()

    def entropy(
        self, n_samples: int = 1000, random_state: int | None = None
    ) -> tuple[float, float]:
        """Return the Shannon entropy of p in nats, estimated from draws, and its standard error."""
        model = self._fitted()
        samples = model.sample(n_samples, self._rng(random_state))
        if not len(samples):
            raise ArgumentError(f"n_samples must be at least 1, got {n_samples}")
        logs = model.log_likelihood(samples)
        return -float(logs.mean()), standard_error(logs)

    def renyi2(self) -> float:
        """Return the Renyi-2 entropy -ln sum p^2 in nats, exactly; bond^5 work, bond^4 memory."""
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

    def _masked(self, X: Any, known: Any) -> tuple[Samples, npt.NDArray[np.bool_]]:
        model = self._fitted()
        values = as_array(X)
        values = values.reshape(len(values), -1) if values.ndim == 3 else values
        if values.ndim != 2 or values.shape[1] != model.features:
            raise SizeError(f"expected samples (sample, {model.features}), got shape {np.shape(X)}")
        mask = as_array(known)
        if mask.dtype != np.bool_:
            raise ArgumentTypeError(f"known must be boolean (True = given), got {mask.dtype}")
        if mask.size == model.features:
            mask = np.broadcast_to(mask.reshape(1, -1), values.shape)
        elif mask.size == values.size:
            mask = mask.reshape(values.shape)
        else:
            raise SizeError(
                f"known has shape {np.shape(known)}; expected one mask of {model.features} "
                f"features or one for each of {len(values)} samples"
            )
        return check_samples(np.where(mask, values, 0), dims=model.dims), mask

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trained machine to one file, atomically, without pickle."""
        model = self._fitted()
        parameters = self.get_params()
        if not isinstance(self.order, str):
            parameters["order"] = [int(k) for k in self.order]
        if isinstance(self.levels, Sequence):
            parameters["levels"] = [int(d) for d in self.levels]
        about = {
            "parameters": parameters,
            "history": [record_to_json(record) for record in self.history_],
            "best_sweep": self.best_sweep_,
            "image_shape": self.image_shape_,
            "order_name": self.order_name_,
            "shift_reach": self.shift_reach_,
            "validation_rows": [int(row) for row in self.validation_rows_],
            "trained_on": self.device_,
        }
        save_model(path, model, about)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote. Raises `FormatError` or OSError."""
        from tnkit import FormatError

        model, about = load_model(path)
        try:
            parameters = dict(about["parameters"])
            for name in ("image_shape", "levels"):
                if isinstance(parameters[name], list):
                    parameters[name] = tuple(parameters[name])
            machine = cls(**parameters)
            machine.history_ = tuple(map(record_from_json, about["history"]))
            machine.best_sweep_ = int(about["best_sweep"])
            shape = about["image_shape"]
            machine.image_shape_ = None if shape is None else (int(shape[0]), int(shape[1]))
            machine.order_name_ = str(about["order_name"])
            machine.shift_reach_ = int(about["shift_reach"])
            machine.validation_rows_ = np.asarray(about["validation_rows"], dtype=np.intp)
            machine.device_ = str(about["trained_on"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"{os.fspath(path)}: not a Born machine ({error})") from None
        machine.model_ = model
        machine.n_features_in_ = model.features
        return machine

    def _fitted(self) -> MPSModel:
        if not hasattr(self, "model_"):
            raise NotFittedError("this BornMachine is not trained yet; call fit first")
        model: MPSModel = self.model_
        return model

    def _rng(self, random_state: int | None) -> np.random.Generator:
        return _generator(self.random_state if random_state is None else random_state)

    def _settings(self) -> Settings:
        return Settings(
            max_bond=self.max_bond,
            value_cutoff=self.value_cutoff,
            cutoff=self.cutoff,
            learning_rate=self.learning_rate,
            steps=self.steps,
            sweeps=self.sweeps,
            patience=self.patience,
            tolerance=self.tolerance,
            start=self.start,
            dtype=self.dtype,
        )

    def _choose_order(
        self,
        training: Samples,
        validation: Samples,
        dims: tuple[int, ...],
        settings: Settings,
        image_shape: tuple[int, int] | None,
    ) -> tuple[str, npt.NDArray[np.intp]]:
        """Return the name and permutation of the site order; "auto" without an image tries all.

        Each candidate trains for three sweeps at a bond of at most 8; the lowest NLL wins, on
        validation samples where there are any. At most 2,000 training samples are used.
        """
        if self.order != "auto" or image_shape is not None:
            name = self.order if isinstance(self.order, str) else "permutation"
            if self.order == "auto" and image_shape is not None:
                name = image_order(image_shape)
            return name, site_order(self.order, training.shape[1], image_shape, training)
        if training.shape[1] < 3:
            return "given", np.arange(training.shape[1])
        short = replace(settings, max_bond=min(8, settings.max_bond), sweeps=3, patience=0)
        trials = {}
        for name in CANDIDATES:
            order = site_order(name, training.shape[1], None, training)
            part = training[:2000][:, order]
            site_dims = tuple(dims[feature] for feature in order)
            start = start_state(part, site_dims, short, np.random.default_rng(0))
            result = train(
                part,
                validation[:, order] if len(validation) else None,
                site_dims,
                short,
                start=start,
            )
            trials[name] = (result.history[result.best_sweep].watched, order)
        name = min(trials, key=lambda candidate: trials[candidate][0])
        return name, trials[name][1]

    def _shift_reach(self, image_shape: tuple[int, int] | None, samples: int) -> int:
        if self.augment not in ("auto", "none", "shifts"):
            raise ArgumentError(f"augment must be auto, none or shifts, got {self.augment!r}")
        if self.augment == "shifts" and image_shape is None:
            raise ArgumentError("augment='shifts' needs images; give image_shape=(height, width)")
        if self.augment == "none" or image_shape is None:
            return 0
        reach = shift_reach(image_shape, samples)
        return max(1, reach) if self.augment == "shifts" else reach


_KINDS: dict[str, tuple[Any, str]] = {
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
    "str": (str, "a string"),
}


def _check_types(machine: BornMachine) -> None:
    """Hold the parameters against the annotations of the constructor, which takes anything."""
    for name, hint in BornMachine.__init__.__annotations__.items():
        kind, words = _KINDS.get(hint, (object, ""))
        value = getattr(machine, name, None)
        if name != "return" and words and (isinstance(value, bool) or not isinstance(value, kind)):
            raise ArgumentTypeError(f"{name} must be {words}, got {value!r}")


def _generator(random_state: int | None) -> np.random.Generator:
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if random_state is not None and not (whole and random_state >= 0):
        raise ArgumentError(f"random_state must be a whole number from 0 up, got {random_state!r}")
    return np.random.default_rng(random_state)


def _image_shape(
    given: tuple[int, int] | None, shape: tuple[int, ...], features: int
) -> tuple[int, int] | None:
    found = (shape[1], shape[2]) if len(shape) == 3 else None
    if given is None:
        return found
    sides = tuple(given) if isinstance(given, Sequence) else ()
    if len(sides) != 2 or not all(isinstance(s, int | np.integer) and s > 0 for s in sides):
        raise ArgumentError(f"image_shape must be (height, width), got {given!r}")
    if found is not None and found != sides:
        raise SizeError(f"the images are {found[0]} x {found[1]}, image_shape says {given}")
    if sides[0] * sides[1] != features:
        raise SizeError(
            f"image_shape {given} has {sides[0] * sides[1]} pixels, the data {features} features"
        )
    return (int(sides[0]), int(sides[1]))


def _dims(levels: int | Sequence[int] | None, samples: Samples) -> tuple[int, ...]:
    found = samples.max(axis=0).astype(int) + 1
    if levels is None:
        return tuple(int(d) for d in np.maximum(found, 2))
    dims = as_array(levels)
    if dims.dtype.kind not in "iu" or dims.ndim > 1 or (dims.ndim and len(dims) != len(found)):
        raise ArgumentError(
            f"levels must be a whole number or one for each of {len(found)} features, "
            f"got {levels!r}"
        )
    dims = np.broadcast_to(dims, found.shape)
    if dims.max() > 2**16:
        raise ArgumentError(f"levels must be at most {2**16:,}, got {levels!r}")
    if (dims < found).any():
        feature = int(np.flatnonzero(dims < found)[0])
        raise ArgumentError(
            f"feature {feature} holds the value {found[feature] - 1}, but levels allows "
            f"0 to {int(dims[feature]) - 1}"
        )
    return tuple(int(d) for d in dims)


def _held_out(
    fraction: float | str, samples: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    if isinstance(fraction, str) and fraction == "auto":
        share = 0.1 if samples >= _SMALLEST_SPLIT else 0.0
    elif isinstance(fraction, int | float) and not isinstance(fraction, bool):
        share = float(fraction)
    else:
        share = -1.0
    if not 0.0 <= share < 1.0:
        raise ArgumentError(
            f"validation_fraction must lie in [0, 1) or be 'auto', got {fraction!r}"
        )
    count = min(round(share * samples), samples - 1)
    return np.sort(rng.permutation(samples)[:count])


def _threads(max_bond: int) -> int | None:
    """Return how many BLAS threads to use: two on matrices this small are slower than one."""
    return 1 if max_bond <= 128 else None


def _resolve_device(device: str) -> tuple[str, Callable[[Any], Any]]:
    """Return the device's name and what puts a NumPy array there (NumPy itself on the CPU)."""
    if device == "cpu":
        return "cpu", np.asarray
    if not isinstance(device, str) or not (device == "auto" or device.split(":")[0] == "cuda"):
        raise ArgumentError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    import torch

    if device == "auto" and not torch.cuda.is_available():
        return "cpu", np.asarray
    name = "cuda" if device == "auto" else device
    number = name.partition(":")[2]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (number and not number.isdigit()) or int(number or 0) >= count:
        raise ArgumentError(f"device {device!r} is not here: this machine has {count} CUDA devices")
    return name, lambda array: torch.as_tensor(np.ascontiguousarray(array), device=name)
