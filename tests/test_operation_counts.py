"""How much work the inner loops do, in counts that no busy machine can blur: a guard against rises.

Each case runs once on PyTorch under a counter of its operators, and once on NumPy under a counter
of calls and of memory. Where a change does less, lower its row; where it must do more, say why.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tnkit
from born_machine.sweeper import likelihood_problem
from born_machine.update import StepRule
from tnkit.algorithms.dmrg import EnergyProblem

torch = pytest.importorskip("torch")
dispatch = pytest.importorskip("torch.utils._python_dispatch")

SITES, BOND, SAMPLES = 12, 8, 200
Place = Callable[[Any], Any]


class Work(NamedTuple):
    """operators: of the array library that compute or copy (views are free), on PyTorch.

    multiplications: of all matrix products among them. calls: of Python and C functions, on NumPy.
    kilobytes: most memory held at once beyond what was held before, on NumPy.
    """

    operators: int
    multiplications: int
    calls: int
    kilobytes: float


BOUNDS = {
    # on PyTorch 36 operators pick the rank where the values are, in place of two questions; 4 set
    # elements too small to matter to zero, else over-fitted bonds take three times as long
    "training, a bond step": Work(117, 50_432, 266, 26.4),
    "dmrg, a bond step": Work(79, 87_680, 493, 52.2),
    "compress": Work(226, 10_704, 2138, 22.5),
    "overlap": Work(70, 14_040, 207, 4.7),
    "planned contraction of a ring": Work(10, 528, 19, 1.2),
}
SLACK = 1.02  # calls and memory differ a little between versions of Python and NumPy

VIEWS = {
    *("view", "_unsafe_view", "slice", "select", "permute", "transpose", "expand", "squeeze"),
    *("squeeze_", "unsqueeze", "detach", "alias", "diagonal", "lift_fresh"),
}


def state(place: Place, seed: int = 0, dtype: str = "float64") -> tnkit.MPS:
    psi = tnkit.random_mps(SITES, bond_dim=BOND, dtype=dtype, seed=seed)
    psi = tnkit.normalize(tnkit.canonicalize(psi, 5))
    return tnkit.MPS.from_arrays([place(array) for array in psi.arrays])


def a_bond_step(problem: Any, psi: tnkit.MPS, method: str) -> Callable[[], Any]:
    step = tnkit.two_site(problem, tnkit.Truncation(max_bond=BOND), method=method)
    zipper = tnkit.open_zipper(psi, problem, 5)
    return lambda: step(zipper, tnkit.Move(5, True))


def training(place: Place) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.standard_normal((SAMPLES, SITES)), axis=1)
    psi = state(place, dtype="float32")
    rule = StepRule(learning_rate=0.05)
    samples = (walks > 0).astype(np.uint8)
    problem = likelihood_problem(samples, (2,) * SITES, psi.arrays[0], rule)
    return a_bond_step(problem, psi, "gram")


def ground_state(place: Place) -> Callable[[], Any]:
    terms = tnkit.OpSum()
    for k in range(SITES - 1):
        for name in ("Sx", "Sz"):
            terms.add(1.0, (name, k), (name, k + 1))
    operators = tuple(place(array) for array in terms.to_mpo(SITES).arrays)
    return a_bond_step(EnergyProblem(operators, 2), state(place), "svd")


def compress(place: Place) -> Callable[[], Any]:
    psi = tnkit.MPS.from_arrays(state(place).arrays)  # its gauge is not known
    return lambda: tnkit.compress(psi, tnkit.Truncation(max_bond=BOND // 2))


def overlap(place: Place) -> Callable[[], Any]:
    one, two = state(place, 0), state(place, 1)
    return lambda: tnkit.inner(one, two)


def ring(place: Place) -> Callable[[], Any]:
    arrays = [place(np.full((4, 4), 0.25)) for _ in range(10)]
    tensors = [tnkit.Tensor(a, [f"i{k}", f"i{(k + 1) % 10}"]) for k, a in enumerate(arrays)]
    contract = tnkit.plan(tnkit.TensorNetwork(tensors))
    return lambda: contract(*arrays)


CASES = dict(zip(BOUNDS, (training, ground_state, compress, overlap, ring), strict=True))


class Operators(dispatch.TorchDispatchMode):  # type: ignore[misc, name-defined]
    """Counts what PyTorch's operators do within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.multiplications = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.names[name] += name not in VIEWS
        if name in ("mm", "bmm", "mv", "dot"):
            last = 1 if args[1].ndim == 1 else args[1].shape[-1]
            self.multiplications += args[0].numel() * last
        return func(*args, **(kwargs or {}))


def calls(run: Callable[[], Any]) -> int:
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def kilobytes(run: Callable[[], Any]) -> float:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = run()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    del result
    return peak / 1000


def measured(case: Callable[[Place], Callable[[], Any]]) -> tuple[Work, Counter[str]]:
    on_torch, on_numpy = case(lambda a: torch.as_tensor(np.array(a))), case(np.array)
    for run in (on_torch, on_numpy, on_numpy):
        run()  # fills caches
    with Operators() as seen:
        on_torch()
    total = sum(seen.names.values())
    work = Work(total, seen.multiplications, calls(on_numpy), kilobytes(on_numpy))
    return work, +seen.names


@pytest.mark.parametrize("name", BOUNDS)
def test_no_more_work_than_before(name: str) -> None:
    bound = BOUNDS[name]
    found, names = measured(CASES[name])
    assert found.operators <= bound.operators, names
    assert found.multiplications <= bound.multiplications
    assert found.calls <= SLACK * bound.calls
    assert found.kilobytes <= SLACK * bound.kilobytes


def test_a_bond_step_of_training_multiplies_what_theory_says() -> None:
    """Merge, psi, gradient and new vectors of every sample, two sums a row, Gram, split, norms."""
    found, _ = measured(training)
    rows = 2 * BOND
    merge = split = rows * BOND * rows
    gram = rows**3
    samples = SAMPLES * (3 * BOND**2 + 2 * BOND)
    norms = 2 * rows**2 + rows * BOND  # of the gradient, the block after it, and the centre
    assert found.multiplications <= merge + split + gram + samples + norms


def test_a_planned_contraction_multiplies_what_its_plan_says() -> None:
    found, _ = measured(ring)
    tensors = [tnkit.Tensor(np.ones((4, 4)), [f"i{k}", f"i{(k + 1) % 10}"]) for k in range(10)]
    assert found.multiplications == tnkit.plan(tnkit.TensorNetwork(tensors)).cost.multiplications
