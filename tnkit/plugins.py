"""Plugins: separate distributions registered under the entry-point group "tnkit.plugins"."""

from __future__ import annotations

from importlib.metadata import entry_points
from types import ModuleType

from tnkit.checking import checked
from tnkit.errors import ArgumentError

__all__ = ["available", "load"]

_GROUP = "tnkit.plugins"


def available() -> tuple[str, ...]:
    """Return the names of the installed plugins; nothing is imported.

    >>> isinstance(available(), tuple)
    True
    """
    return tuple(sorted({point.name for point in entry_points(group=_GROUP)}))


@checked
def load(name: str) -> ModuleType:
    """Import the plugin `name` and return its module. Raises `ArgumentError` if not installed."""
    for point in entry_points(group=_GROUP):
        if point.name == name:
            module: ModuleType = point.load()
            return module
    installed = ", ".join(available()) or "none"
    raise ArgumentError(
        f"no plugin {name!r} is installed (installed: {installed}); "
        f"pip install tnkit-{name.replace('_', '-')}"
    )
