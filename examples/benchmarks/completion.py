"""Complete half-erased digits: a Born machine beside nearest neighbour, trees and an RBM.

    python examples/benchmarks/completion.py [--seed 0]

The 1,000 digits of the row `ROW` of rows.toml and its settings, but for the average over shifts,
which would take five times as long; 100 of them are held out, and on those every choice for the
other models is made (shifted images or not, smoothing, the size and rate of the restricted
Boltzmann machine). Tested on the next 1,000 digits, each with its left, right, upper or lower half
missing. Reported for the missing pixels: the share guessed wrong, once
by the most probable value of each pixel given the known half and once by a draw, and the
conditional NLL -ln p(missing | known), in nats a digit. The trained machine is kept in runs/, the
result is docs/results/completion.json, the picture docs/images/completion.png.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from records import IMAGES, RESULTS, ROOT, write_record
from run import machine_of, read_rows
from sets import Split, load_set
from sklearn.neural_network import BernoulliRBM

from born_machine import BornMachine
from born_machine.baselines import Forest, chow_liu, independent
from born_machine.data import shifted_images
from born_machine.likelihood import standard_error
from born_machine.plots import sample_strip, save_figure

ROW = "digits-1000-mixture-shifts-coupling"
PICTURE = IMAGES / "completion.png"
SHAPE = (28, 28)
RBM_GRID = (  # as many updates in all: shifts make five images of one
    {"shifts": False, "n_components": 100, "learning_rate": 0.01, "n_iter": 300},
    {"shifts": False, "n_components": 100, "learning_rate": 0.003, "n_iter": 300},
    {"shifts": False, "n_components": 100, "learning_rate": 0.001, "n_iter": 300},
    {"shifts": False, "n_components": 300, "learning_rate": 0.003, "n_iter": 300},
    {"shifts": False, "n_components": 300, "learning_rate": 0.001, "n_iter": 300},
    {"shifts": True, "n_components": 100, "learning_rate": 0.003, "n_iter": 60},
)
BURN_IN, GIBBS = 100, 200  # sweeps of clamped Gibbs sampling, and those that are averaged
SHOWN = 12
GREY = 0.4  # a missing pixel in the picture

Floats = np.ndarray[Any, Any]
Bits = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Completion:
    """What a model says of the missing pixels of some digits.

    means: (sample, pixel), the probability that a pixel is set given the known half. log_missing:
    (sample,), ln p(missing | known) in nats; None where it is intractable. draw: (sample, pixel).
    """

    means: Floats
    log_missing: Floats | None
    draw: Bits


def halves() -> dict[str, Bits]:
    """Return the masks of known pixels, by the half that is missing."""
    down, across = np.indices(SHAPE)
    masks = {"left": across >= 14, "right": across < 14, "upper": down >= 14, "lower": down < 14}
    return {name: mask.ravel() for name, mask in masks.items()}


def born(machine: BornMachine, samples: Bits, known: Bits, seed: int) -> Completion:
    """Complete exactly; a few draws are enough to look at."""
    mask = np.broadcast_to(known, samples.shape)
    tables = machine.conditional_marginals(samples, mask)
    means = np.stack([table[:, 1] for table in tables], axis=1)
    log_known = machine.log_marginal(samples, mask)
    draw = samples.copy()
    draw[:SHOWN] = machine.complete(samples[:SHOWN], known, random_state=seed)
    return Completion(means, machine.score_samples(samples) - log_known, draw)


def neighbour(training: Bits, wrong: float, samples: Bits, known: Bits) -> Completion:
    """Copy the training digit nearest on the known half; a pixel differs with chance `wrong`."""
    a, b = samples[:, known].astype(np.float32), training[:, known].astype(np.float32)
    distance = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - 2.0 * a @ b.T
    copied = training[distance.argmin(axis=1)]
    errors = (copied != samples)[:, ~known].sum(axis=1)
    pixels = int((~known).sum())
    logs = errors * np.log(wrong) + (pixels - errors) * np.log1p(-wrong)
    return Completion(np.where(copied, 1.0 - wrong, wrong), logs, np.where(known, samples, copied))


def forest(model: Forest, samples: Bits, known: Bits) -> Completion:
    """Complete by exact messages from the leaves to the root and back (Pearl, 1988)."""
    features = samples.shape[1]
    depth = np.zeros(features, dtype=int)
    for feature in range(features):
        at = feature
        while model.parents[at] >= 0:
            at = model.parents[at]
            depth[feature] += 1
    down = np.argsort(depth, kind="stable")
    beliefs = np.zeros((features, len(samples), 2))  # ln p(all known below | value)
    seen = samples[:, known].T
    for value in (0, 1):
        beliefs[known, :, value] = np.where(seen == value, 0.0, -np.inf)
    log_known = np.zeros(len(samples))
    for feature in down[::-1]:
        table, parent = np.log(model.tables[feature]), model.parents[feature]
        message = np.logaddexp(
            *(table[:, value] + beliefs[feature, :, value, None] for value in (0, 1))
        )
        if parent < 0:
            log_known += message[:, 0]
        else:
            beliefs[parent] += message
    means = np.empty(samples.shape)
    for feature in down:
        parent = model.parents[feature]
        belief = np.exp(beliefs[feature] - beliefs[feature].max(axis=1, keepdims=True))
        joint = model.tables[feature] * belief[:, None, :]
        given = joint / joint.sum(axis=2, keepdims=True)  # (sample, value of the parent, value)
        if parent < 0:
            means[:, feature] = given[:, 0, 1]
        else:
            upper = means[:, parent]
            means[:, feature] = (1.0 - upper) * given[:, 0, 1] + upper * given[:, 1, 1]
    draw = (means > 0.5).astype(samples.dtype)
    return Completion(means, model.log_likelihood(samples) - log_known, draw)


def boltzmann(model: BernoulliRBM, samples: Bits, known: Bits, seed: int) -> Completion:
    """Average clamped Gibbs sampling from random pixels; ln p(missing | known) is intractable."""
    rng = np.random.default_rng(seed)
    visible = np.where(known, samples, rng.random(samples.shape) < 0.5).astype(float)
    means = np.zeros(samples.shape)
    for sweep in range(BURN_IN + GIBBS):
        up = visible @ model.components_.T + model.intercept_hidden_
        hidden = (rng.random(up.shape) < logistic(up)).astype(float)
        chance = logistic(hidden @ model.components_ + model.intercept_visible_)
        visible = np.where(known, samples, rng.random(chance.shape) < chance).astype(float)
        if sweep >= BURN_IN:
            means += chance / GIBBS
    return Completion(means, None, visible.astype(samples.dtype))


def logistic(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def wrong_pixels(found: Completion, samples: Bits, known: Bits) -> Floats:
    """Return the share of missing pixels whose likelier value is wrong, by sample."""
    return np.asarray(((found.means > 0.5) != samples)[:, ~known].mean(axis=1))


def wrong_in_a_draw(found: Completion, samples: Bits, known: Bits) -> Floats:
    """Return the share of missing pixels that a draw gets wrong on average, by sample."""
    return np.asarray(np.where(samples, 1.0 - found.means, found.means)[:, ~known].mean(axis=1))


def fitted_neighbour(fuels: dict[bool, Bits], held_out: Bits) -> tuple[Any, dict[str, Any]]:
    """Choose shifts and smoothing of the nearest neighbour by its conditional likelihood."""
    trials = []
    for shifts, training in fuels.items():
        copies = [neighbour(training, 0.5, held_out, known) for known in halves().values()]
        errors = [
            wrong_pixels(found, held_out, known)
            for found, known in zip(copies, halves().values(), strict=True)
        ]
        trials.append((float(np.mean(errors)), shifts))  # that share maximises the likelihood
    wrong, shifts = min(trials)
    return (
        lambda samples, known: neighbour(fuels[shifts], wrong, samples, known),
        {"shifts": shifts, "chance that a pixel differs": round(wrong, 5)},
    )


def fitted_forest(fit: Any, fuels: dict[bool, Bits], held_out: Bits) -> tuple[Any, dict[str, Any]]:
    """Choose with or without shifted images by the likelihood of the held-out digits."""
    models = {shifts: fit(training, (2,) * 784) for shifts, training in fuels.items()}
    shifts = max(models, key=lambda s: float(models[s].log_likelihood(held_out).mean()))
    return lambda samples, known: forest(models[shifts], samples, known), {"shifts": shifts}


def fitted_boltzmann(
    fuels: dict[bool, Bits], held_out: Bits, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Choose the machine of `RBM_GRID` with the fewest wrong pixels on the held-out digits."""
    trials = []
    for settings in RBM_GRID:
        plain = {name: value for name, value in settings.items() if name != "shifts"}
        model = BernoulliRBM(batch_size=10, random_state=seed, **plain)
        model.fit(fuels[bool(settings["shifts"])])
        errors = [
            wrong_pixels(boltzmann(model, held_out, known, seed), held_out, known)
            for known in halves().values()
        ]
        trials.append((float(np.mean(errors)), settings, model))
        print(f"RBM {settings}: {trials[-1][0]:.4f} wrong on the held-out digits", flush=True)
    _, settings, model = min(trials, key=lambda trial: trial[0])
    tried = [settings | {"wrong pixels": round(error, 5)} for error, settings, _ in trials]
    return (
        lambda samples, known: boltzmann(model, samples, known, seed),
        {**settings, "batch_size": 10, "burn-in": BURN_IN, "averaged": GIBBS, "tried": tried},
    )


def trained(data: Split, seed: int) -> BornMachine:
    """Return the machine of the row, from runs/ where it is there."""
    path = ROOT / "runs" / f"completion-seed{seed}.npz"
    settings = read_rows()[ROW]["settings"] | {"average_shifts": 0}  # five times as fast
    machine = machine_of(settings, data, seed)
    if path.exists():
        loaded = BornMachine.load(path)
        if loaded.get_params() != machine.get_params():
            raise SystemExit(f"{path} was made with other settings; remove it to start anew")
        return loaded
    machine.fit(data.train)
    path.parent.mkdir(exist_ok=True)
    machine.save(path)
    return machine


def figure_of(values: Floats) -> dict[str, float]:
    """Return the mean over samples and its standard error."""
    return {"mean": round(float(values.mean()), 5), "error": round(standard_error(values), 5)}


def main() -> None:
    """Train, choose, test, write and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    data = load_set("digits-1000")
    machine = trained(data, seed)
    held_out = data.train[machine.validation_rows_]
    training = np.delete(data.train, machine.validation_rows_, axis=0)
    fuels = {False: training, True: shifted_images(training, SHAPE, 1)}
    began = time.perf_counter()
    models: dict[str, tuple[Any, dict[str, Any]]] = {
        "Born machine": (lambda x, known: born(machine, x, known, seed), {"row": ROW}),
        "nearest neighbour": fitted_neighbour(fuels, held_out),
        "RBM (scikit-learn)": fitted_boltzmann(fuels, held_out, seed),
        "Chow-Liu tree": fitted_forest(chow_liu, fuels, held_out),
        "independent pixels": fitted_forest(independent, fuels, held_out),
    }
    found: dict[str, Any] = {}
    drawn: dict[str, Bits] = {}
    test, masks = data.test, halves()
    for name, (complete, settings) in models.items():
        measures: dict[str, dict[str, Floats]] = {}
        for half, known in masks.items():
            one = complete(test, known)
            measures.setdefault("wrong pixels", {})[half] = wrong_pixels(one, test, known)
            measures.setdefault("wrong in a draw", {})[half] = wrong_in_a_draw(one, test, known)
            if one.log_missing is not None:
                measures.setdefault("conditional NLL", {})[half] = -one.log_missing
            for kind, pixels in (("", one.draw), (", mean", one.means)):
                rows = drawn.setdefault(name + kind, np.zeros((SHOWN, test.shape[1])))
                mine = np.arange(SHOWN) % len(masks) == list(masks).index(half)
                rows[mine] = np.where(known, test[:SHOWN], pixels[:SHOWN])[mine]
        found[name] = {"settings": settings}
        for measure, by_half in measures.items():
            every = {"all": np.mean(list(by_half.values()), axis=0)} | by_half
            found[name][measure] = {half: figure_of(values) for half, values in every.items()}
        print(name, {k: v["all"] for k, v in found[name].items() if k != "settings"}, flush=True)
    about = {
        "command": f"python examples/benchmarks/completion.py --seed {seed}",
        "seed": seed,
        "samples": {"train": len(training), "validation": len(held_out), "test": len(test)},
        "seconds": round(time.perf_counter() - began, 1),
        "models": found,
    }
    write_record(RESULTS / "completion.json", about)
    erased = np.stack(
        [np.where(k, x, GREY) for k, x in zip(list(masks.values()) * 3, test, strict=False)]
    )
    rows = {
        "original": test[:SHOWN],
        "erased": erased,
        "Born draw": drawn["Born machine"],
        "Born mean": drawn["Born machine, mean"],
        "neighbour": drawn["nearest neighbour"],
        "RBM draw": drawn["RBM (scikit-learn)"],
        "RBM mean": drawn["RBM (scikit-learn), mean"],
    }
    save_figure(sample_strip(rows, SHAPE), PICTURE)


if __name__ == "__main__":
    main()
