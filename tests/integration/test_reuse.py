"""`on_duplicate: reuse` with several workers: one evaluates a point, the others wait for what comes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.domain.job import Status
from support.sessions import supervisor, until_file
from support.tuning import KILL_WORKER, TUNING, assert_recorded_once, recorded, submit, write

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

OBJECTIVE = """
import os, pathlib, signal, time
def evaluate(params):
    with open("evaluated", "a") as file: file.write(os.environ["ORCH_GLOBAL_INDEX"] + "\\n")
    if pathlib.Path("evaluated").read_text().count("\\n") > 1: return 0.5
    while not pathlib.Path("go").exists(): time.sleep(0.01)
    %s
"""
ONE_POINT = "tuning:\n  search_space:\n    n: {type: categorical, choices: [only]}\n  on_duplicate: reuse\n"
ONE_POINT += TUNING[TUNING.index("  objective") :]
TWO = {"workers": 2, "total_iterations": 4}


async def all_have_begun(store: RedisStore, session_id: str) -> None:
    """Wait until every worker has stored its first parameters."""
    while await store.read("HLEN", store.keys.candidates(session_id)) < len(await store.get_jobs(session_id)):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("first", "fields", "ends"),
    [
        ("raise ValueError('not yet')", {"workers": 3, "total_iterations": 6}, Status.SUCCESS),
        (KILL_WORKER, {}, Status.SUCCESS),
        (KILL_WORKER, {"max_attempts": 1}, Status.FAILED),
    ],
    ids=["fails", "is killed", "is killed for good"],
)
async def test_a_point_of_which_nothing_came_is_taken_over_by_one_of_those_who_waited(
    store: RedisStore,
    settings: Settings,
    tmp_path: Path,
    *,
    first: str,
    fields: dict[str, Any],
    ends: Status,
) -> None:
    path = write(tmp_path, OBJECTIVE % first, ONE_POINT, **{**TWO, **fields})
    session_id = await submit(store, settings, path)
    async with asyncio.timeout(60), supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await all_have_begun(store, session_id)
        (tmp_path / "go").touch()
    assert running.result() is ends
    assert len((tmp_path / "evaluated").read_text().split()) == 2
    results = await recorded(store, session_id)
    if ends is Status.SUCCESS:
        await assert_recorded_once(store, session_id, tmp_path, len(results))
    succeeded = [result for result in results if result["status"] == "SUCCESS"]
    assert {result["value"] for result in succeeded} == {0.5}
    keys = [store.keys.iteration("paper", session_id, each["worker_id"], each["iteration"]) for each in succeeded]
    origins = [await store.read("HGET", key, "reused_from") for key in keys]
    (first_of_all,) = [each for each, origin in zip(succeeded, origins, strict=True) if not origin]
    assert set(origins) == {None, f"{first_of_all['worker_id']}:{first_of_all['iteration']}"}


async def test_a_point_under_evaluation_is_waited_for_unless_told_to_stop(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path, OBJECTIVE % "return 0.5", ONE_POINT, **TWO)
    session_id = await submit(store, settings, path)
    async with asyncio.timeout(60), supervisor(store, settings) as made, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run_session(session_id))
        await all_have_begun(store, session_id)
        await until_file(tmp_path / "evaluated")
        made.interrupt()
        while sorted(job.reason for job in await store.get_jobs(session_id)) != ["", "interrupted"]:
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
    assert running.result() is Status.RUNNING
    async with asyncio.timeout(60), supervisor(store, settings) as made:
        assert await made.run_session(session_id) is Status.SUCCESS
    assert len((tmp_path / "evaluated").read_text().split()) == 1
    await assert_recorded_once(store, session_id, tmp_path, 4)
