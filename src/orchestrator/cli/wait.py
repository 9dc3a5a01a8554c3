"""`orch wait`: until a session has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.following import stay
from orchestrator.cli.options import Env, Output, Session, length
from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.session_view import iterations_line
from orchestrator.clock import utc_now
from orchestrator.follow import OutOfTimeError, exit_code

if TYPE_CHECKING:
    from orchestrator.domain.snapshot import SessionSnapshot

Timeout = Annotated[
    str | None, typer.Option(metavar="TIME", help="Wait for no longer: seconds, or 1h30m; exit code 124 then.")
]


def wait(session: Session, timeout: Timeout = None, env: Env = None, output: Output = Format.TABLE) -> None:
    """Wait until a session has ended.

    The exit code is 0 for SUCCESS, 1 for FAILED or CANCELLED, 124 for a wait that timed out.
    """
    limit = length("--timeout", timeout)
    deadline = None if limit is None else time.monotonic() + limit.total_seconds()
    try:
        with stay(settings_here(env), deadline) as patient:
            ended = patient.wait(session)
            # Its jobs are looked at once, at the end: of a hundred thousand that takes its time.
            ended = patient.client.get_session(session) if output in _WITH_JOBS else ended
    except OutOfTimeError:
        raise OutOfTimeError(f"session {session} has not ended within {timeout}") from None
    write(ended_shown(ended), output)
    raise typer.Exit(exit_code(ended.status))


_WITH_JOBS = (Format.JSON, Format.JSONL, Format.YAML)


def ended_shown(snapshot: SessionSnapshot) -> Shown:
    """Show how a session ended."""
    return Shown(
        document=lambda: snapshot.as_json(utc_now()),
        table=lambda: f"{snapshot.session_id}: {snapshot.status}, {iterations_line(snapshot)}",
        quiet=lambda: snapshot.status,
    )
