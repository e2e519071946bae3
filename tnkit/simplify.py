"""Fewer and smaller tensors with the same value.

Gray and Kourtis, Quantum 5, 410 (2021), section 2: rank, diagonal, column and split reductions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from tnkit.arrays import namespace
from tnkit.bonds import split_tensor
from tnkit.checking import checked
from tnkit.contraction import contract
from tnkit.errors import ArgumentError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["REDUCTIONS", "simplify"]

REDUCTIONS = ("diagonal", "column", "rank", "split")


@checked
def simplify(
    network: TensorNetwork, reductions: Iterable[str] = ("diagonal", "column", "rank")
) -> TensorNetwork:
    """Return a network of the same value with fewer and smaller tensors.

    reductions
        "diagonal": two indices of a tensor that is zero off their diagonal become one, which may
        make a hyperedge. "column": an index with one non-zero value on some tensor is fixed to it.
        "rank": tensors are contracted into a neighbour where the result is no larger than the
        larger of the two. "split": a tensor is split where its rank makes the parts smaller.

    The first two look for exact zeros, so they change no digit; "rank" and "split" change rounding
    only. Output indices keep their names, sizes and order. Repeated until nothing changes. Reading
    zeros moves each tensor to the host once a round.
    """
    chosen = tuple(reductions)
    unknown = [n for n in chosen if not isinstance(n, str) or n not in REDUCTIONS]
    if unknown:
        raise ArgumentError(
            f"reduction {unknown[0]!r} is not offered; use {', '.join(map(repr, REDUCTIONS))}"
        )
    steps = {"diagonal": _diagonal, "column": _column, "rank": _rank}
    while True:
        before = _measure(network)
        for name in chosen:
            if name in steps:
                network = steps[name](network)
        if _measure(network) == before:
            break
    return _split(network) if "split" in chosen else network


def _measure(network: TensorNetwork) -> tuple[int, int]:
    return len(network), sum(int(np.prod(t.shape)) + t.ndim for t in network.tensors)


def _diagonal(network: TensorNetwork) -> TensorNetwork:
    for at in range(len(network)):
        found = _diagonal_pair(network, network.tensors[at])
        while found is not None:
            kept, gone = found
            tensors = []
            for number, other in enumerate(network.tensors):
                if gone in other.names:
                    renamed = [kept if name == gone else name for name in other.names]
                    other = Tensor(other.array, renamed, other.tags)
                tensors.append(other.diagonal() if number == at else other)
            network = TensorNetwork(tensors, network.output)
            found = _diagonal_pair(network, network.tensors[at])
    return network


def _diagonal_pair(network: TensorNetwork, tensor: Tensor) -> tuple[str, str] | None:
    """Return two indices whose off-diagonal elements are zero, the one to keep first."""
    if tensor.ndim < 2 or len(set(tensor.names)) < tensor.ndim:
        return None
    places = np.nonzero(tensor.to_numpy())
    for i in range(tensor.ndim):
        for j in range(i + 1, tensor.ndim):
            if tensor.shape[i] != tensor.shape[j] or not np.array_equal(places[i], places[j]):
                continue
            kept, gone = tensor.names[i], tensor.names[j]
            if gone in network.output:
                kept, gone = gone, kept
            if gone not in network.output:
                return kept, gone
    return None


def _column(network: TensorNetwork) -> TensorNetwork:
    for at in range(len(network)):
        tensor = network.tensors[at]
        if not tensor.ndim:
            continue
        places = np.nonzero(tensor.to_numpy())
        values = {
            name: int(where[0])
            for name, where in zip(tensor.names, places, strict=True)
            if name not in network.output and len(where) and where.min() == where.max()
        }
        if values:
            network = network.fix(values)
    return network


def _rank(network: TensorNetwork) -> TensorNetwork:
    changed = True
    while changed and len(network) > 1:
        changed = False
        holders = Counter(name for t in network.tensors for name in set(t.names))
        holders.update(network.output)
        tensors: list[Tensor | None] = list(network.tensors)
        for at, tensor in enumerate(network.tensors):
            if tensors[at] is None or len(set(tensor.names)) < tensor.ndim:
                continue
            partner = _partner(network, tensors, at, holders)
            if partner is None:
                continue
            other = network.tensors[partner]
            shared = set(tensor.names) & set(other.names)
            gone = {name for name in shared if holders[name] == 2}
            tensors[partner] = _product(tensor, other, gone)
            tensors[at] = None
            changed = True
            break
        network = TensorNetwork([t for t in tensors if t is not None], network.output)
    return network


def _product(one: Tensor, two: Tensor, gone: set[str]) -> Tensor:
    kept = dict.fromkeys(name for name in (*two.names, *one.names) if name not in gone)
    return contract(TensorNetwork([one, two], kept)).with_tags(*(one.tags | two.tags))


def _partner(
    network: TensorNetwork, tensors: list[Tensor | None], at: int, holders: Counter[str]
) -> int | None:
    """Return a tensor that `at` can be contracted into without growing it."""
    tensor = network.tensors[at]
    for number, other in enumerate(network.tensors):
        if number == at or tensors[number] is None or len(set(other.names)) < other.ndim:
            continue
        shared = set(tensor.names) & set(other.names)
        if not shared and tensor.ndim:
            continue
        gone = {name for name in shared if holders[name] == 2}
        names = (set(tensor.names) | set(other.names)) - gone
        size = int(np.prod([network.sizes[name] for name in names]))
        if size <= max(int(np.prod(tensor.shape)), int(np.prod(other.shape))):
            return number
    return None


def _split(network: TensorNetwork) -> TensorNetwork:
    at = 0
    while at < len(network):
        tensor = network.tensors[at]
        floating = namespace(tensor.array).isdtype(
            tensor.dtype, ("real floating", "complex floating")
        )
        best = None
        if tensor.ndim >= 3 and floating and len(set(tensor.names)) == tensor.ndim:
            for name in tensor.names:
                rest = [n for n in tensor.names if n != name]
                found = split_tensor(network, at, rest)
                parts = found.network.tensors[at : at + 2]
                size = sum(int(np.prod(part.shape)) for part in parts)
                if size < int(np.prod(tensor.shape)) and (best is None or size < best[0]):
                    best = (size, found.network)
        if best is not None:
            network = best[1]
        at += 1
    return network
