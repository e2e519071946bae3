"""The processes that train one model together: who they are, and the four things they exchange.

Every process runs the same program on the same samples and holds the environments of its own rows
only. What is summed over samples is summed over processes; what is decided is decided by process
0. For a single process each exchange is the identity, and torch is not imported.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import numpy as np

from born_machine.board import Board, file_for_a_board, open_board
from tnkit import ArgumentError, MatrixSplit, NonFiniteError, TnkitError, Truncation, split_block

__all__ = ["ALONE", "RankLostError", "Ranks", "cores", "joined", "ranks_given"]

Array: TypeAlias = Any
T = TypeVar("T")
_SILENCE = 600.0  # seconds without a word after which another process counts as lost
_GRAIN = 256.0  # sums of multiples of 1 / 256 are exact in single precision up to 65,536


class RankLostError(TnkitError, RuntimeError):
    """Another process of the same training died or fell silent."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of one training, and which of them this is.

    rank of size, counted from 0; local_rank of local_size: the same among those on this machine.
    board: what carries host arrays where all are on one machine; without it, torch.distributed.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    board: Board | None = field(default=None, compare=False, repr=False)

    def rows(self, count: int) -> slice:
        """Return which of `count` rows are this process's: a run of them, of equal length to one.

        >>> [Ranks(rank, 3).rows(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def total(self, *parts: Array) -> tuple[Array, ...]:
        """Return each part summed over the processes, by one exchange; all get the same bits.

        parts: arrays of one library and device, of the same shapes on every process. They travel
        in the widest dtype of those with more than one number; single numbers lose no more than
        1e-9 by that.
        """
        if self.size == 1:
            return parts
        import torch

        tensors = isinstance(parts[-1], torch.Tensor)
        xp: Any = torch if tensors else np  # NumPy packs small arrays several times faster
        arrays = [torch.as_tensor(part) if tensors else np.asarray(part) for part in parts]
        flat = [_real(array.reshape(-1)) for array in arrays]
        wide = [one.dtype for one in flat if len(one) > 1] or [xp.float64]
        dtype = functools.reduce(xp.promote_types, wide)
        pieces = [_cast(one if len(one) > 1 else _halves(one, xp), dtype) for one in flat]
        packed = xp.concatenate(pieces)
        buffer = torch.as_tensor(packed)  # shares its memory
        if (board := self._board_for(buffer)) is None:
            _exchange(lambda distributed: distributed.all_reduce(buffer))
        else:
            _exchange(lambda _: board.total(buffer.numpy()))
        found, at = [], 0
        for array, one, piece in zip(arrays, flat, pieces, strict=True):
            sums = _cast(packed[at : at + len(piece)], one.dtype)
            at += len(piece)
            sums = sums if len(one) > 1 else sums[:1] + sums[1:]
            found.append(_like(sums, array))
        return tuple(found)

    def whole(self, part: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
        """Return all `count` rows from those of every process, `part` being `rows(count)`."""
        if self.size == 1:
            return part
        out = np.zeros((count, *part.shape[1:]), dtype=part.dtype)
        out[self.rows(count)] = part
        return np.asarray(self.total(out)[0])

    def shared(self, array: Array) -> Array:
        """Return the array of process 0; the others give one of the same shape and dtype."""
        if self.size == 1:
            return array
        import torch

        tensor = _tensor(array)
        buffer = _real(tensor.reshape(-1)).clone()
        self._broadcast(buffer)
        found = _like(buffer, tensor)
        return found if isinstance(array, torch.Tensor) else found.numpy()

    def first(self, make: Callable[[], T]) -> T:
        """Return what `make` returns on process 0, which alone calls it; its errors too."""
        if self.size == 1:
            return make()
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = make()
            except (TnkitError, OSError, MemoryError) as error:
                answer[1] = error
        _exchange(lambda distributed: distributed.broadcast_object_list(answer, 0))
        if answer[1] is not None:
            raise answer[1]
        return answer[0]  # type: ignore[no-any-return]

    def split(
        self,
        matrix: Array,
        truncation: Truncation,
        *,
        method: str,
        absorb: Any,
        space: Array = None,
    ) -> MatrixSplit:
        """Return `split_block` of process 0's matrix on all of them, by one exchange.

        So states stay equal bit for bit where processors or thread counts differ. The singular
        values are not sent.
        """
        if self.size == 1:
            return split_block(matrix, truncation, method=method, absorb=absorb, space=space)
        import torch

        m, n = matrix.shape
        room = 2 + min(m, n, truncation.max_bond or min(m, n)) * (m + n)
        host = isinstance(matrix, np.ndarray)
        packed = np.zeros(room, matrix.dtype) if host else matrix.new_zeros(room)
        made: MatrixSplit | None = None
        failure: TnkitError | None = None
        if self.rank == 0:
            try:
                made = split_block(matrix, truncation, method=method, absorb=absorb, space=space)
                kept = made.left.shape[1]
                packed[0], packed[1] = kept, made.discarded_weight
                packed[2 : 2 + m * kept] = made.left.reshape(-1)
                packed[2 + m * kept : 2 + (m + n) * kept] = made.right.reshape(-1)
            except TnkitError as error:
                failure = error
        buffer = torch.as_tensor(_real(packed))  # shares its memory
        self._broadcast(buffer)
        if failure is not None:
            raise failure
        if made is not None:
            return made
        first, weight = (float(number.real) for number in packed[:2].tolist())
        kept = round(first)
        if kept == 0:  # process 0 says why
            raise NonFiniteError("process 0 could not split the block of this bond")
        left = packed[2 : 2 + m * kept].reshape(m, kept)
        right = packed[2 + m * kept : 2 + (m + n) * kept].reshape(kept, n)
        return MatrixSplit(left, right, None, weight)

    def _broadcast(self, buffer: Array) -> None:
        """Replace a tensor of one axis by that of process 0."""
        if (board := self._board_for(buffer)) is None:
            _exchange(lambda distributed: distributed.broadcast(buffer, 0))
        else:
            _exchange(lambda _: board.broadcast(buffer.numpy()))

    def _board_for(self, buffer: Array) -> Board | None:
        return self.board if buffer.device.type == "cpu" else None


ALONE = Ranks()
"""One process."""


def _tensor(array: Array) -> Any:
    """Return the array as a tensor; one of NumPy's is copied, since it may be read-only."""
    import torch

    return array if isinstance(array, torch.Tensor) else torch.from_numpy(np.array(array))


def _real(flat: Array) -> Array:
    """Return a vector as one of real numbers: gloo and NCCL know no others."""
    if isinstance(flat, np.ndarray):
        return flat.view(flat.real.dtype)
    if not flat.is_complex():
        return flat
    import torch

    return torch.view_as_real(flat).reshape(-1)


def _like(numbers: Array, like: Array) -> Array:
    """Return a vector of real numbers in the shape of `like`, complex where that is."""
    if isinstance(numbers, np.ndarray):
        return numbers.view(like.dtype).reshape(like.shape)
    if like.is_complex():
        import torch

        numbers = torch.view_as_complex(numbers.reshape(-1, 2))
    return numbers.reshape(like.shape)


def _cast(array: Array, dtype: Any) -> Array:
    return array.astype(dtype) if isinstance(array, np.ndarray) else array.to(dtype)


def _halves(number: Array, xp: Any) -> Array:
    """Return (1,) as a part whose sums are exact and what is left of it, (2,)."""
    coarse = xp.round(number * _GRAIN) / _GRAIN
    rest = number - xp.where(xp.isfinite(coarse), coarse, number)
    return xp.concatenate([coarse, xp.where(xp.isfinite(rest), rest, 0.0 * xp.ones_like(rest))])


def _exchange(act: Callable[[Any], Any]) -> None:
    import torch

    try:
        act(torch.distributed)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        detail = detail.partition("] ")[2] or detail
        raise RankLostError(
            f"another process of this training died or fell silent ({detail.partition('. ')[0]})"
        ) from error


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ranks_given(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Return the processes that torchrun, or a scheduler that does the same, has started.

    Read from RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; `ALONE` without them. Raises
    `ArgumentError` where they contradict one another.
    """
    if "WORLD_SIZE" not in environment and "RANK" not in environment:
        return ALONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    given = {name: environment[name] for name in names if name in environment}
    try:
        rank, size = int(given["RANK"]), int(given["WORLD_SIZE"])
        local_rank = int(given.get("LOCAL_RANK", rank))
        local_size = int(given.get("LOCAL_WORLD_SIZE", size))
    except (KeyError, ValueError):
        rank, size, local_rank, local_size = 0, 0, 0, 0
    if not (0 <= rank < size and 0 <= local_rank < local_size <= size):
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ArgumentError(f"the environment names no process of a training: {said}; use torchrun")
    return Ranks(rank, size, local_rank, local_size)


@contextmanager
def joined(silence: float = _SILENCE, *, shared_memory: bool = True) -> Iterator[Ranks]:
    """Meet the other processes that `ranks_given` names, and leave them at the end.

    Meets at MASTER_ADDR:MASTER_PORT. Arrays on a CUDA device travel by NCCL; those of the host
    through shared memory where all processes are on this machine (`born_machine.board` says when
    not, and shared_memory=False takes none), else by gloo.
    silence: seconds after which a process that says nothing counts as lost. Raises
    `RankLostError` where they do not all come.
    """
    ranks = ranks_given()
    if ranks.size == 1:
        yield ranks
        return
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ArgumentError(f"{' and '.join(missing)} must say where to meet; use torchrun")
    import torch
    import torch.distributed.nn.functional  # its defaults keep a group that is there already alive

    if not (math.isfinite(silence) and silence > 0):
        raise ArgumentError(f"silence must be a number of seconds above 0, got {silence!r}")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    limit = timedelta(seconds=silence)
    _exchange(lambda distributed: distributed.init_process_group(backend, timeout=limit))
    board = _common_board(ranks, silence) if shared_memory else None
    try:
        yield replace(ranks, board=board)
    finally:
        if board is not None:
            board.close()
        torch.distributed.destroy_process_group()


def _common_board(ranks: Ranks, silence: float) -> Board | None:
    """Return this process's board, None unless every process has one."""
    import torch

    here = ranks.local_size == ranks.size <= cores()  # with fewer they would take turns to watch
    path = [file_for_a_board(ranks.size) if here and ranks.rank == 0 else None]
    _exchange(lambda distributed: distributed.broadcast_object_list(path, 0))
    board = open_board(path[0], ranks.rank, ranks.size, silence=silence)
    having = torch.tensor(0 if board is None else 1)
    _exchange(lambda distributed: distributed.all_reduce(having))
    if ranks.rank == 0 and path[0] is not None:
        os.unlink(path[0])
    if board is not None and int(having) < ranks.size:
        board.close()
        return None
    return board
