"""The augmentation of the static digits: Gibbs steps, exact where the network is."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "examples" / "benchmarks"))
from redraw import Neighbourhoods, Redrawn, fit_neighbourhoods

SHAPE = (4, 3)
COUPLING, FIELD = 0.8, -0.9  # logit of a pixel: FIELD + COUPLING (neighbours that are 1)


def lattice_gas() -> tuple[np.ndarray, np.ndarray]:
    """Return every image (image, pixel) and its probability, by enumeration."""
    images = np.array(list(product((0, 1), repeat=SHAPE[0] * SHAPE[1])), dtype=np.uint8)
    grid = images.reshape(-1, *SHAPE).astype(float)
    bonds = (grid[:, 1:] * grid[:, :-1]).sum((1, 2)) + (grid[..., 1:] * grid[..., :-1]).sum((1, 2))
    weights = np.exp(COUPLING * bonds + FIELD * grid.sum((1, 2)))
    return images, weights / weights.sum()


def exact_net() -> Neighbourhoods:
    """Return the network that holds the conditionals of the lattice gas: |z| parts, subtracted."""
    net = Neighbourhoods(SHAPE, reach=1, hidden=2)
    cross = torch.tensor([0.0, 1, 0, 1, 0, 1, 0, 1, 0])
    signs = torch.tensor([1.0, -1.0])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.patch.weight += COUPLING * torch.outer(signs, cross)
        net.patch.bias += FIELD * signs
        net.rest[1].weight += torch.eye(2)
        net.rest[3].weight += signs
    return net


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_exact_conditionals_leave_the_distribution_as_it_is(share: float) -> None:
    images, chances = lattice_gas()
    rng = np.random.default_rng(0)
    drawn = images[rng.choice(len(images), 200_000, p=chances)]
    moved = Redrawn(exact_net(), share, lambda samples, rng: samples)(drawn, rng)
    assert (moved != drawn).mean() > 0.1 * share
    found = np.bincount(moved @ (1 << np.arange(12)[::-1]), minlength=len(images)) / len(moved)
    spread = np.sqrt(chances * (1 - chances) / len(moved))
    score = (((found - chances) / spread) ** 2).mean()  # chi squared a cell: 1 +- sqrt(2 / 4096)
    assert abs(score - 1) < 5 * np.sqrt(2 / len(images))


def test_the_fitted_network_knows_the_conditionals() -> None:
    images, chances = lattice_gas()
    drawn = images[np.random.default_rng(1).choice(len(images), 20_000, p=chances)]
    net = fit_neighbourhoods(drawn, SHAPE, seed=0, steps=400)
    exact = exact_net()
    rows, columns = (a.reshape(-1) for a in np.indices(SHAPE))
    for image in drawn[:50].reshape(-1, *SHAPE):
        found = net.chances(net.patches(image[None]).reshape(12, 9, 9), rows, columns)
        known = exact.chances(exact.patches(image[None]).reshape(12, 3, 3), rows, columns)
        assert np.abs(found - known).max() < 0.1
