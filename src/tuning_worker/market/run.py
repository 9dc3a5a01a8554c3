"""What a run of the paper engine is given besides quotes and strategy, and what it returns. Plain, light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["entry", "exit", "hedge"]

REASONS = (
    "in_flight",
    "unhedged",
    "loss_limit",
    "cooldown",
    "position_limit",
    "no_size",
    "no_quote",
    "no_base",
    "too_small",
)
"""Why a decision was not carried out, by the engine's number. A decision is counted under one reason:

in_flight: an order is under way. unhedged: a leg that was missed is being hedged. loss_limit: the day's loss reached
`max_daily_loss`. cooldown: too soon after the last entry. Of an order that came out smaller than `min_order`, what
made it so: position_limit, no_size (the quote is used up), no_quote or no_base (the venue's balance of money or coins
is), too_small (the order size itself, or what is left of the position). A hedge that no venue can take for want of size
or balance counts under no_size.
"""


@dataclass(frozen=True, slots=True)
class Venue:
    """One venue's terms and the inventory held there at the start.

    Attributes:
        fee: taker fee, a share of the notional.
        impact: how much worse than quoted an order executes, a share of the price. A cost, unlike the tolerance of
            the strategy.
        latency_ms: from a decision until its order is at the venue.
        quote: money there at the start, in the venue's own quote currency.
        base: coins there at the start.
    """

    fee: float
    impact: float
    latency_ms: int
    quote: float
    base: float


@dataclass(frozen=True, slots=True)
class Order:
    """One order sent: both legs of an entry or exit, or a hedge's one.

    Attributes:
        row: where it was decided.
        kind: why.
        venue: where it buys, 0 for A; a hedge: where it trades.
        quantity: in coins; of a hedge negative if it sells.
        edge: what the legs would have earned net at the prices seen, a share; 0 for a hedge.
    """

    row: int
    kind: Kind
    venue: int
    quantity: float
    edge: float


@dataclass(frozen=True, slots=True)
class Fill:
    """One leg filled, wholly or in part.

    Attributes:
        row: where it was filled.
        venue: 0 for A, 1 for B.
        quantity: in coins, negative if sold.
        price: in the venue's quote currency, with impact, without fee.
        seen: the price that the decision saw.
    """

    row: int
    venue: int
    quantity: float
    price: float
    seen: float


@dataclass(frozen=True, slots=True)
class Run:
    """The sums of a run. Money is in A's quote currency; B's is converted at the mid rate of the row where it flowed.

    Attributes:
        capital: what the initial holdings would have brought at the first row.
        net_pnl: what the final holdings bring at the last row less what the initial ones would bring there.
        fees: paid to the venues.
        slippage: what execution cost against the prices seen at the decision, impact included; negative if it gained.
        turnover: notional of all fills.
        max_drawdown: the deepest fall of net PnL below its highest value before, over all rows; it starts at 0.
        exposure_seconds: time with coins bought and not sold, or the reverse.
        ordered: coins ordered in entries and exits, both legs.
        filled: coins filled of them.
        entries: matched trades that opened or added.
        exits: matched trades that shrank a position.
        wins: matched trades whose matched part earned more than its fees.
        orders: pairs of legs sent.
        hedges: hedging orders sent.
        missed: legs whose limit the market had left when they arrived.
        expired: legs that never arrived as their stretch or the data ended.
        rejected: decisions not carried out, by reason.
        daily: net PnL of each UTC day that has a row.
        cash: change of the money at A and B, each in the venue's quote currency.
        coins: change of the coins at A and B.
        unclaimed: revaluation across rows that were left out, which `net_pnl` does not contain.
        order_log: every order, if asked for.
        fill_log: every fill, if asked for.
    """

    capital: float
    net_pnl: float
    fees: float
    slippage: float
    turnover: float
    max_drawdown: float
    exposure_seconds: float
    ordered: float
    filled: float
    entries: int
    exits: int
    wins: int
    orders: int
    hedges: int
    missed: int
    expired: int
    rejected: dict[str, int]
    daily: tuple[float, ...]
    cash: tuple[float, float]
    coins: tuple[float, float]
    unclaimed: float
    order_log: tuple[Order, ...] = field(default=(), repr=False)
    fill_log: tuple[Fill, ...] = field(default=(), repr=False)
