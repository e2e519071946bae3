# %% [markdown]
# # Counting colourings
#
# Each vertex is an index over colours, each edge a matrix that is 0 where both ends have the same
# colour. Contracting the network counts the proper colourings.

# %%
import matplotlib.pyplot as plt
import networkx
import numpy as np

import tnkit


def colourings(graph, colours):
    """Return the network that counts the proper colourings of a graph."""
    differ = 1.0 - np.eye(colours)
    edges = [tnkit.Tensor(differ, [f"v{a}", f"v{b}"]) for a, b in graph.edges]
    return tnkit.TensorNetwork(edges, output=[])


petersen = networkx.petersen_graph()
print("colours  Petersen graph  from its chromatic polynomial")
polynomial = networkx.chromatic_polynomial(petersen)
(x,) = polynomial.free_symbols
for colours in range(2, 7):
    count = tnkit.contract(colourings(petersen, colours)).array
    print(f"{colours:7d} {float(count):15.0f} {polynomial.subs(x, colours)!s:>15}")

# %% [markdown]
# Far beyond enumeration: three-colourings of random cubic graphs, as entropy per vertex, beside
# the estimate ln 3 + (3/2) ln(2/3) that takes edges as independent.

# %%
sizes = [10, 20, 30, 40, 50]
found = []
for vertices in sizes:
    graph = networkx.random_regular_graph(3, vertices, seed=1)
    found.append(tnkit.contract_scaled(colourings(graph, 3)).log_abs / vertices)
    print(vertices, "vertices:", f"exp({found[-1] * vertices:.3f}) colourings")

figure, ax = plt.subplots(figsize=(5, 3.5))
ax.plot(sizes, found, "o-", label="counted")
ax.axhline(np.log(3) + 1.5 * np.log(2 / 3), color="k", ls="--", label="independent edges")
ax.set_xlabel("vertices")
ax.set_ylabel("entropy per vertex, nats")
ax.legend(loc="lower right")
