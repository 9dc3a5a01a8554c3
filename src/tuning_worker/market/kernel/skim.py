"""Blocks of moments in which nothing happens, passed over at once.

While nothing is under way, a moment matters if an edge reaches its threshold, if PnL goes where it has not been, or if
the rate jumps. That no moment of a block does can be told from a few numbers: no edge in it is better than that of its
highest bid against its lowest ask, and PnL stays between what is held at its highest bids and at its lowest. Finding
those is what a processor is quickest at, several events at a time and without a branch to guess, and nearly always it
is enough. A block of which it cannot be told is tried again in smaller ones; the smallest is lived through moment by
moment.

What is passed over changes no result, not in the last bit: a bound is made by the functions of `prices` that the thing
itself is made by, and rounding never turns two numbers round.
"""

# mypy: disable-error-code="no-any-return"
# As in `prices`.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import ASK, BID, MORE, RATE, A, B
from tuning_worker.market.kernel.caching import compiled
from tuning_worker.market.kernel.layout import LARGEST_BLOCK, SMALLEST_BLOCK
from tuning_worker.market.kernel.prices import bought, held, jumped, share, sold, worth
from tuning_worker.market.kernel.vectors import greater, lesser

if TYPE_CHECKING:
    from tuning_worker.market.kernel.layout import Tape

WHICH = np.uint8(A | B | RATE)
"""The bits of `Market.feed` that say whose a quote is."""


@compiled
def skim(tape: Tape, rules: Any, account: Any, first: int, last: int) -> int:
    """Pass over moments in which nothing happens; return the first event of one that has to be looked at.

    It does what `step` would do while not `busy`.
    """
    last = min(last, account.midnight_event, account.sample_event, account.old_event, account.arrival_event)
    i = first
    while i < last:
        end = end_of_block(tape, i, min(i + account.block, last))
        quoted = feeds_in(tape, i, end)
        if still(tape, rules, account, quoted, i, end):
            catch_up(tape, account, quoted, end)
            account.block = min(2 * account.block, LARGEST_BLOCK)
            i = end
        elif end - i > SMALLEST_BLOCK:
            account.block = max((end - i) // 2, SMALLEST_BLOCK)
        else:
            account.skim_from = end
            break
    if i > first:
        account.pnl = worth(tape.cells, rules, account) - account.unclaimed
    return i


@compiled
def end_of_block(tape: Tape, first: int, end: int) -> int:
    """Return where a block ends if it is not to end within a moment."""
    while end > first and tape.feed[end - 1] & MORE:
        end -= 1
    return end


@compiled
def feeds_in(tape: Tape, first: int, end: int) -> int:
    """Return a bit for each feed that quotes in a block."""
    feed, a, b, rate = tape.feed, False, False, False
    for i in range(np.uint64(first), np.uint64(end)):  # unsigned: numba need not look for an index below 0
        which = feed[i] & WHICH
        a |= which == np.uint8(A)
        b |= which == np.uint8(B)
        rate |= which == np.uint8(RATE)
    return a << A | b << B | rate << RATE


@compiled
def still(tape: Tape, rules: Any, account: Any, quoted: int, first: int, end: int) -> bool:
    """Return whether nothing can happen in a block."""
    low_a, high_a, ask_a, _ = extremes(tape, account, A, first, end)
    low_b, high_b, ask_b, _ = extremes(tape, account, B, first, end)
    low, ask = account.rate[0], account.rate[1]
    high, high_ask = low, ask
    if quoted >> RATE:
        low, high, ask, high_ask = extremes(tape, account, RATE, first, end)
        lowest, highest = low + ask, high + high_ask
        if jumped(lowest, highest, rules.max_fx_jump) or jumped(highest, lowest, rules.max_fx_jump):
            return False
    low_a, high_a = sold(rules, A, low_a), sold(rules, A, high_a)
    low_b, high_b = sold(rules, B, low_b), sold(rules, B, high_b)
    if share(A, bought(rules, A, ask_a), high_b, high, account.fair) >= least(account, A):
        return False
    if share(B, bought(rules, B, ask_b), high_a, ask, account.fair) >= least(account, B):
        return False
    # A venue's worth rises or falls with its bid, by the sign of its coins, and that of B with the rate, by its own.
    low_a, high_a = held(account, A, low_a), held(account, A, high_a)
    low_b, high_b = held(account, B, low_b), held(account, B, high_b)
    worst, best = min(low_b, high_b), max(low_b, high_b)
    worst = min(low_a, high_a) + min(worst * low, worst * high) - account.unclaimed
    best = max(low_a, high_a) + max(best * low, best * high) - account.unclaimed
    if account.day_start - worst >= rules.max_daily_loss and not account.halted:
        return False
    return bool(best <= account.peak and account.peak - worst <= account.drawdown)


@compiled
def least(account: Any, buy: int) -> float:
    """Return the edge from which on buying on a venue is wanted: as an entry or, against the position, as an exit."""
    reduces = account.sign < 0 if buy == A else account.sign > 0
    return min(account.enter_from, account.exit_from) if reduces else account.enter_from


@compiled
def extremes(tape: Tape, account: Any, which: int, first: int, end: int) -> tuple[float, float, float, float]:
    """Return a feed's lowest and highest bid and lowest and highest ask in a block, with those in force before it."""
    feed, bids, asks, own, at = tape.feed, tape.cells[BID], tape.cells[ASK], np.uint8(which), account.at[which]
    low_bid, high_bid, low_ask, high_ask = bids[at], bids[at], asks[at], asks[at]
    for i in range(np.uint64(first), np.uint64(end)):
        its = feed[i] & WHICH == own
        low_bid = lesser(low_bid, bids[i] if its else np.inf)
        high_bid = greater(high_bid, bids[i] if its else -np.inf)
        low_ask = lesser(low_ask, asks[i] if its else np.inf)
        high_ask = greater(high_ask, asks[i] if its else -np.inf)
    return low_bid, high_bid, low_ask, high_ask


@compiled
def catch_up(tape: Tape, account: Any, quoted: int, end: int) -> None:
    """Note the last quotes of a block that is passed over."""
    missing, i = quoted, end
    while missing:
        i -= 1
        which = tape.feed[i] & 3
        if missing >> which & 1:
            missing &= ~(1 << which)
            account.at[which] = i
            if which == RATE:
                account.rate[0], account.rate[1] = tape.cells[BID, i], tape.cells[ASK, i]
