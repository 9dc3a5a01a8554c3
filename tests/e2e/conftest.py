"""The real `orch`, as a user runs it: its own processes, an embedded store, a state directory that vanishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.settings import load_settings
from orchestrator.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE = 300  # seconds until a test gives up; none of them is about time

OBJECTIVE = """
import pathlib, time

HERE = pathlib.Path(__file__).parent

def score(params):
    with (HERE / "evaluated").open("a") as file:
        file.write(f"{params['x']!r}\\n")
    while (HERE / "hold").exists():
        time.sleep(0.02)
    if params["x"] > 0.6:
        raise ValueError("too\\x1b[31m large")
    return {"value": params["x"], "n": params["n"], "undefined": None}
"""

TUNING = """
tuning:
  method: random
  seed: 42
  search_space:
    x: {type: float, bounds: [0.0, 1.0]}
    n: {type: int, bounds: [1, 30]}
    kind: {type: categorical, choices: [a, "b c"]}
  objective: {kind: python, function: "objective:score", metric: value, direction: maximize}
"""

SESSION = """
session_id: demo
total_iterations: 6
workers: 2
config_path: tuning.yaml
base_output_csv: out/demo
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """A user in a directory with a session file, a tuning config and an objective."""

    cwd: Path
    environ: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *args: str, **environ: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *args],
            cwd=self.cwd,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        with (self.cwd / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *args],
                cwd=self.cwd,
                env=self.environ,
                text=True,
                **{"stdout": subprocess.PIPE, "stderr": stderr, **options},
            )
        self.started.append(process)
        return process

    def write(self, name: str, text: str) -> None:
        (self.cwd / name).write_text(text)

    def read(self, name: str) -> str:
        path = self.cwd / name
        return path.read_text() if path.exists() else ""

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.read("stderr")
            time.sleep(0.02)


def new_user(folder: Path, **environ: str) -> Cli:
    """A user with nothing yet, in an empty directory."""
    home = folder / "home"
    cwd = folder / "work"
    home.mkdir()
    cwd.mkdir()
    ours = ("COVERAGE", "NUMBA", "PATH", "PYTHON")
    own = {name: value for name, value in os.environ.items() if name.startswith(ours)}
    settings = {"HOME": str(home), "ORCH_STATE_DIR": str(folder / "state"), "ORCH_MAX_JOBS": "2"}
    return Cli(cwd, {**own, **settings, "ORCH_RETRY_BACKOFF": "10ms", "COLUMNS": "80", **environ})


@contextmanager
def user_in(folder: Path) -> Iterator[Cli]:
    user = new_user(folder)
    user.write("objective.py", OBJECTIVE)
    user.write("tuning.yaml", TUNING)
    user.write("session.yaml", SESSION)
    yield user
    for process in user.started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    if (folder / "state" / "redis").exists():  # a server whose user was killed is stopped by the next who leaves
        with open_store(load_settings(user.environ, user.cwd)):
            pass


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with user_in(tmp_path) as user:
        yield user


def run_demo(user: Cli) -> None:
    done = user("run", "session.yaml", "-o", "quiet")
    assert (done.code, done.out) == (0, "SUCCESS\n"), done.err + user("status", "demo", "-o", "json").out


@pytest.fixture
def own_finished(cli: Cli) -> Cli:
    """One finished session, `demo`, for a test that changes it: six iterations, of which two failed."""
    run_demo(cli)
    return cli


@pytest.fixture(scope="session")
def shared_finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """As `own_finished`, once for all tests that only look at it; its store runs all the time."""
    with user_in(tmp_path_factory.mktemp("finished")) as user:
        run_demo(user)
        with open_store(load_settings(user.environ, user.cwd)):
            yield user


@pytest.fixture
def finished(shared_finished: Cli) -> Iterator[Cli]:
    """As `own_finished`, to be looked at only."""
    files = sorted(shared_finished.cwd.rglob("*"))
    yield Cli(shared_finished.cwd, dict(shared_finished.environ))
    assert sorted(shared_finished.cwd.rglob("*")) == files
