"""A call: one Lua script with its keys and arguments, and the reading of its reply. Plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orchestrator.errors import FencedError, NotFoundError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from orchestrator.store.keys import Keys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest Redis knows it by."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """Load `lua/{name}.lua` with the shared part before it."""
    import hashlib  # noqa: PLC0415 - a snapshot is read without any script
    from importlib.resources import files  # noqa: PLC0415 - the same: it brings tempfile, lzma, bz2, …

    folder = files("orchestrator.store") / "lua"
    text = (folder / "_shared.lua").read_text() + (folder / f"{name}.lua").read_text()
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One atomic write.

    Attributes:
        script: what runs.
        keys: its keys.
        args: its arguments.
        read: turns the script's reply into what the caller wants, or raises an `OrchError`.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[str, ...]
    read: Callable[[list[Any]], T]


def dumps(value: object) -> str:
    """Write JSON as all of the store does: compact, and never NaN."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checked_by_job(read: Callable[[list[Any]], T], job_id: str, *, whole: bool = False) -> Callable[[list[Any]], T]:
    """Wrap `read`, which gets what follows the reply's first word (or all of it), with the refusals scripts share."""

    def checked(reply: list[Any]) -> T:
        match reply:
            case ["fenced", token]:
                raise FencedError(f"job {job_id} is somebody else's now (token {token or 'none'})")
            case ["conflict", status]:
                raise StateError(f"job {job_id} is {status}")
            case ["missing"]:
                raise NotFoundError(f"job {job_id} is not in the store")
            case _:
                return read(reply if whole else reply[1:])

    return checked


def no_session(session_id: str) -> NotFoundError:
    """Say that a session is not in the store."""
    return NotFoundError(f"there is no session {session_id}: `orch status` lists them")


def session_keys(keys: Keys, session_id: str) -> tuple[str, ...]:
    """Return the keys that a change of a session's jobs touches: the record, its jobs, its events, two indexes."""
    return (
        keys.session(session_id),
        keys.jobs(session_id),
        keys.events(session_id),
        keys.active,
        keys.retention,
    )


def millis(length: timedelta) -> str:
    """Write a length of time in whole milliseconds."""
    return str(round(length.total_seconds() * 1000))


def ms(moment: datetime) -> str:
    """Write a moment in milliseconds since 1970."""
    return str(round(moment.timestamp() * 1000))
