"""CNF and UAI files against enumeration up to sixteen variables; bad files in one line each."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tnkit
from tnkit import contract, contract_scaled


@st.composite
def formulas(draw: st.DrawFn) -> tuple[int, list[list[int]], dict[int, float]]:
    count = draw(st.integers(1, 16))
    literals = st.integers(1, count).flatmap(lambda v: st.sampled_from([v, -v]))
    clauses = draw(st.lists(st.lists(literals, max_size=10), max_size=20))
    weights = {}
    for variable in draw(st.sets(st.integers(1, count))):
        weights[variable] = draw(st.floats(0.1, 2))
        weights[-variable] = draw(st.floats(0.1, 2))
    return count, clauses, weights


def count_models(count: int, clauses: list[list[int]], weights: dict[int, float]) -> float:
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # (assignment, variable)
    total = np.ones(2**count)
    for clause in clauses:
        total *= np.any([bits[:, abs(x) - 1] == (x > 0) for x in clause], axis=0)
    for variable in range(1, count + 1):
        pair = np.array([weights.get(-variable, 1.0), weights.get(variable, 1.0)])
        total *= pair[bits[:, variable - 1]]
    return float(total.sum())


def dimacs(count: int, clauses: list[list[int]], weights: dict[int, float]) -> str:
    lines = ["c a comment", f"p cnf {count} {len(clauses)}"]
    lines += [f"c p weight {x} {w!r} 0" for x, w in weights.items()]
    lines += [" ".join(map(str, [*clause, 0])) for clause in clauses]
    return "\n".join(lines)


@given(formula=formulas())
@example(formula=(10, [list(range(1, 11)), [-x for x in range(1, 11)]], {}))
@example(formula=(3, [[]], {}))
@example(formula=(2, [[1, -1], [2, 2]], {}))
def test_models_are_counted_with_their_weights(formula: Any) -> None:
    network = tnkit.cnf_network(dimacs(*formula))
    expected = count_models(*formula)
    assert contract(network).item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    kept = contract(network.with_output("1")).to_numpy()
    first = [count_models(formula[0], [*formula[1], [x]], formula[2]) for x in (-1, 1)]
    assert kept == pytest.approx(first, rel=1e-10, abs=1e-12)


def test_the_ways_to_write_weights_agree() -> None:
    body = "p cnf 2 1\n1 2 0\n"
    expected = 0.3 * 0.4 + 0.3 * 0.6 + 0.7 * 0.4
    for weights in (
        "c p weight 1 0.3 0\nc p weight -1 0.7 0\nc p weight 2 0.4 0\nc p weight -2 0.6 0",
        "w 1 0.3 0\nw 2 0.4 0",
        "w 1 0.3\nw 2 0.4",
        "c weights 0.3 0.7 0.4 0.6",
    ):
        found = contract(tnkit.cnf_network(f"{body}{weights}")).item()
        assert found == pytest.approx(expected, rel=1e-12), weights
    assert contract(tnkit.cnf_network(f"{body}w 1 -1\nw 2 -1")).item() == 3.0


def test_clauses_may_span_lines_and_files_end_with_a_percent_sign() -> None:
    assert contract(tnkit.cnf_network("p cnf 3 2\n1\n2 0 -1\n3 0\n%\n0\n")).item() == 4.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no line 'p cnf VARIABLES CLAUSES'"),
        ("1 2 0", "line 1: expected 'p cnf VARIABLES CLAUSES' before clauses"),
        ("p cnf two 1", "line 1: the number of variables must be a whole number, got 'two'"),
        ("p sat 3 1", "line 1: expected 'p cnf VARIABLES CLAUSES', got 'p sat 3 1'"),
        ("p cnf 2 1\n\n1 3 0", "line 3: a literal must be from -2 to 2, got 3"),
        ("p cnf 2 1\n1 x 0", "line 2: a literal must be a whole number, got 'x'"),
        ("p cnf 2 1\n1 2", "line 2: the last clause does not end with 0"),
        ("p cnf 2 2\n1 2 0", "line 2: line 'p' promised 2 clauses, there are 1"),
        ("p cnf 2 0\np cnf 2 0", "line 2: a second line 'p'"),
        ("p cnf 2 0\nc p show 1 0", "line 2: projected counting is not offered"),
        ("p cnf 2 0\nc p weight 1 nan 0", "line 2: the weight of 1 must be finite, got nan"),
        ("p cnf 2 0\nw 1 0.5\nw 1 0.6", "line 3: literal 1 has a weight already, 0.5"),
        ("p cnf 9999999999 0", "line 1: the number of variables must be from 0 to 1000000"),
        (f"p cnf 2 1\n{'9' * 9999} 0", "line 2: a literal must be a whole number, got '9999"),
        ("p cnf 2 0\nw 1", "line 2: the text ends where the weight of 1 was expected"),
    ],
)
def test_a_bad_cnf_is_one_line(text: str, message: str) -> None:
    with pytest.raises(tnkit.FormatError) as caught:
        tnkit.cnf_network(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@st.composite
def factor_graphs(draw: st.DrawFn) -> tuple[list[int], list[tuple[list[int], Any]]]:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=7))
    factors = []
    for _ in range(draw(st.integers(0, 6))):
        scope = draw(st.lists(st.integers(0, len(sizes) - 1), unique=True, max_size=3))
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        factors.append((scope, rng.random([sizes[k] for k in scope])))
    return sizes, factors


def uai(sizes: list[int], factors: list[tuple[list[int], Any]]) -> str:
    lines = ["MARKOV", str(len(sizes)), " ".join(map(str, sizes)), str(len(factors))]
    lines += [" ".join(map(str, [len(scope), *scope])) for scope, _ in factors]
    for _, table in factors:
        lines += ["", str(table.size), " ".join(repr(float(x)) for x in table.ravel())]
    return "\n".join(lines)


@given(graph=factor_graphs(), data=st.data())
def test_factor_graphs_with_evidence(graph: Any, data: Any) -> None:
    sizes, factors = graph
    seen = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    evidence = {k: data.draw(st.integers(0, sizes[k] - 1)) for k in sorted(seen)}
    free = [k for k in range(len(sizes)) if k not in evidence]
    kept = free[:1]
    expected = np.zeros([sizes[k] for k in kept])
    for x in itertools.product(*map(range, sizes)):
        if all(x[k] == value for k, value in evidence.items()):
            weight = math.prod(float(table[tuple(x[k] for k in scope)]) for scope, table in factors)
            expected[tuple(x[k] for k in kept)] += weight
    text = " ".join(map(str, [len(evidence), *itertools.chain(*evidence.items())]))
    for given_as in (evidence, text, f"1\n{text}"):
        network = tnkit.uai_network(uai(*graph), given_as, output=kept)
        found = contract(network).to_numpy()
        assert np.allclose(found, expected, rtol=1e-10, atol=1e-14)
    log = contract_scaled(tnkit.uai_network(uai(*graph), evidence)).log_abs
    with np.errstate(divide="ignore"):
        assert np.allclose(log, np.log(expected.sum()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the text ends where MARKOV or BAYES was expected"),
        ("GRAPH 1", "line 1: expected MARKOV or BAYES, got 'GRAPH'"),
        ("MARKOV\n2\n2 0", "line 3: the size of variable 1 must be from 1 to 1000000, got 0"),
        ("MARKOV\n1\n9999999999\n0", "line 3: the size of variable 0 must be from 1 to 1000000"),
        ("MARKOV\n1\n2\n1\n1 1", "line 5: a variable of factor 0 must be from 0 to 0, got 1"),
        ("MARKOV\n2\n2 2\n1\n2 0 0", "line 5: factor 0 names a variable twice: [0, 0]"),
        (
            "MARKOV\n1\n2\n1\n1 0\n3\n1 1 1",
            "line 6: factor 0 has 3 entries, its",
        ),
        ("MARKOV\n1\n2\n1\n1 0\n2\n1 inf", "line 7: an entry of factor 0 must be finite, got inf"),
        ("MARKOV\n1\n2\n0\n7", "line 5: more words than the model needs: '7'"),
    ],
)
def test_a_bad_uai_is_one_line(text: str, message: str) -> None:
    with pytest.raises(tnkit.FormatError) as caught:
        tnkit.uai_network(text)
    assert str(caught.value).startswith(message)


def test_bad_evidence_and_paths(tmp_path: Path) -> None:
    model = tmp_path / "model.uai"
    model.write_text("MARKOV 1 2 1 1 0 2 0.25 0.5")
    assert contract(tnkit.uai_network(model)).item() == 0.75
    with pytest.raises(tnkit.ArgumentError, match="evidence 2 on variable 0, which has 2 values"):
        tnkit.uai_network(model, {0: 2})
    with pytest.raises(tnkit.ArgumentError, match="evidence on variable 1, but there are 1"):
        tnkit.uai_network(model, "1 1 0")
    with pytest.raises(tnkit.FormatError, match="line 1: variable 0 is observed twice"):
        tnkit.read_uai_evidence("2 0 1 0 1")
    model.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(tnkit.FormatError, match=r"model\.uai is not a text file"):
        tnkit.uai_network(model)
    with pytest.raises(FileNotFoundError):
        tnkit.cnf_network(tmp_path / "nothing.cnf")
    with pytest.raises(tnkit.ArgumentTypeError, match="source must be a string or a Path"):
        tnkit.cnf_network(3)  # type: ignore[arg-type]
