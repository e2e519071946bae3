"""Circuits as networks: states, amplitudes, density matrices, expectation values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tnkit.arrays import numpy_float
from tnkit.build.circuit import Circuit, Gate, light_cone
from tnkit.build.gates import QASM_GATES
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = [
    "Wires",
    "amplitude_network",
    "circuit_positions",
    "density_network",
    "expectation_network",
    "state_network",
]


class Wires:
    """The wires of a circuit being woven: which index each qubit is on now."""

    def __init__(self, circuit: Circuit, dtype: Any, mark: str = "") -> None:
        """Start every qubit in |0>; mark: behind every name, to tell the bra from the ket."""
        self._circuit, self._mark = circuit, mark
        self._dtype = numpy_float(dtype)
        if self._dtype.kind != "c":
            raise ArgumentTypeError(f"dtype must be complex64 or complex128, got {self._dtype}")
        self.tensors: list[Tensor] = []
        self._count = [0] * len(circuit.qubits)
        start = np.array([1.0, 0.0], dtype=self._dtype)
        for k, name in enumerate(circuit.qubits):
            self.tensors.append(Tensor(start, [self.name(k)], ["start", name]))

    def name(self, k: int) -> str:
        """Return the index a qubit is on now."""
        return f"{self._circuit.qubits[k]}:{self._count[k]}{self._mark}"

    @property
    def names(self) -> list[str]:
        """The index every qubit is on now."""
        return [self.name(k) for k in range(len(self._count))]

    def act(self, gate: Gate, *, conjugate: bool = False) -> None:
        """Put a gate on its wires; a diagonal one leaves them, a hyperedge, as they are."""
        matrix = gate.matrix.conj() if conjugate else gate.matrix
        tags = [gate.name, *(self._circuit.qubits[k] for k in gate.qubits)]
        before = [self.name(k) for k in gate.qubits]
        values = np.asarray(matrix, dtype=self._dtype)
        if np.array_equal(values, np.diag(np.diag(values))):
            shape = (2,) * len(before)
            self.tensors.append(Tensor(np.diag(values).reshape(shape), before, tags))
            return
        for k in gate.qubits:
            self._count[k] += 1
        after = [self.name(k) for k in gate.qubits]
        shape = (2,) * (2 * len(before))
        self.tensors.append(Tensor(values.reshape(shape), [*after, *before], tags))


@checked
def state_network(circuit: Circuit, *, dtype: Any = "complex128") -> TensorNetwork:
    """Return the final state as a network; its open indices are the qubits, in order.

    Diagonal gates join wires as hyperedges instead of cutting them. Tags: the gate's name and the
    qubits it acts on. `to_dense`-sized answers only: for one amplitude use `amplitude_network`.

    >>> from tnkit.contraction import contract
    >>> bell = Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    >>> contract(state_network(bell)).to_numpy().round(3).real.tolist()
    [[0.707, 0.0], [0.0, 0.707]]
    """
    wires = Wires(circuit, dtype)
    for gate in circuit.gates:
        wires.act(gate)
    network = TensorNetwork(wires.tensors, wires.names)
    return network.rename(dict(zip(wires.names, circuit.qubits, strict=True)))


@checked
def circuit_positions(circuit: Circuit) -> dict[int | str, tuple[float, float]]:
    """Return {tensor or index: (x, y)} of `state_network`, for `draw`: time runs to the right.

    Every qubit has a line; the squares of diagonal gates and the loose ends stay on it.

    >>> places = circuit_positions(Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)]))
    >>> places[3], places["q1"]
    ((2.0, -0.5), (3.0, -1.0))
    """
    wires = Wires(circuit, "complex128")
    busy = [0] * len(circuit.qubits)
    places: dict[int | str, tuple[float, float]] = {k: (0.0, -float(k)) for k in range(len(busy))}
    for at, gate in enumerate(circuit.gates, start=len(busy)):
        between = range(min(gate.qubits), max(gate.qubits) + 1)
        time = 1 + max(busy[k] for k in between)
        for k in between:
            busy[k] = time
        before = wires.names
        wires.act(gate)
        for k in gate.qubits:
            if wires.name(k) == before[k]:
                places.setdefault(before[k], (float(time), -float(k)))
        aside = 0.35 if wires.names == before and len(gate.qubits) == 1 else 0.0
        places[at] = (float(time), -sum(gate.qubits) / len(gate.qubits) - aside)
    for k, name in enumerate(circuit.qubits):
        if wires.name(k) in places:  # a hyperedge to the end
            places[name] = places[wires.name(k)]
        else:
            places[name] = (max(busy) + 1.0, -float(k))
    return places


@checked
def amplitude_network(
    circuit: Circuit, bits: str | Sequence[int], *, dtype: Any = "complex128"
) -> TensorNetwork:
    """Return the network of <bits|circuit|0...0>.

    bits: one 0 or 1 a qubit, in their order, as a string or numbers; "?" in a string leaves that
    qubit open, which gives a batch of amplitudes. `plan(network, memory_limit=...)` tells the cost
    and slices; `contract` computes it.

    >>> from tnkit.contraction import contract
    >>> bell = Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    >>> round(abs(contract(amplitude_network(bell, "11")).item()), 6)
    0.707107
    """
    values: list[int | str] = list(bits)
    if len(values) != len(circuit.qubits):
        raise ArgumentError(f"{len(circuit.qubits)} qubits need as many bits, got {len(values)}")
    fixed = {}
    for name, bit in zip(circuit.qubits, values, strict=True):
        if not (isinstance(bit, str) and bit == "?"):
            if str(bit) not in ("0", "1"):
                raise ArgumentError(f"bits must be 0, 1 or '?', got {bit!r} for {name}")
            fixed[name] = int(bit)
    return state_network(circuit, dtype=dtype).fix(fixed)


@checked
def density_network(
    circuit: Circuit, qubits: Iterable[int | str], *, dtype: Any = "complex128"
) -> TensorNetwork:
    """Return the network of the reduced density matrix of some qubits.

    Its output is their names, rows first, then the names with a prime: columns. Gates outside the
    light cone cancel and are left out.

    >>> from tnkit.contraction import contract
    >>> bell = Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    >>> contract(density_network(bell, [1])).to_numpy().real.round(3).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    kept = [circuit.position(qubit) for qubit in qubits]
    if len(set(kept)) < len(kept):
        raise ArgumentError(f"a qubit is given twice: {kept}")
    tensors, rows, columns = sandwich(circuit, kept, dtype)
    names = {rows[k]: circuit.qubits[k] for k in kept}
    names |= {columns[k]: f"{circuit.qubits[k]}'" for k in kept}
    network = TensorNetwork(tensors, [*(rows[k] for k in kept), *(columns[k] for k in kept)])
    return network.rename(names)


@checked
def expectation_network(
    circuit: Circuit, operators: Mapping[Any, Any], *, dtype: Any = "complex128"
) -> TensorNetwork:
    """Return the network of <psi| O |psi> for a product O of operators on different qubits.

    operators: {qubit: matrix or "X", "Y", "Z"}, a tuple of qubits for a matrix on several, such as
    {(0, 1): swap}. Gates outside the light cone cancel and are left out.

    >>> from tnkit.contraction import contract
    >>> bell = Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    >>> round(contract(expectation_network(bell, {0: "Z", 1: "Z"})).item().real, 6)
    1.0
    """
    placed: list[tuple[list[int], Any]] = []
    for where, operator in operators.items():
        several = where if isinstance(where, tuple) else (where,)
        places = [circuit.position(qubit) for qubit in several]
        if isinstance(operator, str):
            if operator not in ("X", "Y", "Z"):
                raise ArgumentError(f"an operator is 'X', 'Y', 'Z' or a matrix, got {operator!r}")
            operator = QASM_GATES[operator.lower()].matrix()
        try:
            matrix = np.asarray(operator, dtype=numpy_float(dtype))
        except (TypeError, ValueError) as error:
            if isinstance(error, ArgumentTypeError):
                raise
            raise ArgumentTypeError(
                f"the operator on {where!r} must be a matrix of numbers, got {shown(operator)}"
            ) from None
        if matrix.shape != (2 ** len(places),) * 2:
            raise ArgumentError(
                f"the operator on {where!r} needs shape {(2 ** len(places),) * 2}, "
                f"got {matrix.shape}"
            )
        placed.append((places, matrix))
    used = [k for places, _ in placed for k in places]
    if len(set(used)) < len(used):
        raise ArgumentError("two operators act on one qubit; multiply them first")
    tensors, rows, columns = sandwich(circuit, used, dtype)
    for places, matrix in placed:  # <psi|O|psi> = sum O[bra, ket] rho[ket, bra]
        names = [*(columns[k] for k in places), *(rows[k] for k in places)]
        tensors.append(Tensor(matrix.reshape((2,) * len(names)), names, ["operator"]))
    return TensorNetwork(tensors, [])


def sandwich(
    circuit: Circuit, kept: Sequence[int], dtype: Any
) -> tuple[list[Tensor], list[str], list[str]]:
    """Return ket and bra, joined but for the qubits `kept`, and the last index of each qubit.

    Wires that nothing in the light cone touches are left out.
    """
    cone = light_cone(circuit, kept)
    touched = {k for gate in cone.gates for k in gate.qubits} | set(kept)
    ket, bra = Wires(circuit, dtype), Wires(circuit, dtype, "'")
    for gate in cone.gates:
        ket.act(gate)
        bra.act(gate, conjugate=True)
    rows, columns = ket.names, bra.names
    joined = {columns[k]: rows[k] for k in touched if k not in kept}
    tensors = []
    for wires in (ket, bra):
        for at, tensor in enumerate(wires.tensors):
            if at >= len(circuit.qubits) or at in touched:
                names = [joined.get(name, name) for name in tensor.names]
                tensors.append(Tensor(tensor.array, names, tensor.tags))
    return tensors, rows, columns
