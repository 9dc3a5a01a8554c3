"""A recorded iteration held against its evaluation again."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tuning_worker.evaluation.evaluator import Evaluation
from tuning_worker.review.recorded import Trial
from tuning_worker.review.replaying import compare

RECORDED = Trial(
    g=0,
    worker_id="worker-1",
    iteration=1,
    status="SUCCESS",
    value=1.5,
    params={"x": 1},
    metrics={"net_pnl": 1.5, "trades": 3, "sharpe": None},
    daily={"2026-01-01": 1.5},
)


def outcome(value: float | None = 1.5, **metrics: float | None) -> Evaluation:
    measured = {"net_pnl": value, "trades": 3, "sharpe": None} | metrics
    return Evaluation("SUCCESS", value, measured, None, None, None, 0.1, daily={"2026-01-01": value or 0.0})


def different(now: Evaluation, tolerance: float = 0.0) -> list[str]:
    return [each.name for each in compare(RECORDED, now, tolerance) if not each.same]


def test_the_same_result_is_the_same_in_every_figure() -> None:
    assert different(outcome()) == []
    assert len(compare(RECORDED, outcome(), 0)) == 6


def test_a_single_bit_is_a_difference_unless_it_is_tolerated() -> None:
    next_to = math.nextafter(1.5, 2)
    assert different(outcome(next_to)) == ["value", "metrics.net_pnl", "daily.2026-01-01"]
    assert different(outcome(next_to), 1e-12) == []


def test_what_is_undefined_or_new_is_a_difference_whatever_is_tolerated() -> None:
    assert different(outcome(sharpe=0.0), 0.5) == ["metrics.sharpe"]
    assert different(outcome(fees=1.0), 0.5) == ["metrics.fees"]
    failed = Evaluation("FAILED", None, {}, "timeout", "there was no result", None, 1.0)
    assert different(failed, 0.5) == [
        *("status", "value", "metrics.net_pnl", "metrics.trades", "daily.2026-01-01"),
    ]


@given(value=st.floats(-1e9, 1e9), tolerance=st.floats(0, 0.5))
def test_a_number_is_itself(value: float, tolerance: float) -> None:
    again = Trial(g=0, worker_id="w", iteration=1, status="SUCCESS", value=value, params={}, metrics={})
    now = Evaluation("SUCCESS", value, {}, None, None, None, 0.1)
    assert all(each.same for each in compare(again, now, tolerance))
