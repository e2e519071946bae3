"""A quantum circuit as a value: gates on qubits, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.build.gates import QASM_GATES, QSIM_GATES, gate_matrix
from tnkit.checking import checked
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError

__all__ = ["Circuit", "Gate", "light_cone"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Gate:
    """One gate: its name, its unitary (2^k, 2^k), first qubit slowest, and its k qubits."""

    name: str
    matrix: Any
    qubits: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Circuit:
    """Gates on qubits that start in |0>, in the order they act; a frozen value.

    qubits: their names. gates: the `Gate` values, on positions in `qubits`. measured: (position,
    name of the bit) for each final measurement a file asks for.

    Read one with `read_qasm` or `read_qsim`, or write ``Circuit.from_gates(2, [("h", 0), ("cx", 0,
    1), ("rz", 0.3, 1)])``: a name, its parameters, its qubits.
    """

    qubits: tuple[str, ...]
    gates: tuple[Gate, ...]
    measured: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def from_gates(qubits: int | Sequence[str], gates: Iterable[Sequence[Any]]) -> Circuit:
        """Return the circuit of a list of gates, checked.

        qubits: how many ("q0", "q1", ...), or names. gates: each a standard name or a unitary
        matrix, then the parameters, then the qubits by position. Raises `ArgumentError`,
        `SizeError`.

        >>> Circuit.from_gates(3, [("h", 0), ("cx", 0, 1), ("cx", 1, 2)])
        Circuit(3 qubits, 3 gates, depth 3)
        """
        names = tuple(f"q{k}" for k in range(qubits)) if isinstance(qubits, int) else tuple(qubits)
        if len(set(names)) < len(names) or not all(isinstance(n, str) and n for n in names):
            raise ArgumentError("qubit names must be different strings")
        found = []
        for number, entry in enumerate(gates):
            what, rest = entry[0], list(entry[1:])
            if isinstance(what, str):
                standard = QASM_GATES.get(what) or QSIM_GATES.get(what)
                count = standard.parameters if standard else 0
                matrix = gate_matrix(what, rest[:count])
                name, places = what, rest[count:]
            else:
                name, matrix, places = "matrix", np.asarray(what, dtype=complex), rest
            found.append(Gate(name, matrix, _placed(number, name, matrix, places, len(names))))
        return Circuit(names, tuple(found))

    @property
    def depth(self) -> int:
        """The number of layers when each gate acts as early as it can."""
        level = [0] * len(self.qubits)
        for gate in self.gates:
            after = 1 + max(level[k] for k in gate.qubits)
            for k in gate.qubits:
                level[k] = after
        return max(level, default=0)

    def __len__(self) -> int:
        """Return the number of gates."""
        return len(self.gates)

    def __repr__(self) -> str:
        """Describe the circuit in one line."""
        return f"Circuit({len(self.qubits)} qubits, {len(self)} gates, depth {self.depth})"

    def position(self, qubit: int | str) -> int:
        """Return the position of a qubit given by name or position; raises `ArgumentError`."""
        if isinstance(qubit, str) and qubit in self.qubits:
            return self.qubits.index(qubit)
        whole = isinstance(qubit, int | np.integer) and not isinstance(qubit, bool)
        if whole and 0 <= int(qubit) < len(self.qubits):
            return int(qubit)
        raise ArgumentError(f"no qubit {qubit!r}; there are {len(self.qubits)}")

    def inverse(self) -> Circuit:
        """Return the circuit that undoes this one."""
        back = tuple(Gate(g.name, g.matrix.conj().T, g.qubits) for g in reversed(self.gates))
        return Circuit(self.qubits, back)


@checked
def light_cone(circuit: Circuit, qubits: Iterable[int | str]) -> Circuit:
    """Return the circuit without the gates that cannot influence `qubits` at its end.

    Going back from the end, a gate stays where it touches a qubit that matters, and then all of
    its qubits matter; the others cancel against their adjoints in every expectation value. The
    qubits and their numbering stay.

    >>> ladder = Circuit.from_gates(3, [("cx", 0, 1), ("cx", 1, 2), ("h", 2)])
    >>> len(light_cone(ladder, [0])), len(light_cone(ladder, [1])), len(light_cone(ladder, [2]))
    (1, 2, 3)
    """
    matters = {circuit.position(qubit) for qubit in qubits}
    kept = []
    for gate in reversed(circuit.gates):
        if matters.intersection(gate.qubits):
            matters.update(gate.qubits)
            kept.append(gate)
    return Circuit(circuit.qubits, tuple(reversed(kept)), circuit.measured)


def _placed(
    number: int, name: str, matrix: Any, places: Sequence[Any], count: int
) -> tuple[int, ...]:
    where = f"gate {number} ({name})"
    for place in places:
        if isinstance(place, bool) or not isinstance(place, int | np.integer):
            raise ArgumentTypeError(f"{where}: a qubit must be a whole number, got {place!r}")
        if not 0 <= place < count:
            raise ArgumentError(f"{where}: no qubit {place}; there are {count}")
    found = tuple(map(int, places))
    if len(set(found)) < len(found) or not found:
        raise ArgumentError(f"{where}: qubits must be different, got {found}")
    if matrix.shape != (2 ** len(found),) * 2:
        raise SizeError(f"{where}: a matrix {matrix.shape} does not act on {len(found)} qubits")
    if not np.allclose(matrix @ matrix.conj().T, np.eye(len(matrix)), atol=1e-8):
        raise ArgumentError(f"{where}: the matrix is not unitary")
    return found
