"""What verbs want of the store: a session handed in, cancelled, tried again, paused. Each is acknowledged when durable.

A wish is a fact in the store, not a message: whoever serves the env carries it out, now or after its next start.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

from hiredis import ReplyError

from orchestrator.errors import StoreUnreachableError
from orchestrator.store import calls

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.clock import Clock
    from orchestrator.domain.record import Submission
    from orchestrator.store.calls import Cancellation, Cancelled, Existing, Retried

_CHUNK = 1000
_ASKED_FOR = timedelta(seconds=4)  # a server is not asked to keep us waiting for as long as a `Wire` has patience
_ASKED_TIMES = 5


class Durability(StrEnum):
    """What an acknowledged wish survives."""

    FSYNCED = "fsynced"
    """A power cut: it is on the server's disk."""
    WRITTEN = "written"
    """The server's death: it is in the append-only file, which the kernel writes to the disk within seconds."""
    MEMORY = "memory"
    """Nothing: the server keeps no append-only file."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Changes what is wanted of the sessions of an env.

    Attributes:
        actor: who wants it; named in the events.
        retention: how long the keys of a session that ends by this live.
    """

    client: Client
    clock: Clock
    actor: str
    retention: timedelta

    def submit(self, submission: Submission) -> Existing | None:
        """Hand a session in; return what was there already, or None.

        Raises:
            StateError: the store holds another schema version.
        """
        now = self.clock()
        jobs = submission.jobs(lambda: str(uuid4()))
        record = submission.record(jobs, now, self.actor)
        hashes = [job.to_hash() for job in jobs]
        client, name, is_large = self.client, submission.spec.session_id, len(hashes) >= calls.LARGE
        for commands in calls.send_ahead(client.keys, name, hashes if is_large else ()):
            client.ask(*commands)
        return client.do(calls.submit(client.keys, name, record, hashes, now, sent_ahead=is_large))

    def cancel(self, wish: Cancellation) -> Cancelled:
        """Have jobs end.

        Raises:
            NotFoundError: there is no such session, or no such worker in it.
            StateError: it has ended.
        """
        return self.client.do(calls.cancel(self.client.keys, wish, self.clock(), self.retention))

    def retry(self, session_id: str) -> Retried:
        """Have what failed or was cancelled run again; its keys live on.

        Raises:
            NotFoundError: there is no such session.
            StateError: it has not ended, or nothing of it failed.
        """
        client = self.client
        snapshot = client.get_session(session_id)
        retried = client.do(calls.retry(client.keys, session_id, self.actor, self.clock()))
        shares = ((job.job_id, job.worker_id, job.begun) for job in snapshot.jobs)
        names = client.keys.of_session(session_id, snapshot.mode, shares)
        while chunk := list(islice(names, _CHUNK)):
            client.ask(*(("PERSIST", name) for name in chunk))
        return retried

    def pause(self, session_id: str, *, paused: bool) -> None:
        """Have a session begin no job, or begin jobs again.

        Raises:
            NotFoundError: there is no such session.
            StateError: it has ended.
        """
        self.client.do(calls.pause(self.client.keys, session_id, self.actor, self.clock(), paused=paused))

    def pause_env(self, *, paused: bool) -> None:
        """Have no session of the env begin a job, or all begin again."""
        self.client.do(calls.pause_env(self.client.keys, self.actor, self.clock(), paused=paused))

    def make_durable(self) -> Durability:
        """Wait until what this connection has written is as safe as the server can make it, and say how safe that is.

        Valkey and Redis from 7.2 on are asked to wait for their own fsync (WAITAOF). An older one has the write in its
        append-only file before it answers, but cannot tell when that reaches the disk.

        Raises:
            StoreUnreachableError: the server does not confirm its fsync; what was written may be kept or lost.
        """
        command = ("WAITAOF", 1, 0, round(_ASKED_FOR.total_seconds() * 1000))
        for _ in range(_ASKED_TIMES):
            (reply,) = self.client.ask_leniently(command)
            if isinstance(reply, ReplyError):
                return self._less_durable(reply)
            if reply[0]:
                return Durability.FSYNCED
        raise StoreUnreachableError(
            "the store has taken it, but does not confirm that it is on its disk: `orch doctor` may say why, and the "
            "same command again is safe"
        )

    def _less_durable(self, refusal: ReplyError) -> Durability:
        if "appendonly is disabled" in str(refusal):
            return Durability.MEMORY
        (info,) = self.client.ask(("INFO", "persistence"))
        return Durability.WRITTEN if "aof_enabled:1" in info else Durability.MEMORY


def user_name() -> str:
    """Return the name of the user who runs this process."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"uid-{os.geteuid()}"


def cancel_reason(actor: str, why: str) -> str:
    """Return the reason that cancelled jobs are given."""
    return f"cancelled:{actor}: {why or 'no reason given'}"
