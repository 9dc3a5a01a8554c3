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
from orchestrator.errors import UsageError


class Kind(StrEnum):
    """The kinds of file."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


As = Annotated[
    Kind | None,
    typer.Option("--format", metavar="KIND", help=f"{', '.join(Kind)}; else what FILE ends with says it, else csv."),
]
To = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to; else SESSION.KIND in the current directory."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


def export(session: Session, form: As = None, output: To = None, force: Force = False, env: Env = None) -> None:  # noqa: FBT002 - a flag is a parameter
    """Write all iterations of a session to one file.

    A row is an iteration, in the order of g; columns have types, what is undefined is null. Parquet (in its schema's
    metadata) and JSON have the session too.
    """
    kind = form or _kind_of(output)
    target = (output or Path(f"{session}.{kind}")).absolute()
    arguments = ["--format", kind, "--output", str(target), *(["--force"] if force else [])]
    made = ask_of_records(session, settings_here(env), "export", arguments)
    sys.stderr.write(f"orch: {plural(made['iterations'], 'iteration')} of session {session}\n")
    sys.stdout.write(f"{output or target.name}\n")


def _kind_of(output: Path | None) -> Kind:
    """Return what kind of file a name asks for.

    Raises:
        UsageError: it is no file's name but a kind, as `-o` has it in other verbs.
    """
    if output is not None and str(output) in list(Kind):
        raise UsageError(f"--output {output}: is a file here; the kind is `--format {output}`")
    return next((kind for kind in Kind if output is not None and output.suffix == f".{kind}"), Kind.CSV)
