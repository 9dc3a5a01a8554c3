"""A session that this supervisor owns, while it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from orchestrator.domain.session import SessionSpec
    from orchestrator.supervisor.control import Control


@dataclass(slots=True)
class OwnedSession:
    """A session that is run here.

    Attributes:
        token: the fencing token it is owned under.
        cwd: the directory it was submitted from; its jobs run there.
        python: the interpreter of its workers.
        seed: of its suggestions.
        controls: of the jobs that run, by job id.
        waiting: of the jobs that wait to be tried again, what is set when they need not any more; by job id.
        lost: somebody else has taken it.
        begins: cleared while it is paused.
    """

    spec: SessionSpec
    token: int
    cwd: Path
    python: str
    seed: int
    controls: dict[str, Control] = field(default_factory=dict)
    waiting: dict[str, asyncio.Event] = field(default_factory=dict)
    lost: bool = False
    begins: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def session_id(self) -> str:
        """Its name."""
        return self.spec.session_id

    def hurry(self) -> None:
        """Have whatever waits here look at how things are."""
        self.begins.set()
        for waiting in self.waiting.values():
            waiting.set()

    def stop_jobs(self, intent: str, grace: timedelta | None = None) -> None:
        """Have all its running jobs end, within its own grace unless another is given."""
        for control in self.controls.values():
            control.stop(intent, self.spec.grace if grace is None else grace)

    def lose(self) -> None:
        """Somebody else owns it: stop its jobs and write nothing more."""
        self.lost = True
        self.hurry()
        self.stop_jobs("fenced")
