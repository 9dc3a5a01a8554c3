"""Where the files of a session are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.looking import is_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings


def log_folder(settings: Settings, session_id: str) -> Path:
    """Return where the logs of a session's jobs are, and its supervisor's."""
    return settings.state_dir / "logs" / settings.env / session_id


def csv_files(snapshot: SessionSnapshot, record: Mapping[str, str]) -> list[Path]:
    """Return a session's CSV files that are there; its record says where they start."""
    paths = [Path(record["cwd"], job.output_csv) for job in snapshot.jobs if job.iterations is not None]
    return [path for path in paths if is_file(path)]
