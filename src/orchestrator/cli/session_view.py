"""A session as text for people: what `status` shows, and what `run` shows while it runs and at its end."""

from __future__ import annotations

from orchestrator.cli.output import one_line
from orchestrator.cli.tables import assignments, columns, named, number, plural, span
from orchestrator.clock import iso
from orchestrator.domain.job import Status
from orchestrator.domain.snapshot import waits_for
from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from orchestrator.domain.job import TuningJob
    from orchestrator.domain.snapshot import SessionSnapshot

_JOBS_SHOWN = 40
_METRICS_SHOWN = 12
_QUIET = (Status.SUCCESS, Status.PENDING)
"""Jobs of which there may be very many, and of which one is like the other."""


def session_table(snapshot: SessionSnapshot, now: datetime, limit: int | None) -> str:
    """Show all of a session."""
    values = [
        ("session", snapshot.session_id),
        ("status", status_line(snapshot)),
        ("iterations", iterations_line(snapshot)),
        ("time", time_line(snapshot, now)),
        ("search", search_line(snapshot)),
        ("env, mode", f"{snapshot.env}, {snapshot.mode}"),
        ("best", best_text(snapshot)),
        ("metrics", metrics_line(snapshot.metrics)),
        ("last update", _moment(snapshot.last_update, now)),
        ("labels", " ".join(f"{one_line(name)}={one_line(value)}" for name, value in snapshot.labels.items())),
        ("daemon", daemon_line(snapshot)),
        ("redis", _away_line(snapshot)),
    ]
    return f"{named(values, limit)}\n\n{jobs_table(snapshot, now, limit)}"


def metrics_line(names: Sequence[str]) -> str:
    """Name the metrics that were seen; of very many the first, and how many there are."""
    shown = " ".join(map(one_line, names[:_METRICS_SHOWN]))
    more = len(names) - _METRICS_SHOWN
    return f"{shown} and {more} more (`-o json` has all)" if more > 0 else shown


def sessions_table(sessions: Sequence[SessionSnapshot], now: datetime, limit: int | None) -> str:
    """Show some sessions, a line each, and what is to be known of them all."""
    table = columns(
        ("SESSION", "STATUS", "DONE", "FAILED", "BEST", "OPTIMIZER", "MODE", "UPDATED"),
        [
            (
                each.session_id,
                _state(each),
                _share(each.completed_iterations, each.total_iterations),
                number(each.failed_iterations),
                number(each.best["value"] if each.best else None),
                each.optimizer or "-",
                each.mode,
                _ago(each.last_update, now),
            )
            for each in sessions
        ],
        limit,
    )
    notes = [f"not served: {_unserved_text(each)}" for each in sessions if each.unserved][:1]
    notes += [_away_line(each) for each in sessions if each.known_at][:1]
    return "\n\n".join([table, *notes])


def _state(snapshot: SessionSnapshot) -> str:
    """Say the status, and what keeps it from being all there is to say."""
    paused = ", paused" if snapshot.paused and not snapshot.status.terminal else ""
    return f"{snapshot.status}{paused}{', not served' if snapshot.unserved else ''}"


def _unserved_text(snapshot: SessionSnapshot) -> str:
    """Say why nobody serves it, and who would."""
    return f"no daemon serves env {snapshot.env}; `orch daemon` goes on, or `orch run FILE`"


def jobs_table(snapshot: SessionSnapshot, now: datetime, limit: int | None) -> str:
    """Show a session's jobs, a line each; of very many the ones that need a look."""
    chosen: Sequence[TuningJob] = snapshot.jobs
    if len(chosen) > _JOBS_SHOWN:
        chosen = sorted(chosen, key=lambda job: job.status in _QUIET)[:_JOBS_SHOWN]
    table = columns(
        ("WORKER", "STATUS", "DONE", "FAILED", "ATTEMPT", "TIME", "EXIT", "REASON"),
        [
            (
                job.worker_id,
                job.status,
                _share(job.recorded if job.iterations is not None else None, job.iterations),
                number(job.failed if job.iterations is not None else None),
                str(job.attempt),
                span((job.finished_at or now) - job.started_at) if job.started_at else "-",
                job.signal or number(job.return_code),
                one_line(_why(job, snapshot, now)),
            )
            for job in chosen
        ],
        limit,
    )
    left = len(snapshot.jobs) - len(chosen)
    return f"{table}\n… and {plural(left, 'more job')}: -o json has them all" if left else table


def status_line(snapshot: SessionSnapshot) -> str:
    """Say the status, and who sees to it."""
    state, owner = _state(snapshot), snapshot.owner
    if snapshot.status.terminal:
        return state
    if snapshot.unserved:
        return f"{state}: {_unserved_text(snapshot)}"
    if owner is None:
        return f"{state}, the daemon is about to take it"
    return f"{state}, served by a {owner['kind']} on {owner['host']} since {owner['since']}"


def _away_line(snapshot: SessionSnapshot) -> str:
    if snapshot.known_at is None:
        return ""
    return f"degraded: the store is away; this is what the daemon knew at {iso(snapshot.known_at)}, and jobs go on"


def daemon_line(snapshot: SessionSnapshot) -> str:
    """Say who serves the env."""
    daemon = snapshot.daemon
    if not daemon:
        return "none"
    pid = daemon["identity"].partition(":")[0]
    paused = "; all of it is paused" if snapshot.env_paused else ""
    return f"pid {pid} on {daemon['host']} serves this env since {daemon['since']}{paused}"


def iterations_line(snapshot: SessionSnapshot) -> str:
    """Say how far it is."""
    if snapshot.progress is None:
        done = sum(job.status.terminal for job in snapshot.jobs)
        return f"not counted (worker_command); {done} of {plural(snapshot.workers, 'job')} ended"
    counts = {"failed": snapshot.failed_iterations, "pruned": snapshot.pruned_iterations}
    ends = "".join(f", {count:,} of them {name}" for name, count in counts.items() if count)
    return (
        f"{snapshot.completed_iterations:,} of {snapshot.total_iterations:,} recorded ({snapshot.progress:.0%}){ends}"
    )


def time_line(snapshot: SessionSnapshot, now: datetime) -> str:
    """Say when it began, and its pace."""
    if not snapshot.started_at:
        return "not started"
    return f"{pace_line(snapshot, now)}; began {iso(snapshot.started_at)}"


def pace_line(snapshot: SessionSnapshot, now: datetime) -> str:
    """Say how long it has taken and, where somebody sees to it, how long it may still take."""
    if not snapshot.started_at:
        return "not started"
    taken = span((snapshot.finished_at or now) - snapshot.started_at)
    left = snapshot.time_left(now)
    return f"{taken}, about {span(left)} left" if left is not None else taken


def search_line(snapshot: SessionSnapshot) -> str:
    """Say what looks for what."""
    if not snapshot.metric:
        return "worker_command"
    return f"{snapshot.optimizer}, seed {snapshot.seed}, to {goals(snapshot.objectives)}"


def goals(objectives: Mapping[str, str]) -> str:
    """Say what is tuned: `maximize net_pnl, minimize max_drawdown`."""
    return ", ".join(f"{direction} {one_line(name)}" for name, direction in objectives.items())


def best_text(snapshot: SessionSnapshot) -> str:
    """Show the best result so far, and with several objectives what there is beside it."""
    if not snapshot.best:
        return ""
    shown = result_text(snapshot.best, snapshot.objectives)
    if len(snapshot.objectives) > 1:
        first = one_line(snapshot.metric)
        shown += f"\nthe best in {first} alone: `orch best {snapshot.session_id}` has those of all objectives"
    return shown


def result_text(result: Mapping[str, Any], objectives: Mapping[str, str]) -> str:
    """Show a result: its value in each objective and where it came from, and on the next line its parameters."""
    place = f"{result['worker_id']}, iteration {result['iteration']}"
    values = ", ".join(f"{one_line(name)} = {number(result['metrics'].get(name))}" for name in objectives)
    return f"{values} ({place})\n{assignments(result['params'])}"


def _why(job: TuningJob, snapshot: SessionSnapshot, now: datetime) -> str:
    waits = waits_for(job, snapshot, now)
    return "; ".join(filter(None, [job.reason, f"waits for {waits}" if waits else ""]))


def _share(done: int | None, total: int | None) -> str:
    return "-" if total is None else f"{done}/{total}"


def _moment(moment: datetime | None, now: datetime) -> str:
    return f"{iso(moment)} ({_ago(moment, now)})" if moment else ""


def _ago(moment: datetime | None, now: datetime) -> str:
    return f"{span(now - moment)} ago" if moment else "-"
