"""What a truncation of a whole chain reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from tnkit.mps.operator import MPO
from tnkit.mps.state import MPS

__all__ = ["Compressed"]

Chain = TypeVar("Chain", MPS, MPO)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Compressed(Generic[Chain]):
    """A chain with smaller bonds and what that cost; every method of the menu reports the same.

    state: the result, an MPS or MPO. discarded_weights: one a bond, relative to the squared norm
    present when that bond was cut. error_bound: bound on the 2-norm (Frobenius) distance between
    the exact and the returned chain; inf where it leaves the float range. fidelity: the true
    |<exact|returned>|^2 over both squared norms, None unless it was asked for. method: how.
    """

    state: Chain
    discarded_weights: tuple[float, ...]
    error_bound: float
    fidelity: float | None = None
    method: str = "svd"
