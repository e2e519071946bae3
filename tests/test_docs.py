"""The documentation hangs together: checked here from its sources, at build time in full."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import born_machine
import tnkit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = sorted(DOCS.rglob("*.md"))


def hook(name: str) -> ModuleType:
    """Return a module of docs/hooks, which the site loads by path as well."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def navigation() -> list[str]:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    section = re.search(r"^nav:\n(.*?)^\S", text, flags=re.DOTALL | re.MULTILINE)
    assert section is not None
    return re.findall(r"([\w/-]+\.md)$", section[1], flags=re.MULTILINE)


def test_the_navigation_has_every_page_once() -> None:
    pages = [page.relative_to(DOCS).as_posix() for page in SOURCES]
    outside = list(hook("links").PAGES.values())
    assert sorted(navigation()) == sorted([*pages, *outside])


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    links = hook("links")
    links.relocated(
        page.read_text(encoding="utf-8"),
        page.relative_to(ROOT).as_posix(),
        page.relative_to(DOCS).as_posix(),
    )


@pytest.mark.parametrize("source", [s for s in hook("links").PAGES if s.endswith(".md")])
def test_links_of_a_page_outside_docs_lead_to_files(source: str) -> None:
    links = hook("links")
    links.relocated((ROOT / source).read_text(encoding="utf-8"), source, links.PAGES[source])


def test_a_link_to_nothing_is_an_error() -> None:
    links = hook("links")
    with pytest.raises(ValueError, match=r"docs/a\.md: no file nowhere\.md"):
        links.relocated("[x](nowhere.md)", "docs/a.md", "a.md")
    moved = links.relocated("[x](../README.md#two) `[y](z.md)`", "docs/a.md", "a.md")
    assert moved == "[x](index.md#two) `[y](z.md)`"


def listed_modules() -> list[str]:
    found = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        header = page.read_text(encoding="utf-8").split("---")[1]
        found += re.findall(r"^  - (\S+)$", header, flags=re.MULTILINE)
    return found


def test_the_reference_has_every_public_module_once() -> None:
    modules = hook("reference").public_names()
    assert sorted(listed_modules()) == sorted([*modules, "tnkit.plugins", "tnkit.testing"])


def test_the_reference_has_every_public_name() -> None:
    names = {name for found in hook("reference").public_names().values() for name in found}
    public = {f"{m.__name__}.{name}" for m in (tnkit, born_machine) for name in m.__all__}
    assert public - names <= {"tnkit.plugins", "tnkit.__version__"}


def test_references_are_known_and_cited() -> None:
    citations = hook("citations")
    texts = [path.read_text("utf-8") for path in [*SOURCES, *ROOT.glob("examples/gallery/*.py")]]
    cited = {key for text in texts for key in citations.CITATION.findall(text)}
    assert cited == set(citations.entries())


def test_the_architecture_page_shows_the_table_of_the_test() -> None:
    floors = hook("floors")
    page = floors.on_page_markdown((DOCS / "architecture.md").read_text(encoding="utf-8"))
    for table in ("CORE", "PLUGIN"):
        for module in floors.floors(table):
            assert f"`{module}`" in page
