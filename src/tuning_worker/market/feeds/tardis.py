"""Tardis' `quotes` and `book_ticker` CSV files, as they are downloaded (`.csv.gz`).

Columns, of which there may be more: `exchange, symbol, timestamp, local_timestamp, ask_amount, ask_price, bid_price,
bid_amount`; times in UTC microseconds; a side that is not there is empty
[https://docs.tardis.dev/downloadable-csv-files].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tuning_worker.market.feeds.files import unit_of
from tuning_worker.market.feeds.writing import Recorded
from tuning_worker.market.source import MarketDataError, numbers, read_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tuning_worker.market.data import Integers

_CELLS: Final = ("bid_price", "ask_price", "bid_amount", "ask_amount")
_COLUMNS: Final = ("exchange", "symbol", "timestamp", "local_timestamp", *_CELLS)


def read(paths: Sequence[Path], symbol: str | None) -> Recorded:
    """Read the quotes of one symbol.

    Args:
        paths: files of one exchange, such as its days, in any order.
        symbol: which one; needed where the files have several.

    Raises:
        MarketDataError: a file cannot be read or is no such file, or there are several symbols or exchanges, or none.
    """
    parts = [_read(path, symbol) for path in paths]
    sources = sorted({source for _, there in parts for source in there})
    if len(sources) != 1:
        told = ", ".join(sources) or f"none called {symbol}"
        raise MarketDataError(f"{paths[0]}: a feed is one symbol of one exchange, and there is {told}: give --symbol")
    return Recorded(
        np.concatenate([part.local for part, _ in parts]),
        np.concatenate([part.exchange for part, _ in parts]),
        np.concatenate([part.cells for part, _ in parts], axis=1),
    )


def _read(path: Path, symbol: str | None) -> tuple[Recorded, set[str]]:
    table = read_columns(path, _COLUMNS)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise MarketDataError(f"{path}: it is no file of quotes by Tardis: it lacks {', '.join(missing)}")
    names, exchanges = (np.asarray(table[name].to_pylist(), dtype=object) for name in ("symbol", "exchange"))
    wanted = np.ones(len(names), dtype=np.bool_) if symbol is None else names == symbol
    cells = np.stack([_floats(path, name, table) for name in _CELLS])[:, wanted] if len(names) else np.empty((4, 0))
    sources = {f"{exchange} {name}" for exchange, name in zip(exchanges[wanted], names[wanted], strict=True)}
    local, exchange = (_times(path, name, table)[wanted] for name in ("local_timestamp", "timestamp"))
    return Recorded(local, exchange, cells), sources


def _floats(path: Path, name: str, table: dict[str, object]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    column: pa.ChunkedArray = table[name]
    if pa.types.is_null(column.type):  # a side that is not there once in the file
        return np.full(len(column), np.nan)
    return numbers(path, name, column)


def _times(path: Path, name: str, table: dict[str, object]) -> Integers:
    times: Integers = numbers(path, name, table[name], whole=True)
    for row in (int(times.argmin()), int(times.argmax())) if len(times) else ():
        if unit_of(int(times[row])) != "us":
            raise MarketDataError(f"{path}: row {row + 1}, column {name}: {times[row]} is no time in us since 1970")
    return times
