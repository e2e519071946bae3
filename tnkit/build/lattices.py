"""Graphs to build on: lattices, trees and random graphs, as networkx graphs that know geometry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError

__all__ = ["LATTICES", "lattice", "lattice_positions", "random_regular_graph", "tree_graph"]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A unit cell: Bravais vectors, the points in it, bonds (point, point, cells further)."""

    vectors: tuple[tuple[float, ...], ...]
    points: tuple[tuple[float, ...], ...]
    bonds: tuple[tuple[int, int, tuple[int, ...]], ...]


_TALL = math.sqrt(3) / 2
_SLANTED = ((1.0, 0.0), (0.5, _TALL))
_CELLS = {
    "triangular": _Cell(_SLANTED, ((0.0, 0.0),), ((0, 0, (1, 0)), (0, 0, (0, 1)), (0, 0, (-1, 1)))),
    "honeycomb": _Cell(
        tuple((math.sqrt(3) * x, math.sqrt(3) * y) for x, y in _SLANTED),
        ((0.0, 0.0), (_TALL, 0.5)),
        ((0, 1, (0, 0)), (1, 0, (1, 0)), (1, 0, (0, 1))),
    ),
    "kagome": _Cell(
        tuple((2 * x, 2 * y) for x, y in _SLANTED),
        ((0.0, 0.0), (1.0, 0.0), (0.5, _TALL)),
        (
            *((0, 1, (0, 0)), (1, 2, (0, 0)), (2, 0, (0, 0))),
            *((1, 0, (1, 0)), (2, 1, (-1, 1)), (2, 0, (0, 1))),
        ),
    ),
}
_AXES = {"chain": 1, "square": 2, "cubic": 3, "hypercubic": 0}
_MOST_NODES = 10**7
LATTICES = (*_AXES, *_CELLS)


@checked
def lattice(kind: str, *sides: int, periodic: bool | Sequence[bool] = False) -> Any:
    """Return a lattice as a `networkx.Graph` whose nodes have the attribute position.

    kind
        "chain" (one side; a ring where periodic), "square", "cubic", "hypercubic" (any number of
        sides), "triangular", "honeycomb" and "kagome" (two sides, counted in unit cells of one,
        two and three points).
    sides
        Cells along each Bravais vector. Nodes are tuples of cell numbers, the point in the cell
        behind them where there are several; those of a chain are whole numbers.
    periodic
        For all directions or one a direction. A side so short that it would join two points twice,
        or one with itself, raises `ArgumentError`: no edge is dropped silently.

    Attributes of the graph: kind, sides, periodic.

    >>> lattice("honeycomb", 3, 3, periodic=True).number_of_edges()
    27
    """
    import networkx

    if kind not in LATTICES:
        raise ArgumentError(f"unknown lattice {kind!r}; one of {', '.join(LATTICES)}")
    shape = tuple(_whole(side, "a side") for side in sides)
    axes = _AXES.get(kind, 2) or len(shape)
    if len(shape) != axes or not shape:
        wanted = "at least one side" if kind == "hypercubic" else f"{axes} side(s)"
        raise ArgumentError(f"a {kind} lattice has {wanted}, got {shape}")
    cells_of = len(_CELLS[kind].points) if kind in _CELLS else 1
    if cells_of * math.prod(shape) > _MOST_NODES:
        raise ArgumentError(f"sides must give at most {_MOST_NODES:,} nodes, got {shape}")
    if not isinstance(periodic, bool | np.bool_):
        periodic = list(periodic)
        if not all(isinstance(wrap, bool | np.bool_) for wrap in periodic):
            raise ArgumentTypeError(f"periodic must hold True or False, got {shown(periodic)}")
    wraps = (periodic,) * axes if not isinstance(periodic, list) else tuple(map(bool, periodic))
    if len(wraps) != axes:
        raise ArgumentError(f"periodic must be one bool, or {axes} of them, got {periodic!r}")
    cell = _CELLS.get(kind) or _cube(axes)
    graph = networkx.Graph(kind=kind, sides=shape, periodic=wraps)
    several = len(cell.points) > 1

    def name(at: Sequence[int], point: int) -> Any:
        if kind == "chain":
            return at[0]
        return (*at, point) if several else tuple(at)

    vectors = np.array(cell.vectors)
    cells = list(itertools.product(*map(range, shape)))
    for at in cells:
        for number, point in enumerate(cell.points):
            place = np.array(at) @ vectors + np.array(point)
            graph.add_node(name(at, number), position=tuple(float(x) for x in place))
    for at in cells:
        for one, two, shift in cell.bonds:
            there = [x + step for x, step in zip(at, shift, strict=True)]
            if any(
                not wrap and not 0 <= x < side
                for x, side, wrap in zip(there, shape, wraps, strict=True)
            ):
                continue
            a = name(at, one)
            b = name([x % side for x, side in zip(there, shape, strict=True)], two)
            if a == b or graph.has_edge(a, b):
                short = min((side, k) for k, side in enumerate(shape) if wraps[k])[1]
                raise ArgumentError(
                    f"{kind} lattice of sides {shape}: periodic side {short} is too short, {a} and "
                    f"{b} would be joined twice; use a longer side, or open ends"
                )
            graph.add_edge(a, b)
    return graph


def _cube(axes: int) -> _Cell:
    unit = np.eye(axes, dtype=int).tolist()
    # more than three directions: each further one is drawn a little aside
    return _Cell(
        tuple(tuple(map(float, row)) for row in unit),
        ((0.0,) * axes,),
        tuple((0, 0, tuple(row)) for row in unit),
    )


@checked
def tree_graph(branching: int, depth: int) -> Any:
    """Return the tree of `depth` levels below the root, `branching` children a node.

    Nodes 0 (the root), 1, ... level by level, with the attribute position.

    >>> tree_graph(2, 3).number_of_nodes()
    15
    """
    import networkx

    _whole(branching, "branching")
    if depth != 0:
        _whole(depth, "depth")
    if math.log(branching) * depth > math.log(_MOST_NODES) or depth > _MOST_NODES:
        raise ArgumentError(
            f"branching={branching!r} and depth={depth!r} give more than {_MOST_NODES:,} nodes"
        )
    graph = networkx.Graph(kind="tree")
    width = float(branching**depth)
    first, count = 0, 1
    for level in range(depth + 1):
        step = width / count
        for k in range(count):
            graph.add_node(first + k, position=((k + 0.5) * step, float(-level)))
            if level:
                graph.add_edge(first - count // branching + k // branching, first + k)
        first, count = first + count, count * branching
    return graph


@checked
def random_regular_graph(degree: int, vertices: int, seed: int) -> Any:
    """Return a random graph with `degree` edges at each vertex (networkx's, checked).

    The same seed gives the same graph. degree * vertices must be even and degree < vertices.
    """
    import networkx

    _whole(vertices, "vertices")
    if degree != 0:
        _whole(degree, "degree")
    if vertices > _MOST_NODES:
        raise ArgumentError(f"vertices must be at most {_MOST_NODES:,}, got {vertices!r}")
    if degree >= vertices or degree * vertices % 2:
        raise ArgumentError(
            f"no graph of {vertices} vertices has degree {degree}: it must be below the number of "
            "vertices and their product even"
        )
    return networkx.random_regular_graph(degree, vertices, seed=int(seed))


@checked
def lattice_positions(graph: Any) -> dict[str, tuple[float, float]]:
    """Return {str(node): (x, y)} from the attribute position: what `draw` takes as positions.

    Three dimensions and more are projected. Raises `ArgumentError` where a node has no position.

    >>> lattice_positions(lattice("chain", 2))
    {'0': (0.0, 0.0), '1': (1.0, 0.0)}
    """
    if not hasattr(graph, "nodes"):
        raise ArgumentTypeError(f"graph must be a networkx graph, got {shown(graph)}")
    slant = [(1.0, 0.0), (0.0, 1.0), (0.38, 0.27), (-0.21, 0.13), (0.11, -0.17)]
    places = {}
    for node, position in graph.nodes(data="position"):
        if position is None:
            raise ArgumentError(f"node {node!r} has no attribute position; let draw lay it out")
        point = np.zeros(2)
        for k, x in enumerate(position):
            point = point + x * np.array(slant[k % 5])
        places[str(node)] = (float(point[0]), float(point[1]))
    return places


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentTypeError(f"{what} must be a whole number, got {value!r}")
    if value < 1:
        raise ArgumentError(f"{what} must be at least 1, got {value}")
    return int(value)
