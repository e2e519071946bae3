"""W3, W4 and W6: canonicalise and compress, overlaps and operators, sampling.

``python tests/benchmarks/chains.py [w3|w4|w6 ...] [--bond 64 128] [--dtype float64 complex128]
[--rounds 5]`` prints one JSON line a contender: tnkit, the peers that are installed, plain NumPy,
and the limit, which is the sum of the LAPACK and GEMM calls alone. Answers are checked; times are
process CPU seconds of one thread, the median of interleaved rounds. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from peers import from_peer, peer, to_quimb, to_tenpy

import tnkit

LENGTH = 100


def random_arrays(
    length: int, bond: int, decay: float, seed: int = 0, dtype: str = "float64"
) -> list[np.ndarray]:
    """Return open-chain arrays with a decaying bond spectrum and norm about one, not canonical."""
    rng = np.random.default_rng(seed)
    arrays = []
    block = np.ones((1, 1))
    for i in range(length):
        l, r = (min(bond, 2 ** min(j, length - j, 30)) for j in (i, i + 1))
        array = rng.standard_normal((l, 2, r)).astype(dtype)
        if dtype == "complex128":
            array += 1j * rng.standard_normal((l, 2, r))
        array *= np.exp(-decay * np.arange(r) / r)
        array /= np.linalg.norm(array)
        block = np.einsum("ab,apc,bpd->cd", block, array.conj(), array, optimize=True)
        size = np.linalg.norm(block)
        block = block / size
        arrays.append(np.ascontiguousarray(array / np.sqrt(size)))
    return arrays


def heisenberg(length: int) -> list[np.ndarray]:
    """Return the Heisenberg chain as (left, right, out, in) arrays of bond 5."""
    up = np.array([[0.0, 1.0], [0.0, 0.0]])
    z = np.diag([0.5, -0.5])
    bulk = np.zeros((5, 5, 2, 2))
    bulk[0, 0] = bulk[4, 4] = np.eye(2)
    bulk[0, 1], bulk[0, 2], bulk[0, 3] = up, up.T, z
    bulk[1, 4], bulk[2, 4], bulk[3, 4] = up.T / 2, up / 2, z
    return [bulk[:1], *[bulk] * (length - 2), bulk[:, 4:]]


def race(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, Any]]:
    """Return the median CPU seconds and the last result of each, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results = {}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            start = time.process_time()
            results[name] = run()
            times[name].append(time.process_time() - start)
    return {name: (statistics.median(t[1:]), results[name]) for name, t in times.items()}


def report(work: str, size: str, found: dict[str, tuple[float, Any]], check: Any) -> None:
    """Print one line a contender: seconds, the ratio to the limit, the deviation checked."""
    limit = found.get("limit", (float("nan"), None))[0]
    for name, (seconds, value) in found.items():
        line = {"work": work, "size": size, "name": name, "seconds": round(seconds, 5)}
        line["over_limit"] = round(seconds / limit, 3)
        if name != "limit":
            line["deviation"] = check(value)
        print(json.dumps(line), flush=True)


def numpy_compress(arrays: list[np.ndarray], kept: int) -> list[np.ndarray]:
    """Return arrays after a QR sweep right and an SVD sweep left, written by hand."""
    arrays = list(arrays)
    for i in range(len(arrays) - 1):
        l, d, r = arrays[i].shape
        q, c = np.linalg.qr(arrays[i].reshape(l * d, r))
        arrays[i] = q.reshape(l, d, -1)
        after = arrays[i + 1]
        arrays[i + 1] = (c @ after.reshape(r, -1)).reshape(-1, *after.shape[1:])
    for i in range(len(arrays) - 1, 0, -1):
        l, d, r = arrays[i].shape
        u, s, v = np.linalg.svd(arrays[i].reshape(l, d * r), full_matrices=False)
        k = min(kept, len(s))
        arrays[i] = v[:k].reshape(k, d, r)
        before = arrays[i - 1]
        product = before.reshape(-1, l) @ (u[:, :k] * s[:k])
        arrays[i - 1] = product.reshape(*before.shape[:2], k)
    return arrays


def w3(bond: int, rounds: int, dtype: str) -> None:
    """Canonicalise and compress to half the bond, 100 sites."""
    arrays = random_arrays(LENGTH, bond, 8.0, dtype=dtype)
    psi = tnkit.MPS.from_arrays(arrays)
    kept = bond // 2
    rule = tnkit.Truncation(max_bond=kept)
    # the limit: the same factorisations and products on the very matrices that occur
    left = tnkit.canonicalize(psi, -1)
    qrs = [np.ascontiguousarray(a.reshape(-1, a.shape[2])) for a in arrays[:-1]]
    tall, triangles = zip(*(np.linalg.qr(m) for m in qrs), strict=True)
    svds, turns = [], []
    work = list(left.arrays)
    for i in range(LENGTH - 1, 0, -1):
        l, d, r = work[i].shape
        svds.append(np.ascontiguousarray(work[i].reshape(l, d * r)))
        u, s, _ = np.linalg.svd(svds[-1], full_matrices=False)
        k = min(kept, len(s))
        turns.append(u[:, :k] * s[:k])
        product = work[i - 1].reshape(-1, l) @ turns[-1]
        work[i - 1] = product.reshape(*work[i - 1].shape[:2], k)

    def limit() -> None:
        for i, matrix in enumerate(qrs):
            np.linalg.qr(matrix)
            triangles[i] @ arrays[i + 1].reshape(arrays[i + 1].shape[0], -1)
        for i, matrix in enumerate(svds):
            np.linalg.svd(matrix, full_matrices=False)
            left.arrays[LENGTH - 2 - i].reshape(-1, matrix.shape[0]) @ turns[i]

    contenders: dict[str, Callable[[], Any]] = {
        "limit": limit,
        "numpy by hand": lambda: numpy_compress(arrays, kept),
        "tnkit svd": lambda: tnkit.compress(psi, rule).state,
        "tnkit density": lambda: tnkit.compress(psi, rule, method="density").state,
        "tnkit randomised": lambda: tnkit.compress(psi, rule, method="randomised", seed=0).state,
    }
    quimb = peer("quimb.tensor")
    if quimb:
        start = to_quimb(quimb, arrays)

        def by_quimb() -> Any:
            q = start.copy()
            q.left_canonicalize_()
            q.right_compress(max_bond=kept, cutoff=0.0)
            return q

        contenders["quimb"] = by_quimb
    tenpy = peer("tenpy.networks.mps")
    if tenpy:
        whole = to_tenpy(tenpy, arrays)

        def by_tenpy() -> Any:
            t = whole.copy()
            t.compress_svd({"chi_max": kept, "svd_min": None, "trunc_cut": None})
            return t

        contenders["TeNPy"] = by_tenpy
    seemps = peer("seemps.state")
    if seemps:
        cut = seemps.Strategy(tolerance=0.0, max_bond_dimension=kept, normalize=False)

        def by_seemps() -> Any:
            moved = seemps.CanonicalMPS(arrays, center=LENGTH - 1, strategy=seemps.NO_TRUNCATION)
            return seemps.CanonicalMPS(seemps.MPS(list(moved)), center=0, strategy=cut)

        contenders["seemps"] = by_seemps

    def check(value: Any) -> float:
        if not isinstance(value, tnkit.MPS):
            value = tnkit.MPS.from_arrays(from_peer(value))
        assert max(value.bond_dims) == kept
        return 1.0 - tnkit.fidelity(psi, value)

    report("W3", f"bond {bond} to {kept} {dtype}", race(contenders, rounds), check)
    del tall


def w4(bond: int, rounds: int, dtype: str) -> None:
    """Overlap, and the expectation of the Heisenberg operator, 100 sites."""
    one = random_arrays(LENGTH, bond, 3.0, dtype=dtype)
    rng = np.random.default_rng(5)
    two = [
        a + 0.02 * np.linalg.norm(a) / np.sqrt(a.size) * rng.standard_normal(a.shape) for a in one
    ]
    a, b = tnkit.MPS.from_arrays(one), tnkit.MPS.from_arrays(two)
    a = tnkit.normalize(a)
    b = tnkit.normalize(b)
    one, two = list(a.arrays), list(b.arrays)
    square = np.ascontiguousarray(one[50][:, 0])
    wide, tall = one[50].reshape(bond, -1), np.ascontiguousarray(one[50].reshape(-1, bond).T)
    slim = one[50].reshape(-1, bond)

    def by_hand() -> complex:
        block = np.ones((1, 1))
        for x, y in zip(one, two, strict=True):
            l, d, r = y.shape
            half = (block @ y.reshape(l, d * r)).reshape(-1, r)
            block = x.reshape(-1, r).conj().T @ half
        return complex(block[0, 0])

    def limit() -> None:
        for _ in range(LENGTH - 2):
            square @ wide
            tall @ slim

    contenders: dict[str, Callable[[], Any]] = {
        "limit": limit,
        "numpy by hand": by_hand,
        "tnkit": lambda: tnkit.inner(a, b),
    }
    quimb, seemps = peer("quimb.tensor"), peer("seemps.state")
    if quimb:
        qa, qb = to_quimb(quimb, one), to_quimb(quimb, two)
        contenders["quimb"] = lambda: qb.overlap(qa)  # the argument is the bra
    if seemps:
        sa, sb = seemps.MPS(list(one)), seemps.MPS(list(two))
        contenders["seemps"] = lambda: seemps.scprod(sa, sb)
    tenpy = peer("tenpy.networks.mps")
    if tenpy:
        ta, tb = to_tenpy(tenpy, one), to_tenpy(tenpy, two)
        contenders["TeNPy"] = lambda: ta.overlap(tb)
    exact = by_hand()
    report(
        "W4 overlap",
        f"bond {bond} {dtype}",
        race(contenders, rounds * 4),
        lambda v: abs(complex(v) - exact) / abs(exact),
    )
    tensors = heisenberg(LENGTH)
    mpo = tnkit.MPO.from_arrays([w.transpose(0, 2, 3, 1) for w in tensors])
    stack = np.ascontiguousarray(np.tile(square, (5, 1)))
    spread = np.ascontiguousarray(np.tile(slim.T, (5, 1)))

    def limit_operator() -> None:
        for _ in range(LENGTH - 2):
            stack @ wide
            spread @ slim

    contenders = {"limit": limit_operator, "tnkit": lambda: tnkit.inner(a, mpo, a)}
    if quimb:
        shaped = [tensors[0][0], *tensors[1:-1], tensors[-1][:, 0]]
        qh = quimb.MatrixProductOperator(shaped, shape="lrud")
        contenders["quimb"] = lambda: quimb.expec_TN_1D(qa.H, qh, qa)
    if seemps:
        operators = __import__("seemps.operators", fromlist=["MPO"])
        sh = operators.MPO([w.transpose(0, 2, 3, 1) for w in tensors])
        contenders["seemps"] = lambda: sh.expectation(sa)
    if tenpy:
        chain = peer("tenpy.models.spins").SpinChain(
            {"L": LENGTH, "S": 0.5, "Jx": 1.0, "Jy": 1.0, "Jz": 1.0, "conserve": None}
            | {"bc_MPS": "finite", "sort_charge": False}
        )
        on_chain = to_tenpy(tenpy, one, sites=chain.lat.mps_sites())
        contenders["TeNPy"] = lambda: chain.H_MPO.expectation_value(on_chain)
    exact = tnkit.inner(a, tnkit.apply(mpo, a, method="exact").state)
    report(
        "W4 operator of bond 5",
        f"bond {bond} {dtype}",
        race(contenders, rounds * 2),
        lambda v: abs(complex(v) - exact) / abs(exact),
    )


def w6(rounds: int) -> None:
    """A thousand samples of a 784-site state of bond 100, in one batch.

    quimb and TeNPy draw one at a time: they draw two, and their time is multiplied.
    """
    length, bond, count = 784, 100, 1000
    psi = tnkit.canonicalize(tnkit.MPS.from_arrays(random_arrays(length, bond, 6.0)), 0)
    psi = tnkit.normalize(psi)
    rows = np.random.default_rng(0).standard_normal((count, bond))
    matrix = np.ascontiguousarray(psi.arrays[length // 2].reshape(bond, -1))

    def limit() -> None:
        for _ in range(length):
            rows @ matrix

    single = psi.astype("float32")
    contenders: dict[str, Callable[[], Any]] = {
        "limit": limit,
        "tnkit": lambda: tnkit.sample(psi, count, seed=5),
        "tnkit float32": lambda: tnkit.sample(single, count, seed=5),
    }
    exact = np.array([p[1] for p in tnkit.site_probabilities(psi).values()])

    def check(value: Any) -> float:
        deviation = np.sqrt(np.maximum(exact * (1 - exact), 1e-6) / count)
        deviation = deviation * np.sqrt(count / len(value))
        return float(np.sqrt((((value.mean(axis=0) - exact) / deviation) ** 2).mean()))

    found = race(contenders, rounds)
    few = 2
    slow: dict[str, Callable[[], Any]] = {}
    quimb, tenpy = peer("quimb.tensor"), peer("tenpy.networks.mps")
    if quimb:
        q = to_quimb(quimb, list(psi.arrays))
        slow["quimb"] = lambda: np.array([x for x, _ in q.sample(few, seed=5)])
    if tenpy:
        t = to_tenpy(tenpy, list(psi.arrays))
        rng = np.random.default_rng(5)
        slow["TeNPy"] = lambda: np.array([t.sample_measurements(rng=rng)[0] for _ in range(few)])
    for name, run in slow.items():
        start = time.process_time()
        drawn = run()
        found[name] = ((time.process_time() - start) * count / few, drawn)
    report("W6 (deviation: rms z-score)", "1000 samples", found, check)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", default=["w3", "w4", "w6"])
    parser.add_argument("--bond", nargs="*", type=int, default=[64, 128])
    parser.add_argument("--dtype", nargs="*", default=["float64"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for bond in options.bond:
        for dtype in options.dtype:
            if "w3" in options.work:
                w3(bond, options.rounds, dtype)
            if "w4" in options.work:
                w4(bond, options.rounds, dtype)
    if "w6" in options.work:
        w6(options.rounds)


if __name__ == "__main__":
    main()
