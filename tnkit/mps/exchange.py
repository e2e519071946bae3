"""States and operators from other libraries and to them: plain lists of arrays, TeNPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tnkit.arrays import Array, as_array, movers, to_numpy
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, ScaleError, SizeError
from tnkit.mps.operator import MPO
from tnkit.mps.state import MPS
from tnkit.mps.vidal import to_vidal

__all__ = [
    "mpo_from_list",
    "mpo_from_tenpy",
    "mpo_to_tenpy",
    "mps_from_list",
    "mps_from_tenpy",
    "mps_to_tenpy",
    "to_list",
]


@checked
def mps_from_list(
    arrays: Sequence[Any], axes: str = "lsr", *, sites: Sequence[str] | None = None
) -> MPS:
    """Return the state whose arrays have their axes in another order.

    axes: the letters l (left), s (site), r (right) in the order of the arrays' axes. The first
    array may lack its left axis and the last its right one, as in quimb (`psi.arrays`, "lrp" there
    is "lrs" here) and tensorkrowch (`mps.tensors`, "lsr"). Arrays keep library, device and dtype;
    nothing is copied. Raises `ArgumentError` for other letters, `SizeError` for other shapes.

    >>> mps_from_list([np.ones((3, 2)), np.ones((3, 4, 2)), np.ones((4, 2))], "lrs")
    MPS(3 sites, site_dim 2, bond_dim 4, float64, no gauge)
    """
    return MPS.from_arrays(_ordered(arrays, axes, "lsr"), sites=sites)


@checked
def mpo_from_list(
    arrays: Sequence[Any], axes: str = "loir", *, sites: Sequence[str] | None = None
) -> MPO:
    """Return the operator whose arrays have their axes in another order.

    axes: the letters l (left), o (out: row), i (in: column), r (right). As `mps_from_list`; an
    operator of quimb, "lrud" there, is "lroi" here.

    >>> mpo_from_list([np.ones((3, 2, 2)), np.ones((3, 2, 2))], "lroi")
    MPO(2 sites, site_dim 2, bond_dim 3, float64)
    """
    return MPO.from_arrays(_ordered(arrays, axes, "loir"), sites=sites)


def _ordered(arrays: Sequence[Any], axes: str, ours: str) -> list[Array]:
    if not isinstance(axes, str) or sorted(axes) != sorted(ours):
        raise ArgumentError(f"axes must be the letters of {ours!r} in any order, got {axes!r}")
    found = []
    for k, given in enumerate(arrays):
        array = as_array(given)
        letters = axes
        if k == 0 and array.ndim < len(letters):
            letters = letters.replace("l", "")
        if k == len(arrays) - 1 and array.ndim < len(letters):
            letters = letters.replace("r", "")
        if array.ndim != len(letters):
            raise SizeError(
                f"array {k} has shape {tuple(array.shape)}; axes {axes!r} need {len(axes)} "
                "(the first may lack l, the last r)"
            )
        for absent in set(ours) - set(letters):  # at an end
            array = array[None]
            letters = absent + letters
        order = tuple(letters.index(letter) for letter in ours)
        found.append(movers(array).permute(array, order))
    return found


@checked
def to_list(chain: MPS | MPO, axes: str | None = None, *, outer: bool = True) -> list[Array]:
    """Return the arrays of a state or operator with their axes in the order of `axes`.

    axes: letters as in `mps_from_list` and `mpo_from_list`, ours by default. outer: keep the outer
    bonds of size 1; quimb and tensorkrowch expect them left out. The factor exp(log_scale) goes
    into the array at the centre; `ScaleError` where that exceeds a float.

    >>> from tnkit.mps.create import random_mps
    >>> [a.shape for a in to_list(random_mps(3, bond_dim=2, seed=0), "lrs", outer=False)]
    [(2, 2), (2, 2, 2), (2, 2)]
    """
    ours = "lsr" if isinstance(chain, MPS) else "loir"
    axes = ours if axes is None else axes
    if sorted(axes) != sorted(ours):
        raise ArgumentError(f"axes must be the letters of {ours!r} in any order, got {axes!r}")
    found = []
    for k, array in enumerate(absorb_scale(chain)):
        letters = ours
        if not outer and k == 0:
            array, letters = array[0], letters.replace("l", "")
        if not outer and k == len(chain) - 1:
            array, letters = array[..., 0], letters.replace("r", "")
        order = tuple(letters.index(letter) for letter in axes if letter in letters)
        found.append(movers(array).permute(array, order))
    return found


def absorb_scale(chain: MPS | MPO) -> list[Array]:
    """Return the arrays with exp(log_scale) multiplied into the one at the centre."""
    arrays = list(chain.arrays)
    if chain.log_scale:
        at = chain.centre or 0 if isinstance(chain, MPS) else 0
        largest = float(np.abs(to_numpy(arrays[at])).max(initial=0.0)) or 1.0
        limit = float(np.log(np.finfo(to_numpy(arrays[at]).dtype).max))
        if abs(chain.log_scale + math.log(largest)) > limit:
            raise ScaleError(
                f"the factor exp({chain.log_scale:.6g}) does not fit into arrays of {chain.dtype}; "
                "normalise first, or use a format that keeps the logarithm"
            )
        arrays[at] = arrays[at] * math.exp(chain.log_scale)
    return arrays


@checked
def mps_from_tenpy(psi: Any) -> MPS:
    """Return a finite TeNPy MPS as ours; right-canonical arrays, norm included, basis as there.

    Charges are dropped: a site that conserves something has its states in the order of its charges
    (`site.perm` there). Names of sites are ours. Raises `ArgumentTypeError` for other objects and
    infinite or segment states. Needs no import of TeNPy.
    """
    if getattr(psi, "bc", None) != "finite" or not hasattr(psi, "get_B"):
        raise ArgumentTypeError(f"expected a finite TeNPy MPS, got a {type(psi).__name__}")
    arrays = [
        psi.get_B(k, form="Th" if k == 0 else "B")
        .transpose(["vL", *psi._p_label, "vR"])
        .to_ndarray()
        for k in range(psi.L)
    ]
    norm = complex(psi.norm)
    if norm != 1.0:
        arrays[0] = arrays[0] * (norm if norm.imag else norm.real)
    common = np.result_type(*arrays)
    return MPS.from_arrays([array.astype(common, copy=False) for array in arrays])


@checked
def mps_to_tenpy(psi: MPS, sites: Sequence[Any] | None = None) -> Any:
    """Return the state as a TeNPy MPS in canonical form, without conserved charges.

    sites: TeNPy sites without charges, one each; plain ones of the right size by default. The norm
    goes to `norm` there; values at rounding level are dropped at each bond. Raises
    `ArgumentError` for the zero state, `ScaleError` for a norm beyond a float, ImportError where
    TeNPy (1.1 or later) is not installed.
    """
    from tenpy.networks import mps as tenpy

    places = _tenpy_sites(psi.site_dims, sites)
    form = to_vidal(psi.convert("numpy"))
    values = [np.ones(1), *(to_numpy(v) for v in form.lambdas), np.ones(1)]
    rights = [
        np.transpose(to_numpy(gamma) * right, (1, 0, 2))  # p, vL, vR
        for gamma, right in zip(form.gammas, values[1:], strict=True)
    ]
    if abs(form.log_norm) > 700:
        raise ScaleError(f"the norm exp({form.log_norm:.6g}) exceeds a float; normalise first")
    made = tenpy.MPS.from_Bflat(
        places,
        rights,
        SVs=values,
        bc="finite",
        dtype=rights[0].dtype,
        form="B",
        unit_cell_width=len(psi),
    )
    made.norm = math.exp(form.log_norm)
    return made


@checked
def mpo_from_tenpy(mpo: Any) -> MPO:
    """Return a finite TeNPy MPO as ours (p is the row, p* the column); charges are dropped.

    Raises `ArgumentTypeError` for other objects and infinite operators.
    """
    if getattr(mpo, "bc", None) != "finite" or not hasattr(mpo, "get_W"):
        raise ArgumentTypeError(f"expected a finite TeNPy MPO, got a {type(mpo).__name__}")
    arrays = [mpo.get_W(k).transpose(["wL", "p", "p*", "wR"]).to_ndarray() for k in range(mpo.L)]
    if arrays[0].shape[0] > 1:
        arrays[0] = arrays[0][[mpo.get_IdL(0)]]
    if arrays[-1].shape[-1] > 1:
        arrays[-1] = arrays[-1][..., [mpo.get_IdR(mpo.L - 1)]]
    common = np.result_type(*arrays)
    explicit = MPO.from_arrays([array.astype(common, copy=False) for array in arrays])
    if not getattr(mpo, "explicit_plus_hc", False):
        return explicit
    raise ArgumentTypeError("the MPO stands for itself plus its conjugate; build it without that")


@checked
def mpo_to_tenpy(mpo: MPO, sites: Sequence[Any] | None = None) -> Any:
    """Return the operator as a TeNPy MPO without charges; sites as in `mps_to_tenpy`.

    Raises `SizeError` where rows and columns of a site differ, `ScaleError` and ImportError as
    there.
    """
    if mpo.out_dims != mpo.in_dims:
        raise SizeError(f"TeNPy needs square sites; rows {mpo.out_dims}, columns {mpo.in_dims}")
    import tenpy.linalg.np_conserved as npc
    from tenpy.networks import mpo as tenpy

    places = _tenpy_sites(mpo.in_dims, sites)
    arrays = [
        npc.Array.from_ndarray_trivial(np.asarray(w), labels=["wL", "p", "p*", "wR"])
        for w in map(to_numpy, absorb_scale(mpo))
    ]
    length = len(mpo)
    return tenpy.MPO(
        places,
        arrays,
        bc="finite",
        IdL=[0] + [None] * length,
        IdR=[None] * length + [0],
        mps_unit_cell_width=length,
    )


def _tenpy_sites(dims: Sequence[int], sites: Sequence[Any] | None) -> list[Any]:
    from tenpy.linalg.charges import LegCharge
    from tenpy.networks.site import Site

    if sites is None:
        return [Site(LegCharge.from_trivial(d)) for d in dims]
    if not all(isinstance(site, Site) for site in sites):
        raise ArgumentTypeError(f"sites must be sites of TeNPy, got {shown(sites)}")
    if tuple(site.dim for site in sites) != tuple(dims):
        raise SizeError(f"sites have sizes {[s.dim for s in sites]}, the chain {list(dims)}")
    return list(sites)
