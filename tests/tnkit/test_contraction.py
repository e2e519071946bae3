"""Contracting any network equals numpy.einsum: every optimiser, sliced or not, every library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, contract, contract_scaled, plan

LETTERS = "abcdefghij"
SIZES = dict(zip(LETTERS, [2, 3, 1, 2, 4, 2, 3, 1, 2, 2], strict=True))


@st.composite
def networks(draw: st.DrawFn, *, most: int = 6) -> TensorNetwork:
    """Draw a network: hyperedges, diagonals, sizes of one, lone sums, scalars, repeated tensors."""
    count = draw(st.integers(1, most))
    letters = LETTERS[: draw(st.integers(1, len(LETTERS)))]
    terms = draw(
        st.lists(st.lists(st.sampled_from(letters), max_size=4), min_size=count, max_size=count)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    tensors = [
        Tensor(rng.integers(-2, 3, [SIZES[x] for x in term]).astype(float), term) for term in terms
    ]
    if draw(st.booleans()):
        tensors.append(tensors[0])
    used = sorted({x for term in terms for x in term})
    if draw(st.booleans()):
        return TensorNetwork(tensors)
    chosen = draw(st.lists(st.sampled_from(used), unique=True, max_size=3)) if used else []
    return TensorNetwork(tensors, chosen)


def oracle(network: TensorNetwork) -> Any:
    spec = ",".join("".join(t.names) for t in network.tensors) + "->" + "".join(network.output)
    return np.einsum(spec, *(t.to_numpy() for t in network.tensors))


def on(network: TensorNetwork, backend: Any) -> TensorNetwork:
    return network.map(lambda t: t.with_array(backend.asarray(t.to_numpy())))


def least_memory(network: TensorNetwork, **options: Any) -> int:
    """Return a limit that forces as much slicing as there can be, within a factor."""
    low, high = 1, plan(network, **options).cost.peak_bytes
    while high - low > 8:
        middle = (low + high) // 2
        try:
            plan(network, memory_limit=middle, **options)
            high = middle
        except tnkit.MemoryLimitError:
            low = middle
    return high


@given(network=networks())
def test_contract_is_einsum(backend: Any, network: TensorNetwork) -> None:
    found = contract(on(network, backend))
    assert found.names == network.output
    assert np.array_equal(found.to_numpy(), oracle(network))
    assert found.shape == oracle(network).shape


@pytest.mark.parametrize(
    "optimizer", ["optimal", "dp", "greedy", "random-greedy", "cotengra", "auto"]
)
@settings(max_examples=25)
@given(network=networks(), data=st.data())
def test_every_optimizer_sliced_or_not(
    optimizer: str, network: TensorNetwork, data: st.DataObject
) -> None:
    whole = plan(network, optimizer=optimizer)
    assert np.array_equal(whole(*network.arrays), oracle(network))
    inner = [n for n in network.inner if network.sizes[n] > 1]
    if not inner:
        return
    chosen = data.draw(st.lists(st.sampled_from(inner), min_size=1, unique=True))
    parts = tnkit.planning._compiled(
        whole.inputs,
        whole.output,
        whole.shapes,
        "float64",
        "given",
        whole.path,
        tuple(chosen),
        None,
    )
    assert np.array_equal(parts(*network.arrays), oracle(network))


@settings(max_examples=20)
@given(network=networks())
def test_a_limit_is_kept_and_the_value_too(backend: Any, network: TensorNetwork) -> None:
    limit = least_memory(network)
    tight = plan(network, memory_limit=limit)
    assert tight.cost.peak_bytes <= limit
    moved = on(network, backend)
    assert np.array_equal(contract(moved, tight).to_numpy(), oracle(network))
    scaled = contract_scaled(moved, tight)
    assert np.allclose(Tensor(scaled.value, network.output).to_numpy(), oracle(network), rtol=1e-12)
