"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

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
from tnkit.network import TensorNetwork, from_einsum, from_networkx
from tnkit.notation import Equation
from tnkit.planning import Cost, Plan, Step, plan
from tnkit.scaled import Scaled
from tnkit.splitting import MatrixSplit, split_matrix
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
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
    "Step",
    "Tensor",
    "TensorNetwork",
    "TnkitError",
    "Truncation",
    "contract",
    "contract_scaled",
    "einsum",
    "from_einsum",
    "from_networkx",
    "plan",
    "split_matrix",
]
