"""Pictures hold what they should: every tensor, widths by size, directions of isometries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, testing

matplotlib: Any = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
few = settings(max_examples=15)


def axes() -> Any:
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def tips(ax: Any) -> list[Any]:
    """Return the points from and to of the arrows drawn."""
    found = [p for p in ax.patches if type(p.get_arrowstyle()).__name__ == "CurveFilledB"]
    return [p._posA_posB for p in found]


@few
@given(network=testing.networks())
def test_every_network_can_be_drawn(network: TensorNetwork) -> None:
    ax = tnkit.draw(network, axes())
    circles = [line for line in ax.lines if line.get_marker() == "o"]
    squares = [line for line in ax.lines if line.get_marker() == "s"]
    assert len(circles) == len(network)
    assert len(squares) == len(network.hyperedges)


@few
@given(small=st.integers(1, 30), more=st.integers(1, 30))
def test_a_larger_bond_is_wider(small: int, more: int) -> None:
    sizes = (small, small + more)
    tensors = [Tensor(np.ones(sizes), ["a", "b"])]
    tensors += [Tensor(np.ones(size), [name]) for name, size in zip("ab", sizes, strict=True)]
    ax = tnkit.draw(TensorNetwork(tensors), axes())
    widths = [patch.get_linewidth() for patch in ax.patches]
    assert widths[0] < widths[1]


@few
@given(centre=st.integers(0, 5), seed=st.integers(0, 20))
def test_arrows_lead_to_the_orthogonality_centre(centre: int, seed: int) -> None:
    psi = tnkit.canonicalize(tnkit.random_mps(6, bond_dim=3, seed=seed), centre)
    line = {k: (float(k), 0.0) for k in range(6)}
    ax = tnkit.draw(psi.network(), axes(), positions=line, isometries=True)
    ways = sorted((start[0], end[0] > start[0]) for start, end in tips(ax))
    assert [right for _, right in ways] == [k < centre for k in range(5)]


def test_isometric_legs_are_checked_with_the_numbers() -> None:
    mera = tnkit.mera_network(1, bond_dim=3, seed=0)
    for at in mera.find("isometry"):
        tensor = mera.tensors[at]
        assert tnkit.isometric_legs(tensor) == (tensor.names[2],)
        assert tnkit.isometric_legs(tensor.map(lambda array: 1.01 * array)) == ()
    for at in mera.find("disentangler"):
        assert tnkit.isometric_legs(mera.tensors[at]) == mera.tensors[at].names[2:]
    assert tnkit.isometric_legs(Tensor(np.ones((2, 2)), ["a", "b"])) == ()


def test_geometry_places_tensors_hyperedges_and_loose_ends() -> None:
    graph = tnkit.lattice("square", 2, 3)
    places = tnkit.lattice_positions(graph)
    ax = tnkit.draw(tnkit.ising_network(graph, 0.3), axes(), positions=places, colours=["edge"])
    circles = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert [tuple(point) for point in circles[:6]] == list(places.values())
    assert tuple(circles[6]) == (0.5, 0.0)  # the edge between (0, 0) and (1, 0)
    squares = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "s"]
    assert {tuple(point) for point in squares} <= set(places.values())
    with pytest.raises(tnkit.ArgumentError, match=r"positions lacks tensor 0 and its tags \['a'\]"):
        tnkit.draw(TensorNetwork([Tensor(1.0, [], ["a"])]), axes(), positions={"b": (0.0, 0.0)})


def test_colours_are_those_of_tags() -> None:
    from matplotlib.colors import to_hex

    tensors = [Tensor(1.0, [], tags) for tags in (["a", "x"], ["a", "y"], ["b", "y"])]
    network = TensorNetwork(tensors)
    ax = tnkit.draw(network, axes(), colours={"y": "red", "a": "blue"}, legend=True)
    found = [line.get_color() for line in ax.lines if len(line.get_xdata())]
    assert found == ["blue", "red", "red"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["y", "a"]
    plain = tnkit.draw(network, axes())
    shades = [to_hex(line.get_color()) for line in plain.lines if len(line.get_xdata())]
    assert shades[0] == shades[1] != shades[2]


@few
@given(network=testing.networks(max_tensors=6))
def test_a_tree_has_a_disc_for_each_step(network: TensorNetwork) -> None:
    made = tnkit.plan(network)
    ax = tnkit.draw_tree(made, axes())
    leaves = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(leaves) == len(network)
    assert len(ax.collections) == len(made.steps)
    across = sorted(line.get_xydata()[0][0] for line in leaves)
    assert across == list(range(len(network)))


@few
@given(network=testing.networks(max_tensors=5))
def test_a_plan_is_shown_step_by_step(network: TensorNetwork) -> None:
    made = tnkit.plan(network)
    shown = tnkit.draw_steps(network, made)
    counts = [sum(line.get_marker() == "o" for line in ax.lines) for ax in shown.figure.get_axes()]
    assert counts == list(range(len(network), 0, -1))


def test_pictures_are_for_notebooks_and_files(tmp_path: Path) -> None:
    network = tnkit.peps_network(tnkit.lattice("kagome", 2, 2), bond_dim=2)
    shown = tnkit.picture(network)
    assert shown._repr_svg_() == shown._repr_svg_()
    for what in (network, tnkit.plan(network)):
        for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
            path = tmp_path / f"picture{ending}"
            tnkit.picture(what, size=(2.0, 2.0)).save(path)
            assert path.read_bytes().startswith(start)
    with pytest.raises(tnkit.ArgumentTypeError, match="what must be a TensorNetwork or a Plan"):
        tnkit.picture(network.tensors[0])  # type: ignore[arg-type]
    with pytest.raises(tnkit.SizeError, match="made for another network"):
        tnkit.draw_steps(network, tnkit.plan("ij,jk->ik", shapes=[(2, 2), (2, 2)]))
    with pytest.raises(tnkit.ArgumentError, match=r"steps must be from 0 to 11, got \[99\]"):
        tnkit.draw_steps(network, tnkit.plan(network), [99])
