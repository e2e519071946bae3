"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

from tnkit import plugins
from tnkit.arrays import namespace
from tnkit.contraction import contract, contract_scaled, einsum
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
from tnkit.mps.arithmetic import inner, log_norm, norm, normalize, to_dense
from tnkit.mps.compression import Compressed, compress
from tnkit.mps.create import mps_from_dense, product_mps, random_mps
from tnkit.mps.gauge import canonicalize, orthonormality_errors, verify
from tnkit.mps.measure import entropy, schmidt_values
from tnkit.mps.sampling import sample
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
from tnkit.network import TensorNetwork, from_einsum, from_networkx
from tnkit.notation import Equation
from tnkit.planning import Cost, Plan, Step, plan
from tnkit.scaled import Scaled
from tnkit.splitting import MatrixSplit, split_matrix
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = [
    "MPS",
    "ArgumentError",
    "ArgumentTypeError",
    "Compressed",
    "ConvergenceError",
    "Cost",
    "Equation",
    "FormatError",
    "Gauge",
    "Index",
    "IndexNameError",
    "MatrixSplit",
    "MemoryLimitError",
    "Move",
    "NonFiniteError",
    "Plan",
    "Problem",
    "ScaleError",
    "Scaled",
    "SizeError",
    "Step",
    "StepInfo",
    "Tensor",
    "TensorNetwork",
    "TnkitError",
    "Truncation",
    "Zipper",
    "atomic_file",
    "canonicalize",
    "close_zipper",
    "compress",
    "contract",
    "contract_scaled",
    "einsum",
    "entropy",
    "from_einsum",
    "from_networkx",
    "inner",
    "load",
    "log_norm",
    "mps_from_dense",
    "namespace",
    "norm",
    "normalize",
    "open_zipper",
    "orthonormality_errors",
    "plan",
    "plugins",
    "product_mps",
    "random_mps",
    "read_archive",
    "round_trip",
    "sample",
    "save",
    "schmidt_values",
    "split_matrix",
    "sweep",
    "to_dense",
    "two_site",
    "verify",
    "write_archive",
]
