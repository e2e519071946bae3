"""What a device changes in training: how a block is split, and what float32 products keep."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

__all__ = ["SPLITS", "chosen_split", "device_kind", "device_memory", "float32_products"]

SPLITS = {
    ("cpu", False): "retraction",
    ("cpu", True): "gram",
    ("cuda", False): "gram",
    ("cuda", True): "subspace",
}
"""(device, static truncation) -> method of `tnkit.two_site` that split="auto" means.

retraction: products and a Cholesky factor where a bond is full, gram elsewhere.
gram: eigenvectors of a float64 Gram matrix; on a device one transfer a bond, of the kept rank.
subspace: products and QR alone, no transfer at all.
"""


def device_kind(array: Any) -> str:
    """Return "cpu" for NumPy's arrays, else the type of the device a tensor is on."""
    return str(getattr(getattr(array, "device", "cpu"), "type", "cpu"))


def device_memory(device: str = "cpu") -> int:
    """Return the bytes of memory that the machine has, or its CUDA device."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def chosen_split(split: str, kind: str, *, static: bool, width: int = 2) -> str:
    """Return the split method: `split` itself, or what `SPLITS` has for this kind of device.

    width: sites a step improves; with one, the space of before is the bond's whole space, and
    "gram" takes the place of "retraction".
    """
    if split == "auto":
        split = SPLITS["cpu" if kind == "cpu" else "cuda", bool(static)]
    return "gram" if split == "retraction" and width == 1 else split


@contextlib.contextmanager
def float32_products(array: Any, *, tf32: bool) -> Iterator[None]:
    """Let CUDA multiply float32 matrices in TF32 (10 bits of mantissa) or not, while inside.

    array: one that is worked on; nothing is touched where it is not on CUDA. torch's own setting
    is put back on leaving.
    """
    if device_kind(array) != "cuda":
        yield
        return
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
