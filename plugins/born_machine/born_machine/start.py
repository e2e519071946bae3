"""The state that training starts from."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from born_machine.data import Samples
from born_machine.settings import Settings
from born_machine.tree_start import tree_state
from tnkit import MPS, canonicalize, normalize, product_mps

__all__ = ["start_state", "state_like"]

_PHASE = 0.3  # standard deviation, in radians; 0.1 to 3 end alike


def start_state(
    samples: Samples, dims: tuple[int, ...], settings: Settings, rng: np.random.Generator
) -> MPS:
    """Return the state that training starts from: norm one, centre at the last site.

    samples: (sample, site) in site order; negative entries are missing. "random" draws entries
    from [0.8, 1.2) at bond 2: nearly uniform, positive (a signed start trains slower; entries from
    [0, 1) end 1.5 nats higher after four sweeps on 1,000 digits of 784 pixels at bond 100).
    "marginals" smooths counts by one half (Krichevsky and Trofimov, 1981), so no value is
    impossible. "chow-liu" is the tree of `tree_state` within the largest bond, exactly: where the
    best sweep counts, no sweep can end above it on the validation samples. A chain of one site
    always takes the marginals without smoothing: they are the answer. In a complex dtype entries
    get random phases, about a fifth of a right angle: from a real state the gradient of real data
    is real, and training would never leave it. The tree is then one no longer.
    """
    single = len(dims) == 1
    if settings.start == "random" and not single:
        if settings.method == "all-site":
            psi = _spread_state(dims, settings, rng)
        else:
            bonds = (1, *(2,) * (len(dims) - 1), 1)
            shapes = zip(bonds, dims, bonds[1:], strict=False)
            psi = MPS.from_arrays(
                [rng.uniform(0.8, 1.2, shape).astype(settings.dtype) for shape in shapes]
            )
    elif settings.start == "chow-liu" and not single:
        psi = tree_state(samples, dims, settings.largest_bond)
        psi = MPS.from_arrays([array.astype(settings.dtype) for array in psi.arrays])
    else:
        smoothing = 0.0 if single else 0.5
        vectors = []
        for k, d in enumerate(dims):
            column = samples[:, k]
            counts = np.bincount(column[column >= 0], minlength=d) + smoothing
            if not counts.any():  # nothing was ever seen there
                counts += 1.0
            vectors.append(np.sqrt(counts / counts.sum()).astype(settings.dtype))
        psi = product_mps(vectors)
    if np.dtype(settings.dtype).kind == "c" and not single:
        psi = MPS.from_arrays([_turned(array, rng) for array in psi.arrays])
    return normalize(canonicalize(psi, -1))


def _turned(array: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return the complex array with every entry turned by a random phase."""
    phases = rng.normal(0.0, _PHASE, array.shape)
    turned: np.ndarray[Any, Any] = array * np.exp(1j * phases)
    return turned.astype(array.dtype)


def _spread_state(dims: tuple[int, ...], settings: Settings, rng: np.random.Generator) -> MPS:
    """Return a random positive state at the largest bond, its Schmidt values of one size.

    Identity matrices times positive entries: what one end says is carried to the other, where
    random matrices would forget it after a few sites.
    """
    bond = settings.largest_bond
    before = list(accumulate(dims, lambda width, d: min(bond, width * d), initial=1))
    after = list(accumulate(dims[::-1], lambda width, d: min(bond, width * d), initial=1))[::-1]
    widths = [min(a, b) for a, b in zip(before, after, strict=True)]
    arrays = []
    for d, l, r in zip(dims, widths, widths[1:], strict=False):
        array = rng.uniform(0.0, 0.2, (l, d, r)) + np.eye(l, r)[:, None, :]
        arrays.append(array.astype(settings.dtype))
    return MPS.from_arrays(arrays)


def state_like(state: MPS, settings: Settings) -> MPS:
    """Return a trained state as a start: in the dtype of `settings`, norm one, centre at the end.

    Bonds larger than `max_bond` are cut by the first sweep, smaller ones grow. A complex state
    keeps its imaginary part: in a real dtype it becomes complex of that precision.
    """
    dtype = np.dtype(settings.dtype)
    if np.iscomplexobj(state.arrays[0]) and dtype.kind != "c":
        dtype = np.result_type(dtype, np.complex64)
    arrays = [array.astype(dtype) for array in state.arrays]
    return normalize(canonicalize(MPS.from_arrays(arrays, sites=state.sites), -1))
