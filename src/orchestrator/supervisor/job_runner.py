"""One job from its first attempt to its end: claimed, run, judged, and perhaps run again."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from orchestrator.domain.outcome import Again, Ended, Finish, RetryPolicy
from orchestrator.domain.steps import end_step, start_step
from orchestrator.errors import FencedError, NotFoundError, StateError, StoreUnreachableError
from orchestrator.store.calls import Transition
from orchestrator.supervisor.attempt import log_path
from orchestrator.supervisor.control import Control
from orchestrator.supervisor.kept_end import KeptEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.clock import Clock
    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.steps import Step
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore
    from orchestrator.supervisor.attempt import AttemptRunner
    from orchestrator.supervisor.owned import OwnedSession
    from orchestrator.supervisor.slots import FairSemaphore

log = structlog.get_logger()


@dataclass(slots=True)
class JobRunner:
    """Runs jobs of owned sessions.

    Attributes:
        actor: who is named in the events.
        draining: set when nothing new may begin.
        jitter: returns a number in [0, 1) that spreads retries.
    """

    store: RedisStore
    attempts: AttemptRunner
    slots: FairSemaphore
    settings: Settings
    clock: Clock
    actor: str
    draining: asyncio.Event
    jitter: Callable[[], float]

    async def run(self, session: OwnedSession, job: TuningJob) -> None:
        """Run attempts of a job until it is terminal or left for later; the caller holds a slot, given back here."""
        with self._settling(session, job):
            await self._run_attempts(session, job)

    async def run_later(self, session: OwnedSession, job: TuningJob, delay: timedelta) -> None:
        """As `run`, for a job whose next attempt has to wait; the caller holds no slot."""
        with self._settling(session, job):
            if next_turn := await self._find_turn(session, job, delay):
                await self._run_attempts(session, next_turn)

    def delay(self, job: TuningJob) -> timedelta | None:
        """Return what is left of a PENDING job's wait for its next attempt; None where it need not wait."""
        if job.retry_at is None:
            return None
        left: timedelta = min(job.retry_at - self.clock(), self.settings.retry_backoff_max)  # a clock may be put back
        return left if left > timedelta(0) else None

    async def _run_attempts(self, session: OwnedSession, job: TuningJob) -> None:
        following: TuningJob | None = job
        while following:
            job = following
            try:
                after = await self._run_attempt(session, job)
            finally:
                self.slots.release(session.session_id)
            if isinstance(after, Finish):
                return
            following = await self._find_turn(session, job, after.delay or timedelta(0))

    async def _find_turn(self, session: OwnedSession, job: TuningJob, delay: timedelta) -> TuningJob | None:
        """Wait for a further attempt's time and slot; None where there will be none here."""
        if not await self._wait(session, job, delay):
            return None
        job = await self.store.get_job(job.session_id, job.job_id)
        if job.cancel:  # it was told in the very moment in which its last attempt was judged
            await self.conclude(session, job, Ended(intent=job.cancel))
            return None
        await self.acquire(session)
        return job

    @contextmanager
    def _settling(self, session: OwnedSession, job: TuningJob) -> Iterator[None]:
        """Take note of what ends a job's run here without ending the job."""
        try:
            yield
        except FencedError:
            session.lose()
        except StoreUnreachableError as error:
            # Only while draining: nobody waits for a store that is away. What the store says is put right at the start.
            log.warning("job.unsettled", session_id=job.session_id, worker_id=job.worker_id, why=str(error))
        except (StateError, NotFoundError) as error:
            # Somebody moved or removed it meanwhile: it was cancelled while it waited.
            log.info("job.skipped", session_id=job.session_id, worker_id=job.worker_id, why=str(error))

    async def acquire(self, session: OwnedSession, count: int = 1) -> None:
        """Wait for a slot, or several at once, and hold none for a session that is paused."""
        while True:
            await session.begins.wait()
            await self.slots.acquire(session.session_id, session.spec.priority, count)
            if session.begins.is_set():
                return
            self.slots.release(session.session_id, count)

    async def conclude(self, session: OwnedSession, job: TuningJob, ended: Ended, ran: float = 0.0) -> Finish | Again:
        """Decide what follows on an attempt's end, and write it.

        Args:
            session: the job's.
            job: what ended.
            ended: how.
            ran: how long the attempt took, seconds.

        Raises:
            FencedError: the session is somebody else's.
        """
        if ended.intent == "fenced":
            raise FencedError(f"session {job.session_id} is somebody else's now")
        job = await self.store.get_job(job.session_id, job.job_id)
        policy = RetryPolicy(session.spec.max_attempts, self.settings.retry_backoff, self.settings.retry_backoff_max)
        after, step = end_step(job, ended, policy, self.jitter(), self.clock(), ran)
        await self._move(session, job, step)
        log.info(
            "job.moved",
            session_id=job.session_id,
            worker_id=job.worker_id,
            attempt=job.attempt,
            to=step.to,
            reason=after.reason,
        )
        return after

    async def recover(self, session: OwnedSession, job: TuningJob) -> None:
        """Judge an attempt of which a dead supervisor left nothing that runs: by its end where that was kept.

        Raises:
            FencedError: the session is somebody else's.
        """
        kept = self._kept_end(job)
        ended, ran = kept.find() or (Ended(intent="lost"), 0.0)
        await self.conclude(session, job, ended, ran)
        kept.remove()

    def _kept_end(self, job: TuningJob) -> KeptEnd:
        return KeptEnd(log_path(self.settings.state_dir, job).with_suffix(".end"), job.token or 0)

    async def _run_attempt(self, session: OwnedSession, job: TuningJob) -> Finish | Again:
        control = session.controls[job.job_id] = Control()
        try:
            if self.draining.is_set() or session.lost:
                return Again(None, "interrupted", job.failures)
            job = await self._start(session, job)
            begun = asyncio.get_running_loop().time()
            # Told to end before it began, while the store was away say: it does not begin.
            ended = Ended(intent=control.intent) if control.intent else await self.attempts.run(session, job, control)
            ran = asyncio.get_running_loop().time() - begun
        finally:
            del session.controls[job.job_id]
        with self._kept_end(job).until_heard(ended, ran):
            return await self.conclude(session, job, ended, ran)

    async def _start(self, session: OwnedSession, job: TuningJob) -> TuningJob:
        """Claim the next attempt: from here on the store says RUNNING, whatever happens to this process."""
        now = self.clock()
        step = start_step(job, now, socket.gethostname(), self.attempts.executor.name)
        token = await self._move(session, job, step)
        return replace(job, status=step.to, attempt=step.attempt, started_at=job.started_at or now, token=token)

    async def _move(self, session: OwnedSession, job: TuningJob, step: Step) -> int:
        change = Transition.of(job, step, token=session.token, actor=self.actor)
        return (await self.store.transition(change)).token

    async def _wait(self, session: OwnedSession, job: TuningJob, delay: timedelta) -> bool:
        """Wait for a retry's time; False where there will be none here: the job was cancelled, or all of this ends."""
        over = session.waiting[job.job_id] = asyncio.Event()
        if self.draining.is_set() or session.lost:
            over.set()
        try:
            async with asyncio.timeout(delay.total_seconds()):
                await over.wait()
        except TimeoutError:
            return True
        finally:
            del session.waiting[job.job_id]
        return False
