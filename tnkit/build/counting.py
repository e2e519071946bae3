"""Counting problems on graphs as networks: dimers, colourings, independent sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tnkit.build.models import (
    Values,
    checked_graph,
    edge_value,
    node_tags,
    node_value,
    pair_network,
)
from tnkit.checking import check_memory, checked
from tnkit.errors import ArgumentError, NonFiniteError
from tnkit.index import fresh_name
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["automaton", "colouring_network", "dimer_network", "independent_set_network"]

_WIDE = 6


_MOST_BYTES = 2**36


def _finite(value: Any, what: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise NonFiniteError(f"{what} must be finite, got {value!r}")
    return number


@checked
def dimer_network(graph: Any, *, weight: Values = 1.0, monomer: Values = 0.0) -> TensorNetwork:
    """Return the network that counts the perfect matchings of a graph.

    Each edge is an index, 1 where a dimer covers it; at each vertex exactly one edge is covered.
    weight: of a dimer, a number, the name of an edge attribute, or {(a, b): weight}. monomer: the
    weight of a vertex left alone; 1.0 counts all matchings. A vertex of more than six edges becomes
    a chain of small tensors, so that a hub costs nothing. Float64: counts are exact up to 2^53,
    `contract_scaled` goes on beyond.

    >>> from tnkit.build.lattices import lattice
    >>> from tnkit.contraction import contract
    >>> contract(dimer_network(lattice("square", 4, 4))).item()
    36.0
    """
    checked_graph(graph)
    names: dict[Any, list[str]] = {node: [] for node in graph.nodes}
    scales: dict[Any, list[Any]] = {node: [] for node in graph.nodes}
    for number, (one, two, about) in enumerate(graph.edges(data=True)):
        if one == two:
            raise ArgumentError(f"node {one!r} has an edge to itself, which no dimer can cover")
        value = _finite(edge_value(weight, "weight", one, two, about), "weight")
        for node, factor in ((one, value), (two, 1.0)):
            names[node].append(f"e{number}")
            scales[node].append(factor)
    tensors: list[Tensor] = []
    taken = {name for found in names.values() for name in found}
    for node, about in graph.nodes(data=True):
        alone = _finite(node_value(monomer, "monomer", node, about), "monomer")
        moves = []
        for scale in scales[node]:
            step = np.zeros((2, 2, 2))  # (covered before, this edge, covered after)
            step[0, 0, 0] = step[1, 0, 1] = 1.0
            step[0, 1, 1] = scale
            moves.append(step)
        end = np.array([alone, 1.0])
        tags = node_tags(node, about)
        tensors += automaton(names[node], moves, np.array([1.0, 0.0]), end, tags, taken)
    return TensorNetwork(tensors, [])


@checked
def colouring_network(graph: Any, colours: int) -> TensorNetwork:
    """Return the network that counts proper colourings: no edge joins two vertices of one colour.

    Float64: exact up to 2^53, `contract_scaled` beyond.

    >>> import networkx
    >>> from tnkit.contraction import contract
    >>> contract(colouring_network(networkx.cycle_graph(5), 3)).item()
    30.0
    """
    if colours < 1:
        raise ArgumentError(f"colours must be a whole number from 1 up, got {colours!r}")
    check_memory(8 * int(colours) ** 2, _MOST_BYTES, f"{colours} colours: a tensor")
    unequal = 1.0 - np.eye(colours)
    return pair_network(graph, colours, lambda a, b, about: unequal)


@checked
def independent_set_network(graph: Any, *, activity: Values = 1.0) -> TensorNetwork:
    """Return the network of the sum over independent sets of the product of their activities.

    Activity 1.0 counts them, the empty set included (the hard-core model at activity z otherwise).
    activity: a number, the name of a node attribute, or {node: value}.

    >>> from tnkit.build.lattices import lattice
    >>> from tnkit.contraction import contract
    >>> contract(independent_set_network(lattice("square", 3, 3))).item()
    63.0
    """
    apart = np.array([[1.0, 1.0], [1.0, 0.0]])

    def vertex(node: Any, about: Mapping[str, Any]) -> Any:
        value = node_value(activity, "activity", node, about)
        return np.array([1.0, _finite(value, "activity")])

    return pair_network(graph, 2, lambda a, b, about: apart, vertex)


def automaton(
    names: Sequence[str],
    moves: Sequence[Any],
    start: Any,
    end: Any,
    tags: Sequence[str],
    taken: set[str],
) -> list[Tensor]:
    """Return the tensors of a weight read off its indices one by one by a finite automaton.

    moves: one (before, index, after) array an index; start and end: (state,) vectors. Up to six
    indices give one dense tensor, more a chain with new bonds; their names are added to `taken`.
    """
    if len(names) <= _WIDE:
        dense = np.asarray(start)[None, :]  # (indices so far, state)
        shape = []
        for move in moves:
            dense = np.einsum("xs,sit->xit", dense, move).reshape(-1, move.shape[2])
            shape.append(move.shape[1])
        return [Tensor((dense @ end).reshape(shape), names, tags)]
    arrays = [np.asarray(move) for move in moves]
    first = np.einsum("s,sit->it", start, arrays[0])
    last = np.einsum("sit,t->si", arrays[-1], end)
    bonds = []
    for _ in names[1:]:
        bonds.append(fresh_name(f"{names[0]}_chain", taken))
        taken.add(bonds[-1])
    tensors = [Tensor(first, [names[0], bonds[0]], tags)]
    for k in range(1, len(names) - 1):
        tensors.append(Tensor(arrays[k], [bonds[k - 1], names[k], bonds[k]], tags))
    tensors.append(Tensor(last, [bonds[-1], names[-1]], tags))
    return tensors
