"""Training by two-site sweeps: the Born machine's step, handed to tnkit's sweep driver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from born_machine.amplitude import BondOrder, SampleVectors, absorb_site, bond_orders
from born_machine.checkpoint import Checkpoint, SweepRecord
from born_machine.data import Samples
from born_machine.gradient import two_site_gradient
from born_machine.likelihood import negative_log_likelihood
from born_machine.update import gradient_step
from tnkit import (
    MPS,
    ArgumentError,
    NonFiniteError,
    StepInfo,
    Truncation,
    canonicalize,
    close_zipper,
    namespace,
    normalize,
    open_zipper,
    product_mps,
    round_trip,
    sweep,
    two_site,
)

__all__ = ["LikelihoodProblem", "Settings", "start_state", "train"]

Array: TypeAlias = Any
Place: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. Checked when made; raises `ArgumentError` naming the field.

    max_bond, value_cutoff, cutoff: of the split after every step (singular values kept while
    s >= value_cutoff s_0, at most max_bond, discarded weight at most cutoff).
    learning_rate: of the gradient step M + learning_rate G on the merged tensor; steps: such
    steps a bond. sweeps: at most this many; one goes there and back. patience: stop after this
    many sweeps in a row without a better watched NLL; 0 never stops. tolerance: share of the NLL
    by which it must fall to count as better.
    start: "random" (positive entries, bond 2) or "marginals" (product of the feature marginals).
    dtype: of the training arithmetic, float32, float64, complex64 or complex128.
    """

    max_bond: int = 50
    value_cutoff: float = 1e-3
    cutoff: float = 0.0
    learning_rate: float = 0.05
    steps: int = 1
    sweeps: int = 15
    patience: int = 3
    tolerance: float = 1e-3
    start: str = "random"
    dtype: str = "float32"
    truncation: Truncation = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every field."""
        for name, least in (("sweeps", 0), ("patience", 0), ("steps", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ArgumentError(f"{name} must be a whole number from {least} up, got {value!r}")
        for name in ("learning_rate", "tolerance"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.0 <= value < math.inf:
                raise ArgumentError(f"{name} must be a number from 0 up, got {value!r}")
        if self.start not in ("random", "marginals"):
            raise ArgumentError(f"start must be 'random' or 'marginals', got {self.start!r}")
        if self.dtype not in ("float32", "float64", "complex64", "complex128"):
            raise ArgumentError(
                f"dtype must be float32, float64, complex64 or complex128, got {self.dtype!r}"
            )
        truncation = Truncation(
            max_bond=self.max_bond, cutoff=self.cutoff, value_cutoff=self.value_cutoff
        )
        object.__setattr__(self, "truncation", truncation)


@dataclass(frozen=True, slots=True, eq=False)
class LikelihoodProblem:
    """Maximum likelihood of the samples behind `orders`, as a problem for the sweep driver.

    like: an array whose library, device and dtype the vectors take. floor and longest bound the
    step: see `two_site_gradient` and `gradient_step`.
    """

    orders: tuple[BondOrder, ...]
    like: Array
    samples: int
    learning_rate: float
    steps: int = 1
    floor: float = 1e-4
    longest: float = 1.0

    def left_edge(self) -> SampleVectors:
        """Return the vectors before site 0: ones."""
        xp = namespace(self.like)
        where = self.like.device
        return SampleVectors(
            xp.ones((self.samples, 1), dtype=self.like.dtype, device=where),
            xp.zeros(self.samples, dtype=xp.float64, device=where),
        )

    def right_edge(self) -> SampleVectors:
        """Return the vectors after the last site: ones."""
        return self.left_edge()

    def grow_left(self, environment: SampleVectors, array: Array, site: int) -> SampleVectors:
        """Carry the vectors over `site`, in the order of its bond."""
        return absorb_site(environment, array, self.orders[site], rightwards=True)

    def grow_right(self, environment: SampleVectors, array: Array, site: int) -> SampleVectors:
        """Carry the vectors back over `site`, in the order of the bond before it."""
        return absorb_site(environment, array, self.orders[site - 1], rightwards=False)

    def solve(
        self, left: SampleVectors, block: Array, right: SampleVectors, bond: int
    ) -> tuple[Array, Any]:
        """Take the gradient steps of one bond; the loss is the mean NLL before them, in nats.

        The loss stays on the device (a 0-d array): reading it would wait for the device.
        """
        pairs = self.orders[bond].pairs
        magnitude, gradient = two_site_gradient(
            block, left.vectors, right.vectors, pairs, floor=self.floor
        )
        xp = namespace(block)
        loss = -2.0 * xp.mean(
            xp.log(xp.maximum(magnitude, 1e-37)) + left.logs + right.logs, dtype=xp.float64
        )
        block = gradient_step(block, gradient, self.learning_rate, longest=self.longest)
        for _ in range(self.steps - 1):
            _, gradient = two_site_gradient(
                block, left.vectors, right.vectors, pairs, floor=self.floor
            )
            block = gradient_step(block, gradient, self.learning_rate, longest=self.longest)
        return block, loss


def start_state(
    samples: Samples, dims: tuple[int, ...], settings: Settings, rng: np.random.Generator
) -> MPS:
    """Return the state that training starts from: norm one, centre at the last site.

    samples: (sample, site) in site order. "random" draws entries from [0.8, 1.2) at bond 2: nearly
    uniform, positive (a signed start trains slower; entries from [0, 1) end 1.5 nats higher after
    four sweeps on 1,000 digits of 784 pixels at bond 100). "marginals" smooths counts by one half
    (Krichevsky and Trofimov, 1981), so no value is impossible. A chain of one site always takes
    the marginals without smoothing: they are the answer.
    """
    single = len(dims) == 1
    if settings.start == "random" and not single:
        shapes = zip((1, *(2,) * (len(dims) - 1)), dims, (*(2,) * (len(dims) - 1), 1), strict=True)
        psi = MPS.from_arrays(
            [rng.uniform(0.8, 1.2, shape).astype(settings.dtype) for shape in shapes]
        )
    else:
        smoothing = 0.0 if single else 0.5
        vectors = []
        for k, d in enumerate(dims):
            counts = np.bincount(samples[:, k], minlength=d) + smoothing
            vectors.append(np.sqrt(counts / counts.sum()).astype(settings.dtype))
        psi = product_mps(vectors)
    return normalize(canonicalize(psi, -1))


def train(
    samples: Samples,
    validation: Samples | None,
    dims: tuple[int, ...],
    settings: Settings,
    *,
    start: MPS | Checkpoint,
    augmented: Samples | None = None,
    place: Place = np.asarray,
    on_step: Callable[[int, StepInfo], None] | None = None,
    on_sweep: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Sweep until `settings` says stop; return the last and the best state, and the history.

    samples, validation: (sample, site) integers in site order; dims: values a site. augmented:
    what the gradient sees where that is more than `samples` (shifted images); the reported NLL is
    always that of the samples as given. start: a state (canonical at its last site) or the
    checkpoint of an earlier run, from which training goes on exactly as if never stopped. place:
    puts a NumPy array where the work shall be done. on_step and on_sweep: called after every bond
    (sweep number, info), and with the start and after every sweep. Raises `NonFiniteError` naming
    the sweep where the NLL stops being a number; the last checkpoint given to on_sweep is then
    the last good one.
    """
    fuel = samples if augmented is None else augmented
    if isinstance(start, MPS):
        first = _record(start, samples, validation, 0, (), 0.0, place)
        checkpoint = Checkpoint(start, start, 0, (first,))
        if on_sweep is not None:
            on_sweep(checkpoint)
    else:
        checkpoint = start
    if _finished(checkpoint, settings):
        return checkpoint
    state = _placed(checkpoint.state, place)
    orders = bond_orders(fuel, dims, state.arrays[0])
    problem = LikelihoodProblem(
        orders, state.arrays[0], len(fuel), settings.learning_rate, settings.steps
    )
    step = two_site(problem, settings.truncation, method="gram")
    moves = round_trip(len(dims))
    zipper = open_zipper(state, problem, checkpoint.state.centre or 0)
    while not _finished(checkpoint, settings):
        number = len(checkpoint.history)
        began = time.perf_counter()
        infos = []
        for after, info in sweep(zipper, step, moves):
            zipper = after
            infos.append(info)
            if on_step is not None:
                on_step(number, info)
        state = _on_host(close_zipper(zipper))
        seconds = time.perf_counter() - began
        record = _record(state, samples, validation, number, infos, seconds, place)
        history = (*checkpoint.history, record)
        best, best_sweep = checkpoint.best, checkpoint.best_sweep
        if record.watched < checkpoint.history[best_sweep].watched:
            best, best_sweep = state, number
        checkpoint = Checkpoint(state, best, best_sweep, history)
        if on_sweep is not None:
            on_sweep(checkpoint)
    return checkpoint


def _record(
    state: MPS,
    samples: Samples,
    validation: Samples | None,
    number: int,
    infos: list[StepInfo] | tuple[()],
    seconds: float,
    place: Place,
) -> SweepRecord:
    wide = np.complex128 if np.iscomplexobj(state.arrays[0]) else np.float64
    exact = MPS(
        tuple(place(array.astype(wide)) for array in state.arrays), state.sites, state.gauge
    )

    def nll(part: Samples) -> float:
        value = negative_log_likelihood(exact, place(part.astype(np.int64)))
        if math.isnan(value):
            raise NonFiniteError(
                f"the NLL is not a number after sweep {number}; lower the learning rate "
                "or use dtype='float64'"
            )
        return value

    return SweepRecord(
        sweep=number,
        nll_train=nll(samples),
        nll_validation=None if validation is None else nll(validation),
        max_bond=max(state.bond_dims, default=1),
        mean_bond=float(np.mean(state.bond_dims)) if state.bond_dims else 1.0,
        discarded_weight=max((info.discarded_weight for info in infos), default=0.0),
        seconds=seconds,
    )


def _finished(checkpoint: Checkpoint, settings: Settings) -> bool:
    """Say whether the record so far ends the training: a function of the record alone."""
    history = checkpoint.history
    if len(history) - 1 >= settings.sweeps or not checkpoint.state.bond_dims:
        return True
    if settings.patience == 0:
        return False
    best, since = history[0].watched, 0
    for record in history[1:]:
        since += 1
        margin = settings.tolerance * abs(best) if math.isfinite(best) else 0.0
        if record.watched < best - margin:
            best, since = record.watched, 0
    return since >= settings.patience


def _placed(state: MPS, place: Place) -> MPS:
    return MPS(tuple(map(place, state.arrays)), state.sites, state.gauge)


def _on_host(state: MPS) -> MPS:
    if isinstance(state.arrays[0], np.ndarray):
        return state
    arrays = tuple(array.cpu().numpy() for array in state.arrays)
    return MPS(arrays, state.sites, state.gauge)
