"""Networks into tensors: contract, contract_scaled and einsum."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np

from tnkit.arrays import Array, as_array, movers, namespace, promote, whole
from tnkit.checking import checked, shown
from tnkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    MemoryLimitError,
    SizeError,
    TnkitError,
    WorkerError,
)
from tnkit.network import TensorNetwork
from tnkit.notation import parse, parse_interleaved, shorten
from tnkit.planning import Plan, plan
from tnkit.program import Program
from tnkit.scaled import Scaled, rescaled, scaled_sum
from tnkit.tensor import Tensor

__all__ = ["contract", "contract_scaled", "einsum"]

SliceProgress: TypeAlias = Callable[[int, int], None]


class Cancel(Protocol):
    """What `cancel=` takes: a `threading.Event`, or anything with its is_set."""

    def is_set(self) -> bool:
        """Say whether to stop."""


@checked
def contract(
    network: TensorNetwork,
    plan: Plan | None = None,
    *,
    memory_limit: float | None = None,
    executor: Executor | None = None,
    progress: SliceProgress | None = None,
    cancel: Cancel | None = None,
    optimizer: Any = "auto",
    seed: int = 0,
    time_budget: float | None = None,
) -> Tensor:
    """Return the tensor a network stands for, its axes in the order of `network.output`.

    plan: one made for this structure, by default `plan(network, ...)` with the other arguments.
    memory_limit: bytes; `MemoryLimitError`, before anything is allocated, where it cannot be kept.
    executor: any `concurrent.futures.Executor`, which computes slices side by side (they exist
    where the plan is sliced); the limit then holds for all its workers together. `WorkerError`
    names the slices that were lost where a worker died. progress(done,
    total) is called after each slice; cancel: an event that stops the work between slices with
    `concurrent.futures.CancelledError`. Library, device and gradients are those of the arrays.

    >>> a = Tensor(np.ones((2, 3)), ["i", "j"])
    >>> contract(TensorNetwork([a, a.rename({"i": "k"})]))
    Tensor(i: 2, k: 2; float64, numpy)
    """
    made = _plan_for(network, plan, memory_limit, executor, cancel, optimizer, seed, time_budget)
    values = _values(network)
    if not values:
        return Tensor(np.asarray(1.0))
    if made.cost.slices == 1 or (executor is None and progress is None and cancel is None):
        array = made(*values)
    else:
        array = _over_slices(made._program, values, executor, progress, cancel)
    return Tensor(array, made.output)


@checked
def contract_scaled(
    network: TensorNetwork,
    plan: Plan | None = None,
    *,
    memory_limit: float | None = None,
    executor: Executor | None = None,
    progress: SliceProgress | None = None,
    cancel: Cancel | None = None,
    optimizer: Any = "auto",
    seed: int = 0,
    time_budget: float | None = None,
) -> Scaled:
    """Return the value of a network as mantissa and logarithm, of any magnitude.

    The arguments are those of `contract`. The mantissa has its axes in the order of
    `network.output`. Every intermediate is brought near one by a power of two, which changes no
    digit; gradients pass through the mantissa. Costs one pass over each intermediate more. Raises
    `NonFiniteError` where the value holds NaN or Inf.

    >>> chain = [Tensor(2.0 ** 900, []) for _ in range(10)]
    >>> round(float(contract_scaled(TensorNetwork(chain)).log_abs), 6)
    6238.324625
    """
    made = _plan_for(network, plan, memory_limit, executor, cancel, optimizer, seed, time_budget)
    values = _values(network)
    if not values:
        return Scaled(np.asarray(1.0))
    values = promote(*values)
    if not namespace(values[0]).isdtype(values[0].dtype, ("real floating", "complex floating")):
        xp = namespace(values[0])
        values = tuple(xp.astype(value, xp.float64) for value in values)
    program = made._program
    move = movers(values[0])
    pool, base = program.start_scaled(values, move)
    parts: list[Scaled] = []
    total = program.slices
    pieces = _pieces(program, pool, executor, cancel, _scaled_chunk)
    done = 0
    for count, part in pieces:
        parts = [scaled_sum([*parts, part])]
        done += count
        if progress is not None:
            progress(done, total)
    found = parts[0]
    shaped = program.finish(found.mantissa, move)
    return rescaled(shaped, found.log_scale + base)


def einsum(*arguments: Any, optimizer: Any = "auto", memory_limit: float | None = None) -> Array:
    """Return an einsum of bare arrays, as NumPy writes it: a string, or the interleaved form.

    Any number of symbols and of operands; an index on more than two; "..." for further axes.
    Sizes never broadcast (a size of one against another raises `SizeError`), dtypes promote. The
    result is a bare array of the library of the operands. Plans are cached by structure.

    >>> einsum("ij,jk->ik", np.ones((2, 3)), np.ones((3, 4))).shape
    (2, 4)
    >>> einsum(np.ones((2, 3)), [0, 1], np.ones((3, 4)), [1, 2], [0, 2]).shape
    (2, 4)
    """
    if not arguments:
        raise ArgumentError("einsum needs a string and arrays: einsum('ij,jk->ik', a, b)")
    if isinstance(arguments[0], str):
        values = tuple(as_array(value) for value in arguments[1:])
        equation = parse(arguments[0], [len(value.shape) for value in values])
    else:
        equation, given = parse_interleaved(arguments)
        values = tuple(as_array(value) for value in given)
    values = promote(*values)
    shapes = [tuple(value.shape) for value in values]
    made = plan(
        equation,
        shapes=shapes,
        dtype=values[0].dtype,
        optimizer=optimizer,
        memory_limit=memory_limit,
    )
    return made(*values)


def _values(network: TensorNetwork) -> tuple[Array, ...]:
    values = network.arrays
    if values:
        namespace(*values)  # one library, or an error that names them
    return values


def _plan_for(
    network: TensorNetwork,
    given: Plan | None,
    memory_limit: float | None,
    executor: Executor | None,
    cancel: Cancel | None,
    optimizer: Any,
    seed: int,
    time_budget: float | None,
) -> Plan:
    if cancel is not None and not hasattr(cancel, "is_set"):
        raise ArgumentTypeError(f"cancel must have is_set, as an Event, got {shown(cancel)}")
    for name, limit in (("time_budget", time_budget), ("memory_limit", memory_limit)):
        if limit is not None and not limit > 0:
            raise ArgumentError(f"{name} must be above 0, got {limit!r}")
    if given is None:
        share = memory_limit if memory_limit is None else memory_limit // _workers(executor)
        return plan(
            network,
            memory_limit=share,
            optimizer=optimizer,
            seed=seed,
            time_budget=time_budget,
        )
    if given.inputs != network.inputs or given.output != network.output:
        raise SizeError(
            "the plan was made for another structure: it has inputs "
            f"{shorten(map(list, given.inputs), 4)} -> {shorten(given.output)}, the network "
            f"{shorten(map(list, network.inputs), 4)} -> {shorten(network.output)}"
        )
    if memory_limit is not None and network.tensors:
        dtype = promote(*[network.tensors[0].array])[0].dtype
        peak = given.peak_bytes(dtype) * _workers(executor)
        if peak > memory_limit:
            raise MemoryLimitError(
                f"this plan peaks at {peak} bytes, the limit is {memory_limit}; "
                "make one that fits: plan(network, memory_limit=...)"
            )
    return given


def _workers(executor: Executor | None) -> int:
    if executor is None:
        return 1
    for name in ("_max_workers", "num_workers"):  # the pools of Python and loky; mpi4py's
        if found := getattr(executor, name, None):
            return int(found)
    client: Any = getattr(executor, "_client", None)  # dask.distributed's
    if hasattr(client, "nthreads"):
        return max(1, int(sum(client.nthreads().values())))
    return os.cpu_count() or 1


def _over_slices(
    program: Program,
    values: Sequence[Array],
    executor: Executor | None,
    progress: SliceProgress | None,
    cancel: Cancel | None,
) -> Array:
    values = promote(*values)
    move = movers(values[0])
    pool = program.start(values, move)
    total, done = None, 0
    for count, part in _pieces(program, pool, executor, cancel, _plain_chunk):
        total = part if total is None else whole(total + part)
        done += count
        if progress is not None:
            progress(done, program.slices)
    return program.finish(total, move)


def _plain_chunk(program: Program, pool: Sequence[Any], chunk: Sequence[tuple[int, ...]]) -> Array:
    move = movers(next(register for register in pool if register is not None))
    total = None
    for at in chunk:
        part = program.one_slice(pool, at, move)
        total = part if total is None else whole(total + part)
    return total


def _scaled_chunk(
    program: Program, pool: Sequence[Any], chunk: Sequence[tuple[int, ...]]
) -> Scaled:
    move = movers(next(register for register in pool if register is not None))
    parts = [rescaled(*program.one_slice_scaled(pool, at, move)) for at in chunk]
    return scaled_sum(parts)


def _pieces(
    program: Program,
    pool: Sequence[Any],
    executor: Executor | None,
    cancel: Cancel | None,
    work: Callable[[Program, Sequence[Any], Sequence[tuple[int, ...]]], Any],
) -> Iterator[tuple[int, Any]]:
    """Yield (slices done, their sum) in the order of the slices, so that sums repeat exactly."""

    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise CancelledError("contraction cancelled between slices")

    values = program.slice_values()
    if executor is None:
        for at in values:
            check()
            yield 1, work(program, pool, [at])
        return
    size = max(1, program.slices // 256)
    chunks = iter(lambda: list(islice(values, size)), [])
    total, sent, done = program.slices, 0, 0
    waiting: list[tuple[int, Future[Any]]] = []
    try:
        while True:
            check()
            while len(waiting) < 2 * _workers(executor):
                chunk = next(chunks, None)
                if chunk is None:
                    break
                with _named(sent, len(chunk), total):
                    future = executor.submit(work, program, pool, chunk)
                waiting.append((len(chunk), future))
                sent += len(chunk)
            if not waiting:
                return
            count, first = waiting[0]
            while not first.done():
                wait([first], timeout=0.1, return_when=FIRST_COMPLETED)
                check()
            waiting.pop(0)
            with _named(done, count, total):
                part = first.result()
            done += count
            yield count, part
    finally:
        for _, future in waiting:
            future.cancel()


@contextmanager
def _named(start: int, count: int, total: int) -> Iterator[None]:
    """Raise `WorkerError` with the numbers of the slices for what is no error of their contents."""
    try:
        yield
    except (TnkitError, MemoryError, CancelledError):
        raise
    except Exception as error:
        which = f"slice {start + 1}" if count == 1 else f"slices {start + 1} to {start + count}"
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise WorkerError(
            f"{which} of {total} came to nothing in the executor ({reason}); a broken pool stays "
            "broken: make a new one, of fewer workers if memory ran out, and contract again"
        ) from error
