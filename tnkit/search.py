"""Finding a contraction path: exact orders for small networks, annealed greedy ones for hard ones.

opt_einsum's and cotengra's optimisers are there by name.

Labels are integers, sizes are given, nothing here sees an array. The result is a list of pairs of
ids, result i being len(inputs) + i.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

from tnkit.annealing import anneal
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.program import Labels, Pair, tree_legs

__all__ = ["OPTIMIZERS", "Found", "Progress", "find_path", "path_cost"]

OPTIMIZERS = ("auto", "optimal", "dp", "greedy", "random-greedy", "anneal", "cotengra", "kahypar")
OBJECTIVES = ("flops", "size", "combo")
Progress: TypeAlias = Callable[[float, float], None]

_COMBO = 64  # cotengra's and opt_einsum's weight of one element written against one multiplication


@dataclass(frozen=True, slots=True)
class Found:
    """A path and the name of the optimiser that found it."""

    path: tuple[Pair, ...]
    optimizer: str


def path_cost(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int], path: Sequence[Pair]
) -> tuple[int, int, int]:
    """Return multiplications, largest intermediate and all elements written, without slicing."""
    legs = tree_legs(inputs, output, path)
    count = len(inputs)
    flops = largest = written = 0
    for step, (one, two) in enumerate(path):
        size = math.prod([sizes[label] for label in legs[count + step]])
        flops += math.prod([sizes[label] for label in legs[one] | legs[two]])
        largest = max(largest, size)
        written += size
    return flops, largest, written


def score(cost: tuple[int, int, int], minimize: str) -> tuple[float, float]:
    """Return what is minimised: the objective, ties broken by the other figure."""
    flops, largest, written = cost
    if minimize == "size":
        return float(largest), float(flops)
    if minimize == "combo":
        return float(flops + _COMBO * written), float(largest)
    return float(flops), float(largest)


def find_path(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    *,
    optimizer: Any = "auto",
    minimize: str = "flops",
    seed: int = 0,
    time_budget: float | None = None,
    progress: Progress | None = None,
) -> Found:
    """Return the best path an optimiser finds.

    inputs as `reduce_inputs` gives them. optimizer: one of `OPTIMIZERS`, a list of pairs in
    opt_einsum's recycled numbering, or an object called as opt_einsum calls its own. minimize:
    "flops", "size" (the largest intermediate) or "combo" (both). time_budget: seconds to search
    for; the best path so far is returned when they are over, progress(seconds, log10 of the best
    flops) being called on the way. Raises `ArgumentError` for what is not offered.
    """
    if minimize not in OBJECTIVES:
        raise ArgumentError(f"minimize={minimize!r} is not offered; use {_list(OBJECTIVES)}")
    if time_budget is not None and not time_budget > 0:
        raise ArgumentError(f"time_budget must be above 0 seconds, got {time_budget!r}")
    if isinstance(optimizer, str) and optimizer not in OPTIMIZERS:
        raise ArgumentError(f"optimizer={optimizer!r} is not offered; use {_list(OPTIMIZERS)}")
    task = Task(tuple(inputs), output, dict(sizes), minimize, seed, time_budget, progress)
    if not isinstance(optimizer, str):
        if isinstance(optimizer, Sequence) and not isinstance(optimizer, bytes):
            return Found(task.linear(optimizer), "given")
        if not callable(optimizer):
            raise ArgumentTypeError(
                f"optimizer must be one of {_list(OPTIMIZERS)}, a path or a callable, "
                f"got {optimizer!r}"
            )
        return Found(task.call(optimizer), type(optimizer).__name__)
    if len(inputs) <= 2:
        return Found(((0, 1),) if len(inputs) == 2 else (), "trivial")
    path, name = getattr(task, optimizer.replace("-", "_"))()
    return Found(path, name)


def _list(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Give code that draws from Python's global generator a seed, and the generator back."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@dataclass(frozen=True, slots=True)
class Task:
    """One search: what is given, and each way to go about it."""

    inputs: tuple[Labels, ...]
    output: Labels
    sizes: dict[int, int]
    minimize: str
    seed: int
    time_budget: float | None
    progress: Progress | None

    def cost(self, path: Sequence[Pair]) -> tuple[int, int, int]:
        """Return the `path_cost` of a path."""
        return path_cost(self.inputs, self.output, self.sizes, path)

    def score(self, path: Sequence[Pair]) -> tuple[float, float]:
        """Return the figure of merit of a path, less is better."""
        return score(self.cost(path), self.minimize)

    def linear(self, path: Sequence[Sequence[int]]) -> tuple[Pair, ...]:
        """Return a path in recycled numbering (opt_einsum's) as pairs of ids, checked."""
        alive = list(range(len(self.inputs)))
        pairs: list[Pair] = []
        for step in path:
            try:
                chosen = sorted({int(at) for at in step}, reverse=True)
                ids = [alive.pop(at) for at in chosen]
                if len(chosen) < len(step):
                    raise IndexError
            except (IndexError, TypeError, ValueError):
                raise ArgumentError(
                    f"step {step!r} of the path does not fit: {len(alive)} tensors are left; "
                    "a path is a list of pairs of positions, the result going to the end"
                ) from None
            while len(ids) > 1:  # more than two at once: one after the other
                one, two = ids.pop(), ids.pop()
                pairs.append((one, two))
                ids.append(len(self.inputs) + len(pairs) - 1)
            alive.extend(ids)
        while len(alive) > 1:
            one, two = alive.pop(0), alive.pop(0)
            pairs.append((one, two))
            alive.append(len(self.inputs) + len(pairs) - 1)
        return tuple(pairs)

    def call(self, optimizer: Callable[..., Any]) -> tuple[Pair, ...]:
        """Run an optimiser with opt_einsum's signature."""
        sets = [frozenset(labels) for labels in self.inputs]
        with _seeded(self.seed):
            return self.linear(optimizer(sets, frozenset(self.output), self.sizes))

    # ---- the optimisers by name; each returns a path and the name of who found it

    def optimal(self) -> tuple[tuple[Pair, ...], str]:
        """Try every order: exact, and exponential in the number of tensors."""
        if len(self.inputs) > 12:
            raise ArgumentError(
                f"optimizer='optimal' would try every order of {len(self.inputs)} tensors; "
                "use 'dp' (exact without outer products), 'auto' or 'cotengra'"
            )
        from opt_einsum.paths import optimal

        return self.call(optimal), "optimal"

    def dp(self) -> tuple[tuple[Pair, ...], str]:
        """Dynamic programming: the best path without outer products."""
        from opt_einsum.paths import DynamicProgramming

        what = {"flops": "flops", "size": "size", "combo": f"combo-{_COMBO}"}[self.minimize]
        return self.call(DynamicProgramming(minimize=what)), "dp"

    def greedy(self) -> tuple[tuple[Pair, ...], str]:
        """Take the locally best pair each time."""
        from opt_einsum.paths import greedy

        return self.call(greedy), "greedy"

    def random_greedy(self) -> tuple[tuple[Pair, ...], str]:
        """Greedy with noise, many times: until the time budget is spent, or 128 times."""
        from opt_einsum.path_random import RandomGreedy

        minimize = "size" if self.minimize == "size" else "flops"
        best = self.greedy()[0]
        deadline = _deadline(self.time_budget)
        rounds = 8 if deadline is None else 10**9
        for number in range(rounds):
            shuffled = list(range(len(self.inputs)))
            random.Random(self.seed * 1009 + number).shuffle(shuffled)
            search = RandomGreedy(max_repeats=16, minimize=minimize)
            sets = [frozenset(self.inputs[at]) for at in shuffled]
            with _seeded(self.seed):
                search(sets, frozenset(self.output), self.sizes)
            count = len(self.inputs)
            pairs = tuple(
                tuple(shuffled[at] if at < count else at for at in pair)
                for pair in search.best["ssa_path"]
            )
            path = self.complete(pairs)
            best = min(best, path, key=self.score)
            self._tell(best, deadline)
            if deadline is not None and time.monotonic() >= deadline:
                break
        return best, "random-greedy"

    def complete(self, path: Sequence[Pair]) -> tuple[Pair, ...]:
        """Return a path that ends in one node: what is left over is multiplied."""
        count = len(self.inputs)
        pairs = [pair for pair in path if len(pair) == 2]
        if len(pairs) != len(path):
            raise ArgumentError("a path of pairs only is needed here")
        consumed = {node for pair in pairs for node in pair}
        left = [node for node in range(count + len(pairs)) if node not in consumed]
        while len(left) > 1:
            one, two = left.pop(0), left.pop(0)
            pairs.append((one, two))
            left.append(count + len(pairs) - 1)
        return tuple(pairs)

    def cotengra(self) -> tuple[tuple[Pair, ...], str]:
        """Cotengra's hyper-optimisation with subtree reconfiguration (Quantum 5, 410, 2021).

        Uses kahypar's partitions where it is installed, label propagation otherwise.
        """
        methods = ["greedy", "kahypar" if find_spec("kahypar") else "labels"]
        return self._hyper(methods), "cotengra"

    def kahypar(self) -> tuple[tuple[Pair, ...], str]:
        """Cotengra's search with kahypar partitions alone."""
        if not find_spec("kahypar"):
            raise ArgumentError(
                "optimizer='kahypar' needs the kahypar package; pip install kahypar, "
                "or use 'cotengra', which does without"
            )
        return self._hyper(["kahypar"]), "kahypar"

    def _hyper(self, methods: list[str]) -> tuple[Pair, ...]:
        import cotengra

        deadline = _deadline(self.time_budget)
        names = {label: cotengra.get_symbol(label) for label in self.sizes}
        inputs = [tuple(names[label] for label in labels) for labels in self.inputs]
        output = tuple(names[label] for label in self.output if self.sizes[label] != 1)
        sizes = {names[label]: size for label, size in self.sizes.items()}
        best = self.greedy()[0]
        optlib = "optuna" if find_spec("optuna") else "sbplx"
        with _seeded(self.seed):
            search = cotengra.HyperOptimizer(
                methods=methods,
                minimize=self.minimize,
                max_repeats=16 if deadline is None else 10**9,
                max_time=None if deadline is None else max(0.05, deadline - time.monotonic()),
                parallel=False,
                optlib=optlib,
                reconf_opts={},
                on_trial_error="ignore",
            )
            tree = search.search(inputs, output, sizes)
            best = min(best, self.complete(tree.get_ssa_path()), key=self.score)
        self._tell(best, deadline)
        return best

    def anneal(self) -> tuple[tuple[Pair, ...], str]:
        """Greedy, then annealing of the tree: until the budget is spent, or 1024 sweeps."""
        return self._annealed(self.greedy()[0], 1024), "anneal"

    def _annealed(self, path: tuple[Pair, ...], sweeps: int) -> tuple[Pair, ...]:
        deadline = _deadline(self.time_budget)
        better = anneal(
            self.inputs,
            self.output,
            self.sizes,
            path,
            minimize=self.minimize,
            seed=self.seed,
            sweeps=None if deadline is not None else sweeps,
            deadline=deadline,
            report=lambda best: self._tell(best, deadline),
        )
        return min(path, better, key=self.score)

    def auto(self) -> tuple[tuple[Pair, ...], str]:
        """Spend on the search about what it can save.

        Up to eight tensors: the best order. Then greedy, annealed for about as long as the
        contraction would take, or for the time budget; at least for a fifth of a second or 1024
        sweeps, whichever is less. A path that runs in a few milliseconds is left as it is.
        """
        count = len(self.inputs)
        if count <= 8:
            return self.optimal() if count <= 5 else self.dp()
        path, _ = self.greedy()
        seconds = self.cost(path)[0] / 1e9
        if self.time_budget is None and seconds < 0.003:
            return path, "greedy"
        each = 1e-6 * count  # a sweep costs about a microsecond a tensor
        least = max(128, min(1024, int(0.2 / each)))  # fewer are too hot to better any path
        return self._annealed(path, min(4096, max(least, int(seconds / each)))), "anneal"

    def _tell(self, best: Sequence[Pair], deadline: float | None) -> None:
        if self.progress is not None:
            spent = 0.0
            if deadline is not None and self.time_budget is not None:
                spent = self.time_budget - (deadline - time.monotonic())
            self.progress(spent, math.log10(max(1, self.cost(best)[0])))


def _deadline(budget: float | None) -> float | None:
    return None if budget is None else time.monotonic() + budget
