# %% [markdown]
# # Finding anomalies
#
# The log-likelihood is exact, so it can be compared from sample to sample: what the model finds
# improbable is unlike what it has seen.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from born_machine import BornMachine, load_dataset

images = load_dataset("digits").samples
labels = load_digits().target
rng = np.random.default_rng(0)
normal = images[labels != 8]
train, usual = normal[:1200], normal[1200:]
machine = BornMachine(max_bond=24, sweeps=6, image_shape=(8, 8), random_state=0).fit(train)

# %% [markdown]
# Three kinds of strangers to a model that never saw an eight.

# %%
strangers = {
    "eights": images[labels == 8],
    "upside down": usual.reshape(-1, 8, 8)[:, ::-1].reshape(-1, 64),
    "5 % of pixels flipped": np.where(rng.random(usual.shape) < 0.05, 1 - usual, usual),
}
figure, ax = plt.subplots(figsize=(6, 3.5))
known = -machine.score_samples(usual)
bins = np.linspace(5, 60, 45)
ax.hist(known, bins, alpha=0.5, density=True, label="usual")
print("stranger               mean NLL   area under ROC   (usual:", round(known.mean(), 2), "nats)")
for name, rows in strangers.items():
    scores = -machine.score_samples(rows)
    area = roc_auc_score([0] * len(known) + [1] * len(scores), [*known, *scores])
    print(f"{name:22s} {scores.mean():8.2f} {area:12.3f}")
    ax.hist(scores, bins, histtype="step", density=True, label=name)
ax.set_xlabel("NLL, nats")
ax.legend(fontsize=8)
