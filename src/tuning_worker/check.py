"""`tuning-worker check`: is this tuning config fit for a session? Asked by whoever submits one, answered as JSON.

It runs in the interpreter that will run the workers, so a yes also says that the worker can be imported there.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.documents import decode_document
from orchestrator.errors import OrchError, Problem, SpecError, UsageError
from tuning_worker.config import TuningConfig, load_tuning_config
from tuning_worker.days import SplitError, split_days
from tuning_worker.optimizers import make_optimizer
from tuning_worker.pruner import PrunerError
from tuning_worker.records.reproduction import facts
from tuning_worker.space.problems import SAMPLES, is_satisfiable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from orchestrator.domain.documents import Document
    from tuning_worker.days import Split
    from tuning_worker.optimizers import Optimizer

ABOUT = "Check a tuning config; the answer is JSON."


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
        `metric`, `direction`, `grid_size` (None where the optimizer is not `grid`), `reproduction` and `learns`
        (whether the optimizer looks at results).
    """
    try:
        raw = path.read_bytes()
        config = load_tuning_config(raw, str(path))
    except SpecError as error:
        return _refused(error.problems)
    except OSError as error:
        return _refused((Problem(f"cannot be read: {error.strerror}", str(path)),))
    document = decode_document(raw, str(path))
    chosen = optimizer or config.method
    base = path.resolve().parent
    problems = [
        document.problem(("tuning", "objective"), sentence)
        for sentence in config.objective.check(base, tuple(config.search_space))
    ]
    problems += [
        document.problem(("tuning", "search_space", name), why)
        for name, why in config.objective.check_values(config.space.extremes())
    ]
    learns = False
    try:
        learns = _make(config, chosen, iterations, seed).learns
    except OrchError as error:
        chosen_here = document.problem(("tuning", "method"), str(error))
        problems.append(Problem(str(error), "--optimizer") if optimizer else chosen_here)
    problems += [
        document.problem(("tuning", "enqueue", *where), why) for where, why in _enqueue(config, chosen, iterations)
    ]
    if not is_satisfiable(config.space):
        message = f"none of {SAMPLES:,} random points meets them all: they exclude each other, or nearly"
        problems.append(document.problem(("tuning", "constraints"), message))
    if problems:
        return _refused(tuple(problems))
    try:
        split = _split(config, base, document)
        folded = _folded(config, base, split, document)
    except SpecError as error:
        return _refused(error.problems)
    filled_in = {**({"split": split.model_dump(mode="json")} if split else {}), **folded}
    return {"schema": 1, "problems": [], "learns": learns, **_accepted(config, chosen, base, filled_in)}


def _enqueue(config: TuningConfig, optimizer: str, iterations: int) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield what is wrong with the points that are to be evaluated first, each with where it is."""
    points: dict[str, int] = {}
    for place, params in enumerate(config.enqueue):
        try:
            point = config.space.point_key(config.space.complete(params))
        except UsageError as error:
            yield (place,), str(error)
            continue
        if point in points:
            yield (place,), f"is the point of entry {points[point] + 1} again"
        points.setdefault(point, place)
    if config.enqueue and optimizer == "grid":
        yield (), "a grid has its own points, each once: leave enqueue out, or take another optimizer"
    if len(config.enqueue) > iterations:
        yield (), f"has {len(config.enqueue)} points, and the session {iterations} iterations"


def _split(config: TuningConfig, base: Path, document: Document) -> Split | None:
    """Split the days as the config asks, if it does.

    Raises:
        SpecError: they cannot be split so, or the objective has no days.
    """
    if config.evaluation is None:
        return None
    where: tuple[str, ...] = ("tuning", "evaluation")
    try:
        days = config.objective.find_days(base)
        if days is None:
            kind = document.data["tuning"]["objective"]["kind"]
            raise SpecError(
                (document.problem(where, f"the objective {kind} does not say which days it has: leave evaluation out"),)
            )
        split = split_days(days, config.evaluation)
    except SplitError as error:
        raise SpecError((document.problem((*where, error.field), str(error)),)) from error
    wrong = config.objective.check_days(base, split.parts)
    if wrong:
        raise SpecError(tuple(document.problem((*where, field), why) for field, why in wrong.items()))
    return split


def _folded(config: TuningConfig, base: Path, split: Split | None, document: Document) -> Mapping[str, Any]:
    """Return what the objective needs to be stopped by folds, if the config asks for that.

    Raises:
        SpecError: it cannot be.
    """
    if config.pruner is None:
        return {}
    where: tuple[str, ...] = ("tuning", "pruner")
    if len(config.objective.objectives) > 1:
        why = "a pruner goes by one value, and there are several objectives: leave pruner out"
        raise SpecError((document.problem(where, why),))
    try:
        return config.objective.folded(config.pruner, base, split)
    except PrunerError as error:
        raise SpecError((document.problem((*where, *error.fields), str(error)),)) from error


def _make(config: TuningConfig, optimizer: str, iterations: int, seed: int) -> Optimizer:
    return make_optimizer(
        optimizer,
        config.space,
        seed=seed,
        direction=tuple(config.objective.objectives.values()),
        grid_points=config.grid_points,
        total=iterations,
    )


def _accepted(config: TuningConfig, optimizer: str, base: Path, filled_in: Mapping[str, Any]) -> Mapping[str, Any]:
    objective = {**config.objective.resolved(base), **filled_in}
    tuning = {**config.model_dump(mode="json"), "objective": objective}
    text = json.dumps({"tuning": tuning}, allow_nan=False)
    return {
        "tuning": text,
        "reproduction": facts(text, objective),
        "optimizer": optimizer,
        "seed": config.seed,
        "metric": config.objective.metric,
        "direction": config.objective.direction,
        "grid_size": config.space.grid(config.grid_points).size if optimizer == "grid" else None,
    }


def _refused(problems: tuple[Problem, ...]) -> dict[str, Any]:
    return {"schema": 1, "problems": [asdict(problem) for problem in problems]}
