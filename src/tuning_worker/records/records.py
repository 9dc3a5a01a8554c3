"""What a worker records: each iteration once, in the CSV and in the store, and both made to agree on a restart."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.plan import global_index, worker_name
from orchestrator.errors import StateError
from orchestrator.store import calls
from orchestrator.store.calls import Place, Taken
from tuning_worker.evaluation.evaluator import Evaluation
from tuning_worker.records.csvfile import DiskFullError
from tuning_worker.records.reproduction import differing
from tuning_worker.records.rownote import filled
from tuning_worker.records.texts import flat, named, number_of, parse_point, row_of, text_of, written
from tuning_worker.records.unrecordable import within_columns, without_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.clock import Clock
    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.records.csvfile import IterationCsv, Row
    from tuning_worker.share import Share
    from tuning_worker.space.search_space import SearchSpace


_CHUNK = 500  # records a round trip
_FINISHED = frozenset(IterationStatus)


_UNTOLD = {
    IterationStatus.SUCCESS: "",
    IterationStatus.FAILED: "recovered: its row in the CSV does not say why it failed",
    IterationStatus.PRUNED: "its row in the CSV does not say after which fold it was stopped",
}


class Records:
    """The records of one worker.

    Args:
        store: where they are committed.
        csv: where each is written first.
        share: whose they are.
    """

    def __init__(self, store: BlockingStore, csv: IterationCsv, share: Share, space: SearchSpace, clock: Clock) -> None:
        self._store = store
        self._csv = csv
        self._share = share
        self._space = space
        self._clock = clock

    def place(self, iteration: int) -> Place:
        """Return where an iteration of this worker stands."""
        share = self._share
        return Place(
            session_id=share.session_id,
            job_id=share.job_id,
            worker_id=share.worker_id,
            mode=share.mode,
            token=share.token,
            iteration=iteration,
            g=global_index(share.worker_number, iteration, share.workers),
        )

    def _place_of(self, g: int) -> Place:
        """Return where the iteration g of the session stands, whose ever it is."""
        share = self._share
        worker = worker_name(g % share.workers + 1) if share.workers > 1 else share.worker_id
        return replace(self.place(g // share.workers + 1), worker_id=worker, g=g)

    def reconcile(self) -> dict[int, Mapping[str, str]]:
        """Make the CSV and the store agree, each giving the other what only it has.

        Returns:
            The records of the store by iteration: what need not be evaluated any more.

        Raises:
            StateError: the CSV holds rows of an earlier session of the same name.
        """
        stored = self._stored()
        # An iteration's parameters are in the store before its row is written. Only a store that lost its last second
        # to a power failure has forgotten them, and then the rows are known to be this job's.
        if self._csv.rows and not stored and self._csv.note.owner != self._share.job_id:
            raise StateError(
                f"{self._csv.path} holds rows of an earlier session {self._share.session_id}: "
                "move it away, or choose another base_output_csv"
            )
        if self._csv.note.owner != self._share.job_id:
            self._csv.note.begin(self._share.job_id)
        for iteration, row in sorted(self._csv.rows.items()):
            known = stored.get(iteration, {})
            # A row that was committed and is not recorded now is one that `orch retry` took back.
            if known.get("status") not in _FINISHED and row["timestamp"] != known.get("timestamp"):
                self._commit_row(iteration, row, known)
                (stored[iteration],) = self._read([iteration])
        finished = {number: record for number, record in stored.items() if record["status"] in _FINISHED}
        rows = {number: row_of(record) for number, record in finished.items()}
        if _filled(rows) != _filled(self._csv.rows):
            with suppress(DiskFullError):  # `settle` will tell
                self._csv.write(rows.values())
        return finished

    def _stored(self) -> dict[int, Mapping[str, str]]:
        """Read the store's records: as many as it says there are, and whatever the CSV speaks of."""
        found: dict[int, Mapping[str, str]] = {}
        last = max(self._csv.rows, default=0)
        for start in range(1, self._share.iterations + 1, _CHUNK):
            numbers = range(start, min(start + _CHUNK, self._share.iterations + 1))
            found |= {number: record for number, record in zip(numbers, self._read(numbers), strict=True) if record}
            finished = sum(record["status"] in _FINISHED for record in found.values())
            if finished >= self._share.recorded and numbers[-1] >= last:
                break
        return found

    def _read(self, iterations: Sequence[int]) -> list[Mapping[str, str]]:
        return self._store.read_all([("HGETALL", self.place(each).key(self._store.keys)) for each in iterations])

    def begin(self, iteration: int, params: Params, point: str, bars: str = "") -> calls.Beginning:
        """Store an iteration's parameters, and its bars where there is a pruner, before it is evaluated."""
        place = self.place(iteration)
        fields = {**self._identity(place), **self._origin(), "started_at": self._clock()}
        limit = self._share.spec.max_failures
        return self._store.do(calls.begin(self._store.keys, place, dict(params), point, fields, limit, bars))

    def record(self, iteration: int, params: Params, outcome: Evaluation) -> Evaluation:
        """Record an iteration: its row on the disk first, then its commit.

        Returns:
            What is recorded: a failure where there are too many metrics, or no room on the disk: its row is owed then.

        Raises:
            StateError: the CSV cannot be written; nothing is recorded.
            FencedError: another attempt of this job runs.
        """
        outcome = within_columns(outcome, self._csv.metrics)
        fields = self._fields(iteration, outcome)
        row = self._row(fields, params, outcome)
        try:
            self._csv.append(row, {"fields": written(fields), "metrics": outcome.metrics})
        except DiskFullError as error:
            outcome = without_room(outcome, error)
            fields = self._fields(iteration, outcome)
            self._csv.owe(self._row(fields, params, outcome))
        self._commit(iteration, fields, IterationStatus(outcome.status), params, outcome.value, outcome.metrics)
        return outcome

    def find_recorded(self, g: int) -> Mapping[str, str] | None:
        """Return the record of whichever worker's iteration g, if it is a SUCCESS."""
        record: Mapping[str, str] = self._store.read("HGETALL", self._place_of(g).key(self._store.keys))
        return record if record.get("status") == IterationStatus.SUCCESS else None

    def find_twin(self, params: Params, g: int) -> Evaluation | None:
        """Return what was recorded of the same point by an iteration other than g, as g's own outcome."""
        points = self._store.keys.points(self._share.session_id)
        holder = self._store.read("HGET", points, self._space.point_key(params))
        if holder is None or int(holder) == g or (record := self.find_recorded(int(holder))) is None:
            return None
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

    def settle(self) -> str:
        """Write to the CSV what it owes; return why there still is no room for it, or nothing.

        Raises:
            StateError: the CSV cannot be written.
        """
        try:
            self._csv.settle()
        except DiskFullError as error:
            return str(error)
        return ""

    def finish(self) -> None:
        """All is recorded: nothing need be kept for a worker that comes after this one."""
        self._csv.note.remove()

    def _fields(self, iteration: int, outcome: Evaluation) -> dict[str, object]:
        """Return the fields of an iteration's hash but for its parameters and metrics."""
        return {
            **self._identity(self.place(iteration)),
            **self._origin(),
            "value": outcome.value,
            "timestamp": self._clock(),
            "seconds": round(outcome.seconds, 6),
            "kind": outcome.kind or "",
            "reason": f"{outcome.kind}: {outcome.message}" if outcome.kind else outcome.message or "",
            "error": outcome.detail or "",
            **({} if outcome.daily is None else {"daily": json.dumps(outcome.daily)}),
            **({} if outcome.capital is None else {"capital": outcome.capital}),
            **({"intermediate": json.dumps(list(outcome.intermediate))} if outcome.intermediate else {}),
            **({"reused_from": outcome.reused_from, "bars": ""} if outcome.reused_from else {}),
        }

    def _row(self, fields: Mapping[str, object], params: Params, outcome: Evaluation) -> dict[str, str]:
        return row_of(flat({**fields, "status": outcome.status}, params, outcome.metrics))

    def _origin(self) -> dict[str, object]:
        """Return where an iteration is evaluated, and by which versions where they are not the session's."""
        others = differing(self._share.versions)
        # Written also where it is empty: an attempt before this one may have had others.
        versions = json.dumps(others) if others else ""
        return {"attempt": self._share.attempt, "host": socket.gethostname(), "versions": versions}

    def _commit_row(self, iteration: int, row: Row, known: Mapping[str, str]) -> None:
        """Commit what a worker wrote to its CSV and could not commit any more; `known` is its record in the store."""
        status = IterationStatus(row["status"])
        try:
            stored = known.get("params")
            params = json.loads(stored) if stored else parse_point(self._space, named(row, "params_"))
            note = self._csv.note.find(row) or self._told_by(iteration, row)
            value = number_of(row["value"])
        except ValueError as error:
            raise StateError(f"{self._csv.path}: the row of iteration {iteration} is damaged: {error}") from error
        if not stored:
            self._begin_recovered(iteration, params)
        self._commit(iteration, note["fields"], status, params, value, note["metrics"])

    def _begin_recovered(self, iteration: int, params: Params) -> None:
        """Let the store know again what it has lost: the parameters of a row, and that their point is claimed."""
        place = self.place(iteration)
        for point in (self._space.point_key(params), ""):  # another iteration may have claimed it meanwhile
            call = calls.begin(self._store.keys, place, dict(params), point, self._identity(place))
            if not isinstance(self._store.do(call), Taken):
                return

    def _told_by(self, iteration: int, row: Row) -> dict[str, Any]:
        """Return what a row tells whose note is lost."""
        status = IterationStatus(row["status"])
        fields = {
            **self._identity(self.place(iteration)),
            **self._origin(),
            "value": row["value"],
            "timestamp": row["timestamp"],
            "seconds": None,
            "kind": "recovered" if status is IterationStatus.FAILED else "",
            "reason": _UNTOLD[status],
            "error": "",
        }
        metrics = {name: number_of(text) for name, text in named(row, "metrics_").items()}
        return {"fields": fields, "metrics": metrics}

    def _commit(
        self,
        iteration: int,
        fields: Mapping[str, object],
        status: IterationStatus,
        params: Params,
        value: float | None,
        metrics: Mapping[str, float | int | None],
    ) -> None:
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
            direction=self._share.direction,
            fields={**fields, **known, **measured},
            result=result,
            metrics=list(metrics),
        )
        self._store.do(calls.commit(self._store.keys, place, record, self._clock()))

    def _identity(self, place: Place) -> dict[str, object]:
        return {
            "session_id": place.session_id,
            "worker_id": place.worker_id,
            "iteration": place.iteration,
            "g": place.g,
        }


def _filled(rows: Mapping[int, Row]) -> dict[int, Row]:
    return {number: filled(row) for number, row in rows.items()}
