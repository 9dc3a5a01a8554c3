"""The CSV and the store made to agree when a worker begins, each given what only the other has."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.domain.iteration import IterationStatus
from orchestrator.errors import StateError
from orchestrator.store import calls
from orchestrator.store.calls import Taken
from tuning_worker.records.csvfile import DiskFullError
from tuning_worker.records.rownote import filled
from tuning_worker.records.texts import named, number_of, parse_point, row_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.objectives.protocol import Params
    from tuning_worker.records.csvfile import Row
    from tuning_worker.records.records import Records

_CHUNK = 500  # records a round trip
_FINISHED = frozenset(IterationStatus)
_UNTOLD = {
    IterationStatus.SUCCESS: "",
    IterationStatus.FAILED: "recovered: its row in the CSV does not say why it failed",
    IterationStatus.PRUNED: "its row in the CSV does not say after which fold it was stopped",
}


def reconcile(records: Records) -> dict[int, Mapping[str, str]]:
    """Make the CSV and the store agree, each giving the other what only it has.

    Returns:
        The records of the store by iteration: what need not be evaluated any more.

    Raises:
        StateError: the CSV holds rows of an earlier session of the same name, or of iterations that there are not.
    """
    csv, stored = records.csv, _stored(records)
    # An iteration's parameters are in the store before its row is written. Only a store that lost its last second
    # to a power failure has forgotten them, and then the rows are known to be this job's.
    if csv.rows and not stored and csv.note.owner != records.share.job_id:
        raise StateError(
            f"{csv.path} holds rows of an earlier session {records.share.session_id}: "
            "move it away, or choose another base_output_csv"
        )
    if beyond := [iteration for iteration in csv.rows if not 1 <= iteration <= records.share.iterations]:
        raise StateError(
            f"{csv.path} has a row of iteration {beyond[0]}, and this worker has 1 to {records.share.iterations}: "
            "no worker wrote it; take it out"
        )
    if csv.note.owner != records.share.job_id:
        csv.note.begin(records.share.job_id)
    for iteration, row in sorted(csv.rows.items()):
        known = stored.get(iteration, {})
        # A row that was committed and is not recorded now is one that `orch retry` took back.
        if known.get("status") not in _FINISHED and row["timestamp"] != known.get("timestamp"):
            _commit_row(records, iteration, row, known)
            (stored[iteration],) = _read(records, [iteration])
    finished = {number: record for number, record in stored.items() if record["status"] in _FINISHED}
    rows = {number: row_of(record) for number, record in finished.items()}
    if csv.repeats or _filled(rows) != _filled(csv.rows):
        with suppress(DiskFullError):  # `settle` will tell
            csv.write(rows.values())
    return finished


def _stored(records: Records) -> dict[int, Mapping[str, str]]:
    """Read the store's records: as many as it says there are, and whatever the CSV speaks of."""
    found: dict[int, Mapping[str, str]] = {}
    last = max(records.csv.rows, default=0)
    for start in range(1, records.share.iterations + 1, _CHUNK):
        numbers = range(start, min(start + _CHUNK, records.share.iterations + 1))
        found |= {number: record for number, record in zip(numbers, _read(records, numbers), strict=True) if record}
        finished = sum(record["status"] in _FINISHED for record in found.values())
        if finished >= records.share.recorded and numbers[-1] >= last:
            break
    return found


def _read(records: Records, iterations: Sequence[int]) -> list[Mapping[str, str]]:
    return records.store.read_all([("HGETALL", records.place(each).key(records.store.keys)) for each in iterations])


def _commit_row(records: Records, iteration: int, row: Row, known: Mapping[str, str]) -> None:
    """Commit what a worker wrote to its CSV and could not commit any more; `known` is its record in the store."""
    status = IterationStatus(row["status"])
    try:
        stored = known.get("params")
        params = json.loads(stored) if stored else parse_point(records.space, named(row, "params_"))
        note = records.csv.note.find(row) or _told_by(records, iteration, row)
        value = _finite(row["value"])
    except ValueError as error:
        raise StateError(f"{records.csv.path}: the row of iteration {iteration} is damaged: {error}") from error
    if not stored:
        _begin_recovered(records, iteration, params)
    records.commit(iteration, note["fields"], status, params, value, note["metrics"])


def _begin_recovered(records: Records, iteration: int, params: Params) -> None:
    """Let the store know again what it has lost: the parameters of a row, and that their point is claimed."""
    place = records.place(iteration)
    for point in (records.space.point_key(params), ""):  # another iteration may have claimed it meanwhile
        call = calls.begin(records.store.keys, place, dict(params), point, records.identity(place))
        if not isinstance(records.store.do(call), Taken):
            return


def _told_by(records: Records, iteration: int, row: Row) -> dict[str, Any]:
    """Return what a row tells whose note is lost."""
    status = IterationStatus(row["status"])
    fields = {
        **records.identity(records.place(iteration)),
        **records.origin(),
        "value": row["value"],
        "timestamp": row["timestamp"],
        "seconds": None,
        "kind": "recovered" if status is IterationStatus.FAILED else "",
        "reason": _UNTOLD[status],
        "error": "",
    }
    metrics = {name: _finite(text) for name, text in named(row, "metrics_").items()}
    return {"fields": fields, "metrics": metrics}


def _finite(text: str) -> float | int | None:
    number = number_of(text)
    if number is not None and not math.isfinite(number):
        raise ValueError(f"a worker does not write {text}")
    return number


def _filled(rows: Mapping[int, Row]) -> dict[int, Row]:
    return {number: filled(row) for number, row in rows.items()}
