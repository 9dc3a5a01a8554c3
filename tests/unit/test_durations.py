"""Lengths of time as people write them."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.durations import LONGEST, format_duration, parse_duration, to_seconds

durations = st.timedeltas(timedelta(0), LONGEST)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("75", 75),
        ("90s", 90),
        ("1h30m", 5400),
        (" 1h 30m ", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("2d", 172_800),
        ("1d2h3m4s5ms", 93_784.005),
        (1e-3, 0.001),
        (1.9999999, 2),
        ("0.0000009s", 0.000001),
        (timedelta(minutes=2), 120),
    ],
)
def test_what_people_write_is_understood(written: object, seconds: float):
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    ["", "  ", "h", "1x", "30m1h", "1m1m", "1:30", "-5", "1h-30m", "1e3s", "1,5s", "1.s", "٣s", "9" * 65, "1H"],
)
def test_what_is_no_length_of_time_is_refused_with_the_form_to_use(written: object):
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(written)


@pytest.mark.parametrize("written", [True, None, [1], {"s": 1}])
def test_other_types_are_refused(written: object):
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(written)


@pytest.mark.parametrize("written", [-1, -0.5, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_negative_and_endless_times_are_refused(written: object):
    with pytest.raises(ValueError, match="finite and not negative"):
        parse_duration(written)


@pytest.mark.parametrize("written", [10**400, 1e308, "99999999d", timedelta.max, LONGEST + timedelta(microseconds=1)])
def test_what_no_timer_can_hold_is_refused(written: object):
    with pytest.raises(ValueError, match="at most 3650d"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (90, "1m30s"), (5400, "1h30m"), (1.5, "1.5s"), (0.5, "500ms"), (0.0005, "0.5ms"), (90_000, "1d1h")],
)
def test_they_are_written_the_short_way(seconds: float, written: object):
    assert format_duration(timedelta(seconds=seconds)) == written


def test_a_negative_length_is_written_as_such():
    assert format_duration(timedelta(seconds=-90)) == "-1m30s"


@given(durations)
def test_text_and_seconds_are_read_back_exactly(duration: timedelta):
    assert parse_duration(format_duration(duration)) == duration
    assert parse_duration(to_seconds(duration)) == duration


@given(st.text() | st.floats() | st.integers())
def test_anything_is_either_a_length_of_time_or_a_value_error(written: object):
    with contextlib.suppress(ValueError):
        assert timedelta(0) <= parse_duration(written) <= LONGEST
        return
    with pytest.raises(ValueError, match=r"length of time|at most"):
        parse_duration(written)


@pytest.mark.parametrize(("duration", "seconds"), [(timedelta(hours=1), 3600), (timedelta(milliseconds=1500), 1.5)])
def test_whole_seconds_are_whole_numbers(duration: timedelta, seconds: float):
    assert to_seconds(duration) == seconds
    assert type(to_seconds(duration)) is type(seconds)
