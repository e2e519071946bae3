"""Threads: one where matrices are small, restored afterwards, overridden by who knows better."""

from __future__ import annotations

import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given

import tnkit
from tnkit.blas import SMALL, VARIABLE

threadpoolctl = pytest.importorskip("threadpoolctl")


def blas_threads() -> set[int]:
    """Return the numbers of threads that the BLAS libraries in this process are set to."""
    return {
        lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"
    }


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@given(size=st.integers(0, 10**6), count=st.integers(1, 64))
def test_size_decides_unless_a_count_is_given(size: int, count: int) -> None:
    assert tnkit.thread_count(size) == (1 if size <= SMALL else None)
    assert tnkit.thread_count(size, count) == count


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("1", 1), ("all", None), ("", 1)])
def test_the_variable_overrides_size_and_a_count_overrides_it(
    value: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert tnkit.thread_count(8) == expected
    assert tnkit.thread_count(8, 2) == 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_nonsense_variable_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(tnkit.ArgumentError, match=f"{VARIABLE} must be .*{value}"):
        tnkit.thread_count(8)


def test_threads_hold_inside_and_are_restored() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        outside = blas_threads()
        with tnkit.threads(SMALL + 1):
            assert blas_threads() == outside
        with tnkit.threads(SMALL):
            assert blas_threads() == {1}
            assert torch.get_num_threads() == 1
        assert blas_threads() == outside
        assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize(("bond", "held"), [(8, True), (SMALL, False), (None, False)])
def test_dmrg_holds_them_by_its_largest_bond(bond: int | None, held: bool) -> None:
    seen: list[set[int]] = []
    pair = tnkit.OpSum()
    pair.add(1.0, ("Z", 0), ("Z", 1))
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        outside = blas_threads()
        tnkit.dmrg(
            pair.to_mpo(2),
            tnkit.random_mps(2, bond_dim=2, seed=0),
            truncation=tnkit.Truncation(max_bond=bond),
            sweeps=1,
            on_step=lambda _: seen.append(blas_threads()),
        )
    assert seen == [{1} if held else outside]


def test_without_threadpoolctl_torch_is_held_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    torch.set_num_threads(2)
    with tnkit.threads(8):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_an_error_inside_restores_too() -> None:
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        outside = blas_threads()
        with pytest.raises(KeyError), tnkit.threads(8):
            raise KeyError
        assert blas_threads() == outside
