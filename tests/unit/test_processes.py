"""How a process ended, and the end of those that carry a marker."""

from __future__ import annotations

import signal
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tuning_worker import processes
from tuning_worker.processes import MARKER, died, kill_group, kill_marked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("returncode", "kind", "how"),
    [
        (0, "exit:0", "ended with exit code 0"),
        (3, "exit:3", "ended with exit code 3"),
        (-signal.SIGSEGV, "signal:SIGSEGV", "was killed by SIGSEGV"),
        (-signal.SIGKILL, "signal:SIGKILL", "was killed by SIGKILL (often the kernel, out of memory)"),
        (-40, "signal:40", "was killed by 40"),
    ],
)
def test_a_return_code_is_put_into_words(returncode: int, kind: str, how: str) -> None:
    assert died(returncode) == (kind, how)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], env={MARKER: "orch-test-a.1"}, start_new_session=True) as process:
        yield process
        process.kill()


def test_only_what_carries_the_marker_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    for marker in ("orch-test-a.1.2", "orch-test-b", "a.1"):
        kill_marked(marker)
    assert sleeper.poll() is None
    kill_marked("orch-test-a")
    assert sleeper.wait() == -signal.SIGKILL


def test_looking_for_them_is_bounded(sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", timedelta())
    kill_marked("orch-test-a")
    assert sleeper.poll() is None


def test_a_group_that_is_gone_is_no_error(sleeper: subprocess.Popen[bytes]) -> None:
    kill_group(sleeper.pid)
    assert sleeper.wait() == -signal.SIGKILL
    kill_group(sleeper.pid)
