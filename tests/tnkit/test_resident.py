"""Splits that stay on the device: they keep what the host would keep, and ask it once or never."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tnkit
from tnkit import Truncation, split_matrix
from tnkit.testing import count_transfers

torch = pytest.importorskip("torch")


def with_values(values: list[float], columns: int, seed: int) -> Any:
    """A matrix (len(values), columns) with these singular values."""
    rng = np.random.default_rng(seed)
    m = len(values)
    left = np.linalg.qr(rng.standard_normal((m, m)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, m)))[0]
    return (left * values) @ right.T


spectra = st.lists(st.sampled_from([1.0, 0.5, 0.5, 0.3, 0.1, 1e-3]), min_size=1, max_size=6).map(
    lambda values: sorted(values, reverse=True)
)
rules = st.builds(
    Truncation,
    max_bond=st.sampled_from([None, 2, 4]),
    cutoff=st.sampled_from([0.0, 0.0213, 0.1217, 0.3111]),
    value_cutoff=st.sampled_from([0.0, 0.17, 0.41]),
    min_bond=st.integers(1, 2),
    static=st.booleans(),
)


@example([1.0, 0.5, 0.5], Truncation(cutoff=0.3111), "right", 0)  # a pair is not parted
@given(spectra, rules, st.sampled_from(["left", "right"]), st.integers(0, 3))
def test_a_device_keeps_what_the_host_keeps(
    values: list[float], rule: Truncation, side: Any, more: int
) -> None:
    matrix = with_values(values, len(values) + more, 0)
    here = split_matrix(matrix, rule, method="gram", absorb=side)
    there = split_matrix(torch.tensor(matrix), rule, method="gram", absorb=side)
    assert there.left.shape[1] == here.left.shape[1]
    assert float(there.discarded_weight) == pytest.approx(here.discarded_weight, abs=1e-12)
    np.testing.assert_allclose(there.values, here.values, atol=1e-7)
    missing = np.linalg.norm(matrix - np.asarray(there.left @ there.right)) ** 2
    whole = np.linalg.norm(matrix) ** 2
    assert missing / whole == pytest.approx(here.discarded_weight, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
@pytest.mark.parametrize(
    ("method", "rule", "asked"),
    [
        ("gram", Truncation(), 1),
        ("gram", Truncation(max_bond=3, cutoff=0.1, value_cutoff=0.2), 1),
        ("gram", Truncation(max_bond=3, static=True), 0),
        ("subspace", Truncation(max_bond=3, static=True), 0),
        ("subspace", Truncation(static=True), 0),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_split_asks_the_host_once_or_never(
    dtype: Any, method: str, rule: Truncation, asked: int, side: Any
) -> None:
    matrix = torch.randn((6, 8), dtype=dtype, generator=torch.Generator().manual_seed(0))
    with count_transfers() as transfers:
        split_matrix(matrix, rule, method=method, absorb=side)
    assert len(transfers) == asked, transfers
    if asked == 0:  # a meta tensor has no values that anything could depend on
        found = split_matrix(matrix.to("meta"), rule, method=method, absorb=side)
        assert found.left.shape[1] == found.right.shape[0] == (rule.max_bond or 6)


@pytest.mark.parametrize("absorb", ["left", "right"])
def test_the_fixed_directions_find_a_falling_spectrum(absorb: Any) -> None:
    """128 of 256 values that fall by a thousand: within a tenth of the least weight there is."""
    values = list(np.geomspace(1.0, 1e-3, 256))
    matrix = with_values(values, 256, 1)
    rule = Truncation(max_bond=128, static=True)
    found = split_matrix(matrix, rule, method="subspace", absorb=absorb)
    best = np.sum(np.square(values[128:])) / np.sum(np.square(values))
    assert best <= found.discarded_weight < 1.1 * best
    lost = np.linalg.norm(matrix - found.left @ found.right) ** 2 / np.linalg.norm(matrix) ** 2
    assert lost == pytest.approx(float(found.discarded_weight), rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen_in_the_rank_or_in_the_weight(bad: float) -> None:
    matrix = torch.ones((4, 4))
    matrix[1, 2] = bad
    with pytest.raises(tnkit.NonFiniteError, match="4 x 4 matrix that holds NaN or Inf"):
        split_matrix(matrix, method="gram")
    for max_bond in (2, 4):
        rule = Truncation(max_bond=max_bond, static=True)
        found = split_matrix(matrix, rule, method="subspace")
        assert np.isnan(float(found.discarded_weight))


def test_transfers_of_every_kind_are_counted() -> None:
    a = torch.arange(4.0)
    with count_transfers() as transfers:
        _ = a + 1.0
        _ = a[torch.arange(2)]
    assert transfers == []
    for ask in (
        lambda: float(a[0]),
        lambda: bool((a > 1).any()),
        lambda: a.tolist(),
        lambda: np.asarray(a),
        lambda: a.numpy(),
        lambda: a[a > 1],
        lambda: torch.nonzero(a),
        lambda: a.to("meta"),
        lambda: torch.unique(a),
        lambda: torch.equal(a, a),
        lambda: torch.tensor([1.0]),
    ):
        with count_transfers() as transfers:
            ask()
        assert len(transfers) == 1, transfers


def test_a_refusal_of_memory_is_the_one_error() -> None:
    """Torch's on CUDA, torch's on the CPU, NumPy's: named, with what to do."""
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ask for 9 GiB"),
        MemoryError("Unable to allocate 9 GiB"),
    ):
        with (
            pytest.raises(tnkit.MemoryLimitError, match=r"bond 9 .* 9 GiB\); take bond 8"),
            tnkit.out_of_memory("bond 9", "take bond 8"),
        ):
            raise error
    for other in (RuntimeError("another"), tnkit.MemoryLimitError("as it is")):
        with pytest.raises(type(other), match=str(other)), tnkit.out_of_memory("a", "b"):
            raise other

    @tnkit.checked
    def hungry(size: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(tnkit.MemoryLimitError, match=r"hungry does not fit .*out of memory\)"):
        hungry(3)
