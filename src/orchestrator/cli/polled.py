"""`orch status` without typer, for whoever polls it: the usual command lines are read by hand, the others are not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import has_data, open_client, settings_here
from orchestrator.cli.session_view import session_table, sessions_table
from orchestrator.cli.tables import width
from orchestrator.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from orchestrator.domain.snapshot import SessionSnapshot

_LONG = {"-o": "output", "--output": "output", "--env": "env"}
_FORMATS = frozenset(Format)
_ONLY_OF_ONE = ("jobs", "metrics", "owner")
"""What the snapshots of a list do not have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `orch status` was asked.

    Attributes:
        session_id: None for the env's sessions.
        env: None for the one of the settings.
    """

    session_id: str | None = None
    env: str | None = None
    output: str = Format.TABLE


def parse(argv: Sequence[str]) -> Asked | None:
    """Read the arguments after `status`; None where anything is unusual: help, an error, an abbreviation."""
    asked = Asked()
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option in _LONG:
            asked = replace(asked, **{_LONG[option]: value if equals else next(words, "")})
        elif word.startswith("-") or not word or asked.session_id is not None:
            return None
        else:
            asked = replace(asked, session_id=word)
    return asked if asked.output in _FORMATS and asked.env != "" else None


def show_status(asked: Asked) -> None:
    """Show a session, or the env's sessions.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer.
    """
    settings = settings_here(asked.env)
    if asked.session_id is None:
        sessions: list[SessionSnapshot] = []
        if has_data(settings):
            with open_client(settings) as client:
                sessions = client.list_sessions()
        shown = _sessions(sessions, settings.env, utc_now())
    else:
        with open_client(settings) as client:
            snapshot = client.get_session(asked.session_id)
        shown = _session(snapshot, utc_now())
    write(shown, Format(asked.output))


def _session(snapshot: SessionSnapshot, now: datetime) -> Shown:
    return Shown(
        document=lambda: snapshot.as_json(now),
        table=lambda: session_table(snapshot, now, width()),
        quiet=lambda: snapshot.status,
    )


def _sessions(sessions: Sequence[SessionSnapshot], env: str, now: datetime) -> Shown:
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
