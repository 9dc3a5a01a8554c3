"""What turns a job into a running process somewhere, as its supervisor sees it.

All of it is idempotent on (job, attempt). Only the supervisor decides to try again: an executor never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

    from orchestrator.process.output_pipe import OutputSink
    from orchestrator.process.tree import Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start.

    Attributes:
        argv: the program and its arguments; never a shell line.
        env: the whole environment of the process.
        sink: takes its output as it comes.
    """

    job_id: str
    attempt: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    sink: OutputSink


class Attempt(Protocol):
    """A launched attempt."""

    @property
    def handle(self) -> str:
        """What finds it again after its supervisor has died, as text."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process id on this host, where it has one."""
        ...

    async def wait(self) -> Exit:
        """Wait until nothing of it is left."""
        ...

    async def stop(self, grace: timedelta) -> None:
        """Ask it to end, and end it after `grace`; called again, a shorter grace counts."""
        ...


class Executor(Protocol):
    """An engine that runs attempts."""

    name: str

    async def launch(self, launch: Launch) -> Attempt:
        """Start an attempt.

        Raises:
            LaunchError: it cannot be started; the message says why.
        """
        ...

    async def clear(self, job_id: str, handle: str) -> None:
        """Make sure that nothing is left of an attempt whose supervisor died; `handle` may be empty."""
        ...
