"""Verbs are functions: the help of a value lists them, and asking for one as a method names it.

A method needs nothing but its value and what lies below it; everything else would import upwards.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, TypeVar

__all__ = ["verbs_of", "with_verbs"]

C = TypeVar("C", bound=type)


def verbs_of(kind: type) -> tuple[str, ...]:
    """Return the functions of tnkit that the docstring of a class lists after "Verbs"."""
    found = re.search(r"^ *Verbs[^:]*:([\w,\s]+)\.$", kind.__doc__ or "", flags=re.MULTILINE)
    return tuple(re.findall(r"\w+", found[1])) if found else ()


def with_verbs(kind: C) -> C:
    """Return the class, whose values name the function where a verb is asked for as a method.

    >>> @with_verbs
    ... class State:
    ...     '''A state.
    ...
    ...     Verbs: norm, scale.
    ...     '''
    >>> State().norm
    Traceback (most recent call last):
        ...
    AttributeError: State has no method 'norm'; verbs are functions: tnkit.norm(...)
    """
    kind.__getattr__ = _refer  # type: ignore[attr-defined]  # set here, a typo stays one for mypy
    return kind


def _refer(self: Any, name: str) -> NoReturn:
    kind = type(self)
    message = f"{kind.__name__!r} object has no attribute {name!r}"
    if not name.startswith("_") and name in verbs_of(kind):
        message = f"{kind.__name__} has no method {name!r}; verbs are functions: tnkit.{name}(...)"
    raise AttributeError(message, name=name, obj=self)
