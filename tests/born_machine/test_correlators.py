"""Chains mended by correlators: distributions that sum to one, drawn from exactly, and better."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from born_machine import BornMachine, MPSModel, bars_and_stripes, correlate
from born_machine.cli import main
from born_machine.correlators import near_plaquettes, no_correlators, shared_plaquettes
from born_machine.mending import without_correlators
from born_machine.models.correlated import CorrelatedModel
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import model_from_state
from born_machine.models.storage import load_model, save_model
from tnkit import MPS, ArgumentError, FormatError, MemoryLimitError, SizeError, Truncation


def chain_of(seed: int, dims: tuple[int, ...], dtype: str = "float64") -> MPSModel:
    """Return a random chain over features in a random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dims))
    bonds = [1, *[3] * (len(dims) - 1), 1]
    arrays = [
        rng.normal(size=(bonds[k], dims[feature], bonds[k + 1])).astype(dtype)
        for k, feature in enumerate(order)
    ]
    if dtype == "complex128":
        arrays = [array + 1j * rng.normal(size=array.shape) for array in arrays]
    return model_from_state(MPS.from_arrays(arrays), order, dims)


def correlated(seed: int, chain: MPSModel, plaquettes: int = 2) -> CorrelatedModel:
    """Return the chain with random correlators."""
    rng = np.random.default_rng(seed)
    closeness = rng.random((chain.features,) * 2)
    over = near_plaquettes(closeness, max(chain.dims), plaquettes, 2)
    over += shared_plaquettes(chain.order, (1, chain.features), max(chain.dims), 1, 2)
    blank = no_correlators(chain.state.site_dims, over)
    free = blank.bias.shape[1]
    earlier = np.kron(np.tri(chain.features, k=-1), np.ones((free, free)))
    made = replace(
        blank,
        scale=rng.uniform(0.2, 1.5, blank.scale.shape),
        bias=rng.normal(size=blank.bias.shape),
        pairs=rng.normal(size=blank.pairs.shape) * earlier,
        plaquettes=tuple(replace(p, table=rng.normal(size=p.table.shape)) for p in over),
    )
    return CorrelatedModel(chain.state, chain.order, chain.dims, made)


def everything(dims: tuple[int, ...]) -> Any:
    """Return all configurations, (configuration, feature)."""
    return np.array(list(itertools.product(*map(range, dims))))


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


def parity_of_three(number: int, seed: int) -> Any:
    """Return samples of which every third feature is the parity of the two before it."""
    bits = np.random.default_rng(seed).integers(0, 2, (number, 9))
    bits[:, 2::3] = bits[:, 0::3] ^ bits[:, 1::3]
    return bits


def test_plaquettes_learn_what_pairs_and_the_chain_cannot() -> None:
    train, test = parity_of_three(1000, 0), parity_of_three(500, 1)
    machine = BornMachine(max_bond=1, sweeps=2, order="given", random_state=0).fit(train)
    nll = {}
    for plaquettes in (0, 1):
        mended = correlate(
            machine.model_, train, image_shape=(1, 9), plaquettes=plaquettes, width=2, epochs=50,
            shared=0, batch_size=50, penalty=0.1, random_state=0,
        )  # fmt: skip
        nll[plaquettes] = -mended.log_likelihood(test).mean()
    exact = 6 * np.log(2)
    assert nll[0] > 8.9 * np.log(2)  # two features of each three say nothing of one another
    assert nll[1] == pytest.approx(exact, abs=0.2)


def test_shared_windows_learn_a_rule_that_holds_everywhere_from_few_samples() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (320, 4, 6))
    for y, x in itertools.product(range(1, 4), range(1, 6)):  # the parity of the three before it
        bits[:, y, x] = bits[:, y - 1, x] ^ bits[:, y, x - 1] ^ bits[:, y - 1, x - 1]
    train, test = bits[:40], bits[40:].reshape(280, 24)
    chain = model_from_state(MPS.from_arrays([np.ones((1, 2, 1))] * 24), range(24), (2,) * 24)
    nll = {}
    for shared in (0, 1):
        mended = correlate(
            chain, train, plaquettes=1, width=4, shared=shared, shared_width=8, epochs=200,
            batch_size=20, penalty=0.1, random_state=0,
        )  # fmt: skip
        nll[shared] = -mended.log_likelihood(test).mean() / np.log(2)
    assert 9 < nll[1] < nll[0] - 2.5 < 24 - 2.5  # bits; nine of 24 are free


def test_validation_keeps_the_best_epoch_the_chain_among_them() -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(max_bond=16, image_shape=(3, 3), random_state=0).fit(X)
    noise = np.random.default_rng(0).integers(0, 2, (30, 9))
    told: list[tuple[int, int, float, float | None]] = []
    kept = correlate(
        machine.model_, noise[:10], X, epochs=5, random_state=0, on_epoch=lambda *e: told.append(e)
    )
    assert [(m, e) for m, e, _, _ in told] == [(0, epoch) for epoch in range(1, 6)]
    assert min(held for *_, held in told) > -machine.score(X)  # every epoch was worse
    np.testing.assert_allclose(kept.log_likelihood(X), machine.score_samples(X), atol=1e-5)
    last = correlate(machine.model_, noise[:10], epochs=5, random_state=0)
    assert last.log_likelihood(X).mean() == pytest.approx(-told[-1][3], abs=1e-4)


def test_a_mixture_over_shifts_is_mended_chain_by_chain_and_saved(tmp_path: Path) -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(
        max_bond=2, image_shape=(3, 3), n_machines=2, average_shifts=1, random_state=0
    ).fit(X)
    mended = correlate(machine.model_, X, image_shape=(3, 3), epochs=3, random_state=0)
    assert isinstance(mended, MixtureModel)
    assert isinstance(machine.model_, MixtureModel)
    assert mended.weights == machine.model_.weights
    pairs = zip(mended.components, machine.model_.components, strict=True)
    assert all((new.order == old.order).all() for new, old in pairs)
    assert len({id(c.correlators) for c in mended.components}) == 2
    save_model(tmp_path / "model.npz", mended, {})
    loaded, _ = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_likelihood(X), mended.log_likelihood(X))
    assert len({id(c.correlators) for c in loaded.components}) == 2
    rng = [np.random.default_rng(0) for _ in range(2)]
    np.testing.assert_array_equal(loaded.sample(20, rng[0]), mended.sample(20, rng[1]))
    assert loaded.parameters == mended.parameters


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


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    X = bars_and_stripes(3, 3)
    chain = chain_of(0, (2,) * 9)
    runs = [
        correlate(chain, X, image_shape=(3, 3), epochs=2, batch_size=5, random_state=seed)
        for seed in (0, 0, 1)
    ]
    tables = [run.correlators.plaquettes[0].table for run in runs]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert (tables[0] != tables[2]).any()


def test_plaquettes_follow_the_order_of_the_chain() -> None:
    chain = chain_of(4, (2,) * 9)
    mended = correlate(chain, bars_and_stripes(3, 3), image_shape=(1, 9), epochs=1, width=2)
    for site in range(2, 9):
        feature, members = chain.order[site], mended.correlators.plaquettes[0].places[site]
        far = sorted(abs(feature - chain.order[earlier]) for earlier in range(site))
        assert [abs(feature - chain.order[m]) for m in members] == far[:2]


def test_the_hook_sees_and_returns_features() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    seen: list[Any] = []

    def hook(samples: Any, rng: np.random.Generator) -> Any:
        seen.append(samples)
        return samples

    runs = [
        correlate(chain, X, epochs=2, batch_size=5, augment=augment, random_state=0)
        for augment in (None, hook)
    ]
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], X)
    np.testing.assert_array_equal(*(run.log_likelihood(X) for run in runs))


def test_the_penalty_holds_the_entries_down() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    sizes = []
    for penalty in (0.0, 3.0, 300.0):
        mended = correlate(chain, X, epochs=100, batch_size=14, penalty=penalty, random_state=0)
        sizes.append(sum((p.table**2).sum() for p in mended.correlators.plaquettes))
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2]


def test_the_first_step_is_as_long_as_said() -> None:
    chain, X = chain_of(4, (2,) * 9), bars_and_stripes(3, 3)
    for step in (0.001, 0.02):
        how: dict[str, Any] = {"image_shape": (3, 3), "epochs": 1, "batch_size": 14}
        mended = correlate(chain, X, learning_rate=step, **how).correlators
        near, *_, shared = mended.plaquettes
        assert (near.table.shape[1], shared.table.shape[1]) == (1, 2)  # a window moves scales too
        for moved, length in (
            (mended.bias, step), (mended.pairs, step), (near.table, 0.01), (shared.table, 0.01)
        ):  # fmt: skip
            assert abs(moved).max() == pytest.approx(length, rel=1e-3)


def test_a_compressed_model_keeps_its_correlators() -> None:
    model = correlated(2, chain_of(2, (2,) * 6))
    small = model.compressed(Truncation(max_bond=1))
    assert max(small.bond_dims) == 1
    assert np.exp(small.log_likelihood(everything(model.dims))).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"epochs": 0}, ArgumentError, "epochs must be a whole number from 1 up, got 0"),
        ({"plaquettes": -1}, ArgumentError, "plaquettes must be a whole number from 0 up"),
        ({"width": 0}, ArgumentError, "width must be a whole number from 1 up"),
        ({"width": 13}, ArgumentError, "8,192 entries a site, at most 4,096"),
        ({"shared": 1}, ArgumentError, "shared windows need images"),
        ({"shared": -1, "image_shape": (3, 3)}, ArgumentError, "shared must be a whole number"),
        ({"shared_width": 0}, ArgumentError, "shared_width must be a whole number from 1 up"),
        ({"shared_width": 17, "image_shape": (3, 3)}, ArgumentError, "131,072 .* lower shared"),
        ({"batch_size": 0}, ArgumentError, "batch_size must be a whole number from 1 up"),
        ({"learning_rate": 0.0}, ArgumentError, "learning_rate must be above 0"),
        ({"penalty": -1.0}, ArgumentError, "penalty must be 0 or more"),
        ({"image_shape": (2, 3)}, SizeError, "6 pixels, the data 9 features"),
        ({"samples": np.full((3, 9), 2)}, ArgumentError, "2"),
        ({"samples": np.zeros((3, 8), dtype=int)}, SizeError, "8"),
        ({"samples": np.full((3, 9), -1)}, ArgumentError, "-1"),
        ({"validation": np.zeros((3, 8), dtype=int)}, SizeError, "8"),
        ({"device": "tpu"}, ArgumentError, "device must be"),
        ({"augment": lambda samples, rng: samples[:, :5]}, SizeError, "5"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    change: dict[str, Any], error: type[Exception], told: str
) -> None:
    call = {"model": chain_of(0, (2,) * 9), "samples": bars_and_stripes(3, 3), **change}
    with pytest.raises(error, match=told):
        correlate(call.pop("model"), call.pop("samples"), call.pop("validation", None), **call)


def test_tables_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("born_machine.mending.device_memory", lambda device: 10_000)
    with pytest.raises(MemoryLimitError, match="9 features with up to 2 values have 9"):
        correlate(chain_of(0, (2,) * 9), bars_and_stripes(3, 3))
    constant = model_from_state(MPS.from_arrays([np.ones((1, 1, 1))] * 3), range(3), (1, 1, 1))
    with pytest.raises(ArgumentError, match="nothing to mend"):
        correlate(constant, np.zeros((2, 3), dtype=int))


def test_a_mended_model_is_not_mended_again() -> None:
    with pytest.raises(ArgumentError, match="correlators already"):
        correlate(correlated(0, chain_of(0, (2, 2))), np.zeros((4, 2), dtype=int))


def test_a_machine_gains_correlators_and_keeps_the_rest(tmp_path: Path) -> None:
    X = bars_and_stripes(3, 3)
    machine = BornMachine(max_bond=2, image_shape=(3, 3), random_state=0).fit(X)
    better = machine.correlated(X.reshape(-1, 3, 3), validation=X, epochs=100, batch_size=14)
    same = correlate(
        machine.model_, X, X, image_shape=(3, 3), epochs=100, batch_size=14, random_state=0
    )
    assert better.score(X) > machine.score(X) + 0.1
    np.testing.assert_array_equal(better.score_samples(X), same.log_likelihood(X))
    assert np.exp(better.score_samples(everything((2,) * 9))).sum() == pytest.approx(1.0, abs=1e-9)
    assert isinstance(machine.model_, MPSModel)
    better.save(tmp_path / "better.npz")
    loaded = BornMachine.load(tmp_path / "better.npz")
    np.testing.assert_array_equal(loaded.sample(5), better.sample(5))
    np.testing.assert_array_equal(loaded.score_samples(X), better.score_samples(X))
    with pytest.raises(ArgumentError, match="chain"):
        loaded.entanglement()
    with pytest.raises(ArgumentError, match="model of CorrelatedModel, only from chains"):
        loaded.partial_fit(X)


def test_without_correlators_is_what_was_mended() -> None:
    X = bars_and_stripes(3, 3)
    parameters: dict[str, Any] = {"max_bond": 2, "image_shape": (3, 3), "random_state": 0}
    for more in ({}, {"n_machines": 2, "average_shifts": 1}):
        machine = BornMachine(**parameters, **more).fit(X)
        mended = machine.correlated(X, epochs=1)
        back = without_correlators(mended.model_).log_likelihood(X)
        np.testing.assert_array_equal(back, machine.score_samples(X))
        assert (mended.score_samples(X) != back).all()
        assert without_correlators(machine.model_) is machine.model_


def test_the_command_line_mends_scores_samples_and_inspects(tmp_path: Path, capsys: Any) -> None:
    run, mended = str(tmp_path / "run"), str(tmp_path / "mended.npz")
    train = ["train", "bars-and-stripes", "--max-bond", "2", "--sweeps", "2", "--quiet"]
    assert main([*train, "--out", run]) == 0
    mend = ["mend", run, "bars-and-stripes", "--out", mended, "--epochs", "20"]
    more = ["--shared", "2", "--shared-width", "6", "--learning-rate", "0.01"]
    assert main([*mend, *more, "--validation-rows", "0:20", "--batch-size", "10"]) == 0
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 20
    assert "NLL validation" in told.out
    before, after = BornMachine.load(f"{run}/model.npz"), BornMachine.load(mended)
    X = bars_and_stripes()
    assert len(after.model_.correlators.plaquettes) == 4 + 2
    assert after.score(X[:20]) > before.score(X[:20]) + 0.1
    assert main(["score", mended, "bars-and-stripes"]) == 0
    assert f"NLL {-after.score(X):.4f}" in capsys.readouterr().out
    assert main(["sample", mended, "-n", "3", "--out", str(tmp_path / "s.npz")]) == 0
    assert main(["inspect", mended]) == 0
    assert "before correlators" in capsys.readouterr().out
    assert main([*mend, "--width", "0"]) == 2
    assert capsys.readouterr().err.startswith("born-machine: width must be")
    assert main([*mend, "--shared", "-1"]) == 2
    assert capsys.readouterr().err.startswith("born-machine: shared must be")
    complete = ["complete", mended, "bars-and-stripes", "--out", str(tmp_path / "c.npz")]
    assert main(complete) == 0  # the upper half comes first, row by row
    assert main([*complete, "--erase", "top"]) == 2
    assert "not the first of the site order" in capsys.readouterr().err
    assert main([*mend[:4], str(tmp_path / "x.png")]) == 2
