"""The seed job on real MNIST: 1,000 digits of 784 pixels, test on the next 1,000.

Figures to hold come from Han et al.'s published code at the same settings (start at bond 2,
learning rate 0.05, full batch, one step a bond): train NLL 98.0 at bond 30 after five sweeps, 78.6
at bond 100 after four, best test NLL of all its settings 127.5.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from born_machine import BornMachine

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def images(shared: Path) -> np.ndarray:
    path = shared / "data" / "mnist.npz"
    if not path.exists():
        pytest.skip(f"no MNIST at {path}")
    with np.load(path) as archive:
        return (archive["x_train"][:2000] > 127).astype(np.uint8)


@pytest.mark.parametrize(
    ("max_bond", "value_cutoff", "sweeps", "most"), [(30, 1e-3, 5, 99.0), (100, 1e-4, 4, 79.6)]
)
def test_equal_settings_reach_the_published_codes_nll(
    images: np.ndarray, max_bond: int, value_cutoff: float, sweeps: int, most: float
) -> None:
    machine = BornMachine(
        max_bond,
        sweeps,
        value_cutoff=value_cutoff,
        order="raster",
        augment="none",
        validation_fraction=0.0,
        patience=0,
        device="cpu",
        random_state=0,
    ).fit(images[:1000])
    assert machine.history_[-1].max_bond == max_bond
    assert -machine.score(images[:1000]) <= most


def test_the_default_recipe_generalises(images: np.ndarray) -> None:
    """No setting but the images: below 106 nats on unseen digits, stopped by validation."""
    began = time.process_time()
    machine = BornMachine(device="cpu", random_state=0).fit(images[:1000])
    assert time.process_time() - began < 180
    assert len(machine.validation_rows_) == 100
    assert -machine.score(images[1000:]) < 106.0
