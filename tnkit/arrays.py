"""The one file that knows array libraries differ.

NumPy, PyTorch, CuPy, JAX and array-api-strict arrays are used as they come: the array in hand
decides the library, the device and the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

import array_api_compat
import numpy as np

from tnkit.errors import ArgumentError, ArgumentTypeError, NonFiniteError

__all__ = [
    "NUMPY_MOVERS",
    "Array",
    "Movers",
    "adjoint",
    "as_array",
    "astype",
    "convert",
    "device",
    "dtype_name",
    "eps",
    "frobenius",
    "is_bool",
    "is_complex",
    "largest_magnitude",
    "library",
    "like",
    "movers",
    "namespace",
    "nbytes",
    "near_one",
    "numpy_float",
    "promote",
    "rescale",
    "reshape",
    "to_numpy",
    "whole",
]

# NumPy follows the standard itself since 2.1; the wrapper costs a sixth of a second to import
numpy_namespace: Any = np if hasattr(np, "astype") else import_module("array_api_compat.numpy")

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""


LIBRARIES = ("numpy", "torch", "cupy", "jax")
"""Those that `convert` reaches."""


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace of `arrays`, which must come from one library.

    Costs a few microseconds: resolve it once per public call. Raises `ArgumentTypeError` for
    arrays of different libraries or for objects that are not arrays.

    >>> import numpy as np
    >>> namespace(np.ones(2)).__name__.removeprefix("array_api_compat.")
    'numpy'
    """
    if type(arrays[0]) is np.ndarray and (
        len(arrays) == 1 or all(type(array) is np.ndarray for array in arrays)
    ):
        return numpy_namespace
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({type(a).__module__ + "." + type(a).__name__ for a in arrays}))
        raise ArgumentTypeError(
            f"expected arrays of one library, got {kinds}; convert them to one library first"
        ) from error


def as_array(value: Any) -> Array:
    """Return `value` itself if it is an array, otherwise a NumPy array of it.

    Lists and Python numbers become NumPy arrays. Raises `ArgumentTypeError` for anything that
    does not hold numbers.
    """
    if type(value) is np.ndarray or (
        array_api_compat.is_array_api_obj(value) and not isinstance(value, np.generic)
    ):
        array = value
    else:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ArgumentTypeError(f"expected an array of numbers, got {error}") from None
    if isinstance(array, np.ndarray) and array.dtype.kind not in "biufc":
        raise ArgumentTypeError(
            f"expected numbers, got a value of type {type(value).__name__} "
            f"with dtype {array.dtype}; pass an array of bool, integer, real or complex numbers"
        )
    return array


def to_numpy(array: Array) -> np.ndarray[Any, Any]:
    """Return `array` on the host as a NumPy array (a copy only where the device needs one)."""
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    if array_api_compat.is_torch_array(array):
        if array.is_meta:
            raise ArgumentTypeError("a meta tensor has a shape but no numbers; expected numbers")
        return np.asarray(array.detach().cpu().resolve_conj().resolve_neg())
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    if array_api_compat.is_jax_array(array):
        return np.asarray(array)
    return np.asarray(np.from_dlpack(array))


class Movers(NamedTuple):
    """How one array library moves and multiplies: all a plan needs, native and without wrappers.

    dot multiplies two matrices, batched two stacks (batch, m, k) and (batch, k, n).
    """

    permute: Callable[[Array, tuple[int, ...]], Array]
    reshape: Callable[[Array, tuple[int, ...]], Array]
    compact: Callable[[Array], Array]
    dot: Callable[[Array, Array], Array]
    batched: Callable[[Array, Array], Array]
    sum: Callable[[Array, tuple[int, ...]], Array]


# ndarray.dot costs half of what matmul costs on small matrices, and copies where BLAS could not
# read a view that matmul would multiply without BLAS
NUMPY_MOVERS = Movers(
    np.ndarray.transpose,
    np.ndarray.reshape,
    np.ascontiguousarray,
    np.ndarray.dot,
    np.matmul,
    lambda array, axes: np.asarray(np.sum(array, axes)),
)


def movers(array: Array) -> Movers:
    """Return the `Movers` of the library of `array`."""
    if isinstance(array, np.ndarray):
        return NUMPY_MOVERS
    if hasattr(type(array), "__torch_function__"):  # torch.compile can follow this test
        return _torch_movers()
    xp = namespace(array)
    compact = xp.ascontiguousarray if array_api_compat.is_cupy_array(array) else _as_it_is
    return Movers(xp.permute_dims, xp.reshape, compact, xp.matmul, xp.matmul, _sum_of(xp))


def _torch_movers() -> Movers:
    import torch

    return Movers(
        torch.permute, torch.reshape, torch.Tensor.contiguous, torch.mm, torch.bmm, torch.sum
    )


def _sum_of(xp: Any) -> Callable[[Array, tuple[int, ...]], Array]:
    return lambda array, axes: xp.sum(array, axis=axes)


def whole(array: Array) -> Array:
    """Return `array`; a NumPy scalar, which NumPy hands out for no axes, as an array again."""
    return np.asarray(array) if isinstance(array, np.generic) else array


def _as_it_is(array: Array) -> Array:
    return array


def library(array: Array) -> str:
    """Return the name of the library of `array`: "numpy", "torch", "jax", ..."""
    return str(namespace(array).__name__).removeprefix("array_api_compat.").split(".")[0]


def device(array: Array) -> Any:
    """Return the device `array` is on, in the words of its library."""
    return array_api_compat.device(array)


def dtype_name(dtype: Any) -> str:
    """Return "float64" and the like for the dtype of any library."""
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def astype(array: Array, dtype: Any) -> Array:
    """Return `array` in `dtype` (a name or a dtype of its library), itself where it has it."""
    xp = namespace(array)
    if isinstance(dtype, str):
        dtype = getattr(xp, dtype, dtype)
    try:
        same = bool(array.dtype == dtype)
        complex_too = xp.isdtype(dtype, "complex floating")
    except (TypeError, ValueError, AttributeError, SyntaxError):
        raise ArgumentTypeError(
            f"{library(array)} has no dtype {dtype!r}; use 'float64', 'complex64', ..."
        ) from None
    if same:
        return array
    if is_complex(array) and not complex_too:
        raise ArgumentTypeError(
            f"{array.dtype} to {dtype} would drop the imaginary part; take real() or imag() first"
        )
    return xp.astype(array, dtype)


def promote(*arrays: Array) -> tuple[Array, ...]:
    """Return `arrays`, of one library, in the one dtype that holds them all.

    The rule is the library's own; where the standard leaves a pair open (integer with floating)
    it is NumPy's. Raises `ArgumentTypeError` for arrays of different libraries.
    """
    first = arrays[0].dtype
    if all(array.dtype == first for array in arrays):
        return arrays
    xp = namespace(*arrays)
    try:
        dtype = xp.result_type(*arrays)
    except TypeError:
        names = [dtype_name(array.dtype) for array in arrays]
        dtype = getattr(xp, np.result_type(*names).name)
    return tuple(a if a.dtype == dtype else xp.astype(a, dtype) for a in arrays)


def numpy_float(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype of a name; raises `ArgumentTypeError` unless it is a float's."""
    kind: np.dtype[Any] | None = None
    with suppress(TypeError, ValueError, SyntaxError):
        kind = np.dtype(dtype)
    if kind is None or dtype is None or kind.kind not in "fc":
        raise ArgumentTypeError(
            f"dtype must be a real or complex float such as 'float64', got {dtype!r}"
        )
    return kind


def convert(array: Array, target: str, *, device: Any = None) -> Array:
    """Return `array` as one of the library `target`: "numpy", "torch", "cupy" or "jax".

    Shares memory through DLPack where both libraries can, copies otherwise (read-only arrays,
    another device). device: where to put it, in the words of the target library. Gradients do not
    cross libraries. Raises `ArgumentError` for an unknown target or device and ImportError for an
    absent library.
    """
    if target not in LIBRARIES and target != library(array):
        raise ArgumentError(f"unknown array library {target!r}; use {', '.join(LIBRARIES)}")
    try:
        return _converted(array, target, device)
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        if device is None:
            raise
        reason = str(error).partition("\n")[0]
        raise ArgumentError(f"{target} has no device {device!r} here ({reason})") from None


def _converted(array: Array, target: str, device: Any) -> Array:
    if target == library(array):
        return array if device is None else array_api_compat.to_device(array, device)
    if target == "numpy":
        return to_numpy(array)
    if target == "torch":
        import torch

        if isinstance(array, np.ndarray):
            fits = array.flags.writeable and all(stride >= 0 for stride in array.strides)
            made = torch.from_numpy(array if fits else array.copy())
        else:
            made = torch.from_dlpack(array)
        return made if device is None else made.to(device)
    if target == "jax":
        import jax

        made = jax.numpy.asarray(to_numpy(array))
        return made if device is None else jax.device_put(made, device)
    import cupy

    with cupy.cuda.Device(device):
        if array_api_compat.is_torch_array(array) and array.is_cuda:
            return cupy.from_dlpack(array.detach())
        return cupy.asarray(to_numpy(array))


def nbytes(array: Array) -> int:
    """Return the bytes the elements of `array` take."""
    found = getattr(array, "nbytes", None)
    if found is None:
        itemsize = (
            getattr(array.dtype, "itemsize", None) or np.dtype(dtype_name(array.dtype)).itemsize
        )
        found = (array_api_compat.size(array) or 0) * itemsize
    return int(found)


def is_bool(array: Array) -> bool:
    """Say whether `array` holds truth values."""
    if isinstance(array, np.ndarray):
        return bool(array.dtype.kind == "b")
    return str(array.dtype).endswith(("bool", "bool_"))


def is_complex(array: Array) -> bool:
    """Say whether `array` has a complex dtype."""
    if isinstance(array, np.ndarray):
        return bool(array.dtype.kind == "c")
    return bool(namespace(array).isdtype(array.dtype, "complex floating"))


def eps(array: Array) -> float:
    """Return the machine epsilon of the (real or complex) floating dtype of `array`."""
    if isinstance(array, np.ndarray):
        return _numpy_eps(array.dtype)
    return float(namespace(array).finfo(array.dtype).eps)


@cache
def _numpy_eps(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps)  # finfo costs microseconds, this sits in the hot path


def largest_magnitude(array: Array) -> float:
    """Return max |a|, zero for an empty array; NaN or Inf where `array` holds one.

    One pass and one transfer to the host: this is both the scale and the finiteness check.
    """
    if isinstance(array, np.ndarray):
        return float(np.maximum.reduce(np.abs(array), axis=None, initial=0.0))
    if not array_api_compat.size(array):
        return 0.0
    xp = namespace(array)
    largest = xp.max(xp.abs(array))
    return float(largest.detach() if hasattr(largest, "detach") else largest)


def frobenius(array: Array) -> Array:
    """Return the 2-norm over all entries, 0-d and on the device of `array`.

    Squares are not rescaled: meant for arrays near norm one, at a fifth of `vector_norm`'s time.
    """
    xp = namespace(array)
    flat = reshape(array, (-1,))
    square = xp.vecdot(flat, flat)
    return xp.sqrt(xp.real(square) if is_complex(array) else square)


def like(values: np.ndarray[Any, Any], model: Array, *, real: bool = False) -> Array:
    """Return host `values` as an array of the library, device and dtype of `model`.

    real: take the real dtype that belongs to a complex one.
    """
    xp = namespace(model)
    dtype = xp.real(model).dtype if real and is_complex(model) else model.dtype
    if isinstance(model, np.ndarray):
        return values.astype(dtype, copy=False)
    return xp.asarray(values, dtype=dtype, device=array_api_compat.device(model))


def reshape(array: Array, shape: tuple[int, ...]) -> Array:
    """Return `array` with `shape` (the standard knows a function, most libraries a method)."""
    if isinstance(array, np.ndarray):
        return array.reshape(shape)
    return namespace(array).reshape(array, shape)


def rescale(array: Array, window: float = 2.0**40) -> tuple[Array, float]:
    """Return `array` with entries near one and the logarithm of the factor taken out.

    Exact: the factor is a power of two, and 1 while the largest entry lies between 1 / window and
    window. Zero arrays come back as they are. Raises `NonFiniteError` for NaN or Inf.
    """
    if near_one(array, window):
        return array, 0.0
    largest = largest_magnitude(array)
    if not math.isfinite(largest):
        raise NonFiniteError("NaN or Inf appeared in a contraction; check the arrays given")
    if largest == 0.0 or 1.0 / window < largest < window:
        return array, 0.0
    exponent = math.frexp(largest)[1]
    half = exponent // 2  # 2^exponent itself may overflow
    return array * 2.0**-half * 2.0 ** (half - exponent), exponent * math.log(2.0)


def near_one(array: Array, window: float) -> bool:
    """Say whether the largest entry surely lies between 1 / window and window; False is no answer.

    The sum of squares bounds it from both sides, at a fifth of the time of looking at each.
    """
    if not isinstance(array, np.ndarray) or not array.flags.c_contiguous:
        return False
    square = abs(np.vdot(array, array))
    return bool(array.size / window**2 < square < window**2)


def adjoint(matrix: Array) -> Array:
    """Return the conjugate transpose of a matrix."""
    return namespace(matrix).conj(matrix.T) if is_complex(matrix) else matrix.T
