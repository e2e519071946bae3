"""Derivatives of matrix factorisations under PyTorch that stay finite where torch's do not.

torch divides by the gaps between singular values and by the values themselves, so equal or zero
ones give NaN. Here the convention is: a gap or a value at rounding level contributes nothing. That
is exact for every function of the factors that does not depend on the arbitrary basis inside a
degenerate block. On rank-deficient input the derivative is the one at fixed rank: what a
perturbation does in both null spaces at once is left out (Wan and Zhang, arXiv:1909.02659).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["eigh", "needs_gradient", "qr", "svd"]


def needs_gradient(array: Any) -> bool:
    """Say whether `array` is a torch tensor whose gradient is being recorded."""
    if not getattr(array, "requires_grad", False) or not hasattr(array, "grad_fn"):
        return False
    import torch

    return bool(torch.is_grad_enabled())


def _inverse(values: Any, scale: Any) -> Any:
    """Return 1 / values, zero where they are at rounding level beside `scale`."""
    import torch

    small = 1e2 * torch.finfo(values.dtype).eps * scale
    safe = values.abs() > small
    return torch.where(safe, 1.0 / torch.where(safe, values, torch.ones_like(values)), 0.0)


def svd(matrix: Any, factor: Callable[[Any], tuple[Any, Any, Any]]) -> tuple[Any, Any, Any]:
    """Return U, s, V^H of `factor(matrix)`, differentiable."""
    import torch

    class Svd(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            u, s, vh = factor(a.detach())
            ctx.save_for_backward(u, s, vh)
            return u, s, vh

        @staticmethod
        def backward(ctx: Any, gu: Any, gs: Any, gvh: Any) -> Any:
            u, s, vh = ctx.saved_tensors
            if not s.numel():
                return u @ vh
            largest = s[0]
            # (a + b) is zero inside a degenerate block for what does not depend on its basis
            gap = _inverse(s[None, :] - s[:, None], largest)
            both = _inverse(s[None, :] + s[:, None], largest)
            inverse = _inverse(s, largest)
            gv = gvh.mH
            on_left, on_right = u.mH @ gu, vh @ gv
            a = 0.5 * (on_left - on_left.mH)
            b = 0.5 * (on_right - on_right.mH)
            inner = torch.diag(gs).to(u.dtype) + gap * (a + b) + both * (a - b)
            total = (gu - u @ on_left) * inverse[None, :] @ vh
            total = total + u * inverse[None, :] @ (gv - vh.mH @ on_right).mH
            return total + u @ inner @ vh

    u, s, vh = Svd.apply(matrix)
    return u, s, vh


def eigh(matrix: Any, factor: Callable[[Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return values and vectors of `factor(matrix)`, a Hermitian matrix, differentiable."""
    import torch

    class Eigh(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            values, vectors = factor(a.detach())
            ctx.save_for_backward(values, vectors)
            return values, vectors

        @staticmethod
        def backward(ctx: Any, gvalues: Any, gvectors: Any) -> Any:
            values, vectors = ctx.saved_tensors
            if not values.numel():
                return torch.zeros_like(vectors)
            gap = _inverse(values[None, :] - values[:, None], values.abs().max())
            inner = torch.diag(gvalues).to(vectors.dtype) + gap * (vectors.mH @ gvectors)
            total = vectors @ inner @ vectors.mH
            return 0.5 * (total + total.mH)

    values, vectors = Eigh.apply(matrix)
    return values, vectors


def qr(matrix: Any, factor: Callable[[Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    """Return Q and R of `factor(matrix)`, differentiable; a singular R is inverted on its range."""
    import torch

    class Qr(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            q, r = factor(a.detach())
            ctx.save_for_backward(a.detach(), q, r)
            return q, r

        @staticmethod
        def backward(ctx: Any, gq: Any, gr: Any) -> Any:
            a, q, r = ctx.saved_tensors
            k = r.shape[0]
            square, rest = r[:, :k], r[:, k:]
            if rest.shape[1]:  # the columns beyond the square are Q^H a, nothing more
                gq = gq + a[:, k:] @ gr[:, k:].mH
            m = square @ gr[:, :k].mH - gq.mH @ q
            lower = torch.tril(m, -1)
            inner = lower + lower.mH + torch.diag(torch.diagonal(m))
            if q.is_complex():
                inner = lower + lower.mH + torch.diag(torch.diagonal(m).real).to(q.dtype)
            small = 1e3 * torch.finfo(q.dtype).eps
            inverse = torch.linalg.pinv(square, rtol=small)
            null = torch.eye(k, dtype=q.dtype, device=q.device) - inverse @ square
            first = (gq + q @ inner) @ inverse.mH + q @ gr[:, :k] @ null
            return torch.cat([first, q @ gr[:, k:]], dim=1) if rest.shape[1] else first

    q, r = Qr.apply(matrix)
    return q, r
