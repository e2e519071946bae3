"""One pairwise contraction lowered to permute, reshape and (batched) matmul.

Two labelled operands are brought to matrices (batch, m, k) and (batch, k, n) and multiplied. The
lowering picks the order of the contracted and the batch labels, and the transposition of each
matrix, so that as few elements as possible are copied. Labels are any hashable values: names in
`Tensor`, small integers in a `Plan`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

from tnkit.arrays import Array, Movers
from tnkit.errors import SizeError

__all__ = [
    "Instruction",
    "Lowered",
    "Side",
    "is_view",
    "joined",
    "lower",
    "prepare",
    "run",
    "run_one",
]

Label: TypeAlias = Hashable
Instruction: TypeAlias = tuple[Any, ...]

PLAIN, TRANSPOSED, COMPACT, TRANSPOSED_STACK = 0, 1, 2, 3
DOT, OUTER, BATCHED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Side:
    """How one operand becomes a matrix: permute, reshape, then transpose the last two axes.

    permute and reshape are None where nothing is to do; finish is PLAIN, TRANSPOSED,
    TRANSPOSED_STACK or COMPACT (make contiguous: BLAS needs a unit stride). copied: elements moved
    in memory.
    """

    permute: tuple[int, ...] | None
    reshape: tuple[int, ...] | None
    finish: int
    copied: int


@dataclass(frozen=True, slots=True)
class Lowered:
    """One contraction of two operands, ready to run.

    labels: those of the result, in order. batch, m, n, k: the sizes multiplied together; the cost
    is batch m n k multiplications. outer: multiply by broadcasting, nothing is summed. batched:
    there is a batch axis. reshape: the shape of the result where the matrix product has another.
    """

    left: Side
    right: Side
    outer: bool
    batched: bool
    reshape: tuple[int, ...] | None
    labels: tuple[Any, ...]
    shape: tuple[int, ...]
    batch: int
    m: int
    n: int
    k: int

    @property
    def is_dot(self) -> bool:
        """Say whether the operands are matrices already and their product is the result."""
        sides = (self.left, self.right)
        moved = any(side.permute or side.reshape or side.finish for side in sides)
        return not (moved or self.outer or self.batched or self.reshape)

    def instruction(self, left: int, right: int) -> Instruction:
        """Return the flat form `run` reads, for operands in registers `left` and `right`."""
        a, b = self.left, self.right
        return (
            left,
            right,
            a.permute,
            a.reshape,
            a.finish,
            b.permute,
            b.reshape,
            b.finish,
            OUTER if self.outer else BATCHED if self.batched else DOT,
            self.reshape,
        )


def is_view(shape: Sequence[int], permute: Sequence[int], groups: Sequence[int]) -> bool:
    """Say whether a contiguous array, permuted, reshapes into `groups` without a copy.

    groups: how many permuted axes go into each axis of the result.
    """
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    start = 0
    for count in groups:
        last = None
        for axis in permute[start : start + count]:
            if shape[axis] == 1:
                continue
            if last is not None and last != strides[axis] * shape[axis]:
                return False
            last = strides[axis]
        start += count
    return True


def _unit_stride(shape: Sequence[int], permute: Sequence[int], first: int, second: int) -> bool:
    """Say whether the rows or the columns of the permuted, merged matrix lie next to another."""
    innermost = next((a for a in range(len(shape) - 1, -1, -1) if shape[a] != 1), None)
    if innermost is None:
        return True
    batch = len(permute) - first - second
    return innermost in permute[batch:]


def _side(
    labels: tuple[Label, ...],
    shape: tuple[int, ...],
    batch: list[Label],
    first: list[Label],
    second: list[Label],
    matrix: tuple[int, ...],
    *,
    outer: bool,
) -> Side:
    """Lower one operand to (batch, first, second), `matrix` being that shape."""
    order = (*batch, *first, *second)
    if order == labels:
        return Side(None, None if shape == matrix else matrix, PLAIN, 0)
    flipped = (*matrix[:-2], matrix[-1], matrix[-2])
    if (*batch, *second, *first) == labels:
        if not outer and 1 not in flipped[-2:]:
            finish = TRANSPOSED if len(matrix) == 2 else TRANSPOSED_STACK
            return Side(None, None if shape == flipped else flipped, finish, 0)
        return Side(None, None if shape == matrix else matrix, PLAIN, 0)
    position = {label: axis for axis, label in enumerate(labels)}
    sizes = (len(batch), len(first), len(second))
    permute = tuple([position[label] for label in order])
    size = prod(shape)
    if is_view(shape, permute, sizes):
        if outer or _unit_stride(shape, permute, sizes[1], sizes[2]):
            return Side(permute, matrix, PLAIN, 0)
        return Side(permute, matrix, COMPACT, size)
    return Side(permute, matrix, PLAIN, size)


def lower(
    left: tuple[Label, ...],
    left_shape: tuple[int, ...],
    right: tuple[Label, ...],
    right_shape: tuple[int, ...],
    keep: Any,
    upcoming: Any = (),
) -> Lowered:
    """Lower the contraction of two operands; pure bookkeeping, no array is touched.

    keep: container of the labels that stay; a shared label outside it is summed. No operand
    repeats a label, and a label on one side only stays (see `prepare`). The result is ordered
    batch, left, right. upcoming: container of the labels summed when the result is used; a side
    that is copied anyway, or is small beside the result, puts them where that step need not copy.
    Raises `SizeError` where a shared label has two sizes.
    """
    sizes = dict(zip(right, right_shape, strict=True))
    batch: list[Label] = []
    summed: list[Label] = []
    free_left: list[Label] = []
    b = m = n = k = 1
    for label, size in zip(left, left_shape, strict=True):
        other = sizes.get(label)
        if other is None:
            free_left.append(label)
            m *= size
        elif other != size:
            raise SizeError(
                f"index {label!r} has size {size} on the left and {other} on the right; "
                "sizes never broadcast: rename one of the two, or repair the array"
            )
        elif label in keep:
            batch.append(label)
            b *= size
        else:
            summed.append(label)
            k *= size
    shared = len(batch) + len(summed)
    free_right = [label for label in right if label not in left] if shared else list(right)
    for label in free_right:
        n *= sizes[label]
    outer = not summed
    head = (b,) if batch else ()
    left_matrix, right_matrix = (*head, m, k), (*head, k, n)

    def sides(batch: list[Label], summed: list[Label]) -> tuple[Side, Side]:
        return (
            _side(left, left_shape, batch, free_left, summed, left_matrix, outer=outer),
            _side(right, right_shape, batch, summed, free_right, right_matrix, outer=outer),
        )

    one, two = sides(batch, summed)
    if shared > 1 and one.copied + two.copied:
        batch_right = [label for label in right if label in batch]
        summed_right = [label for label in right if label in summed]
        if batch_right != batch or summed_right != summed:
            other_one, other_two = sides(batch_right, summed_right)
            if other_one.copied + other_two.copied < one.copied + two.copied:
                one, two, batch, summed = other_one, other_two, batch_right, summed_right
    if upcoming:
        worth = b * m * n // 4
        first = [x for x in free_left if x in upcoming]
        if first and (one.copied or b * m * k < worth):
            free_left = first + [x for x in free_left if x not in upcoming]
            one = _side(left, left_shape, batch, free_left, summed, left_matrix, outer=outer)
        last = [x for x in free_right if x in upcoming]
        if last and (two.copied or b * n * k < worth):
            free_right = [x for x in free_right if x not in upcoming] + last
            two = _side(right, right_shape, batch, summed, free_right, right_matrix, outer=outer)
    labels = (*batch, *free_left, *free_right)
    known = dict(zip(left, left_shape, strict=True))
    known.update(sizes)
    shape = tuple([known[label] for label in labels])
    return Lowered(
        one,
        two,
        outer,
        bool(batch),
        None if shape == (*head, m, n) else shape,
        labels,
        shape,
        b,
        m,
        n,
        k,
    )


def joined(made: Lowered, user: Lowered, *, left: bool) -> tuple[Lowered, Lowered]:
    """Return a contraction and the one that uses its result with one reshape between them, not two.

    left: the result is the user's left operand. Nothing changes where the user permutes the result,
    for which it needs the axes.
    """
    side = user.left if left else user.right
    if made.reshape is None or side.permute is not None or side.reshape is None:
        return made, user
    raw = (made.batch, made.m, made.n) if made.batched else (made.m, made.n)
    side = replace(side, reshape=None if side.reshape == raw else side.reshape)
    user = replace(user, left=side) if left else replace(user, right=side)
    return replace(made, reshape=None), user


def run(program: Sequence[Instruction], pool: list[Any], movers: Movers) -> None:
    """Run instructions over `pool`, the registers: each result replaces its left operand.

    The loop the whole toolkit stands on; every test in it costs 15 nanoseconds a step.
    """
    permute, reshape, compact, dot, batched, _ = movers
    for i, j, a_axes, a_shape, a_finish, b_axes, b_shape, b_finish, how, shape in program:
        a = pool[i]
        b = pool[j]
        pool[j] = None
        if a_axes is not None:
            a = permute(a, a_axes)
        if a_shape is not None:
            a = reshape(a, a_shape)
        if a_finish:
            a = a.T if a_finish == TRANSPOSED else compact(a) if a_finish == COMPACT else a.mT
        if b_axes is not None:
            b = permute(b, b_axes)
        if b_shape is not None:
            b = reshape(b, b_shape)
        if b_finish:
            b = b.T if b_finish == TRANSPOSED else compact(b) if b_finish == COMPACT else b.mT
        a = dot(a, b) if how == DOT else a * b if how == OUTER else batched(a, b)
        pool[i] = a if shape is None else reshape(a, shape)


def prepare(
    labels: tuple[Label, ...], shape: tuple[int, ...], keep: Any
) -> tuple[tuple[Label, ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    """Lower what one operand needs alone: diagonals of repeated labels, sums of lone ones.

    keep: container of the labels that stay. Returns the labels left, and the operations
    for `run_one`, each a ("permute" | "reshape" | "diagonal" | "sum" | "compact", numbers). Raises
    `SizeError` where a repeated label has two sizes.
    """
    operations: list[tuple[str, tuple[int, ...]]] = []
    names, sizes = list(labels), list(shape)
    while len(set(names)) < len(names):
        label = next(label for label in names if names.count(label) > 1)
        first = names.index(label)
        second = names.index(label, first + 1)
        if sizes[first] != sizes[second]:
            raise SizeError(
                f"index {label!r} is repeated on one tensor with sizes {sizes[first]} and "
                f"{sizes[second]}; a diagonal needs equal sizes"
            )
        size = sizes[first]
        rest = [axis for axis in range(len(names)) if axis not in (first, second)]
        axes = (*rest, first, second)
        if axes != tuple(range(len(names))):
            operations.append(("permute", axes))
        names = [*(names[axis] for axis in rest), label]
        sizes = [*(sizes[axis] for axis in rest), size]
        operations.append(("reshape", (*sizes[:-1], size * size)))
        operations.append(("diagonal", (size + 1,)))
    lone = tuple(axis for axis, label in enumerate(names) if label not in keep)
    if lone:
        operations.append(("sum", lone))
        names = [label for axis, label in enumerate(names) if axis not in lone]
    return tuple(names), tuple(operations)


def run_one(array: Array, operations: Sequence[tuple[str, tuple[int, ...]]], movers: Movers) -> Any:
    """Apply the operations of `prepare` to one array."""
    for verb, numbers in operations:
        if verb == "permute":
            array = movers.permute(array, numbers)
        elif verb == "reshape":
            array = movers.reshape(array, numbers)
        elif verb == "diagonal":
            array = array[..., :: numbers[0]]
        elif verb == "compact":
            array = movers.compact(array)
        else:
            array = movers.sum(array, numbers)
    return array
