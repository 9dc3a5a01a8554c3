"""`orch rm`: removes a session from the store, and its files where that is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.places import csv_files, log_folder
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import named, width
from orchestrator.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

Files = Annotated[bool, typer.Option("--files", help="Remove its CSV files and its logs too; else they stay.")]


def rm(
    session: Session,
    files: Files = False,  # noqa: FBT002 - a flag is a parameter
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Remove a session that is not being run.

    Its records leave the store and its id is free again; its CSV files and logs stay, unless --files is given.
    """
    settings = settings_here(env)
    with open_client(settings) as client:
        record = client.find_record(session)
        snapshot = client.remove(session)
    logs = log_folder(settings, session)
    found = [*csv_files(snapshot, record), *([logs] if logs.is_dir() else [])]
    if files:
        for path in found:
            _remove(path)
    what = "removed" if files else "kept"
    paths = [str(path) for path in found]
    document: dict[str, Any] = {"schema": 1, "session_id": session, "env": settings.env, "removed": [], "kept": []}
    document[what] = paths
    shown = Shown(
        document=lambda: document,
        table=lambda: named([("removed", f"session {session}"), *((what, path) for path in paths)], width()),
        quiet=lambda: session,
    )
    write(shown, output)


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"the session is removed, but {path} cannot be: {error.strerror}") from error
