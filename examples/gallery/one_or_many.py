# %% [markdown]
# # One machine or many
#
# A chain sees an image along one line; what is near in the plane may be far along it. Machines that
# read the image along different lines err in different places, so their average is better than
# each. A mixture answers every question exactly, as one machine does.

# %%
import matplotlib.pyplot as plt

from born_machine import BornMachine, load_dataset

digits = load_dataset("digits")
train, test = digits.samples[:1000], digits.samples[1500:]


def machine(count):
    """Return `count` machines trained side by side along Hilbert curves."""
    return BornMachine(
        max_bond=16,
        sweeps=6,
        n_machines=count,
        order="hilbert",
        image_shape=digits.image_shape,
        random_state=0,
    ).fit(train)


found = {count: machine(count) for count in (1, 2, 4)}
for count, trained in found.items():
    print(f"{count} machine{'s' * (count > 1)}: test NLL {-trained.score(test):.2f} nats a digit")

# %% [markdown]
# Completions of the mixture: each draws which machine goes on from how well it explains what is
# given, so they follow the exact conditional distribution.

# %%
known = [True] * 32 + [False] * 32
completed = found[4].complete(test[:8], known, random_state=0)
figure, axes = plt.subplots(2, 8, figsize=(8, 2.2))
for column in range(8):
    for row, images in enumerate((test, completed)):
        axes[row, column].imshow(images[column].reshape(8, 8), cmap="gray_r")
        axes[row, column].set_xticks([])
        axes[row, column].set_yticks([])
axes[0, 0].set_ylabel("real")
axes[1, 0].set_ylabel("drawn")
