"""Days as they are written: spans leave out no day that there is."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.days import day_spans

DAYS = [(date(2026, 1, 1) + timedelta(days=3 * place)).isoformat() for place in range(40)]


def test_a_span_goes_over_days_that_are_not_there_and_not_over_others() -> None:
    assert day_spans(DAYS[:4], DAYS) == f"{DAYS[0]} to {DAYS[3]}"
    assert day_spans([DAYS[0], DAYS[2]], DAYS) == f"{DAYS[0]}, {DAYS[2]}"
    assert day_spans([DAYS[0], DAYS[2]], []) == f"{DAYS[0]} to {DAYS[2]}"
    assert day_spans(DAYS[::2], DAYS) == f"{', '.join(DAYS[:10:2])}, … {DAYS[38]}"


@given(st.sets(st.sampled_from(DAYS), min_size=1))
def test_what_is_written_is_what_was_given(chosen: set[str]) -> None:
    told = day_spans(sorted(chosen), DAYS)
    if "…" in told:
        return
    spans = [span.split(" to ") for span in told.split(", ")]
    assert {day for first, *last in spans for day in DAYS if first <= day <= (last or [first])[0]} == chosen
