"""A team's day: a real daemon, steered from other shells, with a real store and real children, killed and not."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.client import Client
from orchestrator.settings import load_settings
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.conftest import Cli
    from orchestrator.domain.snapshot import SessionSnapshot

PATIENT = """
import pathlib, time

HERE = pathlib.Path(__file__).parent

def score(params):
    print("evaluating", params["x"], flush=True)
    while (HERE / "hold").exists():
        time.sleep(0.02)
    if (HERE / "broken").exists():
        raise ValueError("not yet")
    return {"value": params["x"]}
"""

ENDLESS = """
session_id: endless
workers: 2
grace: 1s
labels: {team: core}
worker_command: [sh, -c, 'exec tail --pid=$ORCH_SUPERVISOR_PID -f /dev/null']
"""
"""It ends with its supervisor, so that none outlives its test."""
FAILS_ONCE = """
session_id: again
workers: 1
max_attempts: 2
worker_command: [sh, -c, 'test -e fixed || { touch tried; exit 3; }']
"""
PLAIN = """
session_id: demo
workers: 2
worker_command: [sh, -c, 'while test -e hold; do sleep 0.05; done; echo $ORCH_WORKER_ID >> ended']
"""
"""A session whose jobs cost next to nothing, where it does not matter what they do."""

VERBS_OF_A_SESSION = ("logs", "wait", "cancel", "retry", "pause", "resume", "history")


@pytest.fixture
def team(cli: Cli) -> Cli:
    """A user whose objective says what it does, waits while there is `hold`, and fails while there is `broken`."""
    cli.write("objective.py", PATIENT)
    cli.write("endless.yaml", ENDLESS)
    cli.write("again.yaml", FAILS_ONCE)
    cli.write("plain.yaml", PLAIN)
    return cli


def serve(cli: Cli, name: str = "daemon") -> subprocess.Popen[str]:
    """Start a daemon whose events go to a file; return when it serves, or stands by."""
    with (cli.cwd / name).open("w") as log:
        daemon = cli.start("daemon", stdout=subprocess.DEVNULL, stderr=log)
    cli.until(lambda: events(cli, name) & {"daemon.ready", "daemon.standby"} or daemon.poll() is not None)
    assert daemon.poll() is None, cli.read(name)
    return daemon


def events(cli: Cli, name: str = "daemon") -> set[str]:
    return {json.loads(line)["event"] for line in cli.read(name).splitlines() if line.endswith("}")}


def status(cli: Cli, session: str = "demo") -> Any:
    return cli("status", session, "-o", "json").json


def seen(cli: Cli, session: str = "demo") -> SessionSnapshot:
    """As `status`, without a process of its own: for waiting."""
    with (
        open_store(load_settings(cli.environ, cli.cwd)) as address,
        Wire.connect(address.url) as wire,
    ):
        return Client(wire, Keys("docker")).get_session(session)


def known(cli: Cli) -> list[str]:
    """The names of the sessions that are in the store."""
    names: list[str] = store(cli, "ZRANGE", Keys("docker").sessions, "0", "-1")
    return names


def statuses(cli: Cli, session: str) -> list[str]:
    return [job.status.value for job in seen(cli, session).jobs]


def evaluating(cli: Cli) -> int:
    """How many evaluations of `demo` its logs tell of by now."""
    tails = [store(cli, "XRANGE", Keys("docker").log("demo", job.job_id), "-", "+") for job in seen(cli).jobs]
    return json.dumps(tails).count("evaluating")


def recorded_once(cli: Cli, session: str = "demo") -> bool:
    stored = sorted(each["g"] for each in cli("results", session, "-o", "json").json["results"])
    rows = [row for path in (cli.cwd / "out").glob(f"{session}_*.csv") for row in _rows(path)]
    return stored == list(range(6)) and len(rows) == 6


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def store(cli: Cli, *command: str) -> Any:
    with (
        open_store(load_settings(cli.environ, cli.cwd)) as address,
        Wire.connect(address.url) as wire,
    ):
        return wire.pipeline([command])[0]


# --- submit and wait -----------------------------------------------------------------------------------------------


def test_without_a_daemon_a_session_waits_and_everybody_says_for_what(team: Cli):
    submitted = team("submit", "session.yaml")
    assert submitted.code == 0
    assert "demo submitted: 6 iterations over 2 jobs" in submitted.out
    assert "orch logs demo -f" in submitted.out
    assert "the session waits until `orch daemon` or `orch run session.yaml` runs" in submitted.err
    waits = "a daemon: none serves env docker"
    shown = status(team)
    assert (shown["daemon"], shown["waits_for"], shown["jobs"][0]["waits_for"]) == (False, [waits], waits)
    timed_out = team("wait", "demo", "--timeout", "200ms")
    assert (timed_out.code, timed_out.out) == (124, "")
    assert f"session demo waits for {waits}" in timed_out.err
    assert "has not ended within 200ms" in timed_out.err
    serve(team)
    ended = team("wait", "demo", "-o", "json")
    assert (ended.code, ended.json["status"], len(ended.json["jobs"])) == (0, "SUCCESS", 2)
    assert recorded_once(team)
    shown = status(team)
    assert (shown["daemon"], shown["daemon_process"]["kind"]) == (True, "daemon")
    assert "serves this env since" in team("status", "demo").out


def test_the_same_file_is_not_run_twice_and_another_is_refused(team: Cli):
    first = team("submit", "session.yaml", "-o", "json").json
    assert (first["submitted"], first["durability"], first["daemon"], first["jobs"]) == (True, "fsynced", False, 2)
    again = team("submit", "session.yaml", "-o", "json")
    assert (again.code, again.json["submitted"], again.json["durability"]) == (0, False, None)
    assert "it is not run twice" in team("submit", "session.yaml").out
    refused = team("submit", "session.yaml", "--workers", "3")
    assert refused.code == 5
    assert "workers (2 there, 3 here)" in refused.err
    assert team("submit", "session.yaml", "--new", "-o", "quiet").out == "demo-2\n"
    team.write("tuning.yaml", team.read("tuning.yaml").replace("30]", "31]"))
    changed = team("submit", "session.yaml")
    assert changed.code == 5
    assert "tuning.yaml or its data is not what it was" in changed.err
    assert [each["session_id"] for each in team("list", "-o", "json").json["sessions"]] == ["demo-2", "demo"]


def test_two_shells_at_once_hand_in_one_session(team: Cli):
    serve(team)
    shells = [team.start("submit", "plain.yaml", "-o", "json") for _ in range(3)]
    answers = [json.loads(shell.communicate()[0]) for shell in shells]
    assert sorted(answer["submitted"] for answer in answers) == [False, False, True]
    assert team("submit", "plain.yaml", "--wait", "-o", "quiet").out == "SUCCESS\n"
    assert sorted(team.read("ended").split()) == ["worker-1", "worker-2"]
    assert "orch retry demo" in team("submit", "plain.yaml").out


@pytest.mark.every_python
def test_wait_and_submit_end_as_the_session_does(team: Cli):
    serve(team)
    followed = team("submit", "plain.yaml", "--follow")
    assert followed.code == 0
    assert "session     demo: SUCCESS" in followed.out
    assert "worker-2 ended: SUCCESS" in followed.err
    failed = team("submit", "again.yaml", "--wait", "-o", "quiet")
    assert (failed.code, failed.out) == (1, "FAILED\n")
    assert (team("wait", "again").code, team("wait", "again", "-o", "quiet").out) == (1, "FAILED\n")


# --- logs ----------------------------------------------------------------------------------------------------------


@pytest.mark.every_python
def test_logs_are_followed_across_a_killed_worker_to_the_end(team: Cli):
    team.write("hold", "")
    serve(team)
    team("submit", "session.yaml")
    logs = team.start("logs", "demo", "-f")
    records = team.start("logs", "demo", "-f", "--worker", "worker-1", "-o", "jsonl", stderr=subprocess.DEVNULL)
    team.until(lambda: evaluating(team) == 2)
    os.kill(status(team)["jobs"][0]["pid"], signal.SIGKILL)
    team.until(lambda: seen(team).jobs[0].attempt == 2)
    (team.cwd / "hold").unlink()
    out, _ = logs.communicate()
    assert logs.returncode == 0
    assert out.count("evaluating") == 7
    assert set(re.findall(r"^(worker-\d) \| ", out, re.MULTILINE)) == {"worker-1", "worker-2"}
    assert all(line.startswith(("worker-1 | ", "worker-2 | ")) for line in out.splitlines())
    assert out.count("worker.finished") == 2
    err = team.read("stderr")
    assert "orch: worker-1: attempt 2\n" in err
    assert err.endswith("orch: session demo has ended: SUCCESS\n")
    followed = [json.loads(line) for line in records.communicate()[0].splitlines()]
    assert {(each["worker_id"], each["attempt"]) for each in followed} == {("worker-1", 1), ("worker-1", 2)}
    assert followed == team("logs", "demo", "--worker", "worker-1", "-o", "json").json["records"]
    last = team("logs", "demo", "--tail", "2", "-o", "json").json["records"]
    assert [each["fields"]["event"] for each in last] == ["iteration.recorded", "worker.finished"]
    assert team("logs", "demo", "--attempt", "2", "-n", "0").out == ""
    second = team("logs", "demo", "--attempt", "2", "-o", "json").json["records"]
    assert second
    assert {each["attempt"] for each in second} == {2}


def test_what_a_job_writes_cannot_harm_who_reads_it(team: Cli):
    program = r"""printf 'a\033[31mb\n\377\n{"k": 1}\n{"event": "e", "time": 1, "n": "x"}\npart'"""
    team.write("odd.yaml", f"session_id: odd\nworkers: 1\nworker_command: [sh, -c, {json.dumps(program)}]\n")
    assert team("run", "odd.yaml", "-o", "quiet").code == 0
    lines = team("logs", "odd", "-o", "quiet").out.splitlines()
    assert lines == ["a\\x1b[31mb", "\\xff", '{"k": 1}', 'e n="x"', "part"]
    assert "\x1b" not in team("logs", "odd", "-o", "jsonl").out
    many = team("logs", "odd", ORCH_TAIL_LINES="5")
    assert "the store keeps the last 5 lines of each job" in many.err


def test_a_terminal_gets_colours_for_the_workers(finished: Cli):
    assert finished("logs", "demo").out.count("\x1b") == 0
    shown = on_terminal(finished, "logs", "demo", "--tail", "2")
    assert re.search(r"\x1b\[\d\dmworker-\d \|\x1b\[0m ", shown)
    assert "\x1b" not in on_terminal(finished, "logs", "demo", NO_COLOR="1")


def on_terminal(cli: Cli, *args: str, at_first: Callable[[], object] = int, **environ: str) -> str:
    """Run a verb to its end with a terminal for its stdout; return what it wrote there.

    `at_first` is called when it has written something.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *args],
        cwd=cli.cwd,
        env={**cli.environ, "TERM": "xterm", "LINES": "24", **environ},
        stdout=follower,
        stderr=subprocess.DEVNULL,
    )
    cli.started.append(process)
    os.close(follower)
    shown = b""
    try:
        while process.poll() is None or select.select([leader], [], [], 0)[0]:
            if select.select([leader], [], [], 0.05)[0]:
                if not shown:
                    at_first()
                shown += os.read(leader, 65536)
    except OSError:  # the last who had the other end has closed it
        pass
    os.close(leader)
    assert process.wait() == 0
    return shown.decode()


# --- cancel and retry ----------------------------------------------------------------------------------------------


@pytest.mark.every_python
def test_cancel_in_each_state(team: Cli):
    team("submit", "endless.yaml")
    first = team("cancel", "endless", "--worker", "worker-2", "--reason", "too many", "-o", "json").json
    assert (first["cancelled"], first["told"], first["durability"]) == (1, 0, "fsynced")
    assert statuses(team, "endless") == ["PENDING", "CANCELLED"]
    serve(team)
    team.until(lambda: statuses(team, "endless") == ["RUNNING", "CANCELLED"])
    running = team("cancel", "endless", "--now")
    assert running.out == "endless: 1 job told to end\n"
    assert team("wait", "endless", "-o", "quiet").code == 1
    reasons = [job["reason"].split(": ", 1) for job in status(team, "endless")["jobs"]]
    assert [why for _, why in reasons] == ["no reason given", "too many"]
    assert reasons[0][0].startswith("cancelled:")
    ended = team("cancel", "endless")
    assert ended.code == 5
    assert "has ended: it is CANCELLED" in ended.err
    waited = [event for event in team("history", "endless", "-o", "json").json["events"] if event["to"] == "CANCELLED"]
    assert [event["worker_id"] for event in waited] == ["worker-2", "worker-1", None]
    assert all(event["actor"] for event in waited)


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_for_good(team: Cli):
    team.environ |= {"ORCH_RETRY_BACKOFF": "1h", "ORCH_RETRY_BACKOFF_MAX": "1h"}
    serve(team)
    team("submit", "again.yaml")
    team.until(lambda: seen(team, "again").jobs[0].retry_at)
    job = status(team, "again")["jobs"][0]
    assert (job["status"], job["reason"]) == ("PENDING", "exit:3")
    assert "when it is tried again" in job["waits_for"]
    assert team("cancel", "again").out == "again: 1 job cancelled that waited\n"
    assert team("wait", "again", "-o", "quiet").out == "CANCELLED\n"
    team.write("fixed", "")
    assert team("retry", "again", "-o", "json").json["jobs"] == 1
    assert team("wait", "again").code == 0
    assert status(team, "again")["jobs"][0]["attempt"] == 2


def test_a_paused_session_can_be_cancelled_and_tried_again(team: Cli):
    team("submit", "endless.yaml")
    team("pause", "endless")
    serve(team)
    team.until(lambda: seen(team, "endless").owner)
    assert team("cancel", "endless").code == 0
    team.until(lambda: store(team, "TTL", Keys("docker").session("endless")) > 0)  # the daemon has let go of it
    assert team("retry", "endless").code == 0
    assert team("resume", "endless").code == 0
    team.until(lambda: statuses(team, "endless") == ["RUNNING", "RUNNING"])


def test_retry_evaluates_what_failed_again_with_the_same_parameters(team: Cli):
    team.write("broken", "")
    serve(team)
    assert team("submit", "session.yaml", "--wait", "-o", "quiet").out == "FAILED\n"
    before = {each["g"]: each["params"] for each in team("results", "demo", "-o", "json").json["results"]}
    assert team("retry", "nobody").code == 3
    (team.cwd / "broken").unlink()
    keys = Keys("docker")
    team.until(lambda: store(team, "TTL", keys.results("demo")) > 0)
    retried = team("retry", "demo", "-o", "json").json
    assert (retried["jobs"], retried["iterations"], retried["durability"]) == (2, 6, "fsynced")
    assert team("wait", "demo", "-o", "quiet").out == "SUCCESS\n"
    after = {each["g"]: each["params"] for each in team("results", "demo", "-o", "json").json["results"]}
    assert after == before
    assert recorded_once(team)
    shown = status(team)
    assert (shown["completed_iterations"], shown["failed_iterations"]) == (6, 0)
    nothing = team("retry", "demo")
    assert nothing.code == 5
    assert "nothing of session demo failed" in nothing.err


def test_the_keys_of_what_is_tried_again_live_on(team: Cli):
    team.write("broken", "")
    assert team("run", "session.yaml", "-o", "quiet").code == 1
    keys = Keys("docker")
    names = [keys.session("demo"), keys.results("demo"), keys.iteration("paper", "demo", "worker-1", 1)]
    assert all(store(team, "TTL", name) > 0 for name in names)
    assert "session demo waits until `orch daemon` or `orch run FILE` runs" in team("retry", "demo").err
    assert [store(team, "TTL", name) for name in names] == [-1, -1, -1]


# --- pause ---------------------------------------------------------------------------------------------------------


def test_a_paused_env_begins_nothing(team: Cli):
    serve(team)
    assert team("pause").out == (
        "env docker is paused: running jobs go on to their last iteration, nothing new starts\n"
    )
    team("submit", "plain.yaml")
    team.until(lambda: seen(team).owner)
    waits = "`orch resume`: all of env docker is paused"
    assert status(team)["jobs"][1]["waits_for"] == waits
    assert "all of it is paused" in team("status", "demo").out
    assert f"waits for {waits}" in team("wait", "demo", "--timeout", "0.1").err
    assert team("resume", "-o", "quiet").out == "resumed\n"
    assert team("wait", "demo").code == 0


def test_a_paused_session_lets_what_runs_go_on(team: Cli):
    team.write("hold", "")
    team("submit", "plain.yaml", "--workers", "3")
    serve(team)
    team.until(lambda: statuses(team, "demo") == ["RUNNING", "RUNNING", "PENDING"])
    assert status(team)["jobs"][2]["waits_for"] == "a free slot"
    assert team("pause", "demo", "-o", "json").json["paused"] is True
    (team.cwd / "hold").unlink()
    team.until(lambda: statuses(team, "demo") == ["SUCCESS", "SUCCESS", "PENDING"])
    shown = status(team)
    assert (shown["paused"], shown["jobs"][2]["waits_for"]) == (True, "`orch resume demo`")
    assert "paused, served by a daemon" in team("status", "demo").out
    assert team("resume", "demo").code == 0
    assert team("wait", "demo").code == 0
    assert team("pause", "demo").code == 5


# --- its life ------------------------------------------------------------------------------------------------------


@pytest.mark.every_python
def test_a_killed_daemon_is_replaced_and_everything_is_recorded_once(team: Cli):
    team.write("hold", "")
    daemon = serve(team)
    team("submit", "session.yaml")
    team.until(lambda: statuses(team, "demo") == ["RUNNING", "RUNNING"])
    daemon.kill()
    daemon.wait()
    shown = status(team)
    assert (shown["daemon"], shown["owner"], shown["status"]) == (False, None, "RUNNING")
    told = team("cancel", "demo", "--worker", "worker-2")
    assert "1 job cannot be stopped until `orch daemon` or `orch run FILE` runs" in told.err
    (team.cwd / "hold").unlink()
    serve(team, "second")
    assert team("wait", "demo", "-o", "quiet").out == "CANCELLED\n"
    assert team("retry", "demo").code == 0
    assert team("wait", "demo", "-o", "quiet").out == "SUCCESS\n"
    assert recorded_once(team)


def test_the_store_outlives_a_killed_daemon_and_is_adopted(team: Cli):
    daemon = serve(team)
    pid = re.compile(r"process_id:\d+")
    server = pid.findall(store(team, "INFO", "server"))
    daemon.kill()
    daemon.wait()
    serve(team, "second")
    assert pid.findall(store(team, "INFO", "server")) == server


@pytest.mark.every_python
def test_sigterm_drains_and_leaves_everything_resumable(team: Cli):
    team.write("hold", "")
    daemon = serve(team)
    team("submit", "session.yaml")
    team.until(lambda: evaluating(team) == 2)
    daemon.terminate()
    team.until(lambda: "daemon.stopping" in events(team))
    (team.cwd / "hold").unlink()
    assert daemon.wait() == 0
    assert "daemon.stopped" in events(team)
    shown = status(team)
    assert (shown["completed_iterations"], [job["reason"] for job in shown["jobs"]]) == (2, ["interrupted"] * 2)
    assert "interrupted; waits for a daemon" in team("status", "demo", COLUMNS="200").out
    serve(team, "second")
    assert team("wait", "demo").code == 0
    assert recorded_once(team)


@pytest.mark.every_python
def test_a_second_daemon_stands_by_and_takes_over(team: Cli):
    first = serve(team)
    second = serve(team, "second")
    assert "daemon.ready" not in events(team, "second")
    doctor = team("doctor").out
    assert f"pid {first.pid} on " in doctor
    assert f"; pid {second.pid} on " in doctor
    first.terminate()
    assert first.wait() == 0
    team.until(lambda: "daemon.ready" in events(team, "second"))
    assert team("submit", "plain.yaml", "--wait").code == 0
    second.send_signal(signal.SIGINT)
    assert second.wait() == 0


@pytest.mark.every_python
def test_reload(team: Cli):
    assert team("daemon", "reload").code == 3
    daemon = serve(team)
    team.write("orch.toml", "log_format = 'console'\n")
    told = team("daemon", "reload")
    assert told.code == 0
    assert "has read its settings again, and they are in force\n" in told.err
    assert "daemon.reloaded" in team.read("daemon")
    team.write("orch.toml", "log_format = 'console'\nlease_ttl = 30\nmax_jobs = 3\nretention = '1d'\n")
    told = team("daemon", "reload")
    assert "in force, but for retention, lease_ttl: these change when it is restarted" in told.err
    assert "daemon.reload_incomplete" in team.read("daemon")
    team.write("orch.toml", "max_jos = 3\n")
    assert team("daemon", "reload").code == 2  # it is this shell's file too
    daemon.send_signal(signal.SIGHUP)
    team.until(lambda: "daemon.reload_refused" in team.read("daemon"))
    assert "did you mean max_jobs?" in team.read("daemon")
    (team.cwd / "orch.toml").unlink()
    assert team("submit", "plain.yaml", "--wait").code == 0


def test_reload_of_a_daemon_elsewhere(team: Cli):
    serve(team)
    keys = Keys("docker")
    owner = store(team, "GET", keys.daemon)
    lease = json.loads(store(team, "GET", keys.owner(owner)))
    store(team, "SET", keys.daemon, "other")
    store(team, "SET", keys.owner("other"), json.dumps({**lease, "host": "elsewhere"}))
    refused = team("daemon", "reload")
    assert refused.code == 5
    assert "runs on elsewhere" in refused.err
    store(team, "SET", keys.owner("other"), json.dumps({**lease, "identity": "1:2:3"}))
    assert team("daemon", "reload").code == 3


def test_a_store_that_dies_comes_back_and_nobody_gives_up(team: Cli):
    team.write("hold", "")
    serve(team)
    team("submit", "session.yaml")
    team.until(lambda: evaluating(team) == 2)
    argvs = {"wait": ("wait", "demo"), "logs": ("logs", "demo", "-f"), "watch": ("status", "demo", "--watch", "0.1")}
    outputs = {}
    for verb, argv in argvs.items():
        with (team.cwd / verb).open("w") as err, (team.cwd / f"{verb}.out").open("w") as out:
            outputs[verb] = team.start(*argv, stdout=out, stderr=err)
    team.until(lambda: team.read("watch.out"))
    team.until(lambda: store(team, "CLIENT", "LIST").count("cmd=xread") == 3)  # wait, logs, and the daemon's own
    (found,) = re.findall(r"process_id:(\d+)", store(team, "INFO", "server"))
    os.kill(int(found), signal.SIGKILL)
    team.until(lambda: all("does not answer" in team.read(verb) for verb in outputs))
    (team.cwd / "hold").unlink()
    assert [process.wait() for process in outputs.values()] == [0, 0, 0]
    assert all("the store answers again" in team.read(verb) for verb in outputs)
    assert team.read("wait.out").startswith("demo: SUCCESS")
    assert team.read("logs.out").count("evaluating") == 6
    assert recorded_once(team)


# --- run, where a daemon serves ------------------------------------------------------------------------------------


def test_run_hands_over_to_the_daemon_and_follows(team: Cli):
    serve(team)
    done = team("run", "session.yaml")
    assert done.code == 0
    assert "runs it; Ctrl-C only detaches" in done.err
    assert "worker-1 ended: SUCCESS" in done.err
    assert "session     demo: SUCCESS" in done.out
    actors = {event["actor"] for event in team("history", "demo", "-o", "json").json["events"]}
    assert any(actor.startswith("daemon-") for actor in actors)
    assert team("run", "session.yaml").code == 5


def test_who_follows_is_told_that_the_daemon_died_and_when_another_serves(team: Cli):
    team.write("hold", "")
    daemon = serve(team)
    run = team.start("run", "plain.yaml", "-o", "quiet")
    team.until(lambda: known(team) and seen(team).owner)
    assert "waits" not in team.read("stderr")
    daemon.kill()
    daemon.wait()
    team.until(lambda: "session demo waits for a daemon: none serves env docker" in team.read("stderr"))
    serve(team, "second")
    team.until(lambda: "orch: session demo goes on" in team.read("stderr"))
    (team.cwd / "hold").unlink()
    assert run.communicate() == ("SUCCESS\n", None)


def test_run_without_a_daemon_says_that_the_env_is_paused(team: Cli):
    team("submit", "endless.yaml")  # pausing needs a store
    team("pause")
    team.write("hold", "")
    run = team.start("run", "plain.yaml")
    team.until(lambda: "session demo waits for `orch resume`: all of env docker is paused" in team.read("stderr"))
    team("resume")
    team.until(lambda: "session demo goes on" in team.read("stderr"))
    (team.cwd / "hold").unlink()
    run.communicate()
    assert run.returncode == 0


@pytest.mark.every_python
def test_ctrl_c_only_detaches(team: Cli):
    team.write("hold", "")
    serve(team)
    run = team.start("run", "plain.yaml")
    team.until(lambda: "worker-1 runs" in team.read("stderr"))
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode == 130
    assert "detached: session demo goes on" in team.read("stderr")
    again = team.start("run", "plain.yaml", "-o", "quiet")  # the same command stays with it again
    (team.cwd / "hold").unlink()
    assert team("wait", "demo").code == 0
    assert again.wait() in {0, 5}  # 5: it had ended before that had looked
    assert sorted(team.read("ended").split()) == ["worker-1", "worker-2"]


# --- list, history, status --watch ---------------------------------------------------------------------------------


def test_list_by_state_and_label(team: Cli):
    team("submit", "plain.yaml")
    team("submit", "endless.yaml")
    team("cancel", "endless")

    def listed(*args: str) -> list[str]:
        return team("list", *args, "-o", "quiet").out.split()

    assert listed() == ["endless", "demo"]
    assert listed("--state", "pending") == ["demo"]
    assert listed("--state", "PENDING", "--state", "cancelled") == ["endless", "demo"]
    assert listed("--label", "team=core") == listed("--label", "team") == ["endless"]
    assert listed("--label", "team=other") == []
    assert team("list", "--env", "other").out == "no sessions in env other\n"
    assert [json.loads(line)["labels"] for line in team("list", "-o", "jsonl").out.splitlines()] == [
        {"team": "core"},
        {},
    ]


def test_history_says_who_did_what_and_why(team: Cli):
    team("submit", "endless.yaml")
    team("pause", "endless")
    team("resume", "endless")
    team("cancel", "endless", "--reason", "no more")
    lines = team("history", "endless").out.splitlines()
    assert lines[0].split() == ["TIME", "EVENT", "WORKER", "ATTEMPT", "WHO", "WHY"]
    assert lines[-2].endswith(": no more")
    events = [json.loads(line) for line in team("history", "endless", "-o", "jsonl").out.splitlines()]
    names = [event["event"] for event in events]
    assert names[:3] == ["session.submitted", "session.paused", "session.resumed"]
    assert names[3:] == ["job.cancelled", "job.cancelled", "session.cancelled"]
    assert len({event["actor"] for event in events} - {None}) == 1
    assert events[3]["reason"].endswith(": no more")
    assert (events[3]["from"], events[3]["to"], events[3]["worker_id"]) == ("PENDING", "CANCELLED", "worker-1")
    assert team("history", "endless", "-o", "quiet").out.split() == names


def test_status_watch_shows_what_changes_until_the_end(team: Cli):
    team.write("hold", "")
    team("submit", "plain.yaml")
    watching = team.start("status", "demo", "--watch", "0.05", "-o", "jsonl")
    assert watching.stdout
    first = watching.stdout.readline()
    serve(team)
    team.until(lambda: statuses(team, "demo") == ["RUNNING", "RUNNING"])
    (team.cwd / "hold").unlink()
    shown = [json.loads(line) for line in (first, *watching.communicate()[0].splitlines())]
    assert watching.returncode == 0
    assert (shown[0]["status"], shown[0]["daemon"], shown[-1]["status"]) == ("PENDING", False, "SUCCESS")
    assert len(shown) == len({json.dumps({**each, "time_left_seconds": None}) for each in shown})  # only what is new


@pytest.mark.every_python
def test_status_watch_on_a_terminal_draws_in_place(team: Cli):
    team.write("hold", "")
    serve(team)
    team("submit", "session.yaml")
    shown = on_terminal(team, "status", "demo", "--watch=0.05", at_first=(team.cwd / "hold").unlink)
    assert "6 of 6 recorded (100%)" in shown
    pictures = shown.count("session      demo")
    assert pictures > 1
    assert len(re.findall(r"\x1b\[\d+F", shown)) == pictures - 1  # each begins where the one before it did


def test_status_watch_of_all_sessions(team: Cli):
    team("submit", "plain.yaml")
    watching = team.start("status", "--watch", "-o", "quiet")
    assert watching.stdout
    assert watching.stdout.readline() == "demo\n"
    team("submit", "endless.yaml")
    assert watching.stdout.readline() == "endless\n"
    watching.send_signal(signal.SIGINT)
    assert watching.wait() == 130


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS_OF_A_SESSION)
def test_what_is_not_there_and_what_is_not_reached(team: Cli, verb: str):
    nothing = team(verb, "nobody")
    assert (nothing.code, nothing.out) == (3, "")
    assert nothing.err.startswith("orch: there is no session")
    assert not (team.cwd.parent / "state").exists()
    away = team(verb, "demo", ORCH_REDIS_URL="redis://127.0.0.1:1")
    assert (away.code, away.out) == (4, "")
    assert "Connection refused" in away.err


@pytest.mark.parametrize("argv", [("submit", "plain.yaml"), ("daemon",)])
def test_a_store_that_is_not_reached(team: Cli, argv: tuple[str, ...]):
    assert team(*argv, ORCH_REDIS_URL="redis://127.0.0.1:1").code == 4


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("wait", "demo", "--timeout", "soon"), "is not a length of time"),
        (("cancel", "demo", "--now", "--grace", "2"), "do not go together"),
        (("cancel", "demo", "--grace", "-1"), "length of time"),
        (("logs", "demo", "-f", "-o", "json"), "use -o jsonl"),
        (("list", "--label", "=x"), "must be NAME=VALUE"),
        (("list", "--state", "lost"), "--state"),
        (("status", "demo", "--watch", "-1"), "No such option: -1"),
        (("status", "demo", "--watch", "x", "y"), "Got unexpected extra argument"),
        (("daemon", "restart"), "restart"),
        (("submit", "missing.yaml"), "cannot be read"),
    ],
)
def test_wrong_usage(team: Cli, argv: tuple[str, ...], said: str):
    wrong = team(*argv)
    assert (wrong.code, wrong.out) == (2, "")
    assert said in wrong.err


def test_what_is_not_possible_for_a_session(own_finished: Cli):
    nobody = own_finished("logs", "demo", "--worker", "worker-7")
    assert nobody.code == 3
    assert "it has worker-1 to worker-2" in nobody.err
    assert own_finished("cancel", "demo", "--worker", "worker-7").code == 5
    for verb in ("cancel", "pause", "resume"):
        assert own_finished(verb, "demo").code == 5
    assert own_finished("retry", "demo").code == 0  # two of its iterations failed
    assert own_finished("retry", "demo").code == 5


def test_session_ids_are_completed(finished: Cli):
    for verb in VERBS_OF_A_SESSION:
        line = f"orch {verb} d"
        asked = {"_ORCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "2"}
        assert finished(**asked).out.split() == ["demo"]
