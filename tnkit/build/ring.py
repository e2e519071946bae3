"""Rings: matrix product states with a bond that closes, as networks contracted by plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tnkit.arrays import Array
from tnkit.checking import checked
from tnkit.contraction import contract_scaled
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError, SizeError
from tnkit.index import check_name, fresh_name
from tnkit.network import TensorNetwork
from tnkit.scaled import Scaled
from tnkit.tensor import Tensor

__all__ = ["ring", "ring_expectation", "ring_inner", "ring_log_norm"]


@checked
def ring(arrays: Sequence[Array], *, sites: Sequence[str] | None = None) -> TensorNetwork:
    """Return the network of a state on a ring: bond k joins sites k and k + 1, the last closes it.

    arrays: one (left, site, right) a site. sites: names of the open indices, "s0", "s1", ... by
    default. A ring has no canonical form and no Schmidt values; ask it by `ring_inner`,
    `ring_log_norm` and `ring_expectation`, or contract what you like. Raises `SizeError` where
    neighbours, the last and the first among them, do not fit.

    >>> import numpy as np
    >>> a = np.random.default_rng(0).standard_normal((3, 2, 3))
    >>> ring([a] * 4).output
    ('s0', 's1', 's2', 's3')
    """
    arrays = list(arrays)
    if not arrays:
        raise ArgumentError("a ring needs at least one site")
    names = [f"s{k}" for k in range(len(arrays))] if sites is None else [*map(check_name, sites)]
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise IndexNameError(f"{len(arrays)} arrays need as many different site names, got {names}")
    for k, array in enumerate(arrays):
        if len(getattr(array, "shape", ())) != 3:
            raise SizeError(
                f"array {k} must be (left, site, right), got {getattr(array, 'shape', array)!r}"
            )
        after = arrays[(k + 1) % len(arrays)]
        if array.shape[2] != after.shape[0]:
            raise SizeError(
                f"site {names[k]!r} has right bond {array.shape[2]}, the next one left bond "
                f"{after.shape[0]}"
            )
    taken = set(names)
    bonds = []
    for k in range(len(arrays)):
        bonds.append(fresh_name(f"b{k}", taken))
        taken.add(bonds[-1])
    return TensorNetwork(
        [Tensor(a, [bonds[k - 1], names[k], bonds[k]]) for k, a in enumerate(arrays)]
        if len(arrays) > 1
        else [Tensor(_closed(arrays[0]), names)],
        names,
    )


def _closed(array: Array) -> Array:
    """Return the trace over the bond of a ring of one site."""
    total = array[0, :, 0]
    for k in range(1, array.shape[0]):
        total = total + array[k, :, k]
    return total


@checked
def ring_inner(
    a: TensorNetwork,
    b: TensorNetwork,
    operators: Mapping[str, Any] | None = None,
    *,
    memory_limit: int | None = None,
) -> Scaled:
    """Return <a|b>, or <a|O|b> with a product of matrices, of any magnitude.

    a, b: networks with the same open indices, rings or not; a is conjugated. operators: {site:
    (out, in) matrix}, the identity elsewhere. memory_limit: bytes, as in `plan`. Raises
    `IndexNameError` where the sites differ, `SizeError` where sizes do. Cost of a ring:
    O(L site bond^5), by plan.

    >>> import numpy as np
    >>> ghz = ring([np.eye(2)[:, :, None] * np.eye(2)] * 3)
    >>> z = np.diag([1.0, -1.0])
    >>> float(ring_inner(ghz, ghz, {"s0": z, "s1": z}).value)
    2.0
    """
    for state in (a, b):
        if not isinstance(state, TensorNetwork):
            raise ArgumentTypeError(f"expected a TensorNetwork, got a {type(state).__name__}")
    if set(a.output) != set(b.output):
        raise IndexNameError(f"the states have different sites: {a.output} and {b.output}")
    missing = [name for name in operators or {} if name not in b.output]
    if missing:
        raise IndexNameError(f"no site {missing[0]!r}; the state has {b.output}")
    ket = b
    for name, matrix in (operators or {}).items():
        below = fresh_name(name, set(ket.sizes) | set(a.sizes))
        ket = ket.rename({name: below}) | TensorNetwork([Tensor(matrix, [name, below])])
    return contract_scaled(a.conj() | ket, memory_limit=memory_limit)


@checked
def ring_log_norm(psi: TensorNetwork, *, memory_limit: int | None = None) -> float:
    """Return the natural logarithm of the 2-norm of a ring, or of any network; -inf for zero."""
    return 0.5 * float(ring_inner(psi, psi, memory_limit=memory_limit).log_abs)


@checked
def ring_expectation(
    psi: TensorNetwork, operators: Mapping[str, Any], *, memory_limit: int | None = None
) -> complex | float:
    """Return <psi|O|psi> / <psi|psi> of a product of matrices {site: (out, in)}.

    A float, complex where an array is complex. Raises `ArgumentError` for the zero state.

    >>> import numpy as np
    >>> up = ring([np.array([1.0, 0.0]).reshape(1, 2, 1)] * 3)
    >>> ring_expectation(up, {"s1": np.diag([0.5, -0.5])})
    0.5
    """
    whole = ring_inner(psi, psi, memory_limit=memory_limit)
    if not math.isfinite(float(whole.log_abs)):
        raise ArgumentError("the zero state has no expectation values")
    part = ring_inner(psi, psi, operators, memory_limit=memory_limit)
    share = complex(part.phase) * math.exp(float(part.log_abs) - float(whole.log_abs))
    return share if "complex" in str(part.mantissa.dtype) else share.real
