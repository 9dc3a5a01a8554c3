"""The daemon: the supervisor of every session of an env, until it is told to stop."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from orchestrator.errors import FencedError, NotFoundError, OrchError, StoreUnreachableError
from orchestrator.store import calls
from orchestrator.store.calls import Owned
from orchestrator.store.lease import Lease
from orchestrator.supervisor.ownership import OwnedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore
    from orchestrator.supervisor.owned import OwnedSession
    from orchestrator.supervisor.supervisor import Supervisor

log = structlog.get_logger()

_REST = timedelta(seconds=30)


@dataclass(slots=True)
class Daemon:
    """Decides which sessions its supervisor runs: all of the env that nobody else does.

    Attributes:
        on_ready: called when it serves: recovery is over, sessions are being run.
        on_standby: called with who serves instead, when another daemon does.
    """

    supervisor: Supervisor
    store: RedisStore
    settings: Settings
    on_ready: Callable[[], None]
    on_standby: Callable[[Lease], None]
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _resting: dict[str, float] = field(default_factory=dict)
    _deposed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until the supervisor is interrupted and its jobs have stopped.

        Raises:
            FencedError: another daemon serves the env now.
        """
        if await self._claim_env():
            await self._serve_env()
        with suppress(StoreUnreachableError):
            await self.store.serve(self.supervisor.ownership.owner_id, timedelta(0))

    async def _serve_env(self) -> None:
        self.supervisor.on_news(lambda _: self._news.set())
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self._run_keeper(), name="env-lease")
            stopper = tasks.create_task(self._run_until_draining(), name="drain")
            async with asyncio.TaskGroup() as sessions:
                await self._begin_all(sessions)
                self.on_ready()
                while not self.supervisor.draining.is_set():
                    self._news.clear()
                    await self._begin_all(sessions)
                    await self._news.wait()
            keeper.cancel()
            stopper.cancel()
        if self._deposed.is_set():
            raise FencedError(f"another daemon serves env {self.store.keys.env} now")

    async def _claim_env(self) -> bool:
        """Become the env's daemon; while another one is, stand by. False where it was told to stop meanwhile."""
        announced = ""
        while not self.supervisor.draining.is_set():
            other = await self.store.serve(self.supervisor.ownership.owner_id, self.settings.lease_ttl)
            if other is None:
                return True
            lease = Lease.parse(other.lease) if other.lease else None
            if lease is None or lease.gone():
                # Its lease has ended, or its process on this host is gone: no need to wait for the key to lapse.
                await self.store.serve(
                    self.supervisor.ownership.owner_id, self.settings.lease_ttl, dead_owner=other.owner_id
                )
                continue
            if other.owner_id != announced:
                announced = other.owner_id
                log.info("daemon.standby", serving=str(lease.pid), host=lease.host)
                self.on_standby(lease)
            await self._pause()
        return False

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self.settings.heartbeat.total_seconds()):
                await self.supervisor.draining.wait()
        except TimeoutError:
            return

    async def _begin_all(self, tasks: asyncio.TaskGroup) -> None:
        """Take every session that waits to be run, and run it."""
        for session_id in sorted(await self.store.read("SMEMBERS", self.store.keys.active)):
            if self.supervisor.draining.is_set():
                return
            if session_id in self.supervisor.sessions or self._resting.get(session_id, 0) > _now():
                continue
            session = await self._take(session_id)
            if session is not None:
                tasks.create_task(self._run_session(session), name=f"session-{session_id}")

    async def _take(self, session_id: str) -> OwnedSession | None:
        try:
            return await self.supervisor.take(session_id)
        except (NotFoundError, StoreUnreachableError):
            return None  # it was removed in this moment, or all of this ends
        except OwnedError as error:
            log.debug("session.left", session_id=session_id, why=str(error))  # `orch run` has it; it may die
        except Exception as error:  # noqa: BLE001 - one session's trouble must not end the others
            await self._rest(session_id, error)
        return None

    async def _run_session(self, session: OwnedSession) -> None:
        try:
            await self.supervisor.run_taken(session)
        except FencedError as error:
            log.warning("session.lost", session_id=session.session_id, why=str(error))
        except (NotFoundError, StoreUnreachableError) as error:
            log.warning("session.left", session_id=session.session_id, why=str(error))
        except Exception as error:  # noqa: BLE001 - as above
            await self._rest(session.session_id, error)
        finally:
            self._news.set()  # it may have been retried while it came to its end

    async def _rest(self, session_id: str, error: Exception) -> None:
        """Leave a session that makes trouble alone for a while, and say why where people look for it."""
        foreseen = isinstance(error, OrchError)
        why = str(error) if foreseen else f"{type(error).__name__}; the daemon's log has more"
        exc_info = None if foreseen else error
        log.error("session.trouble", session_id=session_id, why=why, again_in=_REST.total_seconds(), exc_info=exc_info)
        self._resting[session_id] = _now() + _REST.total_seconds()
        with suppress(StoreUnreachableError):
            await self.store.do(calls.trouble(self.store.keys, session_id, why))

    async def _run_keeper(self) -> None:
        """Keep the env; whoever has it now, when it was lost while the store was away, keeps it."""
        while True:
            await asyncio.sleep(self.settings.heartbeat.total_seconds())
            try:
                other = await self.store.serve(self.supervisor.ownership.owner_id, self.settings.lease_ttl)
            except StoreUnreachableError:
                return
            if isinstance(other, Owned):
                log.error("daemon.deposed", by=other.owner_id)
                self._deposed.set()
                self.supervisor.interrupt()
                return

    async def _run_until_draining(self) -> None:
        await self.supervisor.draining.wait()
        self._news.set()


def _now() -> float:
    return time.monotonic()
