"""An index: the name of one axis and its size."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import SupportsIndex

from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError

__all__ = ["Index", "check_name", "fresh_name", "merge_sizes"]


@dataclass(frozen=True, slots=True)
class Index:
    """One axis of a tensor: its name, which is its identity within a network, and its size.

    name: a string that is not empty. size: a whole number, zero or more.

    >>> Index("left", 4)
    Index(name='left', size=4)
    """

    name: str
    size: int

    def __post_init__(self) -> None:
        """Check both fields; raise `ArgumentTypeError` or `ArgumentError`."""
        check_name(self.name)
        object.__setattr__(self, "size", _whole(self.size, self.name))


def _whole(size: SupportsIndex, name: str) -> int:
    try:
        whole = operator.index(size)
    except TypeError:
        raise ArgumentTypeError(
            f"the size of index {name!r} must be a whole number, got {size!r}"
        ) from None
    if isinstance(size, bool) or whole < 0:
        raise ArgumentError(f"the size of index {name!r} must be 0 or more, got {size!r}")
    return whole


def check_name(name: object) -> str:
    """Return `name`, or raise where it is not a string with something in it."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"an index name must be a string, got {name!r}; use str(...)")
    if not name:
        raise ArgumentError("an index name must not be the empty string")
    return name


def fresh_name(base: str, taken: Iterable[str]) -> str:
    """Return `base`, or `base` with the first free number behind it.

    >>> fresh_name("k", {"k", "k_1"})
    'k_2'
    """
    used = taken if isinstance(taken, set | frozenset | dict) else set(taken)
    if base not in used:
        return base
    number = 1
    while f"{base}_{number}" in used:
        number += 1
    return f"{base}_{number}"


def merge_sizes(
    known: Mapping[str, int], names: Iterable[str], shape: Iterable[int], where: str
) -> dict[str, int]:
    """Return `known` with the sizes of one more tensor, or raise `SizeError` naming both sides.

    where: how the message calls that tensor.
    """
    merged = dict(known)
    for name, size in zip(names, shape, strict=True):
        if merged.setdefault(name, size) != size:
            raise SizeError(
                f"index {name!r} has size {size} on {where} but size {merged[name]} elsewhere; "
                "sizes never broadcast: rename one of the two, or repair the array"
            )
    return merged
