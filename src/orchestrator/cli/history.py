"""`orch history`: every transition of a session and its jobs: when, what, by whom, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import columns, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FIELDS = ("time", "event", "worker_id", "attempt", "from", "to", "reason", "actor")


def history(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show what happened to a session and its jobs, oldest first.

    Of a very long history the beginning is gone; `status` and `results` have all that counts.
    """
    settings = settings_here(env)
    with open_client(settings) as client:
        client.get_status(session)
        events = (_document(event) for event in client.iter_events(session))
        shown = Shown(
            document=lambda: {
                "schema": 1,
                "session_id": session,
                "env": settings.env,
                "events": [*events],
            },
            table=lambda: _table(events, width()),
            quiet=lambda: "\n".join(event["event"] for event in events),
            items=lambda: events,
        )
        write(shown, output)


def _document(event: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: event.get(name) or None for name in _FIELDS}
    return {**found, "attempt": int(found["attempt"]) if found["attempt"] else None}


def _table(events: Iterable[Mapping[str, Any]], limit: int | None) -> str:
    rows = [
        (
            event["time"],
            event["event"],
            event["worker_id"] or "-",
            str(event["attempt"] or "-"),
            one_line(event["actor"] or "-"),
            one_line(event["reason"] or ""),
        )
        for event in events
    ]
    return columns(("TIME", "EVENT", "WORKER", "ATTEMPT", "WHO", "WHY"), rows, limit)
