"""The worker's loop: claim, suggest, store, evaluate, write the row, commit; begun where the last attempt stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.domain.outcome import WorkerExit
from orchestrator.store import calls
from orchestrator.store.calls import Begun, Recorded, Taken
from tuning_worker.config import load_tuning_config
from tuning_worker.csvfile import IterationCsv
from tuning_worker.evaluator import Evaluator, Identity
from tuning_worker.optimizers import Optimizer, make_optimizer, unused_point
from tuning_worker.records import Feed, Records

if TYPE_CHECKING:
    from orchestrator.clock import Clock
    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.share import Share
    from tuning_worker.space import SearchSpace

_ASKS = 8  # how often a learning optimizer is asked again when its candidate is taken, before an unused one is drawn
_BROKEN_AFTER = 5  # failures of one kind at the very start that show the objective to be broken

Say = Callable[..., None]
"""Writes one event as a JSON line, which the supervisor keeps with its fields."""


@dataclass(slots=True)
class Worker:
    """One worker at its share.

    Attributes:
        stopping: asked before each iteration; True begins nothing new.
        say: takes an event's name and its fields.
    """

    store: BlockingStore
    share: Share
    clock: Clock
    stopping: Callable[[], bool]
    say: Say
    space: SearchSpace = field(init=False)
    optimizer: Optimizer = field(init=False)
    feed: Feed = field(init=False)
    records: Records = field(init=False)
    kinds: list[str] = field(default_factory=list)

    def run(self) -> WorkerExit:
        """Work through the share; return how it ended.

        Raises:
            OrchError: it cannot go on; what is recorded stays.
        """
        share = self.share
        config = load_tuning_config(share.tuning, f"the tuning config of session {share.session_id}")
        self.space = config.space
        self.optimizer = make_optimizer(
            share.optimizer,
            self.space,
            seed=share.seed,
            direction=config.objective.direction,
            grid_points=config.grid_points,
            total=share.total,
        )
        self.feed = Feed(self.store, share.session_id, share.worker_id)
        csv = IterationCsv(share.output_csv, share.session_id, share.worker_id, list(self.space.dimensions))
        self.records = Records(self.store, csv, share, self.space, self.clock)
        stored = self.records.reconcile()
        self.kinds = [_kind(record) for _, record in sorted(stored.items())[:_BROKEN_AFTER]]
        self.say("worker.started", attempt=share.attempt, iterations=share.iterations, recorded=len(stored))
        with Evaluator(
            config.objective.model_dump(mode="json"), share.base, timeout=share.spec.iteration_timeout
        ) as evaluator:
            return self._work(evaluator, set(stored))

    def _work(self, evaluator: Evaluator, recorded: set[int]) -> WorkerExit:
        for iteration in range(1, self.share.iterations + 1):
            if iteration in recorded:
                continue
            if self._broken():
                return WorkerExit.BROKEN
            if self.stopping():
                self.say("worker.stopped", next_iteration=iteration)
                return WorkerExit.STOPPED
            params = self._begin(iteration)
            if params is not None:
                self._evaluate(evaluator, iteration, params)
        self._broken()
        self.say("worker.finished", iterations=self.share.iterations)
        return WorkerExit.DONE

    def _begin(self, iteration: int) -> Params | None:
        """Settle on an iteration's parameters and store them; None where it is recorded already."""
        g = self.records.place(iteration).g
        pending = self.feed.refresh() if self.optimizer.learns else {}
        for attempt in range(_ASKS):
            params = self.optimizer.suggest(g, self.feed.results, pending, attempt)
            answer = self.records.begin(iteration, params, self._point(params))
            if not isinstance(answer, Taken):
                return _params(answer)
        return self._begin_unused(iteration, g)

    def _begin_unused(self, iteration: int, g: int) -> Params | None:
        """Draw a point that nobody has claimed; where none is left, repeat one."""
        while True:
            used = set(self.store.read("HKEYS", self.store.keys.points(self.share.session_id)))
            params = unused_point(self.space, self.share.seed, g, used.__contains__)
            if params is None:
                repeated = self.optimizer.suggest(g, self.feed.results, {}, 0)
                self.say("iteration.repeats_point", iteration=iteration, g=g)
                return _params(self.records.begin(iteration, repeated, ""))
            answer = self.records.begin(iteration, params, self._point(params))
            if not isinstance(answer, Taken):
                return _params(answer)

    def _point(self, params: Params) -> str:
        return self.space.point_key(params) if self.optimizer.unique else ""

    def _evaluate(self, evaluator: Evaluator, iteration: int, params: Params) -> None:
        place = self.records.place(iteration)
        self.say("iteration.started", iteration=iteration, g=place.g, params=dict(params))
        identity = Identity(place.session_id, place.worker_id, iteration, place.g, self.share.seed)
        outcome = evaluator.evaluate(params, identity)
        self.records.record(iteration, params, outcome)
        if len(self.kinds) < _BROKEN_AFTER:
            self.kinds.append(outcome.kind or "")
        self.say(
            "iteration.recorded",
            iteration=iteration,
            g=place.g,
            status=outcome.status,
            value=outcome.value,
            reason=outcome.message or "",
        )

    def _broken(self) -> bool:
        """Whether the first iterations all failed in one and the same way; if so, that becomes the job's verdict."""
        if len(self.kinds) < _BROKEN_AFTER or not self.kinds[0] or len(set(self.kinds)) > 1:
            return False
        verdict = f"objective broken: the first {_BROKEN_AFTER} iterations all failed with {self.kinds[0]}"
        set_verdict(self.store, self.share, verdict)
        self.say("worker.gave_up", reason=verdict)
        return True


def set_verdict(store: BlockingStore, share: Share, verdict: str) -> None:
    """Tell the supervisor why this job ends as it does."""
    store.do(calls.note(store.keys, share.session_id, share.job_id, share.token, {"verdict": verdict}))


def _params(answer: Begun | Taken | Recorded) -> Params | None:
    return json.loads(answer.params) if isinstance(answer, Begun) else None


def _kind(record: Mapping[str, str]) -> str:
    return record.get("kind", "") if record["status"] == "FAILED" else ""
