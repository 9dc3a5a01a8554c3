"""The arbitrage objective: its section of a tuning config, its parameters, and real quotes where they are."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from tuning_worker.check import check
from tuning_worker.config import load_tuning_config
from tuning_worker.market import synth
from tuning_worker.market.engine import simulate
from tuning_worker.market.feeds.files import SIDES
from tuning_worker.market.metrics import METRICS
from tuning_worker.market.parameters import PARAMETERS, Strategy, make_strategy, parameter_problems
from tuning_worker.market.rows import load_market
from tuning_worker.market.run import Transfers
from tuning_worker.market.source import MarketDataError
from tuning_worker.objectives.arbitrage import ArbitrageSpec

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "configs" / "d23_tuning" / "advanced_baseline.yaml"
REAL = REPOSITORY.parent / "shared" / "data" / "bbo_1m_btc_binanceus_coinbase" / "btcusd.parquet"

WRITTEN: dict[str, Any] = {
    "kind": "arbitrage",
    "metric": "net_pnl",
    "direction": "maximize",
    "data": "quotes.parquet",
    "capital": 10_000_000,
    "venue_a": {"fee_bps": 5, "latency_ms": 100},
    "venue_b": {"fee_bps": 5, "latency_ms": 100},
}
GOOD = {"min_spread_pct": 0.2, "slippage_bps": 10, "max_position_krw": 2_000_000, "exit_spread_pct": 0.0}
REAL_COSTS: dict[str, Any] = {
    "data": str(REAL),
    "quote_currency": "usd",
    "capital": 100_000,
    "venue_a": {"fee_bps": 10, "latency_ms": 100},
    "venue_b": {"fee_bps": 5, "latency_ms": 100},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a short market in it, where a tuning config might be."""
    synth.write(tmp_path / "quotes.parquet", synth.synthesize(5, 6000), seed=5)
    return tmp_path


def spec(**changes: Any) -> ArbitrageSpec:
    return ArbitrageSpec.model_validate(WRITTEN | changes)


def complaint(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        spec(**changes)
    return str(caught.value)


# --- the section -----------------------------------------------------------------------------------------------------


def test_the_shipped_config_loads_checks_and_finds_both_profit_and_loss() -> None:
    config = load_tuning_config(SHIPPED.read_bytes(), str(SHIPPED))
    assert config.objective.check(SHIPPED.parent, tuple(config.search_space)) == []
    assert config.search_space.keys() == GOOD.keys()
    objective = config.objective.build(SHIPPED.parent)
    good = objective.evaluate(GOOD).metrics
    assert tuple(good) == METRICS
    assert good["net_pnl"] == pytest.approx(35318.92, abs=0.01)
    bad = objective.evaluate({**GOOD, "min_spread_pct": 0.05, "exit_spread_pct": -0.2}).metrics
    assert bad["net_pnl"] is not None
    assert bad["net_pnl"] < -10_000


def test_data_starts_at_the_current_directory_then_beside_the_config(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    assert spec().resolved(folder)["data"] == str(folder / "quotes.parquet")
    (here / "quotes.parquet").write_bytes((folder / "quotes.parquet").read_bytes())
    assert spec().resolved(folder)["data"] == str(here / "quotes.parquet")


def test_the_snapshot_means_the_same_elsewhere_and_notices_another_file(folder: Path, tmp_path: Path) -> None:
    first = str(load_market(folder / "quotes.parquet").days[0])
    written = spec(days=[first], fixed={"slippage_bps": 3}, venue_a={"fee_bps": 1, "latency_ms": 0, "base": 2})
    snapshot = json.loads(json.dumps(written.resolved(folder)))
    again = ArbitrageSpec.model_validate(snapshot)
    assert again.resolved(tmp_path / "elsewhere") == snapshot
    params = {"min_spread_pct": 0.1}
    assert again.build(Path("/")).evaluate(params) == written.build(folder).evaluate(params)
    synth.write(folder / "quotes.parquet", synth.synthesize(6, 100), seed=6)
    with pytest.raises(MarketDataError, match="it has changed since the session was submitted"):
        again.build(Path("/"))


def test_a_missing_file_is_a_plain_sentence(tmp_path: Path) -> None:
    assert spec().check(tmp_path, ()) == [f"{Path('quotes.parquet').absolute()}: there is no such file"]
    with pytest.raises(MarketDataError, match="it cannot be read: No such file"):
        spec().resolved(tmp_path)


def split_up(folder: Path, *, fx: bool = True) -> dict[str, str]:
    """The folder's market as a file for each feed."""
    table = parquet.read_table(folder / "quotes.parquet")
    names = {f"venue_{venue}": [f"{side}_{venue}" for side in SIDES] for venue in "ab"} | {"fx": ["fx", "fx"]}
    for name, columns in names.items():
        feed = {"local_ts": table["ts"]} | {side: table[column] for side, column in zip(SIDES, columns, strict=False)}
        parquet.write_table(pa.table(feed), folder / f"{name}.parquet")
    return {name: f"{name}.parquet" for name in names if fx or name != "fx"}


def test_separate_feeds_are_the_market_that_their_rows_are(folder: Path) -> None:
    data = split_up(folder)
    assert spec(data=data).check(folder, tuple(GOOD)) == []
    assert spec(data=data).find_days(folder) == spec().find_days(folder)
    assert spec(data=data).build(folder).evaluate(GOOD) == spec().build(folder).evaluate(GOOD)


def test_the_snapshot_of_feeds_holds_what_they_held(folder: Path) -> None:
    written = spec(data=split_up(folder))
    snapshot = json.loads(json.dumps(written.resolved(folder)))
    assert snapshot["data"]["fx"] == str(folder / "fx.parquet")
    assert snapshot["data"].keys() >= {"venue_a_sha256", "venue_b_sha256", "fx_sha256"}
    again = ArbitrageSpec.model_validate(snapshot)
    assert again.resolved(Path("/")) == snapshot
    table = parquet.read_table(folder / "fx.parquet")
    parquet.write_table(table.slice(1), folder / "fx.parquet")
    assert again.check(Path("/"), ())[0].endswith(
        "it has changed since the session was submitted; submit a new session"
    )
    assert again.resolved(Path("/"))["data_sha256"] != snapshot["data_sha256"]
    (folder / "fx.parquet").unlink()
    assert again.check(Path("/"), ()) == [f"{folder / 'fx.parquet'}: there is no such file"]


def test_where_the_data_come_from_is_kept(folder: Path) -> None:
    assert spec().resolved(folder)["data_origin"].startswith("synthetic, made by tuning-worker synth")
    assert spec(data=split_up(folder, fx=False)).resolved(folder)["data_origin"] is None


def test_what_cannot_be_traded_on_is_refused_before_anything_runs(folder: Path) -> None:
    table = parquet.read_table(folder / "quotes.parquet")
    bids = table["bid_a"].to_pylist()
    bids[7] *= 2
    parquet.write_table(table.set_column(1, "bid_a", pa.array(bids)), folder / "quotes.parquet")
    (told,) = spec().check(folder, ())
    assert told.startswith(f"{folder / 'quotes.parquet'}: row 8, column bid_a:")
    assert told.endswith("is above ask_a: the quote is crossed")


def test_the_check_names_what_the_strategy_does_not_know(folder: Path) -> None:
    assert spec().check(folder, tuple(GOOD)) == []
    assert spec().check(folder, ("max_position_kwr",)) == [
        "the arbitrage strategy has no parameter 'max_position_kwr'; did you mean 'max_position_krw'?"
    ]
    assert spec(quote_currency="usd").check(folder, ("max_position_krw",)) == [
        "the arbitrage strategy has no parameter 'max_position_krw'; did you mean 'max_position_usd'?"
    ]
    assert spec(fixed={"slippage_bps": 1}).check(folder, ("slippage_bps",)) == [
        "slippage_bps is in both fixed and the search space: keep one"
    ]


def test_values_that_make_no_sense_are_found_before_anything_runs(folder: Path) -> None:
    path = folder / "tuning.yaml"
    path.write_text(
        """tuning:
  search_space:
    order_size_krw: {type: int, bounds: [-5, 5]}
    slippage_bps: {type: categorical, choices: [1, tight]}
    max_losses: 0
    exit_spread_pct: {type: float, bounds: [-1, 1]}
  objective:
    kind: arbitrage
    data: quotes.parquet
    capital: 1000
    venue_a: {fee_bps: 5, latency_ms: 1}
    venue_b: {fee_bps: 5, latency_ms: 1}
"""
    )
    told = check(path, None, 5, 0)["problems"]
    assert [(problem["line"], problem["path"][-1], problem["message"]) for problem in told] == [
        (3, "order_size_krw", "order_size_krw must be at least 0, got -5"),
        (4, "slippage_bps", "slippage_bps must be a number, got 'tight'"),
        (5, "max_losses", "max_losses must be at least 1, got 0"),
    ]


def test_the_check_loads_neither_numpy_nor_numba_for_a_config_without_data(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        json.dumps({"tuning": {"search_space": {"x": {"type": "int", "bounds": [1, 2]}}, "objective": WRITTEN}})
    )
    code = (
        "import sys; from pathlib import Path; from tuning_worker.config import load_tuning_config\n"
        "path = Path(sys.argv[1]); load_tuning_config(path.read_bytes(), str(path))\n"
        "sys.exit(' '.join({'numba', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"metric": "net_pln"}, "did you mean 'net_pnl'?"),
        ({"metric": "xyzzy"}, "there are net_pnl, gross_pnl"),
        ({"fixed": {"order_size": 1}}, "did you mean 'order_size_krw'?"),
        ({"fixed": {"slippage_bps": -1}}, "slippage_bps must be at least 0, got -1.0"),
        ({"fixed": {"slippage_bps": math.inf}}, "finite number"),
        ({"fixed": {"slippage_bps": "1"}}, "valid number"),
        ({"quote_currency": "K R W"}, "quote_currency"),
        ({"quote_currency": "K R W", "fixed": {"slippage_bps": 1}}, "1 validation error"),
        ({"capital": 0}, "greater than 0"),
        ({"venue_a": {"fee_bps": 5}}, "venue_a.latency_ms"),
        ({"venue_a": {"fee_bps": -5, "latency_ms": 1}}, "venue_a.fee_bps"),
        ({"from_day": "2024-01-02", "to_day": "2024-01-01"}, "from_day 2024-01-02 is after to_day 2024-01-01"),
        ({"days": []}, "days"),
        ({"folds": 3}, "folds"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert expected in complaint(**changes)


def test_capital_is_spread_over_money_and_coins_where_no_balance_is_given(folder: Path) -> None:
    quiet = {"min_spread_pct": 99.0}
    whole = spec(capital=4e6).build(folder)._tune[1]
    market = load_market(folder / "quotes.parquet")
    (bid_a, ask_a), (bid_b, ask_b), (rate, _) = market.opening()
    assert whole[0].quote == 1e6
    assert whole[0].base == pytest.approx(1e6 / ((bid_a + ask_a) / 2))
    assert whole[1].quote == pytest.approx(1e6 / rate)
    assert whole[1].base == pytest.approx(1e6 / rate / ((bid_b + ask_b) / 2))
    given = spec(venue_a={"fee_bps": 0, "latency_ms": 0, "quote": 0, "base": 0}).build(folder)
    assert (given._tune[1][0].quote, given._tune[1][0].base) == (0, 0)
    assert given.evaluate(quiet).metrics["trades"] == 0


def test_fixed_parameters_hold_unless_suggested(folder: Path) -> None:
    objective = spec(fixed={"min_spread_pct": 99}).build(folder)
    assert objective.evaluate({}).metrics["orders"] == 0
    assert objective.evaluate({"min_spread_pct": 0.05}).metrics["orders"] != 0


def test_default_size_bounds_what_can_be_traded(tmp_path: Path) -> None:
    columns = {name: values for name, values in synth.synthesize(5, 6000).items() if "size" not in name}
    synth.write(tmp_path / "quotes.parquet", columns, seed=5)
    params = {"min_spread_pct": 0.05, "order_size_krw": 1e5}
    unlimited, tiny = (spec(**size).build(tmp_path).evaluate(params).metrics for size in ({}, {"default_size": 1e-4}))
    assert (tiny["turnover"] or 0) < (unlimited["turnover"] or 0) / 5


# --- its parameters --------------------------------------------------------------------------------------------------


def test_parameters_are_translated_into_the_engines_units() -> None:
    given = {
        "min_spread_pct": 0.2,
        "exit_spread_pct": -0.1,
        "mean_window_ms": 1e6,
        "entry_deviations": 2,
        "exit_deviations": -1,
        "slippage_bps": 5,
        "order_size_usd": 100,
        "min_order_usd": 10,
        "max_position_usd": 1000,
        "transfer_position_usd": 500,
        "max_daily_loss_usd": 50,
        "max_daily_notional_usd": 9000,
        "max_trades_per_hour": 7,
        "cooldown_ms": 1500,
        "max_holding_ms": 60000,
        "max_losses": 3,
        "max_fx_jump_bps": 20,
        "pause_ms": 5000,
        "max_quote_age_ms": 250,
        "max_fx_age_ms": 9999,
    }
    assert len(given) == sum(not parameter.instead_of for parameter in PARAMETERS)
    assert make_strategy(given, "usd", 1.0) == Strategy(
        min_edge=0.002,
        exit_edge=-0.001,
        tolerance=0.0005,
        order_size=100,
        min_order=10,
        max_position=1000,
        max_daily_loss=50,
        cooldown_ms=1500,
        max_holding_ms=60000,
        mean_window_ms=1e6,
        entry_deviations=2,
        exit_deviations=-1,
        transfer_position=500,
        max_daily_notional=9000,
        max_trades_per_hour=7,
        max_losses=3,
        max_fx_jump=0.002,
        pause_ms=5000,
        max_quote_age_ms=250,
        max_fx_age_ms=9999,
    )


def test_edges_may_be_given_in_basis_points(folder: Path) -> None:
    one = make_strategy({"entry_edge_bps": 25, "exit_edge_bps": -5}, "usd", 1.0)
    assert one == make_strategy({"min_spread_pct": 0.25, "exit_spread_pct": -0.05}, "usd", 1.0)
    same = "entry_edge_bps and min_spread_pct say the same: keep one"
    assert spec(fixed={"min_spread_pct": 1}).check(folder, ("entry_edge_bps",)) == [same]
    assert same in complaint(fixed={"min_spread_pct": 1, "entry_edge_bps": 100})


def test_terms_are_translated_into_the_engines_units(folder: Path) -> None:
    venue = {"fee_bps": 5, "latency_ms": 0.25, "impact_ticks": 2, "tick": 0.5}
    objective = spec(venue_b=venue, transfers={"delay_ms": 5, "coin_fee": 0.1, "money_fee_bps": 3}).build(folder)
    assert (objective._tune[1][1].adverse, objective._tune[1][1].latency_ms) == (1.0, 0.25)
    assert objective._transfers == Transfers(5, 0.1, 0.0003)
    assert "impact_ticks needs tick, the size of one" in complaint(venue_b={**venue, "tick": 0})


def test_what_is_not_given_has_its_default() -> None:
    assert make_strategy({}, "krw", 1000.0) == Strategy(0.001, 0, 0.0005, 10, 0, 250, math.inf, 0, math.inf)


@pytest.mark.parametrize("value", [True, "5", None, math.nan])
def test_a_value_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"slippage_bps must be a number, got"):
        make_strategy({"slippage_bps": value}, "krw", 1.0)


def test_an_unknown_parameter_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no parameter 'zzz'; it has min_spread_pct, .*order_size_eur"):
        make_strategy({"zzz": 1}, "eur", 1.0)
    assert parameter_problems(["min_spread_pct"], "eur") == []


# --- real quotes -----------------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not REAL.exists(), reason="the real quotes, which may not be republished, are not here")


@real
def test_real_quotes_show_what_their_readme_says() -> None:
    market = load_market(REAL)
    assert market.events == 2 * 20_969
    (bid_a, bid_b), (ask_a, ask_b) = (market.cells[cell].reshape(-1, 2).T for cell in (0, 1))
    mid = (bid_a + ask_a + bid_b + ask_b) / 4
    best = np.maximum(bid_b - ask_a, bid_a - ask_b) / mid * 1e4
    for above, percent in ((0, 42.8), (5, 16.6), (10, 11.0), (15, 6.75), (20, 3.5), (30, 0.82), (50, 0.09)):
        assert 100 * np.mean(best > above) == pytest.approx(percent, abs=0.06)
    assert best.max() == pytest.approx(81.9, abs=0.1)


@real
def test_hitting_every_row_that_pays_once_earns_what_the_readme_says() -> None:
    terms = {"latency_ms": 0, "quote": 1e9, "base": 1e5}
    venues = {"venue_a": terms | {"fee_bps": 10}, "venue_b": terms | {"fee_bps": 5}}
    objective = spec(**REAL_COSTS | venues).build(Path("/"))
    strategy = make_strategy(
        {"min_spread_pct": 0, "exit_spread_pct": 99, "order_size_usd": 1e9, "max_position_usd": 1e12}, "usd", 1
    )
    run = simulate(*objective._tune, strategy)
    assert sum(run.cash) == pytest.approx(954, abs=1)
    assert run.coins[0] > 0  # all of it bought at Binance.US and sold at Coinbase
    assert sum(run.coins) == pytest.approx(0, abs=1e-9)


@real
def test_real_quotes_pay_in_the_crisis_only() -> None:
    params = {"min_spread_pct": 0.01, "slippage_bps": 10, "order_size_usd": 2000, "max_position_usd": 20_000}
    crisis = spec(**REAL_COSTS, from_day="2023-03-11", to_day="2023-03-14").build(Path("/")).evaluate(params).metrics
    calm = spec(**REAL_COSTS, to_day="2023-03-10").build(Path("/")).evaluate(params).metrics
    assert (crisis["entries"] or 0) > 20
    assert calm["orders"] == 0
    assert calm["net_pnl"] == 0
