"""What the start and the end of an attempt change in a job: carried out by a supervisor, or by a worker alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.domain.job import Status
from orchestrator.domain.outcome import Again, Ended, Finish, RetryPolicy, decide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from orchestrator.domain.job import TuningJob

_NOTHING_YET: Mapping[str, object] = {
    "pid": None,
    "handle": "",
    "retry_at": None,
    "return_code": None,
    "signal": "",
    "reason": "",
    "verdict": "",
}
"""What the last attempt said of itself does not hold for the next."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a job's status.

    Attributes:
        attempt: which one begins or ends.
        expected: the status before.
        to: the status after.
        fields: further fields of the job's hash.
    """

    attempt: int
    expected: Status
    to: Status
    fields: Mapping[str, object]


def start_step(job: TuningJob, now: datetime, host: str, executor: str, pid: int | None = None) -> Step:
    """Return what the start of the job's next attempt changes; nothing else than a PENDING job can begin."""
    begun = {"attempt": job.attempt + 1, "started_at": job.started_at or now, "host": host, "executor": executor}
    return Step(job.attempt + 1, Status.PENDING, Status.RUNNING, {**_NOTHING_YET, **begun, "pid": pid})


def end_step(
    job: TuningJob, ended: Ended, policy: RetryPolicy, jitter: float, now: datetime, ran: float = 0.0
) -> tuple[Finish | Again, Step]:
    """Decide what follows on an attempt's end, and return it with what that changes.

    Args:
        job: as the store has it.
        ended: how the attempt ended: its code, signal, intent and error; all else is taken from the job.
        policy: how often it is tried again.
        jitter: see `RetryPolicy.delay`.
        now: the moment.
        ran: how long the attempt took, seconds.
    """
    known = replace(
        ended,
        intent=job.cancel or ended.intent,
        counted=job.iterations is not None,
        iterations=job.iterations or 0,
        recorded=job.recorded,
        failed=job.failed,
        failures=job.failures,
        lost=job.lost,
        verdict=job.verdict,
    )
    after = decide(known, policy, jitter)
    fields: dict[str, object] = {
        "return_code": ended.code,
        "signal": ended.signal,
        "reason": after.reason,
        "spent": round(job.spent + ran, 3),
    }
    if isinstance(after, Finish):
        return after, Step(job.attempt, job.status, after.status, {**fields, "finished_at": now})
    retry_at = None if after.delay is None else now + after.delay
    fields |= {"failures": after.failures, "lost": after.lost, "retry_at": retry_at}
    return after, Step(job.attempt, job.status, Status.PENDING, fields)
