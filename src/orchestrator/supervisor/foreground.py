"""A supervisor in the foreground: one session, somebody who watches it, and the signals of a terminal."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from orchestrator.domain.job import TuningJob
from orchestrator.domain.snapshot import SessionSnapshot
from orchestrator.errors import StateError
from orchestrator.executors import make_executor
from orchestrator.frozen import fields_of
from orchestrator.process.orphans import become_subreaper
from orchestrator.process.tree import use_pidfd_watcher
from orchestrator.store.keys import Keys
from orchestrator.store.redis import RedisStore
from orchestrator.supervisor.supervisor import Supervisor
from orchestrator.wishes import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.clock import Clock
    from orchestrator.domain.job import Status
    from orchestrator.domain.record import Submission
    from orchestrator.settings import Settings
    from orchestrator.store.lease import Lease
    from orchestrator.store.opening import StoreAddress

_EVERY = timedelta(milliseconds=250)
_PATIENCE = timedelta(seconds=1)
_JOBS_READ = 64  # at each look; of a hundred thousand jobs only these few can run or change at a time
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watcher(Protocol):
    """Whoever is shown how it goes. Called in the event loop: none of these may take long, nor raise."""

    def show(self, snapshot: SessionSnapshot) -> None:
        """Show the session as it is now: first before anything is done, last at the end.

        Of very many jobs, those that have not begun may be missing.
        """
        ...

    def away(self) -> None:
        """Show that the store does not answer for now."""
        ...

    def stopping(self, *, at_once: bool) -> None:
        """Show that the session is being interrupted."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went.

    Attributes:
        status: the session's.
        interrupted: a signal ended it early, and it is not terminal: it can go on later.
    """

    status: Status
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Foreground:
    """One session to be run here.

    Attributes:
        submission: what is handed in first; None where the store has the session already.
    """

    session_id: str
    env: str
    submission: Submission | None
    address: StoreAddress
    settings: Settings
    clock: Clock
    watcher: Watcher

    def run(self) -> Outcome:
        """Run it to its end, or until a signal has stopped it.

        Raises:
            StateError: the session is there already, or somebody else runs it.
            NotFoundError: it is not there.
            StoreUnreachableError: the store does not answer.
        """
        use_pidfd_watcher()
        become_subreaper()
        return asyncio.run(self._run())

    async def _run(self) -> Outcome:
        keys = Keys(self.env, self.settings.key_prefix)
        store = RedisStore(self.address.url, keys, self.clock, self.settings.retention, self.address.revive)
        async with store:
            supervisor = Supervisor(
                store, self.address.url, make_executor("local"), self.settings, self.clock, kind="run"
            )
            with _interruptible(supervisor, self.watcher) as interrupted:
                async with supervisor:
                    await self._submit(store, supervisor.ownership.owner_id)
                    status = await self._watched(store, supervisor)
        return Outcome(status, bool(interrupted) and not status.terminal)

    async def _submit(self, store: RedisStore, owner_id: str) -> None:
        """Hand the session in as one that is owned already: no daemon that starts in this moment takes it first."""
        if self.submission is None:
            return
        jobs = self.submission.jobs(lambda: str(uuid4()))
        record = {**self.submission.record(jobs, self.clock(), user_name()), "owner": owner_id}
        if await store.submit(self.session_id, record, [job.to_hash() for job in jobs]):
            raise StateError(f"session {self.session_id} was handed in by somebody else just now: look at it first")

    async def _watched(self, store: RedisStore, supervisor: Supervisor) -> Status:
        look = _Look(store, self.session_id, supervisor.ownership.lease)
        await _show(look, self.watcher)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_run_watch(look, self.watcher), name="watch")
            status = await supervisor.run_session(self.session_id)
            watching.cancel()
        await _show(look, self.watcher)
        return status


@contextmanager
def _interruptible(supervisor: Supervisor, watcher: Watcher) -> Iterator[list[int]]:
    """Have signals interrupt the session: the first within its grace, the second at once, a third this process.

    Yields those that came.
    """
    loop = asyncio.get_running_loop()
    came: list[int] = []

    def interrupt(number: int) -> None:
        came.append(number)
        at_once = len(came) > 1
        supervisor.interrupt(now=at_once)
        watcher.stopping(at_once=at_once)
        if at_once:
            release()
            for each in _SIGNALS:  # a store that is away, say, can be waited for; the next `run` clears up
                signal.signal(each, signal.SIG_DFL)

    def release() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield came
    finally:
        release()


async def _run_watch(look: _Look, watcher: Watcher) -> None:
    """Show how it goes a few times a second."""
    while True:
        await asyncio.sleep(_EVERY.total_seconds())
        await _show(look, watcher)


async def _show(look: _Look, watcher: Watcher) -> None:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            snapshot = await look.take()
    except TimeoutError:
        snapshot = None
    if snapshot is None:
        watcher.away()
    else:
        watcher.show(snapshot)


@dataclass(slots=True)
class _Look:
    """Reads a session again and again, and of its jobs only those that may have changed."""

    store: RedisStore
    session_id: str
    owner: Lease
    _ids: list[str] = field(default_factory=list)
    _jobs: dict[str, TuningJob] = field(default_factory=dict)

    async def take(self) -> SessionSnapshot | None:
        """Return how the session is now; None where the store does not answer."""
        if self.store.away:
            return None
        keys = self.store.keys
        if not self._ids:
            self._ids = await self.store.read("LRANGE", keys.jobs(self.session_id), 0, -1)
        open_ids = (each for each in self._ids if each not in self._jobs or not self._jobs[each].status.terminal)
        asked = list(islice(open_ids, _JOBS_READ))
        fields, metrics, paused, *jobs = await self.store.read_all(
            [
                ("HGETALL", keys.session(self.session_id)),
                ("SMEMBERS", keys.metrics(self.session_id)),
                ("GET", keys.paused),
                *(("HGETALL", keys.job(self.session_id, job_id)) for job_id in asked),
            ]
        )
        self._jobs |= {job_id: TuningJob.from_hash(job) for job_id, job in zip(asked, jobs, strict=True)}
        return SessionSnapshot.from_hash(
            fields,
            metrics=tuple(sorted(metrics)),
            jobs=tuple(self._jobs[each] for each in self._ids if each in self._jobs),
            owner=fields_of(self.owner),
            env_paused=paused is not None,
        )
