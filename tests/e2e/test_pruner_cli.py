"""A pruner as a user meets it: the same session with it and without, and what every verb says of what was stopped."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from e2e.conftest import new_user
from tuning_worker.market import synth
from tuning_worker.market.engine import warm_up

if TYPE_CHECKING:
    from e2e.conftest import Cli

TUNING = """
tuning:
  seed: 3
  search_space:
    min_spread_pct: {type: float, bounds: [0.0, 0.4]}
    exit_spread_pct: {type: float, bounds: [-0.2, 0.1]}
  objective:
    kind: arbitrage
    data: quotes.parquet
    capital: 10000000
    venue_a: {fee_bps: 2, latency_ms: 0}
    venue_b: {fee_bps: 2, latency_ms: 0}
  evaluation: {tune: 8d, folds: 1, purge: 0, holdout: 2d}
"""
PRUNER = "  pruner: {folds: 4, startup_iterations: 5}\n"
SESSION = """
session_id: NAME
total_iterations: 20
workers: 2
optimizer: random
config_path: NAME.yaml
base_output_csv: out/NAME
"""
TEN_MINUTES = 600_000
FIRST = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Two finished sessions, `plain` and `pruned`: the second has a pruner."""
    warm_up()  # to compile may take longer than a verb is waited for
    cli = new_user(tmp_path_factory.mktemp("pruner"), COLUMNS="200")
    columns: dict[str, list[Any]] = dict(synth.synthesize(9, 12 * 144))
    columns["ts"] = [FIRST + row * TEN_MINUTES for row in range(len(columns["ts"]))]
    synth.write(cli.cwd / "quotes.parquet", columns, seed=9)
    for name, tuning in (("plain", TUNING), ("pruned", TUNING + PRUNER)):
        cli.write(f"{name}.yaml", tuning)
        cli.write(f"{name}-session.yaml", SESSION.replace("NAME", name))
        done = cli("run", f"{name}-session.yaml")
        assert done.code == 0, done.err
        cli.write(f"{name}.txt", done.out)
    return cli


def results(cli: Cli, session: str, *options: str) -> dict[int, dict[str, Any]]:
    found = json.loads(cli("results", session, "-o", "json", *options).out)["results"]
    return {result["g"]: {**result, "timestamp": ""} for result in found}


def stopped(cli: Cli) -> dict[int, dict[str, Any]]:
    return results(cli, "pruned", "--status", "pruned")


def test_what_goes_on_is_the_same_to_the_last_bit(finished: Cli) -> None:
    plain, pruned = results(finished, "plain"), results(finished, "pruned")
    gone = stopped(finished)
    assert 3 <= len(gone) <= 12
    for g, result in pruned.items():
        assert result["params"] == plain[g]["params"]
        if g in gone:
            assert (result["status"], result["value"], result["metrics"]) == ("PRUNED", None, {})
            assert "net_pnl was" in result["reason"]
            assert 2 <= len(result["intermediate"]) <= 3  # the first fold stops nothing, the fourth is the end
        else:
            assert len(result.pop("intermediate")) == 3
            assert result == plain[g]


def test_every_verb_says_so(finished: Cli) -> None:
    gone = len(stopped(finished))
    assert f"20 of 20 recorded (100%), {gone} of them pruned" in (finished.cwd / "pruned.txt").read_text()
    shown = finished("status", "pruned")
    assert f"{gone} of them pruned" in shown.out
    assert "failed" not in shown.out
    document = json.loads(finished("status", "pruned", "-o", "json").out)
    assert (document["pruned_iterations"], document["failed_iterations"]) == (gone, 0)
    judged = finished("judge", "pruned")
    assert f"{gone} of them pruned: of those no more is known" in " ".join(judged.out.split())
    assert json.loads(finished("judge", "pruned", "-o", "json").out)["tried"] == 20
    retried = finished("retry", "pruned")
    assert (retried.code != 0, "nothing of session pruned failed" in retried.err) == (True, True)


def test_a_file_of_it_has_the_folds(finished: Cli) -> None:
    assert finished("export", "pruned", "--output", "pruned.csv").code == 0
    with (finished.cwd / "pruned.csv").open(newline="") as lines:
        rows = {int(row["g"]): row for row in csv.DictReader(lines)}
    for g, result in results(finished, "pruned").items():
        assert rows[g]["status"] == result["status"]
        assert json.loads(rows[g]["intermediate"]) == result["intermediate"]
        assert (rows[g]["metrics_net_pnl"] == "") == (result["status"] == "PRUNED")


def test_a_replay_stops_where_it_stopped(finished: Cli) -> None:
    for result in (next(iter(stopped(finished).values())), results(finished, "pruned", "--status", "success")[0]):
        place = (str(result["iteration"]), "--worker", result["worker_id"])
        replayed = json.loads(finished("replay", "pruned", *place, "-o", "json").out)
        assert replayed["same"], replayed
        assert replayed["figures"][0]["replayed"] == result["status"]
        folds = [each["replayed"] for each in replayed["figures"] if each["name"].startswith("intermediate.")]
        assert folds == result["intermediate"]


def test_the_held_out_days_are_played_to_their_end(finished: Cli) -> None:
    looks = [json.loads(finished("holdout", name, "-o", "json").out)["results"][0] for name in ("plain", "pruned")]
    assert looks[0]["params"] == looks[1]["params"]
    assert looks[0]["metrics"] == looks[1]["metrics"]


def test_a_pruner_that_cannot_be_is_refused_at_its_place(finished: Cli) -> None:
    finished.write("plain.yaml", TUNING + "  pruner: {folds: 9}\n")
    refused = finished("plan", "plain-session.yaml", "--session-id", "other")
    assert refused.code == 2
    assert "plain.yaml:14:19: tuning.pruner.folds: 9 folds need as many days to tune on, and there are 8" in refused.err
