"""What a run shows of itself: the one display of every algorithm that sweeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

import numpy as np

from tnkit.checking import checked
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.mps.run import SweepRecord, SweepState

__all__ = ["describe", "progress"]


@checked
def describe(record: SweepRecord, loss: str = "loss") -> str:
    """Return a sweep, or what is done of it, in one line; `loss` is what the loss is called.

    >>> describe(SweepRecord(-1.75, 12, 3e-9, 0.25, 8), "energy")
    'energy -1.75, bond 12, discarded 3e-09, 0.2 s'
    """
    spread = "" if record.variance is None else f", variance {record.variance:.3g}"
    return (
        f"{loss} {float(record.loss):.12g}{spread}, bond {record.max_bond}, "
        f"discarded {record.discarded_weight:.2g}, {record.seconds:.1f} s"
    )


def progress(
    loss: str = "loss", *, file: TextIO | None = None, every: float = 0.2
) -> Callable[[SweepState], None]:
    """Return an `on_step` that shows a run: a line a sweep, and on a terminal the bond it is at.

    loss: what the loss is called. file: where to, standard error by default. every: seconds
    between two looks at the loss (which may wait for a device). Needs no other package.

    >>> from tnkit.algorithms.dmrg import dmrg  # doctest: +SKIP
    >>> dmrg(mpo, psi, truncation=rule, on_step=progress("energy"))  # doctest: +SKIP
    sweep 1: energy -3.37493, bond 16, discarded 0, 0.1 s
    """
    real = isinstance(every, int | float | np.floating | np.integer)
    if not real or isinstance(every, bool) or not every >= 0.0:
        raise ArgumentError(f"every must be seconds from 0 up, got {every!r}")
    if not isinstance(loss, str) or not (file is None or callable(getattr(file, "write", None))):
        raise ArgumentTypeError(
            f"loss must be a string and file a text stream, got {loss!r} and {file!r}"
        )
    shown = -every

    def on_step(state: SweepState) -> None:
        nonlocal shown
        stream = sys.stderr if file is None else file
        live = stream.isatty()
        number = len(state.history)
        if state.record.moves == 0 and state.history:
            clear = "\r\x1b[K" if live else ""
            line = describe(state.history[-1], loss)
            print(f"{clear}sweep {number}: {line}", file=stream, flush=True)
        elif live and time.monotonic() - shown >= every:
            shown = time.monotonic()
            line = describe(state.record, loss)
            at = f"bond {state.info.bond}" if state.info else "start"
            print(f"\r\x1b[Ksweep {number + 1}, {at}: {line}", end="", file=stream, flush=True)

    return on_step
