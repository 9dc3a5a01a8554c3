"""Every Redis key, spelled once.

The first two of the names below are read by other programs and fixed; the rest are ours.
"""

from __future__ import annotations

from orchestrator.errors import StateError
from orchestrator.frozen import TYPE_CHECKING, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA_VERSION = "1"
"""Of everything below `orchestrator:{env}:{prefix}`; a store with another one is refused."""


@frozen
class Keys:
    """The keys of one env.

    Attributes:
        env: the deployment's name; it separates keys, never behaviour.
        prefix: the configurable part, `arbitrage` unless set.
    """

    env: str
    prefix: str = "arbitrage"

    @property
    def _root(self) -> str:
        return f"orchestrator:{self.env}:{self.prefix}"

    def job(self, session_id: str, job_id: str) -> str:
        """Return the hash of a job (the name is fixed)."""
        return f"{self._root}:session:{session_id}:job:{job_id}"

    def iteration(self, mode: str, session_id: str, worker_id: str, iteration: int | str) -> str:
        """Return the hash of one iteration's record (the name is fixed)."""
        worker = f"tuning:{self.env}:{mode}:{self.prefix}:tuning_session:{session_id}:worker:{worker_id}"
        return f"{worker}:iteration:{iteration}"

    # --- of a session -------------------------------------------------------------------------------------------

    def session(self, session_id: str) -> str:
        """Return the hash of a session: what was submitted, its status, its counters, its best."""
        return f"{self._root}:session:{session_id}"

    def jobs(self, session_id: str) -> str:
        """Return the list of a session's job ids, in the order of its workers."""
        return f"{self._root}:session:{session_id}:jobs"

    def events(self, session_id: str) -> str:
        """Return the capped stream of a session's transitions."""
        return f"{self._root}:session:{session_id}:events"

    def results(self, session_id: str) -> str:
        """Return the stream of a session's recorded iterations, in the order they were recorded."""
        return f"{self._root}:session:{session_id}:results"

    def prior(self, session_id: str) -> str:
        """Return the stream of the results that the session resumed from had when this one was submitted."""
        return f"{self._root}:session:{session_id}:prior"

    def candidates(self, session_id: str) -> str:
        """Return the hash worker → g and parameters of the iterations begun and not yet recorded."""
        return f"{self._root}:session:{session_id}:candidates"

    def points(self, session_id: str) -> str:
        """Return the hash point → g of the points that are claimed, so that none is evaluated twice."""
        return f"{self._root}:session:{session_id}:points"

    def failed(self, session_id: str) -> str:
        """Return the hash of FAILED iterations: the key of the record → its entry in the results."""
        return f"{self._root}:session:{session_id}:failed"

    def metrics(self, session_id: str) -> str:
        """Return the set of metric names seen."""
        return f"{self._root}:session:{session_id}:metrics"

    def holdout(self, session_id: str) -> str:
        """Return the hash of what was scored on the held-out days: `LOOK RESULT` by point; `looks`, `held_out`."""
        return f"{self._root}:session:{session_id}:holdout"

    def log(self, session_id: str, job_id: str) -> str:
        """Return the capped stream of a job's newest log records."""
        return f"{self._root}:session:{session_id}:log:{job_id}"

    def of_session(self, session_id: str, mode: str, jobs: Iterable[tuple[str, str, int]]) -> Iterator[str]:
        """Yield every key of a session, its own hash last: while that stands, the others can be found.

        Args:
            session_id: whose keys.
            mode: its mode.
            jobs: the job id, the worker id and the highest begun iteration of each job.
        """
        for job_id, worker_id, begun in jobs:
            for iteration in range(1, begun + 1):
                yield self.iteration(mode, session_id, worker_id, iteration)
            yield self.log(session_id, job_id)
            yield self.job(session_id, job_id)
        for name in (
            self.results,
            self.prior,
            self.candidates,
            self.points,
            self.failed,
            self.metrics,
            self.holdout,
            self.events,
            self.jobs,
        ):
            yield name(session_id)
        yield self.session(session_id)

    # --- of the env ---------------------------------------------------------------------------------------------

    @property
    def schema(self) -> str:
        """Return the string that holds the schema version."""
        return f"{self._root}:schema"

    @property
    def sessions(self) -> str:
        """Return the index: a sorted set of session ids by when they were submitted, ms."""
        return f"{self._root}:sessions"

    @property
    def active(self) -> str:
        """Return the set of the ids of sessions that are not terminal."""
        return f"{self._root}:active"

    @property
    def retention(self) -> str:
        """Return the sorted set of finished sessions by when their keys expire, ms."""
        return f"{self._root}:retention"

    @property
    def tokens(self) -> str:
        """Return the counter that fencing tokens come from."""
        return f"{self._root}:tokens"

    @property
    def looks(self) -> str:
        """Return the hash of how often each held-out day of which data was looked at, by whatever session; it stays."""
        return f"{self._root}:looks"

    @property
    def scored(self) -> str:
        """Return the hash of how many points were scored on each held-out day of which data; it stays as well."""
        return f"{self._root}:scored"

    @property
    def wake(self) -> str:
        """Return the capped stream that tells supervisors of sessions of which something is wanted."""
        return f"{self._root}:wake"

    @property
    def paused(self) -> str:
        """Return the string that is there while the whole env begins no job."""
        return f"{self._root}:paused"

    @property
    def daemon(self) -> str:
        """Return the string that names the owner which serves the whole env; it expires with the daemon."""
        return f"{self._root}:daemon"

    @property
    def standby(self) -> str:
        """Return the string that names an owner which would serve the env if its daemon did not; it expires with it."""
        return f"{self._root}:standby"

    @property
    def reloaded(self) -> str:
        """Return the string that says what came of the daemon's last reload; it expires."""
        return f"{self._root}:reloaded"

    def owner(self, owner_id: str) -> str:
        """Return the lease of one supervisor: it exists while the supervisor lives, and says who it is."""
        return f"{self._root}:owner:{owner_id}"


def check_schema(version: str) -> None:
    """Refuse another schema version.

    Raises:
        StateError: it is not the one this program knows.
    """
    if version != SCHEMA_VERSION:
        raise StateError(
            f"the store holds schema version {version}, this program knows {SCHEMA_VERSION}: "
            "use the version of orch that wrote it, or another env or key prefix"
        )
