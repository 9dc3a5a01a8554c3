"""Feeds in files of their own: what is read and refused, importers, the report, and the market they make."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from orchestrator.errors import UsageError
from tuning_worker.__main__ import main
from tuning_worker.market import source
from tuning_worker.market.data import MORE, MS_NS, RATE, A, B
from tuning_worker.market.feeds import hftbacktest, tardis
from tuning_worker.market.feeds.files import MAX_LEVELS, UNITS, header_problems, read_feed, unit_of
from tuning_worker.market.feeds.quality import Series, days, longest_gaps
from tuning_worker.market.feeds.validation import load_feeds, load_quotes
from tuning_worker.market.feeds.writing import Recorded, clean, write_feed
from tuning_worker.market.source import MarketDataError, read_origin

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_700_000_000_000
"""2023-11-14, 22:13:20, in ms."""
QUOTES: dict[str, list[Any]] = {
    "local_ts": [NOON + 5, NOON + 6, NOON + 8],
    "exchange_ts": [NOON, NOON + 1, NOON + 2],
    "bid": [100.0, 101.0, 102.0],
    "ask": [100.5, 101.0, 102.5],
    "bid_size": [1.0, 0.0, 2.0],
    "ask_size": [3.0, 4.0, 5.0],
}
PRICES = {name: QUOTES[name] for name in ("local_ts", "bid", "ask")}
LEVELS: dict[str, list[Any]] = {
    "local_ts": [NOON, NOON + 1],
    "bid_0": [100.0, 101.0],
    "ask_0": [102.0, 103.0],
    "bid_size_0": [1.0, 1.0],
    "ask_size_0": [1.0, 1.0],
    "bid_1": [99.0, None],
    "ask_1": [102.5, 104.0],
    "bid_size_1": [7.0, 9.0],
    "ask_size_1": [8.0, 6.0],
}


def write(folder: Path, columns: dict[str, Any], suffix: str = ".parquet", name: str = "feed") -> Path:
    path = folder / f"{name}{suffix}"
    table = pa.table(columns)
    if suffix == ".parquet":
        parquet.write_table(table, path)
    elif suffix == ".csv":
        csv.write_csv(table, path)
    else:
        with gzip.open(path, "wb") as file:
            csv.write_csv(table, file)
    return path


def refusal(folder: Path, columns: dict[str, Any]) -> str:
    path = write(folder, columns)
    with pytest.raises(MarketDataError) as caught:
        load_quotes(path)
    return str(caught.value).replace(f"{path}: ", "")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    quotes, changes = load_quotes(write(tmp_path, QUOTES | {"symbol": ["x"] * 3, "seg": [4, 4, 5]}, suffix))
    assert quotes.local.tolist() == [time * MS_NS for time in QUOTES["local_ts"]]
    assert quotes.exchange is not None
    assert quotes.exchange.tolist() == [time * MS_NS for time in QUOTES["exchange_ts"]]
    assert quotes.cells.tolist() == [QUOTES[name] for name in ("bid", "ask", "bid_size", "ask_size")]
    assert changes.tolist() == [(NOON + 8) * MS_NS]


def test_one_time_stands_for_both_and_sizes_may_be_unknown(tmp_path: Path) -> None:
    for name in ("local_ts", "exchange_ts"):
        quotes, changes = load_quotes(write(tmp_path, {name: PRICES["local_ts"], "bid": [1], "ask": [2]} | PRICES))
        assert quotes.exchange is None or name == "exchange_ts"
        assert np.isinf(quotes.cells[2:]).all()
        assert not len(changes)
    only = {"exchange_ts": PRICES["local_ts"], **{name: PRICES[name] for name in ("bid", "ask")}}
    quotes, _ = load_quotes(write(tmp_path, only), default_size=2.5)
    assert quotes.exchange is None
    assert quotes.local[0] == (NOON + 5) * MS_NS
    assert (quotes.cells[2:] == 2.5).all()


def test_levels_are_read_and_one_that_is_not_there_is_zero(tmp_path: Path) -> None:
    quotes, _ = load_quotes(write(tmp_path, LEVELS))
    assert quotes.cells[4:].tolist() == [[99, 0], [102.5, 104], [7, 0], [8, 6]]
    without = {name: values for name, values in LEVELS.items() if "size" not in name}
    assert load_quotes(write(tmp_path, without))[0].cells[4:].tolist() == [
        [99, 0], [102.5, 104], [math.inf, 0], [math.inf, math.inf]
    ]  # fmt: skip


@given(st.datetimes(), st.sampled_from(sorted(UNITS)))
def test_a_time_has_one_unit(moment: Any, unit: str) -> None:
    seconds = (moment - moment.replace(1970, 1, 1, 0, 0, 0, 0)).total_seconds()
    time = int(seconds) * UNITS["s"] // UNITS[unit]
    if 10**8 <= seconds <= 9 * 10**9:
        assert unit_of(time) == unit
    fitting = [each for each, factor in UNITS.items() if 10**17 <= time * factor <= 9 * 10**18]
    assert fitting == [each for each in (unit_of(time),) if each]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("as_time", [False, True])
def test_units_are_known_by_their_size_or_their_type(tmp_path: Path, unit: str, as_time: bool) -> None:  # noqa: FBT001
    times = pa.array([NOON * MS_NS // UNITS[unit]], pa.int64())
    times = times.cast(pa.timestamp(unit)) if as_time else times
    feed = read_feed(write(tmp_path, {"local_ts": times, "bid": [1.0], "ask": [2.0]}))
    assert feed.units == {"local_ts": "ms" if as_time and unit == "s" else unit}  # Parquet has no times in seconds
    assert feed.nanoseconds("local_ts").tolist() == [NOON * MS_NS]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (QUOTES | {"local_ts": [1, 2, 3]}, "row 1, column local_ts: 1 is no time since 1970 in s, ms, us or ns"),
        (
            QUOTES | {"local_ts": [NOON, NOON * 1000, NOON * 1000]},
            "row 2, column local_ts: 1700000000000000 is no time since 1970 in ms, as the first row is (and 1 more)",
        ),
        (QUOTES | {"exchange_ts": [NOON, NOON - 1, NOON]}, "row 2, column exchange_ts: 1699999999999 is before the"),
        (QUOTES | {"bid": [1.0, 200, 300]}, "row 2, column bid: 200.0 is above ask: the quote is crossed (and 1 more)"),
        (QUOTES | {"ask": [101.0, None, 103.0]}, "row 2, column ask: nan is not a finite number"),
        (QUOTES | {"bid": [0.0, 1, 2]}, "row 1, column bid: 0.0 must be above zero"),
        (QUOTES | {"bid_size": [1.0, -1, 2]}, "row 2, column bid_size: -1.0 must not be negative"),
        (LEVELS | {"bid_1": [100.5, 99]}, "row 1, column bid_1: 100.5 is better than bid_0, or there is no bid_0"),
        (LEVELS | {"ask_1": [102.5, 102]}, "row 2, column ask_1: 102.0 is better than ask_0, or there is no ask_0"),
        (LEVELS | {"ask_1": [102.5, math.inf]}, "row 2, column ask_1: inf is not a finite number"),
        (LEVELS | {"ask_1": [-1.0, 105]}, "row 1, column ask_1: -1.0 must not be negative"),
        (QUOTES | {"bid": ["1", "a", "b"]}, "row 2, column bid: 'a' is no number"),
        (QUOTES | {"local_ts": [1.5] * 3}, "column local_ts must hold whole numbers only, it is double"),
        ({"bid": [1.0], "ask": [1.0]}, "it lacks local_ts or exchange_ts; it has bid, ask"),
        ({"local_ts": [NOON]}, "it lacks bid and ask, or bid_0 and ask_0; it has local_ts"),
        (LEVELS | {"bid": [1.0] * 2}, "it has bid and bid_0; give one of them"),
        ({"local_ts": [NOON], "bid": [1.0]}, "it lacks ask; it has local_ts, bid"),
        (PRICES | {"bid_size": [1.0] * 3}, "it has one of bid_size and ask_size; give both or none"),
        (
            {name.replace("_1", "_2"): values for name, values in LEVELS.items()},
            "it lacks bid_1; it lacks ask_1; it has local_ts",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    assert refusal(tmp_path, columns).startswith(expected)


def test_a_file_without_rows_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, {name: pa.array([], pa.int64()) for name in PRICES}) == "the file has no rows"
    assert header_problems(tmp_path / "none.parquet") == [f"{tmp_path / 'none.parquet'}: there is no such file"]
    assert MAX_LEVELS >= 5


# --- a market --------------------------------------------------------------------------------------------------------


def test_feeds_make_a_market(tmp_path: Path) -> None:
    a = write(tmp_path, QUOTES | {"seg": [0, 0, 1]}, name="a")
    b = write(tmp_path, LEVELS | {"local_ts": [(NOON + 6) * 1000, (NOON + 7) * 1000]}, ".csv", name="b")
    fx = write(tmp_path, {"exchange_ts": [NOON + 6], "bid": [1300.0], "ask": [1301.0]}, ".csv.gz", name="fx")
    market = load_feeds({"venue_a": a, "venue_b": b, "fx": fx}, source="the files")
    assert market.local.tolist() == [(NOON + each) * MS_NS for each in (5, 6, 6, 6, 7, 8)]
    assert market.feed.tolist() == [A, A | MORE, B | MORE, RATE, B, A]
    assert market.exchange.tolist()[:2] == [NOON * MS_NS, (NOON + 1) * MS_NS]
    assert market.stretches.tolist() == [[0, 5, 0], [5, 6, 0]]
    assert (market.levels, market.has_rate, market.source) == (2, True, "the files")
    assert not load_feeds({"venue_a": a, "venue_b": b}, source="").has_rate


def test_what_is_wrong_with_every_feed_is_told(tmp_path: Path) -> None:
    a = write(tmp_path, QUOTES | {"bid": [-1.0, 1, 1]}, name="a")
    b = tmp_path / "b.parquet"
    with pytest.raises(MarketDataError) as caught:
        load_feeds({"venue_a": a, "venue_b": b}, source="")
    assert str(caught.value) == f"{a}: row 1, column bid: -1.0 must be above zero\n{b}: there is no such file"


# --- cleaning --------------------------------------------------------------------------------------------------------

CELL = st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0, 3.0, math.inf])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), CELL, CELL, CELL, CELL), max_size=12))
def test_what_is_cleaned_can_be_traded_on_and_nothing_is_invented(rows: list[Any]) -> None:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    quotes, done = clean(Recorded(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2:]))
    assert (np.diff(quotes.local) >= 0).all()
    assert (np.diff(quotes.exchange) >= 0).all()
    bid, ask, bid_size, ask_size = quotes.cells
    assert (np.isfinite(quotes.cells).all(axis=0) & (bid > 0) & (bid <= ask)).all()
    assert (bid_size >= 0).all()
    assert (ask_size >= 0).all()
    assert len(quotes.local) + done.dropped == len(rows)
    whole = {row[2:] for row in rows if all(map(math.isfinite, row[2:])) and 0 < row[2] <= row[3] and min(row[4:]) >= 0}
    kept = set(zip(*quotes.cells.tolist(), strict=True))
    assert whole <= kept
    assert {each[:2] for each in kept} == {each[:2] for each in whole}
    assert (done.muted == 0) or (0.0, 0.0) in {each[2:] for each in kept}


# --- importers -------------------------------------------------------------------------------------------------------

HEADER = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"


def tardis_file(folder: Path, rows: str, name: str = "q.csv.gz") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress((HEADER + rows).encode()))
    return path


def test_tardis_quotes_become_a_feed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = tardis_file(tmp_path, "x,BTC,1700000000000300,1700000000000400,1,101,102,1\n", "late.csv.gz")
    early = tardis_file(
        tmp_path,
        "x,BTC,1700000000000100,1700000000000200,,,100,5\n"
        "x,ETH,1700000000000100,1700000000000201,9,9,8,9\n"
        "x,BTC,1700000000000100,1700000000000250,4,101,100,5\n"
        "x,BTC,1700000000000090,1700000000000260,4,102,100.5,5\n",
    )
    out = tmp_path / "feed.parquet"
    arguments = ["import", "tardis", str(late), str(early), "--output", str(out)]
    assert main(arguments) == 2
    assert "there is x BTC, x ETH; give --symbol" in capsys.readouterr().err
    assert main([*arguments, "--symbol", "BTC"]) == 0
    assert capsys.readouterr().out == (
        f"{out}: 3 quotes; 1 dropped before the first whole quote; 1 without a price, a size or crossed: sizes set to "
        "0; 4 put in the order of their local times; 1 given the latest exchange time seen\n"
    )
    assert main([*arguments, "--symbol", "BTC"]) == 2
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert main([*arguments, "--symbol", "XRP", "--force"]) == 2
    assert "none is called XRP: there is x BTC, x ETH; give --symbol" in capsys.readouterr().err
    quotes, _ = load_quotes(out)
    assert quotes.exchange is not None
    assert (quotes.exchange - 1_700_000_000_000_000_000).tolist() == [100_000, 100_000, 300_000]
    assert quotes.cells.tolist() == [[100, 100.5, 100.5], [101, 102, 102], [5, 5, 0], [4, 4, 0]]
    assert read_origin(out) == "imported from tardis: late.csv.gz, q.csv.gz"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("x,BTC,1700000000100,1700000000000200,1,2,1,1\n", "row 1, column timestamp: 1700000000100 is no time in us"),
        ("x,BTC,1,1700000000000200,1,2,1,1\n" * 2, "row 1, column timestamp: 1 is no time in us"),
        ("x,BTC,1700000000000100,,1,2,1,1\n", "column local_timestamp must hold whole numbers only"),
        (
            "x,BTC,1700000000000100,1700000000000200,1,2,1,1\nx,BTC,1700000000000100,,1,2,1,1\n",
            "row 2, column local_timestamp: it is empty",
        ),
        ("x,BTC,1700000000000100,1700000000000200,1,2,1,one\n", "row 1, column bid_amount: 'one' is no number"),
        ("", "there are no quotes in it"),
    ],
)
def test_what_is_no_tardis_time_is_refused(tmp_path: Path, rows: str, expected: str) -> None:
    with pytest.raises(MarketDataError, match=expected):
        tardis.read([tardis_file(tmp_path, rows)], None)


def test_another_file_is_no_tardis_file(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="it is no CSV file of Tardis: it lacks exchange"):
        tardis.read([write(tmp_path, QUOTES)], None)
    updates = tmp_path / "l2.csv"
    updates.write_text("exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n")
    with pytest.raises(MarketDataError, match=r"another data type of Tardis than quotes, .* it lacks bid_price"):
        tardis.read([updates], None)
    empty = tardis_file(tmp_path, "x,BTC,1700000000000100,1700000000000200,1,2,,\n")
    with pytest.raises(MarketDataError, match="there is no quote with both sides"):
        write_feed(tmp_path / "out.csv", clean(tardis.read([empty], None))[0], origin="nothing")


def test_a_day_without_quotes_and_a_symbol_of_digits_are_read(tmp_path: Path) -> None:
    """Downloads are a file a day, of one kind; a symbol is as the exchange spells it."""
    empty, row = (
        tardis_file(tmp_path, "", "day1.csv.gz"),
        "bitmex,{},1585699202957000,1585699203957000,12,6425.5,6425,1\n",
    )
    day = tardis_file(tmp_path, row.format("00123"), "day2.csv.gz")
    assert tardis.read([empty, day], None).cells.tolist() == [[6425], [6425.5], [1], [12]]
    assert len(tardis.read([tardis_file(tmp_path, row.format("7") + row.format("07"))], "07").local) == 1


def test_a_file_of_tardis_is_read_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = NOON * 1000
    rows = [f"x,{'BTC' if n % 3 else 'ETH'},{at + n},{at + n},{n or ''},{101 + n / 4},100,\n" for n in range(40)]
    path = tardis_file(tmp_path, "".join(rows).rstrip("\n"))
    whole = tardis.read([path], "BTC")
    damaged = tardis_file(tmp_path, "".join([*rows, rows[3].replace("100", "cheap")]), "damaged.csv.gz")
    for portion in (1, 50, 333, 100_000):
        monkeypatch.setattr(source, "PORTION", portion)
        read = tardis.read([path], "BTC")
        assert read.local.tolist() == whole.local.tolist()
        assert np.array_equal(read.cells, whole.cells, equal_nan=True)
        with pytest.raises(MarketDataError, match="row 41, column bid_price: 'cheap' is no number"):
            tardis.read([damaged], "BTC")


def test_levels_of_tardis_become_a_feed_with_levels(tmp_path: Path) -> None:
    """Five levels a side from the best one, asks first; empty where the book has none [the columns of
    book_snapshot_5 in https://docs.tardis.dev/downloadable-csv-files, as nautilus_trader's loader reads them].
    """
    columns = [
        f"{side}s[{level}].{what}" for level in range(5) for side in ("ask", "bid") for what in ("price", "amount")
    ]
    rows = [
        "50001,1.0,49999,1.5,50002,2,49998,2.5,50003,3,49997,3.5,50004,4,49996,4.5,50005,5,49995,5.5",
        "50001,1.0,49999,1.5,50002,2,,,50003,3,,,,,,,,,,",  # two bids fewer, and the asks end too
        "50001,1.0,49999,1.5,50000,2,49998,2,50003,3,49997,3,,,,,,,,",  # an ask out of order ends its side
    ]
    path, at = tmp_path / "binance_book_snapshot_5_2022-01-01_BTCUSDT.csv", 1_640_995_200_000_000
    path.write_text(
        f"exchange,symbol,timestamp,local_timestamp,{','.join(columns)}\n"
        + "".join(f"binance,BTCUSDT,{at + row},{at + row + 5},{cells}\n" for row, cells in enumerate(rows))
    )
    out = tmp_path / "feed.parquet"
    assert main(["import", "tardis", str(path), "--output", str(out)]) == 0
    cells = load_quotes(out)[0].cells.reshape(5, 4, 3)  # level, (bid, ask, bid size, ask size), row
    assert cells[:, :, 0].tolist() == [[49999 - n, 50001 + n, 1.5 + n, 1.0 + n] for n in range(5)]
    assert cells[:, :, 1].tolist() == [[49999, 50001, 1.5, 1], [0, 50002, 0, 2], [0, 50003, 0, 3], [0] * 4, [0] * 4]
    assert cells[:, :, 2].tolist() == [[49999, 50001, 1.5, 1], [49998, 0, 2, 0], [49997, 0, 3, 0], [0] * 4, [0] * 4]
    with pytest.raises(MarketDataError, match="the files have 1 and 5 levels"):
        tardis.read([path, tardis_file(tmp_path, "binance,BTCUSDT,1700000000000100,1700000000000200,1,2,1,1\n")], None)


DTYPE = [("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8")]
DTYPE += [("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8")]
BUY, SELL = hftbacktest.LOCAL | hftbacktest.BUY, hftbacktest.LOCAL | hftbacktest.SELL
NS = NOON * MS_NS


def events(folder: Path, *rows: tuple[int, int, float, float], name: str = "e.npz") -> Path:
    """Events of (ev, ns after noon, price, quantity); they happened 1 ns before they were known."""
    array = np.array([(ev, NS + at - 1, NS + at, px, qty, 0, 0, 0.0) for ev, at, px, qty in rows], dtype=DTYPE)
    np.savez_compressed(folder / name, data=array)
    return folder / name


def test_depth_events_make_the_best_quotes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    depth, clear, snapshot, bbo = hftbacktest.DEPTH, hftbacktest.CLEAR, hftbacktest.SNAPSHOT, hftbacktest.BBO
    path = events(
        tmp_path,
        (BUY | snapshot, 1, 100, 1),
        (BUY | snapshot, 1, 99, 2),
        (SELL | snapshot, 1, 101, 3),
        (SELL | snapshot, 1, 103, 4),
        (BUY | depth, 2, 98, 9),  # changes nothing at the top
        (BUY | depth, 3, 100, 0),  # the best bid goes
        (hftbacktest.BUY | depth, 3, 500, 1),  # at the exchange only
        (BUY | depth, 4, 102, 5),  # through the best ask
        (SELL | bbo, 5, 102.5, 6),
        (BUY | bbo, 6, 97, 7),  # everything better is gone
        (hftbacktest.LOCAL | 2, 7, 1, 1),  # a trade
        (SELL | clear, 8, 102.5, 0),
        (hftbacktest.LOCAL | clear, 9, 0, 0),
    )
    found = hftbacktest.read([path])
    assert (found.local - NS).tolist() == [1, 3, 4, 5, 6, 8, 9]
    assert (found.exchange - NS).tolist() == [0, 2, 3, 4, 5, 7, 8]
    assert found.cells[:, :6].T.tolist() == [
        [100, 101, 1, 3],
        [99, 101, 2, 3],
        [102, 103, 5, 4],
        [102, 102.5, 5, 6],
        [97, 102.5, 7, 6],
        [97, 103, 7, 4],
    ]
    assert np.isnan(found.cells[:, 6]).all()
    out = tmp_path / "feed.csv"
    assert main(["import", "hftbacktest", str(path), "--output", str(out)]) == 0
    assert "7 quotes; 1 without a price" in capsys.readouterr().out
    assert load_quotes(out)[0].cells[:, -1].tolist() == [97, 103, 0, 0]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(0, 3)), max_size=40))
def test_a_book_agrees_with_a_plain_one(moves: list[tuple[bool, int, int]]) -> None:
    bids, asks = hftbacktest._Side(-1), hftbacktest._Side(1)
    plain: tuple[dict[float, float], dict[float, float]] = {}, {}
    for is_bid, price, quantity in moves:
        hftbacktest._apply(bids, asks, (BUY if is_bid else SELL) | hftbacktest.DEPTH, float(price), float(quantity))
        own, other = plain if is_bid else plain[::-1]
        own[price] = quantity
        for each in [each for each in other if quantity and (each <= price if is_bid else each >= price)]:
            del other[each]
        for side, levels, best in ((bids, plain[0], max), (asks, plain[1], min)):
            there = {each: size for each, size in levels.items() if size}
            assert side.best() == (best(there), there[best(there)]) if there else math.isnan(side.best()[0])


def test_a_book_forgets_what_has_gone() -> None:
    side = hftbacktest._Side(1)
    side.put(1.0, 1.0)
    for _ in range(5000):
        side.put(2.0, 1.0)
        side.put(2.0, 0.0)
    assert len(side._heap) <= 1004
    assert side.best() == (1.0, 1.0)


@pytest.mark.parametrize("content", [b"", b"PK and no more", None])
def test_what_is_no_event_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "e.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MarketDataError, match=str(path)):
        hftbacktest.read([path])


CONVERTED = [  # ev, exch_ts, local_ts in us after noon, px, qty
    (0xE0000003, 0, 50, 99.8, 0),
    (0xE0000004, 0, 50, 100.0, 1),
    (0xE0000004, 0, 50, 99.8, 3),
    (0xD0000003, 0, 50, 100.2, 0),
    (0xD0000004, 0, 50, 100.1, 1.5),
    (0xD0000004, 0, 50, 100.2, 2.5),
    (0xE0000001, 100, 160, 100.0, 0),
    (0xD0000001, 100, 160, 100.05, 4),
    (0xE0000002, 120, 170, 100.05, 0.5),
    (0xD0000001, 200, 260, 100.05, 0),
    (0xA0000001, 250, 400, 99.95, 1),
    (0xE0000001, 300, 350, 100.1, 7),
    (0x60000001, 250, 400, 99.95, 1),
    (0xE0000001, 500, 520, 100.1, 0),
]
"""What hftbacktest 2.4.4's `hftbacktest.data.utils.tardis.convert` made of a small `incremental_book_L2` and `trades`
file: a snapshot after a clear of each side, a level that goes, a better one, a trade, a bid through the ask, and an
event whose exchange time came late, which is there twice: for the exchange (0xA…), and for the trader (0x6…)."""


def test_what_hftbacktest_converts_becomes_a_feed(tmp_path: Path) -> None:
    rows = [(ev, NS + 1000 * there, NS + 1000 * here, px, qty, 0, 0, 0.0) for ev, there, here, px, qty in CONVERTED]
    # As `create_last_snapshot` writes it: without times, and the price is a tick times 0.05, 98.10000000000001.
    before = [(0xE0000004, 0, 0, 1962 * 0.05, 1, 0, 0, 0.0)]
    rows.append((0xE0000001, NS + 600_000, NS + 650_000, 98.1, 0, 0, 0, 0.0))
    rows.append((0xE0000003, NS + 700_000, NS + 750_000, 98.2, 0, 0, 0, 0.0))
    for name, some in (("snapshot", before), ("day", rows)):
        np.savez_compressed(tmp_path / name, data=np.array(some, dtype=np.dtype(DTYPE, align=True)))
    found = hftbacktest.read([tmp_path / "snapshot.npz", tmp_path / "day.npz"])
    assert ((found.local - NS) // 1000).tolist() == [50, 160, 260, 350, 520, 750]
    assert ((found.exchange - NS) // 1000).tolist() == [0, 100, 200, 300, 500, 700]
    assert np.isnan(found.cells[0, 5])  # the level of the snapshot has gone too
    assert found.cells.T[:5].tolist() == [
        [100, 100.1, 1, 1.5],
        [99.8, 100.05, 3, 4],
        [99.8, 100.1, 3, 1.5],
        [100.1, 100.2, 7, 2.5],
        [99.95, 100.2, 1, 2.5],
    ]
    with pytest.raises(MarketDataError, match=r"day.npz: an event with local_ts .* named before it: name the oldest"):
        hftbacktest.read([tmp_path / "day.npz", tmp_path / "day.npz"])
    np.savez_compressed(tmp_path / "back", data=np.array(rows[::-1], dtype=DTYPE))
    with pytest.raises(MarketDataError, match="hftbacktest's correct_event_order puts them in order"):
        hftbacktest.read([tmp_path / "back.npz"])


def test_other_arrays_are_no_events(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", data=np.zeros((3, 6)))
    with pytest.raises(MarketDataError, match="it is of version 1 of hftbacktest"):
        hftbacktest.read([tmp_path / "old.npz"])
    for kind, what in ((10, "single orders"), (2, "trades")):
        with pytest.raises(MarketDataError, match=f"it has events of {what}"):
            hftbacktest.read([events(tmp_path, (BUY | kind, 1, 1, 1))])
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(MarketDataError, match="it lacks the fields ev, exch_ts"):
        hftbacktest.read([tmp_path / "x.npy"])
    with pytest.raises(MarketDataError, match="no event in it has the flag LOCAL_EVENT"):
        hftbacktest.read([events(tmp_path, (hftbacktest.BUY | hftbacktest.DEPTH, 1, 1, 1))])


def test_a_feed_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    quotes = Recorded(np.array([NS]), np.array([NS]), np.ones((4, 1)))
    with pytest.raises(UsageError, match=r"must be a \.parquet or \.csv file"):
        write_feed(tmp_path / "feed.txt", quotes, origin="")
    (tmp_path / "feed.csv").mkdir()
    with pytest.raises(UsageError, match="it cannot be written"):
        write_feed(tmp_path / "feed.csv", quotes, origin="")
    with pytest.raises(UsageError, match="it cannot be written: No such file"):
        write_feed(tmp_path / "none" / "feed.csv", quotes, origin="")
    assert [each.name for each in tmp_path.iterdir()] == ["feed.csv"]


# --- the report ------------------------------------------------------------------------------------------------------


def test_the_days_of_a_feed_are_told() -> None:
    day = 86_400 * 10**9
    local = np.array([day, day + 10**9, day + 10**9, 2 * day + 5 * 10**9])
    cells = np.array([[1.0, 1, 2, 2], [1.0, 1, 1, 3], [1, 1, 0, 1], [1, 1, 1, 1]])
    series = Series(local, local - np.array([1, 2, 3, -1]) * MS_NS, cells)
    first, second = days(series)
    assert (first.day, first.rows, first.same_time, first.repeated, first.crossed, first.locked, first.empty) == (
        "1970-01-02", 3, 1, 1, 1, 2, 1
    )  # fmt: skip
    assert (first.gap_median_s, first.gap_longest_s, first.unchanged_longest_s) == (0.5, 1, 1)
    assert (first.latency_ms, first.early, second.early, second.rows) == (2, 0, 1, 1)
    assert second.unchanged_longest_s == second.gap_longest_s == 86_404
    assert [gap.row for gap in longest_gaps(series)] == [4, 2]
    (only,) = days(Series(local[:1], None, cells[:, :1]))
    assert (only.gap_median_s, only.gap_longest_s, only.latency_ms) == (None, None, None)


def test_files_are_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, QUOTES, name="good")
    rows = {"ts": [NOON], "bid_a": [1.0], "ask_a": [2.0], "bid_b": [1.0], "ask_b": [2.0], "fx": [1.0]}
    joined = write(tmp_path, rows, ".csv", name="joined")
    assert main(["inspect", str(good), str(joined)]) == 0
    text = capsys.readouterr().out
    assert f"{good}: 3 quotes of one feed; local_ts in ms, exchange_ts in ms" in text
    assert "2023-11-14" in text
    assert text.count("can be traded on") == 2
    odd = write(tmp_path, QUOTES | {"bid": [1.0, 200, 300]}, name="odd")
    mixed = write(tmp_path, QUOTES | {"local_ts": [NOON, 1, 2]}, name="mixed")
    back = write(tmp_path, rows | {"ts": [1]}, name="back")
    none = write(tmp_path, {name: pa.array([], pa.int64()) for name in rows}, name="none")
    files = [odd, mixed, back, none, tmp_path / "away.csv", joined]
    assert main(["inspect", *map(str, files), "-o", "json"]) == 2
    told = json.loads(capsys.readouterr().out)["files"]
    assert [each["kind"] for each in told] == ["feed", "feed", "rows", None, None, "rows"]
    assert told[0]["problems"] == [
        {
            "file": str(odd), "row": 2, "column": "bid", "value": "200.0", "count": 2,
            "message": "row 2, column bid: 200.0 is above ask: the quote is crossed (and 1 more)",
        }
    ]  # fmt: skip
    assert told[0]["feeds"]["quotes"]["days"][0]["crossed"] == 2
    assert told[1]["feeds"] == told[2]["feeds"] == {}
    assert [each["problems"][0]["message"] for each in told[3:5]] == ["the file has no rows", "there is no such file"]
    assert list(told[5]["feeds"]) == ["a", "b", "fx"]
    rate = told[5]["feeds"]["fx"]["days"][0]
    assert (rate["size"], rate["empty"]) == (None, 0)  # it has no sizes to be without
    apart = write(tmp_path, QUOTES | {"seg": [1, 1, 2]}, name="apart")
    assert main(["inspect", str(apart)]) == 0
    assert (
        "no quote for 0.002 s from 2023-11-14T22:13:20.006Z, to row 3, where seg changes\n" in capsys.readouterr().out
    )
    assert main(["inspect", str(odd), str(tmp_path / "away.csv")]) == 2
    assert "  problem: row 2, column bid" in capsys.readouterr().out
