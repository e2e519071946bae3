"""Pictures of networks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.index import check_name
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["draw", "isometric_legs", "layout"]

Point: TypeAlias = tuple[float, float]
Places: TypeAlias = Mapping[int, Point] | Mapping[str, Point] | Mapping[int | str, Point]


@checked
def draw(
    network: TensorNetwork,
    ax: Any = None,
    *,
    positions: Places | None = None,
    colours: Mapping[str, str] | Sequence[str] | None = None,
    sizes: bool | None = None,
    names: bool | None = None,
    isometries: bool = False,
    legs: Point = (0.4, -0.8),
    legend: bool = False,
    seed: int = 0,
) -> Any:
    """Draw a network on matplotlib axes and return them.

    A circle is a tensor; a line a bond, as wide as the logarithm of its size, several between two
    tensors side by side; a small square a hyperedge; a loose end an open index.

    positions
        {position of a tensor: (x, y)}, or {tag or index name: (x, y)}: a tensor goes to the middle
        of its tags that have one, so that `lattice_positions(graph)` places what builders make.
        The name of a hyperedge or of an open index places its square or its loose end.
        By default a layout without crossings where there is one, springs otherwise.
    colours
        {tag: colour}, or tags in the order that matplotlib's colours are given out; by default the
        tags that several tensors share. A tensor takes its first tag in that order.
    sizes, names
        Write sizes beside the bonds, by default where they differ and there are up to 40 of them,
        and index names, by default up to 20 where no positions are given.
    isometries
        Mark the direction of isometries: an arrow on a bond points away from a tensor that is an
        isometry from its other legs to that one, which is checked with the numbers.
    legs
        Where open indices point if positions are given; several on one tensor fan out.
    legend
        Say which colour is which tag.

    Nothing is shown: call plt.show(), or ax.figure.savefig with the ending .svg, .pdf or .png; in a
    notebook see `picture`. Raises `ArgumentError` for a tensor without a place. Needs matplotlib.
    """
    import networkx
    from matplotlib import pyplot

    if ax is not None and not hasattr(ax, "add_patch"):
        raise ArgumentTypeError(f"ax must be matplotlib axes, got {shown(ax)}")
    _check_point("legs", legs)
    for what, point in (positions or {}).items():
        _check_point(f"the place of {what!r} in positions", point)
    _check_colours(colours)
    if ax is None:
        _, ax = pyplot.subplots()
    graph = network.to_networkx(open_ends=True)
    simple = networkx.Graph(graph)
    simple.remove_edges_from(list(networkx.selfloop_edges(simple)))
    place = layout(simple, network, positions, legs, seed)
    diameter = _diameter(ax, place)
    count = len(network.sizes)
    differ = len(set(network.sizes.values())) > 1
    _bonds(
        graph,
        place,
        ax,
        written=count <= 20 and positions is None if names is None else names,
        sized=count <= 40 and differ if sizes is None else sizes,
        ways=_directions(network) if isometries else {},
        diameter=diameter,
    )
    palette = _palette(network, colours)
    for node, about in graph.nodes(data=True):
        x, y = place[node]
        if about["kind"] == "tensor":
            tag = next((tag for tag in palette if tag in about["tags"]), None)
            colour = palette[tag] if tag is not None else "C0"
            ax.plot(x, y, "o", ms=diameter, color=colour, mec="black", mew=0.6, zorder=3)
            if diameter >= 10 and len(network) < 100:
                ax.annotate(str(node), (x, y), ha="center", va="center", fontsize=7, zorder=4)
        elif about["kind"] == "hyperedge":
            ax.plot(x, y, "s", ms=max(2.0, 0.4 * diameter), color="black", zorder=3)
            if about["index"] in network.output:
                end = (x + 0.5 * legs[0], y + 0.5 * legs[1])
                ax.plot([x, end[0]], [y, end[1]], color="0.4", lw=0.8, zorder=1)
    if legend and palette:
        marks = [
            ax.plot([], [], "o", color=colour, mec="black", mew=0.6, label=tag)[0]
            for tag, colour in palette.items()
        ]
        ax.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    if place:
        points = np.array(list(place.values()), float)
        pad = 0.4 if len(points) == 1 else max(0.05 * float(np.ptp(points)), 0.15)
        ax.set_xlim(points[:, 0].min() - pad, points[:, 0].max() + pad)
        ax.set_ylim(points[:, 1].min() - pad, points[:, 1].max() + pad)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


@checked
def isometric_legs(
    tensor: Tensor, candidates: Sequence[str] | None = None, *, tolerance: float = 1e-6
) -> tuple[str, ...]:
    """Return the largest group of legs that a tensor is an isometry towards; empty for none.

    The tensor as a matrix, the other legs as rows and the group as columns, then has orthonormal
    columns. candidates: legs to consider, all by default; of several groups the last ones win.
    Groups have at most half of the legs, tensors more than eight legs are passed over.

    >>> isometric_legs(Tensor(np.eye(6)[:, :2].reshape(2, 3, 2), ["a", "b", "c"]))
    ('c',)
    """
    if math.isnan(tolerance):
        raise ArgumentError("tolerance must be a number, got NaN")
    candidates = None if candidates is None else [*map(check_name, candidates)]
    names = tensor.names
    if len(set(names)) < tensor.ndim or not 2 <= tensor.ndim <= 8:
        return ()
    chosen = [name for name in names if candidates is None or name in candidates]
    for width in range(tensor.ndim // 2, 0, -1):
        for group in reversed(list(itertools.combinations(chosen, width))):
            rest = [name for name in names if name not in group]
            array = tensor.transpose(*rest, *group).to_numpy()
            columns = int(np.prod([tensor.size(name) for name in group]))
            matrix = array.reshape(-1, columns)
            gap = np.abs(matrix.conj().T @ matrix - np.eye(columns)).max(initial=0.0)
            if matrix.shape[0] >= columns and gap <= tolerance:
                return tuple(group)
    return ()


def _directions(network: TensorNetwork) -> dict[str, int]:
    """Return {bond: the tensor its arrow points away from}; none where both ends claim it."""
    counts = Counter(name for tensor in network.tensors for name in tensor.names)
    bonds = {name for name in network.inner if counts[name] == 2}
    found: dict[str, list[int]] = {}
    for at, tensor in enumerate(network.tensors):
        for name in isometric_legs(tensor, [name for name in tensor.names if name in bonds]):
            found.setdefault(name, []).append(at)
    return {name: ends[0] for name, ends in found.items() if len(ends) == 1}


def _bonds(
    graph: Any,
    place: Mapping[Any, Any],
    ax: Any,
    *,
    written: bool,
    sized: bool,
    ways: Mapping[str, int],
    diameter: float,
) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    drawn: dict[tuple[Any, Any], int] = {}
    for one, two, about in graph.edges(data=True):
        a, b = np.asarray(place[one], float), np.asarray(place[two], float)
        key = (one, two) if str(one) <= str(two) else (two, one)
        number = drawn.get(key, 0)
        drawn[key] = number + 1
        width = min(0.8 + 0.5 * np.log2(max(1, about["size"])), max(0.8, 0.6 * diameter))
        if one == two:
            ax.add_patch(Circle((a[0], a[1] + 0.06), 0.06, fill=False, lw=width, ec="0.4"))
            middle = a + np.array([0.0, 0.14])
        else:
            several = graph.number_of_edges(one, two) > 1
            bend = 0.2 * ((number + 1) // 2) * (-1) ** number if several else 0.0
            line = FancyArrowPatch(
                (a[0], a[1]),
                (b[0], b[1]),
                arrowstyle="-",
                connectionstyle=f"arc3,rad={bend}",
                lw=width,
                color="0.4",
                shrinkA=0,
                shrinkB=0,
            )
            line.set_zorder(1)
            ax.add_patch(line)
            across = np.array([b[1] - a[1], a[0] - b[0]])
            middle = (a + b) / 2 + 0.5 * bend * across
            if about["index"] in ways:
                start, end = (a, b) if ways[about["index"]] == one else (b, a)
                tip = FancyArrowPatch(
                    tuple(middle - 0.02 * (end - start)),
                    tuple(middle + 0.12 * (end - start)),
                    arrowstyle="-|>",
                    mutation_scale=max(7.0, 0.9 * diameter),
                    color="0.2",
                    shrinkA=0,
                    shrinkB=0,
                )
                tip.set_zorder(2)
                ax.add_patch(tip)
        text = about["index"] if written else ""
        if sized and about["size"] != 1:
            text += f"{': ' if text else ''}{about['size']}"
        hidden = isinstance(one, tuple) or isinstance(two, tuple)
        if text and not (hidden and number):
            ax.annotate(
                text,
                middle,
                fontsize=7,
                color="0.25",
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
            )


def _check_point(what: str, given: Any) -> None:
    try:
        point = np.asarray(given)
    except ValueError:  # of several lengths
        point = np.empty(0)
    if point.shape != (2,) or point.dtype.kind not in "iuf" or not np.isfinite(point).all():
        raise ArgumentError(f"{what} must be two finite numbers (x, y), got {shown(given)}")


def _check_colours(colours: Any) -> None:
    from matplotlib.colors import is_color_like

    given = () if colours is None else colours
    values = given.values() if isinstance(given, Mapping) else ()
    if not all(isinstance(tag, str) for tag in given) or not all(map(is_color_like, values)):
        raise ArgumentError(
            f"colours must be {{tag: a colour of matplotlib}} or tags, got {shown(colours)}"
        )


def _palette(
    network: TensorNetwork, colours: Mapping[str, str] | Sequence[str] | None
) -> dict[str, str]:
    if isinstance(colours, Mapping):
        return dict(colours)
    if colours is None:
        counts = Counter(tag for tensor in network.tensors for tag in tensor.tags)
        common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        seen: set[str] = set()
        colours = []
        for tag, count in common:  # only tags that some tensor needs
            if count > 1 and any(tag in t.tags and not seen & t.tags for t in network.tensors):
                colours.append(tag)
                seen.add(tag)
    return {tag: f"C{number % 10}" for number, tag in enumerate(colours)}


def _diameter(ax: Any, place: Mapping[Any, Any]) -> float:
    """Return the diameter of a tensor in points: half the distance to the nearest neighbour."""
    points = np.array([place[node] for node in place if isinstance(node, int)], float)
    if len(points) < 2:
        return 14.0
    box = ax.get_position()
    inches = np.array(ax.figure.get_size_inches()) * (box.width, box.height)
    extent = np.maximum(np.ptp(points, axis=0), 1e-9) * 1.25
    scale = float((72.0 * inches / extent).min())
    apart = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    apart[np.diag_indices(len(points))] = np.inf
    return float(np.clip(0.5 * scale * np.median(apart.min(axis=1)), 2.5, 14.0))


def layout(
    graph: Any,
    network: TensorNetwork,
    positions: Places | None,
    legs: Point,
    seed: int,
) -> dict[Any, Any]:
    """Return a place for every node of a simple graph of tensors, hyperedges and open ends."""
    if not len(graph):
        return {}
    if positions is not None:
        return _by_geometry(graph, network, positions, legs)
    import networkx

    place: dict[Any, Any] = {}
    offset = 0.0
    for part in sorted(networkx.connected_components(graph), key=len, reverse=True):
        piece = graph.subgraph(part)
        if len(piece) > 2 and not networkx.check_planarity(piece)[0]:
            found = networkx.spring_layout(piece, seed=seed, iterations=200)
        else:
            found = networkx.kamada_kawai_layout(piece, weight=None)
        points = np.array([found[node] for node in piece]) * np.sqrt(len(piece)) / 2.5
        points[:, 0] += offset - points[:, 0].min()
        offset = points[:, 0].max() + 0.8
        place.update(zip(piece, map(tuple, points), strict=True))
    return place


def _by_geometry(
    graph: Any, network: TensorNetwork, positions: Mapping[Any, Point], legs: Point
) -> dict[Any, Any]:
    place: dict[Any, Any] = {}
    for at, tensor in enumerate(network.tensors):
        known = [positions[tag] for tag in sorted(tensor.tags) if tag in positions]
        if at in positions:
            known = [positions[at]]
        if not known:
            raise ArgumentError(
                f"positions lacks tensor {at} and its tags {sorted(tensor.tags)}; give one of them"
            )
        place[at] = tuple(np.mean(np.array(known, float), axis=0))
    fan: dict[int, list[Any]] = {}
    for node in graph:
        if node in place:
            continue
        near = [n for n in graph[node] if n in place]
        middle = tuple(np.mean([place[n] for n in near], axis=0))
        if graph.nodes[node]["kind"] == "hyperedge":
            place[node] = positions.get(node[1], middle)
        elif positions.get(node[1], middle) != middle:  # at its tensor it would not be seen
            place[node] = positions[node[1]]
        else:
            fan.setdefault(near[0], []).append(node)
    for at, ends in fan.items():
        for number, node in enumerate(ends):
            turn = 0.7 * (number - (len(ends) - 1) / 2)
            cosine, sine = np.cos(turn), np.sin(turn)
            x, y = 0.7 * legs[0], 0.7 * legs[1]
            place[node] = (
                place[at][0] + cosine * x - sine * y,
                place[at][1] + sine * x + cosine * y,
            )
    return place
