"""The site order of each machine: as named, or the best of several in short runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from born_machine.checkpoint import members_of
from born_machine.curves import Order
from born_machine.fitting import Plan, first_starts, fit_chains
from born_machine.mixing import mixture_orders
from born_machine.models.mixture import log_mean
from born_machine.ordering import CANDIDATES, CURVES, LEARNED, image_order, site_order
from born_machine.ranks import ALONE
from born_machine.train import Logs, Scorer
from tnkit import ArgumentError

__all__ = ["OnTrial", "choose_orders"]

OnTrial: TypeAlias = Callable[[str, int, int, float], None]
"""Called after a short run: the name of the order, its number from 1, how many, the NLL."""

_VARIED = (*CURVES, *LEARNED)


class _Short(NamedTuple):
    """How long a short run is; `bond` and `samples` at most."""

    sweeps: int
    bond: int
    samples: int


_OF_CANDIDATES = _Short(sweeps=3, bond=8, samples=2000)
# of eight orders of 28 x 28 digits, by six sweeps of 10,000 at bond 50, the correlation is .93; at
# bond 16 it is .5, and of 2,000 samples .2
_OF_VARIATIONS = _Short(sweeps=2, bond=32, samples=5000)


def choose_orders(
    order: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
    machines: int,
    trials: int,
    plan: Plan,
    image_shape: tuple[int, int] | None,
    on_trial: OnTrial | None = None,
) -> tuple[str, tuple[Order, ...]]:
    """Return the name of the site order and one permutation a machine.

    order: as BornMachine takes it; a list of names or permutations gives each machine its own.
    "auto" without an image tries all candidates; each trains for three sweeps at a bond of at most
    8 on at most 2,000 samples, and the lowest NLL wins, on validation samples where there are any.
    trials: above `machines`, so many orders as `mixture_orders` makes train for two sweeps at a
    bond of at most 32 on at most 5,000 samples; the best is taken, then in turn the one with which
    the mixture of equal weights is best. A sample that is impossible counts as the least likely
    one. Raises `ArgumentError` for a list that is not as long as there are machines, and for
    trials: fewer than machines, of an order without variations, or on several processes.
    """
    name: str = _name(order, image_shape)
    _check_trials(name, machines, trials, plan)
    features, seed = plan.training.shape[1], plan.settings.seed
    if name == "list":
        if len(order) != machines:
            raise ArgumentError(f"{len(order)} orders were given, n_machines is {machines}")
        listed: Sequence[Any] = order
        return name, tuple(
            site_order(one, features, image_shape, plan.training, seed) for one in listed
        )
    if name == "auto":
        name = _best_candidate(plan, on_trial)
    one: Any = order if name == "permutation" else name
    count = max(machines, trials)
    if count == 1:
        return name, (site_order(one, features, image_shape, plan.training, seed),)
    orders = mixture_orders(one, count, image_shape, plan.training, seed)
    if count == machines:
        return name, tuple(orders)
    named = ((name, variation) for variation in orders)
    tried, logs = zip(*_short_runs(plan, named, count, _OF_VARIATIONS, on_trial), strict=True)
    return name, tuple(tried[best] for best in _best_together(logs, machines))


def _name(order: object, image_shape: tuple[int, int] | None) -> str:
    """Return the name of an order; "list" where several were given."""
    if isinstance(order, str):
        return image_order(image_shape) if order == "auto" and image_shape is not None else order
    if isinstance(order, Sequence | np.ndarray) and len(order):
        return "list" if isinstance(order[0], str | Sequence | np.ndarray) else "permutation"
    return "permutation"


def _check_trials(name: str, machines: int, trials: int, plan: Plan) -> None:
    if 1 < trials < machines:
        raise ArgumentError(
            f"order_trials={trials} for n_machines={machines}; try at least as many, or leave it 1"
        )
    if trials > machines and name not in _VARIED:
        raise ArgumentError(
            f"order_trials={trials} needs an order that has variations, one of "
            f"{', '.join(_VARIED)}; this one is {name}"
        )
    if trials > machines and plan.ranks.size > 1:
        raise ArgumentError(
            f"order_trials={trials} work on one process, {plan.ranks.size} train; leave it 1, or "
            "give the orders that one process found"
        )


def _best_candidate(plan: Plan, on_trial: OnTrial | None) -> str:
    features, seed = plan.training.shape[1], plan.settings.seed
    if features < 3:
        return "given"
    named = ((name, site_order(name, features, None, plan.training, seed)) for name in CANDIDATES)
    found = _short_runs(plan, named, len(CANDIDATES), _OF_CANDIDATES, on_trial)
    (best,) = _best_together([logs for _, logs in found], 1)
    return CANDIDATES[best]


def _short_runs(
    plan: Plan,
    named: Iterable[tuple[str, Order]],
    count: int,
    short: _Short,
    on_trial: OnTrial | None,
) -> list[tuple[Order, Logs]]:
    """Train one machine along each of `count` orders; return ln p of the samples that are watched.

    On the CPU, of the samples as they are.
    """
    bond = min(short.bond, plan.settings.largest_bond)
    settings = replace(plan.settings, sweeps=short.sweeps, max_bond=bond, patience=0)
    trial = replace(plan, training=plan.training[: short.samples], settings=settings)
    trial = replace(trial, fuel=None, augment=None, place=np.asarray, ranks=ALONE, held_out=None)
    watched = plan.validation if len(plan.validation) else trial.training
    found = []
    for name, order in named:
        one = replace(trial, orders=(order,))
        result, _ = fit_chains(one, first_starts(one, np.random.default_rng(0)))
        (best,) = members_of(result)
        logs, _ = Scorer(watched[:, order], None)(best.best)
        found.append((order, logs))
        if on_trial is not None:
            on_trial(name, len(found), count, -float(logs.mean()))
    return found


def _best_together(logs: Sequence[Logs], count: int) -> list[int]:
    """Return the one with the largest mean ln p, then each that its mixture with those gains by."""
    stacked = np.stack(logs)
    stacked = np.maximum(stacked, np.min(stacked, where=np.isfinite(stacked), initial=0.0))
    taken: list[int] = []
    while len(taken) < count:
        left = [one for one in range(len(logs)) if one not in taken]
        weights = (1 / (len(taken) + 1),) * (len(taken) + 1)
        gains = [log_mean(list(stacked[[*taken, one]]), weights).mean() for one in left]
        taken.append(left[int(np.argmax(gains))])
    return taken
