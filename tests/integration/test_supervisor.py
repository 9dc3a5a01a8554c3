"""The supervisor with real children, a real store and, where it matters, real tuning workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.domain.outcome import FREE_LOSSES
from orchestrator.errors import FencedError, StateError
from orchestrator.supervisor.retention import sweep
from support.sessions import WAITS, alive, records, submit, supervisor, until_file

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = [pytest.mark.every_python, pytest.mark.usefixtures("unmeasured")]

# --- how jobs end --------------------------------------------------------------------------------------------------


async def test_a_job_that_exits_0_is_success_and_its_output_is_in_the_log(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = """
import os, sys
print("plain")
print('{"loss": 0.5, "epoch": 3}')
print("to stderr", file=sys.stderr)
print(os.environ["ORCH_SESSION_ID"], os.environ["ORCH_WORKER_ID"], os.getcwd())
"""
    session_id = await submit(store, tmp_path, script)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.return_code, job.attempt, job.recorded) == (Status.SUCCESS, 0, 1, 0)
    assert job.started_at is not None
    assert job.finished_at is not None
    logged = records(settings, job)
    assert {record["worker_id"] for record in logged} == {"worker-1"}
    out = [record for record in logged if record["stream"] == "stdout"]
    assert [record.get("line") for record in out] == ["plain", None, f"{session_id} worker-1 {tmp_path}"]
    assert out[1]["fields"] == {"loss": 0.5, "epoch": 3}
    assert [record["line"] for record in logged if record["stream"] == "stderr"] == ["to stderr"]
    tail = await store.read("XRANGE", store.keys.log(session_id, job.job_id), "-", "+")
    assert [json.loads(fields["record"]) for _, fields in tail] == logged


async def test_a_job_is_tried_again_until_its_attempts_are_spent(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, "import sys; sys.exit(7)", max_attempts=3)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.attempt, job.failures, job.reason, job.return_code) == (
        Status.FAILED,
        3,
        2,
        "exit:7",
        7,
    )


async def test_an_attempt_that_succeeds_makes_good_the_ones_before(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = "import os, sys; sys.exit(int(os.environ['ORCH_ATTEMPT']) < 3)"
    session_id = await submit(store, tmp_path, script, max_attempts=5)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert (job.attempt, job.failures, job.reason) == (3, 2, "")
    events = [
        fields["to"]
        for _, fields in await store.read("XRANGE", store.keys.events(session_id), "-", "+")
        if "to" in fields
    ]
    assert events.count("RUNNING") == 4  # the session once, its job three times


async def test_a_signal_is_told_by_its_name(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    session_id = await submit(store, tmp_path, script, max_attempts=1)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert (job.reason, job.signal, job.return_code) == ("signal:SIGKILL", "SIGKILL", None)


async def test_what_cannot_be_started_says_so(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, "", worker_command=("./nothing-there",), max_attempts=1)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert job.reason.startswith("launch: ")
    assert "nothing-there" in job.reason


async def test_a_job_that_takes_too_long_is_stopped_with_all_that_it_started(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(15, 1); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
time.sleep(600)
"""
    session_id = await submit(store, tmp_path, script, timeout=4, grace=0.2, max_attempts=3)
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.reason, job.attempt) == (Status.FAILED, "timeout", 1)
    assert alive(job.job_id) == []


async def test_no_more_jobs_run_at_once_than_there_are_slots(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    """Each job counts those that run beside it by the files that they keep while they run."""
    script = """
import os, pathlib, time
here = pathlib.Path("running"); here.mkdir(exist_ok=True)
mine = here / os.environ["ORCH_WORKER_ID"]; mine.touch()
time.sleep(0.05)
with open("seen", "a") as seen: seen.write(f"{len(list(here.iterdir()))}\\n")
mine.unlink()
"""
    session_id = await submit(store, tmp_path, script, workers=9, total_iterations=9)
    async with supervisor(store, replace(settings, max_jobs=2)) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == 9
    assert max(seen) <= 2


async def test_a_job_sees_what_it_is_given_and_no_secret(
    store: RedisStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("MY_TOOL_HOME", "/opt/tool")
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    session_id = await submit(store, tmp_path, script, env_vars={"LEVEL": "7"})
    async with supervisor(store, replace(settings, pass_env=("MY_TOOL_*",))) as made:
        await made.run_session(session_id)
    (job,) = await store.get_jobs(session_id)
    seen = records(settings, job)[0]["fields"]
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert (seen["LEVEL"], seen["MY_TOOL_HOME"], seen["ORCH_SEED"]) == ("7", "/opt/tool", "1")


# --- interruption, death, ownership --------------------------------------------------------------------------------


async def test_an_interrupted_session_goes_on_where_it_was(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS, workers=1)
    async with supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "started-1")
        made.interrupt()
    assert running.result() is Status.RUNNING
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.reason, job.failures) == (Status.PENDING, "interrupted", 0)
    assert alive(job.job_id) == []
    (tmp_path / "go").touch()
    async with supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert job.attempt == 2


async def test_a_second_interrupt_does_not_wait_for_the_grace(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = "import signal, pathlib, time; signal.signal(15, 1); pathlib.Path('started-1').touch(); time.sleep(600)"
    session_id = await submit(store, tmp_path, script, grace=500)
    async with asyncio.timeout(300), supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "started-1")
        made.interrupt()
        made.interrupt(now=True)
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.signal) == (Status.PENDING, "SIGKILL")
    assert alive(job.job_id) == []


async def test_nothing_new_begins_while_draining(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS, workers=5, total_iterations=5)
    async with supervisor(store, replace(settings, max_jobs=1)) as made, asyncio.TaskGroup() as tasks:
        tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "started-1")
        made.interrupt()
    assert [job.attempt for job in await store.get_jobs(session_id)] == [1, 0, 0, 0, 0]


async def test_a_session_that_is_run_is_not_run_twice(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    async with supervisor(store, settings) as one, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(one.run_session(session_id))
        await until_file(tmp_path / "started-1")
        async with supervisor(store, settings) as two:
            with pytest.raises(StateError, match=f"session {session_id} is being run by run-.*pid {os.getpid()}"):
                await two.run_session(session_id)
        (tmp_path / "go").touch()
    assert running.result() is Status.SUCCESS


async def test_whoever_lost_its_session_stops_its_jobs_and_writes_nothing_more(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, WAITS)
    async with supervisor(store, settings) as made:
        running = asyncio.Task(made.run_session(session_id))
        await until_file(tmp_path / "started-1")
        owner = (await store.get_session(session_id))["owner"]
        await store.adopt(session_id, "thief", dead_owner=owner)
        with pytest.raises(FencedError):
            await running
    (job,) = await store.get_jobs(session_id)
    assert job.status is Status.RUNNING  # as it was when it was taken: the new owner decides
    assert alive(job.job_id) == []


async def test_what_a_killed_supervisor_left_is_cleared_before_the_next_attempt(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    """The script below is a supervisor in a process of its own, killed while its job runs."""
    script = (
        "import pathlib, os, time; pathlib.Path('pid-' + os.environ['ORCH_ATTEMPT']).write_text(str(os.getpid()))\n"
        + WAITS
    )
    session_id = await submit(store, tmp_path, script)
    process = await _supervisor_process(settings, session_id)
    await until_file(tmp_path / "started-1")
    process.kill()
    await process.wait()
    orphan = int((tmp_path / "pid-1").read_text())
    os.kill(orphan, 0)  # a command of the user's own knows nothing of its supervisor: it is still there
    (tmp_path / "go").unlink(missing_ok=True)
    async with asyncio.timeout(300), supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "started-2")
        (job,) = await store.get_jobs(session_id)
        assert orphan not in alive(job.job_id)
        (tmp_path / "go").touch()
    assert running.result() is Status.SUCCESS
    (job,) = await store.get_jobs(session_id)
    assert (job.attempt, job.failures) == (2, 0)


async def test_a_job_that_takes_its_supervisor_down_is_not_tried_for_ever(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    script = "import os; os.kill(int(os.environ['ORCH_SUPERVISOR_PID']), 9)"
    session_id = await submit(store, tmp_path, script, max_attempts=1)
    for _ in range(FREE_LOSSES + 1):
        process = await _supervisor_process(settings, session_id)
        assert await process.wait() == -signal.SIGKILL
    assert await (await _supervisor_process(settings, session_id)).wait() == 0
    (job,) = await store.get_jobs(session_id)
    reason = f"lost: {FREE_LOSSES + 1} attempts in a row, and none recorded an iteration"
    assert (job.status, job.reason, job.attempt) == (Status.FAILED, reason, FREE_LOSSES + 1)


async def _supervisor_process(settings: Settings, session_id: str) -> asyncio.subprocess.Process:
    """Run a session's supervisor in a process of its own."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state_dir.parent),
        "ORCH_REDIS_URL": str(settings.redis_url),
        "ORCH_ENV": settings.env,
        "ORCH_STATE_DIR": str(settings.state_dir),
    }
    return await asyncio.create_subprocess_exec(sys.executable, "-c", _RUNNER, session_id, env=environ)


_RUNNER = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.clock import utc_now
from orchestrator.executors import make_executor
from orchestrator.settings import load_settings
from orchestrator.store.keys import Keys
from orchestrator.store.redis import RedisStore
from orchestrator.supervisor.supervisor import Supervisor

async def main():
    settings = load_settings(os.environ, Path.cwd())
    async with RedisStore(settings.redis_url, Keys(settings.env), utc_now, settings.retention) as store:
        executor = make_executor("local")
        async with Supervisor(store, settings.redis_url, executor, settings, utc_now, kind="run") as made:
            await made.run_session(sys.argv[1])

asyncio.run(main())
"""


# --- retention -----------------------------------------------------------------------------------------------------


async def test_every_key_of_a_finished_session_has_a_time_to_live(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, "print(1)", workers=2, total_iterations=2)
    async with supervisor(store, settings) as made:
        await made.run_session(session_id)
    names = await store.read("KEYS", f"*{session_id}*")
    assert names
    assert all([await store.read("TTL", name) > 0 for name in names])


async def test_what_a_killed_supervisor_left_for_ever_gets_a_time_to_live(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, tmp_path, "print(1)", workers=2, total_iterations=2)
    async with supervisor(store, settings) as made:
        await made.run_session(session_id)
    names = await store.read("KEYS", f"*{session_id}*")
    for name in names:  # it had said until when they live, and then it was killed
        await store.read("PERSIST", name)
    assert await store.read("HGET", store.keys.session(session_id), "expires_at")
    await sweep(store, settings.retention, utc_now())
    assert all([await store.read("TTL", name) > 0 for name in names])


async def test_an_expired_session_leaves_the_index(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    session_id = await submit(store, tmp_path, "print(1)")
    async with supervisor(store, settings) as made:
        await made.run_session(session_id)
    await store.read("DEL", store.keys.session(session_id))
    await sweep(store, settings.retention, utc_now())
    assert await store.read("ZSCORE", store.keys.sessions, session_id) is None
    assert await store.read("ZSCORE", store.keys.retention, session_id) is None
