"""Conditions on results, such as `net_pnl > 0`: what they mean, and what none is."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.conditions import find_field, parse_condition, read_fields
from orchestrator.errors import UsageError

RESULT: dict[str, Any] = {
    "g": 4, "worker_id": "worker-1", "iteration": 3, "status": "SUCCESS", "value": 1.5, "timestamp": "t", "reason": "",
    "params": {"x": 0.5, "kind": "b c", "on": True, "digits": "12", "both": 1},
    "metrics": {"net pnl": 10.0, "none": None, "both": 2},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("net pnl > 0", True), ("net pnl<=9.5", False), ("x = 0.5", True), ("x==0.5", True), ("x != 0.5", False),
        ("x >= 5e-1", True), ("g < 5", True), ("value > 1", True), ("status == SUCCESS", True),
        ("kind = b c", True), ('kind = "b c"', True), ("kind != a", True), ("kind < c", True),
        ("kind == 'b c'", True), ("kind != 'b c'", False), ("kind = 'b c", False), ("x = '0.5'", False),
        ("on = true", True), ("on = 1", False), ("on != 1", True), ("digits = 12", True), ("x = abc", False),
        ("none = null", True), ("none != null", False), ("none < 5", False), ("none != 5", False),
        ("x = null", False), ("x != null", True), ("x > null", False),
        ("both = 2", True), ("params_both = 1", True), ("metrics_both = 2", True), ("x < NaN", False),
        ("kind = [1]", False),
    ],
)  # fmt: skip
def test_a_condition_holds(text: str, holds: bool):  # noqa: FBT001 - a parameter of the test
    condition = parse_condition(text)
    field = find_field(read_fields([RESULT]), condition.name, "--where")
    assert condition.holds(field(RESULT)) is holds


@pytest.mark.parametrize("text", ["", "x", "x >", "> 5", "x ~ 5", "__import__('os')"])
def test_what_is_no_condition(text: str):
    with pytest.raises(UsageError, match="must be NAME OPERATOR VALUE, as in 'net_pnl > 0'"):
        parse_condition(text)


def test_a_name_that_nothing_has():
    fields = read_fields([RESULT])
    with pytest.raises(UsageError, match="--by net_pn: the results have no 'net_pn'; did you mean 'net pnl'"):
        find_field(fields, "net_pn", "--by net_pn")
    with pytest.raises(UsageError, match="there are: x, kind, on, digits, both, net pnl, none, g, worker_id"):
        find_field(fields, "qqqq", "--by qqqq")


def test_a_field_that_one_result_lacks_is_undefined():
    other = {**RESULT, "params": {}, "metrics": {}}
    fields = read_fields([RESULT, other])
    assert fields["x"](other) is None
    assert fields["both"](other) is None  # the metric, though only a parameter might be there


def test_a_comparison_by_size_that_can_never_hold_is_refused():
    for text in ("net pnl > 1,000", "x >> 3", "value < abc"):
        condition = parse_condition(text)
        field = find_field(read_fields([RESULT]), condition.name, "--where")
        with pytest.raises(UsageError, match=r"--where '.*': (net pnl|x|value) holds numbers, and '.*' is none"):
            condition.check([field(RESULT)])
    parse_condition("kind > c").check(["b c"])
    parse_condition("none > c").check([None])
    parse_condition("x = abc").check([0.5])
