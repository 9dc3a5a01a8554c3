"""How the search went: every value in the order it was recorded, the best so far, and what has none."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from tuning_worker.reporting.markup import label
from tuning_worker.reporting.ranges import visible_range
from tuning_worker.reporting.style import ACCENT, BAD, POINT, WORKERS, axis, layout
from tuning_worker.reporting.values import thin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.review.recorded import RecordedSession, Trial

    Placed = Sequence[tuple[int, Trial]]

MOST = 3000
"""Points of a plot: more are too many for a browser to draw and for an eye to see."""
_WITHOUT = {"failed": ("x-thin", BAD), "pruned": ("line-ns", POINT)}
"""How what has no value is marked."""

_FEW = 10
"""Fewer have a tick each, or plotly would show half an iteration."""


def plot_history(recorded: RecordedSession) -> go.Figure:
    """Return the values of all iterations, by worker, the best so far as a line, and those without a value below."""
    ordered = list(enumerate(sorted(recorded.trials, key=lambda each: each.timestamp or ""), start=1))
    known = [(place, each) for place, each in ordered if each.value is not None]
    without = {
        name: found
        for name in _WITHOUT
        if (found := [(place, each) for place, each in ordered if each.status == name.upper()])
    }
    workers = sorted({each.worker_id for _, each in known}, key=lambda name: (len(name), name))
    figure = go.Figure(layout=layout(440 if known else 150, showlegend=True))
    if len(workers) <= len(WORKERS):
        for worker, colour in zip(workers, WORKERS, strict=False):
            own = [(place, each) for place, each in known if each.worker_id == worker]
            figure.add_trace(_points(thin(own, MOST // len(workers)), worker, colour))
    else:
        figure.add_trace(_points(thin(known, MOST), f"{len(workers)} workers", POINT))
    if known:
        figure.add_trace(_best_line(known, len(ordered), recorded.direction))
    whole = {"tick0": 0, "dtick": 1} if len(ordered) <= _FEW else {}
    name = "iterations, in the order they were recorded"
    figure.update_xaxes(axis(name, showgrid=False, rangemode="tozero", **whole))
    figure.update_yaxes(axis(label(recorded.metric)), range=visible_range(recorded))
    if without:
        _add_without(figure, without, is_alone=not known)
    return figure


def _points(some: Placed, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[place for place, _ in some],
        y=[each.known_value for _, each in some],
        mode="markers",
        name=label(name),
        marker={"size": 6, "color": colour, "opacity": 0.75},
        customdata=[[each.g, label(each.worker_id), each.iteration] for _, each in some],
        hovertemplate="%{y:.6g}<br>%{customdata[1]}, iteration %{customdata[2]} (g %{customdata[0]})<extra></extra>",
    )


def _best_line(known: Placed, last: int, direction: str) -> go.Scatter:
    """Draw the steps only: a long session has few of them."""
    better = max if direction == "maximize" else min
    so_far = list(accumulate((each.known_value for _, each in known), better))
    steps = [
        (place, value)
        for (place, _), value, before in zip(known, so_far, [None, *so_far], strict=False)
        if value != before
    ]
    steps.append((last, so_far[-1]))
    return go.Scatter(
        x=[place for place, _ in steps],
        y=[value for _, value in steps],
        mode="lines",
        name="best so far",
        line={"color": ACCENT, "width": 3, "shape": "hv"},
        hovertemplate="best so far: %{y:.6g}<extra></extra>",
    )


def _add_without(figure: go.Figure, without: Mapping[str, Placed], *, is_alone: bool) -> None:
    """Put what failed or was pruned on a strip of its own below: it has no value."""
    for name, placed in without.items():
        some, (symbol, colour) = thin(placed, MOST), _WITHOUT[name]
        figure.add_trace(
            go.Scatter(
                x=[place for place, _ in some],
                y=[0] * len(some),
                yaxis="y2",
                mode="markers",
                name=name,
                marker={"size": 8, "symbol": symbol, "line": {"color": colour, "width": 1.5}, "color": colour},
                customdata=[[each.g, label(each.worker_id), label(each.reason)] for _, each in some],
                hovertemplate=f"%{{customdata[1]}} (g %{{customdata[0]}}) {name}<br>%{{customdata[2]}}<extra></extra>",
            )
        )
    figure.update_layout(
        yaxis={"domain": [0.12, 1], "visible": not is_alone, "fixedrange": is_alone},
        yaxis2={"domain": [0, 1 if is_alone else 0.07], "visible": False, "fixedrange": True, "range": [-1, 1]},
        xaxis={"anchor": "y2"},
    )
