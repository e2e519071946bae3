"""From checked samples, settings and orders to a trained model: starts, one machine or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from born_machine.augment import along_order
from born_machine.checkpoint import (
    AnyCheckpoint,
    Checkpoint,
    Inputs,
    MixtureCheckpoint,
    SweepRecord,
    members_of,
)
from born_machine.curves import Order
from born_machine.data import Samples
from born_machine.footprint import Footprint, needed
from born_machine.mixing import Weights, mixture_weights, train_mixture
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import MPSModel, model_from_state
from born_machine.models.protocol import Model
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from born_machine.start import start_state, state_like
from born_machine.sweeper import OnStep, Place
from born_machine.train import Augment, train
from tnkit import MPS, ArgumentError, SizeError

__all__ = [
    "Plan",
    "chain_weights",
    "chains_of",
    "check_resumed",
    "first_starts",
    "fit_chains",
    "footprint_of",
    "held_out_rows",
    "one_more_sweep",
    "starts_from",
    "with_states",
]

_SMALLEST_SPLIT = 500  # below this many samples, holding some out costs more than it tells


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is trained on what: all in feature order.

    training, validation: (sample, feature), negative where missing; validation may be empty. fuel:
    what the gradients see where that differs. orders: one a machine. weights: of the mixture, a
    name of `born_machine.mixing.WEIGHTS` or one number a machine. views: permutations of the
    features over which the model is averaged, the first leaving them as they are. jobs: machines
    that sweep at a time. ranks: the processes that train them together. held_out: which rows of the
    samples `validation` is, None where no checkpoint needs to know.
    """

    training: Samples
    validation: Samples
    dims: tuple[int, ...]
    settings: Settings
    orders: tuple[Order, ...]
    fuel: Samples | None = None
    augment: Augment | None = None
    weights: Weights = "uniform"
    place: Place = np.asarray
    ranks: Ranks = ALONE
    jobs: int = 1
    views: tuple[Order, ...] = ()
    held_out: npt.NDArray[np.intp] | None = None


def fit_chains(
    plan: Plan,
    start: Sequence[MPS] | AnyCheckpoint,
    *,
    on_step: OnStep | None = None,
    on_sweep: Callable[[AnyCheckpoint], None] | None = None,
) -> tuple[AnyCheckpoint, Model]:
    """Train the machines of a plan; return where training ended, and the model of the best states.

    start: one state a machine in its site order, or a checkpoint of the same plan (see
    `check_resumed`).
    """
    held_out = plan.validation if len(plan.validation) else None
    inputs = None if plan.held_out is None else Inputs(plan.orders, plan.held_out)
    begun = members_of(start) if isinstance(start, Checkpoint | MixtureCheckpoint) else start
    result: AnyCheckpoint
    if len(plan.orders) == 1:
        (order,) = plan.orders
        result = train(
            plan.training[:, order],
            None if held_out is None else held_out[:, order],
            tuple(plan.dims[feature] for feature in order),
            plan.settings,
            start=begun[0],
            fuel=None if plan.fuel is None else plan.fuel[:, order],
            augment=None if plan.augment is None else along_order(plan.augment, order),
            place=plan.place,
            ranks=plan.ranks,
            inputs=inputs,
            on_step=on_step,
            on_sweep=on_sweep,
        )
    else:
        result = train_mixture(
            plan.training,
            held_out,
            plan.dims,
            plan.settings,
            orders=plan.orders,
            start=start if isinstance(start, MixtureCheckpoint) else _states(start),
            weights=plan.weights,
            fuel=plan.fuel,
            augment=plan.augment,
            place=plan.place,
            ranks=plan.ranks,
            jobs=plan.jobs,
            inputs=inputs,
            on_step=on_step,
            on_sweep=on_sweep,
        )
    return result, _model(plan, [member.best for member in members_of(result)])


def check_resumed(checkpoint: AnyCheckpoint, plan: Plan, dtype: npt.DTypeLike) -> None:
    """Raise `ArgumentError` or `SizeError` where a checkpoint is of another run than `plan`.

    dtype: that the run would start in. Orders and held-out rows are compared where they were kept.
    """
    members, known = members_of(checkpoint), checkpoint.inputs
    if len(members) != len(plan.orders):
        raise ArgumentError(
            f"resume is of {len(members)} machines, n_machines is {len(plan.orders)}"
        )
    was, now = len(members[0].state), len(plan.dims)
    if was != now:
        raise SizeError(f"resume is of {was} features, the samples have {now}")
    kept, asked = members[0].state.arrays[0].dtype, np.dtype(dtype)
    if kept != asked:
        raise ArgumentError(f"resume is of dtype {kept}, this run is of {asked}; set dtype")
    for number, (member, order) in enumerate(zip(members, plan.orders, strict=True)):
        before = order if known is None else known.orders[number]
        for site, values in enumerate(member.state.site_dims):
            if before[site] != order[site]:
                raise ArgumentError(
                    f"resume has feature {before[site]} at site {site} of machine {number}, this "
                    f"run has feature {order[site]}; give order, samples and random_state as they "
                    "were"
                )
            if values != plan.dims[order[site]]:
                raise SizeError(
                    f"resume takes {values} values at site {site} of machine {number}, feature "
                    f"{order[site]} there takes {plan.dims[order[site]]}; give samples, levels and "
                    "order as they were"
                )
    watched = members[0].history[0].nll_validation is not None
    if watched != bool(len(plan.validation)):
        have = ("no", "some")
        raise ArgumentError(
            f"resume had {have[watched]} validation samples, this run has {have[not watched]}; "
            "give them as they were"
        )
    rows = plan.held_out
    if known is not None and rows is not None and not np.array_equal(known.held_out, rows):
        raise ArgumentError(
            f"resume held out {_rows(known.held_out)}, this run holds out {_rows(rows)}; give "
            "random_state, validation_fraction and samples as they were"
        )


def _rows(rows: npt.NDArray[np.intp]) -> str:
    first = [*map(str, rows[:3]), "..."] if len(rows) > 3 else map(str, rows)
    return f"{len(rows)} rows ({', '.join(first)})"


def _states(start: Sequence[MPS] | Checkpoint) -> Sequence[MPS]:
    assert not isinstance(start, Checkpoint)
    return start


def _model(plan: Plan, states: Sequence[MPS]) -> Model:
    chains = tuple(
        model_from_state(state, order, plan.dims)
        for state, order in zip(states, plan.orders, strict=True)
    )
    if plan.views:
        chains = tuple(replace(c, order=view[c.order]) for c in chains for view in plan.views)
    if len(chains) == 1:
        return chains[0]
    logs: list[npt.NDArray[np.float64] | None] = [None] * len(chains)
    if plan.weights == "fitted" and len(plan.validation):
        known = plan.validation >= 0
        filled = np.where(known, plan.validation, 0)
        logs = [c.log_marginal(filled, known) for c in chains]
    return MixtureModel(chains, mixture_weights(plan.weights, logs))


def footprint_of(plan: Plan, device: str) -> Footprint | None:
    """Return what a sweep of one machine holds on the process with most; None for "all-site".

    Raises `MemoryLimitError` where that is more than `plan.settings` or the device allows.
    """
    settings = plan.settings
    if settings.method == "all-site" or len(plan.dims) < 2:
        return None
    fuel = plan.training if plan.fuel is None else plan.fuel
    if settings.batch_size is not None and settings.batch_per == "sweep":
        fuel = fuel[: settings.batch_size]
    ranks, jobs = plan.ranks, plan.jobs
    shares = [replace(ranks, rank=rank).rows(len(fuel)) for rank in range(ranks.size)]
    found = (
        needed(fuel[rows], plan.dims, settings, device, ranks=ranks, jobs=jobs) for rows in shares
    )
    return max(found, key=lambda one: one.total)  # the same on every process


def first_starts(plan: Plan, rng: np.random.Generator) -> list[MPS]:
    """Return the state each machine starts from, as `settings.start` names it."""
    fuel = plan.training if plan.fuel is None else plan.fuel
    return [
        start_state(fuel[:, order], tuple(plan.dims[f] for f in order), plan.settings, rng)
        for order in plan.orders
    ]


def starts_from(model: Model, settings: Settings) -> list[MPS]:
    """Return the states of a trained model's chains as starts in the dtype of `settings`."""
    return [state_like(chain.state, settings) for chain in chains_of(model)]


def chains_of(model: Model) -> tuple[MPSModel, ...]:
    """Return the chains a model is made of; `ArgumentError` where it is made of other things.

    Of several that share their state, in other orders, the first.
    """
    parts = model.components if isinstance(model, MixtureModel) else (model,)
    chains = tuple(part for part in parts if isinstance(part, MPSModel))
    if len(chains) < len(parts):
        names = sorted({type(part).__name__ for part in parts} - {"MPSModel"})
        raise ArgumentError(f"cannot train on from a model of {', '.join(names)}, only from chains")
    firsts: dict[int, MPSModel] = {}
    for chain in chains:
        firsts.setdefault(id(chain.state), chain)
    return tuple(firsts.values())


def chain_weights(model: Model) -> tuple[float, ...]:
    """Return the share that each of `chains_of` has in the model, its moved copies included."""
    if not isinstance(model, MixtureModel):
        return (1.0,)
    shares: dict[int, float] = {}
    for part, weight in zip(model.components, model.weights, strict=True):
        if isinstance(part, MPSModel):
            shares[id(part.state)] = shares.get(id(part.state), 0.0) + weight
    return tuple(shares.values())


def held_out_rows(
    fraction: float | str, samples: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Return the rows held out for validation; `ArgumentError` for what is no share."""
    if fraction == "auto":
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


def one_more_sweep(
    plan: Plan, states: Sequence[MPS], history: tuple[SweepRecord, ...]
) -> tuple[list[MPS], tuple[SweepRecord, ...]]:
    """Return where one sweep more from `states` ends, better or not, and the record with it."""
    # what came before is of other samples: no sweep is to be held against it
    beaten = (*history[:-1], replace(history[-1], nll_train=math.inf, nll_validation=None))
    members = tuple(Checkpoint(state, state, len(history) - 1, beaten) for state in states)
    start = members[0] if len(members) == 1 else MixtureCheckpoint(members, history)
    result, _ = fit_chains(plan, start)
    latest = [member.state for member in members_of(result)]
    return latest, (*history, *result.history[len(history) :])


def with_states(model: Model, states: Sequence[MPS]) -> Model:
    """Return the model with these states in its chains, its orders and weights as they were."""
    fresh = {
        id(chain.state): model_from_state(state, chain.order, chain.dims)
        for state, chain in zip(states, chains_of(model), strict=True)
    }
    if not isinstance(model, MixtureModel):
        return next(iter(fresh.values()))
    parts = [part for part in model.components if isinstance(part, MPSModel)]
    parts = [replace(fresh[id(part.state)], order=part.order) for part in parts]
    return replace(model, components=tuple(parts))
