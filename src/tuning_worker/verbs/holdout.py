"""`tuning-worker holdout`: what a session's best earn on the days that no iteration has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.clock import utc_now
from orchestrator.errors import StateError
from tuning_worker.review.holdout import Holdout, held_out_days, look, read_holdout
from tuning_worker.review.recorded import RecordedSession, Trial, read_session
from tuning_worker.verbs.evaluating import evaluating
from tuning_worker.verbs.opening import add_session, answer, opened_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tuning_worker.days import Split

ABOUT = "Score a session's best points on the held-out days; the answer is JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_session(parser)
    parser.add_argument("--top", type=int, default=1, metavar="K", help="how many of the best points")


def run(options: argparse.Namespace) -> int:
    """Look, and write what there is to see; return the exit code.

    Raises:
        StateError: there is nothing to look at, or it cannot be evaluated.
    """
    with opened_store() as store:
        session = read_session(store, options.session)
        split = held_out_days(session)
        best = session.ranked_points[: options.top]
        if not best:
            raise StateError(f"session {session.session_id} has no best: no iteration has a value")
        before = read_holdout(store, session)
        objective = session.config.objective.model_copy(update={"split": split.held_out()})
        with evaluating(session, objective, to_the_end=True) as evaluate:
            after = look(store, session, best, evaluate, utc_now)
    return answer(_document(session, best, before, after))


def _document(session: RecordedSession, best: Sequence[Trial], before: Holdout, after: Holdout) -> dict[str, Any]:
    assert session.split is not None  # noqa: S101 - or there was nothing to look at
    return {
        "session_id": session.session_id,
        "metric": session.metric,
        "direction": session.direction,
        "objectives": dict(session.objectives),
        "currency": session.currency or None,
        "tune_days": [day.isoformat() for day in session.split.tune],
        "holdout_days": [day.isoformat() for day in session.split.holdout],
        "looked": after.looks > before.looks,
        "looks": after.looks,
        "points": len(after.results),
        "all_looks": after.all_looks,
        "all_points": after.all_points,
        "results": [{**after.results[trial.point], **_seen_days(trial, session.split)} for trial in best],
    }


def _seen_days(trial: Trial, split: Split) -> dict[str, Any]:
    """Return what a point earned on each day that it was tuned on, and on each that it was only validated on."""
    daily = trial.daily
    parts = {"tuned_daily": split.tune, "validation_daily": split.validation}
    return {name: daily and {str(day): daily[str(day)] for day in days} for name, days in parts.items()}
