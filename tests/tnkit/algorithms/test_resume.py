"""A run stopped anywhere goes on as if it never had: the same numbers, bit for bit."""

from __future__ import annotations

import functools
import io
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit

RULES = [tnkit.Truncation(max_bond=4), tnkit.Truncation(max_bond=9, cutoff=1e-12)]


EXCITED: dict[str, Any] = {
    "krylov": 3,
    "orthogonal_to": [tnkit.random_mps(9, bond_dim=2, seed=4)],
}


def hamiltonian(is_complex: bool = False) -> tnkit.MPO:
    builder = tnkit.OpSum()
    for k in range(8):
        builder.add(1.0, ("X", k), ("X", k + 1))
        builder.add(0.7, ("Z", k), ("Z", k + 1))
        builder.add(0.3, ("Y" if is_complex else "Z", k))
    return builder.to_mpo(9)


def run(start: Any, *, is_complex: bool = False, **settings: Any) -> tnkit.DMRGResult:
    known = {"truncation": RULES, "sweeps": 4, "tolerance": 0.0, "variance_tolerance": 0.0}
    return tnkit.dmrg(hamiltonian(is_complex), start, **(known | settings))


@functools.cache
def uninterrupted(method: str, is_complex: bool) -> tnkit.DMRGResult:
    start = tnkit.random_mps(9, bond_dim=2, seed=3)
    return run(start, method=method, is_complex=is_complex, **EXCITED)


class StoppedError(Exception):
    """Raised at the bond where a run is to stop."""


def stop_after(steps: int, kept: list[tnkit.SweepState], error: type[BaseException]) -> Any:
    def on_step(state: tnkit.SweepState) -> None:
        kept.append(state)
        if len(kept) == steps:
            raise error

    return on_step


@pytest.mark.parametrize("method", ["two-site", "one-site"])
@settings(max_examples=15)
@given(
    steps=st.integers(1, 50),
    is_complex=st.booleans(),
    error=st.sampled_from([StoppedError, KeyboardInterrupt]),
)
def test_a_run_stopped_at_any_bond_ends_where_it_would_have_ended(
    method: str, steps: int, is_complex: bool, error: Any, tmp_path_factory: Any
) -> None:
    """Interrupted, saved, loaded, resumed: energies, variances and state to the last bit."""
    start = tnkit.random_mps(9, bond_dim=2, seed=3)
    how = {"method": method, "is_complex": is_complex, **EXCITED}
    whole = uninterrupted(method, is_complex)
    kept: list[tnkit.SweepState] = []
    with pytest.raises(error):
        run(start, on_step=stop_after(steps, kept, error), **how)
    path = tmp_path_factory.mktemp("run") / "paused.npz"
    tnkit.save(path, tnkit.pause(kept[-1]))
    paused = tnkit.load(path)
    assert paused.record.moves + sum(r.moves for r in paused.history) == steps
    resumed = run(paused, **how)
    for a, b in zip(whole.state.arrays, resumed.state.arrays, strict=True):
        assert np.array_equal(a, b)
    assert (resumed.energy, resumed.variance) == (whole.energy, whole.variance)
    for x, y in zip(whole.history, resumed.history, strict=True):
        assert x[:4] == y[:4]  # all but the seconds


SCRIPT = """
import sys, tnkit
from {module} import run, hamiltonian
def on_step(state):
    tnkit.save(sys.argv[1], tnkit.pause(state))
    print(flush=True)
run(tnkit.random_mps(9, bond_dim=2, seed=3), method="one-site", on_step=on_step)
"""


@pytest.mark.parametrize("steps", [1, 17, 40])
def test_a_killed_process_leaves_a_file_to_go_on_from(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "run.npz"
    script = SCRIPT.format(module=Path(__file__).stem)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent,
    )
    assert process.stdout is not None
    for _ in range(steps):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    paused = tnkit.load(path)
    assert paused.record.moves + sum(r.moves for r in paused.history) >= steps
    whole = run(tnkit.random_mps(9, bond_dim=2, seed=3), method="one-site")
    assert run(paused, method="one-site").energy == whole.energy


def test_every_state_of_a_run_stays_good_while_it_goes_on() -> None:
    """States are values: those kept early are not touched by later steps."""
    kept: list[tnkit.SweepState] = []
    result = run(tnkit.random_mps(9, bond_dim=2, seed=0), on_step=kept.append)
    moves = len(tnkit.round_trip(9))
    infos = [state.info for state in kept[moves : 2 * moves] if state.info]
    assert result.history[1].max_bond == max(info.kept for info in infos) == 9
    worst = max(info.discarded_weight for info in infos)
    assert result.history[1].discarded_weight == worst > 0.0
    for state in kept[::9]:
        paused = tnkit.pause(state)
        tnkit.verify(paused.state)
        assert run(paused).energy == result.energy


def test_a_paused_run_goes_on_only_as_it_began() -> None:
    kept: list[tnkit.SweepState] = []
    run(tnkit.random_mps(9, bond_dim=2, seed=0), method="one-site", on_step=kept.append)
    with pytest.raises(tnkit.ArgumentError, match="go on with the settings the run began with"):
        run(tnkit.pause(kept[14]))
    with pytest.raises(tnkit.ArgumentTypeError, match="paused in float64"):
        run(tnkit.pause(kept[2]), is_complex=True)
    with pytest.raises(tnkit.ArgumentTypeError, match="must be an MPS or a Paused, got 'run"):
        run("run.npz")


def test_variance_decides_where_it_is_asked_to() -> None:
    """The energy settles long before the state does."""
    start = tnkit.random_mps(9, bond_dim=2, seed=0)
    wide = tnkit.Truncation(max_bond=16)
    how: dict[str, Any] = {"truncation": wide, "tolerance": 1e-3, "sweeps": 30, "krylov": 2}
    loose = run(start, variance_tolerance=None, **how)
    tight = run(start, variance_tolerance=1e-10, **how)
    assert loose.converged
    assert tight.converged
    assert len(loose.history) < len(tight.history)
    assert loose.variance > 1e-10 >= tight.variance
    assert [record.variance for record in loose.history] == [None] * len(loose.history)
    assert tight.history[-1].variance == pytest.approx(tight.variance, abs=1e-12)
    never = run(start, truncation=tnkit.Truncation(max_bond=2), variance_tolerance=1e-10, sweeps=6)
    assert len(never.history) == 6
    assert not never.converged


@pytest.mark.parametrize("live", [False, True])
def test_progress_tells_energy_bond_and_weight_of_every_sweep(live: bool) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return live

    screen = Screen()
    show = tnkit.progress("energy", file=screen, every=0.0)
    result = run(tnkit.random_mps(9, bond_dim=2, seed=0), on_step=show, sweeps=2)
    lines = [line.rpartition("\r\x1b[K")[2] for line in screen.getvalue().split("\n")[:-1]]
    for number, (line, record) in enumerate(zip(lines, result.history, strict=True), 1):
        assert line.startswith(f"sweep {number}: energy {record.energy:.12g}")
        assert f"bond {record.max_bond}, discarded {record.discarded_weight:.2g}" in line
    assert ("sweep 1, bond 3: energy" in screen.getvalue()) == live
