"""Quotes of another format made a feed's file: put in order, what cannot be traded on taken out, and written whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import UsageError
from tuning_worker.market.data import CELLS
from tuning_worker.market.feeds.files import columns_of
from tuning_worker.market.source import MarketDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuning_worker.market.data import Floats, Integers


@dataclass(frozen=True, eq=False, slots=True)
class Recorded:
    """Quotes as they were recorded: times in any one unit; prices and sizes, NaN where there are none.

    `cells` is (4·levels, n) in the order of a `Market`'s: bid, ask, bid size, ask size of each level.
    """

    local: Integers
    exchange: Integers
    cells: Floats


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What had to be done, in rows.

    Attributes:
        dropped: before the first whole quote.
        muted: of which a best price was missing, without a size, or crossed the other: they have the prices of the row
            before and sizes of 0, as nothing can be traded on them, and what was quoted before is gone.
        moved: that were not in the order of their local times.
        raised: whose exchange time was before one that had been seen: they have the latest instead.
    """

    dropped: int
    muted: int
    moved: int
    raised: int

    def __str__(self) -> str:
        said = {
            "dropped before the first whole quote": self.dropped,
            "without a price, a size or crossed: sizes set to 0": self.muted,
            "put in the order of their local times": self.moved,
            "given the latest exchange time seen": self.raised,
        }
        return "; ".join(f"{count} {what}" for what, count in said.items() if count)


def clean(quotes: Recorded) -> tuple[Recorded, Cleaning]:
    """Return the quotes as the engine takes them: never before the row above, priced, not crossed."""
    order = np.argsort(quotes.local, kind="stable")
    moved = int(np.count_nonzero(order != np.arange(len(order))))
    if moved:  # else nothing is copied: a year of quotes may be all that memory holds
        quotes = Recorded(quotes.local[order], quotes.exchange[order], quotes.cells[:, order])
    del order
    local, seen, cells = quotes.local, quotes.exchange, quotes.cells
    exchange = np.maximum.accumulate(seen) if len(seen) else seen
    with np.errstate(invalid="ignore"):  # NaN compares as false, which is what is wanted
        best = cells[:CELLS]
        good = np.isfinite(best).all(axis=0) & (best[:2] > 0).all(axis=0) & (best[2:] >= 0).all(axis=0)
        good &= best[0] <= best[1]
    last = np.maximum.accumulate(np.where(good, np.arange(len(good)), -1)) if len(good) else np.arange(0)
    kept = last >= 0
    muted = kept & ~good
    cells = np.ascontiguousarray(cells[:, np.maximum(last, 0)])
    _end_levels(cells)
    for size in range(2, len(cells), CELLS):
        cells[size : size + 2, muted] = 0.0
    done = Cleaning(
        dropped=int(np.count_nonzero(~kept)),
        muted=int(np.count_nonzero(muted)),
        moved=moved,
        raised=int(np.count_nonzero(exchange != seen)),
    )
    if not done.dropped:
        return Recorded(local, exchange, cells), done
    return Recorded(local[kept], exchange[kept], cells[:, kept]), done


def _end_levels(cells: Floats) -> None:
    """Have each side end at its first level that is not there or is no worse than the one above: 0 from there on."""
    for row in range(CELLS, len(cells)):
        side = row % CELLS
        if side > 1:
            cells[row][cells[row - 2] == 0] = 0.0
            continue
        above, price, size = cells[row - CELLS], cells[row], cells[row + 2]
        with np.errstate(invalid="ignore"):
            there = (above > 0) & (price > 0) & (size >= 0) & np.isfinite(price) & np.isfinite(size)
            there &= (price < above) if side == 0 else (price > above)
        price[~there] = 0.0


def write_feed(path: Path, quotes: Recorded, *, origin: str) -> None:
    """Write a feed's file, in place of one that is there; it is never there in part.

    Args:
        path: a `.parquet` or `.csv` file.
        quotes: at least one row.
        origin: where they come from, kept in a Parquet file's metadata.

    Raises:
        UsageError: the suffix is another, or the file cannot be written.
        MarketDataError: there are no quotes.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    from pyarrow import csv, parquet  # noqa: PLC0415

    if path.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"{path}: the file must be a .parquet or .csv file")
    if len(quotes.local) == 0:
        raise MarketDataError(f"{origin}: there is no quote with both sides in it")
    columns: Mapping[str, Integers | Floats] = {"local_ts": quotes.local, "exchange_ts": quotes.exchange} | dict(
        zip(columns_of(len(quotes.cells) // CELLS), quotes.cells, strict=True)
    )
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    unfinished: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        unfinished = Path(name)
        if path.suffix == ".csv":
            csv.write_csv(table, unfinished)
        else:
            parquet.write_table(table.replace_schema_metadata({"origin": origin}), unfinished, compression="zstd")
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        raise UsageError(f"{path}: it cannot be written: {error.strerror or error}") from error
