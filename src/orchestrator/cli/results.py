"""`orch results`: what a session's iterations gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import columns, number, width
from orchestrator.domain.snapshot import rank
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.client import Client
    from orchestrator.domain.snapshot import SessionSnapshot

    Result = Mapping[str, Any]

Top = Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the N best.")]
Metric = Annotated[str | None, typer.Option(metavar="NAME", help="Rank by this metric, in the objective's direction.")]


def results(
    session: Session,
    top: Top = None,
    metric: Metric = None,
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what the iterations of a session gave.

    They are in the order in which they were recorded; with --top or --metric, best first.
    """
    with open_client(settings_here(env)) as client:
        snapshot = client.get_session(session)
        _check_metric(snapshot, metric)
        chosen = _chosen(client, snapshot, top, metric)
        shown = Shown(
            document=lambda: {
                "schema": 1,
                "session_id": session,
                "env": snapshot.env,
                "metric": metric or snapshot.metric or None,
                "direction": snapshot.direction or None,
                "results": list(chosen),
            },
            table=lambda: _table(list(chosen), metric, width()),
            quiet=lambda: "\n".join(number(_value(result, metric)) for result in chosen),
            items=lambda: chosen,
        )
        write(shown, output)


def _check_metric(snapshot: SessionSnapshot, metric: str | None) -> None:
    if metric is not None and metric not in snapshot.metrics:
        seen = ", ".join(map(one_line, snapshot.metrics)) or "none"
        raise UsageError(f"session {snapshot.session_id} has no metric {metric!r}; it has: {seen}")


def _chosen(client: Client, snapshot: SessionSnapshot, top: int | None, metric: str | None) -> Iterable[Result]:
    recorded = client.iter_results(snapshot.session_id)
    if top is None and metric is None:
        return recorded  # read as it is written: it may be long
    return rank(list(recorded), snapshot.direction, metric)[:top]


def _value(result: Result, metric: str | None) -> Any:
    return result["value"] if metric is None else result["metrics"].get(metric)


def _table(chosen: Sequence[Result], metric: str | None, limit: int | None) -> str:
    names = list(dict.fromkeys(name for result in chosen for name in result["params"]))
    reasons = any(result["reason"] for result in chosen)
    header = [
        "G",
        "WORKER",
        "ITERATION",
        "STATUS",
        (metric or "value").upper(),
        *names,
        *(["REASON"] if reasons else []),
    ]
    rows = [
        [
            str(result["g"]),
            result["worker_id"],
            str(result["iteration"]),
            result["status"],
            number(_value(result, metric)),
            *(number(result["params"].get(name)) for name in names),
            *([one_line(result["reason"])] if reasons else []),
        ]
        for result in chosen
    ]
    return columns([one_line(name) for name in header], rows, limit) if rows else "nothing is recorded yet"
