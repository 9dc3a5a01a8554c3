"""The store's atomic writes as typed calls: each names one Lua script, its keys and its arguments, and reads its reply.

A call is plain data; whoever has a connection (asyncio or not) carries it out. Sending one again after a lost reply
is safe: every script knows what it has done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orchestrator.clock import iso
from orchestrator.domain.job import Status, to_hash
from orchestrator.errors import FencedError, NotFoundError, StateError
from orchestrator.store.keys import SCHEMA_VERSION, Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

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


# --- sessions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Existing:
    """A session of that id was there already."""

    spec_hash: str
    status: Status


def submit(
    keys: Keys, session_id: str, session: Mapping[str, object], jobs: Sequence[Mapping[str, str]], now: datetime
) -> Call[Existing | None]:
    """Create a session with all its jobs; the reply is None, or what was there already.

    Raises (when read):
        StateError: the store holds another schema version.
    """
    return Call(
        script("submit"),
        (
            keys.session(session_id),
            keys.jobs(session_id),
            keys.events(session_id),
            keys.sessions,
            keys.active,
            keys.schema,
            keys.wake,
        ),
        (
            SCHEMA_VERSION,
            iso(now),
            _ms(now),
            session_id,
            dumps(to_hash(session)),
            dumps(list(jobs)),
            keys.job(session_id, ""),
        ),
        _read_submit,
    )


def check_schema(version: str) -> None:
    """Refuse another schema version.

    Raises:
        StateError: it is not the one this program knows.
    """
    if version != SCHEMA_VERSION:
        raise StateError(
            f"the store holds schema version {version}, this program knows {SCHEMA_VERSION}: "
            "use the version of orch that wrote it, or another env or key prefix"
        )


def _read_submit(reply: list[Any]) -> Existing | None:
    match reply:
        case ["schema", version]:
            check_schema(version)
            return None
        case ["exists", spec_hash, status]:
            return Existing(spec_hash, Status(status))
        case _:
            return None


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
class Cancelled:
    """How many jobs are cancelled, and how many that run have been told."""

    cancelled: int
    told: int


@dataclass(frozen=True, slots=True)
class Retried:
    """How many jobs run again, and how many iterations are evaluated again."""

    jobs: int
    iterations: int


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
                raise _no_session(session_id)

    return Call(
        script("adopt"),
        (keys.session(session_id), keys.events(session_id), keys.tokens),
        (owner_id, keys.owner(""), dead_owner, iso(now)),
        read,
    )


def renew(keys: Keys, owner_id: str, lease: str, ttl: timedelta, sessions: Mapping[str, int]) -> Call[tuple[str, ...]]:
    """Renew an owner's lease; the reply names those of its `sessions` (id → token) that are somebody else's now."""
    names = tuple(sessions)
    return Call(
        script("renew"),
        (keys.owner(owner_id), *(keys.session(name) for name in names)),
        (_millis(ttl), lease, *(str(token) for token in sessions.values())),
        lambda reply: tuple(names[int(position) - 1] for position in reply),
    )


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
                raise _no_session(session_id)

    return Call(
        script("cancel"),
        (*_session_keys(keys, session_id), keys.wake),
        (
            iso(now),
            _ms(now),
            _millis(retention),
            session_id,
            keys.job(session_id, ""),
            wish.worker_id,
            wish.reason,
            "" if wish.grace is None else _millis(wish.grace),
            wish.actor,
        ),
        read,
    )


def retry(keys: Keys, session_id: str, mode: str, actor: str, now: datetime) -> Call[Retried]:
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
                raise _no_session(session_id)

    return Call(
        script("retry"),
        (*_session_keys(keys, session_id), keys.wake, keys.results(session_id)),
        (
            iso(now),
            session_id,
            keys.job(session_id, ""),
            keys.iteration(mode, session_id, "{worker_id}", "{iteration}"),
            actor,
        ),
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
                raise _no_session(session_id)
            case _:
                return

    return Call(
        script("pause"),
        (keys.session(session_id), keys.events(session_id), keys.wake),
        (iso(now), session_id, "1" if paused else "", actor),
        read,
    )


def serve(keys: Keys, owner_id: str, ttl: timedelta, dead_owner: str = "") -> Call[Owned | None]:
    """Become the daemon of the env, or stay it; the reply is None, or who is it."""

    def read(reply: list[Any]) -> Owned | None:
        match reply:
            case ["other", owner, lease]:
                return Owned(owner, lease)
            case _:
                return None

    return Call(script("serve"), (keys.daemon,), (owner_id, _millis(ttl), dead_owner, keys.owner("")), read)


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
                raise _no_session(session_id)
            case _:
                return None

    return Call(
        script("fence"),
        (keys.session(session_id), keys.active, keys.tokens),
        (keys.owner(""), dead_owner, session_id),
        read,
    )


# --- jobs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a job's status.

    Attributes:
        token: of the session's owner.
        op: a text that no other change has, so that a repeated sending is recognised.
        actor: who brings it about.
        fields: further fields of the job's hash.
    """

    session_id: str
    job_id: str
    token: int
    op: str
    expected: Status
    to: Status
    actor: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Moved:
    """The change is made. `token` is the attempt's own fencing token (0 before the first)."""

    session: Status
    token: int


def transition(keys: Keys, change: Transition, now: datetime, retention: timedelta) -> Call[Moved]:
    """Change a job's status.

    Raises (when read):
        FencedError: the session has another owner.
        StateError: the job is not in the expected status.
        NotFoundError: the job is gone.
    """
    return Call(
        script("transition"),
        (
            keys.session(change.session_id),
            keys.job(change.session_id, change.job_id),
            keys.events(change.session_id),
            keys.active,
            keys.retention,
            keys.tokens,
            keys.candidates(change.session_id),
        ),
        (
            str(change.token),
            change.op,
            change.expected,
            change.to,
            iso(now),
            _ms(now),
            change.session_id,
            change.actor,
            dumps(to_hash(change.fields)),
            _millis(retention),
        ),
        _reader(lambda rest: Moved(Status(rest[0]), int(rest[1] or 0)), change.job_id),
    )


def note(keys: Keys, session_id: str, job_id: str, token: int, fields: Mapping[str, object]) -> Call[None]:
    """Write facts about the attempt that runs under `token`.

    Raises (when read):
        FencedError: another attempt runs, or none.
    """
    return Call(
        script("note"),
        (keys.job(session_id, job_id),),
        (str(token), dumps(to_hash(fields))),
        _reader(lambda _: None, job_id),
    )


# --- iterations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an iteration stands.

    Attributes:
        token: the attempt's fencing token.
        iteration: 1..n within its worker.
        g: its global index, 0..total-1.
    """

    session_id: str
    job_id: str
    worker_id: str
    mode: str
    token: int
    iteration: int
    g: int

    def key(self, keys: Keys) -> str:
        """Return the key of its record."""
        return keys.iteration(self.mode, self.session_id, self.worker_id, self.iteration)


@dataclass(frozen=True, slots=True)
class Begun:
    """The iteration may be evaluated, with these parameters (JSON): the given ones, or those stored before a crash."""

    params: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Another iteration has claimed the same point."""

    g: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """The iteration is recorded already."""


def begin(
    keys: Keys, place: Place, params: Mapping[str, object], point: str, fields: Mapping[str, object]
) -> Call[Begun | Taken | Recorded]:
    """Store an iteration's parameters before they are evaluated, and claim their `point` unless that is empty.

    Raises (when read):
        FencedError: another attempt runs, or none.
    """
    given = dumps(params)

    def read(rest: list[Any]) -> Begun | Taken | Recorded:
        match rest:
            case ["stored", stored]:
                return Begun(stored)
            case ["taken", g]:
                return Taken(int(g))
            case ["recorded"]:
                return Recorded()
            case _:
                return Begun(given)

    return Call(
        script("begin"),
        (
            keys.job(place.session_id, place.job_id),
            place.key(keys),
            keys.candidates(place.session_id),
            keys.points(place.session_id),
        ),
        (
            str(place.token),
            place.worker_id,
            str(place.g),
            point,
            given,
            dumps({"g": place.g, "params": dict(params)}),
            dumps(to_hash(fields)),
            dumps(to_hash({f"params_{name}": value for name, value in params.items()})),
        ),
        _reader(read, place.job_id, whole=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is recorded of an iteration.

    Attributes:
        status: SUCCESS or FAILED.
        value: the objective's; None where FAILED.
        fields: the fields of its hash.
        result: what the session's result stream shows of it, and what `best` keeps.
    """

    status: Status
    value: float | None
    direction: str
    fields: Mapping[str, object]
    result: Mapping[str, object]
    metrics: Sequence[str]


def commit(keys: Keys, place: Place, record: Record, now: datetime) -> Call[bool]:
    """Record an iteration; the reply is False where it was recorded already (the first commit wins).

    Raises (when read):
        FencedError: another attempt runs, or none.
    """
    return Call(
        script("commit"),
        (
            keys.session(place.session_id),
            keys.job(place.session_id, place.job_id),
            place.key(keys),
            keys.candidates(place.session_id),
            keys.results(place.session_id),
            keys.metrics(place.session_id),
        ),
        (
            str(place.token),
            str(place.g),
            record.status,
            iso(now),
            "" if record.value is None else repr(record.value),
            record.direction,
            dumps(to_hash(record.fields)),
            dumps(record.result),
            dumps(list(record.metrics)),
        ),
        _reader(lambda rest: rest == ["done"], place.job_id, whole=True),
    )


def _reader(read: Callable[[list[Any]], T], job_id: str, *, whole: bool = False) -> Callable[[list[Any]], T]:
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


def _no_session(session_id: str) -> NotFoundError:
    return NotFoundError(f"there is no session {session_id}: `orch status` lists them")


def _session_keys(keys: Keys, session_id: str) -> tuple[str, ...]:
    return (
        keys.session(session_id),
        keys.jobs(session_id),
        keys.events(session_id),
        keys.active,
        keys.retention,
    )


def _millis(length: timedelta) -> str:
    return str(round(length.total_seconds() * 1000))


def _ms(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1000))
