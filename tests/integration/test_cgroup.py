"""Process trees where a cgroup was delegated to us: nothing gets away, however it tries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.process import cgroup
from orchestrator.process.launch_error import LaunchError
from orchestrator.process.procfs import ProcessIdentity
from orchestrator.process.remnants import kill_remnant
from orchestrator.process.tree import ProcessTree, use_pidfd_watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.process.output_pipe import Stream

pytestmark = pytest.mark.every_python

RUNAWAY = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        os.execve("/bin/sh", ["sh", "-c", "echo $$ > escaped.new; mv escaped.new escaped; sleep 600 & wait"], {})
    os._exit(0)
os.wait()
while not pathlib.Path("escaped").exists(): time.sleep(0.01)
print(pathlib.Path("/proc/self/cgroup").read_text(), flush=True)
"""
"""Leaves behind a process in a session of its own, with nothing in its environment, whose parent is gone."""


class Output:
    """An `OutputSink`."""

    def __init__(self) -> None:
        self.text = b""

    def feed(self, _: Stream, chunk: bytes) -> None:
        """Take it."""
        self.text += chunk

    def end(self, stream: Stream, complete: bool) -> None:  # noqa: FBT001 - as the protocol has it
        """Take no note."""


@pytest.fixture
def home() -> Iterator[Path]:
    """Be in a cgroup that was delegated to us."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    root = next((Path(line.split()[4]) for line in mounts if " - cgroup2 " in line), Path("/nowhere"))
    before = root / Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].splitlines()[0]
    made = before / f"orch-test-{uuid.uuid4().hex[:8]}"
    try:
        made.mkdir()
        os.setxattr(made, "user.delegate", b"1")
        (made / "cgroup.procs").write_text("0")
    except OSError as error:
        with suppress(OSError):
            made.rmdir()
        pytest.skip(f"no cgroup can be made here: {error}")
    cgroup.find_home.cache_clear()
    yield made
    (before / "cgroup.procs").write_text("0")
    cgroup.find_home.cache_clear()
    made.rmdir()  # nothing is left in it


def own() -> str:
    return Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()


def lives(pid: int) -> bool:
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


async def spawn(argv: tuple[str, ...], marker: str, cwd: Path, output: Output) -> ProcessTree:
    use_pidfd_watcher()
    return await ProcessTree.spawn(argv, env={"PATH": os.environ["PATH"]}, cwd=cwd, marker=marker, sink=output)


async def test_what_wipes_its_traces_is_still_in_its_cgroup(home: Path, tmp_path: Path) -> None:
    output, marker, mine = Output(), uuid.uuid4().hex, own()
    tree = await spawn((sys.executable, "-c", RUNAWAY), marker, tmp_path, output)
    assert own() == mine
    ended = await tree.wait()
    assert (ended.code, own()) == (0, mine)
    assert output.text.decode().strip().endswith(f"/job-{marker}")
    assert not lives(int((tmp_path / "escaped").read_text()))
    assert [path.name for path in home.iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("home")
async def test_a_remnant_that_wiped_its_traces_is_found_in_its_cgroup(tmp_path: Path) -> None:
    marker = uuid.uuid4().hex
    made = cgroup.Cgroup.make(marker)
    assert made
    with made.entered():
        left = subprocess.Popen([sys.executable, "-c", RUNAWAY], cwd=tmp_path, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - no loop's child
    left.wait()
    escaped = int((tmp_path / "escaped").read_text())
    assert lives(escaped)
    assert await kill_remnant(ProcessIdentity.of(0), marker)
    assert not lives(escaped)
    assert not made.path.exists()


async def test_what_cannot_be_started_leaves_no_cgroup(home: Path, tmp_path: Path) -> None:
    with pytest.raises(LaunchError):
        await spawn(("/nowhere/program",), "m", tmp_path, Output())
    assert [path.name for path in home.iterdir() if path.is_dir()] == []


async def test_a_tree_is_stopped_as_ever_and_cgroups_of_its_own_go_too(home: Path, tmp_path: Path) -> None:
    script = """
import pathlib, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
own = pathlib.Path(HOME, "deeper")
own.mkdir()
child = subprocess.Popen(["sleep", "600"])
(own / "cgroup.procs").write_text(str(child.pid))
pathlib.Path("ready").touch()
time.sleep(600)
"""
    program = f"HOME = {str(home / 'job-m')!r}\n{script}"
    tree = await spawn((sys.executable, "-c", program), "m", tmp_path, Output())
    async with asyncio.timeout(300):
        while not (tmp_path / "ready").exists():
            await asyncio.sleep(0.01)
        await tree.stop(timedelta(0))
        assert (await tree.wait()).signal == "SIGKILL"
    assert [path.name for path in home.iterdir() if path.is_dir()] == []


async def test_a_cgroup_that_lets_nobody_in_costs_no_job(home: Path, tmp_path: Path) -> None:
    (home / "job-m").mkdir()
    (home / "job-m" / "cgroup.type").write_text("threaded")  # processes cannot be moved into one
    output = Output()
    tree = await spawn(("echo", "here"), "m", tmp_path, output)
    assert (await tree.wait()).code == 0
    assert output.text == b"here\n"


@pytest.mark.usefixtures("home")
def test_nobody_is_killed_in_a_cgroup_that_we_are_in_ourselves() -> None:
    made = cgroup.Cgroup.make("m")
    assert made
    with made.entered():
        made.kill()
    made.remove()
    assert cgroup.Cgroup.make("no/name") is None


def test_where_nothing_was_delegated_nothing_is_made() -> None:
    cgroup.find_home.cache_clear()
    assert (cgroup.find_home(), cgroup.Cgroup.make("m"), cgroup.Cgroup.find("m")) == (None, None, None)
