"""What things cost and bring, at what is known."""

# mypy: disable-error-code="no-any-return"
# The fields of `rules` and `account` have the types of the two dtypes in `layout`; numba checks them, mypy cannot.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuning_worker.market.data import ASK, ASK_SIZE, BID, BID_SIZE, CELLS, A, B
from tuning_worker.market.kernel.caching import compiled

if TYPE_CHECKING:
    from tuning_worker.market.data import Floats
    from tuning_worker.market.kernel.layout import Tape


@compiled
def mid(cells: Floats, account: Any, venue: int) -> float:
    """Return a venue's mid price. At A's, amounts of money are turned into coins."""
    at = account.at[venue]
    return (cells[BID, at] + cells[ASK, at]) / 2


@compiled
def mid_rate(account: Any) -> float:
    """Return what a unit of B's currency is worth in A's."""
    return (account.rate[0] + account.rate[1]) / 2


@compiled
def cost(cells: Floats, rules: Any, account: Any, venue: int) -> float:
    """Return what a coin costs at the best ask, net, in the venue's currency."""
    return bought(rules, venue, cells[ASK, account.at[venue]])


@compiled
def proceeds(cells: Floats, rules: Any, account: Any, venue: int) -> float:
    """Return what a coin brings at the best bid, net, in the venue's currency."""
    return sold(rules, venue, cells[BID, account.at[venue]])


@compiled
def bought(rules: Any, venue: int, ask: float) -> float:
    """Return what a coin costs at an ask, net."""
    return ask * rules.pays[venue] + rules.more[venue]


@compiled
def sold(rules: Any, venue: int, bid: float) -> float:
    """Return what a coin brings at a bid, net."""
    return bid * rules.gets[venue] - rules.less[venue]


@compiled
def edge(cells: Floats, rules: Any, account: Any, buy: int) -> float:
    """Return what buying on one venue and selling on the other earns net, a share of what the buying costs.

    B's money counts at the fair rate: the market's, moved by the mean premium where the strategy goes by that.
    """
    return gain(account, buy, cost(cells, rules, account, buy), proceeds(cells, rules, account, 1 - buy))


@compiled
def gain(account: Any, buy: int, paid: float, got: float) -> float:
    """Return the edge of paying and getting these net prices, each in its venue's currency."""
    return share(buy, paid, got, account.rate[buy], account.fair)


@compiled
def share(buy: int, paid: float, got: float, rate: float, fair: float) -> float:
    """Return the same at a rate: the bid where B's money is changed into A's, the ask where A's is into B's."""
    if buy == A:
        return got * rate * fair / paid - 1
    return got / (paid * rate * fair) - 1


@compiled
def jumped(before: float, after: float, most: float) -> bool:
    """Return whether a rate has moved by more than a share of itself."""
    return abs(after / before - 1) > most


@compiled
def worth(cells: Floats, rules: Any, account: Any) -> float:
    """Return what the change of the holdings since the start would bring if sold, in A's currency."""
    at_a = held(account, A, proceeds(cells, rules, account, A))
    at_b = held(account, B, proceeds(cells, rules, account, B))
    return at_a + at_b * account.rate[0]


@compiled
def held(account: Any, venue: int, price: float) -> float:
    """Return the same of one venue, in its currency, at what a coin brings."""
    return account.cash[venue] + account.coins[venue] * price


@compiled
def position(account: Any) -> float:
    """Return the coins shifted from B to A (that is, bought at A and sold at B); negative the other way."""
    return (account.coins[A] - account.coins[B]) / 2


@compiled
def left(tape: Tape, account: Any, venue: int, side: int, level: int) -> float:
    """Return the quoted size of a level not used yet: of the ask for a buyer (side 1), of the bid for a seller (-1)."""
    size = ASK_SIZE if side > 0 else BID_SIZE
    return tape.cells[CELLS * level + size, account.at[venue]] - tape.used[venue, (side + 1) // 2, level]


@compiled
def executed(tape: Tape, rules: Any, account: Any, venue: int, side: int, level: int) -> float:
    """Return the price that a level is executed at: as quoted, or worse, without fee."""
    quoted = tape.cells[CELLS * level + (ASK if side > 0 else BID), account.at[venue]]
    return quoted * (1 + side * rules.impact[venue]) + side * rules.adverse[venue]


@compiled
def balance(rules: Any, account: Any, venue: int, side: int, price: float) -> float:
    """Return the coins that a venue's balance allows to trade; `price` is what one costs a buyer, net."""
    if side > 0:
        return (rules.start_cash[venue] + account.cash[venue] - account.coming_cash[venue]) / price
    return rules.start_coins[venue] + account.coins[venue] - account.coming_coins[venue]
