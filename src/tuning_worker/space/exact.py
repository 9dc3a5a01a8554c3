"""Arithmetic whose results are the same, bit for bit, on every machine and Python.

Linear values are exact fractions rounded once; logarithmic ones are computed in decimal (correctly rounded to
`_DIGITS` digits) and rounded once; no result depends on a C library's `log` or `pow`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

UNIFORM_BITS = 64
"""A uniform draw is an integer u in [0, 2**64) and stands for the share u / 2**64."""

_DIGITS = 40  # more than twice a float's 17: rounding to a float happens once, at the end
_DECIMAL = Context(prec=_DIGITS)


def exact(number: float) -> Fraction:
    """The decimal that a user writes for this number, as a fraction."""
    return Fraction(repr(number))


def log_between(low: Fraction, high: Fraction, share: Fraction) -> Decimal:
    """The number low * (high / low) ** share, to `_DIGITS` digits."""
    start, end, part = (_DECIMAL.divide(Decimal(x.numerator), Decimal(x.denominator)) for x in (low, high, share))
    span = _DECIMAL.subtract(_DECIMAL.ln(end), _DECIMAL.ln(start))
    return _DECIMAL.exp(_DECIMAL.add(_DECIMAL.ln(start), _DECIMAL.multiply(part, span)))


def shares(points: int) -> tuple[Fraction, ...]:
    """`points` evenly spaced shares from 0 to 1; a single one is the middle."""
    return tuple(Fraction(i, points - 1) for i in range(points)) if points > 1 else (Fraction(1, 2),)


def thin(count: int, points: int) -> tuple[int, ...]:
    """At most `points` of the positions 0 … count-1, evenly spaced, both ends included."""
    if count <= points:
        return tuple(range(count))
    return tuple(round(share * (count - 1)) for share in shares(points))


def pick(count: int, uniform: int) -> int:
    """The index in [0, count) at this uniform draw; no index is likelier than another by more than 2**-64."""
    return uniform * count >> UNIFORM_BITS


@dataclass(frozen=True, slots=True)
class Steps:
    """The floats start / scale, (start + stride) / scale, …, rounded once as `/` of ints is, none kept in memory."""

    start: int
    stride: int
    scale: int
    count: int

    @classmethod
    def between(cls, low: Fraction, high: Fraction, step: Fraction) -> Steps:
        """The values low, low + step, … up to high."""
        scale = math.lcm(low.denominator, step.denominator)
        return cls(int(low * scale), int(step * scale), scale, int((high - low) / step) + 1)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> float:
        return (self.start + position * self.stride) / self.scale

    def index(self, value: float) -> int:
        """The position of a value; `ValueError` where it is not one of these."""
        above, below = value.as_integer_ratio()
        distance, stride = above * self.scale - self.start * below, self.stride * below
        position = (2 * distance + stride) // (2 * stride)  # the nearest
        if 0 <= position < self.count and self[position] == value:
            return position
        raise ValueError(value)
