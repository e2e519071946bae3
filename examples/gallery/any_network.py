# %% [markdown]
# # Any network, drawn
#
# Tensors join where they share a name; a name on three tensors or more is a hyperedge.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tnkit

rng = np.random.default_rng(0)


def random(names, sizes, *tags):
    return tnkit.Tensor(rng.normal(size=sizes), names, tags)


network = tnkit.TensorNetwork(
    [
        random(["a", "b", "out"], (4, 8, 2), "left"),
        random(["b", "h"], (8, 3), "left"),
        random(["h", "c"], (3, 16), "middle"),
        random(["h", "d"], (3, 4), "middle"),
        random(["c", "d", "e"], (16, 4, 2), "right"),
        random(["e", "a", "in"], (2, 4, 2), "right"),
    ]
)
print(network)

# %% [markdown]
# Colours are tags, widths follow the logarithm of the sizes, `h` is the hyperedge, and `in` and
# `out` are open.

# %%
figure, ax = plt.subplots(figsize=(6, 5))
tnkit.draw(network, ax)

# %% [markdown]
# The value, beside NumPy's einsum.

# %%
result = tnkit.contract(network)
arrays = [tensor.array for tensor in network.tensors]
expected = np.einsum("abo,bh,hc,hd,cde,eai->oi", *arrays)
print(result.names, np.abs(result.transpose("out", "in").array - expected).max())
