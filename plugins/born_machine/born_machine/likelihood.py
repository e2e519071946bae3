"""Log-likelihoods of a Born machine, in nats."""

from __future__ import annotations

from typing import Any, TypeAlias

from born_machine.amplitude import log_amplitudes
from tnkit import MPS, log_norm, namespace

__all__ = ["log_likelihood", "negative_log_likelihood"]

Array: TypeAlias = Any


def log_likelihood(state: MPS, samples: Array) -> Array:
    """Return ln p(x) = 2 ln |psi(x)| - ln Z of every sample, in nats; -inf where p(x) = 0.

    samples: (sample, site) integers in the site order of `state`, on its library and device.
    ln Z = 2 log_norm(state): one local norm where the state is canonical.
    """
    return 2.0 * (state.log_scale + log_amplitudes(state.arrays, samples)) - 2.0 * log_norm(state)


def negative_log_likelihood(state: MPS, samples: Array) -> float:
    """Return the mean of -ln p(x) in nats a sample; inf where one sample is impossible."""
    return -float(namespace(state.arrays[0]).mean(log_likelihood(state, samples)))
