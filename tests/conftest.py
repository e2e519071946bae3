"""Fixtures every test file shares: the array libraries a law is crossed with."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from tnkit import testing

# the same examples on every machine: a red run can be repeated
hypothesis.settings.register_profile(
    "tnkit", deadline=None, derandomize=True, print_blob=True, max_examples=50
)
hypothesis.settings.load_profile("tnkit")


@pytest.fixture(params=["numpy", "torch", "cuda", "strict", "jax"], scope="session")
def backend(request: pytest.FixtureRequest) -> testing.Backend:
    """Every array library the toolkit promises; absent ones are skipped with a reason."""
    return testing.backend(request.param)


@pytest.fixture(params=["numpy", "torch", "cuda"], scope="session")
def library(request: pytest.FixtureRequest) -> testing.Backend:
    """The array libraries the Born machine computes with."""
    return testing.backend(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets and known answers beside the checkout."""
    root = Path(os.environ.get("TNKIT_SHARED", Path(__file__).parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set TNKIT_SHARED to the folder that holds it")
    return root
