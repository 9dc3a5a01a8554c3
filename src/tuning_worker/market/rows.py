"""Files of rows, each of which says what all feeds quoted at one time: validated, and made a market.

A file has `ts` (int64, UTC milliseconds, when the row was known), `bid_a ask_a bid_b ask_b` in each venue's own quote
currency, and optionally `bid_size_a ask_size_a bid_size_b ask_size_b` in coins, `fx` (A's currency for one unit of
B's; or two-sided, `fx_bid fx_ask`) and `seg` (an integer: nothing is traded across a change of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tuning_worker.market.data import CELLS, MORE, MS_NS, RATE, A, B, Market, assemble
from tuning_worker.market.findings import Finding, crossed, find, odd_prices, odd_sizes
from tuning_worker.market.source import SIZES, WHOLE, MarketDataError, read_table

if TYPE_CHECKING:
    from pathlib import Path

EARLIEST_MS, LATEST_MS = 10**11, 9 * 10**12
"""1973 to 2255: a `ts` outside was not written in milliseconds, or has no room in nanoseconds."""


def make_market(columns: dict[str, Any], *, source: str = "memory", default_size: float = np.inf) -> Market:
    """Make a market from columns named as in a file of rows, each row a moment; nothing is validated.

    Args:
        columns: array-likes of one length, at least 1.
        source: where they come from, for messages.
        default_size: coins at the best price where there are no sizes; by default without limit.
    """
    ts = np.asarray(columns["ts"], dtype=np.int64)
    has_rate = "fx" in columns or "fx_bid" in columns
    feeds = 3 if has_rate else 2
    rate = columns.get("fx")
    table = {"fx_bid": rate, "fx_ask": rate, "bid_size_fx": 0.0, "ask_size_fx": 0.0}
    table |= dict.fromkeys(SIZES, default_size) | columns
    cells = np.empty((CELLS, feeds * len(ts)))
    for which, names in enumerate(_NAMES[:feeds]):
        for cell, name in enumerate(names):
            cells[cell, which::feeds] = table[name]
    local = np.repeat(ts * MS_NS, feeds)
    seg = np.asarray(columns.get("seg", np.zeros(len(ts))), dtype=np.int64)
    return assemble(
        source=source,
        local=local,
        exchange=local,
        feed=np.tile(np.array([A | MORE, B | MORE, RATE] if has_rate else [A | MORE, B], dtype=np.uint8), len(ts)),
        cells=cells,
        starts=feeds * np.flatnonzero(np.diff(seg, prepend=seg[:1] - 1) != 0),
        has_rate=has_rate,
    )


_NAMES = (
    ("bid_a", "ask_a", "bid_size_a", "ask_size_a"),
    ("bid_b", "ask_b", "bid_size_b", "ask_size_b"),
    ("fx_bid", "fx_ask", "bid_size_fx", "ask_size_fx"),
)
"""The columns of a file of rows in the order of `Market.cells`, by feed; a rate has no sizes."""


def load_market(path: Path, *, default_size: float = np.inf) -> Market:
    """Read and validate a file of rows.

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
    if found := problems(columns):
        raise MarketDataError("\n".join(f"{source}: {finding}" for finding in found))
    return make_market(columns, source=source, default_size=default_size)


def problems(columns: dict[str, npt.NDArray[Any]]) -> list[Finding]:
    """Return one finding for each rule that a row of `read_table` breaks."""
    ts = columns["ts"]
    found = [
        *find((ts < EARLIEST_MS) | (ts > LATEST_MS), "ts", ts, "is no time in milliseconds since 1970"),
        *find(np.diff(ts, prepend=ts[:1]) < 0, "ts", ts, "is before the row above it"),
    ]
    for name in [name for name in columns if name not in WHOLE]:
        found += odd_sizes(name, columns[name]) if "size" in name else odd_prices(name, columns[name])
    for low, high in (("bid_a", "ask_a"), ("bid_b", "ask_b"), ("fx_bid", "fx_ask")):
        if low in columns:
            found += crossed(low, high, columns[low], columns[high])
    return found
