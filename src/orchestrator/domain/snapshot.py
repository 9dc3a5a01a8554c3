"""What is known of a session at one moment, and what follows from it: progress, time left, a JSON form."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from types import MappingProxyType

from orchestrator.clock import iso
from orchestrator.domain.fronts import read_objectives
from orchestrator.domain.job import Status, TuningJob, read_int, read_time
from orchestrator.frozen import TYPE_CHECKING, fields_of, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@frozen
class SessionSnapshot:
    """A session as the store shows it.

    Attributes:
        total_iterations: None with `worker_command`, which counts none; so are the other counts.
        best: the result with the best value so far: g, worker_id, iteration, value, params, metrics, timestamp.
        metrics: the names of the metrics seen.
        objectives: the metrics that are tuned, each `maximize` or `minimize`; `metric` is the first.
        labels: names and values that its file gave it.
        submitted_by: who handed it in; empty where that is not known.
        paused: it begins no job.
        trouble: why nobody can run it; empty where nothing is known to be wrong.
        env_paused: its whole env begins none.
        owner: who runs it now, as its lease says; None where nobody does.
        daemon: who serves this env, as its lease says; None where no daemon does.
        adopted_at: when whoever runs it now, or ran it last, took it.
        adopted_with: how many iterations were recorded then.
        known_at: when this was so, where the store is away and this is what the daemon last knew; else None.
    """

    session_id: str
    status: Status
    mode: str
    env: str
    optimizer: str
    metric: str
    direction: str
    seed: int
    workers: int
    total_iterations: int | None
    completed_iterations: int | None
    failed_iterations: int | None
    pruned_iterations: int | None
    submitted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    last_update: datetime | None
    best: Mapping[str, Any] | None
    metrics: tuple[str, ...] = ()
    objectives: Mapping[str, str] = MappingProxyType({})
    jobs: tuple[TuningJob, ...] = ()
    labels: Mapping[str, str] = MappingProxyType({})
    submitted_by: str = ""
    paused: bool = False
    trouble: str = ""
    env_paused: bool = False
    owner: Mapping[str, Any] | None = None
    daemon: Mapping[str, Any] | None = None
    adopted_at: datetime | None = None
    adopted_with: int = 0
    known_at: datetime | None = None

    @classmethod
    def from_hash(cls, raw: Mapping[str, str], **more: Any) -> SessionSnapshot:
        """Read a session's record; `more` are the fields that come from elsewhere."""
        total = read_int(raw["total_iterations"])
        counted = total is not None
        return cls(
            session_id=raw["session_id"],
            status=Status(raw["status"]),
            mode=raw["mode"],
            env=raw["env"],
            optimizer=raw["optimizer"],
            metric=raw["metric"],
            direction=raw["direction"],
            seed=int(raw["seed"]),
            workers=int(raw["workers"]),
            total_iterations=total,
            completed_iterations=int(raw["completed_iterations"]) if counted else None,
            failed_iterations=int(raw["failed_iterations"]) if counted else None,
            pruned_iterations=int(raw.get("pruned_iterations", 0)) if counted else None,
            submitted_at=read_time(raw.get("submitted_at", "")),
            started_at=read_time(raw.get("started_at", "")),
            finished_at=read_time(raw.get("finished_at", "")),
            last_update=read_time(raw.get("last_update", "")),
            best=json.loads(raw["best"]) if raw.get("best") else None,
            objectives=read_objectives(raw),
            labels=json.loads(raw.get("labels") or "{}"),
            submitted_by=raw.get("submitted_by", ""),
            paused=bool(raw.get("paused")),
            trouble=raw.get("trouble", ""),
            adopted_at=read_time(raw.get("adopted_at", "")),
            adopted_with=read_int(raw.get("adopted_with", "")) or 0,
            **more,
        )

    @property
    def unserved(self) -> bool:
        """Whether it has not ended, and nobody is there to see to it."""
        return not self.status.terminal and self.owner is None and self.daemon is None

    @property
    def progress(self) -> float | None:
        """The share of iterations recorded, 0 to 1."""
        if self.total_iterations is None or self.completed_iterations is None:
            return None
        return self.completed_iterations / self.total_iterations

    def time_left(self, now: datetime) -> timedelta | None:
        """Estimate the time to the end from the pace of whoever runs it now; None where there is none to go by."""
        if self.status is not Status.RUNNING or not self.started_at or self.owner is None:
            return None
        if self.total_iterations is None or self.completed_iterations is None:
            return None
        done = self.completed_iterations - self.adopted_with
        if done <= 0:
            return None
        pace = (now - max(self.started_at, self.adopted_at or self.started_at)) / done
        return pace * (self.total_iterations - self.completed_iterations)

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return it as `orch status SESSION -o json` shows it."""
        left = self.time_left(now)
        return {
            "schema": 1,
            "session_id": self.session_id,
            "status": self.status,
            "mode": self.mode,
            "env": self.env,
            "optimizer": self.optimizer,
            "metric": self.metric or None,
            "direction": self.direction or None,
            "objectives": dict(self.objectives),
            "seed": self.seed,
            "total_iterations": self.total_iterations,
            "completed_iterations": self.completed_iterations,
            "failed_iterations": self.failed_iterations,
            "pruned_iterations": self.pruned_iterations,
            "progress": self.progress,
            "workers": self.workers,
            "metrics": list(self.metrics),
            "best": self.best,
            "submitted_at": _iso(self.submitted_at),
            "started_at": _iso(self.started_at),
            "finished_at": _iso(self.finished_at),
            "last_update": _iso(self.last_update),
            "time_left_seconds": None if left is None else round(left.total_seconds(), 3),
            "labels": dict(self.labels),
            "submitted_by": self.submitted_by or None,
            "paused": self.paused,
            "env_paused": self.env_paused,
            "waits_for": list(obstacles(self)),
            "redis": "degraded" if self.known_at else "ok",
            "known_at": _iso(self.known_at),
            "daemon": self.daemon is not None,
            "daemon_process": self.daemon,
            "owner": self.owner,
            "jobs": [{**job_json(job), "waits_for": waits_for(job, self, now)} for job in self.jobs],
        }


TO_BE_TAKEN = "the daemon to take it"
"""An obstacle that goes away by itself, in a moment as a rule."""


def obstacles(session: SessionSnapshot) -> list[str]:
    """Return what keeps a session from beginning any job: what it waits for, a phrase each."""
    if session.status.terminal:
        return []
    found = []
    if session.unserved:
        found.append(f"a daemon: none serves env {session.env}")
    elif session.trouble:
        found.append(f"a daemon that can run it: {session.trouble}")
    elif session.owner is None:
        found.append(TO_BE_TAKEN)
    if session.paused:
        found.append(f"`orch resume {session.session_id}`")
    if session.env_paused:
        found.append(f"`orch resume`: all of env {session.env} is paused")
    return found


def waits_for(job: TuningJob, session: SessionSnapshot, now: datetime) -> str | None:
    """Say what a PENDING job waits for; None for any other."""
    if job.status is not Status.PENDING:
        return None
    found = obstacles(session)
    if job.retry_at and job.retry_at > now:
        found.append(f"{iso(job.retry_at)}, when it is tried again")
    return " and ".join(found) or "a free slot"


def job_json(job: TuningJob) -> dict[str, Any]:
    """Return a job's fields with times as ISO 8601."""
    return {name: _iso(value) if isinstance(value, datetime) else value for name, value in fields_of(job).items()}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)
