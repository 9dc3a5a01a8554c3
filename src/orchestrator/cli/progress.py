"""What `run` shows while it runs where there is no terminal to redraw: lines on stderr, or nothing."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.cli.output import escaped
from orchestrator.cli.tables import number, span
from orchestrator.domain.job import Status
from orchestrator.domain.snapshot import TO_BE_TAKEN, obstacles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from typing import Any

    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.snapshot import SessionSnapshot


def stopping_text(grace: timedelta, *, at_once: bool) -> str:
    """Say what an interruption does."""
    if at_once:
        return "stopping at once; what is recorded is kept"
    return (
        f"stopping: iterations that run have {span(grace)} to finish; what is recorded is kept, and the same command "
        "goes on from there (again: at once)"
    )


@dataclass(slots=True)
class Waiting:
    """Says what keeps a session from going on, once, and when that is over."""

    _said: str = ""

    def tell(self, snapshot: SessionSnapshot) -> None:
        """Write what is new."""
        waits = waiting_text(snapshot)
        if waits != self._said and not snapshot.status.terminal:
            say(waits or f"session {snapshot.session_id} goes on")
        self._said = waits


def waiting_text(snapshot: SessionSnapshot) -> str:
    """Say what keeps a session from going on; empty where nothing does."""
    found = [each for each in obstacles(snapshot) if each != TO_BE_TAKEN]
    return f"session {snapshot.session_id} waits for {' and '.join(found)}" if found else ""


@dataclass(slots=True)
class LineProgress:
    """A line for each change of a job's status, each new best, and each per cent; not for what was there before."""

    grace: timedelta
    _seen: dict[str, tuple[Status, int]] = field(default_factory=dict)
    _percent: int = 0
    _best: Any = None
    _away: bool = False
    _begun: bool = False
    _waiting: Waiting = field(default_factory=Waiting)

    def show(self, snapshot: SessionSnapshot) -> None:
        """Write what is new."""
        if self._away:
            self._away = False
            say("the store answers again")
        lines = [*(line for job in snapshot.jobs for line in self._job_lines(job)), *self._session_lines(snapshot)]
        if self._begun:
            for line in lines:
                say(line)
        self._begun = True
        self._waiting.tell(snapshot)

    def away(self) -> None:
        """Write it, once."""
        if not self._away:
            self._away = True
            say("the store does not answer; the workers wait to record")

    def stopping(self, *, at_once: bool) -> None:
        """Write it."""
        say(stopping_text(self.grace, at_once=at_once))

    def _job_lines(self, job: TuningJob) -> Iterator[str]:
        now = (job.status, job.attempt)
        before = self._seen.get(job.job_id, (Status.PENDING, 0))
        self._seen[job.job_id] = now
        if now == before:
            return
        if job.status is Status.RUNNING:
            share = f", {job.recorded} of {job.iterations} recorded" if job.recorded else ""
            yield f"{job.worker_id} runs (attempt {job.attempt}{share})"
        elif job.status is Status.PENDING:
            again = "; it is tried again" if job.retry_at else ""
            yield f"{job.worker_id} ended: {job.reason}{again}"
        else:
            yield f"{job.worker_id} ended: {job.status}{f' ({job.reason})' if job.reason else ''}"

    def _session_lines(self, snapshot: SessionSnapshot) -> Iterator[str]:
        if snapshot.progress is None:
            return
        percent, best = int(snapshot.progress * 100), snapshot.best and snapshot.best["g"]
        if (percent, best) == (self._percent, self._best):
            return
        self._percent, self._best = percent, best
        value = f", best {snapshot.metric} {number(snapshot.best['value'])}" if snapshot.best else ""
        counts = {"failed": snapshot.failed_iterations, "pruned": snapshot.pruned_iterations}
        ends = "".join(f", {count} {name}" for name, count in counts.items() if count)
        yield f"{snapshot.completed_iterations} of {snapshot.total_iterations} iterations ({percent}%){ends}{value}"


class NoProgress:
    """Nothing, for programs; but what it waits for is said, and that it is being interrupted."""

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace
        self._waiting = Waiting()

    def show(self, snapshot: SessionSnapshot) -> None:
        """Write what it waits for, where it does."""
        self._waiting.tell(snapshot)

    def away(self) -> None:
        """Show nothing."""

    def stopping(self, *, at_once: bool) -> None:
        """Write it."""
        say(stopping_text(self._grace, at_once=at_once))


def say(text: str) -> None:
    """Write a line to stderr; that nobody reads it is no reason to stop."""
    with suppress(OSError):
        sys.stderr.write(f"orch: {escaped(text)}\n")
