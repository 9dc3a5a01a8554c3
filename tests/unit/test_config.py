"""Reading a tuning config: what it may say, and that everything wrong with it is said at once, with its place."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from orchestrator.errors import SpecError
from tuning_worker.config import TuningConfig, load_tuning_config, recall_tuning_config
from tuning_worker.objectives.command import CommandSpec
from tuning_worker.objectives.python import PythonSpec

pytestmark = pytest.mark.every_python

WHOLE = """\
tuning:
  method: grid
  seed: 42
  grid_points: 4
  search_space:
    min_spread_pct: {type: float, bounds: [0.05, 0.50]}
    slippage_bps: {type: int, bounds: [1, 30], step: 1}
    lr: {type: float, bounds: [1e-5, 1e-1], log: true}
    kind: {type: categorical, choices: [edge, true, 1.5]}
  objective: {kind: python, function: "package.module:function", metric: value, direction: maximize}
"""
LEAST = """\
tuning:
  search_space: {lr: {type: float, bounds: [1, 2]}}
  objective: {kind: command, argv: ["./train.sh", "--lr", "{lr}"], metric: loss, direction: minimize}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_tuning_config(text, "t.yaml")
    return str(caught.value).splitlines()


def test_a_whole_config_is_read():
    config = load_tuning_config(WHOLE, "t.yaml")
    assert (config.method, config.seed, config.grid_points) == ("grid", 42, 4)
    assert list(config.search_space) == ["min_spread_pct", "slippage_bps", "lr", "kind"]
    assert dict(config.space.dimensions) == config.search_space
    assert config.space.grid(config.grid_points).size == 4 * 4 * 4 * 3
    assert isinstance(config.objective, PythonSpec)
    assert (config.objective.metric, config.objective.direction) == ("value", "maximize")


def test_what_a_config_need_not_say():
    config = load_tuning_config(LEAST.encode(), "t.yaml")
    assert (config.method, config.seed, config.grid_points) == ("bayesian", None, 3)
    assert isinstance(config, TuningConfig)
    assert isinstance(config.objective, CommandSpec)


@pytest.mark.parametrize("text", [WHOLE, LEAST])
def test_a_snapshot_in_json_is_the_same_config(text: str):
    config = load_tuning_config(text, "t.yaml")
    snapshot = json.dumps({"tuning": config.model_dump(mode="json")})
    assert recall_tuning_config(snapshot, "s") == config


def test_a_snapshot_may_be_longer_than_a_file():
    dimension = {"type": "float", "bounds": [0.0, 1.0], "log": False, "step": None, "when": None}
    tuning = load_tuning_config(LEAST, "t.yaml").model_dump(mode="json")
    tuning["objective"]["argv"] = ["./train.sh"]
    tuning["search_space"] = {f"p{number}": dimension for number in range(8000)}
    assert len(recall_tuning_config(json.dumps({"tuning": tuning}), "s").search_space) == 8000


def test_everything_that_is_wrong_is_said_at_once_with_its_place():
    wrong = """\
tuning:
  method: gird
  seed: -1
  grid_points: 0
  optimiser: grid
  search_space:
    9lives: {type: float, bounds: [0, 1]}
    b: {type: flaot, bounds: [0, 1]}
    c: {type: float, bounds: [1, 0]}
    d: {type: int, bounds: [0, 10], step: 3}
    e: {type: float, bounds: [0, 1], stp: 0.1}
  objective: {kind: pyton, function: "m:f"}
"""
    assert problems(wrong) == [
        (
            "t.yaml:2:11: tuning.method: must be one of bayesian, cmaes, gp, grid, nsga2, qmc, random; "
            "did you mean 'grid'? (got 'gird')"
        ),
        "t.yaml:3:9: tuning.seed: must be at least 0 (got -1)",
        "t.yaml:4:16: tuning.grid_points: must be at least 1 (got 0)",
        (
            "t.yaml:5:3: tuning.optimiser: unknown key (got 'grid'); the keys here are "
            "method, seed, grid_points, search_space, constraints, objective, enqueue, on_duplicate, "
            "evaluation, pruner"
        ),
        (
            "t.yaml:7:5: tuning.search_space.9lives: a parameter's name is made of letters, digits and _, "
            "and does not start with a digit (got '9lives')"
        ),
        (
            "t.yaml:8:15: tuning.search_space.b.type: must be float, int, categorical or fixed (got 'flaot'); "
            "did you mean 'float'?"
        ),
        (
            "t.yaml:9:30: tuning.search_space.c.bounds: the first of the bounds must be below the second "
            "(for a fixed value write the value alone)"
        ),
        (
            "t.yaml:10:43: tuning.search_space.d.step: step does not reach the upper bound: the last value below "
            "it is 9; make that the bound (got 3)"
        ),
        "t.yaml:11:38: tuning.search_space.e.stp: unknown key (got 0.1); did you mean 'step'?",
        (
            "t.yaml:12:21: tuning.objective.kind: must be one of arbitrage, command, python; did you mean 'python'? "
            "(got 'pyton')"
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("tuning:", "tunning:", "t.yaml:1:1: tuning: is required"),
        ("tuning:", "tunning:", "t.yaml:1:1: tunning: unknown key (got a mapping); did you mean 'tuning'?"),
        ("tuning:", "extra: 1\ntuning:", "t.yaml:1:1: extra: unknown key (got 1); the keys here are tuning"),
        (
            "seed: 42",
            "seed: '42'",
            "t.yaml:3:9: tuning.seed: must be a whole number (got '42'; write it without quotes)",
        ),
        ("seed: 42", "seed: 9007199254740992", "t.yaml:3:9: tuning.seed: must be at most 9,007,199,254,740,991"),
        ("function:", "functoin:", "t.yaml:10:29: tuning.objective.functoin: unknown key"),
        (", metric: value", "", "t.yaml:10:14: tuning.objective.metric: is required"),
        ("maximize", "up", "t.yaml:10:92: tuning.objective.direction: must be 'maximize' or 'minimize' (got 'up')"),
        ("kind: python, ", "", "t.yaml:10:14: tuning.objective.kind: is required"),
        ("kind: python,", "kind: [python],", "t.yaml:10:21: tuning.objective.kind: must be a text (got a list of 1)"),
        ("    kind:", f"    {'k' * 101}:", "a parameter's name has at most 100 characters"),
    ],
)
def test_each_mistake_has_its_place_and_sentence(old: str, new: str, problem: str):
    found = problems(WHOLE.replace(old, new, 1))
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tuning: 3", "t.yaml:1:9: tuning: must be a mapping"),
        ("tuning: {search_space: {}}", "tuning.search_space: must have at least 1"),
        ("tuning: {search_space: {x: {type: int, bounds: [1, 2]}}}", "tuning.objective: is required"),
        ("tuning: {objective: 1}", "tuning.objective: must be a mapping"),
    ],
)
def test_what_is_no_config_is_refused(text: str, problem: str):
    found = problems(text)
    assert any(problem in line for line in found), found


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(SpecError, match="UTF-8"):
        load_tuning_config(b"tuning: \xff", "t.yaml")


def test_reading_a_config_imports_neither_an_optimizer_nor_the_libraries_of_an_objective():
    program = (
        "import sys; from tuning_worker.config import load_tuning_config; load_tuning_config(sys.argv[1], 't.yaml'); "
        "print(sorted({'optuna', 'numpy', 'numba', 'pyarrow', 'asyncio'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program, WHOLE], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
