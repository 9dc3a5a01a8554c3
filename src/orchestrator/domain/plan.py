"""The plan: how a session's iterations are dealt to its workers, round-robin.

With N workers the global index g = 0, 1, 2, … belongs to worker (g mod N) + 1 as its iteration (g div N) + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.domain.session import SessionSpec


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One worker's share of a session.

    Attributes:
        worker_id: `worker-1`, `worker-2`, …
        iterations: how many it has to do; None where a worker command runs, whose iterations are not counted.
        output_csv: the file its results go to, as relative as the session's `base_output_csv`.
    """

    worker_id: str
    iterations: int | None
    output_csv: str


def plan_jobs(spec: SessionSpec) -> tuple[JobPlan, ...]:
    """Deal a session's iterations: every worker that gets any has one job. 10 over 3 are 4, 3, 3."""
    each, left_over = divmod(spec.total_iterations, spec.workers)
    return tuple(
        JobPlan(
            worker_id=worker_name(number),
            iterations=each + (number <= left_over) if spec.worker_command is None else None,
            output_csv=f"{spec.base_output_csv}_{worker_name(number)}.csv",
        )
        for number in range(1, spec.workers - surplus_workers(spec) + 1)
    )


def surplus_workers(spec: SessionSpec) -> int:
    """Return how many of the workers asked for get no job, because there are fewer iterations than workers."""
    return max(0, spec.workers - spec.total_iterations)


def worker_name(number: int) -> str:
    """Return the `worker_id` of a worker, numbered from 1."""
    return f"worker-{number}"


def global_index(worker_number: int, iteration: int, workers: int) -> int:
    """Return g, counted from 0, of a worker's iteration; workers and iterations count from 1.

    Args:
        worker_number: 1 to `workers`.
        iteration: of this worker, from 1.
        workers: as many as the session asks for, surplus ones included.
    """
    return (iteration - 1) * workers + worker_number - 1
