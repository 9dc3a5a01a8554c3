"""What the verbs ask of the store: snapshots, results, and the removal of a session.

It speaks over a `Wire`, not redis-py: `orch status` is polled, and everything here is one or two round trips.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from hiredis import ReplyError

from orchestrator.domain.job import TuningJob
from orchestrator.domain.snapshot import SessionSnapshot
from orchestrator.errors import NotFoundError, StateError, StoreUnreachableError
from orchestrator.store import calls
from orchestrator.store.calls import Call, Owned
from orchestrator.store.keys import SCHEMA_VERSION, Keys
from orchestrator.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.store.wire import Wire

T = TypeVar("T")

_CHUNK = 1000


class Client:
    """One verb's view of the store."""

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire = wire
        self.keys = keys

    def get_session(self, session_id: str) -> SessionSnapshot:
        """Return a session with its jobs; two round trips.

        Raises:
            NotFoundError: there is no such session.
        """
        keys = self.keys
        raw, job_ids, metrics, daemon = self._ask(
            ("HGETALL", keys.session(session_id)),
            ("LRANGE", keys.jobs(session_id), 0, -1),
            ("SMEMBERS", keys.metrics(session_id)),
            ("GET", keys.daemon),
        )
        if not raw:
            raise NotFoundError(f"there is no session {session_id} in env {keys.env}: `orch status` lists them")
        fields = _pairs(raw)
        lease, *jobs = self._ask(
            ("GET", keys.owner(fields.get("owner", ""))),
            *(("HGETALL", keys.job(session_id, job_id)) for job_id in job_ids),
        )
        return SessionSnapshot.from_hash(
            fields,
            metrics=tuple(sorted(metrics)),
            jobs=tuple(TuningJob.from_hash(_pairs(job)) for job in jobs),
            owner=asdict(owner) if lease and not (owner := Lease.parse(lease)).gone() else None,
            daemon=daemon is not None,
        )

    def list_sessions(self) -> list[SessionSnapshot]:
        """Return the env's sessions without their jobs, newest first; two round trips."""
        names, daemon = self._ask(("ZREVRANGE", self.keys.sessions, 0, -1), ("GET", self.keys.daemon))
        records = self._ask(*(("HGETALL", self.keys.session(name)) for name in names))
        return [SessionSnapshot.from_hash(_pairs(raw), daemon=daemon is not None) for raw in records if raw]

    def find_record(self, session_id: str) -> dict[str, str]:
        """Return a session's fields as they are stored; empty where there is none."""
        (raw,) = self._ask(("HGETALL", self.keys.session(session_id)))
        return _pairs(raw)

    def iter_results(self, session_id: str) -> Iterator[dict[str, Any]]:
        """Yield a session's recorded iterations in the order they were recorded.

        Each has g, worker_id, iteration, status, value, params, metrics, timestamp, reason.
        """
        last = "-"
        while True:
            (entries,) = self._ask(("XRANGE", self.keys.results(session_id), last, "+", "COUNT", _CHUNK))
            for entry_id, fields in entries:
                last = f"({entry_id}"
                yield json.loads(_pairs(fields)["result"])
            if len(entries) < _CHUNK:
                return

    def session_names(self, prefix: str) -> list[str]:
        """Return the ids of the env's sessions that begin so, newest first (for completion)."""
        (names,) = self._ask(("ZREVRANGE", self.keys.sessions, 0, -1))
        return [name for name in names if name.startswith(prefix)]

    def remove(self, session_id: str) -> SessionSnapshot:
        """Remove everything the store has of a session; return what it was. Done again after a crash, it finishes.

        Raises:
            NotFoundError: there is no such session.
            StateError: it is being run.
        """
        snapshot = self.get_session(session_id)
        answer = self._do(calls.fence(self.keys, session_id))
        if isinstance(answer, Owned) and Lease.parse(answer.lease).gone():
            answer = self._do(calls.fence(self.keys, session_id, answer.owner_id))
        if answer:
            raise StateError(f"session {session_id} is being run by {answer.owner_id}: stop that first")
        shares = ((job.job_id, job.worker_id, job.iterations or 0) for job in snapshot.jobs)
        names = self.keys.of_session(session_id, snapshot.mode, shares)
        while chunk := list(islice(names, _CHUNK)):
            self._ask(("UNLINK", *chunk))
        self._ask(("ZREM", self.keys.sessions, session_id), ("ZREM", self.keys.retention, session_id))
        return snapshot

    def check_schema(self) -> None:
        """Refuse a store that another version of the program wrote.

        Raises:
            StateError: its schema version is not ours.
        """
        (version,) = self._ask(("GET", self.keys.schema))
        calls.check_schema(version or SCHEMA_VERSION)

    def _do(self, call: Call[T]) -> T:
        # EVAL, not EVALSHA: a verb runs a script once, and the server may not know it yet.
        (reply,) = self._ask(("EVAL", call.script.text, str(len(call.keys)), *call.keys, *call.args))
        return call.read(reply)

    def _ask(self, *commands: Sequence[str | int]) -> list[Any]:
        if not commands:
            return []
        replies = self._wire.pipeline(commands)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnreachableError(f"the store refuses: {reply}")
        return replies


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
