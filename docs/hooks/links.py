"""Pages kept outside docs/, and links written as they work in the repository.

README.md and its kind are pages of the site under the names below. A link from any page to a file
of the repository leads to its page where it has one; a file that is no page stands as its path.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "plugins/born_machine/README.md": "born-machine.md",
    "examples/gallery": "gallery/index.md",
}

_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", flags=re.DOTALL)


def relocated(text: str, source: str, page: str) -> str:
    """Return a repository file's text with its links as the site needs them.

    source: the file's path in the repository; page: its path in the site.
    """

    def moved(match: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(source), match["target"]))
        if not (ROOT / target).exists():
            raise ValueError(f"{source}: no file {match['target']}")
        if target in PAGES:
            target = PAGES[target]
        elif target.startswith("examples/gallery/"):
            target = "gallery/" + Path(target).with_suffix(".md").name
        elif target.startswith("docs" + os.sep):
            target = os.path.relpath(target, "docs")
        else:
            return f"`{target}`"
        path = os.path.relpath(target, os.path.dirname(page) or ".")
        return f"{match['text']}({path}{match['anchor'] or ''})"

    parts = _CODE.split(text)
    parts[::2] = [_LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages kept outside docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if source.endswith(".md"):
            text = relocated((ROOT / source).read_text(encoding="utf-8"), source, page)
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Relocate the links of the pages kept in docs/."""
    if page.file.generated_by:
        return markdown
    return relocated(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
