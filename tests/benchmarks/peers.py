"""The same states as values of the peers, where those are installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

__all__ = ["from_peer", "peer", "to_quimb", "to_tenpy"]


def peer(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return __import__(name, fromlist=["_"])
        except ImportError:
            return None


def to_quimb(quimb: Any, arrays: list[np.ndarray]) -> Any:
    """Return a quimb state of (left, site, right) arrays."""
    inner = [np.ascontiguousarray(a.transpose(0, 2, 1)) for a in arrays[1:-1]]
    return quimb.MatrixProductState([arrays[0][0].T, *inner, arrays[-1][..., 0]], shape="lrp")


def to_tenpy(networks: Any, arrays: list[np.ndarray], *, sites: Any = None) -> Any:
    """Return a TeNPy state without conserved numbers; the arrays are taken as right-canonical."""
    if sites is None:
        spins = __import__("tenpy.networks.site", fromlist=["SpinHalfSite"])
        sites = [spins.SpinHalfSite(conserve=None, sort_charge=False)] * len(arrays)
    turned = [a.transpose(1, 0, 2) for a in arrays]
    return networks.MPS.from_Bflat(
        sites,
        turned,
        form="B",
        dtype=arrays[0].dtype,
        permute=False,
        unit_cell_width=len(arrays),
    )


def from_peer(value: Any) -> list[np.ndarray]:
    """Return (left, site, right) arrays of what a contender made."""
    if hasattr(value, "permute_arrays"):  # quimb
        value.permute_arrays("lpr")
        arrays = list(value.arrays)
        return [arrays[0].reshape(1, 2, -1), *arrays[1:-1], arrays[-1].reshape(-1, 2, 1)]
    if hasattr(value, "get_B"):  # TeNPy
        forms = ["Th"] + ["B"] * (value.L - 1)
        tensors = (value.get_B(i, form=form) for i, form in enumerate(forms))
        return [t.transpose(["vL", "p", "vR"]).to_ndarray() for t in tensors]
    if hasattr(value, "arrays"):  # tnkit
        return list(value.arrays)
    return list(value)
