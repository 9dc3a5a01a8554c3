"""The daemon in this process: which sessions it takes, and what other shells can want of them."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.errors import NotFoundError, StateError
from orchestrator.store import calls
from orchestrator.store.blocking import BlockingStore
from orchestrator.supervisor.systemd import Notifier
from support.daemons import Running, ended, serving
from support.sessions import WAITS, alive, submit, supervisor, until_file

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = pytest.mark.every_python


async def cancel(store: RedisStore, session_id: str, worker_id: str = "", **more: Any) -> calls.Cancelled:
    wish = {"reason": "cancelled:ann: enough", "grace": None, "actor": "ann", **more}
    wanted = calls.Cancellation(session_id=session_id, worker_id=worker_id, **wish)
    return await store.do(calls.cancel(store.keys, wanted, utc_now(), more.get("retention", _MONTH)))


_MONTH = timedelta(days=30)


async def test_it_runs_what_waits_and_what_comes(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    before = await submit(store, tmp_path, "print('before')")
    async with serving(store, settings):
        after = await submit(store, tmp_path, "print('after')")
        assert await ended(store, before) is Status.SUCCESS
        assert await ended(store, after) is Status.SUCCESS


async def test_ten_sessions_at_once(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    async with serving(store, settings) as daemon:
        names = [await submit(store, tmp_path, "pass", workers=3, total_iterations=3) for _ in range(10)]
        assert [await ended(store, name) for name in names] == [Status.SUCCESS] * 10
        assert daemon.supervisor.slots.held.total() == 0


async def test_a_second_daemon_stands_by_and_takes_over(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    quick = replace(settings, lease_ttl=settings.lease_ttl / 20)  # it looks often; the other cannot be late for that
    first, second = Running(store, settings), Running(store, quick)
    async with asyncio.timeout(300), first.supervisor, second.supervisor, asyncio.TaskGroup() as tasks:
        tasks.create_task(first.daemon.run())
        await first.ready.wait()
        tasks.create_task(second.daemon.run())
        while not second.standby:
            await asyncio.sleep(0.01)
        assert second.standby[0].pid == os.getpid()
        assert second.standby[0].host == socket.gethostname()
        session_id = await submit(store, tmp_path, "print(1)")
        assert await ended(store, session_id) is Status.SUCCESS
        assert not second.ready.is_set()
        first.supervisor.interrupt()
        await second.ready.wait()
        session_id = await submit(store, tmp_path, "print(2)")
        assert await ended(store, session_id) is Status.SUCCESS
        second.supervisor.interrupt()
    assert await store.read("EXISTS", store.keys.daemon) == 0


async def test_a_session_that_somebody_runs_in_the_foreground_is_left_alone(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    async with supervisor(store, settings) as run, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run.run_session(session_id))
        await until_file(tmp_path / "started-1")
        async with serving(store, settings) as daemon:
            assert session_id not in daemon.supervisor.sessions
        (tmp_path / "go").touch()
    assert running.result() is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert job.attempt == 1


async def test_stopping_leaves_everything_resumable(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS, workers=2, total_iterations=2)
    async with serving(store, settings):
        await until_file(tmp_path / "started-1")
    jobs = await store.get_jobs(session_id)
    assert {job.status for job in jobs} == {Status.PENDING}
    assert [alive(job.job_id) for job in jobs] == [[], []]
    (tmp_path / "go").touch()
    async with serving(store, settings):
        assert await ended(store, session_id) is Status.SUCCESS


async def test_a_job_waits_for_its_next_attempt_across_a_restart(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    fails_first = "if os.environ['ORCH_WORKER_ID'] == 'worker-1': sys.exit(os.environ['ORCH_ATTEMPT'] == '1')\n"
    session_id = await submit(store, tmp_path, "import os, sys\n" + fails_first + WAITS, workers=2, total_iterations=2)
    patient = replace(settings, retry_backoff=timedelta(hours=1), retry_backoff_max=timedelta(hours=1))
    async with serving(store, patient):
        await until_file(tmp_path / "started-1")
        while (await store.get_jobs(session_id))[0].retry_at is None:
            await asyncio.sleep(0.01)
    (tmp_path / "go").touch()
    async with serving(store, patient):
        while not (await store.get_jobs(session_id))[1].status.terminal:
            await asyncio.sleep(0.01)
        first, _ = await store.get_jobs(session_id)
        assert (first.status, first.attempt) == (Status.PENDING, 1)
    async with serving(store, settings):  # which knows no wait as long as what is left: the clock was put back, say
        assert await ended(store, session_id) is Status.SUCCESS


# --- wishes --------------------------------------------------------------------------------------------------------


async def test_cancelling_what_waits_needs_no_daemon(store: RedisStore, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, "print(1)", workers=3, total_iterations=3)
    assert await cancel(store, session_id) == calls.Cancelled(cancelled=3, told=0)
    fields = await store.get_session(session_id)
    assert (fields["status"], fields["jobs_CANCELLED"], fields["jobs_PENDING"]) == ("CANCELLED", "3", "0")
    assert {job.reason for job in await store.get_jobs(session_id)} == {"cancelled:ann: enough"}
    with pytest.raises(StateError, match="has ended: it is CANCELLED"):
        await cancel(store, session_id)
    with pytest.raises(NotFoundError):
        await cancel(store, "nobody")


async def test_cancelling_what_runs_stops_it_and_all_that_it_started(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = "import subprocess, sys\nsubprocess.Popen(['sleep', '600'])\n" + WAITS
    session_id = await submit(store, tmp_path, script)
    async with serving(store, settings):
        await until_file(tmp_path / "started-1")
        assert await cancel(store, session_id) == calls.Cancelled(cancelled=0, told=1)
        assert await ended(store, session_id) is Status.CANCELLED
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.reason, job.attempt) == (Status.CANCELLED, "cancelled:ann: enough", 1)
    assert alive(job.job_id) == []


async def test_one_worker_can_be_cancelled_alone(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS, workers=2, total_iterations=2)
    async with serving(store, settings):
        await until_file(tmp_path / "started-1")
        await cancel(store, session_id, "worker-2")
        while not (await store.get_jobs(session_id))[1].status.terminal:
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
        assert await ended(store, session_id) is Status.CANCELLED
    assert [job.status for job in await store.get_jobs(session_id)] == [Status.SUCCESS, Status.CANCELLED]
    fresh = await submit(store, tmp_path, "pass")
    with pytest.raises(NotFoundError, match="worker-9"):
        await cancel(store, fresh, "worker-9")


async def test_a_cancellation_survives_the_daemon(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    """It is wanted while the daemon is dead: the next one carries it out."""
    session_id = await submit(store, tmp_path, WAITS)
    await store.renew("dead", "{}", settings.lease_ttl, {})
    adopted = await store.adopt(session_id, "dead")
    assert isinstance(adopted, calls.Adopted)
    (job,) = await store.get_jobs(session_id)
    change = calls.Transition(
        session_id=session_id,
        job_id=job.job_id,
        token=adopted.token,
        op="x",
        expected=Status.PENDING,
        to=Status.RUNNING,
        actor="dead",
        fields={"attempt": 1},
    )
    await store.transition(change)
    assert await cancel(store, session_id) == calls.Cancelled(cancelled=0, told=1)
    await store.release("dead")
    async with serving(store, settings):
        assert await ended(store, session_id) is Status.CANCELLED


async def test_a_paused_session_begins_nothing_until_it_is_resumed(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    paused, other = [await submit(store, tmp_path, "print(1)") for _ in range(2)]
    await store.do(calls.pause(store.keys, paused, "ann", utc_now(), paused=True))
    async with serving(store, settings):
        assert await ended(store, other) is Status.SUCCESS
        assert (await store.get_session(paused))["status"] == "PENDING"
        await store.do(calls.pause(store.keys, paused, "ann", utc_now(), paused=False))
        assert await ended(store, paused) is Status.SUCCESS


async def test_retrying_runs_what_failed_again(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    script = """
import os, pathlib, sys
sys.exit(os.environ["ORCH_WORKER_ID"] == "worker-2" and not pathlib.Path("ok").exists())
"""
    session_id = await submit(store, tmp_path, script, workers=2, total_iterations=2, max_attempts=1)
    async with serving(store, settings):
        assert await ended(store, session_id) is Status.FAILED
        (tmp_path / "ok").touch()
        retried = await store.do(calls.retry(store.keys, session_id, "ann", utc_now()))
        assert retried == calls.Retried(jobs=1, iterations=0)
        assert await ended(store, session_id) is Status.SUCCESS
    assert [job.attempt for job in await store.get_jobs(session_id)] == [1, 2]
    with pytest.raises(StateError, match="nothing of session"):
        await store.do(calls.retry(store.keys, session_id, "ann", utc_now()))


async def test_settings_read_anew_change_how_many_run(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS, workers=2, total_iterations=2)
    async with serving(store, replace(settings, max_jobs=1)) as daemon:
        await until_file(tmp_path / "started-1")
        daemon.supervisor.reconfigure(replace(settings, max_jobs=2))
        while [job.status for job in await store.get_jobs(session_id)] != [Status.RUNNING] * 2:
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
        assert await ended(store, session_id) is Status.SUCCESS


# --- trouble -------------------------------------------------------------------------------------------------------


async def test_the_trouble_of_one_session_is_not_that_of_the_others(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    bad, worse = [await submit(store, tmp_path, "print(1)") for _ in range(2)]
    key = store.keys.session(bad)
    spec, _ = await store.read_all((("HGET", key, "spec"), ("HSET", key, "spec", '{"session_id": 7, "colour": "red"}')))
    await store.read("HDEL", store.keys.session(worse), "cwd")
    async with serving(store, settings):
        good = await submit(store, tmp_path, "print(1)")
        assert await ended(store, good) is Status.SUCCESS
        while "trouble" not in await store.get_session(worse):
            await asyncio.sleep(0.01)
    left = await store.get_session(bad)
    assert left["trouble"] == "session 7 was submitted by a newer orch: this one does not know colour"
    assert "owner" not in left
    assert (await store.get_session(worse))["trouble"] == "KeyError; the daemon's log has more"
    await store.read("HSET", key, "spec", spec)
    async with serving(store, settings):
        assert await ended(store, bad) is Status.SUCCESS
    assert "trouble" not in await store.get_session(bad)


async def test_a_session_removed_while_it_waits_for_a_slot_harms_nobody(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    holder = await submit(store, tmp_path, WAITS)
    async with serving(store, replace(settings, max_jobs=1)) as daemon:
        await until_file(tmp_path / "started-1")
        waiting = await submit(store, tmp_path, "print(1)")
        while waiting not in daemon.supervisor.sessions:
            await asyncio.sleep(0.01)
        (job,) = await store.get_jobs(waiting)
        await store.read_all([("DEL", store.keys.job(waiting, job.job_id)), ("SREM", store.keys.active, waiting)])
        await store.read("DEL", store.keys.session(waiting))
        (tmp_path / "go").touch()
        assert await ended(store, holder) is Status.SUCCESS
        after = await submit(store, tmp_path, "print(1)")
        assert await ended(store, after) is Status.SUCCESS


async def test_a_session_that_would_write_outside_the_output_roots_is_not_run(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    """Its submitter had other settings; the daemon's count."""
    outside = {"worker_command": None, "base_output_csv": "/somewhere/else", "config_path": "t.yaml"}
    session_id = await submit(store, tmp_path, "", **outside)
    async with serving(store, replace(settings, output_roots=(tmp_path,))):
        assert await ended(store, session_id) is Status.CANCELLED
    (job,) = await store.get_jobs(session_id)
    assert job.reason == "cancelled:daemon: /somewhere/else is outside its output_roots"
    assert job.attempt == 0


async def test_a_store_without_room_is_waited_for(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    async with serving(store, settings):
        await until_file(tmp_path / "started-1")
        await store.read("CONFIG", "SET", "maxmemory", "1")
        try:
            (tmp_path / "go").touch()
            while not store.away:
                await asyncio.sleep(0.01)
        finally:
            other = BlockingStore(str(settings.redis_url), store.keys)
            other.read("CONFIG", "SET", "maxmemory", "0")
            other.close()
        assert await ended(store, session_id) is Status.SUCCESS


async def test_the_time_between_attempts_does_not_count(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    """Its timeout is long over when the session goes on; what it has spent of it is not."""
    session_id = await submit(store, tmp_path, WAITS, timeout=30)
    async with serving(store, settings):
        await until_file(tmp_path / "started-1")
    (job,) = await store.get_jobs(session_id)
    assert 0 < job.spent < 30
    await store.read("HSET", store.keys.job(session_id, job.job_id), "started_at", "2020-01-01T00:00:00.000Z")
    (tmp_path / "go").touch()
    async with serving(store, settings):
        assert await ended(store, session_id) is Status.SUCCESS


# --- systemd -------------------------------------------------------------------------------------------------------


async def test_it_tells_systemd_what_it_is_doing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(300)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "7"}
        notifier = Notifier(environ, pid=7)
        notifier.tell(READY=1, STATUS="serving")
        assert manager.recv(999) == b"READY=1\nSTATUS=serving"
        notifier.reloading()
        assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        async with asyncio.TaskGroup() as tasks:
            watchdog = tasks.create_task(notifier.run_watchdog())
            loop = asyncio.get_running_loop()
            for _ in range(3):
                assert await loop.run_in_executor(None, manager.recv, 999) == b"WATCHDOG=1"
            watchdog.cancel()
    notifier.tell(READY=1)  # nobody listens: nothing happens
    assert Notifier({**environ, "WATCHDOG_PID": "8"}, pid=7).watchdog is None
    Notifier({}, pid=7).tell(READY=1)
