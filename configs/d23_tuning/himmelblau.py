"""An objective to try things with: Himmelblau's function, whose four minima are all 0 (one of them at x = 3, y = 2)."""

# ruff: noqa: INP001 - a module beside a config, in no package

from __future__ import annotations


def evaluate(params: dict[str, float]) -> dict[str, float]:
    """Return the metrics of one candidate; the tuning config says which of them is tuned."""
    x, y = params["x"], params["y"]
    return {
        "height": (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        "distance_from_origin": (x**2 + y**2) ** 0.5,
    }
