"""The worker's end of the evaluator's child: starts it, asks it, and has its guard see that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuning_worker.processes import MARKER, WHERE, kill_marked, wait_gone

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK: Final = 64 * 1024
_FAREWELL: Final = timedelta(seconds=2)
"""How long an idle child may take to end by itself: it flushes files and runs the `atexit` of the user's code."""
_DUMP: Final = timedelta(milliseconds=500)
"""How long a child may take to begin to write where it is: microseconds, unless the machine is overloaded."""
_QUIET: Final = timedelta(milliseconds=50)
"""It has written all when nothing has come for so long."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_OURS: Final = (
    f'File "{Path(__file__).parent / "child.py"}"',
    f'File "{Path(__file__).parents[1] / "objectives"}{os.sep}',
    'File "<frozen runpy>"',
)


class ChildEnded(Exception):  # noqa: N818 - an outcome that its caller turns into a failed iteration
    """The child died while it was asked. Carries its return code, as `subprocess` has it, and where it was."""

    def __init__(self, returncode: int, where: str | None) -> None:
        super().__init__(returncode, where)
        self.returncode, self.where = returncode, where


class TimeIsUp(Exception):  # noqa: N818 - as above
    """The child has not answered in time. It is gone now. Carries where it was."""

    def __init__(self, where: str | None) -> None:
        super().__init__(where)
        self.where = where


class Interrupted(Exception):  # noqa: N818 - as above
    """Somebody wanted no answer any more. The child is gone now."""


class BadReply(Exception):  # noqa: N818 - as above
    """What came was no answer: the objective wrote to a file descriptor that is not its own. The child is gone now."""


class EvaluationProcess:
    """One child process, from its start to its end, and its three pipes.

    Attributes:
        pid: its process id, which is also its process group.
    """

    def __init__(self, env: Mapping[str, str], wake: int) -> None:
        """Start it.

        Args:
            env: its environment, to which a marker is added.
            wake: a file descriptor that becomes readable when `ask` is to give up. It belongs to the caller.
        """
        self._marker = uuid.uuid4().hex
        self._wake = wake
        self._busy = False
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        self._faults, faults = os.pipe()
        for fd in (self._requests, self._replies, self._faults, faults):
            os.set_blocking(fd, False)
        try:
            try:
                # -P: the folder that the worker happened to be started in is no place to import from.
                self._guard = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tuning_worker.evaluation.child"]
                    + [str(number) for number in (requests, replies, faults)],
                    env={**env, MARKER: self._marker},
                    stdin=subprocess.DEVNULL,
                    pass_fds=(requests, replies, faults),
                    process_group=0,  # the TERM of a stopped job is for the worker, which may let an iteration finish
                )
            finally:
                for fd in (requests, replies, faults):
                    os.close(fd)
            self.pid = self._met()
            self._pidfd = os.pidfd_open(self.pid)
        except BaseException:
            for fd in (self._requests, self._replies, self._faults):
                os.close(fd)  # if there is a guard, it hears that
            raise

    def alive(self) -> bool:
        """Tell whether it can be asked."""
        return not wait_gone(self._pidfd, timedelta())

    def ask(self, request: Mapping[str, Any], limit: timedelta | None) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Args:
            request: JSON.
            limit: how long it may take; None: as long as it takes.

        Raises:
            ChildEnded: it died.
            TimeIsUp: it took longer.
            Interrupted: `wake` became readable.
            BadReply: it answered something that is not JSON.
        """
        self._busy = True
        line = self._exchange(json.dumps(request).encode() + b"\n", limit)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            raise BadReply
        self._busy = False
        return answer

    def end(self) -> None:
        """End it: it may end by itself where it is idle."""
        if not self._busy:
            with contextlib.suppress(OSError):
                os.write(self._requests, b"{}\n")
                wait_gone(self._pidfd, _FAREWELL)
        self.kill()

    def kill(self) -> int:
        """Kill it and everything that it started, wait until all is gone, and return its return code."""
        os.close(self._requests)  # the guard hears it
        self._guard.send_signal(signal.SIGCONT)  # the objective may have stopped it
        returncode = self._guard.wait()
        kill_marked(self._marker)  # where the objective has killed the guard
        for fd in (self._pidfd, self._replies, self._faults):
            os.close(fd)
        return returncode

    def _met(self) -> int:
        """Wait until the child is there; return its process id, or that of the guard where it does not come to be."""
        poll = select.poll()
        for fd in (self._wake, self._replies):
            poll.register(fd, select.POLLIN)
        poll.poll()
        told = self._receive()
        return int(told) if told else self._guard.pid

    def _exchange(self, line: bytes, limit: timedelta | None) -> bytes:
        deadline = None if limit is None else time.monotonic() + limit.total_seconds()
        unsent = memoryview(line)
        received = bytearray()
        poll = select.poll()
        for fd in (self._wake, self._replies, self._pidfd):
            poll.register(fd, select.POLLIN)
        poll.register(self._requests, select.POLLOUT)
        while not received.endswith(b"\n"):
            ready = {fd for fd, _ in poll.poll(_milliseconds_until(deadline))}
            if self._wake in ready or not ready:
                raise self._given_up(interrupted=bool(ready))
            if self._requests in ready:
                unsent = unsent[self._send(unsent) :]
                if not unsent:
                    poll.unregister(self._requests)
            # Its end alone is no reason not to look: it may have answered after poll had looked at the replies.
            if ready & {self._replies, self._pidfd}:
                came = self._receive()
                if not came:
                    raise self._over()
                received += came
        return bytes(received)

    def _send(self, unsent: memoryview) -> int:
        """Send some of it; return how much. What a dead child does not take counts as sent: its end will be seen."""
        try:
            return os.write(self._requests, unsent)
        except BrokenPipeError:
            return len(unsent)

    def _receive(self) -> bytes:
        """Take what has come; nothing where nothing has, or nothing can any more."""
        try:
            return os.read(self._replies, _CHUNK)
        except BlockingIOError:
            return b""

    def _given_up(self, *, interrupted: bool) -> Exception:
        if interrupted:
            self.kill()
            return Interrupted()
        signal.pidfd_send_signal(self._pidfd, WHERE)
        where = self._where(_DUMP)
        self.kill()
        return TimeIsUp(where)

    def _over(self) -> Exception:
        """There will be no answer: it died, or the objective closed a file descriptor that is not its own."""
        died = wait_gone(self._pidfd, _FAREWELL)
        where = self._where(timedelta())
        returncode = self.kill()
        return ChildEnded(returncode, where) if died else BadReply()

    def _where(self, patience: timedelta) -> str | None:
        """Return the Python stack that the child wrote, or is about to write; None where there is none."""
        poll = select.poll()
        poll.register(self._faults, select.POLLIN)
        written = bytearray()
        while poll.poll(patience / _MILLISECOND):
            chunk = os.read(self._faults, _CHUNK)
            if not chunk:
                break
            written += chunk
            patience = min(patience, _QUIET)
        return _users_frames(written.decode(errors="replace"))


def _milliseconds_until(deadline: float | None) -> int | None:
    """Return what `poll` takes, rounded up, as it must not return a moment too early."""
    return None if deadline is None else math.ceil(max(deadline - time.monotonic(), 0) * 1000)


def _users_frames(dump: str) -> str | None:
    """Leave out the frames of a stack dump that are this package's own way to the user's code."""
    lines = [line for line in dump.splitlines() if not any(ours in line for ours in _OURS)]
    shown = "\n".join(lines).strip()
    return shown if "  File " in shown else None
