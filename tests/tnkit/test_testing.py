"""The checks users run on their own code notice what is wrong, and pass what is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import tnkit
from tnkit import MPS, Gauge, testing


@given(tensor=testing.tensors(), index=testing.indices())
def test_tensors_and_indices_are_valid_and_fit_each_other(tensor: Any, index: Any) -> None:
    assert set(tensor.names) <= set("abcdef")
    assert 1 <= index.size <= 4
    assert (tensor @ tensor).ndim == 0


@given(network=testing.networks())
@settings(max_examples=25)
def test_networks_contract(network: Any) -> None:
    found = tnkit.contract(network)
    assert found.names == network.output


@given(psi=testing.states(zero=True, scales=True))
def test_states_have_the_gauge_they_claim(psi: MPS) -> None:
    testing.assert_canonical(psi)
    testing.assert_same_state(psi, psi)


def test_all_dtypes_and_gauges_are_drawn() -> None:
    seen: set[Any] = set()

    @given(psi=testing.states(zero=True, scales=True))
    @settings(max_examples=200, database=None)
    def look(psi: MPS) -> None:
        seen.add(str(psi.dtype))
        seen.add("centre" if psi.centre is not None else "none")
        seen.add("partial" if psi.gauge.left and psi.centre is None else "")
        seen.add("single" if len(psi) == 1 else "")
        seen.add("scaled" if psi.log_scale else "")

    look()
    assert {*testing.DTYPES, "centre", "none", "partial", "single", "scaled"} <= seen


def test_a_wrong_gauge_fails() -> None:
    psi = tnkit.random_mps(4, bond_dim=3, seed=0)
    wrong = MPS(psi.arrays, psi.sites, Gauge(3, 0))
    with pytest.raises(AssertionError, match="claimed to be left-orthonormal"):
        testing.assert_canonical(wrong)
    with pytest.raises(AssertionError, match="expected centre 2"):
        testing.assert_canonical(psi, 2)


@pytest.mark.parametrize("change", [1e-9, -1e-9, 1.0])
def test_different_states_fail(change: float) -> None:
    psi = tnkit.random_mps(5, bond_dim=3, seed=0)
    other = tnkit.add(psi, tnkit.scale(tnkit.random_mps(5, bond_dim=3, seed=1), change))
    with pytest.raises(AssertionError, match="differ by"):
        testing.assert_same_state(other, psi)
    testing.assert_same_state(other, psi, error=abs(change) * 1.01)
    with pytest.raises(AssertionError, match="sites differ"):
        testing.assert_same_state(psi, tnkit.random_mps(["a", "b"], bond_dim=1, seed=0))


def test_scales_far_apart_are_told_apart() -> None:
    psi = tnkit.random_mps(3, bond_dim=2, seed=0)
    huge = MPS(psi.arrays, psi.sites, psi.gauge, 2000.0)
    testing.assert_same_state(huge, huge)
    with pytest.raises(AssertionError, match="differ by"):
        testing.assert_same_state(huge, psi)


def test_read_only_values_catch_mutation() -> None:
    def careless(psi: MPS) -> MPS:
        psi.arrays[0][:] *= 2.0
        return psi

    for value in (tnkit.random_mps(3, bond_dim=2, seed=0), tnkit.identity_mpo(3)):
        with pytest.raises(ValueError, match="read-only"):
            careless(testing.read_only(value))  # type: ignore[arg-type]
    tensor = testing.read_only(tnkit.Tensor(np.ones(2), ["i"]))
    with pytest.raises(ValueError, match="read-only"):
        tensor.array[0] = 0.0
    with pytest.raises(tnkit.ArgumentTypeError):
        testing.read_only(3)


def test_backends_by_name() -> None:
    assert testing.backend("numpy").asarray([1.0]).dtype == np.float64
    with pytest.raises(tnkit.ArgumentError, match="one of numpy"):
        testing.backend("abacus")
    psi = testing.on(tnkit.random_mps(3, bond_dim=2, seed=0), testing.backend("strict"))
    assert psi.library == "array_api_strict"
