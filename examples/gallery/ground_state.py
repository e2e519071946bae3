# %% [markdown]
# # Ground states by DMRG
#
# The Heisenberg chain of 24 spins: energy, variance and entropies by bond dimension.

# %%
import matplotlib.pyplot as plt

import tnkit

SITES = 24
terms = tnkit.OpSum()
for k in range(SITES - 1):
    terms.add(1.0, ("Sz", k), ("Sz", k + 1))
    terms.add(0.5, ("Sp", k), ("Sm", k + 1))
    terms.add(0.5, ("Sm", k), ("Sp", k + 1))
hamiltonian = terms.to_mpo(SITES)
print(hamiltonian)

# %%
figure, ax = plt.subplots(figsize=(6, 3.5))
state = tnkit.basis_mps([0, 1] * (SITES // 2))
print("bond        energy   variance")
for max_bond in (4, 8, 16, 32, 64):
    found = tnkit.dmrg(hamiltonian, state, truncation=tnkit.Truncation(max_bond=max_bond))
    state = found.state  # the next bond dimension starts from here
    print(f"{max_bond:4d} {found.energy:13.8f} {found.variance:10.2e}")
    ax.plot(tnkit.entropies(state), label=f"bond {max_bond}")
ax.set_xlabel("bond")
ax.set_ylabel("entanglement entropy, nats")
ax.legend(fontsize=8)

# %% [markdown]
# Correlations of the last state, stronger at odd distances than at even ones.

# %%
z = tnkit.site_operators("spin")["Sz"]
correlations = tnkit.two_point(state, z)
figure, ax = plt.subplots(figsize=(6, 3.5))
ax.semilogy(range(1, 18), [abs(correlations[4, 4 + r]) for r in range(1, 18)], "o-")
ax.set_xlabel("distance from site 4")
ax.set_ylabel("|<Sz Sz>|")
