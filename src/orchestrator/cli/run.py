"""`orch run`: a whole session in the foreground, begun or gone on with, and its summary at the end."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.attend import attend, display
from orchestrator.cli.failures import INTERRUPTED
from orchestrator.cli.handing_in import hand_in
from orchestrator.cli.naming import renamed, without_new
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
from orchestrator.cli.output import Format, write
from orchestrator.cli.places import log_folder
from orchestrator.cli.progress import say
from orchestrator.cli.reading import connected
from orchestrator.cli.resumable import check_resumable
from orchestrator.cli.session_file import load
from orchestrator.cli.summary import summary
from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.errors import StateError
from orchestrator.store.opening import open_store
from orchestrator.submission import TuningConfigError, prepare, recall, refuse_taken_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.client import Client
    from orchestrator.domain.record import Submission
    from orchestrator.settings import Settings
    from orchestrator.store.opening import StoreAddress
    from orchestrator.submission import SessionFile
    from orchestrator.supervisor.foreground import Outcome


def run(  # noqa: PLR0913, PLR0917 - an option is a parameter
    file: File,
    session_id: SessionId = None,
    total_iterations: Total = None,
    workers: Workers = None,
    mode: Mode = None,
    env: FileEnv = None,
    optimizer: Optimizer = None,
    assignments: Set = None,
    new: New = False,  # noqa: FBT002 - a flag is a parameter
    output: Output = Format.TABLE,
) -> None:
    """Run a session in the foreground, to its end.

    One that was interrupted goes on where it stopped. Where a daemon serves the env, it runs the session, and Ctrl-C
    only leaves it alone.
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
            submission = _prepared(session, settings, client, output)
            begins = _begins(submission, client, file, output)
            daemon = client.find_daemon()
            if daemon is not None and begins:
                hand_in(submission, client, settings, file)
        if daemon is not None:
            if output is Format.TABLE:
                say(f"the daemon (pid {daemon.pid} on {daemon.host}) runs it; Ctrl-C only detaches")
            attend(submission.spec, address, settings, output, watch=True)
        outcome = _run(submission, address, settings, output, begins=begins)
        with connected(address.url, settings) as client:
            snapshot = client.get_session(submission.spec.session_id)
            again = f"`{without_new(file, session, given)}`" if new else "the same command"
            write(summary(snapshot, client, settings, interrupted=outcome.interrupted, again=again), output)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if outcome.status is Status.SUCCESS else 1)


def _prepared(session: SessionFile, settings: Settings, client: Client, output: Format) -> Submission:
    """Check the session; one that has begun goes on without its tuning config, of which the store has all."""
    try:
        return prepare(session, settings, Path.cwd())
    except TuningConfigError as error:
        record = client.find_record(session.spec.session_id)
        if not record:
            raise
        submission = recall(session, record)
        if output is Format.TABLE:
            say(f"{error}\nthe session began with a tuning config that was in order, and the store has that one")
        return submission


def _begins(submission: Submission, client: Client, file: Path, output: Format) -> bool:
    """Tell whether the session begins or goes on, and refuse where it can do neither."""
    record = client.find_record(submission.spec.session_id)
    if not record:
        refuse_taken_outputs(submission.spec, Path.cwd())
        return True
    for note in check_resumable(record, submission, file):
        if output is Format.TABLE:
            say(note)
    return False


def _run(submission: Submission, address: StoreAddress, settings: Settings, output: Format, *, begins: bool) -> Outcome:
    from orchestrator.supervisor.foreground import Foreground  # noqa: PLC0415 - half a second of asyncio and redis-py

    spec = submission.spec
    with _events_in_file(settings, spec.session_id), display(spec.grace, output) as watcher:
        return Foreground(
            session_id=spec.session_id,
            env=spec.env,
            submission=submission if begins else None,
            address=address,
            settings=settings,
            clock=utc_now,
            watcher=watcher,
        ).run()


@contextmanager
def _events_in_file(settings: Settings, session_id: str) -> Iterator[None]:
    """Keep the supervisor's own events beside the logs of its jobs: on the screen they would be in the way."""
    from orchestrator.logs import configure_logging  # noqa: PLC0415 - structlog takes its time

    folder = log_folder(settings, session_id)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = (folder / "supervisor.jsonl").open("a", encoding="utf-8")
    except OSError as error:
        raise StateError(f"the logs cannot be written to {folder}: {error.strerror}; set ORCH_STATE_DIR") from error
    with stream:
        configure_logging(settings, stream)
        yield
