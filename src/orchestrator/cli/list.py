"""`orch list`: the sessions of an env, all or those asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import Env, Output  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, write
from orchestrator.cli.reading import has_data, open_client, settings_here
from orchestrator.cli.session_answer import sessions_shown
from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.domain.snapshot import SessionSnapshot

State = Annotated[
    list[Status] | None,
    typer.Option(
        "--status",
        "--state",
        case_sensitive=False,
        metavar="STATUS",
        help=f"Only these, one of {', '.join(Status)}; may be repeated.",
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Sessions with this label; NAME alone takes any value; may be repeated."),
]


def list(  # noqa: A001 - the verb's name
    state: State = None, label: Label = None, env: Env = None, output: Output = Format.TABLE
) -> None:
    """List the sessions, newest first."""
    settings = settings_here(env)
    wanted = [_label(text) for text in label or ()]
    found: Sequence[SessionSnapshot] = ()
    if has_data(settings):
        with open_client(settings) as client:
            found = [
                each
                for each in client.list_sessions()
                if (not state or each.status in state) and all(_has(each, *pair) for pair in wanted)
            ]
    write(sessions_shown(found, settings.env, utc_now()), output)


def _label(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--label {text}: must be NAME=VALUE or NAME")
    return name, value if equals else None


def _has(session: SessionSnapshot, name: str, value: str | None) -> bool:
    return name in session.labels and value in (None, session.labels[name])
