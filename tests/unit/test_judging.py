"""What is said of a session's best from its records, and why something is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tuning_worker.records.reproduction import differing, facts, versions
from tuning_worker.review.holdout import days_looked_at
from tuning_worker.review.judging import STATISTICS, judge
from tuning_worker.review.recorded import RecordedSession, session_of

TUNE = [f"2026-01-{day:02}" for day in range(1, 13)]
FOLDS = [["2026-01-14", "2026-01-15"], ["2026-01-16"]]
HOLDOUT = ["2026-01-18", "2026-01-19"]
SPACE = {
    "min_spread_pct": {"type": "float", "bounds": [0.0, 1.0]},
    "slippage_bps": {"type": "float", "bounds": [1, 100], "log": True},
    "max_holding_ms": {"type": "categorical", "choices": [1000, 2000]},
    "cooldown_ms": 5,
}
ARBITRAGE = {
    "kind": "arbitrage",
    "data": "quotes.parquet",
    "capital": 1000,
    "venue_a": {"fee_bps": 5, "latency_ms": 100},
    "venue_b": {"fee_bps": 5, "latency_ms": 100},
}
SPLIT = {"tune": TUNE, "folds": FOLDS, "holdout": HOLDOUT}


def iteration(g: int, value: float | None, daily: dict[str, float] | None = None, **params: Any) -> dict[str, Any]:
    return {
        "g": g,
        "worker_id": f"worker-{g % 2 + 1}",
        "iteration": g // 2 + 1,
        "status": "FAILED" if value is None else "SUCCESS",
        "value": value,
        "params": {"min_spread_pct": g / 100, "slippage_bps": 10.0, "max_holding_ms": 1000, "cooldown_ms": 5, **params},
        "metrics": {"net_pnl": value},
        "daily": daily and json.dumps(daily),
        "capital": "1000.0" if daily else None,
    }


def session(
    iterations: list[dict[str, Any]], split: dict[str, Any] | None = SPLIT, **objective: Any
) -> RecordedSession:
    tuning = {"tuning": {"search_space": SPACE, "objective": {**ARBITRAGE, **objective}}}
    if split:
        tuning["tuning"]["objective"]["split"] = split
    record = {"session_id": "s", "metric": "net_pnl", "direction": "maximize", "tuning": json.dumps(tuning)}
    return session_of({**record, "metric": objective.get("metric", "net_pnl")}, iterations)


def traded(count: int = 12, skill: float = 0.0) -> list[dict[str, Any]]:
    days = [*TUNE, *(day for fold in FOLDS for day in fold)]
    profits = np.random.default_rng(4).normal(size=(count, len(days)))
    profits[count // 2 - 1] += skill
    dailies = [dict(zip(days, row, strict=True)) for row in profits.tolist()]
    return [iteration(g, sum(daily[day] for day in TUNE), daily) for g, daily in enumerate(dailies)]


def test_points_that_were_pruned_were_tried_too() -> None:
    recorded = traded(skill=5.0)
    full = judge(session(recorded))
    pruned = [{**iteration(20 + n, None), "status": "PRUNED", "intermediate": [1.0]} for n in range(3)]
    pruned.append({**pruned[0], "g": 30})  # the same point again
    pruned.append({**pruned[0], "g": 31, "params": recorded[0]["params"]})  # one that has a value, too
    found = judge(session([*recorded, *pruned, iteration(32, None)]))
    assert (found.tried, found.pruned, found.best_g) == (15, 3, 5)
    assert (found.as_json()["tried"], found.as_json()["pruned"]) == (15, 3)
    assert found.deflated_sharpe is not None
    assert full.deflated_sharpe is not None
    assert (found.deflated_sharpe.trials, full.deflated_sharpe.trials) == (15, 12)
    assert found.deflated_sharpe.deflated < full.deflated_sharpe.deflated  # of so many tries, more is luck
    assert found.overfitting == full.overfitting


def test_a_session_with_folds_is_judged_in_full() -> None:
    found = judge(session(traded(skill=5.0)))
    assert (found.tried, found.best_g, found.tune_days, found.missing) == (12, 5, 12, {})
    assert found.earning_days == 12
    assert found.deflated_sharpe is not None
    assert found.deflated_sharpe.days == 12  # the folds are no part of what it was chosen by
    assert found.deflated_sharpe.trials == 12
    assert found.deflated_sharpe.deflated > 0.9
    assert found.overfitting is not None
    assert (found.overfitting.probability, found.overfitting.days, found.overfitting.candidates) == (0, 12, 12)
    assert found.neighbourhood is not None
    assert [each.g for each in found.neighbourhood.neighbours] == [4, 6, 3, 7, 2, 8]  # two for each that is searched
    assert found.neighbourhood.kept < 0.5  # noise around it
    assert found.walk_forward is not None
    assert [(step.chosen, step.days) for step in found.walk_forward.steps] == [(5, 2), (5, 1)]
    assert found.walk_forward.earned == pytest.approx(
        sum(session(traded(skill=5.0)).ranked_points[0].daily[day] for fold in FOLDS for day in fold)  # type: ignore[index]  # it has days
    )


def test_days_on_which_nothing_was_earned_or_lost_are_told_apart() -> None:
    idle = [{**each, "daily": json.dumps(dict.fromkeys(json.loads(each["daily"]), 0.0))} for each in traded()]
    assert judge(session(idle)).earning_days == 0
    once = {**json.loads(idle[5]["daily"]), TUNE[3]: 7.0, FOLDS[0][0]: 1.0}  # a fold's day is none that it was tuned on
    best = {**idle[5], "daily": json.dumps(once), "value": 7.0}
    found = judge(session([*idle[:5], best]))
    assert (found.best_g, found.tune_days, found.earning_days) == (5, 12, 1)


def test_tries_of_the_sessions_that_it_resumes_from_count() -> None:
    plain = session(traded(skill=0.5))
    alone, after = judge(plain), judge(replace(plain, tried_before=500))
    assert (after.tried, after.tried_before) == (12, 500)
    assert alone.deflated_sharpe is not None
    assert after.deflated_sharpe is not None
    assert after.deflated_sharpe.trials == 512
    assert after.deflated_sharpe.deflated < alone.deflated_sharpe.deflated


def test_noise_does_not_pass() -> None:
    found = judge(session(traded(60)))
    assert found.deflated_sharpe is not None
    assert found.overfitting is not None
    assert found.deflated_sharpe.deflated < 0.9
    assert found.overfitting.probability > 0.2


def test_the_answer_is_plain_json_without_the_thousands_of_ways() -> None:
    document = json.loads(json.dumps(judge(session(traded())).as_json()))
    assert set(STATISTICS) < set(document)
    assert document["overfitting"]["splits"] == 924
    assert "logits" not in document["overfitting"]
    assert json.dumps(judge(session([])).as_json())


def test_without_a_split_all_days_are_what_it_was_chosen_by() -> None:
    found = judge(session(traded(), split=None))
    assert found.tune_days == 15
    assert found.walk_forward is None
    assert found.missing == {"walk_forward": "there are no validation folds (tuning.evaluation)"}


def test_where_days_are_tuned_on_after_the_validation_there_is_no_walk_forward() -> None:
    """What there is to choose from was proposed by days that come after the choice."""
    found = judge(session(traded(), split={"tune": [*TUNE[5:], "2026-01-14"], "folds": [TUNE[:2], TUNE[2:4]]}))
    assert found.walk_forward is None
    assert found.missing["walk_forward"] == (
        "the validation begins on 2026-01-01 and days are tuned on until 2026-01-14: "
        "what there is to choose from knows the days after the choice"
    )


def test_where_the_metric_is_a_sharpe_ratio_the_walk_chooses_by_it() -> None:
    steady = dict.fromkeys([*TUNE, *FOLDS[0], *FOLDS[1]], 1.0) | {TUNE[0]: 1.5}
    wild = {day: 10.0 if place % 2 else -5.0 for place, day in enumerate(steady)}
    two = [iteration(0, 3.0, wild), iteration(1, 2.0, steady)]
    by_sharpe, by_profit = (
        judge(session(two, metric=metric, direction="maximize")).walk_forward for metric in ("sharpe", "net_pnl")
    )
    assert by_sharpe is not None
    assert by_profit is not None
    assert [step.chosen for step in by_sharpe.steps] == [1, 1]
    assert [step.chosen for step in by_profit.steps] == [0, 0]


def test_what_cannot_be_computed_says_why() -> None:
    assert judge(session([iteration(0, None)])).missing == dict.fromkeys(STATISTICS, "no iteration has a value")
    plain = judge(session([iteration(0, 2.0), iteration(1, 1.0)]))
    assert plain.missing == {
        "deflated_sharpe": "the objective tells no daily profits",
        "overfitting": "the objective tells no daily profits",
        "neighbourhood": "there are 1 other points, and it takes 6",
        "walk_forward": "the objective tells no daily profits",
    }
    idle = dict.fromkeys(TUNE, 0.0) | dict.fromkeys(["2026-01-14", "2026-01-15", "2026-01-16"], 0.0)
    nothing = judge(session([iteration(g, 0.0, idle) for g in range(8)]))
    assert nothing.missing == {
        "deflated_sharpe": "the best's days are all alike, or there is but one: it has no Sharpe ratio",
        "overfitting": "on these days all candidates did the same",
        "neighbourhood": "the best value is 0: a share of it has no meaning",
    }
    short = judge(session(traded(1), split={"tune": TUNE[:3], "folds": FOLDS}))
    assert short.missing["overfitting"] == "3 days are too few, it takes 8"
    assert short.missing["walk_forward"] == "there is one candidate"


def test_a_point_that_was_evaluated_twice_is_one_try_and_the_first_dealt_stands_for_it() -> None:
    again = iteration(9, 5.0) | {"params": iteration(2, 0.0)["params"]}
    recorded = session([again, iteration(2, 5.0), iteration(1, 5.0), iteration(0, None)])
    assert [trial.g for trial in recorded.ranked_points] == [1, 2]
    assert judge(recorded).tried == 2


@pytest.mark.parametrize(
    ("values", "ranked"),
    [
        ({1: ("p", 5.0), 2: ("q", 5.0), 9: ("p", 5.0)}, [1, 2]),
        ({0: ("p", 10.0), 1: ("q", 5.4), 2: ("r", 5.3), 3: ("s", 5.2), 4: ("p", 1.0)}, [0, 1, 2, 3]),
        ({0: ("p", 1.0), 1: ("q", 5.4), 2: ("p", 10.0)}, [2, 1]),
    ],
    ids=["all alike", "worse the second time", "better the second time"],
)
def test_a_point_that_was_evaluated_twice_ranks_where_its_best_value_is(
    values: dict[int, tuple[str, float]], ranked: list[int]
) -> None:
    places = {name: place / 10 for place, name in enumerate("pqrs")}
    points = [iteration(g, value, min_spread_pct=places[name]) for g, (name, value) in values.items()]
    recorded = session(points)
    assert [trial.g for trial in recorded.ranked_points] == ranked
    assert judge(recorded).best_g == ranked[0]


def test_days_of_another_objective_are_not_compared() -> None:
    """Its data were mended in between, and it was retried: what it says of other days is left out."""
    other = iteration(50, -3.0, {"2025-12-31": -3.0})
    found = judge(session([*traded(), other]))
    assert found.overfitting is not None
    assert (found.tried, found.overfitting.candidates) == (13, 12)


def test_the_neighbourhood_is_that_of_the_search_space() -> None:
    """Log dimensions in their logarithm, choices equal or not, fixed values nowhere."""
    base = {"min_spread_pct": 0.5, "slippage_bps": 10.0, "max_holding_ms": 1000}
    points = [
        iteration(0, 10.0, **base),
        iteration(1, 9.0, **{**base, "slippage_bps": 100.0}),
        iteration(2, 8.0, **{**base, "min_spread_pct": 0.75}),
        iteration(3, 7.0, **{**base, "max_holding_ms": 2000}),
        *(iteration(g, 1.0, **{**base, "min_spread_pct": g / 100, "max_holding_ms": 2000}) for g in (4, 5, 6)),
    ]
    found = judge(session(points)).neighbourhood
    assert found is not None
    near = {each.g: each.distance for each in found.neighbours}
    assert list(near)[:3] == [2, 1, 3]
    assert (near[1], near[2], near[3]) == pytest.approx((0.5 / 3**0.5, 0.25 / 3**0.5, 1 / 3**0.5))


def test_a_look_is_known_by_each_day_and_by_each_file_of_the_data() -> None:
    """Whatever two sessions share of these, their looks are at the same days."""

    def names(split: dict[str, Any] = SPLIT, **objective: Any) -> set[str]:
        return set(days_looked_at(session([], split, **objective)))

    one = names(data="q.parquet", data_sha256="a" * 64)
    assert len(one) == 4
    assert {name.split(" ")[1] for name in one} == set(HOLDOUT)
    assert len(one & names(data="q.parquet", data_sha256="b" * 64)) == 2  # saved again
    assert len(one & names(data="copy.parquet", data_sha256="a" * 64)) == 2
    assert len(one & names({**SPLIT, "holdout": HOLDOUT[:1]}, data="q.parquet", data_sha256="c" * 64)) == 1
    assert not one & names(data="other.parquet", data_sha256="b" * 64)
    feeds = {"venue_a": "a.parquet", "venue_b": "b.parquet", "fx": "krw.parquet"}
    assert len(names(data=feeds) & names(data={**feeds, "venue_b": "c.parquet"})) == 2
    assert not names(data=feeds) & names(data={"venue_a": "d.parquet", "venue_b": "e.parquet", "fx": "krw.parquet"})


def test_the_facts_that_reproduce_are_versions_and_hashes() -> None:
    found = facts("{}", {"kind": "arbitrage", "data_sha256": "ab", "module_sha256": None, "data": "x"})
    assert found["versions"] == versions()
    assert set(versions()) == {"python", "orch", "numba", "numpy", "optuna", "pyarrow"}
    assert all(versions().values())
    assert {name for name in found if name.endswith("sha256")} == {"config_sha256", "data_sha256"}
    assert differing(versions()) == {}
    assert differing({**versions(), "numpy": "1.0"}) == {"numpy": versions()["numpy"]}
