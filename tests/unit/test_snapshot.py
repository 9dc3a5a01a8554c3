"""What a session and its jobs are said to wait for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.snapshot import SessionSnapshot, obstacles, waits_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVED: dict[str, Any] = {"owner": {"kind": "daemon"}, "daemon": {"kind": "daemon"}}


def session(**more: Any) -> SessionSnapshot:
    record = {
        "session_id": "s",
        "status": "PENDING",
        "mode": "paper",
        "env": "e",
        "optimizer": "random",
        "metric": "value",
        "direction": "maximize",
        "seed": "1",
        "workers": "1",
        "total_iterations": "1",
        "completed_iterations": "0",
        "failed_iterations": "0",
    }
    paused = more.pop("paused", "")
    status, trouble = more.pop("status", "PENDING"), more.pop("trouble", "")
    raw = {**record, "status": status, "paused": paused, "trouble": trouble}
    return SessionSnapshot.from_hash(raw, **more)


def job(**more: Any) -> TuningJob:
    given: dict[str, Any] = {
        "job_id": "j",
        "session_id": "s",
        "worker_id": "worker-1",
        "iterations": 1,
        "mode": "paper",
    }
    return TuningJob(**given, env="e", optimizer="random", config_path="c", output_csv="o", **more)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, ["a daemon: none serves env e"]),
        ({"daemon": {"kind": "daemon"}}, ["the daemon to take it"]),
        (SERVED, []),
        ({"owner": {"kind": "run"}}, []),
        ({"daemon": {"kind": "daemon"}, "trouble": "too new"}, ["a daemon that can run it: too new"]),
        ({**SERVED, "paused": "1"}, ["`orch resume s`"]),
        ({**SERVED, "env_paused": True}, ["`orch resume`: all of env e is paused"]),
        ({"paused": "1", "env_paused": True}, 3),
        ({"status": "FAILED", "paused": "1"}, []),
    ],
)
def test_what_keeps_a_session_from_beginning(state: dict[str, Any], expected: list[str] | int):
    found = obstacles(session(**state))
    assert (len(found) if isinstance(expected, int) else found) == expected


def test_what_a_job_waits_for():
    assert waits_for(job(), session(**SERVED), NOW) == "a free slot"
    assert waits_for(job(status=Status.RUNNING), session(**SERVED), NOW) is None
    assert waits_for(job(status=Status.FAILED), session(), NOW) is None
    soon = job(retry_at=NOW + timedelta(seconds=3), reason="exit:3")
    assert waits_for(soon, session(**SERVED), NOW) == "2026-01-01T00:00:03.000Z, when it is tried again"
    assert waits_for(soon, session(**SERVED), NOW + timedelta(seconds=4)) == "a free slot"
    both = waits_for(soon, session(), NOW)
    assert both == "a daemon: none serves env e and 2026-01-01T00:00:03.000Z, when it is tried again"


def test_the_json_form_says_it_too():
    shown = session(jobs=(job(),), **SERVED).as_json(NOW)
    assert (shown["daemon"], shown["waits_for"], shown["jobs"][0]["waits_for"]) == (True, [], "a free slot")
    assert (shown["labels"], shown["submitted_by"], shown["paused"]) == ({}, None, False)
