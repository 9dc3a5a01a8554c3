"""The metrics of a run: each definition on numbers computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_worker.market.metrics import METRICS, measure, sharpe, sortino
from tuning_worker.market.run import REASONS, Run

RUN = Run(
    capital=1000.0,
    net_pnl=6.0,
    fees=3.0,
    slippage=-1.0,
    transfer_costs=0.5,
    turnover=500.0,
    max_drawdown=2.0,
    exposure_seconds=1.5,
    ordered=8.0,
    filled=6.0,
    entries=3,
    exits=1,
    wins=3,
    orders=5,
    hedges=2,
    transfers=1,
    missed=1,
    expired=0,
    rejected=dict.fromkeys(REASONS, 0) | {"cooldown": 4, "no_size": 1},
    daily=(4.0, 0.0, 2.0),
    cash=(0.0, 0.0),
    coins=(0.0, 0.0),
    unclaimed=0.0,
)
IDLE = replace(RUN, net_pnl=0.0, ordered=0.0, filled=0.0, entries=0, exits=0, wins=0, orders=0, daily=(0.0, 0.0, 0.0))


def test_every_metric_has_its_value() -> None:
    measured = measure(RUN)
    assert tuple(measured) == METRICS
    assert measured["net_pnl"] == 6.0
    assert measured["gross_pnl"] == 8.5
    assert (measured["transfers"], measured["transfer_costs"]) == (1, 0.5)
    assert measured["trades"] == 4
    assert measured["hit_rate"] == 0.75
    assert measured["fill_ratio"] == 0.75
    assert measured["return_pct"] == 0.6
    assert measured["sharpe"] == pytest.approx(2 / 2 * math.sqrt(365))  # mean 2, deviations 2, -2 and 0
    assert measured["sortino"] is None
    assert measured["rejected"] == 5
    assert measured["rejected_cooldown"] == 4
    assert measured["rejected_loss_limit"] == 0


def test_what_is_undefined_is_none() -> None:
    measured = measure(IDLE)
    assert [measured[name] for name in ("hit_rate", "fill_ratio", "sharpe", "sortino")] == [None] * 4
    assert measured["net_pnl"] == 0.0
    assert measured["trades"] == 0
    assert measure(replace(RUN, capital=0.0))["return_pct"] is None


def test_sortino_counts_losing_days_against_all_days() -> None:
    assert sortino([3.0, -1.0, 0.0, 2.0]) == pytest.approx(1 / math.sqrt(1 / 4) * math.sqrt(365))


@pytest.mark.parametrize("daily", [[], [1.0], [-1.0]])
def test_one_day_tells_nothing(daily: list[float]) -> None:
    assert sharpe(daily) is None
    assert sortino(daily) is None


def test_days_that_are_all_alike_have_no_sharpe() -> None:
    assert sharpe([0.1] * 7) is None
    assert sortino([-2.0, -2.0]) == pytest.approx(-math.sqrt(365))


@given(st.lists(st.integers(min_value=-1000, max_value=1000), min_size=2), st.integers(min_value=1, max_value=10**6))
def test_the_ratios_do_not_depend_on_the_currency(daily: list[int], factor: int) -> None:
    for ratio in (sharpe, sortino):
        one, other = ratio(daily), ratio([day * factor for day in daily])
        assert other is None if one is None else other == pytest.approx(one)
