"""Print the licences of what an installation brings with it, as a table in Markdown.

    python tools/licences.py tnkit tnkit-born-machine

follows the requirements of the distributions named, extras left out, and reads the metadata of what
is installed.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires


def licence(name: str) -> str:
    """Return the licence a distribution states: its expression, classifier or text."""
    about = metadata(name)
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier", []) if "License" in c]
    text = (about.get("License") or "").splitlines() or [""]
    return about.get("License-Expression") or ", ".join(classifiers) or text[0][:60] or "not stated"


def main(roots: list[str]) -> None:
    """Print one line a distribution."""
    waiting, seen = list(roots), {}
    while waiting:
        name = re.split(r"[\s;<>=!~\[(]", waiting.pop(), maxsplit=1)[0].lower().replace("_", "-")
        if name in seen:
            continue
        try:
            seen[name] = licence(name)
        except PackageNotFoundError:  # only for other systems or Python versions
            continue
        waiting += [need for need in requires(name) or [] if "extra ==" not in need]
    print("| distribution | licence |\n|---|---|")
    for name in sorted(set(seen) - set(roots)):
        print(f"| {name} | {seen[name]} |")


if __name__ == "__main__":
    main(sys.argv[1:] or ["tnkit", "tnkit-born-machine"])
