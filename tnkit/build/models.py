"""Models on graphs: a hyperedge a vertex, a tensor an edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tnkit.checking import check_memory, checked
from tnkit.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = [
    "checked_graph",
    "edge_value",
    "ising_network",
    "node_tags",
    "node_value",
    "pair_network",
    "potts_network",
]

Values = float | str | Mapping[Any, float]
_MOST_BYTES = 2**36


@checked
def pair_network(
    graph: Any,
    states: int,
    edge: Callable[[Any, Any, Mapping[str, Any]], Any],
    vertex: Callable[[Any, Mapping[str, Any]], Any] | None = None,
) -> TensorNetwork:
    """Return the sum over all vertex states of a product of pair weights, on any networkx graph.

    edge(one, two, attributes) gives a (states, states) array, its rows the first vertex;
    vertex(node, attributes) a (states,) array, ones by default. The index of a vertex is
    str(node): a hyperedge, so that no copy tensors are needed; with
    ``network.with_output("(0, 0)")`` it stays, which gives a marginal. Tensors are tagged with the
    vertices they belong to and "vertex" or "edge", vertex tensors also with the node's attributes,
    as "name=value". Parallel edges multiply, a self-loop weighs (state, state).

    >>> import networkx
    >>> square = networkx.cycle_graph(4)
    >>> from tnkit.contraction import contract
    >>> contract(pair_network(square, 2, lambda a, b, about: np.ones((2, 2)))).item()
    16.0
    """
    checked_graph(graph)
    if isinstance(states, bool) or not isinstance(states, int | np.integer) or states < 1:
        raise ArgumentError(f"states must be a whole number from 1 up, got {states!r}")
    check_memory(16 * int(states) ** 2, _MOST_BYTES, f"{states} states: the tensor of an edge")
    tensors = []
    for node, about in graph.nodes(data=True):
        weights = np.ones(states) if vertex is None else np.asarray(vertex(node, about))
        tensors.append(Tensor(weights, [str(node)], [*node_tags(node, about), "vertex"]))
    for one, two, about in graph.edges(data=True):
        weights = np.asarray(edge(one, two, about))
        tensors.append(Tensor(weights, [str(one), str(two)], [str(one), str(two), "edge"]))
    return TensorNetwork(tensors, [])


@checked
def ising_network(
    graph: Any, beta: float, *, coupling: Values = 1.0, field: Values = 0.0
) -> TensorNetwork:
    """Return Z = sum over spins +-1 of exp(beta (sum J_ab s_a s_b + sum h_a s_a)) as a network.

    State 0 of a vertex is spin +1, state 1 spin -1. coupling, field: a number, the name of an
    edge (node) attribute, or a mapping {edge: J} with edges as (a, b) in either order ({node: h}).
    Values can be huge: use `contract_scaled`. Raises `ArgumentError` for an edge or node without a
    value, `NonFiniteError` for NaN, Inf and weights beyond a float.

    >>> from tnkit.build.lattices import lattice
    >>> from tnkit.contraction import contract_scaled
    >>> round(float(contract_scaled(ising_network(lattice("square", 2, 2), 0.3)).log_abs), 6)
    2.957128
    """
    spins = np.array([1.0, -1.0])
    pairs = np.outer(spins, spins)
    return pair_network(
        graph,
        2,
        lambda a, b, about: _boltzmann(beta, edge_value(coupling, "coupling", a, b, about) * pairs),
        lambda node, about: _boltzmann(beta, node_value(field, "field", node, about) * spins),
    )


@checked
def potts_network(
    graph: Any,
    states: int,
    beta: float,
    *,
    coupling: Values = 1.0,
    field: Values | Mapping[Any, Any] = 0.0,
) -> TensorNetwork:
    """Return Z = sum over states of exp(beta (sum J_ab [x_a = x_b] + sum h_a(x_a))) as a network.

    coupling: as for `ising_network`. field: a number h acts on state 0; a value of shape (states,)
    gives one h a state. Source: Wu, Rev. Mod. Phys. 54, 235 (1982).

    >>> import networkx
    >>> from tnkit.contraction import contract
    >>> contract(potts_network(networkx.path_graph(2), 3, 0.0)).item()
    9.0
    """
    check_memory(16 * int(states) ** 2, _MOST_BYTES, f"{states} states: the tensor of an edge")

    def local(node: Any, about: Mapping[str, Any]) -> Any:
        found = np.asarray(node_value(field, "field", node, about), dtype=float)
        if found.ndim == 0:
            found = found * (np.arange(states) == 0)
        if found.shape != (states,):
            raise ArgumentError(
                f"the field at {node!r} must be a number or {states} of them, got {found.tolist()}"
            )
        return _boltzmann(beta, found)

    return pair_network(
        graph,
        states,
        lambda a, b, about: _boltzmann(
            beta, edge_value(coupling, "coupling", a, b, about) * np.eye(states)
        ),
        local,
    )


def checked_graph(graph: Any) -> None:
    """Raise where `graph` is no undirected networkx graph, or two nodes have one name."""
    if not hasattr(graph, "nodes") or not hasattr(graph, "is_directed"):
        raise ArgumentTypeError(f"expected a networkx graph, got a {type(graph).__name__}")
    if graph.is_directed():
        raise ArgumentError("expected an undirected graph; use graph.to_undirected()")
    seen: dict[str, Any] = {}
    for node in graph.nodes:
        if not str(node) or seen.setdefault(str(node), node) != node:
            raise ArgumentError(
                f"nodes {seen.get(str(node))!r} and {node!r} have one name, {str(node)!r}; "
                "use networkx.convert_node_labels_to_integers"
            )


def node_tags(node: Any, about: Mapping[str, Any]) -> list[str]:
    """Return the tags of a node: its name, and its attributes but for its position."""
    kept = [f"{key}={value}" for key, value in about.items() if key != "position"]
    return [str(node), *kept]


def edge_value(values: Values, what: str, one: Any, two: Any, about: Mapping[str, Any]) -> Any:
    """Return the value of an edge: a number, an attribute, or from a mapping either way round."""
    if isinstance(values, Mapping):
        for edge in ((one, two), (two, one)):
            if edge in values:
                return values[edge]
        raise ArgumentError(f"{what} has no value for edge {(one, two)!r}")
    return _value(values, what, f"edge {(one, two)!r}", about)


def node_value(values: Any, what: str, node: Any, about: Mapping[str, Any]) -> Any:
    """Return the value of a node: a number, an attribute, or from a mapping."""
    if isinstance(values, Mapping):
        if node not in values:
            raise ArgumentError(f"{what} has no value for node {node!r}")
        return values[node]
    return _value(values, what, f"node {node!r}", about)


def _value(values: Any, what: str, where: str, about: Mapping[str, Any]) -> Any:
    if isinstance(values, str):
        if values not in about:
            raise ArgumentError(f"{where} has no attribute {values!r}, which {what} asks for")
        return about[values]
    return values


def _boltzmann(beta: float, energies: Any) -> Any:
    exponents = beta * np.asarray(energies, dtype=float)
    top = float(exponents.max())
    if not np.isfinite(exponents).all() or abs(top) > math.log(1e300):
        raise NonFiniteError(
            f"a Boltzmann weight exp({top:.4g}) is not a float; check beta, coupling and field"
        )
    return np.exp(exponents)
