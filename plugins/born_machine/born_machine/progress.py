"""The progress display of a training run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from born_machine.checkpoint import AnyCheckpoint
from tnkit import StepInfo

__all__ = ["Progress"]

_BAR = "{desc} |{bar:24}| {percentage:3.0f}%{postfix} [{elapsed}, {remaining} left]"


class Progress:
    """A live bar on a terminal; everywhere one line a sweep, and a trial of a site order."""

    def __init__(
        self,
        sweeps: int,
        quiet: bool,
        folder: Path,
        *,
        machines: int = 1,
        about: str = "",
        saved: bool = False,
    ) -> None:
        """machines: that each make a sweep in turn. about: a line to begin with."""
        from tqdm import tqdm

        self._about = about

        self._sweeps = sweeps
        self._machines = machines
        self._quiet = quiet
        self._folder = folder
        self._saved = saved  # whether there is a checkpoint to go on from
        self._validation = ""
        self._shown = 0.0
        self._steps = 0  # since the last sweep
        self._expected = 0  # of a sweep, 0 where not known
        self._bar = tqdm(
            total=sweeps,
            disable=quiet or not sys.stderr.isatty(),
            bar_format=_BAR,
            leave=False,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.close()
        if kind is KeyboardInterrupt and self._saved:
            print(f"go on with: born-machine resume {self._folder}", file=sys.stderr)

    def _begin(self) -> None:
        if self._about and not self._quiet:
            self._bar.write(self._about, file=sys.stderr)
        self._about = ""

    def trial(self, order: str, number: int, trials: int, nll: float) -> None:
        """Show a short run along one of the site orders that are tried."""
        self._begin()
        self._bar.set_description_str(f"{number} of {trials} orders tried")
        if not self._quiet:
            line = f"order {number:>3} of {trials}  {order}, NLL {nll:.3f} nats in a short run"
            self._bar.write(line, file=sys.stderr)

    def step(self, sweep: int, info: StepInfo) -> None:
        self._begin()
        if not self._steps + self._expected:  # the first of all: time left goes by those to come
            self._bar.reset()
            self._bar.initial = self._bar.n = sweep - 1
            if not info.rightwards:  # from the last bond there and back
                self._expected = self._machines * max(2 * info.bond, 1)
        self._steps += 1
        now = time.monotonic()
        if now - self._shown > 0.5:  # reading the loss waits for the device: not at every bond
            self._shown = now
            if self._expected:
                self._bar.n = sweep - 1 + min(self._steps / self._expected, 1.0)
            self._bar.set_description_str(f"sweep {sweep}/{self._sweeps}", refresh=False)
            self._bar.set_postfix_str(
                f"NLL train {float(info.loss):.2f}{self._validation}, bond {info.kept}"
            )

    def sweep(self, checkpoint: AnyCheckpoint) -> None:
        self._begin()
        self._saved = True
        record = checkpoint.history[-1]
        self._bar.n = record.sweep
        self._steps, self._expected = 0, self._steps
        if record.nll_validation is not None:
            self._validation = f", validation {record.nll_validation:.2f}"
        if not self._quiet:
            validation = self._validation and self._validation + " nats"
            train = f"NLL train {record.nll_train:.3f}" + ("" if validation else " nats")
            line = (
                f"sweep {record.sweep:>3}  {train}{validation}, bond {record.max_bond} "
                f"(mean {record.mean_bond:.1f}), {record.seconds:.1f} s"
            )
            self._bar.write(line, file=sys.stderr)
