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
        thread.join(timeout=20)
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


def test_the_users_cache_is_the_default_and_what_cannot_be_written_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caching.cache_folder().parent == tmp_path / "orch" / "numba"
    (tmp_path / "file").touch()
    assert caching.usable(tmp_path / "file" / "engine") is None
    monkeypatch.setattr(caching, "FOLDER", None)
    with caching.one_at_a_time():
        pass
