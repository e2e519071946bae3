"""Where results lie, and how one is written: a JSON with what it takes to repeat it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tnkit import atomic_file

__all__ = ["HERE", "IMAGES", "RESULTS", "write_record"]

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
RESULTS = DOCS / "results"
IMAGES = DOCS / "images"
PACKAGES = ("tnkit", "tnkit-born-machine", "numpy", "scikit-learn")


def write_record(path: Path, about: dict[str, Any]) -> None:
    """Write `about` with the versions of packages and Python; all of it or nothing."""
    versions = {name: version(name) for name in PACKAGES}
    about = about | {"versions": versions, "python": platform.python_version()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(about, indent=1).encode())
