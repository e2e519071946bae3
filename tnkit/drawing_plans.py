"""Pictures of plans: the contraction tree, and a plan step by step; pictures for notebooks."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tnkit.checking import checked, shown
from tnkit.drawing import draw, layout
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError
from tnkit.network import TensorNetwork
from tnkit.planning import Plan
from tnkit.tensor import Tensor

__all__ = ["Picture", "draw_steps", "draw_tree", "picture"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A finished picture: shown by a notebook as it is, written by `save`.

    figure: the matplotlib figure.
    """

    figure: Any

    def _repr_svg_(self) -> str:
        return self.svg()

    def svg(self) -> str:
        """Return the picture as SVG text, the same for the same picture."""
        from matplotlib import rc_context

        text = io.StringIO()
        with rc_context({"svg.hashsalt": "tnkit"}):
            self.figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
        return text.getvalue()

    def save(self, path: str | Path, *, dpi: int = 150) -> None:
        """Write the picture; the ending says how: .svg, .png, .pdf."""
        self.figure.savefig(path, bbox_inches="tight", dpi=dpi)


@checked
def picture(what: TensorNetwork | Plan, **options: Any) -> Picture:
    """Return the picture of a network (`draw`) or of a plan (`draw_tree`) for a notebook or a file.

    options: those of the function that draws, and size, the (width, height) in inches. No figure
    is left open behind it.

    >>> a = Tensor(np.ones((2, 3)), ["i", "j"])
    >>> picture(TensorNetwork([a, a.rename({"i": "k"})])).svg().startswith("<?xml")
    True
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=options.pop("size", (6.0, 4.0)))
    if isinstance(what, TensorNetwork):
        draw(what, figure.add_subplot(), **options)
    else:
        draw_tree(what, figure.add_subplot(), **options)
    return Picture(figure)


@checked
def draw_tree(plan: Plan, ax: Any = None, *, names: bool | None = None) -> Any:
    """Draw the contraction tree of a plan on matplotlib axes and return them.

    Tensors stand at the bottom, each result above the two it is made of. A line is as wide as the
    logarithm of the size of the tensor it carries; a disc has the area of the logarithm of the
    multiplications of its step, and a darker colour the more there are. names: write the indices of
    inputs and results, by default for up to 12 inputs.
    """
    from matplotlib import pyplot
    from matplotlib.colors import Normalize

    if ax is not None and not hasattr(ax, "plot"):
        raise ArgumentTypeError(f"ax must be matplotlib axes, got {shown(ax)}")
    if ax is None:
        _, ax = pyplot.subplots()
    count = len(plan.inputs)
    steps = plan.steps
    sizes = plan.sizes
    written = count <= 12 if names is None else names
    carried = {at: plan.inputs[at] for at in range(count)}
    below = {step.result: (step.left, step.right) for step in steps}
    place: dict[int, tuple[float, float]] = {}
    leaves = 0
    pending = [steps[-1].result] if steps else list(range(count))
    while pending:  # a leaf takes the next place, a result stands above the middle of its parts
        node = pending[-1]
        parts = below.get(node)
        if parts is None:
            place[node] = (float(leaves), 0.0)
            leaves += 1
        elif all(part in place for part in parts):
            xs, ys = zip(*(place[part] for part in parts), strict=True)
            place[node] = (sum(xs) / 2, max(ys) + 1.0)
        else:
            pending += [part for part in reversed(parts) if part not in place]
            continue
        pending.pop()
    costs = [math.log10(max(1, step.multiplications)) for step in steps]
    shade = Normalize(0.0, max([1.0, *costs]))
    colours = pyplot.get_cmap("viridis_r")
    for step, cost in zip(steps, costs, strict=True):
        carried[step.result] = step.names
        x, y = place[step.result]
        for part in (step.left, step.right):
            size = math.prod(sizes[name] for name in carried[part])
            down = place[part]
            # across first, then down: lines of a tree never cross
            line = ([x, down[0], down[0]], [y, y, down[1]])
            ax.plot(*line, color="0.5", lw=0.8 + 0.25 * math.log2(max(1, size)), zorder=1)
        ax.scatter([x], [y], s=30 + 25 * cost, color=colours(shade(cost)), ec="black", zorder=3)
        if written:
            text = f"{', '.join(step.names) or 'scalar'}\n{step.multiplications}"
            ax.annotate(text, (x, y), (6, 4), textcoords="offset points", fontsize=6, zorder=4)
    for at in range(count):
        ax.plot(*place[at], "o", ms=5, color="white", mec="black", zorder=3)
        if written:
            text = f"{at}\n{', '.join(plan.inputs[at])}"
            ax.annotate(
                text,
                place[at],
                (0, -6),
                textcoords="offset points",
                fontsize=6,
                ha="center",
                va="top",
            )
    ax.set_title(str(plan.cost), fontsize=8)
    ax.margins(0.1, 0.15)
    ax.set_axis_off()
    return ax


@checked
def draw_steps(
    network: TensorNetwork,
    plan: Plan,
    steps: Sequence[int] | None = None,
    *,
    columns: int = 4,
    **options: Any,
) -> Picture:
    """Return the picture of a network after some steps of a plan, one panel each.

    steps: how many steps are done in each panel, by default up to eight spread evenly from none to
    all. options: those of `draw`; the tensors keep their places, a result stands in the middle of
    what it is made of. Nothing is contracted. Raises `SizeError` where the plan is for another
    network.
    """
    import networkx
    from matplotlib.figure import Figure

    if plan.inputs != network.inputs:
        raise SizeError("the plan was made for another network: their indices differ")
    path = plan.path
    if steps is None:
        panels = min(8, len(path) + 1)
        steps = [round(k * len(path) / max(1, panels - 1)) for k in range(panels)]
    if columns < 1:
        raise ArgumentError(f"columns must be at least 1, got {columns}")
    steps = list(steps)
    if not steps or not all(isinstance(done, int) and 0 <= done <= len(path) for done in steps):
        raise ArgumentError(f"steps must be from 0 to {len(path)}, got {steps}")
    graph = networkx.Graph(network.to_networkx(open_ends=True))
    place = layout(graph, network, options.pop("positions", None), (0.4, -0.8), 0)
    points = {at: np.asarray(place[at], float) for at in range(len(network))}
    weights = dict.fromkeys(points, 1)
    states = {0: list(range(len(network)))}
    for number, (one, two) in enumerate(path):
        result = len(network) + number
        weights[result] = weights[one] + weights[two]
        share = weights[one] / weights[result]
        points[result] = share * points[one] + (1 - share) * points[two]
        before = states[number]
        states[number + 1] = [at for at in before if at not in (one, two)] + [result]
    tensors = dict(enumerate(network.tensors))
    sizes = plan.sizes
    for step in sorted(plan.steps, key=lambda step: step.result):
        tags = tensors[step.left].tags | tensors[step.right].tags
        names = {name for part in (step.left, step.right) for name in tensors[part].names}
        later = {n for at in states[step.result - len(network) + 1] for n in _names(tensors, at)}
        kept = [name for name in sizes if name in names and (name in later | set(plan.output))]
        # only the shape is drawn, so no memory is taken
        shape = tuple(sizes[name] for name in kept)
        tensors[step.result] = Tensor(np.broadcast_to(np.zeros(()), shape), kept, tags)
    rows = -(-len(steps) // columns)
    wide = min(columns, len(steps))
    figure = Figure(figsize=(2.6 * wide, 2.4 * rows), layout="constrained")
    low = np.min([points[at] for at in points], axis=0) - 0.6
    high = np.max([points[at] for at in points], axis=0) + 0.6
    for panel, done in enumerate(steps):
        ax = figure.add_subplot(rows, wide, panel + 1)
        ids = states[done]
        part = TensorNetwork([tensors[at] for at in ids], plan.output)
        where = {k: (float(points[at][0]), float(points[at][1])) for k, at in enumerate(ids)}
        draw(part, ax, positions=where, **{"names": False, "sizes": False, **options})
        ax.set_title(f"{done} of {len(path)} steps", fontsize=8)
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
    return Picture(figure)


def _names(tensors: dict[int, Tensor], at: int) -> tuple[str, ...]:
    return tensors[at].names if at in tensors else ()
