"""The plan: iterations are dealt round-robin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.plan import global_index, plan_jobs, surplus_workers
from orchestrator.domain.session import MAX_ITERATIONS, MAX_WORKERS, SessionSpec

totals = st.integers(1, 300)
worker_counts = st.integers(1, 40)


def spec(total: int, workers: int, **more: object) -> SessionSpec:
    return SessionSpec.model_validate({"session_id": "s", "total_iterations": total, "workers": workers, **more})


def test_ten_over_three_are_four_three_three():
    jobs = plan_jobs(spec(10, 3, base_output_csv="out/run"))
    assert [(job.worker_id, job.iterations, job.output_csv) for job in jobs] == [
        ("worker-1", 4, "out/run_worker-1.csv"),
        ("worker-2", 3, "out/run_worker-2.csv"),
        ("worker-3", 3, "out/run_worker-3.csv"),
    ]


@given(totals, worker_counts)
def test_all_iterations_are_dealt_and_as_evenly_as_can_be(total: int, workers: int):
    shares = [job.iterations or 0 for job in plan_jobs(spec(total, workers))]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)
    assert min(shares) >= 1


@given(totals, worker_counts)
def test_every_global_index_is_exactly_one_workers_iteration(total: int, workers: int):
    jobs = plan_jobs(spec(total, workers))
    dealt = {
        global_index(number, iteration, workers): (number, iteration)
        for number, job in enumerate(jobs, start=1)
        for iteration in range(1, (job.iterations or 0) + 1)
    }
    assert dealt == {g: (g % workers + 1, g // workers + 1) for g in range(total)}


@given(totals, worker_counts)
def test_surplus_workers_get_no_job(total: int, workers: int):
    planned = spec(total, workers)
    assert len(plan_jobs(planned)) + surplus_workers(planned) == workers
    assert surplus_workers(planned) == max(0, workers - total)


def test_a_worker_command_counts_no_iterations():
    jobs = plan_jobs(spec(10, 3, worker_command=["./train.sh"]))
    assert [(job.worker_id, job.iterations) for job in jobs] == [
        ("worker-1", None),
        ("worker-2", None),
        ("worker-3", None),
    ]


@pytest.mark.parametrize("workers", [1, MAX_WORKERS])
def test_the_largest_session_is_planned_by_its_workers_not_its_iterations(workers: int):
    jobs = plan_jobs(spec(MAX_ITERATIONS, workers))
    assert len(jobs) == workers
    assert sum(job.iterations or 0 for job in jobs) == MAX_ITERATIONS
