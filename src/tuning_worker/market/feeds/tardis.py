"""Tardis' CSV files of best quotes and of levels, as they are downloaded (`.csv.gz`).

`quotes` and `book_ticker` have `exchange, symbol, timestamp, local_timestamp, ask_amount, ask_price, bid_price,
bid_amount`; `book_snapshot_5` and `book_snapshot_25` have `asks[0].price, asks[0].amount, bids[0].price,
bids[0].amount`, `asks[1].price` … in place of the last four. There may be more columns. Times are UTC microseconds;
where the exchange gives none, `timestamp` is `local_timestamp`; a side or level that is not there is empty
[https://docs.tardis.dev/downloadable-csv-files].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tuning_worker.market.feeds.files import MAX_LEVELS, unit_of
from tuning_worker.market.feeds.writing import Recorded
from tuning_worker.market.source import MarketDataError, numbers, read_header, read_portions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from tuning_worker.market.data import Integers

_TEXTS: Final = ("exchange", "symbol")
_TIMES: Final = ("local_timestamp", "timestamp")
_QUOTE: Final = ("bid_price", "ask_price", "bid_amount", "ask_amount")
_LEVELS: Final = tuple(
    (f"bids[{level}].price", f"asks[{level}].price", f"bids[{level}].amount", f"asks[{level}].amount")
    for level in range(MAX_LEVELS)
)


def read(paths: Sequence[Path], symbol: str | None) -> Recorded:
    """Read the quotes of one symbol.

    Args:
        paths: files of one exchange and one kind, such as its days, in any order; a day may have no rows.
        symbol: which one; needed where the files have several.

    Raises:
        MarketDataError: a file cannot be read or is no such file, or there are several symbols or exchanges, or none.
    """
    parts = [part for path in paths for part in _read(path, symbol)]
    there = sorted({source for *_, sources in parts for source in sources})
    wanted = [source for source in there if symbol is None or source.partition(" ")[2] == symbol]
    if not there:
        raise MarketDataError(f"{paths[0]}: there are no quotes in it" + (" or the others" if paths[1:] else ""))
    if len(wanted) != 1:
        found = f"there is {', '.join(there)}"
        told = found if wanted or symbol is None else f"none is called {symbol}: {found}"
        raise MarketDataError(f"{paths[0]}: a feed is one symbol of one exchange, and {told}; give --symbol")
    kinds = {part.cells.shape[0] for part, _ in parts}
    if len(kinds) > 1:
        counts = " and ".join(f"{kind // len(_QUOTE)}" for kind in sorted(kinds))
        raise MarketDataError(f"{paths[0]}: the files have {counts} levels; import files of one kind at a time")
    return Recorded(
        np.concatenate([part.local for part, _ in parts]),
        np.concatenate([part.exchange for part, _ in parts]),
        np.concatenate([part.cells for part, _ in parts], axis=1),
    )


def _read(path: Path, symbol: str | None) -> Iterator[tuple[Recorded, set[str]]]:
    """Yield a file's quotes of the symbol portion by portion, and what all there is in each: `exchange symbol`.

    A file of many symbols may be far larger than what is wanted of it, and than memory.
    """
    cells = _cells(path, read_header(path))
    for before, table in read_portions(path, (*_TEXTS, *_TIMES, *cells), _TEXTS):
        (exchanges, exchange_of), (symbols, symbol_of) = (_coded(table.pop(name)) for name in _TEXTS)
        wanted = np.array([symbol in {None, name} for name in symbols], dtype=np.bool_)[symbol_of]
        pairs = np.unique(exchange_of * len(symbols) + symbol_of)
        sources = {f"{exchanges[pair // len(symbols)]} {symbols[pair % len(symbols)]}" for pair in pairs.tolist()}
        local, exchange = (_times(path, name, table.pop(name), before)[wanted] for name in _TIMES)
        found = np.empty((len(cells), len(local)))
        for row, name in enumerate(cells):
            found[row] = _floats(path, name, table.pop(name), before)[wanted]
        yield Recorded(local, exchange, found), sources


def _cells(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of prices and amounts, level by level in the order of `Market.cells`."""
    if missing := [name for name in (*_TEXTS, *_TIMES) if name not in header]:
        raise MarketDataError(f"{path}: it is no CSV file of Tardis: it lacks {', '.join(missing)}")
    levels = [level for level in _LEVELS if level[0] in header] or [_QUOTE]
    cells = tuple(name for level in levels for name in level)
    if missing := [name for name in cells if name not in header]:
        raise MarketDataError(
            f"{path}: it is another data type of Tardis than quotes, book_ticker, book_snapshot_5 or book_snapshot_25: "
            f"it lacks {', '.join(missing)}"
        )
    return cells


def _coded(column: Any) -> tuple[list[str], Integers]:
    """Return the different texts of a column, and of each row which one it has; a million rows are no million texts."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    known = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    known = known.unify_dictionaries().combine_chunks()
    if isinstance(known, pa.ChunkedArray):  # of no chunks
        return [], np.empty(0, dtype=np.int64)
    texts = [str(text) for text in known.dictionary.to_pylist()]
    return [*texts, ""], known.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)


def _floats(path: Path, name: str, column: Any, before: int) -> npt.NDArray[np.float64]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    if pa.types.is_null(column.type):  # a side that is not there once in the file
        return np.full(len(column), np.nan)
    return numbers(path, name, column, before=before)


def _times(path: Path, name: str, column: Any, before: int) -> Integers:
    if len(column) == 0:  # of no type
        return np.empty(0, dtype=np.int64)
    times: Integers = numbers(path, name, column, whole=True, before=before)
    for row in (int(times.argmin()), int(times.argmax())):
        if unit_of(int(times[row])) != "us":
            raise MarketDataError(
                f"{path}: row {before + row + 1}, column {name}: {times[row]} is no time in us since 1970"
            )
    return times
