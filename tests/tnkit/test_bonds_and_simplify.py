"""Changing one bond, and simplifying, leave the value of a network alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, Truncation, contract, simplify


def ring(seed: int = 0) -> TensorNetwork:
    rng = np.random.default_rng(seed)
    terms = [["i", "a", "b"], ["b", "a", "c"], ["c", "d", "j"], ["d", "k"]]
    sizes = {"a": 3, "b": 2, "c": 4, "d": 2, "i": 2, "j": 3, "k": 2}
    return TensorNetwork(
        [Tensor(rng.standard_normal([sizes[n] for n in t]), t, [f"t{t[0]}"]) for t in terms]
    )


def same(one: TensorNetwork, two: TensorNetwork) -> None:
    assert one.output == two.output
    assert contract(one).allclose(contract(two), rtol=1e-12)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_one_bond(name: str) -> None:
    net = ring()
    merged = tnkit.contract_bond(net, name)
    same(merged, net)
    assert len(merged) == 3
    for end in ("first", "second"):
        gauged = tnkit.gauge_bond(net, name, isometry=end)  # type: ignore[arg-type]
        same(gauged, net)
        at = net.tensors_with(name)[end == "second"]
        matrix = gauged.tensors[at]
        matrix = matrix.fuse([n for n in matrix.names if n != name], "rest").transpose("rest", name)
        gram = matrix.to_numpy().T @ matrix.to_numpy()
        assert np.allclose(gram, np.eye(len(gram)), atol=1e-12)
    exact = tnkit.compress_bond(net, name)
    same(exact.network, net)
    assert exact.discarded_weight < 1e-28


def test_a_truncated_bond_says_what_is_missing() -> None:
    rng = np.random.default_rng(1)
    net = TensorNetwork(
        [
            Tensor(rng.standard_normal((6, 5)), ["i", "b"]),
            Tensor(rng.standard_normal((5, 7)), ["b", "j"]),
        ]
    )
    found = tnkit.compress_bond(net, "b", Truncation(max_bond=2))
    assert found.network.sizes["b"] == 2
    whole = contract(net)
    missing = ((contract(found.network) - whole).norm().item() / whole.norm().item()) ** 2
    assert found.discarded_weight == pytest.approx(missing, rel=1e-10)
    parts = tnkit.split_tensor(net, 0, ["i"], truncation=Truncation(max_bond=1))
    assert len(parts.network) == 3
    assert parts.discarded_weight > 0.0
    with pytest.raises(tnkit.ArgumentError, match="'i' is kept; a bond joins two"):
        tnkit.gauge_bond(net, "i")
    with pytest.raises(tnkit.IndexNameError, match="no index 'x'"):
        tnkit.compress_bond(net, "x")
    with pytest.raises(tnkit.ArgumentError, match="no tensor 5"):
        tnkit.split_tensor(net, 5, ["i"])


LETTERS = "abcdefg"
REDUCTIONS = ["diagonal", "column", "rank", "split"]


@st.composite
def sparse(draw: st.DrawFn) -> TensorNetwork:
    """Draw a network with deltas, projectors and low ranks: everything simplify looks for."""
    terms = draw(st.lists(st.lists(st.sampled_from(LETTERS), max_size=4), min_size=1, max_size=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    tensors = []
    for term in terms:
        array = rng.integers(-2, 3, [2] * len(term)).astype(float)
        kind = draw(st.sampled_from(["full", "delta", "column", "product"]))
        if kind == "delta" and len(term) > 1:
            array = np.zeros_like(array)
            for value in range(2):
                array[(value,) * len(term)] = value + 1.0
        elif kind == "column" and term:
            array[0] = 0.0
        elif kind == "product" and len(term) > 1:
            array = np.multiply.outer(array[..., 0], np.array([1.0, 2.0]))
        tensors.append(Tensor(array, term))
    used = sorted({x for term in terms for x in term})
    output = draw(st.lists(st.sampled_from(used), unique=True, max_size=2)) if used else []
    return TensorNetwork(tensors, output)


@settings(max_examples=200)
@given(
    network=sparse(), reductions=st.sets(st.sampled_from(["diagonal", "column", "rank", "split"]))
)
def test_simplifying_never_changes_the_value(network: TensorNetwork, reductions: set[str]) -> None:
    found = simplify(network, sorted(reductions))
    assert found.output == network.output
    value = contract(network)
    assert contract(found).allclose(value, rtol=1e-12, atol=1e-12)
    assert "split" in reductions or len(found) <= len(network)


def test_what_each_reduction_does() -> None:
    delta = Tensor(np.eye(3), ["a", "b"])
    ends = [Tensor(np.arange(3.0), ["a"]), Tensor(np.arange(3.0) + 1, ["b"])]
    assert simplify(TensorNetwork([delta, *ends]), ["diagonal"]).tensors[0].ndim == 1
    spike = Tensor(np.array([0.0, 2.0, 0.0]), ["a"])
    assert simplify(TensorNetwork([delta, spike]), ["column"]).sizes == {"b": 3}
    assert len(simplify(ring(), ["rank"])) < len(ring())
    product = Tensor(np.multiply.outer(np.ones((4, 4)), np.ones(4)), ["x", "y", "z"])
    assert len(simplify(TensorNetwork([product]), ["split"])) > 1
    with pytest.raises(tnkit.ArgumentError, match="'ranks' is not offered"):
        simplify(ring(), ["ranks"])


def test_a_diagonal_between_two_output_indices_stays() -> None:
    delta = TensorNetwork([Tensor(np.eye(3), ["a", "b"])], ["b", "a"])
    same(simplify(delta), delta)
    spike = TensorNetwork([Tensor(np.array([0.0, 2.0]), ["a"])], ["a"])
    same(simplify(spike), spike)


def test_drawing_shows_every_tensor_and_edge() -> None:
    matplotlib: Any = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    ax = tnkit.draw(ring())
    texts = {text.get_text() for text in ax.texts}
    assert {"0", "1", "2", "3"} <= texts
    assert {"a: 3", "b: 2", "i: 2", "k: 2"} <= texts
    pyplot.close("all")
    with pytest.raises(tnkit.ArgumentError, match="lacks tensor 1"):
        tnkit.draw(ring(), positions={0: (0.0, 0.0)})
    pyplot.close("all")
