"""The supervisor: makes a session its own, clears what a dead one left, deals the jobs, and brings each to its end.

`orch run` is a supervisor that serves one session in the foreground; the daemon is the same one serving all.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from orchestrator.domain.job import Status
from orchestrator.domain.session import restore_session
from orchestrator.errors import FencedError, StoreUnreachableError
from orchestrator.store import calls
from orchestrator.submission import batch_too_large, outside_roots
from orchestrator.supervisor.attempt import AttemptRunner
from orchestrator.supervisor.job_runner import JobRunner
from orchestrator.supervisor.owned import OwnedSession
from orchestrator.supervisor.ownership import Ownership
from orchestrator.supervisor.retention import expire_session, sweep
from orchestrator.supervisor.slots import FairSemaphore
from orchestrator.supervisor.tail import TailPump
from orchestrator.supervisor.wakes import wakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.clock import Clock
    from orchestrator.executors.protocol import Executor
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

log = structlog.get_logger()

_GLANCE = timedelta(milliseconds=200)
_SWEEP = timedelta(hours=1)


class Supervisor:
    """Runs sessions. An async context manager: while it is open, its lease stands.

    Args:
        store: the durable facts.
        store_url: where the workers find them.
        executor: what places the jobs.
        kind: `run` or `daemon`.
        jitter: returns a number in [0, 1) that spreads retries.

    Attributes:
        sessions: those that it runs now.
        draining: set when nothing new begins any more.
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
        self.sessions: dict[str, OwnedSession] = {}
        self.draining = asyncio.Event()
        self.slots = FairSemaphore(settings.max_jobs)
        self.ownership = Ownership(
            store, kind, settings.lease_ttl, clock, on_lost=self._on_lost, on_fading=self._on_fading
        )
        self._store = store
        self._executor = executor
        self._settings = settings
        self._clock = clock
        self._tail = TailPump(store, settings.tail_lines, settings.retention)
        attempts = AttemptRunner(store, store_url, executor, settings, self._tail, clock)
        self._jobs = JobRunner(
            store, attempts, self.slots, settings, clock, self.ownership.owner_id, self.draining, jitter
        )
        self._open = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._background: list[asyncio.Task[None]] = []
        self._on_news: Callable[[str | None], None] = lambda _: None

    async def __aenter__(self) -> Self:
        """Take the lease, and listen."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.ownership)
            await stack.enter_async_context(self._tail)
            await sweep(self._store, self._settings.retention, self._clock())
            await stack.enter_async_context(self._tasks)
            self._background = [
                self._tasks.create_task(self._run_listener(), name="wakes"),
                self._tasks.create_task(self._run_farewell(), name="farewell"),
                self._tasks.create_task(self._run_sweeper(), name="sweeper"),
            ]
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the lease."""
        for task in self._background:
            task.cancel()
        await self._open.aclose()

    async def run_session(self, session_id: str) -> Status:
        """Run a session until it is terminal, or until `interrupt` has stopped its jobs; return its status.

        Raises:
            StateError: somebody else runs it.
            FencedError: somebody else took it meanwhile.
            NotFoundError: there is no such session.
        """
        session = await self.take(session_id)
        if session is not None:
            await self.run_taken(session)
        return await self._status(session_id)

    async def take(self, session_id: str) -> OwnedSession | None:
        """Own a session and clear what a dead supervisor left of it; None where it is terminal.

        Raises:
            OwnedError: somebody else runs it.
            StateError: this version of the program cannot.
            NotFoundError: there is no such session.
        """
        fields = await self._store.get_session(session_id)
        if not fields:
            raise calls.no_session(session_id)
        spec = restore_session(fields["spec"])
        token = await self.ownership.adopt(session_id)
        if token is None:
            return None
        python = str(spec.python or self._settings.worker_python or sys.executable)
        session = OwnedSession(spec, token, Path(fields["cwd"]), python, int(fields["seed"]))
        self.sessions[session_id] = session
        try:
            await self._recover(session)
            await self._refuse(session)
            await self._apply(session)
        except BaseException:
            self._forget(session)
            raise
        return session

    async def run_taken(self, session: OwnedSession) -> None:
        """Run an owned session's jobs until it is terminal or interrupted.

        Raises:
            FencedError: somebody else took it meanwhile.
        """
        try:
            await self._deal(session)
        finally:
            self._forget(session)
        if session.lost:
            raise FencedError(f"session {session.session_id} was taken over by another supervisor")
        if (await self._status(session.session_id)).terminal:
            await expire_session(self._store, session.session_id, self._settings.retention, self._clock())

    def interrupt(self, *, now: bool = False) -> None:
        """Begin nothing new and stop what runs, resumable: within each session's grace, or `now`."""
        self.draining.set()
        for session in self.sessions.values():
            session.hurry()
            session.stop_jobs("interrupted", timedelta(0) if now else None)

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        """Call `listener` with each session of which something is wanted, None for all of them."""
        self._on_news = listener

    def reconfigure(self, settings: Settings) -> None:
        """Take new settings for what begins from now on."""
        self._settings = settings
        self._jobs.settings = settings
        self._jobs.attempts = replace(self._jobs.attempts, settings=settings)
        self.slots.resize(settings.max_jobs)

    # --- what is wanted -----------------------------------------------------------------------------------------

    async def _run_listener(self) -> None:
        async for session_id in wakes(self._store):
            self._on_news(session_id)
            for session in list(self.sessions.values()):
                # None and "" stand for all of them.
                if not session_id or session_id == session.session_id:
                    with suppress(StoreUnreachableError):
                        await self._apply(session)

    async def _run_farewell(self) -> None:
        """Wait for a store that is away only as long as jobs run: what they leave is put right at the next start."""
        await self.draining.wait()
        while not self._store.away or any(  # noqa: ASYNC110 - two things of others', neither of which is an event
            control.launched for session in self.sessions.values() for control in session.controls.values()
        ):
            await asyncio.sleep(_GLANCE.total_seconds())
        self._store.give_up()

    async def _run_sweeper(self) -> None:
        """Take expired sessions off the index, now and then: a daemon lives long."""
        while True:
            await asyncio.sleep(_SWEEP.total_seconds())
            with suppress(StoreUnreachableError):
                await sweep(self._store, self._settings.retention, self._clock())

    async def _apply(self, session: OwnedSession) -> None:
        """Bring about what the store says is wanted of a session: whether it begins jobs, and which are to end."""
        keys, jobs = self._store.keys, [*session.controls, *session.waiting]
        (paused, status), all_paused, *wanted = await self._store.read_all(
            [
                ("HMGET", keys.session(session.session_id), "paused", "status"),
                ("GET", keys.paused),
                *(
                    ("HMGET", keys.job(session.session_id, job_id), "status", "cancel", "cancel_grace")
                    for job_id in jobs
                ),
            ]
        )
        over = self.draining.is_set() or session.lost or status is None or Status(status).terminal
        if (paused or all_paused) and not over:
            session.begins.clear()
        else:
            session.begins.set()
        for job_id, (status, cancel, grace) in zip(jobs, wanted, strict=True):
            if status != Status.PENDING and (waiting := session.waiting.get(job_id)):
                waiting.set()
            if cancel and (control := session.controls.get(job_id)):
                given = timedelta(milliseconds=int(grace)) if grace else session.spec.grace
                control.stop(cancel, given)

    def _on_lost(self, session_id: str) -> None:
        if session := self.sessions.get(session_id):
            session.lose()

    def _on_fading(self, grace: timedelta) -> None:
        for session in self.sessions.values():
            session.stop_jobs("interrupted", min(grace, session.spec.grace))

    # --- sessions -----------------------------------------------------------------------------------------------

    def _forget(self, session: OwnedSession) -> None:
        self.sessions.pop(session.session_id, None)
        self.ownership.disown(session.session_id)

    async def _recover(self, session: OwnedSession) -> None:
        """Clear what a dead supervisor left running, and give those jobs a new attempt."""
        for job in await self._store.get_jobs(session.session_id):
            if job.status is Status.RUNNING:
                await self._executor.clear(job.job_id, job.handle)
                log.info("job.recovered", session_id=job.session_id, worker_id=job.worker_id, attempt=job.attempt)
                await self._jobs.recover(session, job)

    async def _refuse(self, session: OwnedSession) -> None:
        """Cancel a session that the settings here do not allow: its submitter may not have known of them."""
        spec, roots = session.spec, self._settings.output_roots
        why = batch_too_large(spec, self._settings)
        if not spec.worker_command and outside_roots(session.cwd / spec.base_output_csv, roots):
            why = f"{spec.base_output_csv} is outside its output_roots"
        if not why:
            return
        why = f"cancelled:daemon: {why}"
        wish = calls.Cancellation(
            session_id=spec.session_id, worker_id="", reason=why, grace=None, actor=self.ownership.owner_id
        )
        await self._store.do(calls.cancel(self._store.keys, wish, self._clock(), self._settings.retention))

    async def _deal(self, session: OwnedSession) -> None:
        pending = [job for job in await self._store.get_jobs(session.session_id) if job.status is Status.PENDING]
        waits = [(job, delay) for job in pending if (delay := self._jobs.delay(job))]
        waiting = {job.job_id for job, _ in waits}
        jobs = [job for job in pending if job.job_id not in waiting]
        # The workers of a batch wait for one another: they begin together.
        together = max(len(jobs), 1) if session.spec.schedule == "batch" else 1
        async with asyncio.TaskGroup() as tasks:
            for job, delay in waits:  # few: those were running when the last supervisor left
                name = f"{job.session_id}/{job.worker_id}"
                tasks.create_task(self._jobs.run_later(session, job, delay), name=name)
            for first in range(0, len(jobs), together):
                # A task is made when its slot is free: a hundred thousand waiting jobs are a list, not tasks.
                await self._jobs.acquire(session, together)
                if self.draining.is_set() or session.lost:
                    self.slots.release(session.session_id, together)
                    break
                for job in jobs[first : first + together]:
                    tasks.create_task(self._jobs.run(session, job), name=f"{job.session_id}/{job.worker_id}")

    async def _status(self, session_id: str) -> Status:
        return Status((await self._store.get_session(session_id))["status"])
