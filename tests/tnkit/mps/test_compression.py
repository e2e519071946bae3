"""Every method of the compression menu keeps its promises, and its report is true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import MPS, Truncation
from tnkit.testing import assert_canonical, assert_same_state, dense, on, operators, states

METHODS = ["svd", "density", "randomised", "fit"]
menu = pytest.mark.parametrize("method", METHODS)


def epsilon(psi: Any) -> float:
    return 6e-8 if "32" in str(psi.dtype) or "complex64" in str(psi.dtype) else 1.2e-16


def values(chain: Any) -> np.ndarray:
    array, log = dense(chain)
    return array * math.exp(log)


@menu
@given(psi=states(min_sites=2, zero=True), bond=st.integers(1, 3))
def test_the_error_lies_between_the_largest_discard_and_the_bound(
    backend: Any, method: str, psi: MPS, bond: int
) -> None:
    found = tnkit.compress(on(psi, backend), Truncation(max_bond=bond), method=method, seed=0)
    assert_canonical(found.state, 0)
    assert max(found.state.bond_dims) <= bond
    exact = values(psi)
    size = float(np.linalg.norm(exact))
    error = float(np.linalg.norm(values(found.state) - exact))
    noise = 500 * epsilon(psi) * size
    assert error <= found.error_bound + noise
    floor = 0.0 if method == "svd" else 100 * math.sqrt(epsilon(psi)) * size
    assert found.error_bound <= error + noise + floor
    kept = float(np.linalg.norm(values(found.state)))
    largest = max(found.discarded_weights)
    assert error**2 >= largest * kept**2 * (1 - 1e-3) - floor**2 - noise**2
    # no method can beat the largest single-bond truncation of the exact state
    for k in range(len(psi) - 1):
        spectrum = np.linalg.svd(
            exact.reshape(math.prod(psi.site_dims[: k + 1]), -1), compute_uv=False
        )
        assert error >= float(np.linalg.norm(spectrum[bond:])) - noise - floor


@menu
@given(psi=states(scales=True))
def test_the_default_is_exact(method: str, psi: MPS) -> None:
    rule = Truncation(max_bond=20) if method == "randomised" else Truncation()
    found = tnkit.compress(psi, rule, method=method, seed=1)
    loss = 0.0 if method == "svd" else 30 * math.sqrt(epsilon(psi))
    assert_same_state(found.state, psi, tolerance=500 * epsilon(psi) + loss)


@given(psi=states(min_sites=2))
def test_compressing_twice_changes_nothing(psi: MPS) -> None:
    rule = Truncation(max_bond=2)
    once = tnkit.compress(psi, rule)
    twice = tnkit.compress(once.state, rule)
    assert twice.state.bond_dims == once.state.bond_dims
    assert max(twice.discarded_weights) <= (200 * epsilon(psi)) ** 2
    assert_same_state(twice.state, once.state)


@menu
def test_a_faint_superposition_survives(method: str) -> None:
    sites = 12
    up, down = tnkit.basis_mps([0] * sites), tnkit.basis_mps([1] * sites)
    psi = tnkit.add(up, tnkit.scale(down, 1e-6))
    rule = Truncation(max_bond=4) if method == "randomised" else Truncation()
    found = tnkit.compress(psi, rule, method=method, seed=0).state
    assert tnkit.inner(down, found) == pytest.approx(1e-6, rel=1e-6)
    assert found.bond_dims == (2,) * (sites - 1)


@menu
@given(
    psi=states(min_sites=2, dtypes=["float64", "complex128"]), budget=st.sampled_from([0.3, 0.01])
)
def test_an_error_budget_holds_for_the_whole_chain(method: str, psi: MPS, budget: float) -> None:
    rule = Truncation(max_bond=16) if method == "randomised" else Truncation()
    found = tnkit.compress(psi, rule, method=method, error_budget=budget, seed=0)
    exact = values(psi)
    error = np.linalg.norm(values(found.state) - exact) / np.linalg.norm(exact)
    assert error <= budget * (1 + 1e-6) + (0 if method == "svd" else 1e-6)


@menu
def test_the_true_fidelity_on_request(method: str) -> None:
    psi = tnkit.random_mps(10, bond_dim=12, seed=3)
    found = tnkit.compress(psi, Truncation(max_bond=5), method=method, fidelity=True, seed=0)
    assert found.fidelity == pytest.approx(tnkit.fidelity(psi, found.state))
    # a projection: fidelity is one minus the relative squared error
    assert found.fidelity == pytest.approx(1 - found.error_bound**2, abs=1e-9)
    assert found.method == method


@given(seed=st.integers(0, 2**32 - 1))
def test_a_fit_is_nearer_than_the_cuts_it_starts_from(seed: int) -> None:
    rule = Truncation(max_bond=4)
    psi = tnkit.random_mps(10, bond_dim=12, seed=seed)
    cut, fitted = (tnkit.compress(psi, rule, method=m) for m in ("svd", "fit"))
    assert tnkit.distance(psi, fitted.state) < tnkit.distance(psi, cut.state)
    rng = np.random.default_rng(seed)
    parts = [tnkit.product_mpo(rng.standard_normal((10, 3, 2))) for _ in range(2)]
    mpo = tnkit.add(*parts)  # two values a site go in, three come out
    exact = tnkit.apply(mpo, psi, method="exact").state
    zipped, fitted = (tnkit.apply(mpo, psi, rule, method=m).state for m in ("zipup", "fit"))
    assert tnkit.distance(exact, fitted) < tnkit.distance(exact, zipped)


def test_what_a_random_sketch_misses_is_counted() -> None:
    psi = tnkit.random_mps(16, bond_dim=60, seed=3)  # a sketch 30 wide of a space of 40
    found = tnkit.compress(psi, Truncation(max_bond=20), method="randomised", seed=0, fidelity=True)
    assert found.fidelity is not None
    assert found.fidelity == pytest.approx(1 - found.error_bound**2, abs=1e-9)
    assert found.error_bound == pytest.approx(tnkit.distance(psi, found.state), abs=1e-6)


def test_randomised_repeats_and_comes_close_to_the_best() -> None:
    # a spectrum that decays, as where one compresses
    psi = tnkit.random_mps(20, bond_dim=4, seed=0)
    psi = tnkit.add(
        psi, *(tnkit.scale(tnkit.random_mps(20, bond_dim=4, seed=k), 4.0**-k) for k in range(1, 6))
    )
    rule = Truncation(max_bond=8)
    best = tnkit.compress(psi, rule).error_bound
    runs = [tnkit.compress(psi, rule, method="randomised", seed=7) for _ in range(2)]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(runs[0].state.arrays, runs[1].state.arrays, strict=True)
    )
    assert best <= runs[0].error_bound <= 1.5 * best


def test_wrong_requests_say_what_to_do() -> None:
    psi = tnkit.random_mps(4, bond_dim=2, seed=0)
    with pytest.raises(tnkit.ArgumentError, match="use one of svd, density, randomised, fit"):
        tnkit.compress(psi, method="magic")
    with pytest.raises(tnkit.ArgumentError, match="max_bond"):
        tnkit.compress(psi, method="randomised")
    with pytest.raises(tnkit.ArgumentError, match="error_budget"):
        tnkit.compress(psi, error_budget=2.0)
    with pytest.raises(tnkit.ArgumentTypeError, match="Truncation"):
        tnkit.compress(psi, 3)  # type: ignore[arg-type]


@given(data=st.data())
def test_operators_compress_like_states(data: st.DataObject) -> None:
    mpo = data.draw(operators(site_dims=[2, 3, 2, 2], dtypes=["float64", "complex128"]))
    twice = tnkit.add(mpo, mpo)
    found = tnkit.compress(twice)
    assert isinstance(found.state, tnkit.MPO)
    assert all(a <= b for a, b in zip(found.state.bond_dims, mpo.bond_dims, strict=True))
    assert_same_state(found.state, tnkit.scale(mpo, 2.0))


@pytest.mark.parametrize("method", ["exact", "svd", "density", "randomised", "fit", "zipup"])
@given(data=st.data())
def test_applying_an_operator_by_every_method(
    backend: Any, method: str, data: st.DataObject
) -> None:
    psi = data.draw(states(max_sites=5))
    mpo = data.draw(operators(site_dims=psi.site_dims, dtypes=[str(psi.dtype)]))
    rule = Truncation(max_bond=data.draw(st.sampled_from([2, 64])))
    found = tnkit.apply(
        on(mpo, backend), on(psi, backend), rule, method=method, seed=0, fidelity=True
    )
    dims = psi.site_dims
    matrix = tnkit.to_dense(mpo).astype(complex)
    exact = (matrix @ values(psi).reshape(-1)).reshape(dims)
    size = float(np.linalg.norm(exact)) + 1e-3 * float(np.linalg.norm(values(psi)))
    error = float(np.linalg.norm(values(found.state) - exact))
    assert error <= found.error_bound + 1e3 * epsilon(psi) * size * 10
    assert found.error_bound <= error * (1 + 1e-3) + 100 * math.sqrt(epsilon(psi)) * size
    if method != "exact":
        assert max(found.state.bond_dims, default=1) <= (rule.max_bond or 0)
    assert_canonical(found.state)
    if size > 1e-2 and found.fidelity is not None and np.linalg.norm(values(found.state)):
        overlap = abs(np.vdot(exact, values(found.state))) ** 2
        overlap /= (np.linalg.norm(exact) * np.linalg.norm(values(found.state))) ** 2
        assert found.fidelity == pytest.approx(float(overlap), abs=1e-3)
