"""Slices on pools of other processes: the same value, and a worker that dies is no silence."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

import networkx
import numpy as np
import pytest

import tnkit
from tnkit import contract, contract_scaled, plan


def lattice(side: int, size: int) -> tnkit.TensorNetwork:
    rng = np.random.default_rng(0)
    graph = networkx.grid_2d_graph(side, side)
    return tnkit.from_networkx(graph, lambda node, shape: rng.random(shape), size=size)


NETWORK = lattice(6, 3)
SLICED = plan(NETWORK, memory_limit=plan(NETWORK).cost.peak_bytes // 4)
WHOLE = contract(NETWORK).to_numpy()


@contextmanager
def processes() -> Iterator[tuple[Executor, Callable[[], list[int]]]]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool, lambda: list(pool._processes)


@contextmanager
def loky() -> Iterator[tuple[Executor, Callable[[], list[int]]]]:
    module = pytest.importorskip("loky", reason="loky is not installed: pip install loky")
    pool = module.ProcessPoolExecutor(2)
    with ExitStack() as stack:
        stack.callback(pool.shutdown, kill_workers=True)
        yield pool, lambda: list(pool._processes)


@contextmanager
def dask() -> Iterator[tuple[Executor, Callable[[], list[int]]]]:
    module = pytest.importorskip(
        "distributed", reason="dask.distributed is not installed: pip install distributed"
    )
    with (
        module.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
        ) as cluster,
        module.Client(cluster) as client,
    ):
        yield client.get_executor(), lambda: list(client.run(os.getpid).values())


POOLS = {"processes": processes, "loky": loky, "dask": dask}


@pytest.mark.filterwarnings("default")  # of the pools themselves
@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_gives_the_value_and_says_which_slices_a_dead_worker_lost(pool: str) -> None:
    """To 1e-12; dask gives a lost slice to another worker, the others fail and name it."""
    total = SLICED.cost.slices
    assert total > 20
    with POOLS[pool]() as (executor, workers):
        found = contract(NETWORK, SLICED, executor=executor).to_numpy()
        scaled = contract_scaled(NETWORK, SLICED, executor=executor).value
        np.testing.assert_allclose(found, WHOLE, rtol=1e-12)
        np.testing.assert_allclose(scaled, WHOLE, rtol=1e-12)

        killed: list[int] = []

        def strike(done: int, total: int) -> None:
            if not killed:
                killed.extend(workers()[:1])
                os.kill(killed[0], signal.SIGKILL)

        def again() -> Any:
            return contract(NETWORK, SLICED, executor=executor, progress=strike).to_numpy()

        if pool == "dask":
            np.testing.assert_allclose(again(), WHOLE, rtol=1e-12)
        else:
            with pytest.raises(
                tnkit.WorkerError, match=rf"^slices? \d.* of {total} .*[Tt]erminated"
            ):
                again()
        assert killed


def test_the_same_bits_on_any_number_of_workers() -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three:
        first, second = (contract(NETWORK, SLICED, executor=e).to_numpy() for e in (one, three))
    assert np.array_equal(first, second)


def test_errors_of_the_contraction_itself_stay_what_they_are() -> None:
    class Refusing(ThreadPoolExecutor):
        def __init__(self, error: Exception) -> None:
            super().__init__(1)
            self.error = error

        def submit(self, *_: Any, **__: Any) -> Any:
            raise self.error

    with Refusing(MemoryError("no room")) as pool, pytest.raises(MemoryError, match=r"^no room"):
        contract(NETWORK, SLICED, executor=pool)
    with (
        Refusing(RuntimeError("shut down")) as pool,
        pytest.raises(tnkit.WorkerError, match=r"^slice.* 1.*of .*RuntimeError: shut down"),
    ):
        contract_scaled(NETWORK, SLICED, executor=pool)
