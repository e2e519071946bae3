"""States on graphs: PEPS, rings and trees of tensors, and the MERA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tnkit.arrays import Array, numpy_float
from tnkit.build.models import checked_graph, node_tags
from tnkit.checking import check_memory, checked, random_generator
from tnkit.errors import ArgumentError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["mera_network", "mera_positions", "peps_network"]

_MOST_BYTES = 2**36
_MOST_LEVELS = 20


@checked
def peps_network(
    graph: Any,
    *,
    bond_dim: int,
    site_dim: int = 2,
    array: Callable[[Any, tuple[int, ...]], Array] | None = None,
    dtype: Any = "float64",
    seed: int = 0,
) -> TensorNetwork:
    """Return a state on a graph: a tensor a node, a bond an edge, an open index a node.

    A PEPS on a square lattice, a ring on a periodic chain, a tree tensor network on a tree. The
    open index of a node is str(node), in the order of the graph; the axes of its tensor are that
    index, then its edges in the order of the graph. array(node, shape): its entries, by default
    normal ones scaled so that the norm stays near one. site_dim=0 leaves the open indices out.

    >>> from tnkit.build.lattices import lattice
    >>> peps_network(lattice("square", 2, 2), bond_dim=3)
    TensorNetwork(4 tensors, 4 bonds; output (0, 0): 2, (0, 1): 2, (1, 0): 2, (1, 1): 2; float64, \
numpy, 576 bytes)
    """
    checked_graph(graph)
    for what, value, least in (("bond_dim", bond_dim, 1), ("site_dim", site_dim, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ArgumentError(f"{what} must be a whole number from {least} up, got {value!r}")
    rng, dtype = random_generator(seed), numpy_float(dtype)
    legs: dict[Any, list[str]] = {node: [] for node in graph.nodes}
    for number, (one, two) in enumerate(graph.edges()):
        if one == two:
            raise ArgumentError(f"node {one!r} has an edge to itself")
        for node in (one, two):
            legs[node].append(f"bond{number}")
    entries = sum(max(site_dim, 1) * int(bond_dim) ** len(ends) for ends in legs.values())
    check_memory(16 * entries, _MOST_BYTES, "such a state of bond_dim and site_dim")
    tensors = []
    for node, about in graph.nodes(data=True):
        site = [str(node)] if site_dim else []
        shape = (*[site_dim] * len(site), *[bond_dim] * len(legs[node]))
        values = _normal(rng, shape, dtype) if array is None else array(node, shape)
        tensors.append(Tensor(values, [*site, *legs[node]], node_tags(node, about)))
    return TensorNetwork(tensors, [str(node) for node in graph.nodes] if site_dim else [])


@checked
def mera_network(
    levels: int,
    *,
    bond_dim: int,
    site_dim: int = 2,
    dtype: Any = "float64",
    seed: int = 0,
) -> TensorNetwork:
    """Return a binary MERA on a ring of 2^(levels + 1) sites with random isometries: norm one.

    Each level has a disentangler (two legs to two) across each pair of neighbouring isometries
    (two legs to one); a top tensor of two legs and norm one closes it. Open indices "s0", "s1",
    ...; tags "disentangler", "isometry", "top", and "level0", ... from the sites up. Parts outside
    the light cone of what is measured cancel. Bonds grow from site_dim up to `bond_dim`.
    Source: Vidal, Phys. Rev. Lett. 101, 110501 (2008).

    >>> mera_network(2, bond_dim=4).output
    ('s0', 's1', 's2', 's3', 's4', 's5', 's6', 's7')
    """
    for what, value in (("levels", levels), ("bond_dim", bond_dim), ("site_dim", site_dim)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ArgumentError(f"{what} must be a whole number from 1 up, got {value!r}")
    _check_levels(levels)
    rng, dtype = random_generator(seed), numpy_float(dtype)
    count = 2 ** (levels + 1)
    low = [f"s{k}" for k in range(count)]
    size = site_dim
    tensors = []
    for level in range(levels):
        check_memory(
            16 * count * int(size) ** 4, _MOST_BYTES, "bond_dim and site_dim: such a state"
        )
        tag = f"level{level}"
        middle = [f"{tag}_u{k}" for k in range(count)]
        for k in range(1, count, 2):  # across the pairs of the isometries
            next_site = (k + 1) % count
            unitary = _isometry(rng, size * size, size * size, dtype).reshape((size,) * 4)
            names = [low[k], low[next_site], middle[k], middle[next_site]]
            tensors.append(Tensor(unitary, names, ["disentangler", tag]))
        above = min(bond_dim, size * size)
        count //= 2
        low = [f"{tag}_w{k}" for k in range(count)]
        for k in range(count):
            matrix = _isometry(rng, size * size, above, dtype).reshape((size, size, above))
            names = [middle[2 * k], middle[2 * k + 1], low[k]]
            tensors.append(Tensor(matrix, names, ["isometry", tag]))
        size = above
    top = _normal(rng, (size, size), dtype)
    tensors.append(Tensor(top / np.linalg.norm(top), low, ["top", f"level{levels}"]))
    return TensorNetwork(tensors, [f"s{k}" for k in range(2 ** (levels + 1))])


@checked
def mera_positions(levels: int) -> dict[int, tuple[float, float]]:
    """Return {tensor: (x, y)} of `mera_network`: what `draw` takes as positions.

    >>> mera_positions(1)[0]
    (1.5, 0.0)
    """
    _check_levels(levels)
    places: list[tuple[float, float]] = []
    left, step = 0.0, 1.0
    count = 2 ** (levels + 1)
    for level in range(levels):
        # isometry k stands above sites 2k and 2k + 1, a disentangler between two isometries
        places += [(left + (2 * k + 1.5) * step, 2.0 * level) for k in range(count // 2)]
        places += [(left + (2 * k + 0.5) * step, 2.0 * level + 1.0) for k in range(count // 2)]
        left, step, count = left + 0.5 * step, 2 * step, count // 2
    places.append((left + 0.5 * step, 2.0 * levels))
    return dict(enumerate(places))


def _check_levels(levels: int) -> None:
    if levels > _MOST_LEVELS:
        raise ArgumentError(f"levels must be at most {_MOST_LEVELS}, got {levels!r}")


def _normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    array = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        array = array + 1j * rng.standard_normal(shape)
    return (array / math.sqrt(max(1, math.prod(shape[1:])) ** 0.5)).astype(dtype)


def _isometry(rng: np.random.Generator, rows: int, columns: int, dtype: Any) -> Any:
    return np.linalg.qr(_normal(rng, (rows, columns), dtype))[0]
