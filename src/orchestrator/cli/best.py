"""`orch best`: the best parameters so far, as a piece of a tuning config."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import assignments, number
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain.snapshot import SessionSnapshot


def best(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show the best parameters so far.

    They are shown as the search_space that holds just them, to be pasted into a tuning config.
    """
    with open_client(settings_here(env)) as client:
        snapshot = client.get_session(session)
    found = snapshot.best
    if not found:
        raise NotFoundError(f"session {session} has no best yet: {_why(snapshot)}")
    shown = Shown(
        document=lambda: {
            "schema": 1,
            "session_id": session,
            "env": snapshot.env,
            "metric": snapshot.metric,
            "direction": snapshot.direction,
            **found,
        },
        table=lambda: _fragment(snapshot, found),
        quiet=lambda: assignments(found["params"]),
    )
    write(shown, output)


def _why(snapshot: SessionSnapshot) -> str:
    if snapshot.total_iterations is None:
        return "a worker_command records no iterations"
    if snapshot.failed_iterations:
        return f"all {snapshot.failed_iterations} recorded iterations failed (`orch results {snapshot.session_id}`)"
    return "no iteration is recorded"


def _fragment(snapshot: SessionSnapshot, found: Mapping[str, Any]) -> str:
    """Write each parameter as a dimension of one value: what is searched elsewhere can be put beside them."""
    what = f"{one_line(snapshot.metric)} = {number(found['value'])} ({snapshot.direction})"
    where = f"{found['worker_id']}, iteration {found['iteration']}, {found['timestamp']}"
    recorded = f"{snapshot.completed_iterations} of {snapshot.total_iterations} iterations recorded"
    lines = [
        f"# The best of session {snapshot.session_id}: {what}",
        f"# {where}; {recorded}",
        "tuning:",
        "  search_space:",
    ]
    for name, value in found["params"].items():
        # JSON is YAML, and says a string in quotes.
        lines.append(f"    {name}: {{type: categorical, choices: [{json.dumps(value)}]}}")
    return "\n".join(lines)
