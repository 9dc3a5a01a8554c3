"""`orch plan`: what `run` would do with a session file, with all that it would check, and nothing done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.options import (
    File,
    FileEnv,
    Mode,
    Optimizer,
    Output,
    SessionId,
    Set,
    Total,
    Workers,
    overrides,
)
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import has_data, open_client
from orchestrator.cli.session_file import load
from orchestrator.cli.session_view import goals
from orchestrator.cli.tables import columns, named, number, plural, width
from orchestrator.domain.days import day_spans
from orchestrator.domain.fronts import read_objectives
from orchestrator.domain.plan import plan_jobs, surplus_workers
from orchestrator.errors import StoreUnreachableError
from orchestrator.submission import prepare, taken_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain.record import Submission
    from orchestrator.settings import Settings

_ROWS = 40


def plan(  # noqa: PLR0913, PLR0917 - an option is a parameter
    file: File,
    session_id: SessionId = None,
    total_iterations: Total = None,
    workers: Workers = None,
    mode: Mode = None,
    env: FileEnv = None,
    optimizer: Optimizer = None,
    assignments: Set = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the jobs that a session file makes.

    All is checked that `run` would check, and nothing is run or recorded.
    """
    given = overrides(
        assignments,
        session_id=session_id,
        total_iterations=total_iterations,
        workers=workers,
        mode=mode,
        env=env,
        optimizer=optimizer,
    )
    session, settings = load(file, given)
    submission = prepare(session, settings, Path.cwd())
    document = _document(submission, _notes(submission, settings))
    shown = Shown(
        document=lambda: document,
        table=lambda: _table(document, width()),
        quiet=lambda: "\n".join(job["worker_id"] for job in document["jobs"]),
    )
    write(shown, output)


def _document(submission: Submission, notes: list[str]) -> dict[str, Any]:
    spec = submission.spec
    return {
        "schema": 1,
        "session_id": spec.session_id,
        "mode": spec.mode,
        "env": spec.env,
        "optimizer": spec.optimizer,
        "seed": submission.seed,
        "metric": submission.metric or None,
        "direction": submission.direction or None,
        "objectives": read_objectives(
            {"tuning": submission.tuning, "metric": submission.metric, "direction": submission.direction}
        ),
        "total_iterations": None if spec.worker_command else spec.total_iterations,
        "workers": spec.workers,
        "surplus_workers": surplus_workers(spec),
        "grid_size": submission.grid_size,
        "days": _days(submission),
        "config_path": None if spec.worker_command else spec.config_path,
        "cwd": submission.cwd,
        "jobs": [
            {
                "worker_id": job.worker_id,
                "iterations": job.iterations,
                "output_csv": None if spec.worker_command else job.output_csv,
            }
            for job in plan_jobs(spec)
        ],
        "notes": notes,
    }


def _days(submission: Submission) -> dict[str, list[str]] | None:
    """Return the UTC days of each part, where the tuning config splits them."""
    tuning = json.loads(submission.tuning)["tuning"] if submission.tuning else {}
    split = tuning.get("objective", {}).get("split")
    if split is None:
        return None
    folds = {f"fold {number}": fold for number, fold in enumerate(split["folds"], start=1)}
    return {"tune": split["tune"], **folds, "holdout": split["holdout"], "left out": split["left_out"]}


def _day_lines(days: Mapping[str, list[str]] | None) -> list[tuple[str, str]]:
    every = [day for part in (days or {}).values() for day in part]
    return [
        (name, f"{plural(len(part), 'day')}, {day_spans(part, every)}") for name, part in (days or {}).items() if part
    ]


def _notes(submission: Submission, settings: Settings) -> list[str]:
    spec = submission.spec
    notes = []
    if surplus := surplus_workers(spec):
        notes.append(f"{plural(surplus, 'worker')} of {spec.workers:,} get no job: there are fewer iterations")
    size = submission.grid_size
    if size is not None:
        part = "a selection, by the seed, is" if size > spec.total_iterations else "each is"
        notes.append(f"the grid has {plural(size, 'point')}: {part} evaluated")
    notes += _order_notes(_days(submission) or {})
    if taken := taken_outputs(spec, Path(submission.cwd)):
        notes.append(f"{taken[0]} is there already" + (f", and {len(taken) - 1} more" if len(taken) > 1 else ""))
    return notes + _taken_id(spec.session_id, settings)


def _order_notes(days: Mapping[str, list[str]]) -> list[str]:
    """Say where the parts of the days are not in the order of time, which named days allow."""
    holdout, tune = days.get("holdout"), days.get("tune", [])
    folds = [day for name, part in days.items() if name.startswith("fold ") for day in part]
    notes = []
    if holdout and holdout[0] < max(tune + folds):
        notes.append(
            f"the holdout is not the last part: {holdout[0]} comes before days that are tuned or validated on, "
            "so it does not show what comes after them"
        )
    if folds and min(folds) < tune[-1]:
        when = f"on {min(folds)}, before the last day that is tuned on, {tune[-1]}"
        notes.append(f"validation begins {when}: there is no walk-forward")
    return notes


def _taken_id(session_id: str, settings: Settings) -> list[str]:
    if not has_data(settings):
        return []
    try:
        with open_client(settings) as client:
            record = client.find_record(session_id)
    except StoreUnreachableError as error:
        return [f"whether the session id is free could not be asked: {error}"]
    return [f"session {session_id} is in the store already ({record['status']})"] if record else []


def _table(document: dict[str, Any], limit: int | None) -> str:
    jobs = document["jobs"]
    total = document["total_iterations"]
    values = [
        ("session", document["session_id"]),
        ("env, mode", f"{document['env']}, {document['mode']}"),
        ("plan", f"{plural(total, 'iteration') + ' over ' if total else ''}{plural(len(jobs), 'job')}"),
        ("optimizer", f"{document['optimizer']}, seed {document['seed']}" if document["metric"] else ""),
        ("objective", goals(document["objectives"])),
        ("config", one_line(document["config_path"] or "")),
        *_day_lines(document["days"]),
        *(("note", one_line(note)) for note in document["notes"]),
    ]
    rows = [(job["worker_id"], number(job["iterations"]), one_line(job["output_csv"] or "-")) for job in jobs[:_ROWS]]
    table = columns(("WORKER", "ITERATIONS", "OUTPUT"), rows, limit)
    left = len(jobs) - len(rows)
    more = f"\n… and {plural(left, 'more job')}: -o json has them all" if left else ""
    return f"{named(values, limit)}\n\n{table}{more}"
