"""What a worker knows of its session: the results as they come in, whoever recorded them, and what is under way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.job import Status
from orchestrator.domain.plan import worker_name
from orchestrator.errors import UsageError
from tuning_worker.optimizers.protocol import Result
from tuning_worker.pruner import Course

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.space.search_space import SearchSpace

_GLANCE: Final = timedelta(milliseconds=500)
"""How long a wait for news may keep a worker from hearing that it is to stop."""


@dataclass(slots=True)
class Feed:
    """The results of a session.

    Attributes:
        metrics: the names of the objectives: the values of a result, where there are several.
        prior: results of an earlier session, which stand before its own: their g are negative.
        by_g: its own, each iteration once.
        courses: how those of its own went that were evaluated fold by fold.
    """

    store: BlockingStore
    session_id: str
    worker_id: str
    metrics: Sequence[str] = ()
    prior: list[Result] = field(default_factory=list)
    by_g: dict[int, Result] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    _last: str = "0-0"
    _known_below: int = 0

    @property
    def results(self) -> list[Result]:
        """What is known, each iteration once."""
        return [*self.prior, *self.by_g.values()]

    def begin_with(self, space: SearchSpace) -> int:
        """Take in what an earlier session knew when this one was submitted; return how many results do not fit."""
        entries = self.store.read("XRANGE", self.store.keys.prior(self.session_id), "-", "+")
        told = [json.loads(fields["result"]) for _, fields in entries]
        fitting = [
            result for result in sorted(told, key=lambda each: int(each["g"])) if _fits(result, space, self.metrics)
        ]
        for place, result in enumerate(fitting, start=-len(fitting)):
            succeeded = result["status"] == IterationStatus.SUCCESS
            value = None if not succeeded else result["metrics"][self.metrics[0]]
            self.prior.append(self._result({**result, "g": place, "value": value}))
        return len(told) - len(fitting)

    def refresh(self) -> dict[int, Params]:
        """Take in what has been recorded since; return the candidates of the other workers, by g."""
        keys = self.store.keys
        entries, candidates = self.store.read_all(
            [
                ("XRANGE", keys.results(self.session_id), f"({self._last}", "+"),
                ("HGETALL", keys.candidates(self.session_id)),
            ]
        )
        for entry_id, fields in entries:
            self._last = entry_id
            result = json.loads(fields["result"])
            self.by_g[result["g"]] = self._result(result)  # a retry's comes later
            if values := result.get("intermediate"):
                self.courses[result["g"]] = Course(values, result["status"] == IterationStatus.PRUNED)
        pending = {worker: json.loads(text) for worker, text in candidates.items() if worker != self.worker_id}
        return {candidate["g"]: candidate["params"] for candidate in pending.values()}

    def wait_for_rounds(self, first: int, workers: int, stopping: Callable[[], bool]) -> bool:
        """Wait until every iteration below g = `first` is recorded, but for those of a share that has ended.

        Returns:
            False where `stopping` said so before.
        """
        jobs = self._jobs() if first else {}
        while True:
            over = self._over(jobs)  # before the results: what a share has recorded, it recorded before its end
            self.refresh()
            while self._known_below in self.by_g:
                self._known_below += 1
            missing = (g for g in range(self._known_below, first) if g not in self.by_g)
            if all(worker_name(g % workers + 1) in over for g in missing):
                return True
            if stopping():
                return False
            self.wait_for_news()

    def wait_for_news(self) -> None:
        """Wait for a result that was not taken in yet, or a change of a job; for a moment at most."""
        keys = self.store.keys
        streams = (keys.results(self.session_id), keys.events(self.session_id), self._last, "$")
        self.store.read("XREAD", "BLOCK", round(_GLANCE / timedelta(milliseconds=1)), "STREAMS", *streams)

    def _jobs(self) -> dict[str, str]:
        """Return the key of each worker's job."""
        keys = self.store.keys
        found = [
            keys.job(self.session_id, each) for each in self.store.read("LRANGE", keys.jobs(self.session_id), 0, -1)
        ]
        return dict(zip(self.store.read_all([("HGET", key, "worker_id") for key in found]), found, strict=True))

    def _over(self, jobs: Mapping[str, str]) -> set[str]:
        """Return the workers whose share has ended."""
        statuses = self.store.read_all([("HGET", key, "status") for key in jobs.values()])
        return {worker for worker, status in zip(jobs, statuses, strict=True) if Status(status).terminal}

    def _result(self, told: Mapping[str, Any]) -> Result:
        several = len(self.metrics) > 1 and told["value"] is not None
        values = tuple(float(told["metrics"][name]) for name in self.metrics) if several else None
        return Result(told["g"], told["params"], told["value"], values)


def _fits(result: Mapping[str, Any], space: SearchSpace, metrics: Iterable[str]) -> bool:
    """Whether a result says something about a search of this space for these metrics."""
    try:
        space.validate_point(result["params"])
    except UsageError:
        return False
    has_all = all(result["metrics"].get(name) is not None for name in metrics)
    return has_all or result["status"] != IterationStatus.SUCCESS
