"""The dimensions of a search space: what a tuning config may say about one parameter, and the values that follow.

A bound or step means the decimal that was written, so 0.1 stepped by 0.1 meets 0.3, not 0.30000000000000004.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationInfo, field_validator

from orchestrator.domain.shown import shortened, shown
from tuning_worker.space.exact import UNIFORM_BITS, Steps, exact, log_between, pick, shares, thin
from tuning_worker.space.spelling import (
    Scalar,
    identity,
    is_number,
    read_choices,
    read_float_bounds,
    read_int_bounds,
    read_int_step,
    read_scalar,
    read_step,
    read_when,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST_RATIO = 1 + 1e-6  # the logarithms of bounds closer than that hardly differ in a float

Values: TypeAlias = Steps | range | tuple[Scalar, ...]


class _Dimension(BaseModel):
    """What all share.

    Attributes:
        when: the parameter is only there where each of these others, defined above it, has one of these values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Annotated[dict[str, tuple[bool | int | float | str, ...]] | None, BeforeValidator(read_when)] = None

    def is_active(self, above: Mapping[str, Scalar]) -> bool:
        """Whether a point whose parameters above this one are these has this one."""
        return self.when is None or all(
            name in above and identity(above[name]) in map(identity, values) for name, values in self.when.items()
        )

    def described_when(self) -> str:
        """The condition in words, such as `kind is 'edge' or 'mean'`."""
        each = (f"{name} is {' or '.join(map(shown, values))}" for name, values in (self.when or {}).items())
        return " and ".join(each)


class _NumericDimension(_Dimension):
    """What float and int share: the rules for `log` and `step`."""

    bounds: tuple[Any, Any]
    log: StrictBool = False
    step: Any = None

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The values that all others are between."""
        return self.bounds

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


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    """Where a value lies between two others, as a share of their distance or of their logarithms'."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return min(max((value - low) / (high - low), 0.0), 1.0)


class FloatDimension(_NumericDimension):
    """A real number within bounds (both may occur), evenly or logarithmically spread, or in steps."""

    type: Literal["float"]
    bounds: Annotated[tuple[float, float], BeforeValidator(read_float_bounds)]
    log: StrictBool = False
    step: Annotated[float | None, BeforeValidator(read_step)] = None

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
        if not is_number(value) or not low <= value <= high:
            raise ValueError(f"is not a number from {low} to {high}")
        number = float(value) + 0.0
        if self.values is None:
            return number
        try:
            return self.values[self.values.index(number)]
        except ValueError:
            raise ValueError(f"is not {low} plus a multiple of {self.step}") from None

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1: about the inverse of `at_uniform`."""
        if self.values is not None:
            return (self.values.index(value) + 0.5) / len(self.values)
        return _share(value, *self.bounds, log=self.log)

    def width(self, value: float) -> float:  # noqa: ARG002 - all steps are as wide
        """How much of 0 to 1 the draws take that give this value: nothing without a step."""
        return 0.0 if self.values is None else 1 / len(self.values)

    def _at(self, share: Fraction) -> float:
        low, high = map(exact, self.bounds)
        return float(log_between(low, high, share) if self.log else low + (high - low) * share)


class IntDimension(_NumericDimension):
    """An integer within bounds (both may occur), evenly or logarithmically spread, or in steps."""

    type: Literal["int"]
    bounds: Annotated[tuple[int, int], BeforeValidator(read_int_bounds)]
    log: StrictBool = False
    step: Annotated[int | None, BeforeValidator(read_int_step)] = None

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

    def share(self, value: int) -> float:
        """Where a value lies, from 0 to 1: the middle of the draws that give it."""
        if self.log:
            return self._log_share(value)
        return (self.values.index(value) + 0.5) / len(self.values)

    def width(self, value: int) -> float:
        """How much of 0 to 1 the draws take that give this value."""
        if self.log:
            return self._log_share(value + 0.5) - self._log_share(value - 0.5)
        return 1 / len(self.values)

    def _log_share(self, value: float) -> float:
        return _share(value, self.bounds[0] - 0.5, self.bounds[1] + 0.5, log=True)

    def normalise(self, value: object) -> int:
        """This value as the dimension spells it; `ValueError` (a sentence) where it is outside."""
        low, high = self.bounds
        if not is_number(value) or value not in self.values:
            in_steps = f" in steps of {self.step}" if self.step else ""
            raise ValueError(f"is not an integer from {low} to {high}{in_steps}")
        return int(value)


class CategoricalDimension(_Dimension):
    """One of a few values without an order."""

    type: Literal["categorical"]
    choices: Annotated[tuple[bool | int | float | str, ...], BeforeValidator(read_choices)]

    @property
    def values(self) -> tuple[Scalar, ...]:
        """Every choice, in the order of the file."""
        return self.choices

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """Every choice: they have no order."""
        return self.choices

    def grid(self, points: int) -> tuple[Scalar, ...]:  # noqa: ARG002 - one face for all dimensions
        """Every choice, however many: none of them lies between two others."""
        return self.choices

    def at_uniform(self, uniform: int) -> Scalar:
        """The choice at a uniform draw in [0, 2**`UNIFORM_BITS`)."""
        return self.choices[pick(len(self.choices), uniform)]

    def share(self, value: Scalar) -> float:
        """Where a choice lies in the order of the file, from 0 to 1."""
        return (self.position(value) + 0.5) / len(self.choices)

    def position(self, value: object) -> int:
        """The place of a choice in the file, from 0; `ValueError` (a sentence) where it is no choice."""
        for position, choice in enumerate(self.choices):
            if identity(choice) == identity(value):
                return position
        raise ValueError(f"is not one of {shortened(', '.join(map(shown, self.choices)))}")

    def normalise(self, value: object) -> Scalar:
        """This value as the file spells it; `ValueError` (a sentence) where it is no choice."""
        return self.choices[self.position(value)]


class FixedDimension(_Dimension):
    """One value that is not searched; `name: value` means the same as `name: {type: fixed, value: value}`."""

    type: Literal["fixed"]
    value: Annotated[bool | int | float | str, BeforeValidator(read_scalar)]

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The one value."""
        return (self.value,)

    @property
    def extremes(self) -> tuple[Scalar, ...]:
        """The one value."""
        return (self.value,)

    def grid(self, points: int) -> tuple[Scalar, ...]:  # noqa: ARG002 - one face for all dimensions
        """The one value."""
        return (self.value,)

    def at_uniform(self, uniform: int) -> Scalar:  # noqa: ARG002 - one face for all dimensions
        """The one value."""
        return self.value

    def share(self, value: Scalar) -> float:  # noqa: ARG002 - one face for all dimensions
        """The middle."""
        return 0.5

    def normalise(self, value: object) -> Scalar:
        """The value as the file spells it; `ValueError` (a sentence) where it is another."""
        if identity(value) != identity(self.value):
            raise ValueError(f"is not {shown(self.value)}, which is fixed")
        return self.value


def _spelled_out(value: object) -> object:
    return value if isinstance(value, dict | _Dimension) else {"type": "fixed", "value": value}


AnyDimension: TypeAlias = FloatDimension | IntDimension | CategoricalDimension | FixedDimension
Dimension: TypeAlias = Annotated[AnyDimension, Field(discriminator="type"), BeforeValidator(_spelled_out)]
