"""Random chains and correlators, for the tests of `correlators` and of `mending`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from born_machine import MPSModel
from born_machine.correlators import near_plaquettes, no_correlators, shared_plaquettes
from born_machine.models.correlated import CorrelatedModel
from born_machine.models.mps import model_from_state
from tnkit import MPS


def chain_of(seed: int, dims: tuple[int, ...], dtype: str = "float64") -> MPSModel:
    """Return a random chain over features in a random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dims))
    bonds = [1, *[3] * (len(dims) - 1), 1]
    arrays = [
        rng.normal(size=(bonds[k], dims[feature], bonds[k + 1])).astype(dtype)
        for k, feature in enumerate(order)
    ]
    if dtype == "complex128":
        arrays = [array + 1j * rng.normal(size=array.shape) for array in arrays]
    return model_from_state(MPS.from_arrays(arrays), order, dims)


def correlated(seed: int, chain: MPSModel, plaquettes: int = 2) -> CorrelatedModel:
    """Return the chain with random correlators."""
    rng = np.random.default_rng(seed)
    closeness = rng.random((chain.features,) * 2)
    over = near_plaquettes(closeness, max(chain.dims), plaquettes, 2)
    over += shared_plaquettes(chain.order, (1, chain.features), max(chain.dims), 1, 2)
    blank = no_correlators(chain.state.site_dims, over)
    free = blank.bias.shape[1]
    earlier = np.kron(np.tri(chain.features, k=-1), np.ones((free, free)))
    made = replace(
        blank,
        scale=rng.uniform(0.2, 1.5, blank.scale.shape),
        bias=rng.normal(size=blank.bias.shape),
        pairs=rng.normal(size=blank.pairs.shape) * earlier,
        plaquettes=tuple(replace(p, table=rng.normal(size=p.table.shape)) for p in over),
    )
    return CorrelatedModel(chain.state, chain.order, chain.dims, made)


def everything(dims: tuple[int, ...]) -> Any:
    """Return all configurations, (configuration, feature)."""
    return np.array(list(itertools.product(*map(range, dims))))
