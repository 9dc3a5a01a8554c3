"""What the verbs write for people, decided purely: tables, lengths of time, progress, checks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import checks
from orchestrator.cli.checks import State
from orchestrator.cli.output import Format, Shown, escaped, one_line, write
from orchestrator.cli.polled import Asked, parse
from orchestrator.cli.progress import LineProgress, NoProgress
from orchestrator.cli.session_view import (
    jobs_table,
    metrics_line,
    pace_line,
    session_table,
    sessions_table,
    status_line,
    time_line,
)
from orchestrator.cli.tables import columns, commands, named, number, span
from orchestrator.domain.job import Status, TuningJob
from orchestrator.domain.snapshot import SessionSnapshot
from orchestrator.errors import NotFoundError, OrchError
from orchestrator.follow import jobs_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_python

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def job(**fields: Any) -> TuningJob:
    fixed = {
        "job_id": fields.get("worker_id", "worker-1"), "session_id": "s", "worker_id": "worker-1", "iterations": 3,
        "mode": "paper", "env": "docker", "optimizer": "random", "config_path": "c", "output_csv": "o",
    }  # fmt: skip
    return TuningJob(**{**fixed, **fields})


def session(**fields: Any) -> SessionSnapshot:
    fixed: dict[str, Any] = {
        "session_id": "s", "status": "RUNNING", "mode": "paper", "env": "docker", "optimizer": "random",
        "metric": "value", "direction": "maximize", "seed": "1", "workers": "2", "total_iterations": "200",
        "completed_iterations": "0", "failed_iterations": "0",
    }  # fmt: skip
    more = {name: fields.pop(name) for name in ("jobs", "owner", "metrics") if name in fields}
    return SessionSnapshot.from_hash({**fixed, **{name: str(value) for name, value in fields.items()}}, **more)


# --- text -----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_nothing_that_a_terminal_obeys_gets_through(text: str):
    assert all(line.isprintable() for line in escaped(text).split("\n"))
    assert one_line(text).isprintable()
    assert escaped("a\nb") == "a\nb"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m00s"), (200, "3m20s"), (7500, "2h05m"), (273600, "3d4h"), (-5, "0s")]
)
def test_lengths_of_time(seconds: float, text: str):
    assert span(timedelta(seconds=seconds)) == text


def test_numbers():
    assert [number(value) for value in (None, 1.23456789, 7, True, "a\x1b")] == ["-", "1.23457", "7", "true", "a\\x1b"]


def test_columns_align_numbers_right_and_are_cut():
    assert columns(("NAME", "N"), [("a", "1"), ("bcdef", "-10.5")]) == "NAME       N\na          1\nbcdef  -10.5"
    assert columns(("NAME", "N"), [("abcdefgh", "x")], 6) == "NAME …\nabcde…"


def test_named_values_wrap_and_skip_what_is_empty():
    assert named([("a", "one two three"), ("bb", ""), ("ccc", "x\ny")], 12) == (
        "a    one two\n     three\nccc  x\n     y"
    )


def test_commands_are_never_broken():
    said = "go on with `orch run a.yaml --set x=1`, or not"
    assert named([("next", said), ("then", commands("orch results some-session", "orch best x"))], 20) == (
        "next  go on with\n      `orch run a.yaml --set x=1`,\n      or not\n"
        "then  orch results some-session\n      orch best x"
    )


def test_the_forms_of_output(capsys: pytest.CaptureFixture[str]):
    shown = Shown(
        lambda: {"b": Status.SUCCESS, "a": "ü\x9b"}, lambda: "T\x1b", lambda: "", lambda: [{"n": 1}, {"n": 2}]
    )
    written = {}
    for form in Format:
        write(shown, form)
        written[form] = capsys.readouterr().out
    assert written == {
        "table": "T\\x1b\n",
        "json": '{\n  "b": "SUCCESS",\n  "a": "\\u00fc\\u009b"\n}\n',
        "jsonl": '{"n": 1}\n{"n": 2}\n',
        "yaml": 'b: SUCCESS\na: "\\xFC\\x9B"\n',
        "quiet": "",
    }


def test_a_stdout_that_fails(monkeypatch: pytest.MonkeyPatch):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(OrchError, match="No space left"):
            write(Shown(dict, lambda: "text", str), Format.TABLE)


# --- the command line that is read by hand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", Asked()),
        ("demo", Asked("demo")),
        ("demo -o json --env lab", Asked("demo", "lab", "json")),
        ("--output=yaml demo", Asked("demo", None, "yaml")),
        ("-o", None),
        ("-o xml", None),
        ("-ojson", None),
        ("--env= demo", None),
        ("a b", None),
        ("--help", None),
        ("-- demo", None),
    ],
)
def test_usual_command_lines_are_read_and_others_are_left(line: str, asked: Asked | None):
    assert parse(line.split()) == asked


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_says_who_serves_it():
    owner = {"kind": "run", "host": "h", "since": "then"}
    assert status_line(session(owner=owner)) == "RUNNING, served by a run on h since then"
    nobody = "not served: no daemon serves env docker; `orch daemon` goes on, or `orch run FILE`"
    assert status_line(session()) == f"RUNNING, {nobody}"
    assert status_line(session(status="FAILED")) == "FAILED"


def test_a_list_says_which_sessions_nobody_serves():
    listed = [session(), session(owner=SERVED, paused=1), session(status="SUCCESS")]
    shown = sessions_table(listed, NOW, None)
    states = [re.split("  +", line)[1] for line in shown.splitlines()[1:4]]
    assert states == ["RUNNING, not served", "RUNNING, paused", "SUCCESS"]
    assert shown.count("not served: no daemon serves env docker; `orch daemon` goes on, or `orch run FILE`") == 1
    assert "not served" not in sessions_table(listed[1:], NOW, None)


BEFORE = "2026-03-01T11:00:00Z"


def test_the_pace_of_a_session():
    owner = {"kind": "run", "host": "h", "since": "then"}
    begun = session(owner=owner, started_at="2026-03-01T11:59:00Z", completed_iterations=50)
    assert pace_line(begun, NOW) == "1m00s, about 3m00s left"
    queued = session(owner=owner, started_at="2026-03-01T11:59:00Z", completed_iterations=50, adopted_at=BEFORE)
    assert pace_line(queued, NOW) == pace_line(begun, NOW)  # that it waited for a slot says nothing about its pace
    idle = session(started_at=BEFORE, completed_iterations=50)
    assert pace_line(idle, NOW) == "1h00m"  # nobody runs it
    taken = {"adopted_at": "2026-03-01T11:59:50Z", "adopted_with": "50"}
    assert pace_line(session(owner=owner, started_at=BEFORE, completed_iterations=50, **taken), NOW) == "1h00m"
    again = session(owner=owner, started_at=BEFORE, completed_iterations=60, **taken)
    assert pace_line(again, NOW) == "1h00m, about 2m20s left"  # ten in ten seconds: the hour before is not counted
    assert pace_line(session(), NOW) == time_line(session(), NOW) == "not started"


def test_of_very_many_jobs_those_that_need_a_look_are_shown():
    many = [job(worker_id=f"worker-{n}", status=Status.SUCCESS) for n in range(1, 100)]
    many[70] = replace(many[70], status=Status.FAILED, reason="exit:3\x1b", return_code=3)
    shown = jobs_table(session(jobs=tuple(many)), NOW, None).splitlines()
    assert shown[1].startswith("worker-71  FAILED")
    assert shown[1].endswith("exit:3\\x1b")
    assert shown[-1] == "… and 59 more jobs: -o json has them all"


def test_hostile_text_in_a_session_is_escaped():
    best = '{"g": 0, "worker_id": "w", "iteration": 1, "value": 1.5, "params": {"a": "\\u001b[31m"}, "metrics": {}}'
    shown = session_table(session(best=best, metric="m\x1b", metrics=("x\x9b",), jobs=(job(),)), NOW, 80)
    assert "a=\\x1b[31m" in shown
    assert escaped(shown) == shown


SERVED = {"kind": "daemon", "host": "h", "since": "then"}


def test_logs_of_a_session_whose_removal_did_not_finish():
    with pytest.raises(NotFoundError, match="session s has no jobs any more: `orch rm s` removes what is left"):
        jobs_of(session(), None)


# --- progress -------------------------------------------------------------------------------------------------------


def test_lines_say_what_is_new_and_only_that(capsys: pytest.CaptureFixture[str]):
    progress = LineProgress(timedelta(seconds=30))

    def lines(*, owner: object = SERVED, **fields: Any) -> list[str]:
        progress.show(session(owner=owner, **fields))
        return capsys.readouterr().err.splitlines()

    before = job(status=Status.RUNNING, attempt=1)
    assert lines(jobs=(before,), completed_iterations=20) == []
    assert lines(jobs=(before,), completed_iterations=21) == []  # 10.5 %
    assert lines(jobs=(before,), completed_iterations=22) == ["orch: 22 of 200 iterations (11%)"]
    again = replace(before, status=Status.PENDING, reason="exit:3", retry_at=NOW)
    assert lines(jobs=(again,), completed_iterations=22) == ["orch: worker-1 ended: exit:3; it is tried again"]
    second = replace(before, attempt=2, recorded=1)
    assert lines(jobs=(second,), completed_iterations=22) == ["orch: worker-1 runs (attempt 2, 1 of 3 recorded)"]
    ended = replace(second, status=Status.FAILED, reason="timeout")
    assert lines(jobs=(ended,), completed_iterations=22) == ["orch: worker-1 ended: FAILED (timeout)"]
    progress.away()
    progress.away()
    assert capsys.readouterr().err == "orch: the store does not answer; the workers wait to record\n"
    assert lines(jobs=(ended,), completed_iterations=22) == ["orch: the store answers again"]
    waits = "orch: session s waits for a daemon: none serves env docker"
    assert lines(owner=None, jobs=(ended,), completed_iterations=22) == [waits]
    assert lines(owner=None, jobs=(ended,), completed_iterations=22) == []
    assert lines(jobs=(ended,), completed_iterations=22) == ["orch: session s goes on"]
    assert lines(jobs=(ended,), completed_iterations=22, paused=1) == ["orch: session s waits for `orch resume s`"]
    assert lines(jobs=(ended,), completed_iterations=22, paused=1, status="CANCELLED") == []


def test_programs_are_told_what_is_waited_for_and_of_an_interruption(capsys: pytest.CaptureFixture[str]):
    progress = NoProgress(timedelta(seconds=30))
    progress.show(session())
    assert capsys.readouterr().err == "orch: session s waits for a daemon: none serves env docker\n"
    progress.show(session(owner=SERVED))
    assert capsys.readouterr().err == "orch: session s goes on\n"
    progress.away()
    assert capsys.readouterr().err == ""
    progress.stopping(at_once=True)
    assert capsys.readouterr().err == "orch: stopping at once; what is recorded is kept\n"


# --- checks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "policy", "state", "words"),
    [
        ({"aof_enabled": "1"}, "always", State.OK, "fsync always"),
        ({"aof_enabled": "1"}, "everysec", State.WARN, "forgets up to 2 s"),
        ({"aof_enabled": "1"}, "", State.OK, "append-only file"),
        ({"aof_enabled": "1"}, "no", State.WARN, "when the kernel likes"),
        ({"aof_enabled": "0"}, "everysec", State.WARN, "is lost"),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, "always", State.BROKEN, "cannot write"),
    ],
)
def test_persistence(facts: dict[str, str], policy: str, state: State, words: str):
    check = checks.check_persistence(facts, policy)
    assert check.state is state
    assert words in check.detail


def test_a_server_that_drops_records():
    dropping = checks.check_eviction({"maxmemory": "100", "maxmemory_policy": "allkeys-lru"})
    assert dropping.state is State.WARN
    assert checks.check_eviction({"maxmemory": "100", "maxmemory_policy": "noeviction"}).state is State.OK


def test_schema():
    assert checks.check_schema_version(None).state is State.OK
    assert checks.check_schema_version("999").state is State.BROKEN


def test_cgroups(tmp_path: Path):
    line = f"36 25 0:30 / {tmp_path} rw shared:9 - cgroup2 cgroup2 rw\n"
    assert "not mounted" in checks.check_cgroup("").detail
    assert f"not writable at {tmp_path}" in checks.check_cgroup(line).detail
    (tmp_path / "cgroup.procs").touch()
    assert checks.check_cgroup(line).detail == f"writable at {tmp_path}"


def test_disk_and_open_files(tmp_path: Path):
    assert checks.check_disk(tmp_path / "not" / "yet").state is State.OK
    (tmp_path / "file").touch()
    assert checks.check_disk(tmp_path / "file").state is State.BROKEN
    assert checks.check_open_files(10**9).state is State.WARN


def test_very_many_metrics_are_counted():
    names = [f"m{number:02}" for number in range(40)]
    assert metrics_line(names[:12]) == " ".join(names[:12])
    assert metrics_line(names) == " ".join(names[:12]) + " and 28 more (`-o json` has all)"
