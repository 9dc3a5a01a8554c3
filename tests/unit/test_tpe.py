"""The estimator behind bayesian search, beside what its definition says, and the candidates that come of it."""

from __future__ import annotations

import math
from collections import Counter
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tuning_worker.optimizers import tpe
from tuning_worker.optimizers.parzen import Parzen, Places
from tuning_worker.space.constraints import parse_constraint
from tuning_worker.space.dimensions import Dimension
from tuning_worker.space.search_space import SearchSpace

_DIMENSIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Dimension])
CHOICES = (0, 3, 0)  # a numeric axis, one of three choices, and another numeric one
WIDTHS = st.floats(0.3, 2.0)
UNIT = st.floats(0, 1).map(lambda share: round(share, 3))
POINTS = st.lists(st.tuples(UNIT, st.integers(0, 2), UNIT), max_size=12)


def space(*constraints: str, **dimensions: Any) -> SearchSpace:
    parsed = tuple(parse_constraint(text, {"x": "number", "y": "number"}) for text in constraints)
    return SearchSpace(_DIMENSIONS.validate_python(dimensions), parsed)


def parzen(points: list[Any], width: float = 1.0) -> Parzen:
    return Parzen(CHOICES, np.array(points, dtype=float).reshape(len(points), len(CHOICES)), width=width)


def kernels(values: list[float], width: float) -> list[NormalDist]:
    """The kernels of a numeric axis, as slowly and plainly as can be."""
    least = width * max(1 / 100, 1 / (len(values) + 2))
    found = []
    for i, value in enumerate(values):
        others = [(other, j) for j, other in enumerate(values) if j != i]
        below = max((other for other in others if other < (value, i)), default=None)
        above = min((other for other in others if other > (value, i)), default=None)
        gaps = [abs(value - neighbour[0]) for neighbour in (below, above) if neighbour] or [value, 1 - value]
        found.append(NormalDist(value, min(max(*gaps, gaps[0], least), 1.0)))
    return [*found, NormalDist(0.5, 1.0)]


def density(points: list[Any], width: float, place: Any, size: float) -> float:
    """What the estimator should say of a place whose first axis has steps of this size."""
    first, last = (kernels([point[axis] for point in points], width) for axis in (0, 2))
    total = 0.0
    for i in range(len(points) + 1):
        one, other = first[i], last[i]
        low, high = place[0] - size / 2, place[0] + size / 2
        numbers = (one.cdf(high) - one.cdf(low)) / size if size > 1e-3 else one.pdf(place[0])
        numbers *= other.pdf(place[2])
        for kernel in (one, other):
            numbers /= kernel.cdf(1) - kernel.cdf(0)
        own = i < len(points) and points[i][1] == place[1]
        total += numbers * (own + 1 / (len(points) + 1)) / (1 if i == len(points) else 1 + 3 / (len(points) + 1))
        if i == len(points):
            total += numbers * (1 / 3 - 1 / (len(points) + 1))
    return total / (len(points) + 1)


@given(points=POINTS, width=WIDTHS, place=st.tuples(UNIT, st.integers(0, 2), UNIT), size=st.sampled_from([0.0, 0.2]))
def test_the_density_is_the_mean_of_the_kernels(points: list[Any], width: float, place: Any, size: float):
    places = Places(np.array([place], dtype=float), np.array([[size, 0.0, 0.0]]))
    found = math.exp(parzen(points, width).log_density(places)[0])
    assert found == pytest.approx(density(points, width, place, size), rel=1e-4)


@given(points=POINTS, width=WIDTHS)
def test_the_density_is_one_over_all(points: list[Any], width: float):
    """On ten steps, three choices, and a numeric axis that is cut into a thousand."""
    tens, thousands = (np.arange(10) + 0.5) / 10, (np.arange(1000) + 0.5) / 1000
    at = np.array(np.meshgrid(tens, range(3), thousands, indexing="ij")).reshape(3, -1).T
    size = np.broadcast_to([0.1, 0.0, 0.0], at.shape)
    assert np.exp(parzen(points, width).log_density(Places(at, size))).sum() / 10_000 == pytest.approx(1, abs=1e-3)


def test_draws_are_as_dense_as_it_says():
    estimate = parzen([(0.1, 0, 0.9), (0.15, 0, 0.8), (0.8, 2, 0.2)])
    drawn = estimate.draw(np.random.RandomState(7), 20_000)
    assert drawn[:, [0, 2]].min() >= 0
    assert drawn[:, [0, 2]].max() <= 1
    counts = Counter((int(first * 4), int(choice)) for first, choice, _ in drawn)
    fine = (np.arange(400) + 0.5) / 400
    at = np.array(np.meshgrid(fine, range(3), fine[::8] - 0.5 / 400 + 0.01, indexing="ij")).reshape(3, -1).T
    mass = np.exp(estimate.log_density(Places(at, np.zeros_like(at)))) / 400 / 50
    for (quarter, choice), count in counts.items():
        expected = mass[((at[:, 0] * 4).astype(int) == quarter) & (at[:, 1] == choice)].sum()
        assert count / 20_000 == pytest.approx(expected, abs=0.012)


X = {"type": "float", "bounds": [0, 10]}


def test_where_good_points_are_and_bad_ones_are_not_it_goes():
    over = space(x=X, c={"type": "categorical", "choices": ["a", "b"]})
    good = [{"x": x, "c": "b"} for x in (6.9, 7.0, 7.1)] + [{"x": 2.0, "c": "b"}]
    bad = [{"x": 1.8 + i / 20, "c": c} for i in range(10) for c in "ab"] + [{"x": 0.5 + i, "c": "a"} for i in range(10)]
    found = [tpe.suggest(over, good, bad, seed=seed) for seed in range(20)]
    assert all(point and point["c"] == "b" and 5 < point["x"] < 9 for point in found)


def test_a_parameter_with_a_condition_is_learned_from_the_points_that_have_it():
    kind = {"type": "categorical", "choices": ["plain", "fine"]}
    over = space(kind=kind, depth={"type": "int", "bounds": [1, 100], "when": {"kind": "fine"}}, seven=7)
    good = [{"kind": "fine", "depth": 40 + i, "seven": 7} for i in range(4)]
    bad = [{"kind": "fine", "depth": 5 * i + 1, "seven": 7} for i in range(20)] + [{"kind": "plain", "seven": 7}] * 20
    found = [tpe.suggest(over, good, bad, seed=seed) for seed in range(20)]
    assert all(point == over.validate_point(point) for point in found if point)
    fine = [point["depth"] for point in found if point and point["kind"] == "fine"]
    assert len(fine) > 15
    assert all(25 < depth < 60 for depth in fine)
    plain = [{"kind": "plain", "seven": 7}] * 4  # nobody knows of a depth: any will do
    assert all(tpe.suggest(over, plain, plain, seed=seed) for seed in range(20))


def test_of_its_draws_it_takes_the_best_that_meets_the_constraints():
    over = space("x < y", x=X, y=X)
    good = [{"x": 5.0, "y": 5.1}, {"x": 5.2, "y": 5.3}]
    found = [tpe.suggest(over, good, [{"x": 1.0, "y": 9.0}], seed=seed) for seed in range(20)]
    assert all(point and point["x"] < point["y"] for point in found)
    never = space("x < y", "x > y", x=X, y=X)
    assert tpe.suggest(never, good, [], seed=1) is None


@pytest.mark.parametrize("log", [False, True])
def test_a_step_takes_its_share_of_an_axis(log: bool):  # noqa: FBT001 - a parameter of the test
    """What `width` says of all values fills the axis, each around its `share`."""
    dimension = space(n={"type": "int", "bounds": [1, 9], "log": log}).dimensions["n"]
    edges = 0.0
    for value in range(1, 10):
        assert edges < dimension.share(value) < edges + dimension.width(value)
        assert dimension.at_uniform(int((edges + 1e-9) * 2**64)) == value
        edges += dimension.width(value)
    assert edges == pytest.approx(1)
    assert space(x=X).dimensions["x"].width(1.0) == 0
    stepped = space(x={"type": "float", "bounds": [0, 1], "step": 0.25}).dimensions["x"]
    assert stepped.width(0.5) == 1 / 5
