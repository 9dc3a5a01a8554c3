"""What the worker's side makes of recorded sessions: a table in a file, a page; from stdin, as `orch` feeds it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from support.recorded import (
    ARBITRAGE,
    ARBITRAGE_SPACE,
    DAYS,
    EVIL,
    PYTHON,
    SPACE,
    daily_iterations,
    iterations,
    lines,
    look,
    session,
)
from tuning_worker.__main__ import main
from tuning_worker.reporting.earnings import HOLDOUT, TUNE, VALIDATION, find_days, summarize
from tuning_worker.reporting.importances import find_importances
from tuning_worker.reporting.scales import log_ticks, make_scales
from tuning_worker.reporting.values import length, number, short, thin
from tuning_worker.review.recorded import RecordedSession, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Path]

TWO = {"kind": "python", "function": "m:f", "metrics": {"net_pnl": "maximize", "max_drawdown": "minimize"}}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def made(verb: str, text: str, name: str, *options: str, code: int = 0) -> Path:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert main([verb, "--output", str(tmp_path / name), *options]) == code
        return tmp_path / name

    return made


def read(text: str) -> RecordedSession:
    return read_lines(text.splitlines())


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """The elements of a page, its texts outside of scripts and styles, and where it would fetch from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.addresses, self.said, self.inside = 0, [], "", ""
        self.data: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inside = given.get("id") or tag if tag in ("script", "style") else ""
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - its signature
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.data[self.inside] = data
        else:
            self.said += data + " "


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


# --- export ---------------------------------------------------------------------------------------------------------


def test_parquet_has_a_type_for_each_column_and_the_session_in_its_metadata(make: Make):
    path = make("export", lines(session(), iterations(40)), "x.parquet", "--format", "parquet")
    table = parquet.read_table(path)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["params_edge"] == "double"
    assert kinds["params_size"] == kinds["g"] == kinds["metrics_trades"] == kinds["attempt"] == "int64"
    assert kinds["params_kind"] == "string"
    assert kinds["timestamp"] == "timestamp[us, tz=UTC]"
    rows = table.to_pylist()
    assert [row["g"] for row in rows] == list(range(40))
    assert all(row["metrics_sharpe"] is None for row in rows)  # undefined is null, never 0
    assert all((row["params_depth"] is None) == (row["params_kind"] != "fancy") for row in rows)
    assert {row["value"] for row in rows if row["status"] == "FAILED"} == {None}
    about = json.loads(table.schema.metadata[b"orch"])
    assert (about["session_id"], about["seed"], about["schema"]) == ("made-up", 42, 1)
    assert about["tuning"]["tuning"]["objective"]["metric"] == "net_pnl"


def test_what_was_earned_on_each_day_is_a_column(make: Make):
    text = lines(session(ARBITRAGE, ARBITRAGE_SPACE), daily_iterations(3))
    rows = parquet.read_table(make("export", text, "x.parquet", "--format", "parquet")).to_pylist()
    assert [day for day, _ in rows[0]["daily"]] == DAYS[:45]
    first = csv_rows(make("export", text, "x.csv", "--format", "csv"))[0]
    assert json.loads(first["daily"]) == dict(rows[0]["daily"])
    assert float(first["capital"]) == rows[0]["capital"] == 1_000_000


def test_csv_is_read_back_as_it_was_recorded(make: Make):
    recorded = iterations(40)
    path = make("export", lines(session(), recorded), "x.csv", "--format", "csv")
    rows = csv_rows(path)
    for row, each in zip(rows, recorded, strict=True):
        assert float(row["params_edge"]) == each["params"]["edge"]
        assert row["params_kind"] == each["params"]["kind"]
        assert row["value"] == ("" if each["value"] is None else repr(each["value"]))
        assert row["timestamp"] == each["timestamp"]
        assert row["metrics_sharpe"] == ""


def test_json_has_the_session_and_its_iterations(make: Make):
    document = json.loads(make("export", lines(session(), iterations(5)), "x.json", "--format", "json").read_text())
    assert document["schema"] == 1
    assert document["session"]["tuning"]["tuning"]["search_space"]["fee"] == {"type": "fixed", "value": 5}
    assert [each["g"] for each in document["iterations"]] == list(range(5))
    assert document["iterations"][0]["seconds"] == 0.25


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_session_without_iterations_has_a_file_too(make: Make, kind: str):
    assert make("export", lines(session()), f"x.{kind}", "--format", kind).stat().st_size


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5], "double"),
        ([True, False], "bool"),
        ([1, True], "string"),
        ([1, "a"], "string"),
        ([2**70], "double"),
        ([10**400], "string"),
        ([None], "double"),
    ],
)
def test_the_type_of_a_column_follows_from_its_values(make: Make, values: list[Any], kind: str):
    recorded = [{**each, "params": {"p": value}} for each, value in zip(iterations(9, 0), values, strict=False)]
    path = make("export", lines(session(space={}), recorded), "x.parquet", "--format", "parquet")
    assert str(parquet.read_schema(path).field("params_p").type) == kind


def test_a_file_that_is_there_is_not_written_over(make: Make, capsys: pytest.CaptureFixture[str]):
    path = make("export", lines(session()), "x.csv", "--format", "csv")
    before = path.read_bytes()
    make("export", lines(session(), iterations(3)), "x.csv", "--format", "csv", code=5)
    assert path.read_bytes() == before
    assert "is there already: name another file, or write over it with --force" in capsys.readouterr().err
    make("export", lines(session(), iterations(3)), "x.csv", "--format", "csv", "--force")
    assert path.read_bytes() != before
    assert [each.name for each in path.parent.iterdir()] == ["x.csv"]  # nothing half-made stays


def test_records_that_break_off_make_no_file(make: Make, capsys: pytest.CaptureFixture[str]):
    text = lines(session(), iterations(3)).removesuffix('{"end": true}\n')
    assert not make("report", text, "x.html", code=5).exists()
    assert "broke off" in capsys.readouterr().err
    assert not make("export", lines(session()), "no/x.csv", "--format", "csv", code=2).exists()
    assert make("export", lines(session()), "", "--format", "csv", code=2).is_dir()


# --- the page -------------------------------------------------------------------------------------------------------

SHAPES = {
    "none": lines(session()),
    "one": lines(session(), iterations(1, 0)),
    "all failed": lines(session(status="FAILED"), iterations(12, 1)),
    "usual": lines(session(), iterations(60)),
    "minimize": lines(session({**PYTHON, "direction": "minimize"}), iterations(60)),
    "several objectives": lines(session(TWO), iterations(60)),
    "days": lines(session(ARBITRAGE, ARBITRAGE_SPACE), daily_iterations(40)),
}


@pytest.fixture(params=SHAPES, ids=SHAPES.get and str)
def shape(request: pytest.FixtureRequest, make: Make) -> tuple[str, Page]:
    return request.param, page(make("report", SHAPES[request.param], "x.html"))


def test_a_page_needs_nothing_else_and_obeys_no_text_from_outside(shape: tuple[str, Page]):
    name, made = shape
    assert made.addresses == []
    assert made.scripts == (2 if name == "none" else 4)
    figures = json.loads(made.data["figures"])
    assert set(figures) == set() if name == "none" else set(figures) >= {"history"}
    assert "What was run" in made.said
    assert "made-up" in made.said


def test_the_page_says_what_was_run_and_what_failed(make: Make):
    recorded = iterations(60)
    made = page(make("report", lines(session(), recorded), "x.html", "--top", "3"))
    failed = [each for each in recorded if each["status"] == "FAILED"]
    assert f"60 of 100 recorded, {len(failed)} of them failed" in made.said
    assert f"timeout: too {EVIL} large" in made.said
    assert "ab" * 32 in made.said
    assert "The best 3" in made.said
    assert "Its objective tells no daily profits." in made.said
    assert "not recorded" in made.said  # the versions


def test_the_page_and_the_files_show_what_was_pruned(make: Make):
    recorded = iterations(60)
    why = "net_pnl was 1 after fold 2, and the best 9 of 18 iterations before had 2 or more"
    for place in (20, 30):
        recorded[place] |= {"status": "PRUNED", "value": None, "metrics": {}, "reason": why}
        recorded[place] |= {"intermediate": [0.1, None], "bars": "[null, [2.0, 9, 18]]"}
    failed = sum(each["status"] == "FAILED" for each in recorded)
    made = page(make("report", lines(session(), recorded), "x.html"))
    assert f"60 of 100 recorded, {failed} of them failed, 2 of them pruned" in made.said
    assert "stopped half-way as hopeless" in made.said
    assert "2 of them, which were pruned, no more is known" in made.said
    traces = {trace.get("name"): trace for trace in json.loads(made.data["figures"])["history"]["data"]}
    assert len(traces["pruned"]["x"]) == 2
    assert "net_pnl was 1 after fold 2" in json.dumps(traces["pruned"])
    rows = csv_rows(make("export", lines(session(), recorded), "x.csv", "--format", "csv"))
    assert [row["intermediate"] for row in rows[19:22]] == ["", "[0.1, null]", ""]
    table = parquet.read_table(make("export", lines(session(), recorded), "x.parquet", "--format", "parquet"))
    assert table["intermediate"].to_pylist()[20] == [0.1, None]


def test_the_page_says_by_what_the_results_can_be_had_again(make: Make):
    kept = {"versions": {"orch": "0.1.0", "python": "3.11"}, "host": "box", "config_sha256": "ef" * 32}
    said = page(make("report", lines(session(reproduction=json.dumps(kept))), "x.html")).said
    assert "orch 0.1.0, python 3.11" in said
    assert "resolved config sha256 " + "ef" * 32 in " ".join(said.split())


def test_the_page_says_on_what_terms_and_days_and_no_secret(make: Make):
    said = page(make("report", lines(session(ARBITRAGE, ARBITRAGE_SPACE)), "x.html")).said
    assert f"tune: 30 days, {DAYS[0]} to {DAYS[29]}\nfold 1: 8 days, {DAYS[30]} to {DAYS[37]}\nfold 2: 7 days" in said
    assert "capital: 1,000,000\nvenue_a: fee_bps 5, latency_ms 100" in said
    assert "paper: a recorded market, simulated orders" in said
    assert "a recorded market" not in page(make("report", lines(session()), "z.html")).said  # of a function who knows
    command = {"kind": "command", "argv": ["x"], "env": {"TOKEN": "hush"}, "metric": "m", "direction": "minimize"}
    assert "hush" not in make("report", lines(session(command)), "y.html").read_text(encoding="utf-8")


def test_the_best_are_shown_with_what_was_tuned_first_and_without_what_is_fixed(make: Make):
    made = page(make("report", lines(session(TWO), iterations(40, 0)), "x.html")).said
    heads = made[made.rindex(" g ") :].split()
    assert heads[1:8] == ["net_pnl", "max_drawdown", "edge", "rate", "size", "kind", "depth"]
    assert "fee" not in heads


def test_what_the_best_did_on_each_part_of_the_days(make: Make):
    recorded = daily_iterations(4)
    best = max(recorded, key=lambda each: each["value"])
    best["metrics"] |= {
        "sharpe": 2.5,
        "max_drawdown": 123.0,
        "validation_sharpe": None,
        "validation_max_drawdown": 45.0,
    }
    scored = look(best)
    scored["results"][0]["metrics"] = {"sharpe": -0.5, "max_drawdown": 678.0}
    said = page(make("report", lines(session(ARBITRAGE, ARBITRAGE_SPACE), recorded, scored), "x.html")).said.split()
    rows = {part: said[said.index(part, said.index("part")) :] for part in (TUNE, VALIDATION, HOLDOUT)}
    assert said[said.index("worst") + 2 : said.index(TUNE, said.index("part"))][:3] == ["sharpe", "max", "drawdown"]
    assert {part: row[6:8] for part, row in rows.items()} == {
        TUNE: ["2.5", "123"], VALIDATION: ["-", "45"], HOLDOUT: ["-0.5", "678"]
    }  # fmt: skip


def test_data_that_is_made_up_is_said_to_be(make: Make):
    made = page(make("report", lines(session(ARBITRAGE, ARBITRAGE_SPACE)), "x.html"))
    assert "/data/quotes-synthetic.parquet\nsynthetic: made up by a program\nsha256 cdcd" in made.said
    told = {**ARBITRAGE, "data": "/data/q.parquet", "data_origin": "synthetic, made by tuning-worker synth --seed 7"}
    assert "made by tuning-worker synth --seed 7" in page(make("report", lines(session(told, {})), "y.html")).said


def test_the_policy_of_a_page_allows_its_own_scripts_only(make: Make):
    text = make("report", lines(session(), iterations(30)), "x.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert EVIL not in text


def test_many_iterations_are_thinned(make: Make):
    made = page(make("report", lines(session(), iterations(4_000, workers=16)), "x.html"))
    figures = json.loads(made.data["figures"])
    points, best, failed = figures["history"]["data"]
    assert (points["name"], best["name"], failed["name"]) == ("16 workers", "best so far", "failed")
    assert "3,000 values are drawn; the line knows all." in made.said
    assert len(figures["slice-0"]["data"][0]["y"]) <= 1500


def test_very_bad_values_begin_below_the_edge(make: Make):
    recorded = iterations(40, 0)
    recorded[7] = {**recorded[7], "value": -1e9}
    figures = json.loads(page(make("report", lines(session(), recorded), "x.html")).data["figures"])
    low, high = figures["history"]["layout"]["yaxis"]["range"]
    assert -1e6 < low < high
    assert figures["slice-0"]["layout"]["yaxis"]["range"] == [low, high]


def test_sessions_of_odd_shapes(make: Make):
    names = {f"p{n}": {"type": "int", "bounds": [0, 5000]} for n in range(45)}
    wide = [{**each, "params": {f"p{n}": each["g"] * n for n in range(45)}} for each in iterations(30, 0)]
    waiting = session(space=names, started_at="", finished_at="", status="PENDING")
    said = page(make("report", lines(waiting, wide), "wide.html")).said
    assert "5 more parameters are left out." in said
    assert "not yet" in said
    running = session(finished_at="", last_update="2026-03-01T12:30:00.000Z", status="RUNNING")
    said = page(make("report", lines(running, iterations(3, 0)), "running.html")).said
    assert "since 2026-03-01 12:00:00 UTC" in said
    assert "30 min" in said
    same = [{**each, "params": {"x": 1.5}} for each in iterations(30, 0)]
    fixed = session(space={"x": {"type": "fixed", "value": 1.5}, "y": SPACE["edge"]})
    assert "No parameter has more than one value." in page(make("report", lines(fixed, same), "same.html")).said
    lacking = [{**each, "metrics": {"net_pnl": 1.0}} for each in iterations(5, 0)]
    assert "No iteration has all of the metrics" in page(make("report", lines(session(TWO), lacking), "two.html")).said
    own = {**session(), "tuning": "", "metric": "", "direction": ""}
    assert "a command of the user's own" in page(make("report", lines(own), "command.html")).said


# --- what was earned ------------------------------------------------------------------------------------------------


def test_days_are_told_apart_and_drawdown_is_from_the_highest_before():
    recorded = daily_iterations(5)
    best = max(recorded, key=lambda each: each["value"])
    days = find_days(read(lines(session(ARBITRAGE, ARBITRAGE_SPACE), recorded, look(best))))
    assert [day.date for day in days] == DAYS
    assert [(day.part) for day in days] == [TUNE] * 30 + [VALIDATION] * 15 + [HOLDOUT] * 15
    assert days[29].equity == pytest.approx(best["value"])
    highest = 0.0
    for day in days:
        highest = max(highest, day.equity)
        assert day.drawdown == pytest.approx(day.equity - highest)
    assert summarize(days, TUNE)["earned"] == pytest.approx(best["value"])
    assert summarize(days[:30], HOLDOUT) is None


def test_the_held_out_days_are_those_of_the_best_or_missing(make: Make):
    recorded = daily_iterations(40)
    best, *_, worst = sorted(recorded, key=lambda each: -each["value"])
    record = session(ARBITRAGE, ARBITRAGE_SPACE)
    said = page(make("report", lines(record, recorded, look(best)), "a.html")).said
    assert "looked at 2 times for this session, with 3 points scored, and with other sessions' 5 times" in said
    assert "(with 305 points)" in said
    for name, holdout in (("b.html", None), ("c.html", look(worst))):
        said = page(make("report", lines(record, recorded, holdout), name)).said
        assert "The 15 held-out days are missing" in said
        assert "(orch holdout made-up)" in said
    unsplit = session({**ARBITRAGE, "split": None}, ARBITRAGE_SPACE)
    assert "No days were held out" in page(make("report", lines(unsplit, recorded), "d.html")).said


# --- the parameters -------------------------------------------------------------------------------------------------


@given(st.floats(-8, 8), st.floats(0.1, 12))
def test_ticks_of_a_logarithmic_axis_are_few_and_round(low: float, span: float):
    ticks = log_ticks(low, low + span)
    assert len(ticks) <= 6
    assert span < 0.2 or ticks
    for tick in ticks:
        assert low - 1e-6 <= math.log10(tick) <= low + span + 1e-6
        assert float(f"{tick:.2g}") == pytest.approx(tick, rel=1e-12)


def test_the_ticks_that_an_eye_expects():
    assert log_ticks(math.log10(2000), math.log10(20_000)) == pytest.approx([2000, 5000, 10_000, 20_000])
    assert log_ticks(-5, 0) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1])


def test_the_parameter_that_decides_is_the_important_one():
    recorded = read(lines(session(), iterations(300)))
    found = find_importances(recorded, make_scales(recorded))
    assert found is not None
    assert next(iter(found)) == "edge"
    assert sum(found.values()) == pytest.approx(1)
    assert "fee" not in found  # it has one value
    alike = [{**each, "value": 0.0} for each in iterations(60, 0)[1:]] + iterations(1, 0)
    alike_read = read(lines(session(), alike))
    assert find_importances(alike_read, make_scales(alike_read)) is None  # one that is better is no tenth
    few = read(lines(session(), iterations(10)))
    assert find_importances(few, make_scales(few)) is None


def test_scales_are_as_wide_as_the_space():
    scales = {scale.name: scale for scale in make_scales(read(lines(session(), iterations(60))))}
    assert (scales["rate"].low, scales["rate"].high, scales["rate"].log) == (-5, 0, True)
    assert scales["kind"].choices == ("plain", "fancy", EVIL)
    assert (scales["depth"].low, scales["depth"].high) == (1, 5)
    assert scales["fee"].is_constant
    assert scales["depth"].position(None) is None


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (True, "true"), (3, "3"), (1234, "1,234"), (1234.5678, "1,234.57"), (-98765.4, "-98,765.4"),
        (12345678.9, "12,345,679"), (1e-7, "1e-07"), (0.1 + 0.2, "0.3"), (1e20, "1e+20"), ("a", "a"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(value: object, text: str):
    assert number(value) == text


def test_ticks_are_short():
    assert [short(value) for value in (0.001, 5.0, 9_999, 250_000, 1.5e6, 2e9, 3e15)] == [
        "0.001", "5", "9999", "250k", "1.5M", "2B", "3e+15",
    ]  # fmt: skip


def test_lengths_of_time():
    start = "2026-03-01T12:00:00.000Z"
    assert length(start, "2026-03-01T12:00:06.700Z") == "6.7 s"
    assert length(start, "2026-03-01T12:05:00Z") == "5 min"
    assert length(start, "2026-03-01T14:05:00Z") == "2 h 5 min"
    assert length(start, None) == "-"


def test_thinning_keeps_both_ends():
    assert thin(range(10), 20) == list(range(10))
    assert thin(range(1001), 3) == [0, 500, 1000]
