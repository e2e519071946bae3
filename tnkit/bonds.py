"""One bond of a network: contract it, split a tensor to make one, gauge it, compress it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tnkit.checking import checked
from tnkit.contraction import contract
from tnkit.errors import ArgumentError
from tnkit.network import TensorNetwork
from tnkit.splitting import Absorb, split
from tnkit.tensor import Tensor
from tnkit.truncation import EXACT, Truncation

__all__ = ["BondChange", "compress_bond", "contract_bond", "gauge_bond", "split_tensor"]


@dataclass(frozen=True, slots=True, eq=False)
class BondChange:
    """A network with one bond changed, and the weight that went missing at it (relative)."""

    network: TensorNetwork
    discarded_weight: float


@checked
def contract_bond(network: TensorNetwork, name: str) -> TensorNetwork:
    """Return the network with all tensors an index is on contracted into one.

    It takes the place of the first of them and all their tags; further indices that only they
    share are summed with it. The value does not change. Raises `IndexNameError`.
    """
    positions = network.tensors_with(name)
    part, _ = network.partition(positions)
    tags = sorted({tag for at in positions for tag in network.tensors[at].tags})
    merged = contract(part).with_tags(*tags)
    kept = [
        merged if at == positions[0] else tensor
        for at, tensor in enumerate(network.tensors)
        if at == positions[0] or at not in positions
    ]
    return TensorNetwork(kept, network.output)


@checked
def split_tensor(
    network: TensorNetwork,
    position: int,
    left_names: Iterable[str],
    method: str = "svd",
    truncation: Truncation = EXACT,
    absorb: Absorb | None = None,
    bond: str | None = None,
) -> BondChange:
    """Return the network with one tensor split in two, as `split` does; the right part follows it.

    The new bond gets a name no other index has. The weight is relative to that tensor.
    """
    tensor = _at(network, position)
    if bond is None:
        number = 0
        while (bond := f"bond_{number}") in network.sizes:
            number += 1
    elif bond in network.sizes:
        raise ArgumentError(f"bond {bond!r} is an index of the network already; choose another")
    found = split(tensor, left_names, method, truncation, absorb, bond)
    at = position % len(network)
    tensors = [*network.tensors[:at], found.left, found.right, *network.tensors[at + 1 :]]
    return BondChange(TensorNetwork(tensors, network.output), found.discarded_weight)


@checked
def gauge_bond(
    network: TensorNetwork, name: str, *, isometry: Literal["first", "second"] = "first"
) -> TensorNetwork:
    """Return the network with one tensor at a bond made an isometry, the rest moved to the other.

    name: a bond of two tensors; isometry: which of them, in the order of the network. The bond is
    as large as its rank allows. The value does not change.
    """
    one, two = _ends(network, name)
    if not isinstance(isometry, str) or isometry not in ("first", "second"):
        raise ArgumentError(f"isometry must be 'first' or 'second', got {isometry!r}")
    if isometry == "second":
        one, two = two, one
    tensor, other = network.tensors[one], network.tensors[two]
    found = split(tensor, [n for n in tensor.names if n != name], "qr")
    left = found.left.rename({found.bond: name})
    return network.replace({one: left, two: _absorb(other, found.right, name, found.bond)})


@checked
def compress_bond(network: TensorNetwork, name: str, truncation: Truncation = EXACT) -> BondChange:
    """Return the network with one bond truncated, best for the two tensors at it.

    Each tensor is reduced to its triangular factor first, so the cost is cubic in the bond only.
    discarded_weight is relative to the product of the two tensors; for the network as a whole it is
    the error where the rest is an isometry (see `gauge_bond`), and no bound otherwise.
    """
    one, two = _ends(network, name)
    left = _triangle(network.tensors[one], name)
    right = _triangle(network.tensors[two], name)
    middle = left[1].rename({name: "*"}) @ right[1].rename({name: "*", "bond": "bond'"})
    found = split(middle, ["bond"], truncation=truncation, absorb="both", bond=name)
    first = (left[0] @ found.left).transpose(*network.tensors[one].names)
    second = (right[0].rename({"bond": "bond'"}) @ found.right).transpose(
        *network.tensors[two].names
    )
    changed = {
        one: first.with_tags(*network.tensors[one].tags),
        two: second.with_tags(*network.tensors[two].tags),
    }
    return BondChange(network.replace(changed), found.discarded_weight)


def _triangle(tensor: Tensor, name: str) -> tuple[Tensor, Tensor]:
    found = split(tensor, [n for n in tensor.names if n != name], "qr", bond=None)
    return found.left.rename({found.bond: "bond"}), found.right.rename({found.bond: "bond"})


def _absorb(other: Tensor, factor: Tensor, name: str, bond: str) -> Tensor:
    product = other @ factor.rename({bond: "*"})
    return product.rename({"*": name}).transpose(*other.names).with_tags(*other.tags)


def _at(network: TensorNetwork, position: int) -> Tensor:
    if not -len(network) <= position < len(network):
        raise ArgumentError(f"no tensor {position}; the network has {len(network)}")
    return network.tensors[position]


def _ends(network: TensorNetwork, name: str) -> tuple[int, int]:
    ends = network.tensors_with(name)
    if len(ends) != 2 or name in network.output:
        kind = "kept" if name in network.output else f"on {len(ends)} tensors"
        raise ArgumentError(f"index {name!r} is {kind}; a bond joins two tensors and is summed")
    one, two = (network.tensors[at] for at in ends)
    if len(set(one.names)) < len(one.names) or len(set(two.names)) < len(two.names):
        raise ArgumentError(f"a tensor at bond {name!r} repeats an index; take diagonal() first")
    return ends[0], ends[1]
