"""What an iteration must reach to go on, and how it is stopped where it does not."""

from __future__ import annotations

import json
import random
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuning_worker.market.engine  # noqa: F401 - compiled code is kept in the home that there is now, not in that of a test
from tuning_worker.check import check
from tuning_worker.market import synth
from tuning_worker.objectives import build_objective
from tuning_worker.objectives.folds import Pruned, follow
from tuning_worker.objectives.protocol import EvaluationFailed, Folds, Measurement
from tuning_worker.objectives.python import PythonObjective
from tuning_worker.pruner import MAX_FOLDS, Bar, Course, Pruner, make_bars, read_bars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# --- bars ------------------------------------------------------------------------------------------------------------

numbers = st.integers(-20, 20).map(float)
courses = st.lists(
    st.builds(Course, st.lists(st.none() | numbers, min_size=1, max_size=4).map(tuple), st.booleans()), max_size=40
)
directions = st.sampled_from(["maximize", "minimize"])
pruners = st.builds(
    Pruner,
    warmup_folds=st.integers(0, 3),
    startup_iterations=st.integers(1, 12),
    percentile=st.floats(1, 99),
)


def reach(known: list[Course], fold: int) -> tuple[list[float], int]:
    """Return what is known of a fold: the values there, and how many were pruned before it."""
    values = [course.values[fold] for course in known if len(course.values) > fold]
    gone = sum(course.pruned and len(course.values) <= fold for course in known)
    return [value for value in values if value is not None], gone


def test_half_of_what_was_seen_goes_on() -> None:
    known = [Course((0.0, float(value)), pruned=False) for value in (1, 2, 3, 4)]
    assert make_bars(known, "maximize", Pruner(startup_iterations=4)) == [None, Bar(3.0, 2, 4)]
    assert make_bars(known, "minimize", Pruner(startup_iterations=4)) == [None, Bar(2.0, 2, 4)]
    assert make_bars(known, "maximize", Pruner(startup_iterations=4, percentile=75)) == [None, Bar(2.0, 3, 4)]
    assert make_bars(known, "maximize", Pruner(startup_iterations=5)) == [None, None]
    assert make_bars([], "maximize", Pruner()) == []


def test_what_was_pruned_before_a_fold_counts_as_worse_there() -> None:
    known = [Course((9.0, 1.0), pruned=False), Course((8.0, 2.0), pruned=False), *[Course((7.0,), pruned=True)] * 2]
    assert make_bars(known, "maximize", Pruner(startup_iterations=1, warmup_folds=0)) == [
        Bar(8.0, 2, 4),
        Bar(1.0, 2, 4),  # both that came so far are the better half of the four
    ]
    assert make_bars([*known, known[2]], "maximize", Pruner(startup_iterations=1)) == [None, None]


@given(courses, directions, pruners, st.randoms())
def test_the_order_of_arrival_decides_nothing(known: list[Course], direction: Any, pruner: Pruner, chance: Any) -> None:
    bars = make_bars(known, direction, pruner)
    chance.shuffle(known)
    assert make_bars(known, direction, pruner) == bars


@given(courses, directions, pruners)
def test_at_each_fold_the_best_percentile_of_all_goes_on(known: list[Course], direction: Any, pruner: Pruner) -> None:
    for fold, bar in enumerate(make_bars(known, direction, pruner)):
        values, gone = reach(known, fold)
        count = len(values) + gone
        if bar is None:
            early = fold < pruner.warmup_folds or count < pruner.startup_iterations
            assert early or len(values) < count * pruner.percentile / 100  # so few came so far that all may go on
            continue
        assert fold >= pruner.warmup_folds
        assert bar.of == count >= pruner.startup_iterations
        on = [value for value in values if bar.is_reached(value, direction)]
        better = [value for value in on if value != bar.value]
        assert bar.value in values
        assert len(better) < bar.rank <= len(on)
        assert bar.rank - 1 < count * pruner.percentile / 100 <= bar.rank
        assert bar.is_reached((max if direction == "maximize" else min)(values), direction)


@given(courses, pruners)
def test_to_minimize_is_to_maximize_the_opposite(known: list[Course], pruner: Pruner) -> None:
    opposite = [
        Course([None if value is None else -value for value in course.values], course.pruned) for course in known
    ]
    turned = [bar and bar._replace(value=-bar.value) for bar in make_bars(opposite, "minimize", pruner)]
    assert make_bars(known, "maximize", pruner) == turned


@given(courses, directions, pruners)
def test_bars_are_kept_to_the_last_bit(known: list[Course], direction: Any, pruner: Pruner) -> None:
    scaled = [Course([value and value / 3 for value in course.values], course.pruned) for course in known]
    bars = make_bars(scaled, direction, pruner)
    assert read_bars(json.dumps(bars)) == bars
    assert read_bars("") == read_bars(None) == []


def test_of_many_alike_half_go_on_however_long_the_session() -> None:
    chance, known = random.Random(1), list[Course]()  # noqa: S311 - a test, not a secret
    for _ in range(600):
        skill = chance.gauss()
        values = list(accumulate(skill + chance.gauss() for _ in range(4)))
        bars = make_bars(known, "maximize", Pruner(warmup_folds=0))
        stops = [
            fold for fold, (bar, value) in enumerate(zip(bars, values, strict=False), 1) if bar and value < bar.value
        ]
        known.append(Course(values[: stops[0]] if stops else values, bool(stops)))
    assert 0.4 < sum(not course.pruned for course in known[300:]) / 300 < 0.6


# --- following an evaluation -----------------------------------------------------------------------------------------


def told(*values: float | None) -> tuple[Folds, list[str]]:
    """Return an evaluation that tells these values, the last as its result, and what it notes on its way."""
    notes: list[str] = []

    def evaluation(values: tuple[float | None, ...]) -> Iterator[dict[str, float | None]]:
        try:
            for value in values[:-1]:
                yield {"pnl": value}
            notes.append("end")
            return {"pnl": values[-1]}
        finally:
            notes.append("closed")

    return evaluation(values), notes  # type: ignore[return-value]


def test_an_evaluation_that_reaches_its_bars_goes_on_to_its_end() -> None:
    evaluation, notes = told(1.0, None, 3.0, 0.0)
    bars = [Bar(1.0, 1, 2), Bar(2.0, 1, 2), None, Bar(99.0, 1, 2)]
    assert follow(evaluation, bars, "pnl", "maximize") == ({"pnl": 0.0}, [1.0, None, 3.0])
    assert notes == ["end", "closed"]
    assert follow({"pnl": 2.0}, bars, "pnl", "maximize") == ({"pnl": 2.0}, [])


def test_one_that_does_not_is_closed_and_says_why() -> None:
    evaluation, notes = told(5.0, 7.25, 3.0)
    with pytest.raises(Pruned) as caught:
        follow(evaluation, [Bar(5.0, 9, 18), Bar(7.0, 9, 18)], "pnl", "minimize")
    assert caught.value.message == "pnl was 7.25 after fold 2, and the best 9 of 18 iterations before had 7 or less"
    assert caught.value.values == [5.0, 7.25]
    assert notes == ["closed"]


def test_what_is_no_metric_of_the_objective_is_no_fold() -> None:
    evaluation, notes = told(5.0, 7.0)
    with pytest.raises(EvaluationFailed, match="missing_metric: the metric 'loss' is not among those measured: pnl"):
        follow(evaluation, [], "loss", "minimize")
    assert notes == ["closed"]
    with pytest.raises(EvaluationFailed, match="more than 100 folds"):
        follow(told(*[1.0] * (MAX_FOLDS + 2))[0], [], "pnl", "minimize")


# --- functions that yield --------------------------------------------------------------------------------------------


def test_a_function_may_yield_whatever_it_may_return() -> None:
    notes = []

    def function(params: dict[str, Any]) -> Iterator[Any]:
        try:
            yield 1
            params["x"] += 1  # its own to change
            yield {"pnl": float("nan"), "note": "a text"}
            return {"pnl": params["x"], "rounds": 2}
        finally:
            notes.append("closed")

    objective = PythonObjective(function, "pnl", {"x": 0})
    assert follow(objective.evaluate({"x": 3}), [], "pnl", "maximize") == ({"pnl": 4, "rounds": 2}, [1.0, None])
    with pytest.raises(Pruned):
        follow(objective.evaluate({"x": 3}), [Bar(2.0, 1, 1)], "pnl", "maximize")
    assert notes == ["closed", "closed"]


def test_a_function_that_yields_must_return_too() -> None:
    def function(_: dict[str, Any]) -> Iterator[float]:
        yield 1.0

    evaluation = PythonObjective(function, "pnl", {}).evaluate({})
    with pytest.raises(EvaluationFailed, match="got None; is a `return` missing"):
        follow(evaluation, [], "pnl", "maximize")


def test_a_function_that_breaks_when_it_is_closed_has_failed() -> None:
    def function(_: dict[str, Any]) -> Iterator[float]:
        try:
            yield 1.0
        finally:
            raise OSError("no room to clean up in")

    with pytest.raises(OSError, match="no room"):
        follow(PythonObjective(function, "pnl", {}).evaluate({}), [Bar(2.0, 1, 1)], "pnl", "maximize")


# --- the section of a tuning config ----------------------------------------------------------------------------------

SPACE = "tuning:\n  search_space: {min_spread_pct: {type: float, bounds: [0.0, 0.3]}}\n"
ARBITRAGE = """\
  objective:
    {kind: arbitrage, data: quotes.parquet, capital: 10000000,
     venue_a: {fee_bps: 2, latency_ms: 0}, venue_b: {fee_bps: 2, latency_ms: 0}}
"""
COMMAND = "  objective: {kind: command, argv: ['true'], metric: loss, direction: minimize}\n"
PYTHON = "  objective: {kind: python, function: 'model:NAME', metric: loss, direction: minimize}\n"
SEVERAL = "  objective: {kind: python, function: 'model:yields', metrics: {loss: minimize, gain: maximize}}\n"
MODEL = """
import functools
def plain(params):
    def inner(): yield 1
    return [(lambda: (yield 2)) for _ in inner()]
def yields(params):
    for fold in range(3):
        if fold: yield fold
    return 3
@functools.cache
def wrapped(params): return 1
imported = functools.partial(plain)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight days of quotes, of which the last two are held out unless a config says otherwise."""
    folder = tmp_path_factory.mktemp("pruner")
    columns = synth.synthesize(5, 8 * 96)
    columns["ts"] = [columns["ts"][0] + row * 900_000 for row in range(len(columns["ts"]))]
    synth.write(folder / "quotes.parquet", columns, seed=5)
    (folder / "model.py").write_text(MODEL)
    return folder


def checked(folder: Path, objective: str, pruner: str) -> dict[str, Any]:
    config = folder / "tuning.yaml"
    config.write_text(f"{SPACE}{objective}  pruner: {pruner}\n")
    return check(config, "random", 20, 0)


@pytest.mark.parametrize(
    ("objective", "pruner", "place", "complaint"),
    [
        (ARBITRAGE, "{folds: 9}", (6, 19), "9 folds need as many days to tune on, and there are 8"),
        (ARBITRAGE, "{folds: 4, warmup_folds: 3}", (6, 36), "with 4 folds at most 2, or nothing is left to be stopped"),
        (ARBITRAGE, "{fold: 4}", (6, 12), "unknown key (got 4); did you mean 'folds'?"),
        (ARBITRAGE, "{percentile: 100}", (6, 24), "must be less than 100.0 (got 100)"),
        (COMMAND, "{}", (4, 11), "an objective of this kind cannot be stopped half-way: leave pruner out"),
        (SEVERAL, "{}", (4, 11), "a pruner goes by one value, and there are several objectives: leave pruner out"),
        (PYTHON.replace("NAME", "yields"), "{folds: 3}", (4, 19), "a function has as many folds as it yields"),
        (PYTHON.replace("NAME", "plain"), "{}", (4, 11), "model:plain has no `yield`, where it could be stopped"),
    ],
)
def test_what_cannot_be_stopped_by_folds_is_refused_at_its_place(
    folder: Path, objective: str, pruner: str, place: tuple[int, int], complaint: str
) -> None:
    (problem,) = checked(folder, objective, pruner)["problems"]
    assert (problem["line"], problem["column"]) == place
    assert problem["path"][:2] == ("tuning", "pruner")
    assert problem["message"].startswith(complaint)


@pytest.mark.parametrize("name", ["yields", "wrapped", "imported"])
def test_what_may_yield_is_not_refused(folder: Path, name: str) -> None:
    assert checked(folder, PYTHON.replace("NAME", name), "{}")["problems"] == []


# --- the days of the arbitrage objective -----------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", ["", "  evaluation: {tune: 5d, folds: 1, purge: 0, holdout: 0.2}\n"])
def test_the_folds_are_of_the_tune_days_and_change_no_bit_of_the_result(folder: Path, evaluation: str) -> None:
    accepted = json.loads(checked(folder, ARBITRAGE + evaluation, "{}")["tuning"])["tuning"]["objective"]
    assert accepted.pop("parts") == 5
    folded = build_objective({**accepted, "parts": 5}, folder)
    for spread in (0.0, 0.05, 0.1, 0.2):
        params = {"min_spread_pct": spread}
        whole = build_objective(accepted, folder).evaluate(params)
        result, values = follow(folded.evaluate(params), [], "net_pnl", "maximize")
        assert result == whole
        assert isinstance(result, Measurement)
        assert result.daily is not None
        assert values == [so_far(accepted, folder, params, list(result.daily)[:end]) for end in ENDS[bool(evaluation)]]


ENDS = {False: [1, 3, 4, 6], True: [1, 2, 3, 4]}
"""How many days are over when a fold ends: of eight, and of the five that are tuned on."""


def so_far(objective: dict[str, Any], folder: Path, params: dict[str, Any], days: list[str]) -> object:
    """Return what a session would say that has no more days than these."""
    found = build_objective({**objective, "split": None, "days": days}, folder).evaluate(params)
    assert isinstance(found, Measurement)
    return found.metrics["net_pnl"]
