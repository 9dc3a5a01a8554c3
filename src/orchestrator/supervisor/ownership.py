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


class OwnedError(StateError):
    """Somebody who lives runs the session."""


class Ownership:
    """The lease of this process, and the sessions it owns. An async context manager: on leaving, the lease ends.

    Args:
        kind: `run` or `daemon`; shown to whoever finds a session owned.
        ttl: how long the lease outlives its last renewal.
        on_lost: called with the id of a session that somebody else has taken.
        on_fading: called when the lease could not be renewed and somebody waits for its end, with the time in which
            whatever runs has to be told to end and be killed: at the lease's own end, another one runs it.

    Attributes:
        contested: somebody was there, at the last renewal, who would take the sessions if the lease lapsed.
    """

    def __init__(
        self,
        store: RedisStore,
        kind: str,
        ttl: timedelta,
        clock: Clock,
        *,
        on_lost: Callable[[str], None],
        on_fading: Callable[[timedelta], None],
    ) -> None:
        self.owner_id = f"{kind}-{uuid4().hex[:12]}"
        self.tokens: dict[str, int] = {}
        self.contested = False
        self._store = store
        self._ttl = ttl
        self._renewed = 0.0  # on the loop's clock, when the last renewal was sent: from then on the server may count
        self._on_lost = on_lost
        self._on_fading = on_fading
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
            OwnedError: somebody who lives owns it.
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
                raise OwnedError(
                    f"session {session_id} is being run by {owner_id} (pid {who.pid} on {who.host} since {who.since}): "
                    f"`orch status {session_id}` shows how far it is"
                )

    def disown(self, session_id: str) -> None:
        """Stop caring for a session that has ended or is somebody else's."""
        self.tokens.pop(session_id, None)

    async def _run_heartbeat(self) -> None:
        third = self._ttl.total_seconds() / 3
        while True:
            await asyncio.sleep(self._renewed + third - asyncio.get_running_loop().time())
            try:
                async with asyncio.timeout_at(self._renewed + 2 * third if self.contested else None):
                    await self._renew()
            except TimeoutError:
                self._fade()
            except StoreUnreachableError:
                return  # nobody waits for it any more: this process is about to end

    def _fade(self) -> None:
        """Give up, for now, what somebody else takes when the lease ends: a third of its time is left.

        Half of that for an end in order, half for the killing. Whoever finds its lease still there afterwards goes on.
        """
        log.error("lease.fading", owner_id=self.owner_id, sessions=len(self.tokens))
        self.contested = False  # until it is renewed, there is nothing more to give up
        self._on_fading(self._ttl / 6)

    async def _renew(self) -> None:
        sent = asyncio.get_running_loop().time()
        renewed = await self._store.renew(self.owner_id, str(self.lease), self._ttl, dict(self.tokens))
        self._renewed, self.contested = sent, renewed.contested
        for session_id in renewed.lost:
            if self.tokens.pop(session_id, None) is not None:
                log.warning("session.lost", session_id=session_id)
                self._on_lost(session_id)
