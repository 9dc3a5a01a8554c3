"""Spaces whose parameters depend on each other: conditions, fixed values, constraints, and how they are counted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from orchestrator.errors import SpecError, UsageError
from tuning_worker.config import load_tuning_config
from tuning_worker.optimizers import OPTIMIZERS, Result, make_optimizer, suggest_in_round, unused_point
from tuning_worker.optimizers.rounds import round_start
from tuning_worker.space import draws, lattice
from tuning_worker.space.constraints import parse_constraint
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.problems import is_satisfiable, make_space

if TYPE_CHECKING:
    import random

    from tuning_worker.optimizers import Optimizer
    from tuning_worker.space.search_space import Point, SearchSpace

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])


def space(*constraints: str, **dimensions: Any) -> SearchSpace:
    return make_space(_DIMENSIONS.validate_python(dimensions), constraints)


def integer(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "bounds": [low, high], **more}


def real(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "bounds": [low, high], **more}


def choice(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices), **more}


SIDES = (True, 1, "both")
WHOLE: dict[str, Any] = {
    "fee": 5,
    "kind": choice("edge", "mean", "flat"),
    "fast": integer(1, 9),
    "slow": integer(1, 9),
    "window": real(0, 1, when={"kind": "mean"}),
    "depth": integer(1, 64, log=True, when={"kind": ["edge", "mean"]}),
    "side": choice(*SIDES, when={"kind": "edge", "fast": [1, 2, 3]}),
}
RULES = ("fast < slow", "not (kind == 'flat' and slow == 9)", "window <= 0.9 or fast > 4")


def make(name: str, over: SearchSpace, **more: Any) -> Optimizer:
    return make_optimizer(name, over, **{"seed": 1, "direction": "minimize", "grid_points": 3, "total": 100, **more})


def value(point: Any) -> float | None:
    worth = point["slow"] - 2 * point["fast"] + point.get("window", 0.5)
    return None if point["slow"] == 8 else float(worth)


# --- conditions and fixed values --------------------------------------------------------------------------------------


def test_a_point_has_the_parameters_that_are_active_and_the_fixed_ones():
    it = space(**WHOLE)
    full = {"fee": 5, "kind": "edge", "fast": 1, "slow": 2, "depth": 4, "side": "both"}
    assert it.validate_point(full) == full
    assert it.validate_point({"fee": 5, "kind": "flat", "fast": 1, "slow": 2}) is not None
    with pytest.raises(UsageError) as caught:
        it.validate_point({"fee": 6, "kind": "flat", "fast": 1, "slow": 2, "window": 0.5, "side": 1})
    assert str(caught.value).split("; ") == [
        "fee: 6 is not 5, which is fixed",
        "window is only there when kind is 'mean'",
        "side is only there when kind is 'edge' and fast is 1 or 2 or 3",
    ]
    with pytest.raises(UsageError, match=r"^depth is missing$"):
        it.validate_point({"fee": 5, "kind": "edge", "fast": 5, "slow": 2})


def test_what_is_fixed_need_not_be_written():
    it = space(**WHOLE)
    full = {"fee": 5, "kind": "flat", "fast": 1, "slow": 2}
    assert it.complete({"kind": "flat", "fast": 1, "slow": 2}) == full
    assert it.complete(full) == full
    there = space(kind=choice("edge", "mean"), fee={"type": "fixed", "value": 5, "when": {"kind": "edge"}})
    assert there.complete({"kind": "mean"}) == {"kind": "mean"}
    assert there.complete({"kind": "edge"}) == {"kind": "edge", "fee": 5}


def test_conditions_may_depend_on_each_other():
    it = space(a=choice(*SIDES[:2]), b=choice(1, 2, when={"a": 1}), c=integer(1, 3, when={"b": 2}))
    assert [it.point(i) for i in range(it.size() or 0)] == [
        {"a": True},
        {"a": 1, "b": 1},
        *({"a": 1, "b": 2, "c": c} for c in (1, 2, 3)),
    ]


def test_a_broken_constraint_is_named_with_its_values():
    it = space("fast < slow", fast=integer(1, 9), slow=integer(1, 9))
    with pytest.raises(UsageError, match=r"^fast < slow does not hold: fast is 5, slow is 5$"):
        it.validate_point({"fast": 5, "slow": 5})


# --- constraints ------------------------------------------------------------------------------------------------------

KINDS: dict[str, Any] = {"a": "number", "b": "number", "kind": "text", "on": "truth", "mix": "mixed"}


@pytest.mark.parametrize(
    ("text", "point", "holds"),
    [
        ("a + b <= 0.3", {"a": 0.1, "b": 0.2}, True),
        ("a < b < 10", {"a": 1, "b": 10}, False),
        ("-a * 2 == +b - 4 % 3", {"a": 1, "b": -1}, True),
        ("a / b > 1", {"a": 1, "b": 0}, False),
        ("not (a / b > 1)", {"a": 1, "b": 0}, False),
        ("a / b >= 0.5 and a != b", {"a": 1, "b": 2}, True),
        ("kind == 'edge' or a > 3", {"kind": "mean", "a": 4}, True),
        ("on", {"on": False}, False),
        ("on == true and not false", {"on": True}, True),
        ("mix == 1", {"mix": True}, False),
        ("mix == 1", {"mix": 1.0}, True),
        ("mix != 'x'", {"mix": True}, True),
        ("a < b", {"a": 5}, True),
        ("a * 1e300 * 1e300 < b", {"a": 1, "b": 1e308}, False),
    ],
)
def test_what_a_constraint_means(text: str, point: Any, holds: bool):  # noqa: FBT001 - a parameter
    assert parse_constraint(text, KINDS).holds(point) is holds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a <", "is no expression: invalid syntax"),
        ("a < b)", "is no expression: unmatched"),
        ("a < bb", "'bb' is no parameter of the search space; did you mean 'b'"),
        ("kind == edge", "'edge' is no parameter of the search space; put texts in quotes"),
        ("a", "is no comparison"),
        ("1 < 2", "names no parameter"),
        ("a < kind", "'kind' is no number"),
        ("kind == 3", "'kind' is a text and '3' a number"),
        ("mix < 3", r"'mix' is no number \(see ==\)"),
        ("a and on", "'a' is no truth"),
        ("a is b", "compares with"),
        ("a in b", "compares with"),
        ("a ** b < 1", "cannot use"),
        ("a.real < 1", "cannot use"),
        ("a[0] < 1", "cannot use"),
        ("f(a) < 1", "cannot use"),
        ("(lambda: a)() < 1", "cannot use"),
        ("[a for a in b] == 1", "cannot use"),
        ("a if on else b", "cannot use"),
        ("(c := a) < 1", "cannot use"),
        ("a < 1j", "cannot use"),
        ("a == b'x'", "cannot use"),
        ("~a < 1", "cannot use"),
        ("a < None", "cannot use"),
        ("a < 1e999", "too large"),
        ("kind == f'{a}'", "cannot use"),
        ("__import__('os').system('true') == 0", "cannot use"),
        ("a < " + "-" * 60 + "b", "nested too deep"),
        ("(" * 300 + "a", "is no expression"),
        ("a < 1 # " + "x" * 500, "at most 500"),
        ("a < b\0", "is no expression"),
        ("kind == '\\d' and", "is no expression"),
        ("", "is no expression"),
    ],
)
def test_what_is_no_constraint_is_refused_with_a_sentence(text: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        parse_constraint(text, KINDS)


@given(st.text(max_size=60) | st.text("ab<>=()+-*/%.0123456789 'andornot", max_size=40))
@settings(deadline=None)
def test_any_text_is_a_constraint_or_refused(text: str):
    try:
        constraint = parse_constraint(text, KINDS)
    except ValueError:
        return
    assert constraint.holds({"a": 1, "b": 2.5, "kind": "x", "on": True, "mix": "y"}) in (True, False)


def test_problems_of_a_space_are_said_with_their_places():
    text = """\
tuning:
  search_space:
    kind: {type: categorical, choices: [edge, mean]}
    x: {type: float, bounds: [0, 1], when: {knd: edge}}
    w: {type: float, bounds: [0, 1], when: {kind: [edge, meen]}}
    v: {type: float, bounds: [0, 1], when: {w: 1, kind: edge}}
    u: {type: float, bounds: [0, 1], when: {v: 1, z: 1}}
  constraints: [x < ww, "x <"]
  objective: {kind: python, function: "m:f", metric: v, direction: minimize}
"""
    with pytest.raises(SpecError) as caught:
        load_tuning_config(text, "t.yaml")
    assert str(caught.value).splitlines() == [
        "t.yaml:4:50: tuning.search_space.x.when.knd: knd is no parameter above x; did you mean 'kind'?",
        (
            "t.yaml:5:51: tuning.search_space.w.when.kind: 'meen' is not one of 'edge', 'mean', "
            "so w would never be there for it"
        ),
        "t.yaml:6:48: tuning.search_space.v.when.w: w is a float: only a categorical or an int can be a condition",
        "t.yaml:7:48: tuning.search_space.u.when.v: v is a float: only a categorical or an int can be a condition",
        "t.yaml:7:54: tuning.search_space.u.when.z: z is no parameter above u; there are above it: kind, x, w, v",
        "t.yaml:8:17: tuning.constraints.0: 'ww' is no parameter of the search space; did you mean 'w'?",
        "t.yaml:8:25: tuning.constraints.1: is no expression: invalid syntax (at character 1)",
    ]


def test_a_space_of_fixed_values_is_refused():
    with pytest.raises(UsageError, match="has fixed values only"):
        space(a=1, b={"type": "fixed", "value": "x"})


def test_constraints_that_nothing_meets_are_seen_before_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draws, "MAX_DRAWS", 1000)
    assert is_satisfiable(space(x=real(0, 1)))
    assert is_satisfiable(space("x < 0.01", x=real(0, 1)))
    assert is_satisfiable(space("n == 12345", n=integer(1, 15_000)))  # counted, as chance did not find it
    assert not is_satisfiable(space("x > 1", x=real(0, 1)))
    over = space("x > 1", x=real(0, 1))
    with pytest.raises(UsageError, match="none of 1,000 random points meets the constraints"):
        make("random", over).suggest(0, [], {})


# --- counting ---------------------------------------------------------------------------------------------------------


def brute(it: SearchSpace) -> list[str]:
    """Every point, by writing the product out."""
    axes = [list(dimension.values or ()) for dimension in it.dimensions.values()]
    found: dict[str, None] = {}
    for values in itertools.product(*axes):
        chosen = dict(zip(it.dimensions, values, strict=True))
        point = it.make_point(lambda name, _: chosen[name])  # noqa: B023 - called at once
        if it.is_allowed(point):
            found[repr(point)] = None
    return list(found)


_conditions = st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 2), min_size=1)), max_size=2)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    conditions=st.lists(_conditions, min_size=5, max_size=5),
    rules=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["<", "!=", "<="]), st.integers(0, 4)), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_points_are_counted_and_numbered_as_in_the_product_each_once(sizes: Any, conditions: Any, rules: Any):
    dimensions: dict[str, Any] = {}
    for i, size in enumerate(sizes):
        when = {
            f"p{other}": sorted(v for v in values if v < sizes[other]) for other, values in conditions[i] if other < i
        }
        when = {name: values for name, values in when.items() if values}
        kind = choice(*range(size)) if size == 1 or i % 2 else integer(0, size - 1)
        dimensions[f"p{i}"] = {**kind, **({"when": when} if when else {})}
    texts = [f"p{a} {sign} p{b}" for a, sign, b in rules if max(a, b) < len(sizes)]
    it = space(*texts, **dimensions)
    expected = brute(it)
    assert it.size() == len(expected)
    assert [repr(it.point(i)) for i in range(len(expected))] == expected


def test_a_space_too_large_to_write_out_is_counted_where_little_is_tied_together():
    it = space("a < b", a=integer(1, 100), b=integer(1, 100), **{f"p{i}": integer(1, 10**6) for i in range(20)})
    assert it.size() == 4950 * 10**120
    last = it.point(4950 * 10**120 - 1)
    assert (last["a"], last["b"], last["p19"]) == (99, 100, 10**6)


def test_what_cannot_be_counted_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lattice, "MAX_COMBINATIONS", 1000)
    it = space("a < b", a=integer(1, 100), b=integer(1, 100))
    assert it.lattice() is it.size() is None
    assert it.is_allowed(unused_point(it, 1, 0, lambda _: False) or {})
    with pytest.raises(UsageError, match="tie more than 1,000 combinations"):
        make("grid", it, grid_points=100)
    chain = {f"p{i}": choice(1, when={f"p{i - 1}": 1} if i else None) for i in range(600)}
    assert space(**chain).size() is None


def test_a_grid_has_each_allowed_point_once():
    it = space(*RULES, **{**WHOLE, "window": real(0, 1, step=0.5, when={"kind": "mean"})})
    size = it.grid(3).size
    grid = make("grid", it, total=size)
    points = [grid.suggest(g, [], {}) for g in range(size)]
    assert len({it.point_key(point) for point in points}) == size > 20
    with pytest.raises(UsageError, match="no point of the grid meets the constraints"):
        make("grid", space("x > 0.6", "x < 0.9", x=real(0, 1)), total=2)


# --- every optimizer --------------------------------------------------------------------------------------------------

ANYWHERE = sorted({*OPTIMIZERS} - {"gp", "cmaes", "grid"})
NUMBERS: dict[str, Any] = {
    "fee": 5,
    "fast": integer(1, 9),
    "slow": integer(1, 9),
    "window": real(0, 1, when={"fast": [1, 2, 3]}),
}


def known_of(over: SearchSpace, count: int) -> list[Result]:
    points = [make("random", over, seed=7).suggest(g, [], {}) for g in range(count)]
    return [Result(g, point, value(point)) for g, point in enumerate(points)]


@pytest.mark.parametrize("name", [*ANYWHERE, "cmaes"])
def test_candidates_meet_all_conditions_and_constraints(name: str):
    over = space("fast < slow", **NUMBERS) if name == "cmaes" else space(*RULES, **WHOLE)
    optimizer, known = make(name, over, total=50), known_of(over, 35)
    for g in range(35, 50):
        point = optimizer.suggest(g, known, {60: known[0].params}, attempt=g % 3)
        assert over.validate_point(point) == point
        known.append(Result(g, point, value(point)))


@pytest.mark.parametrize("name", ["bayesian", "cmaes", "nsga2"])
@given(order=st.randoms(use_true_random=False), count=st.integers(0, 60))
@settings(max_examples=6, deadline=None)
def test_in_rounds_candidates_do_not_depend_on_timing(name: str, order: random.Random, count: int):
    """Nor on what was recorded of their own round, or on which worker asks: bit for bit."""
    over = space("fast < slow", **NUMBERS)
    known = known_of(over, count + 3)
    first = round_start(count, 4)
    expected = [suggest_in_round(make(name, over), over, 1, first + i, known[:first], workers=4) for i in range(4)]
    keys = [over.point_key(point) for point in expected]
    assert len(set(keys)) == 4
    assert not set(keys) & {over.point_key(result.params) for result in known[:first]}
    shuffled = [*known]
    order.shuffle(shuffled)
    kept = make(name, over)
    for i in order.sample(range(4), 4):
        assert repr(suggest_in_round(kept, over, 1, first + i, shuffled, workers=4)) == repr(expected[i])


def test_a_round_minds_the_points_that_are_given():
    over = space(n=integer(1, 6))
    given_points: dict[int, Point] = {0: {"n": 2}, 3: {"n": 5}}
    found = [
        suggest_in_round(make("bayesian", over), over, 1, g, [], workers=3, given=given_points)["n"] for g in (1, 2)
    ]
    assert len({*found, 2, 5}) == 4


def test_what_does_not_learn_needs_no_rounds():
    over = space(x=real(0, 1))
    rand = make("random", over)
    assert suggest_in_round(rand, over, 1, 7, [], workers=3) == rand.suggest(7, [], {})


@given(seed=st.integers(0, 2**63 - 1), g=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_random_and_qmc_do_not_change_with_an_added_parameter(seed: int, g: int):
    assume(seed)
    names = [name for name in WHOLE if name != "side"]
    for method in ("random", "qmc"):
        part = make(method, space(**{name: WHOLE[name] for name in names}), seed=seed).suggest(g, [], {})
        whole = make(method, space(**WHOLE), seed=seed, total=5).suggest(g, [], {}, attempt=2)
        assert part == {name: found for name, found in whole.items() if name != "side"}
