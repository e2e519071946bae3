# %% [markdown]
# # An image as a tensor train
#
# Reshape an image so that each site holds one bit of the row and one of the column, and truncate.
# This is how tensor trains compress images and the weights of neural networks [@novikov2015].

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import tnkit

photo = load_sample_image("china.jpg").mean(axis=2)[:256, 200:456] / 255
BITS = 8  # 2^8 = 256 rows and columns


def to_sites(image):
    """Return axes (row bit, column bit) pairs, coarse to fine, each pair one site of size 4."""
    bits = image.reshape([2] * (2 * BITS))
    order = [axis for k in range(BITS) for axis in (k, BITS + k)]
    return bits.transpose(order).reshape([4] * BITS)


def to_image(array):
    """Undo `to_sites`."""
    bits = array.reshape([2] * (2 * BITS))
    order = [2 * k for k in range(BITS)] + [2 * k + 1 for k in range(BITS)]
    return bits.transpose(order).reshape(2**BITS, 2**BITS)


# %% [markdown]
# The exact train has bonds up to 256. Truncated it needs fewer numbers, and `compress` bounds
# the distance from the photo: the bound stands beside the distance that was measured.

# %%
train = tnkit.mps_from_dense(to_sites(photo))
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2))
print("max_bond  numbers  share   bound  distance (relative)")
for ax, max_bond in zip(axes, (256, 64, 24, 8), strict=True):
    small = tnkit.compress(train, tnkit.Truncation(max_bond=max_bond))
    restored = to_image(tnkit.to_dense(small.state))
    numbers = sum(array.size for array in small.state.arrays)
    norm = np.linalg.norm(photo)
    distance = np.linalg.norm(restored - photo) / norm
    share = numbers / photo.size
    print(
        f"{max_bond:8d} {numbers:8d} {share:6.2f} {small.error_bound / norm:7.4f} {distance:9.4f}"
    )
    ax.imshow(restored, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"bond {max_bond}: {numbers} numbers", fontsize=9)
    ax.set_axis_off()
