"""What follows when an attempt has ended: decided here, purely; the supervisor carries it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from orchestrator.domain.job import Status

if TYPE_CHECKING:
    from datetime import timedelta


class WorkerExit(IntEnum):
    """The exit codes of the tuning worker that mean something to its supervisor."""

    DONE = 0  # every iteration of its share is recorded
    FAILED = 1  # something unforeseen; another attempt may do better
    USAGE = 2  # its options or its tuning config are wrong: another attempt will not heal that
    BROKEN = 3  # the objective is broken, or the session's files are not fit: the verdict in the job says how
    STORE = 4  # the store could not be reached
    STOPPED = 130  # told to stop; nothing is lost, the next attempt goes on


FREE_LOSSES = 2
"""How many attempts may be lost in a row, no iteration recorded, before that counts as the job's own bad end.

It may be what takes its supervisor down (all of the memory, say), and nothing else would ever end it.
"""

HOPELESS = frozenset({WorkerExit.USAGE, WorkerExit.BROKEN})
"""Exit codes after which a further attempt would end the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is known of an attempt that has ended.

    Attributes:
        code: exit code, or None where a signal ended it.
        signal: the signal's name, e.g. `SIGKILL`, or empty.
        intent: why the supervisor stopped it (`timeout`, `cancelled:<who>: <why>`, `interrupted`, `lost`), or empty.
        error: why it could not be launched at all, or empty.
        counted: whether the job counts iterations (a `worker_command` does not).
        iterations: its share, 0 where not counted.
        recorded: how many are recorded, failed ones included.
        failed: how many of those are FAILED.
        failures: how many earlier attempts ended badly by themselves.
        lost: how many attempts just before were lost one after another since an iteration was recorded.
        verdict: what the worker said of its own end.
    """

    code: int | None = None
    signal: str = ""
    intent: str = ""
    error: str = ""
    counted: bool = True
    iterations: int = 0
    recorded: int = 0
    failed: int = 0
    failures: int = 0
    lost: int = 0
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The job ends here."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Again:
    """The job goes back to PENDING for a further attempt.

    Attributes:
        delay: how long to wait before it, or None where it may begin as soon as anybody begins anything.
        failures: the count of bad ends, this one included where it was one.
        lost: the count of losses in a row, this one included; 0 where it was none.
    """

    delay: timedelta | None
    reason: str
    failures: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a job is tried again.

    Attributes:
        max_attempts: bad ends until the job is FAILED.
        backoff: the wait after the first bad end; it doubles with each.
        backoff_max: no wait is longer.
    """

    max_attempts: int
    backoff: timedelta
    backoff_max: timedelta

    def delay(self, failures: int, jitter: float) -> timedelta:
        """Return the wait after the `failures`-th bad end: exponential, between half and all of it by `jitter` (0-1).

        Source: "equal jitter", M. Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015).
        """
        # The exponent is capped before it is raised: 2**1000 would not fit a timedelta.
        full: timedelta = min(self.backoff * 2 ** min(failures - 1, 30), self.backoff_max)
        return full * (0.5 + jitter / 2)


def decide(ended: Ended, policy: RetryPolicy, jitter: float) -> Finish | Again:
    """Decide what follows on an attempt's end.

    What is recorded is looked at first: a worker whose iterations are all recorded is done, however it went down.
    """
    if ended.counted and ended.recorded >= ended.iterations:
        return _all_recorded(ended)
    if ended.intent == "lost":
        return _lost(ended, policy, jitter)
    if ended.intent == "interrupted":
        return Again(None, ended.intent, ended.failures)
    if ended.intent:
        return Finish(Status.CANCELLED if ended.intent.startswith("cancelled") else Status.FAILED, ended.intent)
    if not ended.counted and ended.code == 0:
        return Finish(Status.SUCCESS, "")
    return _bad_end(ended, policy, jitter)


def _all_recorded(ended: Ended) -> Finish:
    if ended.failed >= ended.iterations:
        return Finish(Status.FAILED, ended.verdict or "every iteration failed")
    return Finish(Status.SUCCESS, "")


def _lost(ended: Ended, policy: RetryPolicy, jitter: float) -> Finish | Again:
    lost = ended.lost + 1
    if lost <= FREE_LOSSES:
        return Again(None, "lost", ended.failures, lost)
    reason = f"lost: {lost} attempts in a row, and none recorded an iteration"
    after = _bad_end(replace(ended, verdict=reason), policy, jitter)
    return replace(after, lost=lost) if isinstance(after, Again) else after


def _bad_end(ended: Ended, policy: RetryPolicy, jitter: float) -> Finish | Again:
    failures = ended.failures + 1
    reason = _reason(ended)
    hopeless = ended.counted and ended.code in HOPELESS
    if hopeless or failures >= policy.max_attempts:
        return Finish(Status.FAILED, reason)
    return Again(policy.delay(failures, jitter), reason, failures)


def _reason(ended: Ended) -> str:
    if ended.verdict:
        return ended.verdict
    if ended.error:
        return f"launch: {ended.error}"
    if ended.signal:
        return f"signal:{ended.signal}"
    if ended.code == 0:
        return f"incomplete: {ended.recorded} of {ended.iterations} iterations recorded"
    return f"exit:{ended.code}"
