"""hftbacktest's event files (`.npz`, `.npy`): the best bid and ask that its depth events make, as a trader saw them.

An event is `ev` (its kind in the low 8 bits, flags above), `exch_ts`, `local_ts` (nanoseconds), `px`, `qty`,
`order_id`, `ival`, `fval` [https://hftbacktest.readthedocs.io/en/latest/data.html]. Those with the flag LOCAL are what
reached the trader; of these, depth events set a price level (0 removes it), snapshots too, clears remove what is at
least as good as a price, and BBO events say what the best one is. A level that the other side has crossed is gone. A
quote is what stands after the last event of a moment, where that changed it.

An initial snapshot (`create_last_snapshot`) has times of 0 and prices that are ticks times the tick size, such as
98.10000000000001: it is a book to begin with, no quote, and prices are the same where 12 digits are.
"""

from __future__ import annotations

import heapq
import math
import zipfile
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from tuning_worker.market.feeds.writing import Recorded
from tuning_worker.market.source import MarketDataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tuning_worker.market.data import Floats

DEPTH, CLEAR, SNAPSHOT, BBO = 1, 3, 4, 5
_ORDERS: Final = range(10, 14)
LOCAL, BUY, SELL = 1 << 30, 1 << 29, 1 << 28
_FIELDS: Final = ("ev", "exch_ts", "local_ts", "px", "qty")
_KIND: Final = 0xFF
_SLACK: Final = 1000
_DIGITS: Final = 12
_PORTION: Final = 100_000
_NOTHING: Final = (math.nan, math.nan)

_Event: TypeAlias = tuple[int, int, int, float, float]


def read(paths: Sequence[Path]) -> Recorded:
    """Rebuild the best quotes.

    Args:
        paths: files of one market in the order of time; the book of one goes on in the next.

    Raises:
        MarketDataError: a file cannot be read, is no such file, goes back in time or has nothing that reached a trader.
    """
    found = list(_quotes(_all_events(paths)))
    times = np.array([[local, exchange] for local, exchange, *_ in found], dtype=np.int64).reshape(-1, 2)
    cells = np.array([cells for *_, cells in found], dtype=np.float64).reshape(-1, 4)
    return Recorded(times[:, 0], times[:, 1], np.ascontiguousarray(cells.T))


class _Side:
    """One side of a book: quantities by price, and the best of them."""

    def __init__(self, sign: int) -> None:
        self._sign = sign  # that makes the best price the least
        self._levels: dict[float, float] = {}
        self._heap: list[float] = []

    def put(self, price: float, quantity: float) -> None:
        """Set a level; 0 removes it."""
        if quantity <= 0:
            self._levels.pop(price, None)
            return
        if price not in self._levels:
            heapq.heappush(self._heap, self._sign * price)
            if len(self._heap) > 2 * len(self._levels) + _SLACK:  # mostly of levels that have gone
                self._heap = sorted(self._sign * each for each in {*self._levels, price})
        self._levels[price] = quantity

    def clear(self, price: float, *, itself: bool = True) -> None:
        """Remove what is better than a price, and what is at it; everything if it is no finite number."""
        if not math.isfinite(price):
            self._levels.clear()
            self._heap.clear()
            return
        while self._heap and (self._heap[0] < self._sign * price or (itself and self._heap[0] == self._sign * price)):
            self._levels.pop(self._sign * heapq.heappop(self._heap), None)

    def best(self) -> tuple[float, float]:
        """Return the best price and the quantity there, NaN where there is none."""
        while self._heap:
            price = self._sign * self._heap[0]
            if price in self._levels:
                return price, self._levels[price]
            heapq.heappop(self._heap)
        return _NOTHING


def _quotes(events: Iterator[_Event]) -> Iterator[tuple[int, int, tuple[float, float, float, float]]]:
    """Yield local time, exchange time and bid, ask, bid size, ask size after each moment that changed them."""
    bids, asks = _Side(-1), _Side(1)
    moment, last = None, None
    for ev, exchange, local, price, quantity in events:
        if moment is not None and local != moment[0]:
            quote = _best(bids, asks)
            if quote != last and moment[0] > 0:
                last = quote
                yield (*moment, quote)
            moment = None
        _apply(bids, asks, ev, price, quantity)
        moment = (local, max(exchange, moment[1]) if moment else exchange)
    if moment is not None and moment[0] > 0 and (quote := _best(bids, asks)) != last:
        yield (*moment, quote)


def _best(bids: _Side, asks: _Side) -> tuple[float, float, float, float]:
    (bid, bid_size), (ask, ask_size) = bids.best(), asks.best()
    return bid, ask, bid_size, ask_size


def _apply(bids: _Side, asks: _Side, ev: int, price: float, quantity: float) -> None:
    kind = ev & _KIND
    if kind == CLEAR and not ev & (BUY | SELL):
        bids.clear(math.nan)
        asks.clear(math.nan)
        return
    if not ev & (BUY | SELL):
        return
    side, other = (bids, asks) if ev & BUY else (asks, bids)
    if kind == CLEAR:
        side.clear(price)
    elif kind in {DEPTH, SNAPSHOT, BBO}:
        if kind == BBO:
            side.clear(price, itself=False)
        side.put(price, quantity)
        if quantity > 0:
            other.clear(price)  # nobody leaves an order where it would have been filled


def _all_events(paths: Sequence[Path]) -> Iterator[_Event]:
    """Yield the events of all files that reached a trader, whose local times must not go back."""
    latest, whose = 0, -1
    for place, path in enumerate(paths):
        for event in _events(path):
            if event[2] < latest:
                late = f"{path}: an event with local_ts {event[2]} comes after one with {latest}"
                if place == whose:
                    raise MarketDataError(f"{late}; hftbacktest's correct_event_order puts them in order")
                raise MarketDataError(f"{late} of {paths[whose]}, which is named before it: name the oldest first")
            latest, whose = event[2], place
            yield event


def _events(path: Path) -> Iterator[_Event]:
    """Yield ev, exch_ts, local_ts, px, qty of the events that reached a trader."""
    data = _array(path)
    if data.ndim == 2:  # noqa: PLR2004 - rows and columns
        raise MarketDataError(
            f"{path}: it is of version 1 of hftbacktest, rows of plain numbers: make it one of version 2 with "
            "hftbacktest.data.utils.migration2.convert"
        )
    if not data.dtype.names or any(name not in data.dtype.names for name in _FIELDS):
        raise MarketDataError(f"{path}: it is no event file of hftbacktest: it lacks the fields {', '.join(_FIELDS)}")
    kinds: set[int] = set()
    for begin in range(0, len(data), _PORTION):
        part = data[begin : begin + _PORTION]
        part = part[(part["ev"] & LOCAL) != 0]
        kinds.update(np.unique(part["ev"] & _KIND).tolist())
        columns = [part[name].tolist() if name != "px" else _rounded(part[name]).tolist() for name in _FIELDS]
        yield from zip(*columns, strict=True)
    if not kinds:
        raise MarketDataError(f"{path}: no event in it has the flag LOCAL_EVENT, so none of them reached a trader")
    if not kinds & {DEPTH, SNAPSHOT, BBO}:
        what = "single orders (level 3)" if kinds & {*_ORDERS} else "trades"
        raise MarketDataError(f"{path}: it has events of {what} only; quotes are made of depth events (level 2)")


def _rounded(prices: Floats) -> Floats:
    """Return prices that are one and the same number where they are one and the same price."""
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN, of a clear, stay what they are
        unit = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(prices))))
        rounded: Floats = np.round(prices * unit) / unit
    return np.where(np.isfinite(rounded), rounded, prices)


def _array(path: Path) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            return np.asarray(loaded["data" if "data" in names else names[0]])
    except FileNotFoundError:
        raise MarketDataError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise MarketDataError(f"{path}: it cannot be read: {str(error).splitlines()[0]}") from error
