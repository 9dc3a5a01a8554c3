"""Values as a person reads them: numbers, moments, lengths of time; and a few of many."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

MISSING = "-"
_THOUSANDS = 1000


def number(value: Any) -> str:
    """Write a metric or a parameter: six significant digits, thousands apart, nothing as a dash."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and math.isfinite(value):
        if _THOUSANDS <= abs(value) < 10**15:
            return (
                f"{value:,.0f}"
                if isinstance(value, int)
                else f"{value:,.6g}"
                if abs(value) < 10**6
                else f"{value:,.0f}"
            )
        return str(value) if isinstance(value, int) else f"{value:.6g}"
    return str(value)


def short(value: float) -> str:
    """Write a number for a tick: `250k`, `1.5M`, `0.001`."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e12:  # noqa: PLR2004 - beyond, an exponent is shorter
            return f"{value / (1e3 if suffix == 'k' else size):.4g}{suffix}"
    return f"{value:.4g}"


def share(value: float | None) -> str:
    """Write a share of 1 as percent."""
    return MISSING if value is None else f"{value:,.1%}"


def moment(text: str | None) -> str:
    """Write an ISO 8601 moment for people, in UTC, to the second."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC" if text else MISSING


def length(start: str | None, end: str | None) -> str:
    """Write how long it is from one moment to another."""
    if not start or not end:
        return MISSING
    lasted = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    seconds = lasted / timedelta(seconds=1)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def counted(count: int, word: str) -> str:
    """Write a count with its word: `1 iteration`, `2,000 iterations`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def thin(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of them, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
