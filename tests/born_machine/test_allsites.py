"""All-site gradients: against autograd through dense arrays, their memory, and training by them."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from born_machine.train import Settings, start_state, train

torch = pytest.importorskip("torch")

PATTERNS = bars_and_stripes(3, 3)


def module_of(*args: Any, **named: Any) -> Any:
    from born_machine.module import BornModule

    return BornModule(*args, **named)


@st.composite
def chains(draw: Any) -> tuple[list[Any], np.ndarray, list[int]]:
    length = draw(st.integers(1, 5))
    dims = draw(st.lists(st.integers(1, 3), min_size=length, max_size=length))
    psi = tnkit.random_mps(
        length,
        dims,
        bond_dim=draw(st.integers(1, 4)),
        dtype=draw(st.sampled_from(["float64", "complex128"])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    order = draw(st.permutations(range(length)))
    feature_dims = [0] * length
    for site, feature in enumerate(order):
        feature_dims[feature] = dims[site]
    support = np.array(list(itertools.product(*map(range, feature_dims))), dtype=np.int64)
    return [torch.tensor(np.array(a)) for a in psi.arrays], support, list(order)


def dense(arrays: Any) -> Any:
    """The whole tensor by einsum: what autograd differentiates without any of our code."""
    psi = arrays[0]
    for array in arrays[1:]:
        psi = torch.tensordot(psi, array, dims=1)
    return psi.squeeze(0).squeeze(-1)


@given(
    chains(),
    st.integers(1, 40),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([12, 40]),
    st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_are_autograds(
    case: Any, batch: int, every: int | None, n: int, seed: int
) -> None:
    """In one batch or several, sites paired (40 samples) or not, vectors kept or made again."""
    arrays, support, order = case
    rng = np.random.default_rng(seed)
    samples = torch.tensor(support[rng.integers(0, len(support), n)])
    weights = torch.tensor(rng.standard_normal(n))
    module = module_of(arrays, order=order, batch=batch, every=every)
    (module(samples) * weights).sum().backward()

    leaves = [a.clone().requires_grad_() for a in arrays]
    psi = dense(leaves)
    square = psi.abs() ** 2
    logs = torch.log(square[tuple(samples[:, order].T)]) - torch.log(square.sum())
    if not (square[tuple(samples[:, order].T)] > 1e-8).all():
        return  # autograd through the dense tensor loses its digits there
    (logs * weights).sum().backward()
    np.testing.assert_allclose(module(samples).detach(), logs.detach(), atol=1e-9)
    for ours, theirs in zip(module.arrays, leaves, strict=True):
        scale = float(theirs.grad.abs().max()) + 1.0
        np.testing.assert_allclose(ours.grad / scale, theirs.grad / scale, atol=1e-9)


@given(chains())
def test_probabilities_sum_to_one_and_the_model_says_the_same(case: Any) -> None:
    arrays, support, order = case
    module = module_of(arrays, order=order)
    logs = module(torch.tensor(support)).detach().numpy()
    assert np.exp(logs).sum() == pytest.approx(1.0, abs=1e-10)
    model = module.model()
    np.testing.assert_allclose(np.exp(model.log_likelihood(support)), np.exp(logs), atol=1e-10)
    again = type(module).from_model(model)
    np.testing.assert_allclose(
        np.exp(again(torch.tensor(support)).detach().numpy()), np.exp(logs), atol=1e-10
    )


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_five_hundred_sites_neither_overflow_nor_vanish(scale: float) -> None:
    """Single precision, norms of 1e+-1500: value and gradient are finite and scale as they must."""
    rng = np.random.default_rng(0)
    shapes = [(1, 2, 3), *[(3, 2, 3)] * 498, (3, 2, 1)]
    arrays = [torch.tensor(rng.standard_normal(s), dtype=torch.float32) for s in shapes]
    samples = torch.tensor(rng.integers(0, 2, (4, 500)))
    found = []
    for factor in (1.0, scale):
        module = module_of([array * factor for array in arrays])
        value = module(samples).mean()
        value.backward()
        found.append((value.item(), [a.grad * factor for a in module.arrays]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_long_chains_have_autograds_gradient(dtype: Any) -> None:
    """A chain of 40 sites at bond 6, 200 samples, against autograd through every product."""
    rng = np.random.default_rng(0)
    psi = tnkit.random_mps(40, bond_dim=6, dtype=str(dtype).rpartition(".")[2], seed=1)
    arrays = [torch.tensor(np.array(a)) for a in psi.arrays]
    samples = torch.tensor(rng.integers(0, 2, (200, 40)))
    module = module_of(arrays)
    (-module(samples).mean()).backward()

    leaves = [a.clone().requires_grad_() for a in arrays]
    left = torch.ones((200, 1), dtype=dtype)
    norm = torch.ones((1, 1), dtype=dtype)
    for k, array in enumerate(leaves):
        left = torch.einsum("nl,nlr->nr", left, array.permute(1, 0, 2)[samples[:, k]])
        norm = torch.einsum("ab,adc,bde->ce", norm, array, array.conj())
    nll = -(torch.log(left.abs() ** 2).mean() - torch.log(norm.real.squeeze()))
    nll.backward()
    np.testing.assert_allclose(-module(samples).mean().item(), nll.item(), rtol=1e-12)
    for ours, theirs in zip(module.arrays, leaves, strict=True):
        scale = float(theirs.grad.abs().max())
        np.testing.assert_allclose(ours.grad / scale, theirs.grad / scale, atol=1e-12)


@pytest.mark.parametrize("batch", [50, 1000])
def test_the_memory_of_a_step_grows_with_the_root_of_the_sites(batch: int) -> None:
    """Kept for backward: the samples, the arrays once as they are and twice as pairs (for psi and
    for the norm), a matrix a pair, and of a single batch's vectors one in sqrt(sites).
    """
    length, bond, n = 100, 8, 500
    psi = tnkit.random_mps(length, bond_dim=bond, dtype="float32", seed=0)
    module = module_of([torch.tensor(np.array(a)) for a in psi.arrays], batch=batch)
    samples = torch.tensor(np.random.default_rng(0).integers(0, 2, (n, length)))
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.numel()) or t, lambda t: t
    ):
        nll = -module(samples).mean()
    numbers = sum(a.numel() for a in module.arrays)
    of_samples = samples.numel() + 20 * n
    assert sum(saved) <= 4 * numbers + of_samples + (batch >= n) * 8 * n * bond
    nll.backward()


@pytest.mark.parametrize("value", [-1, 2, 7])
def test_values_no_feature_takes_are_refused(value: int) -> None:
    module = module_of(tnkit.random_mps(4, bond_dim=2, seed=0).arrays)
    with pytest.raises(tnkit.ArgumentError, match=f"{value}.* take 0 to 1"):
        module(torch.tensor([[0, 1, value, 0]]))


@pytest.mark.parametrize("order", [[0, 0, 1, 2], [0, 1, 2], [0.0, 1.0, 2.0, 3.0], [1, 2, 3, 4]])
def test_an_order_that_is_no_permutation_is_refused(order: Any) -> None:
    with pytest.raises(tnkit.TnkitError, match="order must hold"):
        module_of(tnkit.random_mps(4, bond_dim=2, seed=0).arrays, order=order)


def test_a_random_start_is_made_for_any_length() -> None:
    settings = Settings(method="all-site", max_bond=3)
    psi = start_state(np.zeros((1, 784), dtype=int), (2,) * 784, settings, np.random.default_rng(0))
    assert max(psi.bond_dims) == 3


def run(settings: Settings, **more: Any) -> Checkpoint:
    more.setdefault("start", start_state(PATTERNS, (2,) * 9, settings, np.random.default_rng(0)))
    return train(PATTERNS, None, (2,) * 9, settings, **more)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_bars_and_stripes_train_close_to_the_floor(dtype: str) -> None:
    """From 3.6 nats above ln 14, the least there is, to within 0.2 of it in 60 full-batch steps."""
    settings = Settings(
        method="all-site", max_bond=8, learning_rate=0.05, sweeps=60, patience=0, dtype=dtype
    )
    result = run(settings)
    assert result.history[0].nll_train - math.log(14) > 3.0
    assert 0.0 <= result.history[result.best_sweep].nll_train - math.log(14) < 0.2
    assert max(result.state.bond_dims) == 8  # as the start, whatever the data


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "AdamW", "RMSprop"])
def test_a_run_resumes_bit_for_bit_with_its_optimiser(optimizer: str, tmp_path: Any) -> None:
    settings = Settings(
        method="all-site",
        max_bond=4,
        learning_rate=0.01,
        sweeps=5,
        patience=0,
        batch_size=5,
        steps=2,
        optimizer=optimizer,
        rollback=0.5,
    )
    seen: list[Checkpoint] = []
    whole = run(settings, on_sweep=seen.append)
    save_checkpoint(tmp_path / "c.npz", seen[2], {})
    loaded, _ = load_checkpoint(tmp_path / "c.npz")
    assert isinstance(loaded, Checkpoint)
    again = run(settings, start=loaded)
    for a, b in zip(whole.state.arrays, again.state.arrays, strict=True):
        assert np.array_equal(a, b)
    assert whole.memory.keys() == again.memory.keys()
    if optimizer != "SGD":  # what the optimiser remembers matters
        bare = Checkpoint(loaded.state, loaded.best, loaded.best_sweep, loaded.history)
        assert not np.array_equal(run(settings, start=bare).state.arrays[4], whole.state.arrays[4])


def test_fine_tuning_after_sweeps_lowers_the_nll_and_keeps_the_bonds() -> None:
    common: dict[str, Any] = {"image_shape": (3, 3), "random_state": 0, "max_bond": 4}
    swept = BornMachine(sweeps=6, **common).fit(PATTERNS)
    tuned = BornMachine(
        method="all-site", start=swept.model_, learning_rate=0.01, sweeps=20, **common
    ).fit(PATTERNS)
    assert tuned.score(PATTERNS) > swept.score(PATTERNS)
    assert tuned.model_.bond_dims == swept.model_.bond_dims
    mixed = BornMachine(
        method="all-site", n_machines=2, learning_rate=0.02, sweeps=4, batch_size=7, **common
    ).fit(PATTERNS)
    assert mixed.history_[-1].nll_train < mixed.history_[0].nll_train


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"optimizer": "Adamant"}, "optimizer must name a class of torch.optim"),
        ({"optimizer": "Optimizer_"}, "optimizer must name a class of torch.optim"),
        ({"optimizer": "Optimizer"}, "'Optimizer' takes no steps of all sites"),
        ({"optimizer": "LBFGS"}, "'LBFGS' takes no steps of all sites"),
        ({"optimizer": "SparseAdam"}, "'SparseAdam' takes no steps of all sites"),
        ({"bond_penalty": 0.1}, "bond_penalty act at a bond"),
        ({"noise": [0.0, 0.1]}, "noise act at a bond"),
    ],
)
def test_what_all_site_training_cannot_do_is_refused(knobs: dict[str, Any], message: str) -> None:
    seen: list[Checkpoint] = []
    with pytest.raises(tnkit.ArgumentError, match=message):
        run(Settings(method="all-site", sweeps=2, max_bond=2, **knobs), on_sweep=seen.append)
    assert not seen


def test_gaps_are_refused_before_anything_is_scored() -> None:
    machine = BornMachine(method="all-site", missing="marginalise", max_bond=2, random_state=0)
    seen: list[Any] = []
    with pytest.raises(tnkit.ArgumentError, match="takes no gaps"):
        machine.fit(np.where(np.eye(14, 9) > 0, -1, PATTERNS.astype(int)), on_sweep=seen.append)
    assert not seen


OPTIMIZERS = [
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
]


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimiser_of_torchs_trains_or_is_refused_at_once(optimizer: str, dtype: str) -> None:
    settings = Settings(
        method="all-site", sweeps=2, patience=0, max_bond=2, optimizer=optimizer, dtype=dtype
    )
    seen: list[Checkpoint] = []
    with contextlib.suppress(tnkit.ArgumentError):
        run(settings, on_sweep=seen.append)
    assert len(seen) in (0, 3)
