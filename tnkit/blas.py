"""How many threads BLAS and PyTorch use on the CPU: one where matrices are small."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tnkit.checking import checked
from tnkit.errors import ArgumentError

__all__ = ["SMALL", "VARIABLE", "thread_count", "threads"]

SMALL = 512
"""Matrices with at most this many rows get one thread."""

_MOST = 65_536

VARIABLE = "TNKIT_THREADS"
"""The environment variable that overrides the rule: a number of threads, or "all"."""


@checked
def thread_count(size: int, count: int | None = None) -> int | None:
    """Return how many threads to use where the largest matrices have `size` rows and columns.

    One up to `SMALL`, None (leave the libraries as they are set) above. A second thread gains
    little on small matrices, and on a machine that is busy otherwise threads wait for each other
    by spinning: tests/benchmarks/threads.py measures both. `count` overrides the rule, else the
    environment variable TNKIT_THREADS does: a number, or "all" for None. Size alone decides, never
    the load of the machine: with another number of threads BLAS rounds otherwise, and a run would
    not repeat. Raises `ArgumentError`.

    >>> thread_count(128), thread_count(4096), thread_count(128, 2)
    (1, None, 2)
    """
    if size < 0:
        raise ArgumentError(f"size must be a whole number from 0 up, got {size!r}")
    if count is not None:
        if not 1 <= count <= _MOST:
            raise ArgumentError(f"count must be a whole number from 1 to {_MOST}, got {count!r}")
        return int(count)
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "all":
        return None
    if wanted:
        if not (wanted.isdecimal() and len(wanted) < 8 and 1 <= int(wanted) <= _MOST):
            raise ArgumentError(
                f"{VARIABLE} must be a number from 1 to {_MOST}, or 'all', got {wanted!r}"
            )
        return int(wanted)
    return 1 if size <= SMALL else None


def threads(size: int, count: int | None = None) -> AbstractContextManager[None]:
    """Within the block, hold BLAS and PyTorch to `thread_count(size, count)` threads.

    What was set before is set again at the end; nothing else is touched. PyTorch is held only where
    it has been imported. Without threadpoolctl installed (scikit-learn brings it) BLAS is left as
    it is. Entering costs some milliseconds: put it around an algorithm, not around a product.

    >>> with threads(64):
    ...     pass  # matrices of up to 64 rows
    """
    return _held(thread_count(size, count))


@contextmanager
def _held(limit: int | None) -> Iterator[None]:
    if limit is None:
        yield
        return
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        hold = None
    else:
        hold = threadpool_limits(limits=limit, user_api="blas")
    if torch is not None:
        torch.set_num_threads(limit)
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
        if hold is not None:
            hold.restore_original_limits()
