"""Property-based testing of tensor-network code, yours included: strategies, checks, backends.

Needs hypothesis (installed with ``tnkit[test]``). Ten lines test a function of your own:

>>> from hypothesis import given
>>> import tnkit
>>> from tnkit.testing import assert_canonical, assert_same_state, read_only, states
>>> def mirrored_twice(psi):
...     return tnkit.reverse(tnkit.reverse(psi))
>>> @given(psi=states(max_sites=5))
... def test_mirror(psi):
...     result = mirrored_twice(read_only(psi))
...     assert_canonical(result)
...     assert_same_state(result, psi)
>>> test_mirror()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from tnkit.arrays import eps, to_numpy
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.index import Index
from tnkit.mps.arithmetic import chain_of
from tnkit.mps.gauge import canonicalize, verify
from tnkit.mps.operator import MPO
from tnkit.mps.overlap import log_norm
from tnkit.mps.state import MPS, Gauge
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor
from tnkit.transfers import count_transfers

__all__ = [
    "BACKENDS",
    "DTYPES",
    "Backend",
    "assert_canonical",
    "assert_same_state",
    "backend",
    "count_transfers",
    "dense",
    "indices",
    "networks",
    "on",
    "operators",
    "read_only",
    "states",
    "tensors",
]

DTYPES = ("float64", "complex128", "float32", "complex64")
BACKENDS = ("numpy", "torch", "cuda", "strict", "jax", "cupy")

Value = TypeVar("Value")


# ---- strategies


def indices(*, names: str = "abcdef", max_size: int = 4) -> st.SearchStrategy[Index]:
    """Return a strategy for an `Index` with one of the letters `names`, sizes 1 to `max_size`."""
    return st.builds(Index, st.sampled_from(names), st.integers(1, max_size))


@st.composite
def tensors(
    draw: st.DrawFn,
    *,
    names: str = "abcdef",
    max_rank: int = 4,
    max_size: int = 3,
    dtypes: Sequence[str] = DTYPES,
) -> Tensor:
    """Draw a tensor with normal entries; within one call every name has one size.

    The size of a name depends on the name alone, so tensors drawn apart can be contracted.
    """
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=max_rank))
    shape = tuple(1 + names.index(name) % max_size for name in chosen)
    return Tensor(_normal(draw, shape, draw(st.sampled_from(dtypes))), chosen)


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    max_tensors: int = 5,
    names: str = "abcdefgh",
    max_size: int = 3,
    dtypes: Sequence[str] = DTYPES,
) -> TensorNetwork:
    """Draw a network of tensors of one dtype: bonds, hyperedges, open and kept indices, parts."""
    dtype = draw(st.sampled_from(dtypes))
    count = draw(st.integers(1, max_tensors))
    parts = [
        draw(tensors(names=names, max_rank=3, max_size=max_size, dtypes=[dtype]))
        for _ in range(count)
    ]
    present = sorted({name for part in parts for name in part.names})
    chosen = st.lists(st.sampled_from(present), unique=True, max_size=3) if present else st.none()
    return TensorNetwork(parts, draw(st.one_of(st.none(), chosen)))


@st.composite
def states(
    draw: st.DrawFn,
    *,
    min_sites: int = 1,
    max_sites: int = 6,
    max_site_dim: int = 3,
    max_bond: int = 4,
    dtypes: Sequence[str] = DTYPES,
    site_dims: Sequence[int] | None = None,
    deficient: bool = True,
    zero: bool = False,
    scales: bool = False,
) -> MPS:
    """Draw an MPS: any length, sizes, dtype and gauge (none, partial, or a centre anywhere).

    site_dims: sizes to use, which also fix the length. deficient: bonds may be larger than the
    Schmidt rank. zero: the state may be zero. scales: norms from exp(-2000) to exp(2000), held in
    log_scale, and entries from 1e-150 to 1e150 (1e-12 to 1e12 in single precision).
    """
    if site_dims is None:
        count = draw(st.integers(min_sites, max_sites))
        dims = [draw(st.integers(1, max_site_dim)) for _ in range(count)]
    else:
        dims = [int(d) for d in site_dims]
        count = len(dims)
    bonds = [1, *(draw(st.integers(1, max_bond)) for _ in range(count - 1)), 1]
    dtype = draw(st.sampled_from(dtypes))
    arrays = [_normal(draw, (bonds[k], dims[k], bonds[k + 1]), dtype) for k in range(count)]
    flaw = draw(st.sampled_from(["none", "deficient" if deficient else "none"]))
    if flaw == "deficient":
        k = draw(st.integers(0, count - 1))
        arrays[k] = arrays[k].copy()
        arrays[k][..., 1:] = arrays[k][..., :1]
    if zero and draw(st.integers(0, 9)) == 0:
        arrays[draw(st.integers(0, count - 1))] *= 0.0
    log_scale = 0.0
    if scales:
        big = 12 if dtype in ("float32", "complex64") else 150
        k = draw(st.integers(0, count - 1))
        arrays[k] = (arrays[k] * 10.0 ** draw(st.sampled_from([0, -big, big]))).astype(dtype)
        log_scale = draw(st.sampled_from([0.0, -1.5, -2000.0, 2000.0]))
    psi = MPS(tuple(arrays), tuple(f"s{k}" for k in range(count)), log_scale=log_scale)
    gauge = draw(st.sampled_from(["none", "centre", "partial"]))
    if gauge == "none":
        return psi
    psi = canonicalize(psi, draw(st.integers(0, count - 1)))
    if gauge == "partial":
        left = draw(st.integers(0, psi.gauge.left))
        right = draw(st.integers(0, psi.gauge.right))
        return MPS(psi.arrays, psi.sites, Gauge(left, right), psi.log_scale)
    return psi


@st.composite
def operators(
    draw: st.DrawFn,
    *,
    site_dims: Sequence[int],
    out_dims: Sequence[int] | None = None,
    max_bond: int = 3,
    dtypes: Sequence[str] = DTYPES,
) -> MPO:
    """Draw an MPO with these column sizes, and the same or other row sizes."""
    rows = site_dims if out_dims is None else out_dims
    count = len(site_dims)
    bonds = [1, *(draw(st.integers(1, max_bond)) for _ in range(count - 1)), 1]
    dtype = draw(st.sampled_from(dtypes))
    shapes = [(bonds[k], rows[k], site_dims[k], bonds[k + 1]) for k in range(count)]
    return MPO.from_arrays([_normal(draw, shape, dtype) for shape in shapes])


def _normal(draw: st.DrawFn, shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    array = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        array = array + 1j * rng.standard_normal(shape)
    return array.astype(dtype)


# ---- checks


def assert_canonical(psi: MPS, centre: int | None = None) -> None:
    """Fail where the arrays of `psi` do not have the gauge it claims, or not this `centre`."""
    try:
        verify(psi)
    except ArgumentError as error:
        raise AssertionError(str(error)) from None
    assert centre is None or (
        psi.gauge.left >= centre and psi.gauge.right >= len(psi) - 1 - centre
    ), f"expected centre {centre}, the gauge of {psi!r} is {psi.gauge}"


def dense(chain: MPS | MPO) -> tuple[np.ndarray[Any, Any], float]:
    """Return a chain as (array, logarithm of a factor), slowly and plainly, with NumPy alone.

    The array has an axis a site (for an operator: out x in fused), in double precision, its
    largest entry near one: an independent reference that holds any norm.
    """
    psi = chain_of(chain)
    result: Any = np.ones((1, 1))
    log = psi.log_scale
    for array in psi.arrays:
        host = to_numpy(array)
        host = host.astype(np.complex128 if host.dtype.kind == "c" else np.float64)
        for part in (host, result):
            top = float(np.abs(part).max())
            if top:
                part /= top
                log += math.log(top)
        result = np.einsum("xl,ldr->xdr", result, host).reshape(-1, host.shape[2])
    return result.reshape(psi.site_dims), log


def assert_same_state(
    a: MPS | MPO, b: MPS | MPO, *, tolerance: float | None = None, error: float = 0.0
) -> None:
    """Fail where |a - b| > tolerance |b| + error in the 2-norm, from dense forms (up to 2^22).

    tolerance: relative, by default 500 eps of the less precise dtype. error: absolute, such as an
    `error_bound`. Scales beyond a float are compared through their logarithms.
    """
    one, two = chain_of(a), chain_of(b)
    assert one.sites == two.sites, f"sites differ: {one.sites} and {two.sites}"
    assert one.site_dims == two.site_dims, f"sizes differ: {one.site_dims}, {two.site_dims}"
    if math.prod(two.site_dims) > 2**22:
        raise ArgumentError("too large for a dense comparison; use tnkit.distance")
    if tolerance is None:
        tolerance = 500 * max(eps(one.arrays[0]), eps(two.arrays[0]))
    (x, log_x), (y, log_y) = dense(one), dense(two)
    top = max(log_x if x.any() else -math.inf, log_y if y.any() else -math.inf)
    if top == -math.inf:
        return
    x = x * math.exp(max(log_x - top, -745.0)) if x.any() else x
    y = y * math.exp(max(log_y - top, -745.0)) if y.any() else y
    difference = float(np.linalg.norm(x - y))
    # a logarithm of size |top| is itself known to eps |top| only
    allowed = (tolerance + 2e-15 * abs(top)) * float(np.linalg.norm(y))
    if error:
        allowed += math.exp(min(700.0, math.log(error) - top)) if math.isfinite(error) else math.inf
    assert difference <= allowed, (
        f"the states differ by {difference:.3g} x exp({top:.6g}), allowed {allowed:.3g}; "
        f"log norms {log_norm(one):.6g} and {log_norm(two):.6g}"
    )


# ---- backends and mutation


@dataclass(frozen=True)
class Backend:
    """One array library on one device: `asarray` makes its arrays from NumPy ones."""

    name: str
    asarray: Callable[[Any], Any]


def backend(name: str) -> Backend:
    """Return a `Backend` of `BACKENDS`; in pytest, skip with a reason where it is absent.

    As a fixture: ``@pytest.fixture(params=tnkit.testing.BACKENDS) def library(request): return
    tnkit.testing.backend(request.param)``.

    >>> backend("numpy").asarray([1.0, 2.0])
    array([1., 2.])
    """
    if name not in BACKENDS:
        raise ArgumentError(f"unknown backend {name!r}; one of {', '.join(BACKENDS)}")
    if name == "numpy":
        return Backend(name, np.asarray)
    import pytest

    if name == "strict":
        strict = pytest.importorskip("array_api_strict", reason="array-api-strict not installed")
        return Backend(name, strict.asarray)
    if name == "jax":
        jax = pytest.importorskip("jax", reason="JAX not installed")
        jax.config.update("jax_enable_x64", True)
        return Backend(name, jax.numpy.asarray)
    if name == "cupy":
        cupy = pytest.importorskip("cupy", reason="CuPy not installed")
        return Backend(name, cupy.asarray)
    torch = pytest.importorskip("torch", reason="PyTorch not installed")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = "cuda" if name == "cuda" else "cpu"
    return Backend(name, lambda a: torch.as_tensor(np.array(a), device=device))


def on(value: Value, library: Any) -> Value:
    """Return an MPS, MPO, Tensor or TensorNetwork with its arrays made by `library.asarray`."""
    changed: Value = _mapped(value, lambda array: library.asarray(to_numpy(array)))
    return changed


def read_only(value: Value) -> Value:
    """Return an MPS, MPO, Tensor, TensorNetwork or array whose NumPy arrays refuse to be written.

    A function that changes its input then raises ValueError at the line that does it. Arrays are
    copied; those of other libraries are left as they are.

    >>> array = read_only(np.zeros(2))
    >>> array[0] = 1.0
    Traceback (most recent call last):
    ...
    ValueError: assignment destination is read-only
    """
    locked: Value = _mapped(value, _locked)
    return locked


def _locked(array: Any) -> Any:
    if not isinstance(array, np.ndarray):
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, MPS):
        return MPS(tuple(map(change, value.arrays)), value.sites, value.gauge, value.log_scale)
    if isinstance(value, MPO):
        return MPO(tuple(map(change, value.arrays)), value.sites, value.log_scale)
    if isinstance(value, Tensor):
        return value.with_array(change(value.array))
    if isinstance(value, TensorNetwork):
        return TensorNetwork([_mapped(t, change) for t in value.tensors], value.output)
    if isinstance(value, np.ndarray) or hasattr(value, "__array_namespace__"):
        return change(value)
    raise ArgumentTypeError(f"expected a chain, a tensor, a network or an array, got {value!r}")
