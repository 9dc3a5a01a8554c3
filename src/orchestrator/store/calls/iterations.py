"""An iteration begins, and is recorded: once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from orchestrator.clock import iso
from orchestrator.domain.job import to_hash
from orchestrator.store.calls.call import Call, checked_by_job, dumps, script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from orchestrator.domain.iteration import IterationStatus
    from orchestrator.store.keys import Keys


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
    """The iteration may be evaluated: with what was given, or what was stored before a crash.

    Attributes:
        params: JSON.
        bars: JSON, as they were given; empty where none were.
    """

    params: str
    bars: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """Another iteration has claimed the same point."""

    g: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """The iteration is recorded already."""


@dataclass(frozen=True, slots=True)
class Enough:
    """The session has as many FAILED iterations as it may have: nothing more begins."""

    failures: int


Beginning: TypeAlias = Begun | Taken | Recorded | Enough
Claim: TypeAlias = Literal["own", "under_way", "succeeded", "moved"]


def begin(
    keys: Keys,
    place: Place,
    params: Mapping[str, object],
    point: str,
    fields: Mapping[str, object],
    max_failures: int | None = None,
    bars: str = "",
) -> Call[Beginning]:
    """Store an iteration's parameters before they are evaluated, and claim their `point` unless that is empty.

    Args:
        keys: of the env.
        place: of the iteration.
        params: what is to be evaluated, unless others are stored already.
        point: the text by which it is claimed, or nothing.
        fields: of the record.
        max_failures: how many FAILED iterations the session may have.
        bars: what its running value must reach to go on (JSON), or nothing.

    Raises (when read):
        FencedError: another attempt runs, or none.
    """
    given = dumps(params)

    def read(rest: list[Any]) -> Beginning:
        match rest:
            case ["stored", stored, known_bars]:
                return Begun(stored, known_bars)
            case ["taken", g]:
                return Taken(int(g))
            case ["recorded"]:
                return Recorded()
            case ["enough", failures]:
                return Enough(int(failures))
            case _:
                return Begun(given, bars)

    return Call(
        script("begin"),
        (
            keys.job(place.session_id, place.job_id),
            place.key(keys),
            keys.candidates(place.session_id),
            keys.points(place.session_id),
            keys.session(place.session_id),
        ),
        (
            str(place.token),
            place.worker_id,
            str(place.g),
            point,
            given,
            dumps(to_hash(fields)),
            dumps(to_hash({f"params_{name}": value for name, value in params.items()})),
            str(max_failures or ""),
            bars,
            str(place.iteration),
        ),
        checked_by_job(read, place.job_id, whole=True),
    )


def claim(keys: Keys, place: Place, point: str, holder: Place) -> Call[Claim]:
    """Ask who evaluates a point: the iteration itself, or the holder of the claim, unless nothing comes of that.

    Args:
        keys: of the env.
        place: of the iteration, which has begun with this point.
        point: the text by which it is claimed.
        holder: of the iteration that was seen to hold the claim; it may be the same.
    """
    return Call(
        script("claim"),
        (
            keys.points(place.session_id),
            keys.candidates(place.session_id),
            keys.job(holder.session_id, holder.job_id),
            holder.key(keys),
        ),
        (point, str(place.g), str(holder.g), holder.worker_id),
        lambda reply: reply[0],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is recorded of an iteration.

    Attributes:
        value: the objective's; None where it is no SUCCESS.
        fields: the fields of its hash.
        result: what the session's result stream shows of it, and what `best` keeps.
    """

    status: IterationStatus
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
            keys.failed(place.session_id),
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
        checked_by_job(lambda rest: rest == ["done"], place.job_id, whole=True),
    )
