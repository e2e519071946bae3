"""OpenQASM 2: text to a circuit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tnkit.build.circuit import Circuit, Gate
from tnkit.build.gates import QASM_GATES
from tnkit.build.sources import fail, read_text
from tnkit.checking import checked

__all__ = ["read_qasm"]

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f\v]+|//[^\n]*)|(?P<line>\n)|(?P<string>\"[^\"\n]*\")"
    r"|(?P<real>(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)|(?P<whole>\d+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>->|==|[-+*/^(){}\[\];,])"
)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "exp": math.exp,
    "ln": math.log,
    "sqrt": math.sqrt,
}
_DEEP, _QUBITS = 100, 100_000


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Defined(NamedTuple):
    """A gate the file defines; its body is (token, parameter expressions, arguments), or opaque.

    size: the standard gates it comes to; depth: levels of definitions below it.
    """

    parameters: tuple[str, ...]
    arguments: tuple[str, ...]
    body: tuple[tuple[_Token, tuple[Any, ...], tuple[str, ...]], ...] | None
    size: int = 0
    depth: int = 0


@checked
def read_qasm(source: str | Path, *, max_gates: int = 1_000_000) -> Circuit:
    """Return the circuit of an OpenQASM 2 program.

    source: the text, or a `pathlib.Path`. Registers, gate definitions, parameters with
    expressions, whole registers as arguments, barriers and final measurements are read;
    ``include "qelib1.inc"`` brings the standard gates, whose text need not be there. Qubits are
    numbered in the order they are declared and named "q[0]". Reset, ``if``, and gates on a qubit
    after its measurement are refused. max_gates: a definition can double at each level; beyond
    this many gates the program is refused too. Raises `FormatError` with the line.
    Source: Cross, Bishop, Smolin, Gambetta, arXiv:1707.03429 (2017).

    >>> read_qasm('OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0],q[1];')
    Circuit(2 qubits, 2 gates, depth 2)
    """
    return _Reader(list(_tokens(read_text(source))), max_gates).program()


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            fail(line, f"unexpected character {text[at]!r}")
        kind = str(found.lastgroup)
        if kind == "line":
            line += 1
        elif kind != "space":
            yield _Token(kind, found.group(), line)
        at = found.end()
    yield _Token("end", "the end of the text", line)


class _Reader:
    """A cursor over the tokens, and what the program has declared so far."""

    def __init__(self, tokens: list[_Token], max_gates: int) -> None:
        self.tokens, self.at, self.max_gates = tokens, 0, max_gates
        self.qubits: dict[str, list[int]] = {}
        self.bits: dict[str, int] = {}
        self.names: list[str] = []
        self.defined: dict[str, _Defined] = {}
        self.standard = False
        self.gates: list[Gate] = []
        self.measured: dict[int, str] = {}

    # ---- tokens

    def next(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def peek(self, text: str) -> bool:
        return self.tokens[self.at].text == text and self.tokens[self.at].kind != "end"

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        token = self.next()
        if token.text != text or token.kind == "end":
            fail(token.line, f"expected {text!r}, got {token.text[:40]!r}")

    def name(self, what: str) -> _Token:
        token = self.next()
        if token.kind != "name":
            fail(token.line, f"expected {what}, got {token.text[:40]!r}")
        return token

    def whole(self, what: str) -> int:
        token = self.next()
        if token.kind != "whole" or len(token.text) > 9:
            fail(token.line, f"expected {what}, got {token.text[:40]!r}")
        return int(token.text)

    # ---- statements

    def program(self) -> Circuit:
        if self.take("OPENQASM"):
            version = self.next()
            if version.text not in ("2.0", "2"):
                fail(version.line, f"OpenQASM {version.text[:40]} is not offered, only 2.0")
            self.expect(";")
        else:
            fail(self.tokens[0].line, "a program begins with 'OPENQASM 2.0;'")
        statements = {
            "include": self.include,
            "qreg": self.register,
            "creg": self.register,
            "gate": self.definition,
            "opaque": self.definition,
            "barrier": self.barrier,
            "measure": self.measure,
        }
        while self.tokens[self.at].kind != "end":
            token = self.name("a statement")
            if token.text in ("reset", "if"):
                fail(token.line, f"{token.text!r} is not offered: a circuit here is one unitary")
            if token.text in statements:
                statements[token.text](token)
            else:
                self.call(token)
        if not self.names:
            fail(self.tokens[-1].line, "the program declares no qubits")
        measured = tuple(self.measured.items())
        return Circuit(tuple(self.names), tuple(self.gates), measured)

    def include(self, start: _Token) -> None:
        token = self.next()
        if token.text != '"qelib1.inc"':
            fail(token.line, f'include {token.text[:40]} is not offered, only "qelib1.inc"')
        self.standard = True
        self.expect(";")

    def register(self, start: _Token) -> None:
        token = self.name("the name of a register")
        self.expect("[")
        size = self.whole("the size of the register")
        self.expect("]")
        self.expect(";")
        if token.text in self.qubits or token.text in self.bits:
            fail(token.line, f"register {token.text!r} is declared already")
        if size < 1:
            fail(token.line, f"register {token.text!r} has no room")
        if start.text == "creg":
            self.bits[token.text] = size
            return
        if len(self.names) + size > _QUBITS:
            fail(token.line, f"more than {_QUBITS} qubits")
        first = len(self.names)
        self.qubits[token.text] = list(range(first, first + size))
        self.names += [f"{token.text}[{k}]" for k in range(size)]

    def definition(self, start: _Token) -> None:
        token = self.name("the name of a gate")
        if token.text in self.defined or token.text in ("U", "CX"):
            fail(token.line, f"gate {token.text!r} is defined already")
        parameters: tuple[str, ...] = ()
        if self.take("(") and not self.take(")"):
            parameters = self.name_list("a parameter", ")")
        arguments = self.name_list("a qubit", ";" if start.text == "opaque" else "{")
        for names in (parameters, arguments):
            if len(set(names)) < len(names):
                fail(token.line, f"gate {token.text!r} names an argument twice")
        if start.text == "opaque":
            self.defined[token.text] = _Defined(parameters, arguments, None)
            return
        body = []
        while not self.take("}"):
            call = self.name("a gate or '}'")
            if call.text == "barrier":
                self.name_list("a qubit", ";")
                continue
            values: tuple[Any, ...] = ()
            if self.take("("):
                values = self.expressions(set(parameters))
            places = self.name_list("a qubit", ";")
            unknown = [place for place in places if place not in arguments]
            if unknown:
                fail(call.line, f"{unknown[0]!r} is no argument of gate {token.text!r}")
            self.signature(call, len(values), len(places))
            if len(set(places)) < len(places):
                fail(call.line, f"{call.text} acts on one qubit twice")
            body.append((call, values, places))
        inner = [self.defined[call.text] for call, _, _ in body if call.text in self.defined]
        size = sum(known.size for known in inner) + len(body) - len(inner)
        depth = 1 + max((known.depth for known in inner), default=0)
        if depth > _DEEP:
            fail(token.line, f"gate {token.text!r} is more than {_DEEP} definitions deep")
        self.defined[token.text] = _Defined(parameters, arguments, tuple(body), size, depth)

    def name_list(self, what: str, end: str) -> tuple[str, ...]:
        names = [self.name(what).text]
        while self.take(","):
            names.append(self.name(what).text)
        self.expect(end)
        return tuple(names)

    def barrier(self, start: _Token) -> None:
        self.arguments()

    def measure(self, start: _Token) -> None:
        source = self.argument()
        self.expect("->")
        register = self.name("a classical register")
        if register.text not in self.bits:
            fail(register.line, f"no classical register {register.text!r}")
        size = self.bits[register.text]
        if self.take("["):
            place = self.whole("the number of a bit")
            self.expect("]")
            if place >= size:
                fail(register.line, f"bit {place} of {register.text!r}, which has {size}")
            bits = [place]
        else:
            bits = list(range(size))
        self.expect(";")
        if len(bits) != len(source):
            fail(start.line, f"{len(source)} qubits are measured into {len(bits)} bits")
        for qubit, bit in zip(source, bits, strict=True):
            if qubit in self.measured:
                fail(start.line, f"qubit {self.names[qubit]} is measured already")
            self.measured[qubit] = f"{register.text}[{bit}]"

    def argument(self) -> list[int]:
        token = self.name("a qubit or a register")
        if token.text not in self.qubits:
            fail(token.line, f"no quantum register {token.text!r}")
        register = self.qubits[token.text]
        if not self.take("["):
            return register
        place = self.whole("the number of a qubit")
        self.expect("]")
        if place >= len(register):
            fail(token.line, f"qubit {place} of {token.text!r}, which has {len(register)}")
        return [register[place]]

    def arguments(self) -> list[list[int]]:
        found = [self.argument()]
        while self.take(","):
            found.append(self.argument())
        self.expect(";")
        return found

    def call(self, token: _Token) -> None:
        values: tuple[Any, ...] = ()
        if self.take("("):
            values = self.expressions(set())
        numbers = tuple(value({}) for value in values)
        # what a gate is comes first: an unknown name is the clearer error
        self.signature(token, len(numbers), None)
        found = self.arguments()
        self.signature(token, len(numbers), len(found))
        sizes = {len(register) for register in found if len(register) > 1}
        if len(sizes) > 1:
            fail(token.line, f"{token.text} on registers of sizes {sorted(sizes)}")
        for k in range(max(sizes, default=1)):
            places = tuple(r[k] if len(r) > 1 else r[0] for r in found)
            if len(set(places)) < len(places):
                fail(token.line, f"{token.text} acts on {self.names[places[0]]} twice")
            for place in places:
                if place in self.measured:
                    fail(token.line, f"{token.text} on {self.names[place]} after its measurement")
            size = self.defined[token.text].size if token.text in self.defined else 1
            if len(self.gates) + size > self.max_gates:
                fail(token.line, f"more than {self.max_gates} gates; is max_gates meant higher?")
            self.emit(token, numbers, places)

    def signature(self, token: _Token, values: int, places: int | None) -> None:
        """Check how many parameters and qubits a gate takes."""
        if token.text in self.defined:
            own = self.defined[token.text]
            if own.body is None:
                fail(token.line, f"gate {token.text!r} is opaque: its matrix is not known")
            wanted = (len(own.parameters), len(own.arguments))
        elif token.text == "U":
            wanted = (3, 1)
        elif token.text == "CX":
            wanted = (0, 2)
        elif token.text in QASM_GATES and self.standard:
            wanted = QASM_GATES[token.text][:2]
        else:
            hint = '; include "qelib1.inc" first' if token.text in QASM_GATES else ""
            fail(token.line, f"unknown gate {token.text[:40]!r}{hint}")
        if values != wanted[0]:
            fail(token.line, f"{token.text} takes {wanted[0]} parameters, got {values}")
        if places is not None and places != wanted[1]:
            fail(token.line, f"{token.text} acts on {wanted[1]} qubits, got {places}")

    def emit(self, token: _Token, values: tuple[float, ...], places: tuple[int, ...]) -> None:
        """Add a gate to the circuit, one that the file defines by its body."""
        own = self.defined.get(token.text)
        if own is not None and own.body is not None:
            known = dict(zip(own.parameters, values, strict=True))
            place = dict(zip(own.arguments, places, strict=True))
            for inner, expressions, names in own.body:
                numbers = tuple(value(known) for value in expressions)
                self.emit(inner, numbers, tuple(place[name] for name in names))
            return
        name = {"U": "u3", "CX": "cx"}.get(token.text, token.text)
        self.gates.append(Gate(name, QASM_GATES[name].matrix(*values), places))

    # ---- expressions: each becomes a function of the parameters

    def expressions(self, names: set[str]) -> tuple[Any, ...]:
        if self.take(")"):
            return ()
        found = [self.checked(names)]
        while self.take(","):
            found.append(self.checked(names))
        self.expect(")")
        return tuple(found)

    def checked(self, names: set[str]) -> Any:
        line = self.tokens[self.at].line
        value = self.sum(names, 0)

        def number(known: Mapping[str, float]) -> float:
            try:
                found = float(value(known))
            except (ArithmeticError, ValueError, TypeError) as error:
                fail(line, f"the parameter has no value: {error}")
            if not math.isfinite(found):
                fail(line, "the parameter is not finite")
            return found

        return number

    def sum(self, names: set[str], depth: int) -> Any:
        value = self.product(names, depth)
        while self.peek("+") or self.peek("-"):
            value = _both(value, self.next().text, self.product(names, depth))
        return value

    def product(self, names: set[str], depth: int) -> Any:
        value = self.power(names, depth)
        while self.peek("*") or self.peek("/"):
            value = _both(value, self.next().text, self.power(names, depth))
        return value

    def power(self, names: set[str], depth: int) -> Any:
        if depth > _DEEP:
            fail(self.tokens[self.at].line, f"an expression more than {_DEEP} levels deep")
        if self.take("-"):
            inner = self.power(names, depth + 1)
            return lambda known: -inner(known)
        if self.take("+"):
            return self.power(names, depth + 1)
        value = self.atom(names, depth)
        if self.take("^"):  # right-associative, and binds before a sign in front
            return _both(value, "^", self.power(names, depth + 1))
        return value

    def atom(self, names: set[str], depth: int) -> Any:
        token = self.next()
        if token.kind in ("real", "whole"):
            number = float(token.text)
            return lambda known: number
        if token.text == "(":
            inner = self.sum(names, depth + 1)
            self.expect(")")
            return inner
        if token.kind == "name" and token.text in names:
            return lambda known: known[token.text]
        if token.text == "pi":
            return lambda known: math.pi
        if token.text not in _FUNCTIONS:
            fail(token.line, f"expected a number, parameter or function, got {token.text[:40]!r}")
        function = _FUNCTIONS[token.text]
        self.expect("(")
        inner = self.sum(names, depth + 1)
        self.expect(")")
        return lambda known: function(inner(known))


def _both(left: Any, sign: str, right: Any) -> Any:
    if sign == "+":
        return lambda known: left(known) + right(known)
    if sign == "-":
        return lambda known: left(known) - right(known)
    if sign == "*":
        return lambda known: left(known) * right(known)
    if sign == "/":
        return lambda known: left(known) / right(known)
    return lambda known: left(known) ** right(known)
