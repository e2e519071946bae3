"""Every public function and class, called with arguments it cannot take.

``python tests/reliability/bad_input.py [NAME ...] [--pairs N] [--seed S]`` takes a good call of
each, replaces every argument by every piece of junk in turn, then N times two at once, and prints
a JSON line a name: wrong types, shapes, names, ranges, libraries, sites; NaN, Inf, nothing, too
much. Then each flag of the command line. A call must be refused by an error of tnkit's own that
names something given or expected, or be accepted though none of the junk contradicts the
annotations; whatever was given must be as it was. `test_bad_input.py` runs a short part of it.
"""

from __future__ import annotations

import argparse
import collections.abc
import contextlib
import dataclasses
import importlib.util
import inspect
import io
import json
import math
import numbers
import os
import random
import resource
import signal
import sys
import tempfile
import types
import typing
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import networkx
import numpy as np
import torch
from matplotlib import pyplot

import tnkit
from born_machine import BornMachine, MPSModel
from born_machine.cli import main as born_machine
from tnkit.algorithms.dmrg import EnergyProblem
from tnkit.mps.fit import FitProblem

mpl.use("Agg")

__all__ = ["PENDING", "RECORDS", "UNSWEPT", "Call", "flags", "good_calls", "methods", "sweep_call"]

SECONDS = 5.0  # of the processor's time; of the clock's, ten times as long
MEMORY = 2**30  # beyond what the process holds when it starts

RECORDS = frozenset(
    """
    Approximation BeliefResult BondChange BondForm Circuit Compressed Cost DMRGResult Expanding Gate
    Gauge MPO MPS MatrixSplit Measured Move Paused Picture Plan Problem SiteProblem Split Step
    StepInfo SweepRecord SweepState Vidal Zipper
    """.split()  # noqa: SIM905
)
"""Made by functions (`MPS.from_arrays`, `plan`): their constructors trust what they are given."""

PENDING: dict[str, str] = {}
"""Names whose failures are known, and why they still stand."""


PACKAGES = {
    "from_quimb": "quimb",
    "load_itensor": "h5py",
    "mpo_from_tenpy": "tenpy",
    "mpo_to_tenpy": "tenpy",
    "mps_from_tenpy": "tenpy",
    "mps_to_tenpy": "tenpy",
    "save_itensor": "h5py",
    "save_safetensors": "safetensors",
    "to_quimb": "quimb",
}
"""What an exchange with others needs; the conversion is not swept where the package is absent."""

UNSWEPT = frozenset(
    name for name, need in PACKAGES.items() if importlib.util.find_spec(need) is None
)


UNBOUNDED = {
    ("from_networkx", "size"): "the function given makes the arrays",
    ("BornMachine", "sweeps"): "so many are made, until the NLL stands still",
    ("BornMachine", "steps"): "so many are made",
}
"""Arguments that may be as large as one likes: no huge ones are tried."""


@dataclass(frozen=True)
class Call:
    """A call that works: the function, and its arguments by position and name."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    annotated: Callable[..., Any] | None = None  # where the annotations stand, if elsewhere
    slow: bool = False

    def __call__(self) -> Any:
        """Make it."""
        return _finished(self.function(*self.args, **self.kwargs))


def _finished(result: Any) -> Any:
    """Return a result, an iterator or a context run to its end."""
    if isinstance(result, collections.abc.Iterator):
        return list(result)
    if isinstance(result, contextlib.AbstractContextManager) and not isinstance(result, np.ndarray):
        with result as entered:
            return entered
    return result


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    """Write a good call as one would make it."""
    return Call(function, args, kwargs)


def good_calls() -> dict[str, Call]:
    """Return a good call of every public function, constructor and method, made anew."""
    X = np.array([[0.0, 1.0], [1.0, 0.0]])
    Z = np.diag([1.0, -1.0])
    psi = tnkit.random_mps(4, bond_dim=3, seed=1)
    phi = tnkit.random_mps(4, bond_dim=2, seed=2)
    mpo = tnkit.mpo_from_terms([{0: X, 1: X}, {2: Z}], 4)
    hermitian = tnkit.multiply(mpo, tnkit.adjoint_mpo(mpo))
    cut = tnkit.Truncation(max_bond=2)
    rows = np.eye(2, 3)
    a = tnkit.Tensor(np.arange(6.0).reshape(2, 3), ["a", "b"], ["one"])
    b = tnkit.Tensor(np.arange(12.0).reshape(3, 4), ["b", "c"], ["two"])
    square = tnkit.Tensor(np.arange(4.0).reshape(2, 2), ["x", "y"])
    network = tnkit.TensorNetwork([a, b])
    plan = tnkit.plan(network)
    sliced = tnkit.plan(network, memory_limit=400)
    ising = tnkit.OpSum()
    ising.add(1.0, ("Z", 0), ("Z", 1))
    problem = FitProblem((tnkit.FitTarget(1.0, psi),))
    energy = EnergyProblem(mpo.arrays, 4)
    zipper = tnkit.open_zipper(phi, problem)
    step = tnkit.two_site(problem, cut)
    moves = tnkit.round_trip(4)
    graph = networkx.path_graph(3)
    lattice = tnkit.lattice("square", 3, 2)
    circuit = tnkit.Circuit.from_gates(2, [("h", 0), ("cx", 0, 1)])
    ring = tnkit.ring([np.random.default_rng(0).standard_normal((2, 2, 2))] * 3)
    names = ("s0", "s1", "s2", "s3")
    tnkit.save("state.npz", psi)
    samples = np.random.default_rng(0).integers(0, 2, (20, 4))
    known = np.array([True, True, False, False])
    machine = BornMachine(max_bond=3, sweeps=1, order="given", device="cpu", random_state=0)
    machine.fit(samples)
    machine.save("model.npz")
    executor = ThreadPoolExecutor(1)

    def fitted(**parameters: Any) -> Any:
        return BornMachine(**parameters).fit(samples)

    parameters = machine.get_params()
    return {
        "Equation": call(tnkit.Equation, (("a", "b"), ("b", "c")), ("a", "c")),
        "Equation.sizes": call(plan_equation(network).sizes, [(2, 3), (3, 4)]),
        "FitTarget": call(tnkit.FitTarget, 1.0, psi, mpo),
        "Gauge.touching": call(psi.gauge.touching, 1, 4),
        "Index": call(tnkit.Index, "a", 3),
        "MPO.__getitem__": call(mpo.__getitem__, 1),
        "MPO.astype": call(mpo.astype, "complex128"),
        "MPO.convert": call(mpo.convert, "torch", device="cpu"),
        "MPO.from_arrays": call(tnkit.MPO.from_arrays, list(mpo.arrays), sites=names),
        "MPO.same_structure": call(mpo.same_structure, mpo),
        "MPS.__getitem__": call(psi.__getitem__, 1),
        "MPS.astype": call(psi.astype, "complex128"),
        "MPS.convert": call(psi.convert, "torch", device="cpu"),
        "MPS.from_arrays": call(tnkit.MPS.from_arrays, list(psi.arrays), sites=names),
        "MPS.same_structure": call(psi.same_structure, phi),
        "OpSum": call(tnkit.OpSum, {"X": X, "Z": Z}, fermionic=("X",)),
        "OpSum.add": call(ising.add, 0.5, ("X", 1), ("Z", "s2")),
        "OpSum.to_mpo": call(ising.to_mpo, 4),
        "Plan.__call__": call(plan, a.array, b.array),
        "Plan.from_json": call(tnkit.Plan.from_json, plan.to_json()),
        "Plan.peak_bytes": call(plan.peak_bytes, "float32"),
        "Plan.with_batch": call(plan.with_batch, 5, [0], "n"),
        "Scaled": call(tnkit.Scaled, np.ones(2), 1.0),
        "Tensor": call(tnkit.Tensor, np.ones((2, 3)), ["a", tnkit.Index("b", 3)], ["one"]),
        "Tensor.__add__": call(a.__add__, a),
        "Tensor.__mul__": call(a.__mul__, 2.0),
        "Tensor.allclose": call(a.allclose, a, rtol=1e-9, atol=0.0),
        "Tensor.astype": call(a.astype, "float32"),
        "Tensor.fix": call(a.fix, {"a": 1}),
        "Tensor.fuse": call(a.fuse, ["a", "b"], "ab"),
        "Tensor.inner": call(a.inner, a),
        "Tensor.map": call(a.map, np.sqrt),
        "Tensor.outer": call(a.outer, square),
        "Tensor.rename": call(a.rename, {"a": "z"}),
        "Tensor.same_structure": call(a.same_structure, b),
        "Tensor.size": call(a.size, "a"),
        "Tensor.slice": call(a.slice, {"a": slice(0, 1)}),
        "Tensor.sum": call(a.sum, "a"),
        "Tensor.to": call(a.to, "torch", device="cpu"),
        "Tensor.to_device": call(a.to_device, "cpu"),
        "Tensor.transpose": call(a.transpose, "b", "a"),
        "Tensor.unfuse": call(b.unfuse, "c", [("d", 2), tnkit.Index("e", 2)]),
        "Tensor.with_array": call(a.with_array, np.ones((2, 3))),
        "Tensor.with_tags": call(a.with_tags, "three", "four"),
        "TensorNetwork": call(tnkit.TensorNetwork, [a, b], ["a", "c"]),
        "TensorNetwork.allclose": call(network.allclose, network, rtol=1e-9, atol=0.0),
        "TensorNetwork.combine": call(network.combine, tnkit.TensorNetwork([square]), ["a", "x"]),
        "TensorNetwork.find": call(network.find, "one", any_of=True),
        "TensorNetwork.fix": call(network.fix, {"b": 1}),
        "TensorNetwork.map": call(network.map, tnkit.Tensor.conj),
        "TensorNetwork.partition": call(network.partition, [0]),
        "TensorNetwork.rename": call(network.rename, {"a": "z"}),
        "TensorNetwork.replace": call(network.replace, {0: a}),
        "TensorNetwork.same_structure": call(network.same_structure, network),
        "TensorNetwork.select": call(network.select, ["two"], any_of=False),
        "TensorNetwork.tensors_with": call(network.tensors_with, "b"),
        "TensorNetwork.to_networkx": call(network.to_networkx, open_ends=True),
        "TensorNetwork.with_arrays": call(network.with_arrays, a.array, b.array),
        "TensorNetwork.with_output": call(network.with_output, "c", "a"),
        "Truncation": call(tnkit.Truncation, 4, 0.1, 0.1, 2, False),
        "Truncation.keep": call(cut.keep, np.array([1.0, 0.5, 0.1]), eps=1e-12),
        "add": call(tnkit.add, psi, phi, psi),
        "adjoint_mpo": call(tnkit.adjoint_mpo, mpo),
        "aklt_mps": call(tnkit.aklt_mps, 4, edges=(0, 1), dtype="float64"),
        "apply": call(tnkit.apply, mpo, psi, cut, method="svd", error_budget=None, seed=0),
        "apply_local": call(tnkit.apply_local, psi, {0: X, "s1": Z}),
        "atomic_file": call(tnkit.atomic_file, "written.bin"),
        "basis_mps": call(tnkit.basis_mps, [0, 1, 1], 2, sites=["a", "b", "c"], dtype="float32"),
        "bond_form": call(tnkit.bond_form, psi, 1),
        "canonicalize": call(tnkit.canonicalize, psi, 2),
        "close_zipper": call(tnkit.close_zipper, zipper),
        "compress": call(tnkit.compress, psi, cut, method="svd", error_budget=0.1, seed=0),
        "compress_bond": call(tnkit.compress_bond, network, "b", cut),
        "condition": call(tnkit.condition, psi, {"s0": 1, 2: 0}),
        "checked": call(tnkit.checked, plan_equation),
        "conj": call(tnkit.conj, psi),
        "contract": call(tnkit.contract, network, plan),
        "contract (sliced)": call(
            tnkit.contract, network, memory_limit=400, executor=executor, time_budget=0.01
        ),
        "contract_bond": call(tnkit.contract_bond, network, "b"),
        "contract_scaled": call(tnkit.contract_scaled, network, sliced),
        "correlation_length": call(
            tnkit.correlation_length, tnkit.random_mps(10, bond_dim=2, seed=1), Z, Z, site=1
        ),
        "distance": call(tnkit.distance, psi, phi),
        "dmrg": call(tnkit.dmrg, hermitian, psi, truncation=cut, sweeps=1, orthogonal_to=[phi]),
        "draw": Call(
            tnkit.draw, (network,), {"positions": {0: (0.0, 0.0), 1: (1.0, 0.0)}}, slow=True
        ),
        "einsum": call(tnkit.einsum, "ab,bc->ac", a.array, b.array, memory_limit=2**20),
        "einsum (interleaved)": call(tnkit.einsum, a.array, [0, 1], b.array, [1, 2], [0, 2]),
        "entanglement_spectra": call(tnkit.entanglement_spectra, psi),
        "entropies": call(tnkit.entropies, psi, order=2.0),
        "entropy": call(tnkit.entropy, psi, 1, order=1.0),
        "expectation": call(tnkit.expectation, psi, mpo),
        "fidelity": call(tnkit.fidelity, psi, phi),
        "fit": call(tnkit.fit, [tnkit.FitTarget(1.0, psi)], phi, cut, sweeps=2, tolerance=1e-12),
        "from_einsum": call(tnkit.from_einsum, "ab,bc->ac", a.array, b.array),
        "from_networkx": call(
            tnkit.from_networkx, graph, lambda node, shape: np.ones(shape), size=2
        ),
        "from_vidal": call(tnkit.from_vidal, tnkit.to_vidal(psi), 1),
        "gauge_bond": call(tnkit.gauge_bond, network, "b", isometry="second"),
        "ghz_mps": call(tnkit.ghz_mps, 4, 3, dtype="float64"),
        "hadamard": call(tnkit.hadamard, psi, phi),
        "identity_mpo": call(tnkit.identity_mpo, 4, [2, 3, 2, 2], dtype="float64"),
        "inner": call(tnkit.inner, psi, mpo, phi),
        "insert_site": call(tnkit.insert_site, psi, 1, [0.6, 0.8], "new"),
        "join": call(tnkit.join, psi, phi, sites=[f"t{k}" for k in range(8)]),
        "load": call(tnkit.load, "state.npz"),
        "local_expectations": call(tnkit.local_expectations, psi, Z),
        "log_inner": call(tnkit.log_inner, psi, phi),
        "log_norm": call(tnkit.log_norm, psi),
        "log_probability": call(tnkit.log_probability, psi, samples),
        "marginal_probabilities": call(
            tnkit.marginal_probabilities, psi, [0, "s2"], memory_limit=2**20
        ),
        "measure": call(tnkit.measure, psi, ["s1", 2], seed=0),
        "mpo_from_dense": call(tnkit.mpo_from_dense, np.eye(8), [2, 4], cut, sites=["a", "b"]),
        "mpo_from_terms": call(tnkit.mpo_from_terms, [{0: X}, (2.0, {1: Z})], 3, 2, dtype=None),
        "mps_from_dense": call(tnkit.mps_from_dense, np.ones((2, 3)), cut, sites=["a", "b"]),
        "multiply": call(tnkit.multiply, mpo, mpo),
        "mutual_information": call(
            tnkit.mutual_information, psi, 0, [2, "s3"], order=1.0, memory_limit=2**20
        ),
        "namespace": call(tnkit.namespace, a.array, b.array),
        "norm": call(tnkit.norm, psi),
        "normalize": call(tnkit.normalize, psi),
        "one_site": call(tnkit.one_site, energy, cut, expand=2, method="svd", normalize=True),
        "open_zipper": call(tnkit.open_zipper, phi, problem, 1),
        "orthonormality_errors": call(tnkit.orthonormality_errors, psi),
        "pause": call(tnkit.pause, tnkit.SweepState(zipper)),
        "permute_sites": call(tnkit.permute_sites, psi, [1, 0, "s3", 2], cut),
        "plan": call(
            tnkit.plan,
            "ab,bc->ac",
            shapes=[(2, 3), (3, 4)],
            memory_limit=2**20,
            dtype="float32",
            time_budget=0.01,
        ),
        "plan (network)": call(tnkit.plan, network, optimizer="greedy"),
        "plugins.load": call(tnkit.plugins.load, "born_machine"),
        "product_mpo": call(tnkit.product_mpo, [X, Z], sites=["a", "b"]),
        "product_mps": call(tnkit.product_mps, [[1.0, 0.0], [0.6, 0.8]], sites=["a", "b"]),
        "project": call(tnkit.project, psi, {"s0": 1, 2: [0.6, 0.8]}),
        "random_mps": call(tnkit.random_mps, 4, 2, bond_dim=3, dtype="float64", seed=0),
        "read_archive": call(tnkit.read_archive, "state.npz", "mps"),
        "reduced_density_matrix": call(
            tnkit.reduced_density_matrix, psi, ["s0", 2], memory_limit=2**20
        ),
        "remove_site": call(tnkit.remove_site, tnkit.insert_site(psi, 1, [1.0], "new"), "new"),
        "reverse": call(tnkit.reverse, psi),
        "round_trip": call(tnkit.round_trip, 5, from_right=False),
        "run_sweep": call(tnkit.run_sweep, tnkit.SweepState(zipper), step, moves),
        "sample": call(tnkit.sample, psi, 3, seed=0),
        "save": call(tnkit.save, "written.npz", psi),
        "retract_matrix": call(tnkit.retract_matrix, a.array, rows, cut, absorb="right"),
        "scale": call(tnkit.scale, psi, 2.0),
        "schedule": call(tnkit.schedule, [cut, cut]),
        "schmidt_values": call(tnkit.schmidt_values, psi, 1),
        "simplify": call(tnkit.simplify, network, ["rank", "split"]),
        "site_operators": call(tnkit.site_operators, "boson", 3),
        "site_probabilities": call(tnkit.site_probabilities, psi, {"s0": 1}),
        "split": call(tnkit.split, a, ["a"], "svd", cut, "right", "new", seed=0),
        "split_block": call(
            tnkit.split_block, a.array, cut, method="retraction", absorb="right", space=rows
        ),
        "split_chain": call(tnkit.split_chain, tnkit.basis_mps([0, 1, 0, 0]), 2),
        "split_method": call(tnkit.split_method, 8, 8, "float64", cut, "right"),
        "split_matrix": call(tnkit.split_matrix, a.array, cut, method="svd", absorb="right"),
        "split_tensor": call(tnkit.split_tensor, network, 0, ["a"], "svd", cut, "right", "new"),
        "subtract": call(tnkit.subtract, psi, phi),
        "swap_sites": call(tnkit.swap_sites, psi, 0, "s2", cut),
        "sweep": call(tnkit.sweep, zipper, step, moves),
        "to_dense": call(tnkit.to_dense, psi, memory_limit=2**20),
        "to_vidal": call(tnkit.to_vidal, psi, cut),
        "thread_count": call(tnkit.thread_count, 8, 2),
        "threads": call(tnkit.threads, 8, 2),
        "trace": call(tnkit.trace, mpo),
        "two_point": call(tnkit.two_point, psi, Z, X),
        "two_site": call(tnkit.two_site, problem, cut, method="svd", normalize=True),
        "variance": call(tnkit.variance, psi, hermitian),
        "verify": call(tnkit.verify, psi, tolerance=1e-8),
        "w_mps": call(tnkit.w_mps, 4, dtype="float64"),
        "write_archive": call(
            tnkit.write_archive, "written.npz", "thing", {"n": 1}, {"x": np.ones(2)}
        ),
        "Windowed": call(tnkit.Windowed, problem, 2),
        "amplitude_network": call(tnkit.amplitude_network, circuit, "0?", dtype="complex64"),
        "belief_propagation": call(
            tnkit.belief_propagation,
            tnkit.ising_network(lattice, 0.3),
            max_iterations=50,
            residual=1e-6,
            damping=0.1,
            tolerance=1e-2,
            max_loops=5,
        ),
        "boundary_contract": call(
            tnkit.boundary_contract,
            tnkit.ising_network(lattice, 0.3),
            tnkit.Truncation(max_bond=4),
            directions=["rows"],
            method="svd",
            tolerance=0.1,
        ),
        "circuit_positions": call(tnkit.circuit_positions, circuit),
        "cnf_network": call(tnkit.cnf_network, "p cnf 2 1\n1 -2 0\n"),
        "colouring_network": call(tnkit.colouring_network, graph, 3),
        "compressed_contract": call(
            tnkit.compressed_contract,
            tnkit.ising_network(lattice, 0.3),
            tnkit.Truncation(max_bond=4),
            distance=1,
            seed=0,
            memory_limit=2**20,
            tolerance=0.1,
        ),
        "density_network": call(tnkit.density_network, circuit, [0], dtype="complex64"),
        "deprecated": call(tnkit.deprecated, "norm", since="0.2", removed_in="0.3"),
        "describe": call(tnkit.describe, tnkit.SweepRecord(-1.75, 12, 3e-9, 0.25, 8), "energy"),
        "dimer_network": call(tnkit.dimer_network, lattice, weight=1.0, monomer=0.5),
        "draw_steps": Call(tnkit.draw_steps, (network, plan, [1]), {"columns": 2}, slow=True),
        "draw_tree": Call(tnkit.draw_tree, (plan,), {"names": True}, slow=True),
        "expectation_network": call(
            tnkit.expectation_network, circuit, {0: "Z", 1: X}, dtype="complex64"
        ),
        "gate_matrix": call(tnkit.gate_matrix, "rz", [0.5]),
        "independent_set_network": call(tnkit.independent_set_network, lattice, activity=2.0),
        "ising_network": call(tnkit.ising_network, lattice, 0.3, coupling=1.0, field=0.1),
        "isometric_legs": call(tnkit.isometric_legs, a, ["a"], tolerance=1e-6),
        "lattice": call(tnkit.lattice, "square", 3, 3, periodic=[True, False]),
        "lattice_positions": call(tnkit.lattice_positions, lattice),
        "light_cone": call(tnkit.light_cone, circuit, [0]),
        "mera_network": call(
            tnkit.mera_network, 1, bond_dim=2, site_dim=2, dtype="float32", seed=0
        ),
        "mera_positions": call(tnkit.mera_positions, 2),
        "mpo_from_list": call(tnkit.mpo_from_list, list(mpo.arrays), "loir", sites=names),
        "mps_from_list": call(tnkit.mps_from_list, list(psi.arrays), "lsr", sites=names),
        "out_of_memory": call(tnkit.out_of_memory, "bond 400", "take 300"),
        "pair_network": call(
            tnkit.pair_network,
            graph,
            2,
            lambda a, b, about: np.ones((2, 2)),
            lambda a, about: np.ones(2),
        ),
        "peps_network": call(
            tnkit.peps_network, lattice, bond_dim=2, site_dim=2, dtype="float32", seed=0
        ),
        "picture": Call(tnkit.picture, (plan,), slow=True),
        "potts_network": call(tnkit.potts_network, lattice, 3, 0.3, coupling=1.0, field=0.1),
        "progress": call(tnkit.progress, "energy", file=io.StringIO(), every=0.2),
        "random_regular_graph": call(tnkit.random_regular_graph, 2, 6, 0),
        "read_qasm": call(tnkit.read_qasm, "OPENQASM 2.0; qreg q[2];", max_gates=10),
        "read_qsim": call(tnkit.read_qsim, "2\n0 h 0\n"),
        "read_uai_evidence": call(tnkit.read_uai_evidence, "2 0 1 3 0"),
        "ring": call(tnkit.ring, [np.ones((2, 2, 2))] * 3, sites=["a", "b", "c"]),
        "ring_expectation": call(tnkit.ring_expectation, ring, {"s0": Z}, memory_limit=2**20),
        "ring_inner": call(tnkit.ring_inner, ring, ring, {"s0": Z}, memory_limit=2**20),
        "ring_log_norm": call(tnkit.ring_log_norm, ring, memory_limit=2**20),
        "sample_circuit": call(
            tnkit.sample_circuit,
            circuit,
            4,
            seed=0,
            group=2,
            memory_limit=2**20,
            dtype="complex64",
        ),
        "state_network": call(tnkit.state_network, circuit, dtype="complex64"),
        "to_list": call(tnkit.to_list, psi, "lrs", outer=False),
        "tree_graph": call(tnkit.tree_graph, 2, 3),
        "uai_network": call(
            tnkit.uai_network, "MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 2 3 4\n", {0: 1}, output=[1]
        ),
        **exchanges(psi, mpo, network),
        "BornMachine.partial_fit": call(machine.partial_fit, samples, None),
        "BornMachine": Call(fitted, (), parameters, annotated=BornMachine.__init__),
        "BornMachine.complete": call(machine.complete, samples, known, 0),
        "BornMachine.compressed": call(machine.compressed, cut),
        "BornMachine.correlated": call(machine.correlated, samples, validation=samples, epochs=1),
        "BornMachine.entropy": call(machine.entropy, 10, 0),
        "BornMachine.fit": call(machine.fit, samples, None),
        "BornMachine.load": call(BornMachine.load, "model.npz"),
        "BornMachine.log_marginal": call(machine.log_marginal, samples, known),
        "BornMachine.most_probable": call(machine.most_probable, samples, known, beam=4),
        "BornMachine.sample": call(machine.sample, 3, 0),
        "BornMachine.save": call(machine.save, "written.npz"),
        "BornMachine.score": call(machine.score, samples),
        "BornMachine.score_samples": call(machine.score_samples, samples),
    }


def exchanges(psi: tnkit.MPS, mpo: tnkit.MPO, network: tnkit.TensorNetwork) -> dict[str, Call]:
    """Return a good call of every conversion whose package is installed."""
    found: dict[str, Call] = {}
    if "to_quimb" not in UNSWEPT:
        found["to_quimb"] = call(tnkit.to_quimb, network)
        found["from_quimb"] = call(tnkit.from_quimb, tnkit.to_quimb(network))
    if "mps_to_tenpy" not in UNSWEPT:
        from tenpy.networks.site import SpinHalfSite

        sites = [SpinHalfSite(conserve=None) for _ in range(4)]
        found["mps_to_tenpy"] = call(tnkit.mps_to_tenpy, psi, sites)
        found["mpo_to_tenpy"] = call(tnkit.mpo_to_tenpy, mpo, sites)
        found["mps_from_tenpy"] = call(tnkit.mps_from_tenpy, tnkit.mps_to_tenpy(psi))
        found["mpo_from_tenpy"] = call(tnkit.mpo_from_tenpy, tnkit.mpo_to_tenpy(mpo))
    if "save_itensor" not in UNSWEPT:
        tnkit.save_itensor("state.h5", psi)
        found["save_itensor"] = call(tnkit.save_itensor, "written.h5", psi, "psi")
        found["load_itensor"] = call(tnkit.load_itensor, "state.h5", "psi")
    if "save_safetensors" not in UNSWEPT:
        found["save_safetensors"] = call(tnkit.save_safetensors, "written.safetensors", psi)
    return found


def plan_equation(network: tnkit.TensorNetwork) -> tnkit.Equation:
    """Return the structure of a network."""
    return tnkit.Equation(network.inputs, network.output)


def methods() -> set[str]:
    """Return the public methods that take arguments, of the classes users hold in hand."""
    found = set()
    values = (
        tnkit.Equation,
        tnkit.Gauge,
        tnkit.MPO,
        tnkit.MPS,
        tnkit.OpSum,
        tnkit.Plan,
        tnkit.Tensor,
        tnkit.TensorNetwork,
        tnkit.Truncation,
        BornMachine,
    )
    for value in values:
        for name, member in vars(value).items():
            if isinstance(member, staticmethod | classmethod):
                takes = len(inspect.signature(getattr(value, name)).parameters)
            elif inspect.isfunction(member):
                takes = len(inspect.signature(member).parameters) - 1
            else:
                continue
            if takes and not name.startswith("_"):
                found.add(f"{value.__name__}.{name}")
    return found


# ---- junk


def _nan_state() -> tnkit.MPS:
    return tnkit.MPS.from_arrays([np.full((1, 2, 1), np.nan)] * 4)


JUNK: tuple[Callable[[], Any], ...] = (
    *(lambda value=value: value for value in (None, True, False, -1, 0, 1, 7, 2**31, 2**70)),
    *(lambda value=value: value for value in (-(2**70), 1.5, 2.0, -0.5, 1e308, math.nan)),
    *(lambda value=value: value for value in (math.inf, -math.inf, 1 + 2j, complex(math.nan))),
    *(lambda value=value: value for value in ("", "x", "s0", "a", "s0 ", "Z", b"x", "x" * 5000)),
    *(lambda value=value: value for value in ("ab,bc->ac", "->", "float13", "int64", "no/x.npz")),
    *(lambda value=value: value for value in ((), (0,), (0, 0), (-1, 2), (1.5, 2.5), ("a", "a"))),
    *(lambda value=value: value for value in (int, object(), slice(None), len, Ellipsis)),
    *(lambda value=value: value for value in (np.float64(math.nan), np.int64(2), np.bool_(True))),
    *(lambda value=value: value for value in (np.float32(1.5), np.str_("x"), Path("no/where"))),
    list,
    dict,
    set,
    lambda: [None],
    lambda: [[]],
    lambda: ["s0", "s0"],
    lambda: ["s0", 1.5],
    lambda: [2**70, 2],
    lambda: [0, 1, 2, 99],
    lambda: [[1.0], [1.0, 2.0]],
    lambda: [math.nan, math.nan],
    lambda: {"zz": 1},
    lambda: {"s0": 99},
    lambda: {"s0": math.nan, "a": math.nan},
    lambda: {"s0": True, "a": True},
    lambda: {"s0": "x", "a": "x"},
    lambda: {99: 0},
    lambda: {0: None, 1: None},
    lambda: {None: None},
    lambda: iter(()),
    lambda: (k for k in (0, "x", None)),
    lambda: np.zeros(0),
    lambda: np.zeros((2, 0)),
    lambda: np.array(2.0),
    lambda: np.ones((2, 3)),
    lambda: np.ones((3, 4)),
    lambda: np.ones((2, 2), dtype=bool),
    lambda: np.ones((2, 2), dtype=np.int8),
    lambda: np.ones((1, 2, 1)),
    lambda: np.full((2, 3), np.nan),
    lambda: np.full((2, 2), np.inf),
    lambda: np.full((20, 4), -1),
    lambda: np.full((20, 4), 7),
    lambda: np.ones((20, 4)),
    lambda: np.array(["x", "y"]),
    lambda: np.array([None, object()]),
    lambda: np.array([(1, 2.0)], dtype=[("p", int), ("q", float)]),
    lambda: np.datetime64("2020-01-01"),
    lambda: torch.ones(2, 3),
    lambda: tnkit.random_mps(4, bond_dim=2, seed=3),
    lambda: tnkit.random_mps(4, bond_dim=2, seed=3).convert("torch"),
    lambda: tnkit.random_mps(["p", "q", "r", "s"], bond_dim=2, seed=3),
    lambda: tnkit.random_mps(4, 3, bond_dim=2, dtype="complex64", seed=3),
    lambda: tnkit.random_mps(1, bond_dim=1, seed=3),
    lambda: tnkit.scale(tnkit.random_mps(4, bond_dim=2, seed=3), 0.0),
    _nan_state,
    lambda: tnkit.identity_mpo(4),
    lambda: tnkit.identity_mpo(3),
    lambda: tnkit.Tensor(np.ones((3, 3)), ["a", "b"]),
    lambda: tnkit.Tensor(np.ones((2, 2)), ["a", "a"]),
    lambda: tnkit.Tensor(torch.ones(2, 3), ["a", "b"]),
    lambda: tnkit.Tensor(np.full((2, 3), np.nan), ["a", "b"]),
    lambda: tnkit.TensorNetwork([tnkit.Tensor(np.ones((2, 9)), ["a", "z"])]),
    lambda: tnkit.TensorNetwork([]),
    lambda: tnkit.plan("ab->", shapes=[(7, 7)]),
    lambda: tnkit.Truncation(max_bond=1, static=True),
    lambda: tnkit.OpSum(),
    lambda: tnkit.Index("zz", 5),
    lambda: np.random.default_rng(0),
    lambda: MPSModel,
)


def fits(value: Any, hint: Any) -> bool:
    """Say whether a value is of the annotated type: numbers by `numbers`, lists for tuples."""
    origin = typing.get_origin(hint)
    inside = typing.get_args(hint)
    if hint is Any or hint is inspect.Parameter.empty:
        return True
    if hint is None or hint is type(None):
        return value is None
    if isinstance(hint, typing.TypeVar):
        return any(fits(value, member) for member in hint.__constraints__)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, member) for member in inside)
    if origin is typing.Literal:
        return any(type(value) is type(member) and value == member for member in inside)
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    for kind, number in ((int, numbers.Integral), (float, numbers.Real), (complex, numbers.Number)):
        if hint is kind:  # and never NaN, where a number is meant
            bad = isinstance(value, bool) or not isinstance(value, number)
            return not bad and value == value
    if origin is collections.abc.Callable:
        return callable(value)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        return isinstance(value, collections.abc.Mapping) and all(
            fits(k, inside[0]) and fits(v, inside[1]) for k, v in value.items()
        )
    if origin is not None and origin is not np.ndarray and isinstance(origin, type):
        return _fits_many(value, origin, inside)
    if getattr(hint, "_is_protocol", False):
        return all(hasattr(value, name) for name in vars(hint) if not name.startswith("_"))
    return isinstance(value, origin or hint)


def _fits_many(value: Any, origin: type, inside: tuple[Any, ...]) -> bool:
    if not issubclass(origin, collections.abc.Iterable):
        return isinstance(value, origin)
    if isinstance(value, str | bytes) or not isinstance(value, collections.abc.Iterable):
        return False
    if isinstance(value, collections.abc.Iterator):
        return origin in (collections.abc.Iterable, collections.abc.Iterator)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return False
    members = list(value)
    if origin is tuple and inside and inside[-1] is not Ellipsis:
        return len(members) == len(inside) and all(map(fits, members, inside))
    return all(fits(member, inside[0]) for member in members) if inside else True


# ---- one call


def _plain(value: Any) -> Any:
    """Return what a value holds, to be compared later."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes() if value.dtype != object else "")
    if isinstance(value, torch.Tensor):
        return (value.shape, repr(value))
    if isinstance(value, dict):
        return [(_plain(k), _plain(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, tnkit.OpSum):
        return _plain(value._terms)
    if isinstance(value, tnkit.TensorNetwork | tnkit.Tensor):
        return _plain([getattr(value, n) for n in value.__slots__ if n != "__weakref__"])
    if dataclasses.is_dataclass(value) and not isinstance(value, type | tnkit.Plan):
        return _plain([getattr(value, f.name) for f in dataclasses.fields(value)])
    return repr(value) if isinstance(value, int | float | complex | str | bytes) else id(value)


class _Hang(BaseException):
    pass


def _alarm(*_: Any) -> None:
    raise _Hang


def _listen() -> None:
    signal.signal(signal.SIGPROF, _alarm)
    signal.signal(signal.SIGALRM, _alarm)


def _set_clock(seconds: float) -> None:
    """Let `_Hang` be raised so much later; never for 0."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


@dataclass(frozen=True)
class Place:
    """An argument that can be replaced: by position or by name."""

    key: int | str
    name: str
    hint: Any


def places(good: Call) -> list[Place]:
    """Return all arguments of a call, those left at their defaults too."""
    function = good.annotated or good.function
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = type(function).__call__ if isinstance(function, tnkit.Plan) else function
    plain = function.__init__ if isinstance(function, type) else inspect.unwrap(function)
    hints = typing.get_type_hints(plain)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    found: list[Place] = []
    for at, parameter in enumerate(parameters):
        hint = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_POSITIONAL:
            found += [Place(k, parameter.name, hint) for k in range(at, len(good.args))]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            named = parameter.kind is parameter.KEYWORD_ONLY or at >= len(good.args)
            key = parameter.name if named else at
            found.append(Place(key, parameter.name, hint))
    return found


def _try(good: Call, chosen: list[tuple[Place, Any]]) -> tuple[str, str]:
    """Make one call; return what happened, and how it failed."""
    args, kwargs = list(good.args), dict(good.kwargs)
    for place, value in chosen:
        if isinstance(place.key, int):
            args[place.key] = value
        else:
            kwargs[place.key] = value
    wrong = [place.name for place, value in chosen if not fits(value, place.hint)]
    holder = getattr(good.function, "__self__", None)
    held = [*args, *kwargs.values()]
    theirs = any(callable(value) and fits(value, place.hint) for place, value in chosen)
    before, owner, files = _plain(held), _plain(holder), _files()
    _set_clock(SECONDS)
    try:
        _finished(good.function(*args, **kwargs))
    except (tnkit.TnkitError, OSError) as error:
        outcome, message = "refused", str(error)
    except _Hang:
        return "failed", f"no answer in {SECONDS} s"
    except BaseException as error:
        if theirs:  # what a function that was given raises is the giver's
            return "accepted", ""
        return "failed", f"{type(error).__name__}: {error}"
    else:
        outcome, message = "accepted", ""
    finally:
        _set_clock(0.0)
    if _plain(held) != before:
        return "failed", "an argument was changed"
    if outcome == "accepted":
        return ("silent", f"{', '.join(wrong)} accepted") if wrong else ("accepted", "")
    if _files() != files or _plain(holder) != owner:
        return "failed", "something was written by a call that was refused"
    if not theirs and not _says(message, [place.name for place in places(good)], chosen):
        return "failed", f"the message names nothing: {message!r}"
    return "refused", ""


def _endless(name: str, case: list[tuple[Place, Callable[[], Any]]]) -> bool:
    return any(
        (name, place.name) in UNBOUNDED and isinstance(value := junk(), int) and value > 10**6
        for place, junk in case
    )


def _files() -> list[str]:
    return sorted(name for name in os.listdir() if not name.startswith("written"))


def _says(message: str, names: list[str], chosen: list[tuple[Place, Any]]) -> bool:
    """Say whether a message names an argument, a value given, its type, or its shape."""
    words = [name.rstrip("s") for name in names if len(name) > 1]
    words += [
        "expected",
        "must",
        "needs",
        "[Errno",
        "NaN",
        *(word for _, v in chosen for word in _words(v)),
    ]
    return any(word in message for word in words if word) or any(
        c in "'0123456789" for c in message
    )


def _words(value: Any, depth: int = 2) -> Iterator[str]:
    yield from (type(value).__name__, str(value)[:12], repr(value)[:12])
    yield KINDS.get(type(value).__name__, "")
    if isinstance(value, collections.abc.Iterable) and depth:
        members = [] if isinstance(value, collections.abc.Iterator) else value
        if not (isinstance(value, str | bytes) or getattr(value, "ndim", 1) == 0):
            for member in members:
                yield from _words(member, depth - 1)
    for name in ("shape", "sites", "names", "site_dims", "dtype"):
        if depth and not isinstance(value, type) and hasattr(value, name):
            yield from _words(getattr(value, name), depth - 1)


KINDS = {"MPS": "state", "MPO": "operator", "Tensor": "tensor", "ndarray": "matrix"}


def sweep_call(name: str, good: Call, pairs: int, seed: int = 0, single: bool = True) -> Any:
    """Replace each argument by each piece of junk, then `pairs` times two at once; count."""
    _listen()
    rng = random.Random(f"{name} {seed}")
    spots = places(good)
    cases: list[list[tuple[Place, Callable[[], Any]]]] = []
    if single:
        cases = [[(place, junk)] for place in spots for junk in JUNK]
        cases = [case for case in cases if not _endless(name, case)]
        if good.slow:
            cases = rng.sample(cases, 60)
    for _ in range(min(pairs, 20) if good.slow else pairs):
        several = rng.sample(spots, min(len(spots), rng.choice((1, 2, 2))))
        case = [(place, rng.choice(JUNK)) for place in several]
        if not _endless(name, case):
            cases.append(case)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    with _limited(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in cases:
            chosen = [(place, make()) for place, make in case]
            given = ", ".join(f"{place.name}={repr(value)[:60]}" for place, value in chosen)
            what, detail = _try(good, chosen)
            counts[what] += 1
            if detail:
                failures.append(f"{given}: {detail}")
    return {"name": name, "calls": len(cases), **counts, "failures": failures}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
        pyplot.close("all")


# ---- the command line

WORDS = ("", "x", "-1", "0", "1.5", "nan", "inf", "1e999", "2**70", "9" * 30, "no/where", "3:1")
WORDS += ("--", "é", "0:", "9999:", "a:b", "0x0", "9x9", "none", "random", "\n", "digits,digits")


def flags() -> list[tuple[str, list[str], str]]:
    """Return (command, the rest of a good line, flag) for every flag of every command."""
    from born_machine.options import _parser

    commands = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    good = {
        "train": ["digits", "--out", "new", "--rows", "0:20", "--sweeps", "1", "--max-bond", "2"],
        "resume": ["run"],
        "score": ["run", "digits", "--rows", "0:5"],
        "sample": ["run", "-n", "2", "--out", "new.npz"],
        "complete": ["run", "digits", "--rows", "0:2", "--out", "new.npz"],
        "inspect": ["run"],
        "compare": ["run"],
        "mend": ["run", "digits", "--rows", "0:20", "--out", "new.npz", "--epochs", "1"],
    }
    found = []
    for command, parser in commands.items():
        rest = good.get(command)
        assert rest is not None, f"give a good line for {command}"
        for action in parser._actions:
            if action.option_strings and action.nargs != 0:
                found.append((command, rest, action.option_strings[0]))
        found += [(command, rest[1:], ""), (command, rest, "--melt")]
    return found


def sweep_flags(words: tuple[str, ...] = WORDS) -> dict[str, Any]:
    """Give every flag every word; count refusals in one line, and what goes through."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    _listen()
    line = ["train", "digits", "--rows", "0:40", "--sweeps", "1", "--max-bond", "2", "--quiet"]
    if not Path("run").exists():
        _status([*line, "--out", "run"])
    kept = _files()
    for command, rest, flag in flags():
        for word in words:
            if len(word) == 30 and flag in ("--sweeps", "--steps"):
                continue  # so many are made
            arguments = [command, *rest, *([flag] if flag else []), word]
            status, text = _status(arguments)
            refused = status == 2
            lines = text.strip().splitlines()
            counts["refused" if refused else "accepted"] += 1
            wrong = ""
            if refused and (len(lines) != 1 or not lines[0].startswith("born-machine")):
                wrong = f"not one line: {text[-300:]!r}"
            elif refused and _files() != kept:
                wrong = f"written: {sorted(set(_files()) - set(kept))}"
            elif status not in (0, 2):
                wrong = f"status {status}: {text[-300:]!r}"
            if wrong:
                counts["failed"] += 1
                failures.append(f"{' '.join(map(repr, arguments))}: {wrong}")
            _clear(kept)
    calls = counts["refused"] + counts["accepted"]
    return {"name": "born-machine", "calls": calls, **counts, "failures": failures}


def _status(arguments: list[str]) -> tuple[Any, str]:
    error = io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        _set_clock(4 * SECONDS)
        try:
            status: Any = born_machine(arguments)
        except SystemExit as stop:
            status = stop.code
        except BaseException as failure:
            status = f"{type(failure).__name__}: {failure}"
        finally:
            _set_clock(0.0)
    return status, error.getvalue()


def _clear(kept: list[str]) -> None:
    import shutil

    for name in set(_files()) - set(kept):
        if Path(name).is_dir():
            shutil.rmtree(name)
        else:
            Path(name).unlink()


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """Work in an empty folder that goes away."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)


def main() -> None:
    """Run what was asked for; exit 1 where anything failed that is not pending."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--show", type=int, default=10, help="failures printed a name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    failed = False

    def tell(found: dict[str, Any]) -> None:
        nonlocal failed
        total.update({k: v for k, v in found.items() if isinstance(v, int)})
        if found["name"] in PENDING:
            found["pending"] = PENDING[found["name"]]
        else:
            failed |= bool(found["failures"])
        print(json.dumps(found | {"failures": found["failures"][: options.show]}), flush=True)

    for name in sorted(UNSWEPT):
        print(json.dumps({"name": name, "skipped": f"{PACKAGES[name]} is not installed"}))
    with workplace():
        for name, good in good_calls().items():
            if not options.name or name in options.name:
                tell(sweep_call(name, good, options.pairs, options.seed))
        if not options.name or "born-machine" in options.name:
            tell(sweep_flags())
    print(json.dumps({"name": "all", **total}))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
