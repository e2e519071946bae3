"""The site order of each machine: as named, or the best of several in short runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from born_machine.curves import Order
from born_machine.fitting import Plan, first_starts, fit_chains
from born_machine.mixing import mixture_orders
from born_machine.models.mixture import log_mean
from born_machine.ordering import CANDIDATES, CURVES, LEARNED, image_order, site_order
from born_machine.ranks import ALONE
from born_machine.train import Logs
from tnkit import ArgumentError

__all__ = ["OnTrial", "choose_orders"]

OnTrial: TypeAlias = Callable[[int, int, float], None]
"""Called after a short run with its number from 1, how many there are, and the NLL it reached."""


def choose_orders(
    order: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
    machines: int,
    trials: int,
    plan: Plan,
    image_shape: tuple[int, int] | None,
    *,
    known: Sequence[Order] = (),
    on_trial: OnTrial | None = None,
) -> tuple[str, tuple[Order, ...]]:
    """Return the name of the site order and one permutation a machine.

    order: as BornMachine takes it; a list of names or permutations gives each machine its own.
    "auto" without an image tries all candidates; each trains for three sweeps at a bond of at most
    8 on at most 2,000 samples, and the lowest NLL wins, on validation samples where there are any.
    trials: above `machines`, so many orders as `mixture_orders` makes train for two sweeps at a
    bond of at most 32 on at most 5,000 samples; the best is taken, then in turn the one with which
    the mixture is best. known: what an interrupted run found in such trials, which are then not
    made again. Raises `ArgumentError` for a list that is not as long as there are machines, for
    fewer trials than machines, and for trials of an order that has no variations.
    """
    training = plan.training
    features = training.shape[1]
    several = _order_list(order)
    name = order if isinstance(order, str) else "permutation" if several is None else "list"
    if name == "auto" and image_shape is not None:
        name = image_order(image_shape)
    elif name == "auto":
        name = _best_candidate(plan, on_trial)
    if trials > 1 and trials < machines:
        raise ArgumentError(
            f"order_trials={trials} for n_machines={machines}; try at least as many, or leave it 1"
        )
    if trials > machines and name not in (*CURVES, *LEARNED):
        raise ArgumentError(
            f"order_trials={trials} needs an order that has variations, one of "
            f"{', '.join((*CURVES, *LEARNED))}; this one is {name}"
        )
    if several is not None:
        if len(several) != machines:
            raise ArgumentError(f"{len(several)} orders were given, n_machines is {machines}")
        found = [site_order(one, features, image_shape, training) for one in several]
        return name, tuple(found)
    one = order if name == "permutation" else name
    count = max(machines, trials)
    if count == 1:
        return name, (site_order(one, features, image_shape, training),)  # type: ignore[arg-type]
    if count > machines == len(known):
        return name, tuple(known)
    orders = mixture_orders(one, count, image_shape, training, plan.settings.seed)  # type: ignore[arg-type]
    if count > machines:
        logs = _short_runs(plan, orders, on_trial, sweeps=2, bond=32, samples=5000)
        orders = [orders[taken] for taken in _best_together(logs, machines)]
    return name, tuple(orders)


def _order_list(order: object) -> Sequence[str | Sequence[int]] | None:
    """Return the orders where several were given, None where `order` is one."""
    if isinstance(order, str) or not isinstance(order, Sequence | np.ndarray) or not len(order):
        return None
    return list(order) if isinstance(order[0], str | Sequence | np.ndarray) else None


def _best_candidate(plan: Plan, on_trial: OnTrial | None) -> str:
    features = plan.training.shape[1]
    if features < 3:
        return "given"
    orders = [site_order(name, features, None, plan.training) for name in CANDIDATES]
    logs = _short_runs(plan, orders, on_trial, sweeps=3, bond=8, samples=2000)
    return CANDIDATES[_best_together(logs, 1)[0]]


def _short_runs(
    plan: Plan,
    orders: Sequence[Order],
    on_trial: OnTrial | None,
    *,
    sweeps: int,
    bond: int,
    samples: int,
) -> list[Logs]:
    """Return ln p of the samples that are watched after a short run along each order.

    On the CPU, of the samples as they are; an array (sample,) an order.
    """
    settings = plan.settings
    short = replace(settings, max_bond=min(bond, settings.largest_bond), sweeps=sweeps, patience=0)
    plan = replace(plan, training=plan.training[:samples], settings=short)
    plan = replace(plan, fuel=None, augment=None, place=np.asarray, ranks=ALONE)
    watched = plan.validation if len(plan.validation) else plan.training
    logs: list[Logs] = []
    for order in orders:
        trial = replace(plan, orders=(order,))
        _, model = fit_chains(trial, first_starts(trial, np.random.default_rng(0)))
        logs.append(model.log_likelihood(watched))
        if on_trial is not None:
            on_trial(len(logs), len(orders), -float(logs[-1].mean()))
    return logs


def _best_together(logs: Sequence[Logs], count: int) -> list[int]:
    """Return the one with the largest mean ln p, then each that its mixture with those gains by."""
    taken: list[int] = []
    while len(taken) < count:
        left = [one for one in range(len(logs)) if one not in taken]
        weights = (1 / (len(taken) + 1),) * (len(taken) + 1)
        gains = [log_mean([logs[k] for k in (*taken, one)], weights).mean() for one in left]
        taken.append(left[int(np.argmax(gains))])
    return taken
