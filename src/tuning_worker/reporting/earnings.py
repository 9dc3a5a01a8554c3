"""What the best earned day by day: on the days it was chosen by, those it was checked on, and the held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tuning_worker.reporting.style import ACCENT, BAD, POINT, SHADE, SHADE_ACCENT, axis, layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.review.recorded import RecordedSession

TUNE, VALIDATION, HOLDOUT = "tune", "validation", "holdout"
_LOOKS = {TUNE: POINT, VALIDATION: "#5f8fb0", HOLDOUT: ACCENT}
_SHADES = {TUNE: None, VALIDATION: SHADE, HOLDOUT: SHADE_ACCENT}


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day.

    Attributes:
        date: ISO 8601.
        part: `tune`, `validation` or `holdout`.
        pnl: what was earned on it, in the quote currency.
        equity: what was earned until its end, from the first day on.
        drawdown: how far that is below its highest before (0 at the start); at most 0.
    """

    date: str
    part: str
    pnl: float
    equity: float
    drawdown: float


def find_days(recorded: RecordedSession) -> list[Day]:
    """Return the days of the best iteration in the order of time; none where its objective tells no daily profits."""
    best = recorded.best
    if best is None or not best.daily:
        return []
    split = recorded.tuning.get("objective", {}).get("split") or {}
    parts = dict.fromkeys((date for fold in split.get("folds", ()) for date in fold), VALIDATION)
    held_out = held_out_days(recorded)
    parts |= dict.fromkeys(held_out, HOLDOUT)
    earned = sorted({**best.daily, **held_out}.items())
    equity = list(accumulate(pnl for _, pnl in earned))
    peaks = accumulate(equity, max, initial=0.0)
    next(peaks)
    return [
        Day(date, parts.get(date, TUNE), pnl, so_far, so_far - max(peak, 0.0))
        for (date, pnl), so_far, peak in zip(earned, equity, peaks, strict=True)
    ]


def held_out_days(recorded: RecordedSession) -> Mapping[str, float]:
    """Return what the best earned on each held-out day; empty where nobody has had it scored there."""
    best, scored = recorded.best, (recorded.holdout or {}).get("results", ())
    for each in scored:
        if best is not None and each["g"] == best.g:
            return dict(each.get("daily") or {})
    return {}


def plot_earnings(days: Sequence[Day], money: str, capital: float | None) -> go.Figure:
    """Return the equity curve above its drawdown, the parts of the split apart.

    Args:
        days: in the order of time.
        money: the currency's name.
        capital: of the strategy; drawdown is shown in percent of it where it is known.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.07)
    figure.update_layout(layout(520, showlegend=True, hovermode="x unified"))
    before: list[Day] = []
    seen = set()
    for part, group in groupby(days, key=lambda day: day.part):
        own = [*before, *group]  # the line goes on from the day before
        figure.add_trace(
            go.Scatter(
                x=[day.date for day in own],
                y=[day.equity for day in own],
                mode="lines+markers" if len(days) <= 90 else "lines",  # noqa: PLR2004 - dots that would touch are a bar
                name=part,
                legendgroup=part,
                showlegend=part not in seen,
                line={"color": _LOOKS[part], "width": 2.5},
                marker={"size": 5},
                hovertemplate="%{y:,.6g}",
            ),
            row=1,
            col=1,
        )
        if _SHADES[part]:
            figure.add_vrect(x0=own[0].date, x1=own[-1].date, fillcolor=_SHADES[part], line_width=0, layer="below")
        before = own[-1:]
        seen.add(part)
    figure.add_trace(_drawdown(days, capital), row=2, col=1)
    unit = f" ({money})" if money else ""
    figure.update_xaxes(axis("", showgrid=False, type="date"))
    figure.update_xaxes(title_text="UTC day", row=2)
    figure.update_yaxes(axis(f"net PnL{unit}"), row=1)
    name = "drawdown (% of capital)" if capital else f"drawdown{unit}"
    figure.update_yaxes(axis(name, nticks=4, **({"exponentformat": "none"} if capital else {})), row=2)
    return figure


def _drawdown(days: Sequence[Day], capital: float | None) -> go.Scatter:
    scale = 100 / capital if capital else 1.0
    return go.Scatter(
        x=[day.date for day in days],
        y=[day.drawdown * scale for day in days],
        mode="lines",
        name="drawdown",
        showlegend=False,
        fill="tozeroy",
        line={"color": BAD, "width": 1},
        opacity=0.7,
        hovertemplate="%{y:,.4g}" + ("%" if capital else ""),
    )


def summarize(days: Sequence[Day], part: str) -> dict[str, Any] | None:
    """Return how many days a part has, what it earned in all and a day, and on which share of the days it gained."""
    own = [day.pnl for day in days if day.part == part]
    if not own:
        return None
    return {
        "days": len(own),
        "earned": sum(own),
        "a_day": sum(own) / len(own),
        "gained": sum(pnl > 0 for pnl in own) / len(own),
        "worst": min(own),
    }


def part_metrics(recorded: RecordedSession, part: str) -> Mapping[str, Any]:
    """Return the metrics of the best on a part of the days, as far as they were recorded."""
    best = recorded.best
    if best is None:
        return {}
    if part == HOLDOUT:
        scored = (recorded.holdout or {}).get("results", ())
        return next((each.get("metrics") or {} for each in scored if each["g"] == best.g), {})
    if part == VALIDATION:
        prefix = f"{VALIDATION}_"
        return {name.removeprefix(prefix): best.metrics[name] for name in best.metrics if name.startswith(prefix)}
    return best.metrics


def plot_logits(logits: Sequence[float]) -> go.Figure:
    """Return how often the choice ended where among all candidates on the other half of the days."""
    figure = go.Figure(layout=layout(240, margin={"l": 56, "r": 12, "t": 8, "b": 44}, bargap=0.05))
    figure.add_trace(
        go.Histogram(x=list(logits), nbinsx=24, marker={"color": POINT}, hovertemplate="%{y}<extra></extra>")
    )
    figure.add_vline(x=0, line={"color": BAD, "width": 1.5, "dash": "dot"})
    figure.update_xaxes(axis("logit of the rank out of sample (below 0: worse than the median)"))
    figure.update_yaxes(axis("ways to split", nticks=4))
    return figure
