"""The public face: every exported name exists, is documented, and importing is cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import born_machine
import tnkit

CASES = [(module, name) for module in (tnkit, born_machine) for name in module.__all__]


@pytest.mark.parametrize(("module", "name"), CASES, ids=[f"{m.__name__}.{n}" for m, n in CASES])
def test_public_names_are_documented(module: object, name: str) -> None:
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__, f"{name} has no docstring"
        assert not value.__doc__.startswith(f"{name}("), f"{name}: the docstring is dataclass's own"


@pytest.mark.parametrize("module", [tnkit, born_machine])
def test_public_names_are_sorted_and_unique(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


def test_importing_tnkit_is_light() -> None:
    heavy = ["torch", "scipy", "matplotlib", "networkx", "cotengra", "jax", "sklearn"]
    code = f"import sys, tnkit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plugins_are_found_by_name() -> None:
    assert "born_machine" in tnkit.plugins.available()
    assert tnkit.plugins.load("born_machine") is born_machine
    with pytest.raises(tnkit.ArgumentError, match=r"no plugin 'nothing'.*installed: born_machine"):
        tnkit.plugins.load("nothing")
