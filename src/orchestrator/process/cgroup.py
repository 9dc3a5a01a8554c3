"""A cgroup for each process tree, where ours was delegated to us: what is born in one is in it, whatever it does then.

systemd delegates the unit's cgroup (`Delegate=yes`) and marks it so (`user.delegate`). Nowhere else is anything
touched: the hierarchy may be somebody else's to keep. See cgroups(7) and https://systemd.io/CGROUP_DELEGATION.
"""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The cgroup of one tree.

    Attributes:
        path: where it is.
        home: our own.
    """

    path: Path
    home: Path

    @classmethod
    def find(cls, marker: str) -> Cgroup | None:
        """Return the cgroup of a tree, where it has one."""
        home = find_home()
        found = home and cls(home / f"job-{marker}", home)
        return found if found and found.path.is_dir() else None

    @classmethod
    def make(cls, marker: str) -> Cgroup | None:
        """Make a cgroup for a tree, where we may."""
        home = find_home()
        if home is None:
            return None
        made = cls(home / f"job-{marker}", home)
        try:
            made.path.mkdir(exist_ok=True)
        except OSError:
            return None
        return made

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it, so that what is born now is born in it; nothing else of this process may be done meanwhile.

        Moving a child into it after its birth would lose those that it has had by then.
        """
        _move_to(self.path)
        try:
            yield
        finally:
            _move_to(self.home)

    def pids(self) -> list[int]:
        """Return all that is in it, and in those below it."""
        found: list[int] = []
        for folder, _, _ in os.walk(self.path):
            with suppress(OSError):
                found += map(int, Path(folder, "cgroup.procs").read_text(encoding="ascii").split())
        return found

    def kill(self) -> None:
        """Kill all that is in it at once: nothing can fork itself away from that."""
        if os.getpid() not in self.pids():  # it would be us, had we failed to leave
            with suppress(OSError):
                (self.path / "cgroup.kill").write_text("1", encoding="ascii")

    def remove(self) -> None:
        """Remove it, once it is empty."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


class BornIn(Generic[T]):
    """Awaits a coroutine whose first step, in which asyncio forks, is taken inside of a cgroup, and the rest outside.

    Args:
        cgroup: None takes every step where we are.
        spawning: the coroutine.
    """

    def __init__(self, cgroup: Cgroup | None, spawning: Coroutine[Any, Any, T]) -> None:
        self._cgroup = cgroup
        self._spawning = spawning

    def __await__(self) -> Generator[Any, Any, T]:
        """Take the steps."""
        try:
            with ExitStack() as inside:
                if self._cgroup:
                    with suppress(OSError):  # not let in: its child is born where we are
                        inside.enter_context(self._cgroup.entered())
                step = self._spawning.send(None)
            while True:
                try:
                    sent = yield step
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                    step = self._spawning.throw(error)
                else:
                    step = self._spawning.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result


@functools.cache
def find_home() -> Path | None:
    """Return our own cgroup where it was delegated to us, as it was when this was asked first."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    mount = next((line.split() for line in mounts if " - cgroup2 " in line), None)
    own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"), None)
    if mount is None or own is None or mount[3] != "/":
        return None
    home = Path(mount[4] + own)
    with suppress(OSError):
        if os.getxattr(home, "user.delegate") == b"1" and os.access(home / "cgroup.procs", os.W_OK):
            return home if (home / "cgroup.kill").exists() else None
    return None


def _move_to(cgroup: Path) -> None:
    with (cgroup / "cgroup.procs").open("w", encoding="ascii") as procs:
        procs.write("0")
