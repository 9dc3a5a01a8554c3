"""The paper engine: one run of a strategy over a market. The rules of the game are in `kernel`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import MS_NS, RATE, A, B
from tuning_worker.market.kernel import caching, layout, play
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.rows import make_market
from tuning_worker.market.run import REASONS, Fill, Kind, Order, Run, Transfers, Venue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from tuning_worker.market.data import Floats, Market
    from tuning_worker.market.parameters import Strategy

DUST = 1e-9
"""The share of one order below which a quantity is rounding, not a position."""
_KINDS: tuple[Kind, ...] = ("entry", "exit", "hedge", "transfer")
_NO_TRANSFERS = Transfers()


def simulate(
    market: Market,
    venues: tuple[Venue, Venue],
    strategy: Strategy,
    transfers: Transfers = _NO_TRANSFERS,
    *,
    log: bool = False,
) -> Run:
    """Run the strategy over the quotes once.

    Args:
        market: at least one event.
        venues: A and B.
        strategy: what to do.
        transfers: what moving inventory takes.
        log: keep every order and fill, for a report or a test; slower.

    Raises:
        MarketDataError: there is no moment at which all is quoted.
    """
    return next(simulate_in_parts(market, venues, strategy, transfers, market.days[-1:], log=log))


def simulate_in_parts(
    market: Market,
    venues: tuple[Venue, Venue],
    strategy: Strategy,
    transfers: Transfers,
    ends: Sequence[date],
    *,
    log: bool = False,
) -> Iterator[Run]:
    """Run the strategy over the quotes once, and yield the run so far at the end of each part.

    Each is, to the last bit, what `simulate` returns for the days up to there; the last one is the whole run.

    Args:
        market: as `simulate` has it, like the next three.
        venues: …
        strategy: …
        transfers: …
        ends: the last day of each part, ascending; of the last part that of the market.
        log: …
    """
    opening = market.opening()
    rules = _rules(market, venues, strategy, transfers, mid=sum(opening[A]) / 2)
    account = _account(strategy)
    tape = _tape(market, strategy, log=log)
    daily = np.zeros(len(market.days))
    held = [
        rules.start_cash[venue] + rules.start_coins[venue] * (opening[venue][0] * rules.gets[venue] - rules.less[venue])
        for venue in (A, B)
    ]
    capital = float(held[A] + held[B] * opening[RATE][0])
    for part in market.parts(ends):
        play.play(tape, part, rules, account, daily)
        # The run goes on from `account`; were this its end, what is under way would be dropped.
        ended, days = account.copy(), daily[: account.day + 1].copy()
        play.end(tape, rules, ended, days, part[-1, 1] - 1)
        yield _run(tape, ended, days, capital=capital)


def warm_up() -> None:
    """Have the kernel compiled, or its machine code loaded, so that no evaluation has to wait for it."""
    quote = {"ts": [0], "bid_a": [1.0], "ask_a": [1.0], "bid_b": [1.0], "ask_b": [1.0]}
    venue = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=0.0, base=0.0)
    with caching.one_at_a_time():
        simulate(make_market(quote), (venue, venue), make_strategy({}, "", 1.0))


def _rules(market: Market, venues: tuple[Venue, Venue], strategy: Strategy, transfers: Transfers, *, mid: float) -> Any:
    rules = np.recarray(1, dtype=layout.RULES)[0]
    for index, venue in enumerate(venues):
        rules.fee[index], rules.impact[index], rules.latency[index] = venue.fee, venue.impact, _ns(venue.latency_ms)
        rules.start_cash[index], rules.start_coins[index] = venue.quote, venue.base
        rules.adverse[index] = venue.adverse
        rules.pays[index], rules.more[index] = (1 + venue.impact) * (1 + venue.fee), venue.adverse * (1 + venue.fee)
        rules.gets[index], rules.less[index] = (1 - venue.impact) * (1 - venue.fee), venue.adverse * (1 - venue.fee)
    rules.feeds = 1 << A | 1 << B | (1 << RATE if market.has_rate else 0)
    for name in _AS_THEY_ARE:
        rules[name] = getattr(strategy, name)
    for name in _TIMES:
        rules[name] = _ns(getattr(strategy, f"{name}_ms"))
    rules.sample_every = max(1, _ns(strategy.mean_window_ms) // layout.SAMPLES) if strategy.mean_window_ms > 0 else 0
    rules.transfer_at, rules.transfer_delay = strategy.transfer_position, _ns(transfers.delay_ms)
    rules.coin_fee, rules.money_fee = transfers.coin_fee, transfers.money_fee
    rules.dust = DUST * strategy.order_size / mid
    return rules


_AS_THEY_ARE = (
    "min_edge",
    "exit_edge",
    "tolerance",
    "order_size",
    "min_order",
    "max_position",
    "max_daily_loss",
    "max_daily_notional",
    "max_losses",
    "max_fx_jump",
    "entry_deviations",
    "exit_deviations",
)
_TIMES = ("cooldown", "max_holding", "max_quote_age", "max_fx_age", "pause")


def _ns(ms: float) -> int:
    """Return milliseconds in nanoseconds, `NEVER` for what is longer than the engine can add to a time."""
    return layout.NEVER if ms * MS_NS >= layout.NEVER else round(ms * MS_NS)


def _account(strategy: Strategy) -> Any:
    account = np.zeros(1, dtype=layout.ACCOUNT).view(np.recarray)[0]
    account.kind = layout.IDLE
    account.rate[:] = 1.0
    account.fair = 1.0
    account.enter_from, account.exit_from = strategy.min_edge, strategy.exit_edge
    account.day = -1
    account.block = layout.SMALLEST_BLOCK
    for name in ("midnight", "last_entry", "losses_until", "jump_until"):
        account[name] = -layout.NEVER
    for name in ("next_sample", "sample_event", "old_event", "arrives", "arrival_event"):
        account[name] = layout.NEVER
    return account


def _tape(market: Market, strategy: Strategy, *, log: bool) -> layout.Tape:
    # No more orders than events can ever be sent.
    hour = 0 if math.isinf(strategy.max_trades_per_hour) else min(int(strategy.max_trades_per_hour), market.events + 1)
    # A moment decides once, and may fill both legs before that and two more after it.
    room = market.events * (2 + 4 * market.levels) if log else 0
    return layout.Tape(
        local=market.local,
        exchange=market.exchange,
        feed=market.feed,
        cells=market.cells,
        used=np.zeros((2, 2, market.levels)),
        samples=np.zeros(layout.SAMPLES),
        hour=np.full(hour, -layout.NEVER),
        log=np.zeros((room, 6)),
    )


def _run(tape: layout.Tape, account: Any, daily: Floats, *, capital: float) -> Run:
    log = tape.log[: int(account.logged)].tolist()
    return Run(
        capital=capital,
        net_pnl=float(account.pnl),
        fees=float(account.fees),
        slippage=float(account.slippage),
        transfer_costs=float(account.transfer_costs),
        turnover=float(account.turnover),
        max_drawdown=float(account.drawdown),
        exposure_seconds=int(account.exposure) / 1e9,
        ordered=float(account.ordered),
        filled=float(account.filled_in_all),
        entries=int(account.entries),
        exits=int(account.exits),
        wins=int(account.wins),
        orders=int(account.orders),
        hedges=int(account.hedges),
        transfers=int(account.transfers),
        missed=int(account.missed),
        expired=int(account.expired),
        rejected=dict(zip(REASONS, account.rejected.tolist(), strict=True)),
        daily=tuple(daily.tolist()),
        cash=tuple(account.cash.tolist()),
        coins=tuple(account.coins.tolist()),
        unclaimed=float(account.unclaimed),
        order_log=tuple(
            Order(int(event), _KINDS[int(kind)], int(venue), quantity, price)
            for event, kind, venue, quantity, price, _ in log
            if kind != layout.FILL
        ),
        fill_log=tuple(
            Fill(int(event), int(venue), quantity, price, seen)
            for event, kind, venue, quantity, price, seen in log
            if kind == layout.FILL
        ),
    )
