# %% [markdown]
# # The partition function of the Ising model
#
# A spin is an index, a coupling a matrix exp(beta s s'). On a square lattice a spin has four
# neighbours, so its index is a hyperedge. `contract_scaled` returns the logarithm: the numbers
# overflow a float soon.

# %%
import itertools

import matplotlib.pyplot as plt
import networkx
import numpy as np
from scipy.integrate import quad

import tnkit

SPINS = np.array([1.0, -1.0])


def ising(side, beta):
    """Return the network of a side x side lattice with open boundaries."""
    weight = np.exp(beta * np.outer(SPINS, SPINS))
    edges = networkx.grid_2d_graph(side, side).edges
    tensors = [tnkit.Tensor(weight, [f"s{a}", f"s{b}"]) for a, b in edges]
    return tnkit.TensorNetwork(tensors, output=[])


# %% [markdown]
# Sixteen spins, beside the sum over all 65,536 configurations.

# %%
beta = 0.4
states = np.array(list(itertools.product(SPINS, repeat=16))).reshape(-1, 4, 4)
rows = (states[:, :, 1:] * states[:, :, :-1]).sum(axis=(1, 2))
columns = (states[:, 1:] * states[:, :-1]).sum(axis=(1, 2))
enumerated = np.log(np.exp(beta * (rows + columns)).sum())
print(tnkit.contract_scaled(ising(4, beta)).log_abs, enumerated)

# %% [markdown]
# Larger lattices approach Onsager's solution [@onsager1944] of the infinite one.


# %%
def onsager(beta):
    """Return ln Z per spin of the infinite lattice."""
    k = 2 * np.sinh(2 * beta) / np.cosh(2 * beta) ** 2
    inner = quad(lambda t: np.log((1 + np.sqrt(1 - (k * np.sin(t)) ** 2)) / 2), 0, np.pi / 2)[0]
    return np.log(2 * np.cosh(2 * beta)) + inner / np.pi


betas = np.linspace(0.1, 0.8, 15)
figure, ax = plt.subplots(figsize=(5.5, 4))
for side in (4, 8, 12):
    found = [tnkit.contract_scaled(ising(side, b)).log_abs / side**2 for b in betas]
    ax.plot(betas, found, "o-", ms=3, label=f"{side} x {side}, open")
ax.plot(betas, [onsager(b) for b in betas], "k--", label="infinite (Onsager)")
ax.set_xlabel("beta J")
ax.set_ylabel("ln Z per spin")
ax.legend()
