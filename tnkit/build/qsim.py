"""Circuits in the format of Google's qsim and of the quantum supremacy data."""

from __future__ import annotations

from pathlib import Path

from tnkit.build.circuit import Circuit, Gate
from tnkit.build.gates import QSIM_GATES
from tnkit.build.sources import Words, fail, read_text
from tnkit.checking import checked

__all__ = ["read_qsim"]


@checked
def read_qsim(source: str | Path) -> Circuit:
    r"""Return the circuit of a qsim file.

    source: the text, or a `pathlib.Path`. The first line is the number of qubits, each further one
    a time, a gate, its qubits and its parameters. Measurements (m) must be the last on their
    qubits. Raises `FormatError` with the line for anything unknown, controlled gates (c) included.
    Source: Quantum AI team, qsim, docs/input_format.md.

    >>> read_qsim("2\n0 h 0\n1 cz 0 1\n2 fs 0 1 0.5 0.25")
    Circuit(2 qubits, 3 gates, depth 3)
    """
    lines = [
        (number, line.partition("#")[0])
        for number, line in enumerate(read_text(source).splitlines(), start=1)
    ]
    lines = [(number, line) for number, line in lines if line.split()]
    if not lines:
        fail(1, "the text is empty; the first line is the number of qubits")
    first = Words(iter(lines[:1]))
    count = first.whole("the number of qubits", 1, 100_000)
    if not first.done:
        fail(lines[0][0], f"expected the number of qubits alone, got {lines[0][1].strip()!r}")
    busy = [-1] * count
    measured: list[int] = []
    gates = []
    for number, line in lines[1:]:
        words = Words(iter([(number, line)]))
        time = words.whole("a time")
        name = words.word("a gate")
        standard = QSIM_GATES.get(name)
        if name == "m":
            qubits = []
            while not words.done:
                qubits.append(words.whole("a qubit of m", 0, count - 1))
        elif standard is None:
            fail(number, f"unknown gate {name[:40]!r}; those known: {', '.join(QSIM_GATES)}, m")
        else:
            qubits = [
                words.whole(f"a qubit of {name}", 0, count - 1) for _ in range(standard.qubits)
            ]
        if len(set(qubits)) < len(qubits):
            fail(number, f"{name} names a qubit twice: {qubits}")
        for qubit in qubits:
            if qubit in measured:
                fail(number, f"{name} acts on qubit {qubit} after its measurement")
            if time <= busy[qubit]:
                fail(number, f"qubit {qubit} is busy at time {time}: it was used at {busy[qubit]}")
            busy[qubit] = time
        if standard is None:
            measured += qubits
            continue
        values = [words.number(f"a parameter of {name}") for _ in range(standard.parameters)]
        if not words.done:
            fail(number, f"more words than {name} takes: {words.word('')[:40]!r}")
        gates.append(Gate(name, standard.matrix(*values), tuple(qubits)))
    names = tuple(f"q{k}" for k in range(count))
    return Circuit(names, tuple(gates), tuple((k, f"m{k}") for k in measured))
