"""The supervisor: makes a session its own, clears what a dead one left, deals the jobs, and brings each to its end.

`orch run` is a supervisor that serves one session in the foreground; the daemon is the same one serving all.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.outcome import Again, Ended, Finish, RetryPolicy, decide
from orchestrator.domain.session import SessionSpec
from orchestrator.errors import FencedError
from orchestrator.store.calls import Transition
from orchestrator.supervisor.attempt import AttemptRunner, OwnedSession
from orchestrator.supervisor.control import Control
from orchestrator.supervisor.ownership import Ownership
from orchestrator.supervisor.retention import expire_session, sweep
from orchestrator.supervisor.tail import TailPump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.clock import Clock
    from orchestrator.executors.protocol import Executor
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

log = structlog.get_logger()

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


class Supervisor:
    """Runs sessions. An async context manager: while it is open, its lease stands.

    Args:
        store: the durable facts.
        store_url: where the workers find them.
        executor: what places the jobs.
        kind: `run` or `daemon`.
        jitter: returns a number in [0, 1) that spreads retries.
    """

    def __init__(
        self,
        store: RedisStore,
        store_url: str,
        executor: Executor,
        settings: Settings,
        clock: Clock,
        *,
        kind: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._slots = asyncio.Semaphore(settings.max_jobs)
        self._sessions: dict[str, OwnedSession] = {}
        self._draining = asyncio.Event()
        self._ownership = Ownership(store, kind, settings.lease_ttl, clock, self._on_lost)
        self._tail = TailPump(store, settings.tail_lines, settings.retention)
        self._attempts = AttemptRunner(store, store_url, executor, settings, self._tail, clock)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Take the lease."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._ownership)
            await stack.enter_async_context(self._tail)
            await sweep(self._store, self._settings.retention, self._clock())
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the lease."""
        await self._open.aclose()

    async def run_session(self, session_id: str) -> Status:
        """Run a session until it is terminal, or until `interrupt` has stopped its jobs; return its status.

        Raises:
            StateError: somebody else runs it.
            FencedError: somebody else took it meanwhile.
            NotFoundError: there is no such session.
        """
        token = await self._ownership.adopt(session_id)
        if token is not None:
            session = await self._load(session_id, token)
            self._sessions[session_id] = session
            try:
                await self._recover(session)
                await self._deal(session)
            finally:
                del self._sessions[session_id]
                self._ownership.disown(session_id)
            if session.lost:
                raise FencedError(f"session {session_id} was taken over by another supervisor")
        fields = await self._store.get_session(session_id)
        status = Status(fields["status"])
        if status.terminal and "expires_at" not in fields:
            await expire_session(self._store, session_id, self._settings.retention, self._clock())
        return status

    def interrupt(self, *, now: bool = False) -> None:
        """Begin nothing new and stop what runs, resumable: within each session's grace, or `now`."""
        self._draining.set()
        for session in self._sessions.values():
            for control in session.controls.values():
                control.stop("interrupted", timedelta(0) if now else session.spec.grace)

    def _on_lost(self, session_id: str) -> None:
        if session := self._sessions.get(session_id):
            session.lost = True
            for control in session.controls.values():
                control.stop("fenced", session.spec.grace)

    async def _load(self, session_id: str, token: int) -> OwnedSession:
        fields = await self._store.get_session(session_id)
        spec = SessionSpec.model_validate_json(fields["spec"])
        python = str(spec.python or self._settings.worker_python or sys.executable)
        return OwnedSession(spec, token, Path(fields["cwd"]), python, int(fields["seed"]))

    async def _recover(self, session: OwnedSession) -> None:
        """Clear what a dead supervisor left running, and give those jobs a new attempt."""
        for job in await self._store.get_jobs(session.spec.session_id):
            if job.status is Status.RUNNING:
                await self._executor.clear(job.job_id, job.handle)
                log.info("job.recovered", session_id=job.session_id, worker_id=job.worker_id, attempt=job.attempt)
                await self._conclude(session, job, Ended(intent="interrupted"), reason="lost")

    async def _deal(self, session: OwnedSession) -> None:
        jobs = await self._store.get_jobs(session.spec.session_id)
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                if job.status is not Status.PENDING:
                    continue
                # A task is made when its slot is free: a hundred thousand waiting jobs are a list, not tasks.
                await self._slots.acquire()
                if self._draining.is_set() or session.lost:
                    self._slots.release()
                    break
                tasks.create_task(self._run_job(session, job), name=f"{job.session_id}/{job.worker_id}")

    async def _run_job(self, session: OwnedSession, job: TuningJob) -> None:
        """Run attempts of a job until it is terminal or left for later; the caller holds a slot, given back here."""
        try:
            while True:
                try:
                    after = await self._run_attempt(session, job)
                finally:
                    self._slots.release()
                if isinstance(after, Finish) or after.delay is None or await self._drained_within(after.delay):
                    return
                await self._slots.acquire()
                job = await self._store.get_job(job.session_id, job.job_id)
        except FencedError:
            self._on_lost(job.session_id)

    async def _run_attempt(self, session: OwnedSession, job: TuningJob) -> Finish | Again:
        control = session.controls[job.job_id] = Control()
        try:
            job = await self._start(session, job)
            ended = await self._attempts.run(session, job, control)
        finally:
            del session.controls[job.job_id]
        return await self._conclude(session, job, ended)

    async def _start(self, session: OwnedSession, job: TuningJob) -> TuningJob:
        """Claim the next attempt: from here on the store says RUNNING, whatever happens to this process."""
        attempt, started_at = job.attempt + 1, job.started_at or self._clock()
        fields: dict[str, object] = {
            "attempt": attempt,
            "started_at": started_at,
            "host": socket.gethostname(),
            "executor": self._executor.name,
            **_NOTHING_YET,
        }
        token = await self._move(session, job, Status.RUNNING, attempt, fields)
        return replace(job, status=Status.RUNNING, attempt=attempt, started_at=started_at, token=token)

    async def _conclude(self, session: OwnedSession, job: TuningJob, ended: Ended, reason: str = "") -> Finish | Again:
        """Decide what follows on an attempt's end, and write it."""
        if ended.intent == "fenced":
            raise FencedError(job.session_id)
        job = await self._store.get_job(job.session_id, job.job_id)
        ended = replace(
            ended,
            counted=job.iterations is not None,
            iterations=job.iterations or 0,
            recorded=job.recorded,
            failed=job.failed,
            failures=job.failures,
            verdict=job.verdict,
        )
        policy = RetryPolicy(session.spec.max_attempts, self._settings.retry_backoff, self._settings.retry_backoff_max)
        after = decide(ended, policy, self._jitter())
        fields: dict[str, object] = {
            "return_code": ended.code,
            "signal": ended.signal,
            "reason": reason or after.reason,
        }
        now = self._clock()
        if isinstance(after, Finish):
            status = after.status
            fields["finished_at"] = now
            fields["reason"] = after.reason
        else:
            status = Status.PENDING
            fields["failures"] = after.failures
            fields["retry_at"] = after.delay and now + after.delay
        await self._move(session, job, status, job.attempt, fields)
        log.info(
            "job.moved",
            to=status,
            session_id=job.session_id,
            worker_id=job.worker_id,
            attempt=job.attempt,
            reason=fields["reason"],
        )
        return after

    async def _move(
        self, session: OwnedSession, job: TuningJob, to: Status, attempt: int, fields: dict[str, object]
    ) -> int:
        moved = await self._store.transition(
            Transition(
                session_id=job.session_id,
                job_id=job.job_id,
                token=session.token,
                op=f"{session.token}:{attempt}:{to}",
                expected=job.status,
                to=to,
                actor=self._ownership.owner_id,
                fields=fields,
            )
        )
        return moved.token

    async def _drained_within(self, delay: timedelta) -> bool:
        """Wait for a retry's time; True where draining began first."""
        try:
            async with asyncio.timeout(delay.total_seconds()):
                await self._draining.wait()
        except TimeoutError:
            return False
        return True
