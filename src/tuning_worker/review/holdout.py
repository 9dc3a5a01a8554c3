"""What a session's best earn on the held-out days: scored once, recorded, and every look counted.

The held-out days are a test as long as nothing is chosen by them. Whoever looks, goes back, and looks again, chooses by
them; so a point is scored once, its result is kept, and how often somebody looked stands beside it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.clock import iso
from orchestrator.domain.job import Status
from orchestrator.errors import StateError
from orchestrator.store import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.days import Split
    from tuning_worker.evaluation.evaluator import Evaluation
    from tuning_worker.review.recorded import RecordedSession, Trial

_COUNTS = ("looks", "held_out")


@dataclass(frozen=True, slots=True)
class Holdout:
    """What is known of a session's held-out days.

    Attributes:
        looks: how often points of this session were scored on them.
        all_looks: how often one of these days of this data was, at most, by whatever session of the env.
        all_points: how many points were in all of these looks: who takes the best of many has compared as many.
        results: by point.
    """

    looks: int
    all_looks: int
    all_points: int
    results: Mapping[str, Mapping[str, Any]]


def held_out_days(session: RecordedSession) -> Split:
    """Return how the days of a session that may be looked at are split.

    Raises:
        StateError: it has not ended, or holds no days out.
    """
    split, status = session.split, Status(session.fields["status"])
    if split is None or not split.holdout:
        raise StateError(
            f"session {session.session_id} holds no days out: give its tuning config a section `evaluation`"
        )
    if not status.terminal:
        raise StateError(f"session {session.session_id} is {status}: the holdout is for when the search is over")
    return split


def read_holdout(store: BlockingStore, session: RecordedSession) -> Holdout:
    """Read what was scored so far."""
    keys, days = store.keys, days_looked_at(session)
    raw, *counts = store.read_all(
        [("HGETALL", keys.holdout(session.session_id)), ("HMGET", keys.looks, *days), ("HMGET", keys.scored, *days)]
    )
    results = {name: _read(text) for name, text in raw.items() if name not in _COUNTS}
    all_looks, all_points = (max(int(count or 0) for count in each) for each in counts)
    return Holdout(int(raw.get("looks", 0)), all_looks, all_points, results)


def look(
    store: BlockingStore,
    session: RecordedSession,
    trials: Sequence[Trial],
    evaluate: Callable[[Trial], Evaluation],
    clock: Callable[[], datetime],
) -> Holdout:
    """Score points on the held-out days, those that were not scored before; record that, then return all there is.

    Raises:
        StateError: one cannot be evaluated; then nothing is recorded, and nothing is told.
    """
    known = read_holdout(store, session)
    fresh = [trial for trial in trials if trial.point not in known.results]
    if not fresh:
        return known
    results = {trial.point: _result(trial, evaluate(trial), clock()) for trial in fresh}
    store.do(calls.look(store.keys, session.session_id, days_looked_at(session), results))
    return read_holdout(store, session)


def days_looked_at(session: RecordedSession) -> list[str]:
    """Return the names of the held-out days by which looks are counted: by each file of the data, its path and content.

    So a look counts for whoever shares one of the days: in a split that is cut elsewhere, with data that were saved
    again, moved or copied, or beside another file. The rate alone is shared by other markets, and left out.
    """
    section = session.config.objective.model_dump(mode="json")
    data = section.get("data")
    files = [text for name, text in data.items() if not name.startswith("fx")] if isinstance(data, dict) else [data]
    days = () if session.split is None else session.split.holdout
    return [
        f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {day}"
        for text in sorted({text for text in (*files, section.get("data_sha256")) if text})
        for day in days
    ]


def _result(trial: Trial, outcome: Evaluation, now: datetime) -> str:
    # The objective's own metric may be undefined there (no trade, no Sharpe ratio): that is a result too.
    if outcome.kind is not None and not outcome.metrics:
        raise StateError(f"iteration {trial.iteration} of {trial.worker_id}: {outcome.kind}: {outcome.message}")
    return json.dumps(
        {
            "g": trial.g,
            "worker_id": trial.worker_id,
            "iteration": trial.iteration,
            "params": dict(trial.params),
            "tuned_value": trial.value,
            "value": outcome.value,
            "metrics": outcome.metrics,
            "daily": outcome.daily and dict(outcome.daily),
            "capital": outcome.capital,
            "time": iso(now),
        }
    )


def _read(text: str) -> dict[str, Any]:
    look_number, _, result = text.partition(" ")
    return {**json.loads(result), "look": int(look_number)}
