"""A session as it was recorded: JSON lines on stdin, from `orch`, which alone talks to the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.domain.fronts import pareto_front, read_objectives
from orchestrator.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Recorded:
    """A session and all its recorded iterations.

    Attributes:
        session: the fields of its record, as text.
        jobs: as `orch status` shows them.
        iterations: sorted by g; each has g, worker_id, iteration, status, value, params, metrics, timestamp and reason,
            and where they were kept attempt, seconds, started_at, kind, error, daily (PnL by ISO day), capital …
        holdout: `looks` (how often the held-out days were scored) and `results` (a dict each); None where nothing is
            known of them.
    """

    session: Mapping[str, str]
    iterations: Sequence[Mapping[str, Any]]
    jobs: Sequence[Mapping[str, Any]] = ()
    holdout: Mapping[str, Any] | None = None

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.session["session_id"]

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The session's record with what is JSON in it read and its whole numbers as such; what is empty is None."""
        fields = {name: text for name, text in self.session.items() if not name.startswith("jobs_")}
        return {name: json.loads(text) if _is_json(text) else text or None for name, text in fields.items()}

    @cached_property
    def tuning(self) -> Mapping[str, Any]:
        """The tuning config, empty with `worker_command`."""
        tuning: Mapping[str, Any] = json.loads(self.session.get("tuning") or "{}").get("tuning", {})
        return tuning

    @cached_property
    def objectives(self) -> Mapping[str, str]:
        """The metrics that are tuned, each `maximize` or `minimize`."""
        return read_objectives(self.session)

    @cached_property
    def succeeded(self) -> Sequence[Mapping[str, Any]]:
        """The iterations that have a value."""
        return [each for each in self.iterations if each["status"] == "SUCCESS" and each["value"] is not None]

    @cached_property
    def failed(self) -> Sequence[Mapping[str, Any]]:
        """The iterations that failed."""
        return [each for each in self.iterations if each["status"] == "FAILED"]

    @cached_property
    def pruned(self) -> Sequence[Mapping[str, Any]]:
        """The iterations that were stopped half-way as hopeless."""
        return [each for each in self.iterations if each["status"] == "PRUNED"]

    @cached_property
    def front(self) -> Sequence[Mapping[str, Any]]:
        """With several objectives those that no other beats in all of them, best in the first objective first."""
        return pareto_front(self.iterations, self.objectives) if len(self.objectives) > 1 else []

    @cached_property
    def ranked(self) -> Sequence[Mapping[str, Any]]:
        """The iterations that have a value, best first; of equals the one dealt first."""
        sign = -1 if self.direction == "maximize" else 1
        return sorted(self.succeeded, key=lambda each: (sign * each["value"], each["g"]))

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The iteration with the best value."""
        return self.ranked[0] if self.ranked else None

    @property
    def metric(self) -> str:
        """The metric whose value is `value`: the first that is tuned."""
        return next(iter(self.objectives), "value")

    @property
    def direction(self) -> str:
        """That metric's direction."""
        return next(iter(self.objectives.values()), "maximize")

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters: in the order of the config, then any other that was recorded."""
        names = dict.fromkeys(self.tuning.get("search_space", {}))
        for each in self.iterations:
            names.update(dict.fromkeys(each["params"]))
        return tuple(names)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the tuned ones first."""
        names = {name: None for each in self.iterations for name in each["metrics"]}
        return (*(name for name in self.objectives if name in names), *sorted(names.keys() - self.objectives.keys()))


def read_recorded(lines: Iterable[str]) -> Recorded:
    """Read what `orch` writes: the session, its iterations, and a line that says that these are all.

    Raises:
        StateError: the end is missing.
    """
    head, *rest = (json.loads(line) for line in lines)
    if not rest or rest.pop() != {"end": True}:
        raise StateError("the session's records broke off; nothing was written")
    iterations = sorted(map(_typed, rest), key=lambda each: int(each["g"]))
    return Recorded(iterations=iterations, **head)


def _is_json(text: str) -> bool:
    return text[:1] in ("{", "[") or text.isdecimal()


def _typed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields that are kept as text their types; what is empty is None."""
    typed: dict[str, Any] = {name: None if text == "" else text for name, text in raw.items()}
    readers: dict[str, Callable[[str], Any]] = {
        "attempt": int,
        "seconds": float,
        "capital": float,
        "daily": json.loads,
        "intermediate": json.loads,
    }
    for name, read in readers.items():
        if isinstance(typed.get(name), str):
            typed[name] = read(typed[name])
    return typed
