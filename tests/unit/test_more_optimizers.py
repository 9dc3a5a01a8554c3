"""Quasi-random search, CMA-ES, NSGA-II, several objectives, and the Gaussian process where its libraries are."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from orchestrator.errors import UsageError
from tuning_worker.optimizers import Result, make_optimizer
from tuning_worker.optimizers.known import find_best, fronts
from tuning_worker.optimizers.protocol import Search
from tuning_worker.optimizers.sobol import MAX_COORDINATES, scrambled, sobol
from tuning_worker.optimizers.unit import from_shares, to_shares
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.exact import UNIFORM_BITS
from tuning_worker.space.search_space import SearchSpace

if TYPE_CHECKING:
    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import Point

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])
X = {"type": "float", "bounds": [-5, 10]}
PLANE = {"x": {"type": "float", "bounds": [0, 1]}, "y": {"type": "float", "bounds": [0, 1]}}
ALL = {
    "x": X,
    "lr": {"type": "float", "bounds": [1e-5, 1e-1], "log": True},
    "s": {"type": "float", "bounds": [0.1, 0.9], "step": 0.1},
    "n": {"type": "int", "bounds": [1, 30]},
    "k": {"type": "int", "bounds": [1, 1000], "log": True},
    "c": {"type": "categorical", "choices": ["a", "b", 3]},
    "fee": 5,
}


def space(**dimensions: Any) -> SearchSpace:
    return SearchSpace(_DIMENSIONS.validate_python(dimensions))


def make(name: str, over: SearchSpace, **more: Any) -> Optimizer:
    return make_optimizer(name, over, **{"seed": 1, "direction": "minimize", "grid_points": 3, "total": 100, **more})


def run_alone(name: str, over: SearchSpace, value: Any, total: int, **more: Any) -> list[Result]:
    optimizer, known = make(name, over, **more), []
    for g in range(total):
        point = optimizer.suggest(g, known, {})
        found = value(point)
        values = found if isinstance(found, tuple) else None
        known.append(Result(g, point, values[0] if values else found, values))
    return known


# --- quasi-random -----------------------------------------------------------------------------------------------------


def test_the_sequence_is_sobols():
    assert [sobol(i, 0) >> 29 for i in range(8)] == [0, 4, 2, 6, 1, 5, 3, 7]
    assert [sobol(i, 1) >> 29 for i in range(8)] == [0, 4, 6, 2, 5, 1, 3, 7]
    assert [sobol(1000, c) for c in (2, 9, 63)] == KNOWN


KNOWN = [1933574144, 524288000, 4290772992]  # as SciPy 1.17 gives them


@given(seed=st.integers(0, 2**32), power=st.integers(1, 7), split=st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_scrambled_points_fill_every_box_of_equal_size_once(seed: int, power: int, split: int):
    """The first two coordinates are a (0, m, 2)-net, scrambled or not; every one is evenly spread by itself."""
    across = min(split, power)
    boxes = set()
    for i in range(2**power):
        x, y = (scrambled(i, c, seed, c) for c in (0, 1))
        boxes.add((x >> (UNIFORM_BITS - across), y >> (UNIFORM_BITS - (power - across))))
    assert len(boxes) == 2**power
    last = MAX_COORDINATES - 1
    assert len({scrambled(i, last, seed) >> (UNIFORM_BITS - power) for i in range(2**power)}) == 2**power


def test_quasi_random_points_belong_to_g_alone_and_differ_by_seed():
    over = space(**ALL)
    points = [make("qmc", over).suggest(g, [], {}) for g in range(20)]
    longer = make("qmc", over, total=10**6)
    assert [longer.suggest(g, [], {7: points[0]}, attempt=g) for g in reversed(range(20))] == points[::-1]
    assert all(over.validate_point(point) == point for point in points)
    assert make("qmc", over, seed=2).suggest(0, [], {}) != points[0]


@given(seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None, max_examples=30)
def test_quasi_random_search_repeats_no_point_while_there_is_another(seed: int, data: st.DataObject):
    over = space(n={"type": "int", "bounds": [1, 4]}, c={"type": "categorical", "choices": ["a", "b", "c"]})
    size, key = 12, over.point_key
    g_given = data.draw(st.sets(st.integers(0, size - 1), max_size=4))
    given_points: dict[int, Point] = {g: {"n": 1 + i, "c": "a"} for i, g in enumerate(sorted(g_given))}
    points = [make("qmc", over, seed=seed).suggest(g, [], given_points) for g in range(size + 2)]
    assert len({key(point) for point in points[:size]}) == size
    assert all(points[g] == point for g, point in given_points.items())
    again = make("qmc", over, seed=seed)
    order = data.draw(st.permutations(range(size + 2)))
    assert {g: again.suggest(g, [], given_points) for g in order} == dict(enumerate(points))


# --- the unit cube ----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_a_point_comes_back_from_the_unit_cube(seed: int):
    over = space(**ALL)
    point = make("random", over, seed=seed).suggest(0, [], {})
    shares = to_shares(over, point)
    back = from_shares(over, shares)
    assert all(0 <= share <= 1 for share in shares.values())
    for name in ("x", "lr"):
        assert back.pop(name) == pytest.approx(point.pop(name))
    assert back == point


# --- CMA-ES -----------------------------------------------------------------------------------------------------------


def bowl(point: Point) -> float:
    return math.hypot(float(point["x"]) - 0.3, float(point["y"]) - 0.7)


def test_cmaes_goes_to_the_minimum_and_begins_anew_there():
    known = run_alone("cmaes", space(**PLANE), bowl, 400)
    worth = [bowl(result.params) for result in known]
    ground = next(g for g, found in enumerate(worth) if found < 1e-3)
    assert max(worth[ground:]) > 0.1  # it is searching elsewhere


def test_cmaes_keeps_nothing_that_matters_between_suggestions():
    over = space(**PLANE, n={"type": "int", "bounds": [1, 9]})
    known = run_alone("cmaes", over, lambda p: None if p["n"] == 3 else bowl(p) * p["n"], 60)
    shuffled = [*known[1::2], *known[::2]]
    kept = make("cmaes", over)
    for count in (60, 10, 35, 60):
        some = [result for result in shuffled if result.g < count]
        fresh = make("cmaes", over).suggest(99, some, {})
        assert kept.suggest(99, some, {}) == kept.suggest(99, some, {}) == fresh
    assert kept.suggest(99, known, {}, 1) != kept.suggest(99, known, {})
    retried = [replace(result, value=0.0) if result.value is None else result for result in known]
    assert kept.suggest(99, retried, {}) == make("cmaes", over).suggest(99, retried, {}) != fresh


def test_cmaes_searches_one_parameter_and_maximizes():
    known = run_alone("cmaes", space(x=PLANE["x"], fee=5), lambda p: -abs(p["x"] - 0.3), 80, direction="maximize")
    assert max(result.value for result in known if result.value is not None) > -1e-3


# --- several objectives -----------------------------------------------------------------------------------------------


def test_fronts_follow_each_other():
    values = [(1.0, 4.0), (2.0, 2.0), (4.0, 1.0), (2.0, 4.0), (3.0, 3.0), (5.0, 5.0), (2.0, 2.0)]
    valued = [(losses, Result(g, {}, losses[0], losses)) for g, losses in enumerate(values)]
    assert [[result.g for _, result in front] for front in fronts(valued)] == [[0, 2, 6, 1], [3, 4], [5]]


def test_losses_as_large_as_floats_can_be_are_no_less_crowded():
    values = [(-1e308, 1e308), (-9e307, 9e307), (-8e307, 8e307), (0.0, 0.0), (1e308, -1e308)]
    valued = [(losses, Result(g, {}, losses[0], losses)) for g, losses in enumerate(values)]
    assert [[result.g for _, result in front] for front in fronts(valued)] == [[0, 4, 3, 2, 1]]


def test_results_are_compared_in_their_directions():
    over = space(**PLANE)
    search = Search(over, 1, ("maximize", "minimize"), 3, 9)
    point = {"x": 0.5, "y": 0.5}
    results = [
        Result(0, point, 1.0, (1.0, 1.0)),
        Result(1, point, 2.0, (2.0, 1.0)),
        Result(2, point, 2.0, (2.0, math.inf)),
        Result(3, point, None),
        Result(4, point, 9.0),
        Result(5, {"x": 7.0, "y": 0.0}, 9.0, (9.0, 0.0)),
    ]
    assert [search.losses(result) for result in results[:5]] == [(-1.0, 1.0), (-2.0, 1.0), None, None, None]
    assert [result.g for result in find_best(search, results, 9)] == [1, 0]


def two(point: Point) -> tuple[float, float]:
    """Two bowls: what is best for both lies on the line between their centres, and loses 0.6 in sum."""
    x, y = float(point["x"]), float(point["y"])
    return math.hypot(x - 0.2, y - 0.5), -math.hypot(x - 0.8, y - 0.5)


@pytest.mark.parametrize("name", ["nsga2", "bayesian"])
def test_several_objectives_are_optimized_at_once(name: str):
    directions = ("minimize", "maximize")

    def spread(method: str) -> tuple[float, float]:
        last = run_alone(method, space(**PLANE), two, 120, direction=directions)[60:]
        sums = [values[0] - values[1] for result in last if (values := result.values)]
        return sum(sums) / len(sums), max(float(result.params["x"]) for result in last)

    mean, reach = spread(name)
    assert mean < 0.5 * (0.6 + spread("random")[0])  # half of the way from chance to the front, or more
    assert reach > 0.6  # and not in one corner of it


def test_nsga2_begins_as_random_does_and_is_a_pure_function_of_the_results():
    over = space(**ALL)
    known = run_alone(
        "nsga2", over, lambda p: None if p["n"] == 3 else (float(p["n"]), p["x"]), 60, direction=("minimize",) * 2
    )
    optimizer = make("nsga2", over, direction=("minimize",) * 2)
    assert [result.params for result in known[:24]] == [make("random", over).suggest(g, [], {}) for g in range(24)]
    assert (
        optimizer.suggest(60, known[::-1], {}) == optimizer.suggest(60, known, {}) != optimizer.suggest(61, known, {})
    )
    assert optimizer.suggest(60, known, {}, 1) != optimizer.suggest(60, known, {})


# --- the Gaussian process ---------------------------------------------------------------------------------------------

has_torch = find_spec("torch") is not None and find_spec("scipy") is not None


@pytest.mark.skipif(has_torch, reason="its libraries are here")
def test_gp_is_refused_where_its_libraries_are_not():
    with pytest.raises(UsageError, match=r"gp needs .*torch, which the worker's Python does not have: pip install"):
        make("gp", space(x=X))


@pytest.mark.skipif(not has_torch, reason="its libraries are not here")
def test_gp_finds_a_bowls_ground_whatever_the_order():
    over = space(**PLANE, c=ALL["c"], fee=5)
    known = run_alone("gp", over, lambda p: None if p["y"] < 0.2 else bowl(p), 30)
    assert min(result.value for result in known if result.value is not None) < 0.02
    gp = make("gp", over)
    assert gp.suggest(30, known[::-1], {31: known[0].params}) == gp.suggest(30, known, {31: known[0].params})
    conditional = {**PLANE, "z": {"type": "float", "bounds": [0, 1], "when": {"c": "a"}}}
    with pytest.raises(UsageError, match="gp cannot search parameters with `when`"):
        make("gp", space(c=ALL["c"], **conditional))
