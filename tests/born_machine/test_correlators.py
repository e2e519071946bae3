"""Correlators: distributions that sum to one and are drawn from exactly."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from born_machine.correlators import near_plaquettes, no_correlators, shared_plaquettes
from born_machine.models.correlated import CorrelatedModel
from born_machine.models.storage import load_model, save_model
from tnkit import ArgumentError, FormatError, Truncation

sys.path.insert(0, str(Path(__file__).parent))

from correlator_cases import chain_of, correlated, everything

some_dims = st.lists(st.integers(1, 3), min_size=1, max_size=5).filter(lambda d: max(d) > 1)
seeds = st.integers(0, 2**16)


def by_hand(model: CorrelatedModel, sample: Any) -> float:
    """Return ln p of one sample, factor by factor, the chain's conditionals from its marginals."""
    chain, parts = model.chain, model.correlators
    values = sample[model.order]
    total = 0.0
    for site, feature in enumerate(model.order):
        known = np.zeros((1, chain.features), dtype=bool)
        known[0, model.order[:site]] = True
        whole = sample[None]
        before = chain.log_marginal(whole, known)[0]
        known[0, feature] = True
        logs = []
        most = max(model.dims)
        free = most - 1
        for value in range(model.dims[feature]):
            tried = whole.copy()
            tried[0, feature] = value
            log = parts.scale[site] * (chain.log_marginal(tried, known)[0] - before)
            for plaquette in parts.plaquettes:
                members = [values[j] if j < chain.features else 0 for j in plaquette.places[site]]
                entry = np.ravel_multi_index(members[::-1], (most,) * len(members))
                scale, *more = [0.0, *plaquette.table[plaquette.starts[site] + entry]][-most:]
                log += scale * (chain.log_marginal(tried, known)[0] - before)
                log += [0.0, *more][value]
            if value:
                log += parts.bias[site, value - 1]
                for earlier in range(site):
                    if values[earlier]:
                        row = site * free + value - 1
                        log += parts.pairs[row, earlier * free + values[earlier] - 1]
            logs.append(log)
        total += logs[values[site]] - np.logaddexp.reduce(logs)
    return total


@given(seeds, some_dims)
@settings(max_examples=20, deadline=None)
def test_the_likelihood_is_that_of_its_factors_and_sums_to_one(seed: int, dims: list[int]) -> None:
    model = correlated(seed, chain_of(seed, tuple(dims)))
    rows = everything(model.dims)
    logs = model.log_likelihood(rows)
    assert np.exp(logs).sum() == pytest.approx(1.0, abs=1e-12)
    for row in np.random.default_rng(seed).choice(len(rows), min(4, len(rows)), replace=False):
        assert logs[row] == pytest.approx(by_hand(model, rows[row]), abs=1e-9)


@given(seeds, some_dims, st.sampled_from(["float64", "complex128"]))
@settings(max_examples=20, deadline=None)
def test_no_correlators_leave_the_chain_as_it_is(seed: int, dims: list[int], dtype: str) -> None:
    chain = chain_of(seed, tuple(dims), dtype)
    blank = no_correlators(chain.state.site_dims)
    model = CorrelatedModel(chain.state, chain.order, chain.dims, blank)
    rows = everything(chain.dims)
    np.testing.assert_allclose(model.log_likelihood(rows), chain.log_likelihood(rows), atol=1e-7)


def test_torch_gives_the_same() -> None:
    torch = pytest.importorskip("torch")
    model = correlated(3, chain_of(3, (2, 3, 2, 2)))
    rows = everything(model.dims).astype(np.uint8)
    here, there = model.log_likelihood(rows), model.log_likelihood(rows, torch.as_tensor)
    np.testing.assert_allclose(there, here, atol=1e-12)
    drawn = [
        model.sample(50, np.random.default_rng(1), place) for place in (np.asarray, torch.as_tensor)
    ]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("known_sites", [0, 2])
def test_draws_follow_the_likelihood(known_sites: int) -> None:
    model = correlated(5, chain_of(5, (2, 3, 2, 2)))
    rows = everything(model.dims)
    number = 40_000
    rng = np.random.default_rng(0)
    if known_sites:
        first = rows[7]
        known = np.zeros((number, 4), dtype=bool)
        known[:, model.order[:known_sites]] = True
        given_rows = np.where(known, first, 0)
        drawn = model.complete(given_rows, known, rng)
        assert (drawn[known] == given_rows[known]).all()
        rows = rows[(rows == first)[:, model.order[:known_sites]].all(axis=1)]
        evidence = model.log_marginal(given_rows[:1], known[:1])[0]
    else:
        drawn, evidence = model.sample(number, rng), 0.0
    shares = np.exp(model.log_likelihood(rows) - evidence)
    assert shares.sum() == pytest.approx(1.0)
    seen = np.array([(drawn == row).all(axis=1).mean() for row in rows])
    assert (np.abs(seen - shares) < 5 * np.sqrt(shares / number) + 1e-9).all()


def test_what_is_known_must_be_the_first_sites() -> None:
    model = correlated(1, chain_of(1, (2, 2, 2)))
    rows, known = np.zeros((2, 3), dtype=int), np.zeros((2, 3), dtype=bool)
    known[1, model.order[1]] = True
    for ask in (model.log_marginal, lambda x, k: model.complete(x, k, np.random.default_rng(0))):
        with pytest.raises(ArgumentError, match="sample 1 has known features that are not"):
            ask(rows, known)
    for ask in (model.marginals, model.pair_marginals, model.renyi2):
        with pytest.raises(ArgumentError, match="out of reach"):
            ask()
    with pytest.raises(ArgumentError, match="out of reach"):
        model.most_probable(rows, known, 4)
    with pytest.raises(ArgumentError, match="out of reach"):
        model.conditional_marginals(rows, known)


@given(seeds, st.integers(1, 9), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_plaquettes_hold_the_closest_earlier_sites(
    seed: int, sites: int, plaquettes: int, width: int
) -> None:
    closeness = np.random.default_rng(seed).random((sites, sites))
    places = [p.places for p in near_plaquettes(closeness, 2, plaquettes, width)]
    assert [p.shape for p in places] == [(sites, width)] * plaquettes
    for site in range(sites):
        by_closeness = sorted(range(site), key=lambda j: -closeness[site, j])
        first = [j for j in places[0][site] if j < sites]
        assert first == by_closeness[:width]
        for later in places[1:]:
            assert {j for j in later[site] if j < sites} <= set(range(site))
    told = [j for p in places for j in p[-1] if j < sites]
    covered = width + (plaquettes - 1) * (width - min(2, width - 1))
    closest = sorted(range(sites - 1), key=lambda j: -closeness[-1, j])[:covered]
    assert set(told) == set(closest)


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.integers(2, 3), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_sites_that_see_the_same_part_of_a_window_share_entries(
    seed: int, height: int, width: int, most: int, members: int
) -> None:
    order = np.random.default_rng(seed).permutation(height * width)
    rows = range(1 - height, height), range(1 - width, width)
    reach = sorted(itertools.product(*rows), key=lambda step: step[0] ** 2 + step[1] ** 2)[1:]
    found = shared_plaquettes(order, (height, width), most, 2, members)
    assert len(found) == (len(reach) >= members) + (len(reach) >= 2 * members - min(4, members - 1))
    windows = [range(members), [*range(min(4, members - 1)), *range(members, len(reach))]]
    site_of = {pixel: site for site, pixel in enumerate(order)}
    for plaquette, ranks in zip(found, windows, strict=False):
        starts: dict[Any, int] = {}
        for site, pixel in enumerate(order):
            part: dict[Any, int] = {}  # steps of the window that are seen, and the sites there
            for step in [reach[rank] for rank in list(ranks)[:members]]:
                y, x = pixel // width + step[0], pixel % width + step[1]
                inside = 0 <= y < height and 0 <= x < width
                there = site_of[y * width + x] if inside else len(order)
                if not inside or there < site:
                    part[step] = there
            missing = [len(order)] * (members - len(part))
            assert list(plaquette.places[site]) == [*part.values(), *missing]
            assert starts.setdefault(tuple(part), plaquette.starts[site]) == plaquette.starts[site]
        sizes = {start: most ** len(part) for part, start in starts.items()}
        assert len(sizes) == len(starts)  # other parts, other entries, none between them
        assert np.cumsum([0, *(sizes[start] for start in sorted(sizes))])[:-1].tolist() == sorted(
            sizes
        )
        assert plaquette.table.shape == (sum(sizes.values()), most)


@pytest.mark.parametrize(
    "spoilt",
    ["later pair", "short bias", "later place", "places of other sites", "a place between sites",
     "nan table", "wide table", "short table", "early start"],
)  # fmt: skip
def test_a_file_of_wrong_correlators_is_refused(tmp_path: Path, spoilt: str) -> None:
    model = correlated(0, chain_of(0, (2, 2, 2)))
    parts = model.correlators
    first, *others = parts.plaquettes
    if spoilt == "later pair":
        parts = replace(parts, pairs=parts.pairs.T)
    elif spoilt == "short bias":
        parts = replace(parts, bias=parts.bias[:2])
    else:
        first = {
            "later place": replace(first, places=np.full((3, 2), 2)),
            "places of other sites": replace(first, places=first.places[:2]),
            "a place between sites": replace(first, places=first.places + 0.0),
            "nan table": replace(first, table=np.nan * first.table),
            "wide table": replace(first, table=np.hstack([first.table] * 3)),
            "short table": replace(first, table=first.table[:-1]),
            "early start": replace(first, starts=first.starts - 1),
        }[spoilt]
        parts = replace(parts, plaquettes=(first, *others))
    save_model(tmp_path / "model.npz", replace(model, correlators=parts), {})
    with pytest.raises(FormatError, match="not a Born machine"):
        load_model(tmp_path / "model.npz")


def test_a_compressed_model_keeps_its_correlators() -> None:
    model = correlated(2, chain_of(2, (2,) * 6))
    small = model.compressed(Truncation(max_bond=1))
    assert max(small.bond_dims) == 1
    assert np.exp(small.log_likelihood(everything(model.dims))).sum() == pytest.approx(1.0)
