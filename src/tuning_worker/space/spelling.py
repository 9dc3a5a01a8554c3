"""What a tuning config may write for a bound, a step, a choice: each function is the value or a `ValueError`."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias, TypeGuard

from orchestrator.domain.shown import shown

Scalar: TypeAlias = int | float | str | bool

_EXACT_INT = 2**53 - 1  # a float, and with it many a JSON reader, may change a larger integer
_LEAST_SPAN = 1e-300  # a hundredth of it is still a number of full precision


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold: no bool, no NaN, no infinity, no 10**400."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _bounds(value: object) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(is_number, value)):  # noqa: PLR2004 - a pair
        raise ValueError("bounds are two numbers, [low, high]")
    low, high = value
    if not low < high:
        raise ValueError("the first of the bounds must be below the second (for a fixed value write the value alone)")
    return low, high


def read_float_bounds(value: object) -> tuple[float, float]:
    """The bounds of a float."""
    low, high = (float(bound) + 0.0 for bound in _bounds(value))  # + 0.0 makes -0.0 the 0.0 it equals
    if not math.isfinite(high - low):
        raise ValueError("the bounds are too far apart for a float")
    if high - low < _LEAST_SPAN:
        raise ValueError("the bounds are too close together for a float")
    return low, high


def read_int_bounds(value: object) -> tuple[int, int]:
    """The bounds of an int."""
    low, high = _bounds(value)
    if low != int(low) or high != int(high):
        raise ValueError("the bounds of an int are integers")
    if max(abs(low), abs(high)) > _EXACT_INT:
        raise ValueError(f"the bounds of an int lie within ±{_EXACT_INT}: larger ones are not exact everywhere")
    return int(low), int(high)


def read_step(value: object) -> float | None:
    """The step of a float, or None."""
    if value is None:
        return None
    if not is_number(value) or value <= 0:
        raise ValueError("step is a number above 0")
    return value


def read_int_step(value: object) -> int | None:
    """The step of an int, or None."""
    step = read_step(value)
    if step is None:
        return None
    if step != int(step):
        raise ValueError("the step of an int is an integer")
    return int(step)


def read_scalar(value: object) -> Scalar:
    """One value of a parameter."""
    if not isinstance(value, str | bool) and not is_number(value):
        raise ValueError(f"a choice is a string, a finite number, true or false (got {shown(value)})")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"a choice that is a string is one line of printable characters (got {shown(value)})")
    if isinstance(value, int) and abs(value) > _EXACT_INT:
        raise ValueError(f"an integer choice lies within ±{_EXACT_INT}: larger ones are not exact everywhere")
    return value


def read_choices(value: object) -> tuple[Scalar, ...]:
    """The values of a categorical, distinct also where they are written as text."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("choices are a list of at least one value")
    seen = set()
    texts: dict[str, object] = {}
    for choice in map(read_scalar, value):
        if identity(choice) in seen:
            raise ValueError(f"the choice {shown(choice)} is there twice")
        seen.add(identity(choice))
        if str(choice) in texts:
            twin = texts[str(choice)]
            raise ValueError(f"the choices {shown(twin)} and {shown(choice)} are one text where results are written")
        texts[str(choice)] = choice
    return tuple(value)


def identity(choice: object) -> tuple[bool, object]:
    """What makes a choice distinct: 1 and 1.0 are one number, while true is not the number 1."""
    return isinstance(choice, bool), choice


def read_when(value: object) -> object:
    """The values that each of the parameters above must have, or None."""
    if value is None:
        return None
    if not isinstance(value, dict) or not value:
        raise ValueError("when names a parameter above this one and its values: {kind: edge} or {kind: [edge, mean]}")
    return {
        name: read_choices(values if isinstance(values, list | tuple) else [values]) for name, values in value.items()
    }
