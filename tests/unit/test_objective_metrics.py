"""What a user's code returned becomes metrics, or a reason why not."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning_worker.objectives.metrics import MAX_METRICS, MAX_NAME, checked, judged, metrics_from
from tuning_worker.objectives.protocol import EvaluationFailed, Measurement, Metrics


class Level(IntEnum):
    HIGH = 3


class Liar:
    """Raises where a number is asked for."""

    def __float__(self) -> float:
        raise RuntimeError


@pytest.mark.parametrize(
    ("returned", "value", "kind"),
    [
        (1.5, 1.5, float),
        (3, 3, int),
        (Level.HIGH, 3, int),
        (np.float64(0.25), 0.25, float),
        (np.float32(0.5), 0.5, float),
        (np.int64(7), 7, int),
        (np.array(2.0), 2.0, float),
        (np.array([2.0]), 2.0, float),
        (Decimal("0.5"), 0.5, float),
        (Fraction(1, 4), 0.25, float),
        (2**63, float(2**63), float),
        (-(2**63), -(2**63), int),
    ],
    ids=repr,
)
def test_numbers_of_many_kinds_become_plain_ones(returned: object, value: float, kind: type) -> None:
    metrics = metrics_from(returned, "loss")
    assert metrics == {"loss": value}
    assert type(metrics["loss"]) is kind


def test_what_has_only_an_index_is_an_int() -> None:
    class Index:
        def __index__(self) -> int:
            return 9

    assert metrics_from(Index(), "n") == {"n": 9}


@pytest.mark.parametrize(
    "returned",
    [math.nan, math.inf, -math.inf, np.float64("nan"), 10**400, {"loss": math.nan}, {"loss": None}],
    ids=lambda returned: f"{returned!r:.20}",
)
def test_an_undefined_value_is_null_and_fails(returned: object) -> None:
    metrics = metrics_from(returned, "loss")
    assert metrics == {"loss": None}
    with pytest.raises(EvaluationFailed, match="NaN, infinite or null") as failed:
        judged(metrics, "loss")
    assert failed.value.kind == "not_finite"


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (None, "got None; is a `return` missing"),
        ("0.5", "got a str"),
        ((1.0, 2.0), "got a tuple"),
        (True, "got a bool"),
        (np.True_, "got a bool"),
        (1j, "got a complex"),
        (np.array([1.0, 2.0]), "got an? ndarray"),
        (np.str_("x"), "got a str_"),
        (Liar(), "got a Liar"),
        ({"loss": "0.5"}, "the metric 'loss' is no number, it is a str"),
        ({"loss": False}, "the metric 'loss' is no number, it is a bool"),
    ],
    ids=[
        *("none", "text", "tuple", "bool", "numpy-bool", "complex", "array", "numpy-text", "liar"),
        *("dict-of-text", "dict-of-bool"),
    ],
)
def test_what_is_no_number_is_bad_output(returned: object, says: str) -> None:
    with pytest.raises(EvaluationFailed, match=says) as failed:
        metrics_from(returned, "loss")
    assert failed.value.kind == "bad_output"


def test_other_entries_of_a_dict_are_kept_where_they_are_numbers() -> None:
    returned = {"loss": 1, "nan": math.nan, "flag": True, "none": None, "text": "x", "list": [1], 5: 5.0}
    assert metrics_from(returned, "loss") == {"loss": 1, "nan": None, "flag": 1, "none": None}


@pytest.mark.parametrize("name", ["a\nb", "x" * (MAX_NAME + 1), "\x1b[31m"], ids=["newline", "long", "escape"])
def test_names_that_no_record_could_show_are_refused(name: str) -> None:
    with pytest.raises(EvaluationFailed, match="printable characters") as failed:
        metrics_from({"loss": 1, name: 2}, "loss")
    assert failed.value.kind == "bad_output"


def test_too_many_metrics_are_refused() -> None:
    with pytest.raises(EvaluationFailed, match=f"at most {MAX_METRICS}"):
        metrics_from({f"m{number}": number for number in range(MAX_METRICS + 1)}, "m0")


def test_a_missing_metric_names_those_seen_and_keeps_them() -> None:
    with pytest.raises(EvaluationFailed, match="'loss' is not among those measured: accuracy, f1") as failed:
        judged({"f1": 0.5, "accuracy": 1}, "loss")
    assert failed.value.kind == "missing_metric"
    assert failed.value.metrics == {"f1": 0.5, "accuracy": 1}
    with pytest.raises(EvaluationFailed, match="measured: none"):
        judged({}, "loss")


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(returned=anything | st.dictionaries(st.sampled_from(["loss", "a", "b"]), anything))
def test_whatever_is_returned_the_outcome_can_be_recorded(returned: object) -> None:
    try:
        metrics: Metrics = metrics_from(returned, "loss")
        value = judged(metrics, "loss")
    except EvaluationFailed as failed:
        assert failed.kind in {"bad_output", "missing_metric", "not_finite"}  # noqa: PT017 - one of two outcomes
        assert json.loads(json.dumps(failed.metrics, allow_nan=False)) == failed.metrics  # noqa: PT017 - as above
    else:
        assert math.isfinite(value)
        assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@given(daily=st.none() | st.dictionaries(st.dates().map(str) | st.text() | st.integers(), anything), capital=anything)
def test_whatever_the_days_are_they_can_be_recorded_or_are_refused(daily: Any, capital: Any) -> None:
    try:
        measured = checked(Measurement({}, daily, capital))
    except EvaluationFailed as failed:
        assert failed.kind == "bad_output"  # noqa: PT017 - one of two outcomes
    else:
        recorded = (measured.daily, measured.capital)
        assert json.loads(json.dumps(recorded, allow_nan=False)) == list(recorded)
        assert list(measured.daily or ()) == sorted(daily or ())


def test_so_many_days_are_surely_not_meant() -> None:
    first = date(1, 1, 1).toordinal()
    days = {str(date.fromordinal(first + n)): 0.0 for n in range(20_001)}
    with pytest.raises(EvaluationFailed, match="20001 days"):
        checked(Measurement({}, days))


@given(text=st.text(alphabet=st.characters(codec=None), max_size=50), times=st.integers(1, 2000))
def test_a_reason_is_bounded_and_can_be_written(text: str, times: int) -> None:
    failed = EvaluationFailed(text * times, text * times, text * times)
    assert len(failed.kind.encode()) <= 200
    assert len(failed.message.encode()) <= 2048
    assert failed.detail is not None
    assert len(failed.detail.encode()) <= 16384


def test_what_is_cut_out_of_a_long_reason_is_the_middle() -> None:
    failed = EvaluationFailed("X", "begin" + "." * 5000 + "end")
    assert failed.message.startswith("begin")
    assert failed.message.endswith("end")
    assert "left out" in failed.message
    assert str(EvaluationFailed("exit:3", "it ended")) == "exit:3: it ended"
