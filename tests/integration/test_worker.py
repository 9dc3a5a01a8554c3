"""The tuning worker in real sessions: what it records, and that it records it once, whatever happens to it."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import platform
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from redis import Redis

from orchestrator.clock import utc_now
from orchestrator.domain.job import Status, TuningJob
from orchestrator.errors import StateError
from orchestrator.executors import make_executor
from orchestrator.settings import Settings, load_settings
from orchestrator.store import calls
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.redis import RedisStore
from orchestrator.supervisor.supervisor import Supervisor
from support.sessions import supervisor, until_file
from support.tuning import TUNING, assert_recorded_once, begin_worker, recorded, rows, submit, write
from tuning_worker import standalone
from tuning_worker.config import load_tuning_config
from tuning_worker.evaluation.evaluator import Evaluation
from tuning_worker.feed import Feed
from tuning_worker.optimizers import make_optimizer
from tuning_worker.records.csvfile import IterationCsv
from tuning_worker.records.reconciling import reconcile
from tuning_worker.records.records import Records
from tuning_worker.share import Share, find_share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.clock import Clock
    from tuning_worker.objectives.protocol import Params


async def finish(store: RedisStore, settings: Settings, session_id: str) -> Status:
    async with asyncio.timeout(300), supervisor(store, settings) as made:
        return await made.run_session(session_id)


# --- whole sessions ------------------------------------------------------------------------------------------------


@pytest.mark.every_python
@pytest.mark.parametrize("optimizer", ["random", "grid", "bayesian"])
async def test_a_session_is_recorded_in_the_store_and_in_csvs(
    store: RedisStore, settings: Settings, tmp_path: Path, optimizer: str
) -> None:
    session_id = await submit(store, settings, write(tmp_path, optimizer=optimizer, total_iterations=7))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 7)
    header = (tmp_path / "out" / "s_worker-1.csv").read_text().splitlines()[0]
    assert header == (
        "session_id,worker_id,iteration,status,timestamp,value,params_x,params_n,params_c,metrics_loss,metrics_size"
    )
    assert [job.recorded for job in await store.get_jobs(session_id)] == [4, 3]
    best = json.loads((await store.get_session(session_id))["best"])
    assert best["value"] == min(result["value"] for result in await recorded(store, session_id))


async def test_failed_iterations_are_recorded_with_their_reasons(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    objective = """
def evaluate(params):
    if params["n"] % 2: raise ValueError("odd is not for us")
    return params["x"]
"""
    session_id = await submit(store, settings, write(tmp_path, objective, total_iterations=12))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 12)
    results = await recorded(store, session_id)
    failed = [result for result in results if result["params"]["n"] % 2]
    assert failed == [result for result in results if result["status"] == "FAILED"]
    assert {result["reason"] for result in failed} == {"ValueError: odd is not for us"}
    key = store.keys.iteration("paper", session_id, failed[0]["worker_id"], failed[0]["iteration"])
    assert "Traceback" in (await store.read("HGETALL", key))["error"]
    assert int((await store.get_session(session_id))["failed_iterations"]) == len(failed)


async def test_an_objective_that_is_broken_ends_the_job_early_and_says_so(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    objective = "def evaluate(params): raise KeyError('spread')"
    session_id = await submit(store, settings, write(tmp_path, objective, total_iterations=50, workers=1))
    assert await finish(store, settings, session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert job.reason == "objective broken: the first 5 iterations all failed with KeyError"
    assert (job.recorded, job.attempt) == (5, 1)


@pytest.mark.every_python
async def test_an_iteration_that_hangs_fails_by_its_timeout_and_the_next_goes_on(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    objective = """
import time
def evaluate(params):
    if params["c"] == "slow": time.sleep(600)
    return params["x"]
"""
    path = write(tmp_path, objective, total_iterations=4, workers=1, iteration_timeout=4, seed=3)
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 4)
    outcomes = {
        result["params"]["c"]: result["reason"].partition(":")[0] for result in await recorded(store, session_id)
    }
    assert outcomes == {"slow": "timeout", "fast": ""}


@pytest.mark.parametrize(("optimizer", "workers"), [("bayesian", 8), ("qmc", 3), ("cmaes", 3), ("nsga2", 3)])
async def test_workers_on_a_small_space_evaluate_no_point_twice(
    store: RedisStore, settings: Settings, tmp_path: Path, optimizer: str, workers: int
) -> None:
    tuning = TUNING.replace("    x: {type: float, bounds: [0.0, 1.0]}\n", "    x: {type: int, bounds: [0, 1]}\n")
    tuning = tuning.replace("c: {type: categorical, choices: [slow, fast]}", "c: {type: int, bounds: [0, 1]}")
    tuning += "  enqueue: [{x: 1, n: 3, c: 1}]\n"
    path = write(tmp_path, tuning=tuning, optimizer=optimizer, total_iterations=20, workers=workers)
    session_id = await submit(store, replace(settings, max_jobs=workers), path)
    assert await finish(store, replace(settings, max_jobs=workers), session_id) is Status.SUCCESS
    points = {tuple(result["params"].values()) for result in await recorded(store, session_id)}
    assert len(points) == 20  # all that there are: 2 by 5 by 2


async def test_a_space_that_is_used_up_is_repeated_and_the_log_says_so(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    tuning = "tuning:\n  search_space:\n    x: {type: int, bounds: [0, 1]}\n" + TUNING[TUNING.index("  objective") :]
    objective = "def evaluate(params): return {'loss': params['x']}"
    path = write(tmp_path, objective, tuning, optimizer="bayesian", total_iterations=3, workers=1)
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.SUCCESS
    assert {result["params"]["x"] for result in await recorded(store, session_id)} == {0, 1}
    log = (settings.state_dir / "logs" / settings.env / session_id / "worker-1.jsonl").read_text()
    assert "iteration.repeats_point" in log


# --- deaths --------------------------------------------------------------------------------------------------------

_GATED = """
import os, pathlib, time
def evaluate(params):
    if os.environ["ORCH_ITERATION"] == "2":
        pathlib.Path("in-2-of-" + os.environ["ORCH_WORKER_ID"]).touch()
        while not pathlib.Path("go").exists(): time.sleep(0.01)
    return {"loss": params["x"]}
"""


@pytest.mark.every_python
async def test_a_worker_killed_in_an_iteration_resumes_there_with_the_same_parameters(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, settings, write(tmp_path, _GATED, optimizer="bayesian"))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(finish(store, settings, session_id))
        await until_file(tmp_path / "in-2-of-worker-1")
        job = (await store.get_jobs(session_id))[0]
        second = store.keys.iteration("paper", session_id, "worker-1", 2)
        before = (await store.read("HGETALL", second))["params"]
        os.kill(job.pid or 0, signal.SIGKILL)
        while (await store.get_job(session_id, job.job_id)).attempt == 1:
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
    assert running.result() is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 6)
    assert (await store.read("HGETALL", second))["params"] == before
    assert [(job.attempt, job.failures) for job in await store.get_jobs(session_id)] == [(2, 1), (1, 0)]


@pytest.mark.every_python
async def test_a_worker_told_to_stop_ends_its_iteration_and_begins_no_other(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, settings, write(tmp_path, _GATED, workers=1))
    async with supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "in-2-of-worker-1")
        made.interrupt()
        (tmp_path / "go").touch()
    assert running.result() is Status.RUNNING
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.reason, job.recorded, job.return_code) == (Status.PENDING, "interrupted", 2, 130)
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 6)


async def test_an_iteration_that_outlasts_the_grace_is_abandoned_unrecorded(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, settings, write(tmp_path, _GATED, workers=1, grace=0.1))
    async with supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "in-2-of-worker-1")
        made.interrupt()
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.recorded) == (Status.PENDING, 1)
    (tmp_path / "go").touch()
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 6)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[tuple[Settings, Any]]:
    """Settings with an embedded server of this test's own, which it may kill."""
    settings = load_settings({"HOME": str(tmp_path), "ORCH_STATE_DIR": str(tmp_path / "state")}, tmp_path)
    with open_store(settings) as address:
        yield settings, address


async def test_a_store_that_dies_is_brought_back_and_nothing_is_lost(
    embedded: tuple[Settings, Any], tmp_path: Path
) -> None:
    settings, address = embedded
    keys = Keys(settings.env)
    async with RedisStore(address.url, keys, utc_now, settings.retention, address.revive) as store:
        session_id = await submit(store, settings, write(tmp_path, _GATED))
        made = Supervisor(store, address.url, make_executor("local"), settings, utc_now, kind="run")
        async with asyncio.timeout(300), made, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run_session(session_id))
            await until_file(tmp_path / "in-2-of-worker-1")
            server = int((await store.read("INFO", "server"))["process_id"])
            os.kill(server, signal.SIGKILL)
            (tmp_path / "go").touch()
        assert running.result() is Status.SUCCESS
        await assert_recorded_once(store, session_id, tmp_path, 6)
        assert int((await store.read("INFO", "server"))["process_id"]) != server


# --- the records, piece by piece ------------------------------------------------------------------------------------


async def at_work(store: RedisStore, settings: Settings, path: Path, number: int = 1) -> tuple[BlockingStore, Share]:
    """Submit a session and make one of its jobs RUNNING without a process: the test is its worker."""
    session_id = (await store.read("ZRANGE", store.keys.sessions, 0, -1) or [None])[0]
    session_id = session_id or await submit(store, settings, path)
    await store.renew("me", "{}", settings.lease_ttl, {})
    adopted = await store.adopt(session_id, "me")
    assert isinstance(adopted, calls.Adopted)
    job: TuningJob = (await store.get_jobs(session_id))[number - 1]
    change = calls.Transition(
        session_id=session_id,
        job_id=job.job_id,
        token=adopted.token,
        op=uuid4().hex,
        expected=Status.PENDING,
        to=Status.RUNNING,
        actor="me",
        fields={"attempt": 1},
    )
    moved = await store.transition(change)
    assert settings.redis_url
    blocking = BlockingStore(settings.redis_url, store.keys)
    return blocking, find_share(blocking, session_id, job.job_id, moved.token)


@contextmanager
def records_of(blocking: BlockingStore, share: Share, folder: Path, clock: Clock = utc_now) -> Iterator[Records]:
    """The records of a worker's life."""
    space = load_tuning_config(share.tuning, "test").space
    with IterationCsv(folder / share.output_csv, share.session_id, share.worker_id, list(space.dimensions)) as table:
        yield Records(blocking, table, share, space, clock)


def reconciled(blocking: BlockingStore, share: Share, folder: Path, clock: Clock = utc_now) -> dict[int, Any]:
    """What a new life of the worker finds recorded."""
    with records_of(blocking, share, folder, clock) as records:
        return reconcile(records)


def success(value: float) -> Evaluation:
    return Evaluation("SUCCESS", value, {"loss": value, "size": 3, "sharpe": None}, None, None, None, 0.01)


@contextmanager
def forgetting(url: str, keys: Keys) -> Iterator[None]:
    """Take the store back to what it held before, as a loss of power may."""
    with Redis.from_url(url) as client:
        before = {key: client.dump(key) for key in client.scan_iter(f"*:{keys.env}:*")}
        yield
        client.delete(*client.scan_iter(f"*:{keys.env}:*"))
        for key, content in before.items():
            client.restore(key, 0, content)


POINT: Params = {"x": 0.1 + 0.2, "n": 3, "c": "fast"}


async def test_a_row_that_was_written_and_not_committed_is_committed_on_the_restart(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        records.begin(1, POINT, "")
        records.record(1, POINT, success(0.25))
    # The crash: the row of the second is on the disk, its commit was never sent.
    first = rows(tmp_path)[0]
    with (tmp_path / share.output_csv).open("a", newline="") as table:
        csv.writer(table, lineterminator="\n").writerow({**first, "iteration": "2", "value": "0.125"}.values())
    assert len(reconciled(blocking, share, tmp_path)) == 2
    await assert_recorded_once(store, share.session_id, tmp_path, 2)
    assert (await recorded(store, share.session_id))[1]["params"] == POINT  # types and bits
    blocking.close()


async def test_rows_whose_records_the_store_has_lost_are_committed_and_their_points_claimed_again(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    """A power failure takes the last second from the store, and nothing from the CSV, which is synced row by row."""
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    points = [{**POINT, "n": n} for n in (1, 2)]
    with forgetting(settings.redis_url or "", store.keys), records_of(blocking, share, tmp_path) as records:
        assert reconcile(records) == {}
        for iteration, point in enumerate(points, start=1):
            records.begin(iteration, point, "claimed")
            records.record(iteration, point, success(0.25 * iteration))
    (tmp_path / "out" / f".{share.output_csv.name}.last").write_text(f"{share.job_id}\n")  # the rest is not synced
    assert list(reconciled(blocking, share, tmp_path)) == [1, 2]
    await assert_recorded_once(store, share.session_id, tmp_path, 2)
    space = load_tuning_config(share.tuning, "test").space
    claimed = await store.read("HGETALL", store.keys.points(share.session_id))
    assert claimed == {space.point_key(point): str(g) for g, point in enumerate(points)}
    blocking.close()


async def test_two_workers_never_write_one_csv(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        other = {"session_id": "other", "total_iterations": 2, "workers": 1, "base_output_csv": "out/s"}
        path = write(tmp_path / "other", **other)
        path = path.rename(tmp_path / "other.yaml")
        refused = await submit(store, settings, path)
        assert await finish(store, settings, refused) is Status.FAILED
        (job,) = await store.get_jobs(refused)
        assert "s_worker-1.csv is being written by another worker: wait for its session" in job.reason
        records.begin(1, POINT, "")
        records.record(1, POINT, success(0.25))
    await assert_recorded_once(store, share.session_id, tmp_path, 1)
    blocking.close()


async def test_the_versions_of_a_record_are_those_of_its_last_attempt(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    elsewhere = replace(share, versions={**share.versions, "python": "2.7"})  # so that this one is another
    for of, versions in ((elsewhere, {"python": platform.python_version()}), (share, None)):
        with records_of(blocking, of, tmp_path) as records:
            records.begin(1, POINT, "")
        key = records.place(1).key(store.keys)
        assert json.loads((await store.read("HGET", key, "versions")) or "null") == versions
    blocking.close()


async def test_a_failure_that_was_written_and_not_committed_says_so(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        records.begin(1, POINT, "")
    header = "session_id,worker_id,iteration,status,timestamp,value,params_x,params_n,params_c\n"
    row = f"{share.session_id},worker-1,1,FAILED,2026-01-01T00:00:00.000Z,,0.3,3,fast\n"  # a spreadsheet rounded x
    (tmp_path / share.output_csv).write_text(header + row)
    (found,) = reconciled(blocking, share, tmp_path).values()
    assert found["reason"] == "recovered: its row in the CSV does not say why it failed"
    assert found["kind"] == "recovered"
    (told,) = await recorded(store, share.session_id)
    assert (told["reason"], told["params"]) == (found["reason"], POINT)
    await assert_recorded_once(store, share.session_id, tmp_path, 1)
    blocking.close()


async def test_a_row_that_makes_no_sense_is_a_sentence(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        records.begin(1, POINT, "")
        records.record(1, POINT, success(0.25))
    path = tmp_path / share.output_csv
    header, first = path.read_text().splitlines()
    for right, wrong, complaint in (
        (",fast,", ",fats,", "the row of iteration 2 is damaged: 'fats' is not in"),
        (",3,fast", ",3.5,fast", "the row of iteration 2 is damaged"),
        (",SUCCESS,", ",PENDING,", "a row of it is damaged"),
        (",1,SUCCESS,", ",²,SUCCESS,", "a row of it is damaged"),
        (",0.25,0.3", ",nan,0.3", "the row of iteration 2 is damaged: a worker does not write nan"),
        (",1,SUCCESS,", f",{9**30},SUCCESS,", f"has a row of iteration {9**30}, and this worker has 1 to"),
        (",1,SUCCESS,", ",0,SUCCESS,", "has a row of iteration 0, and this worker has 1 to"),
    ):
        assert right in first
        second = first.replace(",1,SUCCESS", ",2,SUCCESS") if "1,S" not in right else first
        path.write_text("\n".join([header, first, second.replace(right, wrong), ""]))
        with pytest.raises(StateError, match=complaint):
            reconciled(blocking, share, tmp_path)
    path.write_text(f"{header}\n{first}\n{first}\n")
    reconciled(blocking, share, tmp_path)
    assert path.read_text().splitlines() == [header, first]  # a row that is there twice is one
    blocking.close()


async def again(blocking: BlockingStore, share: Share, owner: str = "me", to: Status = Status.PENDING) -> Share:
    """End an attempt and begin the next one, with a retry in between where the job ended."""
    keys = blocking.keys
    for expected, status in ((Status.RUNNING, to), (Status.PENDING, Status.RUNNING)):
        if expected is Status.PENDING and to.terminal:
            blocking.do(calls.retry(keys, share.session_id, owner, utc_now()))
        adopted = blocking.do(calls.adopt(keys, share.session_id, owner, utc_now()))
        assert isinstance(adopted, calls.Adopted)
        change = calls.Transition(
            session_id=share.session_id,
            job_id=share.job_id,
            token=adopted.token,
            op=uuid4().hex,
            expected=expected,
            to=status,
            actor=owner,
            fields={"attempt": share.attempt + 1} if status is Status.RUNNING else {},
        )
        token = blocking.do(calls.transition(keys, change, utc_now(), timedelta(days=1))).token
    return find_share(blocking, share.session_id, share.job_id, token)


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=-2)])
async def test_no_clock_decides_what_is_evaluated_again(
    store: RedisStore, settings: Settings, tmp_path: Path, ahead: timedelta
) -> None:
    """The worker's clock differs from that of whoever submits and retries: the same is recorded all the same."""
    failure = Evaluation("FAILED", None, {"loss": None}, "ValueError", "no", None, 0.1)
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path, lambda: utc_now() + ahead) as records:
        for iteration, outcome in ((1, success(0.5)), (2, failure)):
            records.begin(iteration, POINT, "")
            records.record(iteration, POINT, outcome)
    assert list(reconciled(blocking, share, tmp_path)) == [1, 2]
    share = await again(blocking, share, to=Status.FAILED)
    with records_of(blocking, share, tmp_path, lambda: utc_now() + ahead) as records:
        assert list(reconcile(records)) == [1]
        assert [row["iteration"] for row in rows(tmp_path)] == ["1"]
        # The new evaluation is written, and the worker dies before it is committed: that row is no old one.
        records.begin(2, POINT, "")
    path = tmp_path / share.output_csv
    late = (utc_now() + ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first = path.read_text().splitlines()[1].split(",")
    path.write_text(path.read_text() + ",".join([*first[:2], "2", "SUCCESS", late, *first[5:]]) + "\n")
    assert list(reconciled(blocking, share, tmp_path)) == [1, 2]
    await assert_recorded_once(store, share.session_id, tmp_path, 2)
    blocking.close()


async def test_a_worker_whose_job_was_taken_says_so_and_gives_no_verdict(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, _GATED, workers=1))
    given = {
        "ORCH_REDIS_URL": settings.redis_url or "",
        "ORCH_ENV": store.keys.env,
        "ORCH_KEY_PREFIX": store.keys.prefix,
        "ORCH_SESSION_ID": share.session_id,
        "ORCH_JOB_ID": share.job_id,
        "ORCH_TOKEN": str(share.token),
        "ORCH_SUPERVISOR_PID": str(os.getpid()),
    }
    worker = begin_worker(tmp_path, "--session-id", share.session_id, "--iterations", "6", env=given)
    await until_file(tmp_path / "in-2-of-worker-1")
    await again(blocking, share)
    (tmp_path / "go").touch()
    _, said = await asyncio.to_thread(worker.communicate, timeout=300)
    assert worker.returncode == 1
    assert "is somebody else's now" in said
    assert "Traceback" not in said
    job = await store.get_job(share.session_id, share.job_id)
    assert (job.status, job.verdict, job.recorded) == (Status.RUNNING, "", 1)
    blocking.close()


async def test_a_torn_row_is_cut_off_and_a_missing_one_comes_from_the_store(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        for iteration in (1, 2):
            records.begin(iteration, POINT, "")
            records.record(iteration, POINT, success(0.5))
    path = tmp_path / share.output_csv
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        reconciled(blocking, share, tmp_path)
        assert path.read_bytes() == whole
    path.unlink()
    reconciled(blocking, share, tmp_path)
    assert path.read_bytes() == whole
    blocking.close()


async def test_a_metric_that_appears_late_becomes_a_column(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    blocking, share = await at_work(store, settings, write(tmp_path, workers=1))
    with records_of(blocking, share, tmp_path) as records:
        records.record(1, POINT, Evaluation("FAILED", None, {}, "ValueError", "no", "Traceback", 0.1))
        records.record(2, POINT, success(0.5))
        records.record(3, POINT, Evaluation("SUCCESS", 0.1, {"loss": 0.1, "extra": 7}, None, None, None, 0.1))
    assert [row["metrics_extra"] for row in rows(tmp_path)] == ["", "", "7"]
    assert [row["status"] for row in rows(tmp_path)] == ["FAILED", "SUCCESS", "SUCCESS"]
    blocking.close()


async def test_metrics_with_other_names_each_time_are_a_failure_before_they_are_too_many(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    fresh = (
        'import uuid\ndef evaluate(params):\n    return {"loss": 1.0, **{uuid.uuid4().hex: n for n in range(240)}}\n'
    )
    session_id = await submit(store, settings, write(tmp_path, fresh, workers=1))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 6)
    *found, fifth, sixth = await recorded(store, session_id)
    assert {result["status"] for result in found} == {"SUCCESS"}
    assert "this worker's would have 1201 names, where at most 1000 can be recorded" in fifth["reason"]
    assert (fifth["status"], fifth["metrics"]) == (sixth["status"], sixth["metrics"]) == ("FAILED", {"loss": 1.0})


def test_a_row_with_a_long_choice_is_read_back(tmp_path: Path) -> None:
    given = {
        "session_id": "s",
        "worker_id": "worker-1",
        "iteration": "1",
        "status": "SUCCESS",
        "params_c": "x" * 500_000,
    }
    with IterationCsv(tmp_path / "s.csv", "s", "worker-1", ["c"]) as written:
        written.append(given, {})
    with IterationCsv(tmp_path / "s.csv", "s", "worker-1", ["c"]) as found:
        assert found.rows[1]["params_c"] == given["params_c"]


async def test_thousands_of_parameters_are_recorded(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    more = "".join(f"    p{number}: {number}\n" for number in range(4500))
    tuning = TUNING.replace("search_space:\n", f"search_space:\n{more}")
    session_id = await submit(store, settings, write(tmp_path, tuning=tuning, workers=1, total_iterations=1))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 1)


VANDAL = """
import os, pathlib, shutil
def evaluate(params):
    out = pathlib.Path("out")
    path = out / "s_worker-1.csv"
    text = path.read_text() if path.exists() else ""
    match os.environ["ORCH_ITERATION"]:
        case "2": os.truncate(path, 0)
        case "3": os.truncate(path, len(text) - 5)
        case "4": path.write_text(text + "scribble")
        case "5": path.unlink()
        case "6": shutil.rmtree(out)
        case "7": (out / "copy").write_text(text); (out / "copy").replace(path)
        case "8": path.write_text("")
    return {"loss": params["x"], "size": params["n"]}
"""


async def test_what_others_do_to_a_csv_meanwhile_is_undone(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await submit(store, settings, write(tmp_path, VANDAL, workers=1, total_iterations=8))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    await assert_recorded_once(store, session_id, tmp_path, 8)


async def test_a_csv_that_somebody_puts_there_meanwhile_is_left_as_it_is(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    precious = 'import pathlib\ndef evaluate(params):\n    pathlib.Path("out/s_worker-1.csv").write_text("precious")\n'
    session_id = await submit(store, settings, write(tmp_path, precious + "    return 1.0\n", workers=1))
    assert await finish(store, settings, session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert "s_worker-1.csv is there already and was not when this worker began: move it away" in job.reason
    assert (tmp_path / "out" / "s_worker-1.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a,b\n1,2\n", "other columns"),
        ("a,b\n1,2", "other columns"),
        ("a list of things to buy", "not a CSV"),
        ("HEADER\nother,worker-1,1,SUCCESS,9999,1.0,0.5,3,fast\n", "belongs to worker-1 of session other"),
        ("HEADER\nSESSION,worker-1,1,SUCCESS,2020-01-01T00:00:00.000Z,1.0,0.5,3,fast\n", "an earlier session"),
        ("HEADER\nSESSION,worker-1,1\n", "damaged"),
        ('HEADER\n"SESSION\n', "not a CSV"),
    ],
)
async def test_a_csv_that_is_somebody_elses_is_refused_and_left_as_it_is(
    store: RedisStore, settings: Settings, tmp_path: Path, content: str, complaint: str
) -> None:
    path = write(tmp_path, workers=1)
    session_id = await submit(store, settings, path)
    table = tmp_path / "out" / "s_worker-1.csv"
    table.parent.mkdir()
    header = "session_id,worker_id,iteration,status,timestamp,value,params_x,params_n,params_c"
    content = content.replace("HEADER", header).replace("SESSION", session_id)
    table.write_text(content)
    assert await finish(store, settings, session_id) is Status.FAILED
    (job,) = await store.get_jobs(session_id)
    assert complaint in job.reason
    assert job.attempt == 1
    assert table.read_text() == content


async def test_workers_learn_from_each_other(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    """What worker-1 recorded changes what worker-2 is going to try."""
    path = write(tmp_path, optimizer="bayesian", total_iterations=60)
    blocking, one = await at_work(store, settings, path, 1)
    with records_of(blocking, one, tmp_path) as records:
        for iteration in range(1, 21):
            point: Params = {"x": iteration / 21, "n": 1 + iteration % 5, "c": "fast"}
            records.begin(iteration, point, "")
            records.record(iteration, point, success((iteration / 21 - 0.3) ** 2))
    feed = Feed(blocking, one.session_id, "worker-2")
    pending = feed.refresh()
    assert [result.g for result in feed.results] == [2 * n for n in range(20)]
    config = load_tuning_config(one.tuning, "test")
    optimizer = make_optimizer("bayesian", config.space, seed=one.seed, direction="minimize", grid_points=3, total=60)
    alone, together = optimizer.suggest(41, [], {}), optimizer.suggest(41, feed.results, pending)
    assert alone != together
    with records_of(blocking, one, tmp_path) as records:
        records.begin(21, POINT, "")
    assert feed.refresh() == {40: POINT}
    blocking.close()


# --- alone ---------------------------------------------------------------------------------------------------------


def alone(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    worker = begin_worker(folder, *more)
    said = worker.communicate(timeout=300)
    return subprocess.CompletedProcess(worker.args, worker.returncode, *said)


@pytest.mark.every_python
def test_a_worker_runs_alone_and_its_session_is_like_any_other(tmp_path: Path) -> None:
    write(tmp_path)
    done = alone(tmp_path, "--iterations", "5")
    assert done.returncode == 0, done.stderr
    assert [row["iteration"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5"]
    again = alone(tmp_path, "--iterations", "5")
    assert (again.returncode, again.stdout) == (3, "")
    assert "session alone has ended (SUCCESS)" in again.stderr
    other = alone(tmp_path, "--iterations", "6")
    assert "is there already and is another" in other.stderr


def test_a_worker_alone_says_what_is_wrong_with_its_config(tmp_path: Path) -> None:
    write(tmp_path, tuning=TUNING.replace("type: int", "type: itn"))
    done = alone(tmp_path, "--iterations", "5")
    assert done.returncode == 2
    assert "tuning.yaml:5:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["foo", "worker-0", "worker-1:iteration:9", "worker-1\n"])
def test_a_worker_alone_is_called_as_workers_are(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    done = alone(tmp_path, "--iterations", "5", "--worker-id", name)
    assert done.returncode == 2
    assert f"--worker-id: must be worker-1, worker-2, … (got {name!r})" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_worker_alone_does_all_of_a_grid_whatever_its_number(tmp_path: Path) -> None:
    tuning = "tuning:\n  search_space:\n    x: {type: int, bounds: [1, 3]}\n" + TUNING[TUNING.index("  objective") :]
    write(tmp_path, "def evaluate(params): return {'loss': params['x']}", tuning)
    done = alone(tmp_path, "--iterations", "3", "--worker-id", "worker-7", "--optimizer", "grid")
    assert done.returncode == 0, done.stderr
    assert {row["params_x"] for row in rows(tmp_path)} == {"1", "2", "3"}
    assert {row["worker_id"] for row in rows(tmp_path)} == {"worker-7"}
    other = alone(tmp_path, "--iterations", "3", "--worker-id", "worker-1", "--optimizer", "grid")
    assert other.returncode == 3


def on_the_shared_server(settings: Settings, **more: str) -> dict[str, str]:
    return {"ORCH_REDIS_URL": settings.redis_url or "", **more}


async def the_job(store: RedisStore) -> TuningJob:
    (job,) = await store.get_jobs("alone")
    return job


async def test_a_worker_alone_that_is_cancelled_ends_after_its_iteration(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path, _GATED)
    worker = begin_worker(tmp_path, "--iterations", "5", "--env", settings.env, env=on_the_shared_server(settings))
    await until_file(tmp_path / "in-2-of-worker-1")
    reason = "cancelled:ann: enough"
    wish = calls.Cancellation(session_id="alone", worker_id="", reason=reason, grace=None, actor="ann")
    await store.do(calls.cancel(store.keys, wish, utc_now(), settings.retention))
    (tmp_path / "go").touch()
    _, said = await asyncio.to_thread(worker.communicate, timeout=300)
    assert worker.returncode == 1
    assert f"session alone is CANCELLED: {reason}" in said
    job = await the_job(store)
    assert (job.status, job.reason, job.recorded) == (Status.CANCELLED, reason, 2)
    assert (await store.get_session("alone"))["status"] == "CANCELLED"


async def test_a_worker_alone_keeps_its_session_as_long_as_it_lives_and_no_longer(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path, _GATED)
    given = on_the_shared_server(settings, ORCH_LEASE_TTL="1s")
    worker = begin_worker(tmp_path, "--iterations", "5", "--env", settings.env, env=given)
    await until_file(tmp_path / "in-2-of-worker-1")
    owner = store.keys.owner((await store.get_session("alone"))["owner"])
    async with asyncio.timeout(300):
        least = await store.read("PTTL", owner)
        while (left := await store.read("PTTL", owner)) <= least:  # until it is renewed, within the iteration
            least = left
            await asyncio.sleep(0.01)
    assert left <= 1000
    assert isinstance(await store.adopt("alone", "somebody"), calls.Owned)
    worker.kill()
    await asyncio.to_thread(worker.communicate)
    async with asyncio.timeout(300):
        while not isinstance(await store.adopt("alone", "somebody"), calls.Adopted):
            await asyncio.sleep(0.01)


class _Contested(BlockingStore):
    """A store where somebody wants every session in the very moment it is there, as a daemon does."""

    answers: ClassVar[list[object]] = []

    def do(self, call: calls.Call[Any]) -> Any:
        done = super().do(call)
        if call.script.name == "submit":
            self.answers.append(super().do(calls.adopt(self.keys, "alone", "a-daemon", utc_now())))
        return done


def test_a_worker_alone_owns_its_session_from_the_first_moment(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_REDIS_URL", settings.redis_url or "")
    monkeypatch.setattr(standalone, "BlockingStore", _Contested)
    options = argparse.Namespace(
        session_id="alone",
        worker_id="worker-1",
        config="tuning.yaml",
        iterations=2,
        mode="paper",
        env=settings.env,
        optimizer="random",
        output_csv="out/alone.csv",
    )
    assert standalone.run(options, lambda: False, lambda *_, **__: None) == 0
    (answer,) = _Contested.answers
    assert isinstance(answer, calls.Owned)
