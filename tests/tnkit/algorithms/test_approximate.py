"""Approximate contraction: exact where nothing is cut, honest where something is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, Truncation, contract_scaled, testing
from tnkit.algorithms.approximation import relative_difference

networkx = pytest.importorskip("networkx")


def spins(graph: Any, seed: int, strength: float = 0.7) -> TensorNetwork:
    """Return an Ising model with random couplings and fields: nothing is symmetric."""
    rng = np.random.default_rng(seed)
    couplings = {edge: strength * rng.standard_normal() for edge in graph.edges}
    fields = {node: rng.standard_normal() for node in graph}
    return tnkit.ising_network(graph, 1.0, coupling=couplings, field=fields)


def off(found: tnkit.Approximation, network: TensorNetwork) -> float:
    return relative_difference(found.value, contract_scaled(network))


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), seed=st.integers(0, 99),
       bond=st.integers(1, 2), dtype=st.sampled_from(["float64", "complex128"]))  # fmt: skip
def test_without_cuts_the_boundary_is_exact(
    rows: int, columns: int, seed: int, bond: int, dtype: str
) -> None:
    grid = tnkit.lattice("square", rows, columns)
    peps = tnkit.peps_network(grid, bond_dim=bond, site_dim=0, dtype=dtype, seed=seed)
    for network in (peps, spins(grid, seed)):
        found = tnkit.boundary_contract(network, Truncation())
        assert off(found, network) < 1e-9
        assert found.discarded_weight < 1e-25


@given(seed=st.integers(0, 99), nodes=st.integers(1, 8))
def test_without_cuts_compressed_contraction_is_exact(seed: int, nodes: int) -> None:
    graph = networkx.gnp_random_graph(nodes, 0.4, seed=seed)  # parts, hubs, single vertices
    for network in (spins(graph, seed), tnkit.dimer_network(graph, monomer=0.5)):
        found = tnkit.compressed_contract(network, Truncation())
        assert off(found, network) < 1e-10


@given(network=testing.networks(dtypes=["float64", "complex128"]))
def test_any_scalar_network_can_be_compressed(network: TensorNetwork) -> None:
    scalar = network.with_output()
    exact = tnkit.contract(scalar).item()
    found = tnkit.compressed_contract(scalar, Truncation())
    size = math.prod(float(np.abs(t.to_numpy()).sum()) for t in scalar.tensors)
    assert complex(found.value) == pytest.approx(exact, rel=1e-9, abs=1e-12 * size)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bond", [2, 4])
def test_the_boundary_knows_its_error(seed: int, bond: int) -> None:
    network = spins(tnkit.lattice("square", 8, 8), seed)
    found = tnkit.boundary_contract(network, Truncation(max_bond=bond))
    true = off(found, network)
    assert true <= 5 * found.error
    assert found.error < 0.2
    assert found.trusted is (found.error <= 1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bond", [2, 4])
def test_compressed_contraction_knows_its_error(seed: int, bond: int) -> None:
    network = spins(tnkit.random_regular_graph(3, 30, seed), seed)
    found = tnkit.compressed_contract(network, Truncation(max_bond=bond))
    assert off(found, network) <= 5 * found.error
    again = tnkit.compressed_contract(network, Truncation(max_bond=bond))
    assert float(again.value.log_abs) == float(found.value.log_abs)


def test_symmetry_does_not_hide_an_error() -> None:
    """With bond 1 every cut of the symmetric model agrees on the same wrong value."""
    network = tnkit.ising_network(tnkit.lattice("square", 8, 8), 0.44)
    found = tnkit.boundary_contract(network, Truncation(max_bond=1))
    assert off(found, network) > 0.5
    assert not found.trusted
    assert "NOT TO BE TRUSTED" in repr(found)


def test_a_sum_that_cancels_is_not_trusted() -> None:
    top, bottom = np.array([1.0, 1.0]), np.array([1.0, -1.0 + 1e-9])
    network = TensorNetwork([Tensor(top, ["a"], ["(0, 0)"]), Tensor(bottom, ["a"], ["(1, 0)"])])
    found = tnkit.boundary_contract(network, Truncation(), directions=["rows"])
    assert found.warnings[0].startswith("the boundaries of both sides overlap to 5e-10 only")
    rng = np.random.default_rng(0)
    grid = tnkit.lattice("square", 6, 6)
    signs = tnkit.peps_network(
        grid, bond_dim=3, site_dim=0, array=lambda node, shape: rng.standard_normal(shape)
    )
    assert not tnkit.boundary_contract(signs, Truncation(max_bond=8)).trusted


def test_both_directions_are_compared() -> None:
    network = spins(tnkit.lattice("square", 5, 7), 1)
    both = tnkit.boundary_contract(network, Truncation(max_bond=3))
    rows = tnkit.boundary_contract(network, Truncation(max_bond=3), directions=["rows"])
    columns = tnkit.boundary_contract(network, Truncation(max_bond=3), directions=["columns"])
    assert (len(rows.estimates), len(columns.estimates), len(both.estimates)) == (5, 7, 12)
    assert float(both.value.log_abs) in {float(r.value.log_abs) for r in (rows, columns)}


def test_cells_may_be_given() -> None:
    graph = networkx.relabel_nodes(
        networkx.grid_2d_graph(3, 4), lambda node: f"{node[0]}|{node[1]}"
    )
    network = spins(graph, 0)
    cells = {f"{r}|{c}": (r, c) for r in range(3) for c in range(4)}
    found = tnkit.boundary_contract(network, Truncation(), cells=cells)
    assert off(found, network) < 1e-12
    listed = [min(cells[tag] for tag in t.tags if tag in cells) for t in network.tensors]
    again = tnkit.boundary_contract(network, Truncation(), cells=listed)
    assert off(again, network) < 1e-12


def test_values_beyond_a_float_and_other_libraries(library: testing.Backend) -> None:
    network = tnkit.ising_network(tnkit.lattice("square", 8, 12), 5.0)
    there = testing.on(network, library)
    for found in (
        tnkit.boundary_contract(there, Truncation(max_bond=4)),
        tnkit.compressed_contract(there, Truncation(max_bond=4), distance=0),
    ):
        # two ground states, and a corner turned over
        expected = 5 * (7 * 12 + 8 * 11) + math.log(2) + 4 * math.exp(-20)
        assert float(found.value.log_abs) == pytest.approx(expected, abs=2e-5)


def test_onsager_is_approached(shared: Path) -> None:
    """Ln Z of an L x L block, second differences of which are the bulk value a site."""
    analytic = json.loads((shared / "reference" / "analytic.json").read_text())

    def log_z(rows: int, columns: int, bond: int) -> float:
        network = tnkit.ising_network(tnkit.lattice("square", rows, columns), 0.3)
        found = tnkit.boundary_contract(network, Truncation(max_bond=bond), directions=["rows"])
        return float(found.value.log_abs)

    errors = []
    for bond in (1, 2, 4):
        n, m = 12, 13
        bulk = log_z(m, m, bond) - 2 * log_z(n, m, bond) + log_z(n, n, bond)
        errors.append(abs(bulk - analytic["ising2d_lnZ_per_site_infinite_beta0.300000"]))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


# ---- belief propagation


@given(seed=st.integers(0, 99), nodes=st.integers(1, 9))
def test_belief_propagation_is_exact_on_trees(seed: int, nodes: int) -> None:
    tree = networkx.Graph(networkx.random_labeled_tree(nodes, seed=seed))
    for network in (spins(tree, seed), tnkit.dimer_network(tree, monomer=0.5)):
        found = tnkit.belief_propagation(network)
        assert off(found, network) < 1e-10
        assert found.loops == 0
        assert found.trusted
    network = spins(tree, seed)
    weights = tnkit.contract(network.with_output("0")).to_numpy()
    marginals = tnkit.belief_propagation(network).marginals
    assert marginals["0"] == pytest.approx(weights / weights.sum(), rel=1e-9)


@pytest.mark.parametrize("strength", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_loops_tell_the_error_of_belief_propagation(seed: int, strength: float) -> None:
    network = spins(tnkit.random_regular_graph(3, 30, seed), seed, strength)
    found = tnkit.belief_propagation(network, damping=0.2)
    true = off(found, network)
    assert found.residual <= 1e-12
    assert true <= 5 * found.error
    assert found.trusted is (found.error <= 1e-3)


def test_one_loop_is_known_exactly() -> None:
    """On a ring the loop correction is the whole error."""
    network = spins(tnkit.lattice("chain", 7, periodic=True), 3)
    found = tnkit.belief_propagation(network)
    assert found.loops == 1
    signed = float(contract_scaled(network).value) / float(found.value) - 1.0
    assert found.error == pytest.approx(abs(signed), rel=1e-6)


def test_what_does_not_converge_says_so() -> None:
    clash = 1.0 - np.eye(2)
    names = [["a", "b"], ["b", "c"], ["c", "a"]]
    network = TensorNetwork(
        [*(Tensor(clash, n) for n in names), Tensor(np.array([1.0, 0.3]), ["a"])], []
    )
    found = tnkit.belief_propagation(network, max_iterations=50)
    assert not found.trusted
    assert found.warnings[0].startswith("not converged")
    zero = TensorNetwork(
        [Tensor(np.array([1.0, 0.0]), ["a"]), Tensor(np.array([0.0, 1.0]), ["a"])], []
    )
    none = tnkit.belief_propagation(zero)
    assert float(none.value.log_abs) == -math.inf
    assert not np.isnan(none.marginals["a"]).any()


def test_what_is_refused() -> None:
    grid = tnkit.lattice("square", 3, 3)
    network = tnkit.ising_network(grid, 0.3)
    with pytest.raises(tnkit.ArgumentError, match=r"expected a scalar, but \(0, 1\) is open"):
        tnkit.boundary_contract(network.with_output("(0, 1)"), Truncation())
    torus = tnkit.ising_network(tnkit.lattice("square", 3, 3, periodic=True), 0.3)
    with pytest.raises(tnkit.ArgumentError, match="which are no neighbours"):
        tnkit.boundary_contract(torus, Truncation())
    with pytest.raises(tnkit.ArgumentError, match="has no cell; tag it"):
        tnkit.boundary_contract(tnkit.ising_network(networkx.path_graph(3), 1.0), Truncation())
    with pytest.raises(tnkit.ArgumentError, match="directions are 'rows' and 'columns'"):
        tnkit.boundary_contract(network, Truncation(), directions=["up"])
    with pytest.raises(tnkit.MemoryLimitError, match="the limit is 64"):
        tnkit.compressed_contract(network, Truncation(), memory_limit=64)
    with pytest.raises(tnkit.ArgumentTypeError, match="truncation must be a Truncation, got 8"):
        tnkit.compressed_contract(network, 8)  # type: ignore[arg-type]
    with pytest.raises(tnkit.ArgumentError, match=r"damping must lie in \[0, 1\)"):
        tnkit.belief_propagation(network, damping=1.0)
