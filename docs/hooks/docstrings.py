"""Docstrings as the site needs them: examples fenced, a term over its explanation as a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*\n?(?:(?!\n).*\n?)*", flags=re.MULTILINE)
_VERBATIM = re.compile(r"(^```.*?^```|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)
_TERM = re.compile(r"^([a-z]\w*(?:, \w+)*)\n((?: {4}.*\n?)+)", flags=re.MULTILINE)


def as_markdown(text: str) -> str:
    """Return a docstring with its doctests in fences and its terms as a definition list.

    What Markdown would take for HTML or emphasis, <a|b> and A* A, stands as written.
    """
    if re.search(r"^-{3,}$", text, flags=re.MULTILINE):  # sections, read by griffe itself
        return text
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
