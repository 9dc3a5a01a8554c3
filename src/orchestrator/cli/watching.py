"""`orch status --watch`: shown again whenever it has changed; on a terminal, in place."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli.following import stay
from orchestrator.cli.output import Format, escaped, put, write
from orchestrator.cli.session_answer import session_shown, sessions_shown
from orchestrator.clock import utc_now
from orchestrator.follow import iter_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from orchestrator.cli.output import Shown
    from orchestrator.client import Client
    from orchestrator.settings import Settings


def watch(session_id: str | None, settings: Settings, output: Format, every: timedelta) -> None:
    """Show a session until it has ended, or the env's sessions until the user has seen enough.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer at the beginning; later it is waited for.
    """
    draw = _Screen().draw if output is Format.TABLE and sys.stdout.isatty() else _Page(output).draw
    with stay(settings) as patient:
        if session_id is None:
            looks = _looks_at_all(patient.client, settings.env, every)
        else:
            looks = _looks_at_one(patient.client, session_id, every)
        for look in looks:
            draw(look)


Look = tuple[object, "Callable[[datetime], Shown]"]
"""What was seen, to tell whether it is new, and how it is shown at a moment."""


def _looks_at_one(client: Client, session_id: str, every: timedelta) -> Iterator[Look]:
    for snapshot in iter_snapshots(client, session_id, every):
        yield snapshot, lambda now, seen=snapshot: session_shown(seen, now)  # type: ignore[misc]  # a default binds it


def _looks_at_all(client: Client, env: str, every: timedelta) -> Iterator[Look]:
    while True:
        sessions = client.list_sessions()
        yield sessions, lambda now, seen=sessions: sessions_shown(seen, env, now)  # type: ignore[misc]  # the same
        time.sleep(every.total_seconds())


@dataclass(slots=True)
class _Page:
    """Writes what is new below the last."""

    output: Format
    _seen: object = None

    def draw(self, look: Look) -> None:
        seen, show = look
        if seen != self._seen:
            self._seen = seen
            write(show(utc_now()), self.output)


@dataclass(slots=True)
class _Screen:
    """Draws over what it drew before, if that is not the same."""

    _drawn: str = ""

    def draw(self, look: Look) -> None:
        lines = escaped(look[1](utc_now()).table()).split("\n")
        text = "\n".join(lines[: os.get_terminal_size(sys.stdout.fileno()).lines - 1])
        if text == self._drawn:
            return
        up = f"\x1b[{self._drawn.count(chr(10)) + 1}F" if self._drawn else ""
        body = text.replace("\n", "\x1b[K\n")
        self._drawn = text
        put(f"{up}{body}\x1b[K\n\x1b[J")
