"""A disk that is full while the CSV or the store is written: a small one of the test's own; only the worker sees it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.clock import utc_now
from orchestrator.settings import load_settings
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.redis import RedisStore
from support.tuning import assert_recorded_once, begin_worker, recorded, write

if TYPE_CHECKING:
    from orchestrator.settings import Settings

NAMESPACE = ("unshare", "-m", "--propagation", "private") if os.geteuid() == 0 else ("unshare", "-Urm")
TUNING = """
tuning:
  search_space:
    x: {type: float, bounds: [0.0, 1.0]}
    c: {type: categorical, choices: [%s]}
  objective: {kind: python, function: "%%s:evaluate", metric: loss, direction: minimize}
""" % ("long" * 2000)  # a row is longer than a page: the file system gives room by the page
FILLS = """
import os
def evaluate(params):
    if os.environ["ORCH_ITERATION"] == "3":
        with open("out/filler", "wb") as filler:
            try:
                while True: filler.write(bytes(4096)); filler.flush()
            except OSError: pass
    return {"loss": params["x"]}
"""


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> tuple[str, ...]:
    """What to begin a command with, so that its folder `out` is a disk of 1 MiB; what is there is kept in the end."""
    (tmp_path / "out").mkdir()
    begin = f"mount -t tmpfs -o size=1m tmpfs {tmp_path / 'out'}"
    end = f"code=$?; cp -a out {tmp_path / 'kept'}; exit $code"
    command = (*NAMESPACE, "sh", "-c", f'{begin} && "$@"; {end}', "sh")
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, cwd=tmp_path)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a file system of their own")
    (tmp_path / "kept").rmdir()
    return command


async def test_a_full_disk_fails_one_iteration_and_the_rest_waits_for_room(
    store: RedisStore, settings: Settings, tmp_path: Path, on_a_small_disk: tuple[str, ...]
) -> None:
    write(tmp_path, FILLS, TUNING)
    given = {"ORCH_REDIS_URL": settings.redis_url or ""}
    more = ("--iterations", "5", "--env", settings.env)
    with begin_worker(tmp_path, *more, env=given, before=on_a_small_disk) as worker:
        assert worker.stdout
        said = next(json.loads(line) for line in worker.stdout if "csv.no_room" in line)
        assert said["error"] == "out/alone.csv cannot be written: No space left on device"
        results = await recorded(store, "alone")
        assert [result["status"] for result in results] == ["SUCCESS", "SUCCESS", "FAILED"]
        assert (results[2]["value"], results[2]["reason"]) == (None, f"disk_full: {said['error']}")
        out = Path(f"/proc/{worker.pid}/root") / (tmp_path / "out").relative_to("/")
        assert len((out / "alone.csv").read_text().splitlines()) == 3  # nothing of the third row stays
        (out / "filler").unlink()
        worker.communicate(timeout=300)
    assert worker.returncode == 0
    (tmp_path / "out").rmdir()
    (tmp_path / "kept").rename(tmp_path / "out")
    await assert_recorded_once(store, "alone", tmp_path, 5)
    assert [result["g"] for result in await recorded(store, "alone") if result["status"] == "FAILED"] == [2]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["alone.csv"]


async def test_a_store_on_the_same_full_disk_goes_on_when_there_is_room(
    tmp_path: Path, on_a_small_disk: tuple[str, ...]
) -> None:
    write(tmp_path, FILLS, TUNING)
    env = {"ORCH_STATE_DIR": "out/state"}
    with begin_worker(tmp_path, "--iterations", "5", env=env, before=on_a_small_disk) as worker:
        out = Path(f"/proc/{worker.pid}/root") / (tmp_path / "out").relative_to("/")
        pid = out / "state" / "redis" / "redis.pid"
        async with asyncio.timeout(60):
            while not (pid.exists() and pid.read_text().endswith("\n")):
                await asyncio.sleep(0.01)
            server = Path("/proc", pid.read_text().strip())
            while server.exists():  # it cannot write what it would confirm
                await asyncio.sleep(0.01)
        (out / "filler").unlink()
        worker.communicate(timeout=100)
    assert worker.returncode == 0
    (tmp_path / "out").rmdir()
    (tmp_path / "kept").rename(tmp_path / "out")
    settings = load_settings({"HOME": str(tmp_path), "ORCH_STATE_DIR": str(tmp_path / "out/state")}, tmp_path)
    with open_store(settings) as address:
        async with RedisStore(address.url, Keys("local"), utc_now, settings.retention, address.revive) as store:
            await assert_recorded_once(store, "alone", tmp_path, 5)
            results = await recorded(store, "alone")
    assert [result["reason"].partition(":")[0] for result in results] == ["", "", "disk_full", "", ""]
