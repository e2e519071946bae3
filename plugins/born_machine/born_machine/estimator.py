"""BornMachine: the scikit-learn face of the model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields, replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, clone
from sklearn.utils.validation import validate_data

from born_machine.answers import Answers
from born_machine.augment import ImageShifts, without_gaps
from born_machine.checkpoint import AnyCheckpoint, record_from_json, record_to_json
from born_machine.curves import Order, shifts_round_the_edge
from born_machine.data import Samples, shift_reach, shifted_images
from born_machine.fitting import (
    Plan,
    chain_weights,
    chains_of,
    check_resumed,
    first_starts,
    fit_chains,
    footprint_of,
    held_out_rows,
    one_more_sweep,
    starts_from,
    with_states,
)
from born_machine.inputs import (
    generator,
    image_shape_of,
    read_samples,
    resolve_device,
    thread_limit,
    value_counts,
)
from born_machine.mending import correlate
from born_machine.mixing import WEIGHTS, mixture_weights
from born_machine.models.protocol import Model
from born_machine.models.storage import load_model, save_model
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import SCHEDULES, STARTS, Schedule, Settings, plain_schedule
from born_machine.train import Augment
from born_machine.trials import OnTrial, choose_orders
from tnkit import ArgumentError, FormatError, StepInfo, checked, threads

__all__ = ["BornMachine"]

_MOST_MACHINES = 2**16
AUGMENT = ("auto", "none", "shifts", "random-shifts")


class BornMachine(Answers, DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Generative model p(x) = |psi(x)|^2 / Z with psi a matrix product state.

    Trained by two-site sweeps with adaptive bond dimensions (Han et al., Phys. Rev. X 8, 031012,
    2018); likelihoods, samples and completions are exact. Features are integers from 0.

    Parameters
    ----------
    max_bond, sweeps, learning_rate, value_cutoff, cutoff, steps, patience, tolerance, start, dtype,
    method, expand, optimizer, batch_size, batch_per, backtracks, rollback, bond_penalty,
    entropy_bonus, noise, longest, static, split, tf32, memory_limit, scored
        How to train: see `born_machine.settings.Settings`; five of them may be schedules, a
        number, a sequence or a function of the sweep. With validation data, training stops by the
        validation NLL and the best sweep's state is kept; else by the training NLL. start may
        also be a model (`machine.model_`): training goes on from it, in its order, to whatever
        bond and by whatever method the other parameters say.
    n_machines : int
        Above 1, so many machines are trained side by side in different site orders, each stopped
        on its own, and `model_` is their mixture. A curve is turned, mirrored and moved, an order
        learned from data is learned again from samples drawn with replacement.
    n_jobs : int
        So many machines of a mixture sweep at a time, each in a thread, with memory for each; the
        result is the same.
    average_shifts : int
        Above 0, `model_` is the mean over the image moved by up to so many pixels, round the edge:
        5 machines of one state for 1, 13 for 2. A machine trained on shifted images errs
        differently on each, and the mean is better; it takes as many times longer to answer.
        `history_` tells of the image not moved.
    mixture_weights : "uniform" or "fitted"
        Of the mixture; "fitted" maximises the validation likelihood.
    image_shape : (height, width) or None
        Says that a flat row is an image. Three-dimensional input says so by itself.
    order : str, permutation, or list of either
        Site order: "raster", "snake", "hilbert" on images; "given" (as the features come),
        "linkage", "path", "chow-liu" (by mutual information), "coupling" (by what is left of it
        when all other features are known) on any data; or a permutation. "auto" takes a curve on
        images (Hilbert, row by row on small ones) and elsewhere the best of "given" and the last
        four in a short run. A list gives each machine its own. Stored with the model; callers
        speak of features in their own order.
    order_trials : int
        1, or how many variations of a named curve or of an order learned from data are tried, at
        least `n_machines`: those that a mixture would have, each in two sweeps at a bond of at most
        32 on at most 5,000 samples. The machines take those that are best together on the
        validation samples. On 28 x 28 digits orders by coupling differ by two nats, and a trial
        takes about 15 s. A run that is resumed makes the trials again.
    augment : "auto", "none", "shifts", "random-shifts" or a function
        "auto" trains on each image and its shifts by up to a fourteenth of its side (two pixels
        for 28 x 28, none for 8 x 8), fewer where that would make more than 20,000 images;
        "shifts" shifts by at least one pixel. "random-shifts" shifts each image at random, anew
        before every sweep. A function (samples, rng) -> samples, both (sample, feature), redraws
        them as it likes before every sweep. Reported NLLs are always of the samples as given.
    validation_fraction : float or "auto"
        Share held out at random; "auto" is 0.1 from 500 samples up and none below.
    levels : int, sequence or None
        Values a feature takes (one number or one a feature); None infers them from the data,
        at least 2, and as many in every pixel where images are shifted. A larger value is refused
        later on.
    missing : "raise" or "marginalise"
        "marginalise" takes NaN and -1 for gaps, summed over exactly in training and scoring: the
        likelihood is that of what was seen. A sample with gaps costs bond^3 a site, not bond^2.
    device : str
        "auto" (CUDA where there is a device, else CPU), "cpu", "cuda" or "cuda:N". On the CPU as
        many threads are used as help at max_bond: `tnkit.threads`, which TNKIT_THREADS overrides.
    random_state : int or None
        Seed of start, split, order and, by default, sampling. The same seed gives the same result
        on the same device.

    Attributes
    ----------
    model_
        The trained `Model`.
    history_, best_sweep_
        Tuple of `SweepRecord`, entry 0 before training, and which of them `model_` is.
    validation_rows_
        Rows held out.
    n_features_in_, image_shape_, device_
        What was found in the data and on the machine.
    order_name_, shift_reach_
        The site order used; pixels by which training images were shifted, 0 for not at all.
    footprint_
        The most memory that a sweep held (`born_machine.footprint.Footprint`), on each process and
        in each of n_jobs threads, None for method "all-site"; of `fit` alone, not stored.

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
        max_bond: Schedule = 50,
        sweeps: int = 15,
        *,
        learning_rate: Schedule = 0.05,
        value_cutoff: Schedule = 1e-3,
        cutoff: Schedule = 0.0,
        steps: int = 1,
        patience: int = 3,
        tolerance: float = 1e-3,
        start: str | Model = "random",
        dtype: str = "float32",
        method: str = "two-site",
        expand: int = 4,
        optimizer: str = "Adam",
        batch_size: int | None = None,
        batch_per: str = "sweep",
        backtracks: int = 0,
        rollback: float | None = None,
        bond_penalty: float = 0.0,
        entropy_bonus: float = 0.0,
        noise: Schedule = 0.0,
        longest: float = 1.0,
        static: bool = False,
        split: str = "auto",
        tf32: bool = False,
        memory_limit: int | None = None,
        scored: int | None = None,
        n_machines: int = 1,
        n_jobs: int = 1,
        average_shifts: int = 0,
        mixture_weights: str = "uniform",
        image_shape: tuple[int, int] | None = None,
        order: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] = "auto",
        order_trials: int = 1,
        augment: str | Augment = "auto",
        validation_fraction: float | str = "auto",
        levels: int | Sequence[int] | None = None,
        missing: str = "raise",
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
        self.method = method
        self.expand = expand
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.batch_per = batch_per
        self.backtracks = backtracks
        self.rollback = rollback
        self.bond_penalty = bond_penalty
        self.entropy_bonus = entropy_bonus
        self.noise = noise
        self.longest = longest
        self.static = static
        self.split = split
        self.tf32 = tf32
        self.memory_limit = memory_limit
        self.scored = scored
        self.n_machines = n_machines
        self.n_jobs = n_jobs
        self.average_shifts = average_shifts
        self.mixture_weights = mixture_weights
        self.image_shape = image_shape
        self.order = order
        self.order_trials = order_trials
        self.augment = augment
        self.validation_fraction = validation_fraction
        self.levels = levels
        self.missing = missing
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that inputs are counts from 0, without gaps."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    @checked
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        resume: AnyCheckpoint | None = None,
        ranks: Ranks = ALONE,
        on_step: Callable[[int, StepInfo], None] | None = None,
        on_sweep: Callable[[AnyCheckpoint], None] | None = None,
        on_trial: OnTrial | None = None,
    ) -> Self:
        """Train on `X`: (sample, feature) integers or (sample, height, width) images.

        y is ignored. validation: samples to stop by, in place of a share of X held out (then leave
        validation_fraction at "auto" or 0). resume: a checkpoint of a run with the same data and
        parameters, which goes on exactly where it stopped; what the checkpoint tells of them is
        compared, and rows held out at random need a random_state. ranks: the processes that train
        together, each making this call with the same arguments (`born_machine.ranks.joined`
        gives them; random_state must be set); the result is that of one process, but for the
        rounding of sums, and the same on all. on_step, on_sweep, on_trial: called after every
        bond, sweep and short run along a site order. All is checked before any work is done:
        `ArgumentError`, `SizeError`, `ArgumentTypeError`, and `MemoryLimitError` where the sweeps
        would not fit.
        """
        self._check_parameters()
        if ranks.size > 1 and self.random_state is None:
            raise ArgumentError("several processes need one random_state, got None")
        settings = self._settings(self.start)
        origin = self._origin()
        if origin is None:
            samples = read_samples(X, self.missing)
        else:
            samples = read_samples(X, self.missing, features=origin.features, dims=origin.dims)
        shape = np.shape(X)
        table = len(shape) == 2
        if table:
            validate_data(copy(self), X, skip_check_array=True)  # self stays as it was for now
        image_shape = image_shape_of(self.image_shape, shape, samples.shape[1])
        dims = value_counts(self.levels, samples)
        if origin is not None:
            if self.levels is not None and dims != origin.dims:
                raise ArgumentError(
                    f"start is a model and brings its value counts, levels={self.levels!r} says "
                    "others; leave levels=None"
                )
            dims = origin.dims
        device, place = resolve_device(self.device, ranks)
        rng = generator(self.random_state)
        if validation is None:
            held_out = held_out_rows(self.validation_fraction, len(samples), rng)
        elif self.validation_fraction in ("auto", 0.0):
            held_out = np.arange(0)
        else:
            raise ArgumentError(
                f"validation samples were given, and validation_fraction="
                f"{self.validation_fraction!r}; leave that at 'auto'"
            )
        if resume is not None and self.random_state is None and len(held_out):
            raise ArgumentError(
                "resume needs the random_state that its held-out rows were drawn by, got None"
            )
        training = samples[np.setdiff1d(np.arange(len(samples)), held_out)]
        watched = samples[held_out]
        reach, fuel, hook = self._augmentation(image_shape, training)
        if self.levels is None and origin is None and reach:
            dims = (max(dims),) * len(dims)  # what one pixel takes moves to others
        _check_shifts(reach, dims)
        if validation is not None:
            watched = read_samples(validation, self.missing, features=len(dims), dims=dims)
        plan = Plan(training, watched, dims, settings, (), fuel, hook, self.mixture_weights, place)
        plan = replace(plan, ranks=ranks, jobs=min(self.n_jobs, self.n_machines), held_out=held_out)
        plan = replace(plan, views=self._views(image_shape, dims))
        components = self.n_machines * max(1, len(plan.views))
        if components > 1 and not len(watched):
            mixture_weights(self.mixture_weights, (None,) * components)
        held = footprint_of(plan, device)
        size = max(dims) * settings.largest_bond

        def begin() -> tuple[str, tuple[Order, ...], Any]:
            name, orders = self._orders(plan, image_shape, origin, on_trial)
            starts = None if origin is None else starts_from(origin, settings)
            if resume is not None:
                dtype = settings.dtype if starts is None else starts[0].arrays[0].dtype
                check_resumed(resume, replace(plan, orders=orders), dtype)
                return name, orders, resume
            return name, orders, starts or first_starts(replace(plan, orders=orders), rng)

        with threads(size, thread_limit(size, ranks)):
            name, orders, start = ranks.first(begin)
            plan = replace(plan, orders=orders)
            result, model = fit_chains(plan, start, on_step=on_step, on_sweep=on_sweep)
        if table:
            validate_data(self, X, skip_check_array=True)  # feature names, as scikit-learn keeps
        else:
            self.__dict__.pop("feature_names_in_", None)
        self.model_ = model
        self.order_name_ = name
        self.history_ = result.history
        self.best_sweep_ = result.best_sweep
        self.validation_rows_ = held_out
        self.n_features_in_ = samples.shape[1]
        self.image_shape_ = image_shape
        self.shift_reach_ = reach
        self.device_ = device
        self.footprint_ = held
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Sweep once over `X`, going on from the model in hand; the first call starts one.

        Every call takes one sweep's values of the schedules and adds one record, of the NLL on its
        own X, to `history_`. Nothing is held out and the latest state is kept; the weights of a
        mixture stay. The value counts are those of the first call: pass `levels` where later ones
        may hold larger values. y is ignored. Raises as `fit`, and `ArgumentError` where `rollback`
        is set, which compares sweeps over the same samples, or where a first call is asked for
        fitted weights.
        """
        self._check_parameters()
        if self.rollback is not None:
            raise ArgumentError(
                f"rollback={self.rollback!r} compares sweeps over the same samples, and "
                "partial_fit may see others at every call; leave it None"
            )
        begun = self
        if not hasattr(self, "model_"):
            if self.mixture_weights == "fitted" and (self.n_machines > 1 or self.average_shifts):
                raise ArgumentError(
                    "mixture_weights='fitted' needs validation samples, and partial_fit holds none "
                    "out; leave 'uniform', or begin with fit(X, validation=...)"
                )
            begun = clone(self).set_params(
                sweeps=0, validation_fraction=0.0, mixture_weights="uniform"
            )
            begun.fit(X)
        model, history = begun.model_, begun.history_
        settings = replace(self._settings("random"), sweeps=len(history), patience=0)
        samples = read_samples(X, self.missing, features=model.features, dims=model.dims)
        if np.ndim(X) == 2:
            validate_data(begun, X, skip_check_array=True, reset=False)
        _, place = resolve_device(self.device)
        reach, fuel, hook = self._augmentation(begun.image_shape_, samples)
        _check_shifts(reach, model.dims)
        orders = tuple(chain.order for chain in chains_of(model))
        plan = Plan(samples, samples[:0], model.dims, settings, orders, fuel, hook, place=place)
        plan = replace(plan, weights=chain_weights(model), jobs=min(self.n_jobs, len(orders)))
        with threads(max(model.dims) * settings.largest_bond):
            states, history = one_more_sweep(plan, starts_from(model, settings), history)
        self.__dict__ |= {k: v for k, v in vars(begun).items() if k.endswith("_")}
        self.model_ = with_states(model, states)
        self.history_ = history
        self.best_sweep_ = len(history) - 1
        return self

    def correlated(self, X: Any, *, validation: Any = None, **how: Any) -> Self:
        """Return this machine with its chains mended by correlators: a lower NLL.

        X, validation: samples to fit them to, and to choose the epoch by. how: further arguments of
        `born_machine.correlate`, which says what is lost: conditionals of anything but what comes
        after the first sites of the order. Raises as that.
        """
        other = copy(self)
        own: dict[str, Any] = {"image_shape": self.image_shape_, "device": self.device}
        own["random_state"] = self.random_state
        other.model_ = correlate(self._fitted(), X, validation, **own | how)
        return other

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trained machine to one file, atomically, without pickle."""
        model = self._fitted()
        parameters = self.get_params()
        for name in SCHEDULES:
            parameters[name] = plain_schedule(name, parameters[name], self.sweeps)
        if callable(self.augment):
            parameters["augment"] = "a function"  # fit refuses it: hand the function in again
        if not isinstance(self.start, str):
            parameters["start"] = "a model"
        about = {
            "parameters": {name: _plain(value) for name, value in parameters.items()},
            "history": [record_to_json(record) for record in self.history_],
            "best_sweep": self.best_sweep_,
            "image_shape": self.image_shape_,
            "order_name": self.order_name_,
            "shift_reach": self.shift_reach_,
            "validation_rows": [int(row) for row in self.validation_rows_],
            "trained_on": self.device_,
            "feature_names": _plain(getattr(self, "feature_names_in_", None)),
        }
        save_model(path, model, about)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote. Raises `FormatError` or OSError.

        Where the CUDA device it asks for is not here, it takes device="auto", with a warning.
        """
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
            names = about.get("feature_names")  # not in files written before they were kept
            if names is not None:
                machine.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
                if len(names) != model.features:
                    raise ValueError(f"{len(names)} feature names, {model.features} features")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise FormatError(f"{os.fspath(path)}: not a Born machine ({error})") from None
        machine.model_ = model
        machine.n_features_in_ = model.features
        if str(machine.device).startswith("cuda"):
            try:
                resolve_device(machine.device)
            except ValueError as error:
                warnings.warn(f"{os.fspath(path)}: {error}; using device='auto'", stacklevel=2)
                machine.device = "auto"
        return machine

    def _settings(self, start: str | Model) -> Settings:
        made = ("start", "seed", "largest_bond")
        names = (field.name for field in fields(Settings) if field.name not in made)
        seed = self.random_state
        if seed is None:
            seed = int(np.random.default_rng().integers(2**32))
        named = start if isinstance(start, str) else "random"
        return Settings(**{name: getattr(self, name) for name in names}, start=named, seed=seed)

    def _check_parameters(self) -> None:
        for name in ("n_machines", "n_jobs", "order_trials"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
                raise ArgumentError(f"{name} must be a whole number from 1 up, got {count!r}")
            if count > _MOST_MACHINES:
                raise ArgumentError(f"{name} must be at most {_MOST_MACHINES:,}, got {count!r}")
        names = BornMachine._get_param_names()
        _hold(copy(self), **{name: getattr(self, name) for name in names})
        if self.mixture_weights not in WEIGHTS:
            raise ArgumentError(
                f"mixture_weights must be one of {', '.join(WEIGHTS)}, got {self.mixture_weights!r}"
            )

    def _origin(self) -> Model | None:
        """Return the model that training starts from, None where `start` names a start."""
        if isinstance(self.start, str):
            return None
        if not hasattr(self.start, "log_likelihood"):
            raise ArgumentError(
                f"start must be one of {', '.join(STARTS)} or a model such as machine.model_, "
                f"got {type(self.start).__name__}"
            )
        return self.start

    def _orders(
        self,
        plan: Plan,
        image_shape: tuple[int, int] | None,
        origin: Model | None,
        on_trial: OnTrial | None,
    ) -> tuple[str, tuple[Order, ...]]:
        if origin is None:
            return choose_orders(
                self.order, self.n_machines, self.order_trials, plan, image_shape, on_trial
            )
        chains = chains_of(origin)
        if len(chains) != self.n_machines:
            raise ArgumentError(
                f"start is a model of {len(chains)} machines, n_machines is {self.n_machines}"
            )
        if not isinstance(self.order, str) or self.order != "auto":
            raise ArgumentError("start is a model and brings its order; leave order='auto'")
        if self.order_trials > 1:
            raise ArgumentError("start is a model and brings its order; leave order_trials=1")
        return "as in start", tuple(chain.order for chain in chains)

    def _views(
        self, image_shape: tuple[int, int] | None, dims: tuple[int, ...]
    ) -> tuple[Order, ...]:
        """Return the permutations of the features to average over, none for no average."""
        reach = self.average_shifts
        if reach < 0:
            raise ArgumentError(f"average_shifts must be a whole number from 0 up, got {reach!r}")
        if reach == 0:
            return ()
        needs = f"average_shifts={reach} needs"
        if image_shape is None:
            raise ArgumentError(f"{needs} images; give image_shape=(height, width)")
        if len(set(dims)) > 1:
            raise ArgumentError(f"{needs} as many values in every pixel, got {sorted(set(dims))}")
        if 2 * reach >= min(image_shape):
            raise ArgumentError(
                f"average_shifts must be below half the side of the image, "
                f"got {reach} for {image_shape[0]} x {image_shape[1]}"
            )
        return shifts_round_the_edge(*image_shape, int(reach))

    def _augmentation(
        self, image_shape: tuple[int, int] | None, training: Samples
    ) -> tuple[int, Samples | None, Augment | None]:
        """Return the reach of shifts, the samples with theirs, and the hook: as `augment` says."""
        if callable(self.augment):
            gaps = self.missing == "marginalise"
            return 0, None, self.augment if gaps else without_gaps(self.augment)
        if self.augment not in AUGMENT:
            raise ArgumentError(
                f"augment must be one of {', '.join(AUGMENT)} or a function "
                f"(samples, rng) -> samples, got {self.augment!r}"
            )
        if self.augment == "none" or (image_shape is None and self.augment == "auto"):
            return 0, None, None
        if image_shape is None:
            raise ArgumentError(
                f"augment={self.augment!r} needs images; give image_shape=(height, width)"
            )
        if self.augment == "random-shifts":
            reach = max(1, min(image_shape) // 14)
            return reach, None, ImageShifts(image_shape, reach)
        reach = shift_reach(image_shape, len(training))
        reach = max(1, reach) if self.augment == "shifts" else reach
        return reach, shifted_images(training, image_shape, reach) if reach else None, None


_hold = checked(BornMachine.__init__)  # the constructor itself takes anything


def _check_shifts(reach: int, dims: tuple[int, ...]) -> None:
    if reach and len(set(dims)) > 1:
        raise ArgumentError(
            f"shifted images need as many values in every pixel, got {sorted(set(dims))}; give one "
            "number as levels, or augment='none'"
        )


def _plain(value: Any) -> Any:
    """Return numbers and arrays of NumPy's, alone or in sequences, as JSON has them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
