"""What a session tunes, and with several objectives the results that no other one beats in all of them."""

from __future__ import annotations

import json
from operator import le

from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Result = Mapping[str, Any]

_NOT_SEVERAL = '"metrics": null'
"""In a tuning config that is stored with one objective: it need not be read, of which a list of sessions has many."""


def read_objectives(record: Mapping[str, str]) -> dict[str, str]:
    """Return the metrics that a session tunes, each `maximize` or `minimize`, in the order of its config.

    Args:
        record: the session's, as it is stored.

    Returns:
        Nothing with `worker_command`.
    """
    tuning = record.get("tuning") or "{}"
    if _NOT_SEVERAL not in tuning:
        several = json.loads(tuning).get("tuning", {}).get("objective", {}).get("metrics")
        if several:
            return dict(several)
    return {record["metric"]: record["direction"]} if record.get("metric") else {}


def pareto_front(results: Iterable[Result], objectives: Mapping[str, str]) -> list[Result]:
    """Return the results that no other dominates: at least as good in all objectives, and better in one.

    They are sorted by the first objective, best first; of equals both are there. A result that failed or lacks one of
    the metrics is not.
    """
    scored = [(scores, result) for result in results if (scores := _scores(result, objectives)) is not None]
    scored.sort(key=lambda each: (each[0], each[1]["g"]))
    front: list[tuple[tuple[float, ...], Result]] = []
    for scores, result in scored:  # one that comes later cannot dominate, only equal, one before it
        if not any(dominates(other, scores) for other, _ in front):
            front.append((scores, result))
    return [result for _, result in front]


def by_outcome(results: Iterable[Result], objectives: Mapping[str, str]) -> list[list[Result]]:
    """Put results together that are the same in all objectives, in the order in which the first of each comes."""
    found: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        found.setdefault(tuple(result["metrics"].get(name) for name in objectives), []).append(result)
    return list(found.values())


def best_of(front: Iterable[Result], name: str, direction: str) -> Result:
    """Return of a front the result that is the best in one objective; of equals the first."""
    sign = -1 if direction == "maximize" else 1
    return min(front, key=lambda result: sign * result["metrics"][name])


def _scores(result: Result, objectives: Mapping[str, str]) -> tuple[float, ...] | None:
    """Return its metrics so that less is better; None where it has not all of them."""
    values = [result["metrics"].get(name) for name in objectives]
    if result["status"] != "SUCCESS" or None in values:
        return None
    return tuple(
        -value if direction == "maximize" else value
        for value, direction in zip(values, objectives.values(), strict=True)
    )


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Tell whether one result beats another: less is better, at least as good in all and better in one."""
    return one != other and all(map(le, one, other))
