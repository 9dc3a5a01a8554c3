"""Recorded quotes of one coin on two venues, as a stream of events.

The layout in memory is made to be kept in files as it is (`numpy.save`) and mapped by every worker on a host
(`numpy.load(mmap_mode="r")`, `assemble`): four flat arrays, never changed, never copied, and small tables beside them.

======== ================= ===========================================================================================
array    shape, type       what it holds for each of n events
======== ================= ===========================================================================================
local    (n,) int64        when it was known here: UTC nanoseconds since 1970, never decreasing
exchange (n,) int64        when it happened at its venue, the same unit, never decreasing within a feed; this is the
                           very array `local` where one time is all that was recorded
feed     (n,) uint8        whose quote it is: `A`, `B` or `RATE`; plus `MORE` where the next event is of the same moment
cells    (4·levels, n)     bid, ask, bid size, ask size of the best level, then of the next (C order, so that each row
         float64           is contiguous): prices in the venue's own quote currency, sizes in coins, `inf` where
                           nothing is known, 0 where there is no such level; of `RATE`, what one unit of B's quote
                           currency brings (bid) and costs (ask) in A's
======== ================= ===========================================================================================

A *moment* is what became known at one time: at most one event of each feed, in their order. The engine looks and
decides once a moment. (`moments` sets the flag for events in order; a file of rows is a moment a row, see `rows`.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tuning_worker.market.source import MarketDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

MS_NS = 1_000_000
DAY_NS = 86_400_000 * MS_NS
EPOCH = date(1970, 1, 1).toordinal()

A, B, RATE, MORE = 0, 1, 2, 4
"""What `Market.feed` is made of. The engine's compiled code contains these numbers, and those of the next lines."""
BID, ASK, BID_SIZE, ASK_SIZE = range(4)
CELLS = 4
"""Rows of `Market.cells` for one level of the book."""
GOES_ON = 2
"""In the last column of what `Market.parts` returns: no stretch begins here, one goes on."""


@dataclass(frozen=True, eq=False, slots=True)
class Market:
    """Recorded quotes of venues A and B, ready for the engine: the arrays of this module's docstring, and a choice.

    Attributes:
        source: where they come from, for messages.
        local: see above, as the next three.
        exchange: …
        feed: …
        cells: …
        has_rate: whether there is a feed `RATE`; if not, the two venues quote in one currency.
        stretches: (k, 3) int64: the first event of each stretch that is played, the first after it, and whether (1)
            events before it were left out, so that what prices did in between counts for nothing. An order does not
            outlive its stretch, and after its start nothing is decided until both venues have quoted again.
        days: the UTC days (by `local`) that have an event in a stretch, in order.
    """

    source: str
    local: Integers
    exchange: Integers
    feed: Bytes
    cells: Floats
    has_rate: bool
    stretches: Integers
    days: tuple[date, ...]

    @property
    def events(self) -> int:
        """The number of events in the stretches."""
        return int((self.stretches[:, 1] - self.stretches[:, 0]).sum())

    @property
    def levels(self) -> int:
        """How deep the books are."""
        return len(self.cells) // CELLS

    def select(self, wanted: Callable[[date], bool]) -> Market:
        """Return the same market with the UTC days that are wanted; no array is copied.

        Raises:
            MarketDataError: no event is left.
        """
        chosen = {day.toordinal() - EPOCH for day in self.days if wanted(day)}
        if not chosen:
            raise MarketDataError(
                f"{self.source}: no row is on a chosen day; they are of {self.days[0]} to {self.days[-1]}"
            )
        pieces: list[list[int]] = []
        left_out = False
        for begin, end, skipped in self.stretches.tolist():
            left_out, joins = left_out or bool(skipped), False
            for day, first, last in _by_day(self.local, begin, end):
                if day not in chosen:
                    left_out, joins = True, False
                elif joins:
                    pieces[-1][1] = last
                else:
                    pieces.append([first, last, int(left_out and bool(pieces))])
                    left_out, joins = False, True
        return replace(self, stretches=np.array(pieces, dtype=np.int64), days=_dates(chosen))

    def parts(self, ends: Sequence[date]) -> list[Integers]:
        """Return the stretches in parts, each up to the end of a day; to play all of them is to play the stretches.

        Args:
            ends: the last day of each part, ascending; of the last part that of the market.
        """
        parts: list[list[list[int]]] = [[] for _ in ends]
        for first, end, skipped in self.stretches.tolist():
            begin, how = first, skipped
            for part, day in zip(parts, ends, strict=True):
                midnight = (day.toordinal() - EPOCH + 1) * DAY_NS
                cut = begin + int(np.searchsorted(self.local[begin:end], midnight))
                if cut > begin:
                    part.append([begin, cut, how])
                    begin, how = cut, GOES_ON
        return [np.array(part, dtype=np.int64) for part in parts]

    def opening(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """Return bid and ask of A, of B and of the rate at the first moment at which all of them are known.

        Raises:
            MarketDataError: there is no such moment.
        """
        rate = -1  # the last event of that feed before a stretch, unless days are left out between
        for begin, end, skipped in self.stretches.tolist():
            rate = -1 if skipped else rate
            missing = (A, B, RATE) if self.has_rate and rate < 0 else (A, B)
            firsts = [_find(self.feed[begin:end], feed) for feed in missing]
            if min(firsts) >= 0:
                last = begin + max(firsts)
                while self.feed[last] & MORE:
                    last += 1
                at = [_find_last(self.feed, begin, last + 1, feed) for feed in (A, B, RATE)]
                prices = [(float(self.cells[BID, i]), float(self.cells[ASK, i])) for i in (*at[:2], max(at[2], rate))]
                return prices[0], prices[1], prices[2] if self.has_rate else (1.0, 1.0)
            rate = max(rate, _find_last(self.feed, begin, end, RATE)) if self.has_rate else rate
        raise MarketDataError(f"{self.source}: there is no stretch in which both venues and the rate are quoted")


@dataclass(frozen=True, eq=False, slots=True)
class Quotes:
    """One feed's events: `local`, `exchange` (or None) and `cells` as in a `Market`."""

    local: Integers
    exchange: Integers | None
    cells: Floats


def chosen_days(days: Collection[date] | None, first: date | None, last: date | None) -> Callable[[date], bool]:
    """Return the predicate for `Market.select`: in `days` where given, not before `first`, not after `last`."""

    def wanted(day: date) -> bool:
        return (days is None or day in days) and (first is None or day >= first) and (last is None or day <= last)

    return wanted


def assemble(
    *,
    source: str,
    local: Integers,
    exchange: Integers,
    feed: Bytes,
    cells: Floats,
    starts: Integers,
    has_rate: bool,
) -> Market:
    """Return the market that arrays as described above make; nothing is copied or validated.

    Args:
        source: where they come from, for messages.
        local: as above, like `exchange`, `feed` and `cells`; mapped files will do.
        exchange: …
        feed: …
        cells: …
        starts: (k,) the first event of each stretch, the first of all included.
        has_rate: whether there is a feed `RATE`.
    """
    ends = np.append(starts[1:], len(local))
    stretches = np.column_stack([starts, ends, np.zeros_like(starts)]).astype(np.int64)
    chosen = {day for begin, end, _ in stretches.tolist() for day, _, _ in _by_day(local, begin, end)}
    return Market(
        source=source,
        local=_fixed(local),
        exchange=_fixed(exchange),
        feed=_fixed(feed),
        cells=_fixed(cells),
        has_rate=has_rate,
        stretches=stretches,
        days=_dates(chosen),
    )


def merge(a: Quotes, b: Quotes, rate: Quotes | None = None, *, source: str = "memory", breaks: Any = ()) -> Market:
    """Merge separate feeds in the order in which they became known.

    Args:
        a: venue A's.
        b: venue B's.
        rate: what B's quote currency is worth in A's; None where the venues quote in the same one.
        source: where they come from, for messages.
        breaks: local times; a new stretch begins with the first event at or after each.
    """
    feeds = [quotes for quotes in (a, b, rate) if quotes is not None]
    local = np.concatenate([quotes.local for quotes in feeds])
    order = np.argsort(local, kind="stable")
    local = local[order]
    feed = np.repeat(np.arange(len(feeds), dtype=np.uint8), [len(quotes.local) for quotes in feeds])[order]
    exchange = local
    if any(quotes.exchange is not None for quotes in feeds):
        times = [quotes.local if quotes.exchange is None else quotes.exchange for quotes in feeds]
        exchange = np.concatenate(times)[order]
    starts = np.unique(np.append(0, np.searchsorted(local, np.asarray(breaks, dtype=np.int64))))
    cells = np.zeros((max(len(quotes.cells) for quotes in feeds), len(local)))
    for row, values in enumerate(cells):
        parts = [quotes.cells[row] if row < len(quotes.cells) else np.zeros(len(quotes.local)) for quotes in feeds]
        np.take(np.concatenate(parts), order, out=values)
    return assemble(
        source=source,
        local=local,
        exchange=exchange,
        feed=moments(local, feed),
        cells=cells,
        starts=starts[starts < len(local)],
        has_rate=rate is not None,
    )


def moments(local: Integers, feed: Bytes) -> Bytes:
    """Return `feed` with `MORE` set where the next event is of the same time and of a later feed."""
    more = np.zeros(len(feed), dtype=np.uint8)
    more[:-1] = (local[1:] == local[:-1]) & (feed[1:] > feed[:-1])
    return feed | (more * np.uint8(MORE))


def _by_day(local: Integers, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each UTC day that has an event from `begin` to `end`, its first and the one after it."""
    while begin < end:
        day = int(local[begin]) // DAY_NS
        last = begin + int(np.searchsorted(local[begin:end], (day + 1) * DAY_NS))
        yield day, begin, last
        begin = last


def _dates(numbers: Collection[int]) -> tuple[date, ...]:
    return tuple(date.fromordinal(EPOCH + number) for number in sorted(numbers))


def _find(feed: Bytes, wanted: int) -> int:
    """Return where a feed's first event is, -1 if nowhere, looking no further than it must."""
    for begin in range(0, len(feed), 65_536):
        found = np.flatnonzero((feed[begin : begin + 65_536] & ~np.uint8(MORE)) == wanted)
        if len(found):
            return begin + int(found[0])
    return -1


def _find_last(feed: Bytes, begin: int, end: int, wanted: int) -> int:
    """Return the last event of a feed from `begin` to `end`, -1 if there is none."""
    back = _find(feed[begin:end][::-1], wanted)
    return end - 1 - back if back >= 0 else -1


def _fixed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to, mapped or not, as compiled code tells such arrays from others."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
