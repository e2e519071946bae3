"""Docstrings as the site needs them: examples fenced, a term over its explanation as a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*\n?(?:(?!\n).*\n?)*", flags=re.MULTILINE)
_VERBATIM = re.compile(r"(^```.*?^```|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)
_TERM = re.compile(r"^([a-z]\w*(?:, \w+)*)\n((?: {4}.*\n?)+)", flags=re.MULTILINE)
_SECTION = re.compile(r"^(\w+)\n-{3,}\n", flags=re.MULTILINE)
_ENTRY = re.compile(r"^((?:[a-z].*\n)+)((?: {4}.*\n?)+)", flags=re.MULTILINE)


def _entry(found: re.Match[str]) -> str:
    names, _, kind = " ".join(found[1].split()).partition(" : ")
    listed = ", ".join(f"`{name}`" for name in names.split(", "))
    return f"\n{listed}{kind and f': {kind}'}\n:   {found[2].strip()}\n\n"


def as_markdown(text: str) -> str:
    """Return a docstring with its doctests in fences, its terms and parameters as definitions.

    What Markdown would take for HTML or emphasis, <a|b> and A* A, stands as written.
    """
    if _SECTION.search(text):  # griffe would give each of several names the default of the first
        text = _ENTRY.sub(_entry, _SECTION.sub(r"\n__\1__\n\n", text))
    text = _TERM.sub(lambda m: f"\n`{m[1]}`\n:   {m[2].strip()}\n\n", text)
    text = _EXAMPLE.sub(lambda m: f"\n```pycon\n{m[0].rstrip()}\n```\n", text)
    parts = _VERBATIM.split(text)
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*") for part in parts[::2]]
    return "".join(parts)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
