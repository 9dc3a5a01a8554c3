"""What follows on the end of an attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.job import TRANSITIONS, Status
from orchestrator.domain.outcome import FREE_LOSSES, Again, Ended, Finish, RetryPolicy, WorkerExit, decide

POLICY = RetryPolicy(3, timedelta(seconds=1), timedelta(seconds=60))


def after(**known: object) -> Finish | Again:
    return decide(Ended(**{"iterations": 4, **known}), POLICY, jitter=1.0)  # type: ignore[arg-type]  # as the test names them


def test_all_recorded_is_success_however_the_worker_went_down() -> None:
    for end in ({"code": 0}, {"code": 1}, {"signal": "SIGKILL"}, {"intent": "timeout"}, {"intent": "interrupted"}):
        assert after(recorded=4, failed=1, **end) == Finish(Status.SUCCESS, "")


def test_a_job_whose_every_iteration_failed_is_failed_with_the_workers_verdict() -> None:
    assert after(recorded=4, failed=4, code=0) == Finish(Status.FAILED, "every iteration failed")
    assert after(recorded=4, failed=4, code=3, verdict="objective broken") == Finish(Status.FAILED, "objective broken")


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"code": 7}, "exit:7"),
        ({"signal": "SIGKILL"}, "signal:SIGKILL"),
        ({"error": "cannot start 'x'"}, "launch: cannot start 'x'"),
        ({"code": 0, "recorded": 1}, "incomplete: 1 of 4 iterations recorded"),
        ({"code": 1, "verdict": "out.csv cannot be written"}, "out.csv cannot be written"),
    ],
)
def test_a_bad_end_says_why_and_is_tried_again(known: dict[str, object], reason: str) -> None:
    assert after(**known) == Again(timedelta(seconds=1), reason, failures=1)


def test_attempts_run_out() -> None:
    assert isinstance(after(code=7, failures=1), Again)
    assert after(code=7, failures=2) == Finish(Status.FAILED, "exit:7")


def test_what_will_not_heal_is_not_tried_again() -> None:
    assert after(code=WorkerExit.USAGE) == Finish(Status.FAILED, "exit:2")
    assert after(code=WorkerExit.BROKEN, verdict="broken") == Finish(Status.FAILED, "broken")


def test_exit_codes_of_a_users_own_command_have_no_such_meaning() -> None:
    assert isinstance(after(counted=False, iterations=0, code=2), Again)
    assert after(counted=False, iterations=0, code=0) == Finish(Status.SUCCESS, "")


def test_an_interrupted_job_waits_for_the_next_run_and_has_not_failed() -> None:
    assert after(intent="interrupted", signal="SIGTERM", failures=2) == Again(None, "interrupted", failures=2)


def test_a_lost_attempt_is_nobodys_failure_until_too_many_follow_on_each_other() -> None:
    assert after(intent="lost", failures=2) == Again(None, "lost", failures=2, lost=1)
    assert after(intent="lost", failures=2, lost=FREE_LOSSES - 1) == Again(None, "lost", failures=2, lost=FREE_LOSSES)
    known = {"intent": "lost", "recorded": 1}
    reason = f"lost: {FREE_LOSSES + 1} attempts in a row, and none recorded an iteration"
    counted = Again(timedelta(seconds=1), reason, failures=1, lost=FREE_LOSSES + 1)
    assert after(**known, lost=FREE_LOSSES) == counted
    assert after(**known, lost=FREE_LOSSES, failures=2) == Finish(Status.FAILED, reason)
    assert after(intent="interrupted", lost=FREE_LOSSES) == Again(None, "interrupted", failures=0)


def test_a_stop_that_was_asked_for_is_final() -> None:
    assert after(intent="timeout", signal="SIGTERM") == Finish(Status.FAILED, "timeout")
    assert after(intent="cancelled:ann: enough", code=0) == Finish(Status.CANCELLED, "cancelled:ann: enough")


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_waits_grow_to_a_limit_and_never_beyond(failures: int, jitter: float) -> None:
    wait = POLICY.delay(failures, jitter)
    full = min(2.0 ** min(failures - 1, 30), 60.0)
    assert timedelta(seconds=full / 2) <= wait <= timedelta(seconds=full)


@given(
    st.builds(
        Ended,
        code=st.none() | st.integers(0, 255),
        signal=st.sampled_from(["", "SIGTERM"]),
        intent=st.sampled_from(["", "interrupted", "lost", "timeout", "cancelled:x: y"]),
        counted=st.booleans(),
        iterations=st.integers(0, 5),
        recorded=st.integers(0, 5),
        failed=st.integers(0, 5),
        failures=st.integers(0, 5),
        lost=st.integers(0, 5),
    )
)
def test_every_end_leads_to_a_status_that_may_follow_on_running(ended: Ended) -> None:
    outcome = decide(ended, POLICY, 0.5)
    status = outcome.status if isinstance(outcome, Finish) else Status.PENDING
    assert status in TRANSITIONS[Status.RUNNING]
    assert status is Status.SUCCESS or outcome.reason
