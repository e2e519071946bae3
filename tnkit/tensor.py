"""An array whose axes have names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np

from tnkit import arrays
from tnkit.arrays import Array, as_array, is_complex, movers, namespace, to_numpy
from tnkit.checking import checked, shown
from tnkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    IndexNameError,
    SizeError,
    TnkitError,
)
from tnkit.index import Index, check_name
from tnkit.pairwise import lower, prepare, run, run_one
from tnkit.verbs import with_verbs

__all__ = ["Tensor", "checked_tags"]

Number = int | float | complex
_REAL_FLOATING, _FLOATING = "real floating", ("real floating", "complex floating")


@with_verbs
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, init=False, repr=False)
class Tensor:
    """An array of any library with a name for each axis, and tags to select it by.

    array: held as given, never copied and never written to; its library, device and dtype decide
    where everything happens. indices: a name or an `Index` for each axis (an `Index` also checks
    the size). A repeated name stands for a diagonal: it is summed, or kept, when the tensor is
    contracted; `diagonal` and `trace` do so at once. tags: any strings.

    Tensors are values: each method returns a new one. Arithmetic aligns axes by name. Raises
    `SizeError`, `IndexNameError` or `ArgumentTypeError`.

    Verbs, functions that take one first as in ``tnkit.split(a, ["i"])``: isometric_legs, split.

    >>> import numpy as np
    >>> a = Tensor(np.ones((2, 3)), ["i", "j"])
    >>> b = Tensor(np.ones((3, 4)), ["j", "k"])
    >>> a @ b
    Tensor(i: 2, k: 4; float64, numpy)
    >>> (a + a.transpose("j", "i")).sum("i", "j").item()
    12.0
    """

    array: Array
    names: tuple[str, ...]
    tags: frozenset[str]

    @checked
    def __init__(
        self, array: Any, indices: Iterable[str | Index] = (), tags: Iterable[str] = ()
    ) -> None:
        """Check the indices against the array; see the class."""
        array = as_array(array)
        if isinstance(indices, str | Index):
            raise ArgumentTypeError(
                f"indices must be a list of names, got {indices!r}; write [{indices!r}]"
            )
        given = tuple(indices)
        shape = tuple(array.shape)
        if len(given) != len(shape):
            shown = ", ".join(i if isinstance(i, str) else str(i) for i in given)
            raise SizeError(
                f"an array of {len(shape)} axes, shape {shape}, needs {len(shape)} indices, "
                f"got {len(given)}: [{shown}]"
            )
        names = []
        sizes: dict[str, int] = {}
        for axis, (index, size) in enumerate(zip(given, shape, strict=True)):
            if isinstance(index, Index):
                if index.size != size:
                    raise SizeError(f"{index} does not fit axis {axis} of an array {shape}")
                name = index.name
            else:
                name = check_name(index)
            if sizes.setdefault(name, size) != size:
                raise SizeError(
                    f"index {name!r} is repeated with sizes {sizes[name]} and {size} "
                    f"on an array {shape}; a repeated index needs equal sizes"
                )
            names.append(name)
        _set_array(self, array)
        _set_names(self, tuple(names))
        _set_tags(self, checked_tags(tags))

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, in order."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.names)

    @property
    def indices(self) -> tuple[Index, ...]:
        """The name and the size of each axis, in order."""
        return tuple(Index(n, s) for n, s in zip(self.names, self.shape, strict=True))

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each name."""
        return dict(zip(self.names, self.shape, strict=True))

    @property
    def dtype(self) -> Any:
        """The dtype of the array."""
        return self.array.dtype

    @property
    def device(self) -> Any:
        """The device of the array, in the words of its library."""
        return arrays.device(self.array)

    @property
    def library(self) -> str:
        """The library of the array: "numpy", "torch", "cupy", "jax", ..."""
        return arrays.library(self.array)

    def size(self, name: str) -> int:
        """Return the size of one index; raises `IndexNameError`."""
        return self.shape[self._axis(name)]

    def __repr__(self) -> str:
        """Show names, sizes, dtype, library and tags; never the data."""
        pairs = ", ".join(f"{n}: {s}" for n, s in zip(self.names, self.shape, strict=True))
        tags = f", tags={sorted(self.tags)}" if self.tags else ""
        dtype = arrays.dtype_name(self.dtype)
        return f"Tensor({pairs or 'scalar'}; {dtype}, {self.library}{tags})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.names)
        body = "".join(f"<td>{size}</td>" for size in self.shape)
        about = f"{arrays.dtype_name(self.dtype)}, {self.library}, {self.device}"
        tags = "".join(f" <code>{escape(tag)}</code>" for tag in sorted(self.tags))
        return (
            f"<table><caption>Tensor: {escape(about)}{tags}</caption>"
            f"<tr>{head}</tr><tr>{body}</tr></table>"
        )

    @checked
    def same_structure(self, other: Tensor) -> bool:
        """Say whether names (in order), sizes, dtype, library and tags agree."""
        return (
            self.names == other.names
            and self.shape == other.shape
            and self.tags == other.tags
            and self.library == other.library
            and bool(self.dtype == other.dtype)
        )

    @checked
    def allclose(self, other: Tensor, *, rtol: float = 1e-9, atol: float = 0.0) -> bool:
        """Say whether both hold the same numbers, axes aligned by name.

        True where |a - b| <= atol + rtol * max|b| for every element: the largest element sets the
        scale, so rounding noise on small elements does not count. False where names or sizes
        differ. NaN is equal to nothing.
        """
        if not (rtol >= 0.0 and atol >= 0.0):
            raise ArgumentError(f"rtol and atol must be 0 or more, got {rtol!r} and {atol!r}")
        if sorted(self.names) != sorted(other.names) or self.sizes != other.sizes:
            return False
        one = to_numpy(self.array)
        two = to_numpy(other.transpose(*self.names).array if self._plain else other.array)
        if one.size == 0:
            return True
        bound = atol + rtol * float(np.abs(two).max())
        return bool(np.all(np.abs(one - two) <= bound))

    # ---- names and axes

    @property
    def _plain(self) -> bool:
        return len(set(self.names)) == len(self.names)

    def _axis(self, name: str) -> int:
        check_name(name)
        count = self.names.count(name)
        if count == 1:
            return self.names.index(name)
        if count == 0:
            shown = ", ".join(self.names) or "none: it is a scalar"
            raise IndexNameError(f"no index {name!r} on this tensor; its indices are {shown}")
        raise IndexNameError(
            f"index {name!r} occurs {count} times on this tensor; "
            "take diagonal() or trace() of it first"
        )

    def _axes(self, names: Iterable[str]) -> tuple[int, ...]:
        axes = tuple(self._axis(name) for name in names)
        if len(set(axes)) != len(axes):
            raise IndexNameError(f"an index is given twice: {', '.join(names)}")
        return axes

    def transpose(self, *names: str) -> Tensor:
        """Return the tensor with its axes in the order of `names`, which must be all of them."""
        axes = self._axes(names)
        if len(axes) != self.ndim:
            missing = [name for name in self.names if name not in names]
            raise IndexNameError(
                f"transpose needs every index once; {', '.join(missing)} not given"
            )
        return _trusted(movers(self.array).permute(self.array, axes), names, self.tags)

    @checked
    def rename(self, names: Mapping[str, str]) -> Tensor:
        """Return the tensor with indices renamed {old: new}; two may swap, none may collide."""
        for old in names:
            if old not in self.names:
                self._axis(old)
        new = tuple(check_name(names.get(name, name)) for name in self.names)
        if len(set(new)) != len(set(self.names)):
            raise IndexNameError(
                f"renaming {dict(names)} gives two different indices one name: {', '.join(new)}"
            )
        return _trusted(self.array, new, self.tags)

    def with_tags(self, *tags: str) -> Tensor:
        """Return the tensor with `tags` in place of its own."""
        return _trusted(self.array, self.names, checked_tags(tags))

    def with_array(self, array: Any) -> Tensor:
        """Return the tensor with another array of the same shape."""
        array = as_array(array)
        if tuple(array.shape) != self.shape:
            raise SizeError(f"expected an array of shape {self.shape}, got {tuple(array.shape)}")
        return _trusted(array, self.names, self.tags)

    @checked
    def fuse(self, names: Iterable[str], new: str) -> Tensor:
        """Return the tensor with several indices fused into one.

        The first of `names` varies slowest; the new index stands where the first of them in the
        tensor's own order stood.

        >>> t = Tensor(np.arange(24).reshape(2, 3, 4), ["a", "b", "c"])
        >>> t.fuse(["b", "c"], "bc"), t.fuse(["b", "c"], "bc").unfuse("bc", [("b", 3), ("c", 4)])
        (Tensor(a: 2, bc: 12; int64, numpy), Tensor(a: 2, b: 3, c: 4; int64, numpy))
        """
        group = tuple(names)
        axes = self._axes(group)
        check_name(new)
        rest = [name for name in self.names if name not in group]
        if new in rest:
            raise IndexNameError(f"the fused index {new!r} has the name of one that stays")
        at = len([n for n in self.names[: min(axes)] if n in rest]) if axes else 0
        order = (*rest[:at], *group, *rest[at:])
        moved = self.transpose(*order)
        shape = moved.shape
        width = len(group)
        fused = math.prod(shape[at : at + width])
        array = movers(self.array).reshape(moved.array, (*shape[:at], fused, *shape[at + width :]))
        return _trusted(array, (*rest[:at], new, *rest[at:]), self.tags)

    @checked
    def unfuse(self, name: str, indices: Iterable[Index | tuple[str, int]]) -> Tensor:
        """Return the tensor with one index taken apart into `indices`, the first slowest."""
        axis = self._axis(name)
        try:
            parts = [part if isinstance(part, Index) else Index(*part) for part in indices]
        except TypeError as error:
            if isinstance(error, TnkitError):
                raise
            raise ArgumentTypeError(
                f"indices must be Index or (name, size) pairs, got {shown(indices)}"
            ) from None
        size = math.prod(part.size for part in parts)
        if size != self.shape[axis]:
            product = " * ".join(str(part.size) for part in parts) or "1"
            raise SizeError(f"index {name!r} has size {self.shape[axis]}, not {product} = {size}")
        names = (*self.names[:axis], *(p.name for p in parts), *self.names[axis + 1 :])
        if len(set(names)) != len(names):
            raise IndexNameError(f"unfusing {name!r} repeats an index: {', '.join(names)}")
        shape = (*self.shape[:axis], *(p.size for p in parts), *self.shape[axis + 1 :])
        return _trusted(movers(self.array).reshape(self.array, shape), names, self.tags)

    @checked
    def fix(self, values: Mapping[str, int]) -> Tensor:
        """Return the tensor with indices fixed to values and gone, {name: value}.

        A negative value counts from the end, as in Python. Raises `ArgumentError` beyond the size.
        """
        chosen: dict[int, int] = {}
        for name, value in values.items():
            axes = [axis for axis, other in enumerate(self.names) if other == name]
            if not axes:
                self._axis(name)
            size = self.shape[axes[0]]
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ArgumentTypeError(
                    f"index {name!r} takes whole numbers below {size}, got {shown(value)}"
                )
            if not -size <= value < size:
                raise ArgumentError(f"index {name!r} has size {size}; it has no value {value}")
            chosen.update(dict.fromkeys(axes, int(value)))
        key = tuple(chosen.get(axis, slice(None)) for axis in range(self.ndim))
        names = tuple(name for axis, name in enumerate(self.names) if axis not in chosen)
        array = as_array(self.array[key]) if chosen else self.array
        return _trusted(array, names, self.tags)

    @checked
    def slice(self, slices: Mapping[str, slice]) -> Tensor:
        """Return the tensor with indices cut by Python slice objects, given by name."""
        key: list[slice] = [slice(None)] * self.ndim
        for name, part in slices.items():
            if not isinstance(part, slice):
                raise ArgumentTypeError(f"expected a slice for {name!r}, got {part!r}; see fix()")
            key[self._axis(name)] = part
        return _trusted(self.array[tuple(key)], self.names, self.tags)

    # ---- reductions

    def sum(self, *names: str) -> Tensor:
        """Return the sum over `names`; raises `IndexNameError` for none (say which to sum)."""
        if not names:
            raise IndexNameError(
                f"say which indices to sum: sum({', '.join(map(repr, self.names))})"
            )
        axes = self._axes(names)
        rest = tuple(name for name in self.names if name not in names)
        xp = namespace(self.array)
        return _trusted(as_array(xp.sum(self.array, axis=axes)), rest, self.tags)

    def diagonal(self) -> Tensor:
        """Return the tensor with each repeated index collapsed to its diagonal."""
        names, operations = prepare(self.names, self.shape, self.names)
        array = run_one(self.array, operations, movers(self.array))
        return _trusted(array, names, self.tags)  # type: ignore[arg-type]

    def trace(self) -> Tensor:
        """Return the sum over the diagonal of each repeated index; raises where none is."""
        once = [name for name in self.names if self.names.count(name) == 1]
        if len(once) == self.ndim:
            raise IndexNameError(
                f"trace needs a repeated index, the indices are {', '.join(self.names)}; "
                "rename one to the other first"
            )
        names, operations = prepare(self.names, self.shape, once)
        array = as_array(run_one(self.array, operations, movers(self.array)))
        return _trusted(array, names, self.tags)  # type: ignore[arg-type]

    def norm(self) -> Tensor:
        """Return the 2-norm, a real scalar tensor; correct for elements from 1e-300 to 1e300."""
        array = self.array
        xp = namespace(array)
        if not xp.isdtype(array.dtype, _FLOATING):
            array = xp.astype(array, xp.float64)
        scale = arrays.largest_magnitude(array)
        limit = 1e-18 if arrays.eps(array) > 1e-10 else 1e-150
        if scale == 0.0 or limit < scale < 1 / limit or not math.isfinite(scale):
            return _trusted(as_array(xp.linalg.vector_norm(array)), (), frozenset())
        return _trusted(as_array(xp.linalg.vector_norm(array / scale) * scale), (), frozenset())

    def item(self) -> Number:
        """Return the Python number of a tensor with one element."""
        if math.prod(self.shape) != 1:
            raise SizeError(f"item() needs one element, this tensor has shape {self.shape}")
        value: Number = to_numpy(self.array).item()
        return value

    def __float__(self) -> float:
        """Return a real scalar; TypeError for a complex one."""
        value = self.item()
        if isinstance(value, complex):
            raise TypeError("a complex tensor has no float; use complex(...) or real()")
        return float(value)

    def __complex__(self) -> complex:
        """Return a scalar as a complex number."""
        return complex(self.item())

    # ---- elementwise

    def conj(self) -> Tensor:
        """Return the complex conjugate; a real tensor is returned as it is."""
        if not is_complex(self.array):
            return self
        return _trusted(namespace(self.array).conj(self.array), self.names, self.tags)

    def real(self) -> Tensor:
        """Return the real part."""
        if not is_complex(self.array):
            return self
        return _trusted(namespace(self.array).real(self.array), self.names, self.tags)

    def imag(self) -> Tensor:
        """Return the imaginary part; zeros for a real tensor."""
        xp = namespace(self.array)
        part = xp.imag(self.array) if is_complex(self.array) else xp.zeros_like(self.array)
        return _trusted(part, self.names, self.tags)

    @checked
    def map(self, function: Callable[[Array], Array]) -> Tensor:
        """Return the tensor of function(array), which must keep the shape."""
        return self.with_array(function(self.array))

    def __neg__(self) -> Tensor:
        """Return the tensor with the other sign."""
        return _trusted(-self.array, self.names, self.tags)

    def __pos__(self) -> Tensor:
        """Return the tensor itself."""
        return self

    def __abs__(self) -> Tensor:
        """Return the absolute values."""
        return _trusted(namespace(self.array).abs(self.array), self.names, self.tags)

    def _elementwise(self, other: Any, verb: str, *, swap: bool = False) -> Tensor:
        if isinstance(other, Tensor):
            names = (*self.names, *(name for name in other.names if name not in self.names))
            known = self.sizes
            for name, size in zip(other.names, other.shape, strict=True):
                if known.setdefault(name, size) != size:
                    raise SizeError(
                        f"index {name!r} has size {known[name]} on the left and {size} on the "
                        "right; only absent indices broadcast"
                    )
            one, two = arrays.promote(self._aligned(names), other._aligned(names))
            tags = self.tags | other.tags
        else:
            names, tags = self.names, self.tags
            one, two = _with_number(self.array, other, verb)
        if swap:
            one, two = two, one
        return _trusted(as_array(_VERBS[verb](one, two)), names, tags)

    def _aligned(self, names: tuple[str, ...]) -> Array:
        present = tuple(name for name in names if name in self.names)
        sizes = self.sizes
        moved = self.transpose(*present).array
        shape = tuple(sizes.get(name, 1) for name in names)
        return moved if shape == tuple(moved.shape) else movers(moved).reshape(moved, shape)

    def __add__(self, other: Any) -> Tensor:
        """Return the sum; axes align by name, an index one side lacks broadcasts."""
        return self._elementwise(other, "add")

    def __radd__(self, other: Any) -> Tensor:
        """Return number + tensor."""
        return self._elementwise(other, "add", swap=True)

    def __sub__(self, other: Any) -> Tensor:
        """Return the difference; axes align by name."""
        return self._elementwise(other, "subtract")

    def __rsub__(self, other: Any) -> Tensor:
        """Return number - tensor."""
        return self._elementwise(other, "subtract", swap=True)

    def __mul__(self, other: Any) -> Tensor:
        """Return the elementwise product; axes align by name, nothing is summed (see `@`)."""
        return self._elementwise(other, "multiply")

    def __rmul__(self, other: Any) -> Tensor:
        """Return number * tensor."""
        return self._elementwise(other, "multiply", swap=True)

    def __truediv__(self, other: Any) -> Tensor:
        """Return the elementwise quotient; axes align by name."""
        return self._elementwise(other, "divide")

    def __rtruediv__(self, other: Any) -> Tensor:
        """Return number / tensor."""
        return self._elementwise(other, "divide", swap=True)

    def __pow__(self, other: Any) -> Tensor:
        """Return the elementwise power."""
        return self._elementwise(other, "power")

    # ---- products

    def __matmul__(self, other: Tensor) -> Tensor:
        """Return the contraction over every shared name, the result in the order left, right.

        Without a shared name it is the outer product. A few microseconds beside the matrix
        product; the lowering is kept for the last 4096 pairs of names and shapes.
        """
        if not isinstance(other, Tensor):
            return NotImplemented
        a, b = self.array, other.array
        program, names = _pair(self.names, tuple(a.shape), other.names, tuple(b.shape))
        if not program:
            one = self.trace() if _repeats(self) else self
            return one @ (other.trace() if _repeats(other) else other)
        if type(a) is not np.ndarray or type(b) is not np.ndarray:  # NumPy promotes by itself
            a, b = arrays.promote(a, b)
        pool = [a, b]
        run(program, pool, movers(a))
        if arrays.is_bool(pool[0]):
            raise ArgumentTypeError(
                "bool tensors cannot be contracted (the sum would be lost); use astype('int64')"
            )
        return _trusted(pool[0], names, self.tags | other.tags)

    @checked
    def outer(self, other: Tensor) -> Tensor:
        """Return the outer product; raises `IndexNameError` where a name is shared."""
        shared = [name for name in self.names if name in other.names]
        if shared:
            raise IndexNameError(
                f"outer product of tensors that share {', '.join(shared)}; rename it on one side"
            )
        return self @ other

    @checked
    def inner(self, other: Tensor) -> Tensor:
        """Return the scalar sum of conj(self) * other; both must have the same names."""
        if set(self.names) != set(other.names):
            one_sided = sorted(set(self.names) ^ set(other.names))
            raise IndexNameError(
                f"inner product needs the same indices on both sides; {', '.join(one_sided)} "
                "occur on one only"
            )
        return self.conj() @ other

    # ---- moves

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """Return the array on the host as a NumPy array."""
        return to_numpy(self.array)

    @checked
    def to(self, library: str, *, device: Any = None) -> Tensor:
        """Return the tensor in another library ("numpy", "torch", "cupy", "jax") or on a device.

        Memory is shared through DLPack where both libraries can.
        """
        return _trusted(arrays.convert(self.array, library, device=device), self.names, self.tags)

    def to_device(self, device: Any) -> Tensor:
        """Return the tensor on another device of its own library."""
        return self.to(self.library, device=device)

    def astype(self, dtype: Any) -> Tensor:
        """Return the tensor in another dtype, a name or a dtype of its library.

        Complex to real raises `ArgumentTypeError`: take `real` or `imag` first.
        """
        return _trusted(arrays.astype(self.array, dtype), self.names, self.tags)


_set_array = Tensor.__dict__["array"].__set__
_set_names = Tensor.__dict__["names"].__set__
_set_tags = Tensor.__dict__["tags"].__set__
_new = object.__new__

_VERBS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
}


def _trusted(array: Array, names: tuple[str, ...], tags: frozenset[str]) -> Tensor:
    """Make a tensor of fields known to be right, without a check."""
    made = _new(Tensor)
    _set_array(made, array)
    _set_names(made, names)
    _set_tags(made, tags)
    return made


def checked_tags(tags: Iterable[str]) -> frozenset[str]:
    """Return tags as a set, or raise where one is not a string."""
    if isinstance(tags, str):
        raise ArgumentTypeError(f"tags must be a list of strings, got {tags!r}; write [{tags!r}]")
    found = tuple(tags)
    for tag in found:
        if not isinstance(tag, str):
            raise ArgumentTypeError(f"a tag must be a string, got {tag!r}")
    return frozenset(found)


def _repeats(tensor: Tensor) -> bool:
    return len(set(tensor.names)) < len(tensor.names)


@lru_cache(maxsize=4096)
def _pair(
    left: tuple[str, ...],
    left_shape: tuple[int, ...],
    right: tuple[str, ...],
    right_shape: tuple[int, ...],
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        return (), ()
    lowered = lower(left, left_shape, right, right_shape, ())
    return (lowered.instruction(0, 1),), lowered.labels


def _with_number(array: Array, other: Any, verb: str) -> tuple[Array, Any]:
    """Return array and number in dtypes their library lets meet; the imaginary part survives."""
    if isinstance(other, np.generic):
        other = other.item()
    if isinstance(other, bool) or not isinstance(other, int | float | complex):
        kind = f"{type(other).__module__}.{type(other).__name__}"
        raise ArgumentTypeError(
            f"cannot {verb} a tensor and a {kind}: expected a number, "
            "or a Tensor that names its axes"
        )
    xp = namespace(array)
    if isinstance(other, complex) and not is_complex(array):
        single = xp.isdtype(array.dtype, _REAL_FLOATING) and arrays.eps(array) > 1e-10
        return xp.astype(array, xp.complex64 if single else xp.complex128), other
    if not xp.isdtype(array.dtype, _FLOATING) and (isinstance(other, float) or verb == "divide"):
        return xp.astype(array, xp.float64), other
    return array, other
