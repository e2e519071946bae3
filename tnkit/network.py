"""Tensors joined where they share an index name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np

from tnkit import arrays
from tnkit.arrays import Array
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError
from tnkit.index import Index, fresh_name, merge_sizes
from tnkit.notation import Equation, default_output, parse, shorten
from tnkit.tensor import Tensor, checked_tags
from tnkit.verbs import with_verbs

__all__ = ["TensorNetwork", "from_einsum", "from_networkx"]


@with_verbs
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, init=False, repr=False)
class TensorNetwork:
    """Tensors joined where they share an index name.

    An index that occurs once is open, twice a bond, more often a hyperedge; a bond may join a
    tensor to itself, and two tensors may share several. output: the indices that stay, in order;
    by default the open ones in order of appearance. Naming a bond or a hyperedge there keeps it,
    leaving an open index out sums it. Disconnected parts multiply.

    A network is a value: each method returns a new one, sharing the arrays. Raises `SizeError`
    where one name has two sizes, `IndexNameError` for an output that is not there.

    Verbs, functions that take one first as in ``tnkit.plan(network)``: belief_propagation,
    boundary_contract, compress_bond, compressed_contract, contract, contract_bond, contract_scaled,
    draw, draw_steps, gauge_bond, picture, plan, ring_expectation, ring_inner, ring_log_norm,
    simplify, split_tensor, to_quimb.

    >>> import numpy as np
    >>> a = Tensor(np.ones((2, 3)), ["i", "j"])
    >>> TensorNetwork([a, a.rename({"i": "k"})])
    TensorNetwork(2 tensors, 1 bond; output i: 2, k: 2; float64, numpy, 96 bytes)
    """

    tensors: tuple[Tensor, ...]
    output: tuple[str, ...]
    _sizes: dict[str, int]

    @checked
    def __init__(self, tensors: Iterable[Tensor], output: Iterable[str] | None = None) -> None:
        """Check sizes and output; see the class."""
        found = tuple(tensors)
        sizes: dict[str, int] = {}
        for position, tensor in enumerate(found):
            if not isinstance(tensor, Tensor):
                raise ArgumentTypeError(
                    f"item {position} is a {type(tensor).__name__}, not a Tensor; "
                    "wrap arrays: Tensor(array, names), or use from_einsum"
                )
            for name, size in zip(tensor.names, tensor.shape, strict=True):
                if sizes.setdefault(name, size) != size:
                    merge_sizes(sizes, tensor.names, tensor.shape, f"tensor {position}")
        inputs = [tensor.names for tensor in found]
        kept = default_output(inputs) if output is None else tuple(output)
        Equation(tuple(inputs), kept)
        object.__setattr__(self, "tensors", found)
        object.__setattr__(self, "output", kept)
        object.__setattr__(self, "_sizes", sizes)

    # ---- what it is

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.tensors)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The bare arrays, in order: what `plan(...)(*arrays)` takes."""
        return tuple(tensor.array for tensor in self.tensors)

    @property
    def inputs(self) -> tuple[tuple[str, ...], ...]:
        """The index names of each tensor."""
        return tuple(tensor.names for tensor in self.tensors)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each index, in order of appearance; read-only."""
        return MappingProxyType(self._sizes)

    @property
    def indices(self) -> tuple[Index, ...]:
        """Every index once, in order of appearance."""
        return tuple(Index(name, size) for name, size in self._sizes.items())

    @property
    def inner(self) -> tuple[str, ...]:
        """The names that are summed, in order of appearance."""
        return tuple(name for name in self._sizes if name not in self.output)

    @property
    def hyperedges(self) -> tuple[str, ...]:
        """The names that need a hyperedge: on three tensors or more, or on two and kept."""
        counts = Counter(name for tensor in self.tensors for name in tensor.names)
        counts.update(self.output)
        return tuple(name for name in self._sizes if counts[name] > 2)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(arrays.nbytes(tensor.array) for tensor in self.tensors)

    @checked
    def tensors_with(self, name: str) -> tuple[int, ...]:
        """Return the positions of the tensors an index is on; raises `IndexNameError`."""
        self._check(name)
        return tuple(at for at, tensor in enumerate(self.tensors) if name in tensor.names)

    def _check(self, name: str) -> None:
        if name not in self._sizes:
            raise IndexNameError(
                f"no index {name!r} in this network; its indices are {shorten(self._sizes)}"
            )

    def __repr__(self) -> str:
        """Show counts, output, dtypes and bytes; never the data."""
        hyper = len(self.hyperedges)
        counts = Counter(name for tensor in self.tensors for name in tensor.names)
        bonds = sum(1 for n in self.inner if counts[n] == 2)
        text = f"{_count(len(self), 'tensor')}, {_count(bonds, 'bond')}"
        if hyper:
            text += f", {_count(hyper, 'hyperedge')}"
        shown = shorten([f"{name}: {self._sizes[name]}" for name in self.output], 8)
        kinds = sorted({f"{arrays.dtype_name(t.dtype)}, {t.library}" for t in self.tensors})
        about = "; ".join([f"output {shown or 'scalar'}", *kinds])
        return f"TensorNetwork({text}; {about}, {self.nbytes} bytes)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{at}</td><td>{escape(', '.join(f'{i.name}: {i.size}' for i in t.indices))}"
            f"</td><td>{escape(', '.join(sorted(t.tags)))}</td></tr>"
            for at, t in enumerate(self.tensors[:20])
        )
        if len(self) > 20:
            rows += f"<tr><td colspan=3>... {len(self) - 20} more</td></tr>"
        return (
            f"<table><caption>{escape(repr(self))}</caption>"
            f"<tr><th></th><th>indices</th><th>tags</th></tr>{rows}</table>"
        )

    @checked
    def same_structure(self, other: TensorNetwork) -> bool:
        """Say whether tensors agree one by one in all but their numbers, and the output too."""
        return (
            len(self) == len(other)
            and self.output == other.output
            and all(a.same_structure(b) for a, b in zip(self.tensors, other.tensors, strict=True))
        )

    @checked
    def allclose(self, other: TensorNetwork, *, rtol: float = 1e-9, atol: float = 0.0) -> bool:
        """Say whether tensors agree one by one, numbers included (not: whether the values do)."""
        return (
            len(self) == len(other)
            and self.output == other.output
            and all(
                a.allclose(b, rtol=rtol, atol=atol)
                for a, b in zip(self.tensors, other.tensors, strict=True)
            )
        )

    # ---- changes

    def with_output(self, *names: str) -> TensorNetwork:
        """Return the network with another output."""
        return TensorNetwork(self.tensors, names)

    @checked
    def rename(self, names: Mapping[str, str]) -> TensorNetwork:
        """Return the network with indices renamed {old: new}; none may collide."""
        for name in names:
            self._check(name)
        new = [names.get(name, name) for name in self._sizes]
        if len(set(new)) < len(new):
            raise IndexNameError(
                f"renaming {dict(names)} gives two different indices one name; "
                "to join two indices, rename one tensor instead"
            )
        tensors = [
            tensor.rename({n: names[n] for n in tensor.names if n in names})
            for tensor in self.tensors
        ]
        return TensorNetwork(tensors, [names.get(name, name) for name in self.output])

    @checked
    def combine(self, other: TensorNetwork, output: Iterable[str] | None = None) -> TensorNetwork:
        """Return both networks as one, joined where both have an open index of one name.

        An inner index whose name also occurs on the other side is renamed (in the second network
        where it is inner in both), so nothing else is joined. output: the indices that are open
        on exactly one side by default. Raises `SizeError` where a joined index has two sizes.
        """
        taken = set(self._sizes) | set(other._sizes)
        mine: dict[str, str] = {}
        theirs: dict[str, str] = {}
        for name in self._sizes:
            if name not in other._sizes or (name in self.output and name in other.output):
                continue
            renames = mine if name in other.output else theirs
            renames[name] = fresh_name(name, taken)
            taken.add(renames[name])
        one = self.rename(mine) if mine else self
        two = other.rename(theirs) if theirs else other
        if output is None:
            first, second = set(one.output), set(two.output)
            output = [name for name in one.output if name not in second]
            output += [name for name in two.output if name not in first]
        return TensorNetwork((*one.tensors, *two.tensors), output)

    def __or__(self, other: TensorNetwork) -> TensorNetwork:
        """Return `combine` of both."""
        return self.combine(other)

    @checked
    def replace(self, tensors: Mapping[int, Tensor]) -> TensorNetwork:
        """Return the network with tensors replaced {position: tensor}; the output stays."""
        by_place = {self._place(at): tensor for at, tensor in tensors.items()}
        return TensorNetwork(
            [by_place.get(at, tensor) for at, tensor in enumerate(self.tensors)], self.output
        )

    def with_arrays(self, *values: Array) -> TensorNetwork:
        """Return the network with other arrays of the same shapes, one for each tensor."""
        if len(values) != len(self):
            raise ArgumentError(f"expected {len(self)} arrays, got {len(values)}")
        tensors = [t.with_array(a) for t, a in zip(self.tensors, values, strict=True)]
        return TensorNetwork(tensors, self.output)

    @checked
    def map(self, function: Callable[[Tensor], Tensor]) -> TensorNetwork:
        """Return the network of function(tensor) for each tensor; the output stays."""
        return TensorNetwork([function(tensor) for tensor in self.tensors], self.output)

    def conj(self) -> TensorNetwork:
        """Return the network with each tensor conjugated."""
        return self.map(Tensor.conj)

    @checked
    def fix(self, values: Mapping[str, int]) -> TensorNetwork:
        """Return the network with indices fixed to values and gone, {name: value}."""
        for name in values:
            self._check(name)
        tensors = [t.fix({n: values[n] for n in t.names if n in values}) for t in self.tensors]
        return TensorNetwork(tensors, [name for name in self.output if name not in values])

    # ---- parts

    def _place(self, at: int) -> int:
        if isinstance(at, bool) or not isinstance(at, int | np.integer):
            raise ArgumentTypeError(f"a position must be a whole number, got {shown(at)}")
        if not -len(self) <= at < len(self):
            raise ArgumentError(f"no tensor {at}; the network has {len(self)}")
        return int(at) % len(self)

    @checked
    def find(self, tags: str | Iterable[str], *, any_of: bool = False) -> tuple[int, ...]:
        """Return the positions of the tensors with all of `tags` (any_of: with one of them)."""
        wanted = checked_tags([tags] if isinstance(tags, str) else tags)
        if any_of:
            return tuple(at for at, t in enumerate(self.tensors) if wanted & t.tags)
        return tuple(at for at, t in enumerate(self.tensors) if wanted <= t.tags)

    @checked
    def select(self, tags: str | Iterable[str], *, any_of: bool = False) -> TensorNetwork:
        """Return the sub-network of the tensors with `tags`; see `partition` for its output.

        Raises `ArgumentError` where no tensor has them.
        """
        found = self.find(tags, any_of=any_of)
        if not found:
            known = sorted({tag for tensor in self.tensors for tag in tensor.tags})
            raise ArgumentError(
                f"no tensor has the tags {tags!r}; the tags here are {shorten(known) or 'none'}"
            )
        return self.partition(found)[0]

    @checked
    def partition(self, positions: Iterable[int]) -> tuple[TensorNetwork, TensorNetwork]:
        """Return the sub-network at `positions` and the rest.

        What the two share, or the output of the whole names, is open on each side; so
        ``part.combine(rest, output=network.output)`` has the value of the network.
        """
        chosen = {self._place(at) for at in positions}
        part = [t for at, t in enumerate(self.tensors) if at in chosen]
        rest = [t for at, t in enumerate(self.tensors) if at not in chosen]
        here = dict.fromkeys(name for t in part for name in t.names)
        there = dict.fromkeys(name for t in rest for name in t.names)
        leaving = set(self.output)
        return (
            TensorNetwork(part, [name for name in here if name in there or name in leaving]),
            TensorNetwork(rest, [name for name in there if name in here or name in leaving]),
        )

    # ---- graphs

    @checked
    def to_networkx(self, *, open_ends: bool = False) -> Any:
        """Return a `networkx.MultiGraph`: tensors as nodes, indices as edges.

        Nodes: the positions 0, 1, ..., with attributes kind="tensor", tensor, tags. Edges: keyed by
        the index name, with attributes index, size and weight (log2 of the size). A hyperedge is
        a node ("index", name) of kind "hyperedge" joined to its tensors. open_ends: also a node
        of kind "open" for each index that occurs once. `from_networkx` is the way back.
        """
        import networkx

        graph = networkx.MultiGraph(output=self.output)
        where: dict[str, list[int]] = {name: [] for name in self._sizes}
        for at, tensor in enumerate(self.tensors):
            graph.add_node(at, kind="tensor", tensor=tensor, tags=tensor.tags)
            for name in tensor.names:
                where[name].append(at)
        hyper = set(self.hyperedges)
        for name, size in self._sizes.items():
            about = {"index": name, "size": size, "weight": size.bit_length() - 1.0}
            ends = where[name]
            if name not in hyper and len(ends) == 2:
                graph.add_edge(*ends, key=name, **about)
            elif name in hyper or open_ends:
                kind = "hyperedge" if name in hyper else "open"
                node = ("index", name)
                graph.add_node(node, kind=kind, **about)
                for number, at in enumerate(ends):
                    key = name if number == ends.index(at) else (name, number)
                    graph.add_edge(node, at, key=key, **about)
        return graph


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@checked
def from_networkx(
    graph: Any,
    array: Callable[[Any, tuple[int, ...]], Array] | None = None,
    *,
    size: int = 2,
) -> TensorNetwork:
    """Return the network on a networkx graph.

    Without `array`, `graph` is one made by `TensorNetwork.to_networkx`. With it, each node of any
    undirected graph becomes a tensor, tagged str(node), with one index for each edge (a self-loop
    gives two axes of one name): array(node, shape) returns its array. Edge attributes: index (a
    name, by default "e0", "e1", ...) and size (default `size`).

    >>> import networkx, numpy
    >>> ring = networkx.cycle_graph(4)
    >>> from_networkx(ring, lambda node, shape: numpy.ones(shape), size=3)
    TensorNetwork(4 tensors, 4 bonds; output scalar; float64, numpy, 288 bytes)
    """
    if not hasattr(graph, "nodes") or not hasattr(graph, "is_directed"):
        raise ArgumentTypeError(f"expected a networkx graph, got {shown(graph)}")
    if array is None:
        nodes = [about for _, about in graph.nodes(data=True) if about.get("kind") == "tensor"]
        if not nodes:
            raise ArgumentError(
                "the graph holds no tensors; give array(node, shape) to make them from its edges"
            )
        return TensorNetwork([about["tensor"] for about in nodes], graph.graph.get("output"))
    if graph.is_directed():
        raise ArgumentError("expected an undirected graph; use graph.to_undirected()")
    legs: dict[Any, list[Index]] = {node: [] for node in graph.nodes}
    for number, (one, two, about) in enumerate(graph.edges(data=True)):
        index = Index(about.get("index", f"e{number}"), about.get("size", size))
        legs[one].append(index)
        legs[two].append(index)
    return TensorNetwork(
        [
            Tensor(array(node, tuple(leg.size for leg in legs[node])), legs[node], [str(node)])
            for node in graph.nodes
        ]
    )


@checked
def from_einsum(spec: str, *values: Array) -> TensorNetwork:
    """Return the network of an einsum string and its arrays; symbols become index names.

    >>> import numpy as np
    >>> from_einsum("ij,jk->ki", np.ones((2, 3)), np.ones((3, 4))).output
    ('k', 'i')
    """
    found = [arrays.as_array(value) for value in values]
    equation = parse(spec, [len(value.shape) for value in found])
    equation.sizes([tuple(value.shape) for value in found])
    tensors = [Tensor(v, names) for v, names in zip(found, equation.inputs, strict=True)]
    return TensorNetwork(tensors, equation.output)
