"""How a network will be contracted and what it will cost, from sizes alone."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tnkit.arrays import NUMPY_MOVERS, Array, dtype_name, is_bool, movers, promote, whole
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, FormatError, MemoryLimitError, SizeError
from tnkit.index import fresh_name
from tnkit.network import TensorNetwork
from tnkit.notation import Equation, checked_shapes, parse, shorten
from tnkit.pairwise import run
from tnkit.program import Labels, Pair, Program, compile_path, depth_first, oriented, reduce_inputs
from tnkit.sealed import seal, unseal
from tnkit.search import Progress, find_path, path_cost
from tnkit.slicing import choose_slices

__all__ = ["Cost", "Plan", "Step", "plan"]

_FORMAT, _VERSION = "tnkit.plan", 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan costs, counted exactly.

    multiplications: the sum over all pairwise steps and slices of batch * m * n * k. flops: two
    per multiplication for real numbers, eight for complex ones. peak_bytes: the most bytes alive at
    once, inputs, permuted copies and the sum over slices included; exact for NumPy arrays that are
    contiguous. largest_bytes: the largest intermediate. written: elements of all results. slices:
    how many slices are summed; overhead: multiplications over those of the same path unsliced.

    >>> cost = plan("ij,jk->ik", shapes=[(10, 20), (20, 30)]).cost
    >>> cost.multiplications, cost.flops, cost.peak_bytes
    (6000, 12000, 8800)
    """

    multiplications: int
    flops: int
    peak_bytes: int
    largest_bytes: int
    written: int
    slices: int
    overhead: float

    def __str__(self) -> str:
        """Show the figures with units, on one line."""
        text = (
            f"{_short(self.flops)} flops, peak {_bytes(self.peak_bytes)}, "
            f"largest intermediate {_bytes(self.largest_bytes)}"
        )
        if self.slices > 1:
            text += f", {self.slices} slices costing {self.overhead:.3g} times the work of none"
        return text


@dataclass(frozen=True, slots=True)
class Step:
    """One pairwise contraction: tensors `left` and `right` become tensor `result`.

    Inputs are 0, 1, ...; results count on from there. batch, m, n, k: sizes of the matrix product.
    copied: elements moved to bring the operands to matrices. once: done once for all slices.
    """

    left: int
    right: int
    result: int
    left_names: tuple[str, ...]
    right_names: tuple[str, ...]
    names: tuple[str, ...]
    batch: int
    m: int
    n: int
    k: int
    copied: int
    once: bool

    @property
    def multiplications(self) -> int:
        """Multiplications of one run of this step."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Plan:
    """A contraction decided: which pairs, in which order, in how many slices, at what cost.

    Made by `plan`. Call it with bare arrays, one for each input in order: ``p(*arrays)`` returns a
    bare array with its axes in the order of `output`. The arrays may come from any one library, on
    any device, in any dtype; gradients pass through. Wrong counts and shapes raise `SizeError`.
    `torch.compile` takes a plan whole; all plans are one function to it, so that more than eight
    need a higher `torch._dynamo.config.recompile_limit`.

    A value: it can be printed, compared, hashed, pickled and written to JSON. path: pairs of ids in
    the order they run. sliced: the names summed outside, one value at a time.

    >>> p = plan("ij,jk->ik", shapes=[(2, 3), (3, 4)])
    >>> p(np.ones((2, 3)), np.ones((3, 4))).shape
    (2, 4)
    >>> Plan.from_json(p.to_json()) == p
    True
    """

    inputs: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    optimizer: str
    path: tuple[Pair, ...]
    sliced: tuple[str, ...]
    cost: Cost
    memory_limit: int | None
    _program: Program = field(compare=False, repr=False)

    def __call__(self, *arrays: Array) -> Array:
        """Return the contraction of bare arrays; see the class."""
        shapes = self.shapes
        if len(arrays) != len(shapes):
            raise SizeError(f"this plan takes {len(shapes)} arrays, got {len(arrays)}")
        numpy = True
        try:
            for array, shape in zip(arrays, shapes):  # noqa: B905  (counted above)
                if type(array) is not np.ndarray:
                    numpy = False
                if array.shape != shape:
                    self._wrong_shape(arrays)
        except AttributeError:
            raise ArgumentTypeError(
                f"this plan takes arrays, got {', '.join(map(shown, arrays))}"
            ) from None
        program = self._program
        if numpy and program.simple:  # spelt out: a microsecond shorter than the general way
            if program.matrices is not None:
                left, right = program.matrices
                result = arrays[left].dot(arrays[right])
            else:
                pool = [*arrays]
                run(program.instructions, pool, NUMPY_MOVERS)
                result = pool[program.result]
            if result.dtype.kind != "b":
                return result
        elif not arrays:
            return np.asarray(1.0)
        else:
            if not numpy:  # NumPy promotes by itself
                arrays = promote(*[whole(array) for array in arrays])
            result = program.run(arrays, movers(arrays[0]))
        if is_bool(result):
            raise ArgumentTypeError(
                "bool arrays cannot be contracted (the sum would be lost); use int64 or float64"
            )
        return result

    def _wrong_shape(self, arrays: Sequence[Array]) -> None:
        for at, (array, shape) in enumerate(zip(arrays, self.shapes, strict=True)):
            if tuple(array.shape) != shape:
                raise SizeError(
                    f"array {at} has shape {tuple(array.shape)}, this plan needs {shape} for the "
                    f"indices {shorten(self.inputs[at]) or 'none'}"
                )

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each name."""
        return Equation(self.inputs, self.output).sizes(self.shapes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every pairwise contraction, in the order they run."""
        names = tuple(self.sizes)
        count = len(self.inputs)
        made: dict[int, tuple[str, ...]] = {}
        reduced = reduce_inputs(*_numbered(self.inputs, self.output, self.sizes))
        cut = set(self.sliced)
        for at, labels in enumerate(reduced):
            made[at] = tuple(names[x] for x in labels if names[x] not in cut)
        place = {pair: count + number for number, pair in enumerate(self.path)}
        found = []
        for left, right, how, depends in self._program.steps:
            result = place[left, right]
            made[result] = tuple(names[x] for x in how.labels)
            found.append(
                Step(
                    left,
                    right,
                    result,
                    made[left],
                    made[right],
                    made[result],
                    how.batch,
                    how.m,
                    how.n,
                    how.k,
                    how.left.copied + how.right.copied,
                    not depends,
                )
            )
        return tuple(found)

    def peak_bytes(self, dtype: Any) -> int:
        """Return the peak for arrays of another dtype."""
        return self._program.peak_elements * _itemsize(dtype_name(dtype))

    @checked
    def with_batch(self, size: int, inputs: Iterable[int], name: str = "batch") -> Plan:
        """Return the plan with a batch axis in front of some inputs and of the output.

        Order and slices stay the same; the peak is counted anew, and no limit is kept.

        >>> p = plan("ij,j->i", shapes=[(2, 3), (3,)]).with_batch(5, inputs=[1])
        >>> p(np.ones((2, 3)), np.ones((5, 3))).shape
        (5, 2)
        """
        given = list(inputs)
        places = range(len(self.inputs))
        whole = all(isinstance(at, int | np.integer) and not isinstance(at, bool) for at in given)
        if not given or not whole or any(at not in places for at in given):
            raise ArgumentError(
                f"inputs must name some of the {len(self.inputs)} arrays, got {shown(given)}"
            )
        chosen = set(given)
        new = fresh_name(name, self.sizes)
        terms = tuple((new, *t) if at in chosen else t for at, t in enumerate(self.inputs))
        shapes = tuple((size, *s) if at in chosen else s for at, s in enumerate(self.shapes))
        return _compiled(
            terms,
            (new, *self.output),
            shapes,
            self.dtype,
            self.optimizer,
            self.path,
            self.sliced,
            None,
        )

    # ---- shown and stored

    def __str__(self) -> str:
        """Show cost and steps."""
        lines = [
            f"Plan of {len(self.inputs)} tensors to ({shorten(self.output)}), {self.dtype}, "
            f"by {self.optimizer}",
            f"  {self.cost}",
        ]
        if self.sliced:
            sizes = self.sizes
            shown = shorten([f"{name}: {sizes[name]}" for name in self.sliced])
            lines.append(f"  sliced: {shown}")
        steps = self.steps
        for number, step in enumerate(steps):
            if 12 <= number < len(steps) - 4:
                if number == 12:
                    lines.append(f"  ... {len(steps) - 16} more steps")
                continue
            lines.append(
                f"  {step.left} ({shorten(step.left_names, 6)}) @ "
                f"{step.right} ({shorten(step.right_names, 6)}) -> "
                f"{step.result} ({shorten(step.names, 6)})  {_short(step.multiplications)}"
                + ("  once" if self.sliced and step.once else "")
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the plan as JSON text; the same for the same plan, on every machine."""
        return seal(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "inputs": self.inputs,
                "output": self.output,
                "shapes": self.shapes,
                "dtype": self.dtype,
                "optimizer": self.optimizer,
                "path": self.path,
                "sliced": self.sliced,
                "memory_limit": self.memory_limit,
                "multiplications": self.cost.multiplications,
            }
        )

    @classmethod
    @checked
    def from_json(cls, text: str) -> Plan:
        """Return the plan that `to_json` wrote; raises `FormatError` for anything else."""
        try:
            found = unseal(text)
            if found["format"] != _FORMAT:
                raise FormatError(f"not a plan: the format is {found['format']!r}")
            if found["version"] != _VERSION:
                raise FormatError(
                    f"a plan of version {found['version']}; this tnkit reads version {_VERSION}"
                )
            made = _compiled(
                tuple(tuple(map(str, names)) for names in found["inputs"]),
                tuple(map(str, found["output"])),
                tuple(tuple(map(int, shape)) for shape in found["shapes"]),
                str(found["dtype"]),
                str(found["optimizer"]),
                tuple((int(one), int(two)) for one, two in found["path"]),
                tuple(map(str, found["sliced"])),
                None if found["memory_limit"] is None else int(found["memory_limit"]),
            )
            said = int(found["multiplications"])
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise FormatError(f"not a plan written by to_json: {error}") from error
        if made.cost.multiplications != said:
            raise FormatError(
                f"the plan says {said} multiplications, its path gives "
                f"{made.cost.multiplications}; the text was changed"
            )
        return made


@checked
def plan(
    what: TensorNetwork | Equation | str,
    *,
    optimizer: Any = "auto",
    memory_limit: float | None = None,
    dtype: Any = None,
    shapes: Sequence[Sequence[int]] | None = None,
    minimize: str = "flops",
    seed: int = 0,
    time_budget: float | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Decide how to contract a network; no array is touched and nothing is allocated.

    what: a `TensorNetwork`, or an einsum string or `Equation` with `shapes`.
    optimizer
        "auto" spends on the search about what it can save; "optimal", "dp", "greedy" and
        "random-greedy" are opt_einsum's; "cotengra" and "kahypar" are cotengra's searches for hard
        networks; or a path in opt_einsum's numbering, or an opt_einsum optimiser object.
    memory_limit
        Most bytes alive at once, inputs included; None for no limit. Summed indices are sliced
        until it is kept; `MemoryLimitError`, with the figures, where it cannot be.
    dtype
        Of the arrays to come; the network's own, or float64, by default.
    minimize
        "flops", "size" (the largest intermediate), or "combo" (flops and memory traffic).
    time_budget
        Seconds to search for; the best so far is returned when they are over, and
        progress(seconds spent, log10 of the best multiplications) is called on the way.

    The same arguments give the same plan, but for a time budget and cotengra's own searches, which
    draw from the clock and the system. The last 256 searches are kept, by structure: names do not
    matter. Raises `SizeError`,
    `IndexNameError`, `ArgumentError`.

    >>> p = plan("ab,bc,cd->ad", shapes=[(2, 300), (300, 4), (4, 5)])
    >>> p.cost.multiplications
    2440
    """
    equation, found_shapes, kind = _structure(what, shapes, dtype)
    limit = _checked_limit(memory_limit)
    sizes = equation.sizes(found_shapes)
    inputs, output, numbers = _numbered(equation.inputs, equation.output, sizes)
    key: Any = (tuple(inputs), output, tuple(numbers.values()))
    key += (limit if limit is None else limit // _itemsize(kind), minimize, seed, time_budget)
    if isinstance(optimizer, str):
        key += (optimizer,)
    elif isinstance(optimizer, Sequence) and all(isinstance(s, Sequence) for s in optimizer):
        key += (tuple(map(tuple, optimizer)),)
    else:
        key = None
    decided = _cache.get(key)
    if decided is None:
        decided = _decide(
            inputs,
            output,
            numbers,
            None if limit is None else limit // _itemsize(kind),
            optimizer=optimizer,
            minimize=minimize,
            seed=seed,
            time_budget=time_budget,
            progress=progress,
        )
        _cache.put(key, decided)
    names = tuple(sizes)
    made = _with_program(
        equation.inputs,
        equation.output,
        found_shapes,
        kind,
        decided.optimizer,
        decided.path,
        tuple(names[label] for label in decided.sliced),
        limit,
        decided.program,
        decided.unsliced,
    )
    if not decided.fits and limit is not None:
        held = sum(math.prod(s) for s in found_shapes) * _itemsize(kind)
        out = math.prod(sizes[name] for name in equation.output) * _itemsize(kind)
        raise MemoryLimitError(
            f"contracting within {_bytes(limit)} is not possible: the inputs take {_bytes(held)}, "
            f"the output {_bytes(out)}, and the best found, {made.cost.slices} slices, still peaks "
            f"at {_bytes(made.cost.peak_bytes)}; allow that much, use a smaller dtype, "
            "fix an open index, or try optimizer='cotengra' with a time_budget"
        )
    return made


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a search found, in numbers: shared by all networks of one structure."""

    path: tuple[Pair, ...]
    sliced: Labels
    program: Program
    optimizer: str
    unsliced: int
    fits: bool


class _Cache:
    """The last plans by structure; bounded, and safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: OrderedDict[Any, _Decided] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> _Decided | None:
        """Return what was decided for `key`, if it is still here."""
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def put(self, key: Any, decided: _Decided) -> None:
        """Keep a decision; the one not used for longest goes."""
        if key is None:
            return
        with self._lock:
            self._found[key] = decided
            while len(self._found) > self._size:
                self._found.popitem(last=False)


_cache = _Cache(256)


def _decide(
    inputs: Sequence[Labels],
    output: Labels,
    sizes: Mapping[int, int],
    limit: int | None,
    **search: Any,
) -> _Decided:
    reduced = reduce_inputs(inputs, output, sizes)
    found = find_path(reduced, output, sizes, **search)
    path = depth_first(reduced, output, sizes, found.path)
    path = oriented(reduced, output, sizes, path)
    unsliced = path_cost(reduced, output, sizes, path)[0]
    if limit is None:
        program = compile_path(inputs, output, sizes, path)
        return _Decided(path, (), program, found.optimizer, unsliced, True)
    slicing = choose_slices(inputs, reduced, output, sizes, path, limit, search["seed"])
    return _Decided(path, slicing.labels, slicing.program, found.optimizer, unsliced, slicing.fits)


def _structure(
    what: TensorNetwork | Equation | str, shapes: Sequence[Sequence[int]] | None, dtype: Any
) -> tuple[Equation, tuple[tuple[int, ...], ...], str]:
    if isinstance(what, TensorNetwork):
        if shapes is not None:
            raise ArgumentError("a network has its own shapes; leave out shapes=")
        names = {dtype_name(tensor.dtype) for tensor in what.tensors}
        kind = dtype_name(dtype) if dtype is not None else _common(names)
        found = tuple(tensor.shape for tensor in what.tensors)
        return Equation(what.inputs, what.output), found, _known(kind)
    if shapes is None:
        raise ArgumentError("an einsum string needs shapes=[(2, 3), (3, 4), ...]")
    found = checked_shapes(shapes)
    kind = "float64" if dtype is None else dtype_name(dtype)
    if isinstance(what, Equation):
        return what, found, _known(kind)
    return parse(what, [len(shape) for shape in found]), found, _known(kind)


def _common(names: set[str]) -> str:
    if len(names) <= 1:
        return next(iter(names), "float64")
    try:
        return str(np.result_type(*names).name)
    except TypeError:
        return "float64"


def _known(name: str) -> str:
    _itemsize(name)
    return name


def _itemsize(name: str) -> int:
    if name == "bfloat16":
        return 2
    try:
        dtype = np.dtype(name)
        if dtype.kind not in "biufc":
            raise TypeError
        return dtype.itemsize
    except (TypeError, ValueError, SyntaxError):
        raise ArgumentTypeError(
            f"unknown dtype {name!r}; use 'float64', 'complex64', ..."
        ) from None


def _checked_limit(limit: float | None) -> int | None:
    if limit is None:
        return None
    if not limit > 0:
        raise ArgumentError(f"memory_limit must be above 0 bytes, got {limit!r}")
    return None if math.isinf(limit) else int(limit)


def _numbered(
    inputs: Sequence[Sequence[str]], output: Sequence[str], sizes: Mapping[str, int]
) -> tuple[list[Labels], Labels, dict[int, int]]:
    """Return the structure with names numbered by first appearance."""
    number = {name: at for at, name in enumerate(sizes)}
    return (
        [tuple(number[name] for name in names) for names in inputs],
        tuple(number[name] for name in output),
        dict(enumerate(sizes.values())),
    )


def _compiled(
    inputs: tuple[tuple[str, ...], ...],
    output: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
    dtype: str,
    optimizer: str,
    path: tuple[Pair, ...],
    sliced: tuple[str, ...],
    limit: int | None,
) -> Plan:
    """Check a path from outside and compile it."""
    sizes = Equation(inputs, output).sizes(shapes)
    terms, kept, numbers = _numbered(inputs, output, sizes)
    wrong = [name for name in sliced if name not in sizes or name in output]
    if wrong:
        raise ArgumentError(f"only summed indices can be sliced, not {shorten(wrong)}")
    nodes = [node for pair in path for node in pair]
    count = len(inputs)
    whole = max(0, count - 1)
    late = any(max(pair) >= count + step for step, pair in enumerate(path))
    if len(path) != whole or sorted(nodes) != list(range(2 * whole)) or late:
        raise ArgumentError(f"the path does not contract {count} tensors into one")
    position = {name: at for at, name in enumerate(sizes)}
    labels = tuple(position[name] for name in sliced)
    program = compile_path(terms, kept, numbers, path, labels)
    unsliced = path_cost(reduce_inputs(terms, kept, numbers), kept, numbers, path)[0]
    return _with_program(
        inputs, output, shapes, _known(dtype), optimizer, path, sliced, limit, program, unsliced
    )


def _with_program(
    inputs: tuple[tuple[str, ...], ...],
    output: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
    dtype: str,
    optimizer: str,
    path: tuple[Pair, ...],
    sliced: tuple[str, ...],
    limit: int | None,
    program: Program,
    unsliced: int,
) -> Plan:
    itemsize = _itemsize(dtype)
    cost = Cost(
        multiplications=program.multiplications,
        flops=program.multiplications * (8 if dtype.startswith("complex") else 2),
        peak_bytes=program.peak_elements * itemsize,
        largest_bytes=program.largest * itemsize,
        written=program.written,
        slices=program.slices,
        overhead=program.multiplications / unsliced if unsliced else 1.0,
    )
    return Plan(
        inputs, output, shapes, dtype, optimizer, path, sliced, cost, limit, _program=program
    )


def _short(number: int) -> str:
    return str(number) if number < 10_000 else f"{float(number):.3g}"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{number} bytes" if unit == "bytes" else f"{size:.4g} {unit}"
