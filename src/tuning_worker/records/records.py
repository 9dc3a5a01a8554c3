"""What a worker records: each iteration once, in the CSV first and then in the store."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.plan import global_index, worker_name
from orchestrator.store import calls
from orchestrator.store.calls import Place
from tuning_worker.records.csvfile import DiskFullError
from tuning_worker.records.reproduction import differing
from tuning_worker.records.texts import flat, row_of, text_of, written
from tuning_worker.records.unrecordable import within_columns, without_room

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.clock import Clock
    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.evaluation.evaluator import Evaluation
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.records.csvfile import IterationCsv
    from tuning_worker.share import Share
    from tuning_worker.space.search_space import SearchSpace


class Records:
    """The records of one worker.

    Args:
        store: where they are committed.
        csv: where each is written first.
        share: whose they are.
    """

    def __init__(self, store: BlockingStore, csv: IterationCsv, share: Share, space: SearchSpace, clock: Clock) -> None:
        self.store = store
        self.csv = csv
        self.share = share
        self.space = space
        self._clock = clock

    def place(self, iteration: int) -> Place:
        """Return where an iteration of this worker stands."""
        share = self.share
        return Place(
            session_id=share.session_id,
            job_id=share.job_id,
            worker_id=share.worker_id,
            mode=share.mode,
            token=share.token,
            iteration=iteration,
            g=global_index(share.worker_number, iteration, share.workers),
        )

    def place_of(self, g: int) -> Place:
        """Return where the iteration g of the session stands, whose ever it is."""
        share = self.share
        worker = worker_name(g % share.workers + 1) if share.workers > 1 else share.worker_id
        job_id = self.store.read("LINDEX", self.store.keys.jobs(share.session_id), g % share.workers)
        return replace(self.place(g // share.workers + 1), worker_id=worker, job_id=job_id, g=g)

    def begin(self, iteration: int, params: Params, point: str, bars: str = "") -> calls.Beginning:
        """Store an iteration's parameters, and its bars where there is a pruner, before it is evaluated."""
        place = self.place(iteration)
        fields = {**self.identity(place), **self.origin(), "started_at": self._clock()}
        limit = self.share.spec.max_failures
        return self.store.do(calls.begin(self.store.keys, place, dict(params), point, fields, limit, bars))

    def record(self, iteration: int, params: Params, outcome: Evaluation) -> Evaluation:
        """Record an iteration: its row on the disk first, then its commit.

        Returns:
            What is recorded: a failure where there are too many metrics, or no room on the disk: its row is owed then.

        Raises:
            StateError: the CSV cannot be written; nothing is recorded.
            FencedError: another attempt of this job runs.
        """
        outcome = within_columns(outcome, self.csv.metrics)
        fields = self._fields(iteration, outcome)
        row = self._row(fields, params, outcome)
        try:
            self.csv.append(row, {"fields": written(fields), "metrics": outcome.metrics})
        except DiskFullError as error:
            outcome = without_room(outcome, error)
            fields = self._fields(iteration, outcome)
            self.csv.owe(self._row(fields, params, outcome))
        self.commit(iteration, fields, IterationStatus(outcome.status), params, outcome.value, outcome.metrics)
        return outcome

    def settle(self) -> str:
        """Write to the CSV what it owes; return why there still is no room for it, or nothing.

        Raises:
            StateError: the CSV cannot be written.
        """
        try:
            self.csv.settle()
        except DiskFullError as error:
            return str(error)
        return ""

    def finish(self) -> None:
        """All is recorded: nothing need be kept for a worker that comes after this one."""
        self.csv.note.remove()

    def _fields(self, iteration: int, outcome: Evaluation) -> dict[str, object]:
        """Return the fields of an iteration's hash but for its parameters and metrics."""
        return {
            **self.identity(self.place(iteration)),
            **self.origin(),
            "value": outcome.value,
            "timestamp": self._clock(),
            "seconds": round(outcome.seconds, 6),
            "kind": outcome.kind or "",
            "reason": outcome.reason,
            "error": outcome.detail or "",
            **({} if outcome.daily is None else {"daily": json.dumps(outcome.daily)}),
            **({} if outcome.capital is None else {"capital": outcome.capital}),
            **({"intermediate": json.dumps(list(outcome.intermediate))} if outcome.intermediate else {}),
            **({"reused_from": outcome.reused_from, "bars": ""} if outcome.reused_from else {}),
        }

    def _row(self, fields: Mapping[str, object], params: Params, outcome: Evaluation) -> dict[str, str]:
        return row_of(flat({**fields, "status": outcome.status}, params, outcome.metrics))

    def origin(self) -> dict[str, object]:
        """Return where an iteration is evaluated, and by which versions where they are not the session's."""
        others = differing(self.share.versions)
        # Written also where it is empty: an attempt before this one may have had others.
        versions = json.dumps(others) if others else ""
        return {"attempt": self.share.attempt, "host": socket.gethostname(), "versions": versions}

    def commit(
        self,
        iteration: int,
        fields: Mapping[str, object],
        status: IterationStatus,
        params: Params,
        value: float | None,
        metrics: Mapping[str, float | int | None],
    ) -> None:
        """Record an iteration in the store, unless it is recorded there; `fields` as a note of the CSV has them.

        Raises:
            FencedError: another attempt of this job runs.
        """
        place = self.place(iteration)
        result = {
            "g": place.g,
            "worker_id": place.worker_id,
            "iteration": place.iteration,
            "status": status,
            "value": value,
            "params": dict(params),
            "metrics": dict(metrics),
            "timestamp": text_of(fields["timestamp"]),
            "reason": fields.get("reason", ""),
            **({"intermediate": json.loads(str(values))} if (values := fields.get("intermediate")) else {}),
        }
        # The parameters too, though `begin` stored them: a server that was killed may have forgotten what it confirmed.
        known = {"params": calls.dumps(params), **{f"params_{name}": value for name, value in params.items()}}
        measured = {f"metrics_{name}": metric for name, metric in metrics.items()}
        record = calls.Record(
            status=status,
            value=value,
            direction=self.share.direction,
            fields={**fields, **known, **measured},
            result=result,
            metrics=list(metrics),
        )
        self.store.do(calls.commit(self.store.keys, place, record, self._clock()))

    def identity(self, place: Place) -> dict[str, object]:
        """Return which iteration it is."""
        return {
            "session_id": place.session_id,
            "worker_id": place.worker_id,
            "iteration": place.iteration,
            "g": place.g,
        }
