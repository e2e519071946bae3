"""The matrix product operator as a value: arrays in a line with an upper and a lower index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tnkit.arrays import Array, astype, convert, dtype_name, library, reshape
from tnkit.checking import checked
from tnkit.index import fresh_name
from tnkit.mps.sites import bond_names, check_chain, find_site, spread
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor
from tnkit.verbs import with_verbs

__all__ = ["MPO"]


@with_verbs
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MPO:
    """A matrix product operator with open boundaries; a frozen value.

    <x|O|y> = exp(log_scale) W_0[x_0, y_0] W_1[x_1, y_1] ... W_{L-1}[x_{L-1}, y_{L-1}].

    arrays: tuple of (left, out, in, right) arrays of one library and dtype; the outer bonds are 1.
    out is the row index (of the bra, of the result), in the column index (of the ket). sites: one
    name a site, as in the states it acts on. log_scale: natural logarithm of a positive factor.

    Build one with `MPO.from_arrays`, which checks everything.

    Verbs, functions that take one first as in ``tnkit.apply(mpo, psi)``: add, adjoint_mpo, apply,
    compress, conj, distance, dmrg, hadamard, join, mpo_to_tenpy, multiply, reverse, scale,
    subtract, to_dense, to_list, trace.

    >>> import numpy as np
    >>> z = np.diag([1.0, -1.0])[None, :, :, None]
    >>> MPO.from_arrays([z, z])  # Z Z
    MPO(2 sites, site_dim 2, bond_dim 1, float64)
    """

    arrays: tuple[Array, ...]
    sites: tuple[str, ...]
    log_scale: float = 0.0

    @staticmethod
    @checked
    def from_arrays(arrays: Iterable[Any], *, sites: Sequence[str] | None = None) -> MPO:
        """Return the operator with these (left, out, in, right) arrays.

        The arrays must be of one library, device and floating dtype, with matching bonds and
        outer bonds of size 1. sites: names, "s0", "s1", ... by default. Raises `SizeError`,
        `ArgumentTypeError`, `IndexNameError`, naming the sites at fault. Arrays are not copied.
        """
        return MPO(*check_chain(arrays, sites, "left, out, in, right", "MPO"))

    @property
    def out_dims(self) -> tuple[int, ...]:
        """Number of values of the row index of each site."""
        return tuple(int(array.shape[1]) for array in self.arrays)

    @property
    def in_dims(self) -> tuple[int, ...]:
        """Number of values of the column index of each site."""
        return tuple(int(array.shape[2]) for array in self.arrays)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Sizes of the L - 1 inner bonds; bond k joins sites k and k + 1."""
        return tuple(int(array.shape[3]) for array in self.arrays[:-1])

    @property
    def dtype(self) -> Any:
        """Dtype of the arrays."""
        return self.arrays[0].dtype

    @property
    def library(self) -> str:
        """The library of the arrays: "numpy", "torch", "cupy", "jax", ..."""
        return library(self.arrays[0])

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.arrays)

    def __iter__(self) -> Iterator[Array]:
        """Iterate over the arrays."""
        return iter(self.arrays)

    def __getitem__(self, site: int | str) -> Tensor:
        """Return the tensor of one site, by position or name, without the factor exp(log_scale).

        Its indices are the bonds "bond0", "bond1", ..., the site's name with "_out", and the
        site's name (the column index, so that it joins a state). Outer bonds are left out.
        """
        at = find_site(self.sites, site)
        bonds, outs = _index_names(self.sites)
        names = (*bonds[max(at - 1, 0) : at], outs[at], self.sites[at], *bonds[at : at + 1])
        array = self.arrays[at]
        shape = tuple(array.shape)[at == 0 : 4 - (at == len(self) - 1)]
        return Tensor(reshape(array, shape), names, [self.sites[at]])

    def network(self) -> TensorNetwork:
        """Return the operator as a network: rows "s0_out", ..., then columns "s0", ... open.

        The factor exp(log_scale) is spread evenly over the tensors; `ScaleError` where a tensor
        cannot hold its share.

        >>> import numpy as np
        >>> MPO.from_arrays([np.ones((1, 2, 2, 3)), np.ones((3, 2, 2, 1))]).network().output
        ('s0_out', 's1_out', 's0', 's1')
        """
        tensors = [self[k] for k in range(len(self))]
        if self.log_scale:
            tensors = spread(tensors, self.log_scale)
        return TensorNetwork(tensors, (*_index_names(self.sites)[1], *self.sites))

    @checked
    def astype(self, dtype: Any) -> MPO:
        """Return the operator in another floating dtype; see `MPS.astype`."""
        arrays = tuple(astype(array, dtype) for array in self.arrays)
        return MPO(arrays, self.sites, self.log_scale)

    @checked
    def convert(self, target: str, *, device: Any = None) -> MPO:
        """Return the operator with arrays of "numpy", "torch", "cupy" or "jax", on `device`."""
        arrays = tuple(convert(array, target, device=device) for array in self.arrays)
        return MPO(arrays, self.sites, self.log_scale)

    @checked
    def same_structure(self, other: MPO) -> bool:
        """Say whether sites, shapes and dtype agree; the numbers may differ."""
        return (
            self.sites == other.sites
            and all(
                tuple(a.shape) == tuple(b.shape)
                for a, b in zip(self.arrays, other.arrays, strict=True)
            )
            and dtype_name(self.dtype) == dtype_name(other.dtype)
        )

    def __repr__(self) -> str:
        """Describe the operator in one line."""
        dims = sorted({*self.out_dims, *self.in_dims})
        site = f"{dims[0]}" if len(dims) == 1 else f"{dims[0]} to {dims[-1]}"
        scale = f", log_scale {self.log_scale:.6g}" if self.log_scale else ""
        return (
            f"MPO({len(self)} sites, site_dim {site}, "
            f"bond_dim {max(self.bond_dims, default=1)}, {dtype_name(self.dtype)}{scale})"
        )


def _index_names(sites: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the bonds and of the row indices, clear of the site names."""
    taken = set(sites)
    outs = tuple(fresh_name(f"{site}_out", taken) for site in sites)
    return bond_names((*sites, *outs))[: len(sites) - 1], outs
