"""`orch export`: all iterations of a session in one file, for a program that reads tables."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.asking_worker import ask_of_records
from orchestrator.cli.options import Env, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import plural


class Kind(StrEnum):
    """The kinds of file."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


As = Annotated[Kind, typer.Option("--format", metavar="KIND", help=f"What is written: {', '.join(Kind)}.")]
To = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Where to; else SESSION.KIND in the current directory."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


def export(session: Session, form: As = Kind.CSV, output: To = None, force: Force = False, env: Env = None) -> None:  # noqa: FBT002 - a flag is a parameter
    """Write all iterations of a session to one file.

    A row is an iteration, in the order of g; columns have types, what is undefined is null. Parquet (in its schema's
    metadata) and JSON have the session too.
    """
    target = (output or Path(f"{session}.{form}")).absolute()
    arguments = ["--format", form, "--output", str(target), *(["--force"] if force else [])]
    made = ask_of_records(session, settings_here(env), "export", arguments)
    sys.stderr.write(f"orch: {plural(made['iterations'], 'iteration')} of session {session}\n")
    sys.stdout.write(f"{output or target.name}\n")
