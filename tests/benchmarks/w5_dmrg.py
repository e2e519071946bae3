"""W5: ground state of the open Heisenberg chain from the Neel state, seconds to 1e-8 of the best.

``python tests/benchmarks/w5_dmrg.py [--length 64] [--bond 64 128] [--threads 1] [--rounds 3]``
prints one JSON line a contender: tnkit with two sites and with one, a loop written by hand in
NumPy (two sites, Lanczos, the same ramp of bonds as the peers), and quimb and TeNPy where they
are installed, TeNPy with and without conserved Sz. The best energy is the lowest that any
contender reaches at that bond; a contender that stays 1e-6 above it fails. One thread is timed as
process CPU seconds, several as wall time; the median of interleaved rounds. Not collected by
pytest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

# before NumPy is loaded
os.environ["OMP_NUM_THREADS"] = dict(itertools.pairwise(sys.argv)).get("--threads", "1")
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]

import numpy as np
from peers import peer

import tnkit

Trace = list[tuple[float, float]]
clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter


def ramp(bond: int) -> list[int]:
    """Return the bonds of the first half-sweeps of those who need a ramp."""
    return [b for b in (8, 16, 32, 64, 128) if b < bond] + [bond]


def heisenberg(length: int) -> tnkit.MPO:
    """Return the sum of S_k . S_k+1."""
    builder = tnkit.OpSum()
    for k in range(length - 1):
        builder.add(0.5, ("Sp", k), ("Sm", k + 1))
        builder.add(0.5, ("Sm", k), ("Sp", k + 1))
        builder.add(1.0, ("Sz", k), ("Sz", k + 1))
    return builder.to_mpo(length)


def by_tnkit(length: int, bond: int, method: str) -> Trace:
    """Return (seconds, energy) at every turning of the sweeps."""
    start, trace = clock(), []
    mpo, psi = heisenberg(length), tnkit.basis_mps([0, 1] * (length // 2))
    half = len(tnkit.round_trip(length, width=2 if method == "two-site" else 1)) // 2

    def on_step(state: tnkit.SweepState) -> None:
        if state.info is not None and state.record.moves in (0, half):
            trace.append((clock() - start, float(state.info.loss)))

    rule = tnkit.Truncation(max_bond=bond)
    tnkit.dmrg(mpo, psi, truncation=rule, method=method, sweeps=8, on_step=on_step)
    return trace


def by_hand(length: int, bond: int, depth: int) -> Trace:
    """Return (seconds, energy) a half-sweep of plain NumPy: no checks, no reports."""
    start, trace = clock(), []
    w = [np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in heisenberg(length).arrays]
    states = [np.eye(2)[i % 2].reshape(1, 2, 1) for i in range(length)]
    one = np.ones((1, 1, 1))
    lefts: list[Any] = [one] + [None] * length
    rights: list[Any] = [None] * length + [one]

    def grow(block: np.ndarray, a: np.ndarray, op: np.ndarray) -> np.ndarray:
        m, b, k = block.shape
        _, d, r = a.shape
        half = (block.reshape(m * b, k) @ a.reshape(k, d * r)).reshape(m, b, d, r)
        half = half.transpose(1, 3, 0, 2).reshape(b * r, m * d)
        half = half @ op.transpose(0, 3, 1, 2).reshape(m * d, -1)
        half = half.reshape(b, r, -1, d).transpose(2, 1, 0, 3).reshape(-1, b * d)
        closed = (half @ a.reshape(b * d, r)).reshape(-1, r, r)
        return np.ascontiguousarray(closed.transpose(0, 2, 1))

    for i in range(length - 1, 0, -1):
        mirrored = w[i].transpose(1, 0, 2, 3)
        rights[i] = grow(rights[i + 1], states[i].transpose(2, 1, 0), mirrored)
    pairs = [np.einsum("abij,bckl->acikjl", w[i], w[i + 1]) for i in range(length - 1)]
    pairs = [
        np.ascontiguousarray(p.reshape(p.shape[0], p.shape[1], 4, 4).transpose(0, 3, 1, 2))
        for p in pairs
    ]

    def solve(i: int, block: np.ndarray) -> tuple[float, np.ndarray]:
        left, right = lefts[i], rights[i + 2]
        m, l, _ = left.shape
        n, r, _ = right.shape
        rows = left.reshape(m * l, l)
        matrix = pairs[i].reshape(m * 4, n * 4)
        columns = np.ascontiguousarray(right.transpose(0, 2, 1)).reshape(n * r, r)

        def act(v: np.ndarray) -> np.ndarray:
            half = (rows @ v.reshape(l, 4 * r)).reshape(m, l, 4, r)
            half = half.transpose(1, 3, 0, 2).reshape(l * r, m * 4) @ matrix
            half = half.reshape(l, r, n, 4).transpose(0, 3, 2, 1).reshape(l * 4, n * r)
            return (half @ columns).reshape(-1)

        basis = [block.reshape(-1) / np.linalg.norm(block)]
        a: list[float] = []
        b: list[float] = []
        while True:
            image = act(basis[-1])
            a.append(float(basis[-1] @ image))
            image -= a[-1] * basis[-1]
            if b:
                image -= b[-1] * basis[-2]
            size = float(np.linalg.norm(image))
            if len(a) == depth or size < 1e-10:
                break
            b.append(size)
            basis.append(image / size)
        values, vectors = np.linalg.eigh(np.diag(a) + np.diag(b, 1) + np.diag(b, -1))
        mixed = sum(c * v for c, v in zip(vectors[:, 0], basis, strict=True))
        return float(values[0]), np.asarray(mixed).reshape(l * 2, 2 * r)

    bonds = ramp(bond)
    for number in range(16):
        limit = bonds[min(number, len(bonds) - 1)]
        forward = number % 2 == 0
        for i in range(length - 1) if forward else range(length - 2, -1, -1):
            l, r = states[i].shape[0], states[i + 1].shape[2]
            block = states[i].reshape(l * 2, -1) @ states[i + 1].reshape(-1, 2 * r)
            energy, block = solve(i, block)
            u, s, v = np.linalg.svd(block, full_matrices=False)
            kept = min(limit, int((s > 1e-14 * s[0]).sum()))
            s = s[:kept] / np.linalg.norm(s[:kept])
            if forward:
                states[i] = u[:, :kept].reshape(l, 2, kept)
                states[i + 1] = (s[:, None] * v[:kept]).reshape(kept, 2, r)
                lefts[i + 1] = grow(lefts[i], states[i], w[i])
            else:
                states[i] = (u[:, :kept] * s).reshape(l, 2, kept)
                states[i + 1] = v[:kept].reshape(kept, 2, r)
                turned = states[i + 1].transpose(2, 1, 0)
                rights[i + 1] = grow(rights[i + 2], turned, w[i + 1].transpose(1, 0, 2, 3))
        trace.append((clock() - start, energy))
        if number > len(bonds) and abs(trace[-1][1] - trace[-2][1]) < 1e-10:
            break
    return trace


def by_quimb(quimb: Any, length: int, bond: int) -> Trace:
    """Return (seconds, energy) a half-sweep of quimb's DMRG2."""
    start, trace, bonds = clock(), [], ramp(bond)

    class Traced(quimb.DMRG2):  # type: ignore[misc]
        def _check_convergence(self, tol: float) -> bool:
            trace.append((clock() - start, float(np.real(self.energies[-1]))))
            return bool(super()._check_convergence(tol)) and len(self.energies) > len(bonds) + 1

    neel = quimb.MPS_neel_state(length, dtype="float64")
    solver = Traced(quimb.MPO_ham_heis(length), bond_dims=bonds, cutoffs=1e-14, p0=neel)
    solver.solve(tol=1e-10, max_sweeps=16, verbosity=0, sweep_sequence="RL")
    return trace


def by_tenpy(length: int, bond: int, conserve: str) -> Trace:
    """Return (seconds, energy) a sweep of TeNPy's two-site engine with its mixer."""
    from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
    from tenpy.models.spins import SpinChain
    from tenpy.networks.mps import MPS

    start, bonds = clock(), ramp(bond)
    about = {"L": length, "S": 0.5, "Jx": 1.0, "Jy": 1.0, "Jz": 1.0, "conserve": conserve}
    model = SpinChain(about | {"bc_MPS": "finite", "sort_charge": True})
    sites = model.lat.mps_sites()
    psi = MPS.from_product_state(
        sites, ["up", "down"] * (length // 2), bc="finite", unit_cell_width=length
    )
    settings = {
        "chi_list": dict(enumerate(bonds)),
        "trunc_params": {"chi_max": bond, "svd_min": 1e-14},
        "mixer": True,
        "mixer_params": {"amplitude": 1e-4, "decay": 2.0, "disable_after": len(bonds)},
        "max_sweeps": 14,
        "min_sweeps": len(bonds) + 1,
        "max_E_err": 1e-11,
        "max_S_err": 1.0,
        "N_sweeps_check": 1,
        "lanczos_params": {"N_max": 4, "N_min": 2, "reortho": False},
        "combine": True,
    }
    began = time.time()
    engine = TwoSiteDMRGEngine(psi, model, settings)
    engine.run()
    stats = engine.sweep_stats
    scale = (clock() - start) / (time.time() - began)  # its own clock is the wall's
    return [(t * scale, e) for t, e in zip(stats["time"], stats["E"], strict=True)]


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--bond", nargs="*", type=int, default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    quimb, tenpy = peer("quimb.tensor"), peer("tenpy")
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for name, module in (("quimb", peer("quimb")), ("tenpy", tenpy)):
        if module:
            versions[name] = module.__version__
    print(json.dumps({"threads": int(os.environ["OMP_NUM_THREADS"])} | versions), flush=True)
    for bond in options.bond:
        contenders: dict[str, Callable[[], Trace]] = {
            "tnkit two-site": lambda b=bond: by_tnkit(options.length, b, "two-site"),
            "tnkit one-site": lambda b=bond: by_tnkit(options.length, b, "one-site"),
        }
        for depth in (3, 4, 5):
            contenders[f"numpy by hand, Lanczos {depth}"] = lambda b=bond, d=depth: by_hand(
                options.length, b, d
            )
        if quimb:
            contenders["quimb"] = lambda b=bond: by_quimb(quimb, options.length, b)
        if tenpy:
            contenders["tenpy"] = lambda b=bond: by_tenpy(options.length, b, "None")
            contenders["tenpy Sz"] = lambda b=bond: by_tenpy(options.length, b, "Sz")
        runs: dict[str, list[Trace]] = {
            n: [] for n in contenders if any(part in n for part in options.only.split(","))
        }
        for _ in range(options.rounds):
            for name in runs:
                runs[name].append(contenders[name]())
        best = min(trace[-1][1] for traces in runs.values() for trace in traces)
        for name, traces in runs.items():
            gap = traces[0][-1][1] - best
            assert gap < 1e-6, f"{name}: {gap} above the best energy"
            reached = [next((t for t, e in trace if e - best < 1e-8), None) for trace in traces]
            line = {"work": "W5", "length": options.length, "bond": bond, "name": name}
            line["seconds"] = (
                None if None in reached else round(statistics.median(map(float, reached)), 3)  # type: ignore[arg-type]
            )
            print(json.dumps(line | {"above_best": float(f"{gap:.2g}")}), flush=True)


if __name__ == "__main__":
    main()
