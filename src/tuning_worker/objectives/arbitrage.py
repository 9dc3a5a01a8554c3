"""The objective `arbitrage`: what a strategy earns between two venues on recorded quotes, by the paper engine.

Amounts are in the currency of venue A's quotes, whose name ends those of the amount parameters (`max_position_krw`):
see `tuning_worker.market.parameters`. The metrics are defined in `tuning_worker.market.metrics`.
"""

from __future__ import annotations

import hashlib
from datetime import date  # noqa: TC003 - pydantic reads it at run time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import override

from orchestrator.domain.complaints import nearest
from tuning_worker.market.metrics import METRICS, measure
from tuning_worker.market.parameters import make_strategy, parameter_problems
from tuning_worker.market.run import Venue
from tuning_worker.market.source import MarketDataError, header_problems
from tuning_worker.objectives.protocol import Metrics, ObjectiveSpec, Params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuning_worker.market.data import Market

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
    latency_ms: int = Field(strict=True, ge=0, le=86_400_000)
    """From a decision until its order is at the venue. It fills at the first row from then on."""
    quote: Annotated[Number, Field(ge=0)] | None = None
    """Money there at the start, in the venue's own quote currency. A quarter of the capital where not given."""
    base: Annotated[Number, Field(ge=0)] | None = None
    """Coins there at the start. A quarter of the capital, at the first row's mid price, where not given."""


class ArbitrageSpec(ObjectiveSpec):
    """`{kind: arbitrage, data: quotes.parquet, capital: 10000000, venue_a: {fee_bps: 5, latency_ms: 100}, …}`."""

    kind: Literal["arbitrage"]
    metric: str = "net_pnl"
    direction: Literal["maximize", "minimize"] = "maximize"
    data: str = Field(min_length=1)
    """Quotes as `.parquet` or `.csv`: from the current directory, else beside the tuning config."""
    data_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """What the file must hold. `resolved` fills it in."""
    quote_currency: str = Field(default="krw", pattern=r"^[a-z0-9]{1,10}$")
    """That of venue A, in which amounts are given."""
    capital: Number = Field(gt=0)
    """In that currency. Amounts that are not given are shares of it."""
    venue_a: VenueSpec
    venue_b: VenueSpec
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
        from tuning_worker.market.data import chosen_days, load_market  # noqa: PLC0415 - NumPy is slow to import
        from tuning_worker.market.engine import warm_up  # noqa: PLC0415 - numba is slow to import

        path = self._path(base)
        if self.data_sha256 is not None and _sha256(path) != self.data_sha256:
            raise MarketDataError(f"{path}: it has changed since the session was submitted; submit a new session")
        size = float("inf") if self.default_size is None else self.default_size
        market = load_market(path, default_size=size)
        market = market.select(chosen_days(self.days, self.from_day, self.to_day))
        warm_up()
        return ArbitrageObjective(self, market)

    @override
    def check(self, base: Path, names: tuple[str, ...]) -> list[str]:
        both = sorted(self.fixed.keys() & set(names))
        return [
            *(f"{name} is in both fixed and the search space: keep one" for name in both),
            *parameter_problems(names, self.quote_currency),
            *header_problems(self._path(base)),
        ]

    @override
    def resolved(self, base: Path) -> dict[str, Any]:
        path = self._path(base)
        return {**self.model_dump(mode="json"), "data": str(path), "data_sha256": _sha256(path)}

    def _path(self, base: Path) -> Path:
        here, beside = Path(self.data).absolute(), base.absolute() / self.data
        return here if here.exists() or not beside.exists() else beside


class ArbitrageObjective:
    """Runs the paper engine over quotes that it holds in memory."""

    def __init__(self, spec: ArbitrageSpec, market: Market) -> None:
        self._market = market
        self._currency, self._capital, self._fixed = spec.quote_currency, spec.capital, spec.fixed
        self._venues = _venues(spec, market)

    def evaluate(self, params: Params) -> Metrics:
        """Run the strategy once.

        Raises:
            ValueError: a parameter is not the strategy's, or its value makes no sense.
        """
        from tuning_worker.market.engine import simulate  # noqa: PLC0415 - numba is slow to import

        values: Mapping[str, object] = {**self._fixed, **params}
        strategy = make_strategy(values, self._currency, self._capital)
        return measure(simulate(self._market, self._venues, strategy))


def _venues(spec: ArbitrageSpec, market: Market) -> tuple[Venue, Venue]:
    """Return both venues with their inventory: a quarter of the capital where the spec does not say."""
    bid_a, bid_b, ask_a, ask_b, *_, fx_bid, fx_ask = market.cells[:, 0].tolist()
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
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise MarketDataError(f"{path}: it cannot be read: {error.strerror}") from error
