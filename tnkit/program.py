"""A contraction path compiled to instructions, with an exact account of its cost.

Everything here is numbers: labels are small integers, arrays are shapes. A `Program` is what a
`Plan` runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import log, prod
from typing import Any, TypeAlias

from tnkit.arrays import Array, Movers, largest_magnitude, namespace, whole
from tnkit.pairwise import Instruction, Lowered, is_view, joined, lower, prepare, run, run_one

__all__ = ["Program", "compile_path", "depth_first", "oriented", "reduce_inputs"]

Labels: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
Operations: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """How one input is cut for one slice: fix `axes` to the values of the labels `which`."""

    slot: int
    axes: tuple[int, ...]
    which: tuple[int, ...]
    ndim: int
    compact: bool

    def apply(self, array: Array, values: tuple[int, ...], movers: Movers) -> Array:
        """Return the part of `array` that belongs to one slice."""
        key: list[Any] = [slice(None)] * self.ndim
        for axis, number in zip(self.axes, self.which, strict=True):
            key[axis] = values[number]
        part = whole(array[tuple(key)])
        return movers.compact(part) if self.compact else part


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions over registers; register i starts as input i.

    shared, common: what does not depend on the slice, done once. cuts, prepared, instructions: one
    slice. steps: (left, right, lowered, depends on the slice) in the order they run, ids as in a
    static-single-assignment path. peak_elements: the most elements alive at once, inputs included.
    largest: elements of the largest intermediate. written: elements of all results. simple: nothing
    is to do but the instructions. matrices: the two inputs whose matrix product is all there is.
    """

    shared: tuple[tuple[int, Operations], ...]
    common: tuple[Instruction, ...]
    cuts: tuple[Cut, ...]
    prepared: tuple[tuple[int, Operations], ...]
    instructions: tuple[Instruction, ...]
    result: int
    shape: tuple[int, ...] | None
    permute: tuple[int, ...] | None
    slice_sizes: tuple[int, ...]
    steps: tuple[tuple[int, int, Lowered, bool], ...]
    multiplications: int
    peak_elements: int
    largest: int
    written: int
    simple: bool
    matrices: Pair | None

    @property
    def slices(self) -> int:
        """How many slices are summed."""
        return prod(self.slice_sizes)

    def slice_values(self) -> Iterator[tuple[int, ...]]:
        """Yield the values of the sliced labels, slice by slice."""
        return product(*(range(size) for size in self.slice_sizes))

    def start(self, values: Sequence[Array], movers: Movers) -> list[Any]:
        """Return the registers after everything that does not depend on the slice."""
        pool = list(values)
        for slot, operations in self.shared:
            pool[slot] = run_one(pool[slot], operations, movers)
        if self.common:
            run(self.common, pool, movers)
        return pool

    def one_slice(self, pool: Sequence[Any], at: tuple[int, ...], movers: Movers) -> Array:
        """Return the raw result of one slice; `pool` is left alone."""
        mine = list(pool)
        for cut in self.cuts:
            mine[cut.slot] = cut.apply(mine[cut.slot], at, movers)
        for slot, operations in self.prepared:
            mine[slot] = run_one(mine[slot], operations, movers)
        run(self.instructions, mine, movers)
        return mine[self.result]

    def finish(self, raw: Array, movers: Movers) -> Array:
        """Return a raw result with its axes in the order asked for."""
        if self.shape is not None:
            raw = movers.reshape(raw, self.shape)
        return raw if self.permute is None else movers.permute(raw, self.permute)

    def run(self, values: Sequence[Array], movers: Movers) -> Array:
        """Return the contraction of the arrays, slice after slice."""
        if not self.slice_sizes:
            pool = self.start(values, movers) if self.shared else list(values)
            run(self.instructions, pool, movers)
            raw = pool[self.result]
            if self.shape is None and self.permute is None:
                return raw
            return self.finish(raw, movers)
        pool = self.start(values, movers)
        total = None
        for at in self.slice_values():
            part = self.one_slice(pool, at, movers)
            total = part if total is None else whole(total + part)
            del part
        return self.finish(total, movers)

    # ---- the same with the scale taken out, for values beyond a float

    def start_scaled(self, values: Sequence[Array], movers: Movers) -> tuple[list[Any], float]:
        """Return the registers, each near one, and the logarithm taken out of them."""
        pool = list(values)
        for slot, operations in self.shared:
            pool[slot] = run_one(pool[slot], operations, movers)
        cut = {cut.slot for cut in self.cuts}
        total = sum(_tame(pool, slot) for slot in range(len(pool)) if slot not in cut)
        return pool, total + _run_scaled(self.common, pool, movers)

    def one_slice_scaled(
        self, pool: Sequence[Any], at: tuple[int, ...], movers: Movers
    ) -> tuple[Array, float]:
        """Return the raw result of one slice near one, and the logarithm taken out of it."""
        mine = list(pool)
        total = 0.0
        for cut in self.cuts:
            mine[cut.slot] = cut.apply(mine[cut.slot], at, movers)
        for slot, operations in self.prepared:
            mine[slot] = run_one(mine[slot], operations, movers)
        for cut in self.cuts:
            total += _tame(mine, cut.slot)
        total += _run_scaled(self.instructions, mine, movers)
        return mine[self.result], total


def _tame(pool: list[Any], slot: int) -> float:
    """Divide a register by a power of two that brings it near one; return its logarithm."""
    largest = largest_magnitude(pool[slot])
    if largest == 0.0 or 1e-6 < largest < 1e6 or largest != largest or largest == float("inf"):
        return 0.0
    exponent = round(log(largest) / log(2.0))
    xp = namespace(pool[slot])
    if not xp.isdtype(pool[slot].dtype, ("real floating", "complex floating")):
        pool[slot] = xp.astype(pool[slot], xp.float64)
    half = exponent // 2  # in two steps: one power alone may leave the range
    pool[slot] = whole(pool[slot] * 2.0**-half * 2.0 ** (half - exponent))
    return exponent * log(2.0)


def _run_scaled(program: Sequence[Instruction], pool: list[Any], movers: Movers) -> float:
    total = 0.0
    for instruction in program:
        run((instruction,), pool, movers)
        total += _tame(pool, instruction[0])
    return total


def reduce_inputs(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int]
) -> list[Labels]:
    """Return the labels a path finder should see: no repeats, no lone labels, no size one."""
    counts: dict[int, int] = {}
    for labels in inputs:
        for label in set(labels):
            counts[label] = counts.get(label, 0) + 1
    for label in output:
        counts[label] = counts.get(label, 0) + 1
    return [
        tuple(x for x in dict.fromkeys(labels) if counts[x] > 1 and sizes[x] != 1)
        for labels in inputs
    ]


def depth_first(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int], path: Sequence[Pair]
) -> tuple[Pair, ...]:
    """Return the same tree in the depth-first order that keeps the least alive at once.

    path: pairs of ids, result i being len(inputs) + i. The costlier side of each pair goes first
    where that lowers the peak (Sethi and Ullman, J. ACM 17, 715, 1970).
    """
    count = len(inputs)
    legs = tree_legs(inputs, output, path)
    weight = [prod(sizes[label] for label in labels) for labels in legs]
    for node in range(count):
        weight[node] = 0  # the caller holds the inputs in any case
    peak = list(weight)
    order: dict[int, Pair] = {}
    for step, (one, two) in enumerate(path):
        node = count + step
        first = max(peak[one], weight[one] + peak[two])
        second = max(peak[two], weight[two] + peak[one])
        order[node] = (one, two) if first <= second else (two, one)
        peak[node] = max(min(first, second), weight[one] + weight[two] + weight[node])
    numbers: dict[int, int] = {node: node for node in range(count)}
    done: list[Pair] = []
    consumed = {node for pair in path for node in pair}
    roots = [count + step for step in range(len(path)) if count + step not in consumed]
    for root in roots:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node < count:
                continue
            one, two = order[node]
            if ready:
                numbers[node] = count + len(done)
                done.append((numbers[one], numbers[two]))
            else:
                stack += [(node, True), (two, False), (one, False)]
    return tuple(done)


def oriented(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int], path: Sequence[Pair]
) -> tuple[Pair, ...]:
    """Return the path with the operands of a pair exchanged where less is then moved.

    inputs as `reduce_inputs` gives them. The left operand's labels come first in a result, so that
    the order of a pair decides what the step that uses it has to transpose or to copy. Each step
    looks one step ahead, where the other operand there is known by then.
    """
    if len(path) < 2:
        return tuple(path)
    count = len(inputs)
    legs = tree_legs(inputs, output, path)
    upcoming = _upcoming(inputs, output, path)
    partner: dict[int, int] = {}
    for one, two in path:
        partner[one], partner[two] = two, one
    known = [(labels, tuple([sizes[label] for label in labels])) for labels in inputs]
    found: list[Pair] = []
    for step, pair in enumerate(path):
        node = count + step
        one, two = pair
        made = lower(*known[one], *known[two], legs[node], upcoming.get(node, ()))
        labels = made.labels
        batch = [x for x in labels if x in legs[one] and x in legs[two]]
        first = [x for x in labels if x not in legs[two]]
        second = [x for x in labels if x not in legs[one]]
        size = prod(made.shape)
        efforts = []
        for (left, right), order in (
            ((one, two), (*batch, *first, *second)),
            ((two, one), (*batch, *second, *first)),
        ):
            gone = upcoming[left]
            effort = _effort(known[left][0], gone, legs[right], 0, left=True)
            effort += _effort(known[right][0], gone, legs[left], 0, left=False)
            other = partner.get(node)
            if other is None:
                effort += 0 if order == output else _VIEW
            elif other < node:
                gone, beside = upcoming[node], known[other][0]
                effort += min(
                    _effort(order, gone, legs[other], size, left=side)
                    + _effort(beside, gone, legs[node], 0, left=not side)
                    for side in (True, False)
                )
            efforts.append(effort)
        if efforts[1] < efforts[0]:
            one, two = two, one
            made = lower(*known[one], *known[two], legs[node], upcoming.get(node, ()))
        found.append((one, two))
        known.append((made.labels, made.shape))
    return tuple(found)


_VIEW = 256  # elements that NumPy moves while it makes a view, about


def _effort(
    labels: Sequence[int], gone: frozenset[int], other: frozenset[int], size: int, *, left: bool
) -> int:
    """Return what bringing an operand to a matrix costs, in elements moved; batch labels aside.

    gone: the labels summed. size: elements of the operand, for where it must be copied.
    """
    kinds = [x in gone for x in labels if x in gone or x not in other]
    blocks = sum([one != two for one, two in pairwise(kinds)])
    if blocks > 1:
        return _VIEW + size
    return _VIEW if blocks and kinds[0] == left else 0


def tree_legs(
    inputs: Sequence[Labels], output: Labels, path: Sequence[Pair]
) -> list[frozenset[int]]:
    """Return the labels of every node of the tree, inputs first (see `reduce_inputs`)."""
    holders: dict[int, int] = {}
    for labels in inputs:
        for label in set(labels):
            holders[label] = holders.get(label, 0) + 1
    for label in output:
        holders[label] = holders.get(label, 0) + 1
    legs = [frozenset(labels) for labels in inputs]
    for one, two in path:
        both = legs[one] & legs[two]
        for label in both:
            holders[label] -= 1
        legs.append((legs[one] | legs[two]) - {label for label in both if holders[label] == 1})
    return legs


def compile_path(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    path: Sequence[Pair],
    sliced: Labels = (),
) -> Program:
    """Compile a path in the order given.

    inputs: the labels of each array, repeats, lone labels and sizes of one included. path: pairs
    of ids as in `depth_first`, ending in one node. sliced: labels to fix, none of them in output.
    """
    count = len(inputs)
    cut_labels = set(sliced)
    holders: dict[int, int] = {}
    for labels in inputs:
        for label in set(labels):
            holders[label] = holders.get(label, 0) + 1
    for label in output:
        holders[label] = holders.get(label, 0) + 1
    alive = sum(prod(sizes[label] for label in labels) for labels in inputs)
    peak = alive
    legs: list[Labels] = []
    shapes: list[tuple[int, ...]] = []
    own: list[int] = []  # elements a register holds beside the caller's inputs
    shared: list[tuple[int, Operations]] = []
    prepared: list[tuple[int, Operations]] = []
    cuts: list[Cut] = []
    late: list[tuple[int, int]] = []  # (elements held, elements alive at worst) of cut inputs
    depends: list[bool] = []
    for slot, labels in enumerate(inputs):
        axes = tuple(axis for axis, label in enumerate(labels) if label in cut_labels)
        kept = tuple(label for label in labels if label not in cut_labels)
        shape = tuple(sizes[label] for label in kept)
        held = 0
        if axes:
            compact = axes != tuple(range(len(axes)))
            which = tuple(sliced.index(labels[axis]) for axis in axes)
            cuts.append(Cut(slot, axes, which, len(labels), compact))
            held = prod(shape) if compact else 0
        names, shape, operations, held, worst = _prepare(kept, shape, holders, held)
        depends.append(bool(axes))
        legs.append(names)
        shapes.append(shape)
        if axes:
            late.append((held, worst))
            own.append(held)
        else:
            peak = max(peak, alive + worst)
            alive += held
            own.append(held)
        if operations:
            (prepared if axes else shared).append((slot, operations))
    order = range(len(path))
    for one, two in path:
        depends.append(depends[one] or depends[two])
    if cuts:
        order = [  # type: ignore[assignment]
            *(s for s in order if not depends[count + s]),
            *(s for s in order if depends[count + s]),
        ]
    upcoming = _upcoming(legs, output, path)
    register = {node: node for node in range(count)}
    lowered: dict[int, Lowered] = {}
    for step, (one, two) in enumerate(path):  # labels first: they do not depend on the order
        shared_labels = set(legs[one]).intersection(legs[two])
        for label in shared_labels:
            holders[label] -= 1
        keep = {label for label in shared_labels if holders[label] > 1}
        made = lower(
            legs[one], shapes[one], legs[two], shapes[two], keep, upcoming.get(count + step, ())
        )
        lowered[step] = made
        legs.append(made.labels)
        shapes.append(made.shape)
        own.append(prod(made.shape))
        for operand in (one - count, two - count):
            if operand >= 0:
                lowered[operand], lowered[step] = joined(
                    lowered[operand], lowered[step], left=operand == one - count
                )
    steps: list[tuple[int, int, Lowered, bool]] = []
    common: list[Instruction] = []
    instructions: list[Instruction] = []
    slices = prod(sizes[label] for label in sliced)
    multiplications = largest = written = 0
    peak_shared = -1
    for step in order:
        node = count + step
        if depends[node] and peak_shared < 0:
            peak_shared = peak
            peak, alive = _cut_peak(alive, late)
        made = lowered[step]
        left, right = path[step]
        instruction = made.instruction(register[left], register[right])
        (instructions if depends[node] or not cuts else common).append(instruction)
        register[node] = register[left]
        result = prod(made.shape)
        copies = made.left.copied + made.right.copied
        consumed = [x for x in (left, right) if depends[x] == depends[node] or not cuts]
        freed = own[right] if made.right.copied and right in consumed else 0
        peak = max(peak, alive + copies, alive + copies - freed + result)
        # what all slices share stays alive through them: their registers start as copies of it
        alive += result - sum(own[x] for x in consumed)
        times = slices if depends[node] else 1
        multiplications += times * made.batch * made.m * made.n * made.k
        written += times * result
        largest = max(largest, result)
        steps.append((left, right, made, depends[node]))
    if cuts and peak_shared < 0:
        peak_shared = peak
        peak, alive = _cut_peak(alive, late)
    last = legs[-1] if legs else ()
    size = prod(shapes[-1]) if shapes else 1
    if cuts and slices > 1:
        # beside a slice lives the sum so far; then that, one more part, and their sum
        peak = max(peak_shared, peak + size, alive - own[-1] + 3 * size)
    ones = tuple(label for label in output if label not in last)
    final = (*last, *ones)
    position = {label: axis for axis, label in enumerate(final)}
    permute = tuple(position[label] for label in output)
    plain = not shared and not cuts and bool(count) and not ones
    simple = plain and permute == tuple(range(len(last)))
    return Program(
        tuple(shared),
        tuple(common),
        tuple(cuts),
        tuple(prepared),
        tuple(instructions),
        register[count + len(path) - 1] if count else 0,
        tuple(sizes[label] for label in final) if ones else None,
        None if permute == tuple(range(len(permute))) else permute,
        tuple(sizes[label] for label in sliced),
        tuple(steps),
        multiplications,
        peak,
        largest,
        written,
        simple,
        steps[0][:2] if simple and len(steps) == 1 and steps[0][2].is_dot else None,
    )


def _upcoming(
    inputs: Sequence[Labels], output: Labels, path: Sequence[Pair]
) -> dict[int, frozenset[int]]:
    """Return, for each node, the labels summed in the step that uses it."""
    legs = tree_legs(inputs, output, path)
    count = len(inputs)
    found: dict[int, frozenset[int]] = {}
    for step, (one, two) in enumerate(path):
        gone = (legs[one] & legs[two]) - legs[count + step]
        found[one] = found[two] = gone
    return found


def _cut_peak(alive: int, late: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the peak while the inputs of one slice are cut, and what is alive then."""
    peak = alive
    for held, worst in late:
        peak = max(peak, alive + worst)
        alive += held
    return peak, alive


def _prepare(
    labels: Labels, shape: tuple[int, ...], holders: Mapping[int, int], held: int
) -> tuple[Labels, tuple[int, ...], Operations, int, int]:
    """Lower one input: drop sizes of one, then diagonals and lone sums; with what it allocates."""
    operations: list[tuple[str, tuple[int, ...]]] = []
    names = tuple(x for x, size in zip(labels, shape, strict=True) if size != 1)
    sizes = tuple(size for size in shape if size != 1)
    if names != labels:
        operations.append(("reshape", sizes))
    keep = {label for label in names if holders[label] > 1}
    left, more = prepare(names, sizes, keep)
    operations.extend(more)
    known = dict(zip(names, sizes, strict=True))
    worst = held
    current, order = sizes, tuple(range(len(sizes)))
    strided = False
    for verb, numbers in more:
        new = 0
        if verb == "permute":
            order = numbers
        elif verb == "reshape":
            groups = [1] * (len(numbers) - 1) + [2]
            if strided or not is_view(current, order, groups):
                new = prod(numbers)
            current, order = numbers, tuple(range(len(numbers)))
        elif verb == "diagonal":
            current = (*current[:-1], (current[-1] - 1) // numbers[0] + 1 if current[-1] else 0)
            strided = True
        else:
            current = tuple(n for axis, n in enumerate(current) if axis not in numbers)
            new = prod(current)
            strided = False
        if new:
            worst = max(worst, held + new)
            held = new
    if strided:  # a diagonal is a view with gaps: close them before BLAS sees it
        operations.append(("compact", ()))
        new = prod(current)
        worst = max(worst, held + new)
        held = new
    return left, tuple(known[label] for label in left), tuple(operations), held, worst  # type: ignore[return-value,index]
