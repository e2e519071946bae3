"""The matrix product state as a value: arrays in a line, their gauge, and a scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tnkit.arrays import Array, astype, convert, dtype_name, library, reshape
from tnkit.checking import checked
from tnkit.mps.sites import bond_names, check_chain, find_site, site_names, spread
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor
from tnkit.verbs import with_verbs

__all__ = ["MPS", "Gauge", "site_names"]


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is known about the orthonormality of the arrays of a chain.

    left: the first `left` arrays are left-orthonormal, sum_s A_s^H A_s = 1.
    right: the last `right` arrays are right-orthonormal, sum_s A_s A_s^H = 1.
    """

    left: int = 0
    right: int = 0

    @checked
    def touching(self, site: int, length: int) -> Gauge:
        """Return what is still known once the array of `site` in a chain of `length` changes."""
        return Gauge(min(self.left, site), min(self.right, length - 1 - site))


@with_verbs
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MPS:
    """A matrix product state with open boundaries; a frozen value.

    psi(s_0, ..., s_{L-1}) = exp(log_scale) A_0[s_0] A_1[s_1] ... A_{L-1}[s_{L-1}].

    arrays: tuple of (left, site, right) arrays of one library and dtype; the outer bonds are 1.
    sites: one name a site. gauge: which arrays are known to be orthonormal. log_scale: natural
    logarithm of a positive factor, 0.0 unless the state would leave the range of floats.

    Build one with `MPS.from_arrays`, which checks everything. The gauge is part of the value and
    reading never moves it; `tnkit.canonicalize` returns a new state.

    Verbs, functions that take one first as in ``tnkit.norm(psi)``: add, apply_local, bond_form,
    canonicalize, compress, condition, conj, correlation_length, distance, entanglement_spectra,
    entropies, entropy, expectation, fidelity, fit, hadamard, inner, insert_site, join,
    local_expectations, log_inner, log_norm, log_probability, marginal_probabilities, measure,
    mps_to_tenpy, mutual_information, norm, normalize, open_zipper, orthonormality_errors,
    permute_sites, project, reduced_density_matrix, remove_site, reverse, sample, scale,
    schmidt_values, site_probabilities, split_chain, subtract, swap_sites, to_dense, to_list,
    to_vidal, two_point, variance, verify.

    >>> import numpy as np
    >>> bell = MPS.from_arrays([np.eye(2)[None], np.eye(2)[:, :, None]])
    >>> bell
    MPS(2 sites, site_dim 2, bond_dim 2, float64, no gauge)
    >>> bell.bond_dims
    (2,)
    >>> bell[1]
    Tensor(bond0: 2, s1: 2; float64, numpy, tags=['s1'])
    """

    arrays: tuple[Array, ...]
    sites: tuple[str, ...]
    gauge: Gauge = Gauge()
    log_scale: float = 0.0

    @staticmethod
    @checked
    def from_arrays(arrays: Iterable[Any], *, sites: Sequence[str] | None = None) -> MPS:
        """Return the state with these (left, site, right) arrays.

        The arrays must be of one library, device and floating dtype, with matching bonds and
        outer bonds of size 1. sites: names, "s0", "s1", ... by default. Raises `SizeError`,
        `ArgumentTypeError`, `IndexNameError`, naming the sites at fault. Arrays are not copied.
        """
        return MPS(*check_chain(arrays, sites, "left, site, right", "MPS"))

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

    def __getitem__(self, site: int | str) -> Tensor:
        """Return the tensor of one site, by position or name, without the factor exp(log_scale).

        Its indices are the bonds, named "bond0", "bond1", ... and the site's own name. Outer bonds
        are left out; its tag is the site's name. Raises `ArgumentError` or `IndexNameError` for a
        site that is not there.
        """
        at = find_site(self.sites, site)
        bonds = bond_names(self.sites)
        names = (*bonds[max(at - 1, 0) : at], self.sites[at], *bonds[at : at + 1])
        array = self.arrays[at]
        shape = tuple(array.shape)[at == 0 : 3 - (at == len(self) - 1)]
        return Tensor(reshape(array, shape), names, [self.sites[at]])

    def network(self) -> TensorNetwork:
        """Return the state as a network: one tensor a site, open indices named as the sites.

        The factor exp(log_scale) is spread evenly over the tensors; `ScaleError` where a tensor
        cannot hold its share.

        >>> import numpy as np
        >>> MPS.from_arrays([np.ones((1, 2, 3)), np.ones((3, 2, 1))]).network()
        TensorNetwork(2 tensors, 1 bond; output s0: 2, s1: 2; float64, numpy, 96 bytes)
        """
        tensors = [self[k] for k in range(len(self))]
        if self.log_scale:
            tensors = spread(tensors, self.log_scale)
        return TensorNetwork(tensors, self.sites)

    @checked
    def astype(self, dtype: Any) -> MPS:
        """Return the state in another floating dtype; the gauge is given up when precision grows.

        dtype: a name such as "complex64", or a dtype of the library. Raises `ArgumentTypeError`
        where an imaginary part would be lost.
        """
        arrays = tuple(astype(array, dtype) for array in self.arrays)
        if arrays[0].dtype == self.dtype:
            return self
        widened = dtype_name(self.dtype) in ("float32", "complex64") and dtype_name(
            arrays[0].dtype
        ) in ("float64", "complex128")
        return MPS(arrays, self.sites, Gauge() if widened else self.gauge, self.log_scale)

    @checked
    def convert(self, target: str, *, device: Any = None) -> MPS:
        """Return the state with arrays of "numpy", "torch", "cupy" or "jax", on `device`."""
        arrays = tuple(convert(array, target, device=device) for array in self.arrays)
        return MPS(arrays, self.sites, self.gauge, self.log_scale)

    @property
    def library(self) -> str:
        """The library of the arrays: "numpy", "torch", "cupy", "jax", ..."""
        return library(self.arrays[0])

    @checked
    def same_structure(self, other: MPS) -> bool:
        """Say whether sites, shapes, dtype and gauge agree; the numbers may differ."""
        return (
            self.sites == other.sites
            and self.gauge == other.gauge
            and all(
                tuple(a.shape) == tuple(b.shape)
                for a, b in zip(self.arrays, other.arrays, strict=True)
            )
            and dtype_name(self.dtype) == dtype_name(other.dtype)
        )

    def __repr__(self) -> str:
        """Describe the state in one line."""
        dims = sorted(set(self.site_dims))
        site = f"{dims[0]}" if len(dims) == 1 else f"{dims[0]} to {dims[-1]}"
        gauge = "no gauge" if self.centre is None else f"centre {self.centre}"
        scale = f", log_scale {self.log_scale:.6g}" if self.log_scale else ""
        return (
            f"MPS({len(self)} sites, site_dim {site}, "
            f"bond_dim {max(self.bond_dims, default=1)}, {dtype_name(self.dtype)}, {gauge}{scale})"
        )
