"""How plots look: few colours, of which one stands out, and a frame that all of them share."""

from __future__ import annotations

from typing import Any

ACCENT, BAD, INK, SOFT, FAINT, POINT, SHADE, SHADE_ACCENT = (
    *("#0f766e", "#b42318", "#1f2933", "#5f6c7b", "#e4e7eb", "#8593a3"),
    *("rgba(95,108,123,0.08)", "rgba(15,118,110,0.12)"),
)
DARK = {
    ACCENT: "#2dd4bf",
    BAD: "#f97066",
    INK: "#e6eaf0",
    SOFT: "#9aa7b5",
    FAINT: "#2b333d",
    POINT: "#7d8b9b",
    SHADE: "rgba(154,167,181,0.10)",
    SHADE_ACCENT: "rgba(45,212,191,0.15)",
}
"""What each colour is on a dark page: the page's script puts it in place of the light one."""

WORKERS = ("#8593a3", "#b08968", "#7f9c6c", "#9a7aa0", "#5f8fb0", "#c08497", "#a3a06b", "#6b7a90")
"""Muted, so that nothing but the accent stands out; readable on light and on dark."""

RISING = [[0.0, "rgba(133,147,163,0.35)"], [0.6, "#8593a3"], [1.0, ACCENT]]
"""From what is worse to what is better."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return a plot's layout: no frame, a quiet grid, all space for the data.

    Args:
        height: px.
        **more: what else it has, over what all plots share.
    """
    return {
        "template": {},  # plotly's own would be written out in every figure
        "height": height,
        "font": {"family": _FONT, "size": 13, "color": SOFT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 72, "r": 16, "t": 12, "b": 48},
        "hovermode": "closest",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        **more,
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a title; its numbers are short, and what would not fit makes room for itself."""
    return {
        "title": {"text": title, "font": {"size": 13}, "standoff": 8},
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zerolinecolor": FAINT,
        "ticks": "",
        "automargin": True,
        "exponentformat": "B",
        **more,
    }
