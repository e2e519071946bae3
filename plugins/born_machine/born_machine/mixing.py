"""Machines trained side by side, each in a site order of its own, and their mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from born_machine.augment import along_order
from born_machine.checkpoint import Checkpoint, Inputs, MixtureCheckpoint, SweepRecord
from born_machine.curves import Order, variations
from born_machine.data import Samples
from born_machine.devices import float32_products
from born_machine.models.mixture import fitted_weights, log_mean
from born_machine.ordering import CURVES, LEARNED, coupling_order, image_order, site_order
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from born_machine.sweeper import OnStep, Place
from born_machine.train import (
    Augment,
    Logs,
    Scorer,
    SweepFuel,
    checkpoints,
    make_sweeper,
    scored_samples,
)
from tnkit import MPS, ArgumentError

__all__ = [
    "WEIGHTS",
    "Weights",
    "member_settings",
    "mixture_orders",
    "mixture_weights",
    "train_mixture",
]

WEIGHTS = ("uniform", "fitted")
Weights: TypeAlias = str | tuple[float, ...]
"""The name of a way to weigh machines, or their weights."""


def mixture_orders(
    order: str | Sequence[int],
    machines: int,
    image_shape: tuple[int, int] | None,
    samples: Samples,
    seed: int,
) -> Iterator[Order]:
    """Yield a site order for each machine, from the name of one.

    "raster", "snake", "hilbert": the `variations` of the curve. "linkage", "path", "chow-liu" and
    "coupling": learned from all samples, then from samples drawn with replacement, the last on
    images annealed from those variations in turn. "given" and a permutation: the same for all,
    which then differ by their random start. samples: (sample, feature). Raises
    `ArgumentError` for more machines than a curve has variations.
    """
    if isinstance(order, str) and order in CURVES and image_shape is not None:
        found = variations(CURVES[order], *image_shape, machines)
        if machines > len(found):
            raise ArgumentError(
                f"{order} has {len(found)} variations on this image, {machines} are asked for; "
                "lower n_machines or order_trials, or give a list of orders"
            )
        yield from found
        return
    yield site_order(order, samples.shape[1], image_shape, samples, seed)
    curves: Sequence[Order] = ()
    if order == "coupling" and image_shape is not None:
        curves = variations(CURVES[image_order(image_shape)], *image_shape, machines)
    for number in range(1, machines):
        drawn = samples
        if isinstance(order, str) and order in LEARNED:
            rng = np.random.default_rng((seed, number))
            drawn = samples[rng.integers(0, len(samples), len(samples))]
        if curves:
            yield coupling_order(drawn, image_shape, curves[number % len(curves)], seed)
        else:
            yield site_order(order, samples.shape[1], image_shape, drawn, seed)


def member_settings(settings: Settings, number: int) -> Settings:
    """Return the settings of one machine: as given but for a seed of its own."""
    seed = int(np.random.SeedSequence((settings.seed, number)).generate_state(1)[0])
    return replace(settings, seed=seed)


def train_mixture(
    samples: Samples,
    validation: Samples | None,
    dims: tuple[int, ...],
    settings: Settings,
    *,
    orders: Sequence[Order],
    start: Sequence[MPS] | MixtureCheckpoint,
    weights: Weights = "uniform",
    fuel: Samples | None = None,
    augment: Augment | None = None,
    place: Place = np.asarray,
    ranks: Ranks = ALONE,
    jobs: int = 1,
    inputs: Inputs | None = None,
    on_step: OnStep | None = None,
    on_sweep: Callable[[MixtureCheckpoint], None] | None = None,
) -> MixtureCheckpoint:
    """Train one machine an order side by side, a sweep of each in turn, until all have stopped.

    samples, validation, fuel and the hook `augment` speak of features here, start of sites. Each
    machine stops and keeps its best by its own watched NLL; the history is that of the mixture of
    the best so far. Environments are rebuilt at every sweep, so that they take the memory of one
    machine, or of as many as `jobs` lets sweep at a time, each in a thread, to the same result;
    the samples are held once more for each machine, in its order. `ArgumentError` for several jobs
    where several processes train. start: states, or the checkpoint
    of a run that goes on exactly as if never stopped. inputs: kept in every checkpoint.
    """
    if jobs > 1 and ranks.size > 1:
        raise ArgumentError(f"n_jobs={jobs} works on one process, {ranks.size} train; leave it 1")
    begun: list[MPS | Checkpoint] = []
    begun += start.members if isinstance(start, MixtureCheckpoint) else start
    history = start.history if isinstance(start, MixtureCheckpoint) else ()
    members = list(start.members) if isinstance(start, MixtureCheckpoint) else []
    trained_on = samples if fuel is None else fuel
    samples = scored_samples(samples, settings)
    scorers, running = [], []
    for number, (order, first) in enumerate(zip(orders, begun, strict=True)):
        own = member_settings(settings, number)
        held_out = None if validation is None else validation[:, order]
        scorer = Scorer(samples[:, order], held_out, place, ranks)
        hook = None if augment is None else along_order(augment, order)
        site_dims = tuple(dims[feature] for feature in order)
        source = SweepFuel(trained_on[:, order], site_dims, own, hook)
        sweeper = make_sweeper(
            source, site_dims, own, place=place, keep_open=False, ranks=ranks, jobs=jobs
        )
        scorers.append(scorer)
        running.append(checkpoints(first, scorer, sweeper, own, on_step=on_step))
    logs: list[tuple[MPS, tuple[Logs, Logs | None]] | None] = [None] * len(running)
    while True:
        # once round all: the setting is the process's, and threads would put back each other's
        with float32_products(place(np.zeros(1)), tf32=bool(settings.tf32)):
            done = _next_of_each(running, jobs)
        if all(checkpoint is None for checkpoint in done):
            return MixtureCheckpoint(tuple(members), history, inputs)
        for number, new in enumerate(done):
            if new is not None:
                members[number : number + 1] = [new]
        for number, member in enumerate(members):
            known = logs[number]
            if known is None or known[0] is not member.best:
                logs[number] = member.best, scorers[number](member.best)
        scores = [entry[1] for entry in logs if entry is not None]
        seconds = sum(new.history[-1].seconds for new in done if new is not None)
        history = (*history, _record(members, scores, weights, len(history), seconds))
        checkpoint = MixtureCheckpoint(tuple(members), history, inputs)
        if on_sweep is not None:
            on_sweep(checkpoint)


def _next_of_each(running: Sequence[Iterator[Checkpoint]], jobs: int) -> list[Checkpoint | None]:
    """Return the next checkpoint of each machine, None of one that has stopped."""
    if jobs == 1:
        return [next(one, None) for one in running]
    with ThreadPoolExecutor(min(jobs, len(running))) as pool:
        return list(pool.map(lambda one: next(one, None), running))


def mixture_weights(kind: Weights, validation: Sequence[Logs | None]) -> tuple[float, ...]:
    """Return equal weights, those of highest likelihood on the validation samples, or `kind`.

    validation: ln p(x) of the held-out samples, an array a machine. Raises `ArgumentError` where
    there are none to fit to.
    """
    if not isinstance(kind, str):
        return kind
    if kind not in WEIGHTS:
        raise ArgumentError(f"mixture_weights must be one of {', '.join(WEIGHTS)}, got {kind!r}")
    if kind == "uniform":
        return (1.0 / len(validation),) * len(validation)
    logs = [one for one in validation if one is not None]
    if len(logs) < len(validation):
        raise ArgumentError(
            "mixture_weights='fitted' needs validation samples, got none; set validation_fraction "
            "or pass validation"
        )
    return fitted_weights(logs)


def _record(
    members: Sequence[Checkpoint],
    scores: Sequence[tuple[Logs, Logs | None]],
    kind: Weights,
    number: int,
    seconds: float,
) -> SweepRecord:
    held_out = [validation for _, validation in scores]
    weights = mixture_weights(kind, held_out)
    bonds = [bond for member in members for bond in member.best.bond_dims]
    validation = [one for one in held_out if one is not None]
    return SweepRecord(
        sweep=number,
        nll_train=-float(log_mean([train for train, _ in scores], weights).mean()),
        nll_validation=-float(log_mean(validation, weights).mean()) if validation else None,
        max_bond=max(bonds, default=1),
        mean_bond=float(np.mean(bonds)) if bonds else 1.0,
        discarded_weight=max(member.history[-1].discarded_weight for member in members),
        seconds=seconds,
    )
