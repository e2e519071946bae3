"""Fixtures every test file shares: the array libraries a law is crossed with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# the same examples on every machine: a red run can be repeated
hypothesis.settings.register_profile(
    "tnkit", deadline=None, derandomize=True, print_blob=True, max_examples=50
)
hypothesis.settings.load_profile("tnkit")


@dataclass(frozen=True)
class Backend:
    """One array library on one device: `asarray` makes its arrays from NumPy ones."""

    name: str
    asarray: Callable[[Any], Any]


def _backend(name: str) -> Backend:
    if name == "numpy":
        return Backend(name, np.asarray)
    if name == "strict":
        strict = pytest.importorskip("array_api_strict", reason="array-api-strict not installed")
        return Backend(name, strict.asarray)
    if name == "jax":
        jax = pytest.importorskip("jax", reason="JAX not installed")
        jax.config.update("jax_enable_x64", True)
        return Backend(name, jax.numpy.asarray)
    torch = pytest.importorskip("torch", reason="PyTorch not installed")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = "cuda" if name == "cuda" else "cpu"
    return Backend(name, lambda a: torch.as_tensor(np.array(a), device=device))


@pytest.fixture(params=["numpy", "torch", "cuda", "strict", "jax"], scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every array library the toolkit promises; absent ones are skipped with a reason."""
    return _backend(request.param)


@pytest.fixture(params=["numpy", "torch", "cuda"], scope="session")
def library(request: pytest.FixtureRequest) -> Backend:
    """The array libraries the Born machine computes with."""
    return _backend(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets and known answers beside the checkout."""
    root = Path(os.environ.get("TNKIT_SHARED", Path(__file__).parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set TNKIT_SHARED to the folder that holds it")
    return root
