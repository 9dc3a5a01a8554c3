"""`orch judge`: how far a session's best can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import named, number, plural, width
from orchestrator.cli.worker_verb import ask_worker

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLES = {
    "deflated_sharpe": "deflated Sharpe",
    "overfitting": "overfitting",
    "neighbourhood": "neighbourhood",
    "walk_forward": "walk-forward",
}


def judge(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show how far the best of a session can be trusted.

    The deflated Sharpe ratio, the probability of backtest overfitting, the best's neighbourhood and what choosing on
    the past would have earned next. Of several objectives the first says which is best. Held-out days are not looked
    at: that is `orch holdout`.
    """
    settings = settings_here(env)
    found = ask_worker(session, settings, "judge")
    shown = Shown(
        document=lambda: {**found, "env": settings.env},
        table=lambda: named(_lines(found), width()),
        quiet=lambda: "\n".join(f"{name}={number(figure)}" for name, figure in _figures(found).items()),
    )
    write(shown, output)


def _figures(found: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the one figure of each statistic."""
    names = {
        "deflated_sharpe": "deflated",
        "overfitting": "probability",
        "neighbourhood": "kept",
        "walk_forward": "earned",
    }
    return {name: found[name] and found[name][figure] for name, figure in names.items()}


def _lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    best = found["best"]
    told = {
        "deflated_sharpe": _sharpe,
        "overfitting": _overfitting,
        "neighbourhood": _neighbourhood,
        "walk_forward": _walk,
    }
    return [
        ("session", found["session_id"]),
        ("best", f"{_of(found)} = {number(best['value'])}, {best['worker_id']} iteration {best['iteration']}")
        if best
        else ("best", "-"),
        ("tried", plural(found["tried"], "point")),
        *(
            (title, told[name](found[name]) if found[name] else f"- ({one_line(found['missing'][name])})")
            for name, title in _TITLES.items()
        ),
    ]


def _of(found: Mapping[str, Any]) -> str:
    return one_line(found["metric"])


def _sharpe(it: Mapping[str, Any]) -> str:
    return (
        f"{it['deflated']:.3f} likely to be more than the luck of so many tries "
        f"({it['probabilistic']:.3f} had it been the only one)\n"
        f"a year: {it['sharpe_annual']:.2f} from {plural(it['days'], 'day')}; "
        f"luck alone would show {it['expected_maximum_annual']:.2f}"
    )


def _overfitting(it: Mapping[str, Any]) -> str:
    slope = "" if it["slope"] is None else f"; slope {it['slope']:.2f}"
    return (
        f"{it['probability']:.3f} probable: the share of {plural(it['splits'], 'way')} to halve "
        f"{plural(it['days'], 'day')} in which the best of one half is not above the median of the other\n"
        f"it loses there in {it['loss_probability']:.3f} of them{slope}"
    )


def _neighbourhood(it: Mapping[str, Any]) -> str:
    near = it["neighbours"]
    return (
        f"the {plural(len(near), 'nearest point')} keep {it['kept']:.2f} of its value (median), "
        f"the worst {it['worst']:.2f}; the farthest is {near[-1]['distance']:.3f} of the space away"
    )


def _walk(it: Mapping[str, Any]) -> str:
    steps = it["steps"]
    efficiency = "" if it["efficiency"] is None else f", {it['efficiency']:.2f} of what it earned a day before"
    beaten = sum(step["beaten"] for step in steps) / len(steps)
    return (
        f"earned {number(it['earned'])} in {plural(it['days'], 'validation day')}{efficiency}\n"
        f"each choice was better than {beaten:.2f} of the others ({plural(len(steps), 'fold')}; 0.50 is a blind choice)"
    )
