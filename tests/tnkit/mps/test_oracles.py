"""The same operations on the same random states by quimb and TeNPy, to 1e-10."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tnkit

LENGTH = 12


@pytest.fixture(scope="module")
def quimb() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quimb.tensor", reason="quimb not installed")


@pytest.fixture(scope="module")
def tenpy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tenpy", reason="TeNPy not installed")
        from tenpy.networks import mps as tenpy_mps
        from tenpy.networks.site import SpinHalfSite

    site = SpinHalfSite(conserve=None, sort_charge=False)

    def convert(psi: tnkit.MPS) -> Any:
        arrays = [np.asarray(a).transpose(1, 0, 2) for a in tnkit.canonicalize(psi, 0).arrays]
        return tenpy_mps.MPS.from_Bflat(
            [site] * len(psi),
            arrays,
            form="B",
            dtype=arrays[0].dtype,
            permute=False,
            unit_cell_width=len(psi),
        )

    return convert


def to_quimb(quimb: Any, psi: tnkit.MPS) -> Any:
    arrays = [np.asarray(a) for a in psi.arrays]
    arrays = [arrays[0][0].T, *(a.transpose(0, 2, 1) for a in arrays[1:-1]), arrays[-1][..., 0]]
    return quimb.MatrixProductState(arrays, shape="lrp")


def pair(dtype: str) -> tuple[tnkit.MPS, tnkit.MPS]:
    return (
        tnkit.random_mps(LENGTH, bond_dim=9, dtype=dtype, seed=1),
        tnkit.random_mps(LENGTH, bond_dim=7, dtype=dtype, seed=2),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_quimb_agrees(quimb: Any, dtype: str) -> None:
    a, b = pair(dtype)
    p, q = to_quimb(quimb, a), to_quimb(quimb, b)
    assert tnkit.inner(a, b) == pytest.approx(complex(p.H @ q), abs=1e-10)
    dense = tnkit.to_dense(tnkit.add(a, b)).reshape(-1)
    assert np.allclose(dense, (p + q).to_dense().reshape(-1), atol=1e-10)
    for bond in range(LENGTH - 1):
        theirs = p.copy().entropy(bond + 1) * np.log(2)  # quimb counts bits
        assert tnkit.entropy(a, bond) == pytest.approx(float(theirs), abs=1e-10)
    small = p.copy()
    small.left_canonicalize_()
    small.right_compress(max_bond=4, cutoff=0.0)
    ours = tnkit.compress(a, tnkit.Truncation(max_bond=4)).state
    assert abs(complex(small.H @ p)) == pytest.approx(abs(tnkit.inner(ours, a)), abs=1e-10)
    h = quimb.MPO_ham_heis(LENGTH)
    z = np.diag([0.5, -0.5])
    up = np.array([[0.0, 1.0], [0.0, 0.0]])
    terms: list[Any] = [{k: z, k + 1: z} for k in range(LENGTH - 1)]
    terms += [(0.5, {k: up, k + 1: up.T}) for k in range(LENGTH - 1)]
    terms += [(0.5, {k: up.T, k + 1: up}) for k in range(LENGTH - 1)]
    ours_h = tnkit.mpo_from_terms(terms, LENGTH)
    theirs = quimb.expec_TN_1D(p.H, h, p)
    assert tnkit.expectation(a, ours_h) == pytest.approx(complex(theirs), abs=1e-10)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_tenpy_agrees(tenpy: Any, dtype: str) -> None:
    a, b = pair(dtype)
    p, q = tenpy(a), tenpy(b)
    assert tnkit.inner(a, b) == pytest.approx(complex(p.overlap(q)), abs=1e-10)
    p.canonical_form()
    assert np.allclose(tnkit.entropies(a), p.entanglement_entropy(), atol=1e-10)
    assert np.allclose(tnkit.entropies(a, order=2), p.entanglement_entropy(n=2), atol=1e-10)
    z = np.diag([0.5, -0.5])
    assert np.allclose(tnkit.local_expectations(a, z), p.expectation_value("Sz"), atol=1e-10)
    theirs = p.correlation_function("Sz", "Sz")
    assert np.allclose(tnkit.two_point(a, z), theirs, atol=1e-10)
    for bond, values in enumerate(tnkit.entanglement_spectra(a)):
        found = np.sort(p.get_SR(bond))[::-1]
        assert np.allclose(found, values[: len(found)], atol=1e-10)
