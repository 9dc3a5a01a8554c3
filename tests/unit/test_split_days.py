"""How days are split into tune, validation folds and holdout."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import tuning_worker.market.engine  # noqa: F401 - compiled code is kept in the home that there is now, not in that of a test
from tuning_worker.check import check
from tuning_worker.days import EvaluationSpec, Split, SplitError, split_days
from tuning_worker.market import synth
from tuning_worker.objectives import build_objective

if TYPE_CHECKING:
    from pathlib import Path

FIRST = date(2023, 3, 1)


def span(*numbers: int) -> list[date]:
    return [FIRST + timedelta(days=number) for number in numbers]


FIFTEEN = span(*range(15))


def split(days: list[date] = FIFTEEN, **wanted: Any) -> Split:
    return split_days(days, EvaluationSpec.model_validate(wanted))


def refused(days: list[date] = FIFTEEN, **wanted: Any) -> tuple[str, str]:
    with pytest.raises(SplitError) as caught:
        split(days, **wanted)
    return caught.value.field, str(caught.value)


def numbers(days: tuple[date, ...]) -> list[int]:
    return [(day - FIRST).days for day in days]


def test_the_usual_split_keeps_a_fifth_and_purges_between() -> None:
    found = split()
    assert numbers(found.tune) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [numbers(fold) for fold in found.folds] == [[9, 10]]
    assert numbers(found.holdout) == [12, 13, 14]
    assert numbers(found.left_out) == [8, 11]
    assert found.validation == found.folds[0]
    assert found.held_out() == Split(tune=found.holdout)


def test_counts_shares_and_folds() -> None:
    found = split(tune="6d", folds=3, purge=0, holdout=0.2)
    assert numbers(found.tune) == [0, 1, 2, 3, 4, 5]
    assert [numbers(fold) for fold in found.folds] == [[6, 7], [8, 9], [10, 11]]
    assert numbers(found.holdout) == [12, 13, 14]
    assert numbers(split(tune=0.4, purge=0).tune) == [0, 1, 2, 3, 4, 5]
    assert split(holdout=0.001).holdout == (FIFTEEN[-1],)  # a share that is not nothing is a day at least
    assert split(holdout="2d").holdout == tuple(FIFTEEN[-2:])


def test_without_folds_all_that_the_holdout_leaves_is_tuned_on() -> None:
    found = split(folds=0)
    assert numbers(found.tune) == list(range(11))
    assert (found.folds, numbers(found.left_out)) == ((), [11])
    whole = split(folds=0, holdout=0)
    assert (whole.tune, whole.holdout, whole.left_out) == (tuple(FIFTEEN), (), ())
    assert numbers(split(folds=0, tune=0.2).left_out) == [3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_days_may_be_named() -> None:
    """The split that the data set itself suggests: both sides have calm days and days of the crisis."""
    tune = ["2023-03-01", "2023-03-02", "2023-03-03", "2023-03-06", "2023-03-11"]
    found = split(tune=tune, holdout=["2023-03-13", "2023-03-12"], folds=2, purge=0)
    assert numbers(found.tune) == [0, 1, 2, 5, 10]
    assert numbers(found.holdout) == [11, 12]
    assert [numbers(fold) for fold in found.folds] == [[3, 4, 6, 7], [8, 9, 13, 14]]
    assert not found.is_forward
    assert split(tune=tune[:3], holdout=["2023-03-13"]).is_forward


def test_a_gap_in_the_data_purges_by_itself() -> None:
    days = span(0, 1, 2, 3, 10, 11, 20, 21)
    found = split(days, tune="4d", purge=5, holdout="2d")
    assert numbers(found.validation) == [10, 11]
    assert found.left_out == ()


def test_what_cannot_be_split_says_why() -> None:
    assert refused(folds=9) == (
        "folds",
        "of 15 days, 8 are tuned on, 3 are held out and 2 purged: that leaves 2 for 9 validation folds",
    )
    assert refused(FIFTEEN[:1]) == ("tune", "no day is left to tune on: of 1 day, 1 are held out")
    assert refused(tune="12d") == ("tune", "asks for 12 days, and there are 11 to choose from")
    assert refused(holdout="16d") == ("holdout", "asks for 16 days, and there are 15 to choose from")
    assert refused(tune=["2023-03-13"]) == ("tune", "2023-03-13 is held out")
    assert refused(tune=["2023-03-12"]) == (
        "tune",
        "2023-03-12 is within 1 day of a held-out day: leave it out, or purge less",
    )
    assert refused(holdout=["2024-01-01"]) == ("holdout", "there is no row of 2024-01-01")
    assert refused(holdout=["2024-01-02", "2024-01-01"]) == ("holdout", "there is no row of 2024-01-01, nor of 1 more")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"holdout": 1.5}, "a share is from 0 to below 1 (got 1.5; days are written 5d)"),
        ({"holdout": True}, "is a share such as 0.2, days such as 5d, or a list of dates (got true)"),
        ({"holdout": "5 days"}, "is a share such as 0.2, days such as 5d, or a list of dates (got '5 days')"),
        ({"tune": ["1 March"]}, "a day is written like 2026-01-31 (got '1 March')"),
        ({"folds": -1}, "greater than or equal to 0"),
        ({"valdiation": 1}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_read(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EvaluationSpec.model_validate(wanted)
    assert message in str(caught.value)


PLACES = st.lists(st.integers(0, 59), min_size=1, max_size=10)
"""Days that are named: the n-th of those that there are."""


@given(
    gaps=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    tune=st.none() | st.floats(0.01, 0.95) | st.integers(1, 40).map(lambda count: f"{count}d") | PLACES,
    folds=st.integers(0, 5),
    purge=st.integers(0, 4),
    holdout=st.floats(0, 0.6) | st.integers(0, 20).map(lambda count: f"{count}d") | PLACES,
)
def test_every_day_is_in_one_part_and_never_within_the_purge_of_another(
    gaps: list[int],
    tune: float | str | list[int] | None,
    folds: int,
    purge: int,
    holdout: float | str | list[int],
) -> None:
    """In the order of time, too, where no days are named; and where some are, it is known whether they are forward."""
    days = span(*[sum(gaps[: place + 1]) for place in range(len(gaps))])

    def named(wanted: Any) -> Any:
        return [days[place % len(days)] for place in wanted] if isinstance(wanted, list) else wanted

    try:
        found = split(days, tune=named(tune), folds=folds, purge=purge, holdout=named(holdout))
    except SplitError:
        return
    parts = [found.tune, *found.folds, found.holdout]
    assert sorted([*(day for part in parts for day in part), *found.left_out]) == days
    assert all(list(part) == sorted(part) for part in (*parts, found.validation))
    assert len(found.folds) == folds
    assert all(found.folds)
    for one, other in [(found.tune, found.validation), (found.tune, found.holdout), (found.validation, found.holdout)]:
        assert all(abs((later - earlier).days) > purge for earlier in one for later in other)
    in_order = [day for part in parts for day in part]
    assert in_order == sorted(in_order) or isinstance(tune, list) or isinstance(holdout, list)
    assert found.is_forward == all(earlier < later for earlier in found.tune for later in found.validation)
    assert Split.model_validate(found.model_dump(mode="json")) == found


# --- as a user meets it ---------------------------------------------------------------------------------------------

TUNING = """tuning:
  search_space: {min_spread_pct: {type: float, bounds: [0, 1]}}
  objective:
    kind: arbitrage
    data: quotes.csv
    capital: 1000
    venue_a: {fee_bps: 5, latency_ms: 100}
    venue_b: {fee_bps: 5, latency_ms: 100}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with five days of quotes, one each six hours."""
    columns: dict[str, list[Any]] = dict(synth.synthesize(1, 20))
    columns["ts"] = [1_767_225_600_000 + row * 21_600_000 for row in range(20)]
    synth.write(tmp_path / "quotes.csv", columns, seed=1)
    return tmp_path


def checked(folder: Path, text: str) -> dict[str, Any]:
    (folder / "tuning.yaml").write_text(text)
    return check(folder / "tuning.yaml", "random", 3, 0)


def test_the_snapshot_says_which_days_are_which(folder: Path) -> None:
    accepted = checked(folder, TUNING + "  evaluation: {folds: 2, purge: 0, holdout: 1d, tune: 2d}\n")
    tuning = json.loads(accepted["tuning"])["tuning"]
    assert tuning["objective"]["split"] == {
        "tune": ["2026-01-01", "2026-01-02"],
        "folds": [["2026-01-03"], ["2026-01-04"]],
        "holdout": ["2026-01-05"],
        "left_out": [],
    }
    again = checked(folder, json.dumps({"tuning": tuning}))
    assert json.loads(again["tuning"])["tuning"]["objective"]["split"] == tuning["objective"]["split"]
    assert json.loads(checked(folder, TUNING)["tuning"])["tuning"]["objective"]["split"] is None


@pytest.mark.parametrize(
    ("section", "place", "path", "complaint"),
    [
        ("{folds: 20}", (9, 23), "evaluation.folds", "of 5 days, 2 are tuned on, 1 are held out and 2 purged"),
        ("{holdout: 20d}", (9, 25), "evaluation.holdout", "asks for 20 days, and there are 5 to choose from"),
        ("{holdout: [2020-02-02]}", (9, 25), "evaluation.holdout", "there is no row of 2020-02-02"),
        ("{holdout: 2}", (9, 25), "evaluation.holdout", "a share is from 0 to below 1 (got 2; days are written 5d)"),
        ("{foldss: 2}", (9, 16), "evaluation.foldss", "unknown key (got 2); did you mean 'folds'?"),
    ],
)
def test_a_split_that_cannot_be_is_refused_at_its_place(
    folder: Path, section: str, place: tuple[int, int], path: str, complaint: str
) -> None:
    (problem,) = checked(folder, f"{TUNING}  evaluation: {section}\n")["problems"]
    assert ((problem["line"], problem["column"]), ".".join(problem["path"])) == (place, f"tuning.{path}")
    assert problem["message"].startswith(complaint)


@pytest.mark.parametrize(
    ("section", "place", "field", "days"),
    [
        ("{holdout: 2d, purge: 0}", (9, 25), "holdout", "the 2 days from 2026-01-04 to 2026-01-05"),
        ("{tune: 2d, purge: 0, holdout: 2d}", (9, 45), "holdout", "the 2 days from 2026-01-04 to 2026-01-05"),
        ("{tune: [2026-01-01], holdout: [2026-01-03], purge: 0}", (9, 16), "folds", None),
        ("{tune: 3d, purge: 0, holdout: 1d, folds: 1}", (9, 56), "folds", "2026-01-04"),
        ("{tune: [2026-01-04], purge: 0, holdout: [2026-01-03]}", (9, 22), "tune", "2026-01-04"),
    ],
)
def test_days_on_which_nothing_can_be_played_are_refused_at_submit(
    folder: Path, section: str, place: tuple[int, int], field: str, days: str | None
) -> None:
    text = without_a_rate_at_the_weekend(folder)
    found = checked(folder, f"{text}  evaluation: {section}\n")["problems"]
    if days is None:
        assert found == []
        return
    problem = next(each for each in found if each["path"][-1] == field)
    assert ((problem["line"], problem["column"]), problem["path"]) == (place, ("tuning", "evaluation", field))
    why = "venue A, venue B and the rate are never all quoted in one stretch there, so nothing can be traded"
    assert problem["message"].startswith(f"{days}: {why}: choose other days")


def test_days_on_which_nothing_can_be_played_are_refused_without_a_split_too(folder: Path) -> None:
    text = without_a_rate_at_the_weekend(folder)
    assert checked(folder, text)["problems"] == []
    (problem,) = checked(folder, f"{text}    from_day: 2026-01-04\n")["problems"]
    assert problem["path"] == ("tuning", "objective")
    assert problem["message"].startswith("the 2 days from 2026-01-04 to 2026-01-05: venue A, venue B and the rate")


def without_a_rate_at_the_weekend(folder: Path) -> str:
    """A tuning config on a file for each feed, of five days of which the last two have no rate."""
    quotes = [f"{1_767_225_600_000 + row * 21_600_000},100,101\n" for row in range(20)]
    for name, rows in (("a", quotes), ("b", quotes), ("fx", quotes[:12])):
        (folder / f"{name}.csv").write_text("".join(["local_ts,bid,ask\n", *rows]))
    return TUNING.replace("quotes.csv", "{venue_a: a.csv, venue_b: b.csv, fx: fx.csv}")


@pytest.mark.parametrize("held", [0, 2, 4])  # the first day: not even the prices of the initial inventory are from it
def test_what_stands_on_a_held_out_day_changes_no_result(folder: Path, held: int) -> None:
    tune, *between = [day for day in range(5) if day != held]
    days = [f"2026-01-0{day + 1}" for day in range(5)]
    split = {"tune": [days[tune]], "folds": [[days[day] for day in between]], "holdout": [days[held]]}
    objective = {**yaml.safe_load(TUNING)["tuning"]["objective"], "split": split}
    plain = [evaluated(objective, folder), evaluated(held_out(objective), folder)]
    header, *rows = (folder / "quotes.csv").read_text().splitlines()
    name, *_ = header.split(",")
    assert name.strip('"') == "ts"
    scrambled = [
        re.sub(r",(?=\d)", ",9", row) if place // 4 == held else row  # a digit in front of every number of the day
        for place, row in enumerate(rows)
    ]
    (folder / "quotes.csv").write_text("\n".join([header, *scrambled]))
    assert evaluated(objective, folder) == plain[0]
    assert evaluated(held_out(objective), folder) != plain[1]  # who looks at it sees it


def held_out(objective: dict[str, Any]) -> dict[str, Any]:
    return {**objective, "split": {"tune": objective["split"]["holdout"]}}


def evaluated(objective: dict[str, Any], folder: Path) -> object:
    return build_objective(objective, folder).evaluate({"min_spread_pct": -5.0})


def test_data_that_cannot_be_read_are_no_days(folder: Path) -> None:
    rows = (folder / "quotes.csv").read_text().splitlines()
    (folder / "quotes.csv").write_text("\n".join([rows[0], rows[2], rows[1]]))
    (problem,) = checked(folder, f"{TUNING}  evaluation: {{}}\n")["problems"]
    assert (problem["line"], problem["path"]) == (4, ("tuning", "objective"))
    assert "is before the row above it" in problem["message"]


def test_an_objective_without_days_refuses_to_be_split(folder: Path) -> None:
    (folder / "mine.py").write_text("def f(params): return 1\n")
    (problem,) = checked(
        folder,
        "tuning:\n  search_space: {x: {type: int, bounds: [0, 9]}}\n"
        "  objective: {kind: python, function: 'mine:f', metric: value, direction: maximize}\n"
        "  evaluation: {folds: 2}\n",
    )["problems"]
    assert (problem["line"], problem["column"], problem["path"]) == (4, 15, ("tuning", "evaluation"))
    assert problem["message"] == "the objective python does not say which days it has: leave evaluation out"
