"""Kills at every step of the worker's loop: whatever dies, every iteration is recorded once, with the same candidate.

The worker has no hook for this. A `sitecustomize` of the test's own, found by PYTHONPATH, wraps its steps.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.executors import make_executor
from orchestrator.settings import load_settings
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.redis import RedisStore
from orchestrator.supervisor.supervisor import Supervisor
from support.tuning import TUNING, assert_recorded_once, begin_worker, recorded, rows, submit, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.settings import Settings

# Each test is some fifty processes, one after the other.
pytestmark = [pytest.mark.usefixtures("unmeasured"), pytest.mark.timeout(900)]

STEPS = ("suggest", "begin", "evaluate", "note", "row", "fsync", "commit")
POINTS = [f"{when} {step}" for step in STEPS for when in ("before", "after")] + ["within row", "after all"]
"""Point k is met in iteration k, once."""

SITE = """
import os, pathlib, signal, sys
if sys.orig_argv.count("tuning_worker") == 1 and "check" not in sys.orig_argv:
    from orchestrator.store.blocking import BlockingStore
    from tuning_worker import candidates
    from tuning_worker.records import csvfile, records, rownote
    from tuning_worker.evaluation import evaluator

    folder, victim = pathlib.Path(os.environ["CRASH_DIR"]), os.environ["CRASH_VICTIM"]
    points = (folder / "points").read_text().splitlines()
    at, stores = 0, []

    def point(name):
        if at < 1 or at > len(points) or points[at - 1] != name:
            return
        try:
            (folder / f"met-{at}").touch(exist_ok=False)
        except FileExistsError:
            return
        if victim in ("store", "both"):
            os.kill(stores[0].read("INFO", "server")["process_id"], signal.SIGKILL)
        if victim in ("worker", "both"):
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(owner, name, step, iteration=None):
        plain = getattr(owner, name)
        def wrapped(*given, **more):
            global at
            if iteration:
                at = iteration(*given)
            point("before " + step)
            done = plain(*given, **more)
            point("after " + step)
            return done
        setattr(owner, name, wrapped)

    def made(self, *given, plain=BlockingStore.__init__, **more):
        plain(self, *given, **more)
        stores.append(self)

    BlockingStore.__init__ = made
    wrap(candidates.Candidates, "of", "suggest", lambda self, g: g + 1)
    wrap(records.Records, "begin", "begin")
    wrap(evaluator.Evaluator, "evaluate", "evaluate")
    wrap(rownote.RowNote, "write", "note")
    wrap(csvfile.IterationCsv, "_append", "row")
    wrap(records.Records, "commit", "commit")
    wrap(records.Records, "record", "all")
    write, fsync = os.write, os.fsync

    def torn(descriptor, data):
        half = len(data) // 2 if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".csv") else 0
        if half == 0:
            return write(descriptor, data)
        written = write(descriptor, data[:half])
        point("within row")
        return written

    def synced(descriptor):
        point("before fsync")
        fsync(descriptor)
        point("after fsync")

    os.write, os.fsync = torn, synced
"""
OBJECTIVE = """
from tuning_worker.objectives.protocol import Measurement
def evaluate(params):
    if params["n"] == 5: raise ValueError("five is too many")
    loss = (params["x"] - 0.3) ** 2
    yield loss
    return Measurement({"loss": loss, "size": params["n"]}, {"2026-01-01": params["x"]}, 1000.0)
"""
TUNING_BY_FOLDS = f"{TUNING}  pruner: {{startup_iterations: 3, warmup_folds: 0, percentile: 60}}\n"


def crashes(folder: Path, victim: str) -> dict[str, str]:
    """Write what makes a worker crash; return the variables that have it do so."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(SITE)
    (site / "points").write_text("\n".join(POINTS))
    return {"PYTHONPATH": str(site), "CRASH_DIR": str(site), "CRASH_VICTIM": victim}


_IMPATIENT = {"ORCH_RETRY_BACKOFF": "1ms", "ORCH_RETRY_BACKOFF_MAX": "1ms"}


def met(folder: Path) -> set[str]:
    return {POINTS[int(mark.name.removeprefix("met-")) - 1] for mark in (folder / "site").glob("met-*")}


async def outcomes(store: RedisStore, session_id: str) -> list[dict[str, Any]]:
    """What each iteration was evaluated with, and what it gave, without when and by which attempt."""
    fields = ("params", "value", "daily", "capital", "reason", "kind", "status", "intermediate", "bars")
    found = []
    for result in await recorded(store, session_id):
        key = store.keys.iteration("paper", session_id, "worker-1", result["iteration"])
        record = await store.read("HGETALL", key)
        found.append({"traceback": "Traceback" in record["error"], **{name: record.get(name, "") for name in fields}})
    assert {each["status"] for each in found} == {"SUCCESS", "FAILED", "PRUNED"}
    return found


async def test_whatever_dies_wherever_each_iteration_is_recorded_once(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "ORCH_STATE_DIR": str(tmp_path / "state"), **_IMPATIENT}
    settings = load_settings(given, tmp_path)
    fields = {"optimizer": "bayesian", "workers": 1, "total_iterations": len(POINTS), "max_attempts": 1000}
    with open_store(settings) as address:
        keys = Keys(settings.env)
        async with RedisStore(address.url, keys, utc_now, settings.retention, address.revive) as store:
            calm = await submit(store, settings, write(tmp_path / "calm", OBJECTIVE, TUNING_BY_FOLDS, **fields))
            await finish(store, settings, address.url, calm)
            for victim in ("store", "both"):
                folder = tmp_path / victim
                variables = crashes(folder, victim)
                path = write(folder, OBJECTIVE, TUNING_BY_FOLDS, **fields, env_vars=variables)
                wild = await submit(store, settings, path)
                assert await finish(store, settings, address.url, wild) is Status.SUCCESS
                assert met(folder) == set(POINTS)
                await assert_recorded_once(store, wild, folder, len(POINTS))
                assert await outcomes(store, wild) == await outcomes(store, calm)
                (job,) = await store.get_jobs(wild)
                deaths_before_the_last_record = 0 if victim == "store" else len(POINTS) - 1
                assert job.attempt == deaths_before_the_last_record + 1


def test_a_worker_alone_goes_on_whatever_dies_wherever(tmp_path: Path) -> None:
    calm = tmp_path / "calm"
    write(calm, OBJECTIVE, TUNING_BY_FOLDS)
    assert ends(calm, {}) == [0]
    for victim, deaths in (("worker", len(POINTS)), ("store", 0)):
        wild = tmp_path / victim
        write(wild, OBJECTIVE, TUNING_BY_FOLDS)
        assert ends(wild, crashes(wild, victim)) == [-signal.SIGKILL] * deaths + [0]
        assert met(wild) == set(POINTS)
        assert len(rows(wild)) == len(POINTS)
        for row, same in zip(rows(wild), rows(calm), strict=True):
            assert {**row, "timestamp": ""} == {**same, "timestamp": ""}


def ends(folder: Path, env: Mapping[str, str]) -> list[int]:
    """Run a worker alone until it is done; return how each of its lives ended."""
    codes = []
    while not codes or codes[-1] < 0:
        worker = begin_worker(folder, "--iterations", str(len(POINTS)), env=env)
        worker.communicate(timeout=300)
        codes.append(worker.returncode)
    return codes


async def finish(store: RedisStore, settings: Settings, url: str, session_id: str) -> Status:
    made = Supervisor(store, url, make_executor("local"), settings, utc_now, kind="run", jitter=lambda: 0)
    async with asyncio.timeout(300), made:
        return await made.run_session(session_id)
