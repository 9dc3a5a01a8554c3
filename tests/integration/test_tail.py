"""A job's newest output on its way to the store."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.joblog.log import JobLog, LogLimits
from orchestrator.joblog.records import RecordEncoder
from orchestrator.supervisor.tail import TailPump

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.store.redis import RedisStore


async def test_a_jobs_last_output_is_there_before_its_end_is_told_and_what_was_too_fast_is_marked(
    store: RedisStore, tmp_path: Path
) -> None:
    async with TailPump(store, 100, timedelta(hours=1)) as pump:
        encoder = RecordEncoder(session_id="s", worker_id="worker-1", attempt=2)
        waker = pump.waker("s", "j", lambda: log)
        log = JobLog(tmp_path / "log", encoder, limits=LogLimits(tail_records=2), on_tail=waker)
        log.feed("stdout", b"1\n2\n3\n4\n5\n")
        pump.drain("s", "j")
        entries = await store.read("XRANGE", store.keys.log("s", "j"), "-", "+")  # sent after what was drained
        log.close()
    mark, *lines = [json.loads(fields["record"]) for _, fields in entries]
    assert (mark["mark"], mark["lines"], mark["worker_id"], mark["attempt"]) == ("skipped", 3, "worker-1", 2)
    assert [line["line"] for line in lines] == ["4", "5"]
    pump.drain("s", "nobody")
