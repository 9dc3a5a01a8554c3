"""Evaluates suggestions in a child process, so that whatever the user's code does is the end of one iteration at most.

One child serves a worker's iterations one after the other. A crash, `os._exit`, the kernel's out-of-memory killer or
a hang ends the child; the iteration is FAILED with that reason, and the next one gets a new child.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from tuning_worker.evaluation.process import BadReply, ChildEnded, EvaluationProcess, Interrupted, TimeIsUp
from tuning_worker.objectives.protocol import EvaluationFailed
from tuning_worker.processes import died

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tuning_worker.objectives.protocol import Metrics, Params
    from tuning_worker.pruner import Bars

_START_LIMIT: Final = timedelta(seconds=60)
"""What a start may take at least, where there is a timeout: the user's imports, and compiled code's first time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which iteration it is. The objective finds it in its environment.

    Attributes:
        session_id: `ORCH_SESSION_ID`.
        worker_id: `ORCH_WORKER_ID`.
        iteration: 1-based, of the worker: `ORCH_ITERATION`.
        g: 0-based, of the session: `ORCH_GLOBAL_INDEX`.
        seed: for an objective that draws numbers: `ORCH_SEED`.
    """

    session_id: str
    worker_id: str
    iteration: int
    g: int
    seed: int

    def environment(self) -> dict[str, str]:
        """Return the variables that say so."""
        return {
            "ORCH_SESSION_ID": self.session_id,
            "ORCH_WORKER_ID": self.worker_id,
            "ORCH_ITERATION": str(self.iteration),
            "ORCH_GLOBAL_INDEX": str(self.g),
            "ORCH_SEED": str(self.seed),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of one iteration.

    Attributes:
        status: SUCCESS exactly where there is a value.
        value: the objective's own metric: finite, None where it is no SUCCESS.
        metrics: everything measured, the objective's own among it. Finite numbers, None where undefined.
        kind: why it is FAILED, to count by; see `EvaluationFailed`.
        message: why it is FAILED or PRUNED, as a sentence.
        detail: a traceback or the last output, at most 16 KiB.
        seconds: how long the evaluation took, without the start of the child.
        daily: as `Measurement` has it; None where it is no SUCCESS.
        capital: as `Measurement` has it; None where it is no SUCCESS.
        intermediate: the objective's own metric after each fold that came before a result, None where undefined; empty
            where FAILED.
        reused_from: the worker and iteration whose record this is (`worker-1:7`), where nothing was evaluated.
    """

    status: Literal["SUCCESS", "FAILED", "PRUNED"]
    value: float | None
    metrics: Metrics
    kind: str | None
    message: str | None
    detail: str | None
    seconds: float
    daily: Mapping[str, float] | None = None
    capital: float | None = None
    intermediate: Sequence[float | None] = ()
    reused_from: str = ""

    @property
    def reason(self) -> str:
        """Why it is no SUCCESS, as records and logs have it; empty where it is one."""
        return f"{self.kind}: {self.message}" if self.kind else self.message or ""


class Abandoned(Exception):  # noqa: N818 - a decision of the worker's, no error
    """`Evaluator.abandon` was called: the iteration has no outcome and is not recorded."""


class Evaluator:
    """Evaluates one suggestion after the other, in a child process that it owns. A context manager."""

    def __init__(
        self,
        objective_spec: Mapping[str, Any],
        base: Path,
        *,
        timeout: timedelta | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            objective_spec: a tuning config's `objective`, as JSON.
            base: the folder of the tuning config.
            timeout: how long one evaluation may take. A child's start, with the user's imports, may take as long on
                top, and at least a minute.
            env: variables for the objective, on top of the worker's environment.
        """
        self._first = {"spec": dict(objective_spec), "base": str(base.absolute())}
        self._timeout = timeout
        self._env = dict(env or {})
        self._child: EvaluationProcess | None = None
        self._abandoned = False
        self._wake = os.eventfd(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child, None where there is none."""
        return None if self._child is None else self._child.pid

    def evaluate(self, params: Params, identity: Identity, bars: Bars = ()) -> Evaluation:
        """Evaluate one suggestion. Whatever the objective does is an `Evaluation`.

        Args:
            params: the suggestion.
            identity: whose.
            bars: what its running value must reach to go on.

        Raises:
            Abandoned: `abandon` was called, before or meanwhile. All processes of the objective are gone.
            OSError: no process can be started.
        """
        if self._abandoned:
            raise Abandoned
        started = time.perf_counter()
        try:
            child = self._ready_child()
            started = time.perf_counter()
            request = {"params": dict(params), "environment": identity.environment(), "bars": list(bars)}
            answer = self._ask(child, request, self._timeout)
            try:
                return Evaluation(**answer)
            except TypeError:  # the objective has answered in the child's place, and goes on
                self._child = None
                child.kill()
                raise _failure(BadReply(), None) from None
        except EvaluationFailed as failure:
            seconds = time.perf_counter() - started
            return Evaluation("FAILED", None, failure.metrics, failure.kind, failure.message, failure.detail, seconds)

    def abandon(self) -> None:
        """Make `evaluate` kill what it runs and raise `Abandoned`, now and ever after. For signal handlers too."""
        self._abandoned = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End the child and all that it started. An idle one may end by itself, within two seconds."""
        child, self._child = self._child, None
        if child is not None:
            child.end()
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    def _ready_child(self) -> EvaluationProcess:
        if self._child is not None and not self._child.alive():
            self._child.kill()
            self._child = None
        if self._child is None:
            child = EvaluationProcess({**os.environ, **self._env}, self._wake)
            self._child = child
            limit = None if self._timeout is None else max(self._timeout, _START_LIMIT)
            answer = self._ask(child, self._first, limit)
            if answer:
                self._child = None
                child.end()
                raise EvaluationFailed(answer["kind"], answer["message"], answer["detail"])
        return self._child

    def _ask(self, child: EvaluationProcess, request: Mapping[str, Any], limit: timedelta | None) -> dict[str, Any]:
        try:
            return child.ask(request, limit)
        except (Interrupted, ChildEnded, TimeIsUp, BadReply) as outcome:
            self._child = None  # it is gone
            raise _failure(outcome, limit) from None


def _failure(outcome: Interrupted | ChildEnded | TimeIsUp | BadReply, limit: timedelta | None) -> Exception:
    if isinstance(outcome, Interrupted):
        return Abandoned()
    if isinstance(outcome, ChildEnded):
        kind, how = died(outcome.returncode)
        return EvaluationFailed(kind, f"the process that evaluated it {how}", outcome.where)
    if isinstance(outcome, TimeIsUp):
        seconds = limit.total_seconds() if limit else 0
        return EvaluationFailed("timeout", f"there was no result after {seconds:g} s", outcome.where)
    return EvaluationFailed("bad_output", "the objective used a file descriptor that is not its own")
