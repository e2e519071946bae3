"""Pictures of a run: data, samples, completions, and the NLL by sweep. All return figures."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from born_machine.checkpoint import SweepRecord
from born_machine.data import Samples
from tnkit import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "chain_profile",
    "completion_sheet",
    "information_maps",
    "nll_comparison",
    "nll_curve",
    "sample_sheet",
    "sample_strip",
    "save_figure",
]

_UNKNOWN = 0.55  # grey that stands for a pixel not given


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=150)


def sample_sheet(
    groups: dict[str, Samples], image_shape: tuple[int, int] | None, *, columns: int = 10
) -> Figure:
    """Draw groups of samples side by side, each under its title, `columns` images to a row.

    groups: title -> (sample, feature). Without an image_shape a sample is one row of cells.
    """
    from matplotlib.figure import Figure

    tiles = {title: _tile(samples, image_shape, columns) for title, samples in groups.items()}
    tallest = max(_height(tile) for tile in tiles.values())
    side = 4.2
    figure = Figure(figsize=(side * len(tiles), side * tallest + 0.5), layout="constrained")
    for axes, (title, tile) in zip(
        figure.subplots(1, len(tiles), squeeze=False)[0], tiles.items(), strict=True
    ):
        _show(axes, tile, title)
    return figure


def completion_sheet(
    original: Samples,
    known: npt.NDArray[np.bool_],
    completed: Sequence[Samples],
    image_shape: tuple[int, int] | None,
) -> Figure:
    """Draw what was given, several completions, and the original, one sample a column.

    original: (sample, feature); known: boolean, the same shape; completed: draws like original.
    """
    given = np.where(known, original / max(1, int(original.max())), _UNKNOWN)
    rows: list[tuple[str, npt.NDArray[Any]]] = [("given", given)]
    rows += [(f"draw {i + 1}", draw) for i, draw in enumerate(completed)]
    rows.append(("original", original))
    return _labelled_rows(
        [(title, _tile(values, image_shape, len(original))) for title, values in rows]
    )


def _labelled_rows(rows: Sequence[tuple[str, npt.NDArray[np.float64]]]) -> Figure:
    """Draw pictures one above the other, each with its label to the left."""
    from matplotlib.figure import Figure

    width = 8.4
    height = sum(_height(tile, 0.4) for _, tile in rows) * width + 0.15 * len(rows)
    figure = Figure(figsize=(width + 0.9, height))
    figure.subplots_adjust(
        left=0.85 / (width + 0.9), right=0.995, bottom=0.01, top=0.99, hspace=0.06
    )
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (title, tile) in zip(grid, rows, strict=True):
        _show(axes, tile, None)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
    return figure


def sample_strip(rows: Mapping[str, Samples], image_shape: tuple[int, int] | None) -> Figure:
    """Draw samples of several moments of training, one row each under its title.

    rows: title -> (sample, feature), the same number each.
    """
    return _labelled_rows(
        [(title, _tile(samples, image_shape, len(samples))) for title, samples in rows.items()]
    )


_BASELINES = {"independent": ("independent features", "--"), "chow_liu": ("Chow-Liu tree", "-.")}


def nll_curve(
    history: Sequence[SweepRecord],
    *,
    best_sweep: int,
    baselines: Mapping[str, Mapping[str, float]],
    floor: float,
    test: float | None = None,
) -> Figure:
    """Draw the NLL (nats a sample) and the bond dimension by sweep.

    baselines: title -> part ("train", "validation", "test") -> NLL; those of the last part are
    drawn across. floor: below which no train NLL lies. test: NLL of the kept model on test
    samples, drawn at its sweep.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 5.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    sweeps = [record.sweep for record in history if record.sweep > 0] or [0]
    shown = [record for record in history if record.sweep in sweeps]
    upper.plot(sweeps, [r.nll_train for r in shown], "o-", ms=4, color="C0", label="train")
    if shown[0].nll_validation is not None:
        validation = [r.nll_validation for r in shown]
        upper.plot(sweeps, validation, "s-", ms=4, color="C1", label="validation")
    if test is not None and math.isfinite(test):
        upper.plot(
            [best_sweep], [test], "D", ms=7, color="C3", label=f"test {test:.2f} (model kept)"
        )
    low, high = upper.get_ylim()
    lines = [(f"floor of train (ln m): {floor:.2f}", floor, ":")]
    for title, values in baselines.items():
        label, style = _BASELINES[title]
        part, value = list(values.items())[-1]
        lines.append((f"{label}, {part}: {value:.2f}", value, style))
    for (
        label,
        value,
        style,
    ) in lines:  # what lies far off is told, not drawn: the curve would flatten
        near = low - (high - low) < value < high + (high - low)
        upper.axhline(
            value if near else math.nan,
            color="0.45",
            ls=style,
            lw=1.4,
            label=label if near else f"{label} (off the picture)",
        )
    if best_sweep in sweeps:
        upper.axvline(best_sweep, color="0.88", lw=6, zorder=0, label="sweep kept")
    upper.set_ylabel("NLL (nats per sample)")
    upper.grid(alpha=0.25)
    lower.plot(sweeps, [r.max_bond for r in shown], "o-", ms=4, color="C2", label="largest")
    lower.plot(sweeps, [r.mean_bond for r in shown], "o--", ms=3, color="C2", label="mean")
    lower.set_ylim(bottom=0)
    lower.set_ylabel("bond dimension")
    lower.set_xlabel("sweep (there and back)")
    lower.xaxis.get_major_locator().set_params(integer=True)
    lower.legend(fontsize=8, loc="lower right")
    lower.grid(alpha=0.25)
    figure.legend(
        *upper.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8
    )
    return figure


def chain_profile(
    bonds: Sequence[int],
    entanglement: npt.NDArray[np.float64],
    order: npt.NDArray[np.intp],
    image_shape: tuple[int, int] | None,
) -> Figure:
    """Draw bond dimension and entanglement entropy (nats) along the chain, and over the pixels.

    bonds, entanglement: one value a bond; order: the feature at each site. A pixel shows the mean
    of its two bonds; the line is the chain.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5 if image_shape else 7.0, 6.2), layout="constrained")
    grid = (
        figure.add_gridspec(2, 2, width_ratios=[1.6, 1]) if image_shape else figure.add_gridspec(2)
    )
    panels = (
        ("bond dimension", np.asarray(bonds, dtype=np.float64), "C2", "viridis"),
        ("entanglement (nats)", entanglement, "C4", "magma"),
    )
    first = None
    for row, (title, values, color, shades) in enumerate(panels):
        axes = figure.add_subplot(grid[row, 0] if image_shape else grid[row], sharex=first)
        first = axes
        axes.fill_between(range(len(values)), values, step="mid", color=color, alpha=0.2, lw=0)
        axes.step(range(len(values)), values, where="mid", color=color, lw=1.1)
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.set_xlim(-0.5, max(len(values) - 0.5, 0.5))
        axes.grid(alpha=0.25)
        axes.set_xlabel("bond, in site order" if row else "")
        if image_shape:
            picture = figure.add_subplot(grid[row, 1], title=f"{title} over the pixels")
            _over_pixels(figure, picture, values, order, image_shape, shades)
    return figure


def _over_pixels(
    figure: Figure,
    axes: Any,
    values: npt.NDArray[np.float64],
    order: npt.NDArray[np.intp],
    image_shape: tuple[int, int],
    shades: str,
) -> None:
    """Draw one value a bond as an image: each pixel the mean of the bonds to its two sides."""
    padded = np.pad(values, 1, constant_values=np.nan)
    pixels = np.empty(len(order))
    sides = np.stack((padded[:-1], padded[1:]))
    pixels[order] = np.where(np.isnan(sides), sides[::-1], sides).mean(axis=0)
    picture = axes.imshow(pixels.reshape(image_shape), cmap=shades, vmin=0)
    rows, columns = np.divmod(order, image_shape[1])
    axes.plot(columns, rows, color="white", lw=0.5, alpha=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.colorbar(picture, ax=axes, shrink=0.9)


def information_maps(
    data: npt.NDArray[np.float64],
    model: npt.NDArray[np.float64],
    order: npt.NDArray[np.intp],
    image_shape: tuple[int, int] | None,
    *,
    source: str = "model",
) -> Figure:
    """Draw the mutual information (nats) of all pairs of features, model beside data.

    data, model: (feature, feature), diagonals not shown; source: the title of the second. Features
    stand in site order; one panel sets the pairs against one another; on images two more show,
    pixel by pixel, how much each shares with all others.
    """
    from matplotlib.figure import Figure

    off = ~np.eye(len(data), dtype=bool)
    data, model = np.maximum(data, 0.0), np.maximum(model, 0.0)  # rounding
    maps = {"data": np.where(off, data, np.nan), source: np.where(off, model, np.nan)}
    most = max(float(np.nanmax(values, initial=1e-12)) for values in maps.values())
    rows = 2 if image_shape else 1
    figure = Figure(figsize=(13.0, 4.3 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 3)
    panels = [figure.add_subplot(grid[0, column]) for column in (0, 1)]
    for axes, (title, values) in zip(panels, maps.items(), strict=True):
        picture = axes.imshow(
            np.sqrt(values[np.ix_(order, order)]), cmap="magma", vmin=0, vmax=math.sqrt(most)
        )
        axes.set_title(f"mutual information of sites\n{title}", fontsize=11)
        axes.set_xlabel("site")
    figure.colorbar(picture, ax=panels, shrink=0.85, label="square root of nats")
    least = 1e-6
    pairs = np.triu_indices(len(data), 1)
    axes = figure.add_subplot(grid[:, 2], box_aspect=1)
    axes.hexbin(
        np.maximum(data[pairs], least),
        np.maximum(model[pairs], least),
        xscale="log",
        yscale="log",
        bins="log",
        gridsize=60,
        mincnt=1,
        cmap="viridis_r",
        lw=0.1,
    )
    axes.plot([least, most], [least, most], color="0.4", lw=1)
    axes.set_xlabel("data (nats)")
    axes.set_ylabel("model (nats)")
    axes.set_title("every pair (darker: more)", fontsize=11)
    if image_shape:
        shared = {title: np.nansum(values, axis=1) for title, values in maps.items()}
        most = max(float(values.max()) for values in shared.values())
        panels = [figure.add_subplot(grid[1, column]) for column in (0, 1)]
        for axes, (title, values) in zip(panels, shared.items(), strict=True):
            picture = axes.imshow(values.reshape(image_shape), cmap="magma", vmin=0, vmax=most)
            axes.set_title(f"information shared with all others\n{title}", fontsize=11)
            axes.set_xticks([])
            axes.set_yticks([])
        figure.colorbar(picture, ax=panels, shrink=0.85, label="sum over pairs (nats)")
    return figure


def nll_comparison(
    histories: Mapping[str, Sequence[SweepRecord]], tests: Mapping[str, float]
) -> Figure:
    """Draw the NLL of several runs by training time: train, validation, and the test at the end.

    tests: the test NLL of the runs that have one.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.subplots()
    for number, (name, history) in enumerate(histories.items()):
        color = f"C{number % 10}"
        shown = history[1:] or history
        seconds = np.cumsum([record.seconds for record in shown])
        axes.plot(seconds, [record.nll_train for record in shown], "--", color=color, lw=1.2)
        watched = [record.watched for record in shown]
        axes.plot(seconds, watched, "o-", ms=3, color=color, label=name)
        if name in tests:
            axes.plot(seconds[-1:], [tests[name]], "D", ms=7, color=color, mec="black")
    axes.set_xlabel("training time (seconds)")
    axes.set_ylabel("NLL (nats per sample)")
    axes.set_title("train dashed, validation where held out solid, test diamond", fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.25)
    return figure


def _height(tile: npt.NDArray[Any], most: float = 1.5) -> float:
    """Return the height of a picture over its width, at most `most`: long tables are squeezed."""
    return min(float(tile.shape[0] / tile.shape[1]), most)


def _show(axes: Any, tile: npt.NDArray[Any], title: str | None) -> None:
    axes.imshow(
        tile, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest", aspect=_aspect(tile)
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.7")
    if title is not None:
        axes.set_title(title, fontsize=11)


def _aspect(tile: npt.NDArray[Any]) -> str:
    return "equal" if 0.1 < tile.shape[0] / tile.shape[1] <= 1.5 else "auto"


def _tile(
    values: npt.NDArray[Any], image_shape: tuple[int, int] | None, columns: int
) -> npt.NDArray[np.float64]:
    """Return the samples as one picture in [0, 1], with a light line between the images."""
    scaled = values / max(1.0, float(values.max()))
    if image_shape is None:
        image_shape, columns = (1, values.shape[1]), 1
    height, width = image_shape
    gap = 1 if min(height, width) > 1 else 0
    rows = math.ceil(len(values) / columns)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap), 0.15)
    for i, image in enumerate(scaled.reshape(-1, height, width)):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        canvas[top : top + height, left : left + width] = image
    return canvas
