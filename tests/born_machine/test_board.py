"""Processes of one machine exchange arrays through memory; what they wait for cannot be lost."""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
from pathlib import Path

import pytest

from born_machine.board import file_for_a_board, open_board

sys.path.insert(0, str(Path(__file__).parent))

from board_cases import member


def of_three(case: str) -> list[tuple[str, float] | None]:
    """Return what each of three processes says of a case and after how long; None of a dead one."""
    path = file_for_a_board(3)
    if path is None:
        pytest.skip("no shared memory on this machine: no /dev/shm, or a processor not x86-64")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    members, ends = [], []
    for rank in range(3):
        here, there = context.Pipe(duplex=False)
        members.append(context.Process(target=member, args=(case, path, rank, start, there)))
        members[-1].start()
        there.close()
        ends.append(here)
    found: list[tuple[str, float] | None] = []
    for end in ends:
        try:
            found.append(end.recv())
        except EOFError:
            found.append(None)
    for one in members:
        one.join()
    os.unlink(path)
    return found


def test_all_see_the_same_sums_and_what_process_0_sent() -> None:
    """Vectors of no, of some and of more numbers than fit at a time; sums in order of process."""
    found = of_three("exchange")
    assert [one and one[0] for one in found] == ["right"] * 3


def test_one_that_ends_is_noticed_at_once() -> None:
    first, second, third = of_three("die")
    assert second is None
    assert first is not None
    assert third is not None
    said = {first[0], third[0]}
    assert "process 1 is gone" in said  # who notices first leaves, and the other may notice that
    assert said <= {f"process {rank} is gone" for rank in range(3)}
    assert max(first[1], third[1]) < 20.0  # not only after the silence


def test_one_that_hangs_is_given_up_after_the_silence() -> None:
    first, _, third = of_three("hang")
    for one in (first, third):
        assert one is not None
        assert one[0] in ("nothing for 2 s", "process 0 is gone", "process 2 is gone")
        assert 1.9 < one[1] < 5.0


def test_there_is_none_where_writes_may_be_seen_out_of_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert file_for_a_board(2) is None
    assert open_board(None, 0, 2, silence=1.0) is None
