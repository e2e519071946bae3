"""Importing tnkit is light."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "scipy", "matplotlib", "networkx", "cotengra", "opt_einsum", "jax", "sklearn")


def test_import_brings_no_heavy_package() -> None:
    code = f"import sys, tnkit; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
