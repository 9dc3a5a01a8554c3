"""A process tree, with real and nasty processes: it streams all they write, stops all they start, and nobody else."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import math
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.process import procfs, remnants
from orchestrator.process.launch_error import LaunchError
from orchestrator.process.orphans import adopts_orphans, become_subreaper
from orchestrator.process.procfs import ProcessIdentity
from orchestrator.process.remnants import RemnantError, kill_remnant
from orchestrator.process.tree import Exit, ProcessTree, use_pidfd_watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from orchestrator.process.output_pipe import Stream

pytestmark = pytest.mark.every_python

NOW = timedelta(0)
SOON = timedelta(seconds=0.3)
NEVER = timedelta(hours=1)
PR_SET_CHILD_SUBREAPER = 36


class Recorder:
    """An `OutputSink` that keeps everything and lets a test wait for some of it."""

    def __init__(self) -> None:
        self.output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.ends: list[tuple[Stream, bool]] = []
        self._fed = asyncio.Event()

    def feed(self, stream: Stream, chunk: bytes) -> None:
        self.output[stream] += chunk
        self._fed.set()

    def end(self, stream: Stream, complete: bool) -> None:  # noqa: FBT001 - as the protocol has it
        self.ends.append((stream, complete))

    async def lines(self, count: int) -> list[str]:
        """Wait for whole lines of stdout."""
        while self.output["stdout"].count(b"\n") < count:
            self._fed.clear()
            await self._fed.wait()
        return self.output["stdout"].decode().splitlines()


class Launcher:
    """Starts trees for a test, all with one marker."""

    def __init__(self, cwd: Path) -> None:
        self.marker = uuid.uuid4().hex
        self.cwd = cwd
        self.sink = Recorder()
        self._trees: list[ProcessTree] = []

    async def argv(self, *argv: str, **options: Any) -> ProcessTree:
        settings: dict[str, Any] = {"env": {"PATH": os.environ["PATH"]}, "cwd": self.cwd, "sink": self.sink}
        self._trees.append(await ProcessTree.spawn(argv, marker=self.marker, **(settings | options)))
        return self._trees[-1]

    async def sh(self, script: str, **options: Any) -> ProcessTree:
        return await self.argv("sh", "-c", script, **options)

    async def python(self, script: str, **options: Any) -> ProcessTree:
        return await self.argv(sys.executable, "-c", f"import os, signal, sys, time\n{script}", **options)

    async def clear(self) -> None:
        """Leave nothing behind of a test that failed, or the next one is told of it and fails too."""
        for pid in self.survivors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for tree in self._trees:
            await tree.wait()

    def survivors(self) -> list[int]:
        """Every living process with the marker, as somebody else would look for them."""
        mark = f"ORCH_JOB_ID={self.marker}".encode()
        # Not by a glob over `[0-9]*/environ`: it raises ESRCH for a process that ends while it looks.
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and mark in read_quietly(path / "environ")
        ]


def read_quietly(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def lives(pid: int) -> bool:
    stat = read_quietly(Path(f"/proc/{pid}/stat"))
    return bool(stat) and b") Z " not in stat


def open_files() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        with suppress(OSError):
            found[os.readlink(f"/proc/self/fd/{name}").partition(":")[0]] += 1  # noqa: PTH115 - no path
    return found


@pytest.fixture(params=["adopting", "scanning"])
def adopting(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Run a test as a supervisor does, which is handed the orphans, and without."""
    if request.param == "adopting":
        become_subreaper()
    assert adopts_orphans() == (request.param == "adopting")
    yield request.param == "adopting"
    for pid in procfs.children(os.getpid()):
        os.waitpid(pid, os.WNOHANG)  # the dead that would have been collected in time
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
async def launch(adopting: bool, tmp_path: Path) -> AsyncIterator[Launcher]:  # noqa: ARG001, FBT001 - a fixture
    before = open_files()
    use_pidfd_watcher()
    launcher = Launcher(tmp_path)
    yield launcher
    await launcher.clear()
    assert open_files() - before - Counter({"anon_inode": 1, "socket": 2}) == Counter()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


# --- what a process is given, and what it writes -------------------------------------------------------------------


async def test_it_has_the_environment_it_is_given_a_group_of_its_own_and_nothing_to_read(launch: Launcher) -> None:
    tree = await launch.python(
        "print(sorted(os.environ.items()), os.getcwd(), os.getpgid(0) == os.getpid(), sys.stdin.read(), "
        "sorted(map(int, os.listdir('/proc/self/fd')))[:-1], sep='|', end='')",
        env={"B": "2", "ORCH_JOB_ID": "another's"},
    )
    assert await tree.wait() == Exit(0, None, output_complete=True)
    environment = sorted({"B": "2", "ORCH_JOB_ID": launch.marker}.items())
    seen = launch.sink.output["stdout"].decode().replace("('LC_CTYPE', 'C.UTF-8'), ", "")
    assert seen.replace(", ('LC_CTYPE', 'C.UTF-8')", "") == f"{environment}|{launch.cwd}|True||[0, 1, 2]"
    assert sorted(launch.sink.ends) == [("stderr", True), ("stdout", True)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", Exit(0, None, output_complete=True)),
        ("exit 3", Exit(3, None, output_complete=True)),
        ("kill -SEGV $$", Exit(None, "SIGSEGV", output_complete=True)),
        ("kill -40 $$", Exit(None, f"SIGRTMIN+{40 - signal.SIGRTMIN}", output_complete=True)),
    ],
)
async def test_it_says_how_it_ended_as_often_as_it_is_asked(launch: Launcher, script: str, expected: Exit) -> None:
    tree = await launch.sh(script)
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(tree.wait()) for _ in range(3)]
    assert {waiter.result() for waiter in waiters} == {expected}
    assert await tree.wait() == expected


async def test_a_hundred_megabytes_arrive_to_the_byte(launch: Launcher) -> None:
    class Counting(Recorder):
        received = 0

        def feed(self, stream: Stream, chunk: bytes) -> None:
            del stream
            self.received += len(chunk)

    sink = Counting()
    tree = await launch.sh("yes | head -c 100000000; head -c 12345 /dev/zero >&2", sink=sink)
    assert await tree.wait() == Exit(0, None, output_complete=True)
    assert sink.received == 100_012_345


async def test_bytes_arrive_as_they_are_and_in_order(launch: Launcher) -> None:
    tree = await launch.python(
        "for n in range(2000): os.write(1, bytes([n % 256, 0xff, 10])); os.write(2, b'\\xc3' * (n % 3))"
    )
    await tree.wait()
    assert launch.sink.output["stdout"] == b"".join(bytes([n % 256, 0xFF, 10]) for n in range(2000))
    assert launch.sink.output["stderr"] == b"".join(b"\xc3" * (n % 3) for n in range(2000))


async def test_a_child_that_closes_its_output_goes_on(launch: Launcher) -> None:
    tree = await launch.python("os.write(1, b'bye\\n'); os.close(1); os.close(2); signal.pause()")
    await until(lambda: len(launch.sink.ends) == 2)
    assert tree.identity.is_alive()
    await tree.stop(NEVER)
    assert await tree.wait() == Exit(None, "SIGTERM", output_complete=True)


@pytest.mark.parametrize("broken", ["feed", "end"])
async def test_a_broken_sink_costs_the_output_and_not_the_job(launch: Launcher, broken: str) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    setattr(launch.sink, broken, fail)
    tree = await launch.sh("head -c 300000 /dev/zero; exit 4")
    assert await tree.wait() == Exit(4, None, output_complete=False)
    assert {type(context["exception"]) for context in told} == {ZeroDivisionError}
    assert len(told) == (1 if broken == "feed" else 2), "each stream tells once"


async def test_fifty_at_once_leave_no_file_open_and_no_process(launch: Launcher) -> None:
    before = open_files()
    async with asyncio.TaskGroup() as group:
        spawned = [group.create_task(launch.sh(f"echo {number}; exit {number}")) for number in range(50)]
    async with asyncio.TaskGroup() as group:
        ended = [group.create_task(tree.result().wait()) for tree in spawned]
    assert [task.result() for task in ended] == [Exit(number, None, output_complete=True) for number in range(50)]
    assert sorted(launch.sink.output["stdout"].split(), key=int) == [b"%d" % number for number in range(50)]
    assert open_files() == before
    assert launch.survivors() == []


# --- what cannot be started ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("no-such-program",), "cannot start 'no-such-program': there is no such program on PATH"),
        (("./missing",), "cannot start './missing': there is no such program there"),
        (("./orphaned",), "cannot start './orphaned': the interpreter that its first line names is not there"),
        (("./plain",), "cannot start './plain': it is not executable (see `chmod +x`)"),
        (("./noise",), "cannot start './noise': it is no program; a script needs a first line like `#!/bin/sh`"),
        (("true", "a\0b"), "cannot start 'true': embedded null byte"),
        (("true", "x" * (1 << 20)), "cannot start 'true': its arguments and its environment are too long"),
        (("./loop",), "cannot start './loop': Too many levels of symbolic links"),
        ((), "cannot start '': there is nothing to start: argv is empty"),
    ],
)
async def test_what_cannot_be_started_says_why(launch: Launcher, argv: tuple[str, ...], sentence: str) -> None:
    for name, text, mode in (
        ("orphaned", "#!/no/such/interpreter\n", 0o755),
        ("plain", "#!/bin/sh\n", 0o644),
        ("noise", "\x01\x02", 0o755),
    ):
        (launch.cwd / name).write_text(text)
        (launch.cwd / name).chmod(mode)
    (launch.cwd / "loop").symlink_to("loop")
    before = open_files()
    with pytest.raises(LaunchError) as caught:
        await launch.argv(*argv)
    assert str(caught.value) == sentence
    assert not caught.value.temporary
    assert open_files() == before


async def test_a_directory_that_is_not_there_is_named(launch: Launcher) -> None:
    with pytest.raises(LaunchError, match=r"its directory '/no/such/place' cannot be entered: No such file"):
        await launch.argv("true", cwd=Path("/no/such/place"))


@pytest.mark.parametrize("room", range(5))
async def test_a_shortage_of_files_is_temporary_and_leaks_none(launch: Launcher, room: int) -> None:
    await (await launch.sh("exit")).wait()  # what asyncio opens once is open now
    before = open_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names, not paths
    holes = [os.dup(0) for _ in range(highest + 1 - before.total())]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(holes, default=highest) + 1 + room, hard))
    try:
        with pytest.raises(LaunchError) as caught:
            await launch.sh("exit")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for hole in holes:
            os.close(hole)
    assert caught.value.temporary
    assert str(caught.value) == "cannot start 'sh': this process has too many files open (see `ulimit -n`)"
    assert open_files() == before


async def test_a_spawn_that_is_cancelled_leaves_nothing(launch: Launcher) -> None:
    before = open_files()
    script = "(trap '' TERM HUP; setsid sleep 1000 & sleep 1000) & sleep 1000"
    spawning = asyncio.get_running_loop().create_task(launch.sh(script))
    await asyncio.sleep(0)  # it has begun, so the process is there: asyncio is about to say so
    assert launch.survivors() != []
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    await until(lambda: launch.survivors() == [])
    assert open_files() == before


# --- the end of a tree ----------------------------------------------------------------------------------------------


async def test_a_polite_tree_is_given_its_time(launch: Launcher) -> None:
    tree = await launch.python(
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'last words\\n'), sys.exit(7)))\n"
        "os.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"  # `pause` may begin after the signal
    )
    await launch.sink.lines(1)
    await tree.stop(NEVER)
    assert await tree.wait() == Exit(7, None, output_complete=True)
    assert await launch.sink.lines(2) == ["ready", "last words"]


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True: signal.pause()
"""


async def test_a_tree_that_ignores_term_is_killed(launch: Launcher) -> None:
    tree = await launch.python(STUBBORN)
    await launch.sink.lines(1)
    await tree.stop(SOON)
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)


async def test_a_stopped_tree_hears_that_it_is_to_end(launch: Launcher) -> None:
    tree = await launch.python("print(flush=True); os.kill(os.getpid(), signal.SIGSTOP)")
    await launch.sink.lines(1)
    await until(lambda: b") T" in read_quietly(Path(f"/proc/{tree.identity.pid}/stat")))
    await tree.stop(NEVER)
    assert await tree.wait() == Exit(None, "SIGTERM", output_complete=True)


ESCAPES = {
    "in the group": "pass",
    "in a session of its own": "os.setsid()",
    "in a group of its own": "os.setpgid(0, 0)",
    "twice forked": "os.setsid(); os.fork() and os._exit(0)",
    "with another program": "os.setsid(); os.dup2(os.open('/dev/null', os.O_RDWR), 2)",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
async def test_grandchildren_that_got_away_and_ignore_term_are_killed(
    launch: Launcher,
    adopting: bool,  # noqa: FBT001 - a fixture
    escape: str,
) -> None:
    tree = await launch.python(f"if os.fork() == 0: {escape}\n{STUBBORN}")
    pids = [int(line) for line in await launch.sink.lines(2)]
    await tree.stop(SOON)
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)
    assert launch.survivors() == []
    assert not any(map(lives, pids))
    assert not (adopting and any(map(exists, pids))), "no zombie is left of what was handed to us"


async def test_what_wiped_its_environment_is_known_by_its_parents(launch: Launcher) -> None:
    tree = await launch.python(
        f"program = {'import os, signal' + STUBBORN!r}\n"
        "if os.fork() == 0:\n os.setsid()\n os.execve(sys.executable, ['python', '-c', program], {})\n"
        f"exec(program)"
    )
    pids = [int(line) for line in await launch.sink.lines(2)]
    await tree.stop(SOON)
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)
    assert not any(map(lives, pids))


async def test_a_main_process_that_left_its_group_is_reached(launch: Launcher) -> None:
    tree = await launch.python("os.setpgid(0, os.getpgid(os.getppid())); print(flush=True); signal.pause()")
    await launch.sink.lines(1)
    await tree.stop(NEVER)
    assert await tree.wait() == Exit(None, "SIGTERM", output_complete=True)


async def test_what_outlives_its_parent_and_holds_the_output_is_cut_off(launch: Launcher) -> None:
    tree = await launch.sh("echo begun; (sleep 1000; echo never) & exit 5", drain=SOON)
    assert await tree.wait() == Exit(5, None, output_complete=False)
    assert launch.sink.output["stdout"] == b"begun\n"
    assert sorted(launch.sink.ends) == [("stderr", False), ("stdout", False)]
    assert launch.survivors() == []


@pytest.mark.parametrize("adopting", ["adopting"], indirect=True)
async def test_output_that_someone_out_of_reach_holds_is_left(launch: Launcher) -> None:
    """No wait for ever for what nobody can name: a session of its own, a wiped environment, a parent that is gone."""
    os.mkfifo(launch.cwd / "gate")
    tree = await launch.sh("env -i setsid sh -c 'echo $$; exec sleep 1000' & read line < gate", drain=SOON)
    holder = int((await launch.sink.lines(1))[0])
    await asyncio.to_thread((launch.cwd / "gate").write_text, "go on")
    await tree.wait()
    assert lives(holder)
    assert sorted(launch.sink.ends) == [("stderr", False), ("stdout", False)]
    os.kill(holder, signal.SIGKILL)
    await until(lambda: not lives(holder))
    os.waitpid(holder, os.WNOHANG)  # noqa: ASYNC222 - it is dead, and ours to collect


async def test_what_outlives_its_parent_may_finish_its_output(launch: Launcher) -> None:
    tree = await launch.sh("mkfifo gate; (read line < gate; echo late) & exit 0", drain=NEVER)
    waiting = asyncio.get_running_loop().create_task(tree.wait())
    await until(lambda: not lives(tree.identity.pid))
    await asyncio.to_thread((launch.cwd / "gate").write_text, "go\n")
    assert await waiting == Exit(0, None, output_complete=True)
    assert launch.sink.output["stdout"] == b"late\n"


async def test_what_outlives_its_parent_in_silence_is_killed_at_once(launch: Launcher) -> None:
    tree = await launch.sh("setsid sleep 1000 >/dev/null 2>&1 & exit 0", drain=NEVER)
    assert await tree.wait() == Exit(0, None, output_complete=True)
    assert launch.survivors() == []


@pytest.mark.parametrize("place", ["/dev/stdout", "file"])
async def test_a_wrapper_that_dies_of_term_does_not_cost_its_program_the_grace(launch: Launcher, place: str) -> None:
    (launch.cwd / "program.py").write_text(
        "import os, signal, sys, time\n"
        "def end(*_):\n open('gate').read()\n os.write(1, b'finished\\n')\n sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nos.write(2, b'ready\\n')\nwhile True: time.sleep(0.01)\n"
    )
    os.mkfifo(launch.cwd / "gate")
    tree = await launch.sh(f"{sys.executable} program.py >{place} 2>ready; true", drain=NOW)
    await until(lambda: read_quietly(launch.cwd / "ready") != b"")
    await tree.stop(NEVER)
    waiting = asyncio.get_running_loop().create_task(tree.wait())
    await asyncio.to_thread((launch.cwd / "gate").write_text, "go on")
    assert await waiting == Exit(None, "SIGTERM", output_complete=True)
    written = launch.sink.output["stdout"] if place == "/dev/stdout" else (launch.cwd / "file").read_bytes()
    assert written == b"finished\n"


async def test_a_wrapper_that_dies_of_term_leaves_no_stubborn_program(launch: Launcher) -> None:
    tree = await launch.python(f"if os.fork(): print(flush=True); signal.pause()\n{STUBBORN}")
    await launch.sink.lines(2)
    await tree.stop(SOON)
    assert await tree.wait() == Exit(None, "SIGTERM", output_complete=True)
    assert launch.survivors() == []


async def test_a_second_stop_shortens_the_first_and_a_longer_one_changes_nothing(launch: Launcher) -> None:
    tree = await launch.python(
        "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told\\n'))\n"
        "os.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"  # `pause` may begin after the signal
    )
    await launch.sink.lines(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(tree.stop(NEVER))
        await launch.sink.lines(2)
        group.create_task(tree.stop(NOW))
        group.create_task(tree.stop(NEVER))
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)
    assert await launch.sink.lines(2) == ["ready", "told"], "it is asked once"
    await tree.stop(NOW)


async def test_a_stop_that_is_cancelled_still_kills(launch: Launcher) -> None:
    tree = await launch.python(STUBBORN)
    await launch.sink.lines(1)
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await tree.stop(SOON)
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)


async def test_a_stop_right_after_the_spawn(launch: Launcher) -> None:
    tree = await launch.sh("sleep 1000 & sleep 1000")
    await tree.stop(NEVER)
    assert (await tree.wait()).signal == "SIGTERM"
    assert launch.survivors() == []


async def test_a_stop_shortens_the_wait_for_what_outlived_its_parent(launch: Launcher) -> None:
    tree = await launch.sh("echo begun; sleep 1000 & exit 0", drain=NEVER)
    waiting = asyncio.get_running_loop().create_task(tree.wait())
    await until(lambda: not lives(tree.identity.pid))
    await launch.sink.lines(1)
    await tree.stop(NOW)
    assert await waiting == Exit(0, None, output_complete=False)


async def test_a_wait_that_is_cancelled_can_be_taken_up_again(launch: Launcher) -> None:
    tree = await launch.sh("sleep 1000 & exit 6", drain=SOON)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await tree.wait()
    assert await tree.wait() == Exit(6, None, output_complete=False)
    assert launch.survivors() == []


async def test_one_that_always_forks_on_is_caught(launch: Launcher) -> None:
    """The group goes at once, however fast it grows."""
    tree = await launch.python(
        "if os.fork(): os._exit(0)\nwhile True: os.fork() or time.sleep(1000); time.sleep(0.002)"
    )
    assert (await tree.wait()).code == 0
    assert launch.survivors() == []


@pytest.mark.parametrize("adopting", ["adopting"], indirect=True)
async def test_one_that_hops_from_process_to_process_is_caught(launch: Launcher) -> None:
    tree = await launch.python("while True:\n os.fork() and os._exit(0)\n os.setsid()", drain=NOW)
    assert (await tree.wait()).code == 0
    assert launch.survivors() == []


async def test_a_tree_leaves_other_trees_alone(launch: Launcher) -> None:
    bystander = Launcher(launch.cwd)
    other = await bystander.sh("setsid sleep 1000 & echo ready; sleep 1000")
    await bystander.sink.lines(1)
    tree = await launch.sh("setsid sleep 1000 & sleep 1000")
    await tree.stop(NOW)
    await tree.wait()
    assert (launch.survivors(), len(bystander.survivors())) == ([], 3)
    await other.stop(NOW)
    await other.wait()
    assert bystander.survivors() == []


async def test_a_kernel_that_does_not_list_children_is_searched(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "_kernel_lists_children", lambda: False)
    tree = await launch.python(f"os.fork() or os.setsid()\n{STUBBORN}")
    await launch.sink.lines(2)
    await tree.stop(NOW)
    await tree.wait()
    assert launch.survivors() == []


@pytest.mark.parametrize("adopting", ["adopting"], indirect=True)
async def test_dead_orphans_that_no_tree_can_claim_are_collected_after_a_while(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remnants, "_STRAY_AFTER", math.inf)
    os.mkfifo(launch.cwd / "gate")
    stray_script = "echo $$ > draft; mv draft pid; read line < gate"
    tree = await launch.sh(
        f"env -i setsid sh -c '{stray_script}' >/dev/null 2>&1 & until test -e pid; do sleep 0.01; done"
    )
    await tree.wait()
    stray = int((launch.cwd / "pid").read_text())
    assert lives(stray), "nobody can tell whose it is"
    await asyncio.to_thread((launch.cwd / "gate").write_text, "go on")
    await until(lambda: not lives(stray))
    await (await launch.sh("exit")).wait()
    assert exists(stray)
    monkeypatch.setattr(remnants, "_STRAY_AFTER", 0.0)
    await (await launch.sh("exit")).wait()
    assert not exists(stray)


@pytest.mark.parametrize("adopting", ["adopting"], indirect=True)
async def test_nobody_takes_the_exit_code_of_another_trees_main_process(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remnants, "_STRAY_AFTER", 0.0)
    tree = await launch.argv("sleep", "1000")
    os.kill(tree.identity.pid, signal.SIGKILL)
    os.waitid(os.P_PID, tree.identity.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - dead, but not collected yet
    remnants.Leftovers("another job", 0).look(spare=ProcessTree._spared())  # what any other tree does at its end
    assert await tree.wait() == Exit(None, "SIGKILL", output_complete=True)


@pytest.mark.parametrize("adopting", ["adopting"], indirect=True)
@pytest.mark.parametrize("looks_in_doubt", [2, 1000])
async def test_a_process_that_shows_no_environment_while_it_starts_is_looked_at_again(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch, looks_in_doubt: int
) -> None:
    """Inside `execve` there is a moment without an environment; here it lasts for a number of looks."""
    looks = 0
    find_stat, find_environ = procfs.find_stat, procfs.find_environ

    def starting(pid: int) -> procfs.ProcessStat | None:
        nonlocal looks
        stat = find_stat(pid)
        if stat is None or stat.parent != os.getpid() or not stat.alive:
            return stat
        looks += 1
        return replace(stat, executing=looks <= looks_in_doubt)

    monkeypatch.setattr(procfs, "find_stat", starting)
    monkeypatch.setattr(procfs, "find_environ", lambda pid: b"" if looks <= looks_in_doubt else find_environ(pid))
    tree = await launch.sh("setsid sleep 1000 >/dev/null 2>&1 & exit 0")
    await until(lambda: b"sleep" in b"".join(read_quietly(Path(f"/proc/{pid}/comm")) for pid in launch.survivors()))
    await tree.wait()
    assert (launch.survivors() == []) == (looks_in_doubt == 2), "and where it does not end, no job waits for it"


# --- what a dead supervisor left -------------------------------------------------------------------------------------

SUPERVISOR = """
import asyncio, os, pathlib, sys, time
from orchestrator.process.tree import ProcessTree
class Sink:
    def feed(self, stream, chunk): pass
    def end(self, stream, complete): pass
async def main(marker, script):
    argv = [sys.executable, "-c", script]
    tree = await ProcessTree.spawn(argv, env={}, cwd=pathlib.Path("/"), marker=marker, sink=Sink())
    print(tree.identity.to_str(), flush=True)
    await tree.wait()
asyncio.run(main(*sys.argv[1:]))
"""


async def leave_remnant(launch: Launcher, script: str) -> ProcessIdentity:
    """Have a supervisor of its own start a script, wait until the script has made the file `ready`, and kill it."""
    ready = launch.cwd / "ready"
    supervisor = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed by hand
        [sys.executable, "-c", SUPERVISOR, launch.marker, f"import os, signal, time\nready = {str(ready)!r}\n{script}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout
    identity = ProcessIdentity.from_str((await asyncio.to_thread(supervisor.stdout.readline)).strip())
    await until(ready.exists)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    return identity


LEAVE_TWO = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: open(ready, "w")
while True: time.sleep(1000)
"""


async def test_a_remnant_is_killed_with_everything_below_it(launch: Launcher) -> None:
    identity = await leave_remnant(launch, LEAVE_TWO)
    assert len(launch.survivors()) == 3
    assert await kill_remnant(identity, launch.marker)
    assert launch.survivors() == []
    assert not await kill_remnant(identity, launch.marker)


async def test_a_remnant_whose_main_process_is_gone_is_found_by_its_marker(launch: Launcher) -> None:
    identity = await leave_remnant(launch, LEAVE_TWO)
    os.kill(identity.pid, signal.SIGKILL)
    await until(lambda: not identity.is_alive())
    assert await kill_remnant(identity, launch.marker)
    assert launch.survivors() == []


async def test_a_remnant_that_wiped_its_environment_is_found_by_its_identity(launch: Launcher) -> None:
    identity = await leave_remnant(launch, "open(ready, 'w')\nos.execve('/bin/sleep', ['sleep', '1000'], {})")
    await until(lambda: launch.survivors() == [])
    assert await kill_remnant(identity, launch.marker)
    assert not identity.is_alive()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], process_group=0) as process:
        yield process
        process.kill()


async def test_a_stranger_with_a_recycled_pid_lives_on(stranger: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(stranger.pid)
    assert identity.is_alive()
    earlier = replace(identity, start_ticks=identity.start_ticks - 1)
    assert not await kill_remnant(earlier, "a job")
    assert not await kill_remnant(replace(identity, boot_id="another boot"), "a job")
    assert not earlier.is_alive()
    assert not replace(identity, boot_id="another boot").is_alive()
    assert stranger.poll() is None


async def test_a_job_of_another_boot_left_nothing(launch: Launcher) -> None:
    tree = await launch.sh("sleep 1000")
    assert not await kill_remnant(replace(tree.identity, boot_id="another boot"), launch.marker)
    assert tree.identity.is_alive()
    await tree.stop(NOW)
    await tree.wait()


async def test_those_above_us_are_no_remnant(launch: Launcher, stranger: subprocess.Popen[bytes]) -> None:
    assert not await kill_remnant(ProcessIdentity.of(os.getpid()), launch.marker)
    assert not await kill_remnant(ProcessIdentity.of(os.getppid()), launch.marker)
    assert stranger.poll() is None


@pytest.mark.parametrize("adopting", ["scanning"], indirect=True)
async def test_a_remnant_that_does_not_go_is_named(launch: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = await leave_remnant(launch, LEAVE_TWO)
    with monkeypatch.context() as patch:
        patch.setattr(procfs, "send_signal", lambda *_: None)
        with pytest.raises(RemnantError, match="were killed and are still there") as caught:
            await kill_remnant(identity, launch.marker, patience=SOON)
    assert identity.pid in caught.value.pids
    assert await kill_remnant(identity, launch.marker)


# --- what the kernel says --------------------------------------------------------------------------------------------


def test_an_identity_can_be_written_down() -> None:
    identity = ProcessIdentity.of(os.getpid())
    assert ProcessIdentity.from_str(identity.to_str()) == identity
    with pytest.raises(ValueError, match="unpack"):
        ProcessIdentity.from_str("12:34")


def test_a_process_that_is_gone_has_an_identity_that_matches_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    identity = ProcessIdentity.of(process.pid)
    assert identity.start_ticks == 0
    assert not identity.is_alive()


@pytest.mark.parametrize("pidfds", [True, False])
def test_a_signal_reaches_its_process_and_no_other(
    stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, *, pidfds: bool
) -> None:
    if not pidfds:
        monkeypatch.setattr(os, "pidfd_open", no_pidfds)
    stat = procfs.find_stat(stranger.pid)
    assert stat
    procfs.send_signal(replace(stat, start_ticks=stat.start_ticks - 1), signal.SIGKILL)
    procfs.send_signal(stat, signal.SIGTERM)
    assert stranger.wait() == -signal.SIGTERM
    procfs.send_signal(stat, signal.SIGKILL)


def no_pidfds(_pid: int) -> int:
    raise OSError(errno.ENOSYS, "no pidfds here")


def test_a_process_lives_as_long_as_one_of_its_threads(stranger: subprocess.Popen[bytes]) -> None:
    script = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); "
    with subprocess.Popen([sys.executable, "-c", script + "ctypes.CDLL(None).pthread_exit(None)"]) as process:
        while b") Z" not in read_quietly(Path(f"/proc/{process.pid}/stat")):
            time.sleep(0.01)
        stat = procfs.find_stat(process.pid)
        process.kill()
    assert stat
    assert stat.alive
    assert stranger.poll() is None


# --- the child watcher of 3.11 ---------------------------------------------------------------------------------------

old_watcher = pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on pidfds are the default")


@old_watcher
def test_the_pidfd_watcher_is_there_before_the_loop_and_in_it() -> None:
    use_pidfd_watcher()
    assert isinstance(asyncio.get_child_watcher(), asyncio.PidfdChildWatcher)
    assert asyncio.run(run_true()) == 0
    asyncio.set_child_watcher(None)  # type: ignore[arg-type]  # back to the default
    assert asyncio.run(run_true(use_pidfd_watcher)) == 0
    assert isinstance(asyncio.get_child_watcher(), asyncio.PidfdChildWatcher)
    asyncio.set_child_watcher(None)  # type: ignore[arg-type]  # back to the default


@old_watcher
def test_without_pidfds_the_watcher_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.set_child_watcher(None)  # type: ignore[arg-type]  # back to the default
    monkeypatch.setattr(os, "pidfd_open", no_pidfds)
    use_pidfd_watcher()
    assert isinstance(asyncio.get_child_watcher(), asyncio.ThreadedChildWatcher)


async def run_true(first: Callable[[], None] = lambda: None) -> int:
    first()
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()
