"""Redraw pixels of training images from their neighbourhood: augmentation that knows strokes.

A small network (torch) learns p(pixel | neighbourhood, place) from the training images alone: their
pseudo-likelihood (Besag 1975). The hook draws pixels anew from it, which is Gibbs sampling: on
lattices so wide that no pixel of one lies in another's neighbourhood. Were the network exact, the
images would keep their distribution; strokes change at their edges, digits stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["Neighbourhoods", "Redrawn", "fit_neighbourhoods"]


class Neighbourhoods(nn.Module):
    """Logits of p(pixel = 1 | the pixels within `reach`, place): a perceptron on patches."""

    def __init__(self, image_shape: tuple[int, int], reach: int = 4, hidden: int = 128) -> None:
        super().__init__()
        self.image_shape, self.reach = image_shape, reach
        side = 2 * reach + 1
        others = torch.ones(side * side)
        others[side * side // 2] = 0  # a pixel does not see itself
        self.register_buffer("others", others)
        self.patch = nn.Linear(side * side, hidden)
        self.row = nn.Embedding(image_shape[0], hidden)
        self.column = nn.Embedding(image_shape[1], hidden)
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(
        self, patches: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """Return logits (patch,) of patches (patch, pixel) around pixels at rows and columns."""
        first = nn.functional.linear(patches, self.patch.weight * self.others, self.patch.bias)
        return self.rest(first + self.row(rows) + self.column(columns)).squeeze(-1)

    def patches(self, images: Any) -> Any:
        """Return the patch around each pixel of images (image, row, column), a view of 5 axes."""
        edge = self.reach
        padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge)))
        return np.lib.stride_tricks.sliding_window_view(padded, (2 * edge + 1,) * 2, axis=(1, 2))

    def chances(self, patches: Any, rows: Any, columns: Any) -> Any:
        """Return p(pixel = 1) of patches (patch, row, column), an array (patch,)."""
        flat = torch.from_numpy(patches.reshape(len(patches), -1).astype(np.float32))
        with torch.no_grad():
            return torch.sigmoid(
                self(flat, torch.from_numpy(rows), torch.from_numpy(columns))
            ).numpy()


def fit_neighbourhoods(
    samples: Any, image_shape: tuple[int, int], seed: int, steps: int = 20000, batch: int = 4096
) -> Neighbourhoods:
    """Fit the pseudo-likelihood of samples (sample, pixel) by Adam on patches drawn at random."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Neighbourhoods(image_shape)
    images = np.asarray(samples, dtype=np.uint8).reshape(-1, *image_shape)
    patches = net.patches(images)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        at = [rng.integers(0, size, batch) for size in images.shape]
        flat = torch.from_numpy(patches[tuple(at)].reshape(batch, -1).astype(np.float32))
        target = torch.from_numpy(images[tuple(at)].astype(np.float32))
        logits = net(flat, torch.from_numpy(at[1]), torch.from_numpy(at[2]))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Draw lattices of pixels anew, each with chance `share`, then do what `then` does.

    Images take their lattices by 500 together. A pixel in the midst of blank ones stays as it is:
    little to gain, and most pixels of a digit.

    A hook (samples, rng) -> samples, both (sample, pixel).
    """

    net: Neighbourhoods
    share: float
    then: Any

    def __call__(self, samples: Any, rng: np.random.Generator) -> Any:
        """Return the redrawn images (sample, pixel)."""
        height, width = self.net.image_shape
        reach = self.net.reach
        stride = reach + 1
        redrawn = np.array(samples, dtype=np.uint8).reshape(-1, height, width)
        for images in np.array_split(redrawn, max(1, len(redrawn) // 500)):  # views
            for lattice in rng.permutation(stride * stride):
                if rng.random() >= self.share:
                    continue
                top, left = divmod(int(lattice), stride)
                patches = self.net.patches(images)[:, top::stride, left::stride]
                at = np.nonzero(patches.sum(axis=(-2, -1)) > patches[..., reach, reach])
                rows, columns = top + stride * at[1], left + stride * at[2]
                chances = self.net.chances(patches[at], rows, columns)
                images[at[0], rows, columns] = rng.random(len(chances)) < chances
        return self.then(redrawn.reshape(len(redrawn), -1), rng)
