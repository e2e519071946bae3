"""Operators against their dense matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import MPO
from tnkit.testing import dense, on, operators, states

DIMS = [2, 3, 2]
doubles = ["float64", "complex128"]


def values(chain: Any) -> np.ndarray:
    array, log = dense(chain)
    return array * math.exp(log)


def matrix(mpo: MPO) -> np.ndarray:
    return np.asarray(tnkit.to_dense(mpo))


@given(data=st.data())
def test_products_adjoints_and_traces(backend: Any, data: st.DataObject) -> None:
    a = data.draw(operators(site_dims=DIMS, dtypes=doubles))
    b = data.draw(operators(site_dims=DIMS, dtypes=doubles))
    p, q = on(a, backend), on(b, backend)
    x, y = matrix(a), matrix(b)
    scale = 1e-12 * float(np.linalg.norm(x)) * max(1.0, float(np.linalg.norm(y)))

    def same(found: MPO, expected: np.ndarray) -> bool:
        return (
            bool(np.abs(matrix(found.convert("numpy")) - expected).max() <= scale)
            if (found.library in ("numpy", "torch"))
            else True
        )

    assert same(tnkit.multiply(p, q), x @ y)
    assert same(tnkit.adjoint_mpo(p), x.conj().T)
    assert same(tnkit.add(p, q), x + y)
    assert abs(complex(tnkit.trace(p).value) - np.trace(x)) <= 1e-12 * np.linalg.norm(x) * 4


@given(data=st.data())
def test_inner_with_an_operator_and_its_dual(backend: Any, data: st.DataObject) -> None:
    a = data.draw(states(site_dims=DIMS, dtypes=doubles))
    b = data.draw(states(site_dims=DIMS, dtypes=doubles))
    mpo = data.draw(operators(site_dims=DIMS, dtypes=doubles))
    x, y, m = values(a).reshape(-1), values(b).reshape(-1), matrix(mpo)
    expected = np.vdot(x, m @ y)
    scale = 1e-12 * np.linalg.norm(x) * np.linalg.norm(y) * np.linalg.norm(m)
    p, q, o = on(a, backend), on(b, backend), on(mpo, backend)
    assert abs(tnkit.inner(p, o, q) - expected) <= scale
    assert abs(tnkit.inner(q, tnkit.adjoint_mpo(o), p) - np.conj(expected)) <= scale
    applied = tnkit.apply(o, q, method="exact").state
    assert abs(tnkit.inner(p, applied) - expected) <= scale
    if np.linalg.norm(x) > 1e-3:
        mean = np.vdot(x, m @ x) / np.vdot(x, x)
        assert abs(tnkit.expectation(p, o) - mean) <= 1e-11 * np.linalg.norm(m)
        spread = np.linalg.norm(m @ x) ** 2 / np.linalg.norm(x) ** 2 - abs(mean) ** 2
        assert abs(tnkit.variance(p, o) - spread) <= 1e-11 * np.linalg.norm(m) ** 2


def test_a_sum_of_local_terms_is_that_sum() -> None:
    x, z = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([1.0, -1.0])
    y = np.array([[0, -1j], [1j, 0]])
    rng = np.random.default_rng(0)
    sites = ["a", "b", "c", "d", "e"]
    terms: list[Any] = [(0.7, {}), {"a": x}, (2.0, {"e": z})]
    terms += [
        (float(c), {k: p, k + 1: p})
        for k in range(4)
        for c, p in zip(rng.standard_normal(2), (x, z), strict=True)
    ]
    terms += [(-1.5, {"a": y, "c": x, "e": y}), (0.3, {"a": y, "c": x, "d": z})]
    mpo = tnkit.mpo_from_terms(terms, sites)
    expected = np.zeros((32, 32), complex)
    for term in terms:
        coefficient, factors = term if isinstance(term, tuple) else (1.0, term)
        placed = {sites.index(k) if isinstance(k, str) else k: v for k, v in factors.items()}
        product = np.eye(1)
        for k in range(5):
            product = np.kron(product, placed.get(k, np.eye(2)))
        expected += coefficient * product
    assert np.allclose(matrix(mpo), expected)
    small = tnkit.compress(mpo)
    assert np.allclose(matrix(small.state), expected)
    assert sum(small.state.bond_dims) <= sum(mpo.bond_dims)
    assert tnkit.mpo_from_terms([(0.5, {k: z}) for k in range(30)], 30).bond_dims == (2,) * 29


def test_dense_matrices_identities_and_products() -> None:
    rng = np.random.default_rng(1)
    m = rng.standard_normal((12, 12)) + 1j * rng.standard_normal((12, 12))
    assert np.allclose(matrix(tnkit.mpo_from_dense(m, [2, 3, 2])), m)
    assert np.allclose(matrix(tnkit.identity_mpo(3, [2, 3, 2])), np.eye(12))
    a, b = rng.standard_normal((2, 2)), rng.standard_normal((3, 2))
    assert np.allclose(matrix(tnkit.product_mpo([a, b])), np.kron(a, b))


def test_an_operator_is_also_a_network() -> None:
    mpo = tnkit.mpo_from_dense(np.arange(16.0).reshape(4, 4))
    psi = tnkit.random_mps(2, bond_dim=2, seed=0)
    found = tnkit.contract(mpo.network()).array.reshape(4, 4)
    assert np.allclose(found, matrix(mpo))
    assert mpo[0].names == ("s0_out", "s0", "bond0")
    assert np.allclose(
        matrix(mpo) @ values(psi).reshape(-1), values(tnkit.apply(mpo, psi).state).reshape(-1)
    )


def test_operators_that_do_not_fit_say_so() -> None:
    psi = tnkit.random_mps(["x", "y"], bond_dim=2, seed=0)
    with pytest.raises(tnkit.SizeError, match="different sites"):
        tnkit.inner(psi, tnkit.identity_mpo(2), psi)
    with pytest.raises(tnkit.SizeError, match="at site 'y' the operator has 3"):
        tnkit.expectation(psi, tnkit.identity_mpo(["x", "y"], [2, 3]))
    with pytest.raises(tnkit.ArgumentTypeError, match="do not combine"):
        tnkit.add(psi, tnkit.identity_mpo(["x", "y"]))  # type: ignore[type-var]
    with pytest.raises(tnkit.SizeError, match="square"):
        tnkit.mpo_from_dense(np.ones((2, 3)))
