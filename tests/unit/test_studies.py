"""What `gp` asks Optuna through, with samplers of Optuna's that need no PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.samplers import RandomSampler, TPESampler
from pydantic import TypeAdapter

from tuning_worker.optimizers.studies import Shown, ask_study
from tuning_worker.space.constraints import parse_constraint
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.draws import random_point
from tuning_worker.space.search_space import SearchSpace

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])
ALL = {
    "x": {"type": "float", "bounds": [-5, 10]},
    "rate": {"type": "float", "bounds": [1e-5, 1e-1], "log": True},
    "step": {"type": "float", "bounds": [0.1, 0.9], "step": 0.1},
    "n": {"type": "int", "bounds": [1, 30]},
    "log_n": {"type": "int", "bounds": [1, 1000], "log": True},
    "many": {"type": "int", "bounds": [1, 2**50]},
    "many_log": {"type": "int", "bounds": [1, 2**50], "log": True},
    "c": {"type": "categorical", "choices": [True, 1, "one", 0.5]},
    "seven": 7,
}


def space(*constraints: str, **dimensions: Any) -> SearchSpace:
    parsed = tuple(parse_constraint(text, {"x": "number", "n": "number"}) for text in constraints)
    return SearchSpace(_DIMENSIONS.validate_python(dimensions), parsed)


def shown(over: SearchSpace, *, objectives: int = 1) -> list[Shown]:
    """Twenty points, of which one FAILED and one is under evaluation."""
    points = [random_point(over, 5, g) for g in range(20)]
    values = [(float(point["x"]),) * objectives for point in points]
    return [
        Shown(g, point, None if g in (3, 7) else value, failed=g == 3)
        for g, (point, value) in enumerate(zip(points, values, strict=True))
    ]


@pytest.mark.parametrize("objectives", [1, 2])
def test_what_optuna_proposes_is_a_point_of_the_space(objectives: int):
    over = space(**ALL)
    for seed in range(10):
        point = ask_study(over, shown(over, objectives=objectives), TPESampler(seed=seed, n_startup_trials=1))
        assert point is not None
        assert repr(over.validate_point(point)) == repr(point)


def test_what_is_shown_is_learned_from():
    over = space(**ALL)
    found = [ask_study(over, shown(over), TPESampler(seed=seed, n_startup_trials=1)) for seed in range(20)]
    assert sum(float(point["x"]) < 0 for point in found if point) > 15  # a third of all would be by chance


def test_it_is_asked_again_until_the_constraints_are_met_and_not_for_ever():
    over = space("x < n", **ALL)
    for seed in range(10):
        point = ask_study(over, shown(over), RandomSampler(seed=seed))
        assert point is not None
        assert over.is_allowed(point)
    assert ask_study(space("x < n", "n < x", **ALL), shown(space(**ALL)), RandomSampler(seed=1)) is None
