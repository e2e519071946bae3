"""All-site training: batches of samples, and an optimiser of torch's on every array at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from born_machine.data import Samples
from born_machine.module import BornModule
from born_machine.ranks import ALONE, Ranks
from born_machine.settings import Settings
from born_machine.sweeper import Fuel, Memory, OnStep, Place
from tnkit import MPS, ArgumentError, StepInfo

__all__ = ["AllSiteSweeper"]


class AllSiteSweeper:
    """A sweep is `steps` passes over the samples in batches drawn afresh; bonds stay as they are.

    Several processes share each batch out; gradients are summed, and process 0's arrays are taken
    by all after the sweep. The optimiser's own arrays travel in the memory, so that a resumed run
    goes on exactly. Raises `ArgumentError`, before any work, for a name that is no optimiser, one
    that takes no such steps (LBFGS wants a closure) or keeps what is no array, and samples with
    gaps.
    """

    def __init__(
        self, fuel: Fuel, settings: Settings, *, place: Place = np.asarray, ranks: Ranks = ALONE
    ) -> None:
        self._ranks = ranks
        kind = getattr(torch.optim, settings.optimizer, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise ArgumentError(
                f"optimizer must name a class of torch.optim such as Adam or SGD, "
                f"got {settings.optimizer!r}"
            )
        _try_out(kind, settings.dtype)
        self._fuel = fuel
        self._settings = settings
        self._kind: Any = kind
        self._samples(1)
        home = place(np.zeros(1))
        self._device = "cpu" if isinstance(home, np.ndarray) else home.device

    def __call__(
        self, state: MPS, memory: Memory, number: int, scale: float, on_step: OnStep | None
    ) -> tuple[MPS, Memory, list[StepInfo]]:
        """Go over the samples; see `Sweeper`."""
        settings = self._settings
        samples = torch.as_tensor(self._samples(number).astype(np.int64), device=self._device)
        arrays = [torch.as_tensor(np.array(a), device=self._device) for a in state.arrays]
        module = BornModule(arrays)
        rate = scale * settings.at(number).learning_rate
        optimizer = self._kind(module.parameters(), lr=rate)
        _restore(optimizer, memory)
        rng = np.random.default_rng((settings.seed, number, 1))
        batch = settings.batch_size or len(samples)
        bond = max(state.bond_dims, default=1)
        infos = []
        for _ in range(settings.steps):
            shuffled = torch.as_tensor(rng.permutation(len(samples)), device=self._device)
            for step, rows in enumerate(shuffled.split(batch)):
                began = time.perf_counter()
                optimizer.zero_grad()
                own = rows[self._ranks.rows(len(rows))]
                nll = -module(samples[own]).sum() / len(rows)
                nll.backward()
                loss = self._summed(nll.detach(), module)
                optimizer.step()
                seconds = time.perf_counter() - began
                infos.append(StepInfo(step, True, loss, bond, 0.0, seconds))
                if on_step is not None:
                    on_step(number, infos[-1])
        share = self._ranks.shared
        trained = [share(array.detach().cpu().numpy()) for array in module.arrays]
        kept = {name: share(array) for name, array in _kept(optimizer).items()}
        return MPS.from_arrays(trained, sites=state.sites), kept, infos

    def _samples(self, number: int) -> Samples:
        values = self._fuel(number)
        if (values < 0).any():
            raise ArgumentError("method='all-site' takes no gaps; use 'two-site' for them")
        return values

    def _summed(self, loss: torch.Tensor, module: BornModule) -> torch.Tensor:
        """Sum loss and gradients over the processes; every one is left with the same bits."""
        gradients = [array.grad for array in module.arrays]
        total, *sums = self._ranks.total(loss, *gradients)
        for array, gradient in zip(module.arrays, sums, strict=True):
            array.grad = gradient
        return total


def _try_out(kind: Any, dtype: str) -> None:
    """Take one step of an array of three axes; `ArgumentError` where that cannot be."""
    array = torch.nn.Parameter(torch.ones((2, 2, 2), dtype=getattr(torch, dtype)))
    array.grad = torch.ones_like(array)
    try:
        optimizer = kind([array], lr=0.1)
        optimizer.step()
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"optimizer {kind.__name__!r} takes no steps of all sites in {dtype} ({error}); "
            "use another such as Adam or SGD"
        ) from error
    _kept(optimizer)


def _kept(optimizer: torch.optim.Optimizer) -> Memory:
    """Return the optimiser's state as arrays by name."""
    kept = {}
    for number, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if value is None:
                continue
            if not isinstance(value, torch.Tensor | int | float):
                raise ArgumentError(
                    f"{type(optimizer).__name__} keeps a {type(value).__name__} ({name}) that no "
                    "checkpoint can hold; use another optimiser"
                )
            kept[f"{number}_{name}"] = torch.as_tensor(value).detach().cpu().numpy()
    return kept


def _restore(optimizer: torch.optim.Optimizer, memory: Memory) -> None:
    """Put back what `_kept` took."""
    state: dict[int, dict[str, Any]] = {}
    for key, array in memory.items():
        number, _, name = key.partition("_")
        state.setdefault(int(number), {})[name] = torch.as_tensor(np.array(array))
    if state:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
