"""What the strategy wants at a moment, what forbids it, and what of it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import ASK, BID, CELLS, RATE, A, B
from tuning_worker.market.kernel.caching import compiled
from tuning_worker.market.kernel.layout import (
    COOLDOWN,
    ENTRY,
    EXIT,
    FX_JUMP,
    HEDGE,
    HOUR_NS,
    IDLE,
    IN_FLIGHT,
    LOSS_LIMIT,
    LOSSES,
    NO_BASE,
    NO_QUOTE,
    NO_SIZE,
    NOTIONAL_LIMIT,
    POSITION_LIMIT,
    STALE,
    TOO_SMALL,
    TRADE_LIMIT,
    UNHEDGED,
)
from tuning_worker.market.kernel.legs import log_row, send
from tuning_worker.market.kernel.prices import balance, cost, edge, executed, gain, left, mid, position, proceeds

if TYPE_CHECKING:
    from tuning_worker.market.data import Floats
    from tuning_worker.market.kernel.layout import Tape


@compiled
def wish(now: int, cells: Floats, rules: Any, account: Any) -> tuple[int, int]:
    """Return what the strategy wants, by what is known and held: the kind (or IDLE), and where to buy.

    A trade back that pays enough for either is an exit, of the position and no more, so that no limit on entries holds
    it back. A rest below the minimum order cannot leave by itself: an entry may take it along.
    """
    gain_a, gain_b = edge(cells, rules, account, A), edge(cells, rules, account, B)
    back = B if account.sign > 0 else A
    returns = account.sign != 0 and (gain_a if back == A else gain_b) >= least_back(now, rules, account)
    if returns and abs(position(account)) * mid(cells, account, A) >= rules.min_order:
        return EXIT, back
    if max(gain_a, gain_b) >= account.enter_from:
        return ENTRY, A if gain_a >= gain_b else B
    return (EXIT, back) if returns else (IDLE, A)


@compiled
def least_back(now: int, rules: Any, account: Any) -> float:
    """Return the edge from which on a position is traded back: any, if it is held too long."""
    return -np.inf if now - account.opened > rules.max_holding else min(account.enter_from, account.exit_from)


@compiled
def decide(tape: Tape, rules: Any, account: Any, now: int, event: int) -> None:
    """Take the one decision of a moment, whose last event is given."""
    kind, buy = wish(now, tape.cells, rules, account)
    if account.kind != IDLE:
        if kind != IDLE:
            account.rejected[IN_FLIGHT] += 1
    elif abs(account.exposed) > rules.dust:
        if kind != IDLE:
            account.rejected[UNHEDGED] += 1
        hedge(tape, rules, account, now, event)
    elif kind == EXIT:
        trade(tape, rules, account, now, event, EXIT, buy, abs(position(account)), least_back(now, rules, account))
    elif kind == ENTRY:
        reason = forbidden(tape, rules, account, now)
        if reason >= 0:
            account.rejected[reason] += 1
        else:
            same_way = position(account) if buy == A else -position(account)
            room = rules.max_position / mid(tape.cells, account, A) - same_way
            trade(tape, rules, account, now, event, ENTRY, buy, room, account.enter_from)


@compiled
def forbidden(tape: Tape, rules: Any, account: Any, now: int) -> int:
    """Return the reason that forbids an entry, -1 if none."""
    reason = -1
    if account.last_entry > now - rules.cooldown:
        reason = COOLDOWN
    if len(tape.hour) > 0 and tape.hour[account.sent % len(tape.hour)] > now - HOUR_NS:
        reason = TRADE_LIMIT
    if account.turnover - account.day_turnover >= rules.max_daily_notional:
        reason = NOTIONAL_LIMIT
    if account.halted:
        reason = LOSS_LIMIT
    if now < account.losses_until:
        reason = LOSSES
    if now < account.jump_until:
        reason = FX_JUMP
    oldest = min(tape.exchange[account.at[A]], tape.exchange[account.at[B]])
    rate_time = tape.exchange[account.at[RATE]]
    if now - oldest > rules.max_quote_age or (rules.feeds >> RATE and now - rate_time > rules.max_fx_age):
        reason = STALE
    return reason


@compiled
def hedge(tape: Tape, rules: Any, account: Any, now: int, event: int) -> None:
    """Send a market order against the exposure, to the venue with the better net price that can take any of it."""
    side = -1 if account.exposed > 0 else 1
    best, chosen = 0.0, -1
    for venue in range(2):
        price = proceeds(tape.cells, rules, account, venue)
        if side > 0:
            price = cost(tape.cells, rules, account, venue)
        size = 0.0
        for level in range(len(tape.cells) // CELLS):
            size += left(tape, account, venue, side, level)
        there = min(size, balance(rules, account, venue, side, price))
        if venue == B:
            price *= account.rate[1] if side > 0 else account.rate[0]
        if there > rules.dust and (chosen < 0 or side * price < side * best):
            best, chosen = price, venue
    if chosen < 0:
        account.rejected[NO_SIZE] += 1
        return
    account.kind = HEDGE
    account.hedges += 1
    send(tape, rules, account, now, chosen, -account.exposed, np.inf)
    log_row(tape, account, event, HEDGE, chosen, -account.exposed, 0.0, 0.0)


@compiled
def depth(tape: Tape, rules: Any, account: Any, buy: int, least: float) -> float:
    """Return the coins that both books offer at an edge of at least `least`, within the tolerance of either leg.

    The best level of both is always counted: its edge is known, and a leg that tolerates less than its venue's own
    impact is missed, not shrunk.
    """
    sell, levels = 1 - buy, len(tape.cells) // CELLS
    highest = tape.cells[ASK, account.at[buy]] * (1 + rules.tolerance)
    lowest = tape.cells[BID, account.at[sell]] * (1 - rules.tolerance)
    asked, bid = left(tape, account, buy, 1, 0), left(tape, account, sell, -1, 0)
    total, i, j = min(asked, bid), 0, 0
    while levels > 1 and total < np.inf:
        step = min(asked, bid)
        asked, bid = asked - step, bid - step
        i, j = (i + 1, j) if asked <= 0 else (i, j + 1)
        if max(i, j) >= levels:
            break
        paid, got = executed(tape, rules, account, buy, 1, i), executed(tape, rules, account, sell, -1, j)
        if paid <= 0 or got <= 0 or (i > 0 and paid > highest) or (j > 0 and got < lowest):
            break
        if gain(account, buy, paid * (1 + rules.fee[buy]), got * (1 - rules.fee[sell])) < least:
            break
        if asked <= 0:
            asked = left(tape, account, buy, 1, i)
        else:
            bid = left(tape, account, sell, -1, j)
        total += min(asked, bid)
    return total


@compiled
def trade(  # noqa: PLR0913, PLR0917 - numba takes numbers, and no keywords
    tape: Tape, rules: Any, account: Any, now: int, event: int, kind: int, buy: int, room: float, least: float
) -> None:
    """Send both legs, as large as order size, room for the position, quoted sizes and balances allow."""
    sell = 1 - buy
    price = mid(tape.cells, account, A)
    ask = tape.cells[ASK, account.at[buy]]
    dearest = max(ask * (1 + rules.tolerance), executed(tape, rules, account, buy, 1, 0)) * (1 + rules.fee[buy])
    sized = depth(tape, rules, account, buy, least)
    money = balance(rules, account, buy, 1, dearest)
    coins = balance(rules, account, sell, -1, 0.0)
    quantity, reason = rules.order_size / price, TOO_SMALL
    if room < quantity:
        quantity, reason = room, POSITION_LIMIT if kind == ENTRY else TOO_SMALL
    if sized < quantity:
        quantity, reason = sized, NO_SIZE
    if money < quantity:
        quantity, reason = money, NO_QUOTE
    if coins < quantity:
        quantity, reason = coins, NO_BASE
    if quantity <= rules.dust or quantity * price < rules.min_order:
        account.rejected[reason] += 1
        return
    account.kind, account.buy = kind, buy
    account.orders += 1
    account.ordered += 2 * quantity
    send(tape, rules, account, now, buy, quantity, rules.tolerance)
    send(tape, rules, account, now, sell, -quantity, rules.tolerance)
    if kind == ENTRY:
        account.last_entry = now
    if len(tape.hour) > 0:
        tape.hour[account.sent % len(tape.hour)] = now
        account.sent += 1
    log_row(tape, account, event, kind, buy, quantity, edge(tape.cells, rules, account, buy), 0.0)
