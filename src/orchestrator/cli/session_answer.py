"""A session, or a list of them, in every form that a verb answers in."""

from __future__ import annotations

from orchestrator.cli.output import Shown
from orchestrator.cli.session_view import session_table, sessions_table
from orchestrator.cli.tables import width
from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from orchestrator.domain.snapshot import SessionSnapshot

_ONLY_OF_ONE = ("jobs", "metrics")
"""What the snapshots of a list do not have."""


def session_shown(snapshot: SessionSnapshot, now: datetime) -> Shown:
    """Show a session."""
    return Shown(
        document=lambda: snapshot.as_json(now),
        table=lambda: session_table(snapshot, now, width()),
        quiet=lambda: snapshot.status,
    )


def sessions_shown(sessions: Sequence[SessionSnapshot], env: str, now: datetime) -> Shown:
    """Show some of an env's sessions."""

    def items() -> list[dict[str, Any]]:
        return [
            {key: value for key, value in snapshot.as_json(now).items() if key not in _ONLY_OF_ONE}
            for snapshot in sessions
        ]

    return Shown(
        document=lambda: {"schema": 1, "env": env, "sessions": items()},
        table=lambda: sessions_table(sessions, now, width()) if sessions else f"no sessions in env {env}",
        quiet=lambda: "\n".join(snapshot.session_id for snapshot in sessions),
        items=items,
    )
