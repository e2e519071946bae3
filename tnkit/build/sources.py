"""Text from a path or from memory, and errors that say the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from tnkit.errors import ArgumentTypeError, FormatError

__all__ = ["Words", "fail", "read_text"]


def read_text(source: str | Path) -> str:
    """Return the text of a `Path`, or the string given; raise `FormatError` for other bytes."""
    if isinstance(source, Path):
        try:
            return source.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise FormatError(f"{source.name} is not a text file (UTF-8)") from None
    if not isinstance(source, str):
        raise ArgumentTypeError(f"expected the text, or a pathlib.Path to it, got {source!r}")
    return source


def fail(line: int, message: str) -> NoReturn:
    """Raise a `FormatError` that names the line."""
    raise FormatError(f"line {line}: {message}")


class Words:
    """The words of a text with the lines they stand on, read one after the other."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        """Take (line number, text) pairs."""
        self._words = [(word, number) for number, text in lines for word in text.split()]
        self._at = 0

    @property
    def line(self) -> int:
        """The line of the next word, or of the last one."""
        return self._words[min(self._at, len(self._words) - 1)][1] if self._words else 1

    @property
    def done(self) -> bool:
        """Whether all words were read."""
        return self._at >= len(self._words)

    def word(self, what: str) -> str:
        """Return the next word; `what` is named where there is none."""
        if self.done:
            fail(self.line, f"the text ends where {what} was expected")
        self._at += 1
        return self._words[self._at - 1][0]

    def whole(self, what: str, least: int = 0, most: int | None = None) -> int:
        """Return the next word as a whole number in a range."""
        line = self.line
        text = self.word(what)
        try:
            value = int(text)
        except ValueError:
            fail(line, f"{what} must be a whole number, got {text[:40]!r}")
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"from {least} to {most}"
            fail(line, f"{what} must be {limits}, got {text[:40]}")
        return value

    def number(self, what: str) -> float:
        """Return the next word as a finite number."""
        line = self.line
        text = self.word(what)
        try:
            value = float(text)
        except ValueError:
            fail(line, f"{what} must be a number, got {text[:40]!r}")
        if value - value != 0.0:
            fail(line, f"{what} must be finite, got {text[:40]}")
        return value
