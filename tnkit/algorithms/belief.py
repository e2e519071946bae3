"""Belief propagation: the value of a network from messages between its tensors and indices."""

from __future__ import annotations

import cmath
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tnkit.algorithms.approximation import Approximation
from tnkit.checking import checked
from tnkit.contraction import contract
from tnkit.errors import ArgumentError
from tnkit.network import TensorNetwork
from tnkit.notation import shorten
from tnkit.scaled import Scaled
from tnkit.tensor import Tensor

__all__ = ["BeliefResult", "belief_propagation"]

Edge: TypeAlias = tuple[int, str]  # a tensor and an index on it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BeliefResult(Approximation):
    """An `Approximation` by belief propagation.

    residual: the largest change of a message in the last round; zero at a fixed point. iterations:
    rounds. loops: independent loops of the network; without any the fixed point is exact.
    marginals: for each index the normalised weights of its values (the Bethe marginals).
    """

    residual: float
    iterations: int
    loops: int
    marginals: Mapping[str, Any]


@checked
def belief_propagation(
    network: TensorNetwork,
    *,
    max_iterations: int = 1000,
    residual: float = 1e-12,
    damping: float = 0.0,
    tolerance: float = 1e-3,
    max_loops: int = 200,
) -> BeliefResult:
    """Return the Bethe approximation of a scalar network of any graph, hyperedges included.

    max_iterations
        Rounds; each updates every message once.
    residual
        It stops where no message moves by more (messages are scaled to largest entry one).
    damping
        Share of the old message kept, from 0 to below 1; helps against oscillations.
    tolerance
        Relative error above which the result is not to be trusted.
    max_loops
        How many shortest loops enter the error.

    Exact on trees. Elsewhere the error is the sum over short loops of |r - 1|, r the exact value of
    a loop among the messages around it over its Bethe value: the first terms of the loop series,
    which misses what loops do together. Not to be trusted where it did not converge, where the
    error is above `tolerance`, or where short loops had to be left out. The computation is NumPy's
    on the host. Cost a round O(sum of tensor sizes x their axes).
    Source: Yedidia, Freeman, Weiss, IEEE Trans. Inf. Theory 51, 2282 (2005); Chertkov, Chernyak,
    J. Stat. Mech. P06009 (2006).

    >>> from tnkit.build.lattices import tree_graph
    >>> from tnkit.build.models import ising_network
    >>> network = ising_network(tree_graph(3, 3), 0.5, field=0.1)
    >>> found = belief_propagation(network)
    >>> abs(float(found.value) / contract(network).item() - 1) < 1e-12, found.trusted
    (True, True)
    """
    if network.output:
        raise ArgumentError(f"expected a scalar, but {shorten(network.output)} is open")
    if not 0.0 <= damping < 1.0:
        raise ArgumentError(f"damping must lie in [0, 1), got {damping!r}")
    if math.isnan(residual) or math.isnan(tolerance):
        raise ArgumentError(
            f"residual and tolerance must be numbers, got {residual!r} and {tolerance!r}"
        )
    if max_iterations < 1:
        raise ArgumentError(f"max_iterations must be at least 1, got {max_iterations!r}")
    # a repeated index is a diagonal: one axis each
    tensors = [t.diagonal() if len(set(t.names)) < t.ndim else t for t in network.tensors]
    arrays = [tensor.to_numpy() for tensor in tensors]
    dtype = np.result_type(*(a.dtype for a in arrays), np.float64) if arrays else np.float64
    arrays = [array.astype(dtype) for array in arrays]
    names = [tensor.names for tensor in tensors]
    holders: dict[str, list[int]] = {name: [] for name in network.sizes}
    for at, axes in enumerate(names):
        for name in axes:
            holders[name].append(at)
    out = {(at, n): np.ones(network.sizes[n], dtype) for n, ends in holders.items() for at in ends}
    back = dict(out)
    moved, rounds = math.inf, 0
    while rounds < max_iterations and moved > residual:
        rounds += 1
        moved = 0.0
        for at, axes in enumerate(names):
            for name, message in zip(axes, _outgoing(arrays[at], axes, back, at), strict=True):
                fresh = _unit(message)
                fresh = _unit((1.0 - damping) * fresh + damping * out[at, name])
                moved = max(moved, float(np.abs(fresh - out[at, name]).max()))
                out[at, name] = fresh
        for name, ends in holders.items():
            for at in ends:
                others = [out[other, name] for other in ends if other != at]
                back[at, name] = _unit(math.prod(others, start=np.ones_like(out[at, name])))
    factors = [_closed(arrays[at], axes, back, at) for at, axes in enumerate(names)]
    sums: dict[str, Any] = {n: math.prod(out[at, n] for at in ends) for n, ends in holders.items()}
    pairs = {edge: (out[edge] * back[edge]).sum() for edge in out}
    value = _product(factors, [found.sum() for found in sums.values()], list(pairs.values()))
    marginals = {n: found / found.sum() if found.sum() else found for n, found in sums.items()}
    cycles, loops, all_found = _short_loops(names, holders, max_loops)
    error = 0.0
    if float(value.log_abs) > -math.inf:
        for cycle in cycles:
            error += abs(_loop_ratio(cycle, tensors, factors, sums, pairs, out, back) - 1.0)
    warnings = []
    if moved > residual:
        warnings.append(f"not converged: messages still move by {moved:.2g}; try damping=0.5")
        error = max(error, moved)
    if error > tolerance:
        warnings.append(f"its {loops} loops matter: about {error:.2g}, more than {tolerance:.2g}")
    if not all_found:
        warnings.append(f"only the {max_loops} shortest loops were looked at")
    error = max(error, float(np.finfo(dtype).eps) * len(arrays))
    return BeliefResult(value, error, (), 0.0, tuple(warnings), moved, rounds, loops, marginals)


def _outgoing(
    array: Any, axes: tuple[str, ...], messages: Mapping[Edge, Any], at: int
) -> list[Any]:
    """Return the message of a tensor along each of its axes, in twice the work of one."""
    if not axes:
        return []
    if len(axes) == 1:
        return [array]
    half = len(axes) // 2
    left, right = array, array
    for axis in range(len(axes) - 1, half - 1, -1):
        left = left @ messages[at, axes[axis]]
    for axis in range(half):
        right = np.tensordot(messages[at, axes[axis]], right, (0, 0))
    return [
        *_outgoing(left, axes[:half], messages, at),
        *_outgoing(right, axes[half:], messages, at),
    ]


def _closed(array: Any, axes: tuple[str, ...], messages: Mapping[Edge, Any], at: int) -> Any:
    for name in reversed(axes):
        array = array @ messages[at, name]
    return array


def _unit(message: Any) -> Any:
    """Return a message scaled so that its entry of largest magnitude is one; zero stays zero."""
    top = message.flat[np.abs(message).argmax()]
    return message / top if top else message


def _product(factors: list[Any], sums: list[Any], pairs: list[Any]) -> Scaled:
    """Return prod factors x prod sums / prod pairs."""
    log, phase = 0.0, 1.0 + 0.0j
    for values, sign in ((factors, 1), (sums, 1), (pairs, -1)):
        for value in map(complex, values):
            if value == 0.0:
                if sign < 0:
                    continue  # then a factor is zero as well
                return Scaled(0.0)
            log += sign * math.log(abs(value))
            phase *= cmath.exp(1j * sign * cmath.phase(value))
    real = all(not np.iscomplexobj(value) for value in (*factors, *sums))
    return Scaled(float(round(phase.real)) if real else phase, log)


def _short_loops(
    names: list[tuple[str, ...]], holders: Mapping[str, list[int]], most: int
) -> tuple[list[frozenset[int | str]], int, bool]:
    """Return the shortest loop through each edge, the number of independent loops, and whether
    all were found.
    """
    near: dict[int | str, list[int | str]] = {}
    near.update({at: list(axes) for at, axes in enumerate(names)})
    near.update({name: list(ends) for name, ends in holders.items()})
    edges = [(at, name) for at, axes in enumerate(names) for name in axes]
    parts = 0
    seen: set[int | str] = set()
    for node in near:
        if node not in seen:
            parts += 1
            queue = deque([node])
            seen.add(node)
            while queue:
                for other in near[queue.popleft()]:
                    if other not in seen:
                        seen.add(other)
                        queue.append(other)
    loops = len(edges) - len(near) + parts
    found: set[frozenset[int | str]] = set()
    if loops:
        for at, name in edges:
            cycle = _loop_through(at, name, near)
            if cycle is not None:
                found.add(cycle)
    shortest = sorted(found, key=lambda cycle: (len(cycle), sorted(map(str, cycle))))
    return shortest[:most], loops, len(shortest) <= most


def _loop_through(
    at: int, name: str, near: Mapping[int | str, list[int | str]]
) -> frozenset[int | str] | None:
    before: dict[int | str, int | str] = {name: name}
    queue: deque[int | str] = deque([name])
    while queue:
        node = queue.popleft()
        for other in near[node]:
            if other in before or (node == name and other == at):
                continue
            before[other] = node
            if other == at:
                path: list[int | str] = [at]
                while path[-1] != name:
                    path.append(before[path[-1]])
                return frozenset(path)
            queue.append(other)
    return None


def _loop_ratio(
    cycle: frozenset[int | str],
    tensors: list[Tensor],
    factors: list[Any],
    sums: Mapping[str, Any],
    pairs: Mapping[Edge, Any],
    out: Mapping[Edge, Any],
    back: Mapping[Edge, Any],
) -> complex:
    """Return the exact value of a loop among its messages over its Bethe value."""
    inside = {name for name in cycle if isinstance(name, str)}
    members = {at for at in cycle if isinstance(at, int)}
    parts: list[Tensor] = []
    bethe = 1.0 + 0.0j
    for at in members:
        # an index that leaves the loop gets a name of its own: two tensors here may share it
        own = {name: f"{name}@{at}" for name in tensors[at].names if name not in inside}
        parts.append(tensors[at].rename(own))
        parts += [Tensor(back[at, name], [fresh]) for name, fresh in own.items()]
        bethe *= complex(factors[at])
    for at, name in out:
        if name in inside and at in members:
            bethe /= complex(pairs[at, name])
        elif name in inside:
            parts.append(Tensor(out[at, name], [name]))
    for name in inside:
        bethe *= complex(sums[name].sum())
    return complex(contract(TensorNetwork(parts, [])).item()) / bethe
