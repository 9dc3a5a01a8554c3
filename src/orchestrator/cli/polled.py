"""`orch status` without typer, for whoever polls it: the usual command lines are read by hand, the others are not."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.cli.output import Format, Shown, write
from orchestrator.cli.reading import has_data, open_client, settings_here
from orchestrator.cli.session_answer import session_shown, sessions_shown
from orchestrator.clock import utc_now
from orchestrator.errors import StoreUnreachableError
from orchestrator.frozen import TYPE_CHECKING, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings

_LONG = {"-o": "output", "--output": "output", "--env": "env"}
_WATCH = "--watch"
_EVERY = "2"
_FORMATS = frozenset(Format)


@frozen
class Asked:
    """What `orch status` was asked.

    Attributes:
        session_id: None for the env's sessions.
        env: None for the one of the settings.
        watch: how often to look again, seconds; None shows it once.
    """

    session_id: str | None = None
    env: str | None = None
    output: str = Format.TABLE
    watch: float | None = None


def with_interval(argv: Sequence[str]) -> list[str]:
    """Put the usual number of seconds after a `--watch` that no number follows."""
    words = []
    for place, word in enumerate(argv):
        words.append(word)
        if word == _WATCH and not _is_number(argv[place + 1 : place + 2]):
            words.append(_EVERY)
    return words


def parse(argv: Sequence[str]) -> Asked | None:
    """Read the arguments after `status`; None where anything is unusual: help, an error, an abbreviation."""
    asked: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if option == _WATCH:
            given = value if equals else next(words, "")
            if not _is_number([given]):
                return None
            asked["watch"] = float(given)
        elif option in _LONG:
            given = value if equals else next(words, "")
            asked[_LONG[option]] = given
        elif word.startswith("-") or not word or "session_id" in asked:
            return None
        else:
            asked["session_id"] = word
    read = Asked(**asked)
    return read if read.output in _FORMATS and read.env != "" else None


def show_status(asked: Asked) -> None:
    """Show a session, or the env's sessions.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer.
    """
    settings = settings_here(asked.env)
    if asked.watch is not None:
        from orchestrator.cli.watching import watch  # noqa: PLC0415 - who asks once need not wait for it

        watch(asked.session_id, settings, Format(asked.output), timedelta(seconds=asked.watch))
        return
    try:
        shown = _shown_from_store(asked, settings)
    except StoreUnreachableError:
        known = _last_known(asked, settings)
        if known is None:
            raise
        shown = known
    write(shown, Format(asked.output))


def _shown_from_store(asked: Asked, settings: Settings) -> Shown:
    if asked.session_id is not None:
        with open_client(settings) as client:
            return session_shown(client.get_session(asked.session_id), utc_now())
    sessions: list[SessionSnapshot] = []
    if has_data(settings):
        with open_client(settings) as client:
            sessions = client.list_sessions()
    return sessions_shown(sessions, settings.env, utc_now())


def _last_known(asked: Asked, settings: Settings) -> Shown | None:
    """Return what the daemon of this host knew before the store went away, where it knew anything of what is asked."""
    from orchestrator.store.last_known import LastKnown  # noqa: PLC0415 - a store that is there is the rule

    sessions = LastKnown(settings.state_dir, settings.env).find_sessions()
    if asked.session_id is None:
        return sessions_shown(sessions, settings.env, utc_now()) if sessions else None
    found = next((each for each in sessions if each.session_id == asked.session_id), None)
    return None if found is None else session_shown(found, utc_now())


def _is_number(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0].replace(".", "", 1).isdecimal() and float(words[0]) > 0
