"""What one worker has to do: its share of a session, read from the store once at the start."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.job import TuningJob
from orchestrator.domain.session import SessionSpec, restore_session
from orchestrator.errors import FencedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.store.blocking import BlockingStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One worker's share.

    Attributes:
        worker_number: by which the iterations are dealt; a worker alone is the first, whatever its id.
        token: the attempt's fencing token.
        iterations: how many it is.
        recorded: how many of them are recorded.
        workers: how many workers the session was dealt over.
        tuning: the tuning config as it was when the session was submitted, as JSON.
        base: the tuning config's folder.
        versions: of the interpreter and the packages where the session was checked.
    """

    session_id: str
    job_id: str
    worker_id: str
    worker_number: int
    mode: str
    token: int
    attempt: int
    iterations: int
    recorded: int
    workers: int
    total: int
    optimizer: str
    seed: int
    direction: str
    output_csv: Path
    tuning: str
    base: Path
    versions: Mapping[str, str]
    spec: SessionSpec


def find_share(store: BlockingStore, session_id: str, job_id: str, token: int) -> Share:
    """Read a job's share of its session.

    Raises:
        NotFoundError: the store does not have them.
        FencedError: the job runs under another token by now.
    """
    fields, raw = store.read_all(
        [("HGETALL", store.keys.session(session_id)), ("HGETALL", store.keys.job(session_id, job_id))]
    )
    if not fields or not raw:
        raise NotFoundError(f"job {job_id} of session {session_id} is not in the store")
    job = TuningJob.from_hash(raw)
    if job.token != token:
        raise FencedError(f"job {job_id} runs under token {job.token}, not {token}")
    spec = restore_session(fields["spec"])
    return Share(
        session_id=session_id,
        job_id=job_id,
        worker_id=job.worker_id,
        worker_number=int(job.worker_id.removeprefix("worker-")) if spec.workers > 1 else 1,
        mode=job.mode,
        token=token,
        attempt=job.attempt,
        iterations=job.iterations or 0,
        recorded=job.recorded,
        workers=spec.workers,
        total=spec.total_iterations,
        optimizer=job.optimizer,
        seed=int(fields["seed"]),
        direction=fields["direction"],
        output_csv=Path(job.output_csv),
        tuning=fields["tuning"],
        base=Path(job.config_path).resolve().parent,
        versions=json.loads(fields.get("reproduction") or "{}").get("versions", {}),
        spec=spec,
    )
