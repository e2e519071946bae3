"""Better contraction trees by simulated annealing on tree rotations.

A rotation turns ((a b) c) into ((a c) b) and changes two contractions only, so trying one costs a
few microseconds whatever the size of the network (Kalachev, Panteleev and Yung, arXiv:2108.05665).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TypeAlias

from tnkit.program import Labels, Pair

__all__ = ["anneal"]

Report: TypeAlias = Callable[[Sequence[Pair]], None]

_COLD = 12.0  # inverse temperature, in units of one factor of two, where nothing moves any more
_FRESH, _AGAIN = 0.2, 0.8  # where a round from the first tree and one from the best start


class _Tree:
    """A contraction tree as arrays of children and of labels, the labels as bits.

    A label of size s is about log2(s) * grain bits wide, so that the number of bits set measures
    the logarithm of a size: one machine instruction, for any mixture of sizes.
    """

    __slots__ = ("base", "count", "left", "legs", "right", "root")

    def __init__(
        self,
        inputs: Sequence[Labels],
        output: Labels,
        sizes: Mapping[int, int],
        path: Sequence[Pair],
    ) -> None:
        used = {sizes[x] for labels in inputs for x in labels}
        grain = 1.0 / math.log2(min(used)) if len(used) == 1 and min(used) > 1 else 3.0
        self.base = 2.0 ** (1.0 / grain)
        bits: dict[int, int] = {}
        shift = 0
        for labels in inputs:
            for x in labels:
                if x not in bits:
                    width = max(1, round(math.log2(max(2, sizes[x])) * grain))
                    bits[x] = ((1 << width) - 1) << shift
                    shift += width
        self.count = len(inputs)
        legs = [sum(bits[x] for x in set(labels)) for labels in inputs]
        final = sum(bits[x] for x in set(output) if x in bits)
        nodes = len(inputs) + len(path)
        self.left = [-1] * nodes
        self.right = [-1] * nodes
        for step, (one, two) in enumerate(path):
            self.left[self.count + step] = one
            self.right[self.count + step] = two
        self.root = nodes - 1
        legs += [0] * len(path)
        self.legs = legs
        # a label lives on in a node where it occurs both below it and outside of it
        below = list(legs)
        for node in range(self.count, nodes):
            below[node] = below[self.left[node]] | below[self.right[node]]
        outside = [0] * nodes
        outside[self.root] = final
        for node in range(nodes - 1, self.count - 1, -1):
            one, two = self.left[node], self.right[node]
            outside[one] = outside[node] | below[two]
            outside[two] = outside[node] | below[one]
        for node in range(self.count, nodes):
            legs[node] = below[node] & outside[node]

    def copy_children(self) -> tuple[list[int], list[int], list[int]]:
        """Return what a later `restore` needs."""
        return self.left[:], self.right[:], self.legs[:]

    def restore(self, saved: tuple[list[int], list[int], list[int]]) -> None:
        """Go back to saved children."""
        self.left, self.right, self.legs = saved[0][:], saved[1][:], saved[2][:]

    def total(self, weight_written: float, weight_largest: float) -> float:
        """Return what is minimised, over the whole tree."""
        base, legs = self.base, self.legs
        work = written = largest = 0.0
        for node in range(self.count, len(legs)):
            work += base ** (legs[self.left[node]] | legs[self.right[node]]).bit_count()
            size = base ** legs[node].bit_count()
            written += size
            largest = max(largest, size)
        if weight_largest:
            return largest * weight_largest + work * 1e-12
        return work + weight_written * written

    def sweep(self, beta: float, draw: Callable[[], float], extra: float, by_size: bool) -> None:
        """Try one random rotation at every node."""
        left, right, legs, count, base = self.left, self.right, self.legs, self.count, self.base
        for node in range(count, len(legs)):
            x, c = left[node], right[node]
            luck = draw()
            if x < count or (c >= count and luck < 0.5):
                x, c = c, x
                if x < count:
                    continue
                luck *= 2.0
            a, b = left[x], right[x]
            if luck * 16.0 % 1.0 < 0.5:
                a, b = b, a
            la, lb, lc, lx = legs[a], legs[b], legs[c], legs[x]
            ly = (la | lc) & (lb | legs[node])
            old = base ** (la | lb).bit_count() + base ** (lx | lc).bit_count()
            new = base ** (la | lc).bit_count() + base ** (ly | lb).bit_count()
            if by_size:
                old = old * 1e-12 + base ** lx.bit_count()
                new = new * 1e-12 + base ** ly.bit_count()
            elif extra:
                old += extra * base ** lx.bit_count()
                new += extra * base ** ly.bit_count()
            if new <= old or draw() < (old / new) ** beta:
                legs[x] = ly
                left[x], right[x] = a, c
                left[node], right[node] = x, b

    def path(self) -> tuple[Pair, ...]:
        """Return the tree as pairs of ids."""
        number = {node: node for node in range(self.count)}
        pairs: list[Pair] = []
        stack = [(self.root, False)]
        while stack:
            node, ready = stack.pop()
            if node < self.count:
                continue
            if ready:
                pairs.append((number[self.left[node]], number[self.right[node]]))
                number[node] = self.count + len(pairs) - 1
            else:
                stack += [(node, True), (self.right[node], False), (self.left[node], False)]
        return tuple(pairs)


def anneal(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    path: Sequence[Pair],
    *,
    minimize: str = "flops",
    seed: int = 0,
    sweeps: int | None = None,
    deadline: float | None = None,
    report: Report | None = None,
) -> tuple[Pair, ...]:
    """Return a path at least as good as `path`, by annealing its tree.

    inputs as `reduce_inputs` gives them. Rounds of cooling follow each other until `sweeps` over
    the tree are done or `deadline` (time.monotonic) has come: two from the first tree, which
    explore, then two from the best so far, which refine, then all again twice as long. Where
    `sweeps` are given the four share them: slow cooling finds more than many quick rounds.
    report(best path) is called after each round.
    """
    if len(path) < 3:
        return tuple(path)
    tree = _Tree(inputs, output, sizes, path)
    draw = random.Random(seed).random
    by_size = minimize == "size"
    extra = 64.0 if minimize == "combo" else 0.0
    goal = (extra, 1.0 if by_size else 0.0)
    first = best = tree.copy_children()
    best_total = tree.total(*goal)
    done, planned = 0, 32 if sweeps is None else max(32, sweeps // 8)
    for turn in count():
        fresh = turn % 4 < 2
        if turn % 4 == 0:
            planned *= 2
        tree.restore(first if fresh else best)
        length = planned
        if sweeps is not None:
            length = min(length, sweeps - done)
        if length <= 0 or (deadline is not None and time.monotonic() >= deadline):
            break
        if deadline is not None:
            length = _affordable(tree, length, deadline, goal, draw)
        beta = _FRESH if fresh else _AGAIN
        ratio = (_COLD / beta) ** (1.0 / max(1, length - 1))
        for number in range(length):
            tree.sweep(beta, draw, extra, by_size)
            beta *= ratio
            if beta > 1.0 and (number % 4 == 0 or number == length - 1):
                total = tree.total(*goal)
                if total < best_total:
                    best_total = total
                    best = tree.copy_children()
            if deadline is not None and number % 8 == 0 and time.monotonic() >= deadline:
                break
        done += length
        if report is not None:
            tree.restore(best)
            report(tree.path())
    tree.restore(best)
    return tree.path()


def _affordable(
    tree: _Tree,
    length: int,
    deadline: float,
    goal: tuple[float, float],
    draw: Callable[[], float],
) -> int:
    """Return a round's length that ends, cooled down, about when the time is over."""
    start = time.monotonic()
    tree.sweep(_COLD, draw, goal[0], bool(goal[1]))
    tree.total(*goal)
    each = max(1e-6, time.monotonic() - start)
    left = int((deadline - time.monotonic()) / each)
    # the last round takes all that is left, rather than being cut off hot
    return max(1, left) if left < 3 * length else length
