"""Ground states against exact diagonalisation and free fermions."""

from __future__ import annotations

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


@settings(max_examples=20)
@given(st.integers(2, 6), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_random_hermitian_operator_gives_its_lowest_state(
    length: int, is_complex: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((2**length,) * 2)
    if is_complex:
        dense = dense + 1j * rng.standard_normal(dense.shape)
    mpo = tnkit.mpo_from_dense(dense + dense.conj().T, 2)
    start = tnkit.random_mps(length, bond_dim=8, seed=rng)
    result = tnkit.dmrg(mpo, start, truncation=tnkit.Truncation(max_bond=8), sweeps=60, krylov=12)
    lowest = np.linalg.eigvalsh(matrix(mpo))[0]
    assert result.energy == pytest.approx(lowest, abs=1e-6 * abs(lowest))
    assert result.energy >= lowest - 1e-9 * abs(lowest)  # variational
    assert tnkit.expectation(result.state, mpo) == pytest.approx(result.energy, abs=1e-8)
    assert tnkit.norm(result.state) == pytest.approx(1.0, abs=1e-10)


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
