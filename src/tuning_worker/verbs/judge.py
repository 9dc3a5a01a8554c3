"""`tuning-worker judge`: how far a session's best can be trusted; `orch judge` feeds it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tuning_worker.review.judging import judge
from tuning_worker.review.recorded import read_lines
from tuning_worker.verbs.opening import answer

if TYPE_CHECKING:
    import argparse

ABOUT = "Tell how far the best of a session, which `orch judge` gives on stdin, can be trusted; the answer is JSON."


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(_: argparse.Namespace) -> int:
    """Write the judgement; return the exit code."""
    session = read_lines(sys.stdin)
    session.config  # noqa: B018 - a session that records nothing is an error here, and a remark in a report
    best = session.best
    return answer(
        {
            "session_id": session.session_id,
            "metric": session.metric,
            "direction": session.direction,
            "objectives": dict(session.objectives),
            "currency": session.currency or None,
            "best": best
            and {"g": best.g, "worker_id": best.worker_id, "iteration": best.iteration, "value": best.value},
            **judge(session).as_json(),
        }
    )
