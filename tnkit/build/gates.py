"""The matrices of standard quantum gates."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError

__all__ = ["QASM_GATES", "QSIM_GATES", "Standard", "gate_matrix"]


class Standard(NamedTuple):
    """A gate: how many parameters and qubits it takes, and its matrix, first qubit slowest."""

    parameters: int
    qubits: int
    matrix: Callable[..., Any]


def _u(theta: float, phi: float, lam: float) -> Any:
    c, s = math.cos(theta / 2), math.sin(theta / 2)
    return np.array(
        [[c, -cmath.exp(1j * lam) * s], [cmath.exp(1j * phi) * s, cmath.exp(1j * (phi + lam)) * c]]
    )


def _turn(axis: Any, angle: float) -> Any:
    """Return exp(-i angle/2 axis) of a matrix whose square is one."""
    return math.cos(angle / 2) * np.eye(len(axis)) - 1j * math.sin(angle / 2) * axis


def _control(matrix: Any, controls: int = 1) -> Any:
    size = len(matrix) * 2**controls
    whole = np.eye(size, dtype=complex)
    whole[size - len(matrix) :, size - len(matrix) :] = matrix
    return whole


def _fsim(theta: float, phi: float) -> Any:
    c, s = math.cos(theta), -1j * math.sin(theta)
    return np.array(
        [[1, 0, 0, 0], [0, c, s, 0], [0, s, c, 0], [0, 0, 0, cmath.exp(-1j * phi)]], dtype=complex
    )


def _fixed(matrix: Any) -> Standard:
    found = np.asarray(matrix, dtype=complex)
    return Standard(0, len(found).bit_length() - 1, lambda: found)


_X = np.array([[0, 1], [1, 0]], dtype=complex)
_Y = np.array([[0, -1j], [1j, 0]])
_Z = np.diag([1.0 + 0j, -1.0])
_H = (_X + _Z) / math.sqrt(2)
_S = np.diag([1.0, 1j])
_T = np.diag([1.0, cmath.exp(0.25j * math.pi)])
_SX = 0.5 * np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]])
_SWAP = np.eye(4, dtype=complex)[[0, 2, 1, 3]]
# Toffoli gates up to relative phases (Maslov, Phys. Rev. A 93, 022311, 2016)
_RCCX = np.eye(8, dtype=complex)
_RCCX[5, 5], _RCCX[6:, 6:] = -1, _Y
_RC3X = np.eye(16, dtype=complex)
_RC3X[12, 12], _RC3X[13, 13] = 1j, -1j
_RC3X[14:, 14:] = np.array([[0, 1], [-1, 0]])


def _phase(angle: float) -> Any:
    return np.diag([1.0, cmath.exp(1j * angle)])


QASM_GATES: dict[str, Standard] = {
    "id": _fixed(np.eye(2)),
    "u0": Standard(1, 1, lambda cycles: np.eye(2, dtype=complex)),
    "x": _fixed(_X),
    "y": _fixed(_Y),
    "z": _fixed(_Z),
    "h": _fixed(_H),
    "s": _fixed(_S),
    "sdg": _fixed(_S.conj()),
    "t": _fixed(_T),
    "tdg": _fixed(_T.conj()),
    "sx": _fixed(_SX),
    "sxdg": _fixed(_SX.conj()),
    "u": Standard(3, 1, _u),
    "u3": Standard(3, 1, _u),
    "u2": Standard(2, 1, lambda phi, lam: _u(math.pi / 2, phi, lam)),
    "u1": Standard(1, 1, _phase),
    "p": Standard(1, 1, _phase),
    "rx": Standard(1, 1, lambda angle: _turn(_X, angle)),
    "ry": Standard(1, 1, lambda angle: _turn(_Y, angle)),
    "rz": Standard(1, 1, lambda angle: _turn(_Z, angle)),
    "cx": _fixed(_control(_X)),
    "cy": _fixed(_control(_Y)),
    "cz": _fixed(_control(_Z)),
    "ch": _fixed(_control(_H)),
    "csx": _fixed(_control(_SX)),
    "swap": _fixed(_SWAP),
    "iswap": _fixed(np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]])),
    "crx": Standard(1, 2, lambda angle: _control(_turn(_X, angle))),
    "cry": Standard(1, 2, lambda angle: _control(_turn(_Y, angle))),
    "crz": Standard(1, 2, lambda angle: _control(_turn(_Z, angle))),
    "cu1": Standard(1, 2, lambda angle: _control(_phase(angle))),
    "cp": Standard(1, 2, lambda angle: _control(_phase(angle))),
    "cu3": Standard(3, 2, lambda theta, phi, lam: _control(_u(theta, phi, lam))),
    "cu": Standard(
        4, 2, lambda theta, phi, lam, gamma: _control(cmath.exp(1j * gamma) * _u(theta, phi, lam))
    ),
    "rxx": Standard(1, 2, lambda angle: _turn(np.kron(_X, _X), angle)),
    "ryy": Standard(1, 2, lambda angle: _turn(np.kron(_Y, _Y), angle)),
    "rzz": Standard(1, 2, lambda angle: _turn(np.kron(_Z, _Z), angle)),
    "ccx": _fixed(_control(_X, 2)),
    "ccz": _fixed(_control(_Z, 2)),
    "cswap": _fixed(_control(_SWAP)),
    "rccx": _fixed(_RCCX),
    "rc3x": _fixed(_RC3X),
    "c3x": _fixed(_control(_X, 3)),
    "c3sqrtx": _fixed(_control(_SX, 3)),
    "c4x": _fixed(_control(_X, 4)),
}

QSIM_GATES: dict[str, Standard] = {
    "id1": _fixed(np.eye(2)),
    "id2": _fixed(np.eye(4)),
    **{name: QASM_GATES[name] for name in ("h", "t", "s", "x", "y", "z", "rx", "ry", "rz", "cz")},
    "x_1_2": _fixed(_SX),
    "y_1_2": _fixed((1 + 1j) / 2 * np.array([[1, -1], [1, 1]])),
    "hz_1_2": _fixed(np.array([[0.5 + 0.5j, -1j * math.sqrt(0.5)], [math.sqrt(0.5), 0.5 + 0.5j]])),
    "rxy": Standard(
        2, 1, lambda axis, angle: _turn(math.cos(axis) * _X + math.sin(axis) * _Y, angle)
    ),
    "cnot": QASM_GATES["cx"],
    "sw": QASM_GATES["swap"],
    "is": QASM_GATES["iswap"],
    "fs": Standard(2, 2, _fsim),
    "cp": QASM_GATES["cp"],
}


@checked
def gate_matrix(name: str, parameters: Sequence[float] = ()) -> Any:
    """Return the unitary of a standard gate, (2^k, 2^k), its first qubit the slowest.

    The gates are those of qelib1.inc and qsim, with the usual phases: rz is exp(-i angle Z / 2), u3
    has a real first entry. Raises `ArgumentError` for an unknown name or number of parameters.

    >>> gate_matrix("cx").real.astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    """
    found = QASM_GATES.get(name) or QSIM_GATES.get(name)
    if found is None:
        raise ArgumentError(f"unknown gate {name!r}; those known: {', '.join(sorted(QASM_GATES))}")
    if len(parameters) != found.parameters:
        raise ArgumentError(
            f"gate {name} takes {found.parameters} parameters, got {len(parameters)}"
        )
    try:
        angles = [float(parameter) for parameter in parameters]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"parameters must be numbers, got {shown(parameters)}") from None
    return found.matrix(*angles)
