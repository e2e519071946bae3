"""A Born machine: p(x) = |psi(x)|^2 / Z with psi a matrix product state.

The estimator, and scikit-learn with it, is imported when it is first asked for: the kernels need
neither.
"""

from typing import TYPE_CHECKING, Any

from born_machine.baselines import chow_liu, independent
from born_machine.checkpoint import Checkpoint, SweepRecord, load_checkpoint, save_checkpoint
from born_machine.curves import hilbert, raster, snake
from born_machine.data import Dataset, load_dataset
from born_machine.models.correlated import CorrelatedModel
from born_machine.models.mps import MPSModel
from born_machine.observables import MostProbable
from born_machine.recipes import recipe
from born_machine.synthetic import bars_and_stripes, ising_samples, parity_samples

if TYPE_CHECKING:
    from born_machine.estimator import BornMachine
    from born_machine.mending import correlate

__version__ = "0.1.0"  # the one place

__all__ = [
    "BornMachine",
    "Checkpoint",
    "CorrelatedModel",
    "Dataset",
    "MPSModel",
    "MostProbable",
    "SweepRecord",
    "bars_and_stripes",
    "chow_liu",
    "correlate",
    "hilbert",
    "independent",
    "ising_samples",
    "load_checkpoint",
    "load_dataset",
    "parity_samples",
    "raster",
    "recipe",
    "save_checkpoint",
    "snake",
]


def __getattr__(name: str) -> Any:
    if name == "BornMachine":
        from born_machine.estimator import BornMachine

        return BornMachine
    if name == "correlate":
        from born_machine.mending import correlate

        return correlate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
