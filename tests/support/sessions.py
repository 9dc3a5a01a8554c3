"""Sessions of a user's own commands: submitted to a real store, run by a real supervisor, looked at from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestrator.clock import utc_now
from orchestrator.domain.record import Submission
from orchestrator.domain.session import SessionSpec
from orchestrator.executors import make_executor
from orchestrator.supervisor.attempt import log_path
from orchestrator.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orchestrator.domain.job import TuningJob
    from orchestrator.executors.protocol import Executor
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

WAITS = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
pathlib.Path("started-" + os.environ["ORCH_ATTEMPT"]).touch()
while not pathlib.Path("go").exists(): time.sleep(0.01)
"""
"""A job that shows that it has started, and ends when it is told to."""


def make_supervisor(
    store: RedisStore, settings: Settings, kind: str = "run", executor: Executor | None = None
) -> Supervisor:
    """Make a supervisor whose retries have no jitter."""
    assert settings.redis_url
    executor = executor or make_executor("local")
    return Supervisor(store, settings.redis_url, executor, settings, utc_now, kind=kind, jitter=lambda: 0)


@asynccontextmanager
async def supervisor(store: RedisStore, settings: Settings) -> AsyncIterator[Supervisor]:
    """Run a supervisor."""
    async with make_supervisor(store, settings) as made:
        yield made


async def submit(store: RedisStore, cwd: Path, script: str, **fields: Any) -> str:
    """Submit a session whose jobs run a Python script; return its id."""
    session_id = f"s-{uuid4().hex[:8]}"
    given: dict[str, Any] = {
        "session_id": session_id,
        "total_iterations": 1,
        "workers": 1,
        "env": store.keys.env,
        "worker_command": (sys.executable, "-c", script),
        "grace": 20,
    }
    spec = SessionSpec.model_validate({**given, **fields}, strict=False)
    submission = Submission(spec=spec, seed=1, tuning="", metric="", direction="", cwd=str(cwd))
    jobs = submission.jobs(lambda: str(uuid4()))
    await store.submit(session_id, submission.record(jobs, utc_now()), [job.to_hash() for job in jobs])
    return session_id


def alive(marker: str) -> list[int]:
    """Return the processes that carry a job's marker."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"ORCH_JOB_ID={marker}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def until_file(path: Path) -> None:
    """Wait until a file is there."""
    async with asyncio.timeout(300):
        while not path.exists():
            await asyncio.sleep(0.01)


def records(settings: Settings, job: TuningJob) -> list[dict[str, Any]]:
    """Return the records of a job's log file."""
    return [json.loads(line) for line in log_path(settings.state_dir, job).read_text().splitlines()]
