"""The one place that reads the wall clock. Everything else is given the time, or a `Clock`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, aware, in UTC."""


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.fromtimestamp(time.time(), tz=UTC)  # noqa: TID251 - this is the clock


def iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds, e.g. `2026-03-01T12:00:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
