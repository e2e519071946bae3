"""Lattices: numbers of points and bonds, coordination, geometry; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit

networkx = pytest.importorskip("networkx")

# points and bonds a unit cell, neighbours a point
KINDS = {
    "square": (2, 1, 2, 4),
    "triangular": (2, 1, 3, 6),
    "honeycomb": (2, 2, 3, 3),
    "kagome": (2, 3, 6, 4),
    "cubic": (3, 1, 3, 6),
    "chain": (1, 1, 1, 2),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_periodic_lattice_has_the_coordination_of_its_kind(kind: str, data: Any) -> None:
    axes, points, bonds, neighbours = KINDS[kind]
    sides = [data.draw(st.integers(3, 5)) for _ in range(axes)]
    graph = tnkit.lattice(kind, *sides, periodic=True)
    assert graph.number_of_nodes() == points * np.prod(sides)
    assert graph.number_of_edges() == bonds * np.prod(sides)
    assert {degree for _, degree in graph.degree} == {neighbours}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_open_bonds_join_nearest_points(kind: str, data: Any) -> None:
    axes = KINDS[kind][0]
    graph = tnkit.lattice(kind, *[data.draw(st.integers(1, 4)) for _ in range(axes)])
    place = {node: np.array(at) for node, at in graph.nodes(data="position")}
    nodes = list(graph.nodes)
    near = {
        frozenset((a, b))
        for i, a in enumerate(nodes)
        for b in nodes[:i]
        if abs(np.linalg.norm(place[a] - place[b]) - 1.0) < 1e-9
    }
    assert {frozenset(edge) for edge in graph.edges} == near
    assert all(np.linalg.norm(place[a] - place[b]) > 0.99 for i, a in enumerate(nodes)
               for b in nodes[:i])  # fmt: skip


def test_known_graphs() -> None:
    same = networkx.is_isomorphic
    assert same(tnkit.lattice("square", 3, 4), networkx.grid_2d_graph(3, 4))
    assert same(tnkit.lattice("chain", 7, periodic=True), networkx.cycle_graph(7))
    assert same(tnkit.lattice("hypercubic", 2, 2, 2, 2), networkx.hypercube_graph(4))
    torus = networkx.grid_graph([3, 4, 5], periodic=True)
    assert same(tnkit.lattice("cubic", 3, 4, 5, periodic=True), torus)
    assert same(tnkit.tree_graph(3, 3), networkx.balanced_tree(3, 3))
    cylinder = networkx.cartesian_product(networkx.path_graph(4), networkx.cycle_graph(3))
    assert same(tnkit.lattice("square", 4, 3, periodic=(False, True)), cylinder)
    assert same(tnkit.random_regular_graph(3, 10, 1), networkx.random_regular_graph(3, 10, 1))


def test_what_is_refused() -> None:
    with pytest.raises(tnkit.ArgumentError, match=r"square lattice of sides \(2, 3\): periodic"):
        tnkit.lattice("square", 2, 3, periodic=True)
    with pytest.raises(tnkit.ArgumentError, match="unknown lattice 'hexagonal'; one of chain"):
        tnkit.lattice("hexagonal", 2, 2)
    with pytest.raises(tnkit.ArgumentError, match="a kagome lattice has 2"):
        tnkit.lattice("kagome", 3)
    with pytest.raises(tnkit.ArgumentError, match="at least 1, got 0"):
        tnkit.lattice("chain", 0)
    with pytest.raises(tnkit.ArgumentTypeError, match=r"whole number, got 2\.5"):
        tnkit.lattice("chain", 2.5)  # type: ignore[arg-type]
    with pytest.raises(tnkit.ArgumentError, match="no graph of 5 vertices has degree 3"):
        tnkit.random_regular_graph(3, 5, 0)
    with pytest.raises(tnkit.ArgumentError, match="node 0 has no attribute position"):
        tnkit.lattice_positions(networkx.path_graph(2))
