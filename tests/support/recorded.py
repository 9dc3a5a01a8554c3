"""Recorded sessions as `orch` hands them to the worker's side: made up, of any size and shape."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVIL = "<script>alert('x')</script>"

SPACE: dict[str, Any] = {
    "edge": {"type": "float", "bounds": [0.0, 1.0]},
    "rate": {"type": "float", "bounds": [1e-5, 1.0], "log": True},
    "size": {"type": "int", "bounds": [1, 30]},
    "kind": {"type": "categorical", "choices": ["plain", "fancy", EVIL]},
    "depth": {"type": "int", "bounds": [1, 5], "when": {"kind": ["fancy"]}},
    "fee": {"type": "fixed", "value": 5},
}
PYTHON = {"kind": "python", "function": "m:f", "metric": "net_pnl", "direction": "maximize"}


def moment(seconds: float) -> str:
    """Return when it was so many seconds after the session began."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session(
    objective: Mapping[str, Any] = PYTHON, space: Mapping[str, Any] | None = None, **more: str
) -> dict[str, str]:
    """Return a session's record."""
    metrics = objective.get("metrics") or {objective["metric"]: objective["direction"]}
    metric, direction = next(iter(metrics.items()))
    return {
        "session_id": "made-up",
        "status": "SUCCESS",
        "mode": "paper",
        "env": "docker",
        "optimizer": "bayesian",
        "seed": "42",
        "workers": "3",
        "total_iterations": "100",
        "metric": metric,
        "direction": direction,
        "submitted_at": moment(-1),
        "submitted_by": "someone@somewhere",
        "started_at": moment(0),
        "finished_at": moment(3600),
        "labels": '{"team": "core"}',
        "spec": "{}",
        "spec_hash": "ab" * 32,
        "jobs_SUCCESS": "3",
        "tuning": json.dumps({"tuning": {"search_space": SPACE if space is None else space, "objective": objective}}),
        **more,
    }


def iterations(count: int, failing: float = 0.1, workers: int = 3, seed: int = 1) -> list[dict[str, Any]]:
    """Return iterations over `SPACE`, of which about a share fails; what is better is near `edge` 0.4 and `fancy`."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [_iteration(g, draw, failing, workers) for g in range(count)]


def _iteration(g: int, draw: random.Random, failing: float, workers: int) -> dict[str, Any]:
    params: dict[str, Any] = {
        "edge": draw.random(),
        "rate": 10 ** draw.uniform(-5, 0),
        "size": draw.randint(1, 30),
        "kind": draw.choice(["plain", "fancy", EVIL]),
        "fee": 5,
    }
    if params["kind"] == "fancy":
        params["depth"] = draw.randint(1, 5)
    drawn = draw.gauss(0, 800)
    net = 20_000 * math.exp(-(((params["edge"] - 0.4) / 0.2) ** 2)) + 3_000 * (params["kind"] == "fancy") + drawn
    known: dict[str, Any] = {
        "g": g,
        "worker_id": f"worker-{g % workers + 1}",
        "iteration": g // workers + 1,
        "params": params,
        "started_at": moment(g * 30),
        "timestamp": moment(g * 30 + 20 + draw.random()),
        "seconds": "0.25",
        "attempt": "1",
        "error": "",
        "kind": "",
    }
    if draw.random() < failing:
        kind = draw.choice(["ValueError", "timeout"])
        reason = f"{kind}: too {EVIL} large"
        return {**known, "status": "FAILED", "value": None, "metrics": {}, "kind": kind, "reason": reason}
    metrics = {"net_pnl": net, "max_drawdown": 500 + 4_000 * params["edge"] + abs(drawn), "trades": 7, "sharpe": None}
    return {**known, "status": "SUCCESS", "value": net, "metrics": metrics, "reason": ""}


def lines(
    record: Mapping[str, str],
    recorded: Iterable[Mapping[str, Any]] = (),
    holdout: Mapping[str, Any] | None = None,
    jobs: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return what stands on the worker's stdin."""
    head = {"session": record, "jobs": list(jobs), "holdout": holdout}
    return "".join(json.dumps(each) + "\n" for each in (head, *recorded, {"end": True}))


DAYS = [(date(2026, 1, 1) + timedelta(days=place)).isoformat() for place in range(60)]
SPLIT = {"tune": DAYS[:30], "folds": [DAYS[30:38], DAYS[38:45]], "holdout": DAYS[45:], "left_out": []}
ARBITRAGE = {
    "kind": "arbitrage",
    "data": "/data/quotes-synthetic.parquet",
    "data_sha256": "cd" * 32,
    "quote_currency": "krw",
    "capital": 1_000_000.0,
    "venue_a": {"fee_bps": 5, "latency_ms": 100},
    "venue_b": {"fee_bps": 5, "latency_ms": 100},
    "metric": "net_pnl",
    "direction": "maximize",
    "split": SPLIT,
}
ARBITRAGE_SPACE = {
    "min_spread_pct": {"type": "float", "bounds": [0.0, 1.0]},
    "max_position_krw": {"type": "int", "bounds": [100_000, 900_000]},
}


def daily_iterations(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return iterations over `ARBITRAGE_SPACE` that tell what they earned on each day that is not held out."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    found = []
    for g in range(count):
        params = {"min_spread_pct": draw.random(), "max_position_krw": draw.randint(100_000, 900_000)}
        skill = 300 - abs(params["min_spread_pct"] - 0.3) * 600
        daily = {day: draw.gauss(skill, 900) for day in DAYS[:45]}
        value = sum(pnl for day, pnl in daily.items() if day in SPLIT["tune"])
        metrics = {"net_pnl": value, "validation_net_pnl": sum(daily.values()) - value}
        places = {"g": g, "worker_id": f"worker-{g % 2 + 1}", "iteration": g // 2 + 1}
        kept = {"timestamp": moment(g), "daily": json.dumps(daily), "capital": "1000000.0", "reason": ""}
        found.append({**places, **kept, "status": "SUCCESS", "value": value, "params": params, "metrics": metrics})
    return found


def look(best: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `orch holdout` recorded of an iteration."""
    draw = random.Random(9)  # noqa: S311 - no secret
    daily = {day: draw.gauss(-50, 900) for day in DAYS[45:]}
    scored = {name: best[name] for name in ("g", "worker_id", "iteration", "params")}
    result = {**scored, "value": sum(daily.values()), "metrics": {}, "daily": daily, "look": 2}
    return {"looks": 2, "points": 3, "all_looks": 5, "all_points": 305, "results": [result]}
