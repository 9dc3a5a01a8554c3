"""The evaluator with real child processes and objectives that do their worst."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.process import procfs
from tuning_worker.evaluation.evaluator import Abandoned, Evaluation, Evaluator, Identity
from tuning_worker.evaluation.process import ChildEnded, EvaluationProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.every_python

IDENTITY = Identity("s-1", "worker-2", iteration=3, g=5, seed=42)
PATIENCE = 300.0
"""Seconds after which a condition is given up: far beyond what any of them takes."""

OBJECTIVE = """
import ctypes, decimal, math, os, signal, subprocess, sys, threading, time

class Meta(type):
    __module__ = property(lambda cls: 1 / 0)

class Strange(Exception, metaclass=Meta):
    pass

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no")

def fork_and_stay(file):
    if os.fork() == 0:
        os.setsid()
        write(file, os.getpid())
        time.sleep(1000)

def escape(file):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            script = 'echo $$ > "$0.part"; mv "$0.part" "$0"; exec sleep 1000'
            os.execve("/bin/sh", ["sh", "-c", script, file], {})
        os._exit(0)
    os.wait()
    while not os.path.exists(file):
        time.sleep(0.01)

def write(file, text):
    with open(file + ".part", "w") as out:
        out.write(str(text))
    os.rename(file + ".part", file)

def recurse(n):
    return recurse(n + 1) + 1

def objective(params):
    match params["do"]:
        case "number": return 0.5
        case "numpy":
            import numpy as np
            return {"value": np.float32(0.5), "count": np.int64(3), "nan": np.float64("nan"), "text": "x"}
        case "strange": raise Strange("odd")
        case "nan": return {"value": float("nan"), "other": 1}
        case "missing": return {"other": 1}
        case "none": return None
        case "pid": return {"value": os.getpid(), "pgid": os.getpgid(0), "sid": os.getsid(0)}
        case "raise": raise ValueError("schön \\u2603 \\udcff")
        case "unspeakable": raise Unspeakable
        case "silent": raise KeyError
        case "sysexit": sys.exit(3)
        case "interrupt": raise KeyboardInterrupt
        case "sigint": os.kill(os.getpid(), signal.SIGINT); return 1
        case "recursion": return recurse(0)
        case "memory": return bytearray(1 << 60)
        case "segfault": ctypes.string_at(0)
        case "exit": os._exit(3)
        case "exit0": os._exit(0)
        case "oom": os.kill(os.getpid(), signal.SIGKILL)
        case "killgroup": os.killpg(0, signal.SIGKILL)
        case "loop":
            while True:
                pass
        case "sleep": time.sleep(1000)
        case "gil": ctypes.PyDLL(None).sleep(1000)
        case "stop": os.kill(os.getpid(), signal.SIGSTOP)
        case "hang_then": write(params["file"], os.getpid()); time.sleep(1000)
        case "fork_and_hang": fork_and_stay(params["file"]); time.sleep(1000)
        case "fork_and_segfault":
            fork_and_stay(params["file"])
            while not os.path.exists(params["file"]):
                time.sleep(0.01)
            ctypes.string_at(0)
        case "spawn_and_hang":
            script = "echo $$ > $0.part; mv $0.part $0; exec sleep 1000"
            subprocess.Popen(["sh", "-c", script, params["file"]])
            time.sleep(1000)
        case "escape_and_hang": escape(params["file"]); time.sleep(1000)
        case "escape_and_segfault": escape(params["file"]); ctypes.string_at(0)
        case "fork_and_return": os.fork(); return 1
        case "print": print("x" * 3_000_000); print("é", end=""); return 1
        case "noisy": sys.stdout = None; return 1
        case "chdir": os.chdir("/"); return 1
        case "cwd": return {"value": 1, "same": os.getcwd() == params["cwd"]}
        case "environment":
            return {"value": 1, "right": all(os.environ[n] == v for n, v in params.items() if n != "do")}
        case "scribble":
            for fd in range(3, 64):
                try: os.write(fd, b"rubbish\\n")
                except OSError: pass
            time.sleep(1000)
        case "array":
            for fd in range(3, 64):
                try: os.write(fd, b"[]\\n")
                except OSError: pass
            time.sleep(1000)
        case "object":
            for fd in range(3, 64):
                try: os.write(fd, b'{"status": "SUCCESS"}\\n')
                except OSError: pass
            time.sleep(1000)
        case "closefds": os.closerange(3, 64); time.sleep(1000)
        case "closefds_and_return": os.closerange(3, 64); return 1
        case "die_later":
            threading.Timer(0.05, os._exit, (5,)).start()
            return os.getpid()
        case "stubborn":
            threading.Thread(target=time.sleep, args=(1000,)).start()
            return 1
        case "atexit":
            import atexit
            atexit.register(write, params["file"], "ended")
            return 1
        case "many": return len(params)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "orch_nasty.py").write_text(OBJECTIVE)
    return tmp_path


def python(function: str = "orch_nasty:objective") -> dict[str, Any]:
    return {"kind": "python", "function": function, "metric": "value", "direction": "maximize"}


def command(*argv: str) -> dict[str, Any]:
    return {"kind": "command", "argv": [*argv], "metric": "value", "direction": "maximize"}


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluator]:
    """One for all tests that leave it able to work, which is itself what it promises."""
    base = tmp_path_factory.mktemp("base")
    (base / "orch_nasty.py").write_text(OBJECTIVE)
    with Evaluator(python(), base) as evaluator:
        yield evaluator


@contextmanager
def limited(base: Path, seconds: float) -> Iterator[Evaluator]:
    """An evaluator with a child that has started: what is measured by the timeout is the objective."""
    with Evaluator(python(), base, timeout=timedelta(seconds=seconds)) as evaluator:
        assert do(evaluator, "number").status == "SUCCESS"
        yield evaluator


def do(evaluator: Evaluator, what: str, **params: str) -> Evaluation:
    return evaluator.evaluate({"do": what, **params}, IDENTITY)


def gone(pid: int) -> bool:
    """Whether a process is gone, or dead and only not yet reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def open_files() -> list[str]:
    return sorted(file.name for file in Path("/proc/self/fd").iterdir())


def pid_in(file: Path) -> int:
    until(lambda: file.exists() and file.read_text())
    return int(file.read_text())


# --- values ------------------------------------------------------------------------------------------------------


def test_values_and_metrics(evaluator: Evaluator) -> None:
    number = do(evaluator, "number")
    assert (number.status, number.value, number.metrics) == ("SUCCESS", 0.5, {"value": 0.5})
    assert (number.kind, number.message, number.detail) == (None, None, None)
    assert number.seconds >= 0
    result = do(evaluator, "numpy")
    assert (result.value, result.metrics) == (0.5, {"value": 0.5, "count": 3, "nan": None})


def test_one_child_serves_many_iterations(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:
        assert evaluator.child_pid is None
        seen = {do(evaluator, "pid").value for _ in range(50)}
        assert seen == {evaluator.child_pid}
        assert evaluator.child_pid != os.getpid()
    assert evaluator.child_pid is None


def test_the_child_is_in_a_group_of_its_own(evaluator: Evaluator) -> None:
    group = do(evaluator, "pid").metrics["pgid"]
    assert group == evaluator.child_pid
    assert group != os.getpgid(0)


def test_the_iteration_is_named_in_the_environment(base: Path) -> None:
    with Evaluator(python(), base, env={"EXTRA": "more"}) as evaluator:
        assert do(evaluator, "environment", **IDENTITY.environment(), EXTRA="more").metrics["right"] == 1
    assert IDENTITY.environment() == {
        "ORCH_SESSION_ID": "s-1",
        "ORCH_WORKER_ID": "worker-2",
        "ORCH_ITERATION": "3",
        "ORCH_GLOBAL_INDEX": "5",
        "ORCH_SEED": "42",
    }


def test_a_change_of_directory_ends_with_its_iteration(evaluator: Evaluator) -> None:
    do(evaluator, "chdir")
    assert do(evaluator, "cwd", cwd=str(Path.cwd())).metrics["same"] == 1


def test_more_parameters_than_a_pipe_holds(evaluator: Evaluator) -> None:
    params: dict[str, str | float] = {f"parameter-{number}": "x" * 100 for number in range(5000)}
    assert evaluator.evaluate({**params, "do": "many"}, IDENTITY).value == 5001


# --- failures that the child survives ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("nan", "not_finite", "'value' is undefined"),
        ("missing", "missing_metric", "not among those measured: other"),
        ("none", "bad_output", "is a `return` missing"),
        ("raise", "ValueError", "schön \u2603 \\udcff"),
        ("unspeakable", "Unspeakable", "cannot be shown"),
        ("strange", "Strange", "odd"),
        ("silent", "KeyError", "raised KeyError without a message"),
        ("sysexit", "SystemExit", "sys.exit(3)"),
        ("interrupt", "KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("recursion", "RecursionError", "maximum recursion depth"),
        ("memory", "MemoryError", "raised MemoryError"),
    ],
)
def test_what_python_can_catch_fails_the_iteration_only(what: str, kind: str, says: str, evaluator: Evaluator) -> None:
    do(evaluator, "number")
    child = evaluator.child_pid
    failed = do(evaluator, what)
    assert (failed.status, failed.value, failed.kind) == ("FAILED", None, kind)
    assert failed.message is not None
    assert says in failed.message
    assert do(evaluator, "number").value == 0.5
    assert evaluator.child_pid == child


def test_other_metrics_of_a_failed_iteration_are_kept(evaluator: Evaluator) -> None:
    assert do(evaluator, "nan").metrics == {"value": None, "other": 1}


def test_a_traceback_shows_the_users_code_alone_and_is_bounded(evaluator: Evaluator) -> None:
    detail = do(evaluator, "raise").detail
    assert detail is not None
    assert detail.splitlines()[1].strip().startswith('File "')
    assert "orch_nasty.py" in detail.splitlines()[1]
    assert "tuning_worker" not in detail
    detail = do(evaluator, "recursion").detail
    assert detail is not None
    assert len(detail.encode()) <= 16 * 1024


def test_sigint_is_not_for_the_child(evaluator: Evaluator) -> None:
    assert do(evaluator, "sigint").status == "SUCCESS"


def test_a_fork_that_comes_back_does_not_answer_twice(evaluator: Evaluator) -> None:
    for _ in range(3):
        assert do(evaluator, "fork_and_return").value == 1
        assert do(evaluator, "number").value == 0.5


def test_prints_go_to_the_workers_output(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Evaluator(python(), base) as evaluator:
        assert do(evaluator, "print").status == "SUCCESS"
        assert capfd.readouterr().out == "x" * 3_000_000 + "\né\n"  # what the worker says next is a line of its own
        assert do(evaluator, "noisy").status == "SUCCESS"


# --- failures that the child does not survive --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("segfault", "signal:SIGSEGV", "was killed by SIGSEGV"),
        ("exit", "exit:3", "ended with exit code 3"),
        ("exit0", "exit:0", "ended with exit code 0"),
        ("oom", "signal:SIGKILL", "out of memory"),
        ("killgroup", "signal:SIGKILL", "was killed by SIGKILL"),
        ("scribble", "bad_output", "not its own"),
        ("array", "bad_output", "not its own"),
        ("object", "bad_output", "not its own"),
        ("closefds", "bad_output", "not its own"),
        ("closefds_and_return", "bad_output", "not its own"),
    ],
)
def test_the_end_of_the_child_is_a_failed_iteration(what: str, kind: str, says: str, evaluator: Evaluator) -> None:
    do(evaluator, "number")
    child = evaluator.child_pid
    assert child is not None
    failed = do(evaluator, what)
    assert (failed.status, failed.value, failed.metrics, failed.kind) == ("FAILED", None, {}, kind)
    assert failed.message is not None
    assert says in failed.message
    assert gone(child)
    assert do(evaluator, "number").value == 0.5
    assert evaluator.child_pid != child


def test_a_crash_says_where(evaluator: Evaluator) -> None:
    detail = do(evaluator, "segfault").detail
    assert detail is not None
    assert "orch_nasty.py" in detail
    assert "in objective" in detail
    assert "evaluation/child" not in detail


@pytest.mark.parametrize("what", ["loop", "sleep", "gil", "stop"])
def test_a_hang_is_a_timeout(what: str, base: Path) -> None:
    with limited(base, 3) as evaluator:
        child = evaluator.child_pid
        assert child is not None
        failed = do(evaluator, what)
        assert (failed.kind, failed.message) == ("timeout", "there was no result after 3 s")
        assert failed.seconds >= 3
        assert gone(child)
        assert do(evaluator, "number").value == 0.5


def test_a_hang_says_where(base: Path) -> None:
    with limited(base, 3) as evaluator:
        detail = do(evaluator, "loop").detail
    assert detail is not None
    assert "in objective" in detail


@pytest.mark.parametrize(
    "what", ["fork_and_hang", "spawn_and_hang", "fork_and_segfault", "escape_and_hang", "escape_and_segfault"]
)
def test_what_a_dead_child_had_started_is_gone(what: str, base: Path) -> None:
    with limited(base, 4) as evaluator:  # enough to start it on a busy machine
        failed = do(evaluator, what, file=str(base / "pid"))
        assert failed.status == "FAILED"
        assert gone(pid_in(base / "pid"))


def test_a_child_that_died_between_two_iterations_costs_none(evaluator: Evaluator) -> None:
    value = do(evaluator, "die_later").value
    assert value is not None
    until(lambda: gone(int(value)))
    assert do(evaluator, "number").value == 0.5


# --- starts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("import no_such_library_here", "ModuleNotFoundError", "no_such_library_here"),
        ("raise SystemExit('not today')", "SystemExit", "not today"),
        ("def f(:", "SyntaxError", "line 1"),
        ("import os; os._exit(4)", "exit:4", "exit code 4"),
        ("x = 1", "AttributeError", "'f'"),
    ],
    ids=["import", "exit", "syntax", "death", "name"],
)
def test_an_objective_that_cannot_be_made_fails_each_iteration(source: str, kind: str, says: str, base: Path) -> None:
    (base / "orch_broken.py").write_text(source)
    with Evaluator(python("orch_broken:f"), base) as evaluator:
        for _ in range(2):
            failed = do(evaluator, "number")
            assert (failed.status, failed.kind) == ("FAILED", kind)
            assert failed.message is not None
            assert says in failed.message
            assert evaluator.child_pid is None
        (base / "orch_broken.py").write_text("def f(params): return 7")
        assert do(evaluator, "number").value == 7


def test_a_section_that_is_wrong_is_a_failed_iteration(base: Path) -> None:
    with Evaluator({"kind": "magic", "metric": "value"}, base) as evaluator:
        failed = do(evaluator, "number")
        assert failed.kind == "UsageError"
        assert failed.message is not None
        assert "no objective of the kind 'magic'" in failed.message


def test_slow_imports_are_not_the_iterations_time(base: Path) -> None:
    (base / "orch_slow.py").write_text("import time\ntime.sleep(3)\ndef f(params): return 1")
    with Evaluator(python("orch_slow:f"), base, timeout=timedelta(seconds=2)) as evaluator:
        result = do(evaluator, "number")
        assert result.status == "SUCCESS"
        assert result.seconds < 3


def test_a_child_that_died_before_it_was_asked_is_noticed() -> None:
    wake = os.eventfd(0)
    try:
        child = EvaluationProcess(os.environ, wake)
        assert child.ask({"spec": command("true"), "base": "/"}, None) == {}
        os.killpg(child.pid, signal.SIGKILL)
        until(lambda: not child.alive())
        with pytest.raises(ChildEnded) as ended:
            child.ask({"params": {}, "environment": {}}, None)
    finally:
        os.close(wake)
    assert ended.value.returncode == -signal.SIGKILL


# --- commands ----------------------------------------------------------------------------------------------------


def test_a_command_is_told_which_iteration_it_is(base: Path) -> None:
    source = "import os, json; print(json.dumps({{'value': int(os.environ['ORCH_GLOBAL_INDEX']) + {x}}}))"
    with Evaluator(command(sys.executable, "-c", source), base) as evaluator:
        assert evaluator.evaluate({"x": 10}, IDENTITY).value == 15
        failed = evaluator.evaluate({"y": 1}, IDENTITY)
        assert (failed.kind, failed.detail) == ("launch", None)
        assert evaluator.evaluate({"x": 1}, IDENTITY).value == 6


def test_a_command_that_hangs_is_gone_after_its_timeout(base: Path) -> None:
    script = f"sh -c 'echo $$ > {base}/pid; exec sleep 1000'; true"
    with Evaluator(command("sh", "-c", script), base, timeout=timedelta(seconds=4)) as evaluator:
        failed = evaluator.evaluate({}, IDENTITY)
        assert (failed.kind, failed.detail) == ("timeout", None)
        assert gone(pid_in(base / "pid"))


ORPHANS = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0: time.sleep(0.05)
        os._exit(0)
    os.wait()
def left(): return open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()
deadline = time.monotonic() + 10
while len(left()) > 1 and time.monotonic() < deadline: time.sleep(0.01)
"""
"""It waits until it is its parent's only child again: zombies are children too."""


def test_orphans_that_end_meanwhile_do_not_pile_up(base: Path) -> None:
    source = ORPHANS.replace("{", "{{").replace("}", "}}") + "print('{{\"value\": %d}}' % len(left()))"
    with Evaluator(command(sys.executable, "-c", source), base) as evaluator:
        assert evaluator.evaluate({}, IDENTITY).value == 1
    (base / "orch_orphans.py").write_text("def f(params):" + ORPHANS.replace("\n", "\n    ") + "return len(left())\n")
    with Evaluator(python("orch_orphans:f"), base) as evaluator:
        assert do(evaluator, "number").value == 1


# --- being given up ----------------------------------------------------------------------------------------------


def test_abandon_ends_what_runs_and_all_that_follows(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:

        def abandon_when_it_runs() -> None:
            pid_in(base / "pid")
            evaluator.abandon()

        other = threading.Thread(target=abandon_when_it_runs)
        other.start()
        with pytest.raises(Abandoned):
            do(evaluator, "hang_then", file=str(base / "pid"))
        other.join()
        assert gone(pid_in(base / "pid"))
        with pytest.raises(Abandoned):
            do(evaluator, "number")
    evaluator.abandon()  # a signal may come late


def test_abandon_works_from_a_signal_handler(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:
        before = signal.signal(signal.SIGALRM, lambda *_: evaluator.abandon() if (base / "pid").exists() else None)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        try:
            with pytest.raises(Abandoned):
                do(evaluator, "hang_then", file=str(base / "pid"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert gone(pid_in(base / "pid"))


def test_an_exception_in_the_worker_ends_the_child(base: Path) -> None:
    class Enough(Exception):  # noqa: N818 - stands for KeyboardInterrupt
        pass

    def raise_enough(*_: object) -> None:
        if (base / "pid").exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Enough

    before = signal.signal(signal.SIGALRM, raise_enough)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with Evaluator(python(), base) as evaluator, pytest.raises(Enough):
            do(evaluator, "hang_then", file=str(base / "pid"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone(pid_in(base / "pid"))


def test_close_lets_an_idle_child_end_by_itself(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:
        do(evaluator, "atexit", file=str(base / "ended"))
    assert (base / "ended").read_text() == "ended"
    evaluator.close()


def test_close_does_not_wait_for_ever(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:
        do(evaluator, "stubborn")
        child = evaluator.child_pid
    assert child is not None
    assert gone(child)


def test_close_ends_a_child_that_has_died_already(base: Path) -> None:
    with Evaluator(python(), base) as evaluator:
        value = do(evaluator, "die_later").value
        assert value is not None
        until(lambda: gone(int(value)))


def test_no_file_descriptor_is_left(base: Path) -> None:
    before = open_files()
    with Evaluator(python(), base) as evaluator:
        for what in ("number", "exit", "number", "segfault", "scribble"):
            do(evaluator, what)
    assert open_files() == before


def test_no_process_can_be_started(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = open_files()
    with Evaluator(python(), base) as evaluator, pytest.raises(FileNotFoundError):
        do(evaluator, "number")
    assert open_files() == before


# --- the worker's death ------------------------------------------------------------------------------------------

WORKER = """
import json, sys
from pathlib import Path
from tuning_worker.evaluation.process import ChildEnded, EvaluationProcess
from tuning_worker.evaluation.evaluator import Evaluator, Identity
evaluator = Evaluator(json.loads(sys.argv[1]), Path(sys.argv[2]))
evaluator.evaluate(json.loads(sys.argv[3]), Identity("s", "worker-1", 1, 0, 1))
"""

COMMAND_TREE = "sh -c 'echo $$ > {0}/inner; exec sleep 1000' & echo $$ > {0}/outer; wait"


@pytest.mark.parametrize("kind", ["command", "python", "escape"])
def test_nothing_survives_a_worker_that_was_killed(kind: str, base: Path) -> None:
    files = ["outer", "inner"] if kind == "command" else ["inner"]
    spec = command("sh", "-c", COMMAND_TREE.format(base)) if kind == "command" else python()
    what = "escape_and_hang" if kind == "escape" else "spawn_and_hang"
    params = {} if kind == "command" else {"do": what, "file": str(base / "inner")}
    arguments = [json.dumps(spec), str(base), json.dumps(params)]
    with subprocess.Popen([sys.executable, "-c", WORKER, *arguments]) as worker:
        started = [pid_in(base / name) for name in files]
        family = [stat.pid for stat in procfs.descendants(worker.pid)]
        assert len(family) >= 2, "the child and its guard"
        worker.kill()
    for pid in started + family:
        until(lambda pid=pid: gone(pid))  # type: ignore[misc]  # bound now


def test_a_child_that_finds_its_worker_gone_ends_at_once() -> None:
    reader, writer = os.pipe()
    others = os.pipe()
    os.close(writer)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tuning_worker.evaluation.child", *map(str, (reader, others[1], others[1]))],
        pass_fds=(reader, others[1]),
        check=False,
    )
    for fd in (reader, *others):
        os.close(fd)
    assert done.returncode == -signal.SIGKILL


# --- what it measured beside its metrics ------------------------------------------------------------------------------

_DAILY = """
from tuning_worker.objectives.protocol import Measurement
def f(params):
    return Measurement({"value": 1.5}, {"2026-01-02": 2, "2026-01-01": -0.1}, %s)
"""


def test_daily_profits_and_their_capital_come_along(base: Path) -> None:
    (base / "orch_daily.py").write_text(_DAILY % "1000")
    with Evaluator(python("orch_daily:f"), base) as evaluator:
        done = do(evaluator, "measure")
    assert (done.value, done.daily, done.capital) == (1.5, {"2026-01-01": -0.1, "2026-01-02": 2.0}, 1000.0)


def test_a_capital_that_is_no_number_fails_the_iteration(base: Path) -> None:
    (base / "orch_nothing.py").write_text(_DAILY % "float('nan')")
    with Evaluator(python("orch_nothing:f"), base) as evaluator:
        done = do(evaluator, "measure")
    assert (done.status, done.kind, done.daily) == ("FAILED", "bad_output", None)
    assert done.message == "the capital has no finite number, it has nan"
