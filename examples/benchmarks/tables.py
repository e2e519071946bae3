"""Write docs/results.md and its picture from the JSONs that `run.py` left.

``python examples/benchmarks/tables.py``. Published figures stand in `published.toml`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from run import HERE, RESULTS

from tnkit import atomic_file

PAGE = RESULTS.with_suffix(".md")
PICTURE = RESULTS.parent / "images" / "density-estimation.png"
HEAD = """# Test NLL beside published figures

Nats a sample, lower is better; the error is the standard error over the test samples. Every choice
was made on validation samples, the test set was scored once, at the end. Settings and histories
are in `docs/results/*.json`; `python examples/benchmarks/run.py ROW` repeats a row, `tables.py`
this page.
"""


def read_results() -> dict[str, list[dict[str, Any]]]:
    """Return the results of every table, in the order of their names."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        tables.setdefault(found["table"], []).append(found)
    return tables


def shown(found: dict[str, Any], part: str) -> str:
    """Return "NLL +- error" of a part, empty where the row has none."""
    if part not in found["nll"]:
        return ""
    return f"{found['nll'][part]['nll']:.3f} ± {found['nll'][part]['error']:.3f}"


def in_words(settings: dict[str, Any]) -> str:
    """Return the settings of a row in one cell."""
    words = []
    for name, value in settings.items():
        if isinstance(value, list):
            value = f"{value[0]:g} to {value[-1]:g}"
        elif isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        words.append(f"{name} {value}")
    return "; ".join(words)


def by_row(results: list[dict[str, Any]], published: dict[str, float]) -> list[str]:
    """Return a table with a line a row, the published figures below."""
    lines = ["| | test | validation | train | minutes | settings |", "|---|---|---|---|---|---|"]
    for found in results:
        cells = [shown(found, part) for part in ("test", "validation", "train")]
        lines.append(
            f"| **{found['row']}**, seed {found['seed']} | {' | '.join(cells)} "
            f"| {found['seconds'] / 60:.1f} | {in_words(found['settings'])} |"
        )
    lines += [f"| {name} | {value} | | | | |" for name, value in sorted_by_value(published)]
    return lines


def sorted_by_value(published: dict[str, float]) -> list[tuple[str, float]]:
    """Return published figures, best first."""
    return sorted(published.items(), key=lambda item: item[1])


def by_set(results: list[dict[str, Any]], published: dict[str, dict[str, float]]) -> list[str]:
    """Return a table with a line a data set, the published figures beside ours; draw it too."""
    others = sorted({name for figures in published.values() for name in figures})
    lines = [f"| | ours, test | {' | '.join(others)} | validation | best sweep | minutes |"]
    lines.append("|---" * (len(others) + 5) + "|")
    drawn = [name for name in others if name != "HCLT circuits"]
    names, gaps = [], {name: [] for name in ("ours", *drawn)}
    for found in results:
        figures = published[found["data"]]
        cells = [f"{figures[name]:.3f}" for name in others]
        lines.append(
            f"| {found['data']} | **{shown(found, 'test')}** | {' | '.join(cells)} "
            f"| {shown(found, 'validation')} | {found['best_sweep']} of {found['sweeps']} "
            f"| {found['seconds'] / 60:.1f} |"
        )
        names.append(found["data"])
        best = figures["HCLT circuits"]
        gaps["ours"].append(found["nll"]["test"]["nll"] - best)
        for name in drawn:
            gaps[name].append(figures[name] - best)
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    width = 0.8 / len(gaps)
    for k, (name, values) in enumerate(gaps.items()):
        places = [i + (k - (len(gaps) - 1) / 2) * width for i in range(len(names))]
        axes.bar(places, values, width, label=name)
    axes.set_xticks(range(len(names)), names)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylabel("test NLL minus that of HCLT (nats)")
    axes.legend(fontsize="small")
    figure.savefig(PICTURE, dpi=120)
    return [*lines, "", f"![gaps to the best circuit](images/{PICTURE.name})"]


def main() -> None:
    """Write the page."""
    with (HERE / "published.toml").open("rb") as file:
        published = tomllib.load(file)
    lines = [HEAD]
    for table, results in read_results().items():
        lines += [f"## {table}", ""]
        if table == "density-estimation":
            lines += by_set(results, published[table])
        else:
            lines += by_row(results, published.get(table, {}))
        lines.append("")
    with atomic_file(PAGE) as file:
        file.write("\n".join(lines).encode())
    print(f"wrote {Path(PAGE).relative_to(HERE.parents[1])}")


if __name__ == "__main__":
    main()
