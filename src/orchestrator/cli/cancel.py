"""`orch cancel`: a session's jobs, or one of them, are to end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import Env, Output, Session, Worker, length
from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import plural
from orchestrator.cli.wishing import acknowledge, open_wishes, warn_unserved
from orchestrator.errors import UsageError
from orchestrator.store.calls import Cancellation
from orchestrator.wishes import cancel_reason

if TYPE_CHECKING:
    from orchestrator.store.calls import Cancelled

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the jobs.")]
Grace = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="How long what runs may take to end, instead of the session's grace."),
]
Now = Annotated[bool, typer.Option("--now", help="End what runs at once.")]


def cancel(
    session: Session,
    worker: Worker = None,
    reason: Reason = "",
    grace: Grace = None,
    now: Now = False,  # noqa: FBT002 - a flag is a parameter
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Have a session's jobs end.

    Those that wait end at once, those that run within their grace. What is recorded stays, and `orch retry` runs them
    again.
    """
    if now and grace is not None:
        raise UsageError("--now and --grace do not go together: --now is a grace of 0")
    given = timedelta(0) if now else length("--grace", grace)
    settings = settings_here(env)
    with open_wishes(settings) as wishes:
        wish = Cancellation(
            session_id=session,
            worker_id=worker or "",
            reason=cancel_reason(wishes.actor, reason),
            grace=given,
            actor=wishes.actor,
        )
        done = wishes.cancel(wish)
        durability = acknowledge(wishes)
        snapshot = wishes.client.get_session(session, jobs=False)
    if done.told:
        warn_unserved(snapshot, f"{plural(done.told, 'job')} cannot be stopped")
    document: dict[str, Any] = {
        "schema": 1,
        "session_id": session,
        "env": settings.env,
        "status": snapshot.status,
        "cancelled": done.cancelled,
        "told": done.told,
        "reason": wish.reason,
        "durability": durability,
    }
    shown = Shown(document=lambda: document, table=lambda: _sentence(session, done), quiet=lambda: snapshot.status)
    write(shown, output)


def _sentence(session: str, done: Cancelled) -> str:
    parts = []
    if done.cancelled:
        parts.append(f"{plural(done.cancelled, 'job')} cancelled that waited")
    if done.told:
        parts.append(f"{plural(done.told, 'job')} told to end")
    return f"{session}: {', '.join(parts) or 'nothing is left to cancel there'}"
