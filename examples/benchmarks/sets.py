"""The data sets of the tables, as (sample, feature) integers split for training and testing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["GLASSER", "Split", "folder", "found", "load_set"]

DEBD = ("nltcs", "msnbc", "kdd", "plants", "baudio", "bnetflix", "accidents", "dna")
GLASSER = ("biofam", "flare", "lymphography", "spect", "tumor", "votes")
SETS = ("static-mnist", "digits-1000", *DEBD, *GLASSER)


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test samples; None where a set has no such part."""

    train: Any
    validation: Any | None
    test: Any | None
    image_shape: tuple[int, int] | None = None


def folder() -> Path:
    """Return the folder of the data sets: TNKIT_SHARED/data, or ../shared/data beside the clone."""
    root = os.environ.get("TNKIT_SHARED", Path(__file__).parents[3] / "shared")
    return Path(root) / "data"


def found(path: Path) -> Path:
    """Return the path; the script ends, saying where data come from, where there is no file."""
    if not path.exists():
        raise SystemExit(
            f"no data set at {path}; {Path(__file__).with_name('README.md')} says more"
        )
    return path


def _bits(array: Any, features: int) -> Any:
    return np.unpackbits(array, axis=1)[:, :features]


def load_set(name: str) -> Split:
    """Return a set by name; SystemExit says where it was looked for.

    static-mnist: 50,000 / 10,000 / 10,000 binarised digits (Larochelle and Salakhutdinov).
    digits-1000: the first 1,000 MNIST training images above 127, tested on the next 1,000. The
    density-estimation sets of Lowd and Davis (2010) and Van Haaren and Davis (2012), and the
    training sets of Glasser et al. (2019), by their names. Where they come from and how the files
    hold them: README.md beside this file.
    """
    if name == "static-mnist":
        with np.load(found(folder() / "binarized_mnist_static.npz")) as z:
            parts = [_bits(z[part], 784) for part in ("train", "valid", "test")]
        return Split(*parts, (28, 28))
    if name == "digits-1000":
        with np.load(found(folder() / "mnist.npz")) as z:
            images = (z["x_train"][:2000] > 127).reshape(-1, 784).astype(np.uint8)
        return Split(images[:1000], None, images[1000:], (28, 28))
    if name in DEBD:
        with np.load(found(folder() / "debd" / f"{name}.npz")) as z:
            count = int(z["n_features"])
            parts = [_bits(z[part], count) for part in ("train", "valid", "test")]
        return Split(*parts)
    if name in GLASSER:
        with np.load(found(folder() / "glasser2019.npz")) as z:
            return Split(z[name], None, None)
    raise ValueError(f"no data set {name!r}; one of {', '.join(SETS)}")
