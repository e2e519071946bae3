"""States and their gauges: each law once, crossed with library, dtype, gauge, length and scale."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import MPS, Gauge, Truncation
from tnkit.testing import (
    assert_canonical,
    assert_same_state,
    dense,
    on,
    operators,
    read_only,
    states,
)

extreme = states(zero=True, scales=True)


def epsilon(psi: Any) -> float:
    return 6e-8 if "32" in str(psi.dtype) or "complex64" in str(psi.dtype) else 1.2e-16


def dense_log_norm(psi: Any) -> float:
    array, log = dense(psi)
    size = float(np.linalg.norm(array))
    return log + math.log(size) if size else -math.inf


def values(chain: Any) -> np.ndarray:
    array, log = dense(chain)
    return array * math.exp(log)


# ---- gauge


@given(psi=extreme, data=st.data())
def test_moving_the_centre_never_changes_the_state(
    backend: Any, psi: MPS, data: st.DataObject
) -> None:
    centre = data.draw(st.integers(0, len(psi) - 1))
    moved = tnkit.canonicalize(on(read_only(psi), backend), centre)
    assert_canonical(moved, centre)
    assert_same_state(moved, psi)


@given(psi=states())
def test_a_move_that_is_done_costs_nothing(psi: MPS) -> None:
    there = tnkit.canonicalize(psi, len(psi) // 2)
    assert tnkit.canonicalize(there, len(psi) // 2) is there
    step = tnkit.canonicalize(there, max(0, len(psi) // 2 - 1))
    untouched = set(range(len(psi))) - {len(psi) // 2, max(0, len(psi) // 2 - 1)}
    assert all(step.arrays[k] is there.arrays[k] for k in untouched)


@given(psi=states(min_sites=2, deficient=False), data=st.data())
def test_a_wrong_gauge_is_noticed(psi: MPS, data: st.DataObject) -> None:
    psi = tnkit.canonicalize(psi, 0)
    site = data.draw(st.integers(1, len(psi) - 1))
    arrays = list(psi.arrays)
    arrays[site] = arrays[site] * 1.01
    with pytest.raises(tnkit.ArgumentError, match=f"site {site} is claimed"):
        tnkit.verify(MPS(tuple(arrays), psi.sites, psi.gauge))


@given(psi=extreme)
def test_norm_is_the_norm_of_the_dense_array(backend: Any, psi: MPS) -> None:
    moved = on(psi, backend)
    expected = dense_log_norm(psi)
    tolerance = 200 * epsilon(psi) * max(1.0, abs(expected))
    for state in (moved, tnkit.canonicalize(moved, 0), tnkit.canonicalize(moved, -1)):
        assert tnkit.log_norm(state) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("exponent", [-300, -150, 150, 300])
def test_norms_at_the_ends_of_the_float_range(backend: Any, exponent: int) -> None:
    psi = tnkit.random_mps(6, bond_dim=3, seed=1)
    arrays = [a * 10.0 ** (exponent if k in (2, 3) else 0) for k, a in enumerate(psi.arrays)]
    big = on(MPS.from_arrays(arrays), backend)
    expected = 2 * exponent * math.log(10)
    assert tnkit.log_norm(big) == pytest.approx(expected, abs=1e-10)
    for centre in (0, 2, 5):
        moved = tnkit.canonicalize(big, centre)
        assert tnkit.log_norm(moved) == pytest.approx(expected, abs=1e-10)
        assert_canonical(moved, centre)
    assert tnkit.fidelity(big, on(psi, backend)) == pytest.approx(1.0, abs=1e-12)
    assert tnkit.norm(tnkit.normalize(big)) == pytest.approx(1.0)


def test_a_product_that_passes_the_smallest_float_keeps_its_digits(backend: Any) -> None:
    psi = tnkit.random_mps(4, bond_dim=2, seed=0)
    factors = (1e-160, 1e150, 1e10, 1.0)  # the squared norm of site 0 alone is denormal
    arrays = [a * f for a, f in zip(psi.arrays, factors, strict=True)]
    state = on(MPS.from_arrays(arrays), backend)
    assert tnkit.log_norm(state) == pytest.approx(0.0, abs=1e-12)
    assert tnkit.inner(state, on(psi, backend)) == pytest.approx(1.0, abs=1e-12)


def test_scaling_a_state_that_is_orthonormal_everywhere_gives_that_up() -> None:
    basis = tnkit.basis_mps([0, 1, 0])
    for state in (tnkit.scale(basis, 3.0), tnkit.normalize(tnkit.scale(basis, 3.0))):
        assert_canonical(state)
    assert tnkit.norm(tnkit.canonicalize(tnkit.scale(basis, 3.0), 0)) == pytest.approx(3.0)


def test_a_norm_beyond_floats_names_the_logarithm() -> None:
    psi = MPS.from_arrays([np.full((1, 2, 1), 2.0)] * 2000)
    assert tnkit.log_norm(psi) == pytest.approx(2000 * math.log(2 * math.sqrt(2)))
    with pytest.raises(OverflowError, match="log_norm"):
        tnkit.norm(psi)
    with pytest.raises(OverflowError, match="log_inner"):
        tnkit.inner(psi, psi)


def test_the_zero_state_survives() -> None:
    zero = MPS.from_arrays([np.zeros((1, 2, 3)), np.ones((3, 2, 1))])
    assert tnkit.norm(zero) == 0.0
    assert tnkit.norm(tnkit.compress(zero).state) == 0.0
    assert tnkit.inner(zero, zero) == 0.0
    for verb in (tnkit.normalize, lambda z: tnkit.entropy(z, 0), lambda z: tnkit.sample(z, 1)):
        with pytest.raises(tnkit.ArgumentError, match=r"zero|-inf"):
            verb(zero)


@given(psi=states(min_sites=2), data=st.data())
def test_schmidt_values_do_not_depend_on_the_gauge(psi: MPS, data: st.DataObject) -> None:
    bond = data.draw(st.integers(0, len(psi) - 2))
    expected = np.linalg.svd(
        dense(psi)[0].reshape(math.prod(psi.site_dims[: bond + 1]), -1), compute_uv=False
    )
    expected = expected / np.linalg.norm(expected)
    for state in (psi, tnkit.canonicalize(psi, 0), tnkit.canonicalize(psi, -1)):
        found = tnkit.schmidt_values(state, bond)
        assert found @ found == pytest.approx(1.0)
        count = min(len(found), len(expected))
        assert np.allclose(found[:count], expected[:count], atol=200 * epsilon(psi))
        assert not expected[count:].any() or expected[count:].max() < 200 * epsilon(psi)


# ---- arithmetic


@given(data=st.data())
def test_arithmetic_is_that_of_dense_arrays(backend: Any, data: st.DataObject) -> None:
    a = data.draw(states())
    dims = a.site_dims
    b, c = data.draw(states(site_dims=dims)), data.draw(states(site_dims=dims))
    x, y, z = (values(psi) for psi in (a, b, c))
    p, q, r = (on(read_only(psi), backend) for psi in (a, b, c))
    eps = 500 * max(map(epsilon, (a, b, c)))
    size = sum(float(np.linalg.norm(v)) for v in (x, y, z))

    def close(found: Any, expected: Any, scale: float) -> None:
        assert np.abs(values(found) - expected).max() <= eps * scale

    close(tnkit.add(p, q, r), x + y + z, size)
    close(tnkit.subtract(p, q), x - y, size)
    close(tnkit.scale(p, -2.5), -2.5 * x, size)
    assert_canonical(tnkit.scale(p, -2.5))
    assert_canonical(tnkit.scale(p, 1e-30))
    if x.any():
        assert_canonical(tnkit.normalize(p))
        close(tnkit.normalize(p), x / np.linalg.norm(x), 1.0)
    close(tnkit.scale(p, 1 - 2j), (1 - 2j) * x, 3 * size)
    close(tnkit.conj(p), x.conj(), size)
    close(tnkit.hadamard(p, q), x * y, size**2)
    product = np.vdot(x, y)
    bound = eps * float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    assert abs(tnkit.inner(p, q) - product) <= bound
    assert abs(tnkit.inner(p, q) - np.conj(tnkit.inner(q, p))) <= bound
    assert abs(tnkit.distance(p, q) - float(np.linalg.norm(x - y))) <= eps * size


@given(psi=states(scales=True))
def test_log_inner_of_a_state_with_itself_is_its_squared_norm(psi: MPS) -> None:
    found = tnkit.log_inner(psi, psi)
    scale = max(1.0, abs(tnkit.log_norm(psi)))
    assert float(found.log_abs) == pytest.approx(
        2 * dense_log_norm(psi), abs=400 * epsilon(psi) * scale
    )
    assert complex(found.phase).real == pytest.approx(1.0)


def test_different_sites_are_an_error_that_shows_both() -> None:
    a = tnkit.random_mps(["x", "y"], bond_dim=2, seed=0)
    b = tnkit.random_mps(["x", "z"], bond_dim=2, seed=0)
    wide = tnkit.random_mps(["x", "y"], [2, 3], bond_dim=2, seed=0)
    for verb in (tnkit.inner, tnkit.add, tnkit.hadamard, tnkit.distance, tnkit.fidelity):
        with pytest.raises(tnkit.SizeError, match=r"x, y.*x, z"):
            verb(a, b)
        with pytest.raises(tnkit.SizeError, match=r"'y' has size 2 .* 3"):
            verb(a, wide)


# ---- chains


@given(psi=extreme)
def test_reverse_mirrors_the_array_and_the_gauge(psi: MPS) -> None:
    mirrored = tnkit.reverse(read_only(psi))
    assert_canonical(mirrored)
    assert mirrored.centre == (None if psi.centre is None else mirrored.centre)
    array, log = dense(mirrored)
    expected, other = dense(psi)
    assert np.allclose(
        array * math.exp(log - other) if array.any() else array, expected.T, rtol=1e-4, atol=1e-5
    )
    back = tnkit.reverse(mirrored)
    assert back.gauge == psi.gauge
    assert_same_state(back, psi, tolerance=0.0)


@given(a=states(max_sites=3), b=states(max_sites=3))
def test_join_is_the_outer_product_and_split_undoes_it(a: MPS, b: MPS) -> None:
    names = [f"t{k}" for k in range(len(a) + len(b))]
    whole = tnkit.join(a, b, sites=names)
    assert_canonical(whole)
    x, y = values(a), values(b)
    assert np.allclose(values(whole), np.multiply.outer(x, y), rtol=1e-4, atol=1e-4)
    left, right = tnkit.split_chain(whole, len(a) - 1)
    assert_canonical(left)
    assert_canonical(right)
    assert_same_state(tnkit.join(left, right), whole)
    with pytest.raises(tnkit.IndexNameError, match="both chains"):
        tnkit.join(a, b)


@given(psi=states(scales=True), data=st.data())
def test_inserting_a_site_and_removing_it_is_nothing(psi: MPS, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(psi)))
    vector = data.draw(st.sampled_from([[1.0, 0.0], [0.6, 0.8], [3.0, 4.0]]))
    grown = tnkit.insert_site(psi, position, vector, "new")
    assert_canonical(grown)
    assert grown.sites[position] == "new"
    expected, log = dense(psi)
    array, other = dense(grown)
    outer = np.moveaxis(np.multiply.outer(vector, expected), 0, position)
    assert np.allclose(array * math.exp(other - log), outer, rtol=1e-4, atol=1e-4)
    shrunk = tnkit.remove_site(grown, "new")
    assert_canonical(shrunk)
    assert_same_state(shrunk, tnkit.scale(psi, float(np.linalg.norm(vector))))


def test_an_entangled_site_is_not_removed_silently() -> None:
    ghz = tnkit.ghz_mps(3)
    with pytest.raises(tnkit.ArgumentError, match="entangled"):
        tnkit.remove_site(ghz, 1)
    with pytest.raises(tnkit.ArgumentError, match="entangled"):
        tnkit.split_chain(ghz, 1)


@given(psi=states(), data=st.data())
def test_permuting_sites_permutes_the_axes(backend: Any, psi: MPS, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(psi))))
    report = tnkit.permute_sites(on(psi, backend), order)
    assert report.state.sites == tuple(psi.sites[k] for k in order)
    assert_canonical(report.state)
    x = values(psi)
    scale = float(np.linalg.norm(x))
    assert np.abs(values(report.state) - x.transpose(order)).max() <= 1e3 * epsilon(psi) * scale
    assert report.error_bound <= 1e3 * epsilon(psi) * scale


@given(psi=states(min_sites=2), data=st.data())
def test_swapping_two_sites_swaps_their_axes(psi: MPS, data: st.DataObject) -> None:
    i, j = (data.draw(st.integers(0, len(psi) - 1)) for _ in range(2))
    report = tnkit.swap_sites(psi, i, psi.sites[j])
    x = values(psi)
    assert_canonical(report.state)
    assert np.allclose(
        values(report.state),
        x.swapaxes(i, j),
        rtol=0.0,
        atol=1e3 * epsilon(psi) * float(np.linalg.norm(x)),
    )
    assert report.state.sites[i] == psi.sites[j]
    assert report.state.sites[j] == psi.sites[i]
    again = tnkit.swap_sites(report.state, i, j).state
    assert_same_state(again, psi)


@given(psi=states(min_sites=2), data=st.data())
def test_projection_fixes_axes(backend: Any, psi: MPS, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(psi) - 1))
    chosen = data.draw(st.permutations(range(len(psi))))[:count]
    x = values(psi)
    known: dict[Any, Any] = {}
    for k in sorted(chosen, reverse=True):
        d = psi.site_dims[k]
        if data.draw(st.booleans()):
            known[k] = data.draw(st.integers(0, d - 1))
            x = x.take(known[k], axis=k)
        else:
            vector = np.arange(1, d + 1) * (1 + 0.5j)
            known[psi.sites[k]] = vector
            x = np.tensordot(vector.conj(), x, (0, k))
    left = tnkit.project(on(psi, backend), known)
    assert_canonical(left)
    assert left.sites == tuple(n for k, n in enumerate(psi.sites) if k not in chosen)
    scale = float(np.linalg.norm(values(psi))) * 5**count
    assert np.abs(values(left) - x).max() <= 500 * epsilon(psi) * scale


@given(psi=states(), data=st.data())
def test_local_matrices_act_on_one_axis(psi: MPS, data: st.DataObject) -> None:
    site = data.draw(st.integers(0, len(psi) - 1))
    d = psi.site_dims[site]
    rng = np.random.default_rng(3)
    unitary = np.linalg.qr(rng.standard_normal((d, d)) + 1j * rng.standard_normal((d, d)))[0]
    for matrix in (unitary, rng.standard_normal((d + 1, d))):
        acted = tnkit.apply_local(psi, {site: matrix})
        assert_canonical(acted)
        expected = np.moveaxis(np.tensordot(matrix, values(psi), (1, site)), 0, site)
        scale = float(np.linalg.norm(expected)) + float(np.linalg.norm(values(psi)))
        assert np.abs(values(acted) - expected).max() <= 500 * epsilon(psi) * scale
    assert tnkit.apply_local(psi, {site: unitary}).gauge == psi.gauge


# ---- networks and files


@given(psi=states(min_sites=1, max_sites=5))
def test_a_state_is_also_a_network(backend: Any, psi: MPS) -> None:
    network = on(tnkit.scale(psi, 3.0), backend).network()
    assert network.output == psi.sites
    found = tnkit.contract(network).to_numpy()
    scale = float(np.linalg.norm(values(psi)))
    assert np.abs(found - 3.0 * values(psi)).max() <= 500 * epsilon(psi) * scale


def test_a_site_named_as_a_bond_keeps_its_name() -> None:
    psi = tnkit.random_mps(["bond0", "x", "y"], bond_dim=2, seed=0)
    assert psi["bond0"].names == ("bond0", "bond0_1")
    assert np.allclose(tnkit.contract(psi.network()).array, tnkit.to_dense(psi))
    with pytest.raises(tnkit.IndexNameError, match="no site 'z'"):
        psi["z"]


@given(psi=extreme, data=st.data())
@settings(max_examples=20)
def test_saving_and_loading_is_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, psi: MPS, data: st.DataObject
) -> None:
    path: Path = tmp_path_factory.mktemp("states") / "psi.npz"
    tnkit.save(path, psi)
    found = tnkit.load(path)
    assert isinstance(found, MPS)
    assert found.same_structure(psi)
    assert found.log_scale == psi.log_scale
    assert all(np.array_equal(a, b) for a, b in zip(found.arrays, psi.arrays, strict=True))
    mpo = data.draw(operators(site_dims=psi.site_dims))
    tnkit.save(path, mpo)
    back = tnkit.load(path)
    assert isinstance(back, tnkit.MPO)
    assert back.same_structure(mpo)
    assert all(np.array_equal(a, b) for a, b in zip(back.arrays, mpo.arrays, strict=True))


# ---- states one can write down


def test_named_states_are_what_they_are_called() -> None:
    for count in (1, 2, 3, 6):
        ghz = values(tnkit.ghz_mps(count, 3)).reshape(-1)
        assert np.allclose(ghz[:: max(1, (3**count - 1) // 2)], 1 / math.sqrt(3))
        assert np.linalg.norm(ghz) == pytest.approx(1.0)
        w = values(tnkit.w_mps(count)).reshape(-1)
        assert np.allclose(np.abs(w[[2**k for k in range(count)]]), 1 / math.sqrt(count))
        assert np.linalg.norm(w) == pytest.approx(1.0)
        basis = tnkit.basis_mps([k % 2 for k in range(count)])
        assert values(basis)[tuple(k % 2 for k in range(count))] == 1.0
        for state in (tnkit.ghz_mps(count, 3), tnkit.w_mps(count), basis):
            assert_canonical(state)
            assert tnkit.norm(state) == pytest.approx(1.0)


@pytest.mark.parametrize("edges", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_aklt_is_the_ground_state_of_its_hamiltonian(edges: tuple[int, int]) -> None:
    sp = math.sqrt(2) * np.diag([1.0, 1.0], 1)
    sx, sy, sz = (sp + sp.T) / 2, (sp - sp.T) / 2j, np.diag([1.0, 0.0, -1.0])
    dot = sum(np.kron(s, s) for s in (sx, sy, sz)).real
    pair = dot / 2 + dot @ dot / 6 + np.eye(9) / 3  # projector onto total spin two
    psi = values(tnkit.aklt_mps(5, edges=edges)).reshape(-1)
    for k in range(4):
        matrix = np.kron(np.kron(np.eye(3**k), pair), np.eye(3 ** (3 - k)))
        assert np.linalg.norm(matrix @ psi) < 1e-12


def test_random_states_repeat_and_obey_their_sizes() -> None:
    a = tnkit.random_mps(6, [2, 3, 1, 2, 2, 4], bond_dim=5, dtype="complex64", seed=7)
    b = tnkit.random_mps(6, [2, 3, 1, 2, 2, 4], bond_dim=5, dtype="complex64", seed=7)
    assert all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))
    assert a.bond_dims == (2, 5, 5, 5, 4)
    assert a.site_dims == (2, 3, 1, 2, 2, 4)
    assert_canonical(a, 0)


@given(psi=states())
def test_a_dense_array_becomes_the_state_it_holds(backend: Any, psi: MPS) -> None:
    array = backend.asarray(values(psi))
    found = tnkit.mps_from_dense(array)
    assert_canonical(found, len(psi) - 1)
    assert_same_state(found, psi)


def test_dense_forms_ask_first() -> None:
    psi = tnkit.random_mps(60, bond_dim=2, seed=0)
    with pytest.raises(MemoryError, match="over the limit"):
        tnkit.to_dense(psi)


def test_frozen_and_checked() -> None:
    psi = tnkit.random_mps(3, bond_dim=2, seed=0)
    with pytest.raises(AttributeError):
        psi.gauge = Gauge()  # type: ignore[misc]
    with pytest.raises(tnkit.SizeError, match="bond 0: site 0 has right size 2, site 1 has left"):
        MPS.from_arrays([np.ones((1, 2, 2)), np.ones((3, 2, 1))])
    with pytest.raises(tnkit.SizeError, match="ring"):
        MPS.from_arrays([np.ones((2, 2, 2))])
    with pytest.raises(tnkit.ArgumentTypeError, match="site 1 has dtype"):
        MPS.from_arrays([np.ones((1, 2, 1)), np.ones((1, 2, 1), np.float32)])
    with pytest.raises(tnkit.IndexNameError, match="repeat: x"):
        MPS.from_arrays([np.ones((1, 2, 1))] * 2, sites=["x", "x"])
    assert Truncation() == Truncation()
