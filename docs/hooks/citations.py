"""`[@key]` on a page cites an entry of docs/references.bib; the references page lists them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

BIBLIOGRAPHY = Path(__file__).parents[1] / "references.bib"
MARK = "<!-- references -->"
CITATION = re.compile(r"\[@([\w-]+)\]")

_ENTRY = re.compile(r"^@\w+\{([\w-]+),\n(.*?)^\}", flags=re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", flags=re.MULTILINE)


def entries() -> dict[str, dict[str, str]]:
    """Return the fields of every entry by key. The file holds one field a line, in braces."""
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    found = {key: dict(_FIELD.findall(body)) for key, body in _ENTRY.findall(text)}
    if len(found) != text.count("\n@") + text.startswith("@"):
        raise ValueError(f"{BIBLIOGRAPHY.name}: an entry is repeated or cannot be read")
    return found


def label(fields: dict[str, str]) -> str:
    """Return the short form of a citation: authors' last names and year."""
    names = [name.split(",")[0] for name in fields["author"].split(" and ")]
    who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else ""
    return f"{who or names[0] + ' et al.'} {fields['year']}"


def listed(key: str, fields: dict[str, str]) -> str:
    """Return one entry of the references page."""
    where = ", ".join(
        fields[name] for name in ("journal", "volume", "pages", "eprint") if name in fields
    )
    authors = fields["author"].replace(" and ", "; ")
    return f'- <span id="{key}"></span>{authors}. *{fields["title"]}*. {where} ({fields["year"]}).'


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn citations into links and fill the references page. Unknown keys raise."""
    known = entries()
    up = "../" * page.file.src_uri.count("/")

    def link(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(f"{page.file.src_uri}: references.bib has no entry {match[1]!r}")
        return f"[{label(known[match[1]])}]({up}references.md#{match[1]})"

    if MARK in markdown:
        in_order = sorted(known, key=lambda key: (known[key]["author"], known[key]["year"]))
        markdown = markdown.replace(MARK, "\n".join(listed(key, known[key]) for key in in_order))
    return CITATION.sub(link, markdown)
