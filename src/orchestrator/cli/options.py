"""The arguments and options that verbs share, as typer declares them, and the completion of session ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.output import Format
from orchestrator.domain.durations import parse_duration
from orchestrator.domain.given import Given
from orchestrator.domain.optimizers import SHIPPED
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta


def _complete_session(ctx: typer.Context, incomplete: str) -> list[str]:
    from orchestrator.cli.reading import open_client, settings_here  # noqa: PLC0415 - `--help` needs no store

    try:
        with open_client(settings_here(ctx.params.get("env"))) as client:
            return client.session_names(incomplete)
    except Exception:  # noqa: BLE001 - in the middle of a command line there is nobody to tell
        return []


File = Annotated[Path, typer.Argument(metavar="FILE", help="The session file, YAML.", show_default=False)]
Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.", autocompletion=_complete_session)]
AnySession = Annotated[
    str | None,
    typer.Argument(metavar="SESSION", help="The session's id.", autocompletion=_complete_session),
]
Worker = Annotated[str | None, typer.Option(metavar="WORKER", help="Only this one, e.g. worker-1.")]
Env = Annotated[
    str | None,
    typer.Option("--env", metavar="ENV", help="The deployment to look in, instead of the one that is set."),
]
Output = Annotated[
    Format,
    typer.Option("--output", "-o", metavar="FORMAT", help=f"What is written to stdout: {', '.join(Format)}."),
]

SessionId = Annotated[str | None, typer.Option(metavar="ID", help="Instead of the file's session_id.")]
Total = Annotated[int | None, typer.Option(metavar="N", help="Instead of the file's total_iterations.")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Instead of the file's workers.")]
Mode = Annotated[str | None, typer.Option(metavar="MODE", help="Instead of the file's mode: paper.")]
FileEnv = Annotated[str | None, typer.Option("--env", metavar="ENV", help="Instead of the file's env.")]
Optimizer = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"Instead of the file's optimizer: {', '.join(SHIPPED)}.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any field of the file, e.g. labels.team=core; may be repeated."),
]

New = Annotated[
    bool, typer.Option("--new", help="Where the session id or its CSV is taken, take the next free: ID-2, ID-3, …")
]


def length(option: str, text: str | None) -> timedelta | None:
    """Return a length of time that an option gives: seconds, or a text such as 1h30m.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from error


def overrides(assignments: list[str] | None, **fields: str | int | None) -> dict[str, str]:
    """Return what the command line says about a session's fields, as text; an option wins over `--set`.

    Raises:
        UsageError: a `--set` is no assignment.
    """
    given = {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise UsageError(f"--set {assignment}: must be KEY=VALUE")
        given[key] = value
    return given | {
        name: Given(str(value), f"--{name.replace('_', '-')}") for name, value in fields.items() if value is not None
    }
