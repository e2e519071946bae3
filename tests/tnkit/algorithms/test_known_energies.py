"""Ground and excited energies known in closed form, by free fermions, or from elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tnkit

METHODS = ["two-site", "one-site"]


def solve(mpo: tnkit.MPO, bond: int, method: str = "two-site", **settings: Any) -> tnkit.DMRGResult:
    start = tnkit.random_mps(len(mpo), mpo.in_dims, bond_dim=4, seed=0)
    rule = tnkit.Truncation(max_bond=bond, cutoff=1e-14)
    return tnkit.dmrg(mpo, start, truncation=rule, method=method, **settings)


def dot(builder: tnkit.OpSum, coupling: float, i: int, j: int) -> None:
    """Add coupling * S_i . S_j."""
    builder.add(0.5 * coupling, ("Sp", i), ("Sm", j))
    builder.add(0.5 * coupling, ("Sm", i), ("Sp", j))
    builder.add(coupling, ("Sz", i), ("Sz", j))


def heisenberg(length: int, levels: int = 2) -> tnkit.MPO:
    builder = tnkit.OpSum(tnkit.site_operators("spin", levels))
    for k in range(length - 1):
        dot(builder, 1.0, k, k + 1)
    return builder.to_mpo(length)


def ising(length: int, field: float) -> tnkit.MPO:
    builder = tnkit.OpSum()
    for k in range(length - 1):
        builder.add(-1.0, ("Z", k), ("Z", k + 1))
    for k in range(length):
        builder.add(-field, ("X", k))
    return builder.to_mpo(length)


def ising_levels(length: int, field: float) -> np.ndarray:
    """Energies of the fermions of the Ising chain (Lieb, Schultz and Mattis, 1961)."""
    matrix = 2 * (field * np.eye(length) + np.eye(length, k=-1))
    return np.sort(np.linalg.svd(matrix, compute_uv=False))


@pytest.fixture(scope="module")
def known(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference" / "analytic.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_transverse_field_ising(method: str, known: dict[str, Any]) -> None:
    for length, field in ((8, 1.2), (16, 1.0), (24, 1.0), (20, 0.8)):
        levels = ising_levels(length, field)
        found = solve(ising(length, field), 40, method)
        assert found.energy == pytest.approx(-levels.sum() / 2, abs=1e-9)
        name = f"tfi_obc_pauli_L{length}_g{field}"
        assert found.energy == pytest.approx(known.get(name, found.energy), abs=1e-9)
    assert 1 - 1 / math.sin(math.pi / (4 * 24 + 2)) == pytest.approx(
        -ising_levels(24, 1.0).sum() / 2, abs=1e-10
    )


@pytest.mark.parametrize("method", METHODS)
def test_heisenberg_of_spin_one_half(method: str, known: dict[str, Any]) -> None:
    for length in (2, 3, 4, 6, 8):
        found = solve(heisenberg(length), 16, method)
        assert found.energy == pytest.approx(known[f"heis_half_obc_SdotS_L{length}"], abs=1e-9)
        assert abs(found.variance) < 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_xx_chain_is_free_fermions(method: str) -> None:
    length = 20
    builder = tnkit.OpSum()
    for k in range(length - 1):
        builder.add(1.0, ("Sx", k), ("Sx", k + 1))
        builder.add(1.0, ("Sy", k), ("Sy", k + 1))
    levels = np.cos(np.pi * np.arange(1, length + 1) / (length + 1))
    found = solve(builder.to_mpo(length), 64, method)
    assert found.energy == pytest.approx(levels[levels < 0].sum(), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_aklt_has_bond_two_and_two_thirds_a_bond(method: str, known: dict[str, Any]) -> None:
    length = 16
    spin = tnkit.site_operators("spin", 3)
    builder = tnkit.OpSum(spin)
    parts = {"Sz": ("Sz", 1.0), "Sp": ("Sm", 0.5), "Sm": ("Sp", 0.5)}
    for k in range(length - 1):
        dot(builder, 1.0, k, k + 1)
        for a, (b, x) in parts.items():
            for c, (d, y) in parts.items():
                builder.add(x * y / 3, (a, k), (c, k), (b, k + 1), (d, k + 1))
    found = solve(builder.to_mpo(length), 12, method)
    assert found.energy == pytest.approx(known["aklt_obc_per_bond"] * (length - 1), abs=1e-9)
    cut = tnkit.compress(found.state, tnkit.Truncation(cutoff=1e-8))
    assert max(cut.state.bond_dims) <= 4  # two for each choice of the spins at the ends


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ring", [False, True])
def test_majumdar_ghosh_is_made_of_dimers(method: str, ring: bool) -> None:
    """-3 N / 8, open and closed; the ring is a chain with terms from end to end."""
    length = 12
    builder = tnkit.OpSum()
    for reach, coupling in ((1, 1.0), (2, 0.5)):
        for k in range(length if ring else length - reach):
            dot(builder, coupling, k, (k + reach) % length)
    found = solve(builder.to_mpo(length), 40, method)
    assert found.energy == pytest.approx(-3 * length / 8, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_excited_states_of_the_ising_chain(method: str) -> None:
    """Ground state, one fermion, another: each orthogonal to those below."""
    length, field = 14, 1.3
    levels = ising_levels(length, field)
    mpo = ising(length, field)
    found: list[tnkit.MPS] = []
    for energy in (0.0, levels[0], levels[1], levels[2]):
        result = solve(mpo, 40, method, orthogonal_to=found, sweeps=40)
        assert result.energy == pytest.approx(energy - levels.sum() / 2, abs=1e-8)
        found.append(result.state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mpo", "bond", "digits"),
    [
        ("tfi_obc_pauli_L100_g1.0", lambda: ising(100, 1.0), 50, 1e-9),
        ("heis_half_obc_SdotS_L100_ITensor_doc", lambda: heisenberg(100), 64, 1e-6),
    ],
)
def test_a_hundred_sites(
    name: str, mpo: Any, bond: int, digits: float, known: dict[str, Any]
) -> None:
    found = solve(mpo(), bond, "one-site", tolerance=1e-10)
    assert found.energy == pytest.approx(known[name], abs=digits)
