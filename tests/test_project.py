"""The project's own papers agree: one version, and a report that says what a bug report needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import born_machine
import tnkit
from tnkit.__main__ import installed, listed, report

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("file", "line"),
    [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+?),")],
)
def test_the_version_is_the_same_everywhere(file: str, line: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(line, text, flags=re.MULTILINE)
    assert found is not None
    assert found[1] == tnkit.__version__ == born_machine.__version__


@pytest.mark.parametrize("folder", [ROOT, ROOT / "plugins" / "born_machine"], ids=lambda f: f.name)
def test_builds_read_the_version_from_the_package(folder: Path) -> None:
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    path = settings["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{tnkit.__version__}"' in (folder / path).read_text(encoding="utf-8")


def test_the_plugin_asks_for_this_core() -> None:
    path = ROOT / "plugins" / "born_machine" / "pyproject.toml"
    needs = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]
    major, minor = tnkit.__version__.split(".")[:2]
    assert f"tnkit>={major}.{minor},<{major}.{int(minor) + 1}" in needs


def test_the_report_names_versions_devices_and_plugins() -> None:
    lines = dict(line.split(maxsplit=1) for line in report().splitlines())
    assert lines["tnkit"] == f"{tnkit.__version__} in {Path(tnkit.__file__).parent}"
    assert f"numpy {installed('numpy')}" in lines["needs"]
    assert lines["arrays"].startswith(f"numpy {installed('numpy')}")
    assert lines["devices"].startswith("cpu (")
    assert lines["blas"]
    assert listed(["no-such", "numpy"]) == f"numpy {installed('numpy')}; not installed: no-such"
    assert "born_machine (tnkit-born-machine " in lines["plugins"]
    assert installed("no-such-distribution") == "not installed"


def test_the_report_stands_where_torch_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tnkit.__main__.installed", lambda name: "1.0")
    monkeypatch.setitem(sys.modules, "torch", None)
    lines = dict(line.split(maxsplit=1) for line in report().splitlines())
    assert "torch does not load: ModuleNotFoundError" in lines["devices"]


def test_the_report_runs_as_a_command_and_imports_only_what_it_needs() -> None:
    code = (
        "import runpy, sys; sys.modules['torch'] = None; "  # as if it could not be imported
        "import tnkit.__main__ as m; m.installed = lambda n: 'not installed'; m.report(); "
        "print([n for n in ('scipy', 'matplotlib', 'jax', 'sklearn', 'born_machine') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    command = [sys.executable, "-m", "tnkit"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"tnkit     {tnkit.__version__} in ")
    assert done.stderr == ""
