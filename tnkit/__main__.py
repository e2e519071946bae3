"""What a bug report needs: versions, array libraries, devices, plugins. Run `python -m tnkit`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, entry_points, version

import numpy as np

import tnkit
from tnkit.blas import SMALL, VARIABLE, thread_count

NEEDED = ["numpy", "opt_einsum", "cotengra", "networkx", "array-api-compat"]
LIBRARIES = ["numpy", "torch", "jax", "cupy"]
OPTIONAL = [
    *["scipy", "scikit-learn", "matplotlib", "kahypar"],
    *["h5py", "safetensors", "quimb", "physics-tenpy"],
]


def installed(name: str) -> str:
    """Return the version of a distribution from its metadata; nothing is imported."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def devices() -> str:
    """Return the devices arrays can be on. Imports torch where it is installed."""
    found = [f"cpu ({os.cpu_count()} cores)"]
    if installed("torch") != "not installed":
        try:
            import torch
        except Exception as error:  # a report must not fall over what it is to report
            return f"{found[0]}; torch does not load: {type(error).__name__}: {error}"

        for k in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(k)
            found.append(f"cuda:{k} ({about.name}, {about.total_memory / 2**30:.0f} GiB)")
    return ", ".join(found)


def listed(names: list[str]) -> str:
    """Return names with versions, those that are absent in the end without."""
    found = {name: installed(name) for name in names}
    absent = [name for name in names if found[name] == "not installed"]
    there = ", ".join(f"{name} {found[name]}" for name in names if name not in absent)
    missing = f"not installed: {', '.join(absent)}" if absent else ""
    return "; ".join(filter(None, [there, missing]))


def blas() -> str:
    """Return the BLAS that NumPy was built with."""
    about = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{about.get('name', 'unknown')} {about.get('version', '')}".strip()


def policy() -> str:
    """Return how many threads the algorithms use, in words."""
    if installed("threadpoolctl") == "not installed":
        return "BLAS is left as it is (threadpoolctl is not installed)"
    small, large = thread_count(SMALL), thread_count(SMALL + 1)
    if small == large:
        return f"algorithms use {small or 'all'}"
    return f"algorithms use {small} for matrices up to {SMALL} rows, {large or 'all'} above"


def report() -> str:
    """Return the report, one line a subject."""
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", VARIABLE]
    variables = [f"{name}={os.environ.get(name, 'unset')}" for name in names]
    plugins = [
        f"{point.name} ({point.dist.name} {point.dist.version})" if point.dist else point.name
        for point in sorted(entry_points(group="tnkit.plugins"))
    ]
    return "\n".join(
        [
            f"tnkit     {tnkit.__version__} in {os.path.dirname(tnkit.__file__)}",
            f"python    {platform.python_version()} on {platform.platform()}",
            "needs     " + listed(NEEDED),
            "optional  " + listed(OPTIONAL),
            "arrays    " + listed(LIBRARIES),
            "devices   " + devices(),
            "blas      " + blas(),
            "threads   " + ", ".join(variables) + f"; {policy()}",
            "plugins   " + (", ".join(plugins) or "none"),
        ]
    )


if __name__ == "__main__":
    print(report())
