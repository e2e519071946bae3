"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

from tnkit import plugins
from tnkit.algorithms.approximation import Approximation
from tnkit.algorithms.belief import BeliefResult, belief_propagation
from tnkit.algorithms.boundary import boundary_contract
from tnkit.algorithms.compressed import compressed_contract
from tnkit.algorithms.dmrg import DMRGResult, dmrg
from tnkit.arrays import namespace
from tnkit.blas import thread_count, threads
from tnkit.bonds import BondChange, compress_bond, contract_bond, gauge_bond, split_tensor
from tnkit.build.circuit import Circuit, Gate, light_cone
from tnkit.build.circuit_networks import (
    amplitude_network,
    circuit_positions,
    density_network,
    expectation_network,
    state_network,
)
from tnkit.build.circuit_sampling import sample_circuit
from tnkit.build.cnf import cnf_network
from tnkit.build.counting import colouring_network, dimer_network, independent_set_network
from tnkit.build.gates import gate_matrix
from tnkit.build.lattices import lattice, lattice_positions, random_regular_graph, tree_graph
from tnkit.build.models import ising_network, pair_network, potts_network
from tnkit.build.qasm import read_qasm
from tnkit.build.qsim import read_qsim
from tnkit.build.ring import ring, ring_expectation, ring_inner, ring_log_norm
from tnkit.build.shapes import mera_network, mera_positions, peps_network
from tnkit.build.uai import read_uai_evidence, uai_network
from tnkit.checking import checked, out_of_memory
from tnkit.contraction import contract, contract_scaled, einsum
from tnkit.deprecation import deprecated
from tnkit.drawing import draw, isometric_legs
from tnkit.drawing_plans import Picture, draw_steps, draw_tree, picture
from tnkit.errors import (
    ArgumentError,
    ArgumentTypeError,
    ConvergenceError,
    FormatError,
    IndexNameError,
    MemoryLimitError,
    NonFiniteError,
    ScaleError,
    SizeError,
    TnkitError,
    WorkerError,
)
from tnkit.files import load, save
from tnkit.index import Index
from tnkit.interop import from_quimb, to_quimb
from tnkit.io import atomic_file, read_archive, write_archive
from tnkit.itensor import load_itensor, save_itensor
from tnkit.mps.apply import apply
from tnkit.mps.arithmetic import add, conj, distance, hadamard, scale, subtract
from tnkit.mps.chain import (
    apply_local,
    insert_site,
    join,
    permute_sites,
    project,
    remove_site,
    reverse,
    split_chain,
    swap_sites,
)
from tnkit.mps.compression import compress
from tnkit.mps.conditional import (
    Measured,
    condition,
    marginal_probabilities,
    measure,
    site_probabilities,
)
from tnkit.mps.create import (
    aklt_mps,
    basis_mps,
    ghz_mps,
    mps_from_dense,
    product_mps,
    random_mps,
    w_mps,
)
from tnkit.mps.create_mpo import identity_mpo, mpo_from_dense, mpo_from_terms, product_mpo
from tnkit.mps.entanglement import (
    entanglement_spectra,
    entropies,
    entropy,
    mutual_information,
    reduced_density_matrix,
    schmidt_values,
)
from tnkit.mps.exchange import (
    mpo_from_list,
    mpo_from_tenpy,
    mpo_to_tenpy,
    mps_from_list,
    mps_from_tenpy,
    mps_to_tenpy,
    to_list,
)
from tnkit.mps.fit import FitTarget, fit
from tnkit.mps.gauge import canonicalize, orthonormality_errors, verify
from tnkit.mps.measure import correlation_length, local_expectations, two_point
from tnkit.mps.operator import MPO
from tnkit.mps.opsum import OpSum, site_operators
from tnkit.mps.overlap import (
    expectation,
    fidelity,
    inner,
    log_inner,
    log_norm,
    norm,
    normalize,
    to_dense,
)
from tnkit.mps.product import adjoint_mpo, multiply, trace, variance
from tnkit.mps.progress import describe, progress
from tnkit.mps.report import Compressed
from tnkit.mps.run import Paused, SweepRecord, SweepState, pause, run_sweep, schedule
from tnkit.mps.sampling import log_probability, sample
from tnkit.mps.state import MPS, Gauge
from tnkit.mps.sweep import (
    Expanding,
    Move,
    Problem,
    SiteProblem,
    StepInfo,
    Zipper,
    close_zipper,
    one_site,
    open_zipper,
    round_trip,
    split_block,
    sweep,
    two_site,
)
from tnkit.mps.vidal import BondForm, Vidal, bond_form, from_vidal, to_vidal
from tnkit.mps.window import Windowed
from tnkit.network import TensorNetwork, from_einsum, from_networkx
from tnkit.notation import Equation
from tnkit.planning import Cost, Plan, Step, plan
from tnkit.retraction import retract_matrix
from tnkit.safetensors import save_safetensors
from tnkit.scaled import Scaled
from tnkit.simplify import simplify
from tnkit.splitting import MatrixSplit, Split, split, split_matrix, split_method
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__version__ = "0.1.0"  # the one place: builds, files and documents read it here

__all__ = [
    "MPO",
    "MPS",
    "Approximation",
    "ArgumentError",
    "ArgumentTypeError",
    "BeliefResult",
    "BondChange",
    "BondForm",
    "Circuit",
    "Compressed",
    "ConvergenceError",
    "Cost",
    "DMRGResult",
    "Equation",
    "Expanding",
    "FitTarget",
    "FormatError",
    "Gate",
    "Gauge",
    "Index",
    "IndexNameError",
    "MatrixSplit",
    "Measured",
    "MemoryLimitError",
    "Move",
    "NonFiniteError",
    "OpSum",
    "Paused",
    "Picture",
    "Plan",
    "Problem",
    "ScaleError",
    "Scaled",
    "SiteProblem",
    "SizeError",
    "Split",
    "Step",
    "StepInfo",
    "SweepRecord",
    "SweepState",
    "Tensor",
    "TensorNetwork",
    "TnkitError",
    "Truncation",
    "Vidal",
    "Windowed",
    "WorkerError",
    "Zipper",
    "add",
    "adjoint_mpo",
    "aklt_mps",
    "amplitude_network",
    "apply",
    "apply_local",
    "atomic_file",
    "basis_mps",
    "belief_propagation",
    "bond_form",
    "boundary_contract",
    "canonicalize",
    "checked",
    "circuit_positions",
    "close_zipper",
    "cnf_network",
    "colouring_network",
    "compress",
    "compress_bond",
    "compressed_contract",
    "condition",
    "conj",
    "contract",
    "contract_bond",
    "contract_scaled",
    "correlation_length",
    "density_network",
    "deprecated",
    "describe",
    "dimer_network",
    "distance",
    "dmrg",
    "draw",
    "draw_steps",
    "draw_tree",
    "einsum",
    "entanglement_spectra",
    "entropies",
    "entropy",
    "expectation",
    "expectation_network",
    "fidelity",
    "fit",
    "from_einsum",
    "from_networkx",
    "from_quimb",
    "from_vidal",
    "gate_matrix",
    "gauge_bond",
    "ghz_mps",
    "hadamard",
    "identity_mpo",
    "independent_set_network",
    "inner",
    "insert_site",
    "ising_network",
    "isometric_legs",
    "join",
    "lattice",
    "lattice_positions",
    "light_cone",
    "load",
    "load_itensor",
    "local_expectations",
    "log_inner",
    "log_norm",
    "log_probability",
    "marginal_probabilities",
    "measure",
    "mera_network",
    "mera_positions",
    "mpo_from_dense",
    "mpo_from_list",
    "mpo_from_tenpy",
    "mpo_from_terms",
    "mpo_to_tenpy",
    "mps_from_dense",
    "mps_from_list",
    "mps_from_tenpy",
    "mps_to_tenpy",
    "multiply",
    "mutual_information",
    "namespace",
    "norm",
    "normalize",
    "one_site",
    "open_zipper",
    "orthonormality_errors",
    "out_of_memory",
    "pair_network",
    "pause",
    "peps_network",
    "permute_sites",
    "picture",
    "plan",
    "plugins",
    "potts_network",
    "product_mpo",
    "product_mps",
    "progress",
    "project",
    "random_mps",
    "random_regular_graph",
    "read_archive",
    "read_qasm",
    "read_qsim",
    "read_uai_evidence",
    "reduced_density_matrix",
    "remove_site",
    "retract_matrix",
    "reverse",
    "ring",
    "ring_expectation",
    "ring_inner",
    "ring_log_norm",
    "round_trip",
    "run_sweep",
    "sample",
    "sample_circuit",
    "save",
    "save_itensor",
    "save_safetensors",
    "scale",
    "schedule",
    "schmidt_values",
    "simplify",
    "site_operators",
    "site_probabilities",
    "split",
    "split_block",
    "split_chain",
    "split_matrix",
    "split_method",
    "split_tensor",
    "state_network",
    "subtract",
    "swap_sites",
    "sweep",
    "thread_count",
    "threads",
    "to_dense",
    "to_list",
    "to_quimb",
    "to_vidal",
    "trace",
    "tree_graph",
    "two_point",
    "two_site",
    "uai_network",
    "variance",
    "verify",
    "w_mps",
    "write_archive",
]


def __dir__() -> list[str]:
    """Complete public names only, not the modules they live in."""
    return __all__
