"""The store's atomic writes, on real servers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestrator.clock import utc_now
from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.job import TRANSITIONS, Status, TuningJob
from orchestrator.errors import FencedError, NotFoundError, StateError
from orchestrator.store import calls
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.redis import RedisStore

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.store.keys import Keys

pytestmark = pytest.mark.every_python


@pytest.fixture(params=["bundled", "system"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """Each of these tests runs on the bundled server and on the system's."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def a_job(session_id: str, number: int = 1, **more: Any) -> TuningJob:
    given: dict[str, Any] = {
        "job_id": str(uuid4()),
        "session_id": session_id,
        "worker_id": f"worker-{number}",
        "iterations": 3,
        "mode": "paper",
        "env": "docker",
        "optimizer": "random",
        "config_path": "tuning.yaml",
        "output_csv": f"out_worker-{number}.csv",
    }
    return TuningJob(**{**given, **more})


async def submit(store: RedisStore, session_id: str, jobs: int = 1) -> list[TuningJob]:
    made = [a_job(session_id, number) for number in range(1, jobs + 1)]
    record = {
        "session_id": session_id,
        "status": Status.PENDING,
        "spec_hash": "abc",
        "total_iterations": 3 * jobs,
        "jobs_PENDING": jobs,
        **{f"jobs_{status}": 0 for status in Status if status is not Status.PENDING},
    }
    assert await store.submit(session_id, record, [job.to_hash() for job in made]) is None
    return made


async def own(store: RedisStore, session_id: str, owner: str = "me") -> int:
    await store.renew(owner, '{"kind":"run"}', timedelta(seconds=60), {})
    answer = await store.adopt(session_id, owner)
    assert isinstance(answer, calls.Adopted)
    return answer.token


async def move(
    store: RedisStore, job: TuningJob, token: int, frm: Status, to: Status, op: str = "", **fields: object
) -> calls.Moved:
    change = calls.Transition(
        session_id=job.session_id,
        job_id=job.job_id,
        token=token,
        op=op or uuid4().hex,
        expected=frm,
        to=to,
        actor="test",
        fields=fields,
    )
    return await store.transition(change)


async def running(store: RedisStore, session_id: str) -> tuple[TuningJob, int, int]:
    """Return a RUNNING job, the session's token and the attempt's."""
    (job,) = await submit(store, session_id)
    token = await own(store, session_id)
    moved = await move(store, job, token, Status.PENDING, Status.RUNNING, attempt=1)
    return job, token, moved.token


def place(job: TuningJob, token: int, iteration: int = 1, g: int = 0) -> calls.Place:
    return calls.Place(
        session_id=job.session_id,
        job_id=job.job_id,
        worker_id=job.worker_id,
        mode=job.mode,
        token=token,
        iteration=iteration,
        g=g,
    )


def result(value: float | None, g: int = 0, direction: str = "maximize") -> calls.Record:
    status = IterationStatus.FAILED if value is None else IterationStatus.SUCCESS
    return calls.Record(
        status=status,
        value=value,
        direction=direction,
        fields={"value": value},
        result={"g": g, "value": value, "params": {}},
        metrics=["pnl"],
    )


# --- sessions ------------------------------------------------------------------------------------------------------


async def test_a_session_is_created_once_with_all_its_jobs(store: RedisStore) -> None:
    jobs = await submit(store, "s", jobs=3)
    assert await store.get_jobs("s") == jobs
    again = await store.submit("s", {"session_id": "s", "spec_hash": "other"}, [])
    assert again == calls.Existing("abc", Status.PENDING)
    assert await store.get_jobs("s") == jobs


async def test_two_shells_that_submit_at_once_make_one_session(store: RedisStore) -> None:
    record = {"session_id": "s", "status": "PENDING", "spec_hash": "abc"}
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(store.submit("s", record, [a_job("s").to_hash()])) for _ in range(2)]
    assert [task.result() for task in both] == [None, calls.Existing("abc", Status.PENDING)]
    assert len(await store.get_jobs("s")) == 1


async def test_a_store_of_another_schema_is_refused(store: RedisStore) -> None:
    await store.read("SET", store.keys.schema, "99")
    with pytest.raises(StateError, match="schema version 99"):
        await submit(store, "s")


async def test_an_owner_that_lives_is_not_replaced_and_a_dead_one_is(store: RedisStore) -> None:
    await submit(store, "s")
    first = await own(store, "s", "one")
    assert await store.adopt("s", "two") == calls.Owned("one", '{"kind":"run"}')
    taken = await store.adopt("s", "two", dead_owner="one")
    assert isinstance(taken, calls.Adopted)
    assert taken.token > first
    await store.release("two")
    await store.read("HSET", store.keys.session("s"), "completed_iterations", "2")
    assert isinstance(await store.adopt("s", "three"), calls.Adopted)
    record = await store.get_session("s")
    assert record["adopted_with"] == "2"  # the pace is that of the new owner


async def test_a_lease_that_lapsed_leaves_the_session_to_the_next(store: RedisStore) -> None:
    await submit(store, "s")
    await own(store, "s", "one")
    await store.renew("one", "{}", timedelta(milliseconds=1), {})
    while await store.read("EXISTS", store.keys.owner("one")):
        await asyncio.sleep(0)
    assert isinstance(await store.adopt("s", "two"), calls.Adopted)


async def test_renewing_tells_which_sessions_were_taken(store: RedisStore) -> None:
    await submit(store, "s")
    await submit(store, "t")
    tokens = {name: await own(store, name, "one") for name in ("s", "t")}
    await store.adopt("t", "two", dead_owner="one")
    assert await store.renew("one", "{}", timedelta(seconds=9), tokens) == calls.Renewed(("t",), contested=False)


async def test_renewing_tells_whether_somebody_waits(store: RedisStore) -> None:
    long = timedelta(seconds=60)

    async def contested(owner_id: str) -> bool:
        return (await store.renew(owner_id, "{}", long, {})).contested

    assert await store.serve("serving", long) is None
    assert not await contested("serving")
    assert await contested("run")  # the daemon takes what nobody runs any more
    assert await store.serve("waiting", long) == calls.Owned("serving", "{}")
    assert await contested("serving")
    await store.serve("waiting", timedelta(0))
    assert not await contested("serving")
    await store.serve("waiting", long)
    await store.serve("serving", timedelta(0))
    assert await store.serve("waiting", long) is None
    assert not await contested("waiting")


async def test_what_is_not_there_is_not_found(store: RedisStore) -> None:
    with pytest.raises(NotFoundError, match="no session nobody"):
        await store.adopt("nobody", "me")
    with pytest.raises(NotFoundError):
        await move(store, a_job("nobody"), 1, Status.PENDING, Status.RUNNING)


# --- jobs ----------------------------------------------------------------------------------------------------------


async def test_a_stale_token_moves_nothing(store: RedisStore) -> None:
    (job,) = await submit(store, "s")
    stale = await own(store, "s", "one")
    await store.adopt("s", "two", dead_owner="one")
    with pytest.raises(FencedError):
        await move(store, job, stale, Status.PENDING, Status.RUNNING)
    assert (await store.get_job("s", job.job_id)).status is Status.PENDING


async def test_a_change_that_is_sent_again_is_done_once(store: RedisStore) -> None:
    (job,) = await submit(store, "s")
    token = await own(store, "s")
    first = await move(store, job, token, Status.PENDING, Status.RUNNING, op="once")
    again = await move(store, job, token, Status.PENDING, Status.RUNNING, op="once")
    assert first == again
    fields = await store.get_session("s")
    assert (fields["jobs_PENDING"], fields["jobs_RUNNING"]) == ("0", "1")


async def test_each_attempt_has_a_token_of_its_own(store: RedisStore, keys: Keys) -> None:
    job, token, first = await running(store, "s")
    await move(store, job, token, Status.RUNNING, Status.PENDING)
    second = (await move(store, job, token, Status.PENDING, Status.RUNNING)).token
    assert second > first
    with pytest.raises(FencedError):
        await store.note(job, first, {"pid": 1})
    for call in (
        calls.begin(keys, place(job, first), {"x": 1}, "", {}),
        calls.commit(keys, place(job, first), result(1.0), utc_now()),
    ):
        with pytest.raises(FencedError):
            await store.do(call)
    await store.note(job, second, {"pid": 2})
    assert (await store.get_job("s", job.job_id)).pid == 2


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_session_follows_its_jobs(store: RedisStore, data: st.DataObject) -> None:
    """Random walks: an obvious model in Python says what the counters and the session's status must be."""
    session_id = uuid4().hex
    jobs = await submit(store, session_id, jobs=data.draw(st.integers(1, 4)))
    token = await own(store, session_id)
    model = {job.job_id: Status.PENDING for job in jobs}
    begun = False
    for _ in range(data.draw(st.integers(1, 12))):
        job = data.draw(st.sampled_from(jobs))
        expected, to = data.draw(st.sampled_from(Status)), data.draw(st.sampled_from(Status))
        if to not in TRANSITIONS[expected]:
            continue
        if model[job.job_id] is not expected:
            with pytest.raises(StateError):
                await move(store, job, token, expected, to)
            continue
        await move(store, job, token, expected, to)
        model[job.job_id] = to
        begun = begun or to is Status.RUNNING
    fields = await store.get_session(session_id)
    states = list(model.values())
    for status in Status:
        assert int(fields[f"jobs_{status}"]) == states.count(status)
    if all(status.terminal for status in states):
        worst = next(s for s in (Status.FAILED, Status.CANCELLED, Status.SUCCESS) if s in states)
        assert fields["status"] == worst
        assert fields["finished_at"]
    else:
        assert fields["status"] == (Status.RUNNING if begun else Status.PENDING)
    active = await store.read("SISMEMBER", store.keys.active, session_id)
    assert bool(active) == (not Status(fields["status"]).terminal)


# --- iterations ----------------------------------------------------------------------------------------------------


async def test_an_iteration_is_recorded_once(store: RedisStore, keys: Keys) -> None:
    job, _, token = await running(store, "s")
    where = place(job, token)
    await store.note(job, token, {"lost": 2})
    assert await store.do(calls.begin(keys, where, {"x": 1}, "", {})) == calls.Begun('{"x":1}')
    assert await store.do(calls.commit(keys, where, result(2.5), utc_now())) is True
    assert await store.do(calls.commit(keys, where, result(9.9), utc_now())) is False
    assert await store.do(calls.begin(keys, where, {"x": 2}, "", {})) == calls.Recorded()
    fields = await store.get_session("s")
    assert (fields["completed_iterations"], fields["best_value"]) == ("1", "2.5")
    assert await store.read("XLEN", keys.results("s")) == 1
    after = await store.get_job("s", job.job_id)
    assert (after.recorded, after.lost) == (1, 0)
    record = await store.read("HGETALL", where.key(keys))
    assert (record["status"], record["params_x"], record["value"]) == ("SUCCESS", "1", "2.5")


async def test_whoever_resumes_gets_the_parameters_that_were_stored(store: RedisStore, keys: Keys) -> None:
    job, token, first = await running(store, "s")
    await store.do(calls.begin(keys, place(job, first), {"x": 0.1}, "p", {}))
    await move(store, job, token, Status.RUNNING, Status.PENDING)
    second = (await move(store, job, token, Status.PENDING, Status.RUNNING)).token
    answer = await store.do(calls.begin(keys, place(job, second), {"x": 0.2}, "q", {}))
    assert answer == calls.Begun('{"x":0.1}')
    assert (await store.read("HGETALL", place(job, second).key(keys)))["params_x"] == "0.1"


async def test_whoever_resumes_is_seen_by_the_others_as_before(store: RedisStore, keys: Keys) -> None:
    job, token, first = await running(store, "s")
    await store.do(calls.begin(keys, place(job, first), {"x": 0.1 + 0.2}, "", {}))
    before = await store.read("HGETALL", keys.candidates("s"))
    await move(store, job, token, Status.RUNNING, Status.FAILED)
    await store.do(calls.retry(keys, "s", "test", utc_now()))
    second = (await move(store, job, await own(store, "s"), Status.PENDING, Status.RUNNING)).token
    await store.do(calls.begin(keys, place(job, second), {"x": 0.9}, "", {}))
    assert await store.read("HGETALL", keys.candidates("s")) == before
    assert json.loads(before["worker-1"]) == {"g": 0, "params": {"x": 0.1 + 0.2}}


async def test_a_retry_touches_only_what_failed_however_many_iterations_there_are(
    store: RedisStore, keys: Keys
) -> None:
    job = a_job("s", iterations=100_000)
    fields: dict[str, object] = {"status": "PENDING", "jobs_PENDING": 1}
    await store.submit("s", fields | {f"jobs_{status}": 0 for status in Status if status != "PENDING"}, [job.to_hash()])
    token = await own(store, "s")
    attempt = (await move(store, job, token, Status.PENDING, Status.RUNNING)).token
    failed = place(job, attempt, 2, g=1)
    for where, value in ((place(job, attempt), 1.0), (failed, None)):
        await store.do(calls.begin(keys, where, {"x": 1}, "", {}))
        measured = dataclasses.replace(result(value, where.g), fields={"value": value, "metrics_size": 3})
        await store.do(calls.commit(keys, where, measured, utc_now()))
    await move(store, job, token, Status.RUNNING, Status.FAILED)
    before = int((await store.read("INFO", "commandstats"))["cmdstat_hmget"]["calls"])
    assert await store.do(calls.retry(keys, "s", "test", utc_now())) == calls.Retried(jobs=1, iterations=1)
    assert int((await store.read("INFO", "commandstats"))["cmdstat_hmget"]["calls"]) < before + 1000
    record = await store.read("HGETALL", failed.key(keys))
    assert record["status"] == "RUNNING"
    assert "metrics_size" not in record  # what is evaluated again may measure other things
    assert (await store.read("HGETALL", place(job, attempt).key(keys)))["status"] == "SUCCESS"
    assert await store.read("EXISTS", keys.failed("s")) == 0
    again = await store.get_job("s", job.job_id)
    assert (again.recorded, again.failed) == (1, 0)
    assert [fields["result"] for _, fields in await store.read("XRANGE", keys.results("s"), "-", "+")] == [
        calls.dumps(result(1.0).result)
    ]


async def test_a_point_belongs_to_the_first_who_claims_it(store: RedisStore, keys: Keys) -> None:
    job, _, token = await running(store, "s")
    await store.do(calls.begin(keys, place(job, token, 1, g=0), {"x": 1}, "x=1", {}))
    assert await store.do(calls.begin(keys, place(job, token, 2, g=1), {"x": 1}, "x=1", {})) == calls.Taken(0)
    assert await store.read("EXISTS", place(job, token, 2).key(keys)) == 0


async def test_bars_are_stored_with_the_candidate_and_stay_as_they_were(store: RedisStore, keys: Keys) -> None:
    job, _, token = await running(store, "s")
    where = place(job, token)
    bars = "[null,[0.1,9,18]]"
    assert await store.do(calls.begin(keys, where, {"x": 1}, "", {}, None, bars)) == calls.Begun('{"x":1}', bars)
    assert await store.do(calls.begin(keys, where, {"x": 2}, "", {}, None, "[]")) == calls.Begun('{"x":1}', bars)
    assert await store.read("HGET", where.key(keys), "bars") == bars


async def test_what_was_pruned_is_recorded_and_neither_best_nor_failed(store: RedisStore, keys: Keys) -> None:
    job, _, token = await running(store, "s")
    pruned = dataclasses.replace(result(None), status=IterationStatus.PRUNED)
    await store.do(calls.commit(keys, place(job, token), pruned, utc_now()))
    assert await store.do(calls.commit(keys, place(job, token), result(1.0), utc_now())) is False
    fields = await store.get_session("s")
    counts = [fields.get(f"{name}_iterations", "0") for name in ("completed", "failed", "pruned")]
    assert (counts, fields.get("best_value")) == (["1", "0", "1"], None)
    (known,) = await store.get_jobs("s")
    assert (known.recorded, known.failed) == (1, 0)


async def test_a_candidate_is_pending_until_its_iteration_or_its_job_ends(store: RedisStore, keys: Keys) -> None:
    job, token, attempt = await running(store, "s")
    await store.do(calls.begin(keys, place(job, attempt), {"x": 1}, "", {}))
    assert await store.read("HKEYS", keys.candidates("s")) == ["worker-1"]
    await store.do(calls.commit(keys, place(job, attempt), result(1.0), utc_now()))
    assert await store.read("HLEN", keys.candidates("s")) == 0
    await store.do(calls.begin(keys, place(job, attempt, 2, g=1), {"x": 2}, "", {}))
    await move(store, job, token, Status.RUNNING, Status.FAILED)
    assert await store.read("HLEN", keys.candidates("s")) == 0


@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("maximize", [1.0, 3.0, 2.0], "3.0"),
        ("minimize", [2.0, -1.0, 0.0], "-1.0"),
        ("maximize", [None, -5.0, None], "-5.0"),
        ("minimize", [None, None, None], None),
    ],
)
async def test_the_best_is_kept(
    store: RedisStore, keys: Keys, direction: str, values: list[float | None], best: str | None
) -> None:
    job, _, token = await running(store, "s")
    for g, value in enumerate(values):
        await store.do(calls.commit(keys, place(job, token, g + 1, g), result(value, g, direction), utc_now()))
    fields = await store.get_session("s")
    assert fields.get("best_value") == best
    assert int(fields["failed_iterations"] if None in values else 0) == values.count(None)


async def test_of_equals_the_one_that_was_dealt_first_is_best(store: RedisStore, keys: Keys) -> None:
    job, _, token = await running(store, "s")
    for iteration, g in ((1, 5), (2, 2), (3, 9)):
        await store.do(calls.commit(keys, place(job, token, iteration, g), result(1.0, g), utc_now()))
    assert (await store.get_session("s"))["best_g"] == "2"


# --- connections ---------------------------------------------------------------------------------------------------


async def test_many_callers_share_one_connection_in_order(store: RedisStore, keys: Keys) -> None:
    async with asyncio.TaskGroup() as tasks:
        counts = [tasks.create_task(store.read("INCR", f"{keys.tokens}:n")) for _ in range(500)]
    assert [task.result() for task in counts] == list(range(1, 501))


async def test_a_cancelled_caller_leaves_the_replies_of_others_alone(store: RedisStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        doomed = [tasks.create_task(store.read("ECHO", f"doomed {n}")) for n in range(50)]
        kept = [tasks.create_task(store.read("ECHO", f"kept {n}")) for n in range(50)]
        await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
    assert [task.result() for task in kept] == [f"kept {n}" for n in range(50)]


async def test_what_was_posted_is_sent_before_the_store_closes(
    settings: Settings, keys: Keys, store: RedisStore
) -> None:
    assert settings.redis_url
    async with RedisStore(settings.redis_url, keys, utc_now, settings.retention) as other:
        for n in range(100):
            other.post("RPUSH", keys.jobs("posted"), n)
    assert await store.read("LLEN", keys.jobs("posted")) == 100


async def test_scripts_that_the_server_forgot_are_loaded_again(store: RedisStore) -> None:
    await submit(store, "s")
    await store.read("SCRIPT", "FLUSH")
    assert isinstance(await store.adopt("s", "me"), calls.Adopted)


async def test_the_blocking_store_speaks_the_same_calls(settings: Settings, keys: Keys, store: RedisStore) -> None:
    job, _, token = await running(store, "s")
    await store.read("SCRIPT", "FLUSH")
    assert settings.redis_url
    blocking = BlockingStore(settings.redis_url, keys)
    try:
        answer = blocking.do(calls.begin(keys, place(job, token), {"x": 1}, "", {}))
        assert answer == calls.Begun('{"x":1}')
        assert blocking.do(calls.commit(keys, place(job, token), result(1.0), utc_now())) is True
        assert blocking.read("HGET", keys.session("s"), "completed_iterations") == "1"
    finally:
        blocking.close()
