"""One command as several processes on this machine: started, watched and stopped together."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

from born_machine.ranks import ALONE, RankLostError, cores, ranks_given
from tnkit import ArgumentError

__all__ = ["LOST", "launch", "launched", "processes_to_start"]

LOST = 3
"""Exit status of a process that ends because another one has."""
_MOST = 256
_GRACE = 10.0  # seconds that the others have to end by themselves
_MARK = "BORN_MACHINE_LAUNCHED"


def processes_to_start(asked: int | None) -> int:
    """Return how many processes this one shall start: none where it is one of several itself.

    asked: what --processes says. Raises `ArgumentError` for what is no number of processes, or
    another one than torchrun has started.
    """
    if asked is not None and not 1 <= asked <= _MOST:
        raise ArgumentError(f"--processes must be from 1 to {_MOST}, got {asked}")
    given = ranks_given()
    if given != ALONE and asked not in (None, given.size):
        raise ArgumentError(
            f"--processes {asked} was asked for, {given.size} are running; leave it out"
        )
    return asked if given == ALONE and asked is not None and asked > 1 else 0


def launched() -> bool:
    """Say whether `launch` started this process; if so, end it as soon as that one is gone."""
    if _MARK not in os.environ:
        return False

    def follow() -> None:
        os.read(0, 1)  # nothing is ever written: returns when the other end is closed
        os._exit(LOST)

    threading.Thread(target=follow, daemon=True).start()
    return True


def launch(module: str, arguments: Sequence[str], count: int) -> int:
    """Run a module's command line as `count` processes that find one another; return the status.

    Process 0 speaks for all. When one ends badly the others are stopped: `RankLostError` names it,
    unless it is process 0, which has said why itself. Ctrl-C goes to process 0.
    """
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        processes = _started([sys.executable, "-m", module, *arguments], said)
        try:
            first = _first_to_fail(processes)
        except KeyboardInterrupt:
            processes[0].send_signal(signal.SIGINT)
            first = _first_to_fail(processes)
        finally:
            _stop(processes)
        if first is None:
            return 0
        return _told(first, [process.wait() for process in processes], said)


def _started(command: Sequence[str], said: Sequence[IO[bytes]]) -> list[subprocess.Popen[bytes]]:
    """Start one process for each file of `said`, which takes what all but process 0 complain."""
    count = len(said)
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // count)))
    where = _meeting() | {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": threads,
        _MARK: "1",
    }
    return [
        subprocess.Popen(
            command,
            env=where | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=None if rank == 0 else subprocess.DEVNULL,
            stderr=None if rank == 0 else said[rank],
            start_new_session=True,
        )
        for rank in range(count)
    ]


def _meeting() -> dict[str, str]:
    """Return this process's environment with a place to meet on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {"GLOO_SOCKET_IFNAME": loopback} | os.environ | meeting


def _first_to_fail(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until one ends badly, and return its number; None when all have ended well.

    Those that end because they lost another one are named only where no cause shows up.
    """
    deadline = math.inf
    while True:
        found = [process.poll() for process in processes]
        bad = [rank for rank, status in enumerate(found) if status not in (None, 0)]
        for rank in bad:
            if found[rank] != LOST:
                return rank
        if bad:
            deadline = min(deadline, time.monotonic() + _GRACE)
        if None not in found or time.monotonic() > deadline:
            return bad[0] if bad else None
        time.sleep(0.02)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let the processes end by themselves for a while; then make them."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.02)
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _told(first: int, statuses: Sequence[int], said: Sequence[IO[bytes]]) -> int:
    if statuses[0] not in (0, LOST) and statuses[0] > 0:
        return statuses[0]  # process 0 has said why
    status = statuses[first]
    said[first].seek(0)
    lines = said[first].read().decode(errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("born-machine: ") if lines else ""
    how = f"ended with status {status}"
    if status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    how += f" ({last})" if last else ""
    if status == LOST:
        how = "heard no more of another one"
    others = "the other was" if len(statuses) == 2 else "the others were"
    raise RankLostError(f"process {first} of {len(statuses)} {how}; {others} stopped")
