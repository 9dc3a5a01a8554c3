"""The objective `command`: its section, what `submit` checks of it, and real runs of real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.process.orphans import adopts_orphans
from tuning_worker.objectives import build_objective
from tuning_worker.objectives.command import CommandSpec
from tuning_worker.objectives.protocol import EvaluationFailed, Metrics, Params

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.every_python

HERE = Path.cwd()


def section(*argv: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "command", "argv": list(argv), "metric": "loss", "direction": "minimize", **more}


def run(source: str, params: Params | None = None, *arguments: str, **more: Any) -> Metrics:
    """Run a Python program given as text (its braces are doubled here, as no placeholders are meant)."""
    escaped = source.replace("{", "{{").replace("}", "}}")
    return build_objective(section(sys.executable, "-c", escaped, *arguments, **more), HERE).evaluate(params or {})


def failure(act: Callable[[], object]) -> EvaluationFailed:
    with pytest.raises(EvaluationFailed) as failed:
        act()
    return failed.value


def script(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


def gone(pid: int) -> bool:
    """Whether a process is gone, or dead and only not yet reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # pragma: no cover - reaped or not, as whoever adopted it likes
        return True


# --- parameters --------------------------------------------------------------------------------------------------


def test_parameters_come_by_placeholder_and_by_environment() -> None:
    source = (
        "import json, os, sys; "
        "print(json.dumps({'loss': 1, 'argv': 0})); "
        "seen = {k: v for k, v in os.environ.items() if k.startswith('ORCH_PARAM_')}; "
        "assert sys.argv[1:] == ['--lr=1e-05', '3', 'true', 'a b;$(rm x)', '{}'], sys.argv; "
        "assert seen == {'ORCH_PARAM_lr': '1e-05', 'ORCH_PARAM_n': '3', 'ORCH_PARAM_On': 'true', "
        "'ORCH_PARAM_text': 'a b;$(rm x)', 'ORCH_PARAM_off': 'false'}, seen"
    )
    params: Params = {"lr": 0.00001, "n": 3, "On": True, "text": "a b;$(rm x)", "off": False}
    assert run(source, params, "--lr={lr}", "{n}", "{On}", "{text}", "{{}}") == {"loss": 1, "argv": 0}


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_loses_no_bit(value: float) -> None:
    from tuning_worker.objectives.command import _filled, _text  # noqa: PLC0415 - the one private thing looked at here

    assert float(_filled("{x}", {"x": _text(value)})) == value


def test_the_sections_environment_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_TEST_KEPT", "1")
    source = "import os; print('{\"loss\": ' + os.environ['THREADS'] + os.environ['ORCH_TEST_KEPT'] + '}')"
    assert run(source, env={"THREADS": 4}) == {"loss": 41}


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("{unknown}", "{unknown} is no parameter; the search space has: lr, depth"),
        ("{lr:.3f}", "a placeholder is only a name, like {lr}"),
        ("{lr!r}", "a placeholder is only a name, like {lr}"),
        ("{lr.real}", "{lr.real} is no parameter"),
        ("{}", "{} is no parameter"),
        ('{"loss": 1}', "the search space has: lr, depth; a brace that is meant as one is written twice, {{ or }}"),
        ('{"a": 1', "a brace that is meant as one is written twice, {{ or }}"),
        ("a}", "a brace that is meant as one is written twice, {{ or }}"),
    ],
)
def test_a_placeholder_that_cannot_be_filled_is_told_at_submit_and_fails_later(argument: str, says: str) -> None:
    spec = CommandSpec.model_validate(section(sys.executable, argument))
    (problem,) = spec.check(HERE, ("lr", "depth"))
    assert says in problem
    failed = failure(lambda: spec.build(HERE).evaluate({"lr": 0.5, "depth": 1}))
    assert failed.kind == "launch"
    assert says in failed.message
    assert "search space has: none" in CommandSpec.model_validate(section("true", "{x}")).check(HERE, ())[0]


@pytest.mark.parametrize("argv", [[], [1.5], [True], [None]], ids=["empty", "float", "bool", "null"])
def test_arguments_are_text_or_integers(argv: list[Any]) -> None:
    with pytest.raises(ValidationError):
        CommandSpec.model_validate(section(*argv))
    assert CommandSpec.model_validate(section("train", 10)).argv == ("train", "10")


# --- where it is found -------------------------------------------------------------------------------------------


def test_a_program_is_found_in_the_working_directory_then_beside_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    base = tmp_path / "base"
    spec = CommandSpec.model_validate(section("./train.sh"))
    base.mkdir()
    assert spec.check(base, ()) == ["there is no program ./train.sh that can be executed"]
    assert spec.resolved(base)["argv"] == ["./train.sh"]
    beside = script(base / "train.sh", '#!/bin/sh\necho "{\\"loss\\": 2}"')
    assert spec.check(base, ()) == []
    assert spec.resolved(base)["argv"] == [str(beside)]
    assert spec.resolved(base)["cwd"] == str(tmp_path / "cwd")
    assert build_objective(spec.resolved(base), base).evaluate({}) == {"loss": 2}
    here = script(tmp_path / "cwd" / "train.sh", '#!/bin/sh\necho "{\\"loss\\": 1}"')
    assert spec.resolved(base)["argv"] == [str(here)]
    here.chmod(0o644)
    assert spec.resolved(base)["argv"] == [str(beside)]


def test_a_program_is_found_on_path_links_kept(tmp_path: Path) -> None:
    (tmp_path / "python-by-another-name").symlink_to(sys.executable)
    spec = CommandSpec.model_validate(section("python-by-another-name", env={"PATH": str(tmp_path)}))
    assert spec.resolved(tmp_path)["argv"] == [str(tmp_path / "python-by-another-name")]
    missing = CommandSpec.model_validate(section("python-by-another-name"))
    assert missing.check(tmp_path, ()) == ["there is no program python-by-another-name that can be executed"]


def test_a_program_may_be_a_parameter() -> None:
    spec = CommandSpec.model_validate(section("{solver}", "-c", "print('{{\"loss\": 3}}')"))
    assert spec.check(HERE, ("solver",)) == []
    assert spec.build(HERE).evaluate({"solver": sys.executable}) == {"loss": 3}


def test_the_directory_to_run_in_is_relative_to_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    source = "import os; print('{{\"loss\": 1}}'); assert os.getcwd() == {cwd!r}"
    spec = CommandSpec.model_validate(section("pwd", cwd="work"))
    assert spec.check(tmp_path / "base", ()) == [
        f"there is no directory {tmp_path / 'cwd' / 'work'} to run the command in"
    ]
    for folder in (tmp_path / "base" / "work", tmp_path / "cwd" / "work"):
        folder.mkdir(parents=True)
        assert spec.resolved(tmp_path / "base")["cwd"] == str(folder)
        inner = source.replace("{cwd!r}", repr(str(folder)))
        objective = build_objective(section(sys.executable, "-c", inner, cwd="work"), tmp_path / "base")
        assert objective.evaluate({}) == {"loss": 1}


# --- metrics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "metrics"),
    [
        ('{"loss": 1}\n', {"loss": 1}),
        ('{"loss": 1}', {"loss": 1}),
        ('  {"loss": 0.5, "name": "x", "flag": true}  \r\n', {"loss": 0.5, "flag": 1}),
        ('{"loss": 1}\n{"loss": 2}\nbye\n[3]\n4\n', {"loss": 2}),
        ('{"loss": 1}\n{broken}\n{"loss": \n', {"loss": 1}),
        ('{"loss": 1}\n{}\n', {}),
        ('{"loss": NaN}\n', {"loss": None}),
        ('{"loss": 1}\n' + '{"a":' * 100_000 + "\n", {"loss": 1}),
    ],
    ids=["line", "unended", "spaces", "last", "broken", "empty", "nan", "deep"],
)
def test_the_last_line_that_is_a_json_object_counts(printed: str, metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "printed").write_text(printed)
    assert run("import sys; print(open(sys.argv[1]).read(), end='')", {}, str(tmp_path / "printed")) == metrics


def test_standard_error_is_not_looked_at() -> None:
    failed = failure(lambda: run("import sys; print('{\"loss\": 1}', file=sys.stderr)"))
    assert failed.kind == "bad_output"
    assert failed.detail == '{"loss": 1}'
    assert 'such as {"loss": 0.5}' in failed.message


def test_silence_is_bad_output_without_detail() -> None:
    failed = failure(lambda: run("pass"))
    assert (failed.kind, failed.detail) == ("bad_output", None)


def test_a_command_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    source = """
import os, sys, time
print('{"loss": 1}', flush=True)
os.close(1)
os.close(2)
time.sleep(0.1)
open(sys.argv[1], "w")
"""
    assert run(source, {}, str(tmp_path / "end")) == {"loss": 1}
    assert (tmp_path / "end").exists()


def test_what_it_prints_flows_on(capfd: pytest.CaptureFixture[str]) -> None:
    run("import sys; print('out'); print('err', file=sys.stderr); print('{\"loss\": 1}', end='')")
    out, err = capfd.readouterr()
    assert out == 'out\n{"loss": 1}\n'
    assert err == "err\n"


# --- ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind", "detail"),
    [
        ("import sys; print('{\"loss\": 1}'); sys.exit('no data')", "exit:1", "no data"),
        ("print('only out'); raise SystemExit(7)", "exit:7", "only out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "signal:SIGTERM", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)", f"signal:{signal.SIGRTMIN + 3}", None),
        ("import os; os.killpg(0, 9)", "signal:SIGKILL", None),
    ],
    ids=["text", "code", "signal", "real-time", "kills-its-group"],
)
def test_a_bad_end_fails_with_its_last_words(source: str, kind: str, detail: str | None) -> None:
    failed = failure(lambda: run(source))
    assert (failed.kind, failed.detail) == (kind, detail)
    assert sys.executable in failed.message


def test_last_words_are_bounded() -> None:
    failed = failure(lambda: run("import sys; sys.stderr.write('é' * 100_000 + 'the end'); sys.exit(2)"))
    assert failed.detail is not None
    assert len(failed.detail) <= 4096
    assert failed.detail.endswith("ééthe end")


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    no_shebang = script(tmp_path / "no-shebang", "echo 1")
    no_interpreter = script(tmp_path / "no-interpreter", "#!/no/such/interpreter\n")
    for argv, says in {
        ("/no/such/program",): "there is no /no/such/program",
        (str(no_interpreter),): "or no interpreter for it",
        (str(no_shebang),): "Exec format error",
        (str(tmp_path),): "Permission denied",
        ("true", "a\0b"): "embedded null byte",
    }.items():
        failed = failure(lambda argv=argv: build_objective(section(*argv), HERE).evaluate({}))  # type: ignore[misc]  # bound now
        assert failed.kind == "launch"
        assert says in failed.message
    failed = failure(lambda: build_objective(section("true", cwd="/no/such/place"), HERE).evaluate({}))
    assert "/no/such/place" in failed.message


def test_rubbish_by_the_megabyte_is_passed_on_and_costs_no_memory(tmp_path: Path) -> None:
    source = """
import sys
for _ in range(160):
    sys.stdout.write("rubbish \\xff { " * 4681 + "\\n")
sys.stdout.write("{" + "x" * 100_000_000 + "\\n")
print('{"loss": 1}')
"""
    # In a process of its own, as its peak of memory is looked at and its output is counted.
    program = f"""
import resource, sys
from pathlib import Path
from tuning_worker.objectives import build_objective
argv = [sys.executable, "-c", {source.replace("{", "{{").replace("}", "}}")!r}]
objective = build_objective({{"kind": "command", "argv": argv, "metric": "loss", "direction": "minimize"}}, Path.cwd())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(objective.evaluate({{}}), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run([sys.executable, "-c", program], stdout=out, stderr=subprocess.PIPE, check=True)
    metrics, _, grown = done.stderr.decode().rpartition(" ")
    assert metrics == "{'loss': 1}"
    assert int(grown) < 16 * 1024  # KiB
    encoded = len(("rubbish \xff { " * 4681 + "\n").encode()) * 160
    assert (tmp_path / "out").stat().st_size == encoded + 100_000_002 + len('{"loss": 1}\n')


def test_an_output_that_does_not_block_gets_every_byte(tmp_path: Path) -> None:
    """The worker's own output may be a pipe that somebody set to non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    kept = os.dup(1)
    with (tmp_path / "out").open("wb") as out, subprocess.Popen(["cat"], stdin=reader, stdout=out):
        os.close(reader)
        os.dup2(writer, 1)
        os.close(writer)
        try:
            run("print('x' * 3_000_000); print('{\"loss\": 1}')")
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert (tmp_path / "out").stat().st_size == 3_000_001 + len('{"loss": 1}\n')


def test_it_goes_on_when_nobody_reads_the_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(1)
    os.dup2(writer, 1)
    try:
        assert run("print('x' * 1_000_000); print('{\"loss\": 1}')") == {"loss": 1}
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writer)


# --- what it leaves behind ---------------------------------------------------------------------------------------

LEAVES = """
import os, sys, time
if os.fork() == 0:
    if sys.argv[2] == "daemon":
        os.setsid()
        if os.fork():
            os._exit(0)
    print("child", flush=True)
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    time.sleep(1000)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print('{"loss": 1}', flush=True)
os._exit(int(sys.argv[3]))
"""


@pytest.mark.parametrize("how", ["child", "daemon"])
@pytest.mark.parametrize("code", [0, 3])
def test_children_that_hold_the_pipe_are_killed_and_not_waited_for(how: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    if code:
        assert failure(lambda: run(LEAVES, {}, str(file), how, str(code))).kind == "exit:3"
    else:
        assert run(LEAVES, {}, str(file), how, str(code)) == {"loss": 1}
    assert gone(int(file.read_text()))


def test_nobody_escapes_with_another_environment_in_another_session(tmp_path: Path) -> None:
    source = """
import json, os, signal, subprocess, sys
inner = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
open(sys.argv[1], "w").write(str(inner.pid))
print(json.dumps({"loss": 1}), flush=True)
if sys.argv[2] == "dies": os.kill(os.getpid(), signal.SIGKILL)
"""
    file, other = tmp_path / "pid", subprocess.Popen(["sleep", "1000"])
    try:
        assert run(source, {}, str(file), "ends") == {"loss": 1}
        assert gone(int(file.read_text()))
        assert failure(lambda: run(source, {}, str(file), "dies")).kind == "signal:SIGKILL"
        assert gone(int(file.read_text()))
        assert other.poll() is None  # a child of this process that is not the command's
        assert not adopts_orphans()
    finally:
        other.kill()
        other.wait()


def test_sections_survive_json() -> None:
    spec = CommandSpec.model_validate(section("true", "{x}", env={"A": "b"}))
    resolved = spec.resolved(HERE)
    assert CommandSpec.model_validate(json.loads(json.dumps(resolved))).resolved(HERE) == resolved
