"""A reference page lists modules in its header; their public names follow, from the docstrings."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HOMES = {
    "tnkit": ROOT / "tnkit" / "__init__.py",
    "born_machine": ROOT / "plugins" / "born_machine" / "born_machine" / "__init__.py",
}


def public_names() -> dict[str, list[str]]:
    """Return {module: its public names} as the packages' own imports say, without importing."""
    found: dict[str, list[str]] = {}
    for package, path in HOMES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
                names = [f"{package}.{alias.name}" for alias in node.names]
                known = found.get(str(node.module), [])
                found[str(node.module)] = list(dict.fromkeys([*known, *names]))  # late ones too
    return found


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append the public names of the modules that the page's header lists."""
    known = public_names()
    wanted = []
    for module in page.meta.get("modules", []):
        wanted += known.get(module) or [f"{module}\n    options: {{show_root_full_path: true}}"]
    return "\n\n".join([markdown, *(f"::: {name}" for name in wanted)])
