"""The engine's machine code on disk: compiled once on a machine, by whoever comes first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tuning_worker.market import engine
from tuning_worker.market.kernel import caching, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

TRIAL = """
from tuning_worker.market.kernel import caching
@caching.entrance
def double(x):
    return 2 * x
with caching.one_at_a_time():
    assert double(21) == 42
print(sum(double.stats.cache_hits.values()), caching.FOLDER)
"""

TWICE = "import runpy\nfor _ in range(2): runpy.run_path('{}/trial.py')"
ENGINE = """
from tuning_worker.market import engine
from tuning_worker.market.kernel import play
from tuning_worker.market.parameters import make_strategy
from tuning_worker.market.rows import make_market
from tuning_worker.market.run import Venue
engine.warm_up()
venue = Venue(fee=0.0, impact=0.0, latency_ms=0, quote=0.0, base=0.0)
row = {name: [1.0] for name in ("ts", "bid_a", "ask_a", "bid_b", "ask_b")}
run = engine.simulate(make_market(row), (venue, venue), make_strategy({}, "", 1.0))
print(*(sum(counts.values()) for counts in (play.play.stats.cache_hits, play.play.stats.cache_misses)), run.net_pnl)
"""


def test_of_processes_that_start_together_one_compiles(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    argv = [sys.executable, str(tmp_path / "trial.py")]
    together = [subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[0].split() for process in together]
    assert sorted(hits for hits, _ in told) == ["0", "1", "1"]
    assert {folder for _, folder in told} == {str(next((tmp_path / "cache").iterdir()))}


def test_nobody_waits_for_ever_for_one_that_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "FOLDER", str(tmp_path))
    monkeypatch.setattr(caching, "PATIENCE", timedelta(milliseconds=50))
    entered = []
    with caching.one_at_a_time():
        thread = threading.Thread(target=lambda: entered.extend(_enter()), daemon=True)
        thread.start()
        thread.join(timeout=100)
        assert entered == ["entered"]


def _enter() -> Iterator[str]:
    with caching.one_at_a_time():
        yield "entered"


def test_the_engine_is_kept_there() -> None:
    engine.warm_up()
    assert caching.FOLDER is not None
    kept = list(Path(caching.FOLDER).rglob("play.play-*.nbi"))
    assert len(kept) >= 1
    assert play.play.nopython_signatures  # one kind of array, mapped or not: one compilation
    assert len(play.play.signatures) == 1


def test_another_source_is_another_version(tmp_path: Path) -> None:
    shutil.copytree(caching.HERE.parent, tmp_path / "market")
    copy = tmp_path / "market" / "kernel"
    before = caching.version_of(copy)
    assert before == caching.version_of(caching.HERE)
    for file in (copy / "legs.py", copy.parent / "data.py"):
        file.write_text(file.read_text() + "\n")
        assert caching.version_of(copy) != before
        before = caching.version_of(copy)


def test_the_users_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caching.cache_folder().parent == tmp_path / "orch" / "numba"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caching.cache_folder().parent == tmp_path / ".cache" / "orch" / "numba"


# --- where it cannot be kept -----------------------------------------------------------------------------------------

# What fills the disk of one process only: no file of it may grow beyond this. Python ignores the signal, and would
# leave half a .pyc behind.
FULL = "import resource, sys; sys.dont_write_bytecode = True; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"


def run(code: str, **environ: str) -> tuple[list[str], str]:
    """Run Python code with no more environment than this; return the words it printed, and what it said."""
    is_measured = FULL not in code  # what coverage would write is too large as well
    coverage = {name: value for name, value in os.environ.items() if is_measured and name.startswith("COVERAGE_")}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=coverage | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_without_a_place_for_it_each_process_compiles_for_itself_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    (tmp_path / "file").touch()
    told, said = run(TWICE.format(tmp_path), HOME=str(tmp_path / "file"))
    assert told == ["0", "None", "0", "None"]
    place = its_folder(tmp_path / "file" / ".cache" / "orch" / "numba")
    why = "the engine's machine code is not kept there (it cannot be written to): each process compiles for itself"
    assert said == f"warning: {place}: {why}\n"


def test_a_user_without_a_home_has_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    nobody = f"import os; os.getuid = lambda: 2**31; os.chdir({str(tmp_path)!r})\n"
    told, said = run(nobody + TWICE.format(tmp_path))
    assert told == ["0", "None", "0", "None"]
    assert said.startswith("warning: ~/.cache/orch/numba/")
    assert [each.name for each in tmp_path.iterdir()] == ["trial.py"]


def test_a_full_disk_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    told, said = run(f"{FULL}import runpy; runpy.run_path('{tmp_path}/trial.py')", NUMBA_CACHE_DIR=str(tmp_path))
    assert told[0] == "0"
    (line,) = said.splitlines()
    assert line.startswith(f"warning: {its_folder(tmp_path)}: the engine's machine code is not kept there (")
    assert kept(tmp_path) == {}


def test_what_is_damaged_is_compiled_again(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(TRIAL)
    again, environ = f"import runpy; runpy.run_path('{tmp_path}/trial.py')", {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert [run(again, **environ)[0][0] for _ in range(2)] == ["0", "1"]
    damaged = next(tmp_path.rglob("trial.double-*.nbi"))
    damaged.write_bytes(b"")
    told, said = run(again, **environ)
    assert told[0] == "0"
    assert "(EOFError(" in said


def test_the_engine_that_was_compiled_once_on_a_machine_is_loaded_by_every_process(tmp_path: Path) -> None:
    engine.warm_up()
    assert caching.FOLDER is not None
    ours = its_folder(tmp_path)
    for file in kept(Path(caching.FOLDER)):  # a copy, which no other test writes to
        copy = ours / Path(file).relative_to(caching.FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    first = kept(tmp_path)
    functions = {Path(name).name.split("-")[0] for name in first}
    assert {"play.play", "skim.extremes", "decisions.wish", "legs.fill", "prices.worth"} <= functions
    assert run(ENGINE, NUMBA_CACHE_DIR=str(tmp_path)) == (["1", "0", "0.0"], "")
    assert kept(tmp_path) == first  # it added nothing, and wrote nothing again


def kept(folder: Path) -> dict[str, int]:
    """The files of machine code there, each with when it was written."""
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*.nb[ci]")}


def its_folder(folder: Path) -> Path:
    return folder / f"engine-{caching.version_of(caching.HERE)}"
