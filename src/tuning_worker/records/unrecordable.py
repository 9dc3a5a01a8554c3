"""What becomes of an outcome that cannot be recorded as it is: a FAILED one that says why. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tuning_worker.evaluation.evaluator import Evaluation

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from tuning_worker.records.csvfile import DiskFullError

MAX_COLUMNS: Final = 1000
"""Of metrics in one CSV. Each new one has the file written again: names that never come twice would take for ever."""


def without_room(outcome: Evaluation, error: DiskFullError) -> Evaluation:
    """Return the outcome of an iteration whose row found no room on the disk."""
    return Evaluation("FAILED", None, outcome.metrics, "disk_full", str(error), None, outcome.seconds)


def within_columns(outcome: Evaluation, known: AbstractSet[str]) -> Evaluation:
    """Return the outcome itself, or a FAILED one where its metrics would be too many columns.

    Args:
        outcome: of an iteration.
        known: the metrics that have a column already.
    """
    names = known | outcome.metrics.keys()
    if len(names) <= MAX_COLUMNS or names == known:
        return outcome
    kept = {name: value for name, value in outcome.metrics.items() if name in known}
    message = (
        f"with its metrics this worker's would have {len(names)} names, where at most {MAX_COLUMNS} can be recorded: "
        "a metric has one name in all iterations"
    )
    failed = replace(outcome, status="FAILED", value=None, metrics=kept, kind="bad_output", message=message)
    return replace(failed, daily=None, capital=None, intermediate=(), reused_from="")
