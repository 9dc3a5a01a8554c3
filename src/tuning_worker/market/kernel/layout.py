"""The records that the compiled code works on, and the numbers that it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuning_worker.market.data import MS_NS
from tuning_worker.market.run import REASONS

if TYPE_CHECKING:
    from tuning_worker.market.data import Bytes, Floats, Integers

ENTRY, EXIT, HEDGE, TRANSFER, FILL = range(5)
IDLE = -1
(
    IN_FLIGHT,
    UNHEDGED,
    LOSS_LIMIT,
    COOLDOWN,
    POSITION_LIMIT,
    NO_SIZE,
    NO_QUOTE,
    NO_BASE,
    TOO_SMALL,
    STALE,
    FX_JUMP,
    LOSSES,
    TRADE_LIMIT,
    NOTIONAL_LIMIT,
) = range(len(REASONS))

HOUR_NS = 3_600_000 * MS_NS
NEVER = 2**62
"""A time or a span beyond all others, in nanoseconds: half of what fits, so that a time and a span can be added."""
SAMPLES = 100
"""How many of the premium make its rolling mean."""

SMALLEST_BLOCK, LARGEST_BLOCK = 16, 512
"""How many events `skim` looks at together: so few that they stay in the processor's nearest cache."""

RULES = np.dtype(
    [
        # of venues A and B: shares, nanoseconds, and the inventory at the start
        ("fee", "f8", 2),
        ("impact", "f8", 2),
        ("adverse", "f8", 2),  # in its own currency
        ("pays", "f8", 2),  # what a buyer pays for each unit of quoted price, with impact and fee …
        ("more", "f8", 2),  # … and for each coin on top of it
        ("gets", "f8", 2),  # what a seller gets, likewise
        ("less", "f8", 2),
        ("latency", "i8", 2),
        ("start_cash", "f8", 2),
        ("start_coins", "f8", 2),
        ("feeds", "i8"),  # a bit for each feed that there is
        # the strategy, in the units of `Strategy` but for nanoseconds
        ("min_edge", "f8"),
        ("exit_edge", "f8"),
        ("tolerance", "f8"),
        ("order_size", "f8"),
        ("min_order", "f8"),
        ("max_position", "f8"),
        ("max_daily_loss", "f8"),
        ("max_daily_notional", "f8"),
        ("max_losses", "f8"),
        ("max_fx_jump", "f8"),
        ("cooldown", "i8"),
        ("max_holding", "i8"),
        ("max_quote_age", "i8"),
        ("max_fx_age", "i8"),
        ("pause", "i8"),
        ("sample_every", "i8"),  # 0 where no mean is asked for
        ("entry_deviations", "f8"),
        ("exit_deviations", "f8"),
        ("transfer_at", "f8"),
        ("transfer_delay", "i8"),
        ("coin_fee", "f8"),
        ("money_fee", "f8"),
        ("dust", "f8"),  # in coins
    ]
)

ACCOUNT = np.dtype(
    [
        # what is known: the last event of each feed, the rate, and bits of the feeds that have quoted
        ("at", "i8", 3),
        ("rate", "f8", 2),  # bid and ask
        ("known", "i8"),
        ("ready", "i8"),  # whether all has been quoted in this stretch
        ("skipped", "i8"),  # whether it begins after events that were left out
        ("moment", "i8"),  # its first event
        # of venues A and B: changes since the start, what of them is on its way, and size used of the present quote
        ("cash", "f8", 2),
        ("coins", "f8", 2),
        ("coming_cash", "f8", 2),
        ("coming_coins", "f8", 2),
        ("taken", "f8", 2),
        # the order under way, and its leg at each venue; side 1 buys, -1 sells, 0 is no leg under way
        ("kind", "i8"),
        ("buy", "i8"),
        ("side", "i8", 2),
        ("due", "i8", 2),  # the exchange time from which it can fill …
        ("since", "i8", 2),  # … and the event
        ("quantity", "f8", 2),
        ("seen", "f8", 2),
        ("limit", "f8", 2),
        ("filled", "f8", 2),
        ("worth", "f8", 2),  # net price of the fill, in A's currency, at the fair rate
        # the strategy's view
        ("fair", "f8"),  # 1 + the mean premium
        ("enter_from", "f8"),
        ("exit_from", "f8"),
        ("sampled", "i8"),
        ("next_sample", "i8"),
        ("sample_event", "i8"),
        # where things stand
        ("busy", "i8"),  # whether something is under way, exposed or used up
        ("skim_from", "i8"),  # the event from which on it is worth a try to skim …
        ("block", "i8"),  # … and how many events at once
        ("exposed", "f8"),  # coins bought and not sold
        ("sign", "i8"),  # of the position
        ("opened", "i8"),
        ("old_event", "i8"),  # from which the position is held too long
        ("arrives", "i8"),
        ("arrival_event", "i8"),
        ("look", "i8"),  # whether a transfer may be due
        ("last_entry", "i8"),
        ("sent", "i8"),  # orders of the strategy, for its limit an hour
        ("losses", "i8"),  # in a row
        ("losses_until", "i8"),
        ("jump_until", "i8"),
        ("before", "i8"),  # the time of the last moment
        ("day", "i8"),
        ("midnight", "i8"),
        ("midnight_event", "i8"),
        ("day_start", "f8"),
        ("day_turnover", "f8"),
        ("halted", "i8"),
        ("pnl", "f8"),
        ("peak", "f8"),
        ("unclaimed", "f8"),
        ("logged", "i8"),
        # the sums of a `Run`
        ("drawdown", "f8"),
        ("exposure", "i8"),
        ("fees", "f8"),
        ("slippage", "f8"),
        ("transfer_costs", "f8"),
        ("turnover", "f8"),
        ("ordered", "f8"),
        ("filled_in_all", "f8"),
        ("entries", "i8"),
        ("exits", "i8"),
        ("wins", "i8"),
        ("orders", "i8"),
        ("hedges", "i8"),
        ("transfers", "i8"),
        ("missed", "i8"),
        ("expired", "i8"),
        ("rejected", "i8", len(REASONS)),
    ]
)


class Tape(NamedTuple):
    """What is played, and room for notes.

    Attributes:
        local: as in `Market`, like the next three.
        exchange: …
        feed: …
        cells: …
        used: (2 venues, 2 sides with the bid first, levels) coins used of the present quotes.
        samples: (SAMPLES,) of the premium, a ring.
        hour: times of the strategy's last orders, a ring as long as its limit an hour; empty where there is none.
        log: (m, 6) event, kind, venue, quantity, price or edge, price seen; what finds no room is not logged.
    """

    local: Integers
    exchange: Integers
    feed: Bytes
    cells: Floats
    used: Floats
    samples: Floats
    hour: Integers
    log: Floats
