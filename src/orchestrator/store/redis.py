"""The supervisor's connection to the store: one writer that sends all that is ready in one turn of the loop at once.

Everything goes through one queue and one task. So writes keep their order, a burst costs one round trip, and a
caller that is cancelled cannot leave a half-read reply on the connection (redis-py #2624): the writer reads it for
nobody. While the server is away the queue waits; each call is safe to send again (see `calls`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from orchestrator.domain.job import TuningJob
from orchestrator.errors import NotFoundError, OrchError, StoreUnreachableError
from orchestrator.store import calls
from orchestrator.store.refusals import is_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.clock import Clock
    from orchestrator.store.calls import Call
    from orchestrator.store.keys import Keys

T = TypeVar("T")

_AWAY = (RedisConnectionError, RedisTimeoutError, OSError)
_PAUSE = timedelta(milliseconds=200)
_BATCH = 2000  # commands a pipeline: bounds the memory of one round trip
_POSTS_KEPT = 10_000  # log records that wait for a server that is slow or away

log = structlog.get_logger()


@dataclass(slots=True)
class _Item:
    """One thing to send. `future` is None for a post, whose reply interests nobody."""

    command: tuple[Any, ...]
    call: Call[Any] | None = None
    future: asyncio.Future[Any] | None = None


@dataclass(slots=True)
class _Queue:
    items: deque[_Item] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    posts: int = 0

    def put(self, item: _Item) -> None:
        self.items.append(item)
        self.ready.set()

    def take(self) -> list[_Item]:
        batch = [self.items.popleft() for _ in range(min(_BATCH, len(self.items)))]
        self.posts -= sum(item.future is None for item in batch)
        if not self.items:
            self.ready.clear()
        return batch


class RedisStore:
    """The durable facts. An async context manager; all its work happens in one task of its own.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        keys: of the env served.
        clock: tells the time that is written.
        retention: how long a finished session's keys live.
        revive: brings a dead embedded server back; called (in a thread) when the connection is lost.
    """

    def __init__(
        self, url: str, keys: Keys, clock: Clock, retention: timedelta, revive: Callable[[], None] | None = None
    ) -> None:
        self.keys = keys
        self._clock = clock
        self._retention = retention
        self._revive = revive
        self._queue = _Queue()
        self._closing = False
        self._given_up = False
        self.away = False
        self._client = aioredis.Redis.from_url(
            url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=10, socket_connect_timeout=5
        )
        self._listener = aioredis.Redis.from_url(
            url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=5
        )
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            StoreUnreachableError: the server does not answer.
        """
        try:
            await self._client.ping()
        except _AWAY as error:
            await self._close()
            raise StoreUnreachableError(f"the store does not answer: {error}") from error
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run_writer(), name="store-writer")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Send what is queued, unless the server is away, and disconnect."""
        self._closing = True
        self._queue.ready.set()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._close()

    async def _close(self) -> None:
        await self._client.aclose()
        await self._listener.aclose()

    # --- what may be asked of it --------------------------------------------------------------------------------

    async def do(self, call: Call[T]) -> T:
        """Carry out an atomic write; waits while the server is away.

        Raises:
            OrchError: what the call's reading of the reply says.
            StoreUnreachableError: the store was closed while the server was away.
        """
        keys = [str(len(call.keys)), *call.keys, *call.args]
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Item(("EVALSHA", call.script.sha, *keys), call, future))
        result: T = await future
        return result

    async def read(self, *command: str | int) -> Any:
        """Send one plain command and return redis-py's reading of its reply."""
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Item(command, None, future))
        return await future

    async def read_all(self, commands: Iterable[Sequence[str | int]]) -> list[Any]:
        """Send plain commands together and return their replies in order."""
        loop = asyncio.get_running_loop()
        items = [_Item(tuple(command), None, loop.create_future()) for command in commands]
        for item in items:
            self._queue.put(item)
        return [await item.future for item in items if item.future]

    def post(self, *command: str | int | bytes) -> None:
        """Send a command whose reply interests nobody; who has many of them asks `takes_posts` first."""
        self._queue.posts += 1
        self._queue.put(_Item(command))

    @property
    def takes_posts(self) -> bool:
        """Whether there is room for posts: while the server is away, what waits for it has its limit."""
        return self._queue.posts < _POSTS_KEPT

    async def next_wakes(self, after: str, patience: timedelta) -> list[tuple[str, str]]:
        """Wait for news on a connection of its own; return (entry id, session id) of each, none when patience ends.

        Raises:
            RedisError: the server is away.
        """
        block = round(patience.total_seconds() * 1000)
        answer: Any = await self._listener.xread({self.keys.wake: after}, block=block)
        return [(entry_id, fields["session_id"]) for _, entries in answer for entry_id, fields in entries]

    async def last_wake(self) -> str:
        """Return the id of the newest news, to wait for what follows on it."""
        newest = await self.read("XREVRANGE", self.keys.wake, "+", "-", "COUNT", 1)
        return str(newest[0][0]) if newest else "0-0"

    def give_up(self) -> None:
        """Wait no longer for a server that is away: what waits fails, and so does what comes while it is away."""
        self._given_up = True

    async def submit(
        self, session_id: str, session: Mapping[str, object], jobs: Sequence[Mapping[str, str]]
    ) -> calls.Existing | None:
        """Create a session with its jobs, or say what was there."""
        sent_ahead = len(jobs) >= calls.LARGE
        if sent_ahead:
            for portion in calls.send_ahead(self.keys, session_id, jobs):
                await self.read_all(portion)
        return await self.do(calls.submit(self.keys, session_id, session, jobs, self._clock(), sent_ahead=sent_ahead))

    async def adopt(
        self, session_id: str, owner_id: str, dead_owner: str = ""
    ) -> calls.Adopted | calls.Owned | calls.Over:
        """Become the owner of a session, unless somebody who lives is."""
        return await self.do(calls.adopt(self.keys, session_id, owner_id, self._clock(), dead_owner))

    async def renew(self, owner_id: str, lease: str, ttl: timedelta, sessions: Mapping[str, int]) -> calls.Renewed:
        """Renew the lease; learn which sessions are somebody else's now, and whether somebody waits for the others."""
        return await self.do(calls.renew(self.keys, owner_id, lease, ttl, sessions))

    async def serve(self, owner_id: str, ttl: timedelta, dead_owner: str = "") -> calls.Owned | None:
        """Become the env's daemon, or stay it; return who is it where it is somebody else, and stand by."""
        return await self.do(calls.serve(self.keys, owner_id, ttl, dead_owner))

    async def release(self, owner_id: str) -> None:
        """End the lease at once, so that the next owner need not wait for it to lapse."""
        await self.read("DEL", self.keys.owner(owner_id))

    async def transition(self, change: calls.Transition) -> calls.Moved:
        """Change a job's status."""
        return await self.do(calls.transition(self.keys, change, self._clock(), self._retention))

    async def note(self, job: TuningJob, token: int, fields: Mapping[str, object]) -> None:
        """Write facts about the present attempt."""
        await self.do(calls.note(self.keys, job.session_id, job.job_id, token, fields))

    async def get_session(self, session_id: str) -> dict[str, str]:
        """Return a session's fields; empty where there is none."""
        fields: dict[str, str] = await self.read("HGETALL", self.keys.session(session_id))
        return fields

    async def get_job(self, session_id: str, job_id: str) -> TuningJob:
        """Return one job as it stands.

        Raises:
            NotFoundError: it is not there.
        """
        fields = await self.read("HGETALL", self.keys.job(session_id, job_id))
        if not fields:
            raise NotFoundError(f"job {job_id} is not in the store")
        return TuningJob.from_hash(fields)

    async def get_jobs(self, session_id: str) -> list[TuningJob]:
        """Return all jobs of a session, in the order of its workers."""
        ids = await self.read("LRANGE", self.keys.jobs(session_id), 0, -1)
        hashes = await self.read_all(("HGETALL", self.keys.job(session_id, job_id)) for job_id in ids)
        return [TuningJob.from_hash(fields) for fields in hashes if fields]

    # --- the writer ---------------------------------------------------------------------------------------------

    async def _run_writer(self) -> None:
        while not (self._closing and not self._queue.items):
            await self._queue.ready.wait()
            batch = self._queue.take()
            while batch:
                batch = await self._send(batch)

    async def _send(self, batch: list[_Item]) -> list[_Item]:
        """Send a batch and settle its futures; return what has to be sent again."""
        pipeline = self._client.pipeline(transaction=False)
        for item in batch:
            pipeline.execute_command(*item.command)
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except _AWAY as error:
            return await self._wait_for_server(batch, error)
        refusal = next((reply for reply in replies if is_temporary(reply)), None)
        again = [item for item, reply in zip(batch, replies, strict=True) if not _settle(item, reply)]
        if refusal is not None:
            return await self._wait_for_server(again, refusal)
        if self.away:
            self.away = False
            log.info("store.back")
        if again:
            await self._load_scripts(again)
        return again

    async def _load_scripts(self, items: list[_Item]) -> None:
        try:
            for text in {item.call.script.text for item in items if item.call}:
                await self._client.script_load(text)
        except _AWAY as error:
            await self._wait_for_server(items, error)

    async def _wait_for_server(self, batch: list[_Item], error: Exception) -> list[_Item]:
        if self._closing or self._given_up:
            for item in (*batch, *self._queue.items):
                _fail(item, StoreUnreachableError(f"the store does not answer: {error}"))
            self._queue.items.clear()
            return []
        if not self.away:
            self.away = True
            log.warning("store.away", error=str(error))
        if self._revive:
            try:
                await asyncio.to_thread(self._revive)
            except OrchError as failure:
                log.warning("store.revive_failed", error=str(failure))
        await asyncio.sleep(_PAUSE.total_seconds())
        return batch


def _settle(item: _Item, reply: object) -> bool:
    """Give a reply to who waits for it; False where the command has to be sent again."""
    if isinstance(reply, NoScriptError) or is_temporary(reply):
        return False
    if item.future is None or item.future.done():
        return True
    if isinstance(reply, RedisError):
        _fail(item, StoreUnreachableError(f"the store refuses: {reply}"))
        return True
    try:
        item.future.set_result(item.call.read(reply) if item.call and isinstance(reply, list) else reply)
    except OrchError as error:
        _fail(item, error)
    return True


def _fail(item: _Item, error: OrchError) -> None:
    if item.future is not None and not item.future.done():
        item.future.set_exception(error)
