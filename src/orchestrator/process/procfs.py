"""What the kernel says about processes: who is whose child, who is still the same one, who carries our mark.

Everything here reads `/proc` at the moment of the call (see proc_pid_stat(5)); a process that is gone is `None`.
"""

from __future__ import annotations

import functools
import os
import signal
from contextlib import suppress
from pathlib import Path

from orchestrator.frozen import TYPE_CHECKING, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER_VARIABLE = "ORCH_JOB_ID"
"""The environment variable by which every process of a job can be known."""

_MARKER_ASSIGNMENT = f"\0{MARKER_VARIABLE}=".encode()
_PF_KTHREAD = 0x0020_0000  # include/linux/sched.h


@frozen
class ProcessStat:
    """One look at one process.

    Attributes:
        pid: its number, which means nothing without `start_ticks`.
        parent: the pid of its parent.
        group: its process group.
        start_ticks: when it started, in clock ticks since boot: with the pid, it names a process for one boot.
        alive: False for a zombie.
        executing: it is inside `execve`, so that its environment cannot be read for the moment.
    """

    pid: int
    parent: int
    group: int
    start_ticks: int
    alive: bool
    executing: bool


@frozen
class ProcessIdentity:
    """A name for one process that no other process ever has: its pid, its start time and the boot they belong to.

    `start_ticks` is 0 for a process that had ended before it could be looked at; that identity matches no process.
    """

    pid: int
    start_ticks: int
    boot_id: str

    def to_str(self) -> str:
        """Write it down."""
        return f"{self.pid}:{self.start_ticks}:{self.boot_id}"

    @classmethod
    def from_str(cls, text: str) -> ProcessIdentity:
        """Read what `to_str` wrote.

        Raises:
            ValueError: it is something else.
        """
        pid, start_ticks, boot_id = text.split(":")
        return cls(int(pid), int(start_ticks), boot_id)

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Name the process that has this pid now."""
        stat = find_stat(pid)
        return cls(pid, stat.start_ticks if stat else 0, boot_id())

    def find(self) -> ProcessStat | None:
        """Return the process where it still is, zombie or not; never another one that was given its pid."""
        if self.boot_id != boot_id():
            return None
        stat = find_stat(self.pid)
        return stat if stat and stat.start_ticks == self.start_ticks else None

    def is_alive(self) -> bool:
        """Tell whether the process is still there and no zombie."""
        stat = self.find()
        return stat is not None and stat.alive


@functools.cache
def boot_id() -> str:
    """Return the kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find_stat(pid: int) -> ProcessStat | None:
    """Look at one process."""
    line = _read(f"/proc/{pid}/stat")
    if not line:
        return None
    # The name in parentheses may itself hold spaces and parentheses; field N of the manual is at N - 3 after it.
    field = line[line.rindex(b")") + 2 :].split()
    alive = field[0] not in b"ZXx" or int(field[17]) > 1  # a dead first thread leaves its process running
    user_space = not int(field[6]) & _PF_KTHREAD
    return ProcessStat(
        pid=pid,
        parent=int(field[1]),
        group=int(field[2]),
        start_ticks=int(field[19]),
        alive=alive,
        executing=alive and user_space and int(field[48]) == 0,
    )


def find_environ(pid: int) -> bytes | None:
    """Return the environment a process started with (`NAME=value`, each ended by a zero byte), if we may read it."""
    return _read(f"/proc/{pid}/environ")


def find_marker(environ: bytes) -> str | None:
    """Return the job an environment belongs to."""
    _, found, rest = (b"\0" + environ).partition(_MARKER_ASSIGNMENT)
    return rest.split(b"\0", 1)[0].decode(errors="replace") if found else None


def all_pids() -> list[int]:
    """Return every process that we can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names, not paths


def children(pid: int) -> list[int]:
    """Return the children of a process, dead ones that nobody has collected included."""
    if not _kernel_lists_children():
        return [other for other in all_pids() if (stat := find_stat(other)) and stat.parent == pid]
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names, not paths
            found += map(int, (_read(f"/proc/{pid}/task/{thread}/children") or b"").split())
    return found


def descendants(pid: int) -> Iterator[ProcessStat]:
    """Walk everything below a process, parents before their children."""
    for stat in filter(None, map(find_stat, children(pid))):
        yield stat
        yield from descendants(stat.pid)


def ancestors(pid: int) -> Iterator[int]:
    """Walk from a process (included) up to the first one."""
    while pid and (stat := find_stat(pid)):
        yield pid
        pid = stat.parent


def send_signal(process: ProcessStat, number: signal.Signals) -> None:
    """Signal exactly this process, and nobody where it is gone or may not be signalled."""
    handle = _open_pidfd(process.pid)
    try:
        now = find_stat(process.pid)  # after the handle was taken: what matches now is what the handle holds
        if now is None or now.start_ticks != process.start_ticks:
            return
        with suppress(ProcessLookupError, PermissionError):
            if handle is None:
                os.kill(process.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
    finally:
        if handle is not None:
            os.close(handle)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than this read
            return file.read()
    except OSError:  # gone, or another user's
        return None


@functools.cache
def _kernel_lists_children() -> bool:
    return Path("/proc/thread-self/children").exists()  # CONFIG_PROC_CHILDREN


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone, or a kernel or sandbox without pidfds: then a check just before must do
        return None
