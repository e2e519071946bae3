"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

from tnkit import plugins
from tnkit.algorithms.dmrg import DMRGResult, dmrg
from tnkit.arrays import namespace
from tnkit.bonds import BondChange, compress_bond, contract_bond, gauge_bond, split_tensor
from tnkit.contraction import contract, contract_scaled, einsum
from tnkit.drawing import draw
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
)
from tnkit.index import Index
from tnkit.io import atomic_file, load, read_archive, save, write_archive
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
from tnkit.mps.report import Compressed
from tnkit.mps.sampling import log_probability, sample
from tnkit.mps.state import MPS, Gauge
from tnkit.mps.sweep import (
    Move,
    Problem,
    StepInfo,
    Zipper,
    close_zipper,
    open_zipper,
    round_trip,
    sweep,
    two_site,
)
from tnkit.mps.vidal import BondForm, Vidal, bond_form, from_vidal, to_vidal
from tnkit.network import TensorNetwork, from_einsum, from_networkx
from tnkit.notation import Equation
from tnkit.planning import Cost, Plan, Step, plan
from tnkit.scaled import Scaled
from tnkit.simplify import simplify
from tnkit.splitting import MatrixSplit, Split, split, split_matrix
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__version__ = "0.1.0"  # the one place: builds, files and documents read it here

__all__ = [
    "MPO",
    "MPS",
    "ArgumentError",
    "ArgumentTypeError",
    "BondChange",
    "BondForm",
    "Compressed",
    "ConvergenceError",
    "Cost",
    "DMRGResult",
    "Equation",
    "FitTarget",
    "FormatError",
    "Gauge",
    "Index",
    "IndexNameError",
    "MatrixSplit",
    "Measured",
    "MemoryLimitError",
    "Move",
    "NonFiniteError",
    "OpSum",
    "Plan",
    "Problem",
    "ScaleError",
    "Scaled",
    "SizeError",
    "Split",
    "Step",
    "StepInfo",
    "Tensor",
    "TensorNetwork",
    "TnkitError",
    "Truncation",
    "Vidal",
    "Zipper",
    "add",
    "adjoint_mpo",
    "aklt_mps",
    "apply",
    "apply_local",
    "atomic_file",
    "basis_mps",
    "bond_form",
    "canonicalize",
    "close_zipper",
    "compress",
    "compress_bond",
    "condition",
    "conj",
    "contract",
    "contract_bond",
    "contract_scaled",
    "correlation_length",
    "distance",
    "dmrg",
    "draw",
    "einsum",
    "entanglement_spectra",
    "entropies",
    "entropy",
    "expectation",
    "fidelity",
    "fit",
    "from_einsum",
    "from_networkx",
    "from_vidal",
    "gauge_bond",
    "ghz_mps",
    "hadamard",
    "identity_mpo",
    "inner",
    "insert_site",
    "join",
    "load",
    "load_itensor",
    "local_expectations",
    "log_inner",
    "log_norm",
    "log_probability",
    "marginal_probabilities",
    "measure",
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
    "open_zipper",
    "orthonormality_errors",
    "permute_sites",
    "plan",
    "plugins",
    "product_mpo",
    "product_mps",
    "project",
    "random_mps",
    "read_archive",
    "reduced_density_matrix",
    "remove_site",
    "reverse",
    "round_trip",
    "sample",
    "save",
    "save_itensor",
    "scale",
    "schmidt_values",
    "simplify",
    "site_operators",
    "site_probabilities",
    "split",
    "split_chain",
    "split_matrix",
    "split_tensor",
    "subtract",
    "swap_sites",
    "sweep",
    "to_dense",
    "to_list",
    "to_vidal",
    "trace",
    "two_point",
    "two_site",
    "variance",
    "verify",
    "w_mps",
    "write_archive",
]
