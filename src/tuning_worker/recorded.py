"""A session as it was recorded, read back for whoever judges it, scores its best, or evaluates it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from orchestrator.domain.iteration import IterationStatus
from orchestrator.errors import NotFoundError
from tuning_worker.config import TuningConfig, load_tuning_config
from tuning_worker.pruner import read_bars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.evaluation import Split
    from tuning_worker.objectives.protocol import Metrics, Params
    from tuning_worker.pruner import Bars

Direction: TypeAlias = Literal["maximize", "minimize"]

_CHUNK = 500  # records a round trip
_KEPT = ("daily", "capital", "bars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One recorded iteration.

    Attributes:
        value: the objective's; None where it is no SUCCESS.
        daily: profit and loss of each UTC day (ISO 8601) in the quote currency; None where the objective tells none.
        capital: what they are to be divided by to become returns, or None.
        intermediate: the objective's metric after each fold before a result; empty where it was not told.
        bars: what it had to reach to go on.
    """

    g: int
    worker_id: str
    iteration: int
    status: str
    value: float | None
    params: Params
    metrics: Metrics
    daily: Mapping[str, float] | None = None
    capital: float | None = None
    intermediate: Sequence[float | None] = ()
    bars: Bars = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """What is recorded of a session.

    Attributes:
        config: its tuning config as it was submitted.
        trials: its recorded iterations, by g.
        fields: all of its record.
    """

    session_id: str
    metric: str
    direction: Direction
    config: TuningConfig
    trials: tuple[Trial, ...]
    fields: Mapping[str, Any]

    @property
    def split(self) -> Split | None:
        """How its days are split; None where they are not."""
        return getattr(self.config.objective, "split", None)

    def pruned(self) -> list[Trial]:
        """Return the iterations that were stopped half-way, each point once; none that has a value elsewhere."""
        valued = {point(trial.params) for trial in self.trials if trial.value is not None}
        stopped = {point(each.params): each for each in self.trials if each.status == IterationStatus.PRUNED}
        return [trial for name, trial in stopped.items() if name not in valued]

    def ranked(self) -> list[Trial]:
        """Return the iterations that have a value, best first, each point once; of equals the one dealt first."""
        sign = -1 if self.direction == "maximize" else 1
        valued = [trial for trial in self.trials if trial.value is not None]
        valued.sort(key=lambda trial: (sign * cast("float", trial.value), trial.g))
        found: dict[str, Trial] = {}
        for trial in valued:
            found.setdefault(point(trial.params), trial)
        return list(found.values())


def point(params: Params) -> str:
    """Return one text for one point, whatever the order of its parameters."""
    return json.dumps(dict(params), sort_keys=True)


def session_of(record: Mapping[str, Any], iterations: Iterable[Mapping[str, Any]]) -> RecordedSession:
    """Make a session of what the store has.

    Args:
        record: the fields of its hash; `tuning` as text or as what it says.
        iterations: each result with the other fields of its hash; `daily` as text or as what it says.
    """
    tuning = record["tuning"]
    text = tuning if isinstance(tuning, str) else json.dumps(tuning)
    session_id = record["session_id"]
    return RecordedSession(
        session_id=session_id,
        metric=record["metric"],
        direction=record["direction"],
        config=load_tuning_config(text, f"the tuning config of session {session_id}"),
        trials=tuple(sorted(map(_trial, iterations), key=lambda trial: trial.g)),
        fields=record,
    )


def read_session(store: BlockingStore, session_id: str) -> RecordedSession:
    """Read a session and all of its iterations.

    Raises:
        NotFoundError: there is no such session.
        StoreUnreachableError: the store does not answer.
    """
    keys = store.keys
    record = store.read("HGETALL", keys.session(session_id))
    if not record:
        raise NotFoundError(f"there is no session {session_id} in env {keys.env}: `orch status` lists them")
    entries = store.read("XRANGE", keys.results(session_id), "-", "+")
    results = [json.loads(fields["result"]) for _, fields in entries]
    iterations = []
    for start in range(0, len(results), _CHUNK):
        chunk = results[start : start + _CHUNK]
        places = [keys.iteration(record["mode"], session_id, each["worker_id"], each["iteration"]) for each in chunk]
        kept = store.read_all([("HMGET", place, *_KEPT) for place in places])
        iterations += [
            {**result, **dict(zip(_KEPT, values, strict=True))} for result, values in zip(chunk, kept, strict=True)
        ]
    return session_of(record, iterations)


def _trial(iteration: Mapping[str, Any]) -> Trial:
    daily, capital = iteration.get("daily"), iteration.get("capital")
    return Trial(
        g=int(iteration["g"]),
        worker_id=iteration["worker_id"],
        iteration=int(iteration["iteration"]),
        status=iteration["status"],
        value=iteration["value"],
        params=iteration["params"],
        metrics=iteration["metrics"],
        daily=json.loads(daily) if isinstance(daily, str) and daily else daily or None,
        capital=float(capital) if capital else None,
        intermediate=iteration.get("intermediate") or (),
        bars=read_bars(iteration.get("bars")),
    )
