"""Install what is built into empty environments, as a stranger would, and use it there.

    python tools/fresh_install.py [--core] [--tests] [--python COMMAND ...]

builds sdists and wheels twice and compares the bits, builds each wheel from its sdist and compares
that too, then makes an empty environment with every Python that the classifiers of pyproject.toml
name and that is found (or is given), installs the core from the built files and contracts a
network. With the Python that runs it the plugin is installed as well, with all it needs, and
trained through its command; `--core` leaves that out. `--tests` runs the core's tests in each
environment that need no more. Prints what was done and how long it took. Takes the network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lower_bounds import NEEDED, PYTEST, TESTS

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT, ROOT / "plugins" / "born_machine")

CONTRACT = """
import sys
import numpy as np
import tnkit

assert sys.prefix != sys.base_prefix and tnkit.__file__.startswith(sys.prefix), tnkit.__file__
a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
network = tnkit.from_einsum("ij,jk->ik", a, b)
assert np.array_equal(tnkit.contract(network).array, a @ b)
ising = tnkit.OpSum()
for k in range(9):
    ising.add(-1.0, ("Z", k), ("Z", k + 1))
start = tnkit.random_mps(10, bond_dim=4, seed=0)
ground = tnkit.dmrg(ising.to_mpo(10), start, truncation=tnkit.Truncation(4), sweeps=4)
assert abs(ground.energy + 9.0) < 1e-9, ground.energy
tnkit.save("state.npz", ground.state)
assert tnkit.load("state.npz").bond_dims == ground.state.bond_dims
"""


def run(*command: str | Path, folder: str | Path, **environment: str) -> str:
    """Run a command to its end; return what it printed, or stop with what it said."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        line = " ".join(str(part) for part in command)
        sys.exit(f"{line}\n{done.stdout}{done.stderr}failed with status {done.returncode}")
    return done.stdout


def build(folder: Path, out: Path) -> dict[str, str]:
    """Build sdist and wheel of a folder; return SHA-256 by file name."""
    here = [sys.executable, "-m", "hatchling", "build", "-d", out]
    run(*here, folder=folder, SOURCE_DATE_EPOCH="1700000000")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.iterdir()}


def build_all(dist: Path, work: Path) -> None:
    """Build both distributions into a folder; stop unless the bits are the same each way."""
    for number, folder in enumerate(FOLDERS):
        first, second = (build(folder, work / f"{number}{twice}") for twice in "ab")
        if first != second:
            sys.exit(f"{folder.name}: two builds differ: {first} and {second}")
        (sdist,) = (work / f"{number}a").glob("*.tar.gz")
        unpacked = work / f"{number}s"
        shutil.unpack_archive(sdist, unpacked, filter="data")
        again = build(next(unpacked.iterdir()), work / f"{number}c")
        wheel = next(name for name in first if name.endswith(".whl"))
        if again[wheel] != first[wheel]:
            sys.exit(f"{sdist.name}: the wheel built from it differs: {again} and {first}")
        for name in sorted(first):
            print(f"{first[name]}  {name}, the same bits twice")
            shutil.copy(work / f"{number}a" / name, dist)


def version_of(command: str | Path) -> str:
    """Return "3.12" for a command that starts Python 3.12, "" for one that starts nothing."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(command), "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def pythons(wanted: list[str]) -> Iterator[tuple[str, str | Path]]:
    """Yield (version, command) for each version of the classifiers, this Python's first."""
    if wanted:
        yield from ((version_of(command), command) for command in wanted)
        return
    yield version_of(sys.executable), sys.executable
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for version in re.findall(r'"Programming Language :: Python :: (3\.\d+)"', settings):
        places: list[str | Path] = [
            f"python{version}",
            *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
            *sorted(Path.home().glob(f".local/share/uv/python/cpython-{version}.*/bin/python")),
        ]
        found = [place for place in places if version_of(place) == version]
        if not found:
            print(f"Python {version}: not found here, not tried")
        elif version != version_of(sys.executable):
            yield version, found[0]


def install(python: Path, dist: Path, *names: str) -> None:
    """Install from the built files, and from the index what they need."""
    options = ["-q", "--no-compile", "--find-links", dist, "-c", ROOT / "constraints.txt"]
    run(python, "-m", "pip", "install", *options, *names, folder=dist)


def visit(version: str, command: str | Path, work: Path, *, tests: bool, plugin: bool) -> str:
    """Make one environment and use what was built there; return a report."""
    start = time.perf_counter()
    place = work / f"environment-{version}"
    python, dist = place / "bin" / "python", work / "dist"
    place.mkdir()
    run(command, "-m", "venv", place, folder=work)
    install(python, dist, "tnkit")
    run(python, "-c", CONTRACT, folder=place)
    run(python, "-m", "tnkit", folder=place)
    done = ["the core is installed, contracts, finds a ground state"]
    if tests:
        install(python, dist, *NEEDED)
        # -P: the tests of the checkout, but the package that is installed
        told = run(python, "-P", *PYTEST, *TESTS, folder=ROOT)
        done.append(told.strip().splitlines()[-1])
    if plugin:
        install(python, dist, "tnkit-born-machine")
        train = ["train", "bars-and-stripes", "--out", place / "run", "--quiet"]
        if "| train " not in run(place / "bin" / "born-machine", *train, folder=place):
            sys.exit("born-machine train wrote no table of results")
        done.append("the plugin is installed and trains through its command")
    return f"Python {version}: {'; '.join(done)}; {time.perf_counter() - start:.0f} s"


def main() -> None:
    """Do what was asked for; stop with status 1 where anything fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--core", action="store_true", help="leave the plugin out")
    parser.add_argument("--tests", action="store_true", help="run the core's tests too")
    parser.add_argument("--python", nargs="+", default=[], help="commands; default: all found")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        work = Path(folder)
        (work / "dist").mkdir()
        build_all(work / "dist", work)
        visits = [
            pool.submit(
                visit, *found, work, tests=options.tests, plugin=not (number or options.core)
            )
            for number, found in enumerate(pythons(options.python))
        ]
        for done in visits:
            print(done.result(), flush=True)


if __name__ == "__main__":
    main()
