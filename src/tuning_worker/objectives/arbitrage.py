"""The objective `arbitrage`: what a strategy earns between two venues on recorded quotes, by the paper engine.

Amounts are in the currency of venue A's quotes, whose name ends those of the amount parameters (`max_position_krw`):
see `tuning_worker.market.parameters`. The metrics are defined in `tuning_worker.market.metrics`.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads it at run time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import override

from orchestrator.domain.complaints import nearest
from tuning_worker.days import Split, fold_ends
from tuning_worker.market.dataset import Data, Dataset, Sha256
from tuning_worker.market.metrics import METRICS, measure
from tuning_worker.market.parameters import make_strategy, parameter_problems, value_problem
from tuning_worker.market.run import Transfers, Venue
from tuning_worker.market.source import MarketDataError
from tuning_worker.objectives.protocol import Folds, Measurement, ObjectiveSpec, Params
from tuning_worker.pruner import Pruner, PrunerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tuning_worker.market.data import Market
    from tuning_worker.market.parameters import Strategy
    from tuning_worker.market.run import Run

VALIDATED = ("net_pnl", "trades", "hit_rate", "sharpe", "max_drawdown")
"""What is reported of the validation days too, and the objective's own metric with them: `validation_NAME`."""
FOLDS: Final = 5
"""In how many parts the days are played for a pruner that does not say."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, lt=10_000)]


class VenueSpec(BaseModel):
    """One venue's terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fee_bps: Share
    """Taker fee."""
    impact_bps: Share = 0.0
    """How much worse than quoted an order executes. A cost of the venue; the tolerance of an order is `slippage_bps`,
    and an order that tolerates less than this never fills."""
    impact_ticks: Share = 0.0
    """The same in ticks of `tick`, on top."""
    tick: Annotated[Number, Field(ge=0)] = 0.0
    """The venue's price step, in its own quote currency."""
    latency_ms: float = Field(strict=True, ge=0, le=86_400_000)
    """From a decision until its order is at the venue. It fills at the venue's first quote from then on."""
    quote: Annotated[Number, Field(ge=0)] | None = None
    """Money there at the start, in the venue's own quote currency. A quarter of the capital where not given."""
    base: Annotated[Number, Field(ge=0)] | None = None
    """Coins there at the start. A quarter of the capital, at the first mid price, where not given."""

    @model_validator(mode="after")
    def _ticks_have_a_size(self) -> VenueSpec:
        if self.impact_ticks > 0 and self.tick == 0:
            raise ValueError("impact_ticks needs tick, the size of one")
        return self


class TransfersSpec(BaseModel):
    """What moving inventory between the venues takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay_ms: float = Field(default=3_600_000, strict=True, ge=0)
    """From when it leaves one venue until it can be used at the other, coins and money alike."""
    coin_fee: Annotated[Number, Field(ge=0)] = 0.0
    """Coins lost on the way, whatever their number."""
    money_fee_bps: Share = 0.0
    """Of the money lost on the way; it is changed at the rate of the moment it leaves."""


class ArbitrageSpec(ObjectiveSpec):
    """`{kind: arbitrage, data: quotes.parquet, capital: 10000000, venue_a: {fee_bps: 5, latency_ms: 100}, …}`."""

    kind: Literal["arbitrage"]
    metric: str = "net_pnl"
    direction: Literal["maximize", "minimize"] = "maximize"
    data: Data
    """Quotes as `.parquet` or `.csv`: a file of rows, or a file for each feed (`venue_a`, `venue_b`, `fx`). From the
    current directory, else beside the tuning config."""
    data_sha256: Sha256 | None = None
    """What the file or files must hold. `resolved` fills it in."""
    data_origin: str | None = None
    """Where they say they come from. `resolved` fills it in."""
    quote_currency: str = Field(default="krw", pattern=r"^[a-z0-9]{1,10}$")
    """That of venue A, in which amounts are given."""
    capital: Number = Field(gt=0)
    """In that currency. Amounts that are not given are shares of it."""
    venue_a: VenueSpec
    """The terms of venue A; see below."""
    venue_b: VenueSpec
    """Those of venue B."""
    transfers: TransfersSpec = TransfersSpec()
    """The terms of sending inventory back, which the strategy's `transfer_position_CURRENCY` asks for."""
    default_size: Annotated[Number, Field(gt=0)] | None = None
    """Coins at the best price where the data has no sizes. Without limit where not given."""
    days: tuple[date, ...] | None = Field(default=None, min_length=1)
    """The UTC days to trade on. All where not given."""
    from_day: date | None = None
    """The first UTC day, included."""
    to_day: date | None = None
    """The last UTC day, included."""
    fixed: dict[str, Number] = Field(default_factory=dict)
    """Parameters of the strategy that are not searched."""
    split: Split | None = None
    """Which of those days are tuned on, validated on, and held out. `tuning.evaluation` fills it in at submit."""
    parts: int | None = Field(default=None, ge=1)
    """In how many parts the days that are tuned on are played. `tuning.pruner` fills it in at submit."""

    @field_validator("metric")
    @classmethod
    def _metric_exists(cls, metric: str) -> str:
        if metric in METRICS:
            return metric
        meant = nearest(metric, METRICS)
        hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(METRICS)}"
        raise ValueError(f"the arbitrage objective has no such metric; {hint}")

    @field_validator("fixed")
    @classmethod
    def _fixed_makes_sense(cls, fixed: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        make_strategy(fixed, info.data.get("quote_currency", ""), capital=1.0)
        return fixed

    @model_validator(mode="after")
    def _days_are_in_order(self) -> ArbitrageSpec:
        if self.from_day and self.to_day and self.from_day > self.to_day:
            raise ValueError(f"from_day {self.from_day} is after to_day {self.to_day}")
        return self

    @override
    def build(self, base: Path) -> ArbitrageObjective:
        from tuning_worker.market.data import chosen_days  # noqa: PLC0415 - NumPy is slow to import
        from tuning_worker.market.engine import warm_up  # noqa: PLC0415 - numba is slow to import

        market = self._load(base)
        parts = (self.split.tune, self.split.validation) if self.split else (market.days,)
        warm_up()
        # No quote of another day goes any further than this.
        return ArbitrageObjective(self, *(market.select(chosen_days(part, None, None)) for part in parts if part))

    @override
    def check(self, base: Path, names: tuple[str, ...]) -> list[str]:
        both = sorted(self.fixed.keys() & set(names))
        problems = [
            *(f"{name} is in both fixed and the search space: keep one" for name in both),
            *parameter_problems((*names, *self.fixed), self.quote_currency),
            *Dataset(self.data, base).header_problems(),
        ]
        if not problems:
            try:
                market = self._load(base)
            except MarketDataError as error:
                return str(error).splitlines()
            problems = [why for why in (_unplayable(market),) if why]
        return problems

    @override
    def check_values(self, extremes: Mapping[str, tuple[int | float | str | bool, ...]]) -> list[tuple[str, str]]:
        return [
            (name, problem)
            for name, values in extremes.items()
            for value in values
            if (problem := value_problem(name, value, self.quote_currency))
        ]

    @override
    def find_days(self, base: Path) -> Sequence[date]:
        return self._load(base).days

    @override
    def check_days(self, base: Path, parts: Mapping[str, Sequence[date]]) -> Mapping[str, str]:
        from tuning_worker.market.data import chosen_days  # noqa: PLC0415 - NumPy is slow to import

        market = self._load(base)
        found = {name: _unplayable(market.select(chosen_days(days, None, None))) for name, days in parts.items()}
        return {name: why for name, why in found.items() if why}

    @override
    def folded(self, pruner: Pruner, base: Path, split: Split | None) -> dict[str, Any]:
        folds = FOLDS if pruner.folds is None else pruner.folds
        days = len(split.tune if split else self.find_days(base))
        if days < folds:
            raise PrunerError(f"{folds} folds need as many days to tune on, and there are {days}", "folds")
        if pruner.warmup_folds >= folds - 1:
            raise PrunerError(
                f"with {folds} folds at most {folds - 2}, or nothing is left to be stopped", "warmup_folds"
            )
        return {"parts": folds}

    @override
    def resolved(self, base: Path) -> dict[str, Any]:
        return {**self.model_dump(mode="json"), **Dataset(self.data, base).resolved()}

    def _load(self, base: Path) -> Market:
        from tuning_worker.market.data import chosen_days  # noqa: PLC0415 - NumPy is slow to import

        size = float("inf") if self.default_size is None else self.default_size
        market = Dataset(self.data, base).load(self.data_sha256, default_size=size)
        return market.select(chosen_days(self.days, self.from_day, self.to_day))


class ArbitrageObjective:
    """Runs the paper engine over quotes that it holds in memory.

    The validation days are a run of their own, which begins with fresh inventory: nothing is carried over.
    """

    def __init__(self, spec: ArbitrageSpec, market: Market, validation: Market | None = None) -> None:
        self._currency, self._capital, self._fixed = spec.quote_currency, spec.capital, spec.fixed
        self._transfers = Transfers(
            spec.transfers.delay_ms, spec.transfers.coin_fee, spec.transfers.money_fee_bps / 10_000
        )
        self._tune = market, _venues(spec, market)
        self._ends = fold_ends(market.days, spec.parts or 1)
        self._validation = None if validation is None else (validation, _venues(spec, validation))
        self._validated = dict.fromkeys((*VALIDATED, spec.metric))

    def evaluate(self, params: Params) -> Measurement | Folds:
        """Run the strategy once over the days that are tuned on, and once over those it is validated on.

        Raises:
            ValueError: a parameter is not the strategy's, or its value makes no sense.
        """
        from tuning_worker.market.engine import simulate  # noqa: PLC0415 - numba is slow to import

        values: Mapping[str, object] = {**self._fixed, **params}
        strategy = make_strategy(values, self._currency, self._capital)
        if len(self._ends) > 1:
            return self._by_folds(strategy)
        return self._measured(strategy, simulate(*self._tune, strategy, self._transfers))

    def _by_folds(self, strategy: Strategy) -> Folds:
        """Stop where the day that ends a fold ends; the run as a whole is the same as in one go."""
        from tuning_worker.market.engine import simulate_in_parts  # noqa: PLC0415 - numba is slow to import

        runs = simulate_in_parts(*self._tune, strategy, self._transfers, self._ends)
        for _ in self._ends[:-1]:
            yield measure(next(runs))
        return self._measured(strategy, next(runs))

    def _measured(self, strategy: Strategy, run: Run) -> Measurement:
        from tuning_worker.market.engine import simulate  # noqa: PLC0415 - numba is slow to import

        metrics, daily = measure(run), _daily(self._tune[0], run)
        if self._validation is not None:
            again = simulate(*self._validation, strategy, self._transfers)
            measured = measure(again)
            metrics |= {f"validation_{name}": measured[name] for name in self._validated}
            daily |= _daily(self._validation[0], again)
        return Measurement(metrics, daily, run.capital)


def _unplayable(market: Market) -> str | None:
    """Return why nothing can be played on a market's days, None where it can."""
    try:
        market.opening()
    except MarketDataError:
        first, last, count = market.days[0], market.days[-1], len(market.days)
        days = f"{first}" if count == 1 else f"the {count} days from {first} to {last}"
        feeds = "venue A, venue B and the rate" if market.has_rate else "venue A and venue B"
        return f"{days}: {feeds} are never all quoted in one stretch there, so nothing can be traded: choose other days"
    return None


def _daily(market: Market, run: Run) -> dict[str, float]:
    return {day.isoformat(): pnl for day, pnl in zip(market.days, run.daily, strict=True)}


def _venues(spec: ArbitrageSpec, market: Market) -> tuple[Venue, Venue]:
    """Return both venues with their inventory: a quarter of the capital where the spec does not say."""
    (bid_a, ask_a), (bid_b, ask_b), (fx_bid, fx_ask) = market.opening()
    quarter = spec.capital / 4
    rate = (fx_bid + fx_ask) / 2
    at_a = _venue(spec.venue_a, quarter, (bid_a + ask_a) / 2)
    at_b = _venue(spec.venue_b, quarter / rate, (bid_b + ask_b) / 2)
    return at_a, at_b


def _venue(spec: VenueSpec, quarter: float, price: float) -> Venue:
    return Venue(
        fee=spec.fee_bps / 10_000,
        impact=spec.impact_bps / 10_000,
        latency_ms=spec.latency_ms,
        quote=quarter if spec.quote is None else spec.quote,
        base=quarter / price if spec.base is None else spec.base,
        adverse=spec.impact_ticks * spec.tick,
    )
