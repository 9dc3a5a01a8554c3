"""An iteration as texts: fields of its hash, cells of its row; and back. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.clock import iso
from tuning_worker.records.csvfile import FIXED
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension, IntDimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuning_worker.objectives.protocol import Params
    from tuning_worker.records.csvfile import Row
    from tuning_worker.space.dimensions import AnyDimension
    from tuning_worker.space.search_space import SearchSpace
    from tuning_worker.space.spelling import Scalar


def row_of(record: Mapping[str, str]) -> dict[str, str]:
    """Return the CSV row of a store's record."""
    fixed = {name: record.get(name, "") for name in FIXED}
    return {**fixed, **{name: text for name, text in record.items() if name.startswith(("params_", "metrics_"))}}


def written(fields: Mapping[str, object]) -> dict[str, str]:
    """Return a record's fields as the store has them."""
    return {name: text_of(value) for name, value in fields.items()}


def flat(fields: Mapping[str, object], params: Params, metrics: Mapping[str, object]) -> dict[str, str]:
    """Return a whole record as the store has it."""
    named = {f"params_{name}": value for name, value in params.items()}
    measured = {f"metrics_{name}": value for name, value in metrics.items()}
    return written({**fields, **named, **measured})


def text_of(value: object) -> str:
    """Return a value as records and rows have it: nothing for None, so that 0 is told from undefined."""
    if value is None:
        return ""
    return iso(value) if isinstance(value, datetime) else str(value)


def named(row: Row, prefix: str) -> dict[str, str]:
    """Return the fields of one kind, by what follows on the prefix."""
    return {name.removeprefix(prefix): text for name, text in row.items() if name.startswith(prefix)}


def parse_point(space: SearchSpace, texts: Mapping[str, str]) -> Params:
    """Read the parameters of a CSV row; a choice is known by its text. `ValueError` where it is none that can be."""

    def read(name: str, dimension: AnyDimension) -> Scalar:
        if isinstance(dimension, CategoricalDimension | FixedDimension):
            return dimension.values[[str(value) for value in dimension.values].index(texts[name])]
        return int(texts[name]) if isinstance(dimension, IntDimension) else float(texts[name])

    return space.make_point(read)


def number_of(text: str) -> float | int | None:
    """Read what `text_of` wrote of a number."""
    if not text:
        return None
    return float(text) if any(mark in text for mark in ".en") else int(text)
