"""Contraction of any graph with bonds kept small on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tnkit.algorithms.approximation import Approximation, approximation
from tnkit.arrays import eps, like, nbytes, promote, rescale
from tnkit.bonds import compress_bond, gauge_bond
from tnkit.checking import checked
from tnkit.errors import ArgumentError, MemoryLimitError
from tnkit.index import fresh_name
from tnkit.network import TensorNetwork
from tnkit.notation import shorten
from tnkit.scaled import Scaled
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = ["compressed_contract"]


@checked
def compressed_contract(
    network: TensorNetwork,
    truncation: Truncation,
    *,
    distance: int = 2,
    seed: int = 0,
    memory_limit: int | None = None,
    tolerance: float = 1e-3,
) -> Approximation:
    """Return the value of a scalar network of any graph, every bond cut as it grows.

    Pairs are contracted along a tree made for compression; bonds the result has in parallel with a
    neighbour are fused and truncated, the tensors up to `distance` bonds around gauged towards that
    bond first. Two trees of different kind (cotengra's greedy span and greedy compressed) are run:
    the value is from the one that discarded less, the error their difference, or the weights
    discarded where they add up to more.

    truncation
        Of every bond; exact where it cuts nothing.
    distance
        How far around a bond the gauge looks; 0 for none, which is faster and worse.
    memory_limit
        Bytes; `MemoryLimitError` before a tensor of more is made.
    tolerance
        Relative error above which the result is not to be trusted.

    Hyperedges become copy tensors. Library, device and dtype are those of the arrays; the same seed
    gives the same trees. Not to be trusted either where both trees cut more than one per cent at
    some bond. Raises `ArgumentError` for an open network.
    Source: Gray, Chan, Phys. Rev. X 14, 011009 (2024).

    >>> from tnkit.build.lattices import random_regular_graph
    >>> from tnkit.build.models import ising_network
    >>> from tnkit.contraction import contract
    >>> network = ising_network(random_regular_graph(3, 20, 0), 0.3)
    >>> found = compressed_contract(network, Truncation(max_bond=8))
    >>> found.trusted, abs(float(found.value) / contract(network).item() - 1) < 1e-9
    (True, True)
    """
    if network.output:
        raise ArgumentError(f"expected a scalar, but {shorten(network.output)} is open")
    if distance < 0:
        raise ArgumentError(f"distance must be 0 or more, got {distance!r}")
    # matrices and vectors are not absorbed first: with small tensors the cuts lose far less
    if not network.tensors:
        raise ArgumentError("expected a network with tensors, got none")
    distance, seed = min(distance, len(network.tensors)), int(seed)
    simple = _simple_graph(network)
    runs = []
    for kind in ("span", "compressed"):
        value, weights = Scaled(like(np.ones(()), promote(*network.arrays)[0])), [0.0]
        for part in _components(simple):
            path = _tree(part, kind, truncation.max_bond or 2**62, seed)
            found, cut = _along(part, path, truncation, distance, memory_limit)
            value = value * found
            weights += cut
        runs.append((max(weights), sum(weights), value))
    most, total, value = min(runs, key=lambda run: run[:2])
    floor = max(total, len(simple) * eps(value.mantissa))
    warnings = []
    if most > 0.01:
        warnings.append(f"{most:.2g} of the weight at a bond was cut; allow larger bonds")
    return approximation(value, [run[2] for run in runs], most, tolerance, floor, warnings)


class _Graph:
    """The tensors still there, and which two of them each index joins."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.tensors = dict(enumerate(parts))
        self.ends: dict[str, set[int]] = {}
        for at, tensor in self.tensors.items():
            for name in tensor.names:
                self.ends.setdefault(name, set()).add(at)

    def merge(self, one: int, two: int, into: int, product: Tensor) -> None:
        """Put the product of two tensors in their place."""
        gone = (self.tensors.pop(one), self.tensors.pop(two))
        self.tensors[into] = product
        for tensor in gone:
            for name in tensor.names:
                self.ends.get(name, set()).difference_update((one, two))
                if not self.ends.get(name, True):
                    self.ends.pop(name)
        for name in product.names:
            self.ends.setdefault(name, set()).add(into)

    def neighbours(self, at: int) -> list[int]:
        """Return the tensors joined to one, each once, in the order of its indices."""
        found = dict.fromkeys(k for name in self.tensors[at].names for k in self.ends[name])
        found.pop(at, None)
        return list(found)

    def bond(self, one: int, two: int) -> str:
        """Return the bond of two neighbours, several fused into the first."""
        shared = [name for name in self.tensors[one].names if two in self.ends[name]]
        if len(shared) > 1:
            for at in (one, two):
                self.tensors[at] = self.tensors[at].fuse(shared, shared[0])
            for name in shared[1:]:
                self.ends.pop(name)
        return shared[0]

    def pair(self, one: int, two: int) -> TensorNetwork:
        """Return two tensors as a network."""
        return TensorNetwork([self.tensors[one], self.tensors[two]])

    def put(self, one: int, two: int, pair: TensorNetwork) -> None:
        """Take two tensors back."""
        self.tensors[one], self.tensors[two] = pair.tensors


def _along(
    parts: Sequence[Tensor],
    path: Sequence[tuple[int, int]],
    truncation: Truncation,
    distance: int,
    memory_limit: int | None,
) -> tuple[Scaled, list[float]]:
    """Contract along a path of (id, id) -> next id; return the value and the weights cut."""
    graph = _Graph(parts)
    log = 0.0
    weights: list[float] = []
    for number, (one, two) in enumerate(path, start=len(parts)):
        first, second = graph.tensors[one], graph.tensors[two]
        sizes = {**first.sizes, **second.sizes}
        kept = set(first.names) ^ set(second.names)
        needed = math.prod(sizes[n] for n in kept) * (nbytes(first.array) // math.prod(first.shape))
        if memory_limit is not None and needed > memory_limit:
            raise MemoryLimitError(
                f"a tensor of {needed} bytes is needed on the way, the limit is {memory_limit}; "
                "use a smaller max_bond"
            )
        product = first @ second
        array, step = rescale(product.array)
        log += step
        graph.merge(one, two, number, product.with_array(array))
        for other in graph.neighbours(number):
            bond = graph.bond(number, other)
            if _may_cut(truncation, graph.tensors[number].size(bond)):
                _gauge_around(graph, number, other, distance)
                done = compress_bond(graph.pair(number, other), bond, truncation)
                graph.put(number, other, done.network)
                weights.append(done.discarded_weight)
    (last,) = graph.tensors.values()
    return Scaled(last.array, log), weights


def _may_cut(truncation: Truncation, size: int) -> bool:
    if truncation.cutoff or truncation.value_cutoff:
        return size > 1
    return truncation.max_bond is not None and size > truncation.max_bond


def _gauge_around(graph: _Graph, at: int, other: int, distance: int) -> None:
    """Make the tensors of a tree around a pair isometries towards it; the value stays."""
    before: dict[int, int] = {}
    ring = [at, other]
    for _ in range(distance):
        following = []
        for near in ring:
            for k in graph.neighbours(near):
                if k not in before and k not in (at, other):
                    before[k] = near
                    following.append(k)
        ring = following
    for k, near in reversed(before.items()):
        bond = graph.bond(k, near)
        if graph.tensors[k].ndim > 1:
            graph.put(k, near, gauge_bond(graph.pair(k, near), bond))


# ---- from a network to a simple graph, and a tree for it


def _simple_graph(network: TensorNetwork) -> list[Tensor]:
    """Return tensors whose indices join exactly two of them: hyperedges become copy tensors."""
    if not len(network):
        return []
    arrays = promote(*network.arrays)
    tensors = []
    for array, tensor in zip(arrays, network.tensors, strict=True):
        found = Tensor(array, tensor.names)
        tensors.append(found.diagonal() if len(set(found.names)) < found.ndim else found)
    holders: dict[str, list[int]] = {name: [] for name in network.sizes}
    for at, tensor in enumerate(tensors):
        for name in tensor.names:
            holders[name].append(at)
    taken = set(network.sizes)

    def fresh(name: str) -> str:
        found = fresh_name(name, taken)
        taken.add(found)
        return found

    for name, ends in holders.items():
        if len(ends) == 1:
            tensors[ends[0]] = tensors[ends[0]].sum(name)
        if len(ends) <= 2:
            continue
        legs = [fresh(name) for _ in ends]
        for at, leg in zip(ends, legs, strict=True):
            tensors[at] = tensors[at].rename({name: leg})
        size = network.sizes[name]
        copy = np.zeros((size,) * 3)
        copy[(np.arange(size),) * 3] = 1.0
        array = like(copy, arrays[0])
        last = legs[0]
        for leg in legs[1:-2]:  # a chain of copies of three legs
            bond = fresh(name)
            tensors.append(Tensor(array, [last, leg, bond]))
            last = bond
        tensors.append(Tensor(array, [last, *legs[-2:]]))
    return tensors


def _components(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(len(tensors)))
    first: dict[str, int] = {}
    for at, tensor in enumerate(tensors):
        for name in tensor.names:
            graph.add_edge(first.setdefault(name, at), at)
    for part in networkx.connected_components(graph):
        yield [tensors[at] for at in sorted(part)]


def _tree(parts: Sequence[Tensor], kind: str, max_bond: int, seed: int) -> list[tuple[int, int]]:
    """Return pairs of ids, results counting on from the inputs."""
    if len(parts) == 1:
        return []
    if len(parts) == 2:
        return [(0, 1)]
    import cotengra
    from cotengra.pathfinders.path_compressed_greedy import GreedyCompressed, GreedySpan

    symbols: dict[str, str] = {}
    for tensor in parts:
        for name in tensor.names:
            symbols.setdefault(name, cotengra.get_symbol(len(symbols)))
    inputs = [tuple(symbols[name] for name in tensor.names) for tensor in parts]
    sizes = {symbols[n]: s for tensor in parts for n, s in tensor.sizes.items()}
    finder: Any = GreedySpan(seed=seed) if kind == "span" else GreedyCompressed(max_bond, seed=seed)
    return [(int(one), int(two)) for one, two in finder.get_ssa_path(inputs, (), sizes)]
