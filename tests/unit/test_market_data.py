"""Files of quotes: what is read, what is refused and how that is said, and the choice of days."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from tuning_worker.market import rows
from tuning_worker.market.data import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    CELLS,
    MORE,
    MS_NS,
    RATE,
    A,
    B,
    Quotes,
    assemble,
    chosen_days,
    merge,
)
from tuning_worker.market.dataset import Dataset
from tuning_worker.market.rows import load_market, make_market
from tuning_worker.market.source import MarketDataError, header_problems, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from tuning_worker.market.data import Market

DAY = 86_400_000
NOON = 1_700_000_000_000
QUOTES: dict[str, list[Any]] = {
    "ts": [NOON, NOON + 1000, NOON + 1000],
    "bid_a": [100.0, 101.0, 102.0],
    "ask_a": [100.5, 101.0, 102.5],
    "bid_b": [100, 101, 102],
    "ask_b": [101, 102, 103],
}
SIZES = {f"{side}_size_{venue}": [0.0, 1.0, 2.0] for side in ("bid", "ask") for venue in "ab"}


def write(folder: Path, columns: dict[str, Any], suffix: str = ".parquet") -> Path:
    path = folder / f"quotes{suffix}"
    table = pa.table(columns)
    if suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        csv.write_csv(table, path)
    return path


def refusal(folder: Path, **columns: Any) -> str:
    path = write(folder, QUOTES | columns)
    with pytest.raises(MarketDataError) as caught:
        load_market(path)
    return str(caught.value).replace(f"{path}: ", "")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_both_formats_are_read(tmp_path: Path, suffix: str) -> None:
    other = {"venue": ["x", "y", "z"], "fx": [1300.0, 1301.0, 1302.0], "seg": [5, 5, 9]}
    market = load_market(write(tmp_path, QUOTES | SIZES | other, suffix))
    assert market.events == 9
    assert market.local is market.exchange or market.local.base is market.exchange.base
    assert (market.local.dtype, market.feed.dtype, market.cells.dtype) == (np.int64, np.uint8, np.float64)
    assert market.cells.flags.c_contiguous
    assert not market.cells.flags.writeable
    assert market.local.tolist() == [NOON * MS_NS] * 3 + [(NOON + 1000) * MS_NS] * 6
    assert market.feed.tolist() == [A | MORE, B | MORE, RATE] * 3
    assert market.cells[BID, 1::3].tolist() == [100, 101, 102]
    assert market.cells[ASK_SIZE, 1::3].tolist() == [0, 1, 2]
    assert market.cells[BID, 2::3].tolist() == market.cells[ASK, 2::3].tolist() == [1300, 1301, 1302]
    assert market.stretches.tolist() == [[0, 6, 0], [6, 9, 0]]
    assert market.days == (date(2023, 11, 14),)


def test_what_is_optional_has_its_default(tmp_path: Path) -> None:
    path = write(tmp_path, QUOTES)
    assert np.isinf(load_market(path).cells[BID_SIZE:]).all()
    assert (load_market(path, default_size=2.5).cells[BID_SIZE:] == 2.5).all()
    assert not load_market(path).has_rate
    assert load_market(path).stretches.tolist() == [[0, 6, 0]]


def test_a_rate_may_have_two_sides(tmp_path: Path) -> None:
    market = load_market(write(tmp_path, QUOTES | {"fx_bid": [1.0, 2.0, 3.0], "fx_ask": [1.5, 2.5, 3.5]}))
    assert market.cells[:BID_SIZE, 2::3].tolist() == [[1, 2, 3], [1.5, 2.5, 3.5]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"ts": [1, NOON, NOON]}, "row 1, column ts: 1 is no time in milliseconds since 1970"),
        ({"ts": [NOON, NOON - 1, NOON]}, "row 2, column ts: 1699999999999 is before the row above it"),
        ({"bid_a": [1.0, 200, 300]}, "row 2, column bid_a: 200.0 is above ask_a: the quote is crossed (and 1 more)"),
        ({"ask_b": [101.0, None, 103.0]}, "row 2, column ask_b: nan is not a finite number"),
        ({"ask_b": [101.0, 102.0, np.inf]}, "row 3, column ask_b: inf is not a finite number"),
        ({"bid_b": [0.0, 1.0, 2.0]}, "row 1, column bid_b: 0.0 must be above zero"),
        ({"fx": [1.0, -1.0, 1.0]}, "row 2, column fx: -1.0 must be above zero"),
        (SIZES | {"bid_size_b": [1.0, 1.0, -1.0]}, "row 3, column bid_size_b: -1.0 must not be negative"),
        ({"fx_bid": [1, 1, 2], "fx_ask": [1] * 3}, "row 3, column fx_bid: 2.0 is above fx_ask: the quote is crossed"),
        ({"bid_a": ["1.5", "b", "c"]}, "row 2, column bid_a: 'b' is no number"),
        ({"ts": [1.5, 2.5, 3.5]}, "column ts must hold whole numbers only, it is double"),
        ({"seg": [1, None, 2]}, "row 2, column seg: it is empty, and must hold a number"),
        ({"fx": [True, True, False]}, "column fx must hold numbers, it is bool"),
        ({"fx_bid": [1.0] * 3}, "a two-sided rate needs both fx_bid and fx_ask"),
        ({"fx": [1.0] * 3, "fx_bid": [1.0] * 3, "fx_ask": [1.0] * 3}, "it has fx and fx_bid; give one of them"),
        ({"bid_size_a": [1.0] * 3}, "it has bid_size_a but not all four sizes; give all of them or none"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    assert refusal(tmp_path, **columns) == expected


def test_every_problem_is_told(tmp_path: Path) -> None:
    told = refusal(tmp_path, ts=[NOON, 0, NOON], bid_a=[-1.0, 101.0, 102.0])
    assert [line.split(":")[0] for line in told.splitlines()] == [
        "row 2, column ts",
        "row 2, column ts",
        "row 1, column bid_a",
    ]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {name: pa.array([], pa.int64()) for name in QUOTES})
    with pytest.raises(MarketDataError, match="the file has no rows"):
        load_market(path)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_missing_columns_are_named(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, {"ts": [1], "bid_a": [1.0], "price": [2.0]}, suffix)
    expected = f"{path}: it lacks ask_a, bid_b, ask_b; it has ts, bid_a, price"
    assert header_problems(path) == [expected]
    with pytest.raises(MarketDataError, match="it lacks ask_a"):
        load_market(path)


def test_a_header_is_read_alone(tmp_path: Path) -> None:
    assert header_problems(write(tmp_path, QUOTES)) == []
    assert read_header(write(tmp_path, QUOTES, ".csv")) == list(QUOTES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    assert header_problems(path) == [f"{path}: there is no such file"]


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quotes.xlsx"
    assert header_problems(path) == [f"{path}: market data must be a .parquet or .csv file"]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more of it", bytes(range(64, 128))])
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "quotes.parquet"
    path.write_bytes(content)
    assert header_problems(path)[0].startswith(f"{path}: it cannot be read: ")


def test_an_empty_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_bytes(b"")
    assert header_problems(path)[0].startswith(f"{path}: it cannot be read: ")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.mkdir()
    assert header_problems(path)[0].startswith(f"{path}: it cannot be read: ")


def prices(count: int) -> dict[str, Any]:
    return {name: list(range(count)) for name in ("bid_a", "ask_a", "bid_b", "ask_b")}


def test_days_can_be_chosen_and_nothing_is_copied() -> None:
    ts = [day * DAY + hour for day in range(5) for hour in (0, 1)]
    market = make_market({"ts": ts, "seg": [0] * 5 + [1] * 5, **prices(10)})
    days = market.days
    assert days[0] == date(1970, 1, 1)
    chosen = market.select(chosen_days({days[0], days[2], days[4]}, None, None))
    assert chosen.days == (days[0], days[2], days[4])
    assert chosen.stretches.tolist() == [[0, 4, 0], [8, 10, 1], [10, 12, 0], [16, 20, 1]]
    assert chosen.events == 12
    assert chosen.cells is market.cells
    again = chosen.select(chosen_days(None, days[2], None))
    assert again.stretches.tolist() == [[8, 10, 0], [10, 12, 0], [16, 20, 1]]
    assert chosen.select(lambda _: True).stretches.tolist() == chosen.stretches.tolist()


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, [0, 8]),
        (date(1970, 1, 2), None, [2, 8]),
        (None, date(1970, 1, 2), [0, 4]),
        (date(1970, 1, 2), date(1970, 1, 3), [2, 6]),
    ],
)
def test_days_can_be_bounded(first: date | None, last: date | None, expected: list[int]) -> None:
    market = make_market({"ts": [day * DAY for day in range(4)], **prices(4)})
    assert market.select(chosen_days(None, first, last)).stretches.tolist() == [[*expected, 0]]


def test_a_choice_without_rows_is_refused() -> None:
    market = make_market({"ts": [0, DAY], **prices(2)})
    with pytest.raises(MarketDataError, match="no row is on a chosen day; they are of 1970-01-01 to 1970-01-02"):
        market.select(chosen_days(None, date(1980, 1, 1), None))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1), st.sets(st.integers(0, 6), min_size=1))
def test_a_stretch_has_rows_that_were_neighbours_in_one_segment(rows: list[tuple[int, int]], kept: set[int]) -> None:
    days = sorted(day for day, _ in rows)
    segs = np.cumsum([step for _, step in rows])
    market = make_market({"ts": [day * DAY for day in days], "seg": segs, **prices(len(rows))})
    wanted = {date.fromordinal(date(1970, 1, 1).toordinal() + day) for day in kept}
    if not wanted & set(market.days):
        return
    chosen = market.select(wanted.__contains__)
    index = [row for row, day in enumerate(days) if day in kept]
    expected = [[index[0], index[0] + 1, 0]]
    for before, row in pairwise(index):
        if row != before + 1 or segs[row] != segs[before]:
            expected.append([row, row + 1, int(row != before + 1)])
        expected[-1][1] = row + 1
    assert chosen.stretches.tolist() == [[2 * first, 2 * last, skipped] for first, last, skipped in expected]


# --- feeds -----------------------------------------------------------------------------------------------------------


def quotes(*events: tuple[int, float], levels: int = 1, exchange: list[int] | None = None) -> Quotes:
    """Events of (local time, bid)."""
    cells = np.array([[bid, bid + 1, 1.0, 1.0] * levels for _, bid in events]).reshape(len(events), -1).T
    local = np.array([time for time, _ in events], dtype=np.int64)
    return Quotes(local, None if exchange is None else np.array(exchange), cells)


def test_feeds_are_merged_as_they_became_known() -> None:
    a, b = quotes((1, 10), (3, 11), (3, 12)), quotes((2, 20), (3, 21), levels=2)
    market = merge(a, b, quotes((3, 5), (4, 6), exchange=[2, 3]), breaks=[3, 4, 9])
    assert market.local.tolist() == [1, 2, 3, 3, 3, 3, 4]
    # What is known at one time is one moment; the first of two quotes of one venue is a moment of its own.
    assert market.feed.tolist() == [A, B, A, A | MORE, B | MORE, RATE, RATE]
    assert market.cells[BID].tolist() == [10, 20, 11, 12, 21, 5, 6]
    assert market.cells[CELLS + BID].tolist() == [0, 20, 0, 0, 21, 0, 0]
    assert market.exchange.tolist() == [1, 2, 3, 3, 3, 2, 3]
    assert (market.levels, market.has_rate) == (2, True)
    assert market.stretches.tolist() == [[0, 2, 0], [2, 6, 0], [6, 7, 0]]
    assert merge(a, b).exchange.tolist() == merge(a, b).local.tolist()


def test_mapped_files_make_the_same_market(tmp_path: Path) -> None:
    market = merge(quotes((1, 10), (3, 11)), quotes((2, 20)), quotes((4, 5)))
    names = ("local", "exchange", "feed", "cells")
    for name in names:
        np.save(tmp_path / f"{name}.npy", getattr(market, name))
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in names}
    again = assemble(source="mapped", **mapped, starts=market.stretches[:, 0], has_rate=True)
    for name in names:
        assert np.array_equal(getattr(again, name), getattr(market, name))
        assert type(getattr(again, name)) is np.ndarray
        assert getattr(again, name).base is not None  # a view
    assert again.days == market.days


def test_it_opens_when_all_is_quoted() -> None:
    a, b, rate = quotes((1, 10), (5, 11)), quotes((2, 20), (6, 21)), quotes((3, 5), (4, 6))
    assert merge(a, b, rate).opening() == ((10, 11), (20, 21), (5, 6))
    assert merge(a, b).opening() == ((10, 11), (20, 21), (1, 1))
    assert merge(a, b, rate, breaks=[2]).opening() == ((11, 12), (20, 21), (6, 7))
    # At 3 both are quoted, as one moment: the second quote of B is in it.
    assert merge(quotes((3, 10)), quotes((1, 20), (3, 21))).opening() == ((10, 11), (21, 22), (1, 1))
    late = merge(quotes((5, 10)), b, quotes((3, 5)), breaks=[4])
    assert late.opening() == ((10, 11), (21, 22), (5, 6))  # the rate outlasts a gap
    assert merge(quotes((3, 10)), quotes((3, 20)), quotes((3, 5))).opening() == ((10, 11), (20, 21), (5, 6))


def test_a_market_that_never_opens_is_refused() -> None:
    with pytest.raises(MarketDataError, match="no stretch in which both venues and the rate are quoted"):
        merge(quotes((1, 10)), quotes((2, 20)), breaks=[2]).opening()
    days = [quotes((hour, 10), (hour + DAY * MS_NS, 11)) for hour in (1, 2)]
    market = merge(days[0], days[1], quotes((3, 5)))
    with pytest.raises(MarketDataError, match="no stretch"):
        market.select(lambda day: day != market.days[0]).opening()


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path, QUOTES)

    def load_slowly(path: Path, *, default_size: float) -> Market:
        market = load_market(path, default_size=default_size)
        if changes:
            write(tmp_path, QUOTES | {"ask_b": [changes.pop(), 200, 200]})
        return market

    monkeypatch.setattr(rows, "load_market", load_slowly)
    changes = [200]
    with pytest.raises(MarketDataError, match="it was changed while it was read; try again"):
        Dataset(str(path), tmp_path).load(None, default_size=1.0)
    write(tmp_path, QUOTES)
    market = Dataset(str(path), tmp_path).load(None, default_size=1.0)
    assert market.opening()[1] == (100, 101)
