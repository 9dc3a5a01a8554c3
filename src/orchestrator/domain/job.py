"""A job: one worker's share of a session, and the one table of how its status may change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from orchestrator.clock import iso
from orchestrator.frozen import TYPE_CHECKING, fields_of, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Status(StrEnum):
    """The status of a job, and of a session. Everything finer is a `reason`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows on this (but an explicit `orch retry`)."""
        return self not in (Status.PENDING, Status.RUNNING)


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED, Status.PENDING}),
    Status.SUCCESS: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""From each status, those that may follow. `RUNNING → PENDING` is a further attempt."""


@frozen
class TuningJob:
    """A job as its Redis hash holds it. None is written as an empty string.

    Attributes:
        job_id: a UUID.
        iterations: how many iterations are its share; None with `worker_command`, which counts none.
        return_code: of the last attempt's process; None while it runs or where a signal ended it.
        attempt: how many times it was launched.
        failures: how many of its attempts ended badly by themselves; these count against `max_attempts`.
        lost: how many of its last attempts were lost in a row, with their supervisor, since an iteration was recorded.
        begun: the highest iteration that was begun: the records are those of 1 to this one.
        recorded: iterations recorded so far, failed ones included.
        failed: FAILED iterations among the recorded.
        reason: why it is where it is, e.g. `exit:3`, `signal:SIGKILL`, `timeout`, `lost`.
        token: the fencing token under which the present attempt runs.
        handle: what its executor needs to find the attempt again.
        retry_at: when a further attempt may start.
        spent: how long its attempts have run so far, seconds; its `timeout` counts that and not the time between them.
        cancel: why it is to end, `cancelled:<who>: <why>`; empty where nobody wants that.
        verdict: what the worker itself said of its end; empty where it said nothing.
    """

    job_id: str
    session_id: str
    worker_id: str
    iterations: int | None
    mode: str
    env: str
    optimizer: str
    config_path: str
    output_csv: str
    status: Status = Status.PENDING
    return_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    begun: int = 0
    recorded: int = 0
    failed: int = 0
    reason: str = ""
    signal: str = ""
    host: str = ""
    pid: int | None = None
    executor: str = ""
    handle: str = ""
    token: int | None = None
    retry_at: datetime | None = None
    spent: float = 0.0
    cancel: str = ""
    verdict: str = ""

    def to_hash(self) -> dict[str, str]:
        """Return the fields as Redis holds them."""
        return to_hash(fields_of(self))

    @classmethod
    def from_hash(cls, raw: Mapping[str, str]) -> TuningJob:
        """Read a job back; fields that a newer version added are ignored.

        Raises:
            KeyError: a field that every job has is missing.
        """
        if missing := _ALWAYS - raw.keys():
            raise KeyError(*sorted(missing))
        values = {name: _READ.get(name, str)(raw[name]) for name in cls.__match_args__ if name in raw}
        if "begun" not in values:  # a job from before that was kept: any of its iterations may have a record
            values["begun"] = values["iterations"] or 0
        return cls(**values)


def to_hash(values: Mapping[str, object]) -> dict[str, str]:
    """Write field values as Redis holds them: None as an empty string, moments as ISO 8601."""
    return {name: _written(value) for name, value in values.items()}


def _written(value: object) -> str:
    if value is None:
        return ""
    return iso(value) if isinstance(value, datetime) else str(value)


def read_int(text: str) -> int | None:
    """Read a whole number of a hash; empty is None."""
    return int(text) if text else None


def read_time(text: str) -> datetime | None:
    """Read a moment of a hash; empty is None."""
    return datetime.fromisoformat(text) if text else None


_ALWAYS = frozenset(TuningJob.__match_args__[: TuningJob.__match_args__.index("status")])  # they have no default
_READ: Mapping[str, Any] = {
    "status": Status,
    "iterations": read_int,
    "return_code": read_int,
    "pid": read_int,
    "token": read_int,
    "attempt": int,
    "failures": int,
    "lost": int,
    "begun": int,
    "recorded": int,
    "spent": float,
    "failed": int,
    "started_at": read_time,
    "finished_at": read_time,
    "retry_at": read_time,
}
