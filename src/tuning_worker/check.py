"""`tuning-worker check`: is this tuning config fit for a session? Asked by whoever submits one, answered as JSON.

It runs in the interpreter that will run the workers, so a yes also says that the worker can be imported there.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchError, Problem, SpecError
from tuning_worker.config import TuningConfig, load_tuning_config
from tuning_worker.optimizers import make_optimizer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, type=Path, help="the tuning config")
    parser.add_argument("--optimizer", help="instead of the config's method")
    parser.add_argument("--iterations", required=True, type=int, help="of the whole session")
    parser.add_argument("--seed", type=int, default=0, help="of the session")


def run(options: argparse.Namespace) -> int:
    """Print the answer; return 0 where the config is fit, else 2."""
    answer = check(options.config, options.optimizer, options.iterations, options.seed)
    print(json.dumps(answer))  # noqa: T201 - the answer
    return 2 if answer["problems"] else 0


def check(path: Path, optimizer: str | None, iterations: int, seed: int) -> dict[str, Any]:
    """Check a tuning config.

    Returns:
        `problems`, each with the fields of `errors.Problem`; where there are none also `tuning` (the config as JSON
        text that means the same anywhere on this host), `optimizer`, `seed` (None where the config has none),
        `metric`, `direction` and `grid_size` (None where the optimizer is not `grid`).
    """
    try:
        config = load_tuning_config(path.read_bytes(), str(path))
    except SpecError as error:
        return _refused(error.problems)
    except OSError as error:
        return _refused((Problem(f"cannot be read: {error.strerror}", str(path)),))
    chosen = optimizer or config.method
    base = path.resolve().parent
    problems = [
        Problem(sentence, str(path), path=("tuning", "objective"))
        for sentence in config.objective.check(base, tuple(config.search_space))
    ]
    try:
        _make(config, chosen, iterations, seed)
    except OrchError as error:
        problems.append(Problem(str(error), str(path), path=("tuning",)))
    if problems:
        return _refused(tuple(problems))
    return {"schema": 1, "problems": [], **_accepted(config, chosen, base)}


def _make(config: TuningConfig, optimizer: str, iterations: int, seed: int) -> None:
    make_optimizer(
        optimizer,
        config.space,
        seed=seed,
        direction=config.objective.direction,
        grid_points=config.grid_points,
        total=iterations,
    )


def _accepted(config: TuningConfig, optimizer: str, base: Path) -> Mapping[str, Any]:
    tuning = {**config.model_dump(mode="json"), "objective": config.objective.resolved(base)}
    return {
        "tuning": json.dumps({"tuning": tuning}, allow_nan=False),
        "optimizer": optimizer,
        "seed": config.seed,
        "metric": config.objective.metric,
        "direction": config.objective.direction,
        "grid_size": config.space.grid(config.grid_points).size if optimizer == "grid" else None,
    }


def _refused(problems: tuple[Problem, ...]) -> dict[str, Any]:
    return {"schema": 1, "problems": [asdict(problem) for problem in problems]}
