"""What the daemon last knew of its sessions, in a small file: for `status` on its host while the store is away."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.domain.job import TuningJob
from orchestrator.domain.snapshot import SessionSnapshot
from orchestrator.frozen import fields_of
from orchestrator.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LastKnown:
    """The file of one env.

    Args:
        state_dir: where it lies, beside the logs.
    """

    def __init__(self, state_dir: Path, env: str) -> None:
        self._path = state_dir / f"last-known-{env}.json"

    def write(self, lease: Lease, sessions: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
        """Replace the file, in one step.

        Args:
            lease: of the daemon that writes.
            sessions: by id, each with its `record` and its `jobs` as Redis has them.
            now: when they were read.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps({"time": iso(now), "lease": str(lease), "sessions": sessions}), encoding="utf-8")
        beside.chmod(0o600)
        beside.replace(self._path)

    def remove(self) -> None:
        """Take the file away: nobody keeps it true any more."""
        self._path.unlink(missing_ok=True)

    def find_sessions(self) -> list[SessionSnapshot]:
        """Return what a daemon that is still there knew last, newest session first; nothing where there is none."""
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        lease = Lease.parse(known["lease"])
        if lease.gone():
            return []
        moment = datetime.fromisoformat(known["time"])
        return [
            SessionSnapshot.from_hash(
                session["record"],
                jobs=tuple(TuningJob.from_hash(job) for job in session["jobs"]),
                owner=fields_of(lease),
                daemon=fields_of(lease),
                known_at=moment,
            )
            for session in known["sessions"].values()
        ]
