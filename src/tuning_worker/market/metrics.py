"""What a run is worth: the metrics of the `arbitrage` objective, each with its definition. Undefined is None, never 0.

Money is in the quote currency of venue A. Days are UTC days that have a quote; those without a trade count, as zero.

=====================  ================================================================================================
net_pnl                what the final holdings would bring at the last moment (bids, less impact and fee) less what the
                       initial ones would bring there: the coin's own rise or fall is not counted as skill
gross_pnl              net_pnl + fees + slippage + transfer_costs: the same fills at the prices the decisions saw,
                       without fees
fees                   taker fees of all fills
slippage               quantity x (price - best price seen at the decision), signed so that worse is positive; with
                       impact, ticks, and levels below the best
transfer_costs         coins (at A's mid price) and money lost on the way between the venues, and the half spread of
                       the rate at which that money was changed
trades                 entries and exits of which both legs were filled, wholly or in part; a hedge is no trade
entries, exits         those that opened or added, and those that shrank a position; no trade does both, but for an
                       entry that goes through a rest too small to be sold by itself
orders, hedges         pairs of legs sent; single orders sent against an exposure
transfers              times that coins were sent back to where they came from, and money the other way
missed, expired        legs whose limit the market had left on arrival; legs that never arrived before the data's end
hit_rate               share of the trades whose matched part sold, net of fees, for more than it bought, at the rate
                       that its money flows at; with a window at the fair one, which contains the mean premium
fill_ratio             coins filled / coins ordered, over both legs of all entries and exits
turnover               notional of all fills
exposure_seconds       time with coins bought and not sold, or the reverse
max_drawdown           deepest fall of net PnL below its highest value before (at least 0), over all moments
return_pct             net_pnl in percent of what the initial holdings would have brought at the first moment
sharpe                 mean / standard deviation (ddof 1) of the daily net PnL, x sqrt(365) as coins trade every day
                       [Sharpe 1994, "The Sharpe Ratio", J. Portfolio Management 21(1), with a benchmark of zero]
sortino                mean / sqrt(mean(min(daily, 0)^2)) over all days, x sqrt(365)
                       [Sortino & Price 1994, "Performance Measurement in a Downside Risk Framework", target zero]
rejected               decisions not carried out; rejected_REASON of each reason (see `tuning_worker.market.run`)
=====================  ================================================================================================

Daily PnL over the constant initial capital is the daily return, so that Sharpe and Sortino are those of the returns.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Final

from tuning_worker.market.run import REASONS
from tuning_worker.statistics.sharpe import ANNUAL, daily_sharpe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning_worker.market.run import Run

METRICS: Final = (
    "net_pnl",
    "gross_pnl",
    "fees",
    "slippage",
    "transfer_costs",
    "trades",
    "entries",
    "exits",
    "orders",
    "hedges",
    "transfers",
    "missed",
    "expired",
    "hit_rate",
    "fill_ratio",
    "turnover",
    "exposure_seconds",
    "max_drawdown",
    "return_pct",
    "sharpe",
    "sortino",
    "rejected",
    *(f"rejected_{reason}" for reason in REASONS),
)
"""The names of all metrics, in their order."""


def measure(run: Run) -> dict[str, float | int | None]:
    """Return the metrics of a run; the module's docstring defines each."""
    trades = run.entries + run.exits
    metrics: dict[str, float | int | None] = {
        "net_pnl": run.net_pnl,
        "gross_pnl": run.net_pnl + run.fees + run.slippage + run.transfer_costs,
        "fees": run.fees,
        "slippage": run.slippage,
        "transfer_costs": run.transfer_costs,
        "trades": trades,
        "entries": run.entries,
        "exits": run.exits,
        "orders": run.orders,
        "hedges": run.hedges,
        "transfers": run.transfers,
        "missed": run.missed,
        "expired": run.expired,
        "hit_rate": _ratio(run.wins, trades),
        "fill_ratio": _ratio(run.filled, run.ordered),
        "turnover": run.turnover,
        "exposure_seconds": run.exposure_seconds,
        "max_drawdown": run.max_drawdown,
        "return_pct": _ratio(100 * run.net_pnl, run.capital),
        "sharpe": sharpe(run.daily),
        "sortino": sortino(run.daily),
        "rejected": sum(run.rejected.values()),
    }
    return metrics | {f"rejected_{reason}": run.rejected[reason] for reason in REASONS}


def sharpe(daily: Sequence[float]) -> float | None:
    """Return the annualised Sharpe ratio of daily results; None for less than two days, or days that are all alike."""
    ratio = daily_sharpe(daily)
    return None if ratio is None else ratio * ANNUAL


def sortino(daily: Sequence[float]) -> float | None:
    """Return the annualised Sortino ratio of daily results; None for less than two days, or where none lost."""
    if len(daily) < 2:  # noqa: PLR2004 - of one day, as with Sharpe's, nothing can be said
        return None
    downside = math.sqrt(fmean(min(day, 0.0) ** 2 for day in daily))
    return fmean(daily) / downside * ANNUAL if downside > 0 else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
