"""Who runs a session, and who serves an env: leases, fencing tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.domain.job import Status
from orchestrator.store.calls.call import Call, millis, no_session, script

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from orchestrator.store.keys import Keys


@dataclass(frozen=True, slots=True)
class Adopted:
    """The caller owns the session now, under this fencing token."""

    token: int


@dataclass(frozen=True, slots=True)
class Owned:
    """Somebody else owns the session; `lease` is the JSON of who."""

    owner_id: str
    lease: str


@dataclass(frozen=True, slots=True)
class Over:
    """The session is terminal."""

    status: Status


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease stands again.

    Attributes:
        lost: sessions that are somebody else's now.
        contested: somebody would take the others if the lease lapsed.
    """

    lost: tuple[str, ...]
    contested: bool


def adopt(
    keys: Keys, session_id: str, owner_id: str, now: datetime, dead_owner: str = ""
) -> Call[Adopted | Owned | Over]:
    """Make `owner_id` the owner of a session.

    Raises (when read):
        NotFoundError: there is no such session.
    """

    def read(reply: list[Any]) -> Adopted | Owned | Over:
        match reply:
            case ["adopted", token]:
                return Adopted(int(token))
            case ["owned", owner, lease]:
                return Owned(owner, lease)
            case ["terminal", status]:
                return Over(Status(status))
            case _:
                raise no_session(session_id)

    return Call(
        script("adopt"),
        (keys.session(session_id), keys.events(session_id), keys.tokens),
        (owner_id, keys.owner(""), dead_owner, iso(now)),
        read,
    )


def trouble(keys: Keys, session_id: str, why: str) -> Call[None]:
    """Say why a session cannot be run, until somebody runs it."""
    return Call(script("trouble"), (keys.session(session_id),), (why,), lambda _: None)


def renew(keys: Keys, owner_id: str, lease: str, ttl: timedelta, sessions: Mapping[str, int]) -> Call[Renewed]:
    """Renew an owner's lease; the reply names those of its `sessions` (id → token) that are somebody else's now."""
    names = tuple(sessions)
    return Call(
        script("renew"),
        (keys.owner(owner_id), keys.daemon, keys.standby, *(keys.session(name) for name in names)),
        (millis(ttl), lease, owner_id, *(str(token) for token in sessions.values())),
        lambda reply: Renewed(tuple(names[int(position) - 1] for position in reply[1:]), bool(reply[0])),
    )


def serve(keys: Keys, owner_id: str, ttl: timedelta, dead_owner: str = "") -> Call[Owned | None]:
    """Become the daemon of the env, or stay it; the reply is None, or who is it, and then the caller stands by."""

    def read(reply: list[Any]) -> Owned | None:
        match reply:
            case ["other", owner, lease]:
                return Owned(owner, lease)
            case _:
                return None

    return Call(script("serve"), (keys.daemon, keys.standby), (owner_id, millis(ttl), dead_owner, keys.owner("")), read)


def fence(keys: Keys, session_id: str, dead_owner: str = "") -> Call[Owned | None]:
    """Shut everybody out of a session that is to be removed; the reply is None, or who runs it.

    Raises (when read):
        NotFoundError: there is no such session.
    """

    def read(reply: list[Any]) -> Owned | None:
        match reply:
            case ["owned", owner, lease]:
                return Owned(owner, lease)
            case ["missing"]:
                raise no_session(session_id)
            case _:
                return None

    return Call(
        script("fence"),
        (keys.session(session_id), keys.active, keys.tokens),
        (keys.owner(""), dead_owner, session_id),
        read,
    )
