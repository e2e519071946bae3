# %% [markdown]
# # A neural layer as a tensor train
#
# The weights of a layer as a matrix product operator [@novikov2015], trained by torch through
# `tnkit.einsum`. A plain layer of the same shape stands beside it.

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

import tnkit

torch.manual_seed(0)
digits, labels = load_digits(return_X_y=True)
inputs = torch.tensor(digits / 16, dtype=torch.float32)
labels = torch.tensor(labels)
train, test = slice(0, 1400), slice(1400, None)


class TrainLayer(nn.Module):
    """A linear layer 64 -> 64 whose weights are three sites of size 4 x 4, joined by bonds."""

    def __init__(self, bond):
        super().__init__()
        shapes = [(4, 4, bond), (bond, 4, 4, bond), (bond, 4, 4)]
        scale = (64 * bond**2) ** (-1 / 6)
        self.cores = nn.ParameterList([scale * torch.randn(shape) for shape in shapes])
        self.bias = nn.Parameter(torch.zeros(64))

    def forward(self, x):
        a, b, c = self.cores
        y = tnkit.einsum("nijk,iaf,fjbg,gkc->nabc", x.reshape(-1, 4, 4, 4), a, b, c)
        return y.reshape(-1, 64) + self.bias


def fit(layer):
    """Return the accuracies on test digits during training."""
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    accuracies = []
    for step in range(101):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[train]), labels[train]).backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                right = model(inputs[test]).argmax(dim=1) == labels[test]
            accuracies.append(right.float().mean().item())
    return accuracies


# %%
figure, ax = plt.subplots(figsize=(5.5, 3.5))
layers = {f"train, bond {b}": TrainLayer(b) for b in (2, 4, 8)} | {"plain": nn.Linear(64, 64)}
for name, layer in layers.items():
    count = sum(p.numel() for p in layer.parameters())
    accuracies = fit(layer)
    print(f"{name:15s} {count:5d} numbers, accuracy {accuracies[-1]:.3f}")
    ax.plot(range(0, 101, 10), accuracies, label=f"{name}: {count} numbers")
ax.set_xlabel("step")
ax.set_ylabel("accuracy on unseen digits")
ax.legend(fontsize=8)
