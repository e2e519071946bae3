"""Networks from quimb and to quimb."""

from __future__ import annotations

import math
from typing import Any

from tnkit.arrays import as_array
from tnkit.errors import ArgumentTypeError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["from_quimb", "to_quimb"]


def from_quimb(network: Any) -> TensorNetwork:
    """Return a quimb TensorNetwork or Tensor as a `TensorNetwork`; arrays are shared, not copied.

    Indices keep their names, tensors their tags and their order; the output is quimb's outer
    indices, in its order. An exponent that quimb keeps beside the tensors becomes a tensor of its
    own, a scalar tagged "exponent" (`contract_scaled` takes values of any size). Structure that
    quimb's classes know (MatrixProductState, PEPS, ...) stays in the tags only. quimb itself is
    not needed here. Raises `ArgumentTypeError` for anything else.
    """
    tensors = getattr(network, "tensors", None)
    if tensors is None and hasattr(network, "inds") and hasattr(network, "data"):
        tensors = (network,)
    whole = hasattr(network, "outer_inds") or hasattr(network, "inds")
    if (
        tensors is None
        or not whole
        or not all(hasattr(t, "inds") and hasattr(t, "tags") for t in tensors)
    ):
        raise ArgumentTypeError(f"expected a quimb TensorNetwork, got a {type(network).__name__}")
    found = [
        Tensor(as_array(t.data), [str(name) for name in t.inds], [str(tag) for tag in t.tags])
        for t in tensors
    ]
    exponent = float(getattr(network, "exponent", 0.0))
    outer = network.outer_inds() if hasattr(network, "outer_inds") else network.inds
    if exponent:
        # parts, since 10^exponent itself may leave the range of floats
        parts = math.ceil(abs(exponent) / 200)
        found += [Tensor(10.0 ** (exponent / parts), [], ["exponent"])] * parts
    return TensorNetwork(found, [str(name) for name in outer])


def to_quimb(network: TensorNetwork) -> Any:
    """Return the network as a `quimb.tensor.TensorNetwork`; arrays are shared, not copied.

    Names and tags stay. quimb takes an index that occurs once as open and one that occurs more
    often as summed: where the output of the network is another, contract with
    ``output_inds=network.output``. Raises ImportError where quimb is not installed,
    `ArgumentTypeError` for what is no network.
    """
    if not isinstance(network, TensorNetwork):
        raise ArgumentTypeError(f"expected a TensorNetwork, got a {type(network).__name__}")
    import quimb.tensor as quimb

    # a repeated index is a diagonal, which quimb's tensors do not have
    plain = [t.diagonal() if len(set(t.names)) < t.ndim else t for t in network.tensors]
    return quimb.TensorNetwork(
        [quimb.Tensor(t.array, inds=t.names, tags=sorted(t.tags)) for t in plain]
    )
