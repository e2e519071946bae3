"""Forms with the Schmidt values in the open: Vidal's at every bond, and mixed at one bond."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnkit.arrays import Array, adjoint, namespace, rescale, reshape
from tnkit.checking import checked
from tnkit.errors import ArgumentError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import EXACT, Truncation

__all__ = ["BondForm", "Vidal", "bond_form", "from_vidal", "to_vidal"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Vidal:
    """Gamma_0 lambda_0 Gamma_1 lambda_1 ... Gamma_{L-1}, times exp(log_norm).

    gammas: (left, site, right) arrays; lambdas: the normalised Schmidt values of each bond,
    descending, none at rounding level. lambda_{k-1} Gamma_k is left-orthonormal, Gamma_k lambda_k
    right-orthonormal. sites: names. log_norm: natural logarithm of the 2-norm.
    """

    gammas: tuple[Array, ...]
    lambdas: tuple[Array, ...]
    sites: tuple[str, ...]
    log_norm: float = 0.0

    def __repr__(self) -> str:
        """Describe the form in one line."""
        bond = max((len(values) for values in self.lambdas), default=1)
        return f"Vidal({len(self.gammas)} sites, bond_dim {bond}, log_norm {self.log_norm:.6g})"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class BondForm:
    """A state opened at one bond: left arrays, values, right arrays, times exp(log_scale).

    left: left-orthonormal arrays of sites 0 to bond; right: right-orthonormal ones of the rest;
    values: singular values between them, descending.
    """

    left: tuple[Array, ...]
    values: Array
    right: tuple[Array, ...]
    sites: tuple[str, ...]
    log_scale: float = 0.0


@checked
def bond_form(psi: MPS, bond: int) -> BondForm:
    """Return the mixed canonical form at a bond; values at rounding level are dropped.

    Raises `ArgumentError` for a bond outside the chain. Cost: one SVD beside the centre.

    >>> from tnkit.mps.create import ghz_mps
    >>> bond_form(ghz_mps(4), 1).values.shape
    (2,)
    """
    if not 0 <= bond < len(psi) - 1:
        raise ArgumentError(f"bond {bond!r} is outside the chain's bonds 0 to {len(psi) - 2}")
    psi = canonicalize(psi, bond)
    l, d, r = psi.arrays[bond].shape
    split = split_matrix(reshape(psi.arrays[bond], (l * d, r)), EXACT, absorb="none")
    first = psi.arrays[bond + 1]
    row = reshape(split.right @ reshape(first, (r, -1)), (-1, *first.shape[1:]))
    left = (*psi.arrays[:bond], reshape(split.left, (l, d, -1)))
    return BondForm(left, split.values, (row, *psi.arrays[bond + 2 :]), psi.sites, psi.log_scale)


@checked
def to_vidal(psi: MPS, truncation: Truncation = EXACT) -> Vidal:
    """Return Vidal's form of a state.

    No Schmidt value is ever divided by but the larger one beside an element, so small ones do not
    spoil it. truncation: which values are kept at each bond; the default drops rounding noise.
    Raises `ArgumentError` for the zero state. Cost O(L site bond^3).
    Source: Vidal, Phys. Rev. Lett. 91, 147902 (2003).

    >>> from tnkit.mps.create import ghz_mps
    >>> [values.round(4).tolist() for values in to_vidal(ghz_mps(3)).lambdas]
    [[0.7071, 0.7071], [0.7071, 0.7071]]
    """
    psi = canonicalize(psi, -1)
    xp = namespace(psi.arrays[0])
    centre, log = rescale(psi.arrays[-1], 1.0)
    size = float(xp.linalg.vector_norm(reshape(centre, (-1,))))
    if size == 0.0:
        raise ArgumentError("the zero state has no Vidal form")
    centre = centre / size
    log_norm = psi.log_scale + log + math.log(size)
    length = len(psi)
    rights: list[Array] = [None] * length
    lambdas: list[Array] = [None] * (length - 1)
    turns: list[Array] = [None] * (length - 1)  # from the left basis at hand to Schmidt's
    for k in range(length - 1, 0, -1):
        l, d, r = centre.shape
        split = split_matrix(reshape(centre, (l, d * r)), truncation, absorb="none")
        rights[k] = reshape(split.right, (-1, d, r))
        total = float(xp.linalg.vector_norm(split.values))
        log_norm += math.log(total)
        values: Array = split.values
        lambdas[k - 1], turns[k - 1] = values / total, split.left
        before = psi.arrays[k - 1]
        p, e, m = before.shape
        weighted = split.left * xp.astype(lambdas[k - 1], split.left.dtype)[None, :]
        centre = reshape(reshape(before, (p * e, m)) @ weighted, (p, e, -1))
    rights[0] = centre  # left of site 0 there is one value, 1
    gammas = []
    for k in range(length):
        if k == length - 1:  # right of the last site there is one value, 1
            gammas.append(rights[k])
            continue
        array = psi.arrays[k]
        p, e, m = array.shape
        left = reshape(reshape(array, (p * e, m)) @ turns[k], (p, e, -1))
        if k > 0:
            q = left.shape[2]
            left = reshape(adjoint(turns[k - 1]) @ reshape(left, (p, e * q)), (-1, e, q))
        gammas.append(_gamma(left, rights[k], lambdas[k - 1] if k else None, lambdas[k]))
    return Vidal(tuple(gammas), tuple(lambdas), psi.sites, log_norm)


def _gamma(left: Array, right: Array, before: Array | None, after: Array) -> Array:
    """Return Gamma from lambda Gamma or from Gamma lambda, dividing by the larger lambda."""
    xp = namespace(left)
    dtype = left.dtype
    a = xp.ones_like(after[:1]) if before is None else before
    by_left = left / xp.astype(a, dtype)[:, None, None]
    by_right = right / xp.astype(after, dtype)[None, None, :]
    choose = xp.broadcast_to((a[:, None] >= after[None, :])[:, None, :], tuple(left.shape))
    return xp.where(choose, by_left, by_right)


@checked
def from_vidal(form: Vidal, centre: int = 0) -> MPS:
    """Return the state of a Vidal form, canonical with its centre at site `centre`.

    Only products, no factorisation. Cost O(L site bond^2).

    >>> from tnkit.mps.create import ghz_mps
    >>> from_vidal(to_vidal(ghz_mps(3)), 1).centre
    1
    """
    length = len(form.gammas)
    if not -length <= centre < length:
        raise ArgumentError(f"centre {centre} is outside the chain's sites 0 to {length - 1}")
    centre %= length
    xp = namespace(form.gammas[0])
    arrays = []
    for k, gamma in enumerate(form.gammas):
        array = gamma
        if k > 0 and k <= centre:
            array = xp.astype(form.lambdas[k - 1], gamma.dtype)[:, None, None] * array
        if k < length - 1 and k >= centre:
            array = array * xp.astype(form.lambdas[k], gamma.dtype)[None, None, :]
        arrays.append(array)
    log_scale = form.log_norm
    if abs(log_scale) < 60.0:
        arrays[centre] = arrays[centre] * math.exp(log_scale)
        log_scale = 0.0
    return MPS(tuple(arrays), form.sites, Gauge(centre, length - 1 - centre), log_scale)
