"""The matrix product state as a value: arrays in a line, their gauge, and a scale."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tnkit.arrays import Array, as_array, namespace
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError, SizeError

__all__ = ["MPS", "Gauge", "site_names"]


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is known about the orthonormality of the arrays of a chain.

    left: the first `left` arrays are left-orthonormal, sum_s A_s^H A_s = 1.
    right: the last `right` arrays are right-orthonormal, sum_s A_s A_s^H = 1.
    """

    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MPS:
    """A matrix product state with open boundaries; a frozen value.

    psi(s_0, ..., s_{L-1}) = exp(log_scale) A_0[s_0] A_1[s_1] ... A_{L-1}[s_{L-1}].

    arrays: tuple of (left, site, right) arrays of one library and dtype; the outer bonds are 1.
    sites: one name a site. gauge: which arrays are known to be orthonormal. log_scale: natural
    logarithm of a positive factor, 0.0 unless the state would leave the range of floats.

    Build one with `MPS.from_arrays`, which checks everything. The gauge is part of the value and
    reading never moves it; `tnkit.canonicalize` returns a new state.

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> bell
    MPS(2 sites, site_dim 2, bond_dim 2, float64, no gauge)
    >>> bell.bond_dims
    (2,)
    """

    arrays: tuple[Array, ...]
    sites: tuple[str, ...]
    gauge: Gauge = Gauge()
    log_scale: float = 0.0

    @staticmethod
    def from_arrays(arrays: Iterable[Any], *, sites: Sequence[str] | None = None) -> MPS:
        """Return the state with these (left, site, right) arrays.

        The arrays must be of one library, device and floating dtype, with matching bonds and
        outer bonds of size 1. sites: names, "s0", "s1", ... by default. Raises `SizeError`,
        `ArgumentTypeError`, `IndexNameError`, naming the sites at fault. Arrays are not copied.
        """
        checked = tuple(as_array(array) for array in arrays)
        if not checked:
            raise ArgumentError("an MPS needs at least one site, got no arrays")
        names = site_names(len(checked)) if sites is None else tuple(sites)
        _check_names(names, len(checked))
        xp = namespace(*checked)
        for k, array in enumerate(checked):
            if len(array.shape) != 3:
                raise SizeError(
                    f"site {k}: expected an array (left, site, right), got shape "
                    f"{tuple(array.shape)}"
                )
            if 0 in tuple(array.shape):
                raise SizeError(f"site {k}: shape {tuple(array.shape)} has a dimension of size 0")
            if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
                raise ArgumentTypeError(
                    f"site {k}: expected a real or complex floating dtype, got {array.dtype}"
                )
            if array.dtype != checked[0].dtype:
                raise ArgumentTypeError(
                    f"site {k} has dtype {array.dtype} and site 0 has {checked[0].dtype}; "
                    "convert them to one dtype first"
                )
        for k, (a, b) in enumerate(itertools.pairwise(checked)):
            if a.shape[2] != b.shape[0]:
                raise SizeError(
                    f"bond {k}: site {k} has right size {a.shape[2]}, "
                    f"site {k + 1} has left size {b.shape[0]}"
                )
        if checked[0].shape[0] != 1 or checked[-1].shape[2] != 1:
            raise SizeError(
                f"open boundaries need outer bonds of size 1, got {checked[0].shape[0]} and "
                f"{checked[-1].shape[2]}; a ring is a TensorNetwork"
            )
        return MPS(checked, names)

    @property
    def site_dims(self) -> tuple[int, ...]:
        """Number of values each site takes."""
        return tuple(int(array.shape[1]) for array in self.arrays)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Sizes of the L - 1 inner bonds; bond k joins sites k and k + 1."""
        return tuple(int(array.shape[2]) for array in self.arrays[:-1])

    @property
    def dtype(self) -> Any:
        """Dtype of the arrays."""
        return self.arrays[0].dtype

    @property
    def centre(self) -> int | None:
        """The orthogonality centre: every other array is known to be orthonormal. Else None."""
        if self.gauge.left + self.gauge.right < len(self.arrays) - 1:
            return None
        return min(self.gauge.left, len(self.arrays) - 1)

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.arrays)

    def __iter__(self) -> Iterator[Array]:
        """Iterate over the arrays."""
        return iter(self.arrays)

    def __repr__(self) -> str:
        """Describe the state in one line."""
        dims = sorted(set(self.site_dims))
        site = f"{dims[0]}" if len(dims) == 1 else f"{dims[0]} to {dims[-1]}"
        gauge = "no gauge" if self.centre is None else f"centre {self.centre}"
        scale = f", log_scale {self.log_scale:.6g}" if self.log_scale else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"MPS({len(self)} sites, site_dim {site}, "
            f"bond_dim {max(self.bond_dims, default=1)}, {dtype}, {gauge}{scale})"
        )


def site_names(sites: int | Sequence[str]) -> tuple[str, ...]:
    """Return site names: those given, or "s0", "s1", ... for a number of sites."""
    if isinstance(sites, int):
        if sites < 1:
            raise ArgumentError(f"a chain needs at least one site, got {sites}")
        return tuple(f"s{k}" for k in range(sites))
    names = tuple(sites)
    _check_names(names, len(names))
    return names


def _check_names(names: tuple[str, ...], count: int) -> None:
    if len(names) != count:
        raise SizeError(f"{count} arrays but {len(names)} site names")
    if not names:
        raise ArgumentError("a chain needs at least one site, got none")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ArgumentTypeError(f"site names must be strings, got {wrong[0]!r}")
    if len(set(names)) != len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise IndexNameError(f"site names repeat: {', '.join(repeated)}")
