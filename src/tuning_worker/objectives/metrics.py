"""From what a user's code returned or printed to metrics that can be recorded. Pure.

| returned | recorded |
|---|---|
| a number, where the function returns no dict | the objective's metric |
| a number of a dict: int, float, what has `item()`, `__index__`, `__float__` (NumPy, Decimal, …) | an int or float |
| NaN or ±infinity, None | null; the iteration is FAILED where it is the objective's own metric |
| a bool | 0 or 1; refused where it is the objective's own metric, as it is surely a mistake |
| anything else | left out; refused where it is the objective's own metric |
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from tuning_worker.objectives.protocol import EvaluationFailed, Measurement, Metrics

MAX_METRICS: Final = 256
"""Each becomes a column of the CSV and a field in the store: more are surely not meant."""
MAX_NAME: Final = 200
_INT64: Final = 2**63


MAX_DAYS: Final = 20_000


def checked(measured: Measurement) -> Measurement:
    """Return a measurement whose days and capital can be recorded, as plain floats.

    Raises:
        EvaluationFailed: `bad_output`: they cannot.
    """
    daily, capital = measured.daily, measured.capital
    if daily is not None:
        if len(daily) > MAX_DAYS:
            raise EvaluationFailed("bad_output", f"{len(daily)} days, where at most {MAX_DAYS} can be recorded")
        days = {_day(day): _amount(f"the day {day}", value) for day, value in daily.items()}
        daily = dict(sorted(days.items()))
    if capital is not None:
        capital = _amount("the capital", capital)
    return replace(measured, daily=daily, capital=capital)


def metrics_from(returned: object, metric: str) -> Metrics:
    """Take the metrics out of what an objective returned.

    Args:
        returned: a number, or a mapping of names to numbers and to what is not recorded.
        metric: the objective's own.

    Raises:
        EvaluationFailed: `bad_output`, as it is neither, or the objective's own metric is no number.
    """
    if isinstance(returned, Mapping):
        return _metrics_of_mapping(returned, metric)
    value = None if returned is None else _number(returned)
    if value is None or isinstance(value, bool):
        hint = "; is a `return` missing?" if returned is None else ""
        raise EvaluationFailed("bad_output", f"expected a number or a dict of metrics, got {_kind(returned)}{hint}")
    return {metric: _finite(value)}


def judged(metrics: Metrics, metric: str) -> float:
    """Return the objective's own value.

    Raises:
        EvaluationFailed: `missing_metric` or `not_finite`; it carries the other metrics.
    """
    value = running(metrics, metric)
    if value is None:
        message = f"the metric {metric!r} is undefined: it is NaN, infinite or null"
        raise EvaluationFailed("not_finite", message, metrics={**metrics, metric: None})
    return value


def running(metrics: Metrics, metric: str) -> float | None:
    """Return the objective's own value so far, None where it is undefined as yet.

    Raises:
        EvaluationFailed: `missing_metric`; it carries the other metrics.
    """
    if metric not in metrics:
        seen = ", ".join(sorted(metrics)) or "none"
        message = f"the metric {metric!r} is not among those measured: {seen}"
        raise EvaluationFailed("missing_metric", message, metrics=metrics)
    value = metrics[metric]
    return None if value is None or not math.isfinite(value) else float(value)


def _day(text: object) -> str:
    try:
        if isinstance(text, str) and date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise EvaluationFailed("bad_output", f"a day is written like 2026-01-31, not {str(text)[:MAX_NAME]!r}")


def _amount(what: str, found: object) -> float:
    value = _number(found)
    if value is None or isinstance(value, bool) or _finite(value) is None:
        raise EvaluationFailed("bad_output", f"{what} has no finite number, it has {str(found)[:MAX_NAME]}")
    return float(value)


def _metrics_of_mapping(returned: Mapping[Any, Any], metric: str) -> Metrics:
    metrics: Metrics = {}
    for name, found in returned.items():
        if not isinstance(name, str):
            continue
        value = None if found is None else _number(found)
        if name == metric and found is not None and (value is None or isinstance(value, bool)):
            raise EvaluationFailed("bad_output", f"the metric {metric!r} is no number, it is {_kind(found)}")
        if found is None or value is not None:
            metrics[_name(name)] = None if value is None else _finite(value)
    if len(metrics) > MAX_METRICS:
        raise EvaluationFailed("bad_output", f"{len(metrics)} metrics, where at most {MAX_METRICS} can be recorded")
    return metrics


def _name(name: str) -> str:
    if len(name) > MAX_NAME or not name.isprintable():
        message = f"a metric's name is at most {MAX_NAME} printable characters, this is not: {name[:MAX_NAME]!r}"
        raise EvaluationFailed("bad_output", message)
    return name


def _number(found: Any) -> bool | int | float | None:
    """Return the number that an object stands for, None where it is none. A NaN is a number here."""
    if isinstance(found, bool | int | float):
        # A subclass (NumPy's float64, an IntEnum) becomes the plain thing, so that JSON writes it as one.
        return found if isinstance(found, bool) else int(found) if isinstance(found, int) else float(found)
    try:
        if hasattr(found, "item"):
            item = found.item()
            return _number(item) if isinstance(item, bool | int | float) else None
        if hasattr(found, "__index__"):
            return operator.index(found)
        return float(found) if hasattr(found, "__float__") else None
    except Exception:  # noqa: BLE001 - it is the user's class: whatever it raises, it is no number
        return None


def _finite(value: float) -> float | int | None:
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return int(value)
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def _kind(found: object) -> str:
    name = type(found).__name__
    return "None" if found is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"
