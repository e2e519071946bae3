"""States and operators to other libraries and back: against the real packages where installed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit.testing import assert_canonical, assert_same_state, dense, operators, states

ORDERS = st.permutations("lsr").map("".join)


@given(psi=states(max_sites=5), axes=ORDERS, outer=st.booleans())
def test_a_list_of_arrays_gives_the_state_back(psi: tnkit.MPS, axes: str, outer: bool) -> None:
    arrays = tnkit.to_list(psi, axes, outer=outer)
    assert_same_state(tnkit.mps_from_list(arrays, axes, sites=psi.sites), psi)


@given(
    mpo=operators(site_dims=[2, 3, 2]),
    axes=st.permutations("loir").map("".join),
    outer=st.booleans(),
)
def test_a_list_of_arrays_gives_the_operator_back(mpo: tnkit.MPO, axes: str, outer: bool) -> None:
    back = tnkit.mpo_from_list(tnkit.to_list(mpo, axes, outer=outer), axes, sites=mpo.sites)
    found, expected = dense(back), dense(mpo)
    np.testing.assert_allclose(
        found[0] * np.exp(found[1]), expected[0] * np.exp(expected[1]), rtol=1e-5, atol=1e-12
    )


def test_a_list_keeps_the_library(backend: Any) -> None:
    psi = tnkit.random_mps(4, bond_dim=3, seed=0)
    arrays = [backend.asarray(a.transpose(0, 2, 1)) for a in psi.arrays]
    found = tnkit.mps_from_list(arrays, "lrs")
    assert type(found.arrays[1]) is type(arrays[1])
    assert tnkit.to_list(found, "rls")[1].shape == (3, 2, 2)


def test_what_is_no_list_of_a_chain_is_refused() -> None:
    with pytest.raises(tnkit.ArgumentError, match="letters of 'lsr'"):
        tnkit.mps_from_list([np.ones((1, 2, 1))], "lpr")
    with pytest.raises(tnkit.SizeError, match=r"array 1 has shape \(2, 2\)"):
        tnkit.mps_from_list([np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))])
    huge = tnkit.scale(tnkit.random_mps(3, bond_dim=2, seed=0), 10.0)
    huge = tnkit.MPS(huge.arrays, huge.sites, huge.gauge, 5000.0)
    with pytest.raises(tnkit.ScaleError, match="normalise first"):
        tnkit.to_list(huge)


def test_a_scaled_list_is_the_state() -> None:
    psi = tnkit.random_mps(4, bond_dim=3, seed=0)
    scaled = tnkit.MPS(psi.arrays, psi.sites, psi.gauge, 2.0)
    found = tnkit.mps_from_list(tnkit.to_list(scaled))
    np.testing.assert_allclose(tnkit.to_dense(found), tnkit.to_dense(scaled))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_dlpack_shares_memory_between_numpy_and_torch(library: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    psi = tnkit.random_mps(4, bond_dim=3, seed=0).convert(library)
    other = {"numpy": "torch", "torch": "numpy"}[library]
    there = psi.convert(other)
    assert there.library == other
    back = there.convert(library)
    assert np.shares_memory(np.asarray(back.arrays[1]), np.asarray(psi.arrays[1]))


class TestTenpy:
    @pytest.fixture(autouse=True)
    def tenpy(self) -> Any:
        return pytest.importorskip("tenpy", reason="TeNPy is not installed")

    @settings(max_examples=15)
    @given(psi=states(max_sites=5, scales=False, zero=False))
    def test_a_state_comes_back(self, psi: tnkit.MPS) -> None:
        there = tnkit.mps_to_tenpy(psi)
        there.test_sanity()
        back = tnkit.mps_from_tenpy(there)
        np.testing.assert_allclose(
            tnkit.to_dense(back), tnkit.to_dense(psi), rtol=2e-5, atol=2e-5 * tnkit.norm(psi)
        )

    def test_their_ground_state_is_ours(self) -> None:
        from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
        from tenpy.models.xxz_chain import XXZChain
        from tenpy.networks.mps import MPS

        model = XXZChain({"L": 8, "bc_MPS": "finite", "sort_charge": True})
        there = MPS.from_lat_product_state(model.lat, [["up"], ["down"]])
        energy, there = TwoSiteDMRGEngine(
            there, model, {"trunc_params": {"chi_max": 32}, "mixer": True}
        ).run()
        psi = tnkit.mps_from_tenpy(there)
        assert tnkit.norm(psi) == pytest.approx(1.0)
        mpo = tnkit.mpo_from_tenpy(model.H_MPO)
        assert tnkit.expectation(psi, mpo) == pytest.approx(energy, abs=1e-8)
        bonds = range(len(psi) - 1)
        ours = [tnkit.entropy(psi, k) for k in bonds]
        np.testing.assert_allclose(ours, there.entanglement_entropy(), atol=1e-8)

    def test_an_operator_comes_back_and_measures_the_same(self) -> None:
        terms = tnkit.OpSum()
        for k in range(5):
            terms.add(1.0, ("X", k), ("X", k + 1))
            terms.add(0.3, ("Sp", k), ("Z", k + 1))  # neither symmetric nor Hermitian
        mpo = terms.to_mpo(6)
        psi = tnkit.random_mps(6, bond_dim=4, seed=0)
        there = tnkit.mpo_to_tenpy(mpo)
        value = there.expectation_value(tnkit.mps_to_tenpy(psi))
        assert value == pytest.approx(tnkit.expectation(psi, mpo))
        np.testing.assert_allclose(
            tnkit.to_dense(tnkit.mpo_from_tenpy(there)), tnkit.to_dense(mpo), atol=1e-12
        )

    def test_other_objects_are_refused(self) -> None:
        with pytest.raises(tnkit.ArgumentTypeError, match="finite TeNPy MPS"):
            tnkit.mps_from_tenpy([np.ones(2)])
        from tenpy.networks.site import SpinSite

        with pytest.raises(tnkit.SizeError, match="sites have sizes"):
            tnkit.mps_to_tenpy(
                tnkit.random_mps(1, bond_dim=1, seed=0), [SpinSite(1.0, conserve=None)]
            )


class TestQuimb:
    @pytest.fixture(autouse=True)
    def quimb(self) -> Any:
        return pytest.importorskip("quimb.tensor", reason="quimb is not installed")

    def test_lists_of_arrays_are_their_states(self, quimb: Any) -> None:
        psi = tnkit.random_mps(5, bond_dim=3, seed=0)
        there = quimb.MatrixProductState(tnkit.to_list(psi, "lrs", outer=False), shape="lrp")
        np.testing.assert_allclose(there.to_dense().ravel(), tnkit.to_dense(psi).ravel())
        back = tnkit.mps_from_list(there.arrays, "lrs")
        assert_same_state(back, psi)

    def test_lists_of_arrays_are_their_operators(self, quimb: Any) -> None:
        there = quimb.MPO_ham_heis(4)
        ours = tnkit.mpo_from_list(there.arrays, "lroi")
        np.testing.assert_allclose(tnkit.to_dense(ours), there.to_dense(), atol=1e-12)


class TestTensorkrowch:
    def test_lists_of_arrays_are_their_states(self) -> None:
        krowch = pytest.importorskip("tensorkrowch", reason="tensorkrowch is not installed")
        psi = tnkit.random_mps(5, bond_dim=3, seed=0).convert("torch")
        there = krowch.models.MPS(tensors=tnkit.to_list(psi, outer=False))
        back = tnkit.mps_from_list([t.detach() for t in there.tensors])
        assert_same_state(back, psi)


class TestITensor:
    @pytest.fixture(autouse=True)
    def h5py(self) -> Any:
        return pytest.importorskip("h5py", reason="h5py is not installed")

    @settings(max_examples=20)
    @given(psi=states(max_sites=5, scales=False))
    def test_a_state_comes_back_with_its_gauge(
        self, tmp_path_factory: pytest.TempPathFactory, psi: tnkit.MPS
    ) -> None:
        path = tmp_path_factory.mktemp("itensor") / "psi.h5"
        if psi.dtype == np.complex64:
            with pytest.raises(tnkit.ArgumentTypeError, match="astype"):
                tnkit.save_itensor(path, psi)
            return
        tnkit.save_itensor(path, psi)
        back = tnkit.load_itensor(path)
        assert back.gauge == psi.gauge
        assert_canonical(back)
        np.testing.assert_array_equal(tnkit.to_dense(back), tnkit.to_dense(psi))

    def test_an_operator_comes_back(self, tmp_path: Path) -> None:
        terms = tnkit.OpSum()
        terms.add(1.5, ("Sp", 0), ("Sm", 2))
        mpo = terms.to_mpo(3)
        tnkit.save_itensor(tmp_path / "h.h5", mpo, "H")
        back = tnkit.load_itensor(tmp_path / "h.h5", "H")
        np.testing.assert_array_equal(tnkit.to_dense(back), tnkit.to_dense(mpo))

    def test_the_file_is_laid_out_as_itensor_writes_it(self, tmp_path: Path, h5py: Any) -> None:
        """Names, types and column-major order, as read in ITensorMPS's own source."""
        psi = tnkit.canonicalize(tnkit.random_mps(3, bond_dim=2, seed=0), 1)
        mpo = tnkit.identity_mpo(3)
        tnkit.save_itensor(tmp_path / "psi.h5", psi)
        tnkit.save_itensor(tmp_path / "one.h5", mpo)
        with h5py.File(tmp_path / "psi.h5") as file, h5py.File(tmp_path / "one.h5") as other:
            group = file["psi"]
            assert (group.attrs["type"], group.attrs["version"]) == ("MPS", 1)
            assert (group["length"][()], group["llim"][()], group["rlim"][()]) == (3, 1, 3)
            tensor = group["MPS[2]"]
            assert tensor["storage"].attrs["type"] == "Dense{Float64}"
            np.testing.assert_array_equal(
                tensor["storage/data"][()], psi.arrays[1].transpose(2, 1, 0).ravel()
            )
            assert tensor["inds/length"][()] == 3
            site = tensor["inds/index_2"]
            assert site["tags/tags"][()] == b"Site,n=2"
            rows = other["psi/MPO[2]/inds/index_2"], other["psi/MPO[2]/inds/index_3"]
            assert [row["plev"][()] for row in rows] == [1, 0]
            assert site["id"][()] == rows[0]["id"][()]  # the same site in both files

    @settings(max_examples=100)
    @given(at=st.integers(0, 20_000), value=st.integers(0, 255), cut=st.booleans())
    def test_a_damaged_file_is_an_error_or_a_chain(
        self, tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: bool
    ) -> None:
        path = tmp_path_factory.mktemp("itensor") / "psi.h5"
        tnkit.save_itensor(path, tnkit.random_mps(2, bond_dim=2, seed=0))
        content = bytearray(path.read_bytes())
        at %= len(content)
        content[at] = value
        path.write_bytes(content[:at] if cut else content)
        with contextlib.suppress(tnkit.FormatError):
            assert isinstance(tnkit.load_itensor(path), tnkit.MPS | tnkit.MPO)
