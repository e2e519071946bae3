"""Curves over the pixels of an image: raster, snake and Hilbert."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Order",
    "hilbert",
    "orientations",
    "raster",
    "shifts_round_the_edge",
    "shifts_within",
    "snake",
    "variations",
]

Order: TypeAlias = npt.NDArray[np.intp]
"""A permutation: site k holds feature order[k]."""


def raster(height: int, width: int) -> Order:
    """Return the order that reads an image row by row.

    >>> raster(2, 3).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    return np.arange(height * width)


def snake(height: int, width: int) -> Order:
    """Return the order that reads rows alternately left to right and right to left.

    >>> snake(2, 3).tolist()
    [0, 1, 2, 5, 4, 3]
    """
    pixels = np.arange(height * width).reshape(height, width)
    pixels[1::2] = pixels[1::2, ::-1]
    return pixels.ravel()


def hilbert(height: int, width: int) -> Order:
    """Return a Hilbert curve over the pixels of any rectangle.

    Every step goes to a neighbouring pixel (a diagonal one at most once, where the parities of
    the sides leave no other way), and pixels near one another along the curve are near one
    another in the image. Built by halving: a rectangle becomes a first part along its short
    side, a middle part along its long side and a last part back along the short side, each a
    smaller curve turned so that the ends meet. Source: the generalised Hilbert curve of
    J. Cerveny (gilbert, 2018).

    >>> hilbert(4, 4).reshape(4, 4)[0].tolist()  # the first four sites: one corner of the image
    [0, 1, 5, 4]
    """
    if width >= height:
        path = _curve((0, 0), (0, width), (height, 0))
    else:
        path = _curve((0, 0), (height, 0), (0, width))
    return np.array([row * width + column for row, column in path])


def orientations(curve: Callable[[int, int], Order], height: int, width: int) -> tuple[Order, ...]:
    """Return a curve over the pixels turned and mirrored in all eight ways, itself first.

    Ways that give the same order are left out. The first four of a Hilbert curve are different
    chains, the last four those run backwards (on most squares): itself, transposed, itself upside
    down, transposed mirrored left to right.

    >>> [order.tolist() for order in orientations(raster, 2, 2)][:4]
    [[0, 1, 2, 3], [0, 2, 1, 3], [2, 3, 0, 1], [1, 3, 0, 2]]
    """
    pixels = np.arange(height * width).reshape(height, width)
    upright, transposed = curve(height, width), curve(width, height)
    down, across, both = pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1]
    found: dict[bytes, Order] = {}
    for grid, kept in (
        (pixels, True),
        (pixels, False),
        (down, True),
        (across, False),
        (across, True),
        (down, False),
        (both, True),
        (both, False),
    ):
        order = grid.ravel()[upright] if kept else grid.T.ravel()[transposed]
        found.setdefault(order.tobytes(), order)
    return tuple(found.values())


def variations(
    curve: Callable[[int, int], Order], height: int, width: int, count: int
) -> tuple[Order, ...]:
    """Return up to `count` different orders of the kind of `curve`, itself first, for a mixture.

    The others are cut from the curve over an image larger by a seventh, turned, mirrored and moved:
    chains that break the image in different places. Measured on 1,000 digits: eight of them mix
    to a test NLL of 94.5, the eight orientations of one curve to 96.1. Rows cut from rows are rows
    again: raster and snake have their orientations only, so fewer than `count` may come back.
    """
    margin = max(3, min(height, width) // 7)
    wide = orientations(curve, height + margin, width + margin)
    found: dict[bytes, Order] = {}
    own = orientations(curve, height, width)
    found[own[0].tobytes()] = own[0]
    for k in range(1, 8 * (margin + 1) ** 2):
        # places spread evenly for any count (Roberts' R2 sequence)
        down, right = (
            int((k * step) % 1.0 * (margin + 1)) for step in (0.7548776662, 0.5698402910)
        )
        rows, columns = np.divmod(wide[k % len(wide)], width + margin)
        rows, columns = rows - down, columns - right
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        order = rows[inside] * width + columns[inside]
        found.setdefault(order.tobytes(), order)
        if len(found) >= count:
            break
    return tuple(found.values())[:count]


_Vector: TypeAlias = tuple[int, int]


def shifts_within(reach: int) -> list[tuple[int, int]]:
    """Return every shift (down, right) by at most `reach` pixels, |down| + |right|, least first.

    >>> shifts_within(1)
    [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)]
    """
    steps = range(-reach, reach + 1)
    moves = [(a, b) for a in steps for b in steps if abs(a) + abs(b) <= reach]
    return sorted(moves, key=lambda move: abs(move[0]) + abs(move[1]))


def shifts_round_the_edge(height: int, width: int, reach: int) -> tuple[Order, ...]:
    """Return a permutation of the pixels for each of `shifts_within`, none first.

    image[permutation] is the image moved; what leaves on one side comes in on the other.
    """
    pixels = np.arange(height * width).reshape(height, width)
    return tuple(np.roll(pixels, move, axis=(0, 1)).ravel() for move in shifts_within(reach))


def _length(vector: _Vector) -> int:
    return abs(vector[0] + vector[1])  # one component is zero


def _direction(vector: _Vector) -> _Vector:
    return (int(np.sign(vector[0])), int(np.sign(vector[1])))


def _add(*vectors: _Vector) -> _Vector:
    return (sum(v[0] for v in vectors), sum(v[1] for v in vectors))


def _minus(a: _Vector) -> _Vector:
    return (-a[0], -a[1])


def _half(vector: _Vector) -> _Vector:
    return (int(vector[0] / 2), int(vector[1] / 2))


def _curve(start: _Vector, along: _Vector, across: _Vector) -> list[_Vector]:
    """Return the pixels of the rectangle spanned by two vectors, from `start` to its far corner.

    The curve runs from `start` along `along` and ends beside start + along.
    """
    long, wide = _length(along), _length(across)
    forward, sideways = _direction(along), _direction(across)
    if wide == 1:
        return [(start[0] + i * forward[0], start[1] + i * forward[1]) for i in range(long)]
    if long == 1:
        return [(start[0] + i * sideways[0], start[1] + i * sideways[1]) for i in range(wide)]
    half_along, half_across = _half(along), _half(across)
    if 2 * long > 3 * wide:  # a long rectangle: one half after the other
        if _length(half_along) % 2 and long > 2:
            half_along = _add(half_along, forward)
        rest = _add(along, _minus(half_along))
        return _curve(start, half_along, across) + _curve(_add(start, half_along), rest, across)
    if _length(half_across) % 2 and wide > 2:
        half_across = _add(half_across, sideways)
    rest_across = _add(across, _minus(half_across))
    back = _add(start, along, _minus(forward), half_across, _minus(sideways))
    return (
        _curve(start, half_across, half_along)
        + _curve(_add(start, half_across), along, rest_across)
        + _curve(back, _minus(half_across), _minus(_add(along, _minus(half_along))))
    )
