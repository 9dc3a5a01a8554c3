"""`orch judge`: how far a session's best can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.asking_worker import ask_of_records
from orchestrator.cli.figures import bare_figures, figure_lines, ranked_by
from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import named, number, plural, width

if TYPE_CHECKING:
    from collections.abc import Mapping


def judge(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show how far the best of a session can be trusted.

    The deflated Sharpe ratio, the probability of backtest overfitting, the best's neighbourhood and what choosing on
    the past would have earned next. Of several objectives the first says which is best. Held-out days are not looked
    at: that is `orch holdout`.
    """
    settings = settings_here(env)
    found = ask_of_records(session, settings, "judge")
    shown = Shown(
        document=lambda: {**found, "env": settings.env},
        table=lambda: named(_lines(found), width()),
        quiet=lambda: "\n".join(f"{name}={number(figure)}" for name, figure in bare_figures(found).items()),
    )
    write(shown, output)


def _lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("session", found["session_id"]),
        ("best", _best(found)),
        ("tried", _tried(found)),
        *figure_lines(found),
    ]


def _tried(found: Mapping[str, Any]) -> str:
    pruned = f", {found['pruned']:,} of them pruned: of those no more is known" if found["pruned"] else ""
    before = found["tried_before"]
    earlier = f"\nand {plural(before, 'point')} by what it resumes from" if before else ""
    return plural(found["tried"], "point") + pruned + earlier


def _best(found: Mapping[str, Any]) -> str:
    best, ranked = found["best"], ranked_by(found["objectives"])
    if not best:
        return "-"
    what = f"{one_line(found['metric'])} = {number(best['value'])}, {best['worker_id']} iteration {best['iteration']}"
    return f"{what}\n{ranked}" if ranked else what
