"""Finds and kills what is left of a process tree, whatever it did to get away, and nobody else.

A process belongs to a tree when it carries the tree's marker in its environment; when it carries none and was handed to
us from the tree's process group; when it is a descendant of one that belongs; or when it was known before.
What started a session of its own with a wiped environment under a parent that is gone is out of reach, but where the
tree has a cgroup (see `cgroup.py`): all that is in it belongs.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.errors import OrchError
from orchestrator.process import procfs
from orchestrator.process.cgroup import Cgroup
from orchestrator.process.orphans import adopts_orphans

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from orchestrator.process.procfs import ProcessIdentity, ProcessStat

_FIRST_PAUSE = 0.0005  # seconds
_LONGEST_PAUSE = 0.05
_LOOKS_IN_DOUBT = 5  # with the pauses between them: 15 ms, and an execve is over
_STRAY_AFTER = 5.0  # seconds in which whoever started a process would have collected it


class RemnantError(OrchError):
    """Processes that an earlier supervisor left behind do not go away."""

    def __init__(self, marker: str, pids: tuple[int, ...]) -> None:
        listed = ", ".join(map(str, pids))
        super().__init__(f"job {marker} has processes that were killed and are still there (see `ps`): {listed}")
        self.marker, self.pids = marker, pids


class Backoff:
    """Waits a little for something that ends soon, and a little longer each time, as it may not."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE

    async def wait(self) -> None:
        """Wait once."""
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class Leftovers:
    """What is left of one tree. It remembers who belonged, as a dying process no longer shows it.

    Args:
        marker: the value of `ORCH_JOB_ID` in the tree.
        group: the process group the tree started with; 0 where it is not known.
        inherited: the tree is not ours but an earlier supervisor's, so its orphans are not handed to us.
    """

    def __init__(self, marker: str, group: int, *, inherited: bool = False) -> None:
        self._marker = marker
        self._group = group
        self._inherited = inherited
        self._known: dict[int, int] = {}  # pid → start_ticks
        self._in_doubt = False
        self._cgroup = Cgroup.find(marker)

    def remember(self, members: Iterable[ProcessStat]) -> None:
        """Know these as members from now on."""
        self._known |= {stat.pid: stat.start_ticks for stat in members}

    def look(self, main: ProcessStat | None = None, *, spare: Collection[int] = ()) -> list[ProcessStat]:
        """Return every living process of the tree but the main one, parents first, and collect the dead that are ours.

        Args:
            main: the tree's first process while its pid cannot be another's: then its group is safe to name by it,
                and what is below it is known before it can get away.
            spare: pids of other trees' main processes, which someone else looks after.
        """
        self._in_doubt = False
        adopting = not self._inherited and adopts_orphans()
        candidates = procfs.children(os.getpid()) if adopting else _everyone_but_us()
        stats = [stat for pid in candidates if pid not in spare and (stat := procfs.find_stat(pid))]
        owned = {stat.pid: stat for stat in stats if self._owns(stat, group_is_ours=main is not None)}
        if self._cgroup:
            owned |= {pid: stat for pid in self._cgroup.pids() if (stat := procfs.find_stat(pid))}
        members = dict(owned)
        for root in [main, *owned.values()] if main else owned.values():
            members |= {stat.pid: stat for stat in procfs.descendants(root.pid)}
        if main:
            members.pop(main.pid, None)
        self.remember(members.values())
        for stat in members.values():
            _collect(stat)
        if adopting:
            _STRAYS.collect(stat for stat in stats if stat.pid not in members)
        return [stat for stat in members.values() if stat.alive]

    def strike(self, left: Iterable[ProcessStat]) -> None:
        """Kill these members once, with their groups where that is safe: only so are they faster than a fork bomb."""
        me = os.getpid()
        if self._cgroup:
            self._cgroup.kill()
        for stat in left:
            # A child of ours that nobody has collected pins the number of its group, and so does no one else's.
            if stat.parent == me and stat.group in {self._group, stat.pid}:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(stat.group, signal.SIGKILL)
            procfs.send_signal(stat, signal.SIGKILL)

    async def kill(self, *, spare: Collection[int] = (), patience: timedelta | None = None) -> bool:
        """Kill until nothing is left.

        Args:
            spare: as in `look`.
            patience: None waits as long as it takes.

        Returns:
            Whether anything was there.

        Raises:
            RemnantError: something outlived `patience`.
        """
        killed, doubts, backoff = False, 0, Backoff()
        deadline = time.monotonic() + (patience.total_seconds() if patience else math.inf)
        while (left := self.look(spare=spare)) or (self._in_doubt and doubts < _LOOKS_IN_DOUBT):
            if left and time.monotonic() > deadline:
                raise RemnantError(self._marker, tuple(stat.pid for stat in left))
            self.strike(left)
            killed = killed or bool(left)
            doubts += not left
            await backoff.wait()
        if self._cgroup:
            self._cgroup.remove()
        return killed

    def _owns(self, stat: ProcessStat, *, group_is_ours: bool) -> bool:
        if self._known.get(stat.pid) == stat.start_ticks:
            return True
        environ = procfs.find_environ(stat.pid)
        if environ == b"" and stat.executing:
            self._in_doubt = True
        marker = procfs.find_marker(environ or b"")
        if marker is not None:
            return marker == self._marker
        # The number of an empty group may be another's by now, but no stranger is handed to us as an orphan.
        adopted = stat.parent == os.getpid() and not self._inherited
        return stat.group == self._group and (group_is_ours or adopted)


async def kill_remnant(identity: ProcessIdentity, marker: str, *, patience: timedelta = timedelta(seconds=10)) -> bool:
    """Kill what a supervisor that died left of a job, and everything below it; never a stranger with a recycled pid.

    To be called before the job runs again: a new attempt carries the same marker.

    Args:
        identity: the job's main process, as it was recorded at its start.
        marker: the job's `ORCH_JOB_ID`.
        patience: how long killed processes may take to go.

    Returns:
        Whether anything was there to kill.

    Raises:
        RemnantError: something is still there after `patience`.
    """
    if identity.boot_id != procfs.boot_id():
        return False
    leftovers = Leftovers(marker, identity.pid, inherited=True)
    main = identity.find()
    if main and main.pid not in procfs.ancestors(os.getpid()):
        leftovers.look(main)  # knows its group and all below it, while it is there to name them
        leftovers.remember([main])
    return await leftovers.kill(patience=patience)


class _Strays:
    """Dead orphans that no tree can claim any more: collected when nobody else has done so for a while."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, int], float] = {}

    def collect(self, orphans: Iterable[ProcessStat]) -> None:
        now = time.monotonic()
        dead = {(stat.pid, stat.start_ticks): stat for stat in orphans if not stat.alive}
        self._since = {name: self._since.get(name, now) for name in dead}
        for name, stat in dead.items():
            if now - self._since[name] >= _STRAY_AFTER:
                _collect(stat)


_STRAYS = _Strays()


def _collect(stat: ProcessStat) -> None:
    """Take the exit status of a process that is dead and was handed to us."""
    if not stat.alive and stat.parent == os.getpid():
        with suppress(ChildProcessError):
            os.waitpid(stat.pid, os.WNOHANG)


def _everyone_but_us() -> list[int]:
    """Return all processes but this one and those above it: whatever they carry, they are nobody's remnant."""
    spared = set(procfs.ancestors(os.getpid()))
    return [pid for pid in procfs.all_pids() if pid not in spared]
