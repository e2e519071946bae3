"""Pictures of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.network import TensorNetwork

__all__ = ["draw"]


@checked
def draw(
    network: TensorNetwork,
    ax: Any = None,
    *,
    positions: Mapping[int, tuple[float, float]] | None = None,
    sizes: bool = True,
    names: bool | None = None,
    seed: int = 0,
) -> Any:
    """Draw a network on matplotlib axes and return them.

    A circle is a tensor, coloured by its first tag; a line a bond, as wide as the logarithm of its
    size, several between two tensors side by side; a small square a hyperedge; a loose end an open
    index. positions: a place for each tensor by position; a layout without crossings where there
    is one, springs otherwise, by default. sizes: write sizes beside the bonds. names: write index
    names too, by default for up to 20 of them. Nothing is shown: call plt.show() or savefig.
    Needs matplotlib.
    """
    import networkx
    from matplotlib import pyplot
    from matplotlib.patches import FancyArrowPatch

    if ax is not None and not hasattr(ax, "add_patch"):
        raise ArgumentTypeError(f"ax must be matplotlib axes, got {shown(ax)}")
    if ax is None:
        _, ax = pyplot.subplots()
    graph = network.to_networkx(open_ends=True)
    simple = networkx.Graph(graph)
    simple.remove_edges_from(list(networkx.selfloop_edges(simple)))
    if positions is not None:
        missing = [at for at in range(len(network)) if at not in positions]
        if missing:
            raise ArgumentError(f"positions lacks tensor {missing[0]}; give one for each")
    place = _layout(simple, positions, seed)
    written = len(network.sizes) <= 20 if names is None else names
    tags = sorted({min(t.tags) for t in network.tensors if t.tags})
    colours = {tag: f"C{number % 10}" for number, tag in enumerate(tags)}
    drawn: dict[tuple[Any, Any], int] = {}
    for one, two, about in graph.edges(data=True):
        a, b = np.asarray(place[one], float), np.asarray(place[two], float)
        key = (one, two) if str(one) <= str(two) else (two, one)
        number = drawn.get(key, 0)
        drawn[key] = number + 1
        width = 0.8 + 0.5 * np.log2(max(1, about["size"]))
        if one == two:
            ring = pyplot.Circle((a[0], a[1] + 0.06), 0.06, fill=False, lw=width, ec="0.4")
            ax.add_patch(ring)
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
            )
            line.set_zorder(1)
            ax.add_patch(line)
            across = np.array([b[1] - a[1], a[0] - b[0]])
            middle = (a + b) / 2 + 0.5 * bend * across
        text = about["index"] if written else ""
        if sizes and about["size"] != 1:
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
    for node, about in graph.nodes(data=True):
        x, y = place[node]
        if about["kind"] == "tensor":
            first = min(about["tags"], default=None)
            colour = colours.get(first, "C0") if first else "C0"
            ax.plot(x, y, "o", ms=14, color=colour, mec="black", zorder=3)
            ax.annotate(str(node), (x, y), ha="center", va="center", fontsize=7, zorder=4)
        elif about["kind"] == "hyperedge":
            ax.plot(x, y, "s", ms=6, color="black", zorder=3)
    ax.set_aspect("equal")
    ax.margins(0.12)
    ax.set_axis_off()
    return ax


def _layout(
    graph: Any, positions: Mapping[int, tuple[float, float]] | None, seed: int
) -> dict[Any, Any]:
    import networkx

    if not len(graph):
        return {}
    if positions is not None:
        fixed = {node: positions[node] for node in graph if node in positions}
        loose = [node for node in graph if node not in fixed]
        place = dict(fixed)
        centre = np.mean([list(p) for p in fixed.values()], axis=0) if fixed else np.zeros(2)
        for node in loose:  # beside its tensors, away from the middle
            near = [np.asarray(fixed[n], float) for n in graph[node] if n in fixed]
            at = np.mean(near, axis=0) if near else centre
            if len(near) == 1:
                away = at - centre
                norm = float(np.linalg.norm(away))
                at = at + 0.5 * (away / norm if norm > 1e-9 else np.array([0.0, -1.0]))
            place[node] = tuple(at)
        return place
    place = {}
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
