"""What the verbs ask of the store: snapshots, results, events, and the removal of a session.

It speaks over a `Wire`, not redis-py: `orch status` is polled, and everything here is one or two round trips.
"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import islice

from hiredis import ReplyError

from orchestrator.domain.iteration import IterationStatus, other_fields
from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.snapshot import SessionSnapshot
from orchestrator.errors import NotFoundError, StateError, StoreUnreachableError
from orchestrator.frozen import TYPE_CHECKING, fields_of
from orchestrator.store.keys import SCHEMA_VERSION, Keys, check_schema
from orchestrator.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from orchestrator.store.calls import Call

    T = TypeVar("T")

    class Asked(Protocol):
        """What answers: a `Wire`, or one that has patience with a store that is away (`follow.PatientWire`)."""

        def pipeline(
            self, commands: Sequence[Sequence[str | bytes | int]], timeout: timedelta | None = None
        ) -> list[Any]:
            """Send some commands at once and return their replies, in order."""
            ...


_CHUNK = 1000
# Not to know whether a write was made is worse than to wait for it; a large session's is carried out for seconds.
_WRITTEN_WITHIN = timedelta(seconds=30)


class Client:
    """One verb's view of the store."""

    def __init__(self, wire: Asked, keys: Keys) -> None:
        self._wire = wire
        self.keys = keys

    def get_session(self, session_id: str, *, jobs: bool = True) -> SessionSnapshot:
        """Return a session, with its jobs unless those are not wanted; two round trips, more for thousands of jobs.

        Jobs that a removal which did not finish has taken away are not among them.

        Raises:
            NotFoundError: there is no such session.
        """
        keys = self.keys
        raw, job_ids, metrics, daemon, paused = self.ask(
            ("HGETALL", keys.session(session_id)),
            ("LRANGE", keys.jobs(session_id), 0, -1),
            ("SMEMBERS", keys.metrics(session_id)),
            ("GET", keys.daemon),
            ("GET", keys.paused),
        )
        if not raw:
            raise self._no_session(session_id)
        fields = _pairs(raw)
        wanted = (("HGETALL", keys.job(session_id, job_id)) for job_id in (job_ids if jobs else ()))
        owner, serving, *hashes = self.ask(
            ("GET", keys.owner(fields.get("owner", ""))),
            ("GET", keys.owner(daemon or "")),
            *islice(wanted, _CHUNK),
        )
        while chunk := list(islice(wanted, _CHUNK)):
            hashes += self.ask(*chunk)
        return SessionSnapshot.from_hash(
            fields,
            metrics=tuple(sorted(metrics)),
            jobs=tuple(TuningJob.from_hash(_pairs(job)) for job in hashes if job),
            owner=_living(owner),
            daemon=_living(serving),
            env_paused=paused is not None,
        )

    def list_sessions(self) -> list[SessionSnapshot]:
        """Return the env's sessions without their jobs, newest first; three round trips."""
        keys = self.keys
        names, daemon, paused = self.ask(
            ("ZREVRANGE", keys.sessions, 0, -1), ("GET", keys.daemon), ("GET", keys.paused)
        )
        serving, *records = self.ask(
            ("GET", keys.owner(daemon or "")), *(("HGETALL", keys.session(name)) for name in names)
        )
        found = [_pairs(raw) for raw in records if raw]
        leases = self._leases({fields.get("owner", "") for fields in found if not Status(fields["status"]).terminal})
        return [
            SessionSnapshot.from_hash(
                fields,
                owner=leases.get(fields.get("owner", "")),
                daemon=_living(serving),
                env_paused=paused is not None,
            )
            for fields in found
        ]

    def get_status(self, session_id: str) -> Status:
        """Return a session's status.

        Raises:
            NotFoundError: there is no such session.
        """
        (status,) = self.ask(("HGET", self.keys.session(session_id), "status"))
        if status is None:
            raise self._no_session(session_id)
        return Status(status)

    def fingerprint(self, session_id: str, owner_id: str = "") -> tuple[object, ...]:
        """Return what differs whenever a session, its jobs or who serves it do; one round trip.

        The first of it is the id of the session's owner, to be given the next time: an owner's death is no event.
        """
        keys = self.keys
        fields = ("owner", "status", "last_update", "completed_iterations")
        counted, event, daemon, paused, owned = self.ask(
            ("HMGET", keys.session(session_id), *fields),
            ("XREVRANGE", keys.events(session_id), "+", "-", "COUNT", 1),
            ("GET", keys.daemon),
            ("GET", keys.paused),
            ("EXISTS", keys.owner(owner_id)),
        )
        return (*counted, event and event[0][0], daemon, paused, owned)

    def find_daemon(self) -> Lease | None:
        """Return who serves the env; None where no daemon does."""
        (owner_id,) = self.ask(("GET", self.keys.daemon))
        return self._find_lease(owner_id)

    def _find_lease(self, owner_id: str | None) -> Lease | None:
        (lease,) = self.ask(("GET", self.keys.owner(owner_id or "")))
        return found if lease and not (found := Lease.parse(lease)).gone() else None

    def find_standby(self) -> Lease | None:
        """Return who would serve the env if its daemon did not; None where nobody stands by."""
        (owner_id,) = self.ask(("GET", self.keys.standby))
        return self._find_lease(owner_id)

    def find_reload(self) -> str | None:
        """Return what came of the daemon's last reload, as it wrote it; None where it is long ago."""
        (outcome,) = self.ask(("GET", self.keys.reloaded))
        return outcome and str(outcome)

    def find_record(self, session_id: str) -> dict[str, str]:
        """Return a session's fields as they are stored; empty where there is none."""
        (raw,) = self.ask(("HGETALL", self.keys.session(session_id)))
        return _pairs(raw)

    def get_record(self, session_id: str) -> dict[str, str]:
        """Return a session's fields as they are stored.

        Raises:
            NotFoundError: there is no such session.
        """
        if record := self.find_record(session_id):
            return record
        raise self._no_session(session_id)

    def iter_results(self, session_id: str) -> Iterator[dict[str, Any]]:
        """Yield a session's recorded iterations in the order they were recorded.

        Each has g, worker_id, iteration, status, value, params, metrics, timestamp, reason.
        """
        for fields in self._entries(self.keys.results(session_id)):
            yield json.loads(fields["result"])

    def iter_iterations(self, session_id: str, mode: str) -> Iterator[dict[str, Any]]:
        """Yield all that is recorded of a session's iterations, in the order they were recorded.

        Each has what `iter_results` yields of it, and the other fields of its record as text: started_at, attempt,
        seconds, kind, error and whatever else its worker kept.
        """
        results = self.iter_results(session_id)
        while chunk := list(islice(results, _CHUNK)):
            places = [(result["worker_id"], result["iteration"]) for result in chunk]
            hashes = self.ask(*(("HGETALL", self.keys.iteration(mode, session_id, *place)) for place in places))
            for result, raw in zip(chunk, hashes, strict=True):
                yield {**other_fields(_pairs(raw)), **result}

    def tells_days(self, session_id: str, mode: str, best: Mapping[str, Any] | None) -> bool:
        """Tell whether it is recorded what the best earned on each day, so that there is something to judge."""
        if not best:
            return False
        place = self.keys.iteration(mode, session_id, best["worker_id"], best["iteration"])
        (found,) = self.ask(("HEXISTS", place, "daily"))
        return bool(found)

    def count_tried_before(self, session_id: str) -> int:
        """Return how many different points the sessions evaluated that a session resumes from, as far as is known.

        A session keeps the results of the one that it resumes from; of the ones before that, those that are there tell.
        """
        points: set[str] = set()
        seen: set[str] = set()
        while session_id and session_id not in seen:
            seen.add(session_id)
            for fields in self._entries(self.keys.prior(session_id)):
                result = json.loads(fields["result"])
                if result["status"] != IterationStatus.FAILED:
                    points.add(json.dumps(result["params"], sort_keys=True))
            session_id = self.find_record(session_id).get("resume_from", "")
        return len(points)

    def get_holdout(self, session_id: str) -> dict[str, Any]:
        """Return what was scored on a session's held-out days, without a look at them.

        Returns:
            `looks` (how often points of this session were scored on them) and `points` (how many), `all_looks` and
            `all_points` (any session's on one of these days of this data, at most) and `results`: g, worker_id,
            iteration, params, tuned_value, value, metrics, daily, capital, time and look of each.
        """
        keys = self.keys
        (raw,) = self.ask(("HGETALL", keys.holdout(session_id)))
        fields = _pairs(raw)
        looks, days = int(fields.pop("looks", 0)), json.loads(fields.pop("held_out", "[]"))
        counts = self.ask(("HMGET", keys.looks, *days), ("HMGET", keys.scored, *days)) if days else [[], []]
        all_looks, all_points = (max((int(count or 0) for count in each), default=0) for each in counts)
        scored = [text.split(" ", 1) for text in fields.values()]
        results = [{**json.loads(result), "look": int(number)} for number, result in scored]
        return {
            "looks": looks,
            "points": len(results),
            "all_looks": all_looks,
            "all_points": all_points,
            "results": sorted(results, key=lambda each: each["g"]),
        }

    def iter_events(self, session_id: str) -> Iterator[dict[str, str]]:
        """Yield what happened to a session and its jobs, oldest first; very old events are gone.

        Each has time, event and, where they apply, worker_id, from, to, attempt, reason, actor.
        """
        yield from self._entries(self.keys.events(session_id))

    def _entries(self, key: str) -> Iterator[dict[str, str]]:
        last = "-"
        while True:
            (entries,) = self.ask(("XRANGE", key, last, "+", "COUNT", _CHUNK))
            for entry_id, fields in entries:
                last = f"({entry_id}"
                yield _pairs(fields)
            if len(entries) < _CHUNK:
                return

    def session_names(self, prefix: str) -> list[str]:
        """Return the ids of the env's sessions that begin so, newest first (for completion)."""
        (names,) = self.ask(("ZREVRANGE", self.keys.sessions, 0, -1))
        return [name for name in names if name.startswith(prefix)]

    def remove(self, session_id: str) -> SessionSnapshot:
        """Remove everything the store has of a session; return what it was. Done again after a crash, it finishes.

        Raises:
            NotFoundError: there is no such session.
            StateError: it is being run.
        """
        snapshot = self.get_session(session_id)
        from orchestrator.store import calls  # noqa: PLC0415 - who only looks needs no scripts

        answer = self.do(calls.fence(self.keys, session_id))
        if answer and Lease.parse(answer.lease).gone():
            answer = self.do(calls.fence(self.keys, session_id, answer.owner_id))
        if answer:
            raise StateError(f"session {session_id} is being run by {answer.owner_id}: stop that first")
        shares = ((job.job_id, job.worker_id, job.begun) for job in snapshot.jobs)
        names = self.keys.of_session(session_id, snapshot.mode, shares)
        while chunk := list(islice(names, _CHUNK)):
            self.ask(("UNLINK", *chunk))
        self.ask(("ZREM", self.keys.sessions, session_id), ("ZREM", self.keys.retention, session_id))
        return snapshot

    def _no_session(self, session_id: str) -> NotFoundError:
        return NotFoundError(f"there is no session {session_id} in env {self.keys.env}: `orch status` lists them")

    def _leases(self, owners: set[str]) -> dict[str, dict[str, Any]]:
        names = sorted(owners)
        leases = self.ask(*(("GET", self.keys.owner(name)) for name in names))
        return {name: living for name, lease in zip(names, leases, strict=True) if (living := _living(lease))}

    def check_schema(self) -> None:
        """Refuse a store that another version of the program wrote.

        Raises:
            StateError: its schema version is not ours.
        """
        (version,) = self.ask(("GET", self.keys.schema))
        check_schema(version or SCHEMA_VERSION)

    def do(self, call: Call[T]) -> T:
        """Carry out an atomic write.

        Raises:
            OrchError: what the call's reading of the reply says.
        """
        # EVAL, not EVALSHA: a verb runs a script once, and the server may not know it yet.
        command = ("EVAL", call.script.text, str(len(call.keys)), *call.keys, *call.args)
        (reply,) = self.ask(command, timeout=_WRITTEN_WITHIN)
        return call.read(reply)

    def ask(self, *commands: Sequence[str | int], timeout: timedelta | None = None) -> list[Any]:
        """Send some commands at once and return their replies, in order.

        Args:
            *commands: each as its words.
            timeout: how long the server may be silent, if another than the connection's.

        Raises:
            StoreUnreachableError: the store does not answer, or refuses.
        """
        replies = self.ask_leniently(*commands, timeout=timeout)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnreachableError(f"the store refuses: {reply}")
        return replies

    def ask_leniently(self, *commands: Sequence[str | int], timeout: timedelta | None = None) -> list[Any]:
        """Send some commands at once; a refusal is a `hiredis.ReplyError` among the replies.

        Raises:
            StoreUnreachableError: the store does not answer.
        """
        return self._wire.pipeline(commands, timeout) if commands else []


def _living(lease: str | None) -> dict[str, Any] | None:
    """Read a lease; None where there is none, or where its owner is known to be dead."""
    return fields_of(owner) if lease and not (owner := Lease.parse(lease)).gone() else None


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
