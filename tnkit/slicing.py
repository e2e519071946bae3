"""Which indices to sum outside, one value at a time, so that a contraction fits into memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.checking import random_generator
from tnkit.program import Labels, Pair, Program, compile_path, tree_legs

__all__ = ["Slicing", "choose_slices"]

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Slicing:
    """The labels chosen and the program compiled with them; fits says whether it is enough."""

    labels: Labels
    program: Program
    fits: bool


def choose_slices(
    inputs: Sequence[Labels],
    reduced: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    path: Sequence[Pair],
    limit: int,
    seed: int = 0,
) -> Slicing:
    """Choose labels to slice until at most `limit` elements are alive at once.

    inputs, reduced: labels before and after `reduce_inputs`. Only summed labels are sliced. Each
    round takes the label of the largest step that adds the least work for the memory it saves; the
    cheapest of a few randomised rounds wins, and labels that prove unnecessary are put back. The
    work counted is exact: what does not depend on a sliced label is done once.
    """
    program = compile_path(inputs, output, sizes, path)
    if program.peak_elements <= limit:
        return Slicing((), program, True)
    table = _Table(reduced, output, sizes, path)
    held = sum(math.prod(sizes[label] for label in labels) for labels in inputs)
    rng = random_generator(seed)
    best: Slicing | None = None
    for number in range(_ROUNDS):
        found = _one_round(inputs, output, sizes, path, limit, held, table, rng, 0.3 * (number > 0))
        if best is None or _rank(found) < _rank(best):
            best = found
    assert best is not None
    return best


def _rank(found: Slicing) -> tuple[bool, int, int]:
    over = 0 if found.fits else found.program.peak_elements
    return not found.fits, over, found.program.multiplications


class _Table:
    """Which labels each step touches or depends on, as arrays: the search counts work with it."""

    def __init__(
        self,
        reduced: Sequence[Labels],
        output: Labels,
        sizes: Mapping[int, int],
        path: Sequence[Pair],
    ) -> None:
        count = len(reduced)
        legs = tree_legs(reduced, output, path)
        kept = set(output)
        self.labels = sorted(
            {x for labels in reduced for x in labels if x not in kept and sizes[x] > 1}
        )
        column = {label: at for at, label in enumerate(self.labels)}
        shape = (len(path), len(self.labels))
        self.touches = np.zeros(shape, dtype=bool)
        depends = np.zeros((count + len(path), len(self.labels)), dtype=bool)
        on_node = np.zeros((count + len(path), len(self.labels)), dtype=bool)
        for node, labels in enumerate(legs):
            for label in labels:
                if label in column:
                    on_node[node, column[label]] = True
        depends[:count] = on_node[:count]
        for step, (one, two) in enumerate(path):
            depends[count + step] = depends[one] | depends[two]
            self.touches[step] = on_node[one] | on_node[two]
        self.depends = depends[count:]
        self.on_node = on_node
        self.log_sizes = np.log([float(sizes[label]) for label in self.labels])
        self.size = np.exp([sum(math.log(max(1, sizes[x])) for x in labels) for labels in legs])
        self.work = np.array(
            [
                math.exp(sum(math.log(max(1, sizes[x])) for x in legs[one] | legs[two]))
                for one, two in path
            ]
        )
        self.trio = np.array([(one, two, count + step) for step, (one, two) in enumerate(path)])


def _one_round(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    path: Sequence[Pair],
    limit: int,
    held: int,
    table: _Table,
    rng: np.random.Generator,
    noise: float,
) -> Slicing:
    chosen: list[int] = []  # columns of the table
    repeat = np.ones(len(path))  # how often each step runs if it depends on a slice
    depends = np.zeros(len(path), dtype=bool)
    size = table.size.copy()
    free = np.ones(len(table.labels), dtype=bool)
    while True:
        alive = size[table.trio].sum(axis=1) if len(path) else np.zeros(1)
        step = int(np.argmax(alive)) if len(path) else 0
        if not len(path) or alive[step] + held <= limit or not (free & table.touches[step]).any():
            labels = tuple(table.labels[column] for column in chosen)
            program = compile_path(inputs, output, sizes, path, labels)
            if program.peak_elements <= limit:
                return _put_back(inputs, output, sizes, path, limit, program, labels)
        candidates = np.flatnonzero(free & table.touches[step]) if len(path) else np.zeros(0, int)
        if not len(candidates):
            candidates = np.flatnonzero(free)
            if not len(candidates):
                return Slicing(labels, program, False)
        factor = np.where(
            table.touches[:, candidates],
            repeat[:, None],
            repeat[:, None] * np.exp(table.log_sizes[candidates]),
        )
        runs = depends[:, None] | table.depends[:, candidates]
        work = (table.work[:, None] * np.where(runs, factor, 1.0)).sum(axis=0)
        before = float((table.work * np.where(depends, repeat, 1.0)).sum())
        price = (np.log(work) - math.log(before)) / table.log_sizes[candidates]
        if noise:
            price = price + noise * rng.exponential(size=len(price)) * (price.std() + 1e-3)
        column = int(candidates[int(np.argmin(price))])
        chosen.append(column)
        free[column] = False
        grow = np.exp(table.log_sizes[column])
        repeat = np.where(table.touches[:, column], repeat, repeat * grow)
        depends |= table.depends[:, column]
        size = np.where(table.on_node[:, column], size / grow, size)


def _put_back(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    path: Sequence[Pair],
    limit: int,
    program: Program,
    labels: Labels,
) -> Slicing:
    """Drop every label that is not needed after all, the largest first."""
    for label in sorted(labels, key=lambda x: -sizes[x]):
        fewer = tuple(x for x in labels if x != label)
        trial: Any = compile_path(inputs, output, sizes, path, fewer)
        if trial.peak_elements <= limit and trial.multiplications <= program.multiplications:
            labels, program = fewer, trial
    return Slicing(labels, program, True)
