"""Log-likelihoods of a Born machine, in nats."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.amplitude import log_amplitudes
from tnkit import MPS, log_norm, namespace

__all__ = ["log_likelihood", "negative_log_likelihood", "standard_error"]

Array: TypeAlias = Any
Samples: TypeAlias = npt.NDArray[np.integer[Any]]

_CHUNK = 4096


def log_likelihood(state: MPS, samples: Array) -> Array:
    """Return ln p(x) = 2 ln |psi(x)| - ln Z of every sample, in nats; -inf where p(x) = 0.

    samples: (sample, site) integers in the site order of `state`, on its library and device.
    ln Z = 2 log_norm(state): one local norm where the state is canonical.
    """
    if isinstance(samples, np.ndarray):
        squares = 2.0 * log_amplitudes(state.arrays, samples)
    else:
        from born_machine.logpsi import log_squares  # torch's arrays, so torch is here

        squares = log_squares(samples, state.arrays, batch=_CHUNK)
    return squares + 2.0 * (state.log_scale - log_norm(state))


def negative_log_likelihood(state: MPS, samples: Array) -> float:
    """Return the mean of -ln p(x) in nats a sample; inf where one sample is impossible."""
    return -float(namespace(state.arrays[0]).mean(log_likelihood(state, samples)))


def standard_error(log_likelihoods: npt.NDArray[np.float64]) -> float:
    """Return the standard error of the mean log-likelihood; 0 for one sample, NaN with a -inf."""
    n = len(log_likelihoods)
    if not np.isfinite(log_likelihoods).all():
        return math.nan
    return float(log_likelihoods.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
