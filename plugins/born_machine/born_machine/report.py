"""What a finished run tells: exact figures beside baselines, pictures, and a summary in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from born_machine.baselines import chow_liu, empirical_entropy, independent
from born_machine.data import Samples
from born_machine.devices import chosen_split
from born_machine.estimator import BornMachine
from born_machine.fitting import chains_of
from born_machine.likelihood import standard_error
from born_machine.pairs import pair_information
from born_machine.plots import (
    chain_profile,
    completion_sheet,
    information_maps,
    nll_curve,
    sample_sheet,
    sample_strip,
    save_figure,
)
from tnkit import ArgumentError, FormatError, atomic_file

__all__ = [
    "RESULTS",
    "Parts",
    "half_mask",
    "measure",
    "model_facts",
    "plain",
    "read_results",
    "summary",
    "write_report",
]

RESULTS = "results.json"
_MOST_EXACT = 200
_MOST_DRAWN = 5000

Parts = dict[str, Samples]
"""The samples of a run by name: "train", and where there are any "validation" and "test"."""


def measure(machine: BornMachine, parts: Parts) -> dict[str, Any]:
    """Return the figures of a trained machine and of the baselines, as JSON values.

    nll: of every part the number of samples, the mean NLL in nats, its standard error, and how
    many are impossible (the mean is then None). baselines: the mean NLL of every part under
    models fitted to the training samples; none where values are missing. floor: the entropy of
    the training samples (ln m for m different ones), below which no train NLL lies.
    """
    nll = {}
    for name, samples in parts.items():
        logs = machine.score_samples(samples)
        nll[name] = {
            "samples": len(logs),
            "mean": plain(-float(logs.mean())),
            "standard_error": plain(standard_error(logs)),
            "impossible": int(np.isneginf(logs).sum()),
        }
    training = parts["train"]
    baselines: dict[str, dict[str, float]] = {}
    if all((samples >= 0).all() for samples in parts.values()):
        dims = machine.model_.dims
        for title, fit in (("independent", independent), ("chow_liu", chow_liu)):
            forest = fit(training, dims)
            baselines[title] = {
                name: -float(forest.log_likelihood(samples).mean())
                for name, samples in parts.items()
            }
    return {
        "nll": nll,
        "baselines": baselines,
        "floor": empirical_entropy(training),
        "training": {
            "sweeps": len(machine.history_) - 1,
            "kept_sweep": machine.best_sweep_,
            "seconds": sum(record.seconds for record in machine.history_),
            "shift_reach": machine.shift_reach_,
            "device": machine.device_,
        },
        "model": model_facts(machine),
    }


def read_results(path: Path) -> dict[str, Any]:
    """Return the figures of a run folder; nothing where there are none, as beside a model file."""
    results = path / RESULTS
    if not results.is_file():
        return {}
    try:
        figures = json.loads(results.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{results}: not a run's figures ({error})") from None
    return figures if isinstance(figures, dict) else {}


def model_facts(machine: BornMachine) -> dict[str, Any]:
    """Return what a model is made of, as JSON values."""
    bonds = machine.model_.bond_dims
    return {
        "features": machine.model_.features,
        "values": sorted(set(machine.model_.dims)),
        "order": machine.order_name_,
        "numbers": machine.model_.parameters,
        "max_bond": max(bonds, default=1),
        "mean_bond": float(np.mean(bonds or [1])),
    }


def plain(value: float) -> float | None:
    """Return a number as JSON has it: None for what is not finite."""
    return value if math.isfinite(value) else None


def write_report(
    folder: Path,
    machine: BornMachine,
    parts: Parts,
    figures: Mapping[str, Any],
    strip: Mapping[int, Samples],
) -> None:
    """Draw the pictures of a run and write its figures, each file atomically.

    strip: samples drawn during training, by sweep.
    """
    shape = machine.image_shape_
    training = parts["train"]
    unseen = parts.get("test", parts.get("validation", training))
    pictures = {"data": sample_sheet({"data": training[:100]}, shape)}
    drawn = {"real": unseen[:50], "drawn by the model": machine.sample(50)}
    pictures["generated"] = sample_sheet(drawn, shape)
    original = unseen[:10]
    known = np.broadcast_to(half_mask(shape, original.shape[1], "bottom"), original.shape)
    known = known & (original >= 0)
    draws = [machine.complete(original, known, random_state=seed) for seed in range(3)]
    pictures["completed"] = completion_sheet(original, known, draws, shape)
    if strip:
        rows = {f"sweep {sweep}": samples for sweep, samples in strip.items()}
        rows["kept"] = machine.sample(len(next(iter(strip.values()))))
        pictures["progress"] = sample_strip(rows, shape)
    first = chains_of(machine.model_)[0]
    pictures["chain"] = chain_profile(first.bond_dims, first.entanglement(), first.order, shape)
    if figures["baselines"] and machine.model_.features > 1:
        source, information = _information(machine, len(training))
        pictures["information"] = information_maps(
            pair_information(training), information, first.order, shape, source=source
        )
    pictures["nll"] = nll_curve(
        machine.history_,
        best_sweep=machine.best_sweep_,
        baselines=figures["baselines"],
        floor=figures["floor"],
        test=figures["nll"].get("test", {}).get("mean"),
    )
    for name, figure in pictures.items():
        save_figure(figure, folder / f"{name}.png")
    with atomic_file(folder / RESULTS) as file:
        file.write(json.dumps(figures, indent=1, allow_nan=False).encode())


def _information(machine: BornMachine, samples: int) -> tuple[str, npt.NDArray[np.float64]]:
    """Return the model's mutual information of all pairs, and in words where it comes from.

    Exact for as many features as take seconds, else from draws, no more than there are samples.
    """
    if machine.model_.features <= _MOST_EXACT:
        return "model", machine.mutual_information()
    count = min(samples, _MOST_DRAWN)
    return f"model, from {count:,} draws", pair_information(machine.sample(count))


def summary(
    machine: BornMachine, figures: Mapping[str, Any], data: str, files: Sequence[str]
) -> str:
    """Return what a run reached in words. data: where the samples come from and what they are."""
    kept = machine.history_[machine.best_sweep_]
    model, training = figures["model"], figures["training"]
    baselines = figures["baselines"]
    order = model["order"] + (" (auto)" if machine.order == "auto" else "")
    shifts = f"shifts by up to {machine.shift_reach_} pixels" if machine.shift_reach_ else "none"
    rows = [
        f"| {name} | {part['samples']} | {_figure(part['mean'])} | "
        f"{_figure(part['standard_error'])} | "
        + " | ".join(_figure(baselines.get(title, {}).get(name)) for title in _BASELINES)
        + " |"
        for name, part in figures["nll"].items()
    ]
    watched = "validation" if "validation" in figures["nll"] else "train"
    settings = (
        f"max_bond {machine.max_bond}, value_cutoff {machine.value_cutoff}, learning rate "
        f"{machine.learning_rate}, {machine.dtype}, seed {machine.random_state}"
    )
    splits = ""
    if machine.method != "all-site":
        kind = machine.device_.partition(":")[0]
        width = 1 if machine.method == "one-site" else 2
        how = chosen_split(machine.split, kind, static=machine.static, width=width)
        splits = f", splits by {how}"
    return "\n".join(
        [
            f"- data: {data}",
            f"- site order: {order}; augmentation: {shifts}; device: {machine.device_}{splits}",
            f"- training: {training['sweeps']} sweeps in {training['seconds']:.1f} s ({settings});",
            f"  the state after sweep {kept.sweep} is kept (best {watched} NLL)",
            *([f"- memory: {machine.footprint_}"] if machine.footprint_ else []),
            f"- model: bonds up to {model['max_bond']}, {model['mean_bond']:.1f} on "
            f"average, {model['numbers']:,} numbers",
            "",
            "NLL in nats per sample (lower is better), exact, on the samples as given:",
            "",
            "| samples | number | NLL | standard error | independent features | Chow-Liu tree |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"No model's train NLL is below {figures['floor']:.3f} (the entropy of the training",
            "samples: ln m for m different ones).",
            "",
            "Files: " + ", ".join(files) + ".",
            "",
        ]
    )


_BASELINES = ("independent", "chow_liu")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def half_mask(image_shape: tuple[int, int] | None, features: int, erase: str) -> Any:
    """Return the boolean mask (feature,) of what stays known when one half is erased.

    erase: "bottom", "top", "left" or "right" of an image; of flat samples "right" and "bottom"
    erase the second half of the features, the others the first.
    """
    height, width = image_shape or (1, features)
    known = np.ones((height, width), dtype=bool)
    if image_shape is None:
        erase = {"bottom": "right", "top": "left"}.get(erase, erase)
    half = {
        "bottom": np.s_[height // 2 :, :],
        "top": np.s_[: (height + 1) // 2, :],
        "left": np.s_[:, : (width + 1) // 2],
        "right": np.s_[:, width // 2 :],
    }
    if erase not in half:
        raise ArgumentError(f"erase must be one of {', '.join(half)}, got {erase!r}")
    known[half[erase]] = False
    return known.ravel()
