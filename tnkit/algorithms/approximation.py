"""What an approximate contraction reports: a value, how far off it may be, whether to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tnkit.errors import ArgumentError
from tnkit.scaled import Scaled

__all__ = ["Approximation", "approximation", "relative_difference"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Approximation:
    """An approximate value with an estimate of its error; every such method reports the same.

    value: the scalar, as mantissa and logarithm. error: estimate of |value - exact| / |exact|, from
    results that would agree if the value were exact; an estimate and not a bound. estimates: those
    results. discarded_weight: the largest relative weight cut at any one bond. warnings: why it
    should not be trusted, empty where nothing speaks against it.
    """

    value: Scaled
    error: float
    estimates: tuple[Scaled, ...]
    discarded_weight: float
    warnings: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether there are no warnings."""
        return not self.warnings

    def __repr__(self) -> str:
        """Describe the result in one line, warnings included."""
        doubt = "; ".join(self.warnings)
        return (
            f"{type(self).__name__}({self.value}, relative error about {self.error:.2g}, "
            f"discarded weight {self.discarded_weight:.2g}, "
            f"{f'NOT TO BE TRUSTED: {doubt}' if doubt else 'nothing speaks against it'})"
        )


def approximation(
    value: Scaled,
    estimates: Sequence[Scaled],
    discarded_weight: float,
    tolerance: float,
    floor: float,
    warnings: Iterable[str] = (),
) -> Approximation:
    """Return the report: the error is the largest difference of an estimate, at least `floor`."""
    if not (isinstance(tolerance, int | float) and tolerance > 0.0):
        raise ArgumentError(f"tolerance must be above 0, got {tolerance!r}")
    error = max([floor, *(relative_difference(other, value) for other in estimates)])
    found = list(warnings)
    if error > tolerance:
        found.insert(0, f"estimates differ by {error:.2g}, more than tolerance {tolerance:.2g}")
    return Approximation(value, error, tuple(estimates), discarded_weight, tuple(found))


def relative_difference(one: Scaled, two: Scaled) -> float:
    """Return |one - two| / |two| of scalars of any magnitude; inf against zero."""
    first, second = float(one.log_abs), float(two.log_abs)
    if second == -math.inf:
        return 0.0 if first == -math.inf else math.inf
    if first - second > 700.0:
        return math.inf
    ratio = 0.0 if first == -math.inf else math.exp(first - second)
    return abs(ratio * complex(one.phase) / complex(two.phase) - 1.0)
