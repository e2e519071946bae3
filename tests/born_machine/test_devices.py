"""Training on a device: what a bond asks of the host, what is chosen for it, where memory ends.

Everything runs on CPU tensors, and on meta tensors, which have shapes and no values: what runs
through on them can have asked for none. Equality with CUDA is tested where there is a device.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import born_machine.devices
import tnkit
from born_machine import BornMachine, bars_and_stripes
from born_machine.devices import SPLITS, chosen_split, device_kind, float32_products
from born_machine.likelihood import log_likelihood
from born_machine.problem import LikelihoodProblem
from born_machine.settings import SPLIT_METHODS, Settings
from born_machine.sweeper import BondSweeper, likelihood_problem, placed
from born_machine.train import start_state, train
from born_machine.update import StepRule
from tnkit.testing import count_transfers

torch = pytest.importorskip("torch")

PATTERNS = bars_and_stripes(3, 3)
DIMS = (2,) * 9


def start(**knobs: Any) -> tnkit.MPS:
    return start_state(PATTERNS, DIMS, Settings(**knobs), np.random.default_rng(0))


def on(device: str) -> Any:
    return lambda array: torch.as_tensor(np.ascontiguousarray(array)).to(device)


def opened(device: str, width: int) -> tuple[LikelihoodProblem, tnkit.Zipper]:
    state = placed(start(), on(device))
    problem = likelihood_problem(PATTERNS, DIMS, state.arrays[0], StepRule(0.05, steps=2))
    assert isinstance(problem, LikelihoodProblem)
    return problem, tnkit.open_zipper(state, problem, state.centre or 0)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(
    ("method", "static", "asked"),
    [("gram", False, 1), ("gram", True, 0), ("subspace", True, 0)],
)
def test_a_bond_asks_the_host_once_or_never(
    width: int, method: str, static: bool, asked: int
) -> None:
    rule = tnkit.Truncation(max_bond=4, value_cutoff=1e-3, static=static)
    for device in ("cpu", "meta") if asked == 0 else ("cpu",):
        problem, zipper = opened(device, width)
        make = tnkit.two_site if width == 2 else tnkit.one_site
        step = make(problem, rule, method=method)  # type: ignore[operator]
        for move in tnkit.round_trip(9, width=width):
            with count_transfers() as transfers:
                zipper, info = step(zipper, move)
            assert len(transfers) == asked, transfers
            assert isinstance(info.loss, torch.Tensor)


@pytest.mark.parametrize(("static", "a_bond"), [(False, 1), (True, 0)])
def test_a_sweep_reads_its_losses_at_the_end_all_at_once(static: bool, a_bond: int) -> None:
    settings = Settings(max_bond=4, sweeps=1, static=static, split="gram")
    sweeper = BondSweeper(lambda number: PATTERNS, DIMS, settings, place=on("cpu"))
    held: list[Any] = []
    with count_transfers() as transfers:
        _, _, infos = sweeper(start(), {}, 1, 1.0, lambda _, info: held.append(info.loss))
    assert all(isinstance(loss, torch.Tensor) for loss in held)
    assert [float(loss) for loss in held] == [info.loss for info in infos]
    assert all(isinstance(info.discarded_weight, float) for info in infos)
    reads = [name for name in transfers if name not in ("as_tensor", "asarray")]
    ends = len(DIMS) + 1  # the arrays of the state, and the losses
    assert len(reads) == a_bond * len(infos) + ends
    placements = len(DIMS) + 1 + 2 * (len(DIMS) - 2)  # of the arrays, and of the samples' orders
    assert len(transfers) == len(reads) + placements


def test_what_is_not_finite_is_found_by_the_end_of_a_static_sweep() -> None:
    settings = Settings(max_bond=4, sweeps=1, static=True, split="subspace")
    sweeper = BondSweeper(lambda number: PATTERNS, DIMS, settings, place=on("cpu"))
    psi = start()
    broken = tnkit.MPS((*psi.arrays[:-1], psi.arrays[-1] * np.nan), psi.sites, psi.gauge)
    with pytest.raises(tnkit.NonFiniteError, match=r"sweep 1, bond 7: .* NaN or Inf"):
        sweeper(broken, {}, 1, 1.0, None)


@pytest.mark.parametrize("place", [np.asarray, on("cpu")], ids=["numpy", "torch"])
@pytest.mark.parametrize("split", SPLIT_METHODS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_every_way_to_split_trains_to_the_same_nll(place: Any, split: str, dtype: str) -> None:
    """Nothing is cut at bond 16; what no sample asked for yet is filled by other directions."""
    settings = Settings(
        max_bond=16, value_cutoff=1e-9, sweeps=3, dtype=dtype, split=split, static=True
    )
    result = train(PATTERNS, None, DIMS, settings, start=start(dtype=dtype), place=place)
    plain = Settings(max_bond=16, value_cutoff=1e-9, sweeps=3, dtype=dtype)
    expected = train(PATTERNS, None, DIMS, plain, start=start(dtype=dtype))
    assert result.history[-1].nll_train == pytest.approx(expected.history[-1].nll_train, abs=2e-4)
    assert result.state.bond_dims == (2, 4, 8, 16, 16, 8, 4, 2)  # static: full from the start


def test_the_table_chooses_and_is_overruled() -> None:
    here, there = device_kind(np.ones(1)), device_kind(torch.ones(1, device="meta"))
    assert set(SPLITS) == {(kind, static) for kind in ("cpu", "cuda") for static in (False, True)}
    for static in (False, True):
        assert chosen_split("auto", here, static=static) == SPLITS["cpu", static]
        assert chosen_split("auto", there, static=static) == SPLITS["cuda", static]
        assert chosen_split("svd", there, static=static) == "svd"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"split": "qr"}, "split must be one of auto, retraction, gram, svd, subspace"),
        ({"split": "subspace"}, "add static=True"),
        ({"static": 1}, "static must be True or False"),
        ({"tf32": "yes"}, "tf32 must be True or False"),
        ({"longest": 0.0}, "longest must be above 0"),
    ],
)
def test_what_cannot_be_chosen_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(tnkit.ArgumentError, match=message):
        Settings(**knobs)


def test_the_bound_on_a_step_is_kept() -> None:
    """With steps of at most 1e-3 the NLL hardly moves, whatever the learning rate."""
    nll = {}
    for longest in (1e-3, 1.0):
        machine = BornMachine(
            max_bond=4, sweeps=1, learning_rate=3.0, longest=longest, random_state=0
        ).fit(PATTERNS)
        nll[longest] = abs(machine.history_[1].nll_train - machine.history_[0].nll_train)
    assert nll[1e-3] < 0.1 < nll[1.0]


@pytest.mark.parametrize("tf32", [False, True])
def test_torchs_precision_is_as_asked_and_put_back(tf32: bool) -> None:
    class OnCuda:
        device = torch.device("cuda")

    before = torch.get_float32_matmul_precision()
    with float32_products(OnCuda(), tf32=tf32):
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
    assert torch.get_float32_matmul_precision() == before
    with float32_products(torch.ones(1), tf32=tf32):
        assert torch.get_float32_matmul_precision() == before


def test_threads_leave_torchs_precision_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends first puts back what it found, while the other still sweeps."""
    monkeypatch.setattr(born_machine.devices, "device_kind", lambda _: "cuda")
    threads: list[int] = []
    seen = set()

    def slowly(*_: Any) -> None:
        if (thread := threading.get_ident()) not in threads:
            threads.append(thread)
        time.sleep(0.003 * threads.index(thread))
        seen.add(torch.get_float32_matmul_precision())

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        machine = BornMachine(n_machines=2, n_jobs=2, max_bond=4, sweeps=2, random_state=0)
        machine.set_params(order=["given", "given"]).fit(PATTERNS, on_step=slowly)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {"highest"}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB."), MemoryError("9 GiB")]
)
def test_a_sweep_that_does_not_fit_says_what_to_change(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(LikelihoodProblem, "solve", refuse)
    with pytest.raises(
        tnkit.MemoryLimitError,
        match=r"sweep 1 of 14 samples at bonds up to 4 .*9 GiB\); lower max_bond",
    ):
        BornMachine(max_bond=4, sweeps=1, random_state=0).fit(PATTERNS)


@pytest.mark.parametrize("scale", [1.0, 1e-60])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_scores_on_a_device_are_those_of_the_host(dtype: str, scale: float) -> None:
    """Impossible samples included, and norms of 1e-60 a site; one transfer a batch of 4,096."""
    psi = tnkit.random_mps(6, bond_dim=3, dtype=dtype, seed=0)
    first = np.array(psi.arrays[0])
    first[:, 1] = 0.0  # value 1 is impossible there
    state = tnkit.MPS.from_arrays([a * scale for a in (first, *psi.arrays[1:])])
    samples = np.random.default_rng(1).integers(0, 2, (5000, 6))
    here = log_likelihood(state, samples)
    there_state, there_samples = placed(state, on("cpu")), on("cpu")(samples)
    with count_transfers() as transfers:
        there = log_likelihood(there_state, there_samples)
    # on the CPU NumPy sorts the samples: from_numpy and numpy move nothing there
    asked = [name for name in transfers if "numpy" not in name]
    assert asked[:2] == ["tolist"] * 2
    assert len(asked) <= 2 + 2 * len(psi)  # the norm of a state without a gauge
    assert np.isneginf(here).any()
    np.testing.assert_allclose(np.asarray(there), here, atol=1e-10)


@pytest.mark.parametrize("method", ["two-site", "one-site", "all-site"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_device_trains_scores_and_draws_like_the_host(method: str, dtype: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    common: dict[str, Any] = {"max_bond": 4, "sweeps": 2, "dtype": dtype, "random_state": 0}
    here, there = (
        BornMachine(method=method, device=device, **common).fit(PATTERNS)
        for device in ("cpu", "cuda")
    )
    for a, b in zip(here.history_, there.history_, strict=True):
        assert a.nll_train == pytest.approx(b.nll_train, abs=1e-9)
    scores = here.score_samples(PATTERNS)
    np.testing.assert_allclose(there.score_samples(PATTERNS), scores, atol=1e-9)
    assert np.array_equal(here.sample(500), there.sample(500))


@pytest.mark.slow
def test_the_one_command_runs_whole_on_a_cpu() -> None:
    """Checks and times of tests/benchmarks/device.py; what it prints for a device it cannot see."""
    script = Path(__file__).parents[1] / "benchmarks" / "device.py"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    done = run("--device", "cpu", "--small")
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout
    assert "| transfers a bond, static | <= 0 | 0 |" in done.stdout
    for work in ("GEMM peak", "samples of 784 sites", "all-site epoch", "two-site sweep"):
        assert f"{work}" in done.stdout
    assert "not measured" not in done.stdout
    if not torch.cuda.is_available():
        assert run().stdout.startswith("not measured: no device at hand")
