"""hftbacktest's event files (`.npz`, `.npy`): the best bid and ask that its depth events make, as a trader saw them.

An event is `ev` (its kind in the low 8 bits, flags above), `exch_ts`, `local_ts` (nanoseconds), `px`, `qty`,
`order_id`, `ival`, `fval` [https://hftbacktest.readthedocs.io/en/latest/data.html]. Those with the flag LOCAL are what
reached the trader; of these, depth events set a price level (0 removes it), snapshots too, clears remove what is at
least as good as a price, and BBO events say what the best one is. A level that the other side has crossed is gone. A
quote is what stands after the last event of a moment, where that changed it.
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

DEPTH, CLEAR, SNAPSHOT, BBO = 1, 3, 4, 5
LOCAL, BUY, SELL = 1 << 30, 1 << 29, 1 << 28
_FIELDS: Final = ("ev", "exch_ts", "local_ts", "px", "qty")
_KIND: Final = 0xFF
_SLACK: Final = 1000
_NOTHING: Final = (math.nan, math.nan)

_Event: TypeAlias = tuple[int, int, int, float, float]


def read(paths: Sequence[Path]) -> Recorded:
    """Rebuild the best quotes.

    Args:
        paths: files of one market in the order of time; the book of one goes on in the next.

    Raises:
        MarketDataError: a file cannot be read, is no such file, or has no event that reached a trader.
    """
    found = list(_quotes(event for path in paths for event in _events(path)))
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
            if quote != last:
                last = quote
                yield (*moment, quote)
            moment = None
        _apply(bids, asks, ev, price, quantity)
        moment = (local, max(exchange, moment[1]) if moment else exchange)
    if moment is not None and (quote := _best(bids, asks)) != last:
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


def _events(path: Path) -> Iterator[_Event]:
    """Yield ev, exch_ts, local_ts, px, qty of the events that reached a trader."""
    data = _array(path)
    if not data.dtype.names or any(name not in data.dtype.names for name in _FIELDS):
        raise MarketDataError(f"{path}: it is no event file of hftbacktest: it lacks the fields {', '.join(_FIELDS)}")
    data = data[(data["ev"] & LOCAL) != 0]
    if len(data) == 0:
        raise MarketDataError(f"{path}: no event in it has the flag LOCAL_EVENT, so none of them reached a trader")
    for begin in range(0, len(data), 100_000):
        part = data[begin : begin + 100_000]
        yield from zip(*(part[name].tolist() for name in _FIELDS), strict=True)


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
