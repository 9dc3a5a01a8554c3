"""What is searched: functions with a known optimum, and the arbitrage objective on the synthetic quotes of `configs`.

Each is a `Problem`: the section `search_space` of a tuning config, and what a point is worth (lower is better).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning_worker.config import load_tuning_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tuning_worker.space.search_space import SearchSpace

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "configs/d23_tuning/advanced_baseline.yaml"


@dataclass(frozen=True, slots=True)
class Problem:
    """One function.

    Attributes:
        space: where it is searched.
        value: what a point is worth, to be minimised; None where it fails.
        optimum: its least value; None where nobody knows it.
    """

    space: SearchSpace
    value: Callable[[Mapping[str, Any]], float | None]
    optimum: float | None


def branin(point: Mapping[str, Any]) -> float:
    """Dixon & Szegő 1978; three minima of 0.397887."""
    x, y = point["x"], point["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return valley * valley + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann6(point: Mapping[str, Any]) -> float:
    """Hartmann 1973 in six dimensions; one global minimum of -3.32237."""
    xs = [point[f"x{i}"] for i in range(6)]
    return -sum(
        alpha * math.exp(-sum(a * (x - p) ** 2 for a, x, p in zip(row, xs, centre, strict=True)))
        for alpha, row, centre in zip(_ALPHA, _A, _P, strict=True)
    )


def rosenbrock(point: Mapping[str, Any]) -> float:
    """Rosenbrock 1960 in five dimensions, as log10(1 + f): its values span six orders. The minimum is 0 at (1, …)."""
    xs = [point[f"x{i}"] for i in range(5)]
    return math.log10(1 + sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(xs)))


def failing(point: Mapping[str, Any]) -> float | None:
    """Hartmann's function, which fails on five eighths of the space, the minimum close to where it does."""
    return None if point["x5"] > 0.75 or point["x0"] > 0.5 else hartmann6(point)


_CENTRES = {"edge": (0.2, -4.0), "mean": (0.7, -2.0), "trend": (0.9, -3.0), "flat": (0.5, -1.5)}
_OFFSETS = {"edge": 0.3, "mean": 0.0, "trend": 0.15, "flat": 0.6}
_DEPTHS = {"edge": 4, "mean": 16, "trend": 32, "flat": 8}


def mixed(point: Mapping[str, Any]) -> float:
    """Ours: the best x, rate and depth hang on the kind, and `hedge` on the side; the minimum is 0."""
    centre, rate = _CENTRES[point["kind"]]
    bowl = 4 * (point["x"] - centre) ** 2 + (math.log10(point["rate"]) - rate) ** 2 / 4
    depth = (math.log2(point["depth"]) - math.log2(_DEPTHS[point["kind"]])) ** 2 / 8
    side = 0.2 if point["hedge"] == (point["kind"] == "edge") else 0.0
    return bowl + depth + _OFFSETS[point["kind"]] + side


def _real(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "bounds": [low, high], **more}


_MIXED = {
    "kind": {"type": "categorical", "choices": list(_CENTRES)},
    "hedge": {"type": "categorical", "choices": [True, False]},
    "x": _real(0, 1),
    "rate": _real(1e-5, 1e-1, log=True),
    "depth": {"type": "int", "bounds": [1, 64], "log": True},
}


def _space(dimensions: Mapping[str, Any]) -> SearchSpace:
    objective = {"kind": "python", "function": "m:f", "metric": "v", "direction": "minimize"}
    config = {"tuning": {"search_space": dimensions, "objective": objective}}
    return load_tuning_config(json.dumps(config), "the benchmark").space


def _arbitrage() -> Problem:
    """The shipped example: four parameters, net PnL in thousands of won, negated."""
    config = load_tuning_config(BASELINE.read_bytes(), str(BASELINE))
    objective = config.objective.build(BASELINE.parent)

    def value(point: Mapping[str, Any]) -> float:
        return -float(objective.evaluate(point).metrics["net_pnl"] or 0) / 1000

    return Problem(config.space, value, None)


@cache
def problem(name: str) -> Problem:
    """The problem of this name."""
    return _PROBLEMS[name]()


_PROBLEMS: dict[str, Callable[[], Problem]] = {
    "branin": lambda: Problem(_space({"x": _real(-5, 10), "y": _real(0, 15)}), branin, 0.39788735772973816),
    "hartmann6": lambda: Problem(_space({f"x{i}": _real(0, 1) for i in range(6)}), hartmann6, -3.322368011391339),
    "failing": lambda: Problem(_space({f"x{i}": _real(0, 1) for i in range(6)}), failing, -3.322368011391339),
    "rosenbrock5": lambda: Problem(_space({f"x{i}": _real(-2.048, 2.048) for i in range(5)}), rosenbrock, 0.0),
    "mixed": lambda: Problem(_space(_MIXED), mixed, 0.0),
    "arbitrage": _arbitrage,
}
PROBLEMS = tuple(_PROBLEMS)
