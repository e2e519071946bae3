"""What states and operators share: site names, and the checks of arrays in a line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tnkit.arrays import Array, as_array, device, dtype_name, namespace
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError, ScaleError, SizeError
from tnkit.index import check_name, fresh_name
from tnkit.tensor import Tensor

__all__ = [
    "bond_names",
    "check_chain",
    "check_length",
    "check_names",
    "find_site",
    "find_sites",
    "same_chain",
    "short",
    "site_names",
    "spread",
]


_MOST_SITES = 10**7  # the names alone take a gigabyte


def check_length(sites: int) -> None:
    """Raise where no chain has so many sites."""
    if not 1 <= sites <= _MOST_SITES:
        raise ArgumentError(f"a chain has 1 to {_MOST_SITES:,} sites, got {sites}")


def site_names(sites: int | Sequence[str]) -> tuple[str, ...]:
    """Return site names: those given, or "s0", "s1", ... for a number of sites."""
    if isinstance(sites, int | np.integer) and not isinstance(sites, bool):
        check_length(sites)
        return tuple(f"s{k}" for k in range(sites))
    if isinstance(sites, str) or not isinstance(sites, Iterable):
        raise ArgumentTypeError(f"sites must be a number or a list of names, got {sites!r}")
    names = tuple(sites)
    check_names(names, len(names))
    return names


def check_names(names: tuple[str, ...], count: int) -> None:
    """Raise where `names` are not `count` different strings, at least one."""
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
    for name in names:
        check_name(name)


def check_chain(
    arrays: Iterable[Any], sites: Sequence[str] | None, axes: str, what: str
) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    """Return the arrays and names of a chain, or raise, naming the sites at fault.

    axes: how messages call the axes of one array, "left, site, right"; the first joins the last.
    """
    checked = tuple(as_array(array) for array in arrays)
    if not checked:
        raise ArgumentError(f"an {what} needs at least one site, got no arrays")
    names = site_names(len(checked)) if sites is None else tuple(sites)
    check_names(names, len(checked))
    xp = namespace(*checked)
    rank = axes.count(",") + 1
    for k, array in enumerate(checked):
        shape = tuple(array.shape)
        if len(shape) != rank:
            raise SizeError(f"site {k}: expected an array ({axes}), got shape {shape}")
        if 0 in shape:
            raise SizeError(f"site {k}: shape {shape} has a dimension of size 0")
        if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
            raise ArgumentTypeError(
                f"site {k}: expected a real or complex floating dtype, got {array.dtype}"
            )
        if array.dtype != checked[0].dtype:
            raise ArgumentTypeError(
                f"site {k} has dtype {array.dtype} and site 0 has {checked[0].dtype}; "
                "convert them to one dtype first"
            )
        if device(array) != device(checked[0]):
            raise ArgumentTypeError(
                f"site {k} is on {device(array)} and site 0 on {device(checked[0])}; "
                "move them to one device first"
            )
    for k, (a, b) in enumerate(itertools.pairwise(checked)):
        if a.shape[-1] != b.shape[0]:
            raise SizeError(
                f"bond {k}: site {k} has right size {a.shape[-1]}, "
                f"site {k + 1} has left size {b.shape[0]}"
            )
    if checked[0].shape[0] != 1 or checked[-1].shape[-1] != 1:
        raise SizeError(
            f"open boundaries need outer bonds of size 1, got {checked[0].shape[0]} and "
            f"{checked[-1].shape[-1]}; a ring is a TensorNetwork (see tnkit.build.ring)"
        )
    return checked, names


def find_site(names: tuple[str, ...], site: int | str, what: str = "site") -> int:
    """Return the position of a site given by name or position (negative from the end)."""
    if isinstance(site, str):
        if site not in names:
            raise IndexNameError(f"no site {site!r} in this chain; its sites are {short(names)}")
        return names.index(site)
    if isinstance(site, bool) or not isinstance(site, int | np.integer):
        raise ArgumentError(f"{what} must be a whole number or a site name, got {site!r}")
    if not -len(names) <= site < len(names):
        raise ArgumentError(f"{what} {site} is outside the chain's sites 0 to {len(names) - 1}")
    return int(site) % len(names)


def find_sites(names: tuple[str, ...], sites: int | str | Iterable[int | str]) -> tuple[int, ...]:
    """Return the positions of sites given by name or position, each once, in the order given."""
    given = (sites,) if isinstance(sites, int | np.integer | str) else tuple(sites)
    found = tuple(find_site(names, site) for site in given)
    if len(set(found)) != len(found):
        raise IndexNameError(f"a site is given twice: {', '.join(map(str, given))}")
    return found


def bond_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return "bond0", "bond1", ... for the inner bonds, clear of the site names."""
    taken = set(names)
    return tuple(fresh_name(f"bond{k}", taken) for k in range(len(names) - 1))


def same_chain(
    a_sites: tuple[str, ...],
    a_dims: tuple[int, ...],
    b_sites: tuple[str, ...],
    b_dims: tuple[int, ...],
    what: str = "the states",
) -> None:
    """Raise `SizeError`, showing both sides, where sites or site sizes differ."""
    if a_sites != b_sites:
        raise SizeError(f"{what} have different sites: {short(a_sites)} and {short(b_sites)}")
    if a_dims != b_dims:
        k = next(k for k, (p, q) in enumerate(zip(a_dims, b_dims, strict=True)) if p != q)
        raise SizeError(
            f"site {a_sites[k]!r} has size {a_dims[k]} in the first and {b_dims[k]} in the second"
        )


def short(names: tuple[str, ...]) -> str:
    """Return the first few of many names, and how many there are."""
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"({shown}; {len(names)} sites)"


def spread(tensors: list[Tensor], log_scale: float) -> list[Tensor]:
    """Return `tensors` with the factor exp(log_scale) spread evenly over them."""
    share = log_scale / len(tensors)
    limit = 80.0 if dtype_name(tensors[0].dtype) in ("float32", "complex64") else 700.0
    if abs(share) > limit:
        raise ScaleError(
            f"the factor exp({log_scale:.6g}) does not fit into {len(tensors)} tensors; "
            "use log_norm and log_inner on the state itself"
        )
    return [tensor.with_array(tensor.array * math.exp(share)) for tensor in tensors]
