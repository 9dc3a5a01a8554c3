"""Lengths of time as people write them: `90`, `1.5`, `"1h30m"`, `"90s"`, `"500ms"`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

LONGEST = timedelta(days=3650)
"""No wait of ours is meant to be longer; far beyond it `timedelta` and the kernel's timers overflow."""

_FORM = "write seconds as a number, or a text such as 1h30m, 90s or 500ms"
_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}  # in microseconds
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TEXT = re.compile(r"\s*".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit})?" for unit in _UNITS))
_PLAIN = re.compile(_NUMBER)
_LONGEST_TEXT = 64


def parse_duration(value: object) -> timedelta:
    """Turn what a file, an option or the environment says into a length of time, exact to the microsecond.

    Args:
        value: a number of seconds (also as text: the environment has nothing else), a text of numbers with the
            units d, h, m, s, ms in that order and each at most once, or a `timedelta`.

    Raises:
        ValueError: it is nothing of the kind, negative, not finite, or longer than `LONGEST`; the message is a
            sentence without the value.
    """
    if isinstance(value, timedelta):
        microseconds = Decimal(value // timedelta(microseconds=1))
    elif isinstance(value, str):
        microseconds = _microseconds(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        microseconds = Decimal(repr(value)) * _UNITS["s"]
    else:
        raise ValueError(f"must be a length of time: {_FORM}")  # noqa: TRY004 - pydantic collects ValueErrors
    if not microseconds.is_finite() or microseconds < 0:
        raise ValueError("must be a length of time that is finite and not negative")
    if microseconds > LONGEST // timedelta(microseconds=1):
        raise ValueError(f"must be at most {format_duration(LONGEST)}")
    return timedelta(microseconds=int(microseconds.to_integral_value()))


def format_duration(duration: timedelta) -> str:
    """Write a length of time the short way, e.g. `1h30m`, `1.5s`, `500ms`, `0s`; `parse_duration` reads it back."""
    rest = duration // timedelta(microseconds=1)
    if rest < 0:
        return f"-{format_duration(-duration)}"
    if 0 < rest < _UNITS["s"]:
        return f"{_shortest(rest, 'ms')}ms"
    text = ""
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return f"{text}{_shortest(rest, 's')}s" if rest or not text else text


def to_seconds(duration: timedelta) -> int | float:
    """Return the length in seconds, whole where it is whole: what JSON records hold."""
    seconds = duration.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _microseconds(text: str) -> Decimal:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"is too long for a length of time: {_FORM}")
    if _PLAIN.fullmatch(text):
        return Decimal(text) * _UNITS["s"]
    found = _TEXT.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"is not a length of time: {_FORM}")
    return sum((Decimal(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number), Decimal(0))


def _shortest(microseconds: int, unit: str) -> str:
    return f"{(Decimal(microseconds) / _UNITS[unit]).normalize():f}"
