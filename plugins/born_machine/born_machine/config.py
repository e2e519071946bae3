"""Settings as a TOML file: read with the nearest name to every wrong one, and written again."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tnkit import ArgumentError, FormatError

__all__ = ["read_settings", "settings_text"]

_MOST_BYTES = 2**20


def read_settings(path: Path, known: Collection[str], *, ignored: str) -> dict[str, Any]:
    """Return the settings of a TOML file by name, hyphens as underscores.

    known: every name that may occur. ignored: the name of the one table that is not a setting.
    Raises `FormatError` for what is not TOML, `ArgumentError` for a name that is not known, naming
    the nearest one, or OSError.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise FormatError(f"{path}: more than {_MOST_BYTES} bytes are no settings file")
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a TOML file ({error})") from None
    settings: dict[str, Any] = {}
    for key, value in values.items():
        if key == ignored and isinstance(value, dict):
            continue
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ArgumentError(f"{path}: unknown setting {key!r}; the nearest one is {near[0]!r}")
        if isinstance(value, dict):
            raise ArgumentError(f"{path}: {key!r} must be a value, not a table")
        settings[name] = value
    return settings


def settings_text(values: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return TOML of settings, then of tables; what is None is left out.

    values: strings, booleans, numbers, and lists or tuples of them; NumPy's as well.

    >>> print(settings_text({"data": "digits", "levels": None}, {"made_with": {"numpy": "2"}}))
    data = "digits"
    <BLANKLINE>
    [made_with]
    numpy = "2"
    <BLANKLINE>
    """
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        lines += [f"{json.dumps(k) if '-' in k else k} = {_toml(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)  # a whole number, or a float: shortest text that reads back the same
