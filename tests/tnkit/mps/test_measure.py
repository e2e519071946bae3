"""What is measured, sampled and conditioned, against the dense state and exact frequencies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import MPS
from tnkit.arrays import to_numpy
from tnkit.mps import sampling
from tnkit.testing import assert_canonical, assert_same_state, count_transfers, dense, on, states

doubles = ["float64", "complex128"]
some = states(min_sites=2, max_sites=5, dtypes=doubles)


def unit(psi: Any) -> np.ndarray:
    array, _ = dense(psi)
    return array / np.linalg.norm(array)


def embed(dims: tuple[int, ...], placed: dict[int, np.ndarray]) -> np.ndarray:
    product = np.eye(1)
    for k, d in enumerate(dims):
        product = np.kron(product, placed.get(k, np.eye(d)))
    return product


@given(psi=some)
def test_local_and_two_point_functions_of_all_pairs(backend: Any, psi: MPS) -> None:
    rng = np.random.default_rng(0)
    a = [rng.standard_normal((d, d)) + 1j * rng.standard_normal((d, d)) for d in psi.site_dims]
    b = [rng.standard_normal((d, d)) for d in psi.site_dims]
    x = unit(psi).reshape(-1)
    moved = on(psi, backend)
    dims, n = psi.site_dims, len(psi)
    single = [np.vdot(x, embed(dims, {k: a[k]}) @ x) for k in range(n)]
    assert np.allclose(tnkit.local_expectations(moved, a), single, atol=1e-11)
    pairs = [
        [np.vdot(x, embed(dims, {i: a[i]}) @ embed(dims, {j: b[j]}) @ x) for j in range(n)]
        for i in range(n)
    ]
    assert np.allclose(tnkit.two_point(moved, a, b), pairs, atol=1e-11)


@given(psi=some, data=st.data())
def test_reduced_density_matrices_of_any_subset(
    backend: Any, psi: MPS, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(psi)))
    chosen = data.draw(st.permutations(range(len(psi))))[:count]
    rest = [k for k in range(len(psi)) if k not in chosen]
    size = math.prod(psi.site_dims[k] for k in chosen)
    flat = unit(psi).transpose([*chosen, *rest]).reshape(size, -1)
    expected = flat @ flat.conj().T
    found = tnkit.reduced_density_matrix(on(psi, backend), chosen)
    assert np.allclose(to_numpy(found), expected, atol=1e-12)
    table = tnkit.marginal_probabilities(on(psi, backend), chosen)
    assert np.allclose(table.reshape(-1), expected.diagonal().real, atol=1e-12)


def test_a_density_matrix_asks_first() -> None:
    psi = tnkit.random_mps(20, bond_dim=8, seed=0)
    with pytest.raises(MemoryError, match="over the limit"):
        tnkit.reduced_density_matrix(psi, range(16))


@given(psi=some, order=st.sampled_from([0.5, 1.0, 2.0, math.inf]))
def test_entropies_of_every_bond(psi: MPS, order: float) -> None:
    found = tnkit.entropies(psi, order=order)
    for bond, value in enumerate(found):
        left = math.prod(psi.site_dims[: bond + 1])
        weights = np.linalg.svd(unit(psi).reshape(left, -1), compute_uv=False) ** 2
        weights = weights[weights > 1e-14]
        if order == 1.0:
            expected = -(weights * np.log(weights)).sum()
        elif math.isinf(order):
            expected = -np.log(weights.max())
        else:
            expected = np.log((weights**order).sum()) / (1 - order)
        assert value == pytest.approx(expected, abs=1e-6)
        assert tnkit.entropy(psi, bond, order=order) == pytest.approx(value, abs=1e-7)


def test_mutual_information_of_known_states() -> None:
    ghz = tnkit.ghz_mps(4)
    assert tnkit.mutual_information(ghz, 0, 2) == pytest.approx(math.log(2))
    assert tnkit.mutual_information(ghz, [0, 1], [2, 3]) == pytest.approx(2 * math.log(2))
    assert tnkit.mutual_information(tnkit.basis_mps([0, 1]), 0, 1) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(tnkit.ArgumentError, match="'s1' is in both"):
        tnkit.mutual_information(ghz, [0, 1], [1])


@given(psi=states(dtypes=doubles, scales=True), data=st.data())
def test_vidal_form_and_back(backend: Any, psi: MPS, data: st.DataObject) -> None:
    form = tnkit.to_vidal(on(psi, backend))
    centre = data.draw(st.integers(0, len(psi) - 1))
    back = tnkit.from_vidal(form, centre)
    assert_canonical(back, centre)
    assert_same_state(back, psi)
    for bond, found in enumerate(form.lambdas):
        found = to_numpy(found)
        expected = tnkit.schmidt_values(psi, bond)
        assert np.allclose(found, expected[: len(found)], atol=1e-12)
        opened = tnkit.bond_form(psi, bond)
        carried = np.einsum("ldr,r->ldr", opened.left[-1], opened.values)
        state = MPS(
            (*opened.left[:-1], carried, *opened.right), psi.sites, log_scale=opened.log_scale
        )
        assert_same_state(state, psi)


def test_small_schmidt_values_do_not_spoil_the_vidal_form() -> None:
    # dividing by the left lambda everywhere, as usual, leaves isometries wrong by 2e-9 here
    dims, rng = 16, np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((dims, dims)))[0] for _ in range(2))
    faint = u * 10.0 ** (-np.arange(dims) / 2) @ v
    arrays = list(tnkit.mps_from_dense(faint.reshape([2] * 8)).arrays)
    for k in range(7):  # a gauge that hides which values are small
        turn = rng.standard_normal((arrays[k].shape[2],) * 2)
        arrays[k] = arrays[k] @ turn
        arrays[k + 1] = np.einsum("ab,bdr->adr", np.linalg.inv(turn), arrays[k + 1])
    form = tnkit.to_vidal(MPS.from_arrays(arrays))
    for centre in range(8):
        assert_canonical(tnkit.from_vidal(form, centre), centre)


# ---- sampling


@given(psi=states(max_sites=4, dtypes=doubles))
def test_log_probabilities_of_all_configurations_sum_to_one(backend: Any, psi: MPS) -> None:
    every = np.array(list(itertools.product(*map(range, psi.site_dims))))
    logs = tnkit.log_probability(on(psi, backend), every)
    expected = np.abs(unit(psi).reshape(-1)) ** 2
    assert np.allclose(np.exp(logs), expected, atol=1e-12)
    assert np.exp(logs).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("centre", [None, 0, 3])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_samples_have_the_exact_frequencies(backend: Any, dtype: str, centre: int | None) -> None:
    psi = tnkit.random_mps(4, [2, 3, 1, 2], bond_dim=3, dtype=dtype, seed=5)
    moved = on(psi, backend)
    state = MPS(moved.arrays, moved.sites) if centre is None else tnkit.canonicalize(moved, centre)
    n = 40_000
    drawn = tnkit.sample(state, n, seed=1)
    assert drawn.shape == (n, 4)
    assert drawn.dtype == np.uint8
    counts = np.zeros(psi.site_dims)
    np.add.at(counts, tuple(drawn.T), 1)
    expected = np.abs(unit(psi)) ** 2
    chi = ((counts - n * expected) ** 2 / (n * np.maximum(expected, 1e-12))).sum()
    assert chi < 11 + 5 * math.sqrt(22)  # 11 degrees of freedom
    assert np.array_equal(tnkit.sample(state, 50, seed=1), tnkit.sample(state, 50, seed=1))


def test_the_device_path_draws_the_same_samples() -> None:
    psi = tnkit.random_mps(9, 3, bond_dim=5, seed=2)
    host = sampling._draw(psi.arrays, 500, np.random.default_rng(3), np.uint8)
    torch = pytest.importorskip("torch", reason="PyTorch not installed")
    arrays = tuple(torch.from_numpy(a) for a in psi.arrays)
    with count_transfers() as transfers:
        found = sampling._draw_on_device(arrays, 500, np.random.default_rng(3), np.uint8)
    # the uniform numbers of all sites there, the samples back
    assert transfers == ["asarray", "__array__"]
    assert np.array_equal(found, host)


@given(psi=some, data=st.data())
def test_conditionals_are_ratios_of_joint_probabilities(psi: MPS, data: st.DataObject) -> None:
    joint = np.abs(unit(psi)) ** 2
    site = data.draw(st.integers(0, len(psi) - 1))
    value = data.draw(st.integers(0, psi.site_dims[site] - 1))
    row = joint.take(value, axis=site)
    if row.sum() < 1e-6:
        return
    found = tnkit.site_probabilities(psi, {site: value})
    others = [k for k in range(len(psi)) if k != site]
    for axis, k in enumerate(others):
        summed = row.sum(axis=tuple(a for a in range(len(others)) if a != axis)) / row.sum()
        assert np.allclose(found[psi.sites[k]], summed, atol=1e-9)


@given(psi=some, seed=st.integers(0, 100))
def test_measuring_collapses(backend: Any, psi: MPS, seed: int) -> None:
    site = seed % len(psi)
    found = tnkit.measure(on(psi, backend), site, seed=seed)
    assert_canonical(found.state)
    value = found.values[psi.sites[site]]
    joint = np.abs(unit(psi)) ** 2
    chance = joint.take(value, axis=site).sum()
    assert found.log_probability == pytest.approx(math.log(chance), abs=1e-9)
    expected = np.zeros_like(unit(psi))
    index = (slice(None),) * site + (value,)
    expected[index] = unit(psi)[index] / math.sqrt(chance)
    assert abs(np.vdot(expected, unit(found.state))) == pytest.approx(1.0, abs=1e-9)


def test_what_is_impossible_is_said() -> None:
    ghz = tnkit.ghz_mps(3)
    with pytest.raises(tnkit.ArgumentError, match="probability zero"):
        tnkit.condition(ghz, {0: 0, 1: 1})
    assert tnkit.log_probability(ghz, [[0, 1, 0]])[0] == -math.inf
    with pytest.raises(tnkit.ArgumentError, match="takes values 0 to 1"):
        tnkit.log_probability(ghz, [[0, 2, 0]])


def test_a_change_of_basis_changes_what_is_sampled() -> None:
    turn = np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
    plus = tnkit.product_mps([[1.0, 1.0]] * 6)
    assert not tnkit.sample(
        tnkit.apply_local(plus, dict.fromkeys(range(6), turn)), 20, seed=0
    ).any()
