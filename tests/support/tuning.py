"""Tuning sessions of a test's own objective: submitted to a real store, and what was recorded of them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestrator.clock import utc_now
from orchestrator.submission import prepare, read_session_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain.record import Submission
    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

TUNING = """
tuning:
  search_space:
    x: {type: float, bounds: [0.0, 1.0]}
    n: {type: int, bounds: [1, 5]}
    c: {type: categorical, choices: [slow, fast]}
  objective: {kind: python, function: "%s:evaluate", metric: loss, direction: minimize}
"""
PLAIN = """
def evaluate(params):
    return {"loss": (params["x"] - 0.3) ** 2, "size": params["n"]}
"""

KILL_WORKER = 'os.kill(int(open(f"/proc/{os.getppid()}/stat").read().split()[3]), signal.SIGKILL)'
"""In an objective: its parent is a guard, whose parent is the worker."""


def write(folder: Path, objective: str = PLAIN, tuning: str = TUNING, **fields: Any) -> Path:
    """Write a session file, its tuning config and its objective; return the session file."""
    folder.mkdir(exist_ok=True)
    module = f"objective_{uuid4().hex[:8]}"
    (folder / f"{module}.py").write_text(objective)
    (folder / "tuning.yaml").write_text(tuning % module)
    given = {
        "session_id": f"w-{uuid4().hex[:8]}",
        "total_iterations": 6,
        "workers": 2,
        "optimizer": "random",
        "config_path": "tuning.yaml",
        "base_output_csv": "out/s",
        "seed": 7,  # so that no draw of a random session id decides a test
        "grace": 20,
    }
    path = folder / "session.yaml"
    path.write_text(json.dumps({**given, **fields}))
    return path


def ready(path: Path, settings: Settings) -> Submission:
    """Check a session file as `orch submit` does."""
    return prepare(read_session_file(path, {"env": settings.env}), settings, path.parent)


async def submit(store: RedisStore, settings: Settings, path: Path) -> str:
    """Submit a session file; return the session's id."""
    submission = ready(path, settings)
    jobs = submission.jobs(lambda: str(uuid4()))
    session_id = submission.spec.session_id
    await store.submit(session_id, submission.record(jobs, utc_now()), [job.to_hash() for job in jobs])
    return session_id


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of all CSVs."""
    found: list[dict[str, str]] = []
    for path in sorted((folder / "out").glob("*.csv")):
        with path.open(newline="") as lines:
            found += csv.DictReader(lines)
    return found


async def recorded(store: RedisStore, session_id: str) -> list[dict[str, Any]]:
    """Return the session's results by g."""
    entries = await store.read("XRANGE", store.keys.results(session_id), "-", "+")
    return sorted((json.loads(fields["result"]) for _, fields in entries), key=lambda result: int(result["g"]))


async def assert_recorded_once(store: RedisStore, session_id: str, folder: Path, total: int) -> None:
    """The promise: every iteration once, in the store, its stream and the CSV, and all of them say the same."""
    results = await recorded(store, session_id)
    assert [result["g"] for result in results] == list(range(total))
    fields = await store.get_session(session_id)
    assert int(fields["completed_iterations"]) == total
    table = {(row["worker_id"], int(row["iteration"])): row for row in rows(folder)}
    assert len(table) == len(rows(folder)) == total
    for result in results:
        row = table[result["worker_id"], result["iteration"]]
        key = store.keys.iteration("paper", session_id, result["worker_id"], result["iteration"])
        record = await store.read("HGETALL", key)
        assert row["status"] == record["status"] == result["status"]
        assert row["timestamp"] == record["timestamp"] == result["timestamp"]
        assert row["value"] == record["value"] == ("" if result["value"] is None else str(result["value"]))
        for name, value in result["params"].items():
            assert row[f"params_{name}"] == record[f"params_{name}"] == str(value)
        for name, value in result["metrics"].items():
            assert row[f"metrics_{name}"] == record[f"metrics_{name}"] == ("" if value is None else str(value))


def begin_worker(
    folder: Path, *more: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Start a worker alone, as session `alone`, in a folder that `write` has filled."""
    argv = [*before, sys.executable, "-m", "tuning_worker", "--session-id", "alone", "--worker-id", "worker-1"]
    argv += ["--config", "tuning.yaml", "--mode", "paper", "--env", "local", "--optimizer", "random"]
    argv += ["--output-csv", "out/alone.csv", *more]
    given = {"PATH": os.environ["PATH"], "HOME": str(folder), "ORCH_STATE_DIR": str(folder / "state"), **(env or {})}
    given |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return subprocess.Popen(argv, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
