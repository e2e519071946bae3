"""The chain as a torch.nn.Module: all sites at once, for any optimiser of torch's.

ln p(x) with a backward pass written by hand: of the vectors (sample, bond) of one batch a pass over
the chain keeps one in sqrt(sites), and never a matrix a sample and site. Everything is rescaled at
every step, so that neither 10,000 sites nor a norm of 2^784 is out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from born_machine.logpsi import log_norms, log_squares, paired
from born_machine.models.mps import MPSModel, model_from_state
from born_machine.ordering import site_order
from tnkit import MPS, ArgumentError, SizeError

__all__ = ["BornModule"]


class BornModule(torch.nn.Module):  # type: ignore[misc]
    """p(x) = |psi(x)|^2 / Z as a function of all arrays of the chain.

    forward(samples) is ln p(x), (sample,) float64 in nats, differentiable; minus its mean is the
    NLL. samples: (sample, feature) integers on the module's device. arrays: (left, site, right),
    one a site, trained as they are: bonds stay. order: site k holds feature order[k]; None, feature
    k. batch: samples that a pass holds vectors of at a time; every: which of them it keeps (see
    `log_squares`). Cost of a step O(samples sites bond^2 + sites site bond^3) time; memory
    O(batch sqrt(sites) bond) beside the arrays, their gradients and a matrix (bond, bond) a site.

    >>> import numpy as np, torch, tnkit
    >>> module = BornModule(tnkit.random_mps(5, bond_dim=3, seed=0).arrays)
    >>> optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    >>> samples = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     nll = -module(samples).mean()
    ...     nll.backward()
    ...     _ = optimizer.step()
    >>> bool(abs(nll.item() - np.log(2)) < 0.01)
    True
    """

    def __init__(
        self,
        arrays: Sequence[Any],
        *,
        order: Sequence[int] | np.ndarray[Any, Any] | None = None,
        batch: int = 1000,
        every: int | None = None,
    ) -> None:
        """Take the arrays (copied) as parameters.

        `SizeError` where they are no chain; `ArgumentError` or `ArgumentTypeError` where order is
        no permutation of the features.
        """
        super().__init__()
        copies = [torch.as_tensor(a).detach().clone() for a in arrays]
        MPS.from_arrays(copies)  # says what does not fit
        self.arrays = torch.nn.ParameterList(copies)
        places = site_order("given" if order is None else order, len(copies), None)
        self.register_buffer("order", torch.as_tensor(places, dtype=torch.int64))
        self.batch = int(batch)
        self.every = every

    @classmethod
    def from_model(cls, model: MPSModel, *, dtype: torch.dtype | None = None, **more: Any) -> Self:
        """Return the module of a trained model, in its dtype or another."""
        arrays = [torch.as_tensor(np.array(a)).to(dtype) for a in model.state.arrays]
        return cls(arrays, order=model.order, **more)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return ln p(x) of samples (sample, feature), in nats; -inf where p(x) = 0.

        `SizeError` and `ArgumentError` for samples that do not fit.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.arrays):
            raise SizeError(
                f"expected samples (sample, {len(self.arrays)}), got {tuple(samples.shape)}"
            )
        sites = samples[:, self.order]
        dims = torch.tensor([a.shape[1] for a in self.arrays], device=samples.device)
        if bool(((sites < 0) | (sites >= dims)).any()):
            least, most = int(samples.min()), int(samples.max())
            largest = ", ".join(map(str, sorted({a.shape[1] - 1 for a in self.arrays})))
            raise ArgumentError(
                f"samples hold values from {least} to {most}; features take 0 to {largest}"
            )
        blocks, sites = paired(list(self.arrays), sites)
        return log_squares(sites, blocks, batch=self.batch, every=self.every) - log_norms(blocks)

    def model(self) -> MPSModel:
        """Return the trained model: on the host, in double precision, canonical, norm one."""
        state = MPS.from_arrays([a.detach().cpu().numpy() for a in self.arrays])
        order = self.order.cpu().numpy().astype(np.intp)
        dims = np.empty(len(order), dtype=int)
        dims[order] = state.site_dims
        return model_from_state(state, order, tuple(int(d) for d in dims))
