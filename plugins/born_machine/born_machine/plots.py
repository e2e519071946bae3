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
    "nll_comparison",
    "nll_curve",
    "sample_sheet",
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
    from matplotlib.figure import Figure

    given = np.where(known, original / max(1, int(original.max())), _UNKNOWN)
    rows: list[tuple[str, npt.NDArray[Any]]] = [("given", given)]
    rows += [(f"draw {i + 1}", draw) for i, draw in enumerate(completed)]
    rows.append(("original", original))
    tiles = [_tile(values, image_shape, len(original)) for _, values in rows]
    width = 8.4
    height = sum(_height(tile, 0.4) for tile in tiles) * width + 0.15 * len(tiles)
    figure = Figure(figsize=(width + 0.9, height))
    figure.subplots_adjust(
        left=0.85 / (width + 0.9), right=0.995, bottom=0.01, top=0.99, hspace=0.06
    )
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (title, _), tile in zip(grid, rows, tiles, strict=True):
        _show(axes, tile, None)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
    return figure


def nll_curve(
    history: Sequence[SweepRecord],
    *,
    best_sweep: int,
    lines: dict[str, float],
    test: float | None = None,
) -> Figure:
    """Draw the NLL (nats a sample) and the bond dimension by sweep.

    lines: label -> NLL of a reference drawn across (a baseline, a floor). test: NLL of the kept
    model on test samples, drawn at its sweep.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    sweeps = [record.sweep for record in history if record.sweep > 0] or [0]
    shown = [record for record in history if record.sweep in sweeps]
    upper.plot(sweeps, [r.nll_train for r in shown], "o-", ms=4, color="C0", label="train")
    if shown[0].nll_validation is not None:
        validation = [r.nll_validation for r in shown]
        upper.plot(sweeps, validation, "s-", ms=4, color="C1", label="validation")
    if test is not None and math.isfinite(test):
        upper.plot([best_sweep], [test], "D", color="C3", label="test (model kept)")
    for style, (label, value) in zip(("--", ":", "-."), lines.items(), strict=False):
        upper.axhline(value, color="0.5", ls=style, lw=1.2, label=f"{label} {value:.2f}")
    if best_sweep in sweeps:
        upper.axvline(best_sweep, color="0.85", lw=5, zorder=0, label="sweep kept")
    upper.set_ylabel("NLL (nats per sample)")
    upper.legend(fontsize=8)
    upper.grid(alpha=0.25)
    lower.plot(sweeps, [r.max_bond for r in shown], "o-", ms=4, color="C2", label="largest")
    lower.plot(sweeps, [r.mean_bond for r in shown], "o--", ms=3, color="C2", label="mean")
    lower.set_ylabel("bond dimension")
    lower.set_xlabel("sweep (there and back)")
    lower.xaxis.get_major_locator().set_params(integer=True)
    lower.legend(fontsize=8)
    lower.grid(alpha=0.25)
    return figure


def chain_profile(
    bonds: Sequence[int],
    entanglement: npt.NDArray[np.float64],
    order: npt.NDArray[np.intp],
    image_shape: tuple[int, int] | None,
) -> Figure:
    """Draw bond dimension and entanglement entropy (nats) along the chain, and over the pixels.

    bonds, entanglement: one value a bond; order: the feature at each site. A pixel shows the mean
    of the entropies of its two bonds.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0 if image_shape else 7.0, 5.0), layout="constrained")
    grid = figure.add_gridspec(2, 2 if image_shape else 1)
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    upper.step(range(len(bonds)), bonds, where="mid", color="C2")
    upper.set_ylabel("bond dimension")
    lower.plot(entanglement, color="C4")
    lower.set_ylabel("entanglement (nats)")
    lower.set_xlabel("bond, in site order")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    if image_shape:
        padded = np.concatenate(([0.0], entanglement, [0.0]))
        pixels = np.empty(len(order))
        pixels[order] = (padded[:-1] + padded[1:]) / 2
        axes = figure.add_subplot(grid[:, 1])
        picture = axes.imshow(pixels.reshape(image_shape), cmap="viridis")
        rows, columns = np.divmod(order, image_shape[1])
        axes.plot(columns, rows, color="white", lw=0.6, alpha=0.6)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title("entanglement over the pixels, and the chain", fontsize=11)
        figure.colorbar(picture, ax=axes, shrink=0.8)
    return figure


def nll_comparison(histories: Mapping[str, Sequence[SweepRecord]]) -> Figure:
    """Draw the NLL of several runs by training time: train dashed, validation solid."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, history) in enumerate(histories.items()):
        seconds = np.cumsum([record.seconds for record in history])[1:]
        train = [record.nll_train for record in history[1:]]
        axes.plot(seconds, train, "--", color=f"C{number}", lw=1.2)
        watched = [record.watched for record in history[1:]]
        axes.plot(seconds, watched, "o-", ms=3, color=f"C{number}", label=name)
    axes.set_xlabel("training time (seconds)")
    axes.set_ylabel("NLL (nats per sample)")
    axes.set_title("validation where held out (solid), train (dashed)", fontsize=10)
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
