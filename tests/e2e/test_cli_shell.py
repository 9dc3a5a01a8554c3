"""`orch` as a shell sees it: help, usage, completion, errors, and `doctor` and `version`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli import VERBS

if TYPE_CHECKING:
    from e2e.conftest import Cli


@pytest.mark.every_python
def test_help_lists_every_verb_and_each_has_its_own(cli: Cli):
    shown = cli("--help")
    assert shown.code == 0
    assert all(f"\n  {verb} " in shown.out for verb in VERBS)
    assert "\x1b" not in shown.out
    assert cli("status", "-h").out.startswith("Usage: orch status ")
    assert cli().code == 2


@pytest.mark.every_python
def test_a_misspelt_verb_gets_a_suggestion(cli: Cli):
    wrong = cli("stauts")
    assert wrong.code == 2
    assert "Did you mean 'status'" in wrong.err
    assert "No such option: --json (Possible options: --output json)" in cli("results", "demo", "--json").err


@pytest.mark.every_python
@pytest.mark.parametrize(
    "argv",
    [
        ("status", "a", "b"),
        ("status", "-o", "xml"),
        ("status", "--nope"),
        ("run",),
        ("run", "session.yaml", "--workers", "x"),
        ("run", "session.yaml", "--set", "nonsense"),
        ("run", "session.yaml", "--set", "nonsense=1"),
        ("results", "demo", "--top", "0"),
    ],
)
def test_wrong_usage_is_2_on_stderr(cli: Cli, argv: tuple[str, ...]):
    wrong = cli(*argv)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err
    assert not re.search("Value error|Input should|unable to parse", wrong.err)  # no words of a library's


@pytest.mark.every_python
def test_version(cli: Cli):
    assert cli("version").out == cli("--version").out
    assert cli("version", "-o", "json").json["schema"] == 1
    assert cli("version", "-o", "quiet").out in cli("version").out.replace(" ", "\n")


# --- completion -----------------------------------------------------------------------------------------------------


def complete(cli: Cli, line: str, shell: str = "bash", **environ: str) -> str:
    """Ask as the shells' own scripts do (`orch --show-completion`)."""
    words = line.split(" ")
    asked = {
        "_ORCH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = cli(**asked, **environ)
    assert (done.code, done.err) == (0, "")
    return done.out


def test_completion_knows_verbs_options_and_session_ids(finished: Cli):
    assert complete(finished, "orch st").split() == ["status"]
    assert complete(finished, "orch results --to").split() == ["--top"]
    assert complete(finished, "orch status -o y").split() == ["yaml"]
    for verb in ("status", "results", "best", "rm"):
        assert complete(finished, f"orch {verb} d").split() == ["demo"]
    assert complete(finished, "orch status x").split() == []
    assert complete(finished, "orch status --env other d").split() == []
    assert '"demo"' in complete(finished, "orch best d", "zsh")
    assert complete(finished, "orch best ", "fish").split() == ["demo"]


@pytest.mark.every_python
def test_completion_is_silent_when_the_store_is_away(cli: Cli):
    assert complete(cli, "orch status d").split() == []
    assert complete(cli, "orch status d", ORCH_REDIS_URL="redis://127.0.0.1:1").split() == []


@pytest.mark.every_python
def test_a_real_bash_completes(finished: Cli):
    script = (
        f'orch() {{ "{sys.executable}" -m orchestrator "$@"; }}; export -f orch\n'
        "export _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1\n"
        'eval "$(orch --show-completion bash | sed "s/env //; s/$1/orch/")"\n'
        "COMP_WORDS=(orch status d); COMP_CWORD=2; _orch_completion orch; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=finished.cwd, env=finished.environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == "demo\n", done.stderr


# --- errors ---------------------------------------------------------------------------------------------------------


def test_what_comes_from_outside_does_not_reach_the_terminal_as_it_is(cli: Cli):
    shown = cli("status", "\x1b[31m")
    assert shown.code == 3
    shown = cli("plan", "no\x1b[31mfile")
    assert "\\x1b[31m" in shown.err
    assert "\x1b" not in shown.err


@pytest.mark.every_python
def test_something_unforeseen_is_a_sentence_and_a_report(cli: Cli):
    broken = cli.cwd / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import orchestrator.cli.polled as polled\n"
        "def fail(_): raise RuntimeError('boom redis://u:secret@h/')\n"
        "polled.show_status = fail\n"
    )
    shown = cli("status", PYTHONPATH=str(broken))
    assert (shown.code, shown.out) == (1, "")
    assert "Traceback" not in shown.err
    report = Path(shown.err.rsplit(" ", 1)[1].strip())
    assert report.parent == cli.cwd.parent / "state" / "crashes"
    assert "RuntimeError: boom" in report.read_text()
    assert "secret" not in report.read_text() + shown.err
    nowhere = cli("status", PYTHONPATH=str(broken), ORCH_STATE_DIR="/proc/nowhere")
    assert nowhere.code == 1
    assert "please report it: RuntimeError: boom" in nowhere.err


def test_a_reader_who_leaves_and_a_full_disk(finished: Cli):
    script = f'"{sys.executable}" -m orchestrator {{}}; echo $? >&2'
    # typer writes the help, and the shell's completions, by itself
    for verb in ("status -o json", "results demo -o jsonl", "logs demo", "--help", "run --help", "--version"):
        gone = subprocess.run(
            ["bash", "-c", f"({script.format(verb)}) | true"],
            cwd=finished.cwd, env=finished.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert gone.stderr in {"0\n", "1\n"}
        full = subprocess.run(
            ["bash", "-c", f"({script.format(verb)}) > /dev/full"],
            cwd=finished.cwd, env=finished.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert full.stderr == "orch: stdout cannot be written: No space left on device\n1\n"


def test_a_verb_of_the_worker_whose_reader_leaves_or_has_no_room(finished: Cli):
    script = f'"{sys.executable}" -m tuning_worker check --config tuning.yaml --iterations 1; echo $? >&2'
    for unbuffered in ("", "1"):
        shown = {
            where: subprocess.run(
                ["bash", "-c", f"({script}) {where}"],
                cwd=finished.cwd, env={**finished.environ, "PYTHONUNBUFFERED": unbuffered},
                capture_output=True, text=True, check=False,
            ).stderr
            for where in ("> /dev/full", "| sleep 0")
        }  # fmt: skip
        assert shown["> /dev/full"] == "tuning-worker: stdout cannot be written: No space left on device\n1\n"
        assert shown["| sleep 0"] == "1\n"


@pytest.mark.every_python
def test_closed_standard_streams(finished: Cli):
    script = f'"{sys.executable}" -m orchestrator {{}} <&- >&- 2>&-; echo $?'
    for verb, code in (("status demo", 0), ("logs demo", 0), ("plan session.yaml", 0), ("status nothing", 3)):
        done = subprocess.run(
            ["bash", "-c", script.format(verb)],
            cwd=finished.cwd, env=finished.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (f"{code}\n", "")


# --- doctor ---------------------------------------------------------------------------------------------------------


@pytest.mark.every_python
def test_doctor_on_a_new_machine_leaves_nothing(cli: Cli):
    seen = cli("doctor", "-o", "json")
    assert seen.code == 0, seen.out
    checks = {check["name"]: check for check in seen.json["checks"]}
    assert checks["persistence"] == {"name": "persistence", "state": "ok", "detail": "append-only file, fsync always"}
    assert "nothing was run yet" in checks["store"]["detail"]
    assert {"python", "worker", "schema", "pidfd", "subreaper", "cgroup v2", "disk", "open files"} <= set(checks)
    assert {"name": "max_jobs", "value": "2", "origin": "environment ORCH_MAX_JOBS"} in seen.json["settings"]
    assert checks["daemon"]["detail"].startswith("none serves env docker")
    assert not (cli.cwd.parent / "state").exists()


def test_doctor_where_sessions_were_run(finished: Cli):
    shown = finished("doctor").out
    assert "schema       ok      version 1" in shown
    assert "environment ORCH_STATE_DIR" in shown
    assert finished("doctor", "-o", "quiet").out == "ok\n"


def test_doctor_says_what_is_broken(cli: Cli):
    away = cli("doctor", ORCH_REDIS_URL="redis://:secret@127.0.0.1:1")
    assert away.code == 1
    assert "store       broken  the store at redis://:***@127.0.0.1:1 cannot be reached" in away.out
    assert "secret" not in away.out
    assert cli("doctor", "-o", "quiet", ORCH_WORKER_PYTHON="/nowhere/python").out == "broken\n"
    cli.write("python", "#!/bin/sh\necho no such module >&2\nexit 1\n")
    (cli.cwd / "python").chmod(0o755)
    assert "cannot import tuning_worker: no such module" in cli("doctor", ORCH_WORKER_PYTHON="./python").out
    assert cli("doctor", ORCH_MAX_JOBS="x").code == 2
