"""Fit the correlators that mend a trained chain, by stochastic gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from born_machine.correlators import (
    Correlators,
    Plaquette,
    log_conditionals,
    near_plaquettes,
    no_correlators,
    shared_plaquettes,
)
from born_machine.devices import device_memory
from born_machine.fitting import chains_of
from born_machine.inputs import generator, image_shape_of, read_samples, resolve_device
from born_machine.models.correlated import CorrelatedModel
from born_machine.models.mixture import MixtureModel
from born_machine.models.mps import MPSModel
from born_machine.models.protocol import Model
from born_machine.pairs import partial_information
from born_machine.train import Augment
from tnkit import ArgumentError, MemoryLimitError, checked

__all__ = ["OnEpoch", "correlate", "without_correlators"]

OnEpoch: TypeAlias = Callable[[int, int, float, float | None], None]
"""Called with machine, epoch, training and validation NLL (nats a sample)."""

_WINDOWS = 6  # that images share, unless told
_LARGEST, _LARGEST_SHARED = 2**12, 2**16  # entries of a plaquette at a site
_COPIES = 8  # of all entries, alive at once: gradient, Adam's two, the best, and what is on the way
_TABLE_RATE = 1e-2  # of Adam, for entries of plaquettes


@dataclass(frozen=True, slots=True)
class _How:
    epochs: int
    batch_size: int
    penalty: float
    learning_rate: float
    augment: Augment | None
    device: str


@checked
def correlate(
    model: Model,
    samples: Any,
    validation: Any = None,
    *,
    image_shape: tuple[int, int] | None = None,
    epochs: int = 12,
    plaquettes: int = 4,
    width: int = 8,
    shared: int | None = None,
    shared_width: int = 12,
    penalty: float = 3.0,
    batch_size: int = 500,
    learning_rate: float = 4e-3,
    augment: Augment | None = None,
    device: str = "auto",
    random_state: int | None = None,
    on_epoch: OnEpoch | None = None,
) -> Model:
    """Return a trained model whose conditionals are mended by correlators: a lower NLL.

    Every chain of `model` keeps its tensors and gets tables over the site and each earlier one, and
    over the site and `plaquettes` sets of `width` earlier ones, the closest: on images by distance,
    else by `born_machine.pairs.partial_information`. On images the same tables serve all sites over
    `shared` windows of `shared_width` pixels around each. They are fitted to the likelihood of
    p(x) = prod_k p_k(x_k | x_<k) (see `born_machine.correlators`) by Adam, over `epochs` passes in
    batches, steps falling to nothing. The epoch with the lowest validation NLL is kept, the model
    as it was among them; without validation samples the last.

    Likelihoods and draws stay exact, and the result saves, loads and mixes as any model.
    Conditionals are left only for what comes after the first sites of the order: see
    `CorrelatedModel`.

    Parameters
    ----------
    model : a chain, or a mixture of chains
        Of a mixture, averages over shifts included, each chain is mended once; weights stay.
    samples, validation
        (sample, feature) or (sample, height, width) integers without gaps.
    shared
        Six on images unless given, none on other samples. A window that reaches beyond any image
        is left out.
    penalty : float
        Times the sum of squares of all table entries, taken from the log-likelihood of all samples
        together: a normal prior of variance 1 / (2 penalty).
    learning_rate : float
        First step of Adam for scales, biases and pairs; entries of plaquettes, which are seldom
        read, take 0.01.
    augment
        Function (samples, rng) -> samples, both (sample, feature), called before every epoch.
    on_epoch
        Called after every epoch with machine, epoch, training (of the augmented samples, on the
        way) and validation NLL.

    Raises `ArgumentError` for a model of other things than chains, for no epochs, plaquettes too
    wide (above 4,096 entries a site, 65,536 if shared), windows without an image and gaps;
    `SizeError` for other features; `MemoryLimitError` for tables that the device has no room for.
    Cost: an epoch takes O(samples sites (bond^2 + sites)) for two values.

    Examples
    --------
    >>> import numpy as np
    >>> from born_machine import BornMachine, bars_and_stripes, correlate
    >>> X = bars_and_stripes(3, 3)
    >>> machine = BornMachine(max_bond=2, image_shape=(3, 3), random_state=0).fit(X)
    >>> mended = correlate(machine.model_, X, image_shape=(3, 3), epochs=200, random_state=0)
    >>> bool(mended.log_likelihood(X).mean() > machine.score(X) + 0.1)
    True
    """
    if without_correlators(model) is not model:
        raise ArgumentError("the model has correlators already; give without_correlators(model)")
    chains = chains_of(model)
    data = read_samples(samples, "raise", features=model.features, dims=model.dims)
    held_out = None
    if validation is not None:
        held_out = read_samples(validation, "raise", features=model.features, dims=model.dims)
    shape = image_shape_of(image_shape, np.shape(samples), model.features)
    for name, value, least in (
        ("epochs", epochs, 1),
        ("plaquettes", plaquettes, 0),
        ("width", width, 1),
        ("shared", shared or 0, 0),
        ("shared_width", shared_width, 1),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise ArgumentError(f"{name} must be a whole number from {least} up, got {value}")
    if not penalty >= 0.0:
        raise ArgumentError(f"penalty must be 0 or more, got {penalty}")
    if not 0.0 < learning_rate < math.inf:
        raise ArgumentError(f"learning_rate must be above 0, got {learning_rate}")
    if shape is None and shared:
        raise ArgumentError(f"shared windows need images, got shared={shared}; give image_shape")
    windows = 0 if shape is None else _WINDOWS if shared is None else shared
    most, sites = max(model.dims), model.features
    for keyword, used, members, largest in (
        ("width", plaquettes, width, _LARGEST),
        ("shared_width", windows, shared_width, _LARGEST_SHARED),
    ):
        if used and most**members > largest:
            raise ArgumentError(
                f"a plaquette of {members} features with up to {most} values has "
                f"{most**members:,} entries a site, at most {largest:,} are allowed; lower "
                f"{keyword}"
            )
    if most < 2:
        raise ArgumentError("every feature takes one value: there is nothing to mend")
    name, _ = resolve_device(device)
    held = (sites * (most - 1)) ** 2 + plaquettes * sites * most**width * (most - 1)
    held += windows * most * min(sites * most**shared_width, (1 + most) ** shared_width)  # at most
    size, there = _COPIES * 4 * held, device_memory(name)
    if size > there:
        raise MemoryLimitError(
            f"correlators of {sites:,} features with up to {most} values have {held:.2g} entries "
            f"and need {size:.2g} bytes, {name} has {there:.2g}; merge values into fewer levels"
        )
    how = _How(epochs, batch_size, penalty, learning_rate, augment, name)
    closeness = _closeness(data, shape) if plaquettes else None
    mended: dict[int, CorrelatedModel] = {}
    seeds = generator(random_state).spawn(len(chains))
    for number, (chain, rng) in enumerate(zip(chains, seeds, strict=True)):
        over: tuple[Plaquette, ...] = ()
        if closeness is not None:
            along = closeness[np.ix_(chain.order, chain.order)]
            over = near_plaquettes(along, most, plaquettes, width)
        if shape is not None:
            over += shared_plaquettes(chain.order, shape, most, windows, shared_width)
        report = partial(on_epoch or _silent, number)
        correlators = _fitted(chain, over, data, held_out, how, rng, report)
        mended[id(chain.state)] = CorrelatedModel(chain.state, chain.order, chain.dims, correlators)
    if not isinstance(model, MixtureModel):
        return next(iter(mended.values()))
    parts = [part for part in model.components if isinstance(part, MPSModel)]
    components = [replace(mended[id(part.state)], order=part.order) for part in parts]
    return replace(model, components=tuple(components))


def without_correlators(model: Model) -> Model:
    """Return a model with its chains as they were before `correlate`; itself where none was."""
    if isinstance(model, CorrelatedModel):
        return model.chain
    if not isinstance(model, MixtureModel):
        return model
    parts = tuple(map(without_correlators, model.components))
    if all(new is old for new, old in zip(parts, model.components, strict=True)):
        return model
    return replace(model, components=parts)


def _silent(machine: int, epoch: int, train: float, validation: float | None) -> None:
    pass


def _closeness(
    samples: npt.NDArray[Any], image_shape: tuple[int, int] | None
) -> npt.NDArray[np.float64]:
    """Return how close each two features are: larger is closer."""
    if image_shape is None:
        return partial_information(samples)[0]
    at = np.stack(np.divmod(np.arange(samples.shape[1]), image_shape[1]), axis=1)
    closeness: npt.NDArray[np.float64] = -((at[:, None] - at) ** 2.0).sum(axis=2)
    return closeness


def _fitted(
    chain: MPSModel,
    plaquettes: Sequence[Plaquette],
    samples: npt.NDArray[Any],
    held_out: npt.NDArray[Any] | None,
    how: _How,
    rng: np.random.Generator,
    report: Callable[[int, float, float | None], None],
) -> Correlators:
    """Return the correlators of one chain: torch's, in single precision on the device."""
    import torch

    def place(array: Any) -> Any:
        kinds = {"f": torch.float32, "c": torch.complex64}
        whole = np.ascontiguousarray(array)
        return torch.as_tensor(whole, dtype=kinds.get(whole.dtype.kind), device=how.device)

    def score(rows: npt.NDArray[Any]) -> float:
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(rows), how.batch_size):
                some = place(rows[start : start + how.batch_size])
                total += float(log_conditionals(arrays, now(), some).sum())
        return -total / len(rows)

    def now() -> Correlators:
        return replace(fixed, pairs=fixed.pairs * earlier)  # what has no place is not read

    arrays = [place(array) for array in chain.state.arrays]
    fixed = no_correlators(chain.state.site_dims, plaquettes).placed(place)
    sites, free = fixed.bias.shape
    earlier = place(np.kron(np.tri(sites, k=-1), np.ones((free, free))))
    slow, fast = [fixed.scale, fixed.bias, fixed.pairs], [p.table for p in fixed.plaquettes]
    entries = [fixed.bias, fixed.pairs, *fast]
    for parameter in (*slow, *fast):
        parameter.requires_grad_()
    groups = [{"params": slow, "lr": how.learning_rate}, {"params": fast, "lr": _TABLE_RATE}]
    adam = torch.optim.Adam([group for group in groups if group["params"]])
    batches = -(-len(samples) // how.batch_size)
    fall = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.01, how.epochs * batches)
    along = samples if how.augment is not None else samples[:, chain.order]
    watched = None if held_out is None else held_out[:, chain.order]
    best, lowest = now().placed(_to_host), math.inf if watched is None else score(watched)
    for epoch in range(1, how.epochs + 1):
        drawn = along
        if how.augment is not None:
            drawn = read_samples(
                how.augment(samples, rng), "raise", features=chain.features, dims=chain.dims
            )[:, chain.order]
        total = 0.0
        for rows in np.array_split(rng.permutation(len(drawn)), batches):
            logs = log_conditionals(arrays, now(), place(drawn[rows]))
            nll = -logs.sum() / len(rows)
            prior = sum((one * one).sum() for one in entries) * (how.penalty / len(samples))
            adam.zero_grad()
            (nll + prior).backward()
            adam.step()
            fall.step()
            total += float(nll.detach()) * len(rows)
        held = None if watched is None else score(watched)
        report(epoch, total / len(drawn), held)
        if held is None or held < lowest:
            best, lowest = now().placed(_to_host), math.inf if held is None else held
    return best


def _to_host(array: Any) -> npt.NDArray[Any]:
    whole: npt.NDArray[Any] = array.detach().cpu().numpy()
    return whole.astype(np.float64) if whole.dtype.kind == "f" else whole
