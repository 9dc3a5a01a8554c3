"""What verbs want of the store, and how they follow it, on real servers of both kinds."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hiredis import ReplyError

from orchestrator.client import Client
from orchestrator.clock import utc_now
from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.job import Status
from orchestrator.domain.record import Submission
from orchestrator.domain.session import SessionSpec
from orchestrator.errors import NotFoundError, StateError, StoreUnreachableError
from orchestrator.follow import LogReader, OutOfTimeError, PatientWire, iter_snapshots, jobs_of, wait_for_end
from orchestrator.store import calls
from orchestrator.store.calls import Cancellation, Retried
from orchestrator.store.calls.call import Script
from orchestrator.store.opening import StoreAddress
from orchestrator.store.wire import Wire
from orchestrator.wishes import Durability, Wishes, cancel_reason, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.store.keys import Keys


@pytest.fixture(params=["bundled", "system"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """Each of these tests runs on the bundled server and on the system's."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def client(redis_url: str, keys: Keys) -> Iterator[Client]:
    with Wire.connect(redis_url) as wire:
        yield Client(wire, keys)


@pytest.fixture
def wishes(client: Client) -> Wishes:
    return Wishes(client, utc_now, "ann", timedelta(days=30))


def submission(keys: Keys, **fields: Any) -> Submission:
    given: dict[str, Any] = {
        "session_id": "s",
        "total_iterations": 4,
        "workers": 2,
        "env": keys.env,
        "labels": {"team": "core"},
    }
    spec = SessionSpec.model_validate({**given, **fields}, strict=False)
    return Submission(spec=spec, seed=1, tuning="{}", metric="value", direction="maximize", cwd="/")


def cancellation(**fields: Any) -> Cancellation:
    given: dict[str, Any] = {"session_id": "s", "worker_id": "", "reason": "cancelled:ann: x", "grace": None}
    return Cancellation(**{**given, "actor": "ann", **fields})


def fail(client: Client, *, iterations: int) -> None:
    """Have the first job run and fail, some of its iterations recorded as FAILED."""
    job = client.get_session("s").jobs[0]
    adopted = client.do(calls.adopt(client.keys, "s", "me", utc_now()))
    assert isinstance(adopted, calls.Adopted)

    def move(expected: Status, to: Status) -> int:
        change = calls.Transition(
            session_id="s",
            job_id=job.job_id,
            token=adopted.token,
            op=f"{to}",
            expected=expected,
            to=to,
            actor="me",
            fields={"attempt": 1, "reason": "exit:3" if to is Status.FAILED else ""},
        )
        return client.do(calls.transition(client.keys, change, utc_now(), timedelta(days=1))).token

    token = move(Status.PENDING, Status.RUNNING)
    for iteration in range(1, iterations + 1):
        place = calls.Place(
            session_id="s",
            job_id=job.job_id,
            worker_id=job.worker_id,
            mode="paper",
            token=token,
            iteration=iteration,
            g=(iteration - 1) * 2,
        )
        client.do(calls.begin(client.keys, place, {"x": iteration}, "", {}))
        record = calls.Record(
            status=IterationStatus.FAILED,
            value=None,
            direction="maximize",
            fields={},
            result={"g": place.g, "status": "FAILED", "value": None, "params": {"x": iteration}},
            metrics=[],
        )
        client.do(calls.commit(client.keys, place, record, utc_now()))
    move(Status.RUNNING, Status.FAILED)


def test_a_session_is_handed_in_once_with_its_labels_and_its_author(wishes: Wishes, client: Client):
    assert wishes.submit(submission(client.keys)) is None
    again = wishes.submit(submission(client.keys, total_iterations=9))
    assert again is not None
    assert again.status is Status.PENDING
    snapshot = client.get_session("s")
    assert (snapshot.labels, snapshot.submitted_by, snapshot.total_iterations) == ({"team": "core"}, "ann", 4)
    (event,) = client.iter_events("s")
    assert (event["event"], event["to"], event["actor"]) == ("session.submitted", "PENDING", "ann")
    assert client.get_session("s", jobs=False).jobs == ()
    assert user_name()
    assert cancel_reason("ann", "") == "cancelled:ann: no reason given"


def handing_in(client: Client, jobs: int = 2, **more: Any) -> calls.Call[calls.Existing | None]:
    made = submission(client.keys, workers=jobs, total_iterations=jobs)
    shares = made.jobs(lambda: str(uuid4()))
    hashes = [job.to_hash() for job in shares]
    return calls.submit(client.keys, "s", made.record(shares, utc_now()), hashes, utc_now(), **more)


def test_a_session_sent_again_after_a_lost_reply_is_not_taken_for_another(client: Client) -> None:
    mine, other = handing_in(client), handing_in(client)
    assert client.do(mine) is None
    assert client.do(mine) is None
    assert isinstance(client.do(other), calls.Existing)
    assert len(client.get_session("s").jobs) == 2
    assert len(list(client.iter_events("s"))) == 1


@pytest.mark.parametrize("jobs", [calls.LARGE - 1, calls.LARGE, 2 * calls.LARGE + 345])
def test_a_large_session_is_whole_and_lives_on(wishes: Wishes, client: Client, jobs: int) -> None:
    assert wishes.submit(submission(client.keys, workers=jobs, total_iterations=jobs + 1)) is None
    snapshot = client.get_session("s")
    assert [job.worker_id for job in snapshot.jobs] == [f"worker-{number}" for number in range(1, jobs + 1)]
    assert {job.status for job in snapshot.jobs} == {Status.PENDING}
    assert {*client.ask(*(("TTL", client.keys.job("s", job.job_id)) for job in snapshot.jobs))} == {-1}
    assert wishes.cancel(cancellation()).cancelled == jobs
    snapshot = client.get_session("s")
    assert {snapshot.status, *(job.status for job in snapshot.jobs)} == {Status.CANCELLED}
    counters = ("HMGET", client.keys.session("s"), "jobs_PENDING", "jobs_CANCELLED")
    assert client.ask(counters) == [["0", str(jobs)]]


def test_jobs_that_were_sent_ahead_expire_where_no_session_comes_of_them(client: Client) -> None:
    hashes = [job.to_hash() for job in submission(client.keys).jobs(lambda: str(uuid4()))]
    for commands in calls.send_ahead(client.keys, "s", hashes):
        client.ask(*commands)
    names = [client.keys.job("s", job["job_id"]) for job in hashes]
    assert all(0 < left <= 3600 for left in client.ask(*(("TTL", name) for name in names)))
    with pytest.raises(StateError, match="took too long"):
        client.do(handing_in(client, sent_ahead=True))
    with pytest.raises(NotFoundError):
        client.get_status("s")
    assert client.list_sessions() == []


def test_a_write_is_waited_for_longer_than_an_answer(redis_url: str, keys: Keys) -> None:
    write = Script("write", "return {'done'}", "")
    with Wire.connect(redis_url, timedelta(milliseconds=500)) as wire:
        client = Client(wire, keys)
        client.ask(("CLIENT", "PAUSE", 1500, "ALL"))  # the server answers nobody for so long, in milliseconds
        assert client.do(calls.Call(write, (), (), lambda reply: reply)) == ["done"]
        client.ask(("CLIENT", "PAUSE", 1500, "ALL"))
        with pytest.raises(StoreUnreachableError, match="no answer in time"):
            client.ask(("PING",))


def test_a_removal_that_did_not_finish_is_finished_by_the_next(wishes: Wishes, client: Client) -> None:
    wishes.submit(submission(client.keys, workers=3))
    first, second, _ = client.get_session("s").jobs
    client.ask(("UNLINK", client.keys.job("s", first.job_id), client.keys.job("s", second.job_id)))
    assert [job.worker_id for job in client.get_session("s").jobs] == ["worker-3"]
    assert client.remove("s").session_id == "s"
    with pytest.raises(NotFoundError):
        client.get_session("s")
    assert client.session_names("") == []


def test_a_job_that_is_cancelled_while_it_waits_leaves_no_candidate(wishes: Wishes, client: Client) -> None:
    wishes.submit(submission(client.keys))
    job = client.get_session("s").jobs[0]
    adopted = client.do(calls.adopt(client.keys, "s", "me", utc_now()))
    assert isinstance(adopted, calls.Adopted)

    def move(expected: Status, to: Status) -> int:
        change = calls.Transition(
            session_id="s",
            job_id=job.job_id,
            token=adopted.token,
            op=uuid4().hex,
            expected=expected,
            to=to,
            actor="me",
            fields={"attempt": 1},
        )
        return client.do(calls.transition(client.keys, change, utc_now(), timedelta(days=1))).token

    place = calls.Place(
        session_id="s",
        job_id=job.job_id,
        worker_id=job.worker_id,
        mode="paper",
        token=move(Status.PENDING, Status.RUNNING),
        iteration=1,
        g=0,
    )
    client.do(calls.begin(client.keys, place, {"x": 1}, "", {}))
    move(Status.RUNNING, Status.PENDING)
    assert client.ask(("HLEN", client.keys.candidates("s"))) == [1]
    with pytest.raises(StateError, match="is PENDING"):
        move(Status.PENDING, Status.SUCCESS)  # it is PENDING, but the table has no such change
    wishes.cancel(cancellation(worker_id="worker-1"))
    assert client.ask(("HLEN", client.keys.candidates("s"))) == [0]


@pytest.mark.parametrize("failed", [0, 2])
def test_retry_takes_back_what_failed_and_keeps_the_keys(wishes: Wishes, client: Client, failed: int):
    wishes.submit(submission(client.keys))
    fail(client, iterations=failed)
    with pytest.raises(StateError, match="only what has ended"):
        wishes.retry("s")
    wishes.cancel(cancellation())
    keys = client.keys
    client.ask(("EXPIRE", keys.session("s"), 999), ("EXPIRE", keys.results("s"), 999))
    assert wishes.retry("s") == Retried(jobs=2, iterations=failed)
    snapshot = client.get_session("s")
    assert [job.status for job in snapshot.jobs] == [Status.PENDING] * 2
    assert (snapshot.completed_iterations, snapshot.failed_iterations) == (0, 0)
    assert [job.recorded for job in snapshot.jobs] == [0, 0]
    assert list(client.iter_results("s")) == []
    assert client.ask(("TTL", keys.session("s")))[0] == -1
    with pytest.raises(NotFoundError):
        wishes.retry("nobody")


def test_an_acknowledgement_says_what_it_survives(wishes: Wishes, client: Client):
    wishes.submit(submission(client.keys))
    can_tell = "redis_version:7.0" not in client.ask(("INFO", "server"))[0]
    assert wishes.make_durable() is (Durability.FSYNCED if can_tell else Durability.WRITTEN)
    client.ask(("CONFIG", "SET", "appendonly", "no"))
    try:
        assert wishes.make_durable() is Durability.MEMORY
    finally:
        client.ask(("CONFIG", "SET", "appendonly", "yes"))
    while "aof_rewrite_in_progress:1" in client.ask(("INFO", "persistence"))[0]:
        time.sleep(0.01)


class Unconfirming:
    """A server that does not get round to its fsync."""

    def pipeline(self, commands: Sequence[Sequence[str | bytes | int]], timeout: timedelta | None = None) -> list[Any]:
        assert timeout is None
        return [[0, 0] for _ in commands]


def test_what_is_not_confirmed_is_not_acknowledged(keys: Keys):
    wishes = Wishes(Client(Unconfirming(), keys), utc_now, "ann", timedelta(days=30))
    with pytest.raises(StoreUnreachableError, match="does not confirm"):
        wishes.make_durable()


def test_pausing_an_env_tells_every_supervisor(wishes: Wishes, client: Client):
    wishes.submit(submission(client.keys))
    wishes.pause_env(paused=True)
    assert client.get_session("s").env_paused
    assert client.list_sessions()[0].env_paused
    wishes.pause_env(paused=False)
    wishes.pause("s", paused=True)
    snapshot = client.get_session("s")
    assert (snapshot.env_paused, snapshot.paused) == (False, True)
    wakes = client.ask(("XRANGE", client.keys.wake, "-", "+"))[0]
    assert [fields[1] for _, fields in wakes] == ["s", "", "", "s"]


# --- following -----------------------------------------------------------------------------------------------------


def patient(url: str, **more: Any) -> PatientWire:
    return PatientWire(StoreAddress(url, None), more.pop("on_away", lambda _: None), lambda: None, **more)


def test_waiting_ends_with_the_session_or_with_its_time(wishes: Wishes, client: Client, redis_url: str):
    wishes.submit(submission(client.keys))
    with patient(redis_url, deadline=time.monotonic() + 0.2) as wire, pytest.raises(OutOfTimeError):
        wait_for_end(Client(wire, client.keys), wire, "s", lambda _: None)
    with patient(redis_url) as wire:
        seen: list[Status] = []

        def tell(snapshot: Any) -> None:
            if not seen:
                wishes.cancel(cancellation())
            seen.append(snapshot.status)

        assert wait_for_end(Client(wire, client.keys), wire, "s", tell).status is Status.CANCELLED
    assert seen == [Status.PENDING, Status.CANCELLED]


def test_a_store_that_is_away_is_waited_for_until_the_time_is_over(tmp_path: Any, keys: Keys):
    said: list[str] = []
    url = f"unix://{tmp_path}/none.sock"
    with patient(url, on_away=said.append, deadline=time.monotonic() + 0.5) as wire, pytest.raises(OutOfTimeError):
        Client(wire, keys).get_status("s")
    assert len(said) == 1
    assert "cannot be reached" in said[0]


def test_snapshots_are_the_same_object_until_something_changes(wishes: Wishes, client: Client):
    wishes.submit(submission(client.keys))
    looks = iter_snapshots(client, "s", timedelta(milliseconds=1))
    first = next(looks)
    assert next(looks) is first
    wishes.pause("s", paused=True)
    assert next(looks).paused
    wishes.cancel(cancellation())
    assert next(looks).status is Status.CANCELLED
    assert list(looks) == []


def test_a_dead_owner_is_noticed_although_its_lease_stands(wishes: Wishes, client: Client):
    wishes.submit(submission(client.keys))
    lease = json.dumps({"kind": "daemon", "host": "elsewhere", "identity": "1:2:x", "since": "2026"})
    client.ask(("SET", client.keys.daemon, "d"), ("SET", client.keys.owner("d"), lease))
    looks = iter_snapshots(client, "s", timedelta(milliseconds=1))
    assert next(looks).daemon
    found = client.find_daemon()
    assert found is not None
    assert found.host == "elsewhere"


def test_logs_are_read_in_order_and_followed_to_the_end(wishes: Wishes, client: Client):
    wishes.submit(submission(client.keys))
    snapshot = client.get_session("s")

    def write(job: int, second: int, attempt: int = 1) -> None:
        at = snapshot.jobs[job]
        record = {"time": f"00:0{second}", "worker_id": at.worker_id, "attempt": attempt, "line": str(second)}
        client.ask(("XADD", client.keys.log("s", at.job_id), "*", "record", json.dumps(record)))

    def lines(records: Sequence[Any]) -> list[str]:
        return [record.data["line"] for record in records]

    for job, second in ((1, 2), (0, 1), (1, 4), (0, 3)):
        write(job, second)
    write(1, 5, attempt=2)
    reader = LogReader(client, "s", snapshot.jobs)
    assert lines(reader.backlog(2)) == ["4", "5"]
    assert lines(reader.backlog(0)) == []
    assert lines(LogReader(client, "s", snapshot.jobs, attempt=1).backlog(1)) == ["4"]
    assert lines(LogReader(client, "s", jobs_of(snapshot, "worker-1")).backlog(None)) == ["1", "3"]
    assert lines(reader.backlog(None)) == ["1", "2", "3", "4", "5"]
    write(0, 6)
    followed = reader.follow()
    assert next(followed).data["line"] == "6"
    write(1, 8)
    write(0, 7)
    wishes.cancel(cancellation())
    assert lines(list(followed)) == ["7", "8"]
    with pytest.raises(NotFoundError, match="it has worker-1 to worker-2"):
        jobs_of(snapshot, "worker-3")
    client.remove("s")
    with pytest.raises(NotFoundError):
        next(reader.follow())


def test_a_refusal_is_an_error_unless_it_is_asked_for(client: Client):
    with pytest.raises(StoreUnreachableError, match="refuses"):
        client.ask(("NONSENSE",))
    assert isinstance(client.ask_leniently(("NONSENSE",))[0], ReplyError)
    assert client.ask() == []
