"""A session as it was recorded, for whoever judges it, reports it, scores its best or evaluates it again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from orchestrator.domain.fronts import pareto_front, read_objectives
from orchestrator.domain.iteration import IterationStatus, other_fields
from orchestrator.errors import NotFoundError, StateError
from tuning_worker.config import TuningConfig, recall_tuning_config
from tuning_worker.pruner import read_bars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.store.blocking import BlockingStore
    from tuning_worker.days import Split
    from tuning_worker.objectives.protocol import Metrics, Params
    from tuning_worker.pruner import Bars

Direction: TypeAlias = Literal["maximize", "minimize"]

_CHUNK: Final = 500  # records a round trip


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One recorded iteration. What is undefined or was not kept is None.

    Attributes:
        value: the objective's; None where it is no SUCCESS.
        started_at: ISO 8601, as `timestamp`, which is when it was recorded.
        daily: profit and loss of each UTC day (ISO 8601) in the quote currency; None where the objective tells none.
        capital: what they are to be divided by to become returns, or None.
        intermediate: the objective's metric after each fold before a result; None where it was not told.
        others: whatever else its worker kept, as text.
    """

    g: int
    worker_id: str
    iteration: int
    status: str
    value: float | None = None
    params: Params
    metrics: Metrics
    started_at: str | None = None
    timestamp: str | None = None
    seconds: float | None = None
    attempt: int | None = None
    kind: str | None = None
    reason: str | None = None
    error: str | None = None
    capital: float | None = None
    daily: Mapping[str, float] | None = None
    intermediate: Sequence[float | None] | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def point(self) -> str:
        """One text for one point, whatever the order of its parameters."""
        return json.dumps(dict(self.params), sort_keys=True)

    @property
    def known_value(self) -> float:
        """The value of one that has one."""
        assert self.value is not None  # noqa: S101 - who asks has looked
        return self.value

    @property
    def bars(self) -> Bars:
        """What it had to reach to go on."""
        return read_bars(self.others.get("bars"))

    def as_json(self) -> dict[str, Any]:
        """Return all of it by name."""
        return {**{name: getattr(self, name) for name in _NAMES}, **self.others}


_NAMES: Final = tuple(each.name for each in fields(Trial) if each.name != "others")
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "g": int,
    "iteration": int,
    "attempt": int,
    "seconds": float,
    "capital": float,
    "daily": json.loads,
    "intermediate": json.loads,
}


@dataclass(frozen=True, kw_only=True)
class RecordedSession:
    """What is recorded of a session.

    Attributes:
        fields: of its record, as text.
        trials: its recorded iterations, by g.
        tried_before: how many different points the sessions evaluated that it resumes from.
        jobs: as `orch status` shows them, where they were asked for.
        holdout: what was scored on the held-out days, as `orch` reads it; None where nothing is known of it.
    """

    fields: Mapping[str, str]
    trials: Sequence[Trial]
    tried_before: int = 0
    jobs: Sequence[Mapping[str, Any]] = ()
    holdout: Mapping[str, Any] | None = None

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.fields["session_id"]

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """Its record by name, with what is JSON in it read and its whole numbers as such; what is empty is None."""
        fields = {name: text for name, text in sorted(self.fields.items()) if not name.startswith("jobs_")}
        return {name: json.loads(text) if _is_json(text) else text or None for name, text in fields.items()}

    @cached_property
    def tuning(self) -> Mapping[str, Any]:
        """The tuning config as it stands there, which any version can show; empty with `worker_command`."""
        tuning: Mapping[str, Any] = json.loads(self.fields.get("tuning") or "{}").get("tuning", {})
        return tuning

    @cached_property
    def config(self) -> TuningConfig:
        """The tuning config as it was submitted.

        Raises:
            StateError: there is none.
            SpecError: this version cannot read it.
        """
        if not self.tuning:
            raise StateError(f"session {self.session_id} runs a worker_command: it records no iterations")
        return recall_tuning_config(self.fields["tuning"], self.session_id)

    @property
    def split(self) -> Split | None:
        """How its days are split; None where they are not."""
        return getattr(self.config.objective, "split", None)

    @property
    def currency(self) -> str:
        """The name of the money that days are told in, in capitals; empty where the objective has none."""
        return str(self.tuning.get("objective", {}).get("quote_currency") or "").upper()

    @cached_property
    def objectives(self) -> Mapping[str, str]:
        """The metrics that are tuned, each `maximize` or `minimize`."""
        return read_objectives(self.fields)

    @property
    def metric(self) -> str:
        """The metric whose value is `value`: the first that is tuned."""
        return next(iter(self.objectives), "value")

    @property
    def direction(self) -> Direction:
        """That metric's direction."""
        return cast("Direction", next(iter(self.objectives.values()), "maximize"))

    @cached_property
    def ranked(self) -> Sequence[Trial]:
        """The iterations that have a value, best first; of equals the one dealt first."""
        sign = -1 if self.direction == "maximize" else 1
        valued = [trial for trial in self.trials if trial.value is not None]
        return sorted(valued, key=lambda trial: (sign * trial.known_value, trial.g))

    @cached_property
    def ranked_points(self) -> Sequence[Trial]:
        """The same, each point once: where its best value is."""
        found: dict[str, Trial] = {}
        for trial in self.ranked:
            found.setdefault(trial.point, trial)
        return list(found.values())

    @property
    def best(self) -> Trial | None:
        """The iteration with the best value."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def front(self) -> Sequence[Trial]:
        """With several objectives those that no other beats in all of them, best in the first objective first."""
        if len(self.objectives) < 2:  # noqa: PLR2004 - of one objective there is a best
            return []
        by_g = {trial.g: trial for trial in self.trials}
        return [by_g[each["g"]] for each in pareto_front((each.as_json() for each in self.trials), self.objectives)]

    @cached_property
    def failed(self) -> Sequence[Trial]:
        """The iterations that failed."""
        return [trial for trial in self.trials if trial.status == IterationStatus.FAILED]

    @cached_property
    def pruned(self) -> Sequence[Trial]:
        """The iterations that were stopped half-way as hopeless."""
        return [trial for trial in self.trials if trial.status == IterationStatus.PRUNED]

    @cached_property
    def pruned_points(self) -> Sequence[Trial]:
        """The same, each point once; none that has a value elsewhere."""
        valued = {trial.point for trial in self.ranked}
        return [trial for point, trial in {each.point: each for each in self.pruned}.items() if point not in valued]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters: in the order of the config, then any other that was recorded."""
        names = dict.fromkeys(self.tuning.get("search_space", {}))
        for trial in self.trials:
            names.update(dict.fromkeys(trial.params))
        return tuple(names)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the tuned ones first."""
        names = {name: None for trial in self.trials for name in trial.metrics}
        return (*(name for name in self.objectives if name in names), *sorted(names.keys() - self.objectives.keys()))


def session_of(record: Mapping[str, str], iterations: Iterable[Mapping[str, Any]], **more: Any) -> RecordedSession:
    """Make a session of what the store has.

    Args:
        record: the fields of its hash.
        iterations: each result with the other fields of its hash, which are text.
        **more: its other attributes.
    """
    trials = sorted(map(_trial, iterations), key=lambda trial: trial.g)
    return RecordedSession(fields=record, trials=trials, **more)


def read_lines(lines: Iterable[str]) -> RecordedSession:
    """Read what `orch` writes, a JSON document a line: the session, its iterations, and that these are all.

    Raises:
        StateError: the end is missing.
    """
    head, *rest = (json.loads(line) for line in lines)
    if not rest or rest.pop() != {"end": True}:
        raise StateError("the session's records broke off; nothing was written")
    return session_of(head.pop("session"), rest, **head)


def read_session(store: BlockingStore, session_id: str) -> RecordedSession:
    """Read a session and all of its iterations from the store.

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
    places = [keys.iteration(record["mode"], session_id, each["worker_id"], each["iteration"]) for each in results]
    kept: list[Mapping[str, str]] = []
    for start in range(0, len(places), _CHUNK):
        kept += store.read_all([("HGETALL", place) for place in places[start : start + _CHUNK]])
    return session_of(record, ({**other_fields(more), **result} for result, more in zip(results, kept, strict=True)))


def _trial(raw: Mapping[str, Any]) -> Trial:
    """Give the fields that are kept as text their types; the others by name, as a hash of the store has no order."""
    known = {name: _typed(name, raw[name]) for name in _NAMES if raw.get(name) not in (None, "")}
    return Trial(**known, others={name: text or None for name, text in sorted(raw.items()) if name not in _NAMES})


def _typed(name: str, value: Any) -> Any:
    return _READERS[name](value) if name in _READERS and isinstance(value, str) else value


def _is_json(text: str) -> bool:
    return text[:1] in ("{", "[") or text.isdecimal()
