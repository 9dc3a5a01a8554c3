"""How much of a value's axis is shown to begin with: a few very bad values must not squash all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuning_worker.review.recorded import RecordedSession

_FEWEST = 10  # no tail can be told from fewer
_SQUASHED = 4.0  # a tail that would take so many times the room of everything else is left beyond the edge


def visible_range(recorded: RecordedSession) -> list[float] | None:
    """Return the range that shows the best nine tenths of the values, where the worst would squash them; else None."""
    values = [each.known_value for each in recorded.ranked]
    if len(values) < _FEWEST:
        return None
    best, most, worst = values[0], values[len(values) * 9 // 10], values[-1]
    span = abs(best - most)
    if not span or abs(worst - most) <= _SQUASHED * span:
        return None
    return sorted((best + (best - most) * 0.08, most + (most - best) * 0.25))
