"""`orch report`: all that a session found, as one page to look at."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.asking_worker import ask_of_records
from orchestrator.cli.options import Env, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.reading import settings_here

To = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to; else SESSION.html in the current directory."),
]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="How many of the best its table has.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Open = Annotated[bool, typer.Option("--open", help="Show it in the browser.")]


def report(
    session: Session,
    output: To = None,
    top: Top = 20,
    force: Force = False,  # noqa: FBT002 - a flag is a parameter
    show: Open = False,  # noqa: FBT002 - the same
    env: Env = None,
) -> None:
    """Write a report of a session, one HTML file.

    It needs nothing else, and shows what was run, how the search went, what the parameters did, what the best earned
    day by day, how likely it is that it only looks good, and what failed. Only what was recorded is read; what was not
    is said to be missing.
    """
    target = (output or Path(f"{session}.html")).absolute()
    arguments = ["--output", str(target), "--top", str(top), *(["--force"] if force else [])]
    ask_of_records(session, settings_here(env), "report", arguments)
    sys.stdout.write(f"{output or target.name}\n")
    if show and not webbrowser.open(target.as_uri()):
        sys.stderr.write("orch: there is no browser here that could show it\n")
