"""What the parameters did: how much each decides, all of them side by side, and each against the value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from tuning_worker.reporting.markup import brief, label
from tuning_worker.reporting.ranges import visible_range
from tuning_worker.reporting.scales import log_ticks
from tuning_worker.reporting.style import ACCENT, INK, POINT, RISING, SOFT, axis, layout
from tuning_worker.reporting.values import number, short, thin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.reporting.scales import Scale
    from tuning_worker.review.recorded import RecordedSession, Trial

    Trials = Sequence[Trial]

MOST = 1500
"""Points of one slice."""
_TICKS = 5
_ROW = 30  # px
BESIDE = 70
"""px, left and right of parallel coordinates, for half a name."""


def plot_importances(importances: Mapping[str, float]) -> go.Figure:
    """Return a bar for each parameter, the greatest on top."""
    names = list(importances)[::-1]
    figure = go.Figure(layout=layout(70 + _ROW * len(names)))
    figure.add_trace(
        go.Bar(
            x=[importances[name] for name in names],
            y=[label(name) for name in names],
            orientation="h",
            marker={"color": ACCENT},
            width=0.6,
            text=[f"{importances[name]:.0%}" for name in names],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_xaxes(axis("share of the importance", tickformat=".0%", rangemode="tozero", nticks=6, tickangle=0))
    figure.update_yaxes(axis("", ticklabelstandoff=8))
    figure.update_layout(margin={"r": 56})
    return figure


def plot_parallel(recorded: RecordedSession, scales: Sequence[Scale], most: int) -> go.Figure:
    """Return a line for each iteration through all its parameters to its value, the best in the accent.

    A parameter that is not active in an iteration is crossed below its axis.
    """
    shown = thin(recorded.ranked, most)[::-1]  # the best are drawn last, over the others
    sign = 1 if recorded.direction == "maximize" else -1
    values = [each.known_value for each in shown]
    # By rank: a few very bad values would leave one colour to all others.
    ranks = {value: place for place, value in enumerate(sorted(set(values), key=lambda value: sign * value))}
    lines = {"color": [ranks[value] for value in values], "colorscale": RISING, "showscale": False}
    dimensions = [_dimension(scale, shown) for scale in scales]
    for name in recorded.objectives:
        metrics = [value if (value := each.metrics.get(name)) is not None else each.known_value for each in shown]
        dimensions.append({"label": label(name), "values": metrics, **_whole_range(metrics)})
    figure = go.Figure(layout=layout(440))
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            line=lines,
            labelfont={"size": 13, "color": INK},
            tickfont={"size": 12, "color": SOFT},
            rangefont={"size": 11, "color": "rgba(0,0,0,0)"},
            unselected={"line": {"opacity": 0.05}},
        )
    )
    figure.update_layout(margin={"l": BESIDE, "r": BESIDE, "t": 56, "b": 28})
    return figure


def _whole_range(values: Sequence[float]) -> dict[str, Any]:
    """Give one value an axis too: plotly draws none of length zero."""
    low, high = min(values), max(values)
    return {} if low < high else {"range": [low - 1, high + 1], "tickvals": [low], "ticktext": [number(low)]}


def _dimension(scale: Scale, shown: Trials) -> dict[str, Any]:
    low, high = (scale.low, scale.high) if not scale.is_constant else (scale.low - 1, scale.high + 1)
    ticks = _ticks(scale)
    positions = scale.positions(shown)
    if None in positions:
        low -= (high - low) * 0.12
        ticks = {low: "not active", **ticks}
    return {
        "label": label(scale.name),
        "values": [low if place is None else place for place in positions],
        "range": [low, high],
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
    }


def _ticks(scale: Scale) -> dict[float, str]:
    """Return what stands at which places of an axis; parallel coordinates show texts as they are, `<` and all."""
    if scale.choices is not None:
        return {float(place): brief(choice) for place, choice in enumerate(scale.choices)}
    if scale.is_constant:
        return {scale.low: number(10**scale.low if scale.log else scale.low)}
    if scale.log:
        return {math.log10(value): short(value) for value in log_ticks(scale.low, scale.high)}
    places = [scale.low + (scale.high - scale.low) * step / (_TICKS - 1) for step in range(_TICKS)]
    if scale.is_whole:
        places = [float(round(place)) for place in places]
    return {place: short(place) for place in places}


def plot_slice(recorded: RecordedSession, scale: Scale) -> go.Figure:
    """Return one parameter against the value, the best marked."""
    shown = thin([each for each in recorded.ranked if scale.name in each.params], MOST)
    figure = go.Figure(layout=layout(260, margin={"l": 56, "r": 12, "t": 8, "b": 44}))
    figure.add_trace(_slice_points(scale, shown, {"size": 5, "color": POINT, "opacity": 0.6}))
    figure.add_trace(_slice_points(scale, shown[:1], {"size": 11, "color": ACCENT, "symbol": "diamond"}))
    figure.update_xaxes(_slice_axis(scale))
    figure.update_yaxes(axis("", nticks=5, range=visible_range(recorded)))
    return figure


def _slice_points(scale: Scale, some: Trials, marker: Mapping[str, object]) -> go.Scatter:
    values = [each.params[scale.name] for each in some]
    return go.Scatter(
        x=values if scale.choices is None else scale.positions(some),
        y=[each.known_value for each in some],
        mode="markers",
        marker=marker,
        customdata=[[label(number(value)), each.g] for value, each in zip(values, some, strict=True)],
        hovertemplate="%{customdata[0]}: %{y:.6g} (g %{customdata[1]})<extra></extra>",
    )


def _slice_axis(scale: Scale) -> dict[str, Any]:
    if scale.choices is not None:
        names = [label(brief(each)) for each in scale.choices]
        places = list(range(len(names)))
        return axis(label(scale.name), tickvals=places, ticktext=names, range=[-0.5, len(names) - 0.5])
    if scale.log:
        ticks = log_ticks(scale.low, scale.high)
        texts = [short(value) for value in ticks]
        return axis(f"{label(scale.name)} (log)", type="log", tickvals=ticks, ticktext=texts)
    return axis(label(scale.name), type="linear", nticks=6)


def plot_front(recorded: RecordedSession) -> go.Figure:
    """Return two objectives against each other, and the front that no iteration is beyond."""
    across, up = list(recorded.objectives)[:2]
    on_front = {each.g for each in recorded.front}
    others = [each for each in recorded.ranked if each.g not in on_front]
    figure = go.Figure(layout=layout(440, showlegend=True))
    for some, name, marker in (
        (thin(others, MOST), "iterations", {"size": 6, "color": POINT, "opacity": 0.6}),
        (list(recorded.front), "the front", {"size": 9, "color": ACCENT}),
    ):
        figure.add_trace(
            go.Scatter(
                x=[each.metrics.get(across) for each in some],
                y=[each.metrics.get(up) for each in some],
                mode="markers",
                name=name,
                marker=marker,
                customdata=[[each.g, label(each.worker_id), each.iteration] for each in some],
                hovertemplate="%{x:.6g}, %{y:.6g}<br>%{customdata[1]}, iteration %{customdata[2]} (g %{customdata[0]})"
                "<extra></extra>",
            )
        )
    figure.update_xaxes(axis(f"{label(across)} ({recorded.objectives[across]})"))
    figure.update_yaxes(axis(f"{label(up)} ({recorded.objectives[up]})"))
    return figure
