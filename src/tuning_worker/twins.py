"""`on_duplicate: reuse`: of all iterations with the same point one evaluates it, and the others take what came of it.

Which one it is, the claim of the point says. The others wait for it; when it gives no result (it FAILED, was PRUNED,
or its worker is gone), one of them takes the claim over. Whoever is waited for is at its evaluation, and waits for
nobody, so no two can wait for each other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.iteration import IterationStatus
from orchestrator.store import calls
from tuning_worker.evaluation.evaluator import Evaluation
from tuning_worker.records.texts import named, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.store.calls import Place
    from tuning_worker.feed import Feed
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.records.records import Records


@dataclass(frozen=True, slots=True)
class Twins:
    """The iterations of a session with the same point as one of this worker's.

    Attributes:
        stopping: asked while one is waited for.
    """

    records: Records
    feed: Feed
    stopping: Callable[[], bool]

    def has_result(self, g: int) -> bool:
        """Whether there is something to be reused of whichever worker's iteration g."""
        return self._record(g).get("status") == IterationStatus.SUCCESS

    def wait(self, params: Params, place: Place) -> bool:
        """Wait while another iteration evaluates the same point.

        Args:
            params: with which the iteration has begun.
            place: of the iteration.

        Returns:
            False where `stopping` said so before.
        """
        keys = self.records.store.keys
        point = self.records.space.point_key(params)
        while (holder := self._holder(point)) != place.g:
            self.feed.refresh()  # before the question: a result that comes after it is waited for
            other = place if holder is None else self.records.place_of(holder)
            answer = self.records.store.do(calls.claim(keys, place, point, other))
            if answer in ("own", "succeeded"):
                break
            if self.stopping():
                return False
            if answer == "under_way":
                self.feed.wait_for_news()
        return True

    def find(self, params: Params, g: int) -> Evaluation | None:
        """Return what came of the same point in another iteration, as g's outcome; None where g is to evaluate it."""
        holder = self._holder(self.records.space.point_key(params))
        if holder is None or holder == g:
            return None
        record = self._record(holder)
        daily, capital, intermediate = (record.get(name) for name in ("daily", "capital", "intermediate"))
        return Evaluation(
            status="SUCCESS",
            value=float(record["value"]),
            metrics={name: number_of(text) for name, text in named(record, "metrics_").items()},
            kind=None,
            message=None,
            detail=None,
            seconds=0.0,
            daily=json.loads(daily) if daily else None,
            capital=float(capital) if capital else None,
            intermediate=json.loads(intermediate) if intermediate else (),
            reused_from=f"{record['worker_id']}:{record['iteration']}",
        )

    def _holder(self, point: str) -> int | None:
        store = self.records.store
        holder = store.read("HGET", store.keys.points(self.records.share.session_id), point)
        return None if holder is None else int(holder)

    def _record(self, g: int) -> Mapping[str, str]:
        store = self.records.store
        record: Mapping[str, str] = store.read("HGETALL", self.records.place_of(g).key(store.keys))
        return record
