"""`tuning-worker replay`: a recorded iteration, evaluated again from what the session kept."""

from __future__ import annotations

import argparse
import json
import socket
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NotFoundError, StateError, UsageError
from tuning_worker.records.reproduction import versions
from tuning_worker.review.recorded import RecordedSession, Trial, read_session
from tuning_worker.review.replaying import compare
from tuning_worker.verbs.evaluating import evaluating
from tuning_worker.verbs.opening import add_session, answer, opened_store

if TYPE_CHECKING:
    from tuning_worker.evaluation.evaluator import Evaluation

ABOUT = "Evaluate a recorded iteration again and compare; the answer is JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_session(parser)
    parser.add_argument("--iteration", required=True, type=int, metavar="N", help="of its worker, from 1")
    parser.add_argument("--worker", metavar="WORKER", help="whose, e.g. worker-1; needed where there are several")
    parser.add_argument("--tolerance", type=_tolerance, default=0.0, help="relative; 0 asks for the same bits")


def run(options: argparse.Namespace) -> int:
    """Evaluate, and write the comparison; return the exit code.

    Raises:
        NotFoundError: it is not recorded.
        UsageError: several workers have an iteration of that number.
        StateError: it cannot be evaluated.
    """
    with opened_store() as store:
        session = read_session(store, options.session)
        trial = _find(session, options.iteration, options.worker)
        with evaluating(session, session.config.objective) as evaluate:
            outcome = evaluate(trial)
    return answer(_document(session, trial, outcome, options.tolerance, _differences(session, trial)))


def _tolerance(text: str) -> float:
    tolerance = float(text)
    if not 0 <= tolerance < 1:
        raise argparse.ArgumentTypeError("must be from 0 to below 1")
    return tolerance


def _find(session: RecordedSession, iteration: int, worker: str | None) -> Trial:
    found = [trial for trial in session.trials if trial.iteration == iteration and worker in (None, trial.worker_id)]
    whose = f" of {worker}" if worker else ""
    if not found:
        raise NotFoundError(f"session {session.session_id} has no recorded iteration {iteration}{whose}")
    if len(found) > 1:
        names = ", ".join(trial.worker_id for trial in found)
        raise UsageError(f"iteration {iteration} is there of {names}: say which with --worker")
    return found[0]


def _differences(session: RecordedSession, trial: Trial) -> list[dict[str, str]]:
    """Return what is not as it was when the iteration was recorded, besides its data, which must be the same."""
    kept = json.loads(session.fields.get("reproduction") or "{}").get("versions", {})
    then = {**kept, **json.loads(trial.others.get("versions") or "{}"), "host": trial.others.get("host") or ""}
    now = {**versions(), "host": socket.gethostname()}
    return [
        {"name": name, "recorded": then.get(name, ""), "here": now.get(name, "")}
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]


def _document(
    session: RecordedSession, trial: Trial, outcome: Evaluation, tolerance: float, differences: list[dict[str, str]]
) -> dict[str, Any]:
    # What keeps it from being evaluated at all (its data are gone, or others now) is no difference of its results.
    if outcome.kind is not None and trial.status == "SUCCESS" and not outcome.metrics:
        raise StateError(f"it cannot be evaluated again: {outcome.kind}: {outcome.message}")
    figures = compare(trial, outcome, tolerance)
    return {
        "session_id": session.session_id,
        "g": trial.g,
        "worker_id": trial.worker_id,
        "iteration": trial.iteration,
        "params": dict(trial.params),
        "tolerance": tolerance,
        "same": all(figure.same for figure in figures),
        "figures": [asdict(figure) for figure in figures],
        "reason": outcome.message,
        "differences": differences,
    }
