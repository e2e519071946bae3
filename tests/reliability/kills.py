"""Training killed with SIGKILL at random instants, again and again, until it ends.

``python tests/reliability/kills.py [--kills 200] [--seed 0]`` trains runs, kills each at random
instants (while it reads, trains, writes checkpoints, draws) and resumes it, until that many kills
have been dealt. After every kill each file in the folder must be whole; at the end the model must
equal, bit for bit, that of a run left in peace, and nothing else may lie about. Prints one JSON
line. `test_crashes.py` runs a short part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from born_machine.cli import main as born_machine

__all__ = ["TRAIN", "kill_runs", "start", "wait"]

TRAIN = ["digits", "--rows", "0:150", "--patience", "0", "--max-bond", "8", "--device", "cpu"]
TRAIN += ["--sweeps", "12"]
FILES = ["checkpoint.npz", "model.npz"]


def start(arguments: list[str], log: Path | None = None, largest: int | None = None) -> int:
    """Fork a process that runs the command line, without the second that imports take.

    log: where its messages go. largest: no file it writes may pass so many bytes, as on a disk
    that is full.
    """
    process = os.fork()
    if process:
        return process
    with contextlib.suppress(BaseException):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        where = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(where, 2)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        if largest is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        os._exit(born_machine(arguments))
    os._exit(99)


def wait(process: int) -> int:
    """Wait for a process and return its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _model(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "model.npz") as archive:
        return {name: archive[name].tobytes() for name in archive.files if name != "manifest.json"}


def _whole(folder: Path) -> list[str]:
    """Return what is wrong with the files of a run that was just killed."""
    wrong = []
    for name in FILES:
        if (folder / name).exists():
            try:
                with np.load(folder / name) as archive:
                    for member in archive.files:
                        archive[member]
            except Exception as error:
                wrong.append(f"{name} is damaged: {error}")
    return wrong


def kill_runs(kills: int, seed: int = 0) -> dict[str, Any]:
    """Deal `kills` kills over as many runs as it takes; return the counts and what failed."""
    rng = random.Random(seed)
    failures: list[str] = []
    runs = dealt = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        began = time.perf_counter()
        assert wait(start(["train", *TRAIN, "--out", str(root / "peace")])) == 0
        duration = time.perf_counter() - began
        truth = _model(root / "peace")
        expected = sorted(p.name for p in (root / "peace").iterdir())
        while dealt < kills and not failures:
            folder = root / f"run{runs}"
            runs += 1
            while True:
                known = (folder / "settings.toml").exists()
                command = ["resume", str(folder)] if known else ["train", *TRAIN, "--out"]
                process = start(command if known else [*command, str(folder)])
                # short against the run, so that kills fall into every part of it
                time.sleep(rng.uniform(0.0, 0.6) * duration if dealt < kills else 0.0)
                if dealt < kills:
                    os.kill(process, signal.SIGKILL)
                status = wait(process)
                if status == -signal.SIGKILL:
                    dealt += 1
                    failures += _whole(folder)
                elif status == 0:
                    break
                else:
                    failures.append(f"{command[0]} ended with status {status}")
                if failures:
                    break
            if not failures:
                if _model(folder) != truth:
                    failures.append("the model differs from that of an undisturbed run")
                found = sorted(p.name for p in folder.iterdir())
                if found != expected:
                    failures.append(f"the folder holds {found}, expected {expected}")
    return {"kills": dealt, "runs": runs, "failures": failures}


def main() -> None:
    """Run what was asked for; exit 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = kill_runs(options.kills, options.seed)
    print(json.dumps(found))
    sys.exit(int(bool(found["failures"])))


if __name__ == "__main__":
    main()
