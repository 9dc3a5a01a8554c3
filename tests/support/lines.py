"""A way to the store that can be cut."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.clock import utc_now
from orchestrator.store.keys import Keys
from orchestrator.store.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orchestrator.settings import Settings


class Line:
    """A line to the store: what is sent while it is cut arrives when it is mended, if anybody waits so long."""

    def __init__(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()
        self.cut = self._whole.clear
        self.mend = self._whole.set

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what comes from one end to the other."""
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def a_line(settings: Settings, at: Path) -> AsyncIterator[tuple[Line, RedisStore]]:
    """Open a store over a line that can be cut."""
    line, target = Line(), urlsplit(settings.redis_url).path

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asked = await asyncio.open_unix_connection(target)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.carry(reader, asked))
            tasks.create_task(line.carry(answers, writer))

    keys = Keys(settings.env, settings.key_prefix)
    async with await asyncio.start_unix_server(connect, at):
        async with RedisStore(f"unix://{at}", keys, utc_now, settings.retention) as store:
            yield line, store
        line.mend()
