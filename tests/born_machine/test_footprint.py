"""Memory of sweeps: stated before, kept to, refused where it cannot be; the result is the same."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from born_machine import BornMachine
from born_machine.checkpoint import Checkpoint
from born_machine.devices import device_memory
from born_machine.fitting import Plan, footprint_of
from born_machine.footprint import footprint, needed
from born_machine.ranks import Ranks
from born_machine.settings import Settings
from born_machine.train import start_state, train
from tnkit import MemoryLimitError

SITES = 60
DIMS = (2,) * SITES
ROUGH: dict[str, Any] = {"max_bond": 8, "value_cutoff": 0.0, "sweeps": 2, "patience": 0}


def walks(count: int) -> np.ndarray:
    """Return samples whose neighbours are alike, so that bonds grow."""
    rng = np.random.default_rng(0)
    return (np.cumsum(rng.standard_normal((count, SITES)), axis=1) > 0).astype(np.uint8)


def trained(samples: np.ndarray, settings: Settings) -> Checkpoint:
    start = start_state(samples, DIMS, settings, np.random.default_rng(0))
    return train(samples, None, DIMS, settings, start=start)


@pytest.mark.parametrize("method", ["two-site", "one-site"])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_tight_limit_changes_no_bit(method: str, gaps: bool) -> None:
    samples = walks(300).astype(np.int16)
    if gaps:
        samples[:40, 7] = -1
    settings = Settings(method=method, **ROUGH)
    free = needed(samples, DIMS, settings)
    assert free.every == 1
    tight = Settings(method=method, memory_limit=int(0.7 * free.total), **ROUGH)
    assert needed(samples, DIMS, tight).every > 1
    one, other = trained(samples, settings), trained(samples, tight)
    for a, b in zip(one.state.arrays, other.state.arrays, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", ["two-site", "one-site"])
@pytest.mark.parametrize("share", [1.0, 0.65])
def test_no_more_is_held_than_was_stated(method: str, share: float) -> None:
    samples = walks(3000)
    rough = ROUGH | {"max_bond": 16, "method": method}
    limit = int(share * needed(samples, DIMS, Settings(**rough)).total)
    settings = Settings(memory_limit=limit, **rough)
    stated = needed(samples, DIMS, settings).total
    assert stated <= limit
    trained(samples[:50], settings)  # imports and caches
    tracemalloc.start()
    try:
        state = trained(samples, settings).state
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(state.bond_dims) == 16
    assert 0.5 * stated < peak <= stated


@given(
    samples=st.integers(1, 10**6),
    sites=st.integers(2, 2000),
    bond=st.integers(1, 300),
    limits=st.tuples(st.integers(1, 10**12), st.integers(1, 10**12)),
)
def test_a_looser_limit_keeps_no_fewer_environments(
    samples: int, sites: int, bond: int, limits: tuple[int, int]
) -> None:
    settings = Settings(max_bond=bond)
    found = []
    for limit in sorted(limits):
        try:
            one = footprint(samples, (2,) * sites, settings, limit=limit)
        except MemoryLimitError:
            assert not found  # what fits fits a looser limit too
            continue
        assert one.total <= limit
        found.append(one.every)
    assert found == sorted(found, reverse=True)


def test_what_cannot_fit_is_refused_before_any_work_with_the_figures() -> None:
    swept: list[Any] = []
    machine = BornMachine(max_bond=32, order="given", memory_limit=100_000)
    with pytest.raises(MemoryLimitError) as caught:
        machine.fit(walks(1000), on_sweep=swept.append)
    assert not swept
    message = str(caught.value)
    for part in ("900 samples", "60 sites", "bond 32", "MB", "100 kB", "max_bond", "batch_size"):
        assert part in message


def test_a_batch_a_sweep_needs_less() -> None:
    machine = BornMachine(
        max_bond=8, sweeps=1, order="given", memory_limit=600_000, random_state=0, batch_size=100
    )
    machine.fit(walks(1000))
    assert machine.footprint_.samples == 100
    with pytest.raises(MemoryLimitError):
        machine.set_params(batch_size=None).fit(walks(1000))


def test_a_process_needs_memory_for_its_rows_alone() -> None:
    plan = Plan(walks(1000), walks(0), DIMS, Settings(max_bond=8), ())
    alone = footprint_of(plan, "cpu")
    shared = [footprint_of(replace(plan, ranks=Ranks(rank, 8)), "cpu") for rank in (0, 7)]
    assert alone is not None
    assert shared[0] == shared[1]
    assert shared[0] is not None
    assert shared[0].samples == 125
    tight = replace(plan, settings=Settings(max_bond=8, memory_limit=shared[0].total))
    assert footprint_of(replace(tight, ranks=Ranks(0, 8)), "cpu") == replace(
        shared[0], limit=shared[0].total
    )
    with pytest.raises(MemoryLimitError):
        footprint_of(tight, "cpu")


def test_sweeps_at_a_time_share_the_default_limit() -> None:
    plan = Plan(walks(9), walks(0), DIMS, Settings(max_bond=2), (), jobs=3)
    for change, share in (({}, 3), ({"ranks": Ranks(1, 4, 1, 2)}, 6)):
        found = footprint_of(replace(plan, **change), "cpu")
        assert found is not None
        assert found.limit == device_memory() // (2 * share)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "4GB"])
def test_nonsense_limits_are_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="memory_limit must be a whole number from 1 up"):
        Settings(memory_limit=limit)
