"""A daemon whose line to the store is cut while others reach it: what it stops, what it keeps, how it goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.job import Status
from orchestrator.errors import FencedError
from orchestrator.executors.local import LocalExecutor
from support.daemons import Running, ended, serving
from support.lines import a_line
from support.sessions import WAITS, alive, submit, until_file

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = pytest.mark.usefixtures("unmeasured")

STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
if os.environ["ORCH_ATTEMPT"] != "1":
    try:
        there = ") Z " not in pathlib.Path("/proc", pathlib.Path("pid").read_text(), "stat").read_text()
    except OSError:
        there = False
    pathlib.Path("at once").write_text("two" if there else "one")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
pathlib.Path("pid").write_text(str(sleeper.pid))
pathlib.Path("started-1").touch()
sleeper.wait()
time.sleep(600)
"""
"""A job that heeds no TERM; its second attempt looks whether anything of the first is there."""


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings with a lease that ends soon, and not so soon that a busy machine is late for a sixth of it."""
    return replace(settings, lease_ttl=timedelta(seconds=9))


class ElsewhereExecutor(LocalExecutor):
    """As on another host: what a daemon that was cut off left running is out of its reach."""

    async def clear(self, job_id: str, handle: str) -> None:
        """Reach nothing."""


async def test_a_daemon_that_is_cut_off_stops_its_jobs_before_another_takes_them(
    store: RedisStore, quick: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, STUBBORN)
    async with asyncio.timeout(300), a_line(quick, tmp_path / "line") as (line, cut_store):
        first, second = Running(cut_store, quick), Running(store, quick, ElsewhereExecutor())
        async with first.supervisor, second.supervisor, asyncio.TaskGroup() as tasks:
            deposed = tasks.create_task(_fenced(first))
            await until_file(tmp_path / "started-1")
            tasks.create_task(second.daemon.run())
            while not first.supervisor.ownership.contested:
                await asyncio.sleep(0.01)
            line.cut()
            assert await ended(store, session_id) is Status.SUCCESS
            assert (tmp_path / "at once").read_text() == "one"
            line.mend()
            await deposed
            second.supervisor.interrupt()
    (job,) = await store.get_jobs(session_id)
    assert job.attempt == 2


async def _fenced(running: Running) -> None:
    with pytest.raises(FencedError, match="another daemon serves"):
        await running.daemon.run()


async def test_a_daemon_that_nobody_waits_for_keeps_its_jobs(
    store: RedisStore, quick: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    async with a_line(quick, tmp_path / "line") as (line, cut_store), serving(cut_store, quick) as daemon:
        await until_file(tmp_path / "started-1")
        line.cut()
        while await store.read("EXISTS", store.keys.owner(daemon.supervisor.ownership.owner_id)):
            await asyncio.sleep(0.01)
        (job,) = await store.get_jobs(session_id)
        assert alive(job.job_id)
        line.mend()
        (tmp_path / "go").touch()
        assert await ended(store, session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert job.attempt == 1


async def test_jobs_that_were_stopped_for_nobody_go_on(store: RedisStore, quick: Settings, tmp_path: Path) -> None:
    """Whoever stood by did not come."""
    session_id = await submit(store, tmp_path, WAITS)
    async with a_line(quick, tmp_path / "line") as (line, cut_store), serving(cut_store, quick) as daemon:
        await until_file(tmp_path / "started-1")
        await store.serve("waiting", timedelta(hours=1))
        while not daemon.supervisor.ownership.contested:
            await asyncio.sleep(0.01)
        line.cut()
        (job,) = await store.get_jobs(session_id)
        while alive(job.job_id):
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
        line.mend()
        assert await ended(store, session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert (job.attempt, job.failures, job.lost) == (2, 0, 0)


async def test_who_no_longer_stands_by_is_no_longer_waited_for(store: RedisStore, settings: Settings) -> None:
    async with serving(store, settings):
        second = Running(store, settings)
        async with second.supervisor, asyncio.TaskGroup() as tasks:
            tasks.create_task(second.daemon.run())
            while not second.standby:
                await asyncio.sleep(0.01)
            assert await store.read("GET", store.keys.standby) == second.supervisor.ownership.owner_id
            second.supervisor.interrupt()
        assert await store.read("EXISTS", store.keys.standby) == 0
