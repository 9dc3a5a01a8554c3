"""What people want of a session: that it ends, begins again, or begins nothing for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.errors import NotFoundError, StateError
from orchestrator.store.calls.call import Call, dumps, millis, ms, no_session, script, session_keys

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from orchestrator.store.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What is to be cancelled, and why.

    Attributes:
        worker_id: of the one job that is meant, or empty for all.
        reason: `cancelled:<who>: <why>`.
        grace: how long a job that runs may take to end; None for the session's own.
        actor: who wants it.
    """

    session_id: str
    worker_id: str
    reason: str
    grace: timedelta | None
    actor: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How many jobs are cancelled, and how many that run have been told."""

    cancelled: int
    told: int


@dataclass(frozen=True, slots=True)
class Retried:
    """How many jobs run again, and how many iterations are evaluated again."""

    jobs: int
    iterations: int


def cancel(keys: Keys, wish: Cancellation, now: datetime, retention: timedelta) -> Call[Cancelled]:
    """Have jobs end; the session's keys live for `retention` once it is terminal.

    Raises (when read):
        NotFoundError: there is no such session, or no such worker in it.
        StateError: it is terminal.
    """
    session_id = wish.session_id

    def read(reply: list[Any]) -> Cancelled:
        match reply:
            case ["done", cancelled, told]:
                return Cancelled(int(cancelled), int(told))
            case ["terminal", status]:
                raise StateError(f"session {session_id} has ended: it is {status}")
            case ["no_worker"]:
                raise NotFoundError(f"session {session_id} has no {wish.worker_id}")
            case _:
                raise no_session(session_id)

    return Call(
        script("cancel"),
        (*session_keys(keys, session_id), keys.wake, keys.candidates(session_id)),
        (
            iso(now),
            ms(now),
            millis(retention),
            session_id,
            keys.job(session_id, ""),
            wish.worker_id,
            wish.reason,
            "" if wish.grace is None else millis(wish.grace),
            wish.actor,
        ),
        read,
    )


def retry(keys: Keys, session_id: str, actor: str, now: datetime) -> Call[Retried]:
    """Have a terminal session's failed and cancelled jobs run again, and its FAILED iterations evaluated again.

    Raises (when read):
        NotFoundError: there is no such session.
        StateError: it is not terminal, or nothing of it failed.
    """

    def read(reply: list[Any]) -> Retried:
        match reply:
            case ["done", jobs, iterations]:
                return Retried(int(jobs), int(iterations))
            case ["running", status]:
                raise StateError(f"session {session_id} is {status}: only what has ended can be tried again")
            case ["nothing"]:
                raise StateError(f"nothing of session {session_id} failed or was cancelled")
            case _:
                raise no_session(session_id)

    return Call(
        script("retry"),
        (*session_keys(keys, session_id), keys.wake, keys.results(session_id), keys.failed(session_id)),
        (iso(now), session_id, keys.job(session_id, ""), actor),
        read,
    )


def pause(keys: Keys, session_id: str, actor: str, now: datetime, *, paused: bool) -> Call[None]:
    """Have a session begin no job, or begin jobs again.

    Raises (when read):
        NotFoundError: there is no such session.
        StateError: it is terminal.
    """

    def read(reply: list[Any]) -> None:
        match reply:
            case ["terminal", status]:
                raise StateError(f"session {session_id} has ended: it is {status}")
            case ["missing"]:
                raise no_session(session_id)
            case _:
                return

    return Call(
        script("pause"),
        (keys.session(session_id), keys.events(session_id), keys.wake),
        (iso(now), session_id, "1" if paused else "", actor),
        read,
    )


def pause_env(keys: Keys, actor: str, now: datetime, *, paused: bool) -> Call[None]:
    """Have no session of the env begin a job, or all begin again."""
    who = dumps({"actor": actor, "time": iso(now)}) if paused else ""
    return Call(script("pause_env"), (keys.paused, keys.wake), (who,), lambda _: None)
