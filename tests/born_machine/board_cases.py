"""What the processes of `test_board.py` do with the memory they share."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from born_machine.board import SLOT, Board, SilenceError, open_board

LENGTHS = (0, 1, 3, SLOT // 8 - 1, SLOT // 8, SLOT // 8 + 1, SLOT // 2 + 5)


def numbers(rank: int, turn: int) -> np.ndarray[Any, Any]:
    """Return the vector of a process in an exchange; sums of them depend on their order."""
    dtype = (np.float64, np.float32)[turn % 2]
    rng = np.random.default_rng((rank, turn))
    return rng.normal(size=LENGTHS[turn % len(LENGTHS)]).astype(dtype)


def exchange(board: Board, rank: int) -> str:
    """Sum or send vectors of many lengths, this process late or early; return what was wrong."""
    for turn in range(40):
        mine = numbers(rank, turn)
        if turn % 3:
            board.total(mine)
            right = numbers(0, turn) + numbers(1, turn) + numbers(2, turn)
        else:
            board.broadcast(mine)
            right = numbers(0, turn)
        if not np.array_equal(mine, right):
            return f"process {rank}, exchange {turn}: {mine}, not {right}"
        time.sleep(0.002 * ((turn * 7 + rank * 5) % 4))
    return "right"


def die(board: Board, rank: int) -> str:
    """Process 1 ends after one exchange, and the others wait for it."""
    board.total(np.ones(3))
    if rank == 1:
        os._exit(0)
    board.total(np.ones(3))
    return "right"


def hang(board: Board, rank: int) -> str:
    """Process 1 comes to the second exchange only when the others have given up."""
    board.total(np.ones(3))
    if rank == 1:
        time.sleep(5.0)
    board.total(np.ones(3))
    return "right"


def member(case: str, path: str, rank: int, start: Any, answer: Connection) -> None:
    """Do one case as one of three processes and say how it went."""
    board = open_board(path, rank, 3, silence=2.0 if case == "hang" else 60.0)
    assert board is not None
    start.wait()
    began = time.monotonic()
    try:
        said = {"exchange": exchange, "die": die, "hang": hang}[case](board, rank)
    except SilenceError as error:
        said = str(error)
    answer.send((said, time.monotonic() - began))
    board.close()
