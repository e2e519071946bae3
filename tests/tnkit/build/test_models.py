"""Models and counts against enumeration over all states, and against known answers."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import contract, contract_scaled

networkx = pytest.importorskip("networkx")


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 6, loops: bool = False) -> Any:
    count = draw(st.integers(1, max_nodes))
    graph = networkx.Graph()
    graph.add_nodes_from(range(count))
    pairs = [(a, b) for a in range(count) for b in range(a + (not loops), count)]
    graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])
    for node in graph:
        graph.nodes[node]["h"] = draw(st.floats(-1, 1))
    for edge in graph.edges:
        graph.edges[edge]["J"] = draw(st.floats(-1, 1))
    return graph


def enumerate_states(graph: Any, states: int, weight: Any) -> float:
    nodes = list(graph.nodes)
    return sum(
        weight(dict(zip(nodes, values, strict=True)))
        for values in itertools.product(range(states), repeat=len(nodes))
    )


@given(graph=graphs(loops=True), beta=st.floats(-1, 1))
def test_ising_is_the_sum_over_spins(graph: Any, beta: float) -> None:
    def weight(x: dict[Any, int]) -> float:
        spin = {node: 1 - 2 * value for node, value in x.items()}
        energy = sum(about["J"] * spin[a] * spin[b] for a, b, about in graph.edges(data=True))
        energy += sum(h * spin[node] for node, h in graph.nodes(data="h"))
        return math.exp(beta * energy)

    expected = enumerate_states(graph, 2, weight)
    found = contract(tnkit.ising_network(graph, beta, coupling="J", field="h")).item()
    assert found == pytest.approx(expected, rel=1e-12)
    couplings = {(b, a): about["J"] for a, b, about in graph.edges(data=True)}
    fields = dict(graph.nodes(data="h"))
    again = tnkit.ising_network(graph, beta, coupling=couplings, field=fields)
    assert contract(again).item() == pytest.approx(expected, rel=1e-12)


@given(graph=graphs(max_nodes=5), states=st.integers(1, 3), beta=st.floats(-1, 1))
def test_potts_is_the_sum_over_states(graph: Any, states: int, beta: float) -> None:
    fields = {node: [h * (k + 1) for k in range(states)] for node, h in graph.nodes(data="h")}

    def weight(x: dict[Any, int]) -> float:
        energy = sum(about["J"] * (x[a] == x[b]) for a, b, about in graph.edges(data=True))
        return math.exp(beta * (energy + sum(fields[node][x[node]] for node in graph)))

    network = tnkit.potts_network(graph, states, beta, coupling="J", field=fields)
    expected = enumerate_states(graph, states, weight)
    assert contract(network).item() == pytest.approx(expected, rel=1e-12)


@given(graph=graphs(), states=st.integers(1, 3))
def test_colourings_and_independent_sets_are_counted(graph: Any, states: int) -> None:
    proper = enumerate_states(graph, states, lambda x: all(x[a] != x[b] for a, b in graph.edges))
    assert contract(tnkit.colouring_network(graph, states)).item() == proper
    sets = enumerate_states(
        graph,
        2,
        lambda x: (
            all(x[a] + x[b] < 2 for a, b in graph.edges)
            * math.prod(h for node, h in graph.nodes(data="h") if x[node])
        ),
    )
    network = tnkit.independent_set_network(graph, activity="h")
    assert contract(network).item() == pytest.approx(sets, rel=1e-12, abs=1e-12)


@given(graph=graphs(), monomer=st.sampled_from([0.0, 1.0, 0.3]))
def test_dimers_are_counted_with_their_weights(graph: Any, monomer: float) -> None:
    edges = list(graph.edges(data="J"))
    expected = 0.0
    for chosen in itertools.product([0, 1], repeat=len(edges)):
        covered = [
            node for (a, b, _), on in zip(edges, chosen, strict=True) if on for node in (a, b)
        ]
        if len(set(covered)) == len(covered):
            expected += math.prod(J for (_, _, J), on in zip(edges, chosen, strict=True) if on) * (
                monomer ** (len(graph) - len(covered))
            )
    network = tnkit.dimer_network(graph, weight="J", monomer=monomer)
    assert contract(network).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_hub_of_forty_edges_costs_nothing() -> None:
    star = networkx.star_graph(40)
    assert contract(tnkit.dimer_network(star, monomer=1.0)).item() == 41
    assert max(t.array.size for t in tnkit.dimer_network(star).tensors) <= 8


def test_marginals_stay_open() -> None:
    network = tnkit.ising_network(tnkit.lattice("square", 2, 2), 0.4, field=0.3)
    kept = contract(network.with_output("(0, 1)")).to_numpy()
    assert kept.sum() == pytest.approx(contract(network).item())
    assert kept[0] > kept[1]


def test_attributes_become_tags() -> None:
    graph = networkx.path_graph(2)
    graph.nodes[0]["colour"] = "red"
    network = tnkit.ising_network(graph, 1.0)
    assert network.find("colour=red") == (0,)
    assert network.find(["0", "edge"]) == (2,)
    assert tnkit.peps_network(graph, bond_dim=2).find("colour=red") == (0,)


@pytest.fixture(scope="module")
def analytic(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "reference" / "analytic.json").read_text())
    return found


@pytest.mark.parametrize(("side", "beta"), [(2, 0.3), (3, 0.3), (4, 0.4), (5, 0.3)])
def test_known_ising(analytic: dict[str, Any], side: int, beta: float) -> None:
    found = contract_scaled(tnkit.ising_network(tnkit.lattice("square", side, side), beta))
    expected = analytic[f"ising2d_open_{side}x{side}_beta{beta}_lnZ"]
    assert float(found.log_abs) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("side", "beta"), [(3, 0.3), (4, 0.4)])
def test_known_periodic_ising(analytic: dict[str, Any], side: int, beta: float) -> None:
    torus = tnkit.lattice("square", side, side, periodic=True)
    expected = analytic[f"ising2d_periodic_{side}x{side}_beta{beta}_Z"]
    assert contract(tnkit.ising_network(torus, beta)).item() == pytest.approx(expected, rel=1e-13)


def kasteleyn(rows: int, columns: int) -> float:
    """Return the logarithm of the number of dimer coverings (Kasteleyn, Physica 27, 1209, 1961)."""
    return sum(
        0.25
        * math.log(
            4 * math.cos(math.pi * j / (rows + 1)) ** 2
            + 4 * math.cos(math.pi * k / (columns + 1)) ** 2
        )
        for j in range(1, rows + 1)
        for k in range(1, columns + 1)
    )


@pytest.mark.parametrize("size", ["2x2", "4x4", "6x6", "4x5", "2x10"])
def test_known_dimers(analytic: dict[str, Any], size: str) -> None:
    grid = tnkit.lattice("square", *map(int, size.split("x")))
    assert contract(tnkit.dimer_network(grid)).item() == analytic[f"dimer_open_{size}"]


def test_dimers_beyond_a_whole_number() -> None:
    found = contract_scaled(tnkit.dimer_network(tnkit.lattice("square", 12, 20)))
    assert float(found.log_abs) == pytest.approx(kasteleyn(12, 20), rel=1e-12)


@pytest.mark.parametrize("side", range(1, 7))
def test_known_independent_sets(analytic: dict[str, Any], side: int) -> None:
    network = tnkit.independent_set_network(tnkit.lattice("square", side, side))
    assert contract(network).item() == analytic[f"independent_sets_grid_{side}x{side}"]


@pytest.mark.parametrize("side", [2, 3, 4])
def test_known_colourings(analytic: dict[str, Any], side: int) -> None:
    network = tnkit.colouring_network(tnkit.lattice("square", side, side), 3)
    assert contract(network).item() == analytic[f"3colorings_grid_{side}x{side}"]


@pytest.mark.parametrize(("q", "n"), [(3, 5), (4, 6), (2, 7)])
def test_colourings_of_a_ring(q: int, n: int) -> None:
    network = tnkit.colouring_network(tnkit.lattice("chain", n, periodic=True), q)
    assert contract(network).item() == (q - 1) ** n + (-1) ** n * (q - 1)


@given(levels=st.integers(1, 2), bond=st.integers(1, 4), seed=st.integers(0, 99),
       dtype=st.sampled_from(["float64", "complex128"]))  # fmt: skip
def test_a_mera_has_norm_one(levels: int, bond: int, seed: int, dtype: str) -> None:
    mera = tnkit.mera_network(levels, bond_dim=bond, dtype=dtype, seed=seed)
    assert contract(mera | mera.conj()).item() == pytest.approx(1.0, rel=1e-12)


@given(graph=graphs(max_nodes=5), seed=st.integers(0, 99))
def test_a_peps_is_the_contraction_of_its_bonds(graph: Any, seed: int) -> None:
    state = tnkit.peps_network(graph, bond_dim=2, site_dim=3, seed=seed)
    names = {name: chr(97 + k) for k, name in enumerate(state.sizes)}
    terms = ",".join("".join(names[n] for n in t.names) for t in state.tensors)
    spec = f"{terms}->{''.join(names[n] for n in state.output)}"
    assert np.allclose(contract(state).to_numpy(), np.einsum(spec, *state.arrays), atol=1e-12)


def test_what_is_refused() -> None:
    path = networkx.path_graph(2)
    with pytest.raises(tnkit.ArgumentError, match=r"edge \(0, 1\) has no attribute 'J'"):
        tnkit.ising_network(path, 1.0, coupling="J")
    with pytest.raises(tnkit.ArgumentError, match="field has no value for node 1"):
        tnkit.ising_network(path, 1.0, field={0: 1.0})
    with pytest.raises(tnkit.NonFiniteError, match=r"exp\(1000\) is not a float"):
        tnkit.ising_network(path, 1000.0)
    with pytest.raises(tnkit.ArgumentTypeError, match="expected a networkx graph, got a list"):
        tnkit.ising_network([(0, 1)], 1.0)
    with pytest.raises(tnkit.ArgumentError, match=r"use graph\.to_undirected"):
        tnkit.colouring_network(networkx.DiGraph(path), 2)
    with pytest.raises(tnkit.ArgumentError, match="have one name, '0'"):
        tnkit.ising_network(networkx.Graph([(0, "0")]), 1.0)
    with pytest.raises(tnkit.ArgumentError, match="node 0 has an edge to itself"):
        tnkit.dimer_network(networkx.Graph([(0, 0)]))
    with pytest.raises(tnkit.ArgumentError, match="bond_dim must be a whole number from 1 up"):
        tnkit.peps_network(path, bond_dim=0)
