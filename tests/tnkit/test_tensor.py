"""A tensor is an array whose axes have names: every law against plain NumPy, on every library."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Index, Tensor

NAMES = "abcde"


@st.composite
def named(draw: st.DrawFn, *, names: str = NAMES) -> Tensor:
    """Draw a small tensor of integers in float64; a name has one size everywhere."""
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=4))
    shape = [1 + names.index(name) % 3 for name in chosen]
    seed = draw(st.integers(0, 2**16))
    return Tensor(np.random.default_rng(seed).integers(-4, 5, shape).astype(float), chosen)


def einsum(*tensors: Tensor, output: tuple[str, ...]) -> Any:
    terms = ",".join("".join(t.names) for t in tensors)
    return np.einsum(f"{terms}->{''.join(output)}", *(t.to_numpy() for t in tensors))


def moved(tensor: Tensor, backend: Any) -> Tensor:
    return Tensor(backend.asarray(tensor.to_numpy()), tensor.names)


def same(tensor: Tensor, expected: Any) -> None:
    assert tensor.shape == np.shape(expected)
    assert np.array_equal(tensor.to_numpy(), expected)


@given(a=named(), b=named())
def test_matmul_is_einsum_over_shared_names(backend: Any, a: Tensor, b: Tensor) -> None:
    product = moved(a, backend) @ moved(b, backend)
    assert product.names == tuple(n for n in a.names + b.names if (n in a.names) != (n in b.names))
    same(product, einsum(a, b, output=product.names))


@given(a=named(), b=named(), verb=st.sampled_from(["__add__", "__sub__", "__mul__"]))
def test_arithmetic_broadcasts_by_name(backend: Any, a: Tensor, b: Tensor, verb: str) -> None:
    total = getattr(moved(a, backend), verb)(moved(b, backend))
    full = {n: s for t in (a, b) for n, s in t.sizes.items()}
    ones = [Tensor(np.ones(s), [n]) for n, s in full.items()]
    one = einsum(a, *ones, output=total.names)
    two = einsum(b, *ones, output=total.names)
    same(total, getattr(one, verb)(two))


@given(a=named(), data=st.data())
def test_fuse_then_unfuse_is_the_same(backend: Any, a: Tensor, data: st.DataObject) -> None:
    tensor = moved(a, backend)
    group = data.draw(st.lists(st.sampled_from(a.names or ("",)), unique=True)) if a.names else []
    parts = [Index(name, a.size(name)) for name in group]
    fused = tensor.fuse(group, "fused")
    assert fused.ndim == a.ndim - len(group) + 1
    assert fused.unfuse("fused", parts).transpose(*a.names).allclose(a, rtol=0.0)


@given(a=named())
def test_reductions_and_norm(backend: Any, a: Tensor) -> None:
    tensor = moved(a, backend)
    assert tensor.norm().item() == pytest.approx(np.linalg.norm(a.to_numpy()), rel=1e-14)
    assert tensor.inner(tensor).item() == pytest.approx(np.sum(a.to_numpy() ** 2), rel=1e-14)
    for name in a.names:
        same(tensor.sum(name), a.to_numpy().sum(axis=a.names.index(name)))
        same(tensor.fix({name: -1}), a.to_numpy().take(-1, axis=a.names.index(name)))


def test_a_repeated_index_is_a_diagonal(backend: Any) -> None:
    array = np.arange(18.0).reshape(3, 2, 3)
    tensor = Tensor(backend.asarray(array), ["i", "a", "i"])
    same(tensor.diagonal(), np.einsum("iai->ai", array))
    same(tensor.trace(), np.einsum("iai->a", array))
    same(tensor @ Tensor(backend.asarray(np.ones(2)), ["a"]), np.einsum("iai->", array))
    with pytest.raises(tnkit.IndexNameError, match="trace needs a repeated index"):
        tensor.trace().trace()


@pytest.mark.parametrize("scale", [1e200, 1e-200, 0.0])
def test_norm_neither_overflows_nor_underflows(backend: Any, scale: float) -> None:
    norm = Tensor(backend.asarray([3.0 * scale, 4.0 * scale]), ["i"]).norm()
    assert norm.item() == pytest.approx(5.0 * scale, rel=1e-14)


def test_mixed_dtypes_promote_and_keep_the_imaginary_part(backend: Any) -> None:
    real = Tensor(backend.asarray(np.ones(2, np.float32)), ["i"])
    whole = Tensor(backend.asarray(np.arange(2)), ["i"])
    cplx = Tensor(backend.asarray(np.array([1.0, 2.0j])), ["i"])
    assert (real @ cplx).item() == 1.0 + 2.0j
    assert (whole @ cplx).item() == 2.0j
    assert (real * 1j).inner(real * 1j).item() == 2.0
    assert (whole + 0.5).sum("i").item() == 2.0
    assert (whole / 2).sum("i").item() == 0.5
    assert complex(cplx.sum("i")) == 1.0 + 2.0j
    same(cplx.imag(), [0.0, 2.0])
    same(cplx.conj().imag(), [0.0, -2.0])
    same(real.imag(), [0.0, 0.0])
    with pytest.raises(TypeError, match="complex"):
        float(cplx.sum("i"))
    with pytest.raises(tnkit.ArgumentTypeError, match="drop the imaginary part"):
        cplx.astype("float64")
    assert whole.astype("float32").dtype == real.dtype


def test_truth_values_are_not_contracted_silently(backend: Any) -> None:
    allowed = Tensor(backend.asarray(np.ones(3, bool)), ["i"])
    with pytest.raises((tnkit.ArgumentTypeError, TypeError, RuntimeError)):
        allowed @ allowed
    assert (allowed.astype("int64") @ allowed.astype("int64")).item() == 3


def test_scalars_and_sizes_zero_and_one(backend: Any) -> None:
    scalar = Tensor(backend.asarray(2.0))
    empty = Tensor(backend.asarray(np.zeros((0, 2))), ["i", "j"])
    assert (scalar @ scalar).item() == 4.0
    assert (scalar @ empty).shape == (0, 2)
    assert (empty @ Tensor(backend.asarray(np.zeros((3, 0))), ["k", "i"])).shape == (2, 3)
    assert np.all((empty @ Tensor(backend.asarray(np.zeros(0)), ["i"])).to_numpy() == 0.0)
    assert empty.norm().item() == 0.0
    assert empty.allclose(empty)
    many = Tensor(backend.asarray(np.ones((1,) * 31)), [f"n{i}" for i in range(31)])
    other = Tensor(backend.asarray(np.ones((1,) * 30)), [f"n{i}" for i in range(1, 31)])
    assert (many @ other).shape == (1,)


@pytest.mark.parametrize("target", ["numpy", "torch", "jax"])
def test_moves_between_libraries(target: str) -> None:
    pytest.importorskip(target)
    array = np.arange(6.0).reshape(2, 3)
    array.setflags(write=False)
    tensor = Tensor(array, ["i", "j"])
    there = tensor.to(target)
    assert there.library.startswith(target)
    assert there.to("numpy").allclose(tensor)
    assert there.to_device(there.device).same_structure(there)
    with pytest.raises(tnkit.ArgumentError, match="unknown array library 'nupmy'"):
        tensor.to("nupmy")


def test_values_are_frozen_hashable_and_shown_without_data() -> None:
    tensor = Tensor(np.zeros((2, 3)), ["i", Index("j", 3)], tags=["x"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        tensor.array = 1  # type: ignore[misc]
    assert {tensor: 1}[tensor] == 1
    assert repr(tensor) == "Tensor(i: 2, j: 3; float64, numpy, tags=['x'])"
    assert "<th>i</th><th>j</th>" in tensor._repr_html_()
    assert tensor.indices == (Index("i", 2), Index("j", 3))
    assert tensor.with_tags("y").tags == {"y"}
    assert not tensor.same_structure(tensor.with_tags())
    assert tensor.rename({"i": "j", "j": "i"}).names == ("j", "i")
    assert tensor.slice({"j": slice(1, None)}).shape == (2, 2)
    assert tensor.map(np.cos).allclose(tensor + 1)


A = Tensor(np.zeros((2, 3)), ["i", "j"])
WRONG = {
    "too few names": (lambda: Tensor(np.zeros((2, 3)), ["i"]), "2 axes, shape .2, 3., needs 2"),
    "a bare string": (lambda: Tensor(np.zeros(2), "i"), r"indices must be a list, got 'i'"),
    "size of an Index": (lambda: Tensor(np.zeros(2), [Index("i", 3)]), "does not fit axis 0"),
    "repeated sizes": (lambda: Tensor(np.zeros((2, 3)), ["i", "i"]), "repeated with sizes 2 and 3"),
    "text": (lambda: Tensor(["a"], ["i"]), "expected numbers"),
    "a name that is no string": (lambda: Tensor(np.zeros(2), [0]), "must be a string, got 0"),
    "contracted sizes": (lambda: A @ Tensor(np.zeros(1), ["j"]), "'j' has size 3 .* and 1"),
    "added sizes": (lambda: A + Tensor(np.zeros(1), ["j"]), "'j' has size 3 on the left and 1"),
    "an unknown name": (lambda: A.sum("k"), "no index 'k' on this tensor; its indices are i, j"),
    "a partial transpose": (lambda: A.transpose("j"), "every index once; i not given"),
    "a collision": (lambda: A.rename({"i": "j"}), "two different indices one name"),
    "a value too large": (lambda: A.fix({"i": 2}), "has size 2; it has no value 2"),
    "an outer product": (lambda: A.outer(A), "share i, j"),
    "an inner product": (lambda: A.inner(A.fix({"i": 0})), "i occur on one only"),
    "unfused sizes": (lambda: A.unfuse("j", [("x", 2), ("y", 2)]), "size 3, not 2 . 2 = 4"),
    "an array": (lambda: A + np.zeros(3), "Tensor that names its axes"),
    "a tag string": (lambda: Tensor(1.0, [], tags="x"), "tags must be a list"),
    "item": (lambda: A.item(), "one element"),
}


@pytest.mark.parametrize(("action", "message"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_named(action: Any, message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        action()


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (2.5, TypeError), (True, ValueError)]
)
def test_an_index_has_a_whole_size(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="'i'"):
        Index("i", size)
