"""Quotes of one coin on two venues: loaded, validated, and cut to days and stretches.

A file has one row a moment: `ts` (int64, UTC milliseconds, when the row was known), `bid_a ask_a bid_b ask_b` in each
venue's own quote currency, and optionally `bid_size_a ask_size_a bid_size_b ask_size_b` in coins, `fx` (A's currency
for one unit of B's; or two-sided, `fx_bid fx_ask`) and `seg` (an integer: nothing is traded across a change of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tuning_worker.market.source import SIZES, WHOLE, MarketDataError, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()
EARLIEST_MS, LATEST_MS = 10**11, 10**14
"""1973 to 5138: a `ts` outside was not written in milliseconds."""


COLUMNS = (
    *(f"{stem}_{venue}" for stem in ("bid", "ask", "bid_size", "ask_size") for venue in "ab"),
    "fx_bid",
    "fx_ask",
)
"""The rows of `Market.cells`."""
BID, ASK, BID_SIZE, ASK_SIZE, FX_BID, FX_ASK = 0, 2, 4, 6, 8, 9
"""Where they begin: add 1 for venue B. The engine's compiled code contains these numbers."""


@dataclass(frozen=True, eq=False, slots=True)
class Market:
    """Recorded quotes of venues A and B, contiguous, ready for the engine.

    Attributes:
        source: where they come from, for messages.
        ts: (n,) int64, UTC milliseconds, never decreasing: when row i was known.
        cells: (10, n) float64, the `COLUMNS`: prices in each venue's own quote currency, sizes in coins (`inf` where
            nothing says), and what one unit of B's quote currency brings and costs in A's.
        starts: (k,) int64, the first row of each stretch; an order does not outlive its stretch.
        skipped: (k,) bool, whether `select` left out the rows before that start, so that what prices did in
            between counts for nothing.
        days: the UTC days that have a row, in order.
    """

    source: str
    ts: Integers
    cells: Floats
    starts: Integers
    skipped: Flags
    days: tuple[date, ...]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.ts)

    def select(self, wanted: Callable[[date], bool]) -> Market:
        """Return the rows of the UTC days that are wanted.

        Raises:
            MarketDataError: no row is left.
        """
        keep = np.isin(self.ts // DAY_MS, [day.toordinal() - EPOCH for day in self.days if wanted(day)])
        if not keep.any():
            raise MarketDataError(
                f"{self.source}: no row is on a chosen day; they are of {self.days[0]} to {self.days[-1]}"
            )
        index = np.flatnonzero(keep)
        skipped = np.zeros(self.rows, dtype=np.bool_)
        skipped[self.starts] = self.skipped
        skipped[index[0]] = False  # before the first row there is nothing to carry on from
        jump = (np.diff(index, prepend=index[0]) > 1) | skipped[index]
        stretch = np.searchsorted(self.starts, index, side="right")
        starts = np.flatnonzero(jump | (np.diff(stretch, prepend=0) != 0))
        return Market(
            source=self.source,
            ts=self.ts[index],
            cells=np.ascontiguousarray(self.cells[:, index]),
            starts=starts,
            skipped=jump[starts],
            days=_days(self.ts[index]),
        )


def chosen_days(days: Collection[date] | None, first: date | None, last: date | None) -> Callable[[date], bool]:
    """Return the predicate for `Market.select`: in `days` where given, not before `first`, not after `last`."""

    def wanted(day: date) -> bool:
        return (days is None or day in days) and (first is None or day >= first) and (last is None or day <= last)

    return wanted


def make_market(columns: dict[str, Any], *, source: str = "memory", default_size: float = np.inf) -> Market:
    """Make a market from columns named as in a file; nothing is validated.

    Args:
        columns: array-likes of one length.
        source: where they come from, for messages.
        default_size: coins at the best price where there are no sizes; by default without limit.
    """
    ts = np.array(columns["ts"], dtype=np.int64)  # a copy: Arrow's own is read-only, another type to numba
    count = len(ts)
    seg = np.asarray(columns.get("seg", np.zeros(count)), dtype=np.int64)
    starts = np.flatnonzero(np.diff(seg, prepend=seg[:1] - 1) != 0)
    rate = columns.get("fx", np.ones(count))
    fallback = {name: np.full(count, default_size) for name in SIZES} | {"fx_bid": rate, "fx_ask": rate}
    return Market(
        source=source,
        ts=ts,
        cells=np.array([columns[name] if name in columns else fallback[name] for name in COLUMNS], dtype=np.float64),
        starts=starts,
        skipped=np.zeros(len(starts), dtype=np.bool_),
        days=_days(ts),
    )


def load_market(path: Path, *, default_size: float = np.inf) -> Market:
    """Read and validate a file of quotes.

    Args:
        path: a `.parquet` or `.csv` file.
        default_size: coins at the best price where the file has no sizes; by default without limit.

    Raises:
        MarketDataError: it cannot be read or a row makes no sense; names file, row (from 1, the header not counted)
            and column.
    """
    columns = read_table(path)
    source = str(path)
    if len(columns["ts"]) == 0:
        raise MarketDataError(f"{source}: the file has no rows")
    problems = _problems(columns)
    if problems:
        raise MarketDataError("\n".join(f"{source}: {problem}" for problem in problems))
    return make_market(columns, source=source, default_size=default_size)


def _problems(columns: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Return one sentence for each rule that a row breaks, with the first such row."""
    ts = columns["ts"]
    problems = [
        _first((ts < EARLIEST_MS) | (ts > LATEST_MS), "ts", ts, "is no time in milliseconds since 1970"),
        _first(np.diff(ts, prepend=ts[:1]) < 0, "ts", ts, "is before the row above it"),
    ]
    for name in [name for name in columns if name not in WHOLE]:
        values = columns[name]
        lowest_fails = values < 0 if "size" in name else values <= 0
        rule = "must not be negative" if "size" in name else "must be above zero"
        problems.append(_first(~np.isfinite(values), name, values, "is not a finite number"))
        problems.append(_first(lowest_fails, name, values, rule))
    for low, high in (("bid_a", "ask_a"), ("bid_b", "ask_b"), ("fx_bid", "fx_ask")):
        if low in columns:
            crossed = columns[low] > columns[high]
            problems.append(_first(crossed, low, columns[low], f"is above {high}: the quote is crossed"))
    return [problem for problem in problems if problem]


def _first(bad: Flags, name: str, values: npt.NDArray[Any], what: str) -> str:
    """Return the sentence about the first bad row, empty if there is none."""
    count = int(np.count_nonzero(bad))
    if count == 0:
        return ""
    row = int(np.argmax(bad))
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"row {row + 1}, column {name}: {values[row]} {what}{more}"


def _days(ts: Integers) -> tuple[date, ...]:
    return tuple(date.fromordinal(EPOCH + int(number)) for number in np.unique(ts // DAY_MS))
