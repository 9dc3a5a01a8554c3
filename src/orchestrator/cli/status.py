"""`orch status`: how a session is doing, or which sessions there are. `polled` does it, mostly without this file."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import AnySession, Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format
from orchestrator.cli.polled import Asked, show_status

Watch = Annotated[
    float | None, typer.Option(metavar="[SECONDS]", min=0.05, help="Look again every 2 seconds, or as often as given.")
]


def status(session: AnySession = None, watch: Watch = None, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show how a session is doing, or the sessions.

    Without SESSION, the env's sessions are listed, newest first. With --watch it is shown again whenever it has
    changed, until the session has ended.
    """
    show_status(Asked(session, env, output, watch))
