"""An iteration as it is recorded."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class IterationStatus(StrEnum):
    """How a recorded iteration ended; one that is not recorded yet is RUNNING. Another vocabulary than a job's."""

    SUCCESS = "SUCCESS"  # it has a value
    FAILED = "FAILED"  # it has none: something went wrong, which `orch retry` may mend
    PRUNED = "PRUNED"  # it has none: it was stopped half-way as hopeless, which nothing needs to mend


def other_fields(record: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an iteration's record that its result has in another form or not at all."""
    return {name: text for name, text in record.items() if not name.startswith(("params", "metrics_"))}
