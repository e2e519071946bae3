"""A Born machine: p(x) = |psi(x)|^2 / Z with psi a matrix product state."""

from born_machine.checkpoint import Checkpoint, SweepRecord, load_checkpoint, save_checkpoint
from born_machine.curves import hilbert, raster, snake
from born_machine.data import Dataset, bars_and_stripes, load_dataset
from born_machine.estimator import BornMachine
from born_machine.models.mps import MPSModel
from born_machine.observables import MostProbable

__version__ = "0.1.0"  # the one place

__all__ = [
    "BornMachine",
    "Checkpoint",
    "Dataset",
    "MPSModel",
    "MostProbable",
    "SweepRecord",
    "bars_and_stripes",
    "hilbert",
    "load_checkpoint",
    "load_dataset",
    "raster",
    "save_checkpoint",
    "snake",
]
