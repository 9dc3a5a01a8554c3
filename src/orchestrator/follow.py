"""Follows a session from anywhere that reaches the store: its end, its changes, its jobs' output as it comes.

A store that goes away is waited for; what was asked is asked again, and each stream is read on from where it was left.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from orchestrator.domain.job import Status
from orchestrator.errors import NotFoundError, OrchError, StoreUnreachableError
from orchestrator.store.lease import Lease
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.client import Client
    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.store.opening import StoreAddress

_PAUSE = timedelta(milliseconds=200)
# What is no event, a daemon's death say, is seen after so long; a `Wire` would have patience for longer.
_LOOK_AGAIN = timedelta(seconds=2)
_EVENTS_TOGETHER = timedelta(milliseconds=50)
_COUNT = 1000
_SHARE = 4  # looking may take a quarter of the time


class OutOfTimeError(OrchError):
    """What was waited for did not come in time."""

    exit_code = 124


@dataclass(slots=True)
class PatientWire:
    """A connection to a store that is made again when it is lost; what was asked is asked once more.

    So only what may be asked twice belongs here: reading. A context manager.

    Attributes:
        on_away: called with a sentence when the store is found to be away.
        on_back: called when it answers again.
        deadline: on the monotonic clock, seconds, after which waiting ends; None for never.
    """

    address: StoreAddress
    on_away: Callable[[str], None]
    on_back: Callable[[], None]
    deadline: float | None = None
    _wire: Wire | None = None

    def pipeline(self, commands: Sequence[Sequence[str | bytes | int]], timeout: timedelta | None = None) -> list[Any]:
        """Send some commands at once and return their replies, in order.

        Raises:
            OutOfTimeError: the deadline has passed, and the store is still away.
        """
        away = False
        while True:
            try:
                if self._wire is None:
                    self._wire = Wire.connect(self.address.url)
                replies = self._wire.pipeline(commands, timeout)
            except StoreUnreachableError as error:
                self._wire = None
                if not away:
                    away = True
                    self.on_away(str(error))
                self._wait()
            else:
                if away:
                    self.on_back()
                return replies

    def left(self, patience: timedelta) -> timedelta:
        """Return how long may be waited for something: `patience`, or what is left until the deadline.

        Raises:
            OutOfTimeError: nothing is left.
        """
        if self.deadline is None:
            return patience
        rest = timedelta(seconds=self.deadline - time.monotonic())
        if rest <= timedelta(0):
            raise OutOfTimeError("the time is over")
        return min(patience, rest)

    def _wait(self) -> None:
        if self.address.revive:
            with suppress(OrchError):  # it is tried again, and who waits knows that the store is away
                self.address.revive()
        time.sleep(self.left(_PAUSE).total_seconds())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._wire:
            self._wire.close()


# --- its end -------------------------------------------------------------------------------------------------------


def wait_for_end(
    client: Client, wire: PatientWire, session_id: str, tell: Callable[[SessionSnapshot], None]
) -> SessionSnapshot:
    """Wait until a session is terminal; return how it ended, without its jobs.

    Args:
        client: asks through `wire`.
        wire: whose deadline counts.
        session_id: whose end.
        tell: called with how the session is, whenever that was looked at.

    Raises:
        NotFoundError: there is no such session, or not any more.
        OutOfTimeError: the deadline has passed.
    """
    events = client.keys.events(session_id)
    last = _newest(client, events)
    while True:
        snapshot = client.get_session(session_id, jobs=False)
        tell(snapshot)
        if snapshot.status.terminal:
            return snapshot
        for _, entry_id, _ in _read(client, {events: last}, wire.left(_LOOK_AGAIN)):
            last = entry_id
        time.sleep(wire.left(_EVENTS_TOGETHER).total_seconds())  # they come in bursts


def iter_snapshots(client: Client, session_id: str, every: timedelta) -> Iterator[SessionSnapshot]:
    """Yield how a session is, again and again until it is terminal; the very same object where nothing has changed.

    A look at what has not changed is one small round trip.

    Raises:
        NotFoundError: there is no such session, or not any more.
    """
    seen = client.fingerprint(session_id)
    snapshot = client.get_session(session_id)
    while True:
        yield snapshot
        if snapshot.status.terminal:
            return
        time.sleep(every.total_seconds())
        began = time.monotonic()
        now = client.fingerprint(session_id, str(seen[0]))
        if now != seen or _is_served_by_the_dead(snapshot):
            seen, snapshot = now, client.get_session(session_id)
            time.sleep(_SHARE * (time.monotonic() - began))  # of a hundred thousand jobs a look takes its time


def _is_served_by_the_dead(snapshot: SessionSnapshot) -> bool:
    """Tell whether who serves it has died on this host, which its lease does not know yet."""
    return any(lease and Lease(**lease).gone() for lease in (snapshot.owner, snapshot.daemon))


# --- its output ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a job's log.

    Attributes:
        text: as the store has it, one line of JSON.
        data: what that says (see `jobrecords`).
    """

    text: str
    data: dict[str, Any]


@dataclass(slots=True)
class LogReader:
    """Reads the newest records of jobs' logs, which the store keeps, and those that follow on them.

    Attributes:
        jobs: whose.
        attempt: of the one attempt that is meant; None for all.
    """

    client: Client
    session_id: str
    jobs: Sequence[TuningJob]
    attempt: int | None = None
    _positions: dict[str, str] = field(default_factory=dict)

    def backlog(self, tail: int | None) -> list[LogRecord]:
        """Return the records that are there, all or the last `tail` of them, in the order of their times."""
        names = [self.client.keys.log(self.session_id, job.job_id) for job in self.jobs]
        # One attempt's records may be anywhere among the newest, so that they cannot be counted off beforehand.
        few = ("COUNT", tail) if tail and self.attempt is None else ()
        replies = self.client.ask(*(("XREVRANGE", name, "+", "-", *few) for name in names))
        self._positions = {name: reply[0][0] if reply else "0-0" for name, reply in zip(names, replies, strict=True)}
        records = self._records(fields for reply in replies for _, fields in reversed(reply))
        return records if tail is None else records[len(records) - min(tail, len(records)) :]

    def follow(self) -> Iterator[LogRecord]:
        """Yield the records that follow on the backlog, until the session has ended and no more can follow.

        A supervisor sends a job's last output before it says that the job has ended: so what is not there when a
        session is seen to have ended will never be.

        Raises:
            NotFoundError: the session is not there any more.
        """
        events = self.client.keys.events(self.session_id)
        self._positions[events] = _newest(self.client, events)
        while True:
            ended = self.client.get_status(self.session_id).terminal
            batch = []
            for name, entry_id, fields in _read(self.client, self._positions, None if ended else _LOOK_AGAIN):
                self._positions[name] = entry_id
                if name != events:
                    batch.append(fields)
            yield from self._records(batch)
            if ended and not batch:
                return

    def _records(self, entries: Iterable[Sequence[str]]) -> list[LogRecord]:
        texts = [fields[1] for fields in entries]
        records = [LogRecord(text, json.loads(text)) for text in texts]
        chosen = [each for each in records if self.attempt is None or each.data["attempt"] == self.attempt]
        return sorted(chosen, key=lambda record: str(record.data["time"]))


def jobs_of(snapshot: SessionSnapshot, worker_id: str | None) -> list[TuningJob]:
    """Return a session's jobs, or that of one worker.

    Raises:
        NotFoundError: there is no such worker, or no job at all.
    """
    if not snapshot.jobs:  # its removal was begun and did not finish
        name = snapshot.session_id
        raise NotFoundError(f"session {name} has no jobs any more: `orch rm {name}` removes what is left of it")
    found = [job for job in snapshot.jobs if worker_id in (None, job.worker_id)]
    if not found:
        names = f"{snapshot.jobs[0].worker_id} to {snapshot.jobs[-1].worker_id}"
        raise NotFoundError(f"session {snapshot.session_id} has no {worker_id}; it has {names}")
    return found


def _newest(client: Client, stream: str) -> str:
    (entries,) = client.ask(("XREVRANGE", stream, "+", "-", "COUNT", 1))
    return str(entries[0][0]) if entries else "0-0"


def _read(
    client: Client, positions: dict[str, str], patience: timedelta | None
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield (stream, entry id, fields) of what follows on some positions; wait for the first, or do not."""
    block = () if patience is None else ("BLOCK", max(round(patience.total_seconds() * 1000), 1))
    (answer,) = client.ask(("XREAD", "COUNT", _COUNT, *block, "STREAMS", *positions, *positions.values()))
    for name, entries in answer or []:
        for entry_id, fields in entries:
            yield name, entry_id, fields


def exit_code(status: Status) -> int:
    """Return what `wait` says of an end: 0 for SUCCESS, 1 for any other."""
    return 0 if status is Status.SUCCESS else 1
