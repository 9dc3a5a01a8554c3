"""`orch daemon`: serves an env until it is told to stop; `orch daemon reload` has it read its settings again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import Env  # noqa: TC001 - typer reads it at run time
from orchestrator.cli.progress import say
from orchestrator.cli.reading import connected, has_data, open_client, settings_here
from orchestrator.clock import utc_now
from orchestrator.errors import NotFoundError, StateError
from orchestrator.settings.reloading import Reload
from orchestrator.store.opening import open_store

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.settings import Settings
    from orchestrator.store.lease import Lease


_PATIENCE = timedelta(seconds=10)
_PAUSE = timedelta(milliseconds=20)


class Action(StrEnum):
    """What may be wanted of a daemon that runs."""

    RELOAD = "reload"


Wanted = Annotated[
    Action | None,
    typer.Argument(metavar="reload", help="Have the daemon that runs read its settings again.", show_default=False),
]


def daemon(action: Wanted = None, env: Env = None) -> None:
    """Serve the sessions of an env until told to stop.

    A second daemon of the same env stands by. SIGTERM stops the jobs within their grace, everything resumable; a second
    SIGTERM at once. SIGHUP reads the settings again. Events go to stderr.
    """
    if action is Action.RELOAD:
        _reload(settings_here(env))
    else:
        _serve(env)


def _serve(env: str | None) -> None:
    from orchestrator.logs import configure_logging  # noqa: PLC0415 - half a second with the next
    from orchestrator.supervisor.service import Service  # noqa: PLC0415 - the same
    from orchestrator.supervisor.systemd import from_environment  # noqa: PLC0415 - the same

    def load() -> Settings:
        settings = settings_here(env)
        configure_logging(settings, sys.stderr)
        return settings

    notifier = from_environment()
    settings = load()
    with open_store(settings) as address:
        with connected(address.url, settings):
            pass  # another version's store is refused
        Service(address, settings, utc_now, notifier, load).run()


def _reload(settings: Settings) -> None:
    none = NotFoundError(f"no daemon serves env {settings.env}: `orch daemon` starts one")
    if not has_data(settings):
        raise none
    with open_client(settings) as client:
        lease = client.find_daemon()
        if lease is None:
            raise none
        name = f"the daemon (pid {lease.pid})"
        if lease.host != socket.gethostname():
            raise StateError(f"{name} of env {settings.env} runs on {lease.host}: reload it there")
        before = client.find_reload()
        _signal(lease, settings.env)
        outcome = _await_outcome(client, before)
    if outcome is None:
        say(f"{name} was told, and has not answered yet; what comes of it is in its log")
    elif outcome.refused:
        raise StateError(f"{name} keeps its settings, as those that it read cannot be used: {outcome.refused}")
    else:
        kept = f", but for {', '.join(outcome.kept)}: these change when it is restarted" if outcome.kept else ""
        say(f"{name} has read its settings again, and they are in force{kept}")


def _await_outcome(client: Client, before: str | None) -> Reload | None:
    """Wait for what the daemon says came of it; None where it takes too long."""
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while time.monotonic() < deadline:
        text = client.find_reload()
        if text is not None and text != before:
            return Reload.parse(text)
        time.sleep(_PAUSE.total_seconds())
    return None


def _signal(lease: Lease, env: str) -> None:
    """Send SIGHUP to the daemon, and to no process that was given its pid since.

    Raises:
        NotFoundError: it has just ended.
        StateError: it is another user's.
    """
    try:
        process = os.pidfd_open(lease.pid)
    except ProcessLookupError:
        raise NotFoundError(f"no daemon serves env {env}") from None
    try:
        if lease.gone():
            raise NotFoundError(f"no daemon serves env {env}")
        signal.pidfd_send_signal(process, signal.SIGHUP)
    except PermissionError:
        raise StateError(f"the daemon (pid {lease.pid}) is another user's: reload it as that user") from None
    finally:
        os.close(process)
