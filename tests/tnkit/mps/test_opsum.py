"""Sums of named operators against dense matrices, and their bonds against the known minima."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tnkit

SPIN = tnkit.site_operators("spin")
FERMION = tnkit.site_operators("fermion")
SIGN = np.diag([1.0, -1.0])


def dense_factor(name: str, site: int, length: int) -> np.ndarray:
    """A named operator on one site of the whole space, with its Jordan-Wigner string."""
    matrix = {**SPIN, **FERMION}[name]
    before = SIGN if name in ("C", "Cdag") else np.eye(2)
    parts = [before] * site + [matrix] + [np.eye(2)] * (length - site - 1)
    return functools.reduce(np.kron, parts)


@st.composite
def sums(draw: Any) -> tuple[list[tuple[complex, list[tuple[str, int]]]], int]:
    length = draw(st.integers(1, 5))
    sites = st.integers(0, length - 1)
    spin = st.tuples(st.sampled_from(sorted(SPIN)), sites)
    hop = st.tuples(st.sampled_from(["C", "Cdag"]), sites)
    terms = []
    for _ in range(draw(st.integers(1, 5))):
        factors = draw(st.lists(spin, max_size=3))
        factors += draw(st.lists(hop, max_size=4).map(lambda h: h[: len(h) // 2 * 2]))
        coefficient = draw(st.sampled_from([1.0, -0.5, 2.0, 0.3 + 0.7j]))
        terms.append((coefficient, draw(st.permutations(factors))))
    return terms, length


@given(sums())
def test_the_operator_is_the_sum_of_products(case: Any) -> None:
    """Any range, repeated sites, complex coefficients, fermions with their signs."""
    terms, length = case
    builder = tnkit.OpSum()
    expected = np.zeros((2**length, 2**length), dtype=complex)
    for coefficient, factors in terms:
        builder.add(coefficient, *factors)
        product = np.eye(2**length, dtype=complex)
        for name, site in factors:
            product = product @ dense_factor(name, site, length)
        expected += coefficient * product
    found = tnkit.to_dense(builder.to_mpo(length)).reshape((2,) * (2 * length))
    found = np.asarray(found).reshape(2**length, 2**length)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_fermions_anticommute() -> None:
    for i in range(4):
        for j in range(4):
            both = tnkit.OpSum()
            both.add(1.0, ("C", i), ("Cdag", j))
            both.add(1.0, ("Cdag", j), ("C", i))
            dense = np.asarray(tnkit.to_dense(both.to_mpo(4))).reshape(16, 16)
            np.testing.assert_allclose(dense, np.eye(16) * (i == j), atol=1e-12)


@pytest.mark.parametrize("kind", ["ising", "heisenberg", "exponential", "two exponentials"])
def test_bonds_are_the_known_minima(kind: str) -> None:
    builder = tnkit.OpSum()
    length = 16
    if kind == "ising":
        for k in range(length):
            builder.add(-0.7, ("X", k))
    for i in range(length):
        for j in range(i + 1, length):
            if kind in ("ising", "heisenberg") and j > i + 1:
                continue
            if kind == "heisenberg":
                for name in ("Sx", "Sy", "Sz"):
                    builder.add(1.0, (name, i), (name, j))
            elif kind == "ising":
                builder.add(-1.0, ("Z", i), ("Z", j))
            else:
                decay = 0.5 ** (j - i) + (0.8 ** (j - i) if kind == "two exponentials" else 0.0)
                builder.add(decay, ("Z", i), ("Z", j))
    known = {"ising": 3, "heisenberg": 5, "exponential": 3, "two exponentials": 4}
    assert max(builder.to_mpo(length).bond_dims) == known[kind]


def dense(builder: tnkit.OpSum, length: int) -> np.ndarray:
    mpo = builder.to_mpo(length)
    size = int(np.prod(mpo.out_dims))
    return np.asarray(tnkit.to_dense(mpo)).reshape(size, size)


@settings(max_examples=15)
@given(st.integers(2, 7), st.floats(0.5, 4.0), st.booleans())
def test_power_laws_are_exact_and_as_small_as_their_couplings(
    length: int, power: float, both: bool
) -> None:
    """The bond is two plus the rank of the couplings that cross it, a kind of operator."""
    builder, coupling = tnkit.OpSum(), np.zeros((length, length))
    expected = np.zeros((2**length, 2**length), dtype=complex)
    for i in range(length):
        for j in range(i + 1, length):
            coupling[i, j] = (j - i) ** -power
            for name in ("X", "Z") if both else ("Z",):
                builder.add(coupling[i, j], (name, i), (name, j))
                product = dense_factor(name, i, length) @ dense_factor(name, j, length)
                expected += coupling[i, j] * product
    np.testing.assert_allclose(dense(builder, length), expected, atol=1e-10)
    for k, bond in enumerate(builder.to_mpo(length).bond_dims):
        values = np.linalg.svd(coupling[: k + 1, k + 1 :], compute_uv=False)
        kinds = 2 if both else 1
        ends = 2 if 0 < k < length - 2 else 1  # the first and last bond have nothing finished
        if length == 2:
            ends = 0
        assert kinds * np.sum(values > 1e-9 * values[0]) + ends <= bond
        assert bond <= kinds * np.sum(values > 1e-17 * values[0]) + ends


def test_bosons_hop_and_repel() -> None:
    levels, length = 3, 4
    table = tnkit.site_operators("boson", levels)
    builder = tnkit.OpSum(table)
    expected = np.zeros((levels**length,) * 2)

    def place(matrices: dict[int, np.ndarray]) -> np.ndarray:
        parts = [matrices.get(k, np.eye(levels)) for k in range(length)]
        return functools.reduce(np.kron, parts)

    for k in range(length):
        builder.add(0.7, ("N", k), ("N", k))
        builder.add(-0.7, ("N", k))
        expected += 0.7 * place({k: table["N"] @ table["N"] - table["N"]})
        if k + 1 < length:
            for a, b in (("Bdag", "B"), ("B", "Bdag")):
                builder.add(-1.0, (a, k), (b, k + 1))
                expected -= place({k: table[a], k + 1: table[b]})
    np.testing.assert_allclose(dense(builder, length), expected, atol=1e-12)
    assert max(builder.to_mpo(length).bond_dims) == 4


def test_electrons_are_two_fermions_a_site() -> None:
    """The Hubbard chain on sites of four equals the one on twice as many of two, signs and all."""
    length = 3
    whole = tnkit.OpSum(tnkit.site_operators("electron"))
    halves = tnkit.OpSum()
    for k, j in itertools.permutations(range(length), 2):
        for spin, name in enumerate(("up", "dn")):
            amplitude = 1.0 / (1 + k + 2 * j)
            whole.add(amplitude, (f"Cdag{name}", k), (f"C{name}", j))
            halves.add(amplitude, ("Cdag", 2 * k + spin), ("C", 2 * j + spin))
        whole.add(0.3, ("Cdagup", k), ("Cdn", j))  # a spin flips on its way
        halves.add(0.3, ("Cdag", 2 * k), ("C", 2 * j + 1))
    for k in range(length):
        whole.add(4.0, ("Nup", k), ("Ndn", k))
        whole.add(1.0, ("Nupdn", k))
        halves.add(5.0, ("N", 2 * k), ("N", 2 * k + 1))
    np.testing.assert_allclose(dense(whole, length), dense(halves, 2 * length), atol=1e-12)


def test_operators_of_your_own_and_their_parity() -> None:
    table = {"I": np.eye(3), "hop": np.eye(3, k=1), "back": np.eye(3, k=-1)}
    plain = tnkit.OpSum(table)
    plain.add(1j, ("hop", 0), ("back", 2))
    expected = 1j * np.kron(np.kron(table["hop"], np.eye(3)), table["back"])
    np.testing.assert_allclose(dense(plain, 3), expected, atol=1e-12)
    parity = np.diag([1.0, -1.0, 1.0])
    odd = tnkit.OpSum(table | {"P": parity}, fermionic=["hop", "back"])
    odd.add(1.0, ("hop", 0), ("back", 2))
    expected = np.kron(np.kron(table["hop"] @ parity, parity), table["back"])
    np.testing.assert_allclose(dense(odd, 3), expected, atol=1e-12)
    with pytest.raises(tnkit.ArgumentError, match="no operator 'P' for the signs"):
        tnkit.OpSum(table, fermionic=["hop"]).add(1.0, ("hop", 0), ("hop", 1))


@given(st.integers(2, 6))
def test_spins_obey_their_algebra(levels: int) -> None:
    s = tnkit.site_operators("spin", levels)
    spin = (levels - 1) / 2
    np.testing.assert_allclose(s["Sx"] @ s["Sy"] - s["Sy"] @ s["Sx"], 1j * s["Sz"], atol=1e-12)
    total = sum(s[name] @ s[name] for name in ("Sx", "Sy", "Sz"))
    np.testing.assert_allclose(total, spin * (spin + 1) * np.eye(levels), atol=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    builder = tnkit.OpSum()
    with pytest.raises(tnkit.IndexNameError, match="no operator 'Q'; known are I"):
        builder.add(1.0, ("Q", 0))
    with pytest.raises(tnkit.ArgumentError, match="C Z has an odd number of fermionic"):
        builder.add(1.0, ("C", 0), ("Z", 1))
    with pytest.raises(tnkit.ArgumentTypeError, match="must be a number"):
        builder.add("1", ("Z", 0))  # type: ignore[arg-type]
    with pytest.raises(tnkit.ArgumentError, match="finite"):
        builder.add(np.nan, ("Z", 0))
    with pytest.raises(tnkit.TnkitError, match="at least one term"):
        builder.to_mpo(4)
    builder.add(1.0, ("Z", 7))
    with pytest.raises(tnkit.TnkitError, match="7"):
        builder.to_mpo(4)
    assert len(builder) == 1
