"""The paper engine on markets small enough to compute by hand. `test_engine_random.py` has the random ones."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest

from tuning_worker.market import engine
from tuning_worker.market.data import Quotes, merge
from tuning_worker.market.parameters import Strategy
from tuning_worker.market.rows import make_market
from tuning_worker.market.run import Transfers, Venue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tuning_worker.market.data import Market
    from tuning_worker.market.run import Run

pytestmark = pytest.mark.every_python

DAY = 86_400_000

FREE = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=1_000.0, base=10.0)
EAGER = Strategy(
    min_edge=0.01,
    exit_edge=math.inf,
    tolerance=0.0,
    order_size=100.0,
    min_order=0.0,
    max_position=math.inf,
    max_daily_loss=math.inf,
    cooldown_ms=0.0,
    max_holding_ms=math.inf,
)
# mid of A is 100 throughout, so that an order of 100 is one coin
LEVEL = (99.0, 101.0, 99.0, 101.0)
B_DEAR = (99.0, 101.0, 103.0, 104.0)
A_DEAR = (99.0, 101.0, 96.0, 97.0)


MODULES = ("caching", "layout", "prices", "legs", "inventory", "premium", "decisions", "vectors", "skim", "play")


@pytest.fixture(scope="module", params=["compiled", "interpreted"])
def kernel(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The machine code, and the same source without numba."""
    name = "tuning_worker.market.kernel"
    if request.param == "compiled":
        yield importlib.import_module(f"{name}.play")
        return
    spelled = [f"{name}.{module}" for module in MODULES]
    compiled = {module: sys.modules.pop(module, None) for module in spelled}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", 1)
        yield importlib.import_module(spelled[-1])
    sys.modules |= {module: code for module, code in compiled.items() if code}


@pytest.fixture(autouse=True)
def _kernel(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test on both: they must agree, bit for bit."""
    monkeypatch.setattr(engine, "play", kernel)


def market(*rows: tuple[float, ...], ts: list[int] | None = None, **columns: Any) -> Market:
    """One row a second of (bid_a, ask_a, bid_b, ask_b)."""
    names = ("bid_a", "ask_a", "bid_b", "ask_b")
    prices = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return make_market({"ts": ts or [1000 * index for index in range(len(rows))], **prices, **columns})


def play(quotes: Market, a: Venue = FREE, b: Venue = FREE, **strategy: float) -> Run:
    """Run it, with the events of the log as rows."""
    run = engine.simulate(quotes, (a, b), replace(EAGER, **strategy), log=True)
    feeds = 3 if quotes.has_rate else 2
    return replace(
        run,
        order_log=tuple(replace(order, event=order.event // feeds) for order in run.order_log),
        fill_log=tuple(replace(fill, event=fill.event // feeds) for fill in run.fill_log),
    )


def fills(run: Run) -> list[tuple[int, int, float, float]]:
    return [(fill.event, fill.venue, fill.quantity, fill.price) for fill in run.fill_log]


def sizes(count: int, size: float, **changed: list[float]) -> dict[str, Any]:
    """The same size everywhere, but for what is given."""
    return {f"{side}_size_{venue}": [size] * count for side in ("bid", "ask") for venue in "ab"} | changed


def rejections(run: Run) -> dict[str, int]:
    return {reason: count for reason, count in run.rejected.items() if count}


def test_a_spread_is_bought_where_it_is_cheap_and_sold_where_it_is_dear() -> None:
    fees = replace(FREE, fee=0.001), replace(FREE, fee=0.002)
    run = play(market(B_DEAR, (103.0, 104.0, 103.0, 104.0)), *fees)
    assert fills(run) == [(0, 0, 1.0, 101.0), (0, 1, -1.0, 103.0)]
    assert run.coins == (1.0, -1.0)
    assert run.cash == (-101 * 1.001, 103 * 0.998)
    assert run.fees == pytest.approx(0.101 + 0.206)
    assert run.turnover == 204
    assert run.slippage == 0
    # The end: one coin more at A, which brings 103 less 0.1 %; one less at B, which would have brought 103 less 0.2 %.
    assert run.net_pnl == pytest.approx(-101 * 1.001 + 103 * 0.998 + 103 * 0.999 - 103 * 0.998)
    assert run.max_drawdown == pytest.approx(101 * 1.001 - 99 * 0.999)
    assert (run.entries, run.exits, run.wins, run.orders, run.hedges) == (1, 0, 1, 1, 0)
    assert run.order_log[0].edge == pytest.approx(103 * 0.998 / (101 * 1.001) - 1)
    assert run.capital == pytest.approx(2_000 + 10 * 99 * 0.999 + 10 * 103 * 0.998)


def test_it_goes_both_ways() -> None:
    run = play(market(A_DEAR))
    assert fills(run) == [(0, 0, -1.0, 99.0), (0, 1, 1.0, 97.0)]


def test_an_edge_below_the_threshold_is_left_alone() -> None:
    edge = 103 / 101 - 1
    assert play(market(B_DEAR), min_edge=edge).orders == 1
    assert play(market(B_DEAR), min_edge=math.nextafter(edge, 1)).orders == 0


def test_fees_and_impacts_count_against_the_edge() -> None:
    for costly in (replace(FREE, fee=0.006), replace(FREE, impact=0.006)):
        assert play(market(B_DEAR), costly, tolerance=0.1).orders == 1
        assert play(market(B_DEAR), costly, costly, tolerance=0.1).orders == 0


def test_without_a_spread_nothing_is_traded_and_nothing_is_earned_though_the_coin_doubles() -> None:
    rows = [tuple(price * (1 + step / 10) for price in LEVEL) for step in range(11)]
    run = play(market(*rows), min_edge=0.0)
    assert run.orders == 0
    assert run.net_pnl == 0
    assert run.max_drawdown == 0
    assert run.daily == (0.0,)


def test_each_leg_fills_on_its_own_venues_first_row_after_its_latency() -> None:
    rows = [B_DEAR, *[(99.0, 101.0, 103.0 + step, 104.0 + step) for step in range(1, 5)]]
    slow, quick = replace(FREE, latency_ms=2500), replace(FREE, latency_ms=1000)
    run = play(market(*rows), quick, slow)
    assert fills(run)[:2] == [(1, 0, 1.0, 101.0), (3, 1, -1.0, 106.0)]
    assert run.exposure_seconds == 2
    assert run.slippage == -3  # sold for 106 where 103 was seen
    assert rejections(run) == {"in_flight": 3}  # rows 1 and 2, and 4, after the second order of row 3
    assert run.expired == 1  # its leg at B; the one at A filled at row 4


def test_at_zero_latency_of_one_venue_its_leg_fills_at_once_and_the_other_later() -> None:
    run = play(market(B_DEAR, LEVEL, LEVEL), FREE, replace(FREE, latency_ms=1), tolerance=0.1)
    assert fills(run) == [(0, 0, 1.0, 101.0), (1, 1, -1.0, 99.0)]
    assert run.wins == 0


def test_while_an_order_is_under_way_only_what_was_wanted_counts_as_rejected() -> None:
    late = replace(FREE, latency_ms=3000)
    run = play(market(B_DEAR, LEVEL, B_DEAR, LEVEL, LEVEL), late, late, tolerance=0.1)
    assert rejections(run) == {"in_flight": 1}


def test_a_leg_whose_limit_is_left_is_missed_and_the_other_is_hedged_where_it_is_best() -> None:
    late = replace(FREE, latency_ms=1000)
    gone, then = (99.0, 101.0, 102.0, 104.0), (100.0, 101.0, 99.0, 101.0)
    run = play(market(B_DEAR, gone, then, then), late, late, tolerance=0.009, min_edge=0.015)
    assert fills(run) == [(1, 0, 1.0, 101.0), (2, 1, -1.0, 99.0)]  # B was the better bid when it was decided
    assert (run.missed, run.hedges, run.entries) == (1, 1, 0)
    assert run.slippage == 3  # the hedge saw 102 and got 99
    assert run.exposure_seconds == 1
    assert (run.ordered, run.filled) == (2, 1)


def test_a_sale_without_its_purchase_is_bought_back() -> None:
    late = replace(FREE, latency_ms=1000)
    dearer = (103.0, 105.0, 103.0, 104.0)
    run = play(market(B_DEAR, dearer, dearer, dearer), late, late)
    assert fills(run) == [(1, 1, -1.0, 103.0), (2, 1, 1.0, 104.0)]
    assert run.coins == (0, 0)


def test_within_the_tolerance_a_leg_fills_at_the_worse_price() -> None:
    late = replace(FREE, latency_ms=1000)
    run = play(market(B_DEAR, (99.0, 101.0, 102.5, 104.0), LEVEL), late, late, tolerance=0.005)
    assert fills(run)[1] == (1, 1, -1.0, 102.5)
    assert run.slippage == 0.5


def test_an_impact_worsens_the_price_and_needs_a_tolerance() -> None:
    heavy = replace(FREE, impact=0.001)
    assert play(market(B_DEAR), heavy, heavy, tolerance=0.0009).missed == 2
    run = play(market(B_DEAR), heavy, heavy, tolerance=0.001)
    assert fills(run) == [(0, 0, 1.0, 101.0 * 1.001), (0, 1, -1.0, 103.0 * 0.999)]
    assert run.slippage == pytest.approx(0.101 + 0.103)


def test_size_used_stays_used_until_the_venue_quotes_anew() -> None:
    quoted = sizes(5, 1.5)
    again = (98.0, 101.0, 103.0, 105.0)
    run = play(market(B_DEAR, B_DEAR, B_DEAR, again, again, **quoted))
    assert [(row, quantity) for row, venue, quantity, _ in fills(run) if venue == 0] == [
        (0, 1),
        (1, 0.5),
        (3, 100 / 99.5),
        (4, 1.5 - 100 / 99.5),
    ]
    assert rejections(run) == {"no_size": 1}


def test_size_used_at_one_venue_is_not_given_back_by_the_other() -> None:
    quoted = sizes(2, 1.0)
    run = play(market(B_DEAR, (99.0, 101.0, 103.5, 104.0), **quoted))
    assert len(run.fill_log) == 2
    assert rejections(run) == {"no_size": 1}


def test_a_leg_that_finds_less_than_the_other_leaves_an_exposure() -> None:
    late = replace(FREE, latency_ms=1000)
    quoted = sizes(4, 9.0, bid_size_b=[9.0, 0.25, 9.0, 9.0])
    run = play(market(B_DEAR, B_DEAR, LEVEL, LEVEL, **quoted), late, late)
    # B's bid was used up when the hedge was decided, at row 1.
    assert fills(run) == [(1, 0, 1.0, 101.0), (1, 1, -0.25, 103.0), (2, 0, -0.75, 99.0)]
    assert run.entries == 1
    assert run.coins == (0.25, -0.25)


def test_a_hedge_goes_on_until_nothing_is_exposed() -> None:
    late = replace(FREE, latency_ms=1000)
    quoted = sizes(6, 9.0, bid_size_a=[0.0] * 6, bid_size_b=[9.0, 0.25, 0.5, 0.375, 9.0, 9.0])
    run = play(market(B_DEAR, B_DEAR, B_DEAR, B_DEAR, LEVEL, LEVEL, **quoted), late, late)
    assert [fill[2] for fill in fills(run) if fill[1] == 1] == [-0.25, -0.375, -0.375]
    assert run.exposure_seconds == 4
    assert rejections(run) == {"unhedged": 3, "no_size": 2}


def test_a_hedge_that_no_venue_can_take_waits() -> None:
    late = replace(FREE, latency_ms=1000)
    quoted = sizes(3, 9.0, bid_size_a=[9.0, 0.0, 9.0], bid_size_b=[9.0, 0.0, 0.0])
    run = play(market(B_DEAR, LEVEL, LEVEL, **quoted), late, late, tolerance=0.1)
    assert fills(run) == [(1, 0, 1.0, 101.0)]
    assert rejections(run) == {"no_size": 1}
    assert (run.hedges, run.expired) == (1, 1)


def test_hedging_stays_within_the_balance() -> None:
    late = replace(FREE, latency_ms=1000)
    poor = replace(late, quote=0.0)
    dearer = (103.0, 105.0, 103.0, 104.0)
    run = play(market(B_DEAR, dearer, dearer), replace(late, quote=102.0), poor)
    assert fills(run) == [(1, 1, -1.0, 103.0), (2, 1, pytest.approx(103 / 104), 104.0)]


@pytest.mark.parametrize(
    ("a", "b", "bought", "reason"),
    [
        (replace(FREE, quote=151.5), FREE, 1.5, "no_quote"),
        (FREE, replace(FREE, base=1.5), 1.5, "no_base"),
    ],
)
def test_inventory_runs_out(a: Venue, b: Venue, bought: float, reason: str) -> None:
    run = play(market(B_DEAR, B_DEAR, B_DEAR), a, b)
    assert run.coins == (bought, -bought)
    assert rejections(run) == {reason: 1}


def test_money_is_kept_back_for_the_fee_and_the_tolerance() -> None:
    run = play(market(B_DEAR), replace(FREE, fee=0.001, quote=101.0), tolerance=0.001)
    assert run.coins[0] == pytest.approx(101 / (101 * 1.001 * 1.001))


def test_the_position_stays_within_its_limit_and_may_come_back() -> None:
    run = play(market(B_DEAR, B_DEAR, B_DEAR, A_DEAR, A_DEAR, A_DEAR, A_DEAR), max_position=150.0)
    assert [(order.kind, order.quantity) for order in run.order_log] == [
        ("entry", 1.0),
        ("entry", 0.5),
        ("exit", 1.0),
        ("exit", 0.5),
        ("entry", 1.0),
        ("entry", 0.5),
    ]
    assert rejections(run) == {"position_limit": 1}


def test_an_order_below_the_minimum_is_not_sent() -> None:
    assert rejections(play(market(B_DEAR), min_order=100.0)) == {}
    assert rejections(play(market(B_DEAR), min_order=100.5)) == {"too_small": 1}


def test_an_order_size_of_nothing_trades_nothing() -> None:
    assert rejections(play(market(B_DEAR), order_size=0.0)) == {"too_small": 1}


def test_after_an_entry_the_next_waits_for_the_cooldown() -> None:
    run = play(market(B_DEAR, B_DEAR, B_DEAR, B_DEAR), cooldown_ms=2000)
    assert [order.event for order in run.order_log] == [0, 2]
    assert rejections(run) == {"cooldown": 2}


def test_a_position_is_traded_back_when_that_pays_enough() -> None:
    back = (103.5, 104.5, 103.0, 104.0)  # selling at A for 103.5, buying at B for 104
    edge = 103.5 / 104 - 1
    rows = market(B_DEAR, LEVEL, back)
    run = play(rows, exit_edge=edge)
    assert [(order.event, order.kind, order.venue) for order in run.order_log] == [(0, "entry", 0), (2, "exit", 1)]
    assert (run.entries, run.exits, run.wins) == (1, 1, 1)
    assert run.order_log[1].quantity == pytest.approx(100 / 104)
    assert play(rows, exit_edge=math.nextafter(edge, 1)).exits == 0


def test_an_exit_takes_no_more_than_the_position() -> None:
    run = play(market(B_DEAR, LEVEL, LEVEL, LEVEL), order_size=200.0, max_position=100.0, exit_edge=-1.0)
    assert [(order.kind, order.quantity) for order in run.order_log] == [("entry", 1.0), ("exit", 1.0)]
    assert run.coins == (0, 0)


def test_an_exit_goes_before_an_entry() -> None:
    run = play(market(*[LEVEL] * 4), min_edge=-0.1, exit_edge=-0.1)
    assert [order.kind for order in run.order_log] == ["entry", "exit", "entry", "exit"]


def test_a_rest_too_small_to_be_sold_is_taken_along_by_an_entry() -> None:
    other = (99.0, 101.0, 95.5, 97.0)
    quotes = market(B_DEAR, A_DEAR, other, **sizes(3, 9.0, ask_size_b=[9.0, 0.75, 9.0]))
    once = play(quotes, min_order=50.0)
    assert [(order.kind, order.quantity) for order in once.order_log] == [("entry", 1), ("exit", 0.75), ("entry", 1)]
    assert once.coins == (-0.75, 0.75)
    assert rejections(play(quotes, min_order=50.0, cooldown_ms=9000.0)) == {"cooldown": 1}
    # As an exit it would have been too small, and that is what it is counted as where an entry does not pay.
    poorer = market(B_DEAR, A_DEAR, (99.0, 101.0, 95.5, 98.0), **sizes(3, 9.0, ask_size_b=[9.0, 0.75, 9.0]))
    assert rejections(play(poorer, min_order=50.0, min_edge=0.0197, exit_edge=0.01)) == {"too_small": 1}


def test_the_other_position_is_traded_back_the_other_way() -> None:
    run = play(market(A_DEAR, LEVEL, LEVEL), exit_edge=-1.0)
    assert [(order.kind, order.venue) for order in run.order_log] == [("entry", 1), ("exit", 0)]


@pytest.mark.parametrize(
    ("there", "back"), [(A_DEAR, (99.0, 101.0, 103.0, 104.0)), (B_DEAR, (99.0, 101.0, 96.0, 97.1))]
)
def test_an_exit_is_seen_after_quiet_rows(there: tuple[float, ...], back: tuple[float, ...]) -> None:
    wide = [(90.0 + step, 110.0 + step, 90.0 + step, 110.0 + step) for step in range(3)]
    edge = 103 / 101 - 1 if there is A_DEAR else 99 / 97.1 - 1
    run = play(market(there, *wide, back), min_edge=edge + 1e-4 if there is A_DEAR else 0.0197, exit_edge=edge)
    assert [(order.event, order.kind) for order in run.order_log] == [(0, "entry"), (4, "exit")]


def test_what_comes_after_long_quiet_stretches_is_not_missed() -> None:
    """They are passed over in blocks of hundreds; moments that matter stand in the middle of some."""
    quiet = [LEVEL] * 1000
    run = play(market(*quiet, B_DEAR, *quiet, (90.0, 110.0, 99.0, 101.0), *quiet))
    assert fills(run) == [(1000, 0, 1.0, 101.0), (1000, 1, -1.0, 103.0)]
    assert run.net_pnl == 2  # what the trade brings; the coins are one of each venue, at the same bid
    assert run.max_drawdown == 9  # what the bid of A falls by meanwhile
    assert play(market(*quiet, B_DEAR, *quiet)).max_drawdown == 2  # of B, dear for a moment


def test_what_is_held_too_long_is_traded_back_at_any_price() -> None:
    run = play(market(B_DEAR, *[LEVEL] * 4), max_holding_ms=2000)
    assert [(order.event, order.kind) for order in run.order_log] == [(0, "entry"), (3, "exit")]
    assert run.wins == 1


def test_an_exit_below_the_minimum_order_is_too_small() -> None:
    run = play(market(B_DEAR, LEVEL), max_position=50.0, min_order=50.0, exit_edge=-1.0)
    assert run.exits == 1
    run = play(market(B_DEAR, (49.0, 51.0, 49.0, 51.0)), max_position=50.0, min_order=50.0, exit_edge=-1.0)
    assert rejections(run) == {"too_small": 1}


def test_the_days_loss_limit_stops_entries_until_midnight() -> None:
    ts = [0, 1000, 2000, DAY - 1, DAY]
    run = play(market(B_DEAR, *[B_DEAR] * 4, ts=ts), max_daily_loss=3.0)
    # Each entry is marked two below what it cost at once, at A's bid.
    assert [order.event for order in run.order_log] == [0, 1, 4]
    assert rejections(run) == {"loss_limit": 2}
    assert run.daily == (-4.0, -2.0)


def test_the_loss_limit_is_seen_on_quiet_rows_too() -> None:
    dip = (90.0, 101.0, 100.0, 104.0)
    moved = (98.0, 101.0, 98.0, 101.0)  # both venues quote anew, so that no used size keeps the engine busy
    run = play(market(B_DEAR, moved, LEVEL, dip, LEVEL, B_DEAR), max_daily_loss=5.0)
    assert [order.event for order in run.order_log] == [0]
    assert rejections(run) == {"loss_limit": 1}


def test_days_without_a_trade_count_as_zero() -> None:
    run = play(market(LEVEL, B_DEAR, LEVEL, LEVEL, ts=[0, DAY, DAY + 1000, 3 * DAY]))
    assert run.daily == (0.0, 2.0, 0.0)
    assert run.net_pnl == 2.0


def test_the_rate_has_two_sides() -> None:
    # B's dollars: its bid 103 is worth 51.5 where a dollar brings 0.5, its ask 104 costs 62.4 where one costs 0.6.
    rates: dict[str, Any] = {"fx_bid": [0.5], "fx_ask": [0.6]}
    run = play(market((49.5, 50.5, 103.0, 104.0), **rates))
    assert run.order_log[0].edge == pytest.approx(51.5 / 50.5 - 1)
    assert run.turnover == pytest.approx(2 * 50.5 + 2 * 103 * 0.55)
    assert run.cash == (-101.0, 206.0)
    assert run.net_pnl == pytest.approx(
        -101 + 2 * 49.5
    )  # what came in at B is valued at its bid as the coins there are
    run = play(market((63.0, 65.0, 103.0, 104.0), **rates), min_edge=0.0)
    assert run.order_log[0].edge == pytest.approx(63 / 62.4 - 1)


def test_a_trade_wins_at_the_rate_that_its_money_flows_at() -> None:
    # Selling at A for 63 what was bought at B for 104: that is 62.4 at the asked rate of 0.6, 63.44 at one of 0.61.
    rows = (63.0, 65.0, 103.0, 104.0)
    assert play(market(rows, fx_bid=[0.5], fx_ask=[0.6]), min_edge=-1.0).wins == 1
    assert play(market(rows, fx_bid=[0.5], fx_ask=[0.61]), min_edge=-0.02).wins == 0


def test_the_log_is_kept_if_asked_for() -> None:
    quotes = market(B_DEAR, LEVEL)
    logged, silent = (engine.simulate(quotes, (FREE, FREE), EAGER, log=log) for log in (True, False))
    assert (silent.order_log, silent.fill_log) == ((), ())
    assert silent == replace(logged, order_log=(), fill_log=())


def test_a_hedge_compares_venues_in_one_currency() -> None:
    late = replace(FREE, latency_ms=1000)
    rows = [(99.0, 101.0, 51.5, 52.0), (99.0, 101.0, 51.0, 52.0), *[(99.5, 101.0, 49.5, 51.5)] * 2]
    run = play(market(*rows, fx=[2.0] * 4), late, late, min_edge=0.015)
    assert fills(run) == [(1, 0, 1.0, 101.0), (2, 1, -1.0, 49.5)]  # 51 dollars were 102, more than 99


def test_an_order_does_not_outlive_its_stretch() -> None:
    late = replace(FREE, latency_ms=1000)
    run = play(market(B_DEAR, B_DEAR, B_DEAR, seg=[0, 1, 1]), late, late)
    assert [fill[0] for fill in fills(run)] == [2, 2]
    assert run.expired == 4  # those of row 0, and those of row 2, which the data's end cut off
    assert run.orders == 3


def test_an_exposure_lasts_across_a_gap_in_the_data_and_is_hedged_after_it() -> None:
    slow = replace(FREE, latency_ms=1000)
    run = play(market(B_DEAR, LEVEL, LEVEL, seg=[0, 1, 1], ts=[0, 60_000, 61_000]), FREE, slow)
    assert fills(run) == [(0, 0, 1.0, 101.0), (1, 0, -1.0, 99.0)]
    assert run.exposure_seconds == 60


def test_size_used_is_given_back_by_a_new_stretch() -> None:
    quoted = sizes(2, 1.0)
    assert play(market(B_DEAR, B_DEAR, **quoted)).orders == 1
    assert play(market(B_DEAR, B_DEAR, seg=[0, 1], **quoted)).orders == 2


def test_what_prices_did_on_days_left_out_belongs_to_nobody() -> None:
    slow = replace(FREE, latency_ms=1000)
    after = [(199.0, 201.0, 200.0, 201.0), (209.0, 211.0, 200.0, 201.0)]
    rows = market(B_DEAR, LEVEL, *after, ts=[0, DAY, 2 * DAY, 2 * DAY + 500])
    run = play(rows.select(lambda day: day != rows.days[1]), FREE, slow, min_edge=0.015)
    # One coin, bought for 101, was worth 99 when the first day ended, and gained 10 while the account was watched.
    assert run.unclaimed == 100
    assert run.daily == (-2.0, 10.0)
    assert run.net_pnl == 8.0
    assert run.exposure_seconds == 0.5
    assert (run.hedges, run.expired) == (1, 2)


def test_the_engine_warms_up() -> None:
    engine.warm_up()


# --- feeds of their own ----------------------------------------------------------------------------------------------

MS = 1_000_000


def feed(*events: tuple[float, ...], size: float = math.inf) -> Quotes:
    """Events of (local ms, exchange ms, bid, ask), or of more: ms, ms, then bid, ask, bid size, ask size by level."""
    cells = [[*event[2:], size, size] if len(event) == 4 else event[2:] for event in events]
    times = np.array([event[:2] for event in events]) * MS
    return Quotes(times[:, 0].astype(np.int64), times[:, 1].astype(np.int64), np.array(cells, dtype=np.float64).T)


def events(quotes: Market, a: Venue = FREE, b: Venue = FREE, *, fee: Transfers = Transfers(), **strategy: float) -> Run:  # noqa: B008 - it is frozen
    return engine.simulate(quotes, (a, b), replace(EAGER, **strategy), fee, log=True)


def test_a_leg_fills_at_its_own_venues_first_quote_by_exchange_time_and_that_is_known_when_it_arrives() -> None:
    late = replace(FREE, latency_ms=10)
    a = feed((1, 1, 99, 101), (12, 12, 98, 100), (40, 40, 98, 100))
    # Decided at 5, due at 15: the quote of 14 is known after that and is still too old, that of 16 is it.
    b = feed((5, 3, 103, 104), (17, 14, 110, 111), (30, 16, 102, 104), (35, 31, 90, 91))
    run = events(merge(a, b), late, late, tolerance=0.1)
    assert [(order.event, order.kind) for order in run.order_log][:1] == [(1, "entry")]
    assert fills(run)[:2] == [(4, 1, -1.0, 102.0), (6, 0, 1.0, 100.0)]
    assert run.exposure_seconds == pytest.approx(0.010)  # from 30, when the sale was known, to 40
    assert rejections(run) == {"in_flight": 4}


def test_a_venue_whose_clock_is_ahead_fills_at_no_quote_that_was_seen() -> None:
    late = replace(FREE, latency_ms=10)
    a, b = feed((1, 31, 99, 101), (50, 80, 99, 102)), feed((5, 35, 103, 104), (60, 90, 102, 104))
    run = events(merge(a, b), late, late, tolerance=0.1)
    assert [fill[0] for fill in fills(run)] == [2, 3]


def test_at_zero_latency_only_the_venue_that_quotes_fills_at_once() -> None:
    a, b = feed((1, 1, 99, 101), (9, 9, 99, 100.5)), feed((5, 5, 103, 104))
    assert fills(events(merge(a, b)))[:2] == [(1, 1, -1.0, 103.0), (2, 0, 1.0, 100.5)]
    # A quote that was under way is not of the moment of the decision.
    assert fills(events(merge(a, feed((5, 4, 103, 104))))) == [(2, 0, 1.0, 100.5)]


def test_nothing_is_decided_until_all_is_quoted_in_the_stretch() -> None:
    a, b = feed((1, 1, 99, 101), (11, 11, 99, 101)), feed((2, 2, 99, 101), (15, 15, 103, 104))
    assert [order.event for order in events(merge(a, b, breaks=[10 * MS])).order_log] == [3]
    a, b = feed((1, 1, 99, 101), (20, 20, 99, 101)), feed((2, 2, 99, 101), (15, 15, 103, 104))
    assert [order.event for order in events(merge(a, b, breaks=[10 * MS])).order_log] == [3]
    with_rate = merge(feed((1, 1, 99, 101)), feed((2, 2, 103, 104)), feed((3, 3, 1, 1)))
    assert [order.event for order in events(with_rate).order_log] == [2]


DEEP_A = (1, 1, 99, 101, 1, 0.5, 98, 102, 1, 2)
"""Asks: half a coin at 101, two at 102."""
DEEP_B = (5, 5, 104, 105, 0.75, 1, 103, 106, 0.5, 1)
"""Bids: three quarters at 104, half a coin at 103."""


def test_the_book_is_walked_as_deep_as_it_pays() -> None:
    late = replace(FREE, latency_ms=1)
    books = merge(feed(DEEP_A, (7, 7, *DEEP_A[2:])), feed(DEEP_B, (8, 8, *DEEP_B[2:])))
    run = events(books, late, late, tolerance=0.1, order_size=1000.0, min_edge=0.015)
    # 101 -> 104 half a coin, 102 -> 104 a quarter; 102 -> 103 earns less than 1.5 %.
    assert run.order_log[0].quantity == 0.75
    assert fills(run)[:3] == [(2, 0, 0.5, 101.0), (2, 0, 0.25, 102.0), (3, 1, -0.75, 104.0)]
    assert run.slippage == 0.25
    deeper = events(books, late, late, tolerance=0.1, order_size=1000.0, min_edge=0.009)
    assert deeper.order_log[0].quantity == 1.25
    assert fills(deeper)[2:4] == [(3, 1, -0.75, 104.0), (3, 1, -0.5, 103.0)]
    assert deeper.wins == 1
    # The limits of the legs keep the order from going deeper than they would fill.
    assert events(books, late, late, order_size=1000.0, min_edge=0.009).order_log[0].quantity == 0.5


def test_used_levels_stay_used_until_the_venue_quotes_anew() -> None:
    same_b = (9, 9, *DEEP_B[2:])
    books = merge(feed(DEEP_A, (6, 6, *DEEP_A[2:])), feed(DEEP_B, same_b))
    run = events(books, tolerance=0.1, order_size=1000.0, min_edge=0.005)
    # Decided at 5, where B's leg fills at once and takes both of its levels; A's fills at 6.
    assert fills(run) == [(1, 1, -0.75, 104.0), (1, 1, -0.5, 103.0), (2, 0, 0.5, 101.0), (2, 0, 0.75, 102.0)]
    assert rejections(run) == {"no_size": 2}


def test_ticks_worsen_a_price_and_the_edge() -> None:
    two_ticks = replace(FREE, adverse=0.02, fee=0.001)
    run = play(market(B_DEAR), two_ticks, tolerance=0.1)
    assert fills(run) == [(0, 0, 1.0, 101.02), (0, 1, -1.0, 103.0)]
    assert run.order_log[0].edge == pytest.approx(103 / (101.02 * 1.001) - 1)
    assert run.slippage == pytest.approx(0.02)
    run = play(market(A_DEAR), two_ticks, tolerance=0.1)
    assert run.order_log[0].edge == pytest.approx((99 - 0.02) * 0.999 / 97 - 1)
    assert run.capital == pytest.approx(2_000 + 10 * (99 - 0.02) * 0.999 + 10 * 96)


# --- limits and breakers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "limit"),
    [
        ("cooldown", {"cooldown_ms": 9000.0}),
        ("trade_limit", {"max_trades_per_hour": 1.0}),
        ("notional_limit", {"max_daily_notional": 100.0}),
        ("loss_limit", {"max_daily_loss": 1.0}),
        ("losses", {"max_losses": 1.0}),
        ("fx_jump", {"max_fx_jump": 0.002}),
        ("stale", {"max_quote_age_ms": 500.0}),
    ],
)
def test_a_limit_never_holds_a_position_back_however_well_the_trade_back_pays(
    reason: str, limit: dict[str, float]
) -> None:
    late = replace(FREE, latency_ms=300)
    worse = (99.0, 101.0, 100.0, 104.0)  # the entry loses
    quotes = market(B_DEAR, worse, A_DEAR, A_DEAR, fx=[1.0, 1.0, 1.003, 1.003])
    behind = np.where(quotes.local >= 2000 * MS, quotes.local - 600 * MS, quotes.local)  # the last two are known late
    behind.flags.writeable = False
    quotes = replace(quotes, exchange=behind)
    run = play(quotes, late, late, tolerance=0.1, order_size=200.0, max_position=100.0, **limit)
    assert [(order.event, order.kind, order.quantity) for order in run.order_log] == [(0, "entry", 1), (2, "exit", 1)]
    assert (run.entries, run.exits, run.coins) == (1, 1, (0, 0))
    assert rejections(run) == {reason: 1}  # the entry the other way, when the position is gone


def test_so_many_trades_an_hour_and_no_more() -> None:
    ts = [0, 1000, 2000, 3_600_000, 3_600_001]
    run = play(market(*[B_DEAR] * 5, ts=ts), max_trades_per_hour=2.0)
    assert [order.event for order in run.order_log] == [0, 1, 3]
    assert rejections(run) == {"trade_limit": 2}


def test_the_days_notional_stops_entries_until_midnight() -> None:
    ts = [0, 1000, 2000, DAY]
    run = play(market(*[B_DEAR] * 4, ts=ts), max_daily_notional=300.0)
    assert [order.event for order in run.order_log] == [0, 1, 3]  # each is of 204
    assert rejections(run) == {"notional_limit": 1}


def test_losing_entries_in_a_row_stop_entries_for_a_while() -> None:
    late = replace(FREE, latency_ms=1000)
    row = [B_DEAR, (99.0, 101.0, 100.0, 104.0)]  # gone when the order arrives
    quotes = market(*row, *row, *row, *row, *row)
    run = play(quotes, late, late, tolerance=0.1, max_losses=2.0, pause_ms=2500.0)
    assert [order.event for order in run.order_log] == [0, 2, 6, 8]
    assert rejections(run) == {"losses": 1}
    assert run.wins == 0


def test_a_leg_alone_is_a_loss_and_none_at_all_is_not() -> None:
    late = replace(FREE, latency_ms=1000)
    gone, moved = (99.0, 101.0, 100.0, 104.0), (105.0, 107.0, 100.0, 104.0)
    once = {"max_losses": 1.0, "pause_ms": math.inf}
    assert rejections(play(market(B_DEAR, gone, LEVEL, B_DEAR), late, late, **once)) == {"losses": 1}
    neither = play(market(B_DEAR, moved, B_DEAR, LEVEL), late, late, **once, min_edge=0.015)
    assert (neither.missed, neither.orders) == (3, 2)


def test_old_quotes_are_not_entered_on() -> None:
    a, b = feed((1, 1, 99, 101), (30, 30, 99, 101)), feed((5, 5, 103, 104), (20, 6, 103, 104), (31, 31, 103, 104))
    run = events(merge(a, b), max_quote_age_ms=10.0)
    assert [order.event for order in run.order_log] == [1, 4]
    assert rejections(events(merge(a, b), replace(FREE, quote=0.0), max_quote_age_ms=10.0)) == {
        "no_quote": 2,
        "stale": 2,
    }
    rates = feed((0, 0, 1, 1))
    assert rejections(events(merge(a, b, rates), max_fx_age_ms=4.0))["stale"] == 4
    assert events(merge(a, b, rates), max_fx_age_ms=5.0).order_log[0].event == 2


def test_a_rate_that_jumps_stops_entries_for_a_while() -> None:
    a = feed((1, 1, 99, 101))
    b = feed((5, 5, 99, 101), (20, 20, 103, 104), (31, 31, 103, 105))
    rates = feed((0, 0, 1, 1), (10, 10, 1.002, 1.004))
    run = events(merge(a, b, rates), max_fx_jump=0.002, pause_ms=20.0)
    assert rejections(run) == {"fx_jump": 1}
    assert [order.event for order in run.order_log] == [5]
    assert events(merge(a, b, rates), max_fx_jump=0.0031, pause_ms=20.0).order_log[0].event == 4


def test_rates_that_change_on_quiet_moments_are_not_forgotten() -> None:
    a = feed((1, 1, 99, 101), (50, 50, 99, 101))
    b = feed((2, 2, 99, 101), (40, 40, 99, 101), (60, 60, 103, 104))
    rates = feed((3, 3, 1, 1), (10, 10, 1.001, 1.002), (20, 20, 1.01, 1.02))
    run = events(merge(a, b, rates), max_fx_age_ms=40.0)
    assert run.order_log[0].edge == pytest.approx(103 * 1.01 / 101 - 1)
    assert rejections(events(merge(a, b, rates), max_fx_age_ms=39.0)) == {"stale": 1}


# --- transfers -------------------------------------------------------------------------------------------------------


def test_inventory_goes_back_at_a_cost_and_arrives_later() -> None:
    poor = replace(FREE, quote=101.0)
    rates: dict[str, Any] = {"fx_bid": [0.5] * 4, "fx_ask": [0.5] * 4}
    rows = market(*[(99.0, 101.0, 206.0, 208.0)] * 4, **rates)
    quotes = replace(rows, cells=rows.cells)
    run = events(quotes, poor, fee=Transfers(2000, coin_fee=0.1, money_fee=0.01), transfer_position=100.0)
    entry, back, again = run.order_log[:3]
    assert (entry.event, entry.kind) == (2, "entry")
    # One coin was bought at A for 101; at the next moment it and half the fee go to B, and what it is worth there to A.
    assert (back.event, back.kind, back.venue) == (5, "transfer", 0)
    assert back.quantity == pytest.approx(1.05)
    assert back.edge == pytest.approx(1.05 * 207)
    assert again.event == 11  # when the money has arrived at A
    assert rejections(run) == {"no_quote": 2}
    assert run.transfers == 1
    assert run.transfer_costs == pytest.approx(0.1 * 100 + 0.01 * 1.05 * 207 / 2)
    assert run.coins[0] == pytest.approx(again.quantity - 0.05)


def test_the_other_way_money_is_changed_at_the_ask() -> None:
    rates: dict[str, Any] = {"fx_bid": [0.5] * 2, "fx_ask": [0.6] * 2}
    run = events(market(*[(70.0, 72.0, 103.0, 104.0)] * 2, **rates), transfer_position=70.0)
    transfer = run.order_log[1]
    assert (transfer.kind, transfer.venue) == ("transfer", 1)
    assert transfer.edge == pytest.approx(71 * transfer.quantity)  # leaves A in its own currency
    assert run.transfer_costs == pytest.approx(transfer.edge - transfer.edge / 0.6 * 0.55)


def test_a_transfer_that_its_fee_would_eat_is_not_made() -> None:
    run = play(market(B_DEAR, LEVEL, LEVEL), transfer_position=50.0)
    assert run.transfers == 1
    quotes = market(B_DEAR, LEVEL, LEVEL)
    assert events(quotes, fee=Transfers(0, coin_fee=3.0), transfer_position=50.0).transfers == 0


# --- the mean premium ------------------------------------------------------------------------------------------------


def standing(*premiums: float, hold: int = 120) -> Market:
    """B at 100, and A above it by some percent for a while, then by each of those given; a row a second."""
    levels = [2.0 + 0.1 * (index % 2) for index in range(hold)] + list(premiums)
    rows = [(100.0 + level, 100.0 + level, 100.0, 100.0) for level in levels]
    return market(*rows)


def test_a_standing_premium_is_no_opportunity_but_a_deviation_from_it_is() -> None:
    quotes = standing(3.5, 2.05, 2.05)
    assert play(quotes, min_edge=0.005).order_log[0].event == 0
    run = play(quotes, min_edge=0.005, exit_edge=-0.001, mean_window_ms=100_000.0)
    assert [(order.event, order.kind, order.venue) for order in run.order_log] == [(120, "entry", 1), (121, "exit", 0)]
    assert run.order_log[0].edge == pytest.approx(103.5 / (100 * 1.0205) - 1, abs=1e-6)
    assert run.net_pnl == pytest.approx((3.5 - 2.05) * 100 / 103.5)
    assert run.wins == 2


def test_thresholds_may_be_in_standard_deviations() -> None:
    # The premium is 2 % and 2.1 % in turn: a mean of 2.05 %, a standard deviation of 0.05 % (with ddof 1 a bit more).
    quotes = standing(2.25, 2.05)
    window = {"mean_window_ms": 100_000.0, "min_edge": 0.0}
    assert play(quotes, **window, entry_deviations=3.8).orders == 1
    assert play(quotes, **window, entry_deviations=4.0).orders == 0
    assert play(quotes, **window, entry_deviations=3.8, exit_edge=0.0, exit_deviations=-0.1).exits == 1
    assert play(quotes, **window, entry_deviations=3.8, exit_edge=0.0, exit_deviations=0.1).exits == 0


def test_a_window_that_is_not_full_decides_nothing_and_each_stretch_has_its_own() -> None:
    assert play(standing(3.5, hold=99), min_edge=0.005, mean_window_ms=100_000.0).orders == 0
    assert play(standing(3.5, hold=100), min_edge=0.005, mean_window_ms=100_000.0).orders == 1
    rows = [(102.0, 102.0, 100.0, 100.0)] * 150
    seg = [0] * 75 + [1] * 75
    assert play(market(*rows, (105.0, 105.0, 100.0, 100.0), seg=[*seg, 1]), mean_window_ms=100_000.0).orders == 0
