"""`orch retry`: what failed or was cancelled of a session that has ended runs again."""

from __future__ import annotations

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import plural
from orchestrator.cli.wishing import acknowledge, open_wishes, warn_unserved


def retry(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Run what failed or was cancelled again.

    Iterations that failed are evaluated again with the same parameters; those that succeeded stay.
    """
    settings = settings_here(env)
    with open_wishes(settings) as wishes:
        done = wishes.retry(session)
        durability = acknowledge(wishes)
        snapshot = wishes.client.get_session(session, jobs=False)
    warn_unserved(snapshot, f"session {session} waits")
    shown = Shown(
        document=lambda: {
            "schema": 1,
            "session_id": session,
            "env": settings.env,
            "status": snapshot.status,
            "jobs": done.jobs,
            "iterations": done.iterations,
            "durability": durability,
        },
        table=lambda: (
            f"{session}: {plural(done.jobs, 'job')} to run again, "
            f"{plural(done.iterations, 'failed iteration')} to evaluate again"
        ),
        quiet=lambda: snapshot.status,
    )
    write(shown, output)
