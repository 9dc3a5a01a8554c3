"""Sessions with a pruner: what it stops is recorded as that, and what it does not stop is as it is without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.errors import StateError
from orchestrator.store import calls
from support.sessions import supervisor, until_file
from support.tuning import TUNING, assert_recorded_once, recorded, submit, write
from tuning_worker.pruner import Course, Pruner, make_bars, read_bars

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = pytest.mark.usefixtures("unmeasured")

OBJECTIVE = """
import os, pathlib, random, time
def evaluate(params):
    g, gate = os.environ["ORCH_GLOBAL_INDEX"], os.environ.get("GATE", "999")
    time.sleep(random.Random(os.environ.get("TIMINGS", "") + g).random() / 50)
    if g == gate:
        pathlib.Path("in").touch()
        while not pathlib.Path("go").exists(): time.sleep(0.01)
    while os.environ.get("OTHERS") and int(g) > int(gate) and not pathlib.Path("in").exists(): time.sleep(0.01)
    if params["n"] == 5: raise ValueError("five is too many")
    loss = (params["x"] - 0.3) ** 2
    notes = open("evaluations", "a")
    try:
        for fold in range(1, 5):
            yield {"loss": loss * fold / 3}
        return {"loss": loss * 5 / 3, "size": params["n"]}
    finally:
        notes.write(f"{g}:{fold}\\n")
        notes.close()
"""
PRUNER = {"startup_iterations": 4, "warmup_folds": 1, "percentile": 50}
PRUNED = f"{TUNING}  pruner: {json.dumps(PRUNER)}\n"
BATCH = {"schedule": "batch", "workers": 3, "total_iterations": 20}


async def finish(store: RedisStore, settings: Settings, session_id: str) -> Status:
    async with asyncio.timeout(300), supervisor(store, settings) as made:
        return await made.run_session(session_id)


async def run(store: RedisStore, settings: Settings, path: Path) -> str:
    session_id = await submit(store, settings, path)
    assert await finish(store, settings, session_id) is Status.SUCCESS
    return session_id


async def record_of(store: RedisStore, session_id: str, result: dict[str, Any]) -> dict[str, str]:
    key = store.keys.iteration("paper", session_id, result["worker_id"], result["iteration"])
    record: dict[str, str] = await store.read("HGETALL", key)
    return record


def told(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All that is said of each iteration but when it was."""
    return [{**result, "timestamp": ""} for result in results]


async def test_what_goes_on_has_the_value_that_it_has_without_a_pruner(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    plain_id = await run(store, settings, write(tmp_path / "plain", OBJECTIVE, total_iterations=30))
    path = write(tmp_path / "pruned", OBJECTIVE, PRUNED, total_iterations=30)
    session_id = await run(store, settings, path)
    plain, results = await recorded(store, plain_id), await recorded(store, session_id)
    await assert_recorded_once(store, session_id, path.parent, 30)
    pruned = [result for result in results if result["status"] == "PRUNED"]
    assert 5 <= len(pruned) <= 20
    for before, result in zip(plain, results, strict=True):
        assert result["params"] == before["params"]
        if result["status"] == "PRUNED":
            assert before["status"] == "SUCCESS"
            assert (result["value"], result["metrics"]) == (None, {})
            assert result["intermediate"] == before["intermediate"][: len(result["intermediate"])]
        else:
            assert told([result]) == told([before])  # the same to the last bit, or failed for the same reason
    fields, before = await store.get_session(session_id), await store.get_session(plain_id)
    assert int(fields["pruned_iterations"]) == len(pruned)
    assert fields["failed_iterations"] == before["failed_iterations"] != "0"
    assert json.loads(fields["best"])["g"] == json.loads(before["best"])["g"]
    # The objective is closed where it was stopped, and nowhere else.
    stops = dict(line.split(":") for line in (path.parent / "evaluations").read_text().splitlines())
    assert {int(g): int(fold) for g, fold in stops.items()} == {
        result["g"]: len(result["intermediate"]) for result in results if result["status"] != "FAILED"
    }


async def test_every_verdict_follows_from_the_bars_that_are_recorded_with_it(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    session_id = await run(store, settings, write(tmp_path, OBJECTIVE, PRUNED, total_iterations=30))
    for result in await recorded(store, session_id):
        record = await record_of(store, session_id, result)
        bars = read_bars(record["bars"])
        assert len(bars) <= 4
        if result["status"] == "FAILED":
            assert "intermediate" not in record
            continue
        values = json.loads(record["intermediate"])
        assert values == result["intermediate"]
        missed = [bar and not bar.is_reached(value, "minimize") for bar, value in zip(bars, values, strict=False)]
        stopped = result["status"] == "PRUNED"
        assert [fold for fold, miss in enumerate(missed, 1) if miss] == ([len(values)] if stopped else [])
        assert (record["kind"], bool(record["reason"])) == ("", stopped)
        if stopped:
            bar = bars[len(values) - 1]
            assert bar
            assert record["reason"] == (
                f"loss was {values[-1]:g} after fold {len(values)}, and the best {bar.rank} of {bar.of} iterations "
                f"before had {bar.value:g} or less"
            )


async def test_to_be_pruned_is_no_failure(store: RedisStore, settings: Settings, tmp_path: Path) -> None:
    """Each is worse than the one before, so all but the first are pruned."""
    objective = """
import os
def evaluate(params):
    yield int(os.environ["ORCH_GLOBAL_INDEX"])
    return 0
"""
    tuning = TUNING + "  pruner: {startup_iterations: 1, warmup_folds: 0}\n"
    path = write(tmp_path, objective, tuning, workers=1, total_iterations=8, max_failures=1)
    session_id = await run(store, settings, path)
    await assert_recorded_once(store, session_id, tmp_path, 8)
    assert [result["status"] for result in await recorded(store, session_id)] == ["SUCCESS"] + ["PRUNED"] * 7
    (job,) = await store.get_jobs(session_id)
    assert (job.status, job.recorded, job.failed, job.reason) == ("SUCCESS", 8, 0, "")
    with pytest.raises(StateError, match="failed or was cancelled"):
        await store.do(calls.retry(store.keys, session_id, "test", utc_now()))


@pytest.mark.parametrize("optimizer", ["bayesian", "random"])
async def test_a_batch_is_the_same_whatever_its_timings_and_deaths(
    store: RedisStore, settings: Settings, tmp_path: Path, optimizer: str
) -> None:
    path = write(tmp_path / "calm", OBJECTIVE, PRUNED, **BATCH, optimizer=optimizer, env_vars={"TIMINGS": "a"})
    calm = await recorded(store, await run(store, settings, path))
    killed = tmp_path / "killed"
    variables = {"TIMINGS": "b", "GATE": "13"}
    session_id = await submit(
        store, settings, write(killed, OBJECTIVE, PRUNED, **BATCH, optimizer=optimizer, env_vars=variables)
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(finish(store, settings, session_id))
        await until_file(killed / "in")
        for job in await store.get_jobs(session_id):
            os.kill(job.pid or 0, signal.SIGKILL)
        (killed / "go").touch()
    assert running.result() is Status.SUCCESS
    await assert_recorded_once(store, session_id, killed, 20)
    wild = await recorded(store, session_id)
    assert told(wild) == told(calm)
    assert {result["status"] for result in wild} == {"SUCCESS", "FAILED", "PRUNED"}
    # And each was judged by the rounds before its own, as anybody can compute again.
    for result in wild:
        first = result["g"] - result["g"] % 3
        known = [
            Course(each["intermediate"], each["status"] == "PRUNED")
            for each in wild
            if each["g"] < first and "intermediate" in each
        ]
        record = await record_of(store, session_id, result)
        assert read_bars(record["bars"]) == make_bars(known, "minimize", Pruner(**PRUNER))


async def test_an_iteration_that_is_begun_again_has_the_bars_that_it_had(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path, OBJECTIVE, PRUNED, total_iterations=24, workers=2, env_vars={"GATE": "12", "OTHERS": "wait"})
    session_id = await submit(store, settings, path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(finish(store, settings, session_id))
        await until_file(tmp_path / "in")
        one, _ = await store.get_jobs(session_id)
        while (await store.get_jobs(session_id))[1].recorded < 12:
            await asyncio.sleep(0.01)
        before = await record_of(store, session_id, {"worker_id": one.worker_id, "iteration": 7})
        os.kill(one.pid or 0, signal.SIGKILL)
        (tmp_path / "go").touch()
    assert running.result() is Status.SUCCESS
    assert [job.attempt for job in await store.get_jobs(session_id)] == [2, 1]
    results = await recorded(store, session_id)
    after = await record_of(store, session_id, results[12])
    assert (after["attempt"], before["attempt"]) == ("2", "1")
    assert after["bars"] == before["bars"]
    of = max(bar.of for bar in read_bars(after["bars"]) if bar)
    known = [each for each in results if "intermediate" in each and (each["g"] < 12 or each["g"] % 2)]
    assert of < len(known)  # when it was begun again, it would have been compared with more


async def test_what_was_pruned_is_not_reused_and_what_is_reused_has_the_course_of_its_twin(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    space = "tuning:\n  search_space:\n    x: {type: float, bounds: [0.0, 1.0], step: 0.1}\n    n: 1\n"
    tuning = f"{space}  on_duplicate: reuse\n{PRUNED[PRUNED.index('  objective') :]}"
    path = write(tmp_path, OBJECTIVE, tuning, total_iterations=24, workers=1)
    session_id = await run(store, settings, path)
    await assert_recorded_once(store, session_id, tmp_path, 24)
    results = await recorded(store, session_id)
    records = [await record_of(store, session_id, result) for result in results]
    reused = [(result, record) for result, record in zip(results, records, strict=True) if "reused_from" in record]
    assert reused
    for result, record in reused:
        twin = results[int(record["reused_from"].partition(":")[2]) - 1]
        assert twin["status"] == result["status"] == "SUCCESS"
        assert (twin["value"], twin["intermediate"]) == (result["value"], result["intermediate"])
        assert record["bars"] == ""  # nothing was evaluated by any
    evaluated = (tmp_path / "evaluations").read_text().splitlines()
    assert len(evaluated) == 24 - len(reused)
    assert {result["status"] for result in results} == {"SUCCESS", "PRUNED"}
