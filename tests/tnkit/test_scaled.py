"""Scaled values: arithmetic is that of exact rationals, whatever the magnitude."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Scaled, Tensor

numbers = st.tuples(
    st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3), st.integers(-3000, 3000)
)


def scaled(pair: tuple[float, int], backend: Any) -> Scaled:
    return Scaled(backend.asarray(np.float64(pair[0])), pair[1] * math.log(2.0))


def exact(pair: tuple[float, int]) -> Fraction:
    return Fraction(pair[0]) * Fraction(2) ** pair[1]


def log(value: Fraction) -> float:
    return -math.inf if value == 0 else math.log(abs(value.numerator)) - math.log(value.denominator)


def to_list(array: Any) -> list[float]:
    return Tensor(array, ["i"]).to_numpy().tolist()


def agrees(value: Scaled, expected: Fraction) -> None:
    assert float(value.log_abs) == pytest.approx(log(expected), rel=1e-12, abs=1e-9)
    assert float(value.phase) == (expected > 0) - (expected < 0)


@given(a=numbers, b=numbers)
def test_arithmetic_is_that_of_rationals(
    backend: Any, a: tuple[float, int], b: tuple[float, int]
) -> None:
    one, two = scaled(a, backend), scaled(b, backend)
    agrees(one * two, exact(a) * exact(b))
    agrees(-one, -exact(a))
    total = exact(a) + exact(b)
    if abs(total) > Fraction(1, 1000) * max(abs(exact(a)), abs(exact(b))):  # no cancellation
        agrees(one + two, total)
    if b[0] != 0:
        agrees(one / two, exact(a) / exact(b))


def test_out_of_range_is_said_not_returned(backend: Any) -> None:
    with pytest.raises(OverflowError, match=r"beyond the largest .*log_abs"):
        float(Scaled(backend.asarray(1.0), 1000.0))
    with pytest.raises(tnkit.ScaleError, match="below the smallest"):
        float(Scaled(backend.asarray(1.0), -1000.0))
    assert float(Scaled(backend.asarray(1e-200), 900.0)) == pytest.approx(
        math.exp(900.0 - 200 * math.log(10)), rel=1e-12
    )
    assert complex(Scaled(backend.asarray(2j), math.log(3.0))) == pytest.approx(6j)
    with pytest.raises(tnkit.NonFiniteError, match="finite"):
        Scaled(1.0, math.inf)


def test_arrays_keep_their_zeros(backend: Any) -> None:
    value = Scaled(backend.asarray([0.0, -2.0]), 5.0)
    assert to_list(value.log_abs) == [-math.inf, math.log(2.0) + 5.0]
    assert to_list(value.phase) == [0.0, -1.0]
    assert "shape=(2,)" in repr(value)
    assert "phase=-1.0" in repr(Scaled(-1.0, 3.0))
