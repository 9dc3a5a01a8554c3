"""A job as its hash."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.job import TRANSITIONS, Status, TuningJob

_NAMES = """
job_id session_id worker_id iterations mode env optimizer config_path output_csv status return_code
started_at finished_at attempt reason signal host pid executor handle token
"""
FIXED = frozenset(_NAMES.split())

moments = st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis wants it naive
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
jobs = st.builds(
    TuningJob,
    job_id=st.uuids().map(str),
    **dict.fromkeys(("session_id", "worker_id", "mode", "env", "optimizer", "config_path", "output_csv"), st.text()),
    iterations=st.none() | st.integers(1),
    status=st.sampled_from(Status),
    return_code=st.none() | st.integers(0, 255),
    pid=st.none() | st.integers(1),
    token=st.none() | st.integers(0),
    attempt=st.integers(0),
    failures=st.integers(0),
    recorded=st.integers(0),
    failed=st.integers(0),
    started_at=moments,
    finished_at=moments,
    retry_at=moments,
)


@given(jobs)
def test_a_job_reads_back_as_it_was_written(job: TuningJob) -> None:
    assert TuningJob.from_hash(job.to_hash()) == job


@given(jobs)
def test_its_hash_has_the_fields_that_other_programs_read(job: TuningJob) -> None:
    assert FIXED.issubset(job.to_hash())


@given(jobs)
def test_fields_of_a_newer_version_are_passed_over(job: TuningJob) -> None:
    assert TuningJob.from_hash({**job.to_hash(), "op": "7:1:RUNNING", "newer": "x"}) == job


@pytest.mark.parametrize("raw", [{}, {"verdict": "x"}, {"job_id": "j", "session_id": "s", "status": "PENDING"}])
def test_a_hash_that_is_no_job_is_a_key_error(raw: dict[str, str]) -> None:
    with pytest.raises(KeyError, match="worker_id"):
        TuningJob.from_hash(raw)


def test_terminal_is_final() -> None:
    for status, following in TRANSITIONS.items():
        assert status.terminal == (not following)
