"""A session comes to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.domain.job import Status, to_hash
from orchestrator.errors import NotFoundError, StateError
from orchestrator.store.calls.call import Call, dumps, ms, script
from orchestrator.store.keys import SCHEMA_VERSION, Keys, check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

LARGE = 1000
"""Jobs from which on a session is better sent ahead."""

SENT_AHEAD_LIVES = timedelta(hours=1)

_PORTION = 500


@dataclass(frozen=True, slots=True)
class Existing:
    """A session of that id was there already."""

    spec_hash: str
    status: Status


def send_ahead(
    keys: Keys, session_id: str, jobs: Sequence[Mapping[str, str]]
) -> Iterator[Sequence[tuple[str | int, ...]]]:
    """Yield portions of commands that bring the jobs of a large session to the store before `submit` makes it one.

    So the server is kept from others for no longer than a portion takes. What nobody submits expires.
    """
    seconds = round(SENT_AHEAD_LIVES.total_seconds())
    for first in range(0, len(jobs), _PORTION):
        named = [(keys.job(session_id, job["job_id"]), job) for job in jobs[first : first + _PORTION]]
        yield [
            command
            for key, job in named
            for command in (("HSET", key, *chain.from_iterable(job.items())), ("EXPIRE", key, seconds))
        ]


def submit(
    keys: Keys,
    session_id: str,
    session: Mapping[str, object],
    jobs: Sequence[Mapping[str, str]],
    now: datetime,
    *,
    sent_ahead: bool = False,
) -> Call[Existing | None]:
    """Create a session with all its jobs; the reply is None, or what was there already.

    Args:
        keys: of the env.
        session_id: the session's.
        session: the fields of its record.
        jobs: the fields of each of its jobs.
        now: the time that is written.
        sent_ahead: `send_ahead` has brought the jobs to the store.

    Raises (when read):
        NotFoundError: the session that it resumes from is not there.
        StateError: the store holds another schema version, or the jobs were sent ahead too long ago.
    """
    earlier = str(session.get("resume_from") or "")
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
            keys.prior(session_id),
            keys.session(earlier),
            keys.results(earlier),
        ),
        (
            SCHEMA_VERSION,
            iso(now),
            ms(now),
            session_id,
            dumps(to_hash(session)),
            dumps([job["job_id"] for job in jobs] if sent_ahead else list(jobs)),
            keys.job(session_id, ""),
            earlier,
        ),
        lambda reply: _read_submit(reply, earlier),
    )


def _read_submit(reply: list[Any], earlier: str) -> Existing | None:
    match reply:
        case ["schema", version]:
            check_schema(version)
            return None
        case ["exists", spec_hash, status]:
            return Existing(spec_hash, Status(status))
        case ["no_earlier"]:
            raise NotFoundError(f"there is no session {earlier} to resume from: `orch list` shows those that there are")
        case ["late"]:
            raise StateError("handing the session in took too long, and nothing of it is kept: do it again")
        case _:
            return None
