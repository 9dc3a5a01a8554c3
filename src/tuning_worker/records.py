"""What a worker records: each iteration once, in the CSV and in the store, and both made to agree on a restart."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.clock import Clock, iso
from orchestrator.domain.job import Status
from orchestrator.domain.plan import global_index
from orchestrator.errors import StateError
from orchestrator.store import calls
from orchestrator.store.calls import Place
from tuning_worker.dimensions import CategoricalDimension, IntDimension
from tuning_worker.optimizers.protocol import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.csvfile import IterationCsv, Row
    from tuning_worker.evaluator import Evaluation
    from tuning_worker.objectives.protocol import Params
    from tuning_worker.share import Share
    from tuning_worker.space import SearchSpace


_CHUNK = 500  # records a round trip
_FINISHED = ("SUCCESS", "FAILED")


@dataclass(slots=True)
class Feed:
    """The session's results as they come in, whoever recorded them, and the candidates the others are evaluating."""

    store: BlockingStore
    session_id: str
    worker_id: str
    by_g: dict[int, Result] = field(default_factory=dict)
    _last: str = "0-0"

    @property
    def results(self) -> list[Result]:
        """What is known, each iteration once."""
        return list(self.by_g.values())

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
            self.by_g[result["g"]] = Result(result["g"], result["params"], result["value"])  # a retry's comes later
        pending = {worker: json.loads(text) for worker, text in candidates.items() if worker != self.worker_id}
        return {candidate["g"]: candidate["params"] for candidate in pending.values()}


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

    def reconcile(self) -> dict[int, Mapping[str, str]]:
        """Make the CSV and the store agree, each giving the other what only it has.

        Returns:
            The records of the store by iteration: what need not be evaluated any more.

        Raises:
            StateError: the CSV holds rows of an earlier session of the same name.
        """
        stored = self._stored()
        if self._csv.rows and not stored:  # an iteration's parameters are in the store before its row is written
            raise StateError(
                f"{self._csv.path} holds rows of an earlier session {self._share.session_id}: "
                "move it away, or choose another base_output_csv"
            )
        for iteration, row in sorted(self._csv.rows.items()):
            known = stored.get(iteration, {})
            # A row that was committed and is not recorded now is one that `orch retry` took back.
            if known.get("status") not in _FINISHED and row["timestamp"] != known.get("timestamp"):
                self._commit_row(iteration, row, known)
                (stored[iteration],) = self._read([iteration])
        finished = {number: record for number, record in stored.items() if record["status"] in _FINISHED}
        rows = {number: _row(self._share, record) for number, record in finished.items()}
        if rows != self._csv.rows:
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

    def begin(self, iteration: int, params: Params, point: str) -> calls.Begun | calls.Taken | calls.Recorded:
        """Store an iteration's parameters before they are evaluated."""
        place = self.place(iteration)
        fields = {**self._identity(place), "started_at": self._clock(), "attempt": self._share.attempt}
        return self._store.do(calls.begin(self._store.keys, place, dict(params), point, fields))

    def record(self, iteration: int, params: Params, outcome: Evaluation) -> None:
        """Record an iteration: its row on the disk first, then its commit.

        Raises:
            StateError: the CSV cannot be written; nothing is recorded.
            FencedError: another attempt of this job runs.
        """
        place = self.place(iteration)
        fields = {
            **self._identity(place),
            "value": outcome.value,
            "timestamp": self._clock(),
            "attempt": self._share.attempt,
            "seconds": round(outcome.seconds, 6),
            "kind": outcome.kind or "",
            "reason": f"{outcome.kind}: {outcome.message}" if outcome.kind else "",
            "error": outcome.detail or "",
        }
        self._csv.append(_row(self._share, _flat({**fields, "status": outcome.status}, params, outcome.metrics)))
        self._commit(place, fields, Status(outcome.status), params, outcome.value, outcome.metrics)

    def _commit_row(self, iteration: int, row: Row, known: Mapping[str, str]) -> None:
        """Commit what a worker wrote to its CSV and could not commit any more; `known` is its record in the store."""
        place = self.place(iteration)
        status = Status(row["status"])
        try:
            stored = known.get("params")
            params = json.loads(stored) if stored else _parse_point(self._space, _named(row, "params_"))
            metrics = {name: _number(text) for name, text in _named(row, "metrics_").items()}
            value = _number(row["value"])
        except ValueError as error:
            raise StateError(f"{self._csv.path}: the row of iteration {iteration} is damaged: {error}") from error
        failed = status is Status.FAILED
        fields = {
            **self._identity(place),
            "value": value,
            "timestamp": row["timestamp"],
            "attempt": self._share.attempt,
            "seconds": None,
            "kind": "recovered" if failed else "",
            "reason": "recovered: its row in the CSV does not say why it failed" if failed else "",
            "error": "",
            "params": calls.dumps(params),
            **{f"params_{name}": given for name, given in params.items()},
        }
        self._commit(place, fields, status, params, value, metrics)

    def _commit(
        self,
        place: Place,
        fields: Mapping[str, object],
        status: Status,
        params: Params,
        value: float | None,
        metrics: Mapping[str, float | int | None],
    ) -> None:
        result = {
            "g": place.g,
            "worker_id": place.worker_id,
            "iteration": place.iteration,
            "status": status,
            "value": value,
            "params": dict(params),
            "metrics": dict(metrics),
            "timestamp": _text(fields["timestamp"]),
            "reason": fields.get("reason", ""),
        }
        record = calls.Record(
            status=status,
            value=value,
            direction=self._share.direction,
            fields={**fields, **{f"metrics_{name}": metric for name, metric in metrics.items()}},
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


def _row(share: Share, record: Mapping[str, str]) -> dict[str, str]:
    """Return the CSV row of a store's record."""
    fixed = {name: record.get(name, "") for name in ("iteration", "status", "timestamp", "value")}
    measured = {name: text for name, text in record.items() if name.startswith(("params_", "metrics_"))}
    return {"session_id": share.session_id, "worker_id": share.worker_id, **fixed, **measured}


def _flat(fields: Mapping[str, object], params: Params, metrics: Mapping[str, object]) -> dict[str, str]:
    named = {f"params_{name}": value for name, value in params.items()}
    measured = {f"metrics_{name}": value for name, value in metrics.items()}
    return {name: _text(value) for name, value in {**fields, **named, **measured}.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return iso(value) if isinstance(value, datetime) else str(value)


def _named(row: Row, prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): text for name, text in row.items() if name.startswith(prefix)}


def _parse_point(space: SearchSpace, texts: Mapping[str, str]) -> Params:
    """Read the parameters of a CSV row; a choice is known by its text. `ValueError` where it is none that can be."""
    params: dict[str, int | float | str | bool] = {}
    for name, dimension in space.dimensions.items():
        if isinstance(dimension, CategoricalDimension):
            params[name] = dimension.choices[[str(choice) for choice in dimension.choices].index(texts[name])]
        else:
            params[name] = int(texts[name]) if isinstance(dimension, IntDimension) else float(texts[name])
    return params


def _number(text: str) -> float | int | None:
    if not text:
        return None
    return float(text) if any(mark in text for mark in ".en") else int(text)
