"""One attempt of a job: its log is opened, it is launched, watched, and what came of it is told."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from orchestrator.domain.outcome import Ended
from orchestrator.errors import FencedError, StoreUnreachableError
from orchestrator.executors.protocol import Attempt, Executor, Launch
from orchestrator.joblog.log import JobLog, LogLimits
from orchestrator.joblog.records import RecordEncoder
from orchestrator.process.launch_error import LaunchError
from orchestrator.supervisor.command import worker_argv, worker_env
from orchestrator.supervisor.control import Control, watch

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.clock import Clock
    from orchestrator.domain.job import TuningJob
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore
    from orchestrator.supervisor.owned import OwnedSession
    from orchestrator.supervisor.tail import TailPump

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """Runs attempts.

    Attributes:
        store_url: where the workers find the store.
    """

    store: RedisStore
    store_url: str
    executor: Executor
    settings: Settings
    tail: TailPump
    clock: Clock

    async def run(self, session: OwnedSession, job: TuningJob, control: Control) -> Ended:
        """Run the attempt that `job` (RUNNING, with its token) is at, to its end.

        Where the session is somebody else's by now, the intent of the end is `fenced`.
        """
        output = self._open_log(job)
        try:
            attempt = await self.executor.launch(
                Launch(
                    job_id=job.job_id,
                    attempt=job.attempt,
                    argv=worker_argv(job, session.spec, session.python),
                    env=self._env(session, job),
                    cwd=session.cwd,
                    sink=output,
                )
            )
            control.launched = True
            log.info("job.started", session_id=job.session_id, worker_id=job.worker_id, pid=attempt.pid)
            limit = session.spec.timeout and session.spec.timeout - timedelta(seconds=job.spent)
            async with asyncio.TaskGroup() as tasks:
                # Beside the watch: while the store is away it waits, and the attempt is watched all the same.
                noting = tasks.create_task(self._note(session, job, attempt, control), name="note")
                try:
                    ended = await watch(attempt, control, limit, session.spec.grace)
                except BaseException:
                    # Whatever ends this task: an attempt that nobody watches any more must not live on.
                    await attempt.stop(timedelta(0))
                    await attempt.wait()
                    raise
                noting.cancel()
        except LaunchError as error:
            return Ended(error=str(error), intent=control.intent)
        finally:
            control.launched = False
            output.close()
            self.tail.drain(output)
        log.info(
            "job.exited",
            session_id=job.session_id,
            worker_id=job.worker_id,
            code=ended.code,
            signal=ended.signal,
            output_complete=ended.output_complete,
        )
        return Ended(code=ended.code, signal=ended.signal or "", intent=control.intent)

    async def _note(self, session: OwnedSession, job: TuningJob, attempt: Attempt, control: Control) -> None:
        """Write down how the attempt is found again; where somebody else has its job, stop it."""
        try:
            await self.store.note(job, job.token or 0, {"pid": attempt.pid, "handle": attempt.handle})
        except FencedError:
            control.stop("fenced", session.spec.grace)
        except StoreUnreachableError as error:  # refused for good: by its marker it is found too
            log.warning("job.unnoted", session_id=job.session_id, worker_id=job.worker_id, why=str(error))

    def _open_log(self, job: TuningJob) -> JobLog:
        settings = self.settings
        output: JobLog = JobLog(
            log_path(settings.state_dir, job),
            RecordEncoder(session_id=job.session_id, worker_id=job.worker_id, attempt=job.attempt),
            limits=LogLimits(
                max_bytes=settings.log_max_bytes, backups=settings.log_backups, tail_records=settings.tail_lines
            ),
            on_tail=self.tail.waker(job.session_id, job.job_id, lambda: output),
            clock=self.clock,
        )
        return output

    def _env(self, session: OwnedSession, job: TuningJob) -> dict[str, str]:
        orch = {
            "ORCH_REDIS_URL": self.store_url,
            "ORCH_KEY_PREFIX": self.settings.key_prefix,
            "ORCH_ENV": job.env,
            "ORCH_SESSION_ID": job.session_id,
            "ORCH_WORKER_ID": job.worker_id,
            "ORCH_WORKERS": str(session.spec.workers),
            "ORCH_ATTEMPT": str(job.attempt),
            "ORCH_TOKEN": str(job.token),
            "ORCH_SEED": str(session.seed),
            "ORCH_SUPERVISOR_PID": str(os.getpid()),
        }
        return worker_env(os.environ, self.settings.pass_env, session.spec, orch)


def log_path(state_dir: Path, job: TuningJob) -> Path:
    """Return where a job's log is; all its attempts write there."""
    return state_dir / "logs" / job.env / job.session_id / f"{job.worker_id}.jsonl"
