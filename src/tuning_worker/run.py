"""The worker's loop: claim, suggest, store, evaluate, write the row, commit; begun where the last attempt stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.outcome import WorkerExit
from orchestrator.store import calls
from orchestrator.store.calls import Beginning, Begun, Enough, Taken
from tuning_worker.candidates import Candidates
from tuning_worker.config import recall_tuning_config
from tuning_worker.evaluation.evaluator import Evaluator, Identity
from tuning_worker.feed import Feed
from tuning_worker.optimizers import Optimizer, make_optimizer
from tuning_worker.optimizers.rounds import round_start
from tuning_worker.pruner import make_bars, read_bars
from tuning_worker.records.csvfile import IterationCsv
from tuning_worker.records.reconciling import reconcile
from tuning_worker.records.records import Records
from tuning_worker.twins import Twins

if TYPE_CHECKING:
    from orchestrator.clock import Clock
    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.config import TuningConfig
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.pruner import Bars, Direction, Pruner
    from tuning_worker.share import Share
    from tuning_worker.space.search_space import SearchSpace

_BROKEN_AFTER = 5  # failures of one kind at the very start that show the objective to be broken
_ROOM = timedelta(seconds=1)
"""How long to wait before a full disk is tried again."""

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
    candidates: Candidates = field(init=False)
    twins: Twins | None = field(init=False)
    pruner: Pruner | None = field(init=False)
    direction: Direction = field(init=False)
    records: Records = field(init=False)
    kinds: list[str] = field(default_factory=list)

    def run(self) -> WorkerExit:
        """Work through the share; return how it ended.

        Raises:
            OrchError: it cannot go on; what is recorded stays.
        """
        share = self.share
        config = recall_tuning_config(share.tuning, share.session_id)
        csv = self._prepare(config)
        stored = reconcile(self.records)
        self.kinds = [_kind(record.get("kind")) for _, record in sorted(stored.items())[:_BROKEN_AFTER]]
        self.say("worker.started", attempt=share.attempt, iterations=share.iterations, recorded=len(stored))
        objective = config.objective.model_dump(mode="json")
        with csv, Evaluator(objective, share.base, timeout=share.spec.iteration_timeout) as evaluator:
            return self._work(evaluator, set(stored))

    def _prepare(self, config: TuningConfig) -> IterationCsv:
        """Make what the iterations need; return the CSV, open."""
        share = self.share
        self.space = config.space
        self.optimizer = make_optimizer(
            share.optimizer,
            self.space,
            seed=share.seed,
            direction=tuple(config.objective.objectives.values()),
            grid_points=config.grid_points,
            total=share.total,
        )
        reuses = config.on_duplicate == "reuse"
        self.pruner, self.direction = config.pruner, config.objective.direction
        self.feed = Feed(self.store, share.session_id, share.worker_id, tuple(config.objective.objectives))
        self.candidates = Candidates(
            optimizer=self.optimizer,
            space=self.space,
            seed=share.seed,
            workers=share.workers,
            batch=self._batch,
            claims=reuses,
            enqueued=[self.space.validate_point(self.space.complete(params)) for params in config.enqueue],
            feed=self.feed,
            claimed=lambda: set(self.store.read("HKEYS", self.store.keys.points(share.session_id))),
            on_repeat=lambda g: self.say("iteration.repeats_point", g=g),
        )
        if share.spec.resume_from and self.optimizer.learns:
            left_out = self.feed.begin_with(self.space)
            known = len(self.feed.prior)
            self.say("worker.resumes_from", session=share.spec.resume_from, results=known, left_out=left_out)
        csv = IterationCsv(share.output_csv, share.session_id, share.worker_id, list(self.space.dimensions))
        self.records = Records(self.store, csv, share, self.space, self.clock)
        self.twins = Twins(self.records, self.feed, self.stopping) if reuses else None
        return csv

    def _work(self, evaluator: Evaluator, recorded: set[int]) -> WorkerExit:
        for iteration in range(1, self.share.iterations + 1):
            if iteration in recorded:
                continue
            if self._broken():
                return WorkerExit.BROKEN
            if not self._ready(iteration):
                return self._stopped(iteration)
            match self._begin(iteration):
                case Begun(params, bars):
                    if not self._evaluate(evaluator, iteration, json.loads(params), read_bars(bars)):
                        return self._stopped(iteration)
                case Enough(failures):
                    self._give_up(f"max_failures: {failures} iterations of the session have failed")
                    return WorkerExit.BROKEN
                case _:  # recorded by an attempt that was thought to be over
                    continue
        self._settle()
        self._broken()
        self.records.finish()
        self.say("worker.finished", iterations=self.share.iterations)
        return WorkerExit.DONE

    def _stopped(self, iteration: int) -> WorkerExit:
        self.say("worker.stopped", next_iteration=iteration)
        return WorkerExit.STOPPED

    @property
    def _batch(self) -> bool:
        return self.share.spec.schedule == "batch"

    def _ready(self, iteration: int) -> bool:
        """Wait for what an iteration needs before it begins: room on the disk, and in a batch the rounds before it.

        Returns:
            False where the worker is told to stop instead.
        """
        share = self.share
        if self.stopping() or not self._settle():
            return False
        if not self._batch or not (self.optimizer.learns or self.pruner):
            return True
        first = round_start(self.records.place(iteration).g, share.workers)
        return self.feed.wait_for_rounds(first, share.workers, self.stopping)

    def _settle(self) -> bool:
        """Wait until the CSV has what it owes, as there was no room for it; False where told to stop."""
        why = self.records.settle()
        if why:
            self.say("csv.no_room", error=why)
        while why and not self.stopping():
            time.sleep(_ROOM.total_seconds())
            why = self.records.settle()
        return not why

    def _begin(self, iteration: int) -> Beginning:
        """Settle on an iteration's parameters and bars, and store them."""
        g = self.records.place(iteration).g
        bars = self._bars(g)
        for params, point in self.candidates.of(g):
            answer = self.records.begin(iteration, params, point, bars)
            if isinstance(answer, Taken) and self.twins and self.twins.has_result(answer.g):
                answer = self.records.begin(iteration, params, "", bars)
            if not isinstance(answer, Taken):
                return answer
        raise AssertionError("the last candidate claims nothing, so it cannot be taken")

    def _bars(self, g: int) -> str:
        """Return what an iteration must reach to go on, by what is known now: in a batch, of the rounds before it."""
        if self.pruner is None:
            return ""
        if not self._batch:
            self.feed.refresh()  # a grid, say, has not looked at results for its candidate
        first = round_start(g, self.share.workers) if self._batch else self.share.total
        known = (course for each, course in self.feed.courses.items() if each < first)
        return json.dumps(make_bars(known, self.direction, self.pruner))

    def _evaluate(self, evaluator: Evaluator, iteration: int, params: Params, bars: Bars) -> bool:
        """Evaluate and record an iteration; False where told to stop while another one evaluates the same."""
        place = self.records.place(iteration)
        self.say("iteration.started", iteration=iteration, g=place.g, params=dict(params))
        identity = Identity(place.session_id, place.worker_id, iteration, place.g, self.share.seed)
        if self.twins and not self.twins.wait(params, place):
            return False
        twin = self.twins.find(params, place.g) if self.twins else None
        outcome = self.records.record(iteration, params, twin or evaluator.evaluate(params, identity, bars))
        if len(self.kinds) < _BROKEN_AFTER:
            self.kinds.append(_kind(outcome.kind))
        self.say(
            "iteration.recorded",
            iteration=iteration,
            g=place.g,
            status=outcome.status,
            value=outcome.value,
            reason=outcome.reason,
        )
        return True

    def _broken(self) -> bool:
        """Whether the first iterations all failed in one and the same way; if so, that becomes the job's verdict."""
        if len(self.kinds) < _BROKEN_AFTER or not self.kinds[0] or len(set(self.kinds)) > 1:
            return False
        self._give_up(f"objective broken: the first {_BROKEN_AFTER} iterations all failed with {self.kinds[0]}")
        return True

    def _give_up(self, verdict: str) -> None:
        set_verdict(self.store, self.share, verdict)
        self.say("worker.gave_up", reason=verdict)


def set_verdict(store: BlockingStore, share: Share, verdict: str) -> None:
    """Tell the supervisor why this job ends as it does."""
    store.do(calls.note(store.keys, share.session_id, share.job_id, share.token, {"verdict": verdict}))


def _kind(kind: str | None) -> str:
    """Return how an iteration failed, if it did and that was the objective's doing."""
    return "" if kind in (None, "disk_full") else kind
