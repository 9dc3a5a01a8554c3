"""Kills at what a worker does only now and then: a new column, a row that is owed, and the agreement after a death.

The worker has no hook for this. The test's own program wraps its steps, and forks for each of its lives.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.tuning import TUNING, assert_recorded_once, rows, write

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

ITERATIONS = 7
POINTS = [
    # Iteration 2 has a new metric: the CSV is written anew.
    *("before widen", "within widen", "before replace widen", "after replace widen"),
    # That row is in the CSV and not in the store, which the next life brings to agree.
    *("before reconcile", "before recommit", "after recommit", "after reconcile"),
    # Iteration 4 finds the disk full: its row is owed, and then in the store and not in the CSV.
    *("before owe", "after owe", "before owed commit", "after owed commit"),
    # The next lives bring that to agree: the disk is still full, and then there is room.
    *("before restore", "before settle", "no room"),
    *("within restore", "before replace restore", "after replace restore"),
    # Iteration 5: the store has forgotten what it confirmed of an iteration whose row is in the CSV.
    *("forgotten", "before recover", "after recover"),
    # Iteration 6 has a new metric again.
    "after widen",
]

LIVES = """
import errno, os, pathlib, signal, sys
from tuning_worker import __main__, run, standalone
from tuning_worker.records import csvfile, reconciling
from tuning_worker.records.records import Records

folder, wild, points = pathlib.Path("lives"), sys.argv[1] == "wild", sys.argv[2].split(",")
full, doing, iteration = folder / "full", "", 0

def point(name):
    if name in points and not (folder / name).exists():
        (folder / name).touch()
        if wild:
            os.kill(os.getpid(), signal.SIGKILL)

def wrap(owner, name, step):
    plain = getattr(owner, name)
    def wrapped(*given, **more):
        global doing
        before, doing = doing, step(*given) if callable(step) else step
        point("before " + doing)
        done = plain(*given, **more)
        point("after " + doing)
        doing = before
        return done
    setattr(owner, name, wrapped)

def begin(self, number, *given, plain=Records.begin):
    global iteration
    iteration = number
    if number == 4 and not (folder / "no room").exists():
        full.touch()
    return plain(self, number, *given)

def commit(self, number, *given, plain=Records.commit):
    if number == 5 and not (folder / "forgotten").exists() and wild:
        self.store.read("DEL", self.place(number).key(self.store.keys))
    if number == 5:
        point("forgotten")
    return plain(self, number, *given)

def settle(self, plain=Records.settle):
    why = plain(self)
    if why:
        full.unlink()
        point("no room")
    return why

def opened_csv(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}").endswith((".csv", ".csv.new"))

def write(descriptor, data, plain=os.write):
    if not opened_csv(descriptor):
        return plain(descriptor, data)
    if full.exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    written = plain(descriptor, data[:len(data) // 2 or 1])
    point("within " + doing)
    return written

def replace(self, target, plain=pathlib.Path.replace):
    point("before replace " + doing)
    plain(self, target)
    point("after replace " + doing)

os.write, pathlib.Path.replace = write, replace
Records.begin, Records.commit, Records.settle = begin, commit, settle

def rewriting(self, *_):
    return doing if doing == "restore" else "widen" if self._left else "make"

def committing(self, *_):
    return "recommit" if doing == "reconcile" else "owed commit" if self.csv._behind else "commit"

wrap(csvfile.IterationCsv, "_rewrite", rewriting)
wrap(csvfile.IterationCsv, "write", "restore")
wrap(csvfile.IterationCsv, "owe", "owe")
wrap(Records, "settle", "settle")
wrap(Records, "commit", committing)
wrap(reconciling, "_begin_recovered", "recover")
wrap(run, "reconcile", "reconcile")

folder.mkdir()
while True:
    life = os.fork()
    if life == 0:
        os._exit(__main__.main(sys.argv[3:]))
    code = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
    print(code, file=sys.stderr, flush=True)
    if code >= 0:
        sys.exit(code)
"""
OBJECTIVE = """
import os
def evaluate(params):
    late = {"2": {"late": 1}, "6": {"later": 2}}
    return {"loss": params["x"], **late.get(os.environ["ORCH_ITERATION"], {})}
"""


def ends(name: str, folder: Path, settings: Settings) -> list[int]:
    """Run a worker alone until it is done; return how each of its lives ended."""
    write(folder, OBJECTIVE, TUNING + "  seed: 7\n")
    argv = [sys.executable, "-c", LIVES, name, ",".join(POINTS), "--session-id", name, "--worker-id", "worker-1"]
    argv += ["--config", "tuning.yaml", "--iterations", str(ITERATIONS), "--env", settings.env]
    argv += ["--optimizer", "random", "--output-csv", "out/alone.csv"]
    env = {"HOME": str(folder), "ORCH_REDIS_URL": settings.redis_url or ""}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.stderr.replace("\n", "").replace("-", "").isdecimal(), done.stderr
    return [int(line) for line in done.stderr.splitlines()]


async def test_a_kill_at_what_is_rare_loses_and_doubles_nothing(
    store: RedisStore, settings: Settings, tmp_path: Path
) -> None:
    wild, calm = tmp_path / "wild", tmp_path / "calm"
    assert ends("calm", calm, settings) == [0]
    lives = ends("wild", wild, settings)
    assert {path.name for path in (wild / "lives").iterdir()} == set(POINTS)
    assert lives == [-9] * len(POINTS) + [0]
    for folder in (calm, wild):
        await assert_recorded_once(store, folder.name, folder, ITERATIONS)
        assert [path.name for path in (folder / "out").iterdir()] == ["alone.csv"]
    same, found = ([{**row, "timestamp": "", "session_id": ""} for row in rows(folder)] for folder in (calm, wild))
    assert found == same
    assert [row["status"] for row in found] == ["SUCCESS"] * 3 + ["FAILED"] + ["SUCCESS"] * 3
