"""What tnkit raises on purpose.

Every class derives from `TnkitError` and from the builtin a caller would expect, so both
``except TnkitError`` and ``except ValueError`` work. Messages say what was given, what was
expected and what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "ConvergenceError",
    "FormatError",
    "IndexNameError",
    "MemoryLimitError",
    "NonFiniteError",
    "ScaleError",
    "SizeError",
    "TnkitError",
    "WorkerError",
]


class TnkitError(Exception):
    """Base of everything tnkit raises on purpose."""


class ArgumentError(TnkitError, ValueError):
    """An argument has a value outside what the function accepts."""


class ArgumentTypeError(TnkitError, TypeError):
    """An argument has a type the function does not accept."""


class IndexNameError(TnkitError, KeyError):
    """An index or site name is unknown, repeated or missing."""

    def __str__(self) -> str:
        """Return the message as written (KeyError would quote it)."""
        return str(self.args[0]) if self.args else ""


class SizeError(TnkitError, ValueError):
    """Shapes or index sizes disagree."""


class NonFiniteError(TnkitError, ArithmeticError):
    """NaN or Inf where a finite number is needed.

    last_good: where a run of sweeps stood before it, to be kept and gone on from: the `SweepState`
    of `run_sweep` and `dmrg`, for `tnkit.pause`; the `Checkpoint` of a Born machine, for
    ``fit(X, resume=...)``. None where nothing ran yet.
    """

    last_good: Any = None


class ScaleError(TnkitError, OverflowError):
    """A value does not fit into a float; its logarithm does."""


class ConvergenceError(TnkitError, ArithmeticError):
    """An iterative or LAPACK routine did not converge, nor did its fallbacks."""


class MemoryLimitError(TnkitError, MemoryError):
    """The operation would exceed the memory limit, or the device has refused what it asked for."""


class FormatError(TnkitError, ValueError):
    """A file is not what it should be: wrong kind, version, size or checksum."""


class WorkerError(TnkitError, RuntimeError):
    """A worker of an executor died, or could not be given its work."""
