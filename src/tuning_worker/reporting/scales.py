"""How a parameter's values lie on an axis: numbers as they are or in the logarithm, choices side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

_MOST_TICKS = 6
_ROUNDING = 1e-9

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning_worker.review.recorded import RecordedSession, Trial


@dataclass(frozen=True)
class Scale:
    """One parameter's axis.

    Attributes:
        name: of the parameter.
        choices: its values as texts, where it is one of a few; else None.
        low: the least of its values; for choices the first position.
        high: the greatest.
        log: positions are decimal logarithms.
        is_whole: its values are whole numbers.
    """

    name: str
    choices: tuple[str, ...] | None
    low: float
    high: float
    log: bool = False
    is_whole: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether there is one value only."""
        return self.low == self.high

    def position(self, value: Any) -> float | None:
        """Return where a value is; None where the parameter is not active, or the value is no number."""
        if value is None:
            return None
        if self.choices is not None:
            return float(self.choices.index(_text(value)))
        return math.log10(value) if self.log else float(value)

    def positions(self, iterations: Sequence[Trial]) -> list[float | None]:
        """Return where each iteration's value is."""
        return [self.position(each.params.get(self.name)) for each in iterations]


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values between two powers of ten, about as many as an axis has room for.

    Args:
        low: the decimal logarithm of the least value.
        high: that of the greatest.
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    found: list[float] = []
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**decade for decade in decades for step in steps]
        found = [value for value in values if low - _ROUNDING <= math.log10(value) <= high + _ROUNDING]
        if len(found) <= _MOST_TICKS:
            return found
    return found[:: math.ceil(len(found) / _MOST_TICKS)]


def make_scales(recorded: RecordedSession) -> list[Scale]:
    """Return the scale of each parameter that any iteration has, as wide as the search space says."""
    space = recorded.tuning.get("search_space", {})
    scales = []
    for name in recorded.parameters:
        values = [value for each in recorded.trials if (value := each.params.get(name)) is not None]
        if values:
            scales.append(_scale(name, space.get(name), values))
    return scales


def _scale(name: str, given: Any, values: Sequence[Any]) -> Scale:
    dimension = given if isinstance(given, dict) else {}
    if dimension.get("choices") or not all(_is_number(value) for value in values):
        choices = [_text(choice) for choice in dimension.get("choices") or ()]
        texts = tuple(dict.fromkeys([*choices, *map(_text, values)]))
        return Scale(name, texts, 0.0, len(texts) - 1.0)
    low, high = min(values), max(values)
    if dimension.get("bounds"):
        low, high = min(low, dimension["bounds"][0]), max(high, dimension["bounds"][1])
    is_whole = all(isinstance(value, int) for value in values)
    if dimension.get("log") and low > 0:
        return Scale(name, None, math.log10(low), math.log10(high), log=True, is_whole=is_whole)
    return Scale(name, None, float(low), float(high), is_whole=is_whole)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
