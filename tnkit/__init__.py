"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

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
from tnkit.network import TensorNetwork, from_einsum, from_networkx
from tnkit.notation import Equation
from tnkit.planning import Cost, Plan, Step, plan
from tnkit.scaled import Scaled
from tnkit.simplify import simplify
from tnkit.splitting import MatrixSplit, Split, split, split_matrix
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BondChange",
    "ConvergenceError",
    "Cost",
    "Equation",
    "FormatError",
    "Index",
    "IndexNameError",
    "MatrixSplit",
    "MemoryLimitError",
    "NonFiniteError",
    "Plan",
    "ScaleError",
    "Scaled",
    "SizeError",
    "Split",
    "Step",
    "Tensor",
    "TensorNetwork",
    "TnkitError",
    "Truncation",
    "compress_bond",
    "contract",
    "contract_bond",
    "contract_scaled",
    "draw",
    "einsum",
    "from_einsum",
    "from_networkx",
    "gauge_bond",
    "plan",
    "simplify",
    "split",
    "split_matrix",
    "split_tensor",
]
