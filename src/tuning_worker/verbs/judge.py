"""`tuning-worker judge`: how far a session's best can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuning_worker.judging import judge
from tuning_worker.recorded import read_session
from tuning_worker.verbs.opening import add_session, answer, opened_store

if TYPE_CHECKING:
    import argparse

ABOUT = "Tell how far a session's best can be trusted; the answer is JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_session(parser)


def run(options: argparse.Namespace) -> int:
    """Write the judgement; return the exit code."""
    with opened_store() as store:
        session = read_session(store, options.session)
    best = session.best
    return answer(
        {
            "session_id": session.session_id,
            "metric": session.metric,
            "direction": session.direction,
            "best": best
            and {"g": best.g, "worker_id": best.worker_id, "iteration": best.iteration, "value": best.value},
            **judge(session).as_json(),
        }
    )
