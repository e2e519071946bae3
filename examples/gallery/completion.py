# %% [markdown]
# # Completion
#
# Any set of pixels may be given; the others are drawn from the exact conditional distribution. The
# same model completes every mask.

# %%
import matplotlib.pyplot as plt
import numpy as np

from born_machine import BornMachine, load_dataset

digits = load_dataset("digits")
machine = BornMachine(max_bond=24, sweeps=6, image_shape=digits.image_shape, random_state=0).fit(
    digits.samples[:1400]
)
unseen = digits.samples[1400:1408]

grid = np.indices((8, 8))
masks = {
    "upper half given": grid[0] < 4,
    "left half given": grid[1] < 4,
    "every other pixel given": grid.sum(axis=0) % 2 == 0,
}

# %%
figure, axes = plt.subplots(4, 8, figsize=(8, 4.4))
rows = [("as they are", unseen)]
for name, mask in masks.items():
    completed = machine.complete(unseen, mask.ravel(), random_state=0)
    wrong = (completed != unseen)[:, ~mask.ravel()].mean()
    per_digit = -machine.log_marginal(unseen, mask.ravel()).mean()
    print(f"{name:24s} -ln p(given) {per_digit:6.2f} nats, {wrong:.0%} of the others drawn unlike")
    rows.append((name, completed))
for line, (name, images) in zip(axes, rows, strict=True):
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_xticks([])
        ax.set_yticks([])
    line[0].set_ylabel(name.replace(" given", "\ngiven"), fontsize=7)
