"""`orch submit`: a session handed over to whoever serves its env, now or later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.attend import attend
from orchestrator.cli.handing_in import hand_in
from orchestrator.cli.naming import renamed, run_command, without_new
from orchestrator.cli.options import (
    File,
    FileEnv,
    Mode,
    New,
    Optimizer,
    Output,
    SessionId,
    Set,
    Total,
    Workers,
    overrides,
)
from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.progress import say
from orchestrator.cli.reading import connected
from orchestrator.cli.session_file import load
from orchestrator.cli.tables import commands, named, plural, width
from orchestrator.cli.wishing import warn_unserved
from orchestrator.store.opening import open_store
from orchestrator.submission import prepare

if TYPE_CHECKING:
    from orchestrator.cli.handing_in import HandedIn

Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end; exit code 0 for SUCCESS, 1 for any other.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Wait, and show how it goes, as `orch run` does.")]


def submit(  # noqa: PLR0913, PLR0917 - an option is a parameter
    file: File,
    session_id: SessionId = None,
    total_iterations: Total = None,
    workers: Workers = None,
    mode: Mode = None,
    env: FileEnv = None,
    optimizer: Optimizer = None,
    assignments: Set = None,
    new: New = False,  # noqa: FBT002 - a flag is a parameter
    wait: Wait = False,  # noqa: FBT002 - the same
    follow: Follow = False,  # noqa: FBT002 - the same
    output: Output = Format.TABLE,
) -> None:
    """Hand a session over to the daemon of its env.

    It is acknowledged when it is on the store's disk (where the server can tell: Valkey, Redis 7.2 or later; else when
    it is in its append-only file). Without a daemon it waits for one. The same file again is not run twice.
    """
    given = overrides(
        assignments,
        session_id=session_id,
        total_iterations=total_iterations,
        workers=workers,
        mode=mode,
        env=env,
        optimizer=optimizer,
    )
    session, settings = load(file, given)
    with open_store(settings) as address:
        with connected(address.url, settings) as client:
            if new:
                session = renamed(session, given, client)
            submission = prepare(session, settings, Path.cwd())
            done = hand_in(submission, client, settings, file)
        run = without_new(file, session, given) if new else run_command(file, given)
        warn_unserved(done.snapshot, "the session waits", run)
        if not (wait or follow):
            write(_shown(done), output)
            return
        if output is Format.TABLE:
            say(_sentence(done))
        attend(submission.spec, address, settings, output, watch=follow)


def _shown(done: HandedIn) -> Shown:
    snapshot = done.snapshot
    document: dict[str, Any] = {
        "schema": 1,
        "session_id": snapshot.session_id,
        "env": snapshot.env,
        "submitted": done.is_new,
        "status": snapshot.status,
        "jobs": snapshot.workers,
        "daemon": snapshot.daemon is not None,
        "durability": done.durability,
    }
    return Shown(
        document=lambda: document,
        table=lambda: named([("session", _sentence(done)), ("next", _next(done))], width()),
        quiet=lambda: snapshot.session_id,
    )


def _sentence(done: HandedIn) -> str:
    snapshot = done.snapshot
    name = snapshot.session_id
    if not done.is_new:
        return f"{name} is in the store already, and the same: {snapshot.status}; it is not run twice"
    total = snapshot.total_iterations
    iterations = f"{plural(total, 'iteration')} over " if total else ""
    return f"{name} submitted: {iterations}{plural(snapshot.workers, 'job')}"


def _next(done: HandedIn) -> str:
    name = done.snapshot.session_id
    if done.snapshot.status.terminal:
        return commands(f"orch results {name}", f"orch retry {name}")
    return commands(f"orch status {name} --watch", f"orch logs {name} -f", f"orch wait {name}")
