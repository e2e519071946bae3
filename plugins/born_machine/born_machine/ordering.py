"""Site orders: which feature of the data sits at which site of the chain.

An order is a permutation `order` with site k holding feature order[k]. A chain sees its sites in
a line, so correlated features should sit close together: on images a space-filling curve is worth
tens of nats over reading row by row, on other data an order by mutual information several, and one
by what is left of it when all other features are known up to .7 more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from born_machine.annealing import arrangement
from born_machine.curves import Order, hilbert, raster, snake
from born_machine.data import Samples, as_array
from born_machine.pairs import mutual_information, pair_information, partial_information
from tnkit import ArgumentError, ArgumentTypeError, SizeError

__all__ = [
    "CANDIDATES",
    "CURVES",
    "LEARNED",
    "ORDERS",
    "coupling_order",
    "dependence_tree",
    "image_order",
    "linkage_order",
    "path_order",
    "site_order",
    "tree_arrangement",
    "tree_order",
]

_SMALLEST_CURVE = 12


def image_order(image_shape: tuple[int, int]) -> str:
    """Return the name of the curve that "auto" takes for images of this shape.

    A Hilbert curve from 12 pixels a side up, raster below (measured: on 28 x 28 digits the curve
    gains 28 nats, on 8 x 8 it loses 0.8).
    """
    return "raster" if min(image_shape) < _SMALLEST_CURVE else "hilbert"


def dependence_tree(samples: Samples) -> npt.NDArray[np.intp]:
    """Return the parent of every feature in the tree of the largest mutual information.

    A maximum spanning tree (Chow and Liu, IEEE Trans. Inf. Theory 14, 462, 1968) directed away
    from feature 0, whose own entry is -1. Cost as
    `pair_information`, and O(features^2) for the tree.
    """
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    information = pair_information(samples)
    features = len(information)
    if features < 2:
        return np.full(features, -1, dtype=np.intp)
    # scipy takes a weight of zero for no edge: all weights are at least one
    weights = 1.0 + information.max() - (information + information.T) / 2
    np.fill_diagonal(weights, 0.0)
    tree = minimum_spanning_tree(weights)
    _, parents = breadth_first_order(tree, 0, directed=False)
    return np.where(parents < 0, -1, parents).astype(np.intp)


def linkage_order(samples: Samples) -> Order:
    """Return the leaves of an average-linkage tree on 1 - normalised mutual information.

    The leaves are turned so that neighbours are as alike as the tree allows (Bar-Joseph, Gifford
    and Jaakkola, Bioinformatics 17, S22, 2001). Cost O(features^2) memory, O(features^3) time.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if samples.shape[1] < 3:
        return np.arange(samples.shape[1])
    distance = 1.0 - mutual_information(samples)
    np.fill_diagonal(distance, 0.0)
    condensed = squareform((distance + distance.T) / 2, checks=False)
    tree = linkage(condensed, method="average", optimal_ordering=True)
    order: Order = leaves_list(tree).astype(np.intp)
    return order


def tree_order(samples: Samples) -> Order:
    """Return a walk through the Chow-Liu tree with short ways between a feature and its parent.

    Of all orders in which no two edges of the tree cross, one with the smallest sum of edge
    lengths: from the centroid, subtrees lie to the left and the right in turn, the largest
    outermost, and so on within each (Hochberg and Stallmann, Inf. Process. Lett. 87, 59, 2003).
    Cost as `dependence_tree`.
    """
    return tree_arrangement(dependence_tree(samples))


def tree_arrangement(parents: npt.NDArray[np.intp]) -> Order:
    """Return the vertices of a tree in line, edges short: see `tree_order`.

    parents: of every vertex, -1 for the root. Cost O(n log n).

    >>> tree_arrangement(np.array([-1, 0, 0, 1, 2])).tolist()  # the path 4 2 0 1 3
    [4, 2, 0, 1, 3]
    """
    count = len(parents)
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for vertex, parent in enumerate(map(int, parents)):
        if parent >= 0:
            neighbours[vertex].append(parent)
            neighbours[parent].append(vertex)
    above, walk = _walk(neighbours, 0)
    size = _sizes(above, walk)
    # the centroid: no part that is left when it goes is larger than half
    centroid = min(
        range(count),
        key=lambda v: max([count - size[v], *(size[w] for w in neighbours[v] if w != above[v])]),
    )
    above, walk = _walk(neighbours, centroid)
    size = _sizes(above, walk)
    order = np.empty(count, dtype=np.intp)
    tasks = [(centroid, 0, 0)]  # (vertex, first place of its subtree, side its parent lies on)
    while tasks:
        vertex, first, side = tasks.pop()
        children = sorted(
            (w for w in neighbours[vertex] if w != above[vertex]), key=size.__getitem__
        )
        # outermost first, from the side away from the parent: that edge then passes over less
        left, last = first, first + size[vertex]
        to_left = side >= 0
        for child in reversed(children):
            if to_left:
                tasks.append((child, left, 1))
                left += size[child]
            else:
                last -= size[child]
                tasks.append((child, last, -1))
            to_left = not to_left
        order[left] = vertex
    return order


def _walk(neighbours: list[list[int]], root: int) -> tuple[list[int], list[int]]:
    """Return the parent of every vertex seen from `root`, and the vertices from it outwards."""
    above = [-1] * len(neighbours)
    walk = [root]
    for vertex in walk:
        for other in neighbours[vertex]:
            if other != above[vertex]:
                above[other] = vertex
                walk.append(other)
    return above, walk


def _sizes(above: list[int], walk: list[int]) -> list[int]:
    """Return the number of vertices in the subtree of each vertex."""
    size = [1] * len(above)
    for vertex in reversed(walk):
        if above[vertex] >= 0:
            size[above[vertex]] += size[vertex]
    return size


def path_order(samples: Samples) -> Order:
    """Return a path through the features along which mutual information is large.

    From the most connected feature to the nearest unvisited one, improved by reversing stretches
    (2-opt) until no reversal helps. Cost O(features^2) a pass.
    """
    distance = 1.0 - mutual_information(samples)
    count = len(distance)
    path = [int(distance.sum(axis=0).argmin())]
    left = np.ones(count, dtype=bool)
    left[path[0]] = False
    while len(path) < count:
        nearest = np.where(left, distance[path[-1]], np.inf)
        path.append(int(nearest.argmin()))
        left[path[-1]] = False
    return _two_opt(np.array(path, dtype=np.intp), distance)


def _two_opt(path: Order, distance: npt.NDArray[np.float64]) -> Order:
    # a stand-in at distance zero from everything, at both ends, makes the open path a closed case
    count = len(distance)
    padded = np.pad(distance, ((0, 1), (0, 1)))
    path = np.concatenate(([count], path, [count]))
    improved = True
    while improved:
        improved = False
        for i in range(count - 1):
            # reversing path[i + 1 : j + 1] replaces the edges (i, i + 1) and (j, j + 1)
            j = np.arange(i + 2, count + 1)
            before = padded[path[i], path[i + 1]] + padded[path[j], path[j + 1]]
            now = padded[path[i], path[j]] + padded[path[i + 1], path[j + 1]]
            best = int((now - before).argmin())
            if now[best] - before[best] < -1e-12:
                stop = int(j[best]) + 1
                path[i + 1 : stop] = path[i + 1 : stop][::-1]
                improved = True
    return path[1:-1]


def coupling_order(
    samples: Samples,
    image_shape: tuple[int, int] | None = None,
    curve: Order | None = None,
    seed: int = 0,
) -> Order:
    """Return an order that keeps features close which say much of each other, all others known.

    The `arrangement` by `partial_information` of the pairs in which it is beyond chance; an edge of
    the Chow-Liu tree, on images a pair of neighbouring pixels, weighs at least what chance gives.
    samples: (sample, feature), negative where missing. It is annealed from `tree_order`, on images
    from `curve`, None for that of `image_order`; seed: of its moves, by which orders differ. Cost
    as `dependence_tree`, O(values^3), and the steps of `arrangement`.
    """
    information, chance = partial_information(samples)
    weights = np.where(information > chance, information, 0.0)
    if image_shape is None:
        parents = dependence_tree(samples)
        child = np.flatnonzero(parents >= 0)
        one, other = child, parents[child]
        start = tree_arrangement(parents)
    else:
        pixels = np.arange(image_shape[0] * image_shape[1]).reshape(image_shape)
        one = np.concatenate((pixels[1:].ravel(), pixels[:, 1:].ravel()))
        other = np.concatenate((pixels[:-1].ravel(), pixels[:, :-1].ravel()))
        start = CURVES[image_order(image_shape)](*image_shape) if curve is None else curve
    weights[one, other] = np.maximum(weights[one, other], chance[one, other])
    return arrangement(np.maximum(weights, weights.T), start, seed)


CURVES = {"raster": raster, "snake": snake, "hilbert": hilbert}
LEARNED = {
    "linkage": linkage_order,
    "path": path_order,
    "chow-liu": tree_order,
    "coupling": coupling_order,
}
CANDIDATES = ("given", *LEARNED)
"""The orders of features that are not pixels; "auto" tries each in a short run."""
ORDERS = ("auto", *CURVES, *CANDIDATES)


def site_order(
    order: str | Sequence[int] | Order,
    features: int,
    image_shape: tuple[int, int] | None,
    samples: Samples | None = None,
    seed: int = 0,
) -> Order:
    """Return the permutation that `order` names, or check one that is given.

    order: "raster", "snake" or "hilbert" over an image; "given", the features as they come;
    "linkage", "path" or "chow-liu", by mutual information in `samples` (sample, feature);
    "coupling", by what is left of it when all other features are known, annealed with `seed`;
    "auto", the curve of `image_order` on images and "given" elsewhere (BornMachine tries all
    candidates there); or a permutation of the features. Raises `ArgumentError`,
    `ArgumentTypeError` or `SizeError`.
    """
    if image_shape is not None and image_shape[0] * image_shape[1] != features:
        raise SizeError(
            f"image_shape {image_shape} has {image_shape[0] * image_shape[1]} pixels, "
            f"the data has {features} features"
        )
    if isinstance(order, str):
        if order not in ORDERS:
            raise ArgumentError(f"order {order!r} is unknown; use one of {', '.join(ORDERS)}")
        if order == "auto":
            order = "given" if image_shape is None else image_order(image_shape)
        if order in CURVES:
            if image_shape is None:
                raise ArgumentError(
                    f"order {order!r} needs images; give image_shape=(height, width)"
                )
            return CURVES[order](*image_shape)
        if order == "given":
            return np.arange(features)
        if samples is None:
            raise ArgumentError(f"order {order!r} is learned: it needs samples")
        if order == "coupling":
            return coupling_order(samples, image_shape, seed=seed)
        return LEARNED[order](samples)
    given = as_array(order)
    if given.dtype.kind not in "iu":
        raise ArgumentTypeError(f"order must hold feature numbers, got dtype {given.dtype}")
    if given.shape != (features,) or not np.array_equal(np.sort(given), np.arange(features)):
        raise ArgumentError(
            f"order must hold each of 0 to {features - 1} once, got {given.size} numbers"
        )
    return given.astype(np.intp)
