"""Synthetic samples follow the distributions they name, exactly; the named sets load."""

from __future__ import annotations

import itertools
import types

import numpy as np
import pytest
from scipy.stats import chisquare

import tnkit
from born_machine import ising_samples, load_dataset, parity_samples


def ising_energies(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every configuration (configuration, site) and its sum of neighbouring products."""
    every = np.array(list(itertools.product((0, 1), repeat=height * width)))
    spins = (2 * every - 1).reshape(-1, height, width)
    across = (spins[:, :, 1:] * spins[:, :, :-1]).sum(axis=(1, 2))
    return every, across + (spins[:, 1:] * spins[:, :-1]).sum(axis=(1, 2))


@pytest.mark.parametrize("beta", [0.0, 0.3, -0.4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 1), (1, 3), (2, 3), (3, 2)])
def test_ising_frequencies_are_boltzmann_weights(height: int, width: int, beta: float) -> None:
    _, products = ising_energies(height, width)
    expected = np.exp(beta * products)
    drawn = ising_samples(20_000, height, width, beta=beta, seed=1)
    numbers = drawn @ (1 << np.arange(height * width)[::-1])
    observed = np.bincount(numbers, minlength=len(expected))
    assert chisquare(observed, 20_000 * expected / expected.sum()).pvalue > 1e-4


def test_ising_samples_at_the_transition_have_the_exact_mean_energy() -> None:
    samples = ising_samples(4000, seed=0)
    spins = 2.0 * samples.reshape(-1, 8, 8) - 1.0
    products = (spins[:, :, 1:] * spins[:, :, :-1]).sum((1, 2)) + (
        spins[:, 1:] * spins[:, :-1]
    ).sum((1, 2))
    # d ln Z / d beta, with Z by tnkit: the same lattice as a tensor network
    from born_machine.synthetic import CRITICAL_BETA

    def log_z(beta: float) -> float:
        bond = np.exp(beta * np.array([[1.0, -1.0], [-1.0, 1.0]]))
        sites = [(i, j) for i in range(8) for j in range(8)]
        pairs = [(s, (s[0] + a, s[1] + b)) for s in sites for a, b in ((0, 1), (1, 0))]
        tensors = [tnkit.Tensor(bond, (f"{a}", f"{b}")) for a, b in pairs if max(b) < 8]
        return float(tnkit.contract_scaled(tnkit.TensorNetwork(tensors, output=())).log_abs)

    step = 1e-4
    exact = (log_z(CRITICAL_BETA + step) - log_z(CRITICAL_BETA - step)) / (2 * step)
    assert abs(products.mean() - exact) < 4 * products.std() / np.sqrt(len(products))


def test_parity_is_even_over_the_half_and_nothing_else_is_fixed() -> None:
    samples, half = parity_samples(20_000, 6, seed=3)
    assert half.sum() == 3
    assert (samples[:, half].sum(axis=1) % 2 == 0).all()
    numbers, counts = np.unique(samples, axis=0, return_counts=True)
    assert len(numbers) == 2**5
    assert chisquare(counts).pvalue > 1e-4


def test_the_same_seed_gives_the_same_samples() -> None:
    assert np.array_equal(ising_samples(5, 3, 3, seed=4), ising_samples(5, 3, 3, seed=4))
    assert not np.array_equal(ising_samples(50, 3, 3, seed=4), ising_samples(50, 3, 3, seed=5))
    assert np.array_equal(parity_samples(9, seed=4)[0], parity_samples(9, seed=4)[0])


@pytest.mark.parametrize(
    ("name", "shape", "image", "rows"),
    [("parity", (2000, 20), None, 1000), ("ising", (3000, 64), (8, 8), 2000)],
)
def test_named_sets_come_with_a_split(
    name: str, shape: tuple[int, int], image: tuple[int, int] | None, rows: int
) -> None:
    dataset = load_dataset(name)
    assert dataset.samples.shape == shape
    assert set(np.unique(dataset.samples)) == {0, 1}
    assert (dataset.image_shape, dataset.standard_rows) == (image, rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ising_samples(0), "n, height, width >= 1"),
        (lambda: ising_samples(1, beta=np.inf), "finite beta"),
        (lambda: ising_samples(1, 2, 20), "2\\^20 states; at most 13 spins"),
        (lambda: parity_samples(1, 1), "features >= 2"),
        (lambda: load_dataset("openml:"), "expected openml:NAME"),
        (lambda: load_dataset("openml:a@b"), "expected openml:NAME"),
        (lambda: load_dataset("openml:a", key="x"), "holds one table"),
    ],
)
def test_wrong_sizes_are_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(tnkit.TnkitError, match=message):
        call()


def test_openml_sets_load_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fetch(name: str, *, version: int | str, **_: object) -> types.SimpleNamespace:
        asked[name] = version
        return types.SimpleNamespace(data=np.array([[0.0, 200.0, 90.0, 255.0]]))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    dataset = load_dataset("openml:Fashion-MNIST@2", threshold=127, image_shape=(2, 2))
    assert dataset.samples.tolist() == [[0, 1, 0, 1]]
    load_dataset("openml:letter", threshold=3)
    assert asked == {"Fashion-MNIST": 2, "letter": "active"}
    assert dataset.name == "openml:Fashion-MNIST@2"


def test_without_a_network_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    for name in ("mnist", "openml:letter"):
        with pytest.raises(tnkit.FormatError, match=r"no route to host.*a network.*give its path"):
            load_dataset(name)
