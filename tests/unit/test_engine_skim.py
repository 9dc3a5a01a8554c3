"""Moments that the engine passes over in blocks: it says of them what it says if it looks at each, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from support.paper_markets import Case, case, seeds, thorough
from tuning_worker.market import engine
from tuning_worker.market.data import CELLS, DAY_NS, RATE, A, B, Floats, Quotes, merge
from tuning_worker.market.kernel import layout
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import Transfers, Venue

if TYPE_CHECKING:
    from tuning_worker.market.run import Run

EVENTS = 3000
"""Some times more than in the largest block."""


@given(seeds)
@thorough
def test_a_short_market_is_the_same_moment_by_moment(seed: int) -> None:
    run, _ = played(case(seed))
    assert run == moment_by_moment(case(seed))


@given(seeds)
@thorough
def test_a_long_one_is_too(seed: int) -> None:
    run, _ = played(calm(seed))
    assert run == moment_by_moment(calm(seed))


def test_the_long_ones_are_skimmed_and_something_happens_in_them() -> None:
    found = [played(calm(seed)) for seed in range(120)]
    assert sum(block > layout.SMALLEST_BLOCK for _, block in found) > 30
    assert sum(run.orders > 0 for run, _ in found) > 30
    assert sum(run.rejected["fx_jump"] > 0 for run, _ in found) > 5
    assert sum(run.rejected["loss_limit"] > 0 for run, _ in found) > 5


# --- what random markets hardly ever show, by hand ------------------------------------------------------------------

FREE = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=1e6, base=1e4)
ONCE = {"min_spread_pct": 1.0, "exit_spread_pct": 99.0, "order_size_usd": 100.0, "max_position_usd": 100.0}
LEVEL, B_DEAR, RATED = {A: 101.0, B: 101.0}, {A: 100.0, B: 103.0}, {RATE: 1.0}
QUIET = [LEVEL] * 40


def test_a_block_does_not_end_within_a_moment() -> None:
    # After the first moment come one event and then moments of two, so that the last event of 16 is the first of two.
    run = by_hand([LEVEL, {A: 101.0}, *[LEVEL] * 7, {A: 101.0, B: 104.0}])
    assert [fill.event for fill in run.fill_log] == [17, 18]


def test_a_loss_within_a_block_counts_though_the_day_before_had_a_larger_one() -> None:
    first_day = [B_DEAR, *QUIET, {B: 111.0}, *QUIET]
    back = [{A: 104.0, B: 101.0}, {A: 105.0, B: 101.1}]  # it takes two exits, as an order buys less by now
    next_day = [*QUIET, {B: 101.9}, *QUIET, *back, {A: 106.0, B: 101.2}]
    run = by_hand(first_day, next_day, max_daily_loss_usd=0.5)
    assert (run.entries, run.exits) == (1, 2)
    assert run.rejected["loss_limit"] == 2  # at 111 on the first day, and after the exits on the next


@pytest.mark.parametrize("rate", [0.995, 1.005])
@pytest.mark.parametrize("price", [50.0, 200.0])
def test_money_at_b_is_worth_what_the_rate_says_within_a_block(price: float, rate: float) -> None:
    both = {A: price, B: price}
    run = by_hand([B_DEAR | RATED, LEVEL, *[both] * 40, {RATE: rate}, RATED, *[both] * 40])
    assert run.net_pnl == pytest.approx(3)
    assert run.max_drawdown == pytest.approx(abs(103 - price) * 0.005)


def by_hand(*days: list[dict[int, float]], **strategy: float) -> Run:
    """A run, the same moment by moment, over moments that are a second apart: price by feed, without a spread."""
    times = [day * DAY_NS + 10**9 * second for day, told in enumerate(days) for second in range(len(told))]
    told = [moment for day in days for moment in day]
    feeds = []
    for feed in (A, B, RATE):
        at = [(time, moment[feed]) for time, moment in zip(times, told, strict=True) if feed in moment]
        prices = np.array([price for _, price in at])
        cells = np.vstack([prices, prices, np.full((2, len(at)), np.inf)])
        feeds.append(Quotes(np.array([time for time, _ in at], dtype=np.int64), None, cells))
    market = merge(feeds[A], feeds[B], feeds[RATE] if len(feeds[RATE].local) else None)
    given_all = market, (FREE, FREE), make_strategy({**ONCE, **strategy}, "usd", 1e6), Transfers()
    run, _ = played(given_all)
    assert run == moment_by_moment(given_all)
    return run


# --- the engine with and without it ----------------------------------------------------------------------------------


def played(given_all: Case) -> tuple[Run, int]:
    """A run, and how large a block it would have tried next."""
    accounts: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        made = engine._account
        patch.setattr(engine, "_account", lambda strategy: accounts.append(made(strategy)) or accounts[0])
        run = engine.simulate(*given_all, log=True)
    return run, int(accounts[0].block)


def moment_by_moment(given_all: Case) -> Run:
    """The run of an engine for which it is always too early to skim."""

    def account(strategy: Any) -> Any:
        account = made(strategy)
        account.skim_from = layout.NEVER
        return account

    made = engine._account
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_account", account)
        return engine.simulate(*given_all, log=True)


def calm(seed: int) -> Case:
    """A long market that moves little, some of its moments of several feeds; terms and strategy much as in any case."""
    _, venues, strategy, transfers = case(seed)
    rng = np.random.default_rng(seed)
    share = [0.45, 0.45, 0.1] if rng.random() < 0.5 else [0.6, 0.4, 0.0]
    which = rng.choice(3, EVENTS, p=share)
    pace = rng.choice([1, 7000])  # within a minute, or over three days
    local = np.cumsum(rng.choice([0, 1, 40], EVENTS, p=[0.5, 0.25, 0.25])) * pace * 1_000_000
    price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-5, EVENTS)))
    premium = np.convolve(rng.normal(0, 5e-5, EVENTS), np.exp(-np.arange(EVENTS) / 300))[:EVENTS]
    rate = 1.3 * np.exp(np.cumsum(rng.normal(0, 1e-5, EVENTS))) if share[RATE] else np.ones(EVENTS)
    mids = (price * rate * (1 + premium), price, rate)
    feeds = [quotes(rng, local[which == feed], mids[feed][which == feed]) for feed in range(3)]
    market = merge(feeds[0], feeds[1], feeds[RATE] if share[RATE] else None)
    if len(market.days) > 2:
        market = market.select(market.days[1].__ne__)
    terms = random.Random(seed)  # noqa: S311 - a market, not a secret
    strategy = replace(
        strategy,
        min_edge=terms.choice([0.0, 0.0003, 0.0006]),
        exit_edge=terms.choice([np.inf, 0.0, -0.0005]),
        max_fx_jump=terms.choice([np.inf, 0.00003]),
        max_daily_loss=terms.choice([np.inf, 0.003, 0.02, 0.05]),
    )
    cheap = [
        replace(venue, fee=venue.fee / 10, impact=venue.impact / 10, adverse=0.0, quote=1e6, base=1e4)
        for venue in venues
    ]
    return market, (cheap[0], cheap[1]), strategy, transfers


def quotes(rng: np.random.Generator, local: np.ndarray, mid: Floats) -> Quotes:
    half = mid * rng.uniform(0, 2e-5, len(mid))
    cells = np.zeros((CELLS, len(mid)))
    cells[:2] = mid - half, mid + half
    cells[2:] = rng.choice([0.0, 0.5, 3.0], (2, len(mid)))
    return Quotes(local, None, cells)
