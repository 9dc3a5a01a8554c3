"""How a verb stays with a session that a daemon runs, and leaves it when its user has seen enough."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import typer

from orchestrator.cli.failures import INTERRUPTED
from orchestrator.cli.following import stay_at
from orchestrator.cli.output import Format, write
from orchestrator.cli.progress import LineProgress, NoProgress, say
from orchestrator.cli.summary import summary
from orchestrator.clock import utc_now
from orchestrator.domain.job import Status
from orchestrator.follow import exit_code, iter_snapshots

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.cli.following import Patient
    from orchestrator.domain.session import SessionSpec
    from orchestrator.settings import Settings
    from orchestrator.store.opening import StoreAddress
    from orchestrator.supervisor.foreground import Watcher

_EVERY = timedelta(milliseconds=250)


def attend(spec: SessionSpec, address: StoreAddress, settings: Settings, output: Format, *, watch: bool) -> NoReturn:
    """Stay with a session to its end, show its summary, and exit as it ended; Ctrl-C leaves it alone.

    Args:
        spec: whose session.
        address: of the store, held open.
        settings: say which env.
        output: the form of the summary.
        watch: show how it goes, as `run` does; else only what it waits for.

    Raises:
        typer.Exit: with the code of the end, always.
        NotFoundError: the session is gone.
    """
    try:
        with stay_at(address, settings) as patient:
            _follow(patient, spec, output, watch=watch)
            snapshot = patient.client.get_session(spec.session_id)
            write(summary(snapshot, patient.client, settings, interrupted=False), output)
    except KeyboardInterrupt:
        name = spec.session_id
        say(f"detached: session {name} goes on; `orch wait {name}` waits for it, `orch cancel {name}` ends it")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(exit_code(Status(snapshot.status)))


def _follow(patient: Patient, spec: SessionSpec, output: Format, *, watch: bool) -> None:
    if not watch:
        patient.wait(spec.session_id)
        return
    with display(spec.grace, output) as watcher:
        patient.wire.on_away = lambda _: watcher.away()
        patient.wire.on_back = lambda: None  # the next picture shows it
        for snapshot in iter_snapshots(patient.client, spec.session_id, _EVERY):
            watcher.show(snapshot)


def display(grace: timedelta, output: Format) -> AbstractContextManager[Watcher]:
    """Return what shows how a session goes: a picture on a terminal, lines elsewhere, nothing for programs."""
    if output is not Format.TABLE:
        return nullcontext(NoProgress(grace))
    if not sys.stdout.isatty():
        return nullcontext(LineProgress(grace))
    from orchestrator.cli.live import LiveProgress  # noqa: PLC0415 - rich, for terminals only

    return LiveProgress(grace, utc_now)
