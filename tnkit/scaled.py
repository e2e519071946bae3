"""Numbers and arrays beyond the range of a float: a mantissa and a logarithm."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from tnkit.arrays import (
    Array,
    as_array,
    is_complex,
    largest_magnitude,
    namespace,
    to_numpy,
)
from tnkit.checking import shown
from tnkit.errors import ArgumentTypeError, NonFiniteError, ScaleError

__all__ = ["Scaled", "scaled_sum"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Scaled:
    """The value mantissa * exp(log_scale), of any magnitude.

    mantissa: an array of any shape and library (gradients pass through it), or a number.
    log_scale: natural logarithm of the common factor, a float.

    >>> z = Scaled(np.asarray(-0.5), 784 * math.log(2.0))
    >>> round(float(z.log_abs), 3), float(z.phase)
    (542.734, -1.0)
    >>> round(float((z * z).log_abs), 3)
    1085.468
    """

    mantissa: Array
    log_scale: float = 0.0

    def __post_init__(self) -> None:
        """Turn numbers into arrays; raise `NonFiniteError` for a log_scale that is no number."""
        given: Any = self.log_scale
        if isinstance(given, bool) or not isinstance(given, numbers.Real):
            raise ArgumentTypeError(f"log_scale must be a number, got {shown(self.log_scale)}")
        object.__setattr__(self, "mantissa", as_array(self.mantissa))
        object.__setattr__(self, "log_scale", float(self.log_scale))
        if not math.isfinite(self.log_scale):
            raise NonFiniteError(
                f"log_scale must be finite, got {self.log_scale}; zero is Scaled(0.0)"
            )

    @property
    def log_abs(self) -> Array:
        """Natural logarithm of the absolute value, elementwise; -inf where the value is zero."""
        xp = namespace(self.mantissa)
        magnitude = xp.abs(self.mantissa)
        if not xp.isdtype(magnitude.dtype, "real floating"):
            magnitude = xp.astype(magnitude, xp.float64)
        with np.errstate(divide="ignore"):
            return xp.log(magnitude) + self.log_scale

    @property
    def phase(self) -> Array:
        """The value over its absolute value, elementwise: -1, 1 or a complex unit; 0 at zero."""
        return namespace(self.mantissa).sign(self.mantissa)

    @property
    def value(self) -> Array:
        """The plain array; raises `ScaleError` where it does not fit the dtype."""
        mantissa, log_scale = self.mantissa, self.log_scale
        if log_scale == 0.0:
            return mantissa
        largest = largest_magnitude(mantissa)
        if largest == 0.0:
            return mantissa
        log_largest = math.log(largest) + log_scale
        xp = namespace(mantissa)
        if not xp.isdtype(mantissa.dtype, ("real floating", "complex floating")):
            mantissa = xp.astype(mantissa, xp.float64)
        limit = math.log(float(xp.finfo(mantissa.dtype).max))
        if log_largest > limit:
            raise ScaleError(
                f"the value is about exp({log_largest:.6g}), beyond the largest "
                f"{mantissa.dtype}, exp({limit:.5g}); use .log_abs and .phase instead"
            )
        if log_largest < -limit:
            raise ScaleError(
                f"the value is about exp({log_largest:.6g}), below the smallest "
                f"{mantissa.dtype}, exp({-limit:.5g}); use .log_abs and .phase instead"
            )
        half = math.exp(0.5 * log_scale) if abs(log_scale) < 1400 else None
        if half is not None:  # in two steps: exp(log_scale) alone may overflow
            return mantissa * half * half
        return (mantissa / largest) * math.exp(log_largest)

    def __float__(self) -> float:
        """Return a real scalar; raises `ScaleError` out of range, TypeError for complex ones."""
        if is_complex(self.mantissa):
            raise TypeError("a complex Scaled has no float; use complex(...), .log_abs or .phase")
        return float(self.value)

    def __complex__(self) -> complex:
        """Return a scalar; raises `ScaleError` out of range."""
        return complex(to_numpy(self.value).item())

    def __mul__(self, other: Any) -> Scaled:
        """Return the product with a Scaled, an array or a number, elementwise."""
        if isinstance(other, Scaled):
            return rescaled(self.mantissa * other.mantissa, self.log_scale + other.log_scale)
        return rescaled(self.mantissa * other, self.log_scale)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Scaled:
        """Return the quotient by a Scaled, an array or a number, elementwise."""
        if isinstance(other, Scaled):
            return rescaled(self.mantissa / other.mantissa, self.log_scale - other.log_scale)
        return rescaled(self.mantissa / other, self.log_scale)

    def __neg__(self) -> Scaled:
        """Return the value with the other sign."""
        return Scaled(-self.mantissa, self.log_scale)

    def __add__(self, other: Scaled) -> Scaled:
        """Return the sum of two Scaled values."""
        if not isinstance(other, Scaled):
            return NotImplemented
        return scaled_sum([self, other])

    def __sub__(self, other: Scaled) -> Scaled:
        """Return the difference of two Scaled values."""
        if not isinstance(other, Scaled):
            return NotImplemented
        return scaled_sum([self, -other])

    def __repr__(self) -> str:
        """Show a scalar as phase and logarithm, an array by its shape."""
        if self.mantissa.ndim == 0:
            log_abs, phase = float(self.log_abs), to_numpy(self.phase).item()
            return f"Scaled(phase={phase!r}, log_abs={log_abs!r})"
        shape = tuple(self.mantissa.shape)
        return f"Scaled(shape={shape}, dtype={self.mantissa.dtype}, log_scale={self.log_scale!r})"


def rescaled(mantissa: Array, log_scale: float) -> Scaled:
    """Return mantissa * exp(log_scale) with the largest element of the mantissa near one.

    The factor moved is a power of two, so no digit changes. Raises `NonFiniteError` where the
    mantissa holds NaN or Inf.
    """
    largest = largest_magnitude(mantissa)
    if largest == 0.0:
        return Scaled(mantissa, 0.0)
    if not math.isfinite(largest):
        raise NonFiniteError(
            "the value holds NaN or Inf; look for the step that produced it "
            "(a division by zero, a log of zero, an overflow in the inputs)"
        )
    exponent = math.frexp(largest)[1]
    if -8 < exponent < 8:
        return Scaled(mantissa, log_scale)
    if abs(exponent) > 1000:  # 2**-exponent itself would leave the range
        half = exponent // 2
        mantissa = mantissa * 2.0**-half * 2.0 ** (half - exponent)
    else:
        mantissa = mantissa * 2.0**-exponent
    return Scaled(mantissa, log_scale + exponent * math.log(2.0))


def scaled_sum(values: list[Scaled]) -> Scaled:
    """Return the sum of `values`, whose mantissas have one shape, without leaving float range."""
    logs = [v.log_scale for v in values if largest_magnitude(v.mantissa) != 0.0]
    top = max(logs, default=0.0)
    total = None
    for value in values:
        shift = value.log_scale - top
        factor = math.exp(shift) if shift < 0.0 else 1.0
        part = value.mantissa if factor == 1.0 else value.mantissa * factor
        total = part if total is None else total + part
    return rescaled(total, top)
