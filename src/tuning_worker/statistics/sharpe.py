"""The Sharpe ratio of daily results: Sharpe 1994, "The Sharpe Ratio", J. Portfolio Management 21(1), benchmark zero."""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ANNUAL: Final = math.sqrt(365)
"""A year's ratio over a day's: coins trade on all of its days."""


def daily_sharpe(daily: Sequence[float]) -> float | None:
    """Return mean / standard deviation (ddof 1); None for less than two days, or days that are all alike."""
    if len(daily) < 2 or min(daily) == max(daily):  # noqa: PLR2004 - a standard deviation needs two
        return None
    deviation = stdev(daily)
    return fmean(daily) / deviation if deviation > 0 else None
