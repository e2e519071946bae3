"""What is to go: it works on, warns, and says when it ends and what to use instead."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tnkit.checking import checked
from tnkit.errors import ArgumentError

__all__ = ["deprecated"]

F = TypeVar("F", bound=Callable[..., Any])


@checked
def deprecated(instead: str, *, since: str, removed_in: str) -> Callable[[F], F]:
    """Return a decorator for a function or method that is to go: a `DeprecationWarning` a call.

    instead: what to use. since, removed_in: versions, "0.2" and "0.3"; a test of the project fails
    once a version is reached in which something should be gone (attribute `removed_in`). Raises
    `ArgumentError` for what are no versions, or end before they begin.

    >>> import warnings
    >>> @deprecated("norm", since="0.2", removed_in="0.3")
    ... def length(x: float) -> float:
    ...     return abs(x)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     length(-2.0)
    2.0
    >>> print(caught[0].message)
    length is deprecated since 0.2 and goes in 0.3; use norm
    """
    for version in (since, removed_in):
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6}){1,2}", version):
            raise ArgumentError(
                f"since and removed_in must be versions like '0.2', got {version!r}"
            )
    if version_numbers(removed_in) <= version_numbers(since):
        raise ArgumentError(f"removed_in={removed_in!r} must come after since={since!r}")

    def decorate(function: F) -> F:
        message = (
            f"{function.__qualname__} is deprecated since {since} and goes in {removed_in}; "
            f"use {instead}"
        )

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        wrapper.__deprecated__ = message  # type: ignore[attr-defined]  # as PEP 702 has it
        wrapper.removed_in = removed_in  # type: ignore[attr-defined]
        return cast(F, wrapper)

    return decorate


def version_numbers(version: str) -> tuple[int, ...]:
    """Return "0.10.1" as (0, 10, 1), to be compared."""
    return tuple(int(part) for part in version.split("."))
