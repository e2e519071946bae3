"""A plan knows its cost from sizes alone: every figure against an instrumented run."""

from __future__ import annotations

import json
import pickle
import random
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnkit
from tnkit import Equation, Plan, plan, planning
from tnkit.sealed import seal, unseal

SHAPES = [(2, 3), (3, 4), (4, 2)]


def ladder(count: int, size: int, ends: int = 3) -> tuple[Equation, list[tuple[int, ...]]]:
    """Return a closed ladder of tensors with an open index each so many: copies are needed."""
    inputs, shapes = [], []
    for at in range(count):
        after = (at + 1) % count
        names = [f"x{at}", f"y{at}", f"y{after}", f"x{after}"]
        if at % ends == 0:
            names.append(f"o{at}")
        inputs.append(tuple(names))
        shapes.append((size,) * len(names))
    return Equation(tuple(inputs), tuple(f"o{at}" for at in range(0, count, ends))), shapes


class Counter:
    """Stands in for the matrix products of NumPy and adds up what they multiply."""

    def __init__(self) -> None:
        self.multiplications = 0

    def dot(self, a: Any, b: Any) -> Any:
        self.multiplications += a.shape[0] * a.shape[1] * b.shape[1]
        return np.ndarray.dot(a, b)

    def batched(self, a: Any, b: Any) -> Any:
        self.multiplications += a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
        return np.matmul(a, b)


class Outer(np.ndarray):
    """An array that adds up what elementwise products multiply."""

    counter: Counter

    def __mul__(self, other: Any) -> Any:
        found = super().__mul__(other)
        if isinstance(other, np.ndarray):
            self.counter.multiplications += found.size
        return found

    __rmul__ = __mul__


def watched(array: Any) -> Any:
    return np.asarray(array).view(Outer)


def counted(made: Plan, arrays: list[Any], monkeypatch: pytest.MonkeyPatch) -> int:
    counter = Counter()
    Outer.counter = counter
    moves = tnkit.arrays.NUMPY_MOVERS._replace(
        dot=counter.dot,
        batched=counter.batched,
        sum=lambda a, axes: watched(np.sum(a, axes)),
        compact=lambda a: watched(np.ascontiguousarray(a)),
    )
    with monkeypatch.context() as patch:
        patch.setattr(planning, "movers", lambda array: moves)
        for module in (planning, tnkit.program):
            patch.setattr(module, "whole", watched)
        made(*(array.view(Outer) for array in arrays))
    return counter.multiplications


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, list[Any]]:
    letters = "abcdefg"
    sizes = dict(zip(letters, [2, 3, 1, 4, 2, 3, 2], strict=True))
    terms = draw(st.lists(st.lists(st.sampled_from(letters), max_size=4), min_size=1, max_size=6))
    used = sorted({x for term in terms for x in term})
    output = draw(st.lists(st.sampled_from(used), unique=True, max_size=2)) if used else []
    equation = Equation(tuple(map(tuple, terms)), tuple(output))
    shapes = [tuple(sizes[x] for x in term) for term in terms]
    made = plan(equation, shapes=shapes, optimizer=draw(st.sampled_from(["greedy", "dp"])))
    inner = [x for x in used if x not in output and sizes[x] > 1]
    if inner:
        cut = draw(st.lists(st.sampled_from(inner), unique=True))
        text = unseal(made.to_json()) | {"sliced": cut}
        text["multiplications"] = planning._compiled(
            made.inputs, made.output, made.shapes, "float64", "x", made.path, tuple(cut), None
        ).cost.multiplications
        made = Plan.from_json(seal(text))
    return made, [np.ones(shape) for shape in shapes]


@given(drawn=plans())
def test_multiplications_are_those_of_an_instrumented_run(drawn: tuple[Plan, list[Any]]) -> None:
    made, arrays = drawn
    with pytest.MonkeyPatch.context() as patch:
        assert counted(made, arrays, patch) == made.cost.multiplications
    assert made.cost.flops == 2 * made.cost.multiplications
    steps = sum(s.multiplications * (1 if s.once else made.cost.slices) for s in made.steps)
    assert steps == made.cost.multiplications


@pytest.mark.parametrize("limit", [None, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_peak_is_that_of_an_instrumented_run(limit: float | None, seed: int) -> None:
    equation, shapes = ladder(7, 5, ends=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(shapes))
    equation = Equation(tuple(equation.inputs[at] for at in order), equation.output)
    shapes = [shapes[at] for at in order]
    free = plan(equation, shapes=shapes, optimizer="random-greedy", seed=seed)
    made = free
    if limit is not None:
        made = plan(
            equation,
            shapes=shapes,
            optimizer="random-greedy",
            seed=seed,
            memory_limit=int(limit * free.cost.peak_bytes),
        )
        assert made.cost.slices > 1
        assert made.cost.peak_bytes <= limit * free.cost.peak_bytes
    arrays = [np.ones(shape) for shape in shapes]
    held = sum(array.nbytes for array in arrays)
    made(*arrays)
    tracemalloc.start()
    try:
        made(*arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # what is left over is Python's own: views, tuples, the registers
    assert 0 <= held + peak - made.cost.peak_bytes <= 4_000


def test_complex_costs_four_times_and_twice_the_bytes() -> None:
    real, cplx = (plan("ij,jk,ki->", shapes=SHAPES, dtype=t) for t in ("float64", "complex128"))
    assert cplx.cost.flops == 4 * real.cost.flops
    assert cplx.cost.peak_bytes == 2 * real.cost.peak_bytes == real.peak_bytes("complex128")
    assert real.peak_bytes("bfloat16") * 4 == real.cost.peak_bytes


@given(drawn=plans())
def test_json_and_pickle_round_trip(drawn: tuple[Plan, list[Any]]) -> None:
    made, _ = drawn
    back = Plan.from_json(made.to_json())
    assert back == made
    assert hash(back) == hash(made)
    assert back._program == made._program
    assert pickle.loads(pickle.dumps(made)) == made
    assert back.to_json() == made.to_json()


DAMAGE = {
    "not json": (lambda d: "{", "not a plan written by to_json"),
    "an edited text": (lambda d: json.dumps(d | {"sha256": "0"}), "does not match"),
    "another format": (lambda d: seal(d | {"format": "x"}), "the format is 'x'"),
    "a later version": (lambda d: seal(d | {"version": 2}), "reads version 1"),
    "a missing part": (lambda d: seal({"format": "tnkit.plan", "version": 1}), "inputs"),
    "another path": (lambda d: seal(d | {"path": [[0, 1], [0, 2]]}), "does not contract 3"),
    "a cut output": (lambda d: seal(d | {"sliced": ["nope"]}), "not nope"),
    "other shapes": (lambda d: seal(d | {"shapes": [[2, 9], [9, 4], [4, 2]]}), "was changed"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_plan_is_refused(damage: Any, message: str) -> None:
    text = unseal(plan("ij,jk,ki->", shapes=SHAPES).to_json())
    with pytest.raises(tnkit.FormatError, match=message):
        Plan.from_json(damage(text))


def test_a_plan_prints_itself() -> None:
    text = str(plan("ij,jk,kl->il", shapes=[(2, 3), (3, 4), (4, 5)]))
    assert "Plan of 3 tensors to (i, l), float64, by optimal" in text
    assert "128 flops, peak" in text
    assert "0 (i, j) @ 1 (j, k) -> 3 (i, k)  24" in text
    equation, shapes = ladder(9, 7)
    tight = plan(equation, shapes=shapes, memory_limit=10**6)
    assert "slices costing" in str(tight)
    assert "sliced: " in str(tight)


def test_plans_are_kept_by_structure_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_cache", planning._Cache(2))
    searches = []
    decide = planning._decide
    monkeypatch.setattr(
        planning, "_decide", lambda *a, **k: (searches.append(1), decide(*a, **k))[1]
    )
    one = plan("ij,jk->ik", shapes=SHAPES[:2])
    two = plan("xy,yz->xz", shapes=SHAPES[:2])
    assert len(searches) == 1
    assert (one.path, one.cost) == (two.path, two.cost)
    assert two.output == ("x", "z")
    plan("ij,jk->ik", shapes=SHAPES[:2], minimize="size")
    plan("ij,jk->ik", shapes=SHAPES[:2], minimize="combo")
    assert len(searches) == 3
    assert len(planning._cache._found) == 2


def test_the_same_seed_gives_the_same_plan_and_global_state_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    equation, shapes = ladder(12, 2)
    for optimizer in ("random-greedy", "anneal", "auto"):
        monkeypatch.setattr(planning, "_cache", planning._Cache(2))
        state = random.getstate()
        one = plan(equation, shapes=shapes, optimizer=optimizer, seed=3)
        monkeypatch.setattr(planning, "_cache", planning._Cache(2))
        assert random.getstate() == state
        random.random()
        two = plan(equation, shapes=shapes, optimizer=optimizer, seed=3)
        random.setstate(state)
        assert one == two


@pytest.mark.parametrize("optimizer", ["auto", "anneal", "random-greedy", "cotengra"])
def test_a_time_budget_is_used_and_kept(optimizer: str) -> None:
    networkx = pytest.importorskip("networkx")
    network = tnkit.from_networkx(
        networkx.random_regular_graph(3, 60, seed=1), lambda node, shape: np.ones(shape)
    )
    plan(network, optimizer=optimizer)  # imports are not part of the search
    told: list[tuple[float, float]] = []
    start = time.monotonic()
    made = plan(network, optimizer=optimizer, time_budget=1.0, progress=lambda *at: told.append(at))
    spent = time.monotonic() - start
    assert 0.5 < spent < 3.0
    assert told
    assert told[-1][1] == pytest.approx(np.log10(made.cost.multiplications), abs=0.5)
    assert made.cost.multiplications <= plan(network, optimizer="greedy").cost.multiplications


@pytest.mark.parametrize("minimize", ["flops", "size", "combo"])
def test_each_objective_is_the_one_minimised(minimize: str) -> None:
    equation, shapes = ladder(16, 3)
    figures = {
        what: plan(equation, shapes=shapes, optimizer="anneal", minimize=what).cost
        for what in ("flops", "size", "combo")
    }
    keys = {
        "flops": lambda cost: cost.multiplications,
        "size": lambda cost: cost.largest_bytes,
        "combo": lambda cost: cost.multiplications + 64 * cost.written,
    }
    key = keys[minimize]
    assert key(figures[minimize]) == min(key(cost) for cost in figures.values())


def test_a_given_path_and_a_foreign_optimizer() -> None:
    opt_einsum = pytest.importorskip("opt_einsum")
    made = plan("ij,jk,kl->il", shapes=[(2, 3), (3, 4), (4, 5)], optimizer=[(1, 2), (0, 1)])
    assert made.path == ((1, 2), (0, 3))
    assert made.optimizer == "given"
    foreign = plan(
        "ij,jk,kl->il", shapes=[(2, 3), (3, 4), (4, 5)], optimizer=opt_einsum.DynamicProgramming()
    )
    assert foreign.optimizer == "DynamicProgramming"
    three = plan("ij,jk,kl->il", shapes=[(2, 3), (3, 4), (4, 5)], optimizer=[(0, 1, 2)])
    assert len(three.path) == 2


@given(drawn=plans(), data=st.data())
@settings(max_examples=25)
def test_a_batch_axis_is_a_loop(drawn: tuple[Plan, list[Any]], data: st.DataObject) -> None:
    made, arrays = drawn
    chosen = data.draw(st.sets(st.integers(0, len(arrays) - 1), min_size=1))
    rng = np.random.default_rng(0)
    stacks = [
        rng.integers(-2, 3, (5, *a.shape)).astype(float) if at in chosen else a
        for at, a in enumerate(arrays)
    ]
    batched = made.with_batch(5, chosen)
    loop = [
        made(*(s[at] if number in chosen else s for number, s in enumerate(stacks)))
        for at in range(5)
    ]
    assert np.array_equal(batched(*stacks), np.stack(loop))


LONG = ladder(14, 2)
WRONG = {
    "optimizer": (
        lambda: plan("ij->i", shapes=[(2, 2)], optimizer="best"),
        "'best' is not offered",
    ),
    "optimizer type": (lambda: plan("ij->i", shapes=[(2, 2)], optimizer=3), "path or a callable"),
    "objective": (lambda: plan("ij->i", shapes=[(2, 2)], minimize="time"), "'time' is not offered"),
    "path": (lambda: plan("i,i->", shapes=[(2,), (2,)], optimizer=[(0, 2)]), "2 tensors are left"),
    "path twice": (
        lambda: plan("i,i->", shapes=[(2,), (2,)], optimizer=[(0, 0)]),
        "does not fit",
    ),
    "budget": (lambda: plan("i->", shapes=[(2,)], time_budget=0), "above 0 seconds"),
    "limit": (
        lambda: plan("i->", shapes=[(2,)], memory_limit="1GB"),
        "memory_limit must be a number",
    ),
    "no limit": (lambda: plan("i->", shapes=[(2,)], memory_limit=0), "above 0 bytes"),
    "dtype": (lambda: plan("i->", shapes=[(2,)], dtype="float65"), "unknown dtype 'float65'"),
    "shapes": (lambda: plan("i->"), "needs shapes="),
    "what": (lambda: plan(3, shapes=[]), "must be a TensorNetwork"),  # type: ignore[arg-type]
    "optimal": (
        lambda: plan(ladder(14, 2)[0], shapes=ladder(14, 2)[1], optimizer="optimal"),
        "'dp'",
    ),
    "arrays": (lambda: plan("i->", shapes=[(2,)])(), "takes 1 arrays, got 0"),
    "shape": (lambda: plan("i->", shapes=[(2,)])(np.ones(3)), r"array 0 has shape \(3,\)"),
    "batch": (lambda: plan("i->", shapes=[(2,)]).with_batch(2, [1]), "some of the 1 arrays"),
}


@pytest.mark.parametrize(("action", "message"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_named(action: Any, message: str) -> None:
    with pytest.raises(tnkit.TnkitError, match=message):
        action()


def test_the_overlap_of_two_chains_copies_nothing() -> None:
    """The order of each pair is chosen so that its result comes as the next step reads it."""
    length = 20
    terms = [
        tuple(x for x in (f"{row}{at}", f"p{at}", f"{row}{at + 1}") if x not in ("a0", "b0"))
        for at in range(length)
        for row in "ab"
    ]
    ends = {f"{row}{length}" for row in "ab"}
    terms = [tuple(x for x in term if x not in ends) for term in terms]
    shapes = [tuple(2 if x[0] == "p" else 16 for x in term) for term in terms]
    made = plan(tnkit.Equation(tuple(terms), ()), shapes=shapes)
    assert sum(step.copied for step in made.steps) == 0


def test_auto_searches_where_greedy_is_far_from_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a 12 x 12 lattice greedy needs 10^7.03 multiplications, a long search 10^6.05."""
    networkx = pytest.importorskip("networkx")
    edges = {edge: f"b{at}" for at, edge in enumerate(networkx.grid_2d_graph(12, 12).edges)}
    nodes = networkx.grid_2d_graph(12, 12).nodes
    terms = tuple(tuple(name for edge, name in edges.items() if node in edge) for node in nodes)
    shapes = [(2,) * len(term) for term in terms]
    made = plan(Equation(terms, ()), shapes=shapes)
    assert made.cost.multiplications < 10**6.2
    monkeypatch.setattr(planning, "_cache", planning._Cache(256))
    assert plan(Equation(terms, ()), shapes=shapes) == made
