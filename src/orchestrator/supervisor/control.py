"""How a running job is told to stop: a slate with the intent on it, and someone who reads it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.executors.protocol import Attempt
    from orchestrator.process.tree import Exit


@dataclass(slots=True)
class Control:
    """What is wanted of one job. An intent stays; only its grace can still become shorter.

    Attributes:
        intent: empty, `interrupted`, `timeout` or `cancelled:<who>: <why>`.
        grace: how long it may take to end by itself.
        launched: whether a process of it is there.
    """

    intent: str = ""
    grace: timedelta = timedelta(0)
    launched: bool = False
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, intent: str, grace: timedelta) -> None:
        """Ask for the job's end."""
        self.grace = min(self.grace, grace) if self.intent else grace
        self.intent = self.intent or intent
        self._told.set()

    async def wait(self) -> None:
        """Wait until something new is wanted."""
        await self._told.wait()
        self._told.clear()


async def watch(attempt: Attempt, control: Control, limit: timedelta | None, grace: timedelta) -> Exit:
    """Wait for an attempt's end; stop it when `control` says so, or when it has run for `limit`.

    Args:
        attempt: what runs.
        control: what is wanted of it.
        limit: what is left of the job's `timeout`; None for no limit.
        grace: how long it may take to end once it has run out of time.
    """
    async with asyncio.TaskGroup() as tasks:
        stopper = tasks.create_task(_run_stopper(attempt, control), name="stopper")
        clock = tasks.create_task(_run_limit(control, limit, grace), name="limit")
        ended = await attempt.wait()
        stopper.cancel()
        clock.cancel()
    return ended


async def _run_stopper(attempt: Attempt, control: Control) -> None:
    async with asyncio.TaskGroup() as stops:
        while True:
            await control.wait()
            # Not awaited here: a second word with a shorter grace must be heard while the first is being carried out.
            stops.create_task(attempt.stop(control.grace), name="stop")


async def _run_limit(control: Control, limit: timedelta | None, grace: timedelta) -> None:
    if limit is not None:
        await asyncio.sleep(max(limit.total_seconds(), 0))
        control.stop("timeout", grace)
