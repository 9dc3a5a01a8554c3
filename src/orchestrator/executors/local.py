"""Runs attempts as children of the supervisor's own process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.process.procfs import ProcessIdentity
from orchestrator.process.remnants import kill_remnant
from orchestrator.process.tree import Exit, ProcessTree

if TYPE_CHECKING:
    from datetime import timedelta

    from orchestrator.executors.protocol import Launch


@dataclass(frozen=True, slots=True)
class LocalAttempt:
    """An attempt that is a process tree on this host; its handle is the identity of the tree's first process."""

    tree: ProcessTree

    @property
    def handle(self) -> str:
        """What finds it again: boot, pid and start time."""
        return self.tree.identity.to_str()

    @property
    def pid(self) -> int:
        """The pid of its first process, which is also its process group's."""
        return self.tree.identity.pid

    async def wait(self) -> Exit:
        """Wait until nothing of the tree is left."""
        return await self.tree.wait()

    async def stop(self, grace: timedelta) -> None:
        """Signal the whole tree: TERM, and KILL after `grace`."""
        await self.tree.stop(grace)


class LocalExecutor:
    """Places every job on this host."""

    name = "local"

    async def launch(self, launch: Launch) -> LocalAttempt:
        """Start an attempt as a child in a process group of its own."""
        return LocalAttempt(
            await ProcessTree.spawn(launch.argv, env=launch.env, cwd=launch.cwd, marker=launch.job_id, sink=launch.sink)
        )

    async def clear(self, job_id: str, handle: str) -> None:
        """Kill what a dead supervisor left of an attempt, found by its identity or by its marker."""
        identity = ProcessIdentity.from_str(handle) if handle else ProcessIdentity.of(0)
        await kill_remnant(identity, job_id)
