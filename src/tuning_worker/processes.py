"""Says how a process ended, and ends those that an evaluation left behind, whatever they did to get away.

Orphans are handed to a process that asks for it, and are then all of its children that it has not started itself. A
marker in the environment finds the rest: where the kernel hands over no orphans, or who they were handed to was killed.
It is looked for in all of `/proc`, which costs about 25 µs a process, so only where something is to be killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.process import procfs
from orchestrator.process.orphans import adopts_orphans, become_subreaper

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MARKER: Final = "ORCH_EVALUATION"
"""The environment variable that names the evaluation a process belongs to."""

WHERE: Final = signal.SIGRTMIN + 5
"""Asks an evaluator's child to write down which line it is at, whatever it is stuck in. No library uses this one."""

_PATIENCE: Final = timedelta(seconds=2)
"""How long killed processes may take to be gone: more only where one hangs in the kernel, out of reach."""


def died(returncode: int) -> tuple[str, str]:
    """Put a return code into a kind to count by and words: `exit:3`, "ended with exit code 3".

    Args:
        returncode: an exit code, or minus the number of a signal.
    """
    if returncode >= 0:
        return f"exit:{returncode}", f"ended with exit code {returncode}"
    number = -returncode
    known = {member.value: member.name for member in signal.Signals}
    name = known.get(number, str(number))  # most real-time signals have no name
    hint = " (often the kernel, out of memory)" if number == signal.SIGKILL else ""
    return f"signal:{name}", f"was killed by {name}{hint}"


def kill_group(group: int) -> None:
    """Kill a process group. Its leader must not have been reaped yet, or the number may be another's by now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_marked(marker: str) -> None:
    """Kill every process but this one whose marker starts so, and wait until they are gone.

    It looks again until it finds none, as a process may fork while it is looked at. It is bounded: 2 s.
    """
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while time.monotonic() < deadline:
        found = list(_marked(marker))
        for pidfd in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in found:
            wait_gone(pidfd, timedelta(seconds=max(deadline - time.monotonic(), 0)))
            os.close(pidfd)
        if not found:
            return


@contextlib.contextmanager
def adopting() -> Iterator[set[int]]:
    """Have the orphans below this process handed to it for a while. Gives the children that it has already."""
    before = adopts_orphans()
    become_subreaper()
    try:
        yield set(procfs.children(os.getpid()))
    finally:
        become_subreaper(wanted=before)


@contextlib.contextmanager
def reaping(spare: Collection[int]) -> Iterator[None]:
    """Reap orphans as they end: many may come while nobody looks. To be used by the main thread.

    Args:
        spare: children that are somebody else's.
    """

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and dead.si_pid not in spare:
                os.waitpid(dead.si_pid, 0)

    before = signal.signal(signal.SIGCHLD, reap)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def kill_below(spare: Collection[int] = ()) -> None:
    """Kill and reap all children of this process, and everything below them, until no more orphans come.

    It is bounded: 2 s.

    Args:
        spare: children that are somebody else's.
    """
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while time.monotonic() < deadline:
        left = [pid for pid in procfs.children(os.getpid()) if pid not in spare]
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)  # until it is reaped here, the number is its own
            for stat in procfs.descendants(pid):
                procfs.send_signal(stat, signal.SIGKILL)
        for pid in left:
            pidfd = os.pidfd_open(pid)
            if wait_gone(pidfd, timedelta(seconds=max(deadline - time.monotonic(), 0))):
                os.waitpid(pid, 0)
            os.close(pidfd)


def wait_gone(pidfd: int, patience: timedelta) -> bool:
    """Wait until the process of a pidfd has ended; return whether it has."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(patience.total_seconds() * 1000))


def _marked(marker: str) -> Iterator[int]:
    """Open a pidfd for each marked process but this one."""
    needle = b"\0" + f"{MARKER}={marker}".encode()
    own = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each process would double the cost
        if name.isdigit() and int(name) != own and _carries(name, needle):
            try:
                pidfd = os.pidfd_open(int(name))
            except ProcessLookupError:  # pragma: no cover - it ended in these microseconds
                continue
            # The number may have passed to another process before it was pinned: only now the answer holds.
            if _carries(name, needle):
                yield pidfd
            else:  # pragma: no cover - it ended in these microseconds
                os.close(pidfd)


def _carries(pid: str, needle: bytes) -> bool:
    try:
        return needle in b"\0" + Path("/proc", pid, "environ").read_bytes()
    except OSError:  # gone meanwhile, or another user's
        return False
