"""The paper engine on random small markets: against a slow, obvious reference, and what must hold of every run.

ORCH_ENGINE_EXAMPLES=20000 makes it thorough.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from dataclasses import fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.paper_markets import case, fixed, moments, opens, seeds, thorough, until
from support.paper_reference import Reference
from tuning_worker.market import engine
from tuning_worker.market.data import ASK, ASK_SIZE, BID, BID_SIZE, CELLS, RATE, Market, Quotes, merge
from tuning_worker.market.parameters import Strategy
from tuning_worker.market.run import REASONS, Run, Transfers, Venue

if TYPE_CHECKING:
    from tuning_worker.market.run import Fill

MARKETS, CHUNKS = int(os.environ.get("ORCH_ENGINE_EXAMPLES", "2400")), 8
"""On how many markets the engine is compared with the reference; in chunks, which may run side by side."""


@pytest.mark.every_python
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_it_agrees_with_the_reference(chunk: int) -> None:
    for seed in range(chunk, MARKETS, CHUNKS):
        given_all = case(seed)
        ours, reference = engine.simulate(*given_all), Reference(*given_all).run()
        scale = 1e-9 + 1e-12 * (ours.turnover + ours.capital)  # what rounding may do to a difference of large amounts
        for field in fields(Run):
            found, expected = getattr(ours, field.name), getattr(reference, field.name)
            assert found == expected or found == pytest.approx(expected, rel=1e-9, abs=scale), (seed, field.name)


def test_the_random_cases_reach_everything() -> None:
    runs = [engine.simulate(*case(seed)) for seed in range(1500)]
    counts = ("entries", "exits", "wins", "hedges", "missed", "expired", "transfers")
    for field in (*counts, "exposure_seconds", "unclaimed", "fees", "transfer_costs"):
        assert any(getattr(run, field) for run in runs), field
    for reason in REASONS:
        assert any(run.rejected[reason] for run in runs), reason


@given(seeds, st.data())
@thorough
def test_a_run_in_parts_is_at_the_end_of_each_what_a_run_of_the_days_so_far_is(seed: int, data: st.DataObject) -> None:
    market, venues, strategy, transfers = case(seed)
    some = data.draw(st.sets(st.sampled_from(market.days)), label="ends")
    ends = sorted({*some, market.days[-1]})
    runs = list(engine.simulate_in_parts(market, venues, strategy, transfers, ends, log=True))
    assert len(runs) == len(ends)
    for end, run in zip(ends, runs, strict=True):
        so_far = market.select(end.__ge__)
        if opens(so_far):
            assert run == engine.simulate(so_far, venues, strategy, transfers, log=True)


# --- conservation ----------------------------------------------------------------------------------------------------


@given(seeds)
@thorough
def test_money_and_coins_are_conserved_to_the_last_unit(seed: int) -> None:
    market, venues, strategy, transfers = exact_case(random.Random(seed))  # noqa: S311 - a market, not a secret
    run = engine.simulate(market, venues, strategy, transfers, log=True)
    cash, coins = [Fraction(0), Fraction(0)], [Fraction(0), Fraction(0)]
    for fill in run.fill_log:
        fee = abs(Fraction(fill.quantity)) * Fraction(fill.price) * Fraction(venues[fill.venue].fee)
        cash[fill.venue] -= Fraction(fill.quantity) * Fraction(fill.price) + fee
        coins[fill.venue] += Fraction(fill.quantity)
    for order in run.order_log:
        if order.kind == "transfer":
            here, there = order.venue, 1 - order.venue
            rate = Fraction(2) if here == 0 else Fraction(1, 2)
            coins[here] -= Fraction(order.quantity)
            coins[there] += Fraction(order.quantity) - Fraction(transfers.coin_fee)
            cash[there] -= Fraction(order.edge)
            cash[here] += Fraction(order.edge) * rate * (1 - Fraction(transfers.money_fee))
    assert [Fraction(value) for value in run.cash] == cash
    assert [Fraction(value) for value in run.coins] == coins


def exact_case(rng: random.Random) -> tuple[Market, tuple[Venue, Venue], Strategy, Transfers]:
    """Numbers with few binary digits and mid prices that are powers of two, so that no sum is ever rounded."""

    def feed(mid: float, *, rate: bool = False) -> Quotes:
        count = rng.randrange(1, 60)
        local = np.sort(np.array([rng.randrange(200) for _ in range(count)])) * 100_000_000
        cells = np.zeros((CELLS, count))
        for i in range(count):
            half = 0 if rate else mid * rng.randrange(1, 8) / 128
            middle = mid if rate else mid * rng.choice([1, 1, 1, 2])
            sizes = [rng.randrange(0, 64) / 16 for _ in range(2)]
            cells[:, i] = [middle - half, middle + half, *sizes]
        return Quotes(local, None, cells)

    venues = [
        Venue(rng.choice([0, 1 / 1024]), 0.0, rng.choice([0, 100, 1000]), quote=1e9, base=float(2**20))
        for _ in range(2)
    ]
    strategy = Strategy(
        min_edge=rng.choice([-0.5, 0.0, 0.1]),
        exit_edge=rng.choice([-0.5, 0.0, 1.0]),
        tolerance=rng.choice([0.0, 1.0]),
        order_size=rng.choice([128.0, 1024.0]),
        min_order=0.0,
        max_position=rng.choice([256.0, 4096.0]),
        max_daily_loss=float("inf"),
        cooldown_ms=0.0,
        max_holding_ms=rng.choice([500.0, float("inf")]),
        transfer_position=rng.choice([128.0, 1024.0, float("inf")]),
    )
    transfers = Transfers(rng.choice([0, 500]), coin_fee=rng.choice([0.0, 1 / 16]), money_fee=rng.choice([0, 1 / 64]))
    market = merge(feed(128.0), feed(64.0), feed(2.0, rate=True))
    return market, (venues[0], venues[1]), strategy, transfers


@given(seeds)
@thorough
def test_nothing_is_borrowed_and_the_sums_fit_together(seed: int) -> None:
    market, venues, strategy, transfers = case(seed)
    run = engine.simulate(market, venues, strategy, transfers, log=True)
    if not run.transfers:
        for venue, terms in enumerate(venues):
            cash, coins = terms.quote, terms.base
            for fill in run.fill_log:
                if fill.venue == venue:
                    cash -= fill.quantity * fill.price + abs(fill.quantity) * fill.price * terms.fee
                    coins += fill.quantity
                    assert cash >= -1e-9 * (terms.quote + 1)
                    assert coins >= -1e-9 * (terms.base + 1)
            assert run.cash[venue] == pytest.approx(cash - terms.quote, rel=1e-9, abs=1e-7)
            assert run.coins[venue] == pytest.approx(coins - terms.base, rel=1e-9, abs=1e-7)
    assert sum(run.daily) == pytest.approx(run.net_pnl, rel=1e-9, abs=1e-6)
    assert run.max_drawdown >= max(0.0, -run.net_pnl)


# --- what a fill may take --------------------------------------------------------------------------------------------


@given(seeds)
@thorough
def test_no_fill_takes_more_than_was_quoted_nor_a_better_price_nor_comes_too_soon(seed: int) -> None:
    market, venues, strategy, transfers = case(seed)
    run = engine.simulate(market, venues, strategy, transfers, log=True)
    taken: defaultdict[tuple[int, int, int, bool], float] = defaultdict(float)
    for fill in run.fill_log:
        buys, terms = fill.quantity > 0, venues[fill.venue]
        level = level_of(market, fill, terms)
        assert level is not None
        taken[fill.venue, unchanged_since(market, fill), level, buys] += abs(fill.quantity)
        size = market.cells[CELLS * level + (ASK_SIZE if buys else BID_SIZE), fill.event]
        assert taken[fill.venue, unchanged_since(market, fill), level, buys] <= size * (1 + 1e-12)
        # It is of the last order or, where that was decided in the moment of the fill, perhaps of the one before.
        now, orders = moment_of(market, fill.event), [order for order in run.order_log if order.kind != "transfer"]
        sent = [order.event for order in orders if order.event <= now]
        since = sent[-2] if sent[-1] == now and len(sent) > 1 else sent[-1]
        assert market.exchange[fill.event] >= market.local[since] + round(terms.latency_ms * 1e6)


def level_of(market: Market, fill: Fill, terms: Venue) -> int | None:
    """The level whose price a fill has."""
    buys = fill.quantity > 0
    for level in range(market.levels):
        quoted = market.cells[CELLS * level + (ASK if buys else BID), fill.event]
        sign = 1 if buys else -1
        if fill.price == quoted * (1 + sign * terms.impact) + sign * terms.adverse:
            return level
    return None


def unchanged_since(market: Market, fill: Fill) -> int:
    """The event of the venue with which the quote that was filled came up."""
    stretch = next(first for first, last, _ in market.stretches if first <= fill.event < last)
    came = fill.event
    for event in range(fill.event - 1, stretch - 1, -1):
        if market.feed[event] & 3 == fill.venue:
            if (market.cells[:, event] != market.cells[:, fill.event]).any():
                break
            came = event
    return came


def moment_of(market: Market, event: int) -> int:
    """The last event of a moment."""
    while market.feed[event] & 4:
        event += 1
    return event


# --- what reduces a position -----------------------------------------------------------------------------------------

LIMITS = ("stale", "fx_jump", "losses", "loss_limit", "notional_limit", "trade_limit", "cooldown", "position_limit")


def test_no_trade_that_reduces_a_position_is_refused_by_a_limit() -> None:
    reached = 0
    for seed in range(400):
        market, venues, strategy, transfers = case(seed)
        strategy = replace(strategy, mean_window_ms=0.0)
        before, known, reference = 0, 0, Reference(market, venues, strategy, transfers)
        whole = engine.simulate(market, venues, strategy, transfers)
        for last in moments(market) if refused(whole) else ():
            for event in range(known, last + 1):
                reference.take_in(event)
            known = last + 1
            if not opens(until(market, last)):
                continue
            run = engine.simulate(until(market, last), venues, strategy, transfers)
            position = (run.coins[0] - run.coins[1]) / 2
            if refused(run) > before and abs(position) * reference.mid(0) > max(strategy.min_order, 1e-6):
                gain = reference.best_gain(1 if position > 0 else 0)
                assert gain < min(strategy.min_edge, strategy.exit_edge) + 1e-12, (seed, last)
                reached += 1
            before = refused(run)
    assert reached > 300


def refused(run: Run) -> int:
    return sum(run.rejected[reason] for reason in LIMITS)


# --- no profit where there is none -----------------------------------------------------------------------------------


@given(seeds)
@thorough
def test_where_no_trade_can_pay_none_is_made(seed: int) -> None:
    market, venues, strategy, transfers = case(seed)
    cells = market.cells.copy()
    venues_events = market.feed & 3 != RATE
    cells[BID, venues_events], cells[ASK, venues_events] = 100.0, 100.0
    cells[BID:BID_SIZE, ~venues_events] = 1.0
    for level in range(1, market.levels):
        cells[CELLS * level + BID], cells[CELLS * level + ASK] = 99.0, 101.0
    same = replace(market, cells=fixed(cells))
    run = engine.simulate(same, venues, replace(strategy, min_edge=1e-9, entry_deviations=0.0), transfers)
    assert run.orders == 0
    assert run.net_pnl == 0
    assert run.max_drawdown == 0
