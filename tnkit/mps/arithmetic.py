"""Sums, differences, multiples and elementwise products of states and of operators."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tnkit.arrays import Array, dtype_name, is_complex, namespace, promote, reshape
from tnkit.checking import checked
from tnkit.errors import ArgumentError, ArgumentTypeError, ScaleError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import log_norm
from tnkit.mps.sites import same_chain
from tnkit.mps.state import MPS

__all__ = ["add", "chain_of", "conj", "distance", "hadamard", "like_chain", "scale", "subtract"]

Chain = TypeVar("Chain", MPS, MPO)


def chain_of(value: MPS | MPO) -> MPS:
    """Return an operator as a state whose sites hold (out, in) pairs; a state as it is."""
    if isinstance(value, MPS):
        return value
    arrays = tuple(reshape(a, (a.shape[0], -1, a.shape[3])) for a in value.arrays)
    return MPS(arrays, value.sites, log_scale=value.log_scale)


def like_chain(psi: MPS, model: Chain) -> Chain:
    """Return `psi` as what `model` is: itself, or the operator of the same (out, in) sizes."""
    if isinstance(model, MPS):
        return psi
    pairs = zip(psi.arrays, model.out_dims, model.in_dims, strict=True)
    arrays = tuple(reshape(a, (a.shape[0], out, into, a.shape[2])) for a, out, into in pairs)
    return MPO(arrays, psi.sites, psi.log_scale)


def _same(chains: Sequence[MPS | MPO]) -> None:
    first = chains[0]
    for other in chains[1:]:
        if type(other) is not type(first):
            raise ArgumentTypeError(
                f"a {type(first).__name__} and a {type(other).__name__} do not combine; "
                "see tnkit.apply"
            )
        if isinstance(first, MPO) and isinstance(other, MPO):
            what = "the operators"
            same_chain(first.sites, first.out_dims, other.sites, other.out_dims, what)
            same_chain(first.sites, first.in_dims, other.sites, other.in_dims, what)
        elif isinstance(first, MPS) and isinstance(other, MPS):
            same_chain(first.sites, first.site_dims, other.sites, other.site_dims)


@checked
def scale(chain: Chain, factor: complex | float) -> Chain:
    """Return factor x chain; the factor goes to the centre, or where it would not fit, to the log.

    The gauge is kept. A real factor keeps a real dtype; a complex one makes the arrays complex.

    >>> from tnkit.mps.create import random_mps
    >>> round(log_norm(scale(random_mps(3, bond_dim=2, seed=0), 2.0)), 6)
    0.693147
    """
    number = complex(factor)
    if not cmath.isfinite(number):
        raise ArgumentError(f"expected a finite factor, got {factor}")
    psi = chain_of(chain)
    arrays = list(psi.arrays)
    at = min(psi.gauge.left, len(psi) - 1)
    log_scale = psi.log_scale
    magnitude = abs(number)
    if magnitude and not 1e-12 < magnitude < 1e12:
        number, log_scale = number / magnitude, log_scale + math.log(magnitude)
    if isinstance(factor, complex | np.complexfloating) and not is_complex(arrays[0]):
        xp = namespace(arrays[0])
        wide = xp.complex128 if dtype_name(arrays[0].dtype) == "float64" else xp.complex64
        arrays = [xp.astype(array, wide) for array in arrays]
    arrays[at] = arrays[at] * (number if is_complex(arrays[0]) else number.real)
    if magnitude == 0.0:
        log_scale = 0.0
    gauge = psi.gauge.touching(at, len(psi))
    return like_chain(MPS(tuple(arrays), psi.sites, gauge, log_scale), chain)


@checked
def conj(chain: Chain) -> Chain:
    """Return the complex conjugate, element by element; the gauge is kept. Real chains as is.

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(3, bond_dim=2, seed=0)
    >>> conj(psi) is psi
    True
    """
    psi = chain_of(chain)
    if not is_complex(psi.arrays[0]):
        return chain
    xp = namespace(psi.arrays[0])
    arrays = tuple(xp.conj(array) for array in psi.arrays)
    return like_chain(MPS(arrays, psi.sites, psi.gauge, psi.log_scale), chain)


@checked
def add(first: Chain, *others: Chain) -> Chain:
    """Return the sum of any number of states, or of operators, exactly: bonds add up.

    Nothing is truncated; `tnkit.compress` takes out what is redundant. Scales that differ beyond
    the float range are combined through log_scale: a term too small to count in the first array
    vanishes there, as it does when floats are added. Cost O(L site bond^2). Raises `SizeError`
    where sites differ, `ArgumentTypeError` for a state and an operator.

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(4, bond_dim=2, seed=0)
    >>> add(psi, psi, psi).bond_dims
    (6, 6, 6)
    """
    _same([first, *others])
    if not others:
        return first
    states = [chain_of(first), *(chain_of(other) for other in others)]
    n = len(states[0])
    flat = promote(*(array for psi in states for array in psi.arrays))
    rows = [flat[i * n : (i + 1) * n] for i in range(len(states))]
    top = max(psi.log_scale for psi in states)
    arrays = []
    for k in range(n):
        blocks = [row[k] for row in rows]
        if k == 0:
            blocks = [
                b * math.exp(psi.log_scale - top) for b, psi in zip(blocks, states, strict=True)
            ]
        arrays.append(_direct_sum(blocks, left=k > 0, right=k < n - 1))
    return like_chain(MPS(tuple(arrays), states[0].sites, log_scale=top), first)


def _direct_sum(blocks: list[Array], *, left: bool, right: bool) -> Array:
    """Return arrays (left, site, right) as blocks on the diagonal of the bonds that are open."""
    xp = namespace(*blocks)
    if not left and not right:
        return sum(blocks[1:], start=blocks[0])
    if not left or not right:
        return xp.concat(blocks, axis=0 if left else 2)
    total = sum(block.shape[2] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        l, d, r = block.shape
        parts = []
        for width in (before, total - before - r):
            parts.append(xp.zeros_like(block[:, :, :1]))
            parts[-1] = xp.broadcast_to(parts[-1], (l, d, width))
        rows.append(xp.concat([parts[0], block, parts[1]], axis=2))
        before += r
    return xp.concat(rows, axis=0)


@checked
def subtract(a: Chain, b: Chain) -> Chain:
    """Return a - b exactly; see `add`.

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(4, bond_dim=2, seed=0)
    >>> distance(psi, subtract(psi, scale(psi, 0.5))) - 0.5 < 1e-12
    True
    """
    return add(a, scale(b, -1.0))


@checked
def hadamard(a: Chain, b: Chain) -> Chain:
    """Return the elementwise product: (a . b)(x) = a(x) b(x). Bonds multiply; nothing is cut.

    Cost O(L site bond^4). Raises as `add` does.

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(4, bond_dim=2, seed=0)
    >>> hadamard(psi, psi).bond_dims
    (4, 4, 4)
    """
    _same((a, b))
    one, two = chain_of(a), chain_of(b)
    flat = promote(*one.arrays, *two.arrays)
    xp = namespace(*flat)
    arrays = []
    for x, y in zip(flat[: len(one)], flat[len(one) :], strict=True):
        (l, d, r), (m, _, s) = x.shape, y.shape
        product = x[:, None, :, :, None] * y[None, :, :, None, :]
        arrays.append(xp.reshape(product, (l * m, d, r * s)))
    log_scale = one.log_scale + two.log_scale
    return like_chain(MPS(tuple(arrays), one.sites, log_scale=log_scale), a)


@checked
def distance(a: Chain, b: Chain) -> float:
    """Return the 2-norm of a - b (of operators: the Frobenius norm), to rounding of |a| + |b|.

    Computed from the difference itself, not from overlaps, so distances far below sqrt(eps) |a|
    come out right. Raises `ScaleError` beyond a float. Cost O(L site (sum of bonds)^3).

    >>> from tnkit.mps.create import random_mps
    >>> psi = random_mps(4, bond_dim=2, seed=0)
    >>> 0.9999e-9 < distance(psi, scale(psi, 1 + 1e-9)) < 1.0001e-9
    True
    """
    log = log_norm(canonicalize(chain_of(subtract(a, b)), 0))
    if log > math.log(np.finfo(np.float64).max):
        raise ScaleError(f"the distance is exp({log:.6g}), beyond a float; scale both first")
    return math.exp(log)
