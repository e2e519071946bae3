"""Memory that the processes of one machine share, to exchange small arrays without a message.

gloo wakes a sleeping thread for every message, one to three milliseconds a sum on a virtual
machine, as long as a bond's step itself. Here each process writes its array where the others
see it, counts up, and watches their counters: some tens of microseconds.

Every counter has one writer, and a process reads an array only after the counter that its writer
raised later. That order of two writes is what x86-64 promises other cores (Intel SDM vol. 3A,
9.2.2), and not every processor does: elsewhere, `open_board` says that there is none.
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Board", "SilenceError", "file_for_a_board", "open_board"]

Array = np.ndarray[Any, Any]
SLOT = 1 << 20
"""Bytes a process can show at a time; a longer array goes in several pieces."""
_MEMORY = Path("/dev/shm")
_LINE = 64  # bytes, a counter each, so that no two share a line of cache
_SLOTS = 2  # a process is at most one exchange ahead of another
_BUSY = 0.05  # seconds of watching before it sleeps between looks
_NAP = 0.001
_ALIVE = 0.25  # seconds between looks at who is still there


class SilenceError(RuntimeError):
    """Another process is gone, or has not come for too long."""


class Board:
    """The shared memory of `size` processes, seen by the one of number `rank`.

    All of them do the same exchanges in the same order, of arrays of one dtype and length.
    file: of `file_for_a_board`, opened for reading and writing by this process alone.
    silence: seconds to wait for another before `SilenceError`; one that died is noticed at once.
    """

    def __init__(self, file: int, rank: int, size: int, *, silence: float) -> None:
        self._file, self._rank, self._silence = file, rank, silence
        self._others = [other for other in range(size) if other != rank]
        self._hold(rank)
        memory = mmap.mmap(file, _room(size))
        counters = np.frombuffer(memory, np.int64, size * _LINE // 8)
        self._posted = counters[:: _LINE // 8]
        slots = np.frombuffer(memory, np.uint8, offset=size * _LINE)
        self._slots = slots.reshape(_SLOTS, size, SLOT)
        self._step = 0

    def total(self, array: Array) -> None:
        """Replace a vector by its sum over the processes, added in their order: the same bits."""
        for piece in _pieces(array):
            shown = self._shown(piece)
            shown[self._rank] = piece
            self._post()
            self._wait(self._step)
            np.add.reduce(shown, axis=0, dtype=piece.dtype, out=piece)

    def broadcast(self, array: Array) -> None:
        """Replace a vector by that of process 0."""
        for piece in _pieces(array):
            shown = self._shown(piece)
            if self._rank == 0:
                shown[0] = piece
                self._post()
            else:
                self._post()
                self._wait(self._step, only=0)
                piece[:] = shown[0]

    def close(self) -> None:
        """Leave, as the others see; the memory goes with the last that looks at it."""
        os.close(self._file)

    def _shown(self, piece: Array) -> Array:
        """Return what each process shows in the exchange that begins, (process, number)."""
        self._wait(self._step)  # the others have read what this slot held
        self._step += 1
        slots = self._slots[self._step % _SLOTS, :, : piece.nbytes]
        return slots.view(piece.dtype)

    def _post(self) -> None:
        self._posted[self._rank] = self._step

    def _wait(self, step: int, only: int | None = None) -> None:
        """Return when the others, or one of them, have come to exchange number `step`."""
        waited_for = self._others if only is None else [only]
        posted = self._posted

        def come() -> bool:
            return all(posted[other] >= step for other in waited_for)

        for _ in range(100):
            if come():
                return
        began = looked = time.monotonic()
        while not come():
            now = time.monotonic()
            if now - looked > _ALIVE:
                looked = now
                gone = [other for other in waited_for if not self._held(other)]
                if gone and not come():
                    raise SilenceError(f"process {gone[0]} is gone")
                if now - began > self._silence:
                    raise SilenceError(f"nothing for {self._silence:g} s")
            time.sleep(_NAP) if now - began > _BUSY else os.sched_yield()

    def _hold(self, rank: int) -> None:
        """Lock the byte of this process: the system unlocks it when the process ends."""
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, rank)

    def _held(self, rank: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, rank)
        return False


def file_for_a_board(size: int) -> str | None:
    """Return the path of a new file in memory for `size` processes; None where none can be.

    None for a processor other than x86-64, and without /dev/shm or room in it. The caller removes
    it once all have it open.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    try:
        handle, path = tempfile.mkstemp(prefix="born-machine-", dir=_MEMORY)
    except OSError:
        return None
    try:
        os.posix_fallocate(handle, 0, _room(size))
    except OSError:
        os.unlink(path)
        return None
    finally:
        os.close(handle)
    return path


def open_board(path: str | None, rank: int, size: int, *, silence: float) -> Board | None:
    """Return the board of that file, None where this process cannot open it."""
    if path is None:
        return None
    try:
        return Board(os.open(path, os.O_RDWR), rank, size, silence=silence)
    except (OSError, ImportError):
        return None


def _room(size: int) -> int:
    return size * (_LINE + _SLOTS * SLOT)


def _pieces(array: Array) -> list[Array]:
    """Return a vector as views of at most `SLOT` bytes, one empty piece for an empty vector."""
    long = max(1, SLOT // array.itemsize)
    return [array[at : at + long] for at in range(0, max(1, len(array)), long)]
