"""The daemon as a process: its store, its signals, and what it tells systemd."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from orchestrator.clock import iso
from orchestrator.domain.job import Status
from orchestrator.errors import OrchError, StoreUnreachableError
from orchestrator.executors import make_executor
from orchestrator.process.orphans import become_subreaper
from orchestrator.process.tree import use_pidfd_watcher
from orchestrator.settings.reloading import Reload, reloaded
from orchestrator.store.keys import Keys
from orchestrator.store.last_known import LastKnown
from orchestrator.store.redis import RedisStore
from orchestrator.supervisor.daemon import Daemon
from orchestrator.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.clock import Clock
    from orchestrator.settings import Settings
    from orchestrator.store.lease import Lease
    from orchestrator.store.opening import StoreAddress
    from orchestrator.supervisor.systemd import Notifier

log = structlog.get_logger()

_STATUS_EVERY = timedelta(seconds=2)
_JOBS_KEPT = 64
_DRAIN_STEP = timedelta(seconds=10)
_OUTCOME_KEPT = timedelta(hours=1)


@dataclass(slots=True)
class Service:
    """A daemon from its start to its end.

    Attributes:
        load: reads the settings anew, for a reload.
    """

    address: StoreAddress
    settings: Settings
    clock: Clock
    notifier: Notifier
    load: Callable[[], Settings]
    _terms: int = field(default=0)

    def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            StoreUnreachableError: the store does not answer at the start.
            FencedError: another daemon serves the env now.
        """
        use_pidfd_watcher()
        become_subreaper()
        try:
            asyncio.run(self._run())
        except* StoreUnreachableError as away:
            if not self._terms:
                raise
            # Told to stop while the store was away: what it should have heard is put right at the next start.
            log.warning("daemon.unsettled", why=str(away.exceptions[0]))

    async def _run(self) -> None:
        keys = Keys(self.settings.env, self.settings.key_prefix)
        store = RedisStore(self.address.url, keys, self.clock, self.settings.retention, self.address.revive)
        async with store:
            supervisor = Supervisor(
                store, self.address.url, make_executor("local"), self.settings, self.clock, kind="daemon"
            )
            self._handle_signals(store, supervisor)
            async with supervisor, asyncio.TaskGroup() as tasks:
                watching = [
                    tasks.create_task(self.notifier.run_watchdog(), name="watchdog"),
                    tasks.create_task(self._run_status(store, supervisor), name="systemd-status"),
                    tasks.create_task(self._run_memory(store, supervisor), name="last-known"),
                ]
                await Daemon(supervisor, store, self.settings, self._on_ready, self._on_standby).run()
                for task in watching:
                    task.cancel()
        log.info("daemon.stopped")

    def _on_ready(self) -> None:
        log.info("daemon.ready", env=self.settings.env, max_jobs=self.settings.max_jobs)
        self.notifier.tell(READY=1, STATUS=f"serving env {self.settings.env}")

    def _on_standby(self, other: Lease) -> None:
        # Up and well: systemd, and whatever waits for this unit, need not wait for the other daemon's end.
        self.notifier.tell(READY=1, STATUS=f"standing by: pid {other.pid} on {other.host} serves")

    def _handle_signals(self, store: RedisStore, supervisor: Supervisor) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, supervisor, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload, store, supervisor)

    def _stop(self, supervisor: Supervisor, number: int) -> None:
        self._terms += 1
        at_once = self._terms > 1
        if at_once:  # whatever hangs now, a store that is away say, a third signal ends
            for each in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(each)
        log.info("daemon.stopping", signal=signal.Signals(number).name, at_once=at_once)
        self.notifier.stopping(2 * _DRAIN_STEP)
        supervisor.interrupt(now=at_once)

    def _reload(self, store: RedisStore, supervisor: Supervisor) -> None:
        self.notifier.reloading()
        now = iso(self.clock())
        try:
            fresh = self.load()
        except OrchError as error:
            log.error("daemon.reload_refused", why=str(error))  # noqa: TRY400 - the sentence says it all
            outcome = Reload(now, refused=str(error))
        else:
            self.settings, kept = reloaded(self.settings, fresh)
            supervisor.reconfigure(self.settings)
            log.info("daemon.reloaded", max_jobs=fresh.max_jobs)
            if kept:
                log.warning("daemon.reload_incomplete", until_restart=kept)
            outcome = Reload(now, kept=kept)
        store.post("SET", store.keys.reloaded, str(outcome), "EX", round(_OUTCOME_KEPT.total_seconds()))
        self.notifier.tell(READY=1)

    async def _run_memory(self, store: RedisStore, supervisor: Supervisor) -> None:
        """Keep the file with what is known: it is what `status` has to show while the store is away."""
        known = LastKnown(self.settings.state_dir, self.settings.env)
        try:
            while True:
                if not store.away:
                    names = list(supervisor.sessions)
                    with suppress(StoreUnreachableError):
                        sessions = {name: await _read_session(store, name) for name in names}
                        known.write(supervisor.ownership.lease, sessions, self.clock())
                await asyncio.sleep(_STATUS_EVERY.total_seconds())
        finally:
            known.remove()

    async def _run_status(self, store: RedisStore, supervisor: Supervisor) -> None:
        """Keep systemd's status line true, and its patience long enough while jobs drain."""
        while True:
            await asyncio.sleep(_STATUS_EVERY.total_seconds())
            running = supervisor.slots.held.total()
            if supervisor.draining.is_set():
                if running:
                    self.notifier.stopping(2 * _DRAIN_STEP)
                self.notifier.tell(STATUS=f"stopping: {running} jobs still run")
            else:
                health = "store away, jobs go on" if store.away else "serving"
                self.notifier.tell(STATUS=f"{health}: {len(supervisor.sessions)} sessions, {running} jobs run")


async def _read_session(store: RedisStore, session_id: str) -> dict[str, Any]:
    jobs = await store.get_jobs(session_id)
    shown = [job.to_hash() for job in jobs if job.status is not Status.PENDING][-_JOBS_KEPT:]
    return {"record": await store.get_session(session_id), "jobs": shown}
