"""`orch status`, `results`, `best`, `rm`, `plan`: what they say of a session, in each form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tuning_worker.config import load_tuning_config

if TYPE_CHECKING:
    from e2e.conftest import Cli

SLOW = ("typer", "pydantic", "redis", "structlog", "rich", "asyncio", "yaml", "orjson")

FIELDS = {
    "schema",
    "session_id",
    "status",
    "mode",
    "env",
    "optimizer",
    "total_iterations",
    "completed_iterations",
    "failed_iterations",
    "progress",
    "workers",
    "metrics",
    "best",
    "last_update",
    "jobs",
    "daemon",
}


STEPS = """
def score(params):
    step = round(params["x"] * 3)
    return {"value": step, "n": step + (params["kind"] == "a")}
"""
"""Few outcomes, of which many points have the same, and none is the best in everything."""


# --- status ---------------------------------------------------------------------------------------------------------


@pytest.mark.every_python
def test_status_as_json_has_every_promised_field(finished: Cli):
    status = finished("status", "demo", "-o", "json").json
    assert set(status) >= FIELDS
    assert status["schema"] == 1
    assert (status["status"], status["progress"], status["completed_iterations"]) == ("SUCCESS", 1.0, 6)
    assert status["metrics"] == ["n", "undefined", "value"]
    assert status["last_update"].endswith("Z")
    assert [job["status"] for job in status["jobs"]] == ["SUCCESS", "SUCCESS"]
    assert status["daemon"] is False


@pytest.mark.every_python
def test_status_for_people_fits_eighty_columns(finished: Cli):
    shown = finished("status", "demo").out
    assert "iterations   6 of 6 recorded (100%), 2 of them failed" in shown
    assert "best         value = 0." in shown
    assert "worker-2  SUCCESS   3/3" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_status_without_a_session_lists_the_env(finished: Cli):
    listed = finished("status", "-o", "json").json
    assert (listed["schema"], listed["env"]) == (1, "docker")
    assert [session["session_id"] for session in listed["sessions"]] == ["demo"]
    assert "jobs" not in listed["sessions"][0]  # nothing is shown that was not asked of the store
    assert json.loads(finished("status", "-o", "jsonl").out)["status"] == "SUCCESS"
    assert finished("status", "-o", "quiet").out == "demo\n"
    assert "demo     SUCCESS   6/6       2" in finished("status").out
    assert finished("status", "--env", "other").out == "no sessions in env other\n"


def test_status_in_the_other_forms(finished: Cli):
    assert yaml.safe_load(finished("status", "demo", "-o", "yaml").out)["session_id"] == "demo"
    assert finished("status", "demo", "-ojson").json == finished("status", "demo", "--output=json").json  # typer; not
    assert len(finished("status", "demo", "-o", "jsonl").out.splitlines()) == 1


def test_status_where_nothing_was_ever_run(cli: Cli):
    assert (cli("status").code, cli("status").out) == (0, "no sessions in env docker\n")
    missing = cli("status", "demo")
    assert (missing.code, missing.out) == (3, "")
    assert missing.err.startswith("orch: there is no session")
    assert not (cli.cwd.parent / "state").exists()  # a question leaves nothing


@pytest.mark.every_python
def test_status_imports_nothing_slow(finished: Cli):
    program = (
        "import sys; sys.argv = ['orch', 'status', 'demo', '-o', 'json']; from orchestrator.cli import main; "
        "code = main(); print('\\n'.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    environ = {name: value for name, value in finished.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=finished.cwd, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert [name for name in SLOW if name in loaded] == []


def test_unreachable_and_refused_stores(cli: Cli):
    away = cli("status", ORCH_REDIS_URL="redis://127.0.0.1:1")
    assert away.code == 4
    assert "Connection refused" in away.err
    assert cli("run", "session.yaml", ORCH_REDIS_URL="redis://127.0.0.1:1").code == 4
    assert cli("status", ORCH_REDIS_URL="redis://example.invalid").code == 2


# --- results and best -----------------------------------------------------------------------------------------------


def test_results_are_in_order_or_ranked(finished: Cli):
    everything = finished("results", "demo", "-o", "json").json
    assert (everything["schema"], everything["metric"]) == (1, "value")
    assert sorted(result["g"] for result in everything["results"]) == list(range(6))
    values = [result["value"] for result in everything["results"] if result["value"] is not None]
    top = finished("results", "demo", "--top", "2", "-o", "json").json["results"]
    assert [result["value"] for result in top] == sorted(values, reverse=True)[:2]
    by_n = finished("results", "demo", "--by", "n", "-o", "jsonl").out.splitlines()
    ns = [json.loads(line)["metrics"].get("n") for line in by_n]
    known = [n for n in ns if n is not None]
    assert ns == [*sorted(known, reverse=True), None, None]  # what failed comes last


@pytest.mark.every_python
def test_results_for_people(finished: Cli):
    shown = finished("results", "demo", "--top", "6").out.splitlines()
    assert shown[0].split() == ["G", "WORKER", "ITERATION", "STATUS", "value", "x", "n", "kind", "REASON"]
    assert shown[-1].endswith("ValueError: too\\x1b[31m large")
    assert len(finished("results", "demo", "-o", "quiet").out.splitlines()) == 6


def test_results_of_a_metric_that_is_not_there(finished: Cli):
    refused = finished("results", "demo", "--by", "nope")
    assert refused.code == 2
    assert "--by nope: the results have no 'nope'; there are: x, n, kind, value, undefined, g, worker_id" in refused.err
    assert finished("results", "demo", "--where", "x >").code == 2
    assert finished("results", "other").code == 3


def test_results_can_be_chosen(finished: Cli):
    def asked(*args: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in finished("results", "demo", *args, "-o", "jsonl").out.splitlines()]

    everything = asked()
    low = asked("--where", "x <= 0.5", "--where", "n > 0", "--worker", "worker-2")
    assert low == [r for r in everything if r["worker_id"] == "worker-2" and r["value"] and r["params"]["x"] <= 0.5]
    assert {result["status"] for result in asked("--status", "failed")} == {"FAILED"}
    rising = [result["params"]["n"] for result in asked("--by", "params_n", "--ascending")]
    assert rising == sorted(rising)
    shown = finished("results", "demo", "--columns", "g, params_n,value", "--by", "n", "--descending").out.splitlines()
    assert shown[0].split() == ["g", "params_n", "value"]
    assert finished("results", "demo", "--where", "x > 7").out == "no recorded iteration is like that\n"


def test_the_logs_say_where_a_function_failed(finished: Cli):
    lines = finished("logs", "demo").out.splitlines()
    assert sum(line.endswith("in score") for line in lines) == 2
    assert sum('reason="ValueError: too' in line for line in lines) == 2


@pytest.mark.every_python
def test_best_is_a_piece_of_a_tuning_config_that_loads(finished: Cli):
    best = finished("best", "demo", "-o", "json").json
    fragment = finished("best", "demo").out
    assert f"# The best of session demo: value = {best['value']:.6g} (maximize)" in fragment
    for proof in (f"(g {best['g']})", "# metrics: value=", "# seed: 42", "# spec hash: ", "# resolved config sha256: "):
        assert proof in fragment
    objective = '  objective: {kind: python, function: "m:f", metric: value, direction: maximize}\n'
    pinned = load_tuning_config(fragment + objective, "best.yaml").space
    assert {name: each.grid(1)[0] for name, each in pinned.dimensions.items()} == best["params"]
    assert finished("best", "demo", "-o", "quiet").out.startswith("x=0.")
    assert best["judgement"] is None  # its objective tells no days
    assert "deflated" not in fragment
    assert finished("results", "demo").err == ""


def test_a_session_can_be_taken_away_as_a_file(finished: Cli, tmp_path: Path):
    to_json = ("export", "demo", "-o", str(tmp_path / "demo.json"))  # what it ends with is what it is
    exported = finished(*to_json)
    assert (exported.code, exported.out) == (0, f"{tmp_path / 'demo.json'}\n"), exported.err
    document = json.loads((tmp_path / "demo.json").read_text())
    results = finished("results", "demo", "-o", "json").json["results"]
    assert [each["value"] for each in document["iterations"]] == [
        each["value"] for each in sorted(results, key=lambda each: each["g"])
    ]
    assert document["session"]["status"] == "SUCCESS"
    assert {each["error"] is None for each in document["iterations"]} == {True, False}  # the tracebacks too
    taken = finished(*to_json)
    assert (taken.code, taken.out) == (5, "")
    assert "demo.json is there already" in taken.err
    assert finished(*to_json, "--force").code == 0
    assert finished("export", "nope").code == 3
    assert finished("export", "demo", "--output", "no/such/x.csv").code == 2
    mistaken = finished("export", "demo", "-o", "json")  # as it is meant in every other verb
    assert (mistaken.code, mistaken.err) == (2, "orch: --output json: is a file here; the kind is `--format json`\n")


def test_a_report_is_one_file_that_shows_no_secret(cli: Cli):
    cli.write("secret.yaml", cli.read("session.yaml") + "env_vars: {TOKEN: hush-hush}\n")
    assert cli("run", "secret.yaml", "-o", "quiet").code == 0
    reported = cli("report", "demo", "-o", "out/page.html")
    assert (reported.code, reported.out) == (0, "out/page.html\n"), reported.err
    page = cli.read("out/page.html")
    assert "6 of 6 recorded, 2 of them failed" in page
    assert "too\\x1b[31m large" in page  # what a terminal would obey is spelled out
    assert cli("export", "demo", "--format", "json").out == "demo.json\n"
    assert "hush-hush" not in page + cli.read("demo.json")
    nobody = cli("report", "demo", "--open", "--force", "--output", "out/page.html", BROWSER="true", DISPLAY="")
    assert nobody.code == 0


def test_several_objectives_have_a_front(cli: Cli):
    two = "metrics: {value: maximize, n: minimize}"
    cli.write("tuning.yaml", cli.read("tuning.yaml").replace("metric: value, direction: maximize", two))
    cli.write("objective.py", STEPS)
    ran = cli("run", "session.yaml", "--total-iterations", "12").out
    results = cli("results", "demo", "-o", "json").json
    assert results["objectives"] == {"value": "maximize", "n": "minimize"}
    front = [each for each in results["results"] if each["front"]]
    assert front
    for each in front:
        for other in results["results"]:
            ours, theirs = each["metrics"], other["metrics"]
            assert not (theirs and theirs["value"] > ours["value"] and theirs["n"] < ours["n"])
    shown = cli("results", "demo").out.splitlines()
    assert shown[0].split()[:7] == ["FRONT", "G", "WORKER", "ITERATION", "STATUS", "value", "n"]
    assert sum(line.startswith("*") for line in shown) == len(front)

    outcomes = {(each["metrics"]["value"], each["metrics"]["n"]) for each in front}
    assert 1 < len(outcomes) < len(front) < 12
    once = cli("best", "demo", "-o", "json").json["front"]
    assert [each["metrics"]["value"] for each in once] == sorted((value for value, _ in outcomes), reverse=True)
    assert {g for each in once for g in (each["g"], *each["same_outcome"])} == {each["g"] for each in front}
    count = f"{len(outcomes)} outcomes of {len(front)} iterations, which no other beats in all objectives"
    best = cli("best", "demo").out
    assert best.startswith(f"# The front of session demo: {count}\n")
    assert f"# {max(len(each['same_outcome']) for each in once)} other iteration" in best
    assert len(list(yaml.safe_load_all(best))) == len(outcomes)

    assert "to maximize value, minimize n\nbest        value = {}, n = {} (worker-".format(*max(outcomes)) in ran
    assert "\nbest        n = {1}, value = {0} (worker-".format(*min(outcomes)) in ran
    assert f"\nfront       {count}: `orch best demo`\n" in ran
    assert "the best in value alone: `orch best demo` has those of all objectives" in cli("status", "demo").out
    assert cli("status", "-o", "json").json["sessions"][0]["objectives"] == results["objectives"]
    assert "objective  maximize value, minimize n\n" in cli("plan", "session.yaml").out


def test_best_and_results_where_there_is_none(cli: Cli):
    cli.write("command.yaml", "session_id: c\nworkers: 1\nworker_command: ['true']\n")
    assert cli("run", "command.yaml", "-o", "quiet").code == 0
    none = cli("best", "c")
    assert none.code == 3
    assert "a worker_command records no iterations" in none.err
    assert cli("results", "c").out == "nothing is recorded yet\n"
    cli.write("tuning.yaml", cli.read("tuning.yaml").replace("[0.0, 1.0]", "[0.8, 1.0]"))
    assert cli("run", "session.yaml", "--total-iterations", "2", "-o", "quiet").code == 1
    failed = cli("best", "demo")
    assert failed.code == 3
    assert "all 2 recorded iterations failed" in failed.err


# --- rm -------------------------------------------------------------------------------------------------------------


def test_rm_keeps_the_files_and_says_so(own_finished: Cli):
    removed = own_finished("rm", "demo", "-o", "json").json
    assert removed["removed"] == []
    assert [Path(path).name for path in removed["kept"]] == ["demo_worker-1.csv", "demo_worker-2.csv", "demo"]
    assert all(Path(path).exists() for path in removed["kept"])
    assert own_finished("status", "demo").code == 3
    assert own_finished("rm", "demo").code == 3


def test_rm_with_files_leaves_nothing_and_frees_the_name(own_finished: Cli):
    removed = own_finished("rm", "demo", "--files").out
    assert "removed  session demo" in removed
    assert "demo_worker-1.csv" in removed
    assert not list((own_finished.cwd / "out").iterdir())
    assert not (own_finished.cwd.parent / "state/logs/docker/demo").exists()
    assert own_finished("run", "session.yaml", "--total-iterations", "1", "-o", "quiet").code == 0


# --- plan -----------------------------------------------------------------------------------------------------------


def test_plan_deals_the_iterations_and_records_nothing(cli: Cli):
    plan = cli("plan", "session.yaml", "--total-iterations", "10", "--workers", "3", "-o", "json").json
    assert [job["iterations"] for job in plan["jobs"]] == [4, 3, 3]
    assert (plan["schema"], plan["optimizer"], plan["seed"], plan["metric"]) == (1, "random", 42, "value")
    assert plan["notes"] == []
    assert not (cli.cwd.parent / "state").exists()
    assert not (cli.cwd / "out").exists()


def test_plan_for_people(cli: Cli):
    shown = cli("plan", "session.yaml", "--workers", "8", "--optimizer", "grid", "--set", "seed=7").out
    assert "plan       6 iterations over 6 jobs" in shown
    assert "optimizer  grid, seed 7" in shown
    assert "2 workers of 8 get no job: there are fewer iterations" in shown
    assert "the grid has 18 points: a selection, by the seed, is evaluated" in shown
    assert "worker-6           1  out/demo_worker-6.csv" in shown
    assert "each is evaluated" in cli("plan", "session.yaml", "--set", "total_iterations=18", "--optimizer", "grid").out


def test_plan_says_what_is_taken(finished: Cli):
    shown = finished("plan", "session.yaml").out
    assert "out/demo_worker-1.csv is there already, and 1 more" in shown
    assert "session demo is in the store already (SUCCESS)" in shown
    assert "session other" not in finished("plan", "session.yaml", "--session-id", "other").out


def test_plan_of_a_command_and_of_very_many_jobs(cli: Cli):
    cli.write("command.yaml", "session_id: c\nworkers: 50\nworker_command: ['true']\n")
    shown = cli("plan", "command.yaml").out
    assert "plan       50 jobs" in shown
    assert "… and 10 more jobs: -o json has them all" in shown
    assert len(cli("plan", "command.yaml", "-o", "quiet").out.splitlines()) == 50


def test_plan_without_its_store(cli: Cli):
    shown = cli("plan", "session.yaml", ORCH_REDIS_URL="redis://127.0.0.1:1")
    assert shown.code == 0
    assert "could not be asked" in shown.out


def test_plan_shows_all_that_is_wrong(cli: Cli):
    cli.write("bad.yaml", "session_id: Bad\ntotal_iteration: 6\nworkers: 0\n")
    refused = cli("plan", "bad.yaml")
    assert refused.code == 2
    assert refused.err.startswith("orch: 4 problems:\nbad.yaml:")
    assert "did you mean 'total_iterations'?" in refused.err
    assert cli("plan", "session.yaml", "--workers", "0").err == "orch: --workers: must be at least 1 (got 0)\n"
    assert cli("plan", "session.yaml", "--optimizer", "tpe").err.startswith("orch: --optimizer: there is no optimizer")
    cli.write("tuning.yaml", cli.read("tuning.yaml").replace("random", "randm"))
    assert cli("plan", "session.yaml").code == 2
    assert cli("plan", "missing.yaml").code == 2
