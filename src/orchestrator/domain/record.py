"""What a submitted session is in the store: its record and its jobs, made purely."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.plan import plan_jobs
from orchestrator.domain.session import SessionSpec, dump_session, session_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A session that has been checked and is ready to be handed to the store; it depends on no file any more.

    Attributes:
        spec: with every path resolved and the optimizer settled.
        seed: of all suggestions.
        tuning: the tuning config as it was checked, as JSON, its data absolute paths; empty with `worker_command`.
        metric: the objective's, empty with `worker_command`.
        direction: `maximize` or `minimize`, empty with `worker_command`.
        cwd: the directory it was submitted from.
        grid_size: how many points a grid has; None for other optimizers.
        reproduction: the versions and the host, and hashes of `tuning` and of the data; empty with
            `worker_command`.
    """

    spec: SessionSpec
    seed: int
    tuning: str
    metric: str
    direction: str
    cwd: str
    grid_size: int | None = None
    reproduction: Mapping[str, Any] = field(default_factory=dict)

    def jobs(self, new_id: Callable[[], str]) -> list[TuningJob]:
        """Return its jobs, each with an id from `new_id`."""
        spec = self.spec
        return [
            TuningJob(
                job_id=new_id(),
                session_id=spec.session_id,
                worker_id=planned.worker_id,
                iterations=planned.iterations,
                mode=spec.mode,
                env=spec.env,
                optimizer=spec.optimizer or "",
                config_path=spec.config_path,
                output_csv=planned.output_csv,
            )
            for planned in plan_jobs(spec)
        ]

    def record(self, jobs: Sequence[TuningJob], now: datetime, by: str = "") -> dict[str, object]:
        """Return the fields of the session's record, all counters at their start; `by` hands it in."""
        spec = self.spec
        return {
            "session_id": spec.session_id,
            "status": Status.PENDING,
            "mode": spec.mode,
            "env": spec.env,
            "optimizer": spec.optimizer or "",
            "workers": len(jobs),
            "total_iterations": None if spec.worker_command else spec.total_iterations,
            "completed_iterations": 0,
            "failed_iterations": 0,
            "pruned_iterations": 0,
            "jobs_PENDING": len(jobs),
            **{f"jobs_{status}": 0 for status in Status if status is not Status.PENDING},
            "metric": self.metric,
            "direction": self.direction,
            "seed": self.seed,
            "priority": spec.priority,
            "resume_from": spec.resume_from or "",
            "labels": json.dumps(dict(spec.labels)),
            "cwd": self.cwd,
            "spec": dump_session(spec),
            "spec_hash": session_hash(spec),
            "tuning": self.tuning,
            "reproduction": json.dumps(dict(self.reproduction)),
            "submitted_at": now,
            "submitted_by": by,
            "last_update": now,
        }
