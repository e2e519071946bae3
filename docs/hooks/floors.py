"""The floor table of the architecture page, made from the one that the test reads."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "<!-- floors -->"


def floors(name: str) -> dict[str, int]:
    """Return a table of tests/test_architecture.py (CORE or PLUGIN) without running the file."""
    source = (ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            table: dict[str, int] = ast.literal_eval(node.value)
            return table
    raise LookupError(f"tests/test_architecture.py has no table {name}")


def as_markdown(table: dict[str, int], letter: str) -> str:
    """Return the table, highest floor first."""
    lines = ["| floor | modules |", "|---|---|"]
    for floor in sorted(set(table.values()), reverse=True):
        names = ", ".join(f"`{name}`" for name in sorted(table) if table[name] == floor)
        lines.append(f"| {letter}{floor} | {names} |")
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put both tables where the page asks for them."""
    if MARK not in markdown:
        return markdown
    both = (
        as_markdown(floors("CORE"), "F")
        + "\n\nThe plugin:\n\n"
        + as_markdown(floors("PLUGIN"), "P")
    )
    return markdown.replace(MARK, both)
