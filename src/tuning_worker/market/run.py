"""What a run of the paper engine is given besides quotes and strategy, and what it returns. Plain, light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["entry", "exit", "hedge", "transfer"]

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
    "stale",
    "fx_jump",
    "losses",
    "trade_limit",
    "notional_limit",
)
"""Why a decision was not carried out, by the engine's number. A decision is counted under one reason:

in_flight: an order is under way. unhedged: a leg that was missed is being hedged. The following stop entries only, in
this order. stale: a quote or the rate is older than allowed. fx_jump: the rate has jumped lately. losses: too many
entries in a row have lost. loss_limit: the day's loss reached `max_daily_loss`. notional_limit: the day's fills reached
`max_daily_notional`. trade_limit: `max_trades_per_hour` were sent within the hour. cooldown: too soon after the last
entry. Of an order that came out smaller than `min_order`, what made it so: position_limit, no_size (the quote is used
up), no_quote or no_base (the venue's balance of money or coins is), too_small (the order size itself, or what is left
of the position). A hedge that no venue can take for want of size or balance counts under no_size.
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
        adverse: how much worse than quoted an order executes, in the venue's quote currency a coin: its ticks. It
            comes on top of `impact`.
    """

    fee: float
    impact: float
    latency_ms: float
    quote: float
    base: float
    adverse: float = 0.0


@dataclass(frozen=True, slots=True)
class Transfers:
    """What moving inventory between the venues takes.

    Attributes:
        delay_ms: from when it leaves one venue until it can be used at the other, coins and money alike.
        coin_fee: coins lost on the way, whatever their number.
        money_fee: share of the money lost on the way; it is changed at the rate of the moment it leaves.
    """

    delay_ms: float = 3_600_000.0
    coin_fee: float = 0.0
    money_fee: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """One order sent: both legs of an entry or exit, a hedge's one, or a transfer.

    Attributes:
        event: the last of the moment in which it was decided.
        kind: why.
        venue: where it buys, 0 for A; a hedge: where it trades; a transfer: where the coins leave.
        quantity: in coins; of a hedge negative if it sells.
        edge: what the legs would have earned net at the prices seen, a share; 0 for a hedge. A transfer: the money
            that goes the other way, in the currency of the venue that it leaves.
    """

    event: int
    kind: Kind
    venue: int
    quantity: float
    edge: float


@dataclass(frozen=True, slots=True)
class Fill:
    """What a leg took at one price.

    Attributes:
        event: the venue's quote that it was filled at.
        venue: 0 for A, 1 for B.
        quantity: in coins, negative if sold.
        price: in the venue's quote currency, with impact, without fee.
        seen: the best price that the decision saw.
    """

    event: int
    venue: int
    quantity: float
    price: float
    seen: float


@dataclass(frozen=True, slots=True)
class Run:
    """The sums of a run. Money is in A's quote currency; B's is converted at the mid rate of the moment it flowed.

    Attributes:
        capital: what the initial holdings would have brought at the first moment at which all is quoted.
        net_pnl: what the final holdings bring at the last moment less what the initial ones would bring there.
        fees: paid to the venues.
        slippage: what execution cost against the prices seen at the decision, impact included; negative if it gained.
        transfer_costs: what was lost on the way between the venues: coins at A's mid price, money, and the half
            spread of the rate.
        turnover: notional of all fills.
        max_drawdown: the deepest fall of net PnL below its highest value before, over all moments; it starts at 0.
        exposure_seconds: time with coins bought and not sold, or the reverse.
        ordered: coins ordered in entries and exits, both legs.
        filled: coins filled of them.
        entries: matched trades that opened or added to a position, perhaps through a rest too small for an exit.
        exits: matched trades that shrank a position.
        wins: matched trades whose matched part earned more than its fees.
        orders: pairs of legs sent.
        hedges: hedging orders sent.
        transfers: times that inventory was sent back to where it came from.
        missed: legs whose limit the market had left when they arrived.
        expired: legs that never arrived as their stretch or the data ended.
        rejected: decisions not carried out, by reason.
        daily: net PnL of each UTC day that has an event.
        cash: change of the money at A and B, each in the venue's quote currency, with what is on its way there.
        coins: change of the coins at A and B, with what is on its way there.
        unclaimed: revaluation across events that were left out, which `net_pnl` does not contain.
        order_log: every order, if asked for.
        fill_log: every fill, if asked for.
    """

    capital: float
    net_pnl: float
    fees: float
    slippage: float
    transfer_costs: float
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
    transfers: int
    missed: int
    expired: int
    rejected: dict[str, int]
    daily: tuple[float, ...]
    cash: tuple[float, float]
    coins: tuple[float, float]
    unclaimed: float
    order_log: tuple[Order, ...] = field(default=(), repr=False)
    fill_log: tuple[Fill, ...] = field(default=(), repr=False)
