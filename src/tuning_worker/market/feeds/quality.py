"""What quotes are like, day by day: how dense, how old, how wide, how deep. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import DAY_NS, EPOCH

if TYPE_CHECKING:
    import numpy.typing as npt

    from tuning_worker.market.data import Floats, Integers

LONGEST = 3
"""How many gaps are told."""


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """One feed's best quotes.

    Attributes:
        local: UTC nanoseconds, not decreasing.
        exchange: the same, or None where there is one time only.
        cells: (4, n) bid, ask, bid size, ask size; infinite where sizes are not known.
        seg: as in the file, or None.
    """

    local: Integers
    exchange: Integers | None
    cells: Floats
    seg: Integers | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A UTC day of a feed. What it is made of belongs to the day of the row that it ends at.

    Attributes:
        day: ISO 8601.
        rows: quotes.
        gap_median_s: between a quote and the one before.
        gap_longest_s: the longest of them.
        same_time: quotes at the very time of the one before.
        repeated: quotes with the prices and sizes of the one before.
        unchanged_longest_s: for how long prices and sizes stood as they were, at most.
        crossed: quotes with the bid above the ask.
        locked: quotes with both the same.
        empty: quotes without coins at one of the prices.
        spread_bps: median of (ask - bid) / mid.
        size: median of the coins at both best prices; None where they are not known.
        latency_ms: median of local less exchange time; None where there is one time only.
        early: quotes that were known before they happened: the clocks differ.
    """

    day: str
    rows: int
    gap_median_s: float | None
    gap_longest_s: float | None
    same_time: int
    repeated: int
    unchanged_longest_s: float
    crossed: int
    locked: int
    empty: int
    spread_bps: float | None
    size: float | None
    latency_ms: float | None
    early: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a quote: before a row (from 1), since when (UTC nanoseconds), how long, between two segments?"""

    row: int
    since_ns: int
    seconds: float
    is_between_segments: bool


def days(series: Series) -> tuple[Day, ...]:
    """Return what each UTC day that has a quote is like, in order."""
    local, (bid, ask, bid_size, ask_size) = series.local, series.cells
    gaps = np.diff(local, prepend=local[:1]) / 1e9
    same = np.zeros(len(local), dtype=np.bool_)
    same[1:] = (series.cells[:, 1:] == series.cells[:, :-1]).all(axis=0)
    changed = np.maximum.accumulate(np.where(same, 0, np.arange(len(local))))  # the row since which it stands
    stood = np.zeros(len(local))
    stood[1:] = (local[1:] - local[changed[:-1]]) / 1e9
    with np.errstate(all="ignore"):
        spread = (ask - bid) / ((ask + bid) / 2) * 10_000
    number = local // DAY_NS
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(local)]
    found = []
    for begin, end in pairwise(edges):
        part = slice(begin, end)
        known = slice(max(begin, 1), end)  # the first row of all has none before it
        late = None if series.exchange is None else (local[part] - series.exchange[part]) / 1e6
        sizes = np.concatenate([bid_size[part], ask_size[part]])
        found.append(
            Day(
                day=date.fromordinal(EPOCH + int(number[begin])).isoformat(),
                rows=end - begin,
                gap_median_s=_median(gaps[known]),
                gap_longest_s=float(gaps[known].max()) if known.start < end else None,
                same_time=_count(gaps[known] == 0),
                repeated=_count(same[part]),
                unchanged_longest_s=float(stood[part].max()),
                crossed=_count(bid[part] > ask[part]),
                locked=_count(bid[part] == ask[part]),
                empty=_count((bid_size[part] == 0) | (ask_size[part] == 0)),
                spread_bps=_median(spread[part]),
                size=_median(sizes),
                latency_ms=None if late is None else _median(late),
                early=0 if late is None else _count(late < 0),
            )
        )
    return tuple(found)


def longest_gaps(series: Series) -> tuple[Gap, ...]:
    """Return the longest times without a quote, the longest first."""
    gaps = np.diff(series.local)
    rows = np.argsort(-gaps, kind="stable")[:LONGEST]
    seg = np.zeros(len(series.local)) if series.seg is None else series.seg
    return tuple(
        Gap(row + 2, int(series.local[row]), float(gaps[row]) / 1e9, bool(seg[row] != seg[row + 1]))
        for row in rows.tolist()
        if gaps[row] > 0
    )


def _count(of: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(of))


def _median(values: npt.NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None
