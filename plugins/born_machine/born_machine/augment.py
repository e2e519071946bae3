"""Augmentation: hooks that redraw the training samples before every sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from born_machine.curves import Order, shifts_within
from born_machine.data import Samples
from born_machine.train import Augment
from tnkit import ArgumentError

__all__ = ["ImageShifts", "along_order", "without_gaps"]


@dataclass(frozen=True, slots=True)
class ImageShifts:
    """Shift every image at random by up to `reach` pixels, background 0 moving in.

    A shift by a rows and b columns counts as |a| + |b| pixels, as in `shifted_images`; all are
    equally likely. unshifted: share of the images that stay. A hook: (samples, rng) -> samples,
    both (sample, pixel).
    """

    image_shape: tuple[int, int]
    reach: int = 1
    unshifted: float = 0.3

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.reach < 0 or not 0.0 <= self.unshifted <= 1.0:
            raise ArgumentError(
                f"reach must be at least 0 and unshifted in [0, 1], "
                f"got {self.reach} and {self.unshifted}"
            )

    def __call__(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Return the shifted images (sample, pixel)."""
        height, width = self.image_shape
        reach = self.reach
        moves = shifts_within(reach)[1:]
        if not moves:
            return samples
        kinds = rng.integers(0, len(moves), len(samples))
        kinds[rng.random(len(samples)) < self.unshifted] = -1
        shifted = np.array(samples).reshape(-1, height, width)
        for kind, (down, right) in enumerate(moves):
            (rows,) = np.nonzero(kinds == kind)
            padded = np.pad(shifted[rows], ((0, 0), (reach, reach), (reach, reach)))
            top, left = reach - down, reach - right
            shifted[rows] = padded[:, top : top + height, left : left + width]
        return shifted.reshape(len(samples), -1)


def without_gaps(hook: Augment) -> Augment:
    """Return the hook, which raises `ArgumentError` where it returns gaps (negative values)."""

    def whole(samples: Samples, rng: np.random.Generator) -> Samples:
        drawn = np.asarray(hook(samples, rng))
        if drawn.dtype.kind == "i" and (drawn < 0).any():
            raise ArgumentError(
                f"the augmentation hook must return values from 0 up, got {drawn.min()}; "
                "missing='marginalise' takes -1 for gaps"
            )
        return drawn

    return whole


def along_order(hook: Augment, order: Order) -> Augment:
    """Return a hook on samples in site order that does what `hook` does on features."""
    places = np.argsort(order)

    def along(samples: Samples, rng: np.random.Generator) -> Samples:
        drawn = np.asarray(hook(samples[:, places], rng))
        if drawn.ndim != 2 or drawn.shape[1] != len(order):
            return drawn  # refused by the caller, which names the shape
        return drawn[:, order]

    return along
