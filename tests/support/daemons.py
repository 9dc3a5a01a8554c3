"""Daemons that run in the test's own process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from orchestrator.domain.job import Status
from orchestrator.supervisor.daemon import Daemon
from support.sessions import make_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orchestrator.executors.protocol import Executor
    from orchestrator.settings import Settings
    from orchestrator.store.lease import Lease
    from orchestrator.store.redis import RedisStore


class Running:
    """A daemon that runs in this process."""

    def __init__(self, store: RedisStore, settings: Settings, executor: Executor | None = None) -> None:
        self.supervisor = make_supervisor(store, settings, "daemon", executor)
        self.ready = asyncio.Event()
        self.standby: list[Lease] = []
        self.daemon = Daemon(self.supervisor, store, settings, self.ready.set, self.standby.append)


@asynccontextmanager
async def serving(store: RedisStore, settings: Settings) -> AsyncIterator[Running]:
    """Run a daemon that serves."""
    made = Running(store, settings)
    async with asyncio.timeout(300), made.supervisor, asyncio.TaskGroup() as tasks:
        tasks.create_task(made.daemon.run())
        await made.ready.wait()
        try:
            yield made
        finally:
            made.supervisor.interrupt()


async def ended(store: RedisStore, session_id: str) -> Status:
    """Wait until a session is terminal; return its status."""
    while not (status := Status((await store.get_session(session_id))["status"])).terminal:
        await asyncio.sleep(0.01)
    return status
