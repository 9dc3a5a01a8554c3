"""The supervisor's own events: one JSON line each on stderr, or a readable one on a terminal. Never on stdout."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from orchestrator.clock import iso, utc_now
from orchestrator.settings import HIDDEN, redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

    from orchestrator.clock import Clock
    from orchestrator.settings import Settings

    Event = MutableMapping[str, Any]

EVENTS: Mapping[str, str] = {
    "daemon.deposed": "another daemon serves the env now: this one stops its jobs and ends",
    "daemon.ready": "the daemon serves its env; what others left behind is dealt with",
    "daemon.reload_incomplete": "some settings that were read again cannot change before a restart: which",
    "daemon.reload_refused": "the settings that were read again cannot be used; those before stay in force",
    "daemon.reloaded": "the settings were read again and are in force",
    "daemon.standby": "another daemon serves the env; this one waits for its lease to lapse",
    "daemon.stopped": "the daemon has ended in order",
    "daemon.stopping": "the daemon was told to end: by which signal, and whether at once",
    "daemon.unsettled": "the daemon stopped while the store was away; the next start puts right what it did not hear",
    "job.end_not_kept": "the disk refuses the file that keeps an attempt's end: if this process dies too, it is lost",
    "job.exited": "an attempt has ended: return code, signal, reason",
    "job.moved": "a job has a new status: terminal, or PENDING for its next attempt",
    "job.recovered": "a job that another supervisor left running was ended, to be attempted again",
    "job.skipped": "a job that was to run is not run: somebody moved it meanwhile",
    "job.started": "an attempt runs: its pid",
    "job.unnoted": "the store refuses to write down where an attempt runs; it runs all the same",
    "job.unsettled": "an attempt ended while the store was away, as this process must: the next start says how",
    "lease.fading": "the store does not answer and another daemon waits: jobs are stopped before the lease ends",
    "session.adopted": "this supervisor serves the session from here on, with this token",
    "session.left": "a session is not taken, as another supervisor serves it",
    "session.lost": "another supervisor serves the session now; nothing more is written here",
    "session.trouble": "a session cannot be run, and why; it is left alone for a while",
    "store.away": "the connection to the store is lost; writes wait, in order",
    "store.back": "the store answers again; what waited is sent",
    "store.revive_failed": "the embedded server could not be started again; it is tried once more soon",
}
"""Every event that is logged, and what it means."""

_SECRETS = ("password", "passwd", "secret", "api_key", "apikey", "credential", "authorization")
_TOO_DEEP = 8


def configure_logging(
    settings: Settings, stream: TextIO, *, clock: Clock = utc_now, strict: bool = False, colour: bool | None = None
) -> None:
    """Send structlog's events to a stream; may be called again, and loggers made before it follow.

    Args:
        settings: of which `log_format` and `log_level` count.
        stream: usually `sys.stderr`; that it fails (a full disk, a reader who left) is ignored.
        clock: tells the events' time.
        strict: refuse, with ValueError, events that `EVENTS` does not list; for tests.
        colour: None is on a terminal, unless NO_COLOR is set.
    """
    terminal = stream.isatty()
    readable = settings.log_format == "console" or (settings.log_format == "auto" and terminal)
    if colour is None:
        colour = terminal and not os.environ.get("NO_COLOR")
    processors: list[Processor] = [
        *([_refuse_unlisted] if strict else []),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _clean,
        _add_time(clock),
        _readable(colours=colour) if readable else _to_json,
    ]
    level = structlog.processors.NAME_TO_LEVEL[settings.log_level]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_Forgiving(stream)),  # type: ignore[arg-type]  # write and flush do
        cache_logger_on_first_use=False,  # a reload of the settings may change all of this
    )


class _Forgiving:
    """A stream whose failures harm nobody: a supervisor does not end because its log cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _refuse_unlisted(_logger: object, _method: str, event: Event) -> Event:
    if event["event"] not in EVENTS:
        raise ValueError(f"{event['event']} is not in orchestrator.logs.EVENTS: list it there, and say what it means")
    return event


def _add_time(clock: Clock) -> Processor:
    def add(_logger: object, _method: str, event: Event) -> Event:
        return {"time": iso(clock()), "level": event.pop("level"), "event": event.pop("event"), **event}

    return add


def _clean(_logger: object, _method: str, event: Event) -> Event:
    return {key: HIDDEN if _is_secret(key) else _plain(value) for key, value in event.items()}


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRETS)


def _plain(value: object, depth: int = 0) -> Any:
    """Return a value as JSON has it, without secrets: events are given whatever is at hand."""
    match value:
        case Mapping() if depth < _TOO_DEEP:
            pairs = ((redact(str(key)), item) for key, item in value.items())
            return {key: HIDDEN if _is_secret(key) else _plain(item, depth + 1) for key, item in pairs}
        case list() | tuple() | set() | frozenset() if depth < _TOO_DEEP:
            return [_plain(item, depth + 1) for item in value]
        case timedelta():
            return value.total_seconds()
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return redact(_text(value))


def _text(value: object) -> str:
    match value:
        case datetime():
            return iso(value)
        case bytes():
            return value.decode(errors="backslashreplace")
        case _:
            return str(value)


def _to_json(_logger: object, _method: str, event: Event) -> str:
    return json.dumps(event)  # ASCII only, so that no control character and no half of a pair gets out


def _readable(*, colours: bool) -> Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=colours, timestamp_key="time", pad_event_to=0, sort_keys=False, pad_level=False
    )

    def render(logger: object, method: str, event: Event) -> str:
        return str(console(logger, method, {_escaped(key): _for_terminal(value) for key, value in event.items()}))

    return render


def _for_terminal(value: object) -> object:
    return _escaped(value if isinstance(value, str) else json.dumps(value))


def _escaped(text: str) -> str:
    """Leave nothing in a text that a terminal would obey; the line ends of a traceback stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
