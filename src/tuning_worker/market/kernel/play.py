"""Moments, days and stretches: the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuning_worker.market.data import ASK, BID, DAY_NS, GOES_ON, MORE, RATE, A, B
from tuning_worker.market.kernel.caching import compiled, entrance
from tuning_worker.market.kernel.decisions import decide, wish
from tuning_worker.market.kernel.inventory import arrive, consider
from tuning_worker.market.kernel.layout import IDLE, IN_FLIGHT
from tuning_worker.market.kernel.legs import arrived, expire, seek, settle
from tuning_worker.market.kernel.premium import begin_samples, sample
from tuning_worker.market.kernel.prices import jumped, worth
from tuning_worker.market.kernel.skim import skim

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
                if not wait(tape, rules, account, i - 1):
                    step(tape, rules, account, i - 1)
                if not account.busy and i >= account.skim_from:
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
        elif account.taken[which] > 0 and differs(tape.cells, account.at[which], i):
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
    if account.known >> RATE and jumped(before, account.rate[0] + account.rate[1], rules.max_fx_jump):
        account.jump_until = tape.local[i] + rules.pause


@compiled
def differs(cells: Floats, one: int, other: int) -> bool:
    """Return whether two quotes of a venue differ, at any level."""
    for row in range(len(cells)):  # noqa: SIM110 - numba knows no generators here
        if cells[row, one] != cells[row, other]:
            return True
    return False


@compiled
def wait(tape: Tape, rules: Any, account: Any, event: int) -> bool:
    """Live through a moment in which nothing arrives and nothing is sent; do nothing and return False in any other.

    It does what `step` would do, in half the time.
    """
    now, under_way = tape.local[event], account.kind != IDLE
    if account.look or account.arrives <= now or (not under_way and abs(account.exposed) > rules.dust):
        return False
    if under_way and (arrived(tape.exchange, account, A) or arrived(tape.exchange, account, B)):
        return False
    kind, _ = wish(now, tape.cells, rules, account)
    if kind != IDLE and not under_way:
        return False
    account.rejected[IN_FLIGHT] += kind != IDLE
    expose(rules, account, now)
    mark(tape.cells, rules, account)
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
