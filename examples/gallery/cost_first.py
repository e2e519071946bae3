# %% [markdown]
# # The cost, before paying
#
# A plan is made from sizes alone. Under a memory limit it slices itself: more work, less memory.

# %%
import matplotlib.pyplot as plt
import networkx
import numpy as np

import tnkit

graph = networkx.random_regular_graph(3, 60, seed=2)
rng = np.random.default_rng(0)
network = tnkit.from_networkx(graph, lambda _, shape: rng.normal(size=shape), size=3)
whole = tnkit.plan(network, seed=0)
print(whole.cost)

# %% [markdown]
# The same network under smaller and smaller limits. The last one cannot be kept, and says
# so. Nothing was allocated for any of this.

# %%
peaks, flops = [], []
print("limit, bytes    peak, bytes   slices     flops")
for share in (1, 0.7, 0.5, 0.35, 0.25, 0.18):
    limit = int(share * whole.cost.peak_bytes)
    cost = tnkit.plan(network, memory_limit=limit, seed=0).cost
    print(f"{limit:12d} {cost.peak_bytes:14d} {cost.slices:8d} {cost.flops:9.2e}")
    peaks.append(cost.peak_bytes)
    flops.append(cost.flops)
try:
    tnkit.plan(network, memory_limit=10_000, seed=0)
except tnkit.MemoryLimitError as error:
    print(error)

# %%
figure, ax = plt.subplots(figsize=(5, 3.5))
ax.plot([peak / 1000 for peak in peaks], flops, "o-")
ax.set_yscale("log")
ax.set_xlabel("peak memory, kB")
ax.set_ylabel("floating-point operations")
