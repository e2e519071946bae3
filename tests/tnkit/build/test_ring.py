"""Rings against the dense state."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit


@st.composite
def rings(draw: Any) -> list[np.ndarray]:
    length = draw(st.integers(1, 5))
    bonds = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    dims = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["float64", "complex128"]))
    arrays = []
    for k in range(length):
        shape = (bonds[k - 1], dims[k], bonds[k])
        array = rng.standard_normal(shape).astype(dtype)
        arrays.append(array + 1j * rng.standard_normal(shape) if dtype == "complex128" else array)
    return arrays


def dense(arrays: list[np.ndarray]) -> np.ndarray:
    whole = arrays[0]
    for array in arrays[1:]:
        whole = np.tensordot(whole, array, 1)
    return np.trace(whole, axis1=0, axis2=whole.ndim - 1)


@given(arrays=rings(), data=st.data())
def test_a_ring_is_the_trace_of_its_matrices(
    backend: Any, arrays: list[np.ndarray], data: st.DataObject
) -> None:
    psi = tnkit.ring([backend.asarray(a) for a in arrays])
    exact = dense(arrays)
    found = tnkit.contract(psi)
    assert found.names == psi.output
    assert np.allclose(np.asarray(found.array), exact)
    square = np.vdot(exact, exact).real
    assert tnkit.ring_log_norm(psi) == pytest.approx(0.5 * math.log(square), abs=1e-9)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    k = data.draw(st.integers(0, len(arrays) - 1))
    matrix = rng.standard_normal((exact.shape[k],) * 2).astype(exact.dtype)
    moved = np.moveaxis(np.tensordot(matrix, exact, (1, k)), 0, k)
    found_inner = tnkit.ring_inner(psi, psi, {f"s{k}": backend.asarray(matrix)})
    assert np.allclose(np.asarray(found_inner.value), np.vdot(exact, moved))
    value = tnkit.ring_expectation(psi, {f"s{k}": backend.asarray(matrix)})
    assert value == pytest.approx(np.vdot(exact, moved) / square, rel=1e-9, abs=1e-12)


def test_bonds_keep_clear_of_site_names() -> None:
    arrays = [np.ones((2, 3, 2))] * 2
    psi = tnkit.ring(arrays, sites=["b0", "b1"])
    assert psi.output == ("b0", "b1")
    assert np.allclose(np.asarray(tnkit.contract(psi).array), dense(arrays))


def test_large_rings_have_logarithms() -> None:
    arrays = [np.full((2, 2, 2), 8.0)] * 400  # |psi|^2 = 2^400 (16^400)^2, far beyond a float
    expected = 0.5 * 400 * math.log(2) + 400 * math.log(16)
    assert tnkit.ring_log_norm(tnkit.ring(arrays)) == pytest.approx(expected, rel=1e-12)


def test_what_makes_no_ring_is_refused() -> None:
    with pytest.raises(tnkit.SizeError, match="right bond 3, the next one left bond 2"):
        tnkit.ring([np.ones((2, 2, 2)), np.ones((2, 2, 3))])
    with pytest.raises(tnkit.SizeError, match="must be"):
        tnkit.ring([np.ones((2, 2))])
    with pytest.raises(tnkit.IndexNameError, match="site names"):
        tnkit.ring([np.ones((1, 2, 1))] * 2, sites=["a", "a"])
    psi = tnkit.ring([np.ones((1, 2, 1))] * 2)
    with pytest.raises(tnkit.IndexNameError, match="different sites"):
        tnkit.ring_inner(psi, tnkit.ring([np.ones((1, 2, 1))] * 3))
    with pytest.raises(tnkit.IndexNameError, match="no site 'x'"):
        tnkit.ring_inner(psi, psi, {"x": np.eye(2)})
    with pytest.raises(tnkit.ArgumentError, match="zero state"):
        tnkit.ring_expectation(tnkit.ring([np.zeros((1, 2, 1))] * 2), {})
