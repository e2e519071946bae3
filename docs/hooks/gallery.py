"""The gallery: scripts in cells become pages with what they print and draw.

    python docs/hooks/gallery.py examples/gallery/NAME.py FOLDER

runs one script and writes NAME.md and its pictures. A cell starts at a line `# %%`, text at
`# %% [markdown]`: the "percent" form that editors and jupytext read. The site runs a script again
only where it, the packages or this file changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "gallery"
CACHE = ROOT / ".cache" / "gallery"

_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?\n", flags=re.MULTILINE)


def cells(source: str) -> list[tuple[str, str]]:
    """Return (kind, content) of the cells of a script: "text" (its comment signs off) or "code"."""
    start, *pieces = _CELL.split(source)
    if start.strip():
        raise ValueError("a gallery script starts with a cell")
    found = []
    for kind, content in zip(pieces[::2], pieces[1::2], strict=True):
        if kind:
            content = re.sub(r"^# ?", "", content, flags=re.MULTILINE)
        found.append(("text" if kind else "code", content.strip("\n")))
    return found


def title(source: str) -> str:
    """Return the heading of the first text cell."""
    return cells(source)[0][1].splitlines()[0].removeprefix("# ")


def run(script: Path, folder: Path) -> None:
    """Run a script cell by cell; write its page and pictures into `folder`."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    name = script.stem
    source = script.read_text(encoding="utf-8")
    scope: dict[str, Any] = {"__name__": "__main__"}
    page: list[str] = []
    pictures = 0
    started = time.perf_counter()
    for kind, content in cells(source):
        if kind == "text":
            page.append(content)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(content, str(script), "exec"), scope)
        page.append(f"```python\n{content}\n```")
        if text := printed.getvalue().rstrip():
            page.append(f"```text\n{text}\n```")
        for number in pyplot.get_fignums():
            pictures += 1
            picture = f"{name}-{pictures}.png"
            pyplot.figure(number).savefig(folder / picture, dpi=110, bbox_inches="tight")
            page.append(f"![{title(source)}]({picture})")
        pyplot.close("all")
    page.append(f"*{time.perf_counter() - started:.1f} s, from `examples/gallery/{script.name}`.*")
    (folder / f"{name}.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


def _digest(script: Path) -> str:
    """Return a hash of all that a script's page depends on."""
    content = hashlib.sha256()
    packages = [ROOT / "tnkit", ROOT / "plugins" / "born_machine" / "born_machine"]
    sources = [file for package in packages for file in sorted(package.rglob("*.py"))]
    for file in [script, Path(__file__), *sources]:
        content.update(file.read_bytes())
    return content.hexdigest()[:16]


def pages(script: Path) -> Path:
    """Return the folder with a script's page, running it where that is needed."""
    folder = CACHE / f"{script.stem}-{_digest(script)}"
    if not (folder / f"{script.stem}.md").exists():
        folder.mkdir(parents=True, exist_ok=True)
        inherited = os.environ.get("PYTHONPATH", "")
        path = os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "born_machine"), inherited])
        subprocess.run(
            [sys.executable, __file__, str(script), str(folder)],
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    return folder


def on_config(config: Any) -> Any:
    """Put the pages of the gallery under its line of the navigation."""
    names = [f"gallery/{script.stem}.md" for script in sorted(SCRIPTS.glob("*.py"))]
    for entry in config.nav:
        if "Gallery" in entry:
            entry["Gallery"] = ["gallery/index.md", *names]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Run the scripts and add their pages, pictures and the overview."""
    from mkdocs.structure.files import File

    overview = [
        "# Gallery",
        "What each script prints and draws, with the sources of this site.",
    ]
    for script in sorted(SCRIPTS.glob("*.py")):
        folder = pages(script)
        for file in sorted(folder.iterdir()):
            name = f"gallery/{file.name}"
            files.append(File.generated(config, name, content=file.read_bytes()))
        source = script.read_text(encoding="utf-8")
        picture = next((f.name for f in sorted(folder.glob("*.png"))), None)
        overview.append(f"## [{title(source)}]({script.stem}.md)")
        overview.append(cells(source)[0][1].split("\n\n")[1])
        if picture:
            overview.append(f"[![{title(source)}]({picture}){{ width=320 }}]({script.stem}.md)")
    text = "\n\n".join(overview)
    files.append(File.generated(config, "gallery/index.md", content=text))
    return files


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
