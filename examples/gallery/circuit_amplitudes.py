# %% [markdown]
# # Amplitudes of a quantum circuit
#
# A circuit is a network: gates are tensors, wires are indices. One amplitude costs what its network
# costs, not what the whole state would take; a state vector of forty qubits needs 16 TiB.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tnkit

QUBITS, CYCLES = 40, 6


def brickwork(qubits, cycles, seed):
    """Return OpenQASM of random one-qubit turns between layers of controlled-Z gates."""
    rng = np.random.default_rng(seed)
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{qubits}];"]
    for cycle in range(cycles):
        for k in range(qubits):
            a, b, c = rng.uniform(0, 2 * np.pi, 3)
            lines.append(f"u3({a:.6f},{b:.6f},{c:.6f}) q[{k}];")
        lines += [f"cz q[{k}],q[{k + 1}];" for k in range(cycle % 2, qubits - 1, 2)]
    return "\n".join(lines)


circuit = tnkit.read_qasm(brickwork(QUBITS, CYCLES, seed=0))
network = tnkit.simplify(tnkit.amplitude_network(circuit, "0" * QUBITS))
plan = tnkit.plan(network)
print(
    f"{len(network)} tensors, {plan.cost.flops:.2e} flops, {plan.cost.peak_bytes / 2**20:.2f} MiB"
)
amplitude = tnkit.contract_scaled(network, plan)
print(f"|<0...0|C|0...0>|^2 = exp({2 * float(amplitude.log_abs):.4f})")

# %% [markdown]
# What the light cone of one qubit does not reach is left out: the expectation value of Z on a qubit
# costs the same however wide the circuit is.

# %%
profile = []
for k in range(QUBITS):
    value = tnkit.contract(tnkit.simplify(tnkit.expectation_network(circuit, {k: "Z"})))
    profile.append(value.item().real)

figure, ax = plt.subplots(figsize=(6, 3))
ax.bar(range(QUBITS), profile)
ax.axhline(0.0, color="black", linewidth=0.8)
ax.set_xlabel("qubit")
ax.set_ylabel("expectation of Z")
