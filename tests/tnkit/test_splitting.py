"""One tensor into two: the product is the tensor, the weight says what is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, Truncation, split

# method -> the sides that can take the values
TABLE = {
    "auto": ("left", "right", "both", "none"),
    "svd": ("left", "right", "both", "none"),
    "gram": ("left", "right"),
    "rsvd": ("left", "right", "both", "none"),
    "subspace": ("left", "right"),
    "eigh": ("left", "right", "none"),
    "qr": ("right",),
    "lq": ("left",),
    "rq": ("left",),
    "polar": ("left", "right"),
}
CASES = [(method, side) for method, sides in TABLE.items() for side in sides]


def random(shape: tuple[int, ...], seed: int, *, cplx: bool = False) -> Any:
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape)
    return array + 1j * rng.standard_normal(shape) if cplx else array


def limit(method: str) -> Truncation:
    if method == "subspace":
        return Truncation(static=True)
    return Truncation(max_bond=12) if method == "rsvd" else Truncation()


@pytest.mark.parametrize(("method", "side"), CASES)
@pytest.mark.parametrize("cplx", [False, True])
def test_the_product_is_the_tensor(backend: Any, method: str, side: Any, cplx: bool) -> None:
    for rows, columns in [((2, 3), (3, 2)), ((2, 2), (3, 2)), ((3, 3), (2,))]:
        array = random((*rows, *columns), 0, cplx=cplx)
        if method == "eigh":
            if np.prod(rows) != np.prod(columns):
                continue
            square = array.reshape(6, 6)
            array = (square + square.conj().T).reshape(array.shape)
        names = ["a", "b", "c", "d"][: array.ndim]
        tensor = Tensor(backend.asarray(array), names)
        found = (
            split(tensor, ["b", "a"], method, limit(method), side)
            if method != "eigh"
            else split(tensor, ["a", "b"], method, limit(method), side)
        )
        assert found.left.names[:2] == (("a", "b") if method == "eigh" else ("b", "a"))
        assert found.left.names[-1] == found.right.names[0] == found.bond == "bond"
        assert found.discarded_weight <= 1e-30
        if side == "none":
            assert found.values is not None
            product = found.left @ (Tensor(found.values, ["bond"]) * found.right)
        else:
            product = found.left @ found.right
        assert product.transpose(*names).allclose(tensor, rtol=1e-12)
        isometry(found, side, method)


def isometry(found: tnkit.Split, side: str, method: str) -> None:
    if side in ("right", "none") and method != "polar":
        left = found.left.to_numpy().reshape(-1, found.left.shape[-1])
        assert np.allclose(left.conj().T @ left, np.eye(left.shape[1]), atol=1e-12)
    if side in ("left", "none") and method != "polar":
        right = found.right.to_numpy().reshape(found.right.shape[0], -1)
        assert np.allclose(right @ right.conj().T, np.eye(right.shape[0]), atol=1e-12)


def test_triangles_and_polar_factors_are_what_they_say() -> None:
    square = Tensor(random((4, 4), 1), ["a", "b"])
    assert np.allclose(np.tril(split(square, ["a"], "qr").right.to_numpy(), -1), 0.0)
    assert np.allclose(np.triu(split(square, ["a"], "lq").left.to_numpy(), 1), 0.0)
    assert np.allclose(np.tril(split(square, ["a"], "rq").left.to_numpy(), -1), 0.0, atol=1e-14)
    positive = split(square, ["a"], "polar").right.to_numpy()
    assert np.allclose(positive, positive.T)
    assert np.linalg.eigvalsh(positive).min() > 0.0


@given(
    seed=st.integers(0, 2**16),
    bond=st.integers(1, 6),
    method=st.sampled_from(["svd", "rsvd", "gram", "subspace"]),
)
def test_the_weight_is_what_is_missing(seed: int, bond: int, method: str) -> None:
    array = random((6, 7), seed)
    static = method == "subspace"
    if static:  # which finds the best space where singular values fall
        u, _, vh = np.linalg.svd(array, full_matrices=False)
        array = u * 3.0 ** -np.arange(6) @ vh
    tensor = Tensor(array, ["a", "b"])
    found = split(tensor, ["a"], method, Truncation(max_bond=bond, static=static))
    missing = (found.left @ found.right - tensor).norm().item() ** 2 / tensor.norm().item() ** 2
    assert found.discarded_weight == pytest.approx(missing, rel=1e-6, abs=1e-14)
    values = np.linalg.svd(tensor.to_numpy(), compute_uv=False)
    best = float(np.sum(values[bond:] ** 2) / np.sum(values**2))
    if static:
        assert best - 1e-14 <= missing <= 2.0 * best + 1e-14
    else:
        assert missing == pytest.approx(best, rel=0.2 if method == "rsvd" else 1e-6, abs=1e-14)


def test_eigh_keeps_the_largest_in_magnitude() -> None:
    tensor = Tensor(np.diag([1.0, -3.0, 2.0]), ["a", "b"])
    found = split(tensor, ["a"], "eigh", Truncation(max_bond=2))
    assert np.asarray(found.values).tolist() == [-3.0, 2.0]
    assert found.discarded_weight == pytest.approx(1 / 14)


def test_scalars_vectors_and_empty_tensors(backend: Any) -> None:
    vector = Tensor(backend.asarray(np.arange(3.0)), ["a"])
    for names in ([], ["a"]):
        found = split(vector, names)
        assert (found.left @ found.right).allclose(vector)
    empty = split(Tensor(backend.asarray(np.zeros((0, 2))), ["a", "b"]), ["a"])
    assert (empty.left @ empty.right).shape == (0, 2)
    whole = split(Tensor(backend.asarray(np.arange(4).reshape(2, 2)), ["a", "b"]), ["a"])
    assert (whole.left @ whole.right).norm().item() == pytest.approx(14**0.5)


A = Tensor(np.ones((2, 3)), ["a", "b"])
WRONG = {
    "method": (lambda: split(A, ["a"], "svdd"), "'svdd' is not offered; use 'auto', 'svd'"),
    "name": (lambda: split(A, ["c"]), "no index 'c'"),
    "text": (lambda: split(A, "a"), "left_names must be a list"),
    "bond": (lambda: split(A, ["a"], bond="b"), "'b' is an index of the tensor"),
    "side": (lambda: split(A, ["a"], "qr", absorb="left"), "is not offered"),
    "truncated qr": (lambda: split(A, ["a"], "qr", Truncation(max_bond=1)), "cannot truncate"),
    "truncation": (lambda: split(A, ["a"], truncation=3), "must be a Truncation"),  # type: ignore[arg-type]
    "subspace": (lambda: split(A, ["a"], "subspace"), "keeps a fixed number"),
    "rsvd": (lambda: split(A, ["a"], "rsvd"), "needs a Truncation with max_bond"),
    "eigh shape": (lambda: split(A, ["a"], "eigh"), "square matrix, got 2 x 3"),
    "eigh": (
        lambda: split(Tensor([[0.0, 1.0], [2.0, 0.0]], ["a", "b"]), ["a"], "eigh"),
        "differs from its adjoint by 1",
    ),
}


@pytest.mark.parametrize(("action", "message"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_named(action: Any, message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        action()


HARSH = """
import sys
import numpy as np
import tnkit
from tnkit import Tensor, Truncation, split
rng = np.random.default_rng(0)
base = rng.standard_normal((12, 12)); base = base + base.T
cases = {
    "zero": base * 0, "huge": base * 1e200, "tiny": base * 1e-200,
    "mixed": base * 10.0 ** rng.integers(-300, 300, 12),
    "rank one": np.outer(base[0], base[0]), "denormal": base * 5e-320,
    "identity": np.eye(12), "one": np.ones((1, 1)),
}
cases["mixed"] = (cases["mixed"] + cases["mixed"].T) / 2
library = sys.argv[1]
for dtype in ("float64", "complex128"):
    for method in ("auto", "svd", "gram", "rsvd", "eigh", "qr", "lq", "rq", "polar"):
        limit = Truncation(max_bond=12) if method == "rsvd" else Truncation()
        for name, array in cases.items():
            t = Tensor(array.astype(dtype), ["a", "b"]).to(library)
            s = split(t, ["a"], method, limit)
            biggest = np.abs(array).max() or 1.0
            error = np.abs(s.left.to_numpy() @ s.right.to_numpy() - array).max() / biggest
            loose = name == "denormal" or method == "gram"
            assert error < (1e-3 if loose else 1e-12), (method, name, error)
            assert 0.0 <= s.discarded_weight < 1e-12, (method, name, s.discarded_weight)
        for bad in (np.nan, np.inf, -np.inf):
            array = base.copy(); array[3, 4] = array[4, 3] = bad
            t = Tensor(array.astype(dtype), ["a", "b"]).to(library)
            try:
                split(t, ["a"], method, limit)
            except tnkit.NonFiniteError as error:
                assert "NaN or Inf" in str(error)
            else:
                raise AssertionError((method, bad))
        if method != "polar":
            try:
                t = Tensor(np.full((12, 12), 1e308, dtype), ["a", "b"]).to(library)
                split(t, ["a"], method)
            except (tnkit.ScaleError, tnkit.ArgumentError):
                pass
print("survived")
"""


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_harsh_input_neither_hangs_nor_lies(library: str) -> None:
    pytest.importorskip(library)
    done = subprocess.run(
        [sys.executable, "-c", HARSH, library],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "survived", done.stderr[-2000:]


def test_a_slower_driver_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")

    def fail(*arguments: Any, **options: Any) -> Any:
        raise np.linalg.LinAlgError("SVD did not converge")

    tensor = Tensor(random((5, 4), 2), ["a", "b"])
    monkeypatch.setattr(tnkit.factorisation, "_svd_direct", fail)
    monkeypatch.setattr(tnkit.arrays.numpy_namespace.linalg, "svd", fail)
    found = split(tensor, ["a"])
    assert (found.left @ found.right).allclose(tensor, rtol=1e-12)
    monkeypatch.setattr(tnkit.factorisation, "_svd_gesvd", fail)
    with pytest.raises(tnkit.ConvergenceError, match="method='qr'"):
        split(tensor, ["a"])


# ---- gradients under torch

INPUTS = {
    "generic": lambda: random((5, 4), 3),
    "wide": lambda: random((3, 5), 3),
    "degenerate": lambda: np.diag([2.0, 2.0, 1.0, 1.0]) @ np.linalg.qr(random((4, 4), 3))[0],
    "identity": lambda: np.eye(4),
    "rank two": lambda: random((5, 2), 3) @ random((2, 4), 4),
    "zero": lambda: np.zeros((3, 4)),
    "complex": lambda: random((4, 3), 5, cplx=True),
}


@pytest.mark.parametrize("method", ["svd", "qr", "lq", "rq", "polar"])
@pytest.mark.parametrize("case", INPUTS)
def test_gradients_are_finite_and_right(method: str, case: str) -> None:
    """The gradient of f(left @ right) is that of f, at fixed rank; of f(values) as by hand."""
    torch = pytest.importorskip("torch")
    matrix = INPUTS[case]()
    leaf = torch.tensor(matrix, requires_grad=True)
    weight = torch.tensor(random(matrix.shape, 9, cplx=np.iscomplexobj(matrix)))
    found = split(Tensor(leaf, ["a", "b"]), ["a"], method)
    loss = torch.sum((weight.conj() * (found.left @ found.right).array).real)
    (gradient,) = torch.autograd.grad(loss, leaf)
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    rank = int(np.sum(s > 1e-12 * max(1.0, s[0])))
    u, vh = u[:, :rank], vh[:rank]
    assert torch.isfinite(gradient).all()
    # the law holds for every perturbation that keeps the rank; beyond them nothing is defined
    wrong = gradient.numpy() - weight.numpy()
    outside = wrong - u @ (u.conj().T @ wrong)
    assert np.allclose(wrong, outside - outside @ vh.conj().T @ vh, atol=1e-10)
    if rank == min(matrix.shape):
        assert np.allclose(wrong, 0.0, atol=1e-10)


@pytest.mark.parametrize("case", INPUTS)
def test_gradients_of_the_values_and_of_projectors(case: str) -> None:
    torch = pytest.importorskip("torch")
    matrix = INPUTS[case]()
    leaf = torch.tensor(matrix, requires_grad=True)
    found = split(Tensor(leaf, ["a", "b"]), ["a"], absorb="none")
    (gradient,) = torch.autograd.grad(torch.sum(found.values**2), leaf, retain_graph=True)
    assert np.allclose(gradient.numpy(), 2 * matrix, atol=1e-12)  # sum s^2 = |A|^2
    left = found.left.array
    projector = torch.sum((left @ left.mH).real)
    (gradient,) = torch.autograd.grad(projector, leaf)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("cplx", [False, True])
def test_gradients_of_factors_match_finite_differences(cplx: bool) -> None:
    torch = pytest.importorskip("torch")
    for shape in [(4, 4), (5, 3), (3, 5)]:
        leaf = torch.tensor(random(shape, 11, cplx=cplx), requires_grad=True)
        weight = torch.tensor(random(shape, 12, cplx=cplx))

        def keep_two(a: Any, weight: Any = weight) -> Any:
            found = split(Tensor(a, ["a", "b"]), ["a"], truncation=Truncation(max_bond=2))
            return torch.sum((weight * (found.left @ found.right).array).abs() ** 2)

        assert torch.autograd.gradcheck(keep_two, leaf)

        def factors(a: Any) -> Any:
            q, r = tnkit.factorisation.qr(a)
            return torch.sum((q @ q.mH)[0].abs() ** 2) + torch.sum(r.abs() ** 4)

        assert torch.autograd.gradcheck(factors, leaf)

        def spectrum(a: Any) -> Any:
            values, vectors = tnkit.factorisation.eigh(a @ a.mH)
            top = vectors[:, -1:]
            return values[-1] ** 2 + torch.sum((top @ top.mH)[0].abs() ** 2)

        assert torch.autograd.gradcheck(spectrum, leaf)


def test_gradient_of_degenerate_eigenvalues() -> None:
    torch = pytest.importorskip("torch")
    leaf = torch.eye(4, dtype=torch.float64, requires_grad=True)
    values, vectors = tnkit.factorisation.eigh(leaf)
    again = torch.sum((vectors * values) @ vectors.mH * torch.ones(4, 4))
    (gradient,) = torch.autograd.grad(again + torch.sum(values), leaf)
    assert torch.isfinite(gradient).all()
    assert torch.allclose(torch.diagonal(gradient).sum(), torch.tensor(8.0, dtype=torch.float64))


COARSE = Truncation(value_cutoff=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "rule", "side", "expected"),
    [
        ((64, 64), "float32", Truncation(), "right", "gram"),
        ((64, 64), "complex64", Truncation(max_bond=8), "left", "gram"),
        ((63, 63), "float32", Truncation(), "right", "svd"),  # LAPACK is as fast
        ((64, 64), "float64", Truncation(), "right", "svd"),  # gram is blind below 1e-8
        ((64, 64), "float64", Truncation(max_bond=8), "right", "svd"),
        ((64, 64), "float64", COARSE, "right", "gram"),
        ((64, 64), "complex128", Truncation(cutoff=1e-10), "left", "gram"),
        ((64, 64), "float64", Truncation(cutoff=1e-11), "right", "svd"),
        ((64, 200), "float32", Truncation(), "right", "gram"),
        ((64, 200), "float32", Truncation(), "left", "svd"),  # the long side would be squared
        ((64, 64), "float32", Truncation(), "both", "svd"),
    ],
)
def test_auto_says_what_it_does(
    backend: Any, shape: Any, dtype: str, rule: Truncation, side: Any, expected: str
) -> None:
    assert tnkit.split_method(*shape, dtype, rule, side) == expected
    matrix = backend.asarray(random(shape, 0, cplx=dtype.startswith("c")).astype(dtype))
    assert tnkit.split_matrix(matrix, rule, method="auto", absorb=side).method == expected
    assert split(Tensor(matrix, ["a", "b"]), ["a"], "auto", rule, side).method == expected


@given(
    seed=st.integers(0, 10**6),
    fall=st.floats(1.0, 30.0),
    dtype=st.sampled_from(["float32", "float64", "complex64"]),
    rule=st.sampled_from([Truncation(max_bond=20), COARSE, Truncation(cutoff=1e-8)]),
    side=st.sampled_from(["left", "right"]),
)
def test_auto_is_as_exact_as_svd(
    seed: int, fall: float, dtype: str, rule: Truncation, side: Any
) -> None:
    """The same weight and an isometry, both to rounding, whatever the spectrum."""
    m = 70
    u, v = (np.linalg.qr(random((m, m), seed + k, cplx=dtype == "complex64"))[0] for k in (0, 1))
    matrix = ((u * np.exp(-fall * np.arange(m) / m)) @ v).astype(dtype)
    exact = tnkit.split_matrix(matrix, rule, method="svd", absorb=side)
    found = tnkit.split_matrix(matrix, rule, method="auto", absorb=side)
    eps = float(np.finfo(dtype).eps)
    assert abs(found.left.shape[1] - exact.left.shape[1]) <= 1  # a value on the edge may fall
    frame = found.left if side == "right" else found.right.conj().T
    wide = np.asarray(frame, dtype=np.result_type(dtype, np.float64))
    assert np.abs(wide.conj().T @ wide - np.eye(wide.shape[1])).max() < 20 * eps
    lost, best = (np.linalg.norm(matrix - np.asarray(s.left) @ s.right) for s in (found, exact))
    size = np.linalg.norm(matrix)
    edge = max(rule.value_cutoff**2, rule.cutoff) * (found.left.shape[1] < exact.left.shape[1])
    # squares of values are known to rounding of the largest; the factors are stored in `dtype`
    weight = m * np.finfo(np.float64).eps + 2 * edge
    assert lost <= (best**2 + weight * size**2) ** 0.5 + 40 * eps * size


def test_auto_leaves_gradients_to_svd() -> None:
    torch = pytest.importorskip("torch")
    leaf = torch.ones((64, 64), dtype=torch.float32, requires_grad=True)
    assert tnkit.split_matrix(leaf, method="auto").method == "svd"
