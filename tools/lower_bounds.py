"""Test the core with the oldest dependencies that pyproject.toml allows.

    python tools/lower_bounds.py [pytest arguments]

makes a throw-away environment with each dependency at its lower bound, and runs the core's tests in
it that need no more. Takes the network, a few minutes and 200 MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [
    *["tests/tnkit/test_tensor.py", "tests/tnkit/test_network.py", "tests/tnkit/test_planning.py"],
    *["tests/tnkit/test_contraction.py", "tests/tnkit/test_splitting.py"],
    *["tests/tnkit/test_saved.py", "tests/tnkit/mps/test_laws.py"],
]
NEEDED = ["pytest", "hypothesis", "array-api-strict", "scipy"]
PYTEST = ["-m", "pytest", "-q", "-W", "default", "-o", "addopts=--import-mode=importlib"]


def main(arguments: list[str]) -> int:
    """Build the environment, run the tests in it, return their exit code."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    bounds = [need.replace(">=", "==") for need in settings["project"]["dependencies"]]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", *bounds, *NEEDED], check=True)
        print("with", ", ".join(bounds), flush=True)
        command = [python, *PYTEST, *(arguments or TESTS)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
