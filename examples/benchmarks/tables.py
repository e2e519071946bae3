"""Write docs/results.md and its picture from the JSONs in docs/results, whichever are there.

``python examples/benchmarks/tables.py``. Published figures stand in `published.toml`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
from ablation import ADDED, LAST, RECIPE, VARIANTS
from glasser2019 import DTYPES, ORDERS, best
from records import HERE, IMAGES, RESULTS, ROOT
from run import BUILT

from tnkit import atomic_file

PAGE = RESULTS.with_suffix(".md")
CURVE = IMAGES / "static-mnist-bond.png"
ONE_MPS = "static-mnist-bond-"  # rows that differ in their bond alone
HEAD = """# Test NLL beside published figures

Nats a sample, lower is better.

- The error after ± is the standard error over the samples. Where a row was trained with several
  seeds the figure is their mean, and the spread is the standard deviation over the seeds; it may be
  larger than the error.
- Every choice was made on validation samples, and the test set was scored once, at the end. Where a
  set has no such samples, or a table holds anything else, it says so.
- A train figure may be of the first 10,000 or 2,000 samples only, as its JSON says. Weights that
  are fitted (mixture_weights) are fitted to the validation samples, whose figure is then a little
  too low.
- Minutes are wall time on a machine that other runs shared, no benchmark.

Settings and histories are in `docs/results`. `python examples/benchmarks/run.py ROW --seed SEED`
repeats a row, `tables.py` this page; where the data come from:
[examples/benchmarks](../examples/benchmarks/README.md).
"""
NOTES = {
    "density-estimation": "Order, start and cutoffs of the recipe were chosen by validation "
    "NLL, of these sets and of others made of what is known of Debian packages, after the "
    "test figures of recipes without them had been seen. A seed changes the moves that anneal the "
    "order, which is all that is random; the choices were made at seed 0.",
    "density-estimation-four": "The same recipe, the mean of four machines in different orders.",
    "density-estimation-correlators": "The machines of the first table, mended by correlators. "
    "Penalty and plaquettes were chosen by the validation NLL of accidents, dna, nltcs and plants, "
    "after test figures of dna with correlators had been seen. "
    "Minutes are those of the correlators alone.",
    "digits-1000": "`digits-1000-mixture` trains on all 1,000 digits and holds none out: nothing "
    "here shows that its settings were chosen without the test digits. `-900` has "
    "the same settings and 100 digits held out. The rows `-tree` change the start alone, "
    "`-coupling` the order too, `-trials` takes the best of such orders by the 100 digits; "
    "validation and test figures of all were seen together.",
    "static-mnist": "The row of twelve machines was added because the eight missed 93 on the test "
    "set; its average and weights follow those of the eight. The rows along coupling orders were "
    "planned by validation figures, after the test figures of those along curves had been seen. "
    "Correlators mend a chain's conditionals, site after site: such a model is no MPS any more. "
    "The rows from a chain's end, and the mixtures with them, were added after the test figure of "
    "the same chain from its beginning had been seen. The rows with windows were chosen by "
    "validation figures, one after the other, after the test figures of those before them had been "
    "seen. Minutes of rows built of others are those of "
    "the correlators alone.",
}


def read_results() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the results of the rows by table and row, one a seed, in the order of their names."""
    tables: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in sorted(RESULTS.glob("*-seed*.json")):
        found = read(path)
        tables.setdefault(found["table"], {}).setdefault(found["row"], []).append(found)
    return tables


def shown(results: list[dict[str, Any]], part: str, nll: str = "nll") -> str:
    """Return "NLL ± error" of a part, the mean over seeds; empty where the row has none."""
    if any(part not in found[nll] for found in results):
        return ""
    figures = [found[nll][part] for found in results]
    impossible = [f["impossible"] for f in figures if f["nll"] is None]
    if impossible:
        return f"infinite: {max(impossible)} samples are impossible"
    return f"{mean(f['nll'] for f in figures):.3f} ± {mean(f['error'] for f in figures):.3f}"


def spread(results: list[dict[str, Any]]) -> str:
    """Return the number of seeds and the standard deviation of the test NLL over them."""
    figures = [found["nll"]["test"]["nll"] for found in results]
    if len(figures) == 1 or None in figures:
        return str(len(figures))
    return f"{len(figures)}, spread {stdev(figures):.3f}"


def minutes(results: list[dict[str, Any]]) -> str:
    """Return how long training took, the mean over seeds."""
    return f"{mean(found['seconds'] for found in results) / 60:.1f}"


def in_words(settings: dict[str, Any]) -> str:
    """Return the settings of a row in one cell."""
    words = []
    for name, value in settings.items():
        if "of" in settings and name not in BUILT:
            continue  # of machines that are trained
        if name == "of" and not isinstance(value, str):
            value = " and ".join(f"{part} (seed {seed})" for part, seed in value)
        elif isinstance(value, list) and isinstance(value[0], list):  # knots: (sweep, number)
            value = ", ".join(f"{number:.3g} at sweep {sweep}" for sweep, number in value)
        elif isinstance(value, list):
            value = f"{value[0]:g} to {value[-1]:g}"
        elif isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        words.append(f"{name} {value}")
    return "; ".join(words)


def by_row(rows: dict[str, list[dict[str, Any]]], published: dict[str, float]) -> list[str]:
    """Return a table with a line a row, the published figures below."""
    lines = ["| | test | seeds | validation | train | minutes | settings |", "|---" * 7 + "|"]
    for name, results in rows.items():
        cells = [f"**{name}**", shown(results, "test"), spread(results)]
        cells += [shown(results, "validation"), shown(results, "train"), minutes(results)]
        lines.append(f"| {' | '.join(cells)} | {in_words(results[0]['settings'])} |")
        if all("nll_unmoved" in found for found in results):
            test, validation, train = (
                shown(results, part, "nll_unmoved") for part in ("test", "validation", "train")
            )
            fitted = results[0]["settings"].get("mixture_weights") == "fitted"
            how = "not averaged over shifts" + (", equal weights" if fitted else "")
            lines.append(f"| {name}, {how} | {test} | | {validation} | {train} | | |")
    lines += [f"| {name} | {value} | | | | | |" for name, value in sorted_by_value(published)]
    for name in rows:
        if (IMAGES / f"{name}.png").exists():
            lines += ["", f"Drawn by `{name}`:", "", f"![digits](images/{name}.png)"]
    return lines


def sorted_by_value(published: dict[str, float]) -> list[tuple[str, float]]:
    """Return published figures, best first."""
    return sorted(published.items(), key=lambda item: item[1])


def by_bond(rows: dict[str, list[dict[str, Any]]], published: dict[str, float]) -> list[str]:
    """Draw test NLL by bond of the rows `ONE_MPS`; return the lines that show the picture."""
    found = [seeded for name, seeded in rows.items() if name.startswith(ONE_MPS)]
    if len(found) < 2:
        return []
    found.sort(key=lambda seeded: seeded[0]["settings"]["max_bond"])
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    bonds = [seeded[0]["settings"]["max_bond"] for seeded in found]
    for key, label in (("nll_unmoved", "one MPS"), ("nll", "averaged over five shifts")):
        for part, style in (("test", "o-"), ("train", "o:")):
            values = [[one[key][part] for one in seeded] for seeded in found]
            axes.errorbar(
                bonds,
                [mean(value["nll"] for value in seeded) for seeded in values],
                [mean(value["error"] for value in seeded) for seeded in values],
                fmt=style,
                color="C0" if key == "nll_unmoved" else "C1",
                label=f"{label}, {part}",
            )
    for name, value in published.items():
        if ("Cheng" in name and "network" in name) or "matrix product" in name:
            axes.axhline(value, color="0.6", lw=1, zorder=0)
            axes.annotate(name.split(" (")[0], (bonds[0], value + 0.3), fontsize=8, color="0.4")
    axes.set(xscale="log", xlabel="largest bond dimension", ylabel="NLL, nats a digit")
    axes.set_xticks(bonds, [str(bond) for bond in bonds])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9)
    axes.set_title("static binarised MNIST", fontsize=11)
    with atomic_file(CURVE) as file:
        figure.savefig(file, format="png", dpi=130)
    plt.close(figure)
    return [
        f"The rows `{ONE_MPS}*` differ in their bond alone; bars of one standard error:",
        "",
        f"![NLL by bond](images/{CURVE.name})",
        "",
    ]


def by_set(
    table: str, rows: dict[str, list[dict[str, Any]]], published: dict[str, dict[str, float]]
) -> list[str]:
    """Return a table with a line a data set, the published figures beside ours; draw it too."""
    others = sorted({name for figures in published.values() for name in figures})
    lines = [
        f"| | ours, test | seeds | {' | '.join(others)} | validation | best sweep | minutes |",
        "|---" * (len(others) + 6) + "|",
    ]
    drawn = [name for name in others if name != "HCLT"]
    names, gaps = [], {name: [] for name in ("ours", *drawn)}
    for results in rows.values():
        name = results[0]["data"]
        figures = published[name]
        cells = [name, shown(results, "test"), spread(results)]
        cells += [f"{figures[other]:g}" for other in others]
        kept = ", ".join(str(found["best_sweep"]) for found in results if "best_sweep" in found)
        cells += [shown(results, "validation"), kept and f"{kept} of {results[0]['sweeps']}"]
        lines.append(f"| {' | '.join(cells)} | {minutes(results)} |")
        names.append(name)
        least = figures["HCLT"]
        gaps["ours"].append(mean(found["nll"]["test"]["nll"] for found in results) - least)
        for other in drawn:
            gaps[other].append(figures[other] - least)
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
    picture = IMAGES / f"{table}.png"
    with atomic_file(picture) as file:
        figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    told = (
        "HCLT: regularised hidden Chow-Liu tree circuits, the mean of five runs, by their authors. "
        "Born MPS, MPS-LSF (the best of several, chosen how is not said) and EiNet (to a decimal): "
        "by ptn. Sources: `published.toml`."
    )
    return [*lines, "", told, "", f"![gaps to HCLT](images/{picture.name})"]


def ablation() -> list[str]:
    """Return what each change of the recipe does to the NLL, and the list of what did not help."""
    sets = {path.stem: read(path)["runs"] for path in sorted((RESULTS / "ablation").glob("*.json"))}
    if not sets:
        return []
    changes = {name: differences(runs) for name, runs in sets.items()}
    lines = [
        "## What each part of the recipe brings",
        "",
        "NLL with one thing changed, less that of the recipe, at equal sweeps: validation, in",
        "brackets test. Positive: the change costs. The mean over seeds ± the standard deviation",
        "of the difference over seeds where there are several; a figure without ± is of one seed.",
        "Only validation decides; the first line holds the recipe's own NLL.",
        "`python examples/benchmarks/ablation.py` runs what its JSONs lack; remove them to repeat",
        "it.",
        "",
        f"| | {' | '.join(sets)} | mean of all |",
        "|---" * (len(sets) + 2) + "|",
    ]
    recipe = [recipe_nll(runs) for runs in sets.values()]
    lines.append(f"| **recipe** | {' | '.join(recipe)} | |")
    variants = [*(v for v in VARIANTS if v not in (RECIPE, *ADDED)), LAST, *ADDED]
    worse = []
    for variant in variants:
        found = [changes[name].get(variant, []) for name in sets]
        if not any(found):
            continue
        means = [mean(change for change, _ in pairs) for pairs in found if pairs]
        title = "with " + variant if variant in ADDED else variant
        cells = [changed(pairs) for pairs in found]
        lines.append(f"| {title} | {' | '.join(cells)} | {mean(means):+.3f} |")
        if variant in ADDED and mean(means) > 0.0:
            named = [name for name, pairs in zip(sets, found, strict=True) if pairs]
            figures = (f"{m:+.3f} {name}" for m, name in zip(means, named, strict=True))
            worse.append(f"- {variant}: {', '.join(figures)}")
    if worse:
        lines += ["", "Tried and of no help, by the validation NLL in the mean of the sets:", ""]
        lines += worse
    return [*lines, ""]


def recipe_nll(runs: list[dict[str, Any]]) -> str:
    """Return the recipe's own validation and test NLL and the number of seeds."""
    own = [run["best"] for run in runs if run["variant"] == RECIPE]
    test = mean(nll["test"] for nll in own)
    return f"{mean(nll['validation'] for nll in own):.3f} ({test:.3f}), {seeds(len(own))}"


def seeds(count: int) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{count} seed{'s' * (count != 1)}"


def differences(runs: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return (validation, test) NLL less the recipe's with the same seed, by variant."""
    recipe = {run["seed"]: run["best"] for run in runs if run["variant"] == RECIPE}
    found: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        if run["seed"] not in recipe:
            continue
        is_recipe = run["variant"] == RECIPE
        variant, nll = (LAST, run["last"]) if is_recipe else (run["variant"], run["best"])
        own = recipe[run["seed"]]
        change = (nll["validation"] - own["validation"], nll["test"] - own["test"])
        found.setdefault(variant, []).append(change)
    return found


def changed(pairs: list[tuple[float, float]]) -> str:
    """Return "validation ± spread (test)" of the differences, empty where there are none."""
    if not pairs:
        return ""
    validation, test = zip(*pairs, strict=True)
    over = f" ± {stdev(validation):.3f}" if len(pairs) > 1 else ""
    return f"{mean(validation):+.3f}{over} ({mean(test):+.3f})"


def completion() -> list[str]:
    """Return how well half-erased digits are completed, and the picture of some."""
    path = RESULTS / "completion.json"
    if not path.exists():
        return []
    about = read(path)
    counts = about["samples"]
    lines = [
        "## Half-erased digits",
        "",
        f"{counts['train']} digits to train on, {counts['validation']} to choose by, "
        f"{counts['test']:,} others to test on, each with its left, right, upper and lower half",
        f"missing; seed {about['seed']}. The Born machine is that of the row "
        f"`{about['models']['Born machine']['settings']['row']}`, not averaged over shifts; for "
        "the others",
        "shifted images or not, nearest neighbour's chance of a wrong pixel, the RBM's size and",
        "learning rate were chosen on the same held-out digits. Share of the missing pixels",
        "guessed wrong when each takes its likelier",
        "value given the known half, in brackets when all are drawn; and -ln p(missing | known),",
        "exact, in nats a digit. Nearest neighbour: the training digit closest on the known half,",
        "every pixel of it wrong with one chance. The RBM is sampled with the known half clamped;",
        f"its conditional likelihood is intractable. `{about['command']}` repeats it.",
        "",
        "| | wrong pixels, all | left | right | upper | lower | conditional NLL, all "
        "| left | right | upper | lower |",
        "|---" * 11 + "|",
    ]
    for name, found in about["models"].items():
        cells = [f"**{name}**"]
        for half, value in found["wrong pixels"].items():
            error = f" ± {100 * value['error']:.2f}" if half == "all" else ""
            draw = f" ({100 * found['wrong in a draw']['all']['mean']:.2f})" if error else ""
            cells.append(f"{100 * value['mean']:.2f}{error} %{draw}")
        for value in found.get("conditional NLL", {}).values():
            cells.append(f"{value['mean']:.2f} ± {value['error']:.2f}")
        cells += ["intractable", *[""] * 4] if "conditional NLL" not in found else []
        lines.append(f"| {' | '.join(cells)} |")
    picture = "![original, erased, and completed by each model](images/completion.png)"
    return [*lines, "", picture, ""]


def capacity(published: dict[str, float]) -> list[str]:
    """Return train and test NLL by bond on the 1,000 digits of Han et al."""
    lines = [
        "## Capacity: 1,000 digits (Han et al. 2018)",
        "",
        "Train NLL after as many loops as theirs, one seed; pixels row by row as theirs, along",
        "the Hilbert curve, or in an order learned from the training digits. They never measured",
        "a test NLL; ours is of 1,000 other digits. This set has no validation part: the lowest",
        "test NLL over the loops is therefore chosen on the test set, a bound on what stopping",
        "early could give and no result. The longest steps of bonds 100 and 200 were chosen on the",
        "train NLL at bond 100, the quantity shown. The picture shows the raster order. A line is",
        "repeated by `python examples/benchmarks/han2018_capacity.py --bond BOND --order ORDER`.",
        "",
        "| bond | order | loops | train, ours | train, theirs | less theirs | test, last loop "
        "| lowest test (chosen on it) | minutes |",
        "|---" * 9 + "|",
    ]
    runs = [
        (path, theirs)
        for name, theirs in published.items()
        for path in sorted((RESULTS / "han2018").glob(f"{name}[.-]*json"))
    ]
    for path, theirs in runs:
        found = read(path)
        order, bond = found["settings"]["order"], found["settings"]["max_bond"]
        history = found["history"][1:]
        last = history[-1]
        test = "impossible for " + str(last["impossible_test_digits"])
        if last["nll_test"] is not None:
            test = f"{last['nll_test']:.2f}"
        tested = [(row["nll_test"], row["loop"]) for row in history if row["nll_test"] is not None]
        lowest = "{:.2f} at loop {}".format(*min(tested)) if tested else ""
        gap = last["nll_train"] - theirs
        time = sum(row["seconds"] for row in history) / 60
        lines.append(
            f"| {bond} | {order} | {last['loop']} | **{last['nll_train']:.2f}** | {theirs:.2f} "
            f"| {gap:+.2f} | {test} | {lowest} | {time:.0f} |"
        )
    picture = "![train and test NLL by loop](images/han2018_capacity.png)"
    return [*lines, "", picture, ""] if len(runs) else []


def expressivity(published: dict[str, dict[str, float]]) -> list[str]:
    """Return the train NLL of the sets of Glasser et al. by state and bond."""
    paths = sorted((RESULTS / "glasser2019").glob("*.json"))
    if not paths:
        return []
    found = {path.stem: read(path) for path in paths}
    bonds = sorted({run["bond"] for about in found.values() for run in about["runs"]})
    starts = {run["seed"] for about in found.values() for run in about["runs"]}
    lines = [
        "## Expressivity: small categorical sets (Glasser et al. 2019)",
        "",
        "Train NLL by bond, all samples in training, no test set, as there: the best of",
        f"{len(starts)} random starts, features as given / in Chow-Liu order. The floor is the",
        "entropy of the set. `python examples/benchmarks/glasser2019.py` runs what its JSONs lack;",
        "remove them to repeat it.",
        "",
        f"| | floor | state | {' | '.join(f'bond {bond}' for bond in bonds)} |",
        "|---" * (len(bonds) + 3) + "|",
    ]
    for name, about in found.items():
        for state in DTYPES:
            curves = [best(about["runs"], state, order) for order in ORDERS]
            cells = [
                " / ".join(f"{curve[bond]:.3f}" if bond in curve else "-" for curve in curves)
                for bond in bonds
            ]
            lines.append(f"| {name} | {about['floor']:.3f} | {state} | {' | '.join(cells)} |")
    for name, figures in published.items():
        told = "; ".join(f"{what} {value:.3f}" for what, value in figures.items())
        lines += ["", f"Published for {name}, after 30 epochs: {told}. Ours have 60 sweeps."]
    picture = IMAGES / "glasser2019.png"
    if picture.exists():
        lines += ["", f"![train NLL by bond](images/{picture.name})"]
    return [*lines, ""]


def read(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tried(about: dict[str, Any]) -> list[str]:
    """Return what was tried beyond the rows."""
    lines = [
        f"Tried on the way, by the validation NLL of one seed; {about['setting']}",
        "unless it says else. No command repeats these figures; histories were not kept.",
        "",
    ]
    for key, head in (("helped", "Helped:"), ("no_help", "Did not, or not enough for its cost:")):
        if key in about:
            lines += [head, "", *(f"- {line}" for line in about[key]), ""]
    return lines


def read_toml(name: str) -> dict[str, Any]:
    """Return a TOML file beside this one."""
    with (HERE / name).open("rb") as file:
        return tomllib.load(file)


def main() -> None:
    """Write the page."""
    published, beside = read_toml("published.toml"), read_toml("tried.toml")
    lines = [HEAD]
    for table, rows in sorted(read_results().items()):
        lines += [f"## {table}", ""]
        if table in NOTES:
            lines += [NOTES[table], ""]
        if table == "density-estimation":
            lines += [*by_set(table, rows, published[table]), "", *ablation()]
        elif table.startswith("density-estimation-"):
            lines += [*by_set(table, rows, published["density-estimation"]), ""]
        else:
            lines += [*by_row(rows, published.get(table, {})), ""]
        if table == "static-mnist":
            lines += by_bond(rows, published.get(table, {}))
        if table in beside:
            lines += tried(beside[table])
        if table == "digits-1000":
            lines += completion()
    lines += capacity(published["han2018"]) + expressivity(published["glasser2019"])
    with atomic_file(PAGE) as file:
        file.write("\n".join(lines).rstrip("\n").encode() + b"\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
