"""What a session tunes, and the results that no other one beats in all of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.fronts import best_of, by_outcome, pareto_front, read_objectives

GOALS = {"gain": "maximize", "risk": "minimize"}


def result(g: int, gain: float | None, risk: float | None, status: str = "SUCCESS") -> dict[str, Any]:
    return {"g": g, "status": status, "metrics": {"gain": gain, "risk": risk}}


def test_the_front_is_what_no_other_beats():
    results = [
        result(0, 5, 5), result(1, 9, 9), result(2, 4, 6), result(3, 5, 5), result(4, 1, 1), result(5, 9, 10),
        result(6, None, 0), result(7, 99, 0, "FAILED"),
    ]  # fmt: skip
    assert [each["g"] for each in pareto_front(results, GOALS)] == [1, 0, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_every_result_is_on_the_front_or_beaten_by_one_that_is(points: list[tuple[int, int]]):
    results = [result(g, *point) for g, point in enumerate(points)]
    front = {each["g"] for each in pareto_front(results, GOALS)}

    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one != other and one[0] >= other[0] and one[1] <= other[1]

    for g, point in enumerate(points):
        assert (g in front) is not any(beats(other, point) for other in points)


def test_what_is_on_the_front_is_put_together_by_outcome():
    front = pareto_front([result(0, 5, 5), result(1, 9, 9), result(3, 5, 5), result(4, 1, 1)], GOALS)
    assert [[each["g"] for each in outcome] for outcome in by_outcome(front, GOALS)] == [[1], [0, 3], [4]]
    assert [best_of(front, name, direction)["g"] for name, direction in GOALS.items()] == [1, 4]


def test_objectives_are_the_several_or_the_one():
    one = {"metric": "gain", "direction": "maximize"}
    several = {**one, "tuning": json.dumps({"tuning": {"objective": {"metrics": GOALS}}})}
    assert read_objectives(several) == GOALS
    assert list(read_objectives(several)) == ["gain", "risk"]
    assert read_objectives({**one, "tuning": json.dumps({"tuning": {"objective": {}}})}) == {"gain": "maximize"}
    assert read_objectives({"metric": "", "direction": "", "tuning": ""}) == {}
