"""How far a session's best can be trusted, in words: the figures that the worker computes, or why one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import one_line
from orchestrator.cli.tables import number, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def figure_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each figure's name, and what it says; before them, where it is known, what they are from."""
    money = {"currency": found.get("currency")}
    figures = [
        (title, tell(found[name] | money) if found[name] else f"- ({one_line(found['missing'][name])})")
        for name, (title, _, tell) in _FIGURES.items()
    ]
    return [("days", _days(found)), *figures] if found.get("tune_days") is not None else figures


def _days(found: Mapping[str, Any]) -> str:
    earning = {0: "none", found["tune_days"]: "all"}.get(found["earning_days"], found["earning_days"])
    return f"tuned on {plural(found['tune_days'], 'day')}, and on {earning} of them the best earned or lost anything"


def bare_figures(found: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the one number of each."""
    return {name: found[name] and found[name][field] for name, (_, field, _) in _FIGURES.items()}


def without_figures(why: str) -> dict[str, Any]:
    """Return what stands for a judgement that could not be had."""
    return {**dict.fromkeys(_FIGURES), "missing": dict.fromkeys(_FIGURES, why)}


def _amount(value: float, currency: str | None) -> str:
    """Write an amount of money, as far as it is known of which."""
    return f"{number(value)} {one_line(currency)}" if currency else number(value)


def ranked_by(objectives: Mapping[str, str]) -> str:
    """Say which of several objectives the best is the best in; nothing where there is one."""
    if len(objectives) < 2:  # noqa: PLR2004 - then it goes without saying
        return ""
    return f"ranked by {one_line(next(iter(objectives)))}, the first of {len(objectives)} objectives"


def _sharpe(it: Mapping[str, Any]) -> str:
    return (
        f"{it['deflated']:.3f} likely to be more than the luck of so many tries "
        f"({it['probabilistic']:.3f} had it been the only one)\n"
        f"annualised Sharpe {it['sharpe_annual']:.2f} from {plural(it['days'], 'day')}; "
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
        f"earned {_amount(it['earned'], it['currency'])} in {plural(it['days'], 'validation day')}{efficiency}\n"
        f"each choice was better than {beaten:.2f} of the others ({plural(len(steps), 'fold')}; 0.50 is a blind choice)"
    )


_FIGURES: Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], str]]] = {
    "deflated_sharpe": ("deflated Sharpe", "deflated", _sharpe),
    "overfitting": ("overfitting", "probability", _overfitting),
    "neighbourhood": ("neighbourhood", "kept", _neighbourhood),
    "walk_forward": ("walk-forward", "earned", _walk),
}
