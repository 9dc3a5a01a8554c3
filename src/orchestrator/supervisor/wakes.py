"""Listens for what other shells want of sessions: the wake stream names the session, its hashes say what."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orchestrator.store.redis import RedisStore

_LOOK_AGAIN = timedelta(seconds=5)


async def wakes(store: RedisStore) -> AsyncIterator[str | None]:
    """Yield the id of each session of which something is wanted; None when it is time to look at all of them.

    All are looked at in the beginning, when the whole env was paused or resumed, when nothing has come for a while, and
    when the server was away: a wake is a hint that saves time, and what is wanted stands in the store.
    """
    last = await store.last_wake()
    yield None
    while True:
        try:
            async with asyncio.timeout(2 * _LOOK_AGAIN.total_seconds()):
                entries = await store.next_wakes(last, _LOOK_AGAIN)
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(0.2)
            entries = []
        if not entries:
            yield None
        for entry_id, session_id in entries:
            last = entry_id
            yield session_id or None
