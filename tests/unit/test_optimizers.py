"""The optimizers as pure functions: what a candidate depends on, that none repeats, and that bayesian learns."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from orchestrator.errors import UsageError
from tuning_worker.optimizers import OPTIMIZERS, Result, Search, make_optimizer, studies, tpe, unused_point
from tuning_worker.optimizers.bayesian import BEST, LATEST, STARTUP
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.draws import draw, permute
from tuning_worker.space.search_space import SearchSpace

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import Point

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])

X = {"type": "float", "bounds": [-5, 10]}
LR = {"type": "float", "bounds": [1e-5, 1e-1], "log": True}
STEP = {"type": "float", "bounds": [0.1, 0.9], "step": 0.1}
N = {"type": "int", "bounds": [1, 30]}
K = {"type": "int", "bounds": [1, 1000], "log": True}
EVEN = {"type": "int", "bounds": [0, 20], "step": 2}
C = {"type": "categorical", "choices": [True, 1, "one", 0.5]}
ONE = {"type": "categorical", "choices": ["only"]}

MIXED = {"x": X, "lr": LR, "step": STEP, "n": N, "k": K, "even": EVEN, "c": C, "one": ONE}
SMALL = {"n": {"type": "int", "bounds": [1, 6]}, "c": {"type": "categorical", "choices": list("abcdef")}}


def space(**dimensions: Any) -> SearchSpace:
    return SearchSpace(_DIMENSIONS.validate_python(dimensions))


def make(name: str, over: SearchSpace, *, seed: int = 1, total: int = 100, **more: Any) -> Optimizer:
    return make_optimizer(
        name, over, **{"seed": seed, "direction": "minimize", "grid_points": 3, "total": total, **more}
    )


def results_of(over: SearchSpace, count: int, value: Callable[[Point], float | None], seed: int = 5) -> list[Result]:
    """What random search would have found."""
    points = (make("random", over, seed=seed).suggest(g, [], {}) for g in range(count))
    return [Result(g, point, value(point)) for g, point in enumerate(points)]


def mixed_value(point: Point) -> float | None:
    """Any function of all parameters, that fails for some."""
    n = point["n"]
    assert isinstance(n, int)
    return None if n % 7 == 0 else math.sin(float(point["x"])) + n / 30 - float(point["step"]) * (point["c"] == "one")


# --- chance without state ---------------------------------------------------------------------------------------------


@given(size=st.integers(1, 400), seed=st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_a_permutation_takes_every_index_once(size: int, seed: int):
    assert sorted(permute(i, size, "test", seed) for i in range(size)) == list(range(size))


@given(size=st.one_of(st.integers(1, 10**30), st.integers(1, 2**2000)), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_permutation_of_any_size_stays_inside_and_apart(size: int, data: st.DataObject):
    one, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    permuted = permute(one, size, "test"), permute(other, size, "test")
    assert all(0 <= index < size for index in permuted)
    assert (permuted[0] == permuted[1]) == (one == other)


def test_permutations_of_few_are_not_always_the_same():
    seen = {tuple(permute(i, 4, "test", seed) for i in range(4)) for seed in range(500)}
    assert len(seen) >= 12  # a balanced network of one-bit halves makes the even half of the 24


@given(bits=st.integers(0, 700), key=st.integers())
@settings(deadline=None)
def test_a_draw_has_the_bits_asked_for(bits: int, key: int):
    assert 0 <= draw(bits, "test", key) < 2**bits


@pytest.mark.every_python
def test_draws_and_permutations_are_the_same_on_every_python():
    """A change of these values is a change of every session that is run again."""
    assert draw(64, "random", 1, 2, 0, "x") == 16977391806714002528
    assert [permute(i, 10, "grid", 42) for i in range(10)] == [9, 7, 8, 4, 6, 3, 5, 0, 1, 2]
    assert permute(123456789, 10**30, "grid", 42) == 825829810977102427864620274611


def test_draws_are_spread_evenly():
    counts = [0] * 16
    for i in range(16_000):
        counts[draw(4, "test", i)] += 1
    chi_squared = sum((count - 1000) ** 2 / 1000 for count in counts)
    assert chi_squared < 37.7  # the 0.999 quantile for 15 degrees of freedom


# --- random -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**63 - 1), g=st.integers(0, 10**9), names=st.permutations(sorted(MIXED)))
@settings(max_examples=50, deadline=None)
def test_random_depends_on_seed_g_and_each_parameters_name_alone(seed: int, g: int, names: list[str]):
    whole = make("random", space(**MIXED), seed=seed).suggest(g, [], {})
    part = space(**{name: MIXED[name] for name in names[:4]}, added=X)
    known = results_of(part, 3, lambda _: 1.0)
    found = make("random", part, seed=seed, total=7).suggest(g, known, {1: known[1].params}, attempt=2)
    assert {name: found[name] for name in names[:4]} == {name: whole[name] for name in names[:4]}


def test_random_differs_by_seed_by_g_and_by_parameter():
    over = space(a=X, b=X)
    points = [make("random", over, seed=seed).suggest(g, [], {}) for seed in range(20) for g in range(20)]
    assert len({value for point in points for value in point.values()}) == 800


def test_random_reaches_every_corner_of_a_space_evenly():
    over = space(**SMALL)
    points = [over.point_key(make("random", over).suggest(g, [], {})) for g in range(3600)]
    counts = [points.count(over.point_key(over.point(i))) for i in range(36)]
    assert sum((count - 100) ** 2 / 100 for count in counts) < 66.7  # the 0.999 quantile for 35 degrees of freedom


# --- grid -------------------------------------------------------------------------------------------------------------


@given(workers=st.integers(1, 40), seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_whole_grid_is_searched_exactly_once_in_order_whatever_the_workers(workers: int, seed: int):
    over = space(x=X, n=N, c=C)
    grid = make("grid", over, seed=seed, total=36)
    dealt = [g for worker in range(workers) for g in range(worker, 36, workers)]
    points = {g: grid.suggest(g, [], {}) for g in dealt}
    assert [points[g] for g in range(36)] == [over.grid(3).point(i) for i in range(36)]
    assert len({over.point_key(point) for point in points.values()}) == 36


@given(total=st.integers(1, 35), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_part_of_a_grid_is_a_seeded_selection_without_repetition(total: int, seed: int):
    over = space(x=X, n=N, c=C)
    grid = make("grid", over, seed=seed, total=total)
    keys = [over.point_key(grid.suggest(g, [], {}, attempt=g)) for g in range(total)]
    longer = make("grid", over, seed=seed, total=35)
    assert len(set(keys)) == total
    assert keys == [over.point_key(longer.suggest(g, [], {})) for g in range(total)]
    assert set(keys) <= {over.point_key(over.grid(3).point(i)) for i in range(36)}


def test_selections_of_a_grid_are_spread_over_it_and_differ_by_seed():
    over = space(x=X, n=N, c=C)
    grids = [make("grid", over, seed=seed, total=9) for seed in range(400)]
    chosen = Counter(over.point_key(grid.suggest(g, [], {})) for grid in grids for g in range(9))
    assert len(chosen) == 36
    assert sum((count - 100) ** 2 / 100 for count in chosen.values()) < 66.7  # the 0.999 quantile for 35 degrees


def test_a_grid_of_1e40_points_is_never_written_out():
    over = space(**{f"p{i}": X for i in range(40)})
    grid = make("grid", over, grid_points=10, total=300)
    assert over.grid(10).size == 10**40
    assert len({over.point_key(grid.suggest(g, [], {})) for g in range(300)}) == 300


@pytest.mark.parametrize(
    ("dimensions", "points", "most"), [({"x": X, "n": N, "c": C}, "36 points", 36), ({"one": ONE}, "1 point", 1)]
)
def test_more_iterations_than_the_grid_has_points_are_refused_with_both(dimensions: Any, points: str, most: int):
    with pytest.raises(UsageError) as caught:
        make("grid", space(**dimensions), total=37)
    assert str(caught.value) == (
        f"the grid has {points} and total_iterations is 37: set total_iterations to at most {most}, "
        "or make the grid finer (grid_points is 3)"
    )


# --- bayesian ---------------------------------------------------------------------------------------------------------


@given(order=st.randoms(use_true_random=False), count=st.integers(STARTUP, 40), g=st.integers(40, 10**6))
@settings(max_examples=25, deadline=None)
def test_bayesian_does_not_see_the_order_in_which_results_came(order: random.Random, count: int, g: int):
    over = space(**MIXED)
    known = results_of(over, count, mixed_value)
    pending = [(100 + result.g, result.params) for result in results_of(over, 7, mixed_value, seed=6)]
    expected = make("bayesian", over).suggest(g, known, dict(pending))
    order.shuffle(known)
    order.shuffle(pending)
    assert repr(make("bayesian", over).suggest(g, known, dict(pending))) == repr(expected)
    assert over.validate_point(expected) == expected


def test_bayesian_keeps_nothing_from_one_suggestion_to_the_next():
    over = space(**MIXED)
    grown, known = make("bayesian", over), []
    for g in range(30):
        point = grown.suggest(g, known, {})
        assert make("bayesian", over).suggest(g, known, {}) == point
        known.append(Result(g, point, mixed_value(point)))
    early = [grown.suggest(g, known[:g], {}) for g in range(30)]
    assert early == [result.params for result in known]


PROGRAM = """
import json, sys
from tuning_worker.config import load_tuning_config
from tuning_worker.optimizers import Result, make_optimizer
space = load_tuning_config(sys.argv[1], "argv").space
optimizer = make_optimizer("bayesian", space, seed=3, direction="maximize", grid_points=3, total=99)
known = []
for g in range(20):
    point = optimizer.suggest(g, known, {})
    known.append(Result(g, point, point["x"] * point["n"]))
print(json.dumps([list(result.params.items()) for result in known]))
"""


@pytest.mark.every_python
def test_bayesian_gives_the_same_bits_in_every_process():
    objective = {"kind": "python", "function": "m:f", "metric": "v", "direction": "maximize"}
    config = json.dumps({"tuning": {"search_space": MIXED, "objective": objective}})
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, config],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(json.loads(runs[0].stdout)) == 20
    assert [run.stderr for run in runs] == ["", ""]


@pytest.mark.parametrize(
    "extreme",
    [
        {"type": "int", "bounds": [1 - 2**53, 2**53 - 1]},
        {"type": "int", "bounds": [1, 2**53 - 1], "log": True},
        {"type": "int", "bounds": [0, 1]},
        {"type": "float", "bounds": [-8e307, 8e307]},
        {"type": "float", "bounds": [5e-324, 1e308], "log": True},
        {"type": "float", "bounds": [0, 1e-300]},
        {"type": "float", "bounds": [1, math.nextafter(1, 2)]},
        {"type": "float", "bounds": [0, 1e9], "step": 1e-6},
    ],
)
def test_bayesian_handles_the_widest_and_the_narrowest_dimensions(extreme: dict[str, Any]):
    over = space(x=extreme)
    bayesian, known = make("bayesian", over), []
    for g in range(30):
        point = bayesian.suggest(g, known, {})
        assert over.validate_point(point) == point
        known.append(Result(g, point, float(point["x"]) * (g % 3 - 1) if abs(point["x"]) < 1e300 else 0.0))


def test_what_optuna_says_beyond_a_bound_is_the_bound():
    """Rounding may take Optuna there, too rarely to be waited for: so the private way back is tested alone."""
    for dimension, low, high in ((LR, 1e-5, 0.1), ({"type": "int", "bounds": [1, 2**30], "log": True}, 1, 2**30)):
        axis = studies._axis(space(x=dimension).dimensions["x"])
        assert (axis.decode(axis.distribution.low * 0.999), axis.decode(axis.distribution.high * 1.001)) == (low, high)
        assert (axis.decode(axis.distribution.low), axis.decode(axis.distribution.high)) == (low, high)


def test_bayesian_starts_with_the_candidates_of_random():
    over = space(**MIXED)
    bayesian, rand = make("bayesian", over), make("random", over)
    known = results_of(over, STARTUP - 1, lambda _: 1.0)
    failed = [Result(50 + g, known[0].params, value) for g, value in enumerate((None, math.nan, math.inf, -math.inf))]
    assert bayesian.suggest(70, known + failed, {}) == rand.suggest(70, [], {})
    known.append(Result(40, known[0].params, 2.0))
    assert bayesian.suggest(70, known + failed, {}) != rand.suggest(70, [], {})


def test_another_attempt_is_another_candidate():
    over = space(**MIXED)
    for count in (0, 20):
        known = results_of(over, count, mixed_value)
        candidates = [make("bayesian", over).suggest(70, known, {}, attempt) for attempt in range(10)]
        assert len({over.point_key(point) for point in candidates}) == 10


def test_results_that_do_not_fit_the_space_are_not_shown():
    over = space(x=X, n=N)
    known = results_of(over, 20, lambda point: float(point["x"]))
    strangers = [
        Result(100, {"x": 99.0, "n": 3}, -1e9),
        Result(101, {"x": 1.0}, -1e9),
        Result(102, {"x": "a", "n": 3}, -1e9),
        Result(103, {"x": 1.0, "n": 3, "m": 1}, None),
    ]
    bayesian = make("bayesian", over)
    expected = bayesian.suggest(70, known, {})
    assert bayesian.suggest(70, known + strangers, {104: {"x": 99.0, "n": 3}}) == expected


def test_what_is_under_evaluation_keeps_bayesian_off_nothing():
    over = space(**MIXED)
    bayesian, known = make("bayesian", over), results_of(over, 40, mixed_value)
    alone = [bayesian.suggest(g, known, {}) for g in range(70, 78)]
    pending = {70 + i: point for i, point in enumerate(alone)} | {100: alone[0]}
    assert [bayesian.suggest(g, known, pending) for g in range(70, 78)] == alone


def test_what_an_optimizer_is_shown_as_under_evaluation_is_not_finished():
    """A claim may be read just before its result: no point is shown twice."""
    over = space(x=X, n=N)
    search = Search(over, 1, ("minimize",), 3, 100)
    known = results_of(over, 3, lambda point: float(point["x"]))
    under_way = {2: known[2].params, 7: known[0].params, 8: {"x": 99.0, "n": 3}}
    shown = studies.choose_shown(search, known[:1], known, under_way, latest=2)
    assert [(each.g, each.losses is None, each.failed) for each in shown] == [
        (0, False, True),
        (1, False, True),
        (2, False, True),
        (7, True, False),
    ]


def test_workers_that_ask_with_the_same_knowledge_spread_out_around_what_is_best():
    """They are kept apart by chance alone, and none goes where nothing good was found."""
    over = space(x={"type": "float", "bounds": [0, 1]}, y={"type": "float", "bounds": [0, 1]})

    def distance(one: Any, other: Any) -> float:
        return math.dist((one["x"], one["y"]), (other["x"], other["y"]))

    best, apart, away = {"x": 0.3, "y": 0.7}, [], {"random": 0.0, "bayesian": 0.0}
    for seed in range(10):
        known = results_of(over, 60, lambda p: distance(p, best), seed=seed)
        for name in away:
            points = [make(name, over, seed=seed).suggest(g, known, {}) for g in range(100, 108)]
            away[name] += sum(distance(point, best) for point in points)
            apart += [distance(*pair) for pair in combinations(points, 2)]
    assert min(apart) > 0
    assert away["bayesian"] < 0.5 * away["random"]


def test_only_the_best_and_the_latest_results_are_shown(monkeypatch: pytest.MonkeyPatch):
    over = space(x=X)
    count = BEST + LATEST + 100
    worse = [Result(r.g, r.params, float(r.g)) for r in results_of(over, count, lambda _: 0.0)]
    failed = [Result(count, {"x": -5.0}, None)]
    g_of = {result.params["x"]: result.g for result in worse + failed}
    seen: list[tuple[list[int], list[int]]] = []
    ask = tpe.suggest

    def watched(over: SearchSpace, good: Any, bad: Any, **more: Any) -> Any:
        seen.append(([g_of[point["x"]] for point in good], sorted(g_of[point["x"]] for point in bad)))
        return ask(over, good, bad, **more)

    monkeypatch.setattr(tpe, "suggest", watched)
    make("bayesian", over).suggest(count + 2, worse + failed, {count + 1: worse[0].params})
    make("bayesian", over, direction="maximize").suggest(count + 2, worse + failed, {})
    equal = [Result(r.g, r.params, 1.0) for r in worse]
    make("bayesian", over).suggest(count, equal[::-1], {})
    make("bayesian", over).suggest(count, worse[:31], {})
    best, last = [*range(25)], count - 1
    assert seen[0] == (best, [*range(25, BEST), *range(count + 1 - LATEST, count + 1)])
    assert seen[1] == ([*range(last, last - 25, -1)], [*range(count - BEST, count - 25), count])
    assert seen[2] == (best, [*range(25, BEST), *range(count - LATEST, count)])
    assert seen[3] == ([0, 1, 2, 3], [*range(4, 31)])


def run_session(
    name: str, over: SearchSpace, value: Callable[[Any], float | None], seed: int, **more: Any
) -> list[Any]:
    optimizer = make(name, over, seed=seed, **more)
    known: list[Result] = []
    for g in range(50):
        point = optimizer.suggest(g, known, {})
        known.append(Result(g, point, value(point)))
    return [result.value for result in known]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_bayesian_learns(direction: str):
    over = space(x=X, lr=LR, n=N, c=C)
    sign = -1 if direction == "maximize" else 1

    def value(point: Any) -> float:
        miss = abs(point["x"] - 3) / 5 + abs(math.log10(point["lr"]) + 3) + abs(point["n"] - 12) / 10
        return sign * (miss + (point["c"] != "one"))

    late, best = {}, {}
    for name in ("bayesian", "random"):
        sessions = [run_session(name, over, value, seed, direction=direction) for seed in range(6)]
        late[name] = sum(sign * v for session in sessions for v in session[25:])
        best[name] = sum(min(sign * v for v in session) for session in sessions)
    assert late["bayesian"] < 0.7 * late["random"]
    assert best["bayesian"] < 0.7 * best["random"]


def test_bayesian_tells_choices_apart_that_python_takes_for_equal():
    choices = [True, "a", "b", 1, "one"]
    over = space(c={"type": "categorical", "choices": choices}, x=X)
    points = [{"c": choices[g % 5], "x": 1.0} for g in range(40)]
    known = [Result(g, point, 0.0 if type(point["c"]) is int else 1.0) for g, point in enumerate(points)]
    found = [make("bayesian", over).suggest(99, known, {}, attempt)["c"] for attempt in range(10)]
    assert [repr(c) for c in found].count("1") > 5


def test_bayesian_avoids_where_iterations_fail():
    over = space(x={"type": "float", "bounds": [0, 1]}, y={"type": "float", "bounds": [0, 1]})

    def value(point: Any) -> float | None:
        return None if point["x"] < 0.6 else point["x"] + point["y"]

    failures = Counter(
        name
        for name in ("bayesian", "random")
        for seed in range(6)
        for found in run_session(name, over, value, seed)[25:]
        if found is None
    )
    assert failures["bayesian"] < 0.8 * failures["random"]  # although the best points lie along where they begin


# --- no point twice ---------------------------------------------------------------------------------------------------


def test_a_small_space_is_exhausted_without_a_repetition():
    """As workers do it: ask, ask again where the point is taken, then take any unused one."""
    over = space(**SMALL)
    bayesian, known, used = make("bayesian", over), [], set()
    for g in range(36):
        candidates = (bayesian.suggest(g, known, {}, attempt) for attempt in range(3))
        point = next((p for p in candidates if over.point_key(p) not in used), None)
        point = point or unused_point(over, 1, g, used.__contains__)
        assert point is not None
        used.add(over.point_key(point))
        known.append(Result(g, point, float(g % 5)))
    assert len(used) == 36
    assert unused_point(over, 1, 36, used.__contains__) is None


def test_an_unused_point_is_looked_for_from_another_place_for_each_g_and_seed():
    over = space(**SMALL)
    found = [[unused_point(over, seed, g, lambda _: False) for g in range(60)] for seed in (1, 2)]
    assert found[0] != found[1]
    assert len({over.point_key(p) for p in found[0] if p}) > 20
    assert found[0] == [unused_point(over, 1, g, lambda _: False) for g in range(60)]


def test_the_search_for_an_unused_point_has_an_end():
    asked: list[str] = []

    def is_used(key: str) -> bool:
        asked.append(key)
        return True

    assert unused_point(space(n=N, k=K), 1, 0, is_used, max_tries=50) is None
    assert len(asked) == len(set(asked)) == 50
    assert unused_point(space(x=X), 1, 0, is_used, max_tries=50) is None
    assert len(asked) == 100


def test_what_cannot_be_counted_has_an_unused_point_too():
    over = space(n=N, x=X)
    first = unused_point(over, 1, 0, lambda _: False)
    assert first == unused_point(over, 1, 0, lambda _: False) != unused_point(over, 1, 1, lambda _: False)
    assert first is not None
    assert unused_point(over, 1, 0, {over.point_key(first)}.__contains__) not in (None, first)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "learns", "unique"),
    [
        ("random", False, False),
        ("grid", False, False),
        ("qmc", False, True),
        ("bayesian", True, True),
        ("cmaes", True, True),
        ("nsga2", True, True),
    ],
)
def test_each_optimizer_says_what_it_needs(name: str, learns: bool, unique: bool):  # noqa: FBT001 - parameters
    optimizer = make(name, space(x=X), total=3)
    assert (optimizer.learns, optimizer.unique) == (learns, unique)


def test_the_table_is_what_is_tested_here():
    assert set(OPTIMIZERS) == {"random", "grid", "qmc", "bayesian", "cmaes", "nsga2", "gp"}


@pytest.mark.parametrize(("name", "hint"), [("bayes", "; did you mean bayesian?"), ("xyz", "")])
def test_an_unknown_optimizer_is_refused_with_those_that_there_are(name: str, hint: str):
    with pytest.raises(UsageError) as caught:
        make(name, space(x=X))
    there_are = "bayesian, cmaes, gp, grid, nsga2, qmc, random"
    assert str(caught.value) == f"there is no optimizer {name!r}: choose one of {there_are}{hint}"


@pytest.mark.parametrize(
    ("name", "dimensions", "more", "sentence"),
    [
        ("cmaes", MIXED, {}, "cmaes searches numbers only, not what is categorical .c, one.: choose bayesian or nsga2"),
        ("cmaes", {"x": X, "n": N}, {"direction": ("minimize", "maximize")}, "cmaes searches for one objective"),
        ("qmc", {f"p{i}": X for i in range(65)}, {}, "qmc searches at most 64 parameters, and these are 65"),
    ],
)
def test_what_an_optimizer_cannot_search_is_said_before_the_start(name: str, dimensions: Any, more: Any, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        make(name, space(**dimensions), **more)


def test_making_an_optimizer_does_not_import_optuna():
    program = (
        "import sys; from tuning_worker.optimizers import OPTIMIZERS, make_optimizer; "
        "from tuning_worker.space.search_space import SearchSpace; "
        "from tuning_worker.space.dimensions import IntDimension; "
        "space = SearchSpace({'n': IntDimension(type='int', bounds=(1, 3))}); "
        "names = [n for n in OPTIMIZERS if n != 'gp']; "
        "[make_optimizer(n, space, seed=1, direction='minimize', grid_points=3, total=3) for n in names]; "
        "print(sorted({'optuna', 'numpy', 'numba', 'pyarrow', 'cmaes'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
