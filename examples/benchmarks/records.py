"""Where results lie, and how one is written: a JSON with what it takes to repeat it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tnkit import atomic_file

__all__ = ["HERE", "IMAGES", "RESULTS", "ROOT", "write_record"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "docs" / "results"
IMAGES = ROOT / "docs" / "images"
CODE = ("tnkit", "plugins", "examples")
PACKAGES = ("tnkit", "tnkit-born-machine", "numpy", "torch", "scikit-learn")


def write_record(path: Path, about: dict[str, Any]) -> None:
    """Write `about` with the code, versions and machine it was made with; all of it or nothing."""
    about = about | {
        "commit": commit(),
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(about, indent=1, allow_nan=False).encode())


def commit() -> str | None:
    """Return the commit of the code, "-dirty" where code differs from it; None outside a clone."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *CODE], check=False)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + "-dirty" * (changed.returncode != 0)
