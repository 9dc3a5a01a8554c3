"""How a verb evaluates: as a worker does, in a child process, with the session's objective and limits."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.session import restore_session
from tuning_worker.evaluation.evaluator import Evaluation, Evaluator, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tuning_worker.objectives.protocol import ObjectiveSpec
    from tuning_worker.review.recorded import RecordedSession, Trial


@contextmanager
def evaluating(
    session: RecordedSession, objective: ObjectiveSpec, *, to_the_end: bool = False
) -> Iterator[Callable[[Trial], Evaluation]]:
    """Yield what evaluates an iteration again, with the seed and the identity that it had, and its bars or none.

    What the objective prints goes to stderr: stdout is the answer's.
    """
    spec = restore_session(session.fields["spec"])
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        base = Path(spec.config_path).resolve().parent
        section = objective.model_dump(mode="json")
        with Evaluator(section, base, timeout=spec.iteration_timeout) as evaluator:

            def evaluate(trial: Trial) -> Evaluation:
                seed = int(session.fields["seed"])
                identity = Identity(session.session_id, trial.worker_id, trial.iteration, trial.g, seed)
                return evaluator.evaluate(trial.params, identity, () if to_the_end else trial.bars)

            yield evaluate
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
