# %% [markdown]
# # Questions to a trained model
#
# Marginals, the most probable completion, and which pixels tell about each other: all exact.

# %%
import matplotlib.pyplot as plt
import numpy as np

from born_machine import BornMachine, bars_and_stripes, load_dataset

digits = load_dataset("digits")
machine = BornMachine(max_bond=24, sweeps=6, image_shape=digits.image_shape, random_state=0).fit(
    digits.samples[:1400]
)

marginals = np.array([p[1] for p in machine.marginals()])
information = machine.mutual_information()
print(f"entropy of order 2: {machine.renyi2():.2f} nats")
centre = 3 * 8 + 3

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3))
pictures = {
    "p(pixel is dark)": marginals,
    "frequency in the data": digits.samples[:1400].mean(axis=0),
    "information with pixel (3, 3)": np.where(np.arange(64) == centre, 0, information[centre]),
}
for ax, (name, values) in zip(axes, pictures.items(), strict=True):
    shown = ax.imshow(values.reshape(8, 8), cmap="viridis")
    figure.colorbar(shown, ax=ax, shrink=0.7)
    ax.set_title(name, fontsize=9)
    ax.set_axis_off()

# %% [markdown]
# The most probable completion comes with a bound: where both are equal it is proved best.

# %%
patterns = bars_and_stripes(4, 4)
small = BornMachine(max_bond=16, image_shape=(4, 4), random_state=0).fit(patterns)
known = np.arange(16) < 4  # the first row
best = small.most_probable(patterns[[3, 20]], known)
print(best.samples.reshape(2, 4, 4))
print("proved best:", best.exact, " ln p:", np.round(best.log_probability, 3))
