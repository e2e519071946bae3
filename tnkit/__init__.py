"""Tensor networks from the arrays you already have.

Nothing is lost silently, the cost is known first, and structure is checkable.
"""

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
from tnkit.scaled import Scaled
from tnkit.splitting import MatrixSplit, split_matrix
from tnkit.tensor import Tensor
from tnkit.truncation import Truncation

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "ConvergenceError",
    "FormatError",
    "Index",
    "IndexNameError",
    "MatrixSplit",
    "MemoryLimitError",
    "NonFiniteError",
    "ScaleError",
    "Scaled",
    "SizeError",
    "Tensor",
    "TnkitError",
    "Truncation",
    "split_matrix",
]
