"""What in a feed's rows cannot be traded on, and the feeds that can, merged into a market."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tuning_worker.market.data import CELLS, Market, Quotes, merge
from tuning_worker.market.feeds.files import EARLIEST_S, LATEST_S, UNITS, FeedFile, read_feed
from tuning_worker.market.findings import Finding, crossed, find, odd_prices, odd_sizes
from tuning_worker.market.source import MarketDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tuning_worker.market.data import Integers


def problems(feed: FeedFile) -> list[Finding]:
    """Return one finding for each rule that a row of the feed breaks. None: it can be traded on."""
    found: list[Finding] = []
    for name, values in feed.times.items():
        found += _odd_times(name, values, feed.units[name])
    for row, name in enumerate(feed.names):
        if not name:
            continue
        level, side = divmod(row, CELLS)
        values = feed.cells[row]
        if side > 1:
            found += odd_sizes(name, values)
        elif level == 0:
            found += odd_prices(name, values)
        else:
            found += _odd_level(feed, row)
    return found + crossed(feed.names[0], feed.names[1], feed.cells[0], feed.cells[1])


def _odd_times(name: str, values: Integers, unit: str) -> list[Finding]:
    if not unit:
        return find(np.arange(len(values)) == 0, name, values, "is no time since 1970 in s, ms, us or ns")
    factor = UNITS["s"] // UNITS[unit]
    out = (values < EARLIEST_S * factor) | (values > LATEST_S * factor)
    back = np.zeros(len(values), dtype=np.bool_)
    back[1:] = values[1:] < values[:-1]
    return [
        *find(out, name, values, f"is no time since 1970 in {unit}, as the first row is"),
        *find(back, name, values, "is before the row above it"),
    ]


def _odd_level(feed: FeedFile, row: int) -> list[Finding]:
    """Return what is wrong with a price below the best one, which may be missing (0)."""
    name, better, values, above = feed.names[row], feed.names[row - CELLS], feed.cells[row], feed.cells[row - CELLS]
    is_ask = row % CELLS == 1
    better_than = values < above if is_ask else values > above
    odd = (values > 0) & ((above <= 0) | better_than)
    return [
        *find(~np.isfinite(values), name, values, "is not a finite number"),
        *find(values < 0, name, values, "must not be negative"),
        *find(odd, name, values, f"is better than {better}, or there is no {better}"),
    ]


def load_quotes(path: Path, *, default_size: float = np.inf) -> tuple[Quotes, Integers]:
    """Read and validate a feed's file.

    Returns:
        Its quotes, and the local times at which `seg` changes.

    Raises:
        MarketDataError: as `read_feed`, or a row makes no sense; names file, row (from 1, the header not counted) and
            column.
    """
    feed = read_feed(path, default_size=default_size)
    if found := problems(feed):
        raise MarketDataError("\n".join(f"{path}: {finding}" for finding in found))
    local, *rest = [feed.nanoseconds(name) for name in feed.times]  # in the order of `TIMES`
    changes = np.empty(0, dtype=np.int64) if feed.seg is None else local[1:][np.diff(feed.seg) != 0]
    return Quotes(local, rest[0] if rest else None, feed.cells), changes


def load_feeds(paths: Mapping[str, Path], *, source: str, default_size: float = np.inf) -> Market:
    """Read, validate and merge separate feeds.

    Args:
        paths: `venue_a`, `venue_b` and, where the venues quote in different currencies, `fx`.
        source: what to call them in messages.
        default_size: coins at every price where a file has no sizes; by default without limit.

    Raises:
        MarketDataError: as `load_quotes`, for all that is wrong with any of them.
    """
    quotes, breaks, told = [], [], []
    for name in ("venue_a", "venue_b", "fx"):
        if name in paths:
            try:
                feed, changes = load_quotes(paths[name], default_size=default_size)
            except MarketDataError as error:
                told.append(str(error))
            else:
                quotes.append(feed)
                breaks.append(changes)
    if told:
        raise MarketDataError("\n".join(told))
    return merge(*quotes, source=source, breaks=np.concatenate(breaks))
