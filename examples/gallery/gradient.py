# %% [markdown]
# # Optimising a network by gradient
#
# Put in torch tensors that require gradients. Here a ring of small tensors learns the table of a
# function of six variables with values 0 to 3 each: 4,096 numbers from 6 x 4 x 4 x 4 = 384.

# %%
import matplotlib.pyplot as plt
import torch

import tnkit

torch.manual_seed(0)
SITES, VALUES, BOND = 6, 4, 4
grid = torch.meshgrid(*[torch.arange(VALUES, dtype=torch.float64)] * SITES, indexing="ij")
target = torch.cos(sum((k + 1) * x for k, x in enumerate(grid)) / 4)


def ring(arrays):
    """Return the network of a closed chain; site k is joined to k + 1."""
    return tnkit.TensorNetwork(
        [
            tnkit.Tensor(array, [f"b{k}", f"s{k}", f"b{(k + 1) % SITES}"])
            for k, array in enumerate(arrays)
        ],
        output=[f"s{k}" for k in range(SITES)],
    )


arrays = [
    (0.5 * torch.randn(BOND, VALUES, BOND, dtype=torch.float64)).requires_grad_()
    for _ in range(SITES)
]
plan = tnkit.plan(ring(arrays))  # once; a call runs it on bare arrays
print(plan.cost)

# %%
optimizer = torch.optim.Adam(arrays, lr=0.03)
losses = []
for _ in range(400):
    optimizer.zero_grad()
    loss = ((plan(*arrays) - target) ** 2).mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"mean squared error {losses[0]:.3f} -> {losses[-1]:.1e}")

figure, ax = plt.subplots(figsize=(5, 3.2))
ax.semilogy(losses)
ax.set_xlabel("step")
ax.set_ylabel("mean squared error")
