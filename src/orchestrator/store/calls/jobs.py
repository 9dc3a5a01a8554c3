"""How who runs a session changes the status of its jobs, and what is noted of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.clock import iso
from orchestrator.domain.job import TRANSITIONS, Status, to_hash
from orchestrator.store.calls.call import Call, checked_by_job, dumps, millis, ms, script

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.steps import Step
    from orchestrator.store.keys import Keys


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

    @classmethod
    def of(cls, job: TuningJob, step: Step, *, token: int, actor: str) -> Transition:
        """Return a step of an attempt as a change by who holds the session under `token`."""
        return cls(
            session_id=job.session_id,
            job_id=job.job_id,
            token=token,
            op=f"{token}:{step.attempt}:{step.to}",
            expected=step.expected,
            to=step.to,
            actor=actor,
            fields=step.fields,
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """The change is made. `token` is the attempt's own fencing token (0 before the first)."""

    session: Status
    token: int


def transition(keys: Keys, change: Transition, now: datetime, retention: timedelta) -> Call[Moved]:
    """Change a job's status.

    Raises (when read):
        FencedError: the session has another owner.
        StateError: the job is not in the expected status, or from that one this does not follow (`TRANSITIONS`).
        NotFoundError: the job is gone.
    """
    # Decided by the script, not here: whoever has lost the session is to learn that first.
    expected = change.expected if change.to in TRANSITIONS[change.expected] else ""
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
            expected,
            change.to,
            iso(now),
            ms(now),
            change.session_id,
            change.actor,
            dumps(to_hash(change.fields)),
            millis(retention),
        ),
        checked_by_job(lambda rest: Moved(Status(rest[0]), int(rest[1] or 0)), change.job_id),
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
        checked_by_job(lambda _: None, job_id),
    )
