"""The gallery: the quick scripts run here, all of them when the site is built."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import born_machine
import tnkit

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("*.py"))
QUICK = ["any_network", "canonical_forms", "cost_first", "ising"]


def load_gallery() -> ModuleType:
    path = ROOT / "docs" / "hooks" / "gallery.py"
    spec = importlib.util.spec_from_file_location("docs_gallery", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gallery = load_gallery()


def test_there_are_at_least_twelve() -> None:
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_a_page_of_public_names(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    kind, first = gallery.cells(source)[0]
    assert kind == "text"
    assert re.match(r"# .+\n\n\S", first), "a heading, then what the page shows"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tnkit"):
            assert node.module in ("tnkit", "tnkit.testing")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("born_machine"):
            assert {alias.name for alias in node.names} <= set(born_machine.__all__)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tnkit":
            assert node.attr in tnkit.__all__


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_script_runs_and_draws(name: str, tmp_path: Path) -> None:
    gallery.run(ROOT / "examples" / "gallery" / f"{name}.py", tmp_path)
    page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures
    assert all((tmp_path / picture).stat().st_size > 1000 for picture in pictures)
    assert "```text" in page  # and printed something


def test_cells_are_read_as_editors_read_them() -> None:
    source = "# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nx = 1  # %% no cell\n"
    assert gallery.cells(source) == [("text", "# Title\n\nText."), ("code", "x = 1  # %% no cell")]
    assert gallery.title(source) == "Title"
    with pytest.raises(ValueError, match="starts with a cell"):
        gallery.cells("import this\n")
