"""Site orders are permutations that keep neighbours near."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine.ordering import hilbert, raster, site_order, snake

sides = st.integers(1, 40)


@given(sides, sides)
def test_every_curve_visits_every_pixel_once(height: int, width: int) -> None:
    for curve in (raster, snake, hilbert):
        assert np.array_equal(np.sort(curve(height, width)), np.arange(height * width))


@given(sides, sides)
def test_the_hilbert_curve_steps_to_neighbours(height: int, width: int) -> None:
    rows, columns = np.divmod(hilbert(height, width), width)
    down, right = abs(np.diff(rows)), abs(np.diff(columns))
    assert (np.maximum(down, right) == 1).all()
    assert (down + right == 2).sum() <= 1, "more than one diagonal step"


def test_the_hilbert_curve_keeps_the_square_together() -> None:
    """Pixels k steps apart lie within a distance that grows as the square root of k."""
    rows, columns = np.divmod(hilbert(32, 32), 32)
    for k in (4, 16, 64, 256):
        distance = np.hypot(rows[k:] - rows[:-k], columns[k:] - columns[:-k])
        assert distance.max() <= 3 * np.sqrt(k)


def test_auto_follows_the_geometry() -> None:
    assert np.array_equal(site_order("auto", 784, (28, 28)), hilbert(28, 28))
    assert np.array_equal(site_order("auto", 64, (8, 8)), raster(8, 8))
    assert np.array_equal(site_order("auto", 64, None), np.arange(64))
    assert np.array_equal(site_order([2, 0, 1], 3, None), [2, 0, 1])


@pytest.mark.parametrize(
    ("order", "features", "shape", "message"),
    [
        ("spiral", 4, (2, 2), "'spiral' is unknown; use one of auto, raster"),
        ("hilbert", 4, None, "needs images"),
        ("auto", 5, (2, 2), "has 4 pixels, the data has 5 features"),
        ([0, 0, 1], 3, None, "each of 0 to 2 once"),
        ([0.0, 1.0], 2, None, "feature numbers"),
    ],
)
def test_a_wrong_order_is_refused(order, features, shape, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(tnkit.TnkitError, match=message):
        site_order(order, features, shape)
