"""`orch run`, with real workers, real signals, and a terminal where there is one."""

from __future__ import annotations

import csv
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import Cli

STUBBORN = """
session_id: stubborn
workers: 1
grace: 1h
worker_command: [sh, -c, 'trap "" TERM; touch started; while kill -0 $ORCH_SUPERVISOR_PID; do sleep 0.05; done']
"""
"""It ends by itself with a supervisor that was killed, so that none outlives its test."""


def recorded(cli: Cli, session: str = "demo") -> list[int]:
    """The g of every recorded iteration, from the store; the CSVs must say the same."""
    stored = [result["g"] for result in cli("results", session, "-o", "json").json["results"]]
    rows = [row for path in sorted((cli.cwd / "out").glob(f"{session}_*.csv")) for row in _rows(path)]
    assert len(rows) == len(stored)
    return sorted(stored)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.every_python
def test_a_session_runs_to_its_end_and_says_where_everything_is(cli: Cli):
    done = cli("run", "session.yaml")
    assert done.code == 0, done.err
    assert "session     demo: SUCCESS\n" in done.out
    assert "iterations  6 of 6 recorded (100%), 2 of them failed" in done.out
    assert "failed      2 iterations: ValueError: too\\x1b[31m large" in done.out
    assert str(cli.cwd / "out" / "demo_worker-2.csv") in done.out
    assert "orch best demo" in done.out
    assert "\x1b" not in done.out + done.err
    assert "worker-1 runs (attempt 1)" in done.err
    assert "6 of 6 iterations (100%), 2 failed, best value " in done.err
    assert "worker-2 ended: SUCCESS" in done.err
    assert recorded(cli) == list(range(6))


def test_a_session_that_ends_long_before_its_total_costs_what_it_has_done(cli: Cli):
    cli.write("objective.py", "def score(params): raise ValueError('broken')")
    done = cli("run", "session.yaml", "--total-iterations", "1000000000")
    assert done.code == 1
    assert "iterations  10 of 1,000,000,000 recorded" in done.out
    assert cli("rm", "demo").code == 0
    assert cli("export", "demo").code == 3


def test_a_name_that_no_file_can_have_is_a_sentence(cli: Cli):
    name = "y" * 300
    done = cli("run", "session.yaml", "--set", f"config_path={name}")
    assert done.code == 2
    assert "--set config_path: there is no" in done.err
    done = cli("run", "session.yaml", "--set", f"base_output_csv={name}")
    assert done.code == 1
    assert "_worker-1.csv: File name too long: choose another base_output_csv" in " ".join(done.out.split())
    assert cli("rm", "demo", "--files").code == 0


def test_json_leaves_stdout_to_the_data_and_stderr_empty(cli: Cli):
    done = cli("run", "session.yaml", "-o", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json["status"] == "SUCCESS"
    assert done.json["failures"] == {"ValueError: too\x1b[31m large": 2}
    assert done.json["output_csvs"] == [str(cli.cwd / f"out/demo_worker-{number}.csv") for number in (1, 2)]
    events = (cli.cwd.parent / "state/logs/docker/demo/supervisor.jsonl").read_text()
    assert "session.adopted" in events


def test_a_failing_worker_command_fails_the_session_and_says_why(cli: Cli):
    cli.write("command.yaml", "session_id: bad\nworkers: 1\nmax_attempts: 2\nworker_command: [sh, -c, exit 3]\n")
    done = cli("run", "command.yaml")
    assert done.code == 1
    assert "session     bad: FAILED" in done.out
    assert "not counted (worker_command); 1 of 1 job ended" in done.out
    assert "failed      worker-1: exit:3" in done.out
    assert "orch status bad" in done.out
    assert "worker-1 ended: FAILED (exit:3)" in done.err


@pytest.mark.every_python
def test_a_killed_run_goes_on_with_the_same_command_and_records_everything_once(cli: Cli):
    cli.write("hold", "")
    run = cli.start("run", "session.yaml")
    cli.until(lambda: cli.read("evaluated").count("\n") == 2)
    run.kill()
    run.wait()
    assert cli("status", "demo", "-o", "quiet").out == "RUNNING\n"
    assert "RUNNING, not served: no daemon serves env docker" in cli("status", "demo").out
    listed = cli("status").out
    assert "demo     RUNNING, not served" in listed
    assert listed.endswith("\nnot served: no daemon serves env docker; `orch daemon` goes on, or `orch run FILE`\n")
    (cli.cwd / "hold").unlink()
    done = cli("run", "session.yaml")
    assert done.code == 0, done.err
    assert "goes on with session demo: 0 of 6 iterations are recorded" in done.err
    assert "worker-1 runs (attempt 2)" in done.err
    assert recorded(cli) == list(range(6))
    evaluated = cli.read("evaluated").split()
    assert len(set(evaluated)) == 6  # the two that were lost came again with the same parameters
    assert len(evaluated) == 8


@pytest.mark.every_python
def test_a_signal_lets_iterations_finish_and_the_same_command_goes_on(cli: Cli):
    command = ("run", "session.yaml", "--total-iterations", "8")
    for turn, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), 1):
        cli.write("hold", "")
        run = cli.start(*command)
        cli.until(lambda: cli.read("evaluated").count("\n") == 2 * turn)  # noqa: B023 - called at once
        run.send_signal(number)
        cli.until(lambda: "stopping: iterations that run have 30s to finish" in cli.read("stderr"))
        (cli.cwd / "hold").unlink()
        assert run.stdout
        out = run.stdout.read()
        run.wait()
        assert run.returncode == 130
        assert "session     demo: interrupted" in out
        assert "the same command goes on from here" in out
        assert recorded(cli) == list(range(2 * turn))
    done = cli(*command, "-o", "quiet")
    assert (done.code, done.out) == (0, "SUCCESS\n")
    assert recorded(cli) == list(range(8))


def test_what_new_began_is_gone_on_with_by_the_command_that_is_shown(own_finished: Cli):
    cli = own_finished
    cli.write("hold", "")
    cli.write("evaluated", "")
    run = cli.start("run", "session.yaml", "--new", "--workers", "1")
    cli.until(lambda: cli.read("evaluated").count("\n") == 1)
    run.send_signal(signal.SIGINT)
    cli.until(lambda: "stopping: iterations that run have 30s to finish" in cli.read("stderr"))
    (cli.cwd / "hold").unlink()
    assert run.stdout
    shown = re.search(r"next +`orch (.+)` goes on from here", " ".join(run.stdout.read().split()))
    run.wait()
    assert shown
    assert recorded(cli, "demo-2") == [0]
    done = cli(*shlex.split(shown[1]), "-o", "quiet")
    assert (done.code, done.out) == (0, "SUCCESS\n"), done.err
    assert recorded(cli, "demo-2") == list(range(6))


@pytest.mark.every_python
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_second_signal_is_immediate(cli: Cli, form: str):
    cli.write("stubborn.yaml", STUBBORN)
    run = cli.start("run", "stubborn.yaml", "-o", form)
    cli.until((cli.cwd / "started").exists)
    run.send_signal(signal.SIGINT)
    cli.until(lambda: "have 1h00m to finish" in cli.read("stderr"))
    run.send_signal(signal.SIGINT)
    run.wait()
    assert run.returncode == 130
    assert "stopping at once" in cli.read("stderr")
    job = cli("status", "stubborn", "-o", "json").json["jobs"][0]
    assert (job["status"], job["reason"], job["signal"]) == ("PENDING", "interrupted", "SIGKILL")


def test_a_finished_session_is_refused_with_what_to_do(finished: Cli):
    again = finished("run", "session.yaml")
    assert (again.code, again.out) == (5, "")
    assert again.err.startswith("orch: session demo has finished (SUCCESS): `orch results demo` shows it; ")
    assert "`orch run session.yaml --new`" in again.err


def test_another_session_of_the_same_name_is_refused_with_what_differs(finished: Cli):
    other = finished("run", "session.yaml", "--workers", "3", "--set", "env_vars.TOKEN=secret")
    assert other.code == 5
    assert "this file says something else: workers (2 there, 3 here), env_vars." in other.err
    assert "secret" not in other.err


def test_new_takes_the_next_free_name(own_finished: Cli):
    second = own_finished("run", "session.yaml", "--new", "--total-iterations", "1", "-o", "json").json
    assert second["session_id"] == "demo-2"
    assert second["output_csvs"] == [str(own_finished.cwd / "out/demo-2_worker-1.csv")]
    assert own_finished("rm", "demo-2").code == 0
    third = own_finished("run", "session.yaml", "--new", "--total-iterations", "1", "-o", "json").json
    assert third["session_id"] == "demo-3"  # the CSV of demo-2 is still there


def test_csv_files_of_others_are_not_touched(cli: Cli):
    (cli.cwd / "out").mkdir()
    cli.write("out/demo_worker-2.csv", "mine")
    refused = cli("run", "session.yaml")
    assert refused.code == 5
    assert "out/demo_worker-2.csv" in refused.err
    assert cli.read("out/demo_worker-2.csv") == "mine"
    assert cli("status").out == "no sessions in env docker\n"


def test_a_changed_tuning_config_is_said_and_changes_nothing(cli: Cli):
    cli.write("hold", "")
    run = cli.start("run", "session.yaml")
    cli.until(lambda: cli.read("evaluated").count("\n") == 2)
    run.kill()
    run.wait()
    (cli.cwd / "hold").unlink()
    cli.write("tuning.yaml", cli.read("tuning.yaml").replace("[0.0, 1.0]", "[5.0, 6.0]"))
    done = cli("run", "session.yaml")
    assert done.code == 0
    assert "tuning.yaml or its data is not what it was; the session goes on with what it began with" in done.err
    assert all(result["params"]["x"] <= 1 for result in cli("results", "demo", "-o", "json").json["results"])


def test_a_session_that_has_begun_needs_its_tuning_config_no_more(cli: Cli):
    cli("submit", "session.yaml")
    cli.write("tuning.yaml", cli.read("tuning.yaml").replace("seed: 42", "seed: x"))
    done = cli("run", "session.yaml")
    assert (done.code, cli("results", "demo", "-o", "jsonl").out.count("\n")) == (0, 6)
    assert "tuning.yaml:4:9: tuning.seed: must be a whole number" in done.err
    assert "the session began with a tuning config that was in order, and the store has that one" in done.err
    (cli.cwd / "tuning.yaml").unlink()
    finished = cli("run", "session.yaml")
    assert finished.code == 5
    assert "there is no 'tuning.yaml'" in finished.err
    assert "session demo has finished (SUCCESS)" in finished.err
    assert (
        "config_path (tuning.yaml there, other.yaml here)"
        in cli("run", "session.yaml", "--set", "config_path=other.yaml").err
    )
    assert cli("run", "session.yaml", "--new").code == 2


def test_a_session_that_is_being_run_is_not_run_twice(cli: Cli):
    cli.write("stubborn.yaml", STUBBORN)
    cli.start("run", "stubborn.yaml")
    cli.until((cli.cwd / "started").exists)
    second = cli("run", "stubborn.yaml")
    assert second.code == 5
    assert "is being run by run-" in second.err
    assert "served by a run on " in cli("status", "stubborn").out
    assert cli("rm", "stubborn").code == 5


def test_the_env_is_the_settings_where_the_file_has_none(cli: Cli):
    assert cli("run", "session.yaml", "--total-iterations", "1", "-o", "quiet", ORCH_ENV="lab").code == 0
    assert cli("status", "demo", "-o", "json", ORCH_ENV="lab").json["env"] == "lab"
    assert cli("status", "demo", "--env", "lab", "-o", "quiet").out == "SUCCESS\n"
    assert cli("status", "demo").code == 3


def test_a_log_folder_that_cannot_be_is_said(cli: Cli):
    (cli.cwd.parent / "state").mkdir()
    (cli.cwd.parent / "state" / "logs").write_text("")
    refused = cli("run", "session.yaml")
    assert refused.code == 5
    assert "the logs cannot be written" in refused.err


def on_terminal(cli: Cli, *args: str, columns: int = 80) -> tuple[int, str]:
    """Run with a terminal on stdout; return what it was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = cli.start(*args, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    sent = b""
    try:
        while chunk := os.read(ours, 65536):
            sent += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(), sent.decode()


def test_a_terminal_shows_a_live_picture_and_then_the_summary(cli: Cli):
    cli.environ["TERM"] = "xterm"
    code, sent = on_terminal(cli, "run", "session.yaml")
    assert code == 0
    assert "worker-1" in sent
    assert "━" in sent
    assert "\x1b[32m" in sent  # green: SUCCESS
    assert "too\x1b" not in sent
    assert sent.endswith("next        orch results demo\r\n            orch best demo\r\n")


def test_no_color_is_honoured_on_a_terminal(cli: Cli):
    cli.environ |= {"TERM": "xterm", "NO_COLOR": "1"}
    _, sent = on_terminal(cli, "run", "session.yaml")
    assert "━" in sent
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])m", sent)


def test_a_terminal_that_cannot_redraw_gets_lines(cli: Cli):
    cli.environ |= {"TERM": "dumb", "COLUMNS": "40"}
    name = "a-session-whose-name-alone-is-wider-than-this-terminal"
    code, sent = on_terminal(cli, "run", "session.yaml", "--session-id", name)
    assert code == 0
    assert "\x1b" not in sent
    assert "━" not in sent
    assert sent.endswith(f"next        orch results {name}\r\n            orch best {name}\r\n")  # to be copied whole


def server_pid(cli: Cli) -> int:
    return int((cli.cwd.parent / "state/redis/redis.pid").read_text())


def test_a_store_that_is_away_for_a_while_is_said_and_costs_nothing(cli: Cli):
    cli.write("hold", "")
    run = cli.start("run", "session.yaml")
    cli.until(lambda: cli.read("evaluated").count("\n") == 2)
    server = server_pid(cli)
    os.kill(server, signal.SIGSTOP)
    try:
        (cli.cwd / "hold").unlink()
        cli.until(lambda: "the store does not answer" in cli.read("stderr"))
    finally:
        os.kill(server, signal.SIGCONT)
    assert run.wait() == 0
    assert "the store answers again" in cli.read("stderr")
    assert recorded(cli) == list(range(6))


def test_a_third_signal_ends_a_run_whose_store_is_away(cli: Cli):
    cli.write("stubborn.yaml", STUBBORN)
    run = cli.start("run", "stubborn.yaml")
    cli.until((cli.cwd / "started").exists)
    server = server_pid(cli)
    os.kill(server, signal.SIGSTOP)
    try:
        cli.until(lambda: "the store does not answer" in cli.read("stderr"))
        run.send_signal(signal.SIGINT)
        cli.until(lambda: "have 1h00m to finish" in cli.read("stderr"))
        run.send_signal(signal.SIGINT)
        cli.until(lambda: "stopping at once" in cli.read("stderr"))
        run.send_signal(signal.SIGINT)
        assert run.wait() == -signal.SIGINT
    finally:
        os.kill(server, signal.SIGCONT)
    assert "Traceback" not in cli.read("stderr")
