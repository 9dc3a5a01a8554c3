"""The dimensions of a search space: what a tuning config may say about one parameter, and the values that follow.

A bound or step means the decimal that was written, so 0.1 stepped by 0.1 meets 0.3, not 0.30000000000000004.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias, TypeGuard

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationInfo, field_validator

from orchestrator.domain.shown import shortened, shown
from tuning_worker.exact import UNIFORM_BITS, Steps, exact, log_between, pick, shares, thin

Scalar: TypeAlias = int | float | str | bool

_EXACT_INT = 2**53 - 1  # a float, and with it many a JSON reader, may change a larger integer
_LEAST_SPAN = 1e-300  # a hundredth of it is still a number of full precision
_LEAST_RATIO = 1 + 1e-6  # the logarithms of bounds closer than that hardly differ in a float

Values: TypeAlias = Steps | range | tuple[Scalar, ...]


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold: no bool, no NaN, no infinity, no 10**400."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _bounds(value: object) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):  # noqa: PLR2004 - a pair
        raise ValueError("bounds are two numbers, [low, high]")
    low, high = value
    if not low < high:
        raise ValueError(
            "the first of the bounds must be below the second (a fixed value is a categorical with one choice)"
        )
    return low, high


def _float_bounds(value: object) -> tuple[float, float]:
    low, high = (float(bound) + 0.0 for bound in _bounds(value))  # + 0.0 makes -0.0 the 0.0 it equals
    if not math.isfinite(high - low):
        raise ValueError("the bounds are too far apart for a float")
    if high - low < _LEAST_SPAN:
        raise ValueError("the bounds are too close together for a float")
    return low, high


def _int_bounds(value: object) -> tuple[int, int]:
    low, high = _bounds(value)
    if low != int(low) or high != int(high):
        raise ValueError("the bounds of an int are integers")
    if max(abs(low), abs(high)) > _EXACT_INT:
        raise ValueError(f"the bounds of an int lie within ±{_EXACT_INT}: larger ones are not exact everywhere")
    return int(low), int(high)


def _step(value: object) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or value <= 0:
        raise ValueError("step is a number above 0")
    return value


def _int_step(value: object) -> int | None:
    step = _step(value)
    if step is None:
        return None
    if step != int(step):
        raise ValueError("the step of an int is an integer")
    return int(step)


def _choices(value: object) -> tuple[Scalar, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("choices are a list of at least one value")
    seen = set()
    texts: dict[str, object] = {}
    for choice in value:
        if not isinstance(choice, str | bool) and not _is_number(choice):
            raise ValueError(f"a choice is a string, a finite number, true or false (got {shown(choice)})")
        if isinstance(choice, str) and not choice.isprintable():
            raise ValueError(f"a choice that is a string is one line of printable characters (got {shown(choice)})")
        if isinstance(choice, int) and abs(choice) > _EXACT_INT:
            raise ValueError(f"an integer choice lies within ±{_EXACT_INT}: larger ones are not exact everywhere")
        if _identity(choice) in seen:
            raise ValueError(f"the choice {shown(choice)} is there twice")
        seen.add(_identity(choice))
        if str(choice) in texts:
            twin = texts[str(choice)]
            raise ValueError(f"the choices {shown(twin)} and {shown(choice)} are one text where results are written")
        texts[str(choice)] = choice
    return tuple(value)


def _identity(choice: object) -> tuple[bool, object]:
    """What makes a choice distinct: 1 and 1.0 are one number, while true is not the number 1."""
    return isinstance(choice, bool), choice


class _Dimension(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _NumericDimension(_Dimension):
    """What float and int share: the rules for `log` and `step`."""

    bounds: tuple[Any, Any]
    log: StrictBool = False
    step: Any = None

    @field_validator("log")
    @classmethod
    def _log_is_positive(cls, log: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's signature
        if not log or "bounds" not in info.data:
            return log
        low, high = info.data["bounds"]
        if low <= 0:
            raise ValueError("log needs a lower bound above 0")
        if high / low < _LEAST_RATIO:
            raise ValueError("log makes no difference between bounds so close: leave it out")
        return log

    @field_validator("step")
    @classmethod
    def _step_fits(cls, step: float | None, info: ValidationInfo) -> float | None:
        if step is None or "bounds" not in info.data:
            return step
        if info.data.get("log"):
            raise ValueError("step and log do not go together: leave one of them out")
        low, high = map(exact, info.data["bounds"])
        count = (high - low) / exact(step)
        if count < 1:
            raise ValueError("step is wider than the bounds")
        if step < math.ulp(max(map(abs, info.data["bounds"]))):
            raise ValueError("step is too small: floats of this size cannot tell its values apart")
        if count.denominator != 1:
            last = low + math.floor(count) * exact(step)
            shown = int(last) if last.denominator == 1 else float(last)
            raise ValueError(
                f"step does not reach the upper bound: the last value below it is {shown}; make that the bound"
            )
        return step


class FloatDimension(_NumericDimension):
    """A real number within bounds (both may occur), evenly or logarithmically spread, or in steps."""

    type: Literal["float"]
    bounds: Annotated[tuple[float, float], BeforeValidator(_float_bounds)]
    log: StrictBool = False
    step: Annotated[float | None, BeforeValidator(_step)] = None

    @cached_property
    def values(self) -> Steps | None:
        """Every value in ascending order, or None: they are not countable without a step."""
        if self.step is None:
            return None
        return Steps.between(exact(self.bounds[0]), exact(self.bounds[1]), exact(self.step))

    def grid(self, points: int) -> tuple[float, ...]:
        """At most `points` values, evenly spaced (in the logarithm with `log`), ends included; one is the middle."""
        if self.values is not None:
            return tuple(self.values[i] for i in thin(len(self.values), points))
        return tuple(dict.fromkeys(map(self._at, shares(points))))

    def at_uniform(self, uniform: int) -> float:
        """The value at a uniform draw in [0, 2**`UNIFORM_BITS`)."""
        if self.values is not None:
            return self.values[pick(len(self.values), uniform)]
        return self._at(Fraction(uniform, 2**UNIFORM_BITS))

    def normalise(self, value: object) -> float:
        """This value as the dimension spells it; `ValueError` (a sentence) where it is outside."""
        low, high = self.bounds
        if not _is_number(value) or not low <= value <= high:
            raise ValueError(f"is not a number from {low} to {high}")
        number = float(value) + 0.0
        if self.values is None:
            return number
        try:
            return self.values[self.values.index(number)]
        except ValueError:
            raise ValueError(f"is not {low} plus a multiple of {self.step}") from None

    def _at(self, share: Fraction) -> float:
        low, high = map(exact, self.bounds)
        return float(log_between(low, high, share) if self.log else low + (high - low) * share)


class IntDimension(_NumericDimension):
    """An integer within bounds (both may occur), evenly or logarithmically spread, or in steps."""

    type: Literal["int"]
    bounds: Annotated[tuple[int, int], BeforeValidator(_int_bounds)]
    log: StrictBool = False
    step: Annotated[int | None, BeforeValidator(_int_step)] = None

    @cached_property
    def values(self) -> range:
        """Every value in ascending order."""
        return range(self.bounds[0], self.bounds[1] + 1, self.step or 1)

    def grid(self, points: int) -> tuple[int, ...]:
        """At most `points` values, evenly spaced and rounded (in the logarithm with `log`), ends included."""
        if not self.log or len(self.values) <= points:
            return tuple(self.values[i] for i in thin(len(self.values), points))
        low, high = map(Fraction, self.bounds)
        return tuple(dict.fromkeys(round(log_between(low, high, share)) for share in shares(points)))

    def at_uniform(self, uniform: int) -> int:
        """The value at a uniform draw in [0, 2**`UNIFORM_BITS`); with `log` each owns its half-open unit interval."""
        if not self.log:
            return self.values[pick(len(self.values), uniform)]
        low, high = self.bounds
        half = Fraction(1, 2)
        drawn = round(log_between(low - half, high + half, Fraction(uniform, 2**UNIFORM_BITS)))
        return min(max(drawn, low), high)

    def normalise(self, value: object) -> int:
        """This value as the dimension spells it; `ValueError` (a sentence) where it is outside."""
        low, high = self.bounds
        if not _is_number(value) or value not in self.values:
            in_steps = f" in steps of {self.step}" if self.step else ""
            raise ValueError(f"is not an integer from {low} to {high}{in_steps}")
        return int(value)


class CategoricalDimension(_Dimension):
    """One of a few values without an order."""

    type: Literal["categorical"]
    choices: Annotated[tuple[bool | int | float | str, ...], BeforeValidator(_choices)]

    @property
    def values(self) -> tuple[Scalar, ...]:
        """Every choice, in the order of the file."""
        return self.choices

    def grid(self, points: int) -> tuple[Scalar, ...]:  # noqa: ARG002 - one face for all dimensions
        """Every choice, however many: none of them lies between two others."""
        return self.choices

    def at_uniform(self, uniform: int) -> Scalar:
        """The choice at a uniform draw in [0, 2**`UNIFORM_BITS`)."""
        return self.choices[pick(len(self.choices), uniform)]

    def position(self, value: object) -> int:
        """The place of a choice in the file, from 0; `ValueError` (a sentence) where it is no choice."""
        for position, choice in enumerate(self.choices):
            if _identity(choice) == _identity(value):
                return position
        raise ValueError(f"is not one of {shortened(', '.join(map(shown, self.choices)))}")

    def normalise(self, value: object) -> Scalar:
        """This value as the file spells it; `ValueError` (a sentence) where it is no choice."""
        return self.choices[self.position(value)]


AnyDimension: TypeAlias = FloatDimension | IntDimension | CategoricalDimension
Dimension: TypeAlias = Annotated[AnyDimension, Field(discriminator="type")]
