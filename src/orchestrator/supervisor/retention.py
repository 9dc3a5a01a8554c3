"""Nothing lives for ever by accident: a finished session's keys get a time to live, and its name leaves with them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.clock import iso
from orchestrator.domain.job import Status

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from orchestrator.store.redis import RedisStore

_CHUNK = 1000
_GONE, _FOR_EVER = -2, -1  # what PTTL says of a key that is not there, and of one that does not expire


async def expire_session(store: RedisStore, session_id: str, retention: timedelta, now: datetime) -> None:
    """Give all keys of a finished session their time to live."""
    jobs = await store.get_jobs(session_id)
    if not jobs:
        return  # it was removed in this moment
    lives = round(retention.total_seconds())
    await store.read("HSET", store.keys.session(session_id), "expires_at", iso(now + retention))
    shares = ((job.job_id, job.worker_id, job.begun) for job in jobs)
    names = store.keys.of_session(session_id, jobs[0].mode, shares)
    while chunk := list(islice(names, _CHUNK)):
        await store.read_all(("EXPIRE", name, lives) for name in chunk)
    # Tried again meanwhile: its keys have to live on, whichever of the two came last to each of them.
    if not Status((await store.get_session(session_id)).get("status", Status.SUCCESS)).terminal:
        shares = ((job.job_id, job.worker_id, job.begun) for job in jobs)
        again = store.keys.of_session(session_id, jobs[0].mode, shares)
        await store.read("HDEL", store.keys.session(session_id), "expires_at")
        while chunk := list(islice(again, _CHUNK)):
            await store.read_all(("PERSIST", name) for name in chunk)


async def sweep(store: RedisStore, retention: timedelta, now: datetime) -> None:
    """Take expired sessions off the index, and finish what a killed supervisor left undone."""
    finished = await store.read("ZRANGE", store.keys.retention, 0, -1)
    # Of a session's keys its own hash is the last that gets a time to live: with that the others have theirs.
    lives = await store.read_all(("PTTL", store.keys.session(name)) for name in finished)
    for name, left in zip(finished, lives, strict=True):
        if left == _GONE:
            await store.read_all((("ZREM", store.keys.retention, name), ("ZREM", store.keys.sessions, name)))
        elif left == _FOR_EVER:
            await expire_session(store, name, retention, now)
