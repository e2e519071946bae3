"""The plugin beside an enumeration, through tnkit's public face alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tnkit_parity

import tnkit
from tnkit.testing import assert_canonical


@pytest.mark.parametrize("sites", [2, 3, 6])
def test_only_even_strings_have_weight(sites: int) -> None:
    psi = tnkit_parity.even_parity_mps(sites)
    assert_canonical(psi)
    strings = np.array(list(itertools.product([0, 1], repeat=sites)))
    with np.errstate(divide="ignore"):
        found = np.exp(tnkit.log_probability(psi, strings))
    even = strings.sum(axis=1) % 2 == 0
    np.testing.assert_allclose(found, even / even.sum(), atol=1e-12)


def test_the_sweep_takes_its_problem() -> None:
    target = tnkit_parity.even_parity_mps(8)
    problem = tnkit_parity.NearestParity(target)
    zipper = tnkit.open_zipper(tnkit.random_mps(8, bond_dim=2, seed=0), problem)
    step = tnkit.two_site(problem, tnkit.Truncation(max_bond=2))
    moves = [*tnkit.round_trip(8), *tnkit.round_trip(8)]
    *_, (last, info) = tnkit.sweep(zipper, step, moves)
    assert tnkit.fidelity(tnkit.close_zipper(last), target) == pytest.approx(1.0)
    assert info.loss == pytest.approx(-1.0)


def test_bad_input_is_an_error_of_tnkit() -> None:
    with pytest.raises(tnkit.ArgumentError, match="from 2 up, got 1"):
        tnkit_parity.even_parity_mps(1)


def test_tnkit_finds_it() -> None:
    assert "parity" in tnkit.plugins.available()
    assert tnkit.plugins.load("parity") is tnkit_parity
