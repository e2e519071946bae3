"""Circuits against a dense state vector of our own, and against states known by heart."""

from __future__ import annotations

import cmath
import contextlib
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import contract, read_qasm, read_qsim
from tnkit.build.gates import QASM_GATES, QSIM_GATES

HEADER = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'

# The standard library in terms of U and CX (Cross et al., arXiv:1707.03429; Qiskit's additions)
QELIB1 = """
gate u3(theta,phi,lambda) q { U(theta,phi,lambda) q; }
gate u2(phi,lambda) q { U(pi/2,phi,lambda) q; }
gate u1(lambda) q { U(0,0,lambda) q; }
gate cx c,t { CX c,t; }
gate id a { U(0,0,0) a; }
gate u0(gamma) q { U(0,0,0) q; }
gate u(theta,phi,lambda) q { U(theta,phi,lambda) q; }
gate p(lambda) q { U(0,0,lambda) q; }
gate x a { u3(pi,0,pi) a; }
gate y a { u3(pi,pi/2,pi/2) a; }
gate z a { u1(pi) a; }
gate h a { u2(0,pi) a; }
gate s a { u1(pi/2) a; }
gate sdg a { u1(-pi/2) a; }
gate t a { u1(pi/4) a; }
gate tdg a { u1(-pi/4) a; }
gate rx(theta) a { u3(theta,-pi/2,pi/2) a; }
gate ry(theta) a { u3(theta,0,0) a; }
gate rz(phi) a { u1(phi) a; }
gate sx a { sdg a; h a; sdg a; }
gate sxdg a { s a; h a; s a; }
gate cz a,b { h b; cx a,b; h b; }
gate cy a,b { sdg b; cx a,b; s b; }
gate swap a,b { cx a,b; cx b,a; cx a,b; }
gate ch a,b { h b; sdg b; cx a,b; h b; t b; cx a,b; t b; h b; s b; x b; s a; }
gate ccx a,b,c { h c; cx b,c; tdg c; cx a,c; t c; cx b,c; tdg c; cx a,c; t b; t c; h c; cx a,b;
  t a; tdg b; cx a,b; }
gate ccz a,b,c { h c; ccx a,b,c; h c; }
gate cswap a,b,c { cx c,b; ccx a,b,c; cx c,b; }
gate crx(lambda) a,b { u1(pi/2) b; cx a,b; u3(-lambda/2,0,0) b; cx a,b;
  u3(lambda/2,-pi/2,0) b; }
gate cry(lambda) a,b { ry(lambda/2) b; cx a,b; ry(-lambda/2) b; cx a,b; }
gate crz(lambda) a,b { rz(lambda/2) b; cx a,b; rz(-lambda/2) b; cx a,b; }
gate cu1(lambda) a,b { u1(lambda/2) a; cx a,b; u1(-lambda/2) b; cx a,b; u1(lambda/2) b; }
gate cp(lambda) a,b { cu1(lambda) a,b; }
gate cu3(theta,phi,lambda) c,t { u1((lambda+phi)/2) c; u1((lambda-phi)/2) t; cx c,t;
  u3(-theta/2,0,-(phi+lambda)/2) t; cx c,t; u3(theta/2,phi,0) t; }
gate cu(theta,phi,lambda,gamma) c,t { p(gamma) c; cu3(theta,phi,lambda) c,t; }
gate csx a,b { h b; cu1(pi/2) a,b; h b; }
gate rxx(theta) a,b { h a; h b; cx a,b; rz(theta) b; cx a,b; h a; h b; }
gate ryy(theta) a,b { rx(pi/2) a; rx(pi/2) b; cx a,b; rz(theta) b; cx a,b; rx(-pi/2) a;
  rx(-pi/2) b; }
gate rzz(theta) a,b { cx a,b; u1(theta) b; cx a,b; }
gate iswap a,b { s a; s b; h a; cx a,b; cx b,a; h b; }
gate rccx a,b,c { u2(0,pi) c; u1(pi/4) c; cx b,c; u1(-pi/4) c; cx a,c; u1(pi/4) c; cx b,c;
  u1(-pi/4) c; u2(0,pi) c; }
gate rc3x a,b,c,d { u2(0,pi) d; u1(pi/4) d; cx c,d; u1(-pi/4) d; u2(0,pi) d; cx a,d; u1(pi/4) d;
  cx b,d; u1(-pi/4) d; cx a,d; u1(pi/4) d; cx b,d; u1(-pi/4) d; u2(0,pi) d; u1(pi/4) d; cx c,d;
  u1(-pi/4) d; u2(0,pi) d; }
gate c3x a,b,c,d { h d; cu1(pi/4) a,d; h d; cx a,b; h d; cu1(-pi/4) b,d; h d; cx a,b; h d;
  cu1(pi/4) b,d; h d; cx b,c; h d; cu1(-pi/4) c,d; h d; cx a,c; h d; cu1(pi/4) c,d; h d;
  cx b,c; h d; cu1(-pi/4) c,d; h d; cx a,c; h d; cu1(pi/4) c,d; h d; }
gate c3sqrtx a,b,c,d { h d; cu1(pi/8) a,d; h d; cx a,b; h d; cu1(-pi/8) b,d; h d; cx a,b; h d;
  cu1(pi/8) b,d; h d; cx b,c; h d; cu1(-pi/8) c,d; h d; cx a,c; h d; cu1(pi/8) c,d; h d;
  cx b,c; h d; cu1(-pi/8) c,d; h d; cx a,c; h d; cu1(pi/8) c,d; h d; }
gate c4x a,b,c,d,e { h e; cu1(pi/2) d,e; h e; c3x a,b,c,d; h e; cu1(-pi/2) d,e; h e;
  c3x a,b,c,d; c3sqrtx a,b,c,e; }
"""


def simulate(circuit: tnkit.Circuit) -> Any:
    """Return the state vector with an axis a qubit: the oracle."""
    count = len(circuit.qubits)
    state = np.zeros((2,) * count, dtype=complex)
    state[(0,) * count] = 1.0
    return evolve(circuit, state)


def evolve(circuit: tnkit.Circuit, state: Any) -> Any:
    for gate in circuit.gates:
        k = len(gate.qubits)
        matrix = gate.matrix.reshape((2,) * (2 * k))
        state = np.tensordot(matrix, state, (range(k, 2 * k), gate.qubits))
        state = np.moveaxis(state, range(k), gate.qubits)
    return state


def unitary(circuit: tnkit.Circuit) -> Any:
    count = len(circuit.qubits)
    basis = np.eye(2**count, dtype=complex).reshape((2,) * count + (2**count,))
    return evolve(circuit, basis).reshape(2**count, 2**count)


@pytest.mark.parametrize("name", QASM_GATES)
def test_standard_gates_are_what_their_library_says(name: str) -> None:
    """Up to the global phase of the whole, which OpenQASM leaves open."""
    standard = QASM_GATES[name]
    values = [0.3 + 0.45 * k for k in range(standard.parameters)]
    places = ",".join(f"q[{k}]" for k in range(standard.qubits))
    call = f"qreg q[{standard.qubits}]; {name}({','.join(map(repr, values))}) {places};"
    ours = unitary(read_qasm(HEADER + call))
    theirs = unitary(read_qasm(f"OPENQASM 2.0; {QELIB1} {call}"))
    overlap = np.vdot(ours, theirs) / len(ours)
    assert abs(overlap) == pytest.approx(1.0, abs=1e-12)
    assert np.allclose(ours @ ours.conj().T, np.eye(len(ours)))


@pytest.mark.parametrize("name", QSIM_GATES)
def test_qsim_gates_are_unitary(name: str) -> None:
    matrix = tnkit.gate_matrix(name, [0.3, 0.7][: QSIM_GATES[name].parameters])
    assert np.allclose(matrix @ matrix.conj().T, np.eye(len(matrix)))


def test_qsim_roots_are_square_roots() -> None:
    gate = {name: tnkit.gate_matrix(name) for name in ("x", "y", "x_1_2", "y_1_2", "hz_1_2")}
    assert np.allclose(gate["x_1_2"] @ gate["x_1_2"], gate["x"])
    assert np.allclose(gate["y_1_2"] @ gate["y_1_2"], gate["y"])
    assert np.allclose(gate["hz_1_2"] @ gate["hz_1_2"], (gate["x"] + gate["y"]) / math.sqrt(2))


@st.composite
def circuits(draw: st.DrawFn, max_qubits: int = 5) -> tnkit.Circuit:
    count = draw(st.integers(1, max_qubits))
    fitting = [name for name, gate in QASM_GATES.items() if gate.qubits <= count]
    gates = []
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from(fitting))
        angles = [draw(st.floats(-3, 3)) for _ in range(QASM_GATES[name].parameters)]
        places = draw(st.permutations(range(count)))[: QASM_GATES[name].qubits]
        gates.append((name, *angles, *places))
    return tnkit.Circuit.from_gates(count, gates)


@given(circuit=circuits(), data=st.data())
def test_networks_agree_with_the_state_vector(circuit: tnkit.Circuit, data: Any) -> None:
    state = simulate(circuit)
    count = len(circuit.qubits)
    assert np.allclose(contract(tnkit.state_network(circuit)).to_numpy(), state, atol=1e-12)
    bits = data.draw(st.lists(st.sampled_from("01?"), min_size=count, max_size=count))
    chosen = tuple(slice(None) if bit == "?" else int(bit) for bit in bits)
    found = contract(tnkit.amplitude_network(circuit, "".join(bits))).to_numpy()
    assert np.allclose(found, state[chosen], atol=1e-12)
    kept = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=3))
    rest = [k for k in range(count) if k not in kept]
    matrix = np.transpose(state, (*kept, *rest)).reshape(2 ** len(kept), -1)
    rho = contract(tnkit.density_network(circuit, kept)).to_numpy()
    size = 2 ** len(kept)
    assert np.allclose(rho.reshape(size, size), matrix @ matrix.conj().T, atol=1e-12)
    operators = {k: data.draw(st.sampled_from("XYZ")) for k in kept}
    acted = state
    for k, name in operators.items():
        acted = np.moveaxis(np.tensordot(tnkit.gate_matrix(name.lower()), acted, (1, k)), 0, k)
    value = contract(tnkit.expectation_network(circuit, operators)).item()
    assert value == pytest.approx(np.vdot(state, acted), abs=1e-12)


@given(circuit=circuits(), data=st.data())
def test_operators_on_several_qubits(circuit: tnkit.Circuit, data: Any) -> None:
    pair = data.draw(st.permutations(range(len(circuit.qubits))))[:2]
    size = 2 ** len(pair)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    matrix = rng.standard_normal((size, size)) + 1j * rng.standard_normal((size, size))
    rho = contract(tnkit.density_network(circuit, pair)).to_numpy().reshape(size, size)
    found = contract(tnkit.expectation_network(circuit, {tuple(pair): matrix})).item()
    assert found == pytest.approx(np.trace(matrix @ rho), abs=1e-12)


@given(circuit=circuits(), seed=st.integers(0, 99))
def test_the_inverse_undoes_and_the_light_cone_changes_nothing(
    circuit: tnkit.Circuit, seed: int
) -> None:
    there = simulate(circuit)
    assert np.allclose(evolve(circuit.inverse(), there).ravel()[0], 1.0)
    k = seed % len(circuit.qubits)
    cone = tnkit.light_cone(circuit, [k])
    assert len(cone) <= len(circuit)
    for state in (there, simulate(cone)):
        part = np.moveaxis(state, k, 0).reshape(2, -1)
        rho = contract(tnkit.density_network(circuit, [k])).to_numpy()
        assert np.allclose(part @ part.conj().T, rho, atol=1e-12)


def test_a_light_cone_makes_a_hundred_qubits_cheap() -> None:
    brick = [("ry", 0.1 * k, k) for k in range(100)]
    brick += [("cz", k, k + 1) for first in (0, 1) for k in range(first, 99, 2)]
    brick += [("rx", 0.3, k) for k in range(100)]
    circuit = tnkit.Circuit.from_gates(100, brick)
    network = tnkit.expectation_network(circuit, {50: "Z"})
    assert len(network) < 40
    assert tnkit.plan(network).cost.multiplications < 2000
    assert -1 <= contract(network).item().real <= 1


@given(circuit=circuits(max_qubits=4), group=st.integers(1, 4))
def test_samples_follow_the_born_rule(circuit: tnkit.Circuit, group: int) -> None:
    shots = 400
    samples = tnkit.sample_circuit(circuit, shots, seed=3, group=group)
    probabilities = np.abs(simulate(circuit).ravel()) ** 2
    count = len(circuit.qubits)
    places = samples @ (2 ** np.arange(count)[::-1])
    found = np.bincount(places, minlength=2**count) / shots
    # five standard deviations and a half; an outcome that is impossible never comes
    assert np.all(np.abs(found - probabilities) <= 5.5 * np.sqrt(probabilities / shots) + 1e-9)
    again = tnkit.sample_circuit(circuit, shots, seed=3, group=group)
    assert np.array_equal(samples, again)


# ---- files


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "reference" / "circuits"


def state_of(path: Path) -> Any:
    circuit = read_qasm(path)
    found = contract(tnkit.state_network(circuit)).to_numpy()
    assert np.allclose(found, simulate(circuit), atol=1e-12)
    return found


def test_ghz(folder: Path) -> None:
    expected = np.zeros((2,) * 4)
    expected[0, 0, 0, 0] = expected[1, 1, 1, 1] = math.sqrt(0.5)
    assert np.allclose(state_of(folder / "cat_state_n4.qasm"), expected, atol=1e-15)
    ghz = contract(tnkit.ghz_mps(4).network()).to_numpy()
    assert np.allclose(state_of(folder / "cat_state_n4.qasm"), ghz, atol=1e-15)


def test_w(folder: Path) -> None:
    state = state_of(folder / "wstate_n3.qasm")
    weights = np.abs(state.reshape(-1)) ** 2
    single = [1, 2, 4]
    assert weights[single] == pytest.approx([1 / 3] * 3, abs=1e-5)  # the file gives six digits
    assert weights.sum() - weights[single].sum() == pytest.approx(0.0, abs=1e-15)


def test_qft(folder: Path) -> None:
    """|1010> becomes a plane wave; the file leaves the bits reversed."""
    state = state_of(folder / "qft_n4.qasm")
    for bits in itertools.product([0, 1], repeat=4):
        # qubit j carries exp(2 pi i 0.x_j x_{j+1} x_{j+2} ...), x = 1010
        number = {0: 0.101, 1: 0.01, 2: 0.1, 3: 0.0}
        fraction = {k: int(str(v)[2:] or "0", 2) / 2 ** len(str(v)[2:]) for k, v in number.items()}
        phase = sum(2 * math.pi * fraction[k] * bits[k] for k in range(4))
        assert state[bits] == pytest.approx(0.25 * cmath.exp(1j * phase), abs=1e-14)


@pytest.mark.parametrize("name", ["adder_n4", "bell_n4", "grover_n2", "ising_n10", "toffoli_n3"])
def test_other_files(folder: Path, name: str) -> None:
    state = state_of(folder / f"{name}.qasm")
    assert np.linalg.norm(state) == pytest.approx(1.0, abs=1e-12)
    certain = {"grover_n2": (1, 1), "toffoli_n3": (1, 1, 1)}
    if name in certain:
        assert abs(state[certain[name]]) == pytest.approx(1.0, abs=1e-12)


def test_measurements_are_kept(folder: Path) -> None:
    measured = read_qasm(folder / "bell_n4.qasm").measured
    assert measured == ((2, "m_b[0]"), (3, "m_y[0]"), (0, "m_a[0]"), (1, "m_x[0]"))


def test_fifty_three_qubits_are_planned_sliced_or_refused(folder: Path) -> None:
    circuit = read_qsim(folder / "circuit_n53_m10_s0_e0_pABCDCDAB.qsim")
    assert (len(circuit.qubits), len(circuit)) == (53, 1658)
    network = tnkit.simplify(tnkit.amplitude_network(circuit, "0" * 53, dtype="complex64"))
    made = tnkit.plan(network, memory_limit=64 * 2**20)
    assert made.cost.peak_bytes <= 64 * 2**20
    assert made.cost.slices > 1
    assert made.cost.flops < 1e13
    with pytest.raises(tnkit.MemoryLimitError, match="contracting within 16 KiB is not possible"):
        tnkit.plan(network, memory_limit=16 * 2**10)


# ---- the parser


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-pi/2", -math.pi / 2),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("2*-3+1.5e-1", -5.85),
        ("1-2-3", -4.0),
        ("8/4/2", 1.0),
        ("sin(pi/6)+cos(0)*ln(exp(2))-sqrt(4)", 0.5),
        (".5+5.", 5.5),
        ("((1))", 1.0),
        ("tan(0.3)", math.tan(0.3)),
    ],
)
def test_expressions(text: str, value: float) -> None:
    circuit = read_qasm(f"{HEADER}gate g(a) q {{ rx(a) q; }} qreg q[1]; g({text}) q[0];")
    expected = tnkit.gate_matrix("rx", [value])
    assert np.allclose(circuit.gates[0].matrix, expected, atol=1e-14)


def test_registers_broadcast_and_parameters_pass_through() -> None:
    circuit = read_qasm(
        HEADER
        + "gate pair(a,b) x,y { rx(a*b) x; barrier x,y; cz y,x; }\n"
        + "qreg q[2]; qreg r[2]; creg c[2]; h q; cx q[0],r; pair(2,pi/4) q,r; measure q -> c;"
    )
    assert [g.name for g in circuit.gates] == ["h", "h", "cx", "cx", "rx", "cz", "rx", "cz"]
    assert [g.qubits for g in circuit.gates[2:6]] == [(0, 2), (0, 3), (0,), (2, 0)]
    assert circuit.qubits == ("q[0]", "q[1]", "r[0]", "r[1]")
    assert circuit.measured == ((0, "c[0]"), (1, "c[1]"))


DOUBLING = "".join(
    f"gate g{k + 1} q {{ g{k} q; g{k} q; }}\n" if k else "gate g1 q { x q; x q; }\n"
    for k in range(40)
)


DEEP = "".join(f"gate g{k + 1} q {{ {f'g{k}' if k else 'x'} q; }}\n" for k in range(200))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: a program begins with 'OPENQASM 2.0;'"),
        ("OPENQASM 3.0;", "line 1: OpenQASM 3.0 is not offered, only 2.0"),
        ('OPENQASM 2.0;\ninclude "other.inc";', 'line 2: include "other.inc" is not offered'),
        ("OPENQASM 2.0;\nqreg q[2]\nh q;", "line 3: expected ';', got 'h'"),
        ("OPENQASM 2.0;\nqreg q[1];\nh q;", "line 3: unknown gate 'h'; include \"qelib1.inc\""),
        (HEADER + "qreg q[1];\nfoo q;", "line 4: unknown gate 'foo'"),
        (HEADER + "qreg q[1];\nh q[1];", "line 4: qubit 1 of 'q', which has 1"),
        (HEADER + "qreg q[2];\ncx q[0],q[0];", "line 4: cx acts on q[0] twice"),
        (HEADER + "qreg q[2];\ncx q[0];", "line 4: cx acts on 2 qubits, got 1"),
        (HEADER + "qreg q[1];\nrx q[0];", "line 4: rx takes 1 parameters, got 0"),
        (HEADER + "qreg q[1];\nrx(1/0) q[0];", "line 4: the parameter has no value: float div"),
        (HEADER + "qreg q[1];\nrx(9^9^9) q[0];", "line 4: the parameter has no value"),
        (HEADER + "qreg q[1];\nrx((-8)^0.5) q[0];", "line 4: the parameter has no value"),
        (HEADER + "qreg q[1];\nrx(exp(999)) q[0];", "line 4: the parameter has no value"),
        (HEADER + "qreg q[1];\nrx(1e999) q[0];", "line 4: the parameter is not finite"),
        (HEADER + f"qreg q[1];\nrx({'(' * 999}1) q[0];", "line 4: an expression more than 100"),
        (HEADER + f"qreg q[1];\nrx({'-' * 999}1) q[0];", "line 4: an expression more than 100"),
        (HEADER + "qreg q[1];\nrx(b) q[0];", "line 4: expected a number, parameter or function"),
        (HEADER + "qreg q[2]; qreg r[3];\ncx q,r;", "line 4: cx on registers of sizes [2, 3]"),
        (HEADER + "qreg q[999999];", "line 3: more than 100000 qubits"),
        (HEADER + "qreg q[9999999999];", "line 3: expected the size of the register"),
        (HEADER + "qreg q[0];", "line 3: register 'q' has no room"),
        (HEADER + "qreg q[1];\nqreg q[1];", "line 4: register 'q' is declared already"),
        (HEADER + "qreg q[1]; creg c[1];\nreset q;", "line 4: 'reset' is not offered"),
        (HEADER + "qreg q[1]; creg c[1];\nif(c==1) x q;", "line 4: 'if' is not offered"),
        (
            HEADER + "qreg q[1]; creg c[1];\nmeasure q->c;\nx q;",
            "line 5: x on q[0] after its measurement",
        ),
        (HEADER + "qreg q[2]; creg c[1];\nmeasure q->c;", "line 4: 2 qubits are measured into 1"),
        (HEADER + "gate g a { h b; }", "line 3: 'b' is no argument of gate 'g'"),
        (HEADER + "gate g a { g a; }", "line 3: unknown gate 'g'"),
        (HEADER + "opaque g a;\nqreg q[1];\ng q;", "line 5: gate 'g' is opaque"),
        (HEADER + DOUBLING + "qreg q[1];\ng40 q;", "line 44: more than 1000000 gates"),
        (HEADER + DEEP, "line 103: gate 'g101' is more than 100 definitions deep"),
        (HEADER + "qreg q[1];\nh q[0] @", "line 4: unexpected character '@'"),
        (HEADER + "qreg q[1];\nh q[0", "line 4: expected ']', got 'the end of the text'"),
        (HEADER, "line 3: the program declares no qubits"),
    ],
)
def test_a_bad_program_is_one_line(text: str, message: str) -> None:
    with pytest.raises(tnkit.FormatError) as caught:
        read_qasm(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(text=st.text(alphabet='qregx[]();,+-*/^01.{} ->\n"hcgatemsurOPENQASM', max_size=60))
def test_noise_is_refused_and_never_crashes(text: str) -> None:
    for program in (text, HEADER + "qreg q[2];" + text, HEADER + f"qreg q[2]; rx({text}) q[0];"):
        with contextlib.suppress(tnkit.FormatError):
            read_qasm(program)
    with contextlib.suppress(tnkit.FormatError):
        read_qsim(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the text is empty"),
        ("two", "line 1: the number of qubits must be a whole number, got 'two'"),
        ("2 3", "line 1: expected the number of qubits alone"),
        ("2\n0 h 2", "line 2: a qubit of h must be from 0 to 1, got 2"),
        ("2\n0 q 0", "line 2: unknown gate 'q'; those known: id1"),
        ("2\n0 cz 0", "line 2: the text ends where a qubit of cz was expected"),
        ("2\n0 cz 1 1", "line 2: cz names a qubit twice: [1, 1]"),
        ("2\n0 rz 0 nan", "line 2: a parameter of rz must be finite, got nan"),
        ("2\n0 h 0 0.5", "line 2: more words than h takes: '0.5'"),
        ("2\n1 h 0\n1 x 0", "line 3: qubit 0 is busy at time 1"),
        ("2\n1 m 0\n2 x 0", "line 3: x acts on qubit 0 after its measurement"),
    ],
)
def test_a_bad_qsim_file_is_one_line(text: str, message: str) -> None:
    with pytest.raises(tnkit.FormatError) as caught:
        read_qsim(text)
    assert str(caught.value).startswith(message)


def test_qsim_is_what_the_same_gates_are() -> None:
    text = "3\n0 h 0\n0 x_1_2 1\n# a comment\n1 cz 0 1\n2 fs 1 2 0.3 0.2\n3 rxy 0 0.4 0.7\n4 m 0 1"
    circuit = read_qsim(text)
    same = tnkit.Circuit.from_gates(
        3, [("h", 0), ("x_1_2", 1), ("cz", 0, 1), ("fs", 0.3, 0.2, 1, 2), ("rxy", 0.4, 0.7, 0)]
    )
    assert np.allclose(simulate(circuit), simulate(same))
    assert circuit.measured == ((0, "m0"), (1, "m1"))


def test_what_else_is_refused() -> None:
    bell = tnkit.Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    with pytest.raises(tnkit.ArgumentError, match="2 qubits need as many bits, got 3"):
        tnkit.amplitude_network(bell, "000")
    with pytest.raises(tnkit.ArgumentError, match="bits must be 0, 1 or '\\?', got '2' for q1"):
        tnkit.amplitude_network(bell, "02")
    with pytest.raises(tnkit.ArgumentError, match="no qubit 'q7'; there are 2"):
        tnkit.density_network(bell, ["q7"])
    with pytest.raises(tnkit.ArgumentError, match="an operator is 'X', 'Y', 'Z' or a matrix"):
        tnkit.expectation_network(bell, {0: "W"})
    with pytest.raises(tnkit.ArgumentError, match=r"gate 0 \(matrix\): the matrix is not unitary"):
        tnkit.Circuit.from_gates(1, [(np.ones((2, 2)), 0)])
    with pytest.raises(tnkit.ArgumentError, match=r"gate 1 \(cx\): qubits must be different"):
        tnkit.Circuit.from_gates(2, [("h", 0), ("cx", 1, 1)])
    with pytest.raises(tnkit.ArgumentError, match="unknown gate 'cnott'"):
        tnkit.Circuit.from_gates(2, [("cnott", 0, 1)])
    wide = tnkit.Circuit.from_gates(24, [("h", k) for k in range(24)])
    with pytest.raises(tnkit.MemoryLimitError):
        contract(tnkit.state_network(wide), memory_limit=2**20)
