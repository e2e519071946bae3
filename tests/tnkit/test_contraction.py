"""Contracting any network equals numpy.einsum: every optimiser, sliced or not, every library."""

from __future__ import annotations

import os
import shutil
import threading
import tracemalloc
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import Tensor, TensorNetwork, contract, contract_scaled, einsum, plan
from tnkit.sealed import seal, unseal

LETTERS = "abcdefghij"
SIZES = dict(zip(LETTERS, [2, 3, 1, 2, 4, 2, 3, 1, 2, 2], strict=True))


@st.composite
def networks(draw: st.DrawFn, *, most: int = 6) -> TensorNetwork:
    """Draw a network: hyperedges, diagonals, sizes of one, lone sums, scalars, repeated tensors."""
    count = draw(st.integers(1, most))
    letters = LETTERS[: draw(st.integers(1, len(LETTERS)))]
    terms = draw(
        st.lists(st.lists(st.sampled_from(letters), max_size=4), min_size=count, max_size=count)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    tensors = [
        Tensor(rng.integers(-2, 3, [SIZES[x] for x in term]).astype(float), term) for term in terms
    ]
    if draw(st.booleans()):
        tensors.append(tensors[0])
    used = sorted({x for term in terms for x in term})
    if draw(st.booleans()):
        return TensorNetwork(tensors)
    chosen = draw(st.lists(st.sampled_from(used), unique=True, max_size=3)) if used else []
    return TensorNetwork(tensors, chosen)


def oracle(network: TensorNetwork) -> Any:
    spec = ",".join("".join(t.names) for t in network.tensors) + "->" + "".join(network.output)
    return np.einsum(spec, *(t.to_numpy() for t in network.tensors))


def on(network: TensorNetwork, backend: Any) -> TensorNetwork:
    return network.map(lambda t: t.with_array(backend.asarray(t.to_numpy())))


def equal(array: Any, expected: Any) -> bool:
    """Say whether an array of any library has the shape and the exact values expected."""
    return np.array_equal(tnkit.arrays.to_numpy(array), expected)


def least_memory(network: TensorNetwork, **options: Any) -> int:
    """Return a limit that forces as much slicing as there can be, within a factor."""
    low, high = 1, plan(network, **options).cost.peak_bytes
    while high - low > 8:
        middle = (low + high) // 2
        try:
            plan(network, memory_limit=middle, **options)
            high = middle
        except tnkit.MemoryLimitError:
            low = middle
    return high


@given(network=networks())
def test_contract_is_einsum(backend: Any, network: TensorNetwork) -> None:
    found = contract(on(network, backend))
    assert found.names == network.output
    assert np.array_equal(found.to_numpy(), oracle(network))
    assert found.shape == oracle(network).shape


@pytest.mark.parametrize(
    "optimizer", ["optimal", "dp", "greedy", "random-greedy", "cotengra", "auto"]
)
@settings(max_examples=25)
@given(network=networks(), data=st.data())
def test_every_optimizer_sliced_or_not(
    backend: Any, optimizer: str, network: TensorNetwork, data: st.DataObject
) -> None:
    whole = plan(network, optimizer=optimizer)
    arrays = on(network, backend).arrays
    assert equal(whole(*arrays), oracle(network))
    inner = [n for n in network.inner if network.sizes[n] > 1]
    if not inner:
        return
    chosen = data.draw(st.lists(st.sampled_from(inner), min_size=1, unique=True))
    parts = tnkit.planning._compiled(
        whole.inputs,
        whole.output,
        whole.shapes,
        "float64",
        "given",
        whole.path,
        tuple(chosen),
        None,
    )
    assert equal(parts(*arrays), oracle(network))


@settings(max_examples=20)
@given(network=networks())
def test_a_limit_is_kept_and_the_value_too(backend: Any, network: TensorNetwork) -> None:
    limit = least_memory(network)
    tight = plan(network, memory_limit=limit)
    assert tight.cost.peak_bytes <= limit
    moved = on(network, backend)
    assert np.array_equal(contract(moved, tight).to_numpy(), oracle(network))
    scaled = contract_scaled(moved, tight)
    assert np.allclose(Tensor(scaled.value, network.output).to_numpy(), oracle(network), rtol=1e-12)


def lattice(side: int, size: int = 3, seed: int = 0) -> TensorNetwork:
    """Return a square lattice of random tensors, without open indices."""
    networkx = pytest.importorskip("networkx")
    rng = np.random.default_rng(seed)
    return tnkit.from_networkx(
        networkx.grid_2d_graph(side, side),
        lambda node, shape: rng.standard_normal(shape),
        size=size,
    )


SLICED = lattice(5)
TIGHT = plan(SLICED, memory_limit=plan(SLICED).cost.peak_bytes // 2)
VALUE = contract(SLICED).item()


def test_slices_run_on_any_executor() -> None:
    assert TIGHT.cost.slices > 1
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as threads:
        found = contract(SLICED, TIGHT, executor=threads, progress=lambda *at: seen.append(at))
    assert found.item() == pytest.approx(VALUE, rel=1e-12)
    assert seen[-1] == (TIGHT.cost.slices, TIGHT.cost.slices)
    assert [at for at, _ in seen] == sorted({at for at, _ in seen})
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        again = contract(SLICED, TIGHT, executor=processes).item()
        scaled = contract_scaled(SLICED, TIGHT, executor=processes)
    assert again == found.item()
    assert float(scaled) == pytest.approx(VALUE, rel=1e-12)


@pytest.mark.parametrize("threaded", [False, True])
def test_work_stops_between_slices(threaded: bool) -> None:
    stop = threading.Event()

    def after_two(done: int, total: int) -> None:
        if done >= 2:
            stop.set()

    with ThreadPoolExecutor(1) as pool, pytest.raises(CancelledError, match="between slices"):
        contract(
            SLICED, TIGHT, executor=pool if threaded else None, progress=after_two, cancel=stop
        )


def test_over_the_limit_it_raises_before_allocating() -> None:
    big = Tensor(np.zeros((400, 400)), ["a", "b"])
    network = TensorNetwork(
        [big, big.rename({"a": "c", "b": "d"}), big.rename({"a": "e", "b": "f"})]
    )
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError, match=r"inputs take 3.662 MiB, the output 2.98.*e\+04 TiB"):
            contract(network, memory_limit=10**9)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    with pytest.raises(tnkit.MemoryLimitError, match=r"peaks at .* the limit is 1000"):
        contract(SLICED, plan(SLICED), memory_limit=1000)
    with pytest.raises(tnkit.SizeError, match="made for another structure"):
        contract(network, TIGHT)


def test_values_beyond_a_float(backend: Any) -> None:
    for factor in (1e250, 1e-250):
        tensors = [
            Tensor(backend.asarray(np.full((2, 2), factor)), [f"k{i}", f"k{i + 1}"])
            for i in range(40)
        ]
        found = contract_scaled(TensorNetwork(tensors))
        log_abs = np.log(factor) * 40 + np.log(2.0) * 39
        mantissa = Tensor(found.log_abs, ["i", "j"]).to_numpy()
        assert mantissa == pytest.approx(np.full((2, 2), log_abs), rel=1e-13)
    minus = contract_scaled(TensorNetwork([Tensor(backend.asarray(-2.0), [])]))
    assert float(minus.phase) == -1.0
    zero = contract_scaled(TensorNetwork([Tensor(backend.asarray(np.zeros(3)), ["i"])], []))
    assert float(zero.log_abs) == -np.inf
    with pytest.raises(tnkit.NonFiniteError, match="NaN or Inf"):
        contract_scaled(TensorNetwork([Tensor(backend.asarray([np.nan]), ["i"])], []))


A, B = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
C = np.arange(24.0).reshape(2, 3, 4)
FORMS = {
    "explicit": (("ij,jk->ki", A, B), np.einsum("ij,jk->ki", A, B)),
    "implicit": (("ji,ia", B.T, A.T), np.einsum("ji,ia", B.T, A.T)),
    "spaces": (("i j, j k -> i k", A, B), A @ B),
    "ellipsis": (("...j,jk->...k", C, np.ones((4, 2))), C @ np.ones((4, 2))),
    "ellipsis, implicit": (("i...,i", C, np.ones(2)), np.einsum("i...,i", C, np.ones(2))),
    "ellipsis of two ranks": (("...j,...j->...", C, B), (C * B).sum(-1)),
    "ellipsis summed": (("i...->i", C), C.sum((1, 2))),
    "trace": (("ii", np.eye(3)), 3.0),
    "diagonal": (("ii->i", B[:, :3]), np.diag(B[:, :3])),
    "transpose": (("ij->ji", A), A.T),
    "scalar": ((",ij->ij", 2.0, A), 2.0 * A),
    "hyperedge": (("ij,jk,jl->jil", A, B, B), np.einsum("ij,jk,jl->jil", A, B, B)),
    "interleaved": ((A, [0, 1], B, [1, 2], [2, 0]), (A @ B).T),
    "interleaved, implicit": ((B, "yz", A, "xy"), A @ B),
    "interleaved ellipsis": ((C, [..., 1], np.ones(4), [1]), C.sum(-1)),
    "interleaved labels": ((A, ["row", 1.5], B, [1.5, None], ["row", None]), A @ B),
}


@pytest.mark.parametrize(("arguments", "expected"), FORMS.values(), ids=FORMS.keys())
def test_einsum_forms(backend: Any, arguments: tuple[Any, ...], expected: Any) -> None:
    moved = [backend.asarray(a) if isinstance(a, np.ndarray | float) else a for a in arguments]
    found = einsum(*moved)
    assert np.array_equal(Tensor(found, [str(i) for i in range(found.ndim)]).to_numpy(), expected)


WRONG_EINSUM = {
    "broadcast": (lambda: einsum("i,i->", np.ones(3), np.ones(1)), "'i' has size 1 on array 1"),
    "terms": (lambda: einsum("i,i->", np.ones(3)), "has 2 terms, but 1 arrays"),
    "axes": (lambda: einsum("ij->", np.ones(3)), "array 0 has 1 axes"),
    "ellipsis": (lambda: einsum("ij...->", np.ones(1)), "names 2 axes, array 0 has 1"),
    "output": (lambda: einsum("i->j", np.ones(3)), "output index 'j' is on no tensor"),
    "twice": (lambda: einsum("i->ii", np.ones(3)), "output index i is repeated"),
    "dots": (lambda: einsum("i..->i", np.ones(3)), "'.' out of place"),
    "arrows": (lambda: einsum("i->i->i", np.ones(3)), "out of place"),
    "labels": (lambda: einsum(np.ones(3), 0), "list of labels"),
    "output label": (lambda: einsum(np.ones(3), [0], [1]), "output label 1 is on no array"),
    "nothing": (einsum, "needs a string and arrays"),
    "bool": (lambda: einsum("i,i", np.ones(2, bool), np.ones(2, bool)), "use int64 or float64"),
    "a network": (lambda: contract(A), "network must be a TensorNetwork, got array"),
    "executor": (lambda: contract(SLICED, executor=4), "must be an Executor"),
}


@pytest.mark.parametrize(("action", "message"), WRONG_EINSUM.values(), ids=WRONG_EINSUM.keys())
def test_mistakes_are_named(action: Any, message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        action()


def test_libraries_do_not_mix() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(tnkit.ArgumentTypeError, match="arrays of one library"):
        einsum("i,i", np.ones(2), torch.ones(2))


def test_dtypes_promote(backend: Any) -> None:
    whole, real = (
        backend.asarray(np.array([1, 2])),
        backend.asarray(np.array([0.5, 2.0], np.float32)),
    )
    cplx = backend.asarray(np.array([1j, 1.0], np.complex64))
    assert complex(einsum("i,i,i->", whole, real, cplx)) == 4.0 + 0.5j
    assert float(einsum("i,i->", whole, real)) == 4.5


def test_many_symbols_and_many_dimensions(backend: Any) -> None:
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((2, 2)) for _ in range(120)]
    arguments: list[Any] = []
    for at, matrix in enumerate(matrices):
        arguments += [backend.asarray(matrix), [at, at + 1]]
    expected = np.linalg.multi_dot(matrices)
    found = Tensor(einsum(*arguments, [0, 120]), ["i", "j"]).to_numpy()
    assert found == pytest.approx(expected, rel=1e-10)
    # forty axes, most of size one, in one tensor and in the result
    shape = tuple(2 if at % 8 == 0 else 1 for at in range(40))
    wide = Tensor(backend.asarray(rng.standard_normal(shape)), [f"n{at}" for at in range(40)])
    both = contract(TensorNetwork([wide, wide.fix({"n0": 0})], [f"n{at}" for at in range(40)]))
    assert both.shape == shape
    expected = wide.to_numpy() * wide.to_numpy()[:1]
    assert np.allclose(both.to_numpy(), expected, rtol=1e-14)


def test_gradients_pass_through_plans() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    shapes = [(3, 4), (4, 3, 2), (2, 4)]
    arrays = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    made = plan("ab,bac,cd->d", shapes=[a.shape for a in arrays])
    assert torch.autograd.gradcheck(made, arrays)
    text = unseal(made.to_json()) | {"sliced": ["a", "c"], "multiplications": 48}
    sliced = tnkit.Plan.from_json(seal(text))
    assert sliced.cost.slices == 6
    assert torch.autograd.gradcheck(sliced, arrays)
    network = tnkit.from_einsum("ab,bac,cd->", *arrays)
    log_abs = contract_scaled(network).log_abs
    expected = torch.autograd.grad(torch.log(torch.abs(contract(network).array)), arrays)
    for one, two in zip(torch.autograd.grad(log_abs, arrays), expected, strict=True):
        assert torch.allclose(one, two, rtol=1e-12)


def test_plans_compile() -> None:
    torch = pytest.importorskip("torch")
    network = lattice(2).map(lambda t: t.to("torch"))
    whole = plan(network)
    sliced = plan(network, memory_limit=whole.cost.peak_bytes - 1)
    assert sliced.cost.slices > 1
    for made in (whole, sliced):
        compiled = torch.compile(made, fullgraph=True, backend="eager")
        assert float(compiled(*network.arrays)) == pytest.approx(
            float(made(*network.arrays)), rel=1e-12
        )


# aab: a diagonal; ab,ac,ad: a batch; b of size one; an outer product; a lone transposition
COMPILED = {
    "chain": ("ab,bac,cd->d", [(3, 4), (4, 3, 2), (2, 4)]),
    "diagonal": ("aab,bc,cd,d->c", [(3, 3, 2), (2, 4), (4, 1), (1,)]),
    "hyperedge": ("ab,ac,ad->bcd", [(3, 2), (3, 4), (3, 2)]),
    "outer": ("a,b->ba", [(3,), (2,)]),
    "one": ("abc->cb", [(2, 3, 4)]),
}


@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None,
    reason="no C++ compiler, which torch.compile's default backend needs",
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize(("spec", "shapes"), COMPILED.values(), ids=COMPILED.keys())
def test_plans_compile_to_native_code(spec: str, shapes: list[tuple[int, ...]]) -> None:
    """By inductor, the default backend: values and gradients are those of the plan itself."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch._dynamo.reset()  # all plans are one function to torch, which compiles it eight times
    made = plan(spec, shapes=shapes)
    compiled = torch.compile(made, fullgraph=True)
    arrays = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    found, expected = compiled(*arrays), made(*arrays)
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-13)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    for one, two in zip(
        torch.autograd.grad((found * weights).sum(), arrays),
        torch.autograd.grad((expected * weights).sum(), arrays),
        strict=True,
    ):
        assert torch.allclose(one, two, rtol=1e-13, atol=1e-13)


def test_a_network_is_fitted_by_gradient() -> None:
    """Fit a chain of three tensors to a target that is one: torch.optim sees plain parameters."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    shape = {"i": 3, "j": 3, "k": 3, "b": 2, "c": 2}
    terms = [["i", "b"], ["b", "j", "c"], ["c", "k"]]
    made = plan(
        tnkit.Equation(tuple(map(tuple, terms)), ("i", "j", "k")),
        shapes=[[shape[n] for n in t] for t in terms],
    )
    target = made(*(torch.randn(s, dtype=torch.float64) for s in made.shapes))
    parameters = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in made.shapes]
    optimizer = torch.optim.LBFGS(parameters, max_iter=400, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        value = torch.sum((made(*parameters) - target) ** 2)
        value.backward()
        return value

    optimizer.step(loss)
    assert loss().item() < 1e-8 * float(torch.sum(target**2))
