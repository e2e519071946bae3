"""A network is a value: combining, selecting, fixing and graphs never change what it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, contract, from_einsum, from_networkx

networkx = pytest.importorskip("networkx")


def random_tensor(seed: int, names: str, **sizes: int) -> Tensor:
    shape = [sizes.get(name, 2) for name in names]
    return Tensor(np.random.default_rng(seed).standard_normal(shape), list(names), [f"t{seed}"])


def mesh() -> TensorNetwork:
    """Two bonds between two tensors, a hyperedge on three, a self-loop, a lone part, open ends."""
    return TensorNetwork(
        [
            random_tensor(0, "abxh", a=3),
            random_tensor(1, "abyh", a=3),
            random_tensor(2, "hss"),
            random_tensor(3, "z"),
        ]
    )


def value(network: TensorNetwork) -> np.ndarray[Any, Any]:
    return contract(network).to_numpy()


def test_what_a_network_says_about_itself() -> None:
    net = mesh()
    assert net.output == ("x", "y", "z")
    assert net.inner == ("a", "b", "h", "s")
    assert net.hyperedges == ("h",)
    assert net.tensors_with("h") == (0, 1, 2)
    assert net.sizes["a"] == 3
    assert repr(net) == (
        "TensorNetwork(4 tensors, 3 bonds, 1 hyperedge; output x: 2, y: 2, z: 2; "
        "float64, numpy, 464 bytes)"
    )
    assert "<td>0</td><td>a: 3, b: 2" in net._repr_html_()
    assert net.same_structure(net.map(lambda t: t * 2.0))
    assert net.allclose(net)
    assert not net.allclose(net.map(lambda t: t * 2.0))
    assert net.with_output("z", "x").output == ("z", "x")


@given(positions=st.sets(st.integers(0, 3)))
def test_a_part_and_the_rest_combine_to_the_whole(positions: set[int]) -> None:
    net = mesh().with_output("h", "z", "x", "y")
    part, rest = net.partition(positions)
    assert len(part) + len(rest) == len(net)
    assert np.allclose(value(part.combine(rest, output=net.output)), value(net), rtol=1e-13)


def test_combining_joins_open_indices_only() -> None:
    one = TensorNetwork([random_tensor(0, "ik"), random_tensor(1, "kj")])
    two = TensorNetwork([random_tensor(2, "jk"), random_tensor(3, "kl")])
    both = one | two
    assert both.output == ("i", "l")
    expected = np.einsum("ik,kj,jm,ml->il", *(t.to_numpy() for t in one.tensors + two.tensors))
    assert np.allclose(value(both), expected, rtol=1e-13)
    # inner here, open there: the inner one is renamed, whichever side it is on
    three = TensorNetwork([random_tensor(4, "k")])
    assert set((one | three).output) == {"i", "j", "k"}
    assert np.allclose(
        value((three | one).with_output("k", "i", "j")),
        np.einsum("k,ij->kij", value(three), value(one)),
    )
    with pytest.raises(tnkit.SizeError, match=r"'j' has size 5 .* but size 2 elsewhere"):
        one | TensorNetwork([random_tensor(5, "jm", j=5)])


def test_fixing_renaming_replacing() -> None:
    net = mesh()
    fixed = net.fix({"x": 1, "h": 0})
    assert fixed.output == ("y", "z")
    total = sum(value(net.fix({"h": at})) for at in range(2))
    assert np.allclose(total, value(net), rtol=1e-13)
    assert np.allclose(value(fixed) + value(net.fix({"x": 1, "h": 1})), value(net)[1], rtol=1e-13)
    assert np.array_equal(value(net.rename({"a": "b", "b": "a"})), value(net))
    assert np.allclose(value(net.replace({-1: net.tensors[3] * 2.0})), 2.0 * value(net))
    assert np.array_equal(value(net.conj()), value(net))
    assert net.with_arrays(*net.arrays).allclose(net)


def test_selection_by_tag() -> None:
    net = TensorNetwork(
        [Tensor(1.0, [], ["a", "x"]), Tensor(2.0, [], ["a"]), Tensor(3.0, [], ["b"])]
    )
    assert net.find("a") == (0, 1)
    assert net.find(["a", "x"]) == (0,)
    assert net.find(["b", "x"], any_of=True) == (0, 2)
    assert value(net.select("a")) == 2.0
    with pytest.raises(
        tnkit.ArgumentError, match=r"no tensor has the tags 'c'; the tags .* a, b, x"
    ):
        net.select("c")


def test_a_kept_index_and_a_summed_open_one() -> None:
    one, two = random_tensor(0, "ij"), random_tensor(1, "jk")
    kept = TensorNetwork([one, two], ["j"])
    assert kept.hyperedges == ("j",)
    assert np.allclose(value(kept), np.einsum("ij,jk->j", one.to_numpy(), two.to_numpy()))


def test_networkx_sees_the_graph() -> None:
    net = mesh()
    graph = net.to_networkx()
    assert graph.number_of_edges(0, 1) == 2
    assert graph.number_of_edges(2, 2) == 1
    assert networkx.number_connected_components(graph) == 2
    assert graph.nodes[("index", "h")]["kind"] == "hyperedge"
    assert networkx.shortest_path_length(graph, 0, 2) == 2
    assert graph.edges[0, 1, "a"]["size"] == 3
    back = from_networkx(graph)
    assert back.allclose(net)
    ends = net.to_networkx(open_ends=True)
    assert [node for node, kind in ends.nodes(data="kind") if kind == "open"] == [
        ("index", "x"),
        ("index", "y"),
        ("index", "z"),
    ]
    assert networkx.minimum_cut_value(networkx.Graph(graph), 0, 2, capacity="weight") == 1.0


def test_a_network_on_any_graph() -> None:
    graph = networkx.petersen_graph()
    cubic = from_networkx(graph, lambda node, shape: np.ones(shape))
    assert value(cubic) == 2.0**15
    with pytest.raises(tnkit.ArgumentError, match="holds no tensors"):
        from_networkx(graph)
    with pytest.raises(tnkit.ArgumentError, match="undirected"):
        from_networkx(networkx.DiGraph(graph), lambda node, shape: np.ones(shape))


def test_from_einsum() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(9.0).reshape(3, 3)
    assert np.array_equal(value(from_einsum("ij,jj->ji", a, b)), np.einsum("ij,jj->ji", a, b))


A = Tensor(np.zeros((2, 3)), ["i", "j"])
WRONG = {
    "sizes": (lambda: TensorNetwork([A, Tensor(np.zeros(2), ["j"])]), "'j' has size 2 on tensor 1"),
    "an array": (lambda: TensorNetwork([np.zeros(2)]), "item 0 is a ndarray, not a Tensor"),
    "output": (lambda: TensorNetwork([A], ["k"]), "output index 'k' is on no tensor"),
    "output twice": (lambda: TensorNetwork([A], ["i", "i"]), "output index i is repeated"),
    "output text": (lambda: TensorNetwork([A], "ij"), "output must be a list"),
    "unknown": (lambda: TensorNetwork([A]).fix({"k": 0}), "no index 'k' in this network"),
    "position": (lambda: TensorNetwork([A]).replace({1: A}), "no tensor 1; the network has 1"),
    "collision": (lambda: TensorNetwork([A]).rename({"i": "j"}), "one name"),
    "einsum sizes": (
        lambda: from_einsum("i,i", np.ones(2), np.ones(1)),
        "'i' has size 1 on array 1",
    ),
    "einsum axes": (lambda: from_einsum("ij", np.ones(2)), "array 0 has 1 axes"),
}


@pytest.mark.parametrize(("action", "message"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_named(action: Any, message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        action()
