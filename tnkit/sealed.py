"""JSON text that notices when it was changed: it carries the SHA-256 of all it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tnkit.errors import FormatError

__all__ = ["seal", "unseal"]

_SEAL = "sha256"


def seal(fields: Mapping[str, Any]) -> str:
    """Return JSON text of `fields` with their checksum under "sha256".

    Raises TypeError or ValueError where JSON has no such value (NaN and Inf among them).

    >>> unseal(seal({"bond": 3}))
    {'bond': 3}
    """
    return json.dumps({**fields, _SEAL: _digest(fields)}, indent=1, allow_nan=False)


def unseal(text: str | bytes) -> dict[str, Any]:
    """Return the fields of a text that `seal` wrote; raise `FormatError` for any other.

    Only the values count: blanks and the order of keys may change.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON ({error})") from None
    if not isinstance(fields, dict) or _SEAL not in fields:
        raise FormatError("not written by tnkit: it carries no checksum")
    found = fields.pop(_SEAL)
    if found != _digest(fields):
        raise FormatError("damaged or edited: its checksum does not match")
    return fields


def _digest(fields: Mapping[str, Any]) -> str:
    plain = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()
