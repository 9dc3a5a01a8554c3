"""Days as a person reads them: those that stand next to each other as a span. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_MOST: Final = 6


def day_spans(days: Sequence[str], among: Collection[str]) -> str:
    """Write days (ISO 8601, ascending): `2023-03-01 to 2023-03-03, 2023-03-06`.

    Args:
        days: to be written.
        among: all days that there are: a span leaves none of them out.
    """
    order = {day: place for place, day in enumerate(sorted({*among, *days}))}
    spans: list[list[str]] = []
    for day in days:
        if spans and order[day] == order[spans[-1][-1]] + 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    told = [span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans]
    if len(told) <= _MOST:
        return ", ".join(told)
    return f"{', '.join(told[: _MOST - 1])}, … {told[-1]}"
