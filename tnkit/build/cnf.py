"""Weighted model counting: DIMACS CNF as a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tnkit.build.counting import automaton
from tnkit.build.sources import Words, fail, read_text
from tnkit.checking import checked
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["cnf_network"]

_MOST = 1_000_000


@checked
def cnf_network(source: str | Path) -> TensorNetwork:
    r"""Return the network whose value is the (weighted) number of models of a CNF formula.

    source: the text of a DIMACS file, or a `pathlib.Path` to one. Weights, where there are any:
    ``c p weight LITERAL W 0`` (model counting competitions since 2021), ``w LITERAL W [0]`` (2020,
    and Cachet's, where -1 stands for two weights of 1), or ``c weights P1 N1 P2 N2 ...`` (MiniC2D).
    Where one literal of a variable has a weight and the other none, theirs add to one; variables
    without weights have 1 and 1. A variable in no clause counts.

    Variable k is the hyperedge "k" with values 0 (false) and 1 (true): ``with_output("3")`` gives
    the weights of both values of variable 3. Clauses of more than six literals become chains.
    Float64: counts are exact up to 2^53, `contract_scaled` goes on beyond. Raises `FormatError`
    with the line; projected counting (``c p show``) is refused.

    >>> from tnkit.contraction import contract
    >>> contract(cnf_network("p cnf 3 2\n1 -2 0\n2 3 0\n")).item()
    4.0
    """
    text = read_text(source)
    header: tuple[int, int] | None = None
    rows: list[tuple[int, str]] = []
    weights: dict[int, float] = {}
    both: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if words[0] == "%":  # SATLIB files end so
            break
        if words[:3] == ["c", "p", "weight"]:
            both.append((number, words[3:]))
        elif words[:3] == ["c", "p", "show"]:
            fail(number, "projected counting is not offered; sum over all variables instead")
        elif words[:2] == ["c", "weights"]:
            for at, word in enumerate(words[2:]):
                both.append((number, [str((at // 2 + 1) * (-1 if at % 2 else 1)), word]))
        elif words[0].startswith("c"):
            continue
        elif words[0] == "p":
            if header is not None:
                fail(number, "a second line 'p'; the first said all there is to say")
            if len(words) != 4 or words[1] not in ("cnf", "wcnf"):
                fail(number, f"expected 'p cnf VARIABLES CLAUSES', got {line.strip()[:40]!r}")
            problem = Words(iter([(number, " ".join(words[2:]))]))
            header = (
                problem.whole("the number of variables", 0, _MOST),
                problem.whole("of clauses"),
            )
        elif words[0] == "w":
            both.append((number, words[1:]))
        elif header is None:
            fail(
                number,
                f"expected 'p cnf VARIABLES CLAUSES' before clauses, got {line.strip()[:40]!r}",
            )
        else:
            rows.append((number, line))
    if header is None:
        fail(1, "no line 'p cnf VARIABLES CLAUSES'")
    count, clauses = header
    for number, words in both:
        _weigh(weights, number, words, count)
    return TensorNetwork(_tensors(count, weights, _clauses(rows, count, clauses)), [])


def _weigh(weights: dict[int, float], number: int, words: list[str], count: int) -> None:
    entry = Words(iter([(number, " ".join(words))]))
    literal = entry.whole("a literal", -count, count)
    value = entry.number(f"the weight of {literal}")
    if literal == 0:
        fail(number, "0 is not a literal")
    if literal in weights:
        fail(number, f"literal {literal} has a weight already, {weights[literal]}")
    if not entry.done and (entry.word("0") != "0" or not entry.done):
        fail(number, f"more than a literal and a weight: {' '.join(words)[:40]!r}")
    if value == -1.0:
        weights[literal] = weights[-literal] = 1.0
    else:
        weights[literal] = value


def _clauses(rows: list[tuple[int, str]], count: int, expected: int) -> list[list[int]]:
    words = Words(iter(rows))
    found: list[list[int]] = []
    clause: list[int] = []
    while not words.done:
        literal = words.whole("a literal", -count, count)
        if literal:
            clause.append(literal)
        else:
            found.append(clause)
            clause = []
    if clause:
        fail(words.line, "the last clause does not end with 0")
    if len(found) != expected:
        fail(words.line, f"line 'p' promised {expected} clauses, there are {len(found)}")
    return found


def _tensors(count: int, weights: dict[int, float], clauses: list[list[int]]) -> list[Tensor]:
    tensors = []
    for variable in range(1, count + 1):
        true, false = weights.get(variable), weights.get(-variable)
        if true is None:
            true = 1.0 if false is None else 1.0 - false
        if false is None:
            false = 1.0 if variable not in weights else 1.0 - true
        tensors.append(Tensor(np.array([false, true]), [str(variable)], ["variable"]))
    taken = {str(variable) for variable in range(1, count + 1)}
    for number, clause in enumerate(clauses):
        literals = sorted(set(clause), key=abs)
        if any(-literal in literals for literal in literals):
            continue  # always true
        moves = []
        for literal in literals:
            step = np.zeros((2, 2, 2))  # (true already, value, true now)
            step[1, :, 1] = 1.0
            step[0, int(literal > 0), 1] = 1.0
            step[0, int(literal < 0), 0] = 1.0
            moves.append(step)
        names = [str(abs(literal)) for literal in literals]
        tags = ["clause", f"clause{number}"]
        tensors += automaton(names, moves, np.array([1.0, 0.0]), np.array([0.0, 1.0]), tags, taken)
    return tensors
