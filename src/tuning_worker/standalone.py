"""A worker started by hand: it submits a session of one job and is its own supervisor."""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from orchestrator.clock import utc_now
from orchestrator.domain.documents import Document, validate
from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.outcome import Ended, Finish, RetryPolicy, WorkerExit
from orchestrator.domain.record import Submission
from orchestrator.domain.session import SessionSpec, choose_seed, session_hash
from orchestrator.domain.steps import Step, end_step, start_step
from orchestrator.errors import FencedError, Problem, SpecError, StateError, StoreUnreachableError
from orchestrator.settings import load_settings
from orchestrator.store import calls
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.keys import Keys
from orchestrator.store.lease import Lease
from orchestrator.store.opening import open_store
from tuning_worker.check import check
from tuning_worker.run import Say, Worker, set_verdict
from tuning_worker.share import find_share

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

_HARMLESS = (WorkerExit.DONE, WorkerExit.STOPPED)  # what does not tell that the session has ended badly
_ONE_ATTEMPT = RetryPolicy(1, timedelta(0), timedelta(0))


def run(options: argparse.Namespace, stop: Callable[[], bool], say: Say) -> int:
    """Run one worker's iterations as a session of their own; return the exit code.

    Raises:
        SpecError: an option or the tuning config is wrong.
        StateError: a session of that id is there, and is another or has ended, or somebody runs it.
    """
    cwd = Path.cwd()
    submission = _submission(options, cwd)
    settings = load_settings(os.environ, cwd, {"env": submission.spec.env})
    with ExitStack() as stack:
        address = stack.enter_context(open_store(settings))
        keys = Keys(settings.env, settings.key_prefix)
        store = BlockingStore(address.url, keys, give_up=stop, revive=address.revive)
        stack.callback(store.close)
        owner_id = stack.enter_context(_lease(address.url, keys, settings.lease_ttl, stop))
        alone = _Alone(store, submission, settings.retention, owner_id)
        job = alone.claim(options.worker_id, options.output_csv)
        share = find_share(store, job.session_id, job.job_id, job.token or 0)
        try:
            code = Worker(store, share, utc_now, lambda: stop() or alone.is_cancelled(job), say).run()
        except StateError as error:
            if not isinstance(error, FencedError):
                set_verdict(store, share, str(error))
                alone.conclude(job, WorkerExit.BROKEN)
            raise
        return alone.conclude(job, code)


def _submission(options: argparse.Namespace, cwd: Path) -> Submission:
    fields = {
        "session_id": options.session_id,
        "total_iterations": options.iterations,
        "workers": 1,
        "mode": options.mode,
        "env": options.env,
        "config_path": options.config,
        "base_output_csv": options.output_csv.removesuffix(".csv"),
        **({"optimizer": options.optimizer} if options.optimizer else {}),
    }
    spec = validate(Document("the options", fields), SessionSpec)
    answer = check(Path(options.config), options.optimizer, options.iterations, choose_seed(spec))
    if answer["problems"]:
        raise SpecError(tuple(Problem(**problem) for problem in answer["problems"]))
    return Submission(
        spec=spec.model_copy(update={"optimizer": answer["optimizer"]}),
        seed=choose_seed(spec, answer["seed"]),
        tuning=answer["tuning"],
        metric=answer["metric"],
        direction=answer["direction"],
        reproduction=answer["reproduction"],
        cwd=str(cwd),
    )


@contextmanager
def _lease(url: str, keys: Keys, ttl: timedelta, stop: Callable[[], bool]) -> Iterator[str]:
    """Hold an owner's lease, renewed by a thread: an iteration may outlast it. Yields the owner's id."""
    owner_id = f"worker-{uuid4().hex[:12]}"
    over = threading.Event()
    store = BlockingStore(url, keys, give_up=lambda: over.is_set() or stop())
    call = calls.renew(keys, owner_id, str(Lease.own("worker", utc_now())), ttl, {})

    def renew() -> None:
        while not over.wait(ttl.total_seconds() / 3):
            with suppress(StoreUnreachableError):
                store.do(call)

    store.do(call)
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield owner_id
    finally:
        over.set()
        thread.join()
        with suppress(StoreUnreachableError):
            store.read("DEL", keys.owner(owner_id))
        store.close()


class _Alone:
    """The part of a supervisor that a worker without one needs."""

    def __init__(self, store: BlockingStore, submission: Submission, retention: timedelta, owner_id: str) -> None:
        self._store = store
        self._keys = store.keys
        self._submission = submission
        self._session_id = submission.spec.session_id
        self._retention = retention
        self._owner = owner_id
        self._token = 0

    def claim(self, worker_id: str, output_csv: str) -> TuningJob:
        """Submit the session, or find it unfinished, own it, and start its one job."""
        (job,) = self._submission.jobs(lambda: str(uuid4()))
        job = replace(job, worker_id=worker_id, output_csv=output_csv)
        # Born owned: a daemon, which the submit wakes, finds it taken.
        record = {**self._submission.record([job], utc_now()), "owner": self._owner}
        existing = self._store.do(calls.submit(self._keys, self._session_id, record, [job.to_hash()], utc_now()))
        if existing and existing.spec_hash != session_hash(self._submission.spec):
            raise StateError(f"session {self._session_id} is there already and is another: choose another --session-id")
        self._adopt()
        if existing:
            (job_id,) = self._store.read("LRANGE", self._keys.jobs(self._session_id), 0, -1)
            job = TuningJob.from_hash(self._store.read("HGETALL", self._keys.job(self._session_id, job_id)))
            if job.worker_id != worker_id:
                raise StateError(f"session {self._session_id} is there already and is {job.worker_id}'s")
            if job.status is Status.RUNNING:  # its worker is dead, or it could not have been adopted
                self._move(job, Step(job.attempt, job.status, Status.PENDING, {"reason": "lost"}))
        step = start_step(job, utc_now(), socket.gethostname(), "none", os.getpid())
        return replace(job, status=step.to, attempt=step.attempt, token=self._move(job, step))

    def is_cancelled(self, job: TuningJob) -> bool:
        """Whether somebody wants the job to end."""
        return bool(self._store.read("HGET", self._keys.job(job.session_id, job.job_id), "cancel"))

    def conclude(self, job: TuningJob, code: WorkerExit) -> int:
        """Write how the job ended; return the exit code of the program."""
        now = TuningJob.from_hash(self._store.read("HGETALL", self._keys.job(job.session_id, job.job_id)))
        ended = Ended(code=code, intent="interrupted" if code is WorkerExit.STOPPED else "")
        after, step = end_step(now, ended, _ONE_ATTEMPT, 0.0, utc_now())
        self._move(now, step)
        if isinstance(after, Finish) and after.status is not Status.SUCCESS and code in _HARMLESS:
            end = f"session {job.session_id} is {after.status}: {after.reason}"
            print(f"tuning-worker: {end}", file=sys.stderr)  # noqa: T201 - there is no other place
            return WorkerExit.FAILED
        return code

    def _adopt(self) -> None:
        keys = self._keys
        answer = self._store.do(calls.adopt(keys, self._session_id, self._owner, utc_now()))
        if isinstance(answer, calls.Owned) and Lease.parse(answer.lease).gone():
            answer = self._store.do(calls.adopt(keys, self._session_id, self._owner, utc_now(), answer.owner_id))
        match answer:
            case calls.Adopted(token):
                self._token = token
            case calls.Over(status):
                raise StateError(f"session {self._session_id} has ended ({status}): choose another --session-id")
            case calls.Owned(owner_id):
                raise StateError(f"session {self._session_id} is being run by {owner_id}")

    def _move(self, job: TuningJob, step: Step) -> int:
        change = calls.Transition.of(job, step, token=self._token, actor=self._owner)
        return self._store.do(calls.transition(self._keys, change, utc_now(), self._retention)).token
