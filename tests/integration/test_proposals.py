"""Where a session's candidates come from, beyond its optimizer: rounds, a queue, earlier sessions and points."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.domain.job import Status
from orchestrator.errors import NotFoundError, SpecError
from support.sessions import supervisor, until_file
from support.tuning import KILL_WORKER, TUNING, assert_recorded_once, ready, recorded, submit, write

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

SHUFFLED = """
import os, pathlib, random, time
def evaluate(params):
    time.sleep(random.Random(os.environ["TIMINGS"] + os.environ["ORCH_GLOBAL_INDEX"]).random() / 20)
    if os.environ["ORCH_GLOBAL_INDEX"] == os.environ.get("GATE"):
        pathlib.Path("in").touch()
        while not pathlib.Path("go").exists(): time.sleep(0.01)
    if params["n"] == 5: raise ValueError("five is too many")
    return {"loss": (params["x"] - 0.3) ** 2, "size": params["n"]}
"""
BATCH = {"optimizer": "bayesian", "schedule": "batch", "workers": 3, "total_iterations": 20}


async def finish(store: RedisStore, settings: Settings, session_id: str) -> Status:
    async with asyncio.timeout(300), supervisor(store, settings) as made:
        return await made.run_session(session_id)


async def run(store: RedisStore, settings: Settings, path: Path) -> list[dict[str, Any]]:
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.SUCCESS
    results = await recorded(store, session_id)
    await assert_recorded_once(store, session_id, path.parent, len(results))
    return results


def params(results: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(result["params"]) for result in results]


# --- rounds --------------------------------------------------------------------------------------------------------


async def test_a_batch_has_the_same_candidates_whatever_its_timings_and_deaths(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    calm = await run(store, settings, write(tmp_path / "calm", SHUFFLED, **BATCH, env_vars={"TIMINGS": "a"}))
    killed = tmp_path / "killed"
    path = write(killed, SHUFFLED, **BATCH, env_vars={"TIMINGS": "b", "GATE": "13"})
    session_id = await submit(store, settings, path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(finish(store, settings, session_id))
        await until_file(killed / "in")
        for job in await store.get_jobs(session_id):
            os.kill(job.pid or 0, signal.SIGKILL)
        (killed / "go").touch()
    assert running.result() is Status.SUCCESS
    assert [job.attempt for job in await store.get_jobs(session_id)] == [2, 2, 2]
    wild = await recorded(store, session_id)
    assert params(wild) == params(calm)
    assert len(set(params(calm))) == 20
    assert [result["value"] for result in wild] == [result["value"] for result in calm]


async def test_the_others_of_a_batch_go_on_when_a_share_has_ended(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    objective = f"""
import os, signal
def evaluate(params):
    if os.environ["ORCH_GLOBAL_INDEX"] == "4": {KILL_WORKER}
    return params["x"]
"""
    path = write(tmp_path, objective, **{**BATCH, "total_iterations": 12}, max_attempts=1)
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.FAILED
    jobs = await store.get_jobs(session_id)
    assert [(job.status, job.recorded) for job in jobs] == [("SUCCESS", 4), ("FAILED", 1), ("SUCCESS", 4)]


async def test_a_batch_that_is_told_to_stop_does_not_wait_for_its_round(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path, SHUFFLED, **BATCH, env_vars={"TIMINGS": "a", "GATE": "2"})
    session_id = await submit(store, settings, path)
    async with supervisor(store, settings) as made, asyncio.timeout(300), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await until_file(tmp_path / "in")
        while len(await recorded(store, session_id)) < 2:
            await asyncio.sleep(0.01)
        made.interrupt()
        while [job.reason for job in await store.get_jobs(session_id)] != ["interrupted", "interrupted", ""]:
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
    assert running.result() is Status.RUNNING
    assert [job.recorded for job in await store.get_jobs(session_id)] == [1, 1, 1]


def test_a_batch_that_cannot_run_at_once_is_refused(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path, schedule="batch", workers=5, optimizer="bayesian")
    with pytest.raises(SpecError, match="the 5 workers of a batch run at once, and max_jobs is 4"):
        ready(path, settings)


# --- the queue, an earlier session, repetitions ---------------------------------------------------------------------

POINTS = [{"x": 0.3, "n": 2, "c": "fast"}, {"x": 0.9, "n": 1, "c": "slow"}, {"x": 0.1, "n": 3, "c": "fast"}]


async def test_enqueued_points_come_first_and_an_earlier_session_is_learnt_from(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    first, second, narrow = tmp_path / "first", tmp_path / "second", tmp_path / "narrow"
    fields = {"optimizer": "bayesian", "workers": 2, "total_iterations": 12}
    tuning = TUNING + f"  enqueue: {json.dumps(POINTS)}\n"
    early = await run(store, settings, write(first, tuning=tuning, **fields, session_id="early"))
    assert [result["params"] for result in early[:3]] == POINTS
    fields |= {"workers": 1, "total_iterations": 1, "resume_from": "early"}
    warm = await run(store, settings, write(second, **fields, session_id="warm"))
    cold = await run(store, settings, write(tmp_path / "cold", **{**fields, "resume_from": None}))
    assert params(warm) != params(cold)
    log = settings.state_dir / "logs" / settings.env
    assert '"results": 12, "left_out": 0' in (log / "warm" / "worker-1.jsonl").read_text()
    # What was known at submit counts, also where the earlier session goes since.
    session_id = await submit(store, settings, write(narrow, tuning=TUNING.replace("[1, 5]", "[1, 2]"), **fields))
    await store.read("DEL", store.keys.results("early"))
    assert await finish(store, settings, session_id) is Status.SUCCESS
    left_out = sum(result["params"]["n"] > 2 for result in early)
    said = (log / session_id / "worker-1.jsonl").read_text()
    assert f'"results": {12 - left_out}, "left_out": {left_out}' in said
    with pytest.raises(NotFoundError, match="there is no session nobody to resume from"):
        await submit(store, settings, write(narrow, **{**fields, "resume_from": "nobody"}))


async def test_what_an_earlier_session_evaluated_is_not_evaluated_again_while_there_is_something_else(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    space = "tuning:\n  search_space:\n    n: {type: int, bounds: [1, 8]}\n" + TUNING[TUNING.index("  objective") :]
    objective = "def evaluate(params): return {'loss': params['n']}"
    fields = {"optimizer": "bayesian", "workers": 1}
    early = write(tmp_path / "a", objective, space, **fields, total_iterations=3, session_id="before")
    late = write(tmp_path / "b", objective, space, **fields, total_iterations=6, resume_from="before")
    seen = [result["params"]["n"] for path in (early, late) for result in await run(store, settings, path)]
    assert sorted(seen[:8]) == list(range(1, 9))
    assert seen[8] in seen[:3]  # nothing else was left, and its own points are the last to come again


@pytest.mark.parametrize(
    ("enqueue", "fields", "says"),
    [
        ([{"x": 2.0, "n": 2, "c": "fast"}], {}, "tuning.yaml:8:13: tuning.enqueue.0: x: 2.0"),
        ([POINTS[0], POINTS[0]], {}, "tuning.enqueue.1: is the point of entry 1 again"),
        (POINTS, {"total_iterations": 2}, "tuning.enqueue: has 3 points, and the session 2 iterations"),
        (POINTS, {"optimizer": "grid"}, "a grid has its own points, each once"),
        ([], {"resume_from": "early", "optimizer": "random"}, "resume_from: the optimizer random learns nothing"),
    ],
)
def test_what_cannot_be_enqueued_or_resumed_is_told_at_submit(
    settings: Settings, tmp_path: Path, enqueue: list[Any], fields: dict[str, Any], says: str
) -> None:
    path = write(tmp_path, tuning=TUNING + f"  enqueue: {json.dumps(enqueue)}\n", **fields)
    with pytest.raises(SpecError) as refused:
        ready(path, settings)
    assert says in str(refused.value)


def documented() -> set[str]:
    """The fields of an iteration that the reference knows."""
    page = Path(__file__).parents[2] / "docs/reference/store.md"
    _, _, section = page.read_text(encoding="utf-8").partition("## Fields of an iteration\n")
    return {
        name for cell in re.findall(r"^\| (.+?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }


async def test_what_is_recorded_of_a_point_is_used_again(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    objective = """
import pathlib
from tuning_worker.objectives.protocol import Measurement
def evaluate(params):
    with open("evaluated", "a") as file: file.write(f"{params['n']}\\n")
    return Measurement({"loss": params["n"]}, {"2026-01-01": 0.5}, 100.0)
"""
    space = "tuning:\n  search_space:\n    n: {type: int, bounds: [1, 3]}\n" + TUNING[TUNING.index("  objective") :]
    tuning = space + "  on_duplicate: reuse\n"
    path = write(tmp_path, objective, tuning, total_iterations=10, workers=1, session_id="again")
    results = await run(store, settings, path)
    seen = [result["params"]["n"] for result in results]
    assert (tmp_path / "evaluated").read_text().split() == [str(n) for n in dict.fromkeys(seen)]
    for result in results:
        record = await store.read("HGETALL", store.keys.iteration("paper", "again", "worker-1", result["iteration"]))
        assert {name for name in record if not name.startswith(("params_", "metrics_"))} <= documented()
        first = seen.index(result["params"]["n"]) + 1
        assert record.get("reused_from") == (None if first == result["iteration"] else f"worker-1:{first}")
        assert (result["value"], record["daily"], record["capital"]) == (
            result["params"]["n"],
            '{"2026-01-01": 0.5}',
            "100.0",
        )


# --- failures and several objectives --------------------------------------------------------------------------------


async def test_a_session_ends_with_as_many_failures_as_it_may_have(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    objective = """
def evaluate(params):
    if params["n"] > 2: raise ValueError(str(params["n"]))
    return params["x"]
"""
    path = write(tmp_path, objective, total_iterations=100, max_failures=3, workers=2)
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.FAILED
    failed = sum(result["status"] == "FAILED" for result in await recorded(store, session_id))
    assert 3 <= failed <= 4  # the other worker was at one
    jobs = await store.get_jobs(session_id)
    assert {job.reason.partition(":")[0] for job in jobs} == {"max_failures"}
    assert all(job.attempt == 1 for job in jobs)


async def test_several_objectives_need_all_their_metrics(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    objective = """
def evaluate(params):
    return {"pnl": params["x"], **({} if params["n"] > 3 else {"drawdown": params["n"]})}
"""
    tuning = TUNING.replace("metric: loss, direction: minimize", "metrics: {pnl: maximize, drawdown: minimize}")
    path = write(tmp_path, objective, tuning, total_iterations=12)
    results = await run(store, settings, path)
    lacking = [result for result in results if result["params"]["n"] > 3]
    assert lacking
    assert lacking == [result for result in results if result["status"] == "FAILED"]
    assert {result["reason"] for result in lacking} == {
        "missing_metric: the metric 'drawdown' is not among those measured: pnl"
    }
    assert all(result["value"] == result["params"]["x"] for result in results if result["status"] == "SUCCESS")


def test_an_objective_is_one_metric_or_several_and_not_both(settings: Settings, tmp_path: Path) -> None:
    both = TUNING.replace("metric: loss,", "metrics: {pnl: maximize, drawdown: minimize}, metric: drawdown,")
    with pytest.raises(SpecError, match="give metric and direction, or metrics with several of them, and not both"):
        ready(write(tmp_path, tuning=both), settings)
