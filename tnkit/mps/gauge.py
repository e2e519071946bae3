"""Canonical forms: moving the orthogonality centre, and checking what a gauge claims."""

from __future__ import annotations

import math

import numpy as np

from tnkit.arrays import Array, adjoint, eps, largest_magnitude, rescale, reshape, to_numpy
from tnkit.checking import checked
from tnkit.errors import ArgumentError
from tnkit.mps.sites import find_site
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix

__all__ = ["canonicalize", "check_site", "orthonormality_errors", "verify"]


def check_site(psi: MPS, site: int | str, what: str = "centre") -> int:
    """Return `site` as a position of `psi`; raise `ArgumentError` naming the range."""
    return find_site(psi.sites, site, what)


@checked
def canonicalize(psi: MPS, centre: int | str) -> MPS:
    """Return the same state with its orthogonality centre at site `centre`.

    Only the sites that are not yet orthonormal on the needed side are touched: moving the centre
    by one costs one QR, and no move at all returns `psi` itself. The state is unchanged, its norm
    included; nothing is truncated. Norms outside the float range are carried in `log_scale`.
    A negative `centre` counts from the end; a site name does as well.
    Raises `ArgumentError`, `NonFiniteError`. Cost O(moves x site_dim x bond^3).

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> canonicalize(bell, 1).centre
    1
    """
    position = check_site(psi, centre)
    length = len(psi)
    gauge = psi.gauge
    if gauge.left >= position and gauge.right >= length - 1 - position:
        return psi
    arrays = list(psi.arrays)
    log_scale = psi.log_scale
    for k in range(min(gauge.left, position), position):
        l, d, r = arrays[k].shape
        split = split_matrix(reshape(arrays[k], (l * d, r)), method="qr", absorb="right")
        arrays[k] = reshape(split.left, (l, d, -1))
        carry, log = rescale(split.right)
        neighbour, other = rescale(arrays[k + 1])
        arrays[k + 1] = _times_left(carry, neighbour)
        log_scale += log + other
    for k in range(max(length - 1 - gauge.right, position), position, -1):
        l, d, r = arrays[k].shape
        split = split_matrix(reshape(arrays[k], (l, d * r)), method="lq", absorb="left")
        arrays[k] = reshape(split.right, (-1, d, r))
        carry, log = rescale(split.left)
        neighbour, other = rescale(arrays[k - 1])
        arrays[k - 1] = _times_right(neighbour, carry)
        log_scale += log + other
    if log_scale:
        arrays[position], log_scale = _fold_scale(arrays[position], log_scale)
    return MPS(tuple(arrays), psi.sites, Gauge(position, length - 1 - position), log_scale)


def _times_left(matrix: Array, site: Array) -> Array:
    l, d, r = site.shape
    return reshape(matrix @ reshape(site, (l, d * r)), (-1, d, r))


def _times_right(site: Array, matrix: Array) -> Array:
    l, d, r = site.shape
    return reshape(reshape(site, (l * d, r)) @ matrix, (l, d, -1))


def _fold_scale(array: Array, log_scale: float) -> tuple[Array, float]:
    """Multiply exp(log_scale) into `array` where the product stays well inside the float range."""
    largest = largest_magnitude(array)
    if largest == 0.0:
        return array, 0.0
    limit = 60.0 if eps(array) > 1e-10 else 600.0
    if abs(log_scale + math.log(largest)) > limit or abs(log_scale) > limit:
        return array, log_scale
    return array * math.exp(log_scale), 0.0


@checked
def orthonormality_errors(psi: MPS) -> tuple[tuple[float, float], ...]:
    """Return, for every site, how far its array is from left- and from right-orthonormal.

    Each number is max |sum_s A_s^H A_s - 1| (left) or max |sum_s A_s A_s^H - 1| (right).
    """
    return tuple((_isometry_error(a, "left"), _isometry_error(a, "right")) for a in psi.arrays)


def _isometry_error(array: Array, side: str) -> float:
    l, d, r = array.shape
    matrix = reshape(array, (l * d, r)) if side == "left" else reshape(array, (l, d * r)).T
    gram = to_numpy(adjoint(matrix) @ matrix)
    return float(np.abs(gram - np.eye(len(gram))).max())


@checked
def verify(psi: MPS, *, tolerance: float | None = None) -> None:
    """Raise `ArgumentError` where the arrays do not have the gauge that `psi` claims.

    tolerance: largest deviation from orthonormality that passes, by default 100 eps(dtype) times
    the square root of the bond dimension. The message names the site, the side and the figure.
    """
    if tolerance is None:
        tolerance = 100 * eps(psi.arrays[0]) * math.sqrt(max(psi.bond_dims, default=1))
    for k, array in enumerate(psi.arrays):
        for side, claimed in (
            ("left", k < psi.gauge.left),
            ("right", k >= len(psi) - psi.gauge.right),
        ):
            error = _isometry_error(array, side) if claimed else 0.0
            if not error <= tolerance:
                raise ArgumentError(
                    f"site {k} is claimed to be {side}-orthonormal but deviates by {error:.3g} "
                    f"(tolerance {tolerance:.3g}); rebuild the state with MPS.from_arrays"
                )
