"""A short part of `bad_input.py`: junk is refused in words, and nothing is changed by it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tnkit

sys.path.insert(0, str(Path(__file__).parent))

from bad_input import (
    PENDING,
    RECORDS,
    UNSWEPT,
    Call,
    good_calls,
    methods,
    sweep_call,
    sweep_flags,
    workplace,
)


@pytest.fixture(scope="module")
def calls() -> Iterator[dict[str, Call]]:
    with workplace():
        yield good_calls()


def test_every_public_name_has_a_good_call(calls: dict[str, Call]) -> None:
    names = {name.split(" ")[0] for name in calls}
    callables = {
        name
        for name in tnkit.__all__
        if callable(value := getattr(tnkit, name))
        and not (inspect.isclass(value) and issubclass(value, Exception))
    }
    assert callables - RECORDS - UNSWEPT - names == set()
    assert methods() - UNSWEPT - names == set()
    assert not UNSWEPT & names
    assert set(PENDING) <= set(calls)


def test_good_calls_are_good(calls: dict[str, Call]) -> None:
    for good in calls.values():
        good()


@pytest.mark.filterwarnings("ignore")
def test_no_junk_passes_in_silence_or_raises_what_is_not_ours(calls: dict[str, Call]) -> None:
    total = 0
    for name, good in calls.items():
        found = sweep_call(name, good, 12, seed=1, single=False)
        total += found["calls"]
        assert name in PENDING or found["failures"] == [], name
    assert total > 1_500


@pytest.mark.filterwarnings("ignore")
def test_no_flag_of_the_command_line_takes_junk_or_shows_a_traceback() -> None:
    with workplace():
        found = sweep_flags(("nan", "no/where"))
    assert found["failures"] == []
    assert found["refused"] > 50
