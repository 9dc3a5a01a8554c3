"""How an iteration can have ended. Another vocabulary than a job's: a job is never PRUNED."""

from __future__ import annotations

from enum import StrEnum


class IterationStatus(StrEnum):
    """The status of a recorded iteration; one that is not recorded yet is RUNNING."""

    SUCCESS = "SUCCESS"  # it has a value
    FAILED = "FAILED"  # it has none: something went wrong, which `orch retry` may mend
    PRUNED = "PRUNED"  # it has none: it was stopped half-way as hopeless, which nothing needs to mend
