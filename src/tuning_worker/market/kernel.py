"""The paper engine's compiled part: what happens at each row. `engine.simulate` is how to call it.

At each row, in this order:

1. Legs that have arrived (decision + their venue's latency) fill at this row, the first at or after their arrival:
   immediate or cancel, within their limit, up to the quoted size not used before and to the venue's balance. Used
   size comes back with the venue's next different quote.
2. Everything is marked at what selling it would bring. The day's loss limit looks at that.
3. One decision, on what this row and those before it show: a hedge if a leg was missed, else an exit of what is held
   too long, else an entry, else an exit. One order at a time. With zero latency it fills at this same row.

Inventory is pre-funded: nothing is borrowed, nothing moves between the venues. A position is the coins shifted from
one to the other. All compiled code is in this one file, as numba's cache notices no change in another one.
"""

# mypy: disable-error-code="no-any-return"
# The fields of `rules` and `account` have the types of the two dtypes below; numba checks them, mypy cannot.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

from tuning_worker.market.data import ASK, ASK_SIZE, BID, BID_SIZE, FX_ASK, FX_BID
from tuning_worker.market.run import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.market.data import Flags, Floats, Integers

A, B = 0, 1
DAY_MS = 86_400_000
ENTRY, EXIT, HEDGE, FILL = range(4)
IDLE = -1
IN_FLIGHT, UNHEDGED, LOSS_LIMIT, COOLDOWN, POSITION_LIMIT, NO_SIZE, NO_QUOTE, NO_BASE, TOO_SMALL = range(len(REASONS))

RULES = np.dtype(
    [
        # of venues A and B: shares, milliseconds, and the inventory at the start
        ("fee", "f8", 2),
        ("impact", "f8", 2),
        ("pays", "f8", 2),  # what a buyer pays for each unit of quoted price, with impact and fee
        ("gets", "f8", 2),  # what a seller gets, likewise
        ("latency", "i8", 2),
        ("start_cash", "f8", 2),
        ("start_coins", "f8", 2),
        # the strategy, in the units of `Strategy`
        ("min_edge", "f8"),
        ("exit_edge", "f8"),
        ("tolerance", "f8"),
        ("order_size", "f8"),
        ("min_order", "f8"),
        ("max_position", "f8"),
        ("max_daily_loss", "f8"),
        ("cooldown", "f8"),
        ("max_holding", "f8"),
        ("dust", "f8"),  # in coins
    ]
)

ACCOUNT = np.dtype(
    [
        # of venues A and B: changes since the start, and size used of the present quote
        ("cash", "f8", 2),
        ("coins", "f8", 2),
        ("used_bid", "f8", 2),
        ("used_ask", "f8", 2),
        # the order under way, and its leg at each venue; side 1 buys, -1 sells, 0 is no leg under way
        ("kind", "i8"),
        ("buy", "i8"),
        ("side", "i8", 2),
        ("due", "i8", 2),
        ("quantity", "f8", 2),
        ("seen", "f8", 2),
        ("limit", "f8", 2),
        ("filled", "f8", 2),
        ("worth", "f8", 2),  # net price of the fill, in A's currency
        # where things stand
        ("busy", "i8"),  # whether something is under way, exposed or used up
        ("exposed", "f8"),  # coins bought and not sold
        ("sign", "i8"),  # of the position
        ("opened", "i8"),
        ("last_entry", "f8"),
        ("day", "i8"),
        ("midnight", "i8"),
        ("day_start", "f8"),
        ("halted", "i8"),
        ("pnl", "f8"),
        ("peak", "f8"),
        ("unclaimed", "f8"),
        ("logged", "i8"),
        # the sums of a `Run`
        ("drawdown", "f8"),
        ("exposure_ms", "i8"),
        ("fees", "f8"),
        ("slippage", "f8"),
        ("turnover", "f8"),
        ("ordered", "f8"),
        ("filled_in_all", "f8"),
        ("entries", "i8"),
        ("exits", "i8"),
        ("wins", "i8"),
        ("orders", "i8"),
        ("hedges", "i8"),
        ("missed", "i8"),
        ("expired", "i8"),
        ("rejected", "i8", len(REASONS)),
    ]
)

F = TypeVar("F", bound="Callable[..., Any]")


def compiled(function: F) -> F:
    """Compile a function when it is first called, and keep the machine code on disk."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


class Tape(NamedTuple):
    """What is played, and the log (row, kind, venue, quantity, price or edge, price seen), which may have no room.

    What runs at every row takes the arrays instead: numba counts references at each call that is given a tuple, which
    made a quiet row twenty times as dear.
    """

    ts: Integers
    cells: Floats
    log: Floats


@compiled
def mid_of_a(tape: Tape, i: int) -> float:
    """Return A's mid price, at which amounts of money are turned into coins."""
    return (tape.cells[BID, i] + tape.cells[ASK, i]) / 2


@compiled
def edge(cells: Floats, rules: Any, i: int, buy: int) -> float:
    """Return what buying on one venue and selling on the other earns net, a share of what the buying costs."""
    sell = 1 - buy
    paid = cells[ASK + buy, i] * rules.pays[buy]
    got = cells[BID + sell, i] * rules.gets[sell]
    if buy == A:
        return got * cells[FX_BID, i] / paid - 1
    return got / (paid * cells[FX_ASK, i]) - 1


@compiled
def worth(cells: Floats, rules: Any, account: Any, i: int) -> float:
    """Return what the change of the holdings since the start would bring if sold, in A's currency."""
    at_a = account.cash[A] + account.coins[A] * (cells[BID + A, i] * rules.gets[A])
    at_b = account.cash[B] + account.coins[B] * (cells[BID + B, i] * rules.gets[B])
    return at_a + at_b * cells[FX_BID, i]


@compiled
def position(account: Any) -> float:
    """Return the coins shifted from B to A (that is, bought at A and sold at B); negative the other way."""
    return (account.coins[A] - account.coins[B]) / 2


@compiled
def left(tape: Tape, account: Any, i: int, venue: int, side: int) -> float:
    """Return the quoted size not used yet: of the ask for a buyer, of the bid for a seller."""
    if side > 0:
        return tape.cells[ASK_SIZE + venue, i] - account.used_ask[venue]
    return tape.cells[BID_SIZE + venue, i] - account.used_bid[venue]


@compiled
def balance(rules: Any, account: Any, venue: int, side: int, price: float) -> float:
    """Return the coins that a venue's balance allows to trade; `price` is what one costs a buyer, net."""
    if side > 0:
        return (rules.start_cash[venue] + account.cash[venue]) / price
    return rules.start_coins[venue] + account.coins[venue]


@compiled
def log_row(
    tape: Tape, account: Any, i: int, what: tuple[int, int], quantity: float, price: float, seen: float
) -> None:
    """Log an order or a fill, `what` being its kind and venue, if there is room."""
    if account.logged < len(tape.log):
        row = tape.log[account.logged]
        row[0], row[1], row[2], row[3], row[4], row[5] = i, what[0], what[1], quantity, price, seen
        account.logged += 1


@compiled
def mark(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Note net PnL, drawdown and whether the day's loss limit is reached."""
    account.pnl = worth(tape.cells, rules, account, i) - account.unclaimed
    account.peak = max(account.peak, account.pnl)
    account.drawdown = max(account.drawdown, account.peak - account.pnl)
    if account.day_start - account.pnl >= rules.max_daily_loss:
        account.halted = 1


@compiled
def release(tape: Tape, account: Any, i: int) -> None:
    """Give back the used size of each venue whose quote differs from the row before."""
    for venue in range(2):
        for column in (BID, ASK, BID_SIZE, ASK_SIZE):
            if tape.cells[column + venue, i] != tape.cells[column + venue, i - 1]:
                account.used_bid[venue] = 0.0
                account.used_ask[venue] = 0.0


@compiled
def fill(tape: Tape, rules: Any, account: Any, i: int, venue: int) -> None:
    """Execute a leg that has arrived: immediate or cancel."""
    side = account.side[venue]
    account.side[venue] = 0
    quoted = tape.cells[ASK + venue, i] if side > 0 else tape.cells[BID + venue, i]
    price = quoted * (1 + side * rules.impact[venue])
    if side * price > side * account.limit[venue]:
        account.missed += 1
        return
    net = price * (1 + side * rules.fee[venue])
    there = min(left(tape, account, i, venue, side), balance(rules, account, venue, side, net))
    quantity = min(account.quantity[venue], there)
    if quantity <= 0:
        return
    account.cash[venue] -= side * quantity * net
    account.coins[venue] += side * quantity
    account.exposed += side * quantity
    account.filled[venue] = quantity
    if side > 0:
        account.used_ask[venue] += quantity
    else:
        account.used_bid[venue] += quantity
    book_costs(tape, rules, account, i, venue, side, price)


@compiled
def book_costs(tape: Tape, rules: Any, account: Any, i: int, venue: int, side: int, price: float) -> None:
    """Note what a fill cost and what it is worth, in A's currency."""
    quantity, seen = account.filled[venue], account.seen[venue]
    mid_rate, own_rate = 1.0, 1.0
    if venue == B:
        mid_rate = (tape.cells[FX_BID, i] + tape.cells[FX_ASK, i]) / 2
        own_rate = tape.cells[FX_ASK, i] if side > 0 else tape.cells[FX_BID, i]
    account.worth[venue] = price * (1 + side * rules.fee[venue]) * own_rate
    account.fees += quantity * price * rules.fee[venue] * mid_rate
    account.slippage += quantity * side * (price - seen) * mid_rate
    account.turnover += quantity * price * mid_rate
    log_row(tape, account, i, (FILL, venue), side * quantity, price, seen)


@compiled
def settle(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Fill the legs that have arrived; close the order when none is left."""
    for venue in range(2):
        if account.side[venue] != 0 and account.due[venue] <= tape.ts[i]:
            fill(tape, rules, account, i, venue)
    if account.side[A] == 0 and account.side[B] == 0:
        close(rules, account, tape.ts[i])


@compiled
def close(rules: Any, account: Any, now: int) -> None:
    """Account for an order whose legs are all done, and note when a position was opened."""
    if account.kind != HEDGE:
        account.filled_in_all += account.filled[A] + account.filled[B]
        if min(account.filled[A], account.filled[B]) > 0:
            if account.kind == ENTRY:
                account.entries += 1
            else:
                account.exits += 1
            if account.worth[1 - account.buy] > account.worth[account.buy]:
                account.wins += 1
    account.kind = IDLE
    shifted = position(account)
    sign = 0 if abs(shifted) <= rules.dust else (1 if shifted > 0 else -1)
    if sign != account.sign:
        account.sign = sign
        account.opened = now


@compiled
def send(tape: Tape, rules: Any, account: Any, i: int, venue: int, quantity: float, tolerance: float) -> None:
    """Put one leg on its way: a purchase, or with a negative quantity a sale."""
    side = 1 if quantity > 0 else -1
    seen = tape.cells[ASK + venue, i] if side > 0 else tape.cells[BID + venue, i]
    account.side[venue] = side
    account.due[venue] = tape.ts[i] + rules.latency[venue]
    account.quantity[venue] = abs(quantity)
    account.seen[venue] = seen
    account.limit[venue] = seen * (1 + side * tolerance)
    account.filled[venue] = 0.0


@compiled
def hedge(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Send a market order against the exposure, to the venue with the better net price that can take any of it."""
    side = -1 if account.exposed > 0 else 1
    best, chosen = 0.0, -1
    for venue in range(2):
        price = tape.cells[ASK + venue, i] * rules.pays[venue]
        if side < 0:
            price = tape.cells[BID + venue, i] * rules.gets[venue]
        there = min(left(tape, account, i, venue, side), balance(rules, account, venue, side, price))
        if venue == B:
            price *= tape.cells[FX_ASK, i] if side > 0 else tape.cells[FX_BID, i]
        if there > rules.dust and (chosen < 0 or side * price < side * best):
            best, chosen = price, venue
    if chosen < 0:
        account.rejected[NO_SIZE] += 1
        return
    account.kind = HEDGE
    account.hedges += 1
    send(tape, rules, account, i, chosen, -account.exposed, np.inf)
    log_row(tape, account, i, (HEDGE, chosen), -account.exposed, 0.0, 0.0)


@compiled
def trade(tape: Tape, rules: Any, account: Any, i: int, kind: int, buy: int, room: float) -> None:
    """Send both legs, as large as order size, room for the position, quoted sizes and balances allow."""
    sell = 1 - buy
    mid = mid_of_a(tape, i)
    dearest = tape.cells[ASK + buy, i] * max(1 + rules.tolerance, 1 + rules.impact[buy]) * (1 + rules.fee[buy])
    sized = min(left(tape, account, i, buy, 1), left(tape, account, i, sell, -1))
    money = balance(rules, account, buy, 1, dearest)
    coins = balance(rules, account, sell, -1, 0.0)
    quantity, reason = rules.order_size / mid, TOO_SMALL
    if room < quantity:
        quantity, reason = room, POSITION_LIMIT if kind == ENTRY else TOO_SMALL
    if sized < quantity:
        quantity, reason = sized, NO_SIZE
    if money < quantity:
        quantity, reason = money, NO_QUOTE
    if coins < quantity:
        quantity, reason = coins, NO_BASE
    if quantity <= rules.dust or quantity * mid < rules.min_order:
        account.rejected[reason] += 1
        return
    account.kind, account.buy = kind, buy
    account.orders += 1
    account.ordered += 2 * quantity
    send(tape, rules, account, i, buy, quantity, rules.tolerance)
    send(tape, rules, account, i, sell, -quantity, rules.tolerance)
    if kind == ENTRY:
        account.last_entry = tape.ts[i]
    log_row(tape, account, i, (kind, buy), quantity, edge(tape.cells, rules, i, buy), 0.0)


@compiled
def enter(tape: Tape, rules: Any, account: Any, i: int, buy: int) -> None:
    """Enter, unless the loss limit, the cooldown or the position limit forbids it."""
    if account.halted:
        account.rejected[LOSS_LIMIT] += 1
    elif tape.ts[i] - account.last_entry < rules.cooldown:
        account.rejected[COOLDOWN] += 1
    else:
        same_way = position(account) if buy == A else -position(account)
        trade(tape, rules, account, i, ENTRY, buy, rules.max_position / mid_of_a(tape, i) - same_way)


@compiled
def wish(now: int, cells: Floats, rules: Any, account: Any, i: int) -> tuple[int, int]:
    """Return what the strategy wants at a row, by what it shows and what is held: the kind (or IDLE), where to buy."""
    gain_a, gain_b = edge(cells, rules, i, A), edge(cells, rules, i, B)
    back = B if account.sign > 0 else A
    if account.sign != 0 and now - account.opened > rules.max_holding:
        return EXIT, back
    if max(gain_a, gain_b) >= rules.min_edge:
        return ENTRY, A if gain_a >= gain_b else B
    if account.sign != 0 and (gain_a if back == A else gain_b) >= rules.exit_edge:
        return EXIT, back
    return IDLE, A


@compiled
def decide(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Take the one decision of a row."""
    kind, buy = wish(tape.ts[i], tape.cells, rules, account, i)
    if account.kind != IDLE:
        if kind != IDLE:
            account.rejected[IN_FLIGHT] += 1
    elif abs(account.exposed) > rules.dust:
        if kind != IDLE:
            account.rejected[UNHEDGED] += 1
        hedge(tape, rules, account, i)
    elif kind == ENTRY:
        enter(tape, rules, account, i, buy)
    elif kind == EXIT:
        trade(tape, rules, account, i, EXIT, buy, abs(position(account)))


@compiled
def step(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Live through one row, and note whether the next may be skimmed."""
    if account.kind != IDLE:
        settle(tape, rules, account, i)
    mark(tape, rules, account, i)
    decide(tape, rules, account, i)
    if account.kind != IDLE and min(rules.latency[A], rules.latency[B]) == 0:
        settle(tape, rules, account, i)
        mark(tape, rules, account, i)
    used = max(account.used_bid[A], account.used_bid[B], account.used_ask[A], account.used_ask[B])
    account.busy = account.kind != IDLE or used > 0 or abs(account.exposed) > rules.dust


@compiled
def skim(tape: Tape, rules: Any, account: Any, i: int, last: int) -> int:
    """Mark rows as long as nothing is wanted and the day lasts; return the first that needs more than that.

    It does what `step` would do while not `busy`, in a loop that stays in registers.
    """
    ts, cells = tape.ts, tape.cells
    pnl, peak, drawdown, halted = account.pnl, account.peak, account.drawdown, account.halted
    while i < last and ts[i] < account.midnight and wish(ts[i], cells, rules, account, i)[0] == IDLE:
        pnl = worth(cells, rules, account, i) - account.unclaimed
        peak = max(peak, pnl)
        drawdown = max(drawdown, peak - pnl)
        halted |= account.day_start - pnl >= rules.max_daily_loss
        i += 1
    account.pnl, account.peak, account.drawdown, account.halted = pnl, peak, drawdown, halted
    return i


@compiled
def begin_stretch(tape: Tape, rules: Any, account: Any, first: int, skipped: bool) -> None:  # noqa: FBT001 - from an array
    """Drop what is under way and forget what was used; leave price moves across rows left out to nobody."""
    account.used_bid[:] = 0.0
    account.used_ask[:] = 0.0
    expire(rules, account, tape.ts[first])
    if skipped:
        account.unclaimed = worth(tape.cells, rules, account, first) - account.pnl
    elif first > 0 and abs(account.exposed) > rules.dust:
        account.exposure_ms += tape.ts[first] - tape.ts[first - 1]


@compiled
def expire(rules: Any, account: Any, now: int) -> None:
    """Drop the legs that have not arrived when their stretch ends."""
    for venue in range(2):
        if account.side[venue] != 0:
            account.side[venue] = 0
            account.expired += 1
    if account.kind != IDLE:
        close(rules, account, now)


@compiled
def begin_day(tape: Tape, account: Any, daily: Floats, i: int) -> None:
    """Book the day before, and lift the loss limit."""
    if account.day >= 0:
        daily[account.day] = account.pnl - account.day_start
    account.day += 1
    account.midnight = (tape.ts[i] // DAY_MS + 1) * DAY_MS
    account.day_start = account.pnl
    account.halted = 0


@compiled
def play(tape: Tape, starts: Integers, skipped: Flags, rules: Any, account: Any, daily: Floats) -> None:
    """Live through all rows, stretch by stretch, and end."""
    for stretch in range(len(starts)):
        first = starts[stretch]
        last = starts[stretch + 1] if stretch + 1 < len(starts) else len(tape.ts)
        begin_stretch(tape, rules, account, first, skipped[stretch])
        i = first
        while i < last:
            if tape.ts[i] >= account.midnight:
                begin_day(tape, account, daily, i)
            if account.busy and i > first:
                release(tape, account, i)
                if abs(account.exposed) > rules.dust:
                    account.exposure_ms += tape.ts[i] - tape.ts[i - 1]
            step(tape, rules, account, i)
            i += 1
            if not account.busy:
                i = skim(tape, rules, account, i, last)
    expire(rules, account, tape.ts[-1])
    daily[account.day] = account.pnl - account.day_start
