"""ln |psi(x)|^2 and ln Z of a whole batch as functions of all arrays, their backward by hand.

Kernels on bare torch tensors. Samples are sorted by their value at each block of the chain, so that
every product is one matrix product over a contiguous slice and one gather carries the vectors from
block to block; nothing is read back from a device but the sizes of the slices, once a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["log_norms", "log_squares", "paired"]


def paired(
    arrays: Sequence[torch.Tensor], samples: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the chain with neighbouring sites contracted two by two where that saves work.

    arrays: (left, site, right); samples: (sample, site) integers. A pair is one array (left, site
    site, right) and one value a sample, so that a batch crosses half as many bonds; making the
    arrays and their gradients pays from about site^2 bond samples on. Returns both unchanged where
    it does not. Differentiable.
    """
    inner = max((a.shape[2] for a in arrays), default=1)
    d = max((a.shape[1] for a in arrays), default=1)
    if len(arrays) < 2 or len(samples) < d * d * inner:
        return list(arrays), samples
    even = 2 * (len(arrays) // 2)
    second = torch.tensor([a.shape[1] for a in arrays[1:even:2]], device=samples.device)
    codes = samples[:, 0:even:2] * second + samples[:, 1:even:2]
    blocks = list(_Pairs.apply(*arrays[:even]))
    return [*blocks, *arrays[even:]], torch.cat((codes, samples[:, even:]), dim=1)


class _Pairs(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, *arrays: torch.Tensor) -> Any:
        ctx.save_for_backward(*arrays)
        return tuple(
            (a.reshape(-1, a.shape[2]) @ b.reshape(b.shape[0], -1)).reshape(
                a.shape[0], -1, b.shape[2]
            )
            for a, b in zip(arrays[::2], arrays[1::2], strict=True)
        )

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        found = []
        arrays = ctx.saved_tensors
        for a, b, gradient in zip(arrays[::2], arrays[1::2], gradients, strict=True):
            rows, columns = a.reshape(-1, a.shape[2]), b.reshape(b.shape[0], -1)
            pull = gradient.reshape(len(rows), -1)
            found += [(pull @ columns.mH).reshape(a.shape), (rows.mH @ pull).reshape(b.shape)]
        return tuple(found)


def log_squares(
    samples: torch.Tensor, arrays: Sequence[torch.Tensor], *, batch: int, every: int | None = None
) -> torch.Tensor:
    """Return ln |psi(x)|^2 of samples (sample, site), float64, -inf where psi(x) = 0.

    arrays: (left, site, right). batch: samples whose vectors are held at a time. every: of the
    vectors along the chain only each `every`-th is kept between the two passes, those between are
    computed again, a stretch at a time (Griewank and Walther, ACM Trans. Math. Softw. 26, 19,
    2000); None takes sqrt(sites), which costs no time on a CPU: what is computed again is still in
    its caches. Cost O(samples sites bond^2), memory O(batch bond (sites / every + every)).
    """
    if every is None:
        every = math.isqrt(len(arrays) - 1) + 1
    found: torch.Tensor = _LogSquares.apply(samples, batch, every, *arrays)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """A batch sorted by value at every site, and gathers between sites.

    values: those that occur at a site, rising; sizes: how many samples have each.
    """

    values: list[list[int]]
    sizes: list[list[int]]
    to_next: torch.Tensor  # (site, sample): from the order of a site to that of the next
    to_previous: torch.Tensor
    inverse: torch.Tensor  # (site, sample): from the order of a site to that of the samples


def _sorted(samples: torch.Tensor, dims: Sequence[int]) -> _Order:
    values = samples.T.contiguous()
    small = values.to(torch.uint8) if max(dims) <= 256 else values
    if small.device.type == "cpu":  # NumPy sorts bytes five times faster
        order = torch.from_numpy(np.argsort(small.numpy(), axis=1, kind="stable"))
    else:
        order = torch.sort(small, dim=1, stable=True).indices
    counts = torch.zeros((len(dims), max(dims)), dtype=torch.int64, device=values.device)
    wide = values.long()
    counts.scatter_add_(1, wide, torch.ones_like(wide))
    table = counts.tolist()  # the one transfer
    seen = [[v for v, n in enumerate(row) if n] for row in table]
    sizes = [[n for n in row if n] for row in table]
    places = torch.arange(len(samples), device=values.device).expand_as(order)
    inverse = torch.empty_like(order).scatter_(1, order, places)
    to_next = inverse[:-1].gather(1, order[1:])
    return _Order(seen, sizes, to_next, inverse[1:].gather(1, order[:-1]), inverse)


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    """What a pass to the right leaves for the way back.

    kept: the vectors that come to each `every`-th site; norms: (site, sample), what each step was
    divided by, in the order of its site; end: (sample, 1), of modulus one or zero.
    """

    order: _Order
    kept: list[torch.Tensor]
    norms: torch.Tensor
    end: torch.Tensor


def _step(vectors: torch.Tensor, array: torch.Tensor, order: _Order, k: int) -> torch.Tensor:
    out = vectors.new_empty((len(vectors), array.shape[2]))
    sizes, matrices = order.sizes[k], array.unbind(1)
    parts = zip(order.values[k], vectors.split(sizes), out.split(sizes), strict=True)
    for value, part, target in parts:
        torch.mm(part, matrices[value], out=target)
    return out


def _ahead(
    samples: torch.Tensor, arrays: Sequence[torch.Tensor], every: int
) -> tuple[torch.Tensor, _Ahead]:
    """Return ln |psi|^2 of one batch, and what its backward needs."""
    order = _sorted(samples, [a.shape[1] for a in arrays])
    vectors = arrays[0].new_ones((len(samples), 1))
    norms = vectors.real.new_empty((len(arrays), len(samples)))
    kept = []
    for k, array in enumerate(arrays):
        if k % every == 0:
            kept.append(vectors)
        vectors = _step(vectors, array, order, k)
        torch.linalg.vector_norm(vectors, dim=1, out=norms[k])
        vectors /= _nonzero(norms[k])[:, None]
        if k + 1 < len(arrays):
            vectors = vectors.index_select(0, order.to_next[k])
    logs = 2.0 * norms.double().log().gather(1, order.inverse).sum(dim=0)
    return logs, _Ahead(order, kept, _nonzero(norms), vectors)


def _nonzero(norms: torch.Tensor) -> torch.Tensor:
    """Return the norms with one in place of zero: a vector that is zero stays zero."""
    return torch.where(norms == 0.0, 1.0, norms)


def _between(ahead: _Ahead, arrays: Sequence[torch.Tensor], first: int, every: int) -> Any:
    """Return the vectors that come to the sites from `first` to the next one kept."""
    vectors = ahead.kept[first // every]
    found = [vectors]
    for k in range(first, min(first + every, len(arrays)) - 1):
        vectors = _step(vectors, arrays[k], ahead.order, k)
        vectors /= ahead.norms[k][:, None]
        vectors = vectors.index_select(0, ahead.order.to_next[k])
        found.append(vectors)
    return found


def _back(
    ahead: _Ahead,
    arrays: Sequence[torch.Tensor],
    weights: torch.Tensor,
    every: int,
    gradients: Sequence[torch.Tensor],
) -> None:
    """Add the gradient of sum weights ln |psi|^2 to `gradients`.

    With what the vectors were divided by held constant psi changes by a constant factor, and
    d ln |psi|^2 = 2 Re dpsi / psi knows no constant factors.
    """
    order = ahead.order
    last = len(arrays) - 1
    share = torch.empty_like(weights).scatter_(0, order.inverse[last], weights)
    share = (2.0 * share).to(ahead.norms.dtype)
    pull = ahead.end * share[:, None]
    for first in range(last - last % every, -1, -every):
        lefts = _between(ahead, arrays, first, every)
        for k in range(first + len(lefts) - 1, first - 1, -1):
            left = lefts.pop()
            pull /= ahead.norms[k][:, None]
            sizes, targets = order.sizes[k], gradients[k].unbind(1)
            parts = zip(order.values[k], left.split(sizes), pull.split(sizes), strict=True)
            for value, before, after in parts:
                targets[value].addmm_(before.mH, after)
            if k:
                pull = _step(pull, _adjoint(arrays[k]), order, k)
                pull = pull.index_select(0, order.to_previous[k - 1])


def _adjoint(array: torch.Tensor) -> torch.Tensor:
    return array.permute(2, 1, 0).conj()


class _LogSquares(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, samples: torch.Tensor, batch: int, every: int, *arrays: torch.Tensor
    ) -> torch.Tensor:
        ctx.batch, ctx.every, ctx.order = batch, every, None
        if len(samples) > batch:
            ctx.save_for_backward(samples, *arrays)
            return torch.cat([_ahead(one, arrays, len(arrays))[0] for one in samples.split(batch)])
        logs, ahead = _ahead(samples, arrays, every)
        ctx.order = ahead.order
        ctx.save_for_backward(samples, ahead.norms, ahead.end, *arrays, *ahead.kept)
        return logs

    @staticmethod
    def backward(ctx: Any, weights: torch.Tensor) -> Any:
        samples, *saved = ctx.saved_tensors
        if ctx.order is None:
            arrays = saved
            gradients = [torch.zeros_like(a) for a in arrays]
            parts = zip(samples.split(ctx.batch), weights.split(ctx.batch), strict=True)
            for one, share in parts:
                _back(_ahead(one, arrays, ctx.every)[1], arrays, share, ctx.every, gradients)
        else:
            norms, end, *rest = saved
            length = len(norms)
            arrays, kept = rest[:length], rest[length:]
            gradients = [torch.zeros_like(a) for a in arrays]
            ahead = _Ahead(ctx.order, kept, norms, end)
            _back(ahead, arrays, weights, ctx.every, gradients)
        return None, None, None, *gradients


def log_norms(arrays: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return ln Z = ln <psi|psi> (0-d, float64). Cost O(sites site bond^3)."""
    found: torch.Tensor = _LogNorm.apply(*arrays)
    return found


class _LogNorm(torch.autograd.Function):  # type: ignore[misc]
    """Environments of trace one on the way."""

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
