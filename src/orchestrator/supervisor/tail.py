"""Carries the newest log records of running jobs to the store, all jobs' together, a few times a second."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.joblog.log import JobLog, Tail
    from orchestrator.store.redis import RedisStore

_EVERY = timedelta(milliseconds=200)


class TailPump:
    """An async context manager. What does not fit a job's tail is cut from its front and marked; the log file has it.

    What the store has no room for waits in the jobs' own tails: these keep the newest records and count the others.

    Args:
        kept: how many records a job's tail holds.
    """

    def __init__(self, store: RedisStore, kept: int, retention: timedelta) -> None:
        self._store = store
        self._kept = kept
        self._retention = retention
        self._waiting: dict[JobLog, str] = {}  # and the key in the store
        self._tasks = asyncio.TaskGroup()
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start pumping."""
        await self._tasks.__aenter__()
        self._pump = self._tasks.create_task(self._run(), name="tail-pump")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Send what waits, and stop."""
        if self._pump:
            self._pump.cancel()
        await self._tasks.__aexit__(None, None, None)
        self._flush()

    def waker(self, session_id: str, job_id: str, log: Callable[[], JobLog]) -> Callable[[], None]:
        """Return what a job's log calls when it has records again after it had none."""
        key = self._store.keys.log(session_id, job_id)

        def wake() -> None:
            self._waiting[log()] = key

        return wake

    def drain(self, log: JobLog) -> None:
        """Send what a job that has ended said last, before anybody is told that it has ended."""
        if log in self._waiting and self._store.takes_posts:
            self._send(log, self._waiting.pop(log))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY.total_seconds())
            self._flush()

    def _flush(self) -> None:
        if self._store.away:
            return
        for log, key in list(self._waiting.items()):
            if self._store.takes_posts:
                del self._waiting[log]
                self._send(log, key)

    def _send(self, log: JobLog, key: str) -> None:
        tail = log.take_tail()
        records = [_mark(tail), *tail.records] if tail.dropped and tail.records else tail.records
        for record in records:
            self._store.post("XADD", key, "MAXLEN", "~", self._kept, "*", "record", record)
        self._store.post("EXPIRE", key, round(self._retention.total_seconds()))


def _mark(tail: Tail) -> bytes:
    """Make the record that stands for those which came faster than they can be carried."""
    first = json.loads(tail.records[0])
    placed = {name: first[name] for name in ("time", "session_id", "worker_id", "attempt", "stream")}
    return json.dumps({**placed, "lines": tail.dropped, "mark": "skipped"}).encode()
