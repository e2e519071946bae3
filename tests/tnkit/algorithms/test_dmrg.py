"""Ground states against exact diagonalisation and free fermions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit


def heisenberg(length: int, levels: int = 2) -> tnkit.MPO:
    builder = tnkit.OpSum(tnkit.site_operators("spin", levels))
    for k in range(length - 1):
        builder.add(0.5, ("Sp", k), ("Sm", k + 1))
        builder.add(0.5, ("Sm", k), ("Sp", k + 1))
        builder.add(1.0, ("Sz", k), ("Sz", k + 1))
    return builder.to_mpo(length)


def ising(length: int, field: float) -> tnkit.MPO:
    builder = tnkit.OpSum()
    for k in range(length - 1):
        builder.add(-1.0, ("Z", k), ("Z", k + 1))
    for k in range(length):
        builder.add(-field, ("X", k))
    return builder.to_mpo(length)


def matrix(mpo: tnkit.MPO) -> np.ndarray:
    size = int(np.prod(mpo.out_dims))
    return np.asarray(tnkit.to_dense(mpo)).reshape(size, size)


METHODS = ["two-site", "one-site"]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20)
@given(st.integers(2, 6), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_random_hermitian_operator_gives_its_lowest_state(
    method: str, length: int, is_complex: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((2**length,) * 2)
    if is_complex:
        dense = dense + 1j * rng.standard_normal(dense.shape)
    mpo = tnkit.mpo_from_dense(dense + dense.conj().T, 2)
    start = tnkit.random_mps(length, bond_dim=8, seed=rng)
    bond = tnkit.Truncation(max_bond=8)
    result = tnkit.dmrg(mpo, start, truncation=bond, method=method, sweeps=60, krylov=12)
    lowest = np.linalg.eigvalsh(matrix(mpo))[0]
    assert result.energy == pytest.approx(lowest, abs=1e-6 * abs(lowest))
    assert result.energy >= lowest - 1e-9 * abs(lowest)  # variational
    assert tnkit.expectation(result.state, mpo) == pytest.approx(result.energy, abs=1e-8)
    assert tnkit.norm(result.state) == pytest.approx(1.0, abs=1e-10)


def apart(length: int, reach: int) -> tnkit.MPO:
    """Heisenberg chains interleaved: no term touches neighbours, as with spins up and down."""
    builder = tnkit.OpSum()
    for k in range(length - reach):
        for name in ("Sx", "Sy", "Sz"):
            builder.add(1.0, (name, k), (name, k + reach))
    return builder.to_mpo(length)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("mpo", "start"),
    [
        pytest.param(heisenberg(10), [0, 1] * 5, id="neel"),
        pytest.param(heisenberg(10), [0] * 5 + [1] * 5, id="one wall"),
        pytest.param(ising(10, 0.7), [0] * 10, id="all up"),
        pytest.param(apart(10, 2), [0, 0, 1, 1, 0, 0, 1, 1, 0, 1], id="two chains"),
        pytest.param(apart(10, 3), [0, 0, 0, 1, 1, 1, 0, 0, 0, 1], id="three chains"),
    ],
)
def test_a_product_state_is_no_trap(method: str, mpo: tnkit.MPO, start: list[int]) -> None:
    """From bond 1 to the lowest state of the start's own sector, whatever the reach."""
    psi = tnkit.basis_mps(start)
    result = tnkit.dmrg(mpo, psi, truncation=tnkit.Truncation(max_bond=32), method=method)
    dense = matrix(mpo)
    sector = np.arange(len(dense)) == int("".join(map(str, start)), 2)
    for _ in range(40):  # what the operator can reach from the start
        sector = sector | (np.abs(dense) @ sector > 1e-12)
    exact = np.linalg.eigvalsh(dense[np.ix_(sector, sector)])[0]
    assert result.energy == pytest.approx(exact, abs=1e-9)
    assert result.converged


@pytest.mark.parametrize("expand", [None, 2, 30])
def test_one_site_reaches_what_two_sites_reach(expand: int | None) -> None:
    """At the same bond, in a state that nothing was cut from: as low or lower."""
    mpo, bond = heisenberg(24), tnkit.Truncation(max_bond=20)
    start = tnkit.basis_mps([0, 1] * 12)
    two = tnkit.dmrg(mpo, start, truncation=bond, sweeps=8)
    one = tnkit.dmrg(mpo, start, truncation=bond, method="one-site", expand=expand, sweeps=25)
    assert one.energy < two.energy + 1e-8
    assert max(one.state.bond_dims) == 20
    energies = [record.energy for record in one.history]
    assert all(b < a + 1e-7 for a, b in itertools.pairwise(energies))
    assert one.energy == pytest.approx(tnkit.expectation(one.state, mpo), abs=1e-9)


def test_one_site_without_expansion_keeps_its_bonds() -> None:
    start = tnkit.random_mps(10, bond_dim=3, seed=0)
    bond = tnkit.Truncation(max_bond=32)
    found = tnkit.dmrg(heisenberg(10), start, truncation=bond, method="one-site", expand=0)
    assert all(a <= b for a, b in zip(found.state.bond_dims, start.bond_dims, strict=True))


def test_energies_are_those_of_the_reference(shared: Path) -> None:
    path = shared / "reference" / "analytic.json"
    if not path.exists():
        pytest.skip(f"no reference values at {path}")
    text = json.loads(path.read_text())
    known: dict[str, Any] = {}
    for value in [text, *(v for v in text.values() if isinstance(v, dict))]:
        known |= value
    bond = tnkit.Truncation(max_bond=48, cutoff=1e-14)
    for length in (2, 3, 4, 6, 8):
        found = tnkit.dmrg(
            heisenberg(length), tnkit.random_mps(length, bond_dim=4, seed=0), truncation=bond
        )
        exact = known[f"heis_half_obc_SdotS_L{length}"]
        assert found.energy == pytest.approx(exact, abs=1e-9)
        assert abs(found.variance) < 1e-9
    for length, field in ((8, 1.2), (16, 1.0)):
        found = tnkit.dmrg(
            ising(length, field), tnkit.random_mps(length, bond_dim=4, seed=0), truncation=bond
        )
        exact = known[f"tfi_obc_pauli_L{length}_g{field}"]
        assert found.energy == pytest.approx(exact, abs=1e-9)
        assert found.converged


def test_spin_one_equals_exact_diagonalisation() -> None:
    mpo = heisenberg(5, levels=3)
    start = tnkit.random_mps(5, 3, bond_dim=6, seed=1)
    result = tnkit.dmrg(mpo, start, truncation=tnkit.Truncation(max_bond=27))
    assert result.energy == pytest.approx(np.linalg.eigvalsh(matrix(mpo))[0], abs=1e-9)


def test_excited_states_are_orthogonal_and_in_order() -> None:
    mpo = ising(8, 0.6)
    exact = np.linalg.eigvalsh(matrix(mpo))[:3]
    found: list[tnkit.MPS] = []
    for level in range(3):
        result = tnkit.dmrg(
            mpo,
            tnkit.random_mps(8, bond_dim=4, seed=level),
            truncation=tnkit.Truncation(max_bond=16),
            sweeps=40,
            krylov=8,
            orthogonal_to=found,
        )
        assert result.energy == pytest.approx(exact[level], abs=1e-7)
        for other in found:
            assert abs(tnkit.inner(other, result.state)) < 1e-6
        found.append(result.state)


def test_a_ramp_limits_every_sweep_and_lost_weight_is_told() -> None:
    ramp = [tnkit.Truncation(max_bond=b) for b in (2, 4, 8)]
    result = tnkit.dmrg(
        ising(20, 1.0), tnkit.random_mps(20, bond_dim=2, seed=0), truncation=ramp, sweeps=5
    )
    assert [record.max_bond for record in result.history[:3]] == [2, 4, 8]
    assert result.history[0].discarded_weight > result.history[-1].discarded_weight > 0
    assert max(result.state.bond_dims) == 8


def test_what_cannot_be_solved_is_refused() -> None:
    psi = tnkit.random_mps(3, bond_dim=2, seed=0)
    bond = tnkit.Truncation(max_bond=4)
    raising = tnkit.OpSum()
    raising.add(1.0, ("Sp", 0), ("Z", 1))
    with pytest.raises(tnkit.ArgumentError, match="not Hermitian"):
        tnkit.dmrg(raising.to_mpo(3), psi, truncation=bond)
    with pytest.raises(tnkit.TnkitError, match="4 sites"):
        tnkit.dmrg(heisenberg(4), psi, truncation=bond)
    with pytest.raises(tnkit.ArgumentError, match="sweeps must be"):
        tnkit.dmrg(heisenberg(3), psi, truncation=bond, sweeps=0)
    with pytest.raises(tnkit.ArgumentTypeError, match="truncation must be"):
        tnkit.dmrg(heisenberg(3), psi, truncation=8)  # type: ignore[arg-type]
