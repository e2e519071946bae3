"""W1 to W8 in one table: tnkit, the peers that are installed, the limit, and the target beside.

``python tests/benchmarks/table.py [w1 w3 ...] [--quick] [--write docs]`` runs the scripts beside
this one, one after another, each in a process of its own with one thread. An answer that is wrong
is named and not timed; the command then ends with status 1 if it was tnkit's. Ratios are of CPU
seconds of interleaved rounds in the same process. --quick takes small sizes, to see that all runs.
--write puts the table into FOLDER/benchmarks.md, between its marks, and every figure into
FOLDER/benchmarks.json. Peers: pip install -r tests/benchmarks/requirements.txt. Run it on a
machine that does nothing else; its load is written down.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]
HERE = Path(__file__).parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
BEGIN, END = "<!-- table.py begins -->", "<!-- table.py ends -->"


class Script(NamedTuple):
    """A benchmark: its file, arguments for the full and the quick run, whether a line is wrong."""

    file: str
    full: Sequence[str]
    quick: Sequence[str]
    wrong: Callable[[Line, Sequence[Line]], bool]


class Target(NamedTuple):
    """The ratio of one contender to another that is aimed at, at sizes that begin so.

    base: a contender; empty for an absolute bound on `seconds`.
    """

    work: str
    size: str
    ours: str
    base: str
    ratio: float


def never(line: Line, others: Sequence[Line]) -> bool:
    """Say that the script itself stops where an answer is wrong."""
    return False


def far_from_exact(line: Line, others: Sequence[Line]) -> bool:
    """Say whether an overlap is wrong, a compression worse than the hand-written one, or biased."""
    deviation = line.get("deviation")
    if deviation is None:
        return False
    if line["work"].startswith("W6"):
        return bool(deviation > 1.5)
    if line["work"].startswith("W4"):
        return bool(deviation > 1e-9)
    return bool(deviation > 2.0 * by_hand(others))


def by_hand(lines: Sequence[Line]) -> float:
    """Return the error of the hand-written compression, not below rounding."""
    return max(next(o["deviation"] for o in lines if o["name"] == "numpy by hand"), 1e-12)


def learnt_less(line: Line, others: Sequence[Line]) -> bool:
    """Say whether training ended above the hand-written loop's NLL by more than a part in fifty."""
    hand = [o["nll_train"] for o in others if o["name"] == "numpy by hand"]
    return bool(hand) and bool(line["nll_train"] > 1.02 * hand[0])


def truncated_badly(line: Line, others: Sequence[Line]) -> bool:
    """Say whether the cut is far from the best one, or the kept basis not orthonormal."""
    return bool(line["error_over_best"] > 1.01 or line["isometry"] > 1e-5)


SCRIPTS = {
    "w1": Script("w1_overhead.py", (), (), never),
    "w2": Script("w2_paths.py", ("5",), ("0.5",), never),
    "w3": Script(
        "chains.py",
        ("w3", "--bond", "64", "128", "256"),
        ("w3", "--bond", "16", "--rounds", "2"),
        far_from_exact,
    ),
    "w4": Script(
        "chains.py",
        ("w4", "--bond", "64", "128", "256"),
        ("w4", "--bond", "16", "--rounds", "2"),
        far_from_exact,
    ),
    "w5": Script(
        "w5_dmrg.py",
        ("--length", "64", "--bond", "64", "128"),
        ("--length", "16", "--bond", "16", "--rounds", "1"),
        never,
    ),
    "w6": Script("chains.py", ("w6",), ("w6", "--rounds", "1"), far_from_exact),
    "w7": Script("w7_born.py", ("--bond", "30", "100"), ("--bond", "30"), learnt_less),
    "w8": Script(
        "w8_truncation.py",
        ("--size", "60", "200", "400"),
        ("--size", "24", "--rounds", "3"),
        truncated_badly,
    ),
}

# From the anchors: what hand-written code and the peers take on one machine, as ratios.
TARGETS = [
    Target("W1", "matmul", "tnkit plan", "numpy by hand", 2.0 / 1.1),
    Target("W1", "ring", "tnkit plan", "numpy by hand", 18 / 12),
    Target("W1", "overlap", "tnkit plan", "numpy by hand", 600 / 406),
    Target("W2 execution", "3-regular 100", "auto", "", 1e-3),
    Target("W2 execution", "lattice 12x12", "auto", "", 1e-3),
    Target("W2 multiplications", "", "auto", "cotengra", 1.25),
    Target("W3", "", "tnkit svd", "limit", 1.15),
    Target("W3", "", "tnkit density", "numpy by hand", 0.65),
    Target("W4 overlap", "", "tnkit", "limit", 1.15),
    Target("W4 operator of bond 5", "bond 64", "tnkit", "limit", 1.4),
    Target("W4 operator of bond 5", "bond", "tnkit", "limit", 1.15),
    Target("W5", "64 sites, bond 64", "tnkit two-site", "quimb", 0.5),
    Target("W5", "64 sites, bond 128", "tnkit two-site", "numpy by hand, Lanczos 5", 0.8),
    Target("W6", "", "tnkit", "limit", 1.3),
    Target("W7", "bond 30 sweep 5", "tnkit", "numpy by hand", 0.45 / 0.46),
    Target("W7", "bond 100 sweep 4", "tnkit", "numpy by hand", 2.2 / 2.7),
    Target("W8", "", "tnkit auto", "LAPACK gesdd", 1.15),
]


def plain(line: Line) -> list[Line]:
    """Return what a script printed as lines of work, size, name and seconds."""
    if "workload" in line:
        found = {"work": "W1", "size": line["workload"], "name": line["entry"]}
        return [found | {"seconds": 1e-6 * line["microseconds"]}]
    if "network" in line:
        budget = f" in {line['budget']:g} s" if line["budget"] else ""
        found = {"size": line["network"], "name": line["search"] + budget}
        count = 10 ** line["log10_multiplications"]
        lines = [{"work": "W2 multiplications", "multiplications": count} | found]
        if "execution_ms" in line:
            lines.append({"work": "W2 execution", "seconds": 1e-3 * line["execution_ms"]} | found)
        return lines
    if line.get("work") == "W5":
        return [line | {"size": f"{line['length']} sites, bond {line['bond']}"}]
    if str(line.get("work", "")).startswith("W6"):
        return [line | {"work": "W6"}]
    return [line] if "work" in line else []


def run(name: str, quick: bool) -> list[Line]:
    """Run one script and return its lines, those with wrong answers marked."""
    script = SCRIPTS[name]
    arguments = script.quick if quick else script.full
    command = [sys.executable, str(HERE / script.file), *arguments]
    print("$", "python", f"tests/benchmarks/{script.file}", *arguments, flush=True)
    done = subprocess.run(command, env=os.environ | THREADS, capture_output=True, text=True)
    lines: list[Line] = []
    for text in done.stdout.splitlines():
        if text.startswith("{"):
            lines += plain(json.loads(text))
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        print(f"  stopped with status {done.returncode}: {reason[0]}", flush=True)
        lines.append({"work": name.upper(), "size": "-", "name": "tnkit", "wrong": reason[0]})
    for line in lines:
        same = [one for one in lines if (one["work"], one["size"]) == (line["work"], line["size"])]
        if "wrong" not in line and script.wrong(line, same):
            line["wrong"] = "the answer is wrong"
            if name == "w3":  # cut less well than by hand: not to be timed beside the others
                error = line["deviation"] / by_hand(same)
                line["wrong"] = f"{error:.1f} times the error of the hand-written loop"
    return lines


def amount(line: Line) -> float | None:
    """Return what is compared: multiplications or seconds; None where the answer was wrong."""
    if "wrong" in line:
        return None
    value = line.get("multiplications", line.get("seconds"))
    return None if value is None else float(value)


def target_of(work: str, size: str, name: str) -> Target | None:
    """Return the first target that speaks of this contender."""
    for target in TARGETS:
        ours = name == target.ours or (work.startswith("W2") and name.startswith(target.ours))
        if target.work == work and size.startswith(target.size) and ours:
            return target
    return None


def table(lines: Sequence[Line], *, judge: bool) -> list[str]:
    """Return the Markdown table: one row a contender of ours, the others' ratios to it beside.

    judge: say which targets are met; they are set for the full sizes.
    """
    out = [
        "| work | size | contender | takes | target | measured | the others, over ours |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["work"], line["size"]), []).append(line)
    for (work, size), group in groups.items():
        mine = [o for o in group if o["name"].startswith(("tnkit", "auto"))]
        for line in mine:
            value, target = amount(line), target_of(work, size, line["name"])
            aim, measured = "-", "-"
            if value is None:
                measured = f"**{line.get('wrong', 'did not arrive')}**"
            elif target is not None and not target.base:
                aim = f"<= {shown(target.ratio)}"
                measured = shown(value) + judge * judged(value, target.ratio)
            elif target is not None:
                aim = f"<= {target.ratio:.2f} x {target.base}"
                base = next((amount(o) for o in group if o["name"].startswith(target.base)), None)
                measured = "no such contender here"
                if base is not None:
                    measured = f"{value / base:.2f}" + judge * judged(value / base, target.ratio)
            others = [o for o in group if o not in mine and value is not None]
            beside = ", ".join(f"{o['name']} {ratio(o, value)}" for o in others)
            takes = "-" if value is None else shown(value, counted="multiplications" in line)
            out.append(
                f"| {work} | {size} | {line['name']} | {takes} | {aim} | {measured} | {beside} |"
            )
    return out


def judged(found: float, target: float) -> str:
    """Return whether a target was met, and by how much it was missed."""
    return ", met" if found <= target else f", **missed by {found / target - 1:.0%}**"


def ratio(other: Line, ours: float | None) -> str:
    """Return how many times ours another contender takes."""
    value = amount(other)
    if "wrong" in other:
        return "(wrong answer)"
    return "(did not arrive)" if value is None or not ours else f"{value / ours:.2f}"


def shown(value: float, *, counted: bool = False) -> str:
    """Return a time with its unit, or a count."""
    if counted:
        return f"{value:.2g}"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.2g} s"


def about(quick: bool) -> Line:
    """Return machine, versions, threads and load."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [row for row in info.read_text().splitlines() if row.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    versions = {"python": platform.python_version()}
    packages = ["tnkit", "numpy", "scipy", "torch", "opt_einsum", "cotengra"]
    for name in [*packages, "quimb", "physics-tenpy", "seemps"]:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "sizes": "quick" if quick else "full",
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "threads": 1,
        "dtype": "float64; W7 float32; W8 both, as named",
        "load_before": round(os.getloadavg()[0], 1),
        "versions": versions,
    }


def write(folder: Path, page: Sequence[str], facts: Line, lines: Sequence[Line]) -> None:
    """Put the table between the marks of FOLDER/benchmarks.md, all figures beside it."""
    path = folder / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    path.write_text("\n".join([head + BEGIN, "", *page, "", END + tail]), encoding="utf-8")
    data = json.dumps({"about": facts, "lines": list(lines)}, indent=1)
    (folder / "benchmarks.json").write_text(data + "\n", encoding="utf-8")


def main() -> int:
    """Run what was asked for; return 1 where an answer of tnkit's was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", help=f"of {', '.join(SCRIPTS)}; all of them")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    unknown = [work for work in options.work if work not in SCRIPTS]
    if unknown:
        parser.error(f"no work {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
    if options.write and not (options.write / "benchmarks.md").is_file():
        parser.error(f"{options.write} holds no benchmarks.md to write the table into")
    facts = about(options.quick)
    lines = [line for name in options.work or SCRIPTS for line in run(name, options.quick)]
    facts["load_after"] = round(os.getloadavg()[0], 1)
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    page = [
        f"{facts['date']}, {facts['sizes']} sizes; {facts['cpu']}; {facts['threads']} thread; "
        f"{facts['dtype']}; load {facts['load_before']} before and {facts['load_after']} after.",
        f"Versions: {versions}.",
        "",
        *table(lines, judge=not options.quick),
    ]
    print("\n".join(page))
    if options.write:
        write(options.write, page, facts, lines)
    exact = [line for line in lines if line["name"] != "tnkit randomised"]
    return int(any("wrong" in line and line["name"].startswith("tnkit") for line in exact))


if __name__ == "__main__":
    sys.exit(main())
