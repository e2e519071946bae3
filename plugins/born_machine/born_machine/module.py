"""The chain as a torch.nn.Module: all sites at once, for any optimiser of torch's.

ln p(x) with a backward pass written by hand: only the vectors (sample, bond) of one batch are kept
for a pass over the chain, never a matrix a sample and site. Everything is rescaled at every site,
so that neither 10,000 sites nor a norm of 2^784 is out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from born_machine.models.mps import MPSModel, model_from_state
from tnkit import MPS, SizeError

__all__ = ["BornModule"]

_TINY = 1e-37


class BornModule(torch.nn.Module):  # type: ignore[misc]
    """p(x) = |psi(x)|^2 / Z as a function of all arrays of the chain.

    forward(samples) is ln p(x), (sample,) float64 in nats, differentiable; minus its mean is the
    NLL. samples: (sample, feature) integers on the module's device. arrays: (left, site, right),
    one a site, trained as they are: bonds stay. order, dims: as in `MPSModel`. batch: samples that
    a backward pass holds vectors of at a time. Cost of a step O(samples sites bond^2 + sites site
    bond^3) time; memory O(batch sites bond) beside the arrays and their gradients.

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
    ) -> None:
        """Take the arrays (copied) as parameters; `SizeError` where they are no chain."""
        super().__init__()
        copies = [torch.as_tensor(a).detach().clone() for a in arrays]
        MPS.from_arrays(copies)  # says what does not fit
        self.arrays = torch.nn.ParameterList(copies)
        places = np.arange(len(copies)) if order is None else np.asarray(order)
        if places.shape != (len(copies),):
            raise SizeError(f"{len(copies)} arrays, but an order of {places.shape}")
        self.register_buffer("order", torch.as_tensor(places, dtype=torch.int64))
        self.batch = int(batch)

    @classmethod
    def from_model(cls, model: MPSModel, *, dtype: torch.dtype | None = None, **more: Any) -> Self:
        """Return the module of a trained model, in its dtype or another."""
        arrays = [torch.as_tensor(np.array(a)).to(dtype) for a in model.state.arrays]
        return cls(arrays, order=model.order, **more)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return ln p(x) of samples (sample, feature), in nats; -inf where p(x) = 0."""
        if samples.ndim != 2 or samples.shape[1] != len(self.arrays):
            raise SizeError(
                f"expected samples (sample, {len(self.arrays)}), got {tuple(samples.shape)}"
            )
        arrays = list(self.arrays)
        sites = samples[:, self.order]
        logs: torch.Tensor = _LogSquares.apply(sites, self.batch, *arrays)
        log_norm: torch.Tensor = _LogNorm.apply(*arrays)
        return logs - log_norm

    def model(self) -> MPSModel:
        """Return the trained model: on the host, in double precision, canonical, norm one."""
        state = MPS.from_arrays([a.detach().cpu().numpy() for a in self.arrays])
        order = self.order.cpu().numpy().astype(np.intp)
        dims = np.empty(len(order), dtype=int)
        dims[order] = state.site_dims
        return model_from_state(state, order, tuple(int(d) for d in dims))


def _absorbed(
    vectors: torch.Tensor, array: torch.Tensor, rows: Sequence[torch.Tensor], *, rightwards: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Carry the vector of every sample over a site: (rows of norm one, what they had before)."""
    width = array.shape[2 if rightwards else 0]
    out = vectors.new_empty((len(vectors), width))
    for value, where in enumerate(rows):
        matrix = array[:, value, :] if rightwards else array[:, value, :].T
        out[where] = vectors[where] @ matrix
    norms = torch.linalg.vector_norm(out, dim=1)
    return out / norms.clamp_min(_TINY)[:, None], norms


def _rows_by_value(samples: torch.Tensor, dims: Sequence[int]) -> list[list[torch.Tensor]]:
    return [
        [torch.nonzero(samples[:, k] == v).squeeze(1) for v in range(d)] for k, d in enumerate(dims)
    ]


class _LogSquares(torch.autograd.Function):  # type: ignore[misc]
    """ln |psi(x)|^2 of every sample; backward goes over the chain again, batch by batch."""

    @staticmethod
    def forward(ctx: Any, samples: torch.Tensor, batch: int, *arrays: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(samples, *arrays)
        ctx.batch = batch
        dims = [a.shape[1] for a in arrays]
        parts = []
        for chunk in samples.split(batch):
            vectors = arrays[0].new_ones((len(chunk), 1))
            logs = torch.zeros(len(chunk), dtype=torch.float64, device=chunk.device)
            for array, rows in zip(arrays, _rows_by_value(chunk, dims), strict=True):
                vectors, norms = _absorbed(vectors, array, rows, rightwards=True)
                logs += torch.log(norms.double())
            parts.append(2.0 * logs)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, weights: torch.Tensor) -> Any:
        samples, *arrays = ctx.saved_tensors
        dims = [a.shape[1] for a in arrays]
        gradients = [torch.zeros_like(a) for a in arrays]
        for chunk, share in zip(samples.split(ctx.batch), weights.split(ctx.batch), strict=True):
            by_value = _rows_by_value(chunk, dims)
            vectors = arrays[0].new_ones((len(chunk), 1))
            lefts, norms = [vectors], []
            for array, rows in zip(arrays, by_value, strict=True):
                vectors, norm = _absorbed(vectors, array, rows, rightwards=True)
                lefts.append(vectors)
                norms.append(norm)
            right = arrays[0].new_ones((len(chunk), 1))
            share = share.to(norms[0].dtype)
            for k in range(len(arrays) - 1, -1, -1):
                # psi with both sides of norm one; the scales drop out of l (x) r / psi
                psi = norms[k] * (lefts[k + 1] * right).sum(dim=1)
                square = (psi.abs() ** 2).clamp_min(_TINY)
                pull = (2.0 * share * psi / square)[:, None] * right.conj()
                for value, rows in enumerate(by_value[k]):
                    gradients[k][:, value, :] += lefts[k][rows].conj().T @ pull[rows]
                right, _ = _absorbed(right, arrays[k], by_value[k], rightwards=False)
        return None, None, *gradients


class _LogNorm(torch.autograd.Function):  # type: ignore[misc]
    """ln Z = ln <psi|psi>; environments of trace one on the way."""

    @staticmethod
    def forward(ctx: Any, *arrays: torch.Tensor) -> torch.Tensor:
        environment = arrays[0].new_ones((1, 1))
        log = torch.zeros((), dtype=torch.float64, device=environment.device)
        lefts = [environment]
        for array in arrays:
            l, d, r = array.shape
            half = (environment.T @ array.reshape(l, d * r)).reshape(l * d, r)
            environment = half.T @ array.conj().reshape(l * d, r)
            trace = environment.diagonal().sum().real
            environment = environment / trace
            log = log + torch.log(trace.double())
            lefts.append(environment)
        ctx.save_for_backward(*arrays, *lefts)
        return log

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> Any:
        length = len(ctx.saved_tensors) // 2
        arrays, lefts = ctx.saved_tensors[:length], ctx.saved_tensors[length:]
        right = arrays[0].new_ones((1, 1))
        gradients: list[torch.Tensor] = []
        for array, left in zip(reversed(arrays), reversed(lefts[:-1]), strict=True):
            l, d, r = array.shape
            through = array.reshape(l * d, r) @ right  # sum over the ket's right bond
            pull = (left.T @ through.reshape(l, d * r)).reshape(l, d, r)
            total = (pull * array.conj()).sum().real
            gradients.append(pull * (2.0 * weight.to(total.dtype) / total))
            right = through.reshape(l, d * r) @ array.conj().reshape(l, d * r).T
            right = right / right.diagonal().sum().real
        return tuple(reversed(gradients))
