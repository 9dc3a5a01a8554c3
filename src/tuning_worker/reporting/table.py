"""A session's iterations as a table: which columns there are, their types, and how each kind of file holds them."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tuning_worker.review.recorded import RecordedSession, Trial

    Values = Sequence[Any]

_MOMENT = pa.timestamp("us", tz="UTC")
_FIXED = {
    "session_id": pa.string(),
    "g": pa.int64(),
    "worker_id": pa.string(),
    "iteration": pa.int64(),
    "status": pa.string(),
    "value": pa.float64(),
}
_FURTHER = {
    "started_at": _MOMENT,
    "timestamp": _MOMENT,
    "seconds": pa.float64(),
    "attempt": pa.int64(),
    "kind": pa.string(),
    "reason": pa.string(),
    "error": pa.string(),
    "capital": pa.float64(),
    "daily": pa.map_(pa.string(), pa.float64()),
    "intermediate": pa.list_(pa.float64()),
}
_INT64 = range(-(2**63), 2**63)


def make_table(recorded: RecordedSession) -> pa.Table:
    """Return a row for each iteration, in the order of g, with the session's record in the schema's metadata (`orch`).

    The columns are the worker's CSV's, `params_NAME` and `metrics_NAME` among them, and whatever else is recorded. A
    parameter's or metric's type follows from its values: bool, int64, float64, else string. What is undefined, not
    active or not recorded is null.
    """
    columns = {
        **{name: _column(kind, _values(recorded, name)) for name, kind in _FIXED.items()},
        **{
            f"params_{name}": _column(None, [each.params.get(name) for each in recorded.trials])
            for name in recorded.parameters
        },
        **{
            f"metrics_{name}": _column(None, [each.metrics.get(name) for each in recorded.trials])
            for name in recorded.metrics
        },
        **{name: _column(kind, _values(recorded, name)) for name, kind in _FURTHER.items()},
        **{name: _column(pa.string(), _values(recorded, name)) for name in _others(recorded)},
    }
    about = json.dumps({"schema": 1, **recorded.document})
    return pa.table(columns).replace_schema_metadata({"orch": about})


def _others(recorded: RecordedSession) -> Sequence[str]:
    """Return the names of what iterations hold and nothing above names; each is text."""
    return sorted({name for each in recorded.trials for name in each.others} - {"session_id"})


def _values(recorded: RecordedSession, name: str) -> Values:
    if name == "session_id":
        return [recorded.session_id] * len(recorded.trials)
    if name in _FIXED or name in _FURTHER:
        return [getattr(each, name) for each in recorded.trials]
    return [each.others.get(name) for each in recorded.trials]


def _column(kind: pa.DataType | None, values: Values) -> pa.Array:
    kind = kind or _kind([value for value in values if value is not None])
    if pa.types.is_timestamp(kind):
        values = [value and datetime.fromisoformat(value) for value in values]
    elif pa.types.is_string(kind):
        values = [None if value is None else str(value) for value in values]
    elif pa.types.is_floating(kind):
        values = [None if value is None else float(value) for value in values]
    elif pa.types.is_map(kind):
        values = [value and list(value.items()) for value in values]
    return pa.array(values, kind)


def _kind(values: Values) -> pa.DataType:
    if not values:
        return pa.float64()
    if all(isinstance(value, bool) for value in values):
        return pa.bool_()
    if any(isinstance(value, str | bool) for value in values):
        return pa.string()
    if all(isinstance(value, int) and value in _INT64 for value in values):
        return pa.int64()
    return pa.float64() if all(abs(value) <= sys.float_info.max for value in values) else pa.string()


def _write_parquet(recorded: RecordedSession, file: BinaryIO) -> None:
    parquet.write_table(make_table(recorded), file, compression="zstd")


def _write_csv(recorded: RecordedSession, file: BinaryIO) -> None:
    table = make_table(recorded)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=1000):
        writer.writerows(zip(*(map(_cell, column.to_pylist()) for column in batch.columns), strict=True))
    text.detach()


def _cell(value: Any) -> str:
    """Write a value so that it is read back as the same; null is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, list):  # a map's entries, or a list's
        return json.dumps(dict(value) if any(isinstance(each, tuple) for each in value) else value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _write_json(recorded: RecordedSession, file: BinaryIO) -> None:
    file.write(json.dumps({"schema": 1, "session": recorded.document, "iterations": []})[:-2].encode())
    file.writelines(_separated(recorded.trials))
    file.write(b"\n]}\n")


def _separated(iterations: Iterable[Trial]) -> Iterable[bytes]:
    for place, each in enumerate(iterations):
        yield f"{',' if place else ''}\n{json.dumps(each.as_json())}".encode()


WRITERS: Mapping[str, Callable[[RecordedSession, BinaryIO], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
"""How each kind of file is written."""
