"""The paper engine: one run of a strategy over a market. The rules of the game are in `kernel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market import kernel
from tuning_worker.market.data import ASK, BID, FX_BID, make_market
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.run import REASONS, Fill, Kind, Order, Run, Venue

if TYPE_CHECKING:
    from tuning_worker.market.data import Floats, Market
    from tuning_worker.market.parameters import Strategy

DUST = 1e-9
"""The share of one order below which a quantity is rounding, not a position."""
_KINDS: tuple[Kind, ...] = ("entry", "exit", "hedge")


def simulate(market: Market, venues: tuple[Venue, Venue], strategy: Strategy, *, log: bool = False) -> Run:
    """Run the strategy over the quotes once.

    Args:
        market: at least one row.
        venues: A and B.
        strategy: what to do.
        log: keep every order and fill, for a report or a test; slower.
    """
    rules = _rules(market, venues, strategy)
    account = _account()
    # A row decides once and fills at most twice before that decision and twice after it.
    tape = kernel.Tape(market.ts, market.cells, np.zeros((5 * market.rows if log else 0, 6)))
    daily = np.zeros(len(market.days))
    kernel.play(tape, market.starts, market.skipped, rules, account, daily)
    return _run(tape, rules, account, daily)


def warm_up() -> None:
    """Have the kernel compiled, or its machine code loaded, so that no evaluation has to wait for it."""
    quote = {"ts": [0], "bid_a": [1.0], "ask_a": [1.0], "bid_b": [1.0], "ask_b": [1.0]}
    venue = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=0.0, base=0.0)
    simulate(make_market(quote), (venue, venue), make_strategy({}, "", 1.0))


def _rules(market: Market, venues: tuple[Venue, Venue], strategy: Strategy) -> Any:
    rules = np.recarray(1, dtype=kernel.RULES)[0]
    for index, venue in enumerate(venues):
        rules.fee[index], rules.impact[index], rules.latency[index] = venue.fee, venue.impact, venue.latency_ms
        rules.start_cash[index], rules.start_coins[index] = venue.quote, venue.base
        rules.pays[index] = (1 + venue.impact) * (1 + venue.fee)
        rules.gets[index] = (1 - venue.impact) * (1 - venue.fee)
    rules.min_edge, rules.exit_edge, rules.tolerance = strategy.min_edge, strategy.exit_edge, strategy.tolerance
    rules.order_size, rules.min_order = strategy.order_size, strategy.min_order
    rules.max_position, rules.max_daily_loss = strategy.max_position, strategy.max_daily_loss
    rules.cooldown, rules.max_holding = strategy.cooldown_ms, strategy.max_holding_ms
    rules.dust = DUST * strategy.order_size / ((market.cells[BID, 0] + market.cells[ASK, 0]) / 2)
    return rules


def _account() -> Any:
    account = np.zeros(1, dtype=kernel.ACCOUNT).view(np.recarray)[0]
    account.kind = kernel.IDLE
    account.day = -1
    account.midnight = np.iinfo(np.int64).min
    account.last_entry = -np.inf
    return account


def _run(tape: kernel.Tape, rules: Any, account: Any, daily: Floats) -> Run:
    log = tape.log[: int(account.logged)].tolist()
    held = rules.start_cash + rules.start_coins * tape.cells[BID : BID + 2, 0] * rules.gets
    return Run(
        capital=float(held[0] + held[1] * tape.cells[FX_BID, 0]),
        net_pnl=float(account.pnl),
        fees=float(account.fees),
        slippage=float(account.slippage),
        turnover=float(account.turnover),
        max_drawdown=float(account.drawdown),
        exposure_seconds=int(account.exposure_ms) / 1000,
        ordered=float(account.ordered),
        filled=float(account.filled_in_all),
        entries=int(account.entries),
        exits=int(account.exits),
        wins=int(account.wins),
        orders=int(account.orders),
        hedges=int(account.hedges),
        missed=int(account.missed),
        expired=int(account.expired),
        rejected=dict(zip(REASONS, account.rejected.tolist(), strict=True)),
        daily=tuple(daily.tolist()),
        cash=tuple(account.cash.tolist()),
        coins=tuple(account.coins.tolist()),
        unclaimed=float(account.unclaimed),
        order_log=tuple(
            Order(int(i), _KINDS[int(kind)], int(venue), quantity, price)
            for i, kind, venue, quantity, price, _ in log
            if kind != kernel.FILL
        ),
        fill_log=tuple(
            Fill(int(i), int(venue), quantity, price, seen)
            for i, kind, venue, quantity, price, seen in log
            if kind == kernel.FILL
        ),
    )
