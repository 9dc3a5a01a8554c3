"""Moments, days and stretches: the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import ASK, BID, DAY_NS, GOES_ON, MORE, RATE, A, B
from tuning_worker.market.kernel.caching import compiled, contracted, entrance
from tuning_worker.market.kernel.decisions import decide, wish
from tuning_worker.market.kernel.inventory import arrive, consider
from tuning_worker.market.kernel.layout import IDLE, IN_FLIGHT
from tuning_worker.market.kernel.legs import arrived, expire, seek, settle
from tuning_worker.market.kernel.premium import begin_samples, sample
from tuning_worker.market.kernel.prices import worth

if TYPE_CHECKING:
    from tuning_worker.market.data import Floats, Integers
    from tuning_worker.market.kernel.layout import Tape


@entrance
def play(tape: Tape, stretches: Integers, rules: Any, account: Any, daily: Floats) -> None:
    """Live through all moments, stretch by stretch; what is to come may be played later."""
    for stretch in range(len(stretches)):
        i, last = stretches[stretch, 0], stretches[stretch, 1]
        begin_stretch(tape, rules, account, i, stretches[stretch, 2])
        while i < last:
            if tape.local[i] >= account.midnight:
                begin_day(tape, account, daily, i)
            if account.ready and account.next_sample < tape.local[i]:
                sample(tape, rules, account, i)
            i = take_in(tape, rules, account, i)
            if account.ready or get_ready(tape, rules, account, i - 1):
                if not wait(tape.exchange, tape.cells, rules, account, tape.local[i - 1]):
                    step(tape, rules, account, i - 1)
                if not account.busy:
                    i = skim(tape, rules, account, i, last)


@entrance
def end(tape: Tape, rules: Any, account: Any, daily: Floats, last: int) -> None:
    """Drop what is under way, and book the day, as nothing is played after event `last`."""
    expire(tape, rules, account, tape.local[last])
    daily[account.day] = account.pnl - account.day_start


@compiled
def begin_stretch(tape: Tape, rules: Any, account: Any, first: int, skipped: int) -> None:
    """Drop what is under way and forget what was used; after days left out, forget the rate too."""
    if skipped == GOES_ON:
        return
    tape.used[:] = 0.0
    account.taken[:] = 0.0
    expire(tape, rules, account, tape.local[first])
    account.known &= 1 << RATE
    account.ready = 0
    if skipped:
        account.known = 0
        account.skipped = 1
        account.before = tape.local[first]


@compiled
def get_ready(tape: Tape, rules: Any, account: Any, event: int) -> bool:
    """Find out whether all has been quoted; then leave price moves across events left out to nobody."""
    if account.known & rules.feeds != rules.feeds:
        return False
    if account.skipped:
        account.skipped = 0
        account.unclaimed = worth(tape.cells, rules, account) - account.pnl
    account.ready = 1
    begin_samples(rules, account, tape.local[event])
    return True


@compiled
def begin_day(tape: Tape, account: Any, daily: Floats, i: int) -> None:
    """Book the day before, and lift the limits of a day."""
    if account.day >= 0:
        daily[account.day] = account.pnl - account.day_start
    account.day += 1
    account.midnight = (tape.local[i] // DAY_NS + 1) * DAY_NS
    account.midnight_event = seek(tape.local, i, account.midnight)
    account.day_start = account.pnl
    account.day_turnover = account.turnover
    account.halted = 0


@compiled
def take_in(tape: Tape, rules: Any, account: Any, i: int) -> int:
    """Take in the quotes of a moment that begins with event `i`; return the first event of the next."""
    account.moment = i
    while True:
        which = tape.feed[i] & 3
        if which == RATE:
            take_rate(tape, rules, account, i)
        else:
            if account.taken[which] > 0 and differs(tape.cells, account.at[which], i):
                account.taken[which] = 0.0
                tape.used[which] = 0.0
            account.at[which] = i
        account.known |= 1 << which
        i += 1
        if tape.feed[i - 1] & MORE == 0:
            return i


@compiled
def take_rate(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Take in a rate; one that has jumped stops entries for a while."""
    before = account.rate[0] + account.rate[1]
    account.rate[0], account.rate[1] = tape.cells[BID, i], tape.cells[ASK, i]
    account.rate_time = tape.exchange[i]
    if account.known >> RATE and jumped(before, account.rate[0] + account.rate[1], rules.max_fx_jump):
        account.jump_until = tape.local[i] + rules.pause


@compiled
def jumped(before: float, after: float, most: float) -> bool:
    """Return whether a rate has moved by more than a share of itself."""
    return abs(after / before - 1) > most


@compiled
def differs(cells: Floats, one: int, other: int) -> bool:
    """Return whether two quotes of a venue differ, at any level."""
    for row in range(len(cells)):  # noqa: SIM110 - numba knows no generators here
        if cells[row, one] != cells[row, other]:
            return True
    return False


@compiled
def wait(exchange: Integers, cells: Floats, rules: Any, account: Any, now: int) -> bool:
    """Live through a moment in which nothing arrives and nothing is sent; do nothing and return False in any other.

    It does what `step` would do, but is not given the tape: a call that is counts references to all of its arrays.
    """
    under_way = account.kind != IDLE
    if account.look or account.arrives <= now or (not under_way and abs(account.exposed) > rules.dust):
        return False
    if under_way and (arrived(exchange, account, A) or arrived(exchange, account, B)):
        return False
    kind, _ = wish(now, cells, rules, account)
    if kind != IDLE and not under_way:
        return False
    account.rejected[IN_FLIGHT] += kind != IDLE
    expose(rules, account, now)
    mark(cells, rules, account)
    account.busy = under_way or max(account.taken[A], account.taken[B]) > 0
    return True


@compiled
def expose(rules: Any, account: Any, now: int) -> None:
    """Count the time since the last moment if anything was exposed."""
    if abs(account.exposed) > rules.dust:
        account.exposure += now - account.before
    account.before = now


@compiled
def step(tape: Tape, rules: Any, account: Any, event: int) -> None:
    """Live through any moment, given its last event, and note whether the next may be skimmed."""
    now = tape.local[event]
    expose(rules, account, now)
    if account.arrives <= now:
        arrive(account)
    if account.kind != IDLE:
        settle(tape, rules, account, now)
    mark(tape.cells, rules, account)
    if account.look:
        consider(tape, rules, account, now, event)
        mark(tape.cells, rules, account)
    decide(tape, rules, account, now, event)
    if account.kind != IDLE and min(rules.latency[A], rules.latency[B]) == 0:
        settle(tape, rules, account, now)
        mark(tape.cells, rules, account)
    held_up = account.kind != IDLE or abs(account.exposed) > rules.dust
    account.busy = held_up or account.look or max(account.taken[A], account.taken[B]) > 0


@compiled
def mark(cells: Floats, rules: Any, account: Any) -> None:
    """Note net PnL, drawdown and whether the day's loss limit is reached."""
    account.pnl = worth(cells, rules, account) - account.unclaimed
    account.peak = max(account.peak, account.pnl)
    account.drawdown = max(account.drawdown, account.peak - account.pnl)
    if account.day_start - account.pnl >= rules.max_daily_loss:
        account.halted = 1


@compiled
def skim(tape: Tape, rules: Any, account: Any, i: int, last: int) -> int:
    """Mark moments as long as nothing happens that needs more; return the first event of the one that does.

    It does what `step` would do while not `busy`.
    """
    last = min(last, account.midnight_event, account.sample_event, account.old_event, account.arrival_event)
    least_a, least_b = account.enter_from, account.enter_from
    if account.sign > 0:
        least_b = min(least_b, account.exit_from)
    elif account.sign < 0:
        least_a = min(least_a, account.exit_from)
    for venue in range(2):
        tape.bids[venue], tape.asks[venue] = tape.cells[BID, account.at[venue]], tape.cells[ASK, account.at[venue]]
    tape.bids[RATE], tape.asks[RATE] = account.rate[0], account.rate[1]
    end = glide(tape, rules, account, i, last, (1 + least_a) / account.fair, (1 + least_b) * account.fair)
    catch_up(tape, account, i, end)
    return end


@contracted
def glide(  # noqa: PLR0915 - one loop, with all that it needs in registers
    tape: Tape, rules: Any, account: Any, first: int, last: int, least_a: float, least_b: float
) -> int:
    """Do the work of `skim`, from `tape.bids` and `tape.asks` on.

    Made for speed: it does not look at the time, and has no division (an edge is compared as a difference of products,
    with a margin for rounding, and `step` has the last word). What each venue quotes is kept in memory, where storing
    it needs no branch that the processor would guess wrong; what the rate enters into changes only with the rate, and
    is kept in registers. One comparison serves both directions. Indexes are unsigned: numba does not check them for -1.
    """
    feed, all_bids, all_asks, bids, asks = tape.feed, tape.cells[BID], tape.cells[ASK], tape.bids, tape.asks
    at_a, at_b, one = np.uint64(A), np.uint64(B), np.uint64(1)
    which_feed, more, seldom = np.uint8(A | B | RATE), np.uint8(MORE), np.uint8(RATE | MORE)
    least_a, least_b = least_a * (1 - 1e-12), least_b * (1 - 1e-12)
    gets_a, gets_b, less_a, less_b = rules.gets[A], rules.gets[B], rules.less[A], rules.less[B]
    pays_a, more_a = rules.pays[A] * least_a, (rules.more[A] * least_a if rules.more[A] > 0 else 0.0)
    pays_b, more_b = rules.pays[B] * least_b, (rules.more[B] * least_b if rules.more[B] > 0 else 0.0)
    # What `worth` says, less what is unclaimed, as a sum over the bids: to rounding the same.
    cash_a = account.cash[A] - account.coins[A] * less_a - account.unclaimed
    cash_b = account.cash[B] - account.coins[B] * less_b
    coins_a, coins_b = account.coins[A] * gets_a, account.coins[B] * gets_b
    jumps_matter = rules.max_fx_jump < np.inf
    pnl, peak, drawdown, lowest = account.pnl, account.peak, account.drawdown, account.pnl
    bid, ask = bids[RATE], asks[RATE]
    gets_b_rated, base_a, cash, coins_b_rated = (
        gets_b * bid,
        less_b * bid + more_a,
        cash_a + cash_b * bid,
        coins_b * bid,
    )
    pays_b_rated, base_b = pays_b * ask, more_b * ask + less_a
    i, end = np.uint64(first), np.uint64(last)
    begin = i
    while i < end:
        which, bid, ask = feed[i], all_bids[i], all_asks[i]
        own = np.uint64(which & which_feed)
        bids[own], asks[own] = bid, ask
        i += one
        if which & seldom:
            if which & more:
                continue
            if jumps_matter:  # then each rate is looked at
                break
            gets_b_rated, base_a = gets_b * bid, less_b * bid + more_a
            pays_b_rated, base_b = pays_b * ask, more_b * ask + less_a
            cash, coins_b_rated = cash_a + cash_b * bid, coins_b * bid
        bid_a, bid_b = bids[at_a], bids[at_b]
        over_a = (bid_b * gets_b_rated - base_a) - asks[at_a] * pays_a
        over_b = (bid_a * gets_a - base_b) - asks[at_b] * pays_b_rated
        if max(over_a, over_b) >= 0:
            break
        pnl = (cash + coins_a * bid_a) + coins_b_rated * bid_b
        fall = peak - pnl
        peak = max(peak, pnl)
        drawdown = max(drawdown, fall)
        lowest = min(lowest, pnl)
        begin = i
    account.pnl, account.peak, account.drawdown = pnl, peak, drawdown
    if account.day_start - lowest >= rules.max_daily_loss:
        account.halted = 1
    return np.int64(begin)  # type: ignore[return-value]  # unsigned, it would make floats of all that it meets


@compiled
def catch_up(tape: Tape, account: Any, first: int, end: int) -> None:
    """Note the last quote of each feed among events that were skimmed."""
    missing, i = account.known, end
    while missing and i > first:
        i -= 1
        which = tape.feed[i] & 3
        if missing >> which & 1:
            missing &= ~(1 << which)
            if which == RATE:
                account.rate[0], account.rate[1] = tape.cells[BID, i], tape.cells[ASK, i]
                account.rate_time = tape.exchange[i]
            else:
                account.at[which] = i
