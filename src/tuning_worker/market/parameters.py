"""The strategy's parameters: names, defaults and limits, and their translation into the engine's units.

Amounts of money are in the currency of venue A's quotes, and their names end with it: with `quote_currency: krw` a
position limit is `max_position_krw`, with `usd` it is `max_position_usd`. `PARAMETERS` says what each means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.complaints import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the strategy.

    Attributes:
        name: as written in a search space, without the currency of an amount.
        meaning: one sentence, with its unit.
        default: the value where none is given; for an amount, a share of the capital.
        lowest: the smallest value that makes sense.
        amount: whether it is an amount of money, so that its name ends with the quote currency.
    """

    name: str
    meaning: str
    default: float
    lowest: float
    amount: bool = False

    def spelled(self, currency: str) -> str:
        """Return the name under which a config gives it."""
        return f"{self.name}_{currency}" if self.amount else self.name

    def fallback(self, capital: float) -> float:
        """Return the value where none is given."""
        return self.default * capital if self.amount else self.default


PARAMETERS = (
    Parameter(
        "min_spread_pct",
        "enter when selling on one venue and buying on the other earns at least this, in percent, net of both fees"
        " and both impacts, at the prices seen",
        default=0.10,
        lowest=-math.inf,
    ),
    Parameter(
        "exit_spread_pct",
        "shrink the position when the trade back earns at least this, in percent, net as above; negative pays for it",
        default=0.0,
        lowest=-math.inf,
    ),
    Parameter(
        "slippage_bps",
        "tolerance: each leg is an immediate-or-cancel limit order at the price seen, made worse by this many basis"
        " points; tight loses legs, which must then be hedged, loose fills at poor prices. It is no cost by itself",
        default=5.0,
        lowest=0.0,
    ),
    Parameter("order_size", "value of one order at A's mid price", default=0.01, lowest=0.0, amount=True),
    Parameter("min_order", "an order worth less than this is not sent", default=0.0, lowest=0.0, amount=True),
    Parameter(
        "max_position",
        "largest value, at A's mid price, of the coins shifted from one venue to the other",
        default=0.25,
        lowest=0.0,
        amount=True,
    ),
    Parameter(
        "max_daily_loss",
        "after losing this much since midnight UTC, marked at liquidation prices, nothing is entered until the next",
        default=math.inf,
        lowest=0.0,
        amount=True,
    ),
    Parameter("cooldown_ms", "time after an entry in which no other is sent", default=0.0, lowest=0.0),
    Parameter("max_holding_ms", "a position older than this is traded back at any spread", math.inf, lowest=0.0),
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """The strategy's parameters in the engine's units: ratios, milliseconds, A's quote currency."""

    min_edge: float
    exit_edge: float
    tolerance: float
    order_size: float
    min_order: float
    max_position: float
    max_daily_loss: float
    cooldown_ms: float
    max_holding_ms: float


def parameter_problems(names: Iterable[str], currency: str) -> list[str]:
    """Return one sentence for each name that the strategy does not know."""
    known = [parameter.spelled(currency) for parameter in PARAMETERS]
    problems = []
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(known)}"
            problems.append(f"the arbitrage strategy has no parameter {name!r}; {hint}")
    return problems


def make_strategy(values: Mapping[str, object], currency: str, capital: float) -> Strategy:
    """Translate parameters as given in a config into the engine's units.

    Args:
        values: by name, as in `PARAMETERS`; what is not given takes its default.
        currency: that of venue A's quotes, lower case.
        capital: in that currency; the defaults of amounts are shares of it.

    Raises:
        ValueError: a name is unknown, or a value is no number or below its limit.
    """
    problems = parameter_problems(values, currency)
    if problems:
        raise ValueError("; ".join(problems))
    given = {parameter.name: _number(parameter, values, currency, capital) for parameter in PARAMETERS}
    return Strategy(
        min_edge=given["min_spread_pct"] / 100,
        exit_edge=given["exit_spread_pct"] / 100,
        tolerance=given["slippage_bps"] / 10_000,
        order_size=given["order_size"],
        min_order=given["min_order"],
        max_position=given["max_position"],
        max_daily_loss=given["max_daily_loss"],
        cooldown_ms=given["cooldown_ms"],
        max_holding_ms=given["max_holding_ms"],
    )


def _number(parameter: Parameter, values: Mapping[str, object], currency: str, capital: float) -> float:
    name = parameter.spelled(currency)
    value = values.get(name, parameter.fallback(capital))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ValueError(f"{name} must be a number, got {value!r}")
    if value < parameter.lowest:
        raise ValueError(f"{name} must be at least {parameter.lowest:g}, got {value!r}")
    return float(value)
