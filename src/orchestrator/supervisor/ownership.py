"""Who owns a session: a lease that shows its owner lives, and a token that fences off whoever owned it before."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import structlog

from orchestrator.errors import StateError, StoreUnreachableError
from orchestrator.store.calls import Adopted, Over, Owned
from orchestrator.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.clock import Clock
    from orchestrator.store.redis import RedisStore

log = structlog.get_logger()

_FAREWELL = timedelta(seconds=2)


class Ownership:
    """The lease of this process, and the sessions it owns. An async context manager: on leaving, the lease ends.

    Args:
        kind: `run` or `daemon`; shown to whoever finds a session owned.
        ttl: how long the lease outlives its last renewal.
        on_lost: called with the id of a session that somebody else has taken.
    """

    def __init__(
        self, store: RedisStore, kind: str, ttl: timedelta, clock: Clock, on_lost: Callable[[str], None]
    ) -> None:
        self.owner_id = f"{kind}-{uuid4().hex[:12]}"
        self.tokens: dict[str, int] = {}
        self._store = store
        self._ttl = ttl
        self._on_lost = on_lost
        self.lease = Lease.own(kind, clock())
        self._tasks = asyncio.TaskGroup()
        self._heartbeat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the lease and keep it."""
        await self._renew()
        await self._tasks.__aenter__()
        self._heartbeat = self._tasks.create_task(self._run_heartbeat(), name="heartbeat")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the lease."""
        if self._heartbeat:
            self._heartbeat.cancel()
        await self._tasks.__aexit__(None, None, None)
        # A store that is away keeps nobody from leaving: the lease lapses by itself.
        with suppress(TimeoutError, StoreUnreachableError):
            async with asyncio.timeout(_FAREWELL.total_seconds()):
                await self._store.release(self.owner_id)

    async def adopt(self, session_id: str) -> int | None:
        """Become a session's owner; return the fencing token, or None where the session is terminal.

        An owner on this host whose process is gone is replaced at once, whatever its lease says.

        Raises:
            StateError: somebody who lives owns it.
            NotFoundError: there is no such session.
        """
        answer = await self._store.adopt(session_id, self.owner_id)
        if isinstance(answer, Owned) and Lease.parse(answer.lease).gone():
            answer = await self._store.adopt(session_id, self.owner_id, dead_owner=answer.owner_id)
        match answer:
            case Adopted(token):
                self.tokens[session_id] = token
                log.info("session.adopted", session_id=session_id, token=token)
                return token
            case Over():
                return None
            case Owned(owner_id, lease):
                who = Lease.parse(lease)
                raise StateError(
                    f"session {session_id} is being run by {owner_id} (pid {who.pid} on {who.host} since {who.since}): "
                    f"`orch status {session_id}` shows how far it is"
                )

    def disown(self, session_id: str) -> None:
        """Stop caring for a session that has ended or is somebody else's."""
        self.tokens.pop(session_id, None)

    async def _run_heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._ttl.total_seconds() / 3)
            try:
                await self._renew()
            except StoreUnreachableError:
                return  # nobody waits for it any more: this process is about to end

    async def _renew(self) -> None:
        for session_id in await self._store.renew(self.owner_id, str(self.lease), self._ttl, dict(self.tokens)):
            if self.tokens.pop(session_id, None) is not None:
                log.warning("session.lost", session_id=session_id)
                self._on_lost(session_id)
