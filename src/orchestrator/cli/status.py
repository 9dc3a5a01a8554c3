"""`orch status`: how a session is doing, or which sessions there are. `polled` does it, mostly without this file."""

from __future__ import annotations

from orchestrator.cli.options import AnySession, Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format
from orchestrator.cli.polled import Asked, show_status


def status(session: AnySession = None, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show how a session is doing, or the sessions.

    Without SESSION, the env's sessions are listed, newest first.
    """
    show_status(Asked(session, env, output))
