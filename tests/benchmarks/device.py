"""What training costs on a device, beside the CPU and beside the device's own matrix products.

``python tests/benchmarks/device.py [--data FOLDER] [--device cuda|cpu] [--small]`` needs the
repository, torch, NumPy and array-api-compat, no network, and ends within ten minutes. Where the
last is missing, ``pip install --no-deps --target build/packages array-api-compat`` on a machine
with network leaves it in the checkout (1 MB), where it is found. It checks first (training
steps, likelihoods and samples equal those of the CPU to the tolerance stated; transfers a bond),
then times what the targets name, and prints a Markdown table with the share of the matrix-product
peak measured in the same call. FOLDER may hold binarized_mnist_static.npz and mnist.npz; random
binary images take their place. On the CPU, or with --small, sizes shrink and no target applies.
Exit status 1 where a check fails.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins" / "born_machine"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "build" / "packages"))

import numpy as np
import torch

import tnkit
from born_machine.devices import SPLITS, float32_products
from born_machine.likelihood import log_likelihood
from born_machine.module import BornModule
from born_machine.sweeper import likelihood_problem, placed
from born_machine.update import StepRule
from tnkit.transfers import count_transfers

SITES = 784
Row = tuple[str, str, str, str]


@dataclass
class Bench:
    """One call: where it runs, how large, what it found."""

    device: torch.device
    small: bool
    images: np.ndarray[Any, Any]
    deadline: float
    rows: list[Row] = field(default_factory=list)
    failures: int = 0

    def place(self, array: Any) -> torch.Tensor:
        """Put an array on the device."""
        return torch.as_tensor(np.ascontiguousarray(array), device=self.device)

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Return the wall time of `work`."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    def check(self, name: str, error: float, most: float) -> None:
        """Write down a difference and whether it is within its tolerance."""
        fine = bool(error <= most)
        self.failures += not fine
        self.add(name, f"<= {most:g}", f"{error:.2g}", "" if fine else "FAILED")

    def add(self, name: str, target: str, found: str, share: str = "") -> None:
        """Add a row to the table, and show it at once."""
        self.rows.append((name, target, found, share))
        print(f"{name}: {found} {share}", file=sys.stderr, flush=True)

    def late(self, name: str, target: str, needed: float) -> bool:
        """Say, and write down, that there are no `needed` seconds left."""
        if time.perf_counter() + needed < self.deadline:
            return False
        self.add(name, target, "not measured: no time left in this call")
        return True


def images(folder: Path | None, n: int) -> np.ndarray[Any, Any]:
    """Return n binary images (n, 784): static MNIST, or blobs drawn at random."""
    file = None if folder is None else folder / "binarized_mnist_static.npz"
    if file is not None and file.exists():
        with np.load(file) as archive:
            packed = archive["train"][:n]
        return np.unpackbits(packed, axis=1)[:, :SITES].astype(np.uint8)
    rng = np.random.default_rng(0)
    centres, widths = rng.uniform(6, 22, (n, 3, 2)), rng.uniform(1.0, 4.0, (n, 3, 1))
    axis = np.arange(28)
    found = np.zeros((n, 28, 28), dtype=bool)
    for blob in range(3):
        y = np.exp(-(((axis - centres[:, blob, :1]) / widths[:, blob]) ** 2))
        x = np.exp(-(((axis - centres[:, blob, 1:]) / widths[:, blob]) ** 2))
        found |= y[:, :, None] * x[:, None, :] > rng.uniform(0.2, 0.8, (n, 1, 1))
    return found.reshape(n, SITES).astype(np.uint8)


def chain(sites: int, bond: int, dtype: str = "float32", centre: int = -1) -> tnkit.MPS:
    """Return a positive canonical chain, as training starts from: no psi is near zero."""
    rng = np.random.default_rng(1)
    bonds = [min(bond, 2 ** min(k, sites - k, 30)) for k in range(sites + 1)]
    arrays = [
        np.eye(l, r)[:, None, :] + rng.uniform(0.0, 0.2, (l, 2, r))
        for l, r in itertools.pairwise(bonds)
    ]
    psi = tnkit.canonicalize(tnkit.MPS.from_arrays(arrays), centre)
    return tnkit.normalize(psi).astype(dtype)


def peak(bench: Bench, dtype: torch.dtype) -> float:
    """Return the flops a second of square matrix products."""
    size = 8192 if bench.device.type == "cuda" else 1024
    a = torch.randn((size, size), dtype=dtype, device=bench.device)
    a @ a
    times = [bench.seconds(lambda: a @ a) for _ in range(5)]
    return 2 * size**3 / min(times)


# ---- checks


def swept(psi: tnkit.MPS, samples: Any, place: Any, *, static: bool, bonds: int = 10**9) -> Any:
    """Train with two-site steps; return the state as NumPy, the losses, and transfers a bond."""
    like = place(psi.arrays[0])
    problem = likelihood_problem(samples, (2,) * len(psi), like, StepRule(0.05))
    rule = tnkit.Truncation(max_bond=max(psi.bond_dims), value_cutoff=1e-6, static=static)
    step = tnkit.two_site(problem, rule, method=SPLITS["cuda", static])
    zipper = tnkit.open_zipper(placed(psi, place), problem, psi.centre or 0)
    losses, transfers = [], []
    for move in tnkit.round_trip(len(psi))[:bonds]:
        with count_transfers() as found:
            zipper, info = step(zipper, move)
        losses.append(info.loss)
        transfers.append(len(found))
    arrays = [a if isinstance(a, np.ndarray) else a.cpu().numpy() for a in zipper_arrays(zipper)]
    state = tnkit.MPS.from_arrays([a.astype(np.float64) for a in arrays])
    return state, np.array([float(loss) for loss in losses]), max(transfers)


def zipper_arrays(zipper: tnkit.Zipper) -> tuple[Any, ...]:
    """Return the arrays of the state."""
    return tnkit.close_zipper(zipper).arrays


def all_site(psi: tnkit.MPS, samples: Any, device: torch.device) -> tuple[Any, Any]:
    """Return the NLL, and its gradient by all arrays as one vector."""
    module = BornModule([torch.as_tensor(np.array(a), device=device) for a in psi.arrays])
    nll = -module(torch.as_tensor(samples.astype(np.int64), device=device)).mean()
    nll.backward()
    gradients = [a.grad.double().cpu().numpy().reshape(-1) for a in module.arrays]
    return np.array([nll.item()]), np.concatenate(gradients)


def gap(ours: Any, theirs: Any) -> float:
    """Return the largest difference of some arrays, relative in the 2-norm."""
    return max(
        float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))
        for a, b in zip(ours, theirs, strict=True)
    )


def checks(bench: Bench) -> None:
    """Hold the device against the CPU."""
    sites, n, bond = (60, 200, 8) if bench.small else (196, 1000, 32)
    samples = bench.images[:n, :sites]
    psi = chain(sites, bond, "float64")
    for static in (False, True):
        name = "static" if static else "adaptive"
        here = swept(psi, samples, np.asarray, static=static)
        there = swept(psi, samples, bench.place, static=static)
        most = 1e-6  # what is cut, and what fills a static bond, is decided by rounding
        difference = gap([there[1]], [here[1]])
        bench.check(f"two-site losses, {name}, CPU = device", difference, most)
        bench.check(f"transfers a bond, {name}", there[2], 0 if static else 1)
    here, there = (all_site(psi, samples, d) for d in (torch.device("cpu"), bench.device))
    bench.check("all-site NLL and gradient, float64, CPU = device", gap(there, here), 1e-9)
    single = all_site(psi.astype("float32"), samples, bench.device)
    bench.check("all-site NLL and gradient, float32", gap(single, here), 1e-3)
    if bench.device.type == "cuda":
        with float32_products(bench.place(np.ones(1)), tf32=True):
            rough = all_site(psi.astype("float32"), samples, bench.device)
        bench.add("all-site NLL and gradient, TF32", "shown", f"{gap(rough, here):.2g}")
    scores = log_likelihood(psi, samples.astype(np.int64))
    placed_scores = log_likelihood(placed(psi, bench.place), bench.place(samples.astype(np.int64)))
    bench.check(
        "log-likelihoods, nats, CPU = device",
        float(np.abs(placed_scores.cpu().numpy() - scores).max()),
        1e-9,
    )
    drawn = tnkit.sample(psi, 500, seed=1)
    other = tnkit.sample(placed(psi, bench.place), 500, seed=1)
    differ = float((drawn != other).any(axis=1).mean())
    bench.check("share of samples that differ, CPU = device", differ, 0.002)


# ---- times


def epochs(bench: Bench, gemm: float) -> None:
    """Time all-site training over the images in batches of 1,000, and count its products."""
    sizes = ((16, ""),) if bench.small else ((100, "5 s"), (500, "60 s"))
    total = len(bench.images)
    for bond, target in sizes:
        name = f"all-site epoch, {total:,} x {SITES}, bond {bond}, batch 1,000, Adam"
        arrays = [bench.place(a) for a in chain(SITES, bond).arrays]
        module = BornModule(arrays)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
        samples = bench.place(bench.images.astype(np.int64))

        def step(rows: torch.Tensor, module: Any = module, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (-module(rows).mean()).backward()
            optimizer.step()

        step(samples[:1000])
        one = bench.seconds(lambda step=step, samples=samples: step(samples[:1000]))
        batches = samples.split(1000)
        if bench.late(name, target, one * len(batches)):
            continue
        took = bench.seconds(lambda step=step, batches=batches: [step(rows) for rows in batches])
        widths = [a.shape for a in arrays]
        # three products a sample and site, five a site for the norm
        products = sum(3 * total * l * r + 5 * len(batches) * d * l * r * r for l, d, r in widths)
        bench.add(name, target and f"< {target}", f"{took:.2f} s", share(2 * products, took, gemm))
        del module, optimizer, arrays


def share(flops: float, seconds: float, gemm: float) -> str:
    """Return the share of the peak in words."""
    return f"{flops / seconds / gemm:.0%} of the GEMM peak"


def sweeps(bench: Bench, gemm: float) -> None:
    """Time two-site bonds in a stretch of the chain at full bond, device and CPU alike."""
    bond, sites = (16, 32) if bench.small else (200, 48)
    moves = 2 * SITES - 4
    counts = (200, 1000) if bench.small else (1000, len(bench.images))
    for n in counts:
        target = "not slower than the CPU" if n == 1000 else ">= 20 x the CPU"
        target = "" if bench.small else target
        name = f"two-site sweep, {n:,} x {SITES}, bond {bond}"
        samples = bench.images[:n, :sites]
        psi = stretch(sites, bond)
        each = {}
        for where, place in (("device", bench.place), ("cpu", np.asarray)):
            if where == "cpu" and bench.late(f"{name}, CPU", "", 60.0):
                continue
            problem = likelihood_problem(
                samples, (2,) * sites, place(psi.arrays[0]), StepRule(0.05)
            )
            kind = bench.device.type if where == "device" else "cpu"
            rule = tnkit.Truncation(max_bond=bond, static=True)
            step = tnkit.two_site(problem, rule, method=SPLITS[kind, True])
            zipper = tnkit.open_zipper(placed(psi, place), problem, psi.centre or 0)
            path = tnkit.round_trip(sites)
            few = 6 if n > 5000 and where == "cpu" else sites - 24
            first, rest = path[:10], path[10 : 10 + few]  # past the end, where bonds are small
            for move in first:
                zipper, _ = step(zipper, move)

            def run(zipper: Any = zipper, rest: Any = rest, step: Any = step) -> None:
                for move in rest:
                    zipper, _ = step(zipper, move)

            each[where] = bench.seconds(run) / len(rest)
        products = 3 * n * bond * bond  # psi, its gradient, the next environment
        words = share(2 * products, each["device"], gemm)
        if "cpu" in each:
            words += f"; {each['cpu'] / each['device']:.1f} x the CPU's {each['cpu'] * moves:.1f} s"
        found = f"{each['device'] * moves:.2f} s ({each['device'] * 1e3:.2f} ms a bond)"
        bench.add(name, target, found, words)


def stretch(sites: int, bond: int) -> tnkit.MPS:
    """Return a chain at its full bond but for the two ends, its centre at the last site but one."""
    rng = np.random.default_rng(2)
    arrays = []
    for k in range(sites):
        l, r = 1 if k == 0 else bond, 1 if k == sites - 1 else bond
        array = np.eye(l, r)[:, None, :] + rng.uniform(0.0, 0.2, (l, 2, r))
        arrays.append(array.astype(np.float32))
    psi = tnkit.MPS.from_arrays(arrays)
    return tnkit.normalize(tnkit.canonicalize(psi, -2))


def draws(bench: Bench, gemm: float) -> None:
    """Time exact sampling, all samples at once."""
    n, bond = (500, 16) if bench.small else (10_000, 500)
    whole = chain(SITES, bond, "float64", centre=0)
    for dtype in ("float32", "float64"):
        name = f"{n:,} samples of {SITES} sites, bond {bond}, {dtype}"
        state = placed(whole.astype(dtype), bench.place)
        tnkit.sample(state, 10, seed=0)
        took = bench.seconds(lambda state=state: tnkit.sample(state, n, seed=1))
        products = n * sum(l * d * r for l, d, r in (a.shape for a in state.arrays))
        target = "" if bench.small else "< 1 s"
        words = share(2 * products, took, gemm) if dtype == "float32" else ""
        bench.add(name, target, f"{took:.2f} s", words)


def main() -> int:
    """Check, time, print; 1 where a check failed, 0 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with binarized_mnist_static.npz")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (cuda)")
    parser.add_argument("--small", action="store_true", help="small sizes: seconds on a CPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="what does not fit is left out")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("not measured: no device at hand (torch sees none; try --device cpu --small)")
        return 0
    deadline = time.perf_counter() + 60 * options.minutes
    if device.type == "cpu":
        torch.set_num_threads(1)
    data = images(options.data, 1000 if options.small else 50_000)
    bench = Bench(device, options.small, data, deadline)
    checks(bench)
    gemm = peak(bench, torch.float32)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    bench.add("GEMM peak, float32", "", f"{gemm / 1e12:.3g} Tflop/s")
    bench.add("GEMM peak, float64", "", f"{peak(bench, torch.float64) / 1e12:.3g} Tflop/s")
    draws(bench, gemm)
    for work in (epochs, sweeps):
        with_room(bench, work, gemm)
    print(f"{name} ({device}), torch {torch.__version__}, CUDA {torch.version.cuda}, ", end="")
    print(f"numpy {np.__version__}, Python {platform.python_version()}, TF32 off; ", end="")
    print(f"{torch.get_num_threads()} threads\n")
    print("| work | target | measured | share |\n|---|---|---|---|")
    for row in bench.rows:
        print("| " + " | ".join(row) + " |")
    return 1 if bench.failures else 0


def with_room(bench: Bench, work: Callable[[Bench, float], None], gemm: float) -> None:
    """Time `work`; memory that runs out is a row of the table, not the end of it."""
    try:
        with tnkit.out_of_memory(work.__name__, "a larger device would hold it"):
            work(bench, gemm)
    except tnkit.MemoryLimitError as error:
        bench.add(work.__name__, "", f"not measured: {error}")


if __name__ == "__main__":
    sys.exit(main())
