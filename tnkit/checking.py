"""Arguments held against the annotations of a public function, before it starts."""

from __future__ import annotations

import contextlib
import functools
import inspect
import numbers
import reprlib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from tnkit.errors import ArgumentError, ArgumentTypeError, MemoryLimitError

__all__ = ["check_memory", "checked", "out_of_memory", "random_generator", "shown"]

F = TypeVar("F", bound=Callable[..., Any])

_WORDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("True or False", (bool, np.bool_)),
    int: ("a whole number", (numbers.Integral,)),
    float: ("a number", (numbers.Real,)),
    complex: ("a number", (numbers.Number,)),
    str: ("a string", (str,)),
    type(None): ("None", (type(None),)),
    Sequence: ("a list", (Collection,)),  # arrays will do
    Iterable: ("a list", (Iterable,)),
    tuple: ("a tuple", (Collection,)),
}
_FLAGS = (bool, np.bool_)


def checked(function: F) -> F:
    """Return the function with its arguments held against its annotations, at every call.

    A class, or a union of classes, is checked; numbers are those of `numbers` and NumPy's, and a
    bool is none; what a sequence or a mapping holds, and `Any`, are left to the function. Raises
    `ArgumentTypeError`, and `MemoryLimitError` where a device refuses memory. Costs 0.2 to 0.4
    microseconds a call: types that passed once are known.

    >>> @checked
    ... def double(x: float) -> float:
    ...     return 2 * x
    >>> double("2")
    Traceback (most recent call last):
        ...
    tnkit.errors.ArgumentTypeError: x must be a number, got '2' of type str
    """
    if not inspect.isfunction(inspect.unwrap(function)):
        raise ArgumentTypeError(f"function must be written in Python, got {shown(function)}")
    rules: dict[str, _Rule] = {}
    seen: set[Any] = set()  # types of arguments that passed: in one line, or by keyword
    learn = functools.partial(_learn, function, rules)
    refused, refusal = _is_refusal, _refusal  # the wrapper sees another module's names

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        kinds = (*map(type, args),)
        if kinds not in seen and learn(args):
            seen.add(kinds)
        if kwargs:
            for item in kwargs.items():
                if (item[0], type(item[1])) not in seen and learn((), *item):
                    seen.add((item[0], type(item[1])))
        try:
            return function(*args, **kwargs)
        except RuntimeError as error:
            if not refused(error):
                raise
            raise refusal(error, function.__name__, "ask for less") from error

    # in the function's own module: doctest takes what lives elsewhere for imported, and skips it
    own = types.FunctionType(
        wrapper.__code__, _globals(function), function.__name__, None, wrapper.__closure__
    )
    return typing.cast(F, functools.wraps(function)(own))


class _Rule:
    """What one parameter takes."""

    __slots__ = ("classes", "expected", "flag", "kind", "name", "text")

    def __init__(self, name: str, hint: Any, kind: Any) -> None:
        self.name = name
        self.kind = kind
        self.classes: tuple[type, ...] = ()
        words = []
        for member in _members(hint):
            origin = typing.get_origin(member) or member
            word, classes = _WORDS.get(origin, ("", ()))
            if not word:
                protocol = getattr(origin, "_is_protocol", False)
                if origin is Any or not isinstance(origin, type) or protocol:
                    self.classes = (object,)
                    break
                name = origin.__name__
                word, classes = f"a{'n' * (name[0] in 'AEIMO')} {name}", (origin,)
            words.append(word)
            self.classes += classes
        self.flag = bool in self.classes or object in self.classes
        self.text = str in self.classes or object in self.classes
        self.expected = " or ".join(dict.fromkeys(words))

    def hold(self, value: Any) -> bool:
        """Raise where `value` is of another type; say whether all of its type will do."""
        known = not isinstance(value, np.ndarray) or not {object, np.ndarray}.isdisjoint(
            self.classes
        )
        wrong = not isinstance(value, self.classes)
        wrong |= isinstance(value, _FLAGS) and not self.flag
        wrong |= isinstance(value, str | bytes) and not self.text
        if wrong or not (known or value.ndim):  # an array without axes holds no items
            raise ArgumentTypeError(f"{self.name} must be {self.expected}, got {shown(value)}")
        return known


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.cast(types.FunctionType, inspect.unwrap(function)).__globals__


def _learn(
    function: Callable[..., Any], rules: dict[str, _Rule], args: tuple[Any, ...], *named: Any
) -> bool:
    """Hold arguments against the rules of the function, made at the first call.

    Annotations may name what is defined further down in a module. named: one keyword and its
    value. Says whether other arguments of the same types need no second look.
    """
    if not rules:
        hints = typing.get_type_hints(function)
        for name, parameter in inspect.signature(function).parameters.items():
            rules[name] = _Rule(name, hints.get(name, Any), parameter.kind)
    known = True
    for at, rule in enumerate(rules.values()):
        if rule.kind is inspect.Parameter.KEYWORD_ONLY:
            break
        many = rule.kind is inspect.Parameter.VAR_POSITIONAL
        for value in args[at:] if many else args[at : at + 1]:
            known &= rule.hold(value)
    if named and named[0] in rules:
        known &= rules[named[0]].hold(named[1])
    return known


def _members(hint: Any) -> Iterable[Any]:
    if isinstance(hint, TypeVar):
        return hint.__constraints__ or (hint.__bound__ or object,)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [part for member in typing.get_args(hint) for part in _members(member)]
    return (hint,)


def shown(value: Any) -> str:
    """Return a value and its type for a message, short however long it is."""
    return f"{reprlib.repr(value)} of type {type(value).__name__}"


def random_generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return NumPy's generator of a seed; raises `ArgumentError` for one it does not take."""
    try:
        if isinstance(seed, _FLAGS):
            raise TypeError
        return np.random.default_rng(seed)
    except (ValueError, TypeError):
        raise ArgumentError(
            f"seed must be a whole number from 0 up, a NumPy Generator or None, got {shown(seed)}"
        ) from None


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return not isinstance(error, MemoryLimitError)
    known = type(error).__name__ in ("OutOfMemoryError", "CUDAOutOfMemoryError")
    return known or "can't allocate memory" in str(error)


def _refusal(error: Exception, what: str, advice: str) -> MemoryLimitError:
    reason = str(error).strip().partition("\n")[0].removesuffix(".")
    return MemoryLimitError(f"{what} does not fit into memory ({reason}); {advice}")


@checked
@contextlib.contextmanager
def out_of_memory(what: str, advice: str) -> Iterator[None]:
    """Raise `MemoryLimitError`, naming `what` and the `advice`, where memory is refused inside.

    Of whatever library and device: torch raises a RuntimeError of its own on CUDA and another on
    the CPU, NumPy a MemoryError.

    >>> with out_of_memory("bond 400", "take 300"):
    ...     raise MemoryError("asked for 9 GiB")
    Traceback (most recent call last):
        ...
    tnkit.errors.MemoryLimitError: bond 400 does not fit into memory (asked for 9 GiB); take 300
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_refusal(error):
            raise
        raise _refusal(error, what, advice) from error


def check_memory(needed: float, memory_limit: float | None, what: str) -> None:
    """Raise `MemoryLimitError` where `what` would need more bytes than the limit."""
    if memory_limit is not None and not memory_limit > 0:
        raise ArgumentError(f"memory_limit must be above 0 bytes, got {memory_limit!r}")
    if memory_limit is not None and needed > memory_limit:
        raise MemoryLimitError(
            f"{what} needs about {needed:.3g} bytes, over the limit of {memory_limit}; "
            "ask for less, or raise memory_limit"
        )
