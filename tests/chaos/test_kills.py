"""Killed at random moments (worker, evaluator, store, supervisor), a session ends as if nothing had happened.

What is random follows from a seed that the test's name shows; set ORCH_CHAOS_SEEDS to try more of them.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TOTAL, WORKERS, KILLS = 36, 3, 6
SEEDS = range(int(os.environ.get("ORCH_CHAOS_SEEDS", "2")))

OBJECTIVE = """
import time

def score(params):
    time.sleep(0.05)
    return {"value": params["x"]}
"""
TUNING = """
tuning:
  search_space: {x: {type: float, bounds: [0.0, 1.0]}}
  objective: {kind: python, function: "objective:score", metric: value, direction: maximize}
"""
SESSION = f"""
session_id: chaos
total_iterations: {TOTAL}
workers: {WORKERS}
optimizer: random
config_path: tuning.yaml
base_output_csv: out/chaos
max_attempts: 100
grace: 5
"""


@dataclass
class Scene:
    """A state directory, a session file, and one supervisor that is started again whenever it is killed."""

    folder: Path
    verb: str
    supervisor: subprocess.Popen[bytes] | None = None
    killed: list[str] = field(default_factory=list)
    logged_before: int = 0

    @property
    def environ(self) -> dict[str, str]:
        return {  # without coverage: what is killed writes none down, and it takes half as long again
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ORCH_STATE_DIR": str(self.folder / "state"),
            "ORCH_RETRY_BACKOFF": "10ms",
            "ORCH_MAX_JOBS": str(WORKERS),
        }

    def orch(self, *args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "orchestrator", *args]
        return subprocess.run(
            argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self) -> None:
        args = ["daemon"] if self.verb == "daemon" else ["run", "session.yaml", "-o", "quiet"]
        with (self.folder / "stderr").open("ab") as stderr:
            self.logged_before = stderr.tell()
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *args],
                cwd=self.folder,
                env=self.environ,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def processes(self) -> dict[str, list[int]]:
        """Return the living processes of this scene, by what they are."""
        found: dict[str, list[int]] = {"worker": [], "evaluator": [], "store": [], "supervisor": []}
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or str(self.folder).encode() not in (entry / "environ").read_bytes():
                    continue
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            pid = int(entry.name)
            if b"redis.sock" in command or b"valkey" in command:
                found["store"].append(pid)
            elif b"tuning_worker.evaluation.child" in command:
                found["evaluator"].append(pid)
            elif b"tuning_worker\0--session-id" in command:  # not the check before a session begins
                found["worker"].append(pid)
            elif self.supervisor and pid == self.supervisor.pid:
                found["supervisor"].append(pid)
        return found

    def rows(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for path in (self.folder / "out").glob("chaos_*.csv"):
            with path.open(newline="") as lines:
                found += csv.DictReader(lines)
        return found

    def until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline, f"{what}\nkilled: {self.killed}\n{(self.folder / 'stderr').read_text()}"
            time.sleep(0.01)

    def serves(self) -> bool:
        """Whether the supervisor that was started last serves: what it logs follows what its predecessors logged."""
        log = (self.folder / "stderr").read_bytes()[self.logged_before :]
        return b'"event": "daemon.ready"' in log

    def kill_one(self, chance: random.Random) -> None:
        """Kill something that lives; a supervisor is started again."""
        victim = chance.choice(["worker", "evaluator", "store", "supervisor"])
        self.until(lambda: self.processes()[victim] or len(self.rows()) >= TOTAL, f"no {victim} to kill")
        for pid in self.processes()[victim][:1]:
            self.killed.append(victim)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it ended by itself in this moment
                continue
        if victim == "supervisor" and self.supervisor:
            self.supervisor.wait()
            self.start()


@pytest.mark.parametrize("verb", ["run", "daemon"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_survives(tmp_path: Path, verb: str, seed: int) -> None:
    (tmp_path / "objective.py").write_text(OBJECTIVE)
    (tmp_path / "tuning.yaml").write_text(TUNING)
    (tmp_path / "session.yaml").write_text(SESSION)
    chance = random.Random(f"{verb} {seed}")  # noqa: S311 - no secret
    scene = Scene(tmp_path, verb)
    scene.start()
    if verb == "daemon":
        submitted = scene.orch("submit", "session.yaml")
        assert submitted.returncode == 0, submitted.stderr
    for _ in range(KILLS):
        before, more = len(scene.rows()), chance.randrange(4)
        scene.until(lambda: len(scene.rows()) >= min(before + more, TOTAL), "no progress")  # noqa: B023 - called at once
        scene.kill_one(chance)
    if verb == "run":
        scene.until(lambda: scene.supervisor and scene.supervisor.poll() is not None, "run goes on for ever")
        assert scene.supervisor
        assert scene.supervisor.returncode in {0, 5}, (tmp_path / "stderr").read_text()  # 5: it was killed when done
    else:
        waited = scene.orch("wait", "chaos", "--timeout", "250")
        assert waited.returncode == 0, waited.stderr + (tmp_path / "stderr").read_text()
        assert scene.supervisor
        scene.until(scene.serves, "the daemon never became ready")  # before that a TERM just ends it
        scene.supervisor.terminate()
        assert scene.supervisor.wait(300) == 0, (tmp_path / "stderr").read_text()
    assert_all_recorded_once(scene)
    scene.until(lambda: not any(scene.processes().values()), "processes are left")


def assert_all_recorded_once(scene: Scene) -> None:
    status = json.loads(scene.orch("status", "chaos", "-o", "json").stdout)
    assert (status["status"], status["completed_iterations"]) == ("SUCCESS", TOTAL), scene.killed
    results = [
        json.loads(line) for line in scene.orch("results", "chaos", "-o", "jsonl", "--top", "999").stdout.splitlines()
    ]
    assert sorted(result["g"] for result in results) == list(range(TOTAL))
    rows = {(row["worker_id"], int(row["iteration"])): row for row in scene.rows()}
    assert len(rows) == len(scene.rows()) == TOTAL
    for result in results:
        row = rows[result["worker_id"], result["iteration"]]
        assert row["status"] == result["status"]
        if result["status"] == "SUCCESS":
            assert row["params_x"] == repr(result["params"]["x"])
