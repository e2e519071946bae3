"""Einsum notation, any number of symbols: strings, ellipsis and the interleaved form."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError, SizeError
from tnkit.index import merge_sizes

__all__ = ["Equation", "checked_shapes", "default_output", "parse", "parse_interleaved"]


@dataclass(frozen=True, slots=True)
class Equation:
    """Which names stand on which tensor, and which stay: the structure without sizes."""

    inputs: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the output against the inputs; raise `IndexNameError`."""
        if not isinstance(self.inputs, tuple):
            raise ArgumentTypeError(f"inputs must be a tuple of tuples, got {shown(self.inputs)}")
        for names in (*self.inputs, self.output):
            if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
                raise ArgumentTypeError(f"expected a tuple of index names, got {shown(names)}")
        known = {name for names in self.inputs for name in names}
        for name in self.output:
            if name not in known:
                raise IndexNameError(
                    f"output index {name!r} is on no tensor; the indices are "
                    f"{shorten(sorted(known))}"
                )
        if len(set(self.output)) < len(self.output):
            twice = [name for name, count in Counter(self.output).items() if count > 1]
            raise IndexNameError(
                f"output index {shorten(twice)} is repeated; an output index stands once"
            )

    @checked
    def sizes(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """Return the size of each name, or raise `SizeError` where `shapes` disagree."""
        shapes = checked_shapes(shapes)
        if len(shapes) != len(self.inputs):
            raise SizeError(f"expected {len(self.inputs)} arrays, got {len(shapes)}")
        known: dict[str, int] = {}
        for position, (names, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            if len(names) != len(shape):
                raise SizeError(
                    f"array {position} has {len(shape)} axes, shape {tuple(shape)}, but "
                    f"{len(names)} indices: {shorten(names) or 'none'}"
                )
            for name, size in zip(names, shape, strict=True):
                if known.setdefault(name, int(size)) != size:
                    merge_sizes(known, names, shape, f"array {position}")
        return known


def checked_shapes(shapes: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    """Return shapes as tuples, or raise `ArgumentTypeError`."""
    try:
        return tuple(tuple(map(operator.index, shape)) for shape in shapes)
    except (TypeError, RuntimeError):
        raise ArgumentTypeError(
            f"shapes must be one tuple of whole numbers an array, got {shown(shapes)}"
        ) from None


def shorten(names: Iterable[object], limit: int = 12) -> str:
    """Return names with commas, the middle left out of a long list."""
    shown = [str(name) for name in names]
    if len(shown) > limit:
        shown = [*shown[: limit - 2], f"... ({len(shown)} in all)", shown[-1]]
    return ", ".join(shown)


def default_output(inputs: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the names that occur once, in order of appearance: Einstein's convention."""
    counts = Counter(name for names in inputs for name in names)
    return tuple(name for name, count in counts.items() if count == 1)


def parse(spec: str, ranks: Sequence[int] | None = None) -> Equation:
    """Return the equation of an einsum string.

    spec: "ij,jk->ik"; any symbol but comma, point, arrow and space is an index. Without an arrow
    the output is the indices that occur once, sorted, as in NumPy. "..." stands for further axes,
    aligned from the right; ranks (the number of axes of each array) is needed then. Raises
    `ArgumentError`, `IndexNameError` or `SizeError`.

    >>> parse("ij,jk")
    Equation(inputs=(('i', 'j'), ('j', 'k')), output=('i', 'k'))
    """
    if not isinstance(spec, str):
        raise ArgumentTypeError(f"expected an einsum string such as 'ij,jk->ik', got {spec!r}")
    left, arrow, right = "".join(spec.split()).partition("->")
    terms = left.split(",")
    for text in (*terms, right):
        rest = text.replace("...", "", 1)
        wrong = sorted(set(rest) & set(".,->"))
        if wrong:
            raise ArgumentError(
                f"einsum string {spec!r}: {wrong[0]!r} out of place in {text!r}; "
                "the form is 'ij,jk->ik', with '...' at most once a term"
            )
    if ranks is not None and len(ranks) != len(terms):
        raise SizeError(
            f"einsum string {spec!r} has {len(terms)} terms, but {len(ranks)} arrays were given"
        )
    inputs = []
    longest = 0
    for position, term in enumerate(terms):
        if "..." not in term:
            inputs.append(tuple(term))
            continue
        if ranks is None:
            raise ArgumentError(
                f"einsum string {spec!r}: '...' needs the number of axes of each array; "
                "give the arrays or their shapes"
            )
        before, _, after = term.partition("...")
        count = ranks[position] - len(before) - len(after)
        if count < 0:
            raise SizeError(
                f"term {term!r} names {len(before) + len(after)} axes, "
                f"array {position} has {ranks[position]}"
            )
        longest = max(longest, count)
        inputs.append((*before, *_ellipsis(count), *after))
    if arrow:
        before, dots, after = right.partition("...")
        output = (*before, *(_ellipsis(longest) if dots else ()), *after)
    else:
        counts = Counter("".join(terms).replace(".", ""))
        once = sorted(name for name, count in counts.items() if count == 1)
        output = (*_ellipsis(longest), *once)
    return Equation(tuple(inputs), output)


def _ellipsis(count: int) -> tuple[str, ...]:
    """Name the axes behind '...', counted from the right."""
    return tuple(f"...{axis}" for axis in range(count, 0, -1))


def parse_interleaved(arguments: Sequence[Any]) -> tuple[Equation, tuple[Any, ...]]:
    """Return equation and arrays of the form array, [labels], array, [labels], ..., [output].

    Labels are any hashable values, each standing for one index; `Ellipsis` for further axes.
    Without an output list it is the labels that occur once, in sorted order where they sort.
    """
    pairs, rest = divmod(len(arguments), 2)
    if pairs == 0:
        raise ArgumentError("einsum needs arrays: einsum(a, [0, 1], b, [1, 2], [0, 2])")
    arrays = tuple(arguments[0 : 2 * pairs : 2])
    names: dict[Hashable, str] = {}

    def named(labels: Any) -> tuple[Any, ...]:
        try:
            return tuple(
                label if label is Ellipsis else names.setdefault(label, str(len(names)))
                for label in labels
            )
        except TypeError:
            raise ArgumentTypeError(
                f"expected a list of labels between the arrays, got {labels!r}; "
                "the form is einsum(a, [0, 1], b, [1, 2], [0, 2])"
            ) from None

    terms = [named(labels) for labels in arguments[1 : 2 * pairs : 2]]
    longest = 0
    inputs = []
    for position, (term, array) in enumerate(zip(terms, arrays, strict=True)):
        if Ellipsis in term:
            count = len(array.shape) - len(term) + 1
            if count < 0 or term.count(Ellipsis) > 1:
                raise SizeError(f"labels {term} do not fit array {position}, {array.shape}")
            at = term.index(Ellipsis)
            term = (*term[:at], *_ellipsis(count), *term[at + 1 :])
            longest = max(longest, count)
        inputs.append(term)
    if rest:
        before_after = named(arguments[-1])
        unknown = [label for label, name in names.items() if all(name not in i for i in inputs)]
        if unknown:
            raise IndexNameError(f"output label {unknown[0]!r} is on no array")
        output: list[str] = []
        for name in before_after:
            output.extend(_ellipsis(longest) if name is Ellipsis else (name,))
    else:
        counts = Counter(name for term in inputs for name in term)
        once = [(label, name) for label, name in names.items() if counts[name] == 1]
        with suppress(TypeError):  # labels that do not sort stay in order of appearance
            once.sort(key=lambda pair: pair[0])  # type: ignore[arg-type,return-value]
        output = [*_ellipsis(longest), *(name for _, name in once)]
    return Equation(tuple(inputs), tuple(output)), arrays
