"""What a split keeps and what it discards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, SizeError

__all__ = ["EXACT", "Truncation"]

SAME_MULTIPLET = 1e-10
"""Values whose relative gap is below this are one multiplet."""


@dataclass(frozen=True, slots=True, kw_only=False)
class Truncation:
    """Rule that picks how many singular values a split keeps.

    The default is exact: it drops only values at rounding level, s <= eps(dtype) s_0.

    max_bond
        Keep at most this many values; None for no limit.
    cutoff
        Largest weight that may be discarded: sum of the dropped s^2 over the sum of all s^2.
        A multiplet of equal values is never cut apart by `cutoff` (it is kept whole); `max_bond`
        is a hard limit and may cut one.
    value_cutoff
        Drop every s < value_cutoff * s_0, whatever its weight (keyword only).
    min_bond
        Keep at least this many values where the matrix has them (keyword only).
    static
        Keep exactly min(m, n, max_bond) values, whatever they are, so that shapes are known
        beforehand: for compiled code and CUDA graphs (keyword only).

    >>> Truncation(max_bond=2).keep(np.array([1.0, 0.5, 0.5]))
    (2, 0.16666666666666666)
    >>> Truncation(cutoff=0.2).keep(np.array([1.0, 0.5, 0.5]))  # the pair stays together
    (3, 0.0)
    """

    max_bond: int | None = None
    cutoff: float = 0.0
    value_cutoff: float = 0.0
    min_bond: int = 1
    static: bool = False

    def __post_init__(self) -> None:
        """Check every field; raise `ArgumentError` or `ArgumentTypeError`."""
        for name in ("max_bond", "min_bond"):
            value = getattr(self, name)
            if value is None and name == "max_bond":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ArgumentTypeError(f"{name} must be a whole number, got {value!r}")
            if value < 1:
                raise ArgumentError(f"{name} must be at least 1, got {value}")
        if self.max_bond is not None and self.min_bond > self.max_bond:
            raise ArgumentError(f"min_bond {self.min_bond} is larger than max_bond {self.max_bond}")
        for name in ("cutoff", "value_cutoff"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
                raise ArgumentTypeError(f"{name} must be a number, got {value!r}")
            if not (math.isfinite(value) and 0.0 <= value < 1.0):
                raise ArgumentError(f"{name} must lie in [0, 1), got {value!r}")
        if not isinstance(self.static, bool | np.bool_):
            raise ArgumentTypeError(f"static must be True or False, got {shown(self.static)}")

    @checked
    def keep(self, values: np.ndarray[Any, Any], *, eps: float | None = None) -> tuple[int, float]:
        """Return how many of `values` stay and the weight discarded with the rest.

        values: (k,) host array of singular values, descending. eps: relative rounding level below
        which values count as zero (that of the dtype of `values` by default). The weight is
        relative: dropped sum of squares over the total.
        """
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise SizeError(f"values must be (k,) real numbers, got {shown(values)}")
        if eps is not None and not eps >= 0.0:
            raise ArgumentError(f"eps must be 0 or more, got {eps!r}")
        count = len(values)
        if count == 0:
            return 0, 0.0
        limit = count if self.max_bond is None else min(count, self.max_bond)
        largest = float(values[0])
        if largest == 0.0:
            return (limit if self.static else min(self.min_bond, count)), 0.0
        relative = np.asarray(values, dtype=np.float64) / largest
        kept = limit if self.static else min(limit, self._wanted(relative, values, eps))
        if kept == count:
            return kept, 0.0
        dropped = relative[kept:]
        weight = float(dropped @ dropped)
        return kept, weight / (weight + float(relative[:kept] @ relative[:kept]))

    def _wanted(
        self, relative: np.ndarray[Any, Any], values: np.ndarray[Any, Any], eps: float | None
    ) -> int:
        """Return how many values the cutoffs leave, before `max_bond`."""
        noise = float(np.finfo(values.dtype).eps) if eps is None else eps
        kept = int(np.count_nonzero(relative > noise))
        if self.value_cutoff > 0.0:
            kept = min(kept, int(np.count_nonzero(relative >= self.value_cutoff)))
        if self.cutoff > 0.0:
            # tail[i] is the weight dropped when i values stay, summed from the smallest up
            tail = np.cumsum((relative * relative)[::-1])[::-1]
            enough = np.append(tail, 0.0) <= self.cutoff * tail[0]
            by_weight = int(np.argmax(enough))
            while (
                0 < by_weight < len(relative)
                and relative[by_weight - 1] - relative[by_weight]
                <= SAME_MULTIPLET * relative[by_weight - 1]
            ):
                by_weight += 1
            kept = min(kept, by_weight)
        return max(kept, min(self.min_bond, len(relative)))


EXACT = Truncation()
"""The default everywhere: nothing but rounding noise is dropped."""
