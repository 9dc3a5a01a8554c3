"""Orders on their way: sending their legs, filling them, and closing the order when none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuning_worker.market.data import ASK, BID, CELLS, A, B
from tuning_worker.market.kernel.caching import compiled
from tuning_worker.market.kernel.layout import ENTRY, FILL, HEDGE, IDLE, NEVER
from tuning_worker.market.kernel.prices import balance, executed, left, mid_rate, position

if TYPE_CHECKING:
    from tuning_worker.market.data import Integers
    from tuning_worker.market.kernel.layout import Tape


@compiled
def log_row(  # noqa: PLR0913, PLR0917 - the columns of the log
    tape: Tape, account: Any, event: int, kind: int, venue: int, quantity: float, price: float, seen: float
) -> None:
    """Log an order or a fill, if there is room."""
    if account.logged < len(tape.log):
        row = tape.log[account.logged]
        row[0], row[1], row[2], row[3], row[4], row[5] = event, kind, venue, quantity, price, seen
        account.logged += 1


@compiled
def seek(local: Integers, begin: int, time: int) -> int:
    """Return the first event from `begin` on that is known at or after a time; quick where it is near."""
    stride = 1
    while begin + stride < len(local) and local[begin + stride] < time:
        begin += stride
        stride *= 2
    end = min(begin + stride, len(local))
    while begin < end:
        middle = (begin + end) // 2
        if local[middle] < time:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def send(tape: Tape, rules: Any, account: Any, now: int, venue: int, quantity: float, tolerance: float) -> None:
    """Put one leg on its way: a purchase, or with a negative quantity a sale."""
    side = 1 if quantity > 0 else -1
    at = account.at[venue]
    seen = tape.cells[ASK, at] if side > 0 else tape.cells[BID, at]
    account.side[venue] = side
    account.due[venue] = now + rules.latency[venue]
    # A venue whose clock is ahead has quotes of a later exchange time already: those were seen, it is for the next.
    account.since[venue] = account.moment if rules.latency[venue] == 0 else max(account.at[A], account.at[B]) + 1
    account.quantity[venue] = abs(quantity)
    account.seen[venue] = seen
    account.limit[venue] = seen * (1 + side * tolerance)
    account.filled[venue] = 0.0
    account.worth[venue] = 0.0


@compiled
def arrived(exchange: Integers, account: Any, venue: int) -> bool:
    """Return whether a leg is under way that the venue's last quote fills."""
    at = account.at[venue]
    return bool(account.side[venue] != 0 and at >= account.since[venue] and exchange[at] >= account.due[venue])


@compiled
def settle(tape: Tape, rules: Any, account: Any, now: int) -> None:
    """Fill the legs that have arrived; close the order when none is left."""
    for venue in range(2):
        if arrived(tape.exchange, account, venue):
            fill(tape, rules, account, venue)
    if account.side[A] == 0 and account.side[B] == 0:
        close(tape, rules, account, now)


@compiled
def fill(tape: Tape, rules: Any, account: Any, venue: int) -> None:
    """Execute a leg that has arrived, level by level: immediate or cancel."""
    side, wanted = account.side[venue], account.quantity[venue]
    account.side[venue] = 0
    for level in range(len(tape.cells) // CELLS):
        price = executed(tape, rules, account, venue, side, level)
        if side * price > side * account.limit[venue]:
            account.missed += level == 0
            return
        quantity = min(wanted, left(tape, account, venue, side, level))
        if quantity > 0:
            quantity = min(quantity, balance(rules, account, venue, side, price * (1 + side * rules.fee[venue])))
        if quantity > 0:
            take(tape, rules, account, venue, side, level, quantity, price)
            wanted -= quantity
        if wanted <= 0:
            return


@compiled
def take(  # noqa: PLR0913, PLR0917 - numba takes numbers, and no keywords
    tape: Tape, rules: Any, account: Any, venue: int, side: int, level: int, quantity: float, price: float
) -> None:
    """Trade at one price: money, coins, used size, costs, and what it is worth in A's currency."""
    net = price * (1 + side * rules.fee[venue])
    account.cash[venue] -= side * quantity * net
    account.coins[venue] += side * quantity
    account.exposed += side * quantity
    tape.used[venue, (side + 1) // 2, level] += quantity
    account.taken[venue] += quantity
    own, fair, middle = 1.0, 1.0, 1.0
    if venue == B:
        own, fair, middle = account.rate[1] if side > 0 else account.rate[0], account.fair, mid_rate(account)
    value, before = net * own * fair, account.filled[venue]
    account.filled[venue] = before + quantity
    if before > 0:
        value = (account.worth[venue] * before + value * quantity) / account.filled[venue]
    account.worth[venue] = value
    account.fees += quantity * price * rules.fee[venue] * middle
    account.slippage += quantity * side * (price - account.seen[venue]) * middle
    account.turnover += quantity * price * middle
    log_row(tape, account, account.at[venue], FILL, venue, side * quantity, price, account.seen[venue])


@compiled
def close(tape: Tape, rules: Any, account: Any, now: int) -> None:
    """Account for an order whose legs are all done."""
    if account.kind != HEDGE:
        judge(rules, account, now)
    account.kind = IDLE
    account.look = 1
    regard(tape, rules, account, now)


@compiled
def judge(rules: Any, account: Any, now: int) -> None:
    """Count an entry or exit, whether it won, and losing entries in a row: a leg alone is a loss, as it is hedged."""
    account.filled_in_all += account.filled[A] + account.filled[B]
    matched = min(account.filled[A], account.filled[B]) > 0
    won = matched and account.worth[1 - account.buy] > account.worth[account.buy]
    if matched:
        if account.kind == ENTRY:
            account.entries += 1
        else:
            account.exits += 1
        account.wins += won
    if account.kind == ENTRY and max(account.filled[A], account.filled[B]) > 0:
        account.losses = 0 if won else account.losses + 1
        if account.losses >= rules.max_losses:
            account.losses_until = now + rules.pause
            account.losses = 0


@compiled
def regard(tape: Tape, rules: Any, account: Any, now: int) -> None:
    """Note when a position was opened, and from which event on it will be too old."""
    shifted = position(account)
    sign = 0 if abs(shifted) <= rules.dust else (1 if shifted > 0 else -1)
    if sign != account.sign:
        account.sign = sign
        account.opened = now
        account.old_event = len(tape.local)
        if sign != 0 and rules.max_holding < NEVER:
            account.old_event = seek(tape.local, max(account.at[A], account.at[B]), now + rules.max_holding + 1)


@compiled
def expire(tape: Tape, rules: Any, account: Any, now: int) -> None:
    """Drop the legs that have not arrived when their stretch ends."""
    for venue in range(2):
        if account.side[venue] != 0:
            account.side[venue] = 0
            account.expired += 1
    if account.kind != IDLE:
        close(tape, rules, account, now)
