"""What can happen in the moment in which an attempt has been launched and the store has not heard of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.job import Status
from orchestrator.errors import FencedError
from orchestrator.executors.local import LocalExecutor
from orchestrator.store import calls
from orchestrator.supervisor.attempt import log_path
from support.lines import a_line
from support.sessions import WAITS, alive, make_supervisor, submit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from orchestrator.executors.local import LocalAttempt
    from orchestrator.executors.protocol import Launch
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = [pytest.mark.every_python, pytest.mark.usefixtures("unmeasured")]


class EventfulExecutor(LocalExecutor):
    """Something happens right after it has launched an attempt."""

    def __init__(self, event: Callable[[], Awaitable[object]]) -> None:
        self._event = event

    async def launch(self, launch: Launch) -> LocalAttempt:
        """Launch it."""
        attempt = await super().launch(launch)
        await self._event()
        return attempt


async def test_the_store_goes_away_and_the_attempt_is_watched_all_the_same(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS, timeout=1)
    (job,) = await store.get_jobs(session_id)
    launched = asyncio.Event()
    async with asyncio.timeout(300), a_line(settings, tmp_path / "line") as (line, cut_store):

        async def cut() -> None:
            line.cut()
            launched.set()

        made = make_supervisor(cut_store, settings, executor=EventfulExecutor(cut))
        async with made, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run_session(session_id))
            await launched.wait()
            while alive(job.job_id):
                await asyncio.sleep(0.01)
            line.mend()
    assert running.result() is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert (job.reason, job.attempt) == ("timeout", 1)
    assert job.handle


async def test_somebody_else_has_the_job_and_the_attempt_is_stopped(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    (job,) = await store.get_jobs(session_id)

    async def steal() -> None:
        owner = (await store.get_session(session_id))["owner"]
        adopted = await store.adopt(session_id, "thief", dead_owner=owner)
        assert isinstance(adopted, calls.Adopted)
        change = calls.Transition(
            session_id=session_id,
            job_id=job.job_id,
            token=adopted.token,
            op="x",
            expected=Status.RUNNING,
            to=Status.PENDING,
            actor="thief",
            fields={},
        )
        await store.transition(change)

    made = make_supervisor(store, settings, executor=EventfulExecutor(steal))
    async with asyncio.timeout(300), made:
        with pytest.raises(FencedError):
            await made.run_session(session_id)
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.pid, alive(job.job_id)) == (Status.PENDING, None, [])


async def test_a_store_that_refuses_to_hear_of_it_costs_no_attempt_and_no_end(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, "import pathlib; pathlib.Path('done').touch()")
    (job,) = await store.get_jobs(session_id)
    key = store.keys.job(session_id, job.job_id)

    async def spoil() -> None:
        await store.read_all([("RENAME", key, f"{key}:aside"), ("SET", key, "no hash")])

    made = make_supervisor(store, settings, executor=EventfulExecutor(spoil))
    async with asyncio.timeout(300), made:
        assert await made.run_session(session_id) is Status.RUNNING
        assert (tmp_path / "done").exists()
    assert log_path(settings.state_dir, job).with_suffix(".end").exists()
    await store.read("RENAME", f"{key}:aside", key)
    async with asyncio.timeout(300), make_supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert (job.attempt, job.return_code) == (1, 0)
