"""The strategy's parameters: names, defaults and limits, and their translation into the engine's units.

Amounts of money are in the currency of venue A's quotes, and their names end with it: with `quote_currency: krw` a
position limit is `max_position_krw`, with `usd` it is `max_position_usd`. `PARAMETERS` says what each means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

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
        instead_of: the parameter that this one gives in hundredths of its unit, if it is only another way to say it.
        amount: whether it is an amount of money, so that its name ends with the quote currency.
    """

    name: str
    meaning: str
    default: float
    lowest: float
    amount: bool = False
    instead_of: str = ""

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
        "shrink the position when the trade back earns at least this, or what an entry takes, in percent, net as above;"
        " negative pays for it. An exit goes before an entry",
        default=0.0,
        lowest=-math.inf,
    ),
    Parameter("entry_edge_bps", "`min_spread_pct` in basis points", 10.0, -math.inf, instead_of="min_spread_pct"),
    Parameter("exit_edge_bps", "`exit_spread_pct` in basis points", 0.0, -math.inf, instead_of="exit_spread_pct"),
    Parameter(
        "mean_window_ms",
        "with a window, edges are measured against the mean premium of A over B in it, so that a standing premium is"
        " not taken for an opportunity: entry is on a deviation, exit on the return. The premium of mid prices is"
        " sampled a hundred times a window; until one is full nothing is done for its edge. 0 is no window",
        default=0.0,
        lowest=0.0,
    ),
    Parameter(
        "entry_deviations",
        "with a window: so many standard deviations of the premium are added to the entry edge",
        default=0.0,
        lowest=-math.inf,
    ),
    Parameter(
        "exit_deviations",
        "with a window: so many standard deviations of the premium are added to the exit edge",
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
        "transfer_position",
        "when this value has been shifted, coins are sent back and money the other way, on the terms of `transfers`",
        default=math.inf,
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
    Parameter(
        "max_daily_notional",
        "after fills of this value since midnight UTC nothing is entered until the next",
        default=math.inf,
        lowest=0.0,
        amount=True,
    ),
    Parameter(
        "max_trades_per_hour", "so many entries and exits within an hour stop the next entry", math.inf, lowest=1.0
    ),
    Parameter("cooldown_ms", "time after an entry in which no other is sent", default=0.0, lowest=0.0),
    Parameter("max_holding_ms", "a position older than this is traded back at any spread", math.inf, lowest=0.0),
    Parameter(
        "max_losses",
        "so many entries in a row that sold for no more than they bought, net, or filled one leg only, stop entries for"
        " `pause_ms`",
        default=math.inf,
        lowest=1.0,
    ),
    Parameter("max_fx_jump_bps", "a rate that moves by more than this stops entries for `pause_ms`", math.inf, 0),
    Parameter("pause_ms", "how long a breaker stops entries", default=3_600_000.0, lowest=0.0),
    Parameter(
        "max_quote_age_ms", "nothing is entered on a quote whose exchange time is longer ago than this", math.inf, 0
    ),
    Parameter("max_fx_age_ms", "nor on a rate that is older than this", math.inf, 0),
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
    mean_window_ms: float = 0.0
    entry_deviations: float = 0.0
    exit_deviations: float = 0.0
    transfer_position: float = math.inf
    max_daily_notional: float = math.inf
    max_trades_per_hour: float = math.inf
    max_losses: float = math.inf
    max_fx_jump: float = math.inf
    pause_ms: float = 3_600_000.0
    max_quote_age_ms: float = math.inf
    max_fx_age_ms: float = math.inf


def parameter_problems(names: Iterable[str], currency: str) -> list[str]:
    """Return one sentence for each name that the strategy does not know, or knows by another name given too."""
    known = {parameter.spelled(currency): parameter for parameter in PARAMETERS}
    given = list(names)
    problems = []
    for name in given:
        if name not in known:
            meant = nearest(name, known)
            hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(known)}"
            problems.append(f"the arbitrage strategy has no parameter {name!r}; {hint}")
        elif known[name].instead_of in given:
            problems.append(f"{name} and {known[name].instead_of} say the same: keep one")
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
    for parameter in PARAMETERS:
        if parameter.instead_of and parameter.name in values:
            given[parameter.instead_of] = given[parameter.name] / 100
    same = {name: given[name] for name in Strategy.__dataclass_fields__ if name in given}
    return Strategy(
        **same,
        min_edge=given["min_spread_pct"] / 100,
        exit_edge=given["exit_spread_pct"] / 100,
        tolerance=given["slippage_bps"] / 10_000,
        max_fx_jump=given["max_fx_jump_bps"] / 10_000,
    )


def _number(parameter: Parameter, values: Mapping[str, object], currency: str, capital: float) -> float:
    name = parameter.spelled(currency)
    value = values.get(name, parameter.fallback(capital))
    if problem := _problem(parameter, name, value):
        raise ValueError(problem)
    return float(cast("float", value))


def value_problem(name: str, value: object, currency: str) -> str | None:
    """Return what is wrong with a value of the parameter of this name; None also where there is no such parameter."""
    return next((_problem(each, name, value) for each in PARAMETERS if each.spelled(currency) == name), None)


def _problem(parameter: Parameter, name: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return f"{name} must be a number, got {value!r}"
    if value < parameter.lowest:
        return f"{name} must be at least {parameter.lowest:g}, got {value!r}"
    return None
