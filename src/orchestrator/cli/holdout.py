"""`orch holdout`: what a session's best earn on the days that no iteration has seen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.asking_worker import ask_in_place
from orchestrator.cli.figures import ranked_by
from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import columns, number, plural, width
from orchestrator.domain.days import day_spans

if TYPE_CHECKING:
    from collections.abc import Mapping

Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many of the best points.")]


def holdout(session: Session, top: Top = 1, env: Env = None, output: Output = Format.TABLE) -> None:
    """Score a session's best points on its held-out days, once.

    The result is recorded and shown again from then on. Each further look at other points is counted: what is looked
    at again and again is no test any more. Of several objectives the first says which are best.
    """
    settings = settings_here(env)
    found = ask_in_place(session, settings, "holdout", ["--top", str(top)])
    shown = Shown(
        document=lambda: {**found, "env": settings.env},
        table=lambda: _table(found, width()),
        quiet=lambda: "\n".join(number(result["value"]) for result in found["results"]),
        items=lambda: found["results"],
    )
    write(shown, output)
    _tell(found)


def _tell(found: Mapping[str, Any]) -> None:
    """Say on stderr what the look has cost."""
    looks, all_looks, all_points = found["looks"], found["all_looks"], found["all_points"]
    others = f", {all_looks - looks} of them by other sessions" if all_looks > looks else ""
    count = f"{plural(all_looks, 'look')} at these days so far{others}, with {plural(all_points, 'point')} scored"
    if not found["looked"]:
        sys.stderr.write(f"orch: shown as it was recorded; {count}\n")
    elif all_points > 1:
        sys.stderr.write(f"orch: warning: {count}: the more there are, the less is a good result worth\n")


def _table(found: Mapping[str, Any], limit: int | None) -> str:
    metric = one_line(found["metric"])
    header = ("G", "WORKER", "ITERATION", f"TUNED {metric}", "A DAY", f"HELD OUT {metric}", "A DAY", "LOOK")
    rows = [
        (
            str(result["g"]),
            result["worker_id"],
            str(result["iteration"]),
            number(result["tuned_value"]),
            _a_day(result["tuned_daily"], found["tune_days"]),
            number(result["value"]),
            _a_day(result["daily"], found["holdout_days"]),
            str(result["look"]),
        )
        for result in found["results"]
    ]
    days = f"tuned on {plural(len(found['tune_days']), 'day')}, held out {_span(found)}"
    ranked = ranked_by(found["objectives"])
    money = f", in {one_line(found['currency'])}" if found.get("currency") else ""
    note = f"{days}; A DAY is the mean profit of a day{money}{ranked and f'; {ranked}'}"
    return f"{columns(header, rows, limit)}\n\n{note}"


def _a_day(daily: Mapping[str, float] | None, days: list[str]) -> str:
    return "-" if daily is None else number(sum(daily[day] for day in days) / len(days))


def _span(found: Mapping[str, Any]) -> str:
    days = found["holdout_days"]
    return f"{plural(len(days), 'day')}, {day_spans(days, found['tune_days'])}"
