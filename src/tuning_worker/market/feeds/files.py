"""A file of one feed's quotes: what its header must have, and its columns as arrays. `validation` judges the rows.

======================================= ==============================================================================
column                                  what it holds
======================================= ==============================================================================
`local_ts` and/or `exchange_ts`         when the quote was known here, and when it happened at its venue: whole numbers
                                        since 1970 in s, ms, us or ns (told from each other by their size), or times;
                                        where there is one of them only, it is taken for both
`bid ask` [`bid_size ask_size`]         the best prices, in the venue's own quote currency, and coins there
`bid_0 ask_0` [`bid_size_0 ask_size_0`] the same by levels, from the best one; empty or 0 where there is no such level
… `bid_24` …
`seg`                                   optional: nothing is traded across a change of it
======================================= ==============================================================================

Of a rate, bid and ask are what one unit of venue B's quote currency brings and costs in venue A's; sizes have no
meaning. Other columns are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tuning_worker.market.source import MarketDataError, numbers, read_columns, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tuning_worker.market.data import Floats, Integers

TIMES: Final = ("local_ts", "exchange_ts")
SIDES: Final = ("bid", "ask", "bid_size", "ask_size")
"""In the order of `Market.cells`."""
MAX_LEVELS: Final = 25
UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
EARLIEST_S, LATEST_S = 10**8, 9 * 10**9
"""1973 to 2255: a time of one unit within cannot be one of another unit within."""

_LEVELS: Final = tuple(tuple(f"{side}_{level}" for side in SIDES) for level in range(MAX_LEVELS))
_KNOWN: Final = frozenset((*TIMES, "seg", *SIDES, *(name for names in _LEVELS for name in names)))


@dataclass(frozen=True, eq=False, slots=True)
class FeedFile:
    """A feed as it stands in its file.

    Attributes:
        path: the file.
        times: the columns of times there are, int64 in `units`.
        units: the unit of each, by its first row; empty text where that row is no time.
        seg: as in the file, if there.
        names: the columns of `cells`; an empty text where the file has none.
        cells: (4·levels, n) as in a `Market`, nothing filled in but 0 for levels that are not there, infinite sizes
            where the file has no sizes.
    """

    path: Path
    times: dict[str, Integers]
    units: dict[str, str]
    seg: Integers | None
    names: tuple[str, ...]
    cells: Floats

    @property
    def rows(self) -> int:
        """How many quotes there are."""
        return int(self.cells.shape[1])

    def nanoseconds(self, name: str) -> Integers:
        """Return a column of `times` as UTC nanoseconds since 1970; only where all of it is in its unit."""
        factor = UNITS[self.units[name]]
        return self.times[name] if factor == 1 else self.times[name] * factor


def header_problems(path: Path) -> list[str]:
    """Return what is wrong with the file as far as its header tells, one sentence each."""
    try:
        names = read_header(path)
    except MarketDataError as error:
        return [str(error)]
    found = [] if any(name in names for name in TIMES) else ["it lacks local_ts or exchange_ts"]
    flat, deep = "bid" in names, "bid_0" in names
    if flat == deep:
        found.append("it has bid and bid_0; give one of them" if flat else "it lacks bid and ask, or bid_0 and ask_0")
    else:
        for level in levels_of(names):
            prices, sizes = level[:2], level[2:]
            found += [f"it lacks {name}" for name in prices if name not in names]
            if (sizes[0] in names) != (sizes[1] in names):
                found.append(f"it has one of {sizes[0]} and {sizes[1]}; give both or none")
    if not found:
        return []
    return [f"{path}: {'; '.join(found)}; it has {', '.join(names)}"]


def columns_of(levels: int) -> tuple[str, ...]:
    """Return the names of the columns of prices and sizes in a file of so many levels, in the order of `cells`."""
    return SIDES if levels == 1 else tuple(name for names in _LEVELS[:levels] for name in names)


def levels_of(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each level's columns, whether all of them are there or not."""
    if "bid" in names:
        return (SIDES,)
    count = max((level + 1 for level, each in enumerate(_LEVELS) if any(name in names for name in each)), default=0)
    return _LEVELS[:count]


def read_feed(path: Path, *, default_size: float = np.inf) -> FeedFile:
    """Read a feed's file.

    Args:
        path: a `.parquet`, `.csv` or `.csv.gz` file.
        default_size: coins at every price where the file has no sizes.

    Raises:
        MarketDataError: it cannot be read, its header is wrong, it has no rows or a column holds no numbers.
    """
    if problems := header_problems(path):
        raise MarketDataError("\n".join(problems))
    table = read_columns(path, _KNOWN)
    levels = levels_of(list(table))
    rows = len(next(iter(table.values())))
    if rows == 0:
        raise MarketDataError(f"{path}: the file has no rows")
    cells = np.empty((len(SIDES) * len(levels), rows))
    wanted = tuple(name for level in levels for name in level)
    for row, name in enumerate(wanted):
        if name not in table:
            cells[row] = default_size
            continue
        cells[row] = numbers(path, name, table.pop(name))
    for row in range(len(SIDES), len(cells)):
        cells[row][np.isnan(cells[row])] = 0.0
        price = cells[row - 2] if row % len(SIDES) > 1 else cells[row]
        cells[row][price == 0] = 0.0  # no coins where there is no such level
    read = {name: _times(path, name, table[name]) for name in TIMES if name in table}
    present = read_header(path)
    return FeedFile(
        path=path,
        times={name: values for name, (values, _) in read.items()},
        units={name: unit for name, (_, unit) in read.items()},
        seg=numbers(path, "seg", table["seg"], whole=True) if "seg" in table else None,
        names=tuple(name if name in present else "" for name in wanted),
        cells=cells,
    )


def _times(path: Path, name: str, values: Any) -> tuple[Integers, str]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    if pa.types.is_timestamp(values.type):
        return numbers(path, name, values.cast(pa.int64()), whole=True), values.type.unit
    read = numbers(path, name, values, whole=True)
    return read, unit_of(int(read[0]))


def unit_of(time: int) -> str:
    """Return the unit in which a number is a time between 1973 and 2255, an empty text if there is none."""
    for unit, factor in UNITS.items():
        if EARLIEST_S * UNITS["s"] <= time * factor <= LATEST_S * UNITS["s"]:
            return unit
    return ""
