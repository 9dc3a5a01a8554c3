"""A job's newest output on its way to the store."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.joblog.log import JobLog, LogLimits
from orchestrator.joblog.records import RecordEncoder
from orchestrator.supervisor.tail import TailPump
from support.lines import a_line

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.settings import Settings
    from orchestrator.store.redis import RedisStore

pytestmark = pytest.mark.every_python


async def test_a_jobs_last_output_is_there_before_its_end_is_told_and_what_was_too_fast_is_marked(
    store: RedisStore, tmp_path: Path
) -> None:
    async with TailPump(store, 100, timedelta(hours=1)) as pump:
        encoder = RecordEncoder(session_id="s", worker_id="worker-1", attempt=2)
        waker = pump.waker("s", "j", lambda: log)
        log = JobLog(tmp_path / "log", encoder, limits=LogLimits(tail_records=2), on_tail=waker)
        log.feed("stdout", b"1\n2\n3\n4\n5\n")
        pump.drain(log)
        entries = await store.read("XRANGE", store.keys.log("s", "j"), "-", "+")  # sent after what was drained
        log.close()
    mark, *lines = [json.loads(fields["record"]) for _, fields in entries]
    assert (mark["mark"], mark["lines"], mark["worker_id"], mark["attempt"]) == ("skipped", 3, "worker-1", 2)
    assert [line["line"] for line in lines] == ["4", "5"]
    pump.drain(log)  # nothing is left


async def test_what_comes_while_the_store_is_away_is_there_afterwards_or_counted(
    settings: Settings, store: RedisStore, tmp_path: Path
) -> None:
    """More attempts than the queue has room for say more than a tail holds, and end, before the store answers."""
    attempts, said, kept = 12, 1500, 1000
    async with a_line(settings, tmp_path / "line") as (line, cut_store):
        line.cut()
        async with TailPump(cut_store, attempts * said, timedelta(hours=1)) as pump:
            for attempt in range(attempts):
                encoder = RecordEncoder(session_id="s", worker_id="worker-1", attempt=attempt)
                waker = pump.waker("s", "j", lambda: log)  # noqa: B023 - called in this turn
                limits = LogLimits(tail_records=kept)
                log = JobLog(tmp_path / "log", encoder, limits=limits, on_tail=waker)
                log.feed("stdout", b"x\n" * said)
                log.close()
                pump.drain(log)
            line.mend()
            newest = []
            while not newest or json.loads(newest[0][1]["record"])["attempt"] != attempts - 1:
                newest = await store.read("XREVRANGE", store.keys.log("s", "j"), "+", "-", "COUNT", 1)
                await asyncio.sleep(0.01)
    entries = await store.read("XRANGE", store.keys.log("s", "j"), "-", "+")
    records = [json.loads(fields["record"]) for _, fields in entries]
    skipped = [record["lines"] for record in records if record.get("mark") == "skipped"]
    assert skipped == [said - kept] * attempts
    assert len(records) == attempts * (kept + 1)
    assert [record["attempt"] for record in records] == sorted(record["attempt"] for record in records)
