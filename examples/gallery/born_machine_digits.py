# %% [markdown]
# # A Born machine on handwritten digits
#
# p(x) = |psi(x)|^2 / Z over images of 8 x 8 black and white pixels [@han2018]: the likelihood of
# unseen digits is exact, and new ones are drawn directly.

# %%
import matplotlib.pyplot as plt

from born_machine import BornMachine, load_dataset

digits = load_dataset("digits")
train, test = digits.samples[:1400], digits.samples[1400:]
machine = BornMachine(max_bond=24, sweeps=8, image_shape=digits.image_shape, random_state=0).fit(
    train
)
print(f"train {-machine.score(train):.2f}, test {-machine.score(test):.2f} nats per digit")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot([record.nll_train for record in machine.history_], "o-", label="train")
left.plot([record.nll_validation for record in machine.history_], "o-", label="held out")
left.set_xlabel("sweep")
left.set_ylabel("NLL, nats per digit")
left.legend()
right.plot(machine.entanglement())
right.set_xlabel("bond along the chain")
right.set_ylabel("entanglement entropy, nats")

# %% [markdown]
# Real digits in the upper two rows, drawn ones below.

# %%
drawn = machine.sample(20, random_state=1)
figure, axes = plt.subplots(4, 10, figsize=(8, 3.4))
for ax, image in zip(axes.flat, [*test[:20], *drawn], strict=True):
    ax.imshow(image.reshape(8, 8), cmap="gray_r")
    ax.set_axis_off()
