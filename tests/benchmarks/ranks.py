"""Strong scaling of a sweep: the same samples on more and more processes of one machine.

``python tests/benchmarks/ranks.py DATA.npz KEY [--samples 5000] [--bond 50] [--sweeps 5]`` trains
on the first samples (square images packed eight pixels a byte) with 1, 2, ... processes in turn,
for some rounds, and prints of each number the last sweep, bonds having grown by then and memory
being in use again, in its fastest round: its seconds, and the CPU seconds of process 0 with the
scores after it, which leave out the time for which other programs held the cores. The NLLs
reached stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from born_machine.curves import hilbert
from born_machine.launch import launch
from born_machine.ranks import joined
from born_machine.train import Settings, start_state, train


def work(options: argparse.Namespace) -> None:
    """Train as one process of as many as there are; process 0 writes what it took."""
    with np.load(options.data, allow_pickle=False) as file:
        packed = file[options.key][: options.samples]
    samples = np.unpackbits(packed, axis=1)
    side = round(samples.shape[1] ** 0.5)
    samples = samples[:, hilbert(side, side)]
    dims = (2,) * samples.shape[1]
    settings = Settings(max_bond=options.bond, sweeps=options.sweeps, patience=0, value_cutoff=0.0)
    start = start_state(samples, dims, settings, np.random.default_rng(0))
    busy = [time.process_time()]
    with joined() as ranks:
        result = train(
            samples,
            None,
            dims,
            settings,
            start=start,
            ranks=ranks,
            on_sweep=lambda _: busy.append(time.process_time()),
        )
    if ranks.rank == 0:
        last = result.history[-1]
        found = {"seconds": last.seconds, "busy": busy[-1] - busy[-2], "nll": last.nll_train}
        options.out.write_text(json.dumps(found))


def main() -> None:
    """Start the processes, round by round, and print the best of each number of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("key")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--bond", type=int, default=50)
    parser.add_argument("--sweeps", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out is not None:
        work(options)
        return
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *sys.path])
    best: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found"
        for _ in range(options.rounds):
            for count in options.processes:
                status = launch(Path(__file__).stem, [*sys.argv[1:], "--out", str(out)], count)
                if status:
                    sys.exit(status)
                found = json.loads(out.read_text())
                known = best.setdefault(count, found)
                best[count] = {name: min(known[name], value) for name, value in found.items()}
                print(f"{count} processes: {found}, load {os.getloadavg()[0]:.1f}", flush=True)
    for count, found in best.items():
        print(f"{count:3} processes: {found['seconds']:.2f} s, {found['busy']:.2f} s of CPU each")


if __name__ == "__main__":
    main()
