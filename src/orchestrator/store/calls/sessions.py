"""A session comes to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.domain.job import Status, to_hash
from orchestrator.store.calls.call import Call, dumps, ms, script
from orchestrator.store.keys import SCHEMA_VERSION, Keys, check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


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
            ms(now),
            session_id,
            dumps(to_hash(session)),
            dumps(list(jobs)),
            keys.job(session_id, ""),
        ),
        _read_submit,
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
