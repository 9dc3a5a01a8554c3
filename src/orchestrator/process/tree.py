"""One process tree: spawn it, stream its output, stop it, and know that nothing is left of it.

Used by the local executor for the supervisor's own children and by the agent that other engines start.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import weakref
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from orchestrator.process.cgroup import BornIn, Cgroup
from orchestrator.process.launch_error import LaunchError
from orchestrator.process.output_pipe import OutputPipe, OutputSink
from orchestrator.process.procfs import MARKER_VARIABLE, ProcessIdentity
from orchestrator.process.remnants import Backoff, Leftovers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DRAIN = timedelta(seconds=2)
"""How long output may go on after the main process has ended, before it is cut off."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process tree ended.

    Attributes:
        code: the main process's exit code, or None where a signal ended it.
        signal: that signal's name, e.g. "SIGKILL".
        output_complete: False where something still held the output when it was cut off.
    """

    code: int | None
    signal: str | None
    output_complete: bool

    @classmethod
    def from_returncode(cls, returncode: int, *, output_complete: bool) -> Exit:
        """Read a return code of `asyncio`, where -N stands for signal N."""
        if returncode >= 0:
            return cls(returncode, None, output_complete)
        return cls(None, _signal_name(-returncode), output_complete)


class ProcessTree:
    """A child process in a process group of its own, with everything that it starts.

    `wait` must be running (or be called) for the tree to be cleaned up after its main process has ended.

    Attributes:
        identity: names the main process; written down, it lets `kill_remnant` find the tree after our own death.
    """

    _living: ClassVar[weakref.WeakSet[ProcessTree]] = weakref.WeakSet()

    def __init__(
        self, process: asyncio.subprocess.Process, pipes: Sequence[OutputPipe], marker: str, drain: timedelta
    ) -> None:
        self._process = process
        self._pipes = pipes
        self._drain = drain.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._leftovers = Leftovers(marker, process.pid)
        self._stopping = False
        self._deadline = math.inf  # of the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._settling = asyncio.Lock()
        self._exit: Exit | None = None
        self.identity = ProcessIdentity.of(process.pid)
        self._living.add(self)

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        marker: str,
        sink: OutputSink,
        drain: timedelta = DRAIN,
    ) -> ProcessTree:
        """Start a program and stream what it writes to `sink`.

        Args:
            argv: the program, found on the `PATH` of `env` or relative to `cwd`, and its arguments.
            env: its whole environment; `ORCH_JOB_ID` is added.
            cwd: the directory it starts in.
            marker: what `ORCH_JOB_ID` is set to, by which everything it starts is known.
            sink: takes its output. `end` is called for both streams before `wait` returns.
            drain: how long the output may go on after the main process.

        Raises:
            LaunchError: it could not be started; nothing of it is left.
        """
        if not argv:
            raise LaunchError("", "there is nothing to start: argv is empty")
        pipes: list[OutputPipe] = []
        cgroup = Cgroup.make(marker)
        try:
            pipes.append(OutputPipe("stdout", sink))
            pipes.append(OutputPipe("stderr", sink))
            spawning = asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipes[0].write_fd,
                stderr=pipes[1].write_fd,
                env={**env, MARKER_VARIABLE: marker},
                cwd=cwd,
                process_group=0,
            )
            process = await BornIn(cgroup, spawning)
        except (OSError, ValueError) as error:
            _abandon(pipes)
            if cgroup:
                cgroup.remove()
            raise LaunchError.explaining(error, argv[0], cwd, env.get("PATH")) from error
        except BaseException:
            # asyncio has killed the main process by now, and only that.
            _abandon(pipes)
            await Leftovers(marker, 0).kill(spare=cls._spared())
            raise
        for pipe in pipes:
            pipe.start()
        return cls(process, pipes, marker, drain)

    async def wait(self) -> Exit:
        """Wait until the main process has ended, its output is read, and no process of the tree is left.

        What outlives the main process has until the end of its output (at most `drain`), or, where the tree is being
        stopped, the rest of its grace; then it is killed. May be called any number of times.
        """
        async with self._settling:
            self._exit = self._exit or await self._settle()
        return self._exit

    async def stop(self, grace: timedelta) -> None:
        """Ask the tree to end (TERM, then CONT so that a stopped one hears it), and kill it when `grace` is over.

        Returns when the main process is gone; `wait` tells when the whole tree is. The kill comes even where this call
        is cancelled. A second call sends nothing again, but its `grace` can make the time that is left shorter.
        """
        if not self._stopping and self.identity.is_alive():
            self._stopping = True
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)
        self._end_by(self._loop.time() + grace.total_seconds())
        await self._process.wait()

    async def _settle(self) -> Exit:
        returncode = await self._process.wait()
        if self._deadline == math.inf:
            self._deadline = self._loop.time() + self._drain
        await self._linger()
        if not self._stopping:
            for pipe in self._pipes:
                pipe.cut_off()
        await self._leftovers.kill(spare=self._spared())
        if self._timer:
            self._timer.cancel()
        complete = [pipe.finish() for pipe in self._pipes]
        return Exit.from_returncode(returncode, output_complete=all(complete))

    async def _linger(self) -> None:
        """Leave what outlived the main process the time that it has."""
        backoff = Backoff()
        while not self._at_rest() and self._loop.time() < self._deadline:
            await backoff.wait()

    def _at_rest(self) -> bool:
        if not all(pipe.complete is not None for pipe in self._pipes):
            return False
        return not (self._stopping and self._leftovers.look(spare=self._spared()))

    def _end_by(self, moment: float) -> None:
        if self._deadline <= moment:
            return
        self._deadline = moment
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(moment, self._kill)

    def _kill(self) -> None:
        """Kill the main process and its group; `wait` sees to all that is then left."""
        main = self.identity.find()
        if main and main.alive:
            self._leftovers.look(main, spare=self._spared())  # knows what is below it before that changes hands
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        """Signal the group, where the main process was just seen: until it is collected, nobody else has its pid."""
        pid = self.identity.pid
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != pid:  # it moved
                os.kill(pid, number)

    @classmethod
    def _spared(cls) -> set[int]:
        """Return the main processes that asyncio will collect: nobody else may."""
        return {tree.identity.pid for tree in cls._living if tree._process.returncode is None}  # noqa: SLF001 - our own


def use_pidfd_watcher() -> None:
    """Have asyncio learn of a child's end through a pidfd instead of through a thread for each child.

    Needed on 3.11 only (later it is the default) and without effect where the kernel has no pidfds. May be called
    before the loop runs or in it.
    """
    if sys.version_info >= (3, 12) or not _kernel_has_pidfds():
        return
    watcher = asyncio.PidfdChildWatcher()
    with suppress(RuntimeError):  # no loop runs yet: it will be attached when one is set
        watcher.attach_loop(asyncio.get_running_loop())
    asyncio.set_child_watcher(watcher)


def _kernel_has_pidfds() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _abandon(pipes: Sequence[OutputPipe]) -> None:
    for pipe in pipes:
        pipe.abandon()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
