"""One sweep over the bonds: the Born machine's problem, handed to tnkit's sweep driver."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from born_machine.amplitude import bond_orders
from born_machine.data import Samples
from born_machine.devices import chosen_split, device_kind
from born_machine.footprint import needed
from born_machine.missing import GapProblem, gap_problem
from born_machine.problem import LikelihoodProblem
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from born_machine.update import StepRule
from tnkit import (
    MPS,
    ArgumentError,
    NonFiniteError,
    StepInfo,
    Windowed,
    Zipper,
    close_zipper,
    namespace,
    one_site,
    open_zipper,
    round_trip,
    sweep,
    two_site,
)

__all__ = [
    "BondSweeper",
    "Fuel",
    "Memory",
    "OnStep",
    "Place",
    "Sweeper",
    "on_host",
    "placed",
    "read_back",
]

Place: TypeAlias = Callable[[Any], Any]
OnStep: TypeAlias = Callable[[int, StepInfo], None]
Memory: TypeAlias = dict[str, Any]
"""Arrays by name that a method carries from sweep to sweep beside the state."""


class Fuel(Protocol):
    """What a sweep trains on."""

    def __call__(self, number: int) -> Samples:
        """Return the samples (sample, site) of sweep `number`; the same object where unchanged."""


class Sweeper(Protocol):
    """A way to train: one sweep from a state to the next."""

    def __call__(
        self, state: MPS, memory: Memory, number: int, scale: float, on_step: OnStep | None
    ) -> tuple[MPS, Memory, list[StepInfo]]:
        """Return the state after sweep `number`, its learning rate multiplied by `scale`.

        The result depends on the arguments alone, so that a run resumes exactly.
        """


class BondSweeper:
    """Sweeps there and back over the bonds.

    Between sweeps the chain stays open, its environments in place, as long as the samples and the
    state stay; keep_open=False gives that memory back after every sweep. During a sweep as many
    environments are kept as `settings.memory_limit` allows (see `footprint`): `MemoryLimitError`
    where even the fewest are too many. jobs: how many such sweeps share the memory that is allowed
    by default. ranks: the processes that each sweep with their rows of the samples;
    `ArgumentError` where there are too few rows, or where batch_per="bond", which draws from all
    rows, meets several processes.
    """

    def __init__(
        self,
        fuel: Fuel,
        dims: tuple[int, ...],
        settings: Settings,
        *,
        place: Place = np.asarray,
        keep_open: bool = True,
        ranks: Ranks = ALONE,
        jobs: int = 1,
    ) -> None:
        if settings.batch_size is not None and settings.batch_per == "bond" and ranks.size > 1:
            raise ArgumentError("batch_per='bond' works on one process; use 'sweep' on several")
        self._ranks = ranks
        self._fuel = fuel
        self._dims = dims
        self._settings = settings
        self._place = place
        self._keep_open = keep_open
        self._jobs = jobs
        self._every = 1
        self._samples: Samples | None = None
        self._problem: LikelihoodProblem | GapProblem | None = None
        self._open: tuple[MPS, Zipper] | None = None

    def __call__(
        self, state: MPS, memory: Memory, number: int, scale: float, on_step: OnStep | None
    ) -> tuple[MPS, Memory, list[StepInfo]]:
        """Sweep once; see `Sweeper`."""
        settings = self._settings
        values = settings.at(number)
        samples = self._fuel(number)
        rows = self._ranks.rows(len(samples))
        if len(samples) < self._ranks.size:
            raise ArgumentError(
                f"{len(samples)} samples a sweep cannot be shared out to {self._ranks.size} "
                "processes; use fewer"
            )
        rule = StepRule(
            learning_rate=scale * values.learning_rate,
            steps=settings.steps,
            backtracks=settings.backtracks,
            bond_penalty=settings.bond_penalty,
            entropy_bonus=settings.entropy_bonus,
            noise=values.noise,
            longest=settings.longest,
            batch_size=settings.batch_size if settings.batch_per == "bond" else None,
            rng=np.random.default_rng((settings.seed, number, 1)),
            ranks=self._ranks,
            share=(rows.stop - rows.start) / len(samples),
        )
        if samples is not self._samples or self._problem is None:
            like = self._place(state.arrays[0])
            self._problem = self._samples = self._open = None  # before there are two of them
            gaps = bool((samples < 0).any())  # on any process: all must speak of the same arrays
            own, home = samples[rows], str(like.device)
            held = needed(own, self._dims, settings, home, ranks=self._ranks, jobs=self._jobs)
            self._every = held.every
            self._problem = likelihood_problem(own, self._dims, like, rule, gaps=gaps)
            self._samples = samples
        self._problem = self._problem.with_rule(rule)
        problem: Any = self._problem
        if self._every > 1:
            problem = Windowed(problem, self._every)
        # taken out: what is held here would keep every environment that the sweep leaves behind
        opened, self._open = self._open, None
        if opened is not None and opened[0] is state:
            zipper = opened[1]
        else:
            last = len(state) - 1
            stays = settings.method != "one-site" and state.centre == last - 1
            centre = last - 1 if stays else last  # of where the first step may find it
            zipper = open_zipper(placed(state, self._place), problem, centre)
        del opened
        width = 1 if settings.method == "one-site" else 2
        kind = device_kind(zipper.centre)
        how = chosen_split(settings.split, kind, static=settings.static, width=width)
        split = self._ranks.split
        if width == 1:
            growth = settings.expand
            step = one_site(problem, values.truncation, expand=growth, method=how, split=split)
        else:
            step = two_site(problem, values.truncation, method=how, split=split)
        infos = []
        moves = round_trip(len(self._dims), width=width)
        for after, info in _of_sweep(number, sweep(zipper, step, moves)):
            zipper = after
            infos.append(info)
            if on_step is not None:
                on_step(number, info)
        infos = read_back(number, infos)
        state = on_host(close_zipper(zipper))
        if self._keep_open:
            self._open = (state, zipper)
        else:
            self._problem = self._samples = None
        return state, memory, infos


def read_back(number: int, infos: Sequence[StepInfo]) -> list[StepInfo]:
    """Return the infos with losses and weights as floats: all that a device holds in one transfer.

    number: of their sweep. Raises `NonFiniteError` naming the first bond whose weight is none.
    """
    held = [v for info in infos for v in (info.loss, info.discarded_weight) if _is_held(v)]
    if held:
        xp = namespace(held[0])
        numbers = iter(xp.stack([xp.astype(value, xp.float64) for value in held]).tolist())

        def read(value: Any) -> Any:
            return next(numbers) if _is_held(value) else value

        infos = [
            replace(info, loss=read(info.loss), discarded_weight=read(info.discarded_weight))
            for info in infos
        ]
    for info in infos:
        if math.isnan(info.discarded_weight):
            raise NonFiniteError(
                f"sweep {number}, bond {info.bond}: the block to split holds NaN or Inf; "
                "lower the learning rate or use dtype='float64'"
            )
    return list(infos)


def _is_held(value: Any) -> bool:
    return not isinstance(value, float | np.generic | np.ndarray)


def _of_sweep(
    number: int, steps: Iterator[tuple[Zipper, StepInfo]]
) -> Iterator[tuple[Zipper, StepInfo]]:
    try:
        yield from steps
    except NonFiniteError as error:
        raise NonFiniteError(f"sweep {number}, {error}") from error


def likelihood_problem(
    samples: Samples, dims: tuple[int, ...], like: Any, rule: StepRule, *, gaps: bool | None = None
) -> LikelihoodProblem | GapProblem:
    """Return the problem of these samples (sample, site), negative where missing.

    gaps: whether there may be any; found out by default.
    """
    if (samples < 0).any() if gaps is None else gaps:
        return gap_problem(samples, dims, like, rule)
    return LikelihoodProblem(bond_orders(samples, dims, like), like, len(samples), rule)


def placed(state: MPS, place: Place) -> MPS:
    """Return the state with its arrays where `place` puts them."""
    return MPS(tuple(map(place, state.arrays)), state.sites, state.gauge)


def on_host(state: MPS) -> MPS:
    """Return the state with NumPy arrays."""
    if isinstance(state.arrays[0], np.ndarray):
        return state
    arrays = tuple(array.cpu().numpy() for array in state.arrays)
    return MPS(arrays, state.sites, state.gauge)
