"""Samples from the final state of a circuit, a few qubits at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tnkit.arrays import numpy_float
from tnkit.build.circuit import Circuit
from tnkit.build.circuit_networks import sandwich
from tnkit.checking import check_memory, checked, random_generator
from tnkit.contraction import contract
from tnkit.errors import ArgumentError, NonFiniteError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["sample_circuit"]

_MOST_BYTES = 2**36


@checked
def sample_circuit(
    circuit: Circuit,
    count: int,
    *,
    seed: int | np.random.Generator | None = None,
    group: int = 8,
    memory_limit: int | None = None,
    dtype: Any = "complex128",
) -> Any:
    """Return `count` independent samples of all qubits, (count, qubits) integers 0 and 1.

    Exact, by the chain rule: `group` qubits at a time are drawn given the ones before, from a
    network of their light cone. Samples that agree so far share one contraction, so the cost is at
    most min(count, 2^drawn) contractions a group, each of twice the depth of the circuit. Raises
    `MemoryLimitError` before anything is allocated where a group does not fit.

    >>> bell = Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    >>> bool((sample_circuit(bell, 5, seed=0)[:, 0] == sample_circuit(bell, 5, seed=0)[:, 1]).all())
    True
    """
    for what, value, least in (("count", count, 0), ("group", group, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ArgumentError(f"{what} must be a whole number from {least} up, got {value!r}")
    rng = random_generator(seed)
    total = len(circuit.qubits)
    check_memory(8 * count * total, _MOST_BYTES if memory_limit is None else memory_limit, "count")
    dtype = numpy_float(dtype)
    samples = np.zeros((count, total), dtype=np.int64)
    for first in range(0, total, group):
        drawn = list(range(first, min(first + group, total)))
        prefixes, member = np.unique(samples[:, :first], axis=0, return_inverse=True)
        for number, prefix in enumerate(prefixes):
            members = np.flatnonzero(member.reshape(-1) == number)
            table = _conditional(circuit, prefix, drawn, memory_limit, dtype)
            values = rng.choice(table.size, size=len(members), p=table)
            for k in drawn:
                shift = drawn[-1] - k
                samples[members, k] = (values >> shift) & 1
    return samples


def _conditional(
    circuit: Circuit, prefix: Any, drawn: list[int], memory_limit: int | None, dtype: Any
) -> Any:
    """Return the probabilities of the qubits `drawn` given the ones before, flat."""
    given = list(range(len(prefix)))
    tensors, rows, columns = sandwich(circuit, [*given, *drawn], dtype)
    # ket and bra share the index of a qubit that is drawn: the diagonal of the density matrix
    joined = {columns[k]: rows[k] for k in drawn}
    tensors = [
        Tensor(t.array, [joined.get(name, name) for name in t.names], t.tags) for t in tensors
    ]
    for k, bit in zip(given, prefix, strict=True):
        for name in (rows[k], columns[k]):
            tensors.append(Tensor(np.eye(2, dtype=dtype)[bit], [name]))
    network = TensorNetwork(tensors, [rows[k] for k in drawn])
    table = contract(network, memory_limit=memory_limit).to_numpy().real.reshape(-1)
    table = np.maximum(table.astype(np.float64), 0.0)
    if not table.sum() > 0.0:
        raise NonFiniteError("a sample of probability zero was drawn; use dtype='complex128'")
    return table / table.sum()
