"""Tune, validation and holdout days as a user meets them: planned, tuned, judged, looked at, replayed."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.conftest import Cli, new_user
from orchestrator.settings import load_settings
from orchestrator.store.blocking import BlockingStore
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from tuning_worker.market import synth
from tuning_worker.market.engine import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUNING = """
tuning:
  method: random
  seed: 3
  search_space:
    min_spread_pct: {type: float, bounds: [0.0, 0.3]}
    exit_spread_pct: {type: float, bounds: [-0.2, 0.1]}
  objective:
    kind: arbitrage
    data: quotes.parquet
    capital: 10000000
    venue_a: {fee_bps: 2, latency_ms: 0}
    venue_b: {fee_bps: 2, latency_ms: 0}
  evaluation:
    tune: 8d
    folds: 2
    purge: 1
    holdout: [HOLDOUT]
"""

SESSION = """
session_id: split
total_iterations: 12
workers: 2
config_path: tuning.yaml
base_output_csv: out/split
"""

TEN_MINUTES = 600_000
FIRST = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
HOLDOUT = ("2026-01-01", "2026-01-16")  # one at each end: neither the first quote nor the last may matter
PARTS = {
    "tune": [f"2026-01-{day:02}" for day in range(3, 11)],
    "fold 1": ["2026-01-12"],
    "fold 2": ["2026-01-13", "2026-01-14"],
    "holdout": list(HOLDOUT),
    "left out": ["2026-01-02", "2026-01-11", "2026-01-15"],
}
PRICES = ("bid_a", "ask_a", "bid_b", "ask_b")


def market(seed: int = 9) -> dict[str, list[Any]]:
    """Sixteen days of made-up quotes, one each ten minutes."""
    columns: dict[str, list[Any]] = dict(synth.synthesize(seed, 16 * 144))
    columns["ts"] = [FIRST + row * TEN_MINUTES for row in range(len(columns["ts"]))]
    return columns


def scrambled(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same quotes, with others in their place on the held-out days."""
    held = [datetime.fromtimestamp(ts / 1000, UTC).date().isoformat() in HOLDOUT for ts in columns["ts"]]
    assert sum(held) == 2 * 144
    return columns | {
        name: [value * 3 if is_held else value for value, is_held in zip(columns[name], held, strict=True)]
        for name in PRICES
    }


def user(folder: Path, quotes: dict[str, list[Any]]) -> Cli:
    cli = new_user(folder)
    synth.write(cli.cwd / "quotes.parquet", quotes, seed=9)
    cli.write("tuning.yaml", TUNING.replace("HOLDOUT", ", ".join(HOLDOUT)))
    cli.write("session.yaml", SESSION)
    return cli


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A finished session whose days are split, not looked at yet."""
    warm_up()  # to compile may take longer than a verb is waited for
    cli = user(tmp_path_factory.mktemp("split"), market())
    done = cli("run", "session.yaml", "-o", "quiet")
    assert (done.code, done.out) == (0, "SUCCESS\n"), done.err
    return cli


def records(cli: Cli) -> list[dict[str, str]]:
    """All that is recorded of the iterations in the store, but for when they were and how long they took."""
    with open_store(load_settings(cli.environ, cli.cwd)) as address:
        store = BlockingStore(address.url, Keys("docker"))
        places = [(f"worker-{worker}", iteration) for worker in (1, 2) for iteration in range(1, 7)]
        found = store.read_all([("HGETALL", store.keys.iteration("paper", "split", *place)) for place in places])
        store.close()
    moments = ("timestamp", "started_at", "seconds")
    return [{name: text for name, text in each.items() if name not in moments} for each in found]


# --- the split ------------------------------------------------------------------------------------------------------


def test_plan_shows_the_days_of_each_part(finished: Cli) -> None:
    assert finished("plan", "session.yaml", "-o", "json").json["days"] == PARTS
    shown = finished("plan", "session.yaml").out
    assert "tune       8 days, 2026-01-03 to 2026-01-10\n" in shown
    assert "fold 1     1 day, 2026-01-12\n" in shown
    assert "fold 2     2 days, 2026-01-13 to 2026-01-14\n" in shown
    assert "holdout    2 days, 2026-01-01, 2026-01-16\n" in shown  # a stretch is what follows each other
    assert finished("plan", "session.yaml", "-o", "json").json["notes"][0] == (
        "the holdout is not the last part: 2026-01-01 comes before days that are tuned or validated on, "
        "so it does not show what comes after them"
    )


def test_plan_says_where_what_is_validated_comes_first(finished: Cli) -> None:
    late = TUNING.replace("tune: 8d", "tune: [2026-01-05, 2026-01-06, 2026-01-13]").replace("[HOLDOUT]", "2d")
    finished.write("late.yaml", late)
    (note,) = (
        note
        for note in finished("plan", "session.yaml", "--set", "config_path=late.yaml", "-o", "json").json["notes"]
        if "walk" in note
    )
    assert note == (
        "validation begins on 2026-01-01, before the last day that is tuned on, 2026-01-13: there is no walk-forward"
    )


def test_the_held_out_days_change_no_bit_of_any_record(finished: Cli, tmp_path: Path) -> None:
    other = user(tmp_path, scrambled(market()))
    assert other("run", "session.yaml", "-o", "quiet").out == "SUCCESS\n"
    assert records(other) == records(finished)


def test_the_records_hold_the_days_that_were_seen_and_what_validation_says(finished: Cli) -> None:
    seen = PARTS["tune"] + PARTS["fold 1"] + PARTS["fold 2"]
    for record in records(finished):
        assert record["status"] == "SUCCESS"
        daily = json.loads(record["daily"])
        assert list(daily) == seen
        tuned = sum(daily[day] for day in PARTS["tune"])
        assert tuned == pytest.approx(float(record["value"]), abs=1e-6)
        validated = sum(daily[day] for day in PARTS["fold 1"] + PARTS["fold 2"])
        assert validated == pytest.approx(float(record["metrics_validation_net_pnl"]), abs=1e-6)
        assert float(record["capital"]) == pytest.approx(1e7, rel=0.01)


# --- judging --------------------------------------------------------------------------------------------------------


def test_judge_says_how_far_the_best_can_be_trusted(finished: Cli) -> None:
    judged = finished("judge", "split", "-o", "json").json
    best = finished("best", "split", "-o", "json").json
    assert (judged["schema"], judged["session_id"], judged["tried"], judged["tune_days"]) == (1, "split", 12, 8)
    assert (judged["best"]["g"], judged["best"]["value"]) == (best["g"], best["value"])
    assert judged["overfitting"]["splits"] == 70
    assert 0 <= judged["overfitting"]["probability"] <= 1
    assert judged["deflated_sharpe"]["trials"] == 12
    assert len(judged["walk_forward"]["steps"]) == 2
    shown = finished("judge", "split").out
    for title in ("deflated Sharpe", "overfitting", "neighbourhood", "walk-forward"):
        assert title in shown
    assert finished("judge", "split", "-o", "quiet").out.startswith("deflated_sharpe=")
    missing = finished("judge", "nothing")
    assert (missing.code, missing.out) == (3, "")
    assert missing.err.startswith("orch: there is no session nothing")


def test_the_best_is_shown_with_the_figures(finished: Cli) -> None:
    judged = finished("judge", "split", "-o", "json").json
    assert finished("best", "split", "-o", "json").json["judgement"] == {
        name: value for name, value in judged.items() if name != "env"
    }
    shown = finished("best", "split")
    assert f"# deflated Sharpe: {judged['deflated_sharpe']['deflated']:.3f} likely" in shown.out
    assert f"# overfitting: {judged['overfitting']['probability']:.3f} probable" in shown.out
    assert f"# neighbourhood: the 4 nearest points keep {judged['neighbourhood']['kept']:.2f} of its value" in shown.out
    assert "# walk-forward: earned" in shown.out
    assert set(yaml.safe_load(shown.out)["tuning"]["search_space"]) == {"min_spread_pct", "exit_spread_pct"}
    hint = "orch: how far the best can be trusted: orch judge split\n"
    assert (finished("results", "split").err, finished("results", "split", "-o", "json").err) == (hint, "")


def test_tries_of_the_sessions_that_one_resumes_from_count(finished: Cli) -> None:
    for name, earlier, seed in (("next", "split", 5), ("last", "next", 6)):
        given = (
            f"resume_from={earlier}",
            f"seed={seed}",
            f"base_output_csv=out/{name}",
            "total_iterations=2",
            "optimizer=bayesian",
        )
        options = [word for each in given for word in ("--set", each)]
        assert finished("run", "session.yaml", "--session-id", name, *options, "-o", "quiet").code == 0
    judged = finished("judge", "last", "-o", "json").json
    assert (judged["tried"], judged["tried_before"], judged["deflated_sharpe"]["trials"]) == (2, 14, 16)
    assert "and 14 points by what it resumes from\n" in finished("judge", "last").out


@contextmanager
def all_but_the_store_gone(cli: Cli, elsewhere: Path) -> Iterator[Cli]:
    """A user in another directory, while the one with the session's files, config and data is not there."""
    elsewhere.mkdir()
    away = cli.cwd.rename(cli.cwd.with_name("away"))
    try:
        yield Cli(elsewhere, cli.environ)
    finally:
        away.rename(cli.cwd)


def test_what_is_only_read_needs_the_records_alone(finished: Cli, tmp_path: Path) -> None:
    """Without the data, the config, the CSVs and the directory: the same judgement, report and export."""
    names = ("page.html", "all.csv", "all.json", "all.parquet")

    def made(cli: Cli, folder: Path) -> list[bytes]:
        folder.mkdir()
        for name in names:
            verb = ("report",) if name == "page.html" else ("export", "--format", name.partition(".")[2])
            done = cli(verb[0], "split", *verb[1:], "--output", str(folder / name))
            assert done.code == 0, done.err
        return [re.sub(rb"Made [^.]* by", b"", (folder / name).read_bytes()) for name in names]

    judged, before = finished("judge", "split", "-o", "json"), made(finished, tmp_path / "before")
    with all_but_the_store_gone(finished, tmp_path / "elsewhere") as user_elsewhere:
        again, after = user_elsewhere("judge", "split", "-o", "json"), made(user_elsewhere, tmp_path / "after")
        looked = user_elsewhere("holdout", "split")
    assert (again.code, again.json) == (0, judged.json)
    assert after == before
    assert b"Deflated Sharpe ratio" in before[0]
    assert (looked.code, looked.err) == (5, f"orch: {finished.cwd}, where session split was submitted, is gone\n")


# --- looking --------------------------------------------------------------------------------------------------------


def test_a_look_is_recorded_once_counted_and_the_next_one_warned_of(finished: Cli) -> None:
    synth.write(finished.cwd / "unseen.parquet", market(seed=10), seed=10)  # no other test looks at these
    finished.write("unseen.yaml", TUNING.replace("HOLDOUT", ", ".join(HOLDOUT)).replace("quotes", "unseen"))
    overrides = ("--session-id", "unseen", "--set", "base_output_csv=out/unseen", "--set", "config_path=unseen.yaml")
    assert finished("run", "session.yaml", *overrides, "-o", "quiet").code == 0
    first = finished("holdout", "unseen", "-o", "json")
    assert (first.code, first.err) == (0, "")
    assert (first.json["looks"], first.json["all_looks"], first.json["looked"]) == (1, 1, True)
    (result,) = first.json["results"]
    assert result["worker_id"].startswith("worker-")
    assert list(result["daily"]) == list(HOLDOUT) == first.json["holdout_days"]
    assert sum(result["daily"].values()) == pytest.approx(result["value"], abs=1e-6)
    assert result["tuned_value"] == finished("best", "unseen", "-o", "json").json["value"]

    again = finished("holdout", "unseen", "-o", "json")
    assert again.json == {**first.json, "looked": False}
    assert again.err == "orch: shown as it was recorded; 1 look at these days so far, with 1 point scored\n"

    more = finished("holdout", "unseen", "--top", "2", "-o", "json")
    assert more.json["looks"] == 2
    assert more.json["results"][0] == result
    assert more.json["results"][1]["look"] == 2
    assert more.err.startswith("orch: warning: 2 looks at these days so far, with 2 points scored:")
    assert "TUNED net_pnl" in finished("holdout", "unseen", "--top", "2").out


def test_looks_of_another_session_count_too_where_it_shares_a_day(finished: Cli) -> None:
    """Its holdout is a day shorter, and its data are a copy under another name: no way around the count."""
    before = finished("holdout", "split", "-o", "json").json
    shutil.copy(finished.cwd / "quotes.parquet", finished.cwd / "copy.parquet")
    finished.write("second.yaml", TUNING.replace("HOLDOUT", HOLDOUT[1]).replace("quotes", "copy"))
    overrides = ("--session-id", "second", "--set", "base_output_csv=out/second", "--set", "config_path=second.yaml")
    assert finished("run", "session.yaml", *overrides, "-o", "quiet").code == 0
    second = finished("holdout", "second", "--top", "3", "-o", "json")
    assert second.json["holdout_days"] == [HOLDOUT[1]]
    assert (second.json["looks"], second.json["points"]) == (1, 3)
    looks, points = before["all_looks"], before["all_points"]
    assert (second.json["all_looks"], second.json["all_points"]) == (looks + 1, points + 3)
    assert f"{looks + 1} looks at these days so far, {looks} of them by other sessions, with {points + 3}" in second.err
    assert finished("rm", "second").code == 0
    after = finished("holdout", "split", "-o", "json").json  # what was seen stays seen
    assert (after["all_looks"], after["all_points"]) == (looks + 1, points + 3)


def test_of_several_objectives_it_is_said_by_which_the_best_is_judged(finished: Cli) -> None:
    two = "metrics: {net_pnl: maximize, max_drawdown: minimize}\n    capital"
    finished.write("two.yaml", TUNING.replace("HOLDOUT", ", ".join(HOLDOUT)).replace("capital", two))
    given = ("--session-id", "two", "--set", "config_path=two.yaml", "--set", "base_output_csv=out/two")
    ran = finished("run", "session.yaml", *given)
    assert ran.out.rstrip().endswith("orch results two   orch best two   orch judge two"), ran.err
    by = "ranked by net_pnl, the first of 2 objectives"
    assert by in finished("judge", "two").out
    assert by in finished("holdout", "two").out
    shown = finished("best", "two").out
    assert shown.count(f"# judged is the best as {by}\n# deflated Sharpe: ") == 1
    assert len(list(yaml.safe_load_all(shown))) == len(finished("best", "two", "-o", "json").json["front"])


def test_a_session_that_holds_nothing_out_has_nothing_to_look_at(finished: Cli) -> None:
    finished.write("whole.yaml", TUNING[: TUNING.index("  evaluation:")])
    overrides = ("--session-id", "whole", "--total-iterations", "2", "--set", "base_output_csv=out/whole")
    assert finished("run", "session.yaml", *overrides, "--set", "config_path=whole.yaml", "-o", "quiet").code == 0
    refused = finished("holdout", "whole")
    assert refused.code == 5
    assert refused.err.startswith("orch: session whole holds no days out: give its tuning config a section")
    assert "no validation folds" in finished("judge", "whole").out


# --- replaying ------------------------------------------------------------------------------------------------------


def test_a_replay_gives_every_figure_again(finished: Cli) -> None:
    same = finished("replay", "split", "3", "--worker", "worker-2", "-o", "json")
    assert (same.code, same.json["same"], same.json["differences"]) == (0, True, [])
    assert {"status", "value", "metrics.net_pnl", "daily.2026-01-03"} <= {each["name"] for each in same.json["figures"]}
    assert "figures are the same" in finished("replay", "split", "3", "--worker", "worker-2").out
    assert finished("replay", "split", "3", "--worker", "worker-2", "-o", "quiet").out == "same\n"


def test_a_replay_needs_to_know_whose_and_which(finished: Cli) -> None:
    which = finished("replay", "split", "3")
    assert (which.code, which.err) == (
        2,
        "orch: iteration 3 is there of worker-1, worker-2: say which with --worker\n",
    )
    none = finished("replay", "split", "99")
    assert (none.code, none.err) == (3, "orch: session split has no recorded iteration 99\n")


def test_what_differs_is_shown_and_other_data_are_refused(finished: Cli) -> None:
    with open_store(load_settings(finished.environ, finished.cwd)) as address:
        store = BlockingStore(address.url, Keys("docker"))
        place = store.keys.iteration("paper", "split", "worker-1", 2)
        results = store.keys.results("split")
        (entry,) = [
            (name, json.loads(fields["result"]))
            for name, fields in store.read("XRANGE", results, "-", "+")
            if (json.loads(fields["result"])["worker_id"], json.loads(fields["result"])["iteration"]) == ("worker-1", 2)
        ]
        forged = {**entry[1], "value": entry[1]["value"] + 1.0, "g": 1000}
        store.read("XADD", results, "*", "result", json.dumps({**forged, "worker_id": "worker-9"}))
        store.read("HSET", place.replace("worker-1", "worker-9"), "host", "elsewhere", "versions", '{"numpy": "1.0"}')
        store.close()
    differs = finished("replay", "split", "2", "--worker", "worker-9")
    assert differs.code == 1
    assert "result       different" in differs.out
    assert "numpy: 1.0, here " in differs.out
    assert "host: elsewhere, here " in differs.out
    assert "\nvalue " in differs.out
    assert finished("replay", "split", "2", "--worker", "worker-9", "-o", "quiet").out == "different\n"

    quotes = finished.cwd / "quotes.parquet"
    kept = quotes.read_bytes()
    synth.write(quotes, scrambled(market()), seed=9)
    refused = finished("replay", "split", "2", "--worker", "worker-1")
    quotes.write_bytes(kept)
    assert refused.code == 5
    assert "it has changed since the session was submitted" in refused.err
