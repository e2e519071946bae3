# %% [markdown]
# # Canonical forms, tested by hypothesis
#
# The gauge is part of a state. Moving the centre changes the arrays, never the vector; hypothesis
# tries that on states of all shapes.

# %%
import matplotlib.pyplot as plt
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit.testing import assert_canonical, assert_same_state, read_only, states


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(psi=states(max_sites=5), data=st.data())
def test_moving_the_centre(psi, data):
    centre = data.draw(st.integers(0, len(psi) - 1))
    moved = tnkit.canonicalize(read_only(psi), centre)  # writing into the input would raise
    assert_canonical(moved, centre)
    assert_same_state(moved, psi)


test_moving_the_centre()
print("50 states held the law")

# %% [markdown]
# What the claim means, site by site: left of the centre arrays are left-isometries, right of it
# right-isometries. The deviations are rounding.

# %%
psi = tnkit.canonicalize(tnkit.random_mps(20, bond_dim=16, seed=0), 8)
print(psi)
errors = np.array(tnkit.orthonormality_errors(psi))
print(errors.shape)
figure, ax = plt.subplots(figsize=(6, 3.2))
for side, label in enumerate(("left-isometry", "right-isometry")):
    ax.semilogy(np.maximum(errors[:, side], 1e-17), "o-", label=f"deviation from a {label}")
ax.axvline(8, color="k", ls=":", label="centre")
ax.set_xlabel("site")
ax.legend(fontsize=8)
