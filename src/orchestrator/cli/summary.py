"""What is left to say when `run` ends: how it went, the best, what failed and why, and where everything is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Shown, one_line
from orchestrator.cli.places import csv_files, log_folder
from orchestrator.cli.session_view import best_text, iterations_line, result_text, search_line, time_line
from orchestrator.cli.tables import commands, named, plural, width
from orchestrator.clock import utc_now
from orchestrator.domain.fronts import best_of, by_outcome, pareto_front
from orchestrator.domain.iteration import IterationStatus
from orchestrator.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.client import Client
    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings

_LISTED = 5


def summary(
    snapshot: SessionSnapshot, client: Client, settings: Settings, *, interrupted: bool, again: str = "the same command"
) -> Shown:
    """Make it.

    Args:
        snapshot: the session at its end.
        client: answers for what else there is to ask.
        settings: where the logs are.
        interrupted: the session is not at its end, but its user's patience was.
        again: the command that goes on with an interrupted one.
    """
    failures = failure_counts(client, snapshot)
    judged = client.tells_days(snapshot.session_id, snapshot.mode, snapshot.best)
    csvs = [str(path) for path in csv_files(snapshot, client.find_record(snapshot.session_id))]
    logs = str(log_folder(settings, snapshot.session_id))
    now = utc_now()

    def document() -> dict[str, Any]:
        return {**snapshot.as_json(now), "failures": dict(failures), "output_csvs": csvs, "logs": logs}

    def table() -> str:
        values = [
            ("session", f"{snapshot.session_id}: {'interrupted' if interrupted else snapshot.status}"),
            ("iterations", iterations_line(snapshot)),
            ("time", time_line(snapshot, now)),
            ("search", search_line(snapshot)),
            *_best(snapshot, client),
            *(("failed", line) for line in _failed_lines(snapshot, failures)),
            *(("csv", path) for path in _some(csvs)),
            ("logs", logs),
            ("next", f"{again} goes on from here" if interrupted else _next(snapshot, judged=judged)),
        ]
        return named(values, width())

    return Shown(document=document, table=table, quiet=lambda: snapshot.status)


def _best(snapshot: SessionSnapshot, client: Client) -> Iterator[tuple[str, str]]:
    """Show the best; with several objectives the best in each, and how many outcomes none of which beats another."""
    objectives, name = snapshot.objectives, snapshot.session_id
    front = pareto_front(client.iter_results(name), objectives) if len(objectives) > 1 else []
    if not front:
        yield "best", best_text(snapshot)
        return
    for metric, direction in objectives.items():
        yield "best", result_text(best_of(front, metric, direction), {metric: direction, **objectives})
    outcomes = plural(len(by_outcome(front, objectives)), "outcome")
    kept = f"{outcomes} of {plural(len(front), 'iteration')}, which no other beats in all objectives"
    yield "front", f"{kept}: `orch best {name}`"


def failure_counts(client: Client, snapshot: SessionSnapshot) -> Counter[str]:
    """Count the FAILED iterations of a session by their reason."""
    if not snapshot.failed_iterations:
        return Counter()
    results = client.iter_results(snapshot.session_id)
    return Counter(result["reason"] or "unknown" for result in results if result["status"] == IterationStatus.FAILED)


def _failed_lines(snapshot: SessionSnapshot, failures: Mapping[str, int]) -> Iterator[str]:
    jobs = [f"{job.worker_id}: {one_line(job.reason)}" for job in snapshot.jobs if job.status is Status.FAILED]
    yield from _some(jobs)
    common = sorted(failures.items(), key=lambda each: -each[1])
    yield from _some([f"{plural(number, 'iteration')}: {one_line(reason)}" for reason, number in common])


def _some(lines: list[str]) -> list[str]:
    left = len(lines) - _LISTED
    return lines if left <= 0 else [*lines[:_LISTED], f"… and {left} more"]


def _next(snapshot: SessionSnapshot, *, judged: bool) -> str:
    if not snapshot.completed_iterations:
        return commands(f"orch status {snapshot.session_id}")
    verbs = ["results", *(["best"] if snapshot.best else []), *(["judge"] if judged else [])]
    return commands(*(f"orch {verb} {snapshot.session_id}" for verb in verbs))
