"""Two-dimensional networks contracted row by row: the boundary is an MPS that is kept small."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tnkit.algorithms.approximation import Approximation, approximation
from tnkit.arrays import Array, eps, like, promote, reshape
from tnkit.checking import checked, shown
from tnkit.contraction import contract
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.index import fresh_name
from tnkit.mps.apply import apply
from tnkit.mps.arithmetic import conj
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import log_inner, log_norm, normalize
from tnkit.mps.state import MPS
from tnkit.network import TensorNetwork
from tnkit.notation import shorten
from tnkit.scaled import Scaled
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = ["boundary_contract"]

Cell: TypeAlias = tuple[int, int]
_PAIR = re.compile(r"\((\d+), (\d+)\)")


@checked
def boundary_contract(
    network: TensorNetwork,
    truncation: Truncation,
    *,
    cells: Mapping[str, Cell] | Sequence[Cell] | None = None,
    directions: Sequence[str] = ("rows", "columns"),
    method: str = "svd",
    tolerance: float = 1e-3,
) -> Approximation:
    """Return the value of a network on a square grid by boundary matrix product states.

    truncation
        Of the boundary, at every bond of every row. Exact where it cuts nothing.
    cells
        (row, column) of each tensor, or {tag: (row, column)}; a tensor with several such tags goes
        to the smallest cell. By default tags such as "(0, 3)": those that builders give to nodes of
        a square lattice. Tensors of one cell are contracted first; hyperedges, such as the
        vertices of `ising_network`, are taken apart between cells. Indices must join neighbours.
    directions
        Down the rows, along the "columns", or both, which are compared. Every cut between the
        boundary from one side and that from the other gives a value of its own.
    method
        How `tnkit.apply` compresses: "svd", "zipup", ...
    tolerance
        Relative error above which the result is not to be trusted.

    The value is from the middle cut of the direction that discarded less; the error is the largest
    difference from it over all cuts and directions, or the weights discarded on the way to it where
    they add up to more (symmetry can make all cuts agree on a wrong value). Not to be trusted
    either where the two boundaries are nearly orthogonal: a small difference of large numbers.
    Library, device and dtype are those of the arrays. Raises `ArgumentError` for an open network
    or an index between cells that are no neighbours (periodic ones among them). Cost
    O(cells bond^3 index^3) and twice that for both directions.
    Source: Verstraete, Cirac, arXiv:cond-mat/0407066 (2004); Lubasch, Cirac, Banuls, New J. Phys.
    16, 033014 (2014).

    >>> from tnkit.build.lattices import lattice
    >>> from tnkit.build.models import ising_network
    >>> network = ising_network(lattice("square", 6, 6), 0.4)
    >>> found = boundary_contract(network, Truncation(max_bond=8))
    >>> found.trusted, abs(float(found.value) / contract(network).item() - 1) < 1e-9
    (True, True)
    """
    if network.output:
        raise ArgumentError(f"expected a scalar, but {shorten(network.output)} is open")
    ways = list(directions)
    if not ways or not all(isinstance(way, str) and way in ("rows", "columns") for way in ways):
        raise ArgumentError(f"directions are 'rows' and 'columns', got {ways}")
    grid = _grid(network, _cells(network, cells))
    found = []
    for way in dict.fromkeys(ways):
        turned = grid if way == "rows" else _transposed(grid)
        found.append(_both_sides(turned, truncation, method))
    values, _, total, overlap = min(found, key=lambda result: result[1:3])
    warnings = []
    if overlap < 1e-6:
        warnings.append(
            f"the boundaries of both sides overlap to {overlap:.1g} only: the value is a small "
            "difference of large numbers"
        )
    count = len(grid) * len(grid[0])
    return approximation(
        values[len(values) // 2],
        [value for result in found for value in result[0]],
        max(result[1] for result in found),
        tolerance,
        max(total, float(count * eps(grid[0][0]))),
        warnings,
    )


def _both_sides(
    grid: list[list[Array]], truncation: Truncation, method: str
) -> tuple[list[Scaled], float, float, float]:
    """Return the value at every cut, the one to take in the middle of the list; the largest weight
    discarded at a bond, the sum of those before that cut, and the smallest overlap.
    """
    above, first = _boundaries(grid, truncation, method)
    below, second = _boundaries(_upside_down(grid), truncation, method)
    values, overlaps = [], []
    for k in range(len(grid) - 1):
        top, bottom = above[k], below[len(grid) - 2 - k]
        value = log_inner(conj(bottom), top)
        values.append(value)
        size = log_norm(top) + log_norm(bottom)
        known = math.isfinite(size) and math.isfinite(float(value.log_abs))
        overlaps.append(math.exp(float(value.log_abs) - size) if known else 1.0)
    whole = above[-1]  # all rows: every site has one value left
    values.append(log_inner(conj(_ones_like(whole)), whole))
    overlaps.append(1.0)
    middle = (len(values) - 1) // 2 if len(values) > 1 else 0
    # the middle cut in the middle of the list: what the caller takes
    order = [*values[:middle], *values[middle + 1 :]]
    order.insert(len(values) // 2, values[middle])
    spent = [
        w for weights in (*first[: middle + 1], *second[: len(grid) - 1 - middle]) for w in weights
    ]
    return order, max(spent, default=0.0), sum(spent), min(overlaps)


def _boundaries(
    grid: list[list[Array]], truncation: Truncation, method: str
) -> tuple[list[MPS], list[tuple[float, ...]]]:
    """Return the boundary after each row, and the weights discarded there, one a bond."""
    width = len(grid[0])
    one = reshape(grid[0][0], (-1,))[:1] * 0 + 1
    sites = tuple(f"column{k}" for k in range(width))
    state = MPS((reshape(one, (1, 1, 1)),) * width, sites)
    found, weights = [], []
    for row in grid:
        done = apply(MPO(tuple(row), sites), state, truncation, method=method)
        weights.append(done.discarded_weights)
        state = done.state
        size = log_norm(state)
        if math.isfinite(size):  # the norm goes into the logarithm: rows may be many
            unit = normalize(state)
            state = MPS(unit.arrays, unit.sites, unit.gauge, unit.log_scale + size)
        found.append(state)
    return found, weights


def _ones_like(state: MPS) -> MPS:
    one = reshape(state.arrays[0], (-1,))[:1] * 0 + 1
    return MPS((reshape(one, (1, 1, 1)),) * len(state), state.sites)


def _upside_down(grid: list[list[Array]]) -> list[list[Array]]:
    return [[_permuted(array, (0, 2, 1, 3)) for array in row] for row in reversed(grid)]


def _transposed(grid: list[list[Array]]) -> list[list[Array]]:
    # (left, down, up, right) -> (up, right, left, down)
    columns = zip(*grid, strict=True)
    return [[_permuted(array, (2, 3, 0, 1)) for array in column] for column in columns]


def _permuted(array: Array, axes: tuple[int, ...]) -> Array:
    names = [str(k) for k in range(4)]
    return Tensor(array, names).transpose(*(str(k) for k in axes)).array


# ---- from a network to a grid of (left, down, up, right) arrays


def _cells(network: TensorNetwork, cells: Mapping[str, Cell] | Sequence[Cell] | None) -> list[Cell]:
    if cells is not None:
        for cell in cells.values() if isinstance(cells, Mapping) else cells:
            if not (isinstance(cell, Sequence) and len(cell) == 2 and all(map(_is_whole, cell))):
                raise ArgumentTypeError(
                    f"cells must hold (row, column) pairs of whole numbers, got {shown(cell)}"
                )
    if cells is not None and not isinstance(cells, Mapping):
        found = [(int(row), int(column)) for row, column in cells]
        if len(found) != len(network):
            raise ArgumentError(f"{len(network)} tensors need as many cells, got {len(found)}")
        return found
    found = []
    for at, tensor in enumerate(network.tensors):
        if cells is None:
            pairs = [_PAIR.fullmatch(tag) for tag in tensor.tags]
            places = [(int(pair[1]), int(pair[2])) for pair in pairs if pair]
        else:
            places = [cells[tag] for tag in tensor.tags if tag in cells]
        if not places:
            raise ArgumentError(
                f"tensor {at} with the tags {sorted(tensor.tags)} has no cell; tag it '(row, "
                "column)', or give cells="
            )
        found.append(min(places))
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _grid(network: TensorNetwork, cells: Sequence[Cell]) -> list[list[Array]]:
    if not cells:
        raise ArgumentError("the network has no tensors")
    first = (min(row for row, _ in cells), min(column for _, column in cells))
    placed = [(row - first[0], column - first[1]) for row, column in cells]
    shape = (max(row for row, _ in placed) + 1, max(column for _, column in placed) + 1)
    contents: dict[Cell, list[Tensor]] = {
        (r, c): [] for r in range(shape[0]) for c in range(shape[1])
    }
    legs: dict[Cell, dict[Cell, list[str]]] = {cell: {} for cell in contents}
    renamed: dict[tuple[str, Cell], str] = {}
    taken = set(network.sizes)
    model = promote(*network.arrays)[0]
    for name, size in network.sizes.items():
        where = sorted({placed[at] for at in network.tensors_with(name)})
        if len(where) == 1:
            continue
        home = _home(name, where)
        for cell in where:
            if cell == home:
                continue
            own = name
            if len(where) > 2:  # a copy of the index for each further cell
                own = fresh_name(name, taken)
                taken.add(own)
                renamed[name, cell] = own
                contents[home].append(Tensor(like(np.eye(size), model), [name, own]))
            legs[home].setdefault(cell, []).append(own)
            legs[cell].setdefault(home, []).append(own)
    for at, tensor in enumerate(network.tensors):
        names = [renamed.get((name, placed[at]), name) for name in tensor.names]
        contents[placed[at]].append(Tensor(tensor.array, names, tensor.tags))
    dtype_like = like(np.ones(()), model)
    return [
        [_merged(contents[r, c], legs[r, c], (r, c), dtype_like) for c in range(shape[1])]
        for r in range(shape[0])
    ]


def _home(name: str, where: Sequence[Cell]) -> Cell:
    """Return the cell of an index that all others neighbour."""
    for home in where:
        if all(abs(home[0] - r) + abs(home[1] - c) <= 1 for r, c in where):
            return home
    raise ArgumentError(
        f"index {name!r} joins the cells {shorten(where)}, which are no neighbours; boundary "
        "contraction needs an open square grid (use compressed_contract for other graphs)"
    )


def _merged(
    tensors: Sequence[Tensor], legs: Mapping[Cell, Sequence[str]], cell: Cell, one: Any
) -> Array:
    row, column = cell
    around = [(row, column - 1), (row + 1, column), (row - 1, column), (row, column + 1)]
    names = [name for side in around for name in legs.get(side, ())]
    whole = contract(TensorNetwork([*tensors, Tensor(one)], names))
    shape = [math.prod(whole.size(name) for name in legs.get(side, ())) for side in around]
    return reshape(whole.array, tuple(shape))
