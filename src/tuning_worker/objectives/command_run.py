"""Runs one command to its end: passes its output on, remembers what matters of it, and leaves no process behind.

Memory is bounded however much it prints, and nothing waits for a grandchild that keeps the pipe open.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import uuid
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from tuning_worker.objectives.protocol import EvaluationFailed
from tuning_worker.processes import MARKER, adopting, kill_below, kill_group, kill_marked, reaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK: Final = 64 * 1024
_TAIL: Final = 4 * 1024
_LINE: Final = 1024 * 1024
"""A longer line is never taken for metrics."""
_PIPE: Final = 1024 * 1024
"""The most that the kernel lets an unprivileged pipe hold, so what can be left in one when its writers are gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        returncode: its exit code, or minus the number of the signal that killed it.
        metrics: the last line of its standard output that is a JSON object, read; None where there was none.
        stdout_tail: at most the last 4 KiB.
        stderr_tail: at most the last 4 KiB.
    """

    returncode: int
    metrics: dict[str, Any] | None
    stdout_tail: str
    stderr_tail: str


def run_command(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run a command; return when it has ended and everything that it started is gone.

    Its output appears on this process's own standard output and error as it comes.

    Args:
        argv: the program and its arguments.
        cwd: where it runs.
        env: all of its environment. A marker is added, by which what it leaves behind is found.

    Raises:
        EvaluationFailed: `launch`: it could not be started.
    """
    # Below the marker of the evaluator, if there is one, so that whoever ends the evaluator finds it too.
    marker = ".".join(filter(None, (env.get(MARKER), uuid.uuid4().hex)))
    with adopting() as others, _launch(argv, cwd, {**env, MARKER: marker}) as process:
        try:
            out = _Stream(_fileno(process.stdout), target=1, keep_metrics=True)
            err = _Stream(_fileno(process.stderr), target=2)
            with reaping({*others, process.pid}):
                _pump((out, err), process.pid)
        finally:
            kill_group(process.pid)  # before it is reaped, while the number is surely its own
            kill_marked(marker)
            kill_below(spare={*others, process.pid})
        process.wait()
        for stream in (out, err):
            stream.drain()
    return Ended(process.returncode, out.metrics, out.tail, err.tail)


def _launch(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise EvaluationFailed("launch", f"there is no {error.filename}, or no interpreter for it") from error
    except OSError as error:
        raise EvaluationFailed("launch", f"{argv[0]} cannot be started: {error.strerror}") from error
    except ValueError as error:  # a NUL in an argument or a variable
        raise EvaluationFailed("launch", f"{argv[0]} cannot be started: {error}") from error


def _fileno(pipe: IO[bytes] | None) -> int:
    assert pipe is not None  # noqa: S101 - asked for above
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()


def _pump(streams: Sequence[_Stream], pid: int) -> None:
    """Take output as it comes until the command has ended, whoever else may hold its pipes."""
    pidfd = os.pidfd_open(pid)
    try:
        _pump_until(streams, pidfd)
    finally:
        os.close(pidfd)


def _pump_until(streams: Sequence[_Stream], pidfd: int) -> None:
    by_source = {stream.source: stream for stream in streams}
    poll = select.poll()
    for fd in (pidfd, *by_source):
        poll.register(fd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        for fd in ready:
            if fd != pidfd and not by_source[fd].read():
                poll.unregister(fd)
        if pidfd in ready:
            return


class _Stream:
    """One of its output streams: passed on, its end remembered, its lines looked at for metrics."""

    def __init__(self, source: int, *, target: int, keep_metrics: bool = False) -> None:
        self.source = source
        self.metrics: dict[str, Any] | None = None
        self._target: int | None = target
        self._keep_metrics = keep_metrics
        self._line = bytearray()
        self._tail = b""

    @property
    def tail(self) -> str:
        """The end of what was printed."""
        return self._tail.decode(errors="replace").strip()

    def read(self) -> bool:
        """Take what has come; return whether more may come."""
        chunk = os.read(self.source, _CHUNK)
        self._take(chunk)
        return bool(chunk)

    def drain(self) -> None:
        """Take what its writers left. One that escaped is neither waited for nor listened to for ever."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_PIPE // _CHUNK):
                self.read()
        if self._tail and not self._tail.endswith(b"\n"):
            self._take(b"\n")  # what the next process prints begins a line of its own

    def _take(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]
        self._pass_on(chunk)
        if not self._keep_metrics:
            return
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            if (found := _object(self._line)) is not None:
                self.metrics = found
            self._line.clear()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        # One byte more than a line may have is enough to know that it is too long.
        self._line += part[: _LINE + 1 - len(self._line)]

    def _pass_on(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and self._target is not None:
            try:
                view = view[os.write(self._target, view) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._target, select.POLLOUT)
                poll.poll()
            except OSError:  # nobody reads the worker's output any more: the command goes on, and is read on
                self._target = None


def _object(line: bytearray) -> dict[str, Any] | None:
    """Read a line that is a JSON object; None for any other."""
    if len(line) > _LINE or not line.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
