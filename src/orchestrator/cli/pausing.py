"""What `pause` and `resume` share: a session, or a whole env, begins jobs or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.wishing import acknowledge, open_wishes

if TYPE_CHECKING:
    from typing import Any


def set_paused(session: str | None, env: str | None, output: Format, *, paused: bool) -> None:
    """Pause or resume a session, or the env where none is named.

    Raises:
        NotFoundError: there is no such session.
        StateError: it has ended.
    """
    settings = settings_here(env)
    with open_wishes(settings) as wishes:
        if session is None:
            wishes.pause_env(paused=paused)
        else:
            wishes.pause(session, paused=paused)
        durability = acknowledge(wishes)
    document: dict[str, Any] = {
        "schema": 1,
        "env": settings.env,
        "session_id": session,
        "paused": paused,
        "durability": durability,
    }
    what = f"env {settings.env}" if session is None else f"session {session}"
    meaning = (
        "is paused: running jobs go on to their last iteration, nothing new starts"
        if paused
        else "goes on: jobs begin again"
    )
    shown = Shown(
        document=lambda: document,
        table=lambda: f"{what} {meaning}",
        quiet=lambda: "paused" if paused else "resumed",
    )
    write(shown, output)
