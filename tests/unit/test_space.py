"""The dimensions of a search space and the points they span: exact values, refusals, numbering, keys."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import UsageError
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.exact import UNIFORM_BITS
from tuning_worker.space.search_space import SearchSpace

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])


def space(**dimensions: Any) -> SearchSpace:
    return SearchSpace(_DIMENSIONS.validate_python(dimensions))


def floating(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "bounds": [low, high], **more}


def integer(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "int", "bounds": [low, high], **more}


def choice(*choices: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices)}


# --- strategies ------------------------------------------------------------------------------------------------------

uniforms = st.integers(0, 2**UNIFORM_BITS - 1)
_sane = st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-12)
_positive = st.floats(1e-12, 1e12).map(lambda x: float(f"{x:.5g}"))  # none so close that log is refused
_choice_lists = st.lists(
    st.one_of(
        st.booleans(),
        st.integers(-99, 99),
        st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=3),
        _sane,
    ),
    min_size=1,
    max_size=5,
    unique_by=(lambda value: (isinstance(value, bool), value), str),
)


@st.composite
def _stepped(draw: st.DrawFn) -> dict[str, Any]:
    low = Fraction(draw(st.integers(-1000, 1000)), 100)
    step = Fraction(draw(st.integers(1, 500)), 100)
    return floating(float(low), float(low + step * draw(st.integers(1, 50))), step=float(step))


@st.composite
def _stepped_int(draw: st.DrawFn) -> dict[str, Any]:
    low, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 50))
    return integer(low, low + step * draw(st.integers(1, 50)), step=step)


def _ordered(numbers: st.SearchStrategy[Any], make: Any, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(numbers, numbers).filter(lambda p: p[0] != p[1]).map(lambda p: make(min(p), max(p), **more))


finite_dimensions = st.one_of(
    _stepped(),
    _stepped_int(),
    _ordered(st.integers(-(2**53) + 1, 2**53 - 1), integer),
    _ordered(st.integers(1, 10**5), integer, log=True),
    _choice_lists.map(lambda choices: choice(*choices)),
)
dimensions = st.one_of(finite_dimensions, _ordered(_sane, floating), _ordered(_positive, floating, log=True))


# --- values ----------------------------------------------------------------------------------------------------------


@given(dimension=dimensions, uniform=uniforms, points=st.integers(1, 12))
@settings(deadline=None)
def test_every_value_made_lies_in_its_dimension(dimension: dict[str, Any], uniform: int, points: int):
    it = space(x=dimension).dimensions["x"]
    for value in (it.at_uniform(0), it.at_uniform(uniform), it.at_uniform(2**UNIFORM_BITS - 1), *it.grid(points)):
        assert repr(it.normalise(value)) == repr(value)


@given(dimension=dimensions, uniforms=st.tuples(uniforms, uniforms))
@settings(deadline=None)
def test_a_larger_draw_never_gives_a_smaller_number(dimension: dict[str, Any], uniforms: tuple[int, int]):
    assume(dimension["type"] != "categorical")
    it = space(x=dimension).dimensions["x"]
    assert it.at_uniform(min(uniforms)) <= it.at_uniform(max(uniforms))


def test_draws_at_the_ends_and_in_the_middle():
    first, middle, last = 0, 2 ** (UNIFORM_BITS - 1), 2**UNIFORM_BITS - 1
    cases = [
        (floating(0.05, 0.5), [0.05, 0.275, 0.5]),
        (floating(1e-4, 1e-1, log=True), [1e-4, math.sqrt(1e-5), 0.1]),
        (floating(0, 1, step=0.1), [0.0, 0.5, 1.0]),
        (integer(1, 30), [1, 16, 30]),
        (integer(1, 1024, log=True), [1, 23, 1024]),  # sqrt(0.5 * 1024.5) = 22.6
        (integer(10, 50, step=10), [10, 30, 50]),
        (choice("a", "b", "c"), ["a", "b", "c"]),
    ]
    for dimension, expected in cases:
        it = space(x=dimension).dimensions["x"]
        assert [it.at_uniform(u) for u in (first, middle, last)] == expected


def test_each_integer_of_a_log_dimension_gets_its_share():
    it = space(n=integer(1, 3, log=True)).dimensions["n"]
    draws = [it.at_uniform(2**UNIFORM_BITS * i // 10_000) for i in range(10_000)]
    width = math.log(3.5 / 0.5)
    for n in (1, 2, 3):
        assert draws.count(n) == pytest.approx(10_000 * math.log((n + 0.5) / (n - 0.5)) / width, abs=2)


def test_grid_values_are_the_decimals_that_one_expects():
    cases = [
        (floating(0.05, 0.5), 4, (0.05, 0.2, 0.35, 0.5)),
        (floating(1e-4, 1e-1, log=True), 4, (1e-4, 1e-3, 1e-2, 1e-1)),
        (floating(0.1, 0.5, step=0.1), 5, (0.1, 0.2, 0.3, 0.4, 0.5)),
        (floating(0.0, 1.0, step=0.1), 3, (0.0, 0.5, 1.0)),
        (floating(0, 10), 1, (5.0,)),
        (floating(1, 100, log=True), 1, (10.0,)),
        (floating(1.0, math.nextafter(1.0, 2)), 3, (1.0, math.nextafter(1.0, 2))),
        (integer(1, 30), 3, (1, 15, 30)),
        (integer(1, 3), 10, (1, 2, 3)),
        (integer(0, 100, step=5), 3, (0, 50, 100)),
        (integer(1, 1000, log=True), 4, (1, 10, 100, 1000)),
        (integer(1, 4, log=True), 9, (1, 2, 3, 4)),
        (integer(1, 9, log=True), 9, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
        (integer(1, 9, log=True), 8, (1, 2, 3, 4, 5, 7, 9)),  # 1.37 and 1.87 round to one and two: one is there already
        (choice("a", "b", "c"), 2, ("a", "b", "c")),
    ]
    for dimension, points, expected in cases:
        grid = space(x=dimension).grid(points)
        assert tuple(grid.axes["x"]) == expected, dimension


def test_steps_are_exact_decimals_and_have_positions():
    steps = space(x=floating(0.1, 0.7, step=0.1)).dimensions["x"].values
    assert [steps[i] for i in range(len(steps))] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert steps.index(0.3) == 2
    for outside in (0.30000000000000004, 0.0, 0.8):
        with pytest.raises(ValueError, match=str(outside)):
            steps.index(outside)


# --- points ----------------------------------------------------------------------------------------------------------


def test_points_are_numbered_as_in_a_product_and_each_is_there_once():
    it = space(a=integer(1, 3), b=choice("x", "y"), c=floating(0, 1, step=0.5))
    expected = [dict(zip("abc", p, strict=True)) for p in itertools.product((1, 2, 3), ("x", "y"), (0.0, 0.5, 1.0))]
    assert it.size() == 18
    assert [it.point(i) for i in range(18)] == expected
    for outside in (-1, 18):
        with pytest.raises(IndexError, match="no point"):
            it.point(outside)


@given(dimensions=st.lists(finite_dimensions, min_size=1, max_size=8), data=st.data())
@settings(deadline=None)
def test_a_huge_space_has_a_size_and_points_without_being_written_out(dimensions: list[Any], data: st.DataObject):
    it = space(**{f"p{i}": dimension for i, dimension in enumerate(dimensions)})
    size = it.size()
    assert size is not None
    one, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    assert (it.point_key(it.point(one)) == it.point_key(it.point(other))) == (one == other)


def test_a_continuous_space_has_no_size_and_no_numbered_points():
    it = space(a=integer(1, 3), x=floating(0, 1))
    assert it.size() is None
    assert it.lattice() is None
    with pytest.raises(ValueError, match="continuous"):
        it.point(0)


def test_a_point_has_one_key_however_it_is_spelled():
    it = space(x=floating(-1, 1), n=integer(0, 5), c=choice(True, 1, "one"))  # noqa: FBT003 - a choice
    key = it.point_key({"x": -0.0, "n": 3.0, "c": 1.0})
    assert key == it.point_key({"c": 1, "n": 3, "x": 0}) == '{"c":1,"n":3,"x":0.0}'
    assert len({it.point_key({"x": 0, "n": 3, "c": c}) for c in (True, 1, "one")}) == 3


@given(dimension=dimensions, uniform=uniforms)
@settings(deadline=None)
def test_a_point_survives_json(dimension: dict[str, Any], uniform: int):
    it = space(x=dimension)
    point = {"x": it.dimensions["x"].at_uniform(uniform)}
    assert it.validate_point(json.loads(json.dumps(point))) == point


def test_a_valid_point_comes_back_in_the_order_and_spelling_of_the_space():
    it = space(x=floating(0, 1), s=floating(0, 1, step=0.25), n=integer(1, 9), c=choice("a", 2.5))
    point = it.validate_point({"c": 2.5, "n": 4.0, "s": 1, "x": 1})
    assert list(point.items()) == [("x", 1.0), ("s", 1.0), ("n", 4), ("c", 2.5)]
    assert [type(value) for value in point.values()] == [float, float, int, float]


def test_every_problem_of_a_point_is_named():
    it = space(
        x=floating(0, 1), s=floating(0, 1, step=0.25), n=integer(1, 9, step=2), m=integer(1, 9), c=choice("a", 1)
    )
    with pytest.raises(UsageError) as caught:
        it.validate_point({"x": math.nan, "s": 0.3, "n": 2, "m": True, "c": True, "other": 1})
    assert str(caught.value).split("; ") == [
        "other is no parameter of this search space",
        "x: nan is not a number from 0.0 to 1.0",
        "s: 0.3 is not 0.0 plus a multiple of 0.25",
        "n: 2 is not an integer from 1 to 9 in steps of 2",
        "m: true is not an integer from 1 to 9",
        "c: true is not one of 'a', 1",
    ]
    with pytest.raises(UsageError, match="x is missing"):
        it.validate_point({})


def test_a_space_does_not_change_with_the_mapping_it_was_made_of():
    dimensions = _DIMENSIONS.validate_python({"x": integer(1, 2)})
    it = SearchSpace(dimensions)
    dimensions.clear()
    assert it.size() == 2


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "sentence"),
    [
        (floating(1, 1), "must be below the second"),
        ({"type": "float", "bounds": [1]}, "bounds are two numbers"),
        ({"type": "float", "bounds": "0-1"}, "bounds are two numbers"),
        ({"type": "int", "bounds": [False, True]}, "bounds are two numbers"),
        (floating(0, math.inf), "bounds are two numbers"),
        (floating(math.nan, 1), "bounds are two numbers"),
        (floating(0, 10**400), "bounds are two numbers"),
        (floating(-1.7e308, 1.7e308), "too far apart"),
        (floating(0, 1e-301), "too close together"),
        (floating(1, 1.0000001, log=True), "log makes no difference"),
        (floating(0, 1, log=True), "log needs a lower bound above 0"),
        (floating(1, 2, log="yes"), "valid boolean"),
        (floating(1, 2, log=True, step=0.5), "do not go together"),
        (floating(0, 1, step=0), "step is a number above 0"),
        (floating(0, 1, step="x"), "step is a number above 0"),
        (floating(0, 1, step=2), "wider than the bounds"),
        (floating(0, 1, step=0.3), "the last value below it is 0.9"),
        (floating(0, 10, step=2.5, log=False, unit="s"), "Extra inputs"),
        (floating(1e16, 2e16, step=0.5), "step is too small"),
        (integer(0.5, 3), "bounds of an int are integers"),
        (integer(0, 2**53), "larger ones are not exact"),
        (integer(1, 10, step=4), "the last value below it is 9"),
        (integer(1, 10, step=1.5), "the step of an int is an integer"),
        (integer(-1, 10, log=True), "log needs a lower bound above 0"),
        (choice(), "at least one value"),
        ({"type": "categorical", "choices": "abc"}, "at least one value"),
        (choice("a", None), r"\(got nothing\)"),
        (choice([1]), r"\(got a list of 1\)"),
        (choice(math.inf), "a finite number"),
        (choice("a\0"), "one line of printable characters"),
        (choice("fast", "slow\r\n"), r"printable characters \(got 'slow\\r\\n'\)"),
        (choice(1, "1"), "the choices 1 and '1' are one text"),
        (choice("False", False), "the choices 'False' and false are one text"),  # noqa: FBT003 - a choice
        (choice(2**53), "larger ones are not exact"),
        (choice(1, 1.0), "the choice 1.0 is there twice"),
        (choice("a", "b", "a"), "the choice 'a' is there twice"),
        ({"type": "flaot", "bounds": [0, 1]}, "does not match any of the expected tags"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_sentence(dimension: dict[str, Any], sentence: str):
    with pytest.raises(ValidationError, match=sentence):
        space(x=dimension)


def test_a_wrong_bound_is_the_only_complaint_about_a_dimension():
    with pytest.raises(ValidationError) as caught:
        space(x=floating(2, 1, log=True), n=integer(2, 1, step=5))
    assert [error["loc"][-1] for error in caught.value.errors()] == ["bounds", "bounds"]


def test_whole_floats_are_integers_and_null_is_no_step():
    it = space(n=integer(3e5, 2e6, step=None), m=integer(0, 10, step=5.0), x=floating(1, 2, step=None))
    assert it.dimensions["n"].values == range(300_000, 2_000_001)
    assert it.dimensions["m"].values == range(0, 11, 5)


# --- exactness -------------------------------------------------------------------------------------------------------


PROGRAM = """
from tuning_worker.space.dimensions import FloatDimension, IntDimension
x = FloatDimension(type="float", bounds=(3e-7, 0.9), log=True)
y = FloatDimension(type="float", bounds=(0.05, 0.5))
n = IntDimension(type="int", bounds=(1, 10**6), log=True)
draws = 1, 2**62, 2**63 + 12345
print(*(float(dimension.at_uniform(u)).hex() for dimension in (x, y, n) for u in draws))
"""
KNOWN = [
    *("0x1.421f5f40d8376p-22", "0x1.a2f08c8d44274p-17", "0x1.106d93c6c51b2p-11"),
    *("0x1.999999999999ap-5", "0x1.4cccccccccccdp-3", "0x1.199999999999fp-2"),
    *(float(n).hex() for n in (1, 19, 707)),
]


def test_the_same_bits_on_every_python():
    """A change of these values is a change of every session that is run again."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == KNOWN
